//! Whether two servers come from one: their timelines compared, and, since numbers may be the same
//! by chance, the log itself where they part. It asks an upstream, and changes nothing.

use std::sync::Arc;
use std::time::Duration;

use tokio_postgres::{Client, SimpleQueryMessage, SimpleQueryRow};

use super::error::PostgresError;
use super::files;
use super::home::{ServerHome, blocking};
use super::model::{Lsn, Upstream};
use super::observe::{optional, word, yes};
use super::session::{self, ANSWER};
use super::timeline::{History, SEGMENT, history_name, segment_name};

/// How many bytes of two logs are compared: some records, each with a checksum and the place of
/// the one before.
const COMPARED: u64 = 256;

/// An upstream, as it says it is. Its log's last checkpoint is what a rewind goes by.
const ITSELF: &str = "\
SELECT pg_is_in_recovery() AS standby,
  (SELECT system_identifier FROM pg_control_system()) AS system_identifier,
  (SELECT timeline_id FROM pg_control_checkpoint()) AS checkpointed,
  CASE WHEN pg_is_in_recovery() THEN 0
    ELSE ('x' || left(pg_walfile_name(pg_current_wal_flush_lsn()), 8))::bit(32)::int
  END AS timeline";

/// A timeline, and those that it came from.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Lineage {
    pub(super) timeline: u32,
    pub(super) history: History,
}

impl Lineage {
    /// The files with that part of the log, of the newest timeline first.
    fn files_of(&self, segment: u64) -> Vec<String> {
        let older = self.history.0.iter().rev().map(|(timeline, _)| *timeline);
        let all = std::iter::once(self.timeline).chain(older);
        all.map(|timeline| segment_name(timeline, segment))
            .collect()
    }

    /// The timeline whose file of that number is read: the newest that had begun by its end. The
    /// first file of a timeline holds what the one before had there, up to where it began.
    pub(super) fn timeline_of(&self, segment: u64) -> u32 {
        let mut newer = self.timeline;
        for (timeline, left) in self.history.0.iter().rev() {
            if left.0 / SEGMENT <= segment {
                return newer;
            }
            newer = *timeline;
        }
        newer
    }

    /// Where that other one left the last timeline that both have, or why that can't be told.
    pub(super) fn left_by(&self, other: &Lineage) -> Result<Lsn, &'static str> {
        let (own, theirs) = (&self.history.0, &other.history.0);
        if self.timeline == other.timeline {
            return Err("it is on its upstream's timeline, or on another of the same number");
        }
        let place = theirs
            .iter()
            .position(|(timeline, _)| *timeline == self.timeline);
        match place {
            Some(place) if theirs[..place] == own[..] => Ok(theirs[place].1),
            Some(_) => Err("its timeline is another's of the same number"),
            None => {
                let pairs = own.iter().zip(theirs);
                let same = pairs.take_while(|(one, other)| one == other).count();
                // The first where they part: both have that timeline, and left it.
                match (own.get(same), theirs.get(same)) {
                    (Some(one), Some(other)) if one.0 == other.0 => Ok(one.1.min(other.1)),
                    (Some(one), None) if one.0 == other.timeline => Ok(one.1),
                    _ => Err("it has no timeline that its upstream has"),
                }
            }
        }
    }
}

/// An upstream that was asked.
pub(super) struct Visited {
    client: Arc<Client>,
    standby: bool,
    system_identifier: u64,
    checkpointed: u32,
    pub(super) lineage: Lineage,
}

impl Visited {
    /// Asks it over its socket.
    pub(super) async fn of(upstream: &Upstream) -> Result<Visited, PostgresError> {
        let client = session::visit(upstream).await?;
        let itself = row(&client, ITSELF).await?;
        let timeline: u32 = word(&itself, "timeline")?;
        let history = match timeline {
            0 | 1 => History::default(),
            _ => {
                let file = history_name(timeline);
                let read = format!(
                    "SELECT convert_from(pg_read_binary_file('pg_wal/{file}'), 'UTF8') AS history"
                );
                let text: String = word(&row(&client, &read).await?, "history")?;
                let odd = || PostgresError::Upstream("the history of its timeline is odd");
                History::parse(&text).ok_or_else(odd)?
            }
        };
        Ok(Visited {
            standby: yes(&itself, "standby")?,
            system_identifier: word(&itself, "system_identifier")?,
            checkpointed: word(&itself, "checkpointed")?,
            lineage: Lineage { timeline, history },
            client: Arc::new(client),
        })
    }

    /// Can a copy of that server be rewound to it? pg_rewind believes its control file, which
    /// names the timeline before until the first checkpoint after a promotion.
    pub(super) fn is_ready_for(&self, system_identifier: u64) -> Result<(), PostgresError> {
        let why = match () {
            () if self.standby => "it is a standby",
            () if self.system_identifier != system_identifier => "it is no copy of that server",
            () if self.checkpointed != self.lineage.timeline => {
                "it has made no checkpoint since its promotion"
            }
            () => return Ok(()),
        };
        Err(PostgresError::Upstream(why))
    }

