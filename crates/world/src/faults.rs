//! The faults of a world: drawn from its seed beforehand, so that a seed is a schedule.

use link::Cut;
use types::{Monotonic, SiteId, Span};

use crate::random::Random;

/// A fault, or its end.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Fault {
    /// The direction from one site to another is cut.
    Cut(SiteId, SiteId, Cut),
    /// ... and no longer.
    Heal(SiteId, SiteId),
    /// The direction has another delay.
    Delay(SiteId, SiteId, Span),
    /// A connection between two sites breaks.
    Break(SiteId, SiteId),
    /// The site loses its power: what wasn't synced is gone, in whole or in part.
    Crash(SiteId),
    /// ... and is started again.
    Restart(SiteId),
    /// The site's wall clock is off by so many milliseconds.
    Skew(SiteId, i64),
    /// The site's disk is full.
    DiskFull(SiteId),
    /// ... and no longer.
    DiskFree(SiteId),
}

/// A schedule of faults, in order of time, between `from` and `to`.
pub fn schedule(
    random: &mut Random,
    sites: &[SiteId],
    from: Monotonic,
    to: Monotonic,
) -> Vec<(Monotonic, Fault)> {
    let mut faults = Vec::new();
    let count = random.between(2, 12);
    for _ in 0..count {
        let begin = Monotonic(random.between(from.0, to.0));
        let end = (begin + Span::milliseconds(random.between(50, 9_000))).min(to);
        let one = sites[random.below(sites.len() as u64) as usize];
        let other = loop {
            let other = sites[random.below(sites.len() as u64) as usize];
            if other != one {
                break other;
            }
        };
        faults.extend(draw(random, one, other, begin, end));
    }
    faults.sort_by_key(|(at, _)| *at);
    faults
}

fn draw(
    random: &mut Random,
    one: SiteId,
    other: SiteId,
    begin: Monotonic,
    end: Monotonic,
) -> Vec<(Monotonic, Fault)> {
    let cut = if random.one_in(3) {
        Cut::Reset
    } else {
        Cut::Blackhole
    };
    match random.below(9) {
        0 => vec![
            (begin, Fault::Cut(one, other, cut)),
            (end, Fault::Heal(one, other)),
        ],
        1 | 2 => vec![
            (begin, Fault::Cut(one, other, cut)),
            (begin, Fault::Cut(other, one, cut)),
            (end, Fault::Heal(one, other)),
            (end, Fault::Heal(other, one)),
        ],
        3 => vec![
            (begin, Fault::Break(one, other)),
            (end, Fault::Break(one, other)),
        ],
        4 | 5 => vec![(begin, Fault::Crash(one)), (end, Fault::Restart(one))],
        6 => {
            let milliseconds = random.between(0, 1_400).cast_signed() - 700;
            vec![
                (begin, Fault::Skew(one, milliseconds)),
                (end, Fault::Skew(one, 0)),
            ]
        }
        7 => {
            let delay = Span::milliseconds(random.between(0, 300));
            vec![(begin, Fault::Delay(one, other, delay))]
        }
        _ => vec![(begin, Fault::DiskFull(one)), (end, Fault::DiskFree(one))],
    }
}
