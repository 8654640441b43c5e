//! The shape of one direction of a link: how long, how fast, how reliably, and whether at all.
//! Each direction is shaped by its sender. The arithmetic of departure times is here; the queue
//! that obeys it is `outbound`.

use std::num::NonZeroU64;

use serde::{Deserialize, Serialize};
use types::Span;

/// How long the sender of a lost frame waits before it sends it again, at least: the floor of
/// Linux' retransmission time-out. A round trip comes on top.
pub const RETRANSMISSION: Span = Span::milliseconds(200);

/// After that many losses of one frame in a row the next try succeeds; the wait has doubled each
/// time. It bounds what `loss: 1_000_000` does.
pub const MAXIMUM_RETRANSMISSIONS: u32 = 6;

/// What happens to a direction that is cut.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Cut {
    /// Nothing leaves, and nobody says so: connections die by their time-outs.
    Blackhole,
    /// Connections are closed at once and refused from then on.
    Reset,
}

/// The shape of a direction. All zero and `None` is a link next door.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct Shape {
    /// How long after it was queued a frame leaves. Frames are under way together: delay doesn't
    /// limit the rate.
    pub delay: Span,
    /// Up to that much more delay, evenly spread, frame by frame. Order is kept, as TCP does.
    pub jitter: Span,
    /// Bytes a second, headers included, of all classes together.
    pub rate: Option<NonZeroU64>,
    /// Frames lost, of a million. A lost frame is sent again by TCP, so loss is delay here: the
    /// retransmission time-out, for the frame and for those behind it on its connection.
    pub loss: u32,
    /// Whether the direction is cut, and how that feels.
    pub cut: Option<Cut>,
}

impl Shape {
    /// The shape that only delays.
    pub fn delayed(delay: Span) -> Shape {
        Shape {
            delay,
            ..Shape::default()
        }
    }

    /// The same shape, cut.
    #[must_use]
    pub fn with_cut(self, cut: Cut) -> Shape {
        Shape {
            cut: Some(cut),
            ..self
        }
    }

    /// How long after it was serialised a frame leaves.
    pub(crate) fn latency(&self, random: &mut Random) -> Span {
        let mut latency = self.delay.0;
        if self.jitter > Span::ZERO {
            latency = latency.saturating_add(random.below(self.jitter.0.saturating_add(1)));
        }
        let mut wait = RETRANSMISSION
            .0
            .saturating_add(self.delay.0.saturating_mul(2));
        let mut tries = 0;
        while self.loss > 0 && tries < MAXIMUM_RETRANSMISSIONS {
            if random.below(1_000_000) >= u64::from(self.loss) {
                break;
            }
            latency = latency.saturating_add(wait);
            wait = wait.saturating_mul(2);
            tries += 1;
        }
        Span(latency)
    }
}

/// A small generator of reproducible numbers (SplitMix64, Steele and others 2014): jitter and
/// loss, nothing that must be unpredictable.
#[derive(Debug, Clone)]
pub(crate) struct Random(u64);

impl Random {
    pub(crate) fn new(seed: u64) -> Random {
        Random(seed)
    }

    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    /// A number from 0 up to and without `bound`, which isn't 0.
    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        let product = u128::from(self.next()) * u128::from(bound);
        u64::try_from(product >> 64).expect("the upper half of a product of two 64-bit numbers")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn latency_is_delay_plus_at_most_jitter() {
        let shape = Shape {
            delay: Span::milliseconds(40),
            jitter: Span::milliseconds(5),
            ..Shape::default()
        };
        let mut random = Random::new(7);
        let samples: Vec<_> = (0..1000).map(|_| shape.latency(&mut random)).collect();
        let (least, most) = (samples.iter().min(), samples.iter().max());
        assert!(least.is_some_and(|span| *span >= shape.delay && span.0 < 41_000));
        assert!(most.is_some_and(|span| *span <= Span::milliseconds(45) && span.0 > 44_000));
    }

    #[test]
    fn loss_is_the_retransmission_time_out() {
        let mut shape = Shape::delayed(Span::milliseconds(50));
        shape.loss = 10_000;
        let mut random = Random::new(1);
        let lost = (0..100_000)
            .filter(|_| shape.latency(&mut random) >= Span::milliseconds(350))
            .count();
        assert!((900..1100).contains(&lost), "{lost} of 100,000 at 1 %");
        shape.loss = 1_000_000;
        assert_eq!(
            shape.latency(&mut random),
            Span::milliseconds(50 + 300 * 63),
            "bounded even if everything is lost"
        );
    }
}
