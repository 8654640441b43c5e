//! The Global Accelerator API of a Region: what it asks of the edges and of the checkers is
//! answered from the Region's steering. Global configuration has no home: every Region takes every
//! request.

use std::sync::Arc;

use accelerator::model::{AcceleratorId, EndpointGroupId, EndpointTarget};
use accelerator::{EndpointHealth, NodeView, Targets};
use health::TargetPolicy;
use steering::Steering;
use store::Engine;
use types::BalancerDirectory;

/// The service's signing name.
pub(crate) const SERVICE: &str = "globalaccelerator";

/// The Region that conditions on `aws:RequestedRegion` see of it: that of its only endpoint (AWS
/// General Reference, "AWS Global Accelerator endpoints and quotas").
pub(crate) const REGION: &str = "us-west-2";

/// What may be an endpoint: what may be looked at, since an endpoint is checked before it gets
/// flows.
pub(crate) fn targets(policy: TargetPolicy) -> Targets {
    Targets {
        allows: Arc::new(move |address| policy.contains(address)),
        setting: "--health-targets".to_owned(),
    }
}

/// The edges that carry flows and the checkers, as this Region hears them.
pub(crate) struct Edges<E: Engine>(pub(crate) Arc<Steering<E>>);

impl<E: Engine> NodeView for Edges<E> {
    fn in_sync(&self, revision: u64) -> bool {
        self.0.is_in_sync(revision)
    }

    fn health(
        &self,
        accelerator: &AcceleratorId,
        group: &EndpointGroupId,
        target: &EndpointTarget,
    ) -> EndpointHealth {
        let (state, reason) = self.0.endpoint_health(accelerator, group, target);
        EndpointHealth { state, reason }
    }

    fn balancers(&self) -> Arc<BalancerDirectory> {
        self.0.balancers()
    }
}
