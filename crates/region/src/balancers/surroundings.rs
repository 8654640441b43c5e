//! What the API of load balancers asks of what else is in the Region. It finds nothing out itself.

use std::net::IpAddr;
use std::sync::Arc;

use balancer::{NodePools, Surroundings};
use health::TargetPolicy;
use types::{AccountId, AvailabilityZone, Configuration, Region};

/// What a Region's process knows of what is around: instances, the zones of addresses, and
/// certificates.
pub trait LocalFacts: Send + Sync + 'static {
    /// The application's instances: their ids, addresses and zones.
    fn instances(&self) -> Vec<(String, IpAddr, AvailabilityZone)>;

    /// The zone that an address is in, if it is one of the Region's.
    fn zone_of(&self, address: IpAddr) -> Option<AvailabilityZone>;

    /// Is there a certificate of that ARN, with a key that listeners here can use?
    fn has_certificate(&self, arn: &str) -> bool;
}

/// The Region, as its load balancers see it.
pub(crate) struct Around {
    pub(crate) region: Region,
    /// Whose security groups there are: those of other accounts aren't found.
    pub(crate) account: AccountId,
    pub(crate) facts: Arc<dyn LocalFacts>,
    pub(crate) policy: TargetPolicy,
    pub(crate) pools: Option<NodePools>,
    pub(crate) regional: Arc<dyn Configuration>,
}

impl Surroundings for Around {
    fn instance(&self, id: &str) -> Option<(IpAddr, AvailabilityZone)> {
        let mut instances = self.facts.instances().into_iter();
        let (_, address, zone) = instances.find(|(known, _, _)| known == id)?;
        Some((address, zone))
    }

    fn zone_of(&self, address: IpAddr) -> Option<AvailabilityZone> {
        self.facts.zone_of(address)
    }

    /// A node is no target: what is sent to one would be carried in a circle.
    fn allows_target(&self, address: IpAddr) -> bool {
        let is_node = self.pools.as_ref().is_some_and(|it| it.contains(address));
        !is_node && self.policy.contains(address)
    }

    fn target_setting(&self) -> &str {
        "--health-targets"
    }

    fn has_certificate(&self, arn: &str) -> bool {
        self.facts.has_certificate(arn)
    }

    fn has_security_group(&self, id: &str) -> bool {
        let view = self.regional.view();
        ec2::is_security_group(&*view, self.account, self.region, id)
    }
}
