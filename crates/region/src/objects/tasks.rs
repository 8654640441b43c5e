//! What a Region does with its objects by itself: events are told, lifecycle rules carried out,
//! what nobody needs removed, and stored bytes checked. When, how and how fast `objects` says.

use std::sync::Arc;

use objects::replication::ReplicaRepair;
use store::Engine;

use crate::region::Region;

impl<E: Engine> Region<E> {
    /// Tells events to the webhooks that the operator allowed.
    pub(crate) async fn tell_events(self: Arc<Self>) {
        self.events.run().await;
    }

    /// Watches what replication lets wait for too long.
    pub(crate) async fn watch_replication(self: Arc<Self>) {
        self.objects.watch_replication().await;
    }

    /// Carries out lifecycle rules.
    pub(crate) async fn keep_lifecycles(self: Arc<Self>) {
        self.objects.keep_lifecycle().await;
    }

    /// Removes bytes that nothing needs.
    pub(crate) async fn sweep_contents(self: Arc<Self>) {
        self.objects.sweep().await;
    }

    /// Checks stored bytes, slowly.
    pub(crate) async fn scrub_contents(self: Arc<Self>) {
        let repair = ReplicaRepair(self.objects.clone());
        self.objects.scrub(&repair).await;
    }
}
