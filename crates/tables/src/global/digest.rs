//! What a replica holds, in a few bytes: so that Regions can compare their replicas of a global
//! table without sending items. It says whether two replicas are equal, not where they differ.
//!
//! Digested are key, version and content of every state, tombstones included. Contexts are not:
//! they say what a Region has met, and may differ for ever (`docs/conflicts.md`).

use std::future::poll_fn;
use std::ops::Bound;
use std::task::Poll;

use sha2::{Digest, Sha256};
use store::{Direction, Engine, KeyRange, ReadError, Snapshot, Space};
use types::SiteId;

use super::copy::progress;
use super::group::{GroupId, MemberPhase};
use crate::codec::split_state;
use crate::{Catalogue, CatalogueError, Content, Phase, Table, Tables, decode_state, table_prefix};

/// States read at once: bounds the memory (400 KB an item).
const CHUNK: usize = 64;

/// The bytes of a table's number, which a stored key begins with: each Region has its own.
const NUMBER: usize = size_of::<u64>();

/// A replica of a global table, as it was at one moment.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct TableDigest {
    /// Which global table.
    pub group: GroupId,
    /// Its name, with its account if that isn't the first.
    pub table: String,
    /// Is it in service here? (Else it is still receiving its first copy, and comparing it says
    /// nothing.)
    pub active: bool,
    /// The other sites that have a replica in service, as far as is known here.
    pub others: Vec<SiteId>,
    /// The sites to which items are still to be announced.
    pub copying_to: Vec<SiteId>,
    /// What it holds.
    pub digest: StatesDigest,
}

/// What a table holds. Equal for equal states, in whatever order they were written.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct StatesDigest {
    /// Items.
    pub items: u64,
    /// Tombstones.
    pub tombstones: u64,
    /// The sum, modulo 2^128, of the first 16 bytes of each state's SHA-256. (A sum and not an
    /// exclusive or: what is there twice must not cancel out.)
    pub sum: u128,
}

impl<E: Engine> Tables<E> {
    /// What each global table that has a replica here holds in that snapshot. Reads all their
    /// items, in bounded chunks between which other tasks run.
    ///
    /// # Errors
    /// When storage can't be read, or what it holds makes no sense.
    pub async fn digests(
        &self,
        snapshot: &E::Snapshot,
    ) -> Result<Vec<TableDigest>, CatalogueError> {
        let mut digests = Vec::new();
        // The descriptors as of the snapshot too: the cached ones may be older or newer.
        for table in Catalogue::load(snapshot).await?.all() {
            if table.is_live()
                && let Some(group) = &table.group
            {
                let mut digest = TableDigest {
                    group: group.id,
                    table: table.full_name().to_string(),
                    active: table.phase == Phase::Active,
                    others: Vec::new(),
                    copying_to: Vec::new(),
                    digest: self.digest(snapshot, &table).await?,
                };
                for (site, member) in group.others(self.config.site) {
                    if member.phase == MemberPhase::Active {
                        digest.others.push(site);
                    }
                    let copy = progress(snapshot, table.id, site).await?;
                    if !copy.is_some_and(|copy| copy.done && copy.joined == member.joined) {
                        digest.copying_to.push(site);
                    }
                }
                digests.push(digest);
            }
        }
        Ok(digests)
    }

    /// What a table holds in that snapshot.
    ///
    /// # Errors
    /// When storage can't be read, or a state makes no sense.
    pub async fn digest(
        &self,
        snapshot: &E::Snapshot,
        table: &Table,
    ) -> Result<StatesDigest, ReadError> {
        let mut digest = StatesDigest::default();
        let mut range = KeyRange::prefix(&table_prefix(table.id.0));
        loop {
            let page = snapshot
                .scan(Space::Items, range.clone(), Direction::Forward, CHUNK)
                .await?;
            for entry in &page.entries {
                digest.add(&entry.key[NUMBER..], &entry.value)?;
            }
            match page.entries.last() {
                Some(last) if page.more => range.start = Bound::Excluded(last.key.clone()),
                _ => return Ok(digest),
            }
            let_others_run().await;
        }
    }
}

impl StatesDigest {
    /// Adds a stored state. `key` is without the table's number.
    fn add(&mut self, key: &[u8], stored: &[u8]) -> Result<(), ReadError> {
        let corrupt = |error| ReadError::Corrupt(format!("an item's state: {error}"));
        // Decoded whole, though its bytes are digested as they stand (there is one form of each
        // value): whoever verifies wants to know that it can be read.
        let state = decode_state(stored).map_err(corrupt)?;
        let (dot, content) = split_state(stored).map_err(corrupt)?;
        match state.content {
            Content::Item(_) => self.items += 1,
            Content::Tombstone => self.tombstones += 1,
        }
        let hash = Sha256::new()
            .chain_update((key.len() as u64).to_be_bytes())
            .chain_update(key)
            .chain_update(dot.time.0.to_be_bytes())
            .chain_update(dot.site.0.to_be_bytes())
            .chain_update(content)
            .finalize();
        let (first, _) = hash
            .split_first_chunk()
            .expect("SHA-256 has more than 16 bytes");
        self.sum = self.sum.wrapping_add(u128::from_be_bytes(*first));
        Ok(())
    }
}

