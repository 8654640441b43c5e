//! How many aliases follow each other in a zone once a batch is made. It judges nothing; what
//! is too deep here would be cut when the zone is compiled.

use std::collections::{BTreeMap, BTreeSet};

use super::copy::WorkingCopy;
use crate::api_limits::MAX_ALIAS_DEPTH;
use crate::{Content, RoutingError, keys};

/// The aliases of a zone: which group of record sets leads to which, by their keys.
pub(super) struct Chains {
    below: BTreeMap<String, usize>,
    above: BTreeMap<String, usize>,
}

impl Chains {
    /// Those of the zone as the batch leaves it.
    ///
    /// # Errors
    /// A record of the zone can't be read.
    pub(super) fn of(copy: &WorkingCopy<'_>) -> Result<Chains, RoutingError> {
        let zone = &copy.zone.id;
        let mut groups = BTreeSet::new();
        let mut leads = Vec::new();
        copy.visit(&mut |name, kind, sets| {
            let from = keys::records(zone, name, kind);
            for set in sets {
                if let Content::Alias(alias) = &set.content {
                    leads.push((from.clone(), keys::records(zone, &alias.target, kind)));
                }
            }
            groups.insert(from);
        })?;
        // One whose target isn't there leads nowhere.
        leads.retain(|(_, to)| groups.contains(to));
        let below = depths(leads.iter().map(|(from, to)| (from.as_str(), to.as_str())));
        let above = depths(leads.iter().map(|(from, to)| (to.as_str(), from.as_str())));
        Ok(Chains { below, above })
    }

    /// Do more than [`MAX_ALIAS_DEPTH`] aliases follow each other, that from one group to the
    /// other being one of them?
    pub(super) fn too_deep(&self, from: &str, to: &str) -> bool {
        let above = self.above.get(from).copied().unwrap_or(0);
        let below = self.below.get(to).copied().unwrap_or(0);
        above + 1 + below > MAX_ALIAS_DEPTH
    }
}

/// How many steps lead on from each group, none where there is none; of more than the limit, in
/// a circle too, just so many that it is passed. In each round those are left which lead to one
/// of the round before.
fn depths<'a>(leads: impl Iterator<Item = (&'a str, &'a str)>) -> BTreeMap<String, usize> {
    let mut leads: Vec<_> = leads.collect();
    let mut depths = BTreeMap::new();
    for depth in 1..=MAX_ALIAS_DEPTH {
        let last: BTreeSet<&str> = leads.iter().map(|(from, _)| *from).collect();
        if last.is_empty() {
            break;
        }
        depths.extend(last.iter().map(|from| ((*from).to_owned(), depth)));
        leads.retain(|(_, to)| last.contains(to));
    }
    depths
}
