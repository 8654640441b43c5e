//! What crossed between sites, by lane and by pair.

use crate::observations::{Crossing, Observations};

/// Bytes between sites from the start of the load to the end of the run.
#[derive(Clone, PartialEq, Debug)]
pub struct Traffic {
    /// All of them.
    pub bytes: u64,
    /// By lane, most first.
    pub lanes: Vec<(String, u64)>,
    /// By direction and lane, as they were seen, each once.
    pub crossings: Vec<Crossing>,
}

impl Traffic {
    pub(super) fn of(seen: &Observations) -> Traffic {
        let mut crossings: Vec<Crossing> = Vec::new();
        let mut lanes: Vec<(String, u64)> = Vec::new();
        for crossing in &seen.crossings {
            let same = |known: &&mut Crossing| {
                (known.from, known.to, &known.lane) == (crossing.from, crossing.to, &crossing.lane)
            };
            match crossings.iter_mut().find(same) {
                Some(known) => known.bytes = known.bytes.saturating_add(crossing.bytes),
                None => crossings.push(crossing.clone()),
            }
            match lanes.iter_mut().find(|(lane, _)| *lane == crossing.lane) {
                Some((_, bytes)) => *bytes = bytes.saturating_add(crossing.bytes),
                None => lanes.push((crossing.lane.clone(), crossing.bytes)),
            }
        }
        crossings.retain(|crossing| crossing.bytes > 0);
        crossings.sort_by(|a, b| (a.from, a.to, &a.lane).cmp(&(b.from, b.to, &b.lane)));
        lanes.retain(|(_, bytes)| *bytes > 0);
        lanes.sort_by(|a, b| b.1.cmp(&a.1).then_with(|| a.0.cmp(&b.0)));
        let bytes = lanes
            .iter()
            .fold(0u64, |sum, (_, bytes)| sum.saturating_add(*bytes));
        Traffic {
            bytes,
            lanes,
            crossings,
        }
    }

    /// Bytes of that lane, or all.
    pub(super) fn of_lane(&self, lane: Option<&String>) -> u64 {
        let Some(lane) = lane else {
            return self.bytes;
        };
        let found = self.lanes.iter().find(|(name, _)| name == lane);
        found.map_or(0, |(_, bytes)| *bytes)
    }
}
