//! What is told of moves of a writer's role: events of the clusters concerned, in the Region that
//! took the request or whose head reached the phase. They follow from the row before a change and
//! after it, so what changed nothing tells nothing; they are written after it, so a process that
//! dies between the two tells nothing of it ever. It changes no global cluster.

use types::ConfigurationView;

use crate::arn::ClusterArn;
use crate::events::{self, Category, Telling};
use crate::model::{GlobalCluster, Move, MoveKind, Phase};
use crate::service::Service;

impl Service {
    /// Tells of a change of a global cluster that was made; `reason`: why a move was called off,
    /// if it was.
    pub(crate) async fn tell_of_move(
        &self,
        (before, after): (&GlobalCluster, &GlobalCluster),
        reason: &str,
    ) {
        if told(before, after, reason).is_empty() {
            return;
        }
        let now = self.now();
        let made = self.change(|view: &dyn ConfigurationView| {
            let told = told(before, after, reason);
            Ok((events::edits(view, now, told), ()))
        });
        if let Err(cause) = made.await {
            // What it tells of was done, and isn't undone for that.
            tracing::warn!(cluster = %after.identifier, %cause, "a move's event isn't written");
        }
    }
}

/// What there is to tell.
fn told(before: &GlobalCluster, after: &GlobalCluster, reason: &str) -> Vec<Telling> {
    let number = |row: &GlobalCluster| row.moving.as_ref().map(|moving| moving.number);
    let mut told = Vec::new();
    if let Some(moving) = &before.moving {
        let phase = after.moving.as_ref().map(|moving| moving.phase);
        if number(after) == number(before) {
            let has_stopped = matches!(phase, Some(Phase::Drained { .. } | Phase::Fenced));
            if has_stopped && phase != Some(moving.phase) {
                let text = format!(
                    "Old primary {} successfully shut down.",
                    named(&moving.from)
                );
                told.push(of(&moving.from, text));
            }
        } else if after.epoch > before.epoch {
            let text = format!(
                "New primary {} was successfully promoted.",
                named(&moving.to)
            );
            told.push(of(&moving.to, text));
            told.push(of(&moving.to, said(moving, "finished.")));
        } else {
            told.push(of(
                &moving.to,
                said(moving, &format!("is cancelled: {reason}.")),
            ));
        }
    }
    if let Some(moving) = &after.moving
        && number(before) != number(after)
    {
        told.push(of(&moving.to, said(moving, "started.")));
    }
    told
}

fn named(cluster: &ClusterArn) -> String {
    let (name, region) = (&cluster.identifier, cluster.region);
    format!("DB cluster {name} in Region {region}")
}

fn said(moving: &Move, what: &str) -> String {
    let kind = match moving.kind {
        MoveKind::Switchover => "switchover",
        MoveKind::Failover => "failover",
    };
    format!("Global {kind} to {} {what}", named(&moving.to))
}

fn of(cluster: &ClusterArn, text: String) -> Telling {
    Telling::of_cluster(cluster, Category::GlobalFailover, text)
}
