//! What a Region tells every site of its load balancers. It sends nothing itself.

use std::sync::Arc;

use store::Engine;
use types::{AvailabilityZone, RegionBalancers};

use super::{Balancers, lock};
use crate::region::Region;

impl Balancers {
    /// What the other sites are told.
    fn told(&self, revision: u64) -> RegionBalancers {
        let down = lock(&self.carrying).down.clone();
        let zone = |letter| AvailabilityZone {
            region: self.region,
            letter,
        };
        let dead = down.into_iter().map(zone).collect();
        self.load().directory(self.region, &dead, revision)
    }
}

impl<E: Engine> Region<E> {
    /// Tells every site of the load balancers whenever something of them changes. A revision is
    /// the wall clock's milliseconds, or one more than the last if that is more: of two, also
    /// across the loss of this disk, the greater is the later.
    pub(crate) async fn tell_balancers(self: Arc<Self>) {
        let mut last: Option<RegionBalancers> = None;
        loop {
            let news = self.own.balancers.news.listen();
            let before = last.as_ref().map_or(0, |last| last.revision);
            let told = self.own.balancers.told(before);
            // One that has no addresses for any, and has none, has nothing to say.
            let says_nothing =
                last.is_none() && told.balancers.is_empty() && self.config.balancers.pools.is_err();
            if !says_nothing && last.as_ref() != Some(&told) {
                let told = RegionBalancers {
                    revision: self.environment.now().wall.0.max(before + 1),
                    ..told
                };
                self.steering.publish_balancers(told.clone());
                last = Some(told);
            }
            news.await;
        }
    }
}
