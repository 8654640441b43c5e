//! Failovers that nobody asks for: when one is due, the other members are asked how far they are,
//! and it is decided here or left to a better one. And those that were forced while no majority was
//! heard: once one is heard they are settled. What is due, what is better, and what was forced,
//! `databases` says; here is the time that passes.

use std::sync::Arc;
use std::time::Duration;

use databases::ClusterArn;
use databases::automatic::{self, Known, Undecided};
use databases::model::{Lsn, ResourceId};
use databases::plan::Role;
use futures_util::future::join_all;
use types::{Environment, Monotonic, Span};

use super::Around;

/// How long others may take to say how far they are: more than any round trip. One that is dead
/// holds a decision up for no longer.
const ASK_WAIT: Duration = Duration::from_millis(600);

/// Between two looks at a failover that is due and isn't decided.
const LOOK: Span = Span::milliseconds(100);

/// Decides failovers that are due, until the process ends.
pub(super) async fn decide(around: Arc<Around>) {
    let environment = around.environment.clone();
    let mut news = around.leases.news();
    loop {
        news.borrow_and_update();
        go_on(&around).await;
        let found = around.undecided();
        let now = environment.now().monotonic;
        let mut next = found.iter().map(|one| one.due).min();
        for one in found.iter().filter(|one| one.due <= now) {
            weigh(&around, one).await;
            next = Some(environment.now().monotonic + LOOK);
        }
        let sleep = async {
            match next {
                Some(next) => environment.sleep_until(next).await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = sleep => {}
            // A renewal of our own was decided, or a global cluster changed.
            _ = news.changed() => {}
        }
    }
}

/// Settles what was forced here while no majority was heard, and what was half made, if one is
/// heard now.
async fn go_on(around: &Around) {
    let hearing = around.leases.hearing();
    let now = around.environment.now().monotonic;
    let service = around.region.database_service();
    if let Err(cause) = service.settle_forced(hearing, now).await {
        tracing::warn!(%cause, "what was forced isn't settled yet");
    }
    if hearing.since(now).is_none() {
        return;
    }
    if let Err(cause) = service.finish_source_clusters().await {
        tracing::warn!(%cause, "a global cluster of a cluster isn't made yet");
    }
}

/// Decides one that is due, unless another member is the better choice and has time left.
async fn weigh(around: &Arc<Around>, one: &Undecided) {
    let Some(own) = around.received(&one.head) else {
        return;
    };
    let answers = ask_others(around, one).await;
    let now = around.environment.now().monotonic;
    if one.is_for_another(own, &answers) && now < one.due_at_last() {
        return;
    }
    let silent = now - one.since;
    let service = around.region.database_service();
    match service.fail_over_unasked(one, silent).await {
        Ok(true) => tracing::warn!(from = %one.from, to = %one.to, ?silent,
            "a failover was decided that nobody asked for: its writer's Region is silent"),
        Ok(false) => {}
        Err(cause) => tracing::warn!(to = %one.to, %cause, "a failover can't be decided"),
    }
}

/// How far the other members are, those that say so in time.
async fn ask_others(around: &Arc<Around>, one: &Undecided) -> Vec<(ClusterArn, Lsn)> {
    let questions = one.others.iter().map(|(arn, head)| async move {
        let asked = around.region.database_received(arn.region, head);
        let received = runtime::within(ASK_WAIT, asked).await.flatten();
        received.map(|lsn| (arn.clone(), lsn))
    });
    join_all(questions).await.into_iter().flatten().collect()
}

impl Around {
    /// What this Region may decide, as things stand.
    fn undecided(&self) -> Vec<Undecided> {
        let view = self.region.global_view();
        let now: Monotonic = self.environment.now().monotonic;
        let leases = self.leases.all_seen();
        let known = Known {
            leases: &leases,
            hearing: self.leases.hearing(),
            now,
        };
        let found = automatic::undecided(&*view, self.region.name(), known);
        found.unwrap_or_else(|cause| {
            tracing::error!(%cause, "nobody can tell whether a writer is to be failed over");
            Vec::new()
        })
    }

    /// How far a head of this Region has received; `None`: it isn't a standby that runs.
    fn received(&self, head: &ResourceId) -> Option<Lsn> {
        let seen = self.servers.find(head)?;
        let state = seen.state();
        let server = state.standing.observed.server.as_ref()?;
        let log = &server.log;
        (server.role == Some(Role::Standby)).then_some(())?;
        log.received.max(log.replayed)
    }
}