    /// Is the home's log right before that place, where this upstream left it, the same that this
    /// upstream has? One that has it no more couldn't be followed from there.
    pub(super) async fn shares(
        &self,
        home: &ServerHome,
        own: &Lineage,
        left: Lsn,
    ) -> Result<bool, PostgresError> {
        let last = left.0.saturating_sub(1);
        let (segment, end) = (last / SEGMENT, last % SEGMENT + 1);
        let length = COMPARED.min(end);
        let place = end - length;
        // The first file of a timeline holds what the one before had there, up to where it began.
        let files = self.lineage.files_of(segment);
        let read = files
            .iter()
            .map(|name| format!("pg_read_binary_file('pg_wal/{name}', {place}, {length}, true)"));
        let read = read.collect::<Vec<_>>().join(", ");
        let ask = format!("SELECT encode(coalesce({read}), 'hex') AS bytes");
        let there = optional::<String>(&row(&self.client, &ask).await?, "bytes")?;
        let (of, files) = (home.clone(), own.files_of(segment));
        let here = blocking("can't read a server's log", move || {
            let data = of.data()?;
            for name in files {
                let name = format!("pg_wal/{name}");
                if let Some(bytes) = files::read_part_in(&data, &name, place, length)? {
                    return Ok(Some(bytes));
                }
            }
            Ok(None)
        });
        let hex = |bytes: Vec<u8>| bytes.iter().map(|byte| format!("{byte:02x}")).collect();
        let here: Option<String> = here.await?.map(hex);
        Ok(here.is_some() && here == there)
    }
}

/// The one row that a statement gives.
async fn row(client: &Client, sql: &str) -> Result<SimpleQueryRow, PostgresError> {
    let asked = tokio::time::timeout(ANSWER, client.simple_query(sql)).await;
    let asked = asked.map_err(|_| PostgresError::Late {
        what: "an upstream's answer",
        wait: Duration::from_secs(ANSWER.as_secs()),
    })?;
    let messages = asked.map_err(session::said)?;
    let row = messages.into_iter().find_map(|message| match message {
        SimpleQueryMessage::Row(row) => Some(row),
        _ => None,
    });
    row.ok_or_else(|| PostgresError::Gone("it gave no one row".into()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lineage(timeline: u32, history: &[(u32, u64)]) -> Lineage {
        let history = history.iter().map(|(timeline, lsn)| (*timeline, Lsn(*lsn)));
        Lineage {
            timeline,
            history: History(history.collect()),
        }
    }

    #[test]
    fn a_timeline_that_the_upstream_came_from_was_left_where_it_says() {
        let upstream = lineage(3, &[(1, 100), (2, 200)]);
        assert_eq!(lineage(1, &[]).left_by(&upstream), Ok(Lsn(100)));
        assert_eq!(lineage(2, &[(1, 100)]).left_by(&upstream), Ok(Lsn(200)));
    }

    #[test]
    fn a_timeline_of_its_own_began_where_both_were_one() {
        let upstream = lineage(2, &[(1, 100)]);
        // Promoted from what the upstream left, before and after that.
        assert_eq!(lineage(3, &[(1, 90)]).left_by(&upstream), Ok(Lsn(90)));
        assert_eq!(lineage(3, &[(1, 110)]).left_by(&upstream), Ok(Lsn(100)));
        // Promoted from the upstream's own.
        assert_eq!(
            lineage(3, &[(1, 100), (2, 150)]).left_by(&upstream),
            Ok(Lsn(150))
        );
    }

    #[test]
    fn a_file_is_of_the_newest_timeline_that_had_begun_there() {
        let own = lineage(3, &[(1, 2 * SEGMENT + 9), (2, 4 * SEGMENT)]);
        let seen: Vec<u32> = (1..=5).map(|segment| own.timeline_of(segment)).collect();
        assert_eq!(seen, [1, 2, 2, 3, 3]);
        assert_eq!(lineage(1, &[]).timeline_of(0), 1);
    }

    #[test]
    fn two_timelines_of_one_number_are_told_apart_or_refused() {
        let upstream = lineage(2, &[(1, 100)]);
        for own in [lineage(2, &[(1, 100)]), lineage(2, &[(1, 90)])] {
            assert!(own.left_by(&upstream).is_err());
        }
        let later = lineage(3, &[(1, 100), (2, 200)]);
        assert!(lineage(2, &[(1, 90)]).left_by(&later).is_err());
        assert!(lineage(4, &[(7, 90)]).left_by(&upstream).is_err());
    }
}
