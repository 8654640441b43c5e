//! The way back from a majority without memory: giving every site of a stopped deployment the
//! records of the one that knows most. It can't know what the lost ones had agreed on without it.

use std::collections::BTreeMap;

use types::SiteId;

use crate::Saved;
use crate::entries::Entries;
use crate::saved::greatest_boots;

/// Why there is nothing to recover from.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum RecoverError {
    /// No site has records.
    #[error("no site has any record of the council: there is nothing to recover from")]
    Empty,
    /// Enough voters have records: they decide by themselves, and this would be a step back.
    #[error("a majority of the voters has its records: start the sites, and they will agree")]
    NotLost,
}

/// What `recover` found.
#[derive(Clone, PartialEq, Debug)]
pub struct Recovered {
    /// The site whose records the others are given.
    pub source: SiteId,
    /// The records for every site.
    pub records: BTreeMap<SiteId, Saved>,
}

/// New records for every site of a deployment, from what each one has: those of the site whose
/// log is furthest, by term and then by index as in an election (Ongaro and Ousterhout, "In
/// Search of an Understandable Consensus Algorithm", 2014, section 5.4.1). All sites must be
/// stopped, and all must be given theirs (`Saved::replacing`) before one starts.
///
/// What it costs: a change that was acknowledged and is in no log that is left is gone.
///
/// # Errors
/// See `RecoverError`; nothing is changed then.
pub fn recover(found: &BTreeMap<SiteId, Saved>) -> Result<Recovered, RecoverError> {
    let furthest = found
        .iter()
        .filter(|(_, saved)| saved.members.is_some())
        .max_by_key(|(site, saved)| (saved.last(), std::cmp::Reverse(**site)));
    let (source, best) = furthest.ok_or(RecoverError::Empty)?;
    let members = best.members.as_ref().ok_or(RecoverError::Empty)?;
    let remembers = |site: &&SiteId| found.get(site).is_some_and(|saved| saved.members.is_some());
    if members.voters.iter().filter(remembers).count() >= members.majority() {
        return Err(RecoverError::NotLost);
    }
    let term = found
        .values()
        .map(|saved| saved.hard.term)
        .max()
        .unwrap_or(0);
    let boots = found.values().map(|saved| saved.boots).max().unwrap_or(0);
    let mut record = best.clone();
    record.hard.term = term + 1;
    record.hard.vote = 0;
    // No proposal's number may come twice, and it begins with the number of its site's start.
    record.boots = boots.max(greatest_boots(&best.state, best.entries.iter()));
    record.stale = Entries::default();
    let records = found.iter().map(|(site, saved)| {
        let generation = saved.generation.other();
        let record = Saved {
            generation,
            ..record.clone()
        };
        (*site, record)
    });
    Ok(Recovered {
        source: *source,
        records: records.collect(),
    })
}