/// Reads are ready at once, so a long scan has no other point at which it would stand back.
async fn let_others_run() {
    let mut stood_back = false;
    poll_fn(|context| {
        if std::mem::replace(&mut stood_back, true) {
            return Poll::Ready(());
        }
        context.waker().wake_by_ref();
        Poll::Pending
    })
    .await;
}

#[cfg(test)]
mod tests {
    use std::pin::pin;
    use std::task::{Context, Waker};

    use types::{Hlc, Version};

    use super::super::shuttle::{NAMES, SITES, World};
    use super::*;
    use crate::{AttributeValue, Item, State, encode_state};

    const T: &str = "Orders";

    fn finish<T>(future: impl Future<Output = T>) -> T {
        let mut future = pin!(future);
        let mut context = Context::from_waker(Waker::noop());
        loop {
            if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
                return output;
            }
        }
    }

    fn digests(world: &World, at: usize) -> Vec<TableDigest> {
        let place = &world.places[at];
        finish(place.tables.digests(&place.engine.snapshot())).unwrap()
    }

    fn only(world: &World, at: usize) -> TableDigest {
        let [digest] = digests(world, at).try_into().unwrap();
        digest
    }

    fn state(time: u64, colour: Option<&str>, seen: &[u64]) -> Vec<u8> {
        let content = colour.map_or(Content::Tombstone, |colour| {
            let colour = AttributeValue::String(colour.to_owned());
            Content::Item(Item::from([("colour".to_owned(), colour)]))
        });
        let dot = |time| Version {
            time: Hlc(time),
            site: SiteId(1),
        };
        let mut state = State::next(None, dot(time), content);
        for time in seen {
            state.context.insert(Version {
                site: SiteId(2),
                ..dot(*time)
            });
        }
        encode_state(&state)
    }

    fn sum(states: &[(&str, Vec<u8>)]) -> StatesDigest {
        let mut digest = StatesDigest::default();
        for (key, state) in states {
            digest.add(key.as_bytes(), state).unwrap();
        }
        digest
    }

    #[test]
    fn key_version_content_and_their_boundaries_count_and_contexts_do_not() {
        let held = sum(&[("a", state(5, Some("red"), &[]))]);
        assert_eq!((held.items, held.tombstones), (1, 0));
        assert_eq!(held, sum(&[("a", state(5, Some("red"), &[3]))]));
        for other in [
            sum(&[]),
            sum(&[("b", state(5, Some("red"), &[]))]),
            sum(&[("a", state(6, Some("red"), &[]))]),
            sum(&[("a", state(5, Some("blue"), &[]))]),
            sum(&[("a", state(5, None, &[]))]),
        ] {
            assert_ne!(held.sum, other.sum);
        }
    }

    #[test]
    fn the_order_does_not_count_and_nothing_cancels_out() {
        let one = ("a", state(5, Some("red"), &[]));
        let other = ("b", state(6, None, &[]));
        let both = sum(&[one.clone(), other.clone()]);
        assert_eq!(both, sum(&[other, one.clone()]));
        assert_ne!(both.sum, sum(std::slice::from_ref(&one)).sum);
        assert_ne!(sum(&[one.clone(), one]).sum, 0);
    }

    #[test]
    fn a_state_that_cannot_be_read_is_said() {
        let mut digest = StatesDigest::default();
        let torn = state(5, Some("red"), &[]);
        let error = digest.add(b"a", &torn[..torn.len() - 1]).unwrap_err();
        assert!(matches!(error, ReadError::Corrupt(_)));
        assert_eq!(digest, StatesDigest::default());
    }

    #[test]
    fn replicas_at_rest_have_equal_digests_and_others_have_not() {
        let mut world = World::new(11, None, [0; SITES]);
        world.create_table(0, T);
        for id in 0..200 {
            world.write(0, T, &id.to_string(), Some("red"));
        }
        assert_eq!(digests(&world, 0), Vec::new(), "no global table yet");
        world.replica(0, T, "Create", 1).unwrap();
        assert_eq!(only(&world, 0).copying_to.len(), 1);
        assert_eq!(only(&world, 0).others, Vec::new());
        world.settle();
        world.write(1, T, "7", None);
        let (here, there) = (only(&world, 0), only(&world, 1));
        assert_ne!(here.digest, there.digest);
        assert_eq!((there.digest.items, there.digest.tombstones), (199, 1));
        world.settle();
        let (here, there) = (only(&world, 0), only(&world, 1));
        assert_eq!((&here.group, &here.digest), (&there.group, &there.digest));
        assert_eq!(here.others, vec![SiteId(2)], "{}", NAMES[1]);
        assert!(here.active && there.active && here.copying_to.is_empty());
    }
}
