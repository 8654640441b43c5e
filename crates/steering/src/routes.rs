//! Follows the configuration: when it changes, what has changed of it is compiled anew and served
//! from then on, in one step.

use std::collections::BTreeSet;
use std::pin::pin;
use std::sync::Arc;

use futures_util::future::{Either, select};
use routing::OutsideNames;
use store::Engine;
use types::{BalancerDirectory, ConfigurationView, HealthCheckId};

use crate::accelerators::{accelerator_names, names_of};
use crate::balancers::{add_names, checks};
use crate::checking::lock;
use crate::steering::{MAX_FAULTS, Steering, SteeringStatus};
use crate::writers::add_writers;

impl<E: Engine> Steering<E> {
    /// Serves every revision of the configuration that is still the newest when its turn comes,
    /// and load balancers as their Regions last said, until the process ends.
    pub(crate) async fn follow_configuration(self: Arc<Self>) {
        loop {
            let told = self.balancers.changed.listen();
            let known = self.balancers();
            let is_served = Arc::ptr_eq(&known, &lock(&self.balancers.served));
            if !is_served {
                self.serve(self.council.settings().as_ref());
                continue;
            }
            let served = self.node.snapshot().revision();
            let newer = pin!(self.council.settings_after(served));
            if let Either::Left((settings, _)) = select(newer, told).await {
                self.serve(settings.as_ref());
            }
        }
    }

    /// Answers by that configuration from now on.
    pub(crate) fn serve(&self, view: &dyn ConfigurationView) {
        let directory = self.balancers();
        let before = std::mem::replace(&mut *lock(&self.balancers.served), directory.clone());
        let nodes = checks(&directory);
        // First: the status of a check must be there when answers begin to read it.
        if self.checks_changed(view) || nodes != checks(&before) {
            self.balancers.endpoints.retain(&nodes);
            self.configure_checks(view, nodes);
        }
        // Before the names that lead to them, and before anyone hears of the revision.
        self.serve_flows(view, &directory);
        self.tell_names();
        let mut outside = names_of(&self.accelerators.node.snapshot());
        add_names(&mut outside, &directory);
        add_writers(&mut outside, view);
        if self.node.refresh_with(view, &Arc::new(outside)) {
            // Of names that no alias led to before, the board has let go.
            self.tell_names();
            tracing::debug!(revision = view.revision(), "another revision is served");
            self.swapped.notify(usize::MAX);
        }
    }

    fn serve_flows(&self, view: &dyn ConfigurationView, directory: &BalancerDirectory) {
        let prepare = |snapshot: &accelerator::Snapshot| {
            self.tell_flows_of_balancers(directory, snapshot);
        };
        self.accelerators.serve(view, directory, &prepare);
    }

    /// The names of other services by that configuration, and of load balancers as this site knows
    /// them: for a service that judges aliases to them.
    pub fn outside_names(&self, view: &dyn ConfigurationView) -> OutsideNames {
        let mut names = accelerator_names(view);
        add_names(&mut names, &self.balancers());
        add_writers(&mut names, view);
        names
    }

    /// May the health checks be others than those of the revision that is served?
    fn checks_changed(&self, view: &dyn ConfigurationView) -> bool {
        let served = self.node.snapshot().revision();
        let mut changed = served == 0;
        let prefixes = [routing::keys::CHECKS, accelerator::keys::ACCELERATORS];
        let known =
            prefixes.map(|prefix| view.visit_changes(prefix, served, &mut |_, _| changed = true));
        changed || known != [true; 2]
    }

    /// How it is.
    pub fn status(&self) -> SteeringStatus {
        let snapshot = self.node.snapshot();
        let monitor = self.checking.monitor();
        let checks = configured(self.council.settings().as_ref());
        let health = checks.into_iter().filter_map(|check| {
            let healthy = monitor.status(&check)?;
            Some((check, healthy))
        });
        SteeringStatus {
            revision: snapshot.revision(),
            zones: snapshot.zone_count(),
            records: snapshot.record_set_count(),
            faults: snapshot.faults().iter().take(MAX_FAULTS).cloned().collect(),
            health: health.collect(),
            accelerators: self.accelerators_status(),
        }
    }
}

fn configured(view: &dyn ConfigurationView) -> BTreeSet<HealthCheckId> {
    let checks = routing::health_checks(view).into_iter();
    checks.map(|check| check.id).collect()
}
