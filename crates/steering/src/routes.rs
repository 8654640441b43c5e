//! Follows the configuration: when it changes, what has changed of it is compiled anew and served
//! from then on, in one step.

use std::collections::BTreeSet;
use std::sync::Arc;

use store::Engine;
use types::{ConfigurationView, HealthCheckId};

use crate::accelerators::names_of;
use crate::steering::{MAX_FAULTS, Steering, SteeringStatus};

impl<E: Engine> Steering<E> {
    /// Serves every revision of the configuration that is still the newest when its turn comes,
    /// until the process ends.
    pub(crate) async fn follow_configuration(self: Arc<Self>) {
        loop {
            let served = self.node.snapshot().revision();
            let settings = self.council.settings_after(served).await;
            self.serve(settings.as_ref());
        }
    }

    /// Answers by that configuration from now on.
    pub(crate) fn serve(&self, view: &dyn ConfigurationView) {
        // First: the status of a check must be there when answers begin to read it.
        if self.checks_changed(view) {
            self.configure_checks(view);
        }
        // Before the names that lead to them, and before anyone hears of the revision.
        self.accelerators.serve(view);
        self.tell_names();
        let outside = Arc::new(names_of(&self.accelerators.node.snapshot()));
        if self.node.refresh_with(view, &outside) {
            // Of names that no alias led to before, the board has let go.
            self.tell_names();
            tracing::debug!(revision = view.revision(), "another revision is served");
            self.swapped.notify(usize::MAX);
        }
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
