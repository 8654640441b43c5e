//! What EC2's part asks of the Region that it runs in: the network interfaces that other services
//! have made, and the instances that run. It finds none of it out itself.

use std::net::IpAddr;

use types::AvailabilityZone;

/// A network interface that another service manages: one node of a load balancer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Interface {
    /// Its id: `eni-` and 17 hexadecimal digits.
    pub id: String,
    /// As the service describes it: `ELB app/orders/0123456789abcdef`.
    pub description: String,
    /// Its zone, of which it is in the default subnet.
    pub zone: AvailabilityZone,
    /// Its address.
    pub address: IpAddr,
    /// The security groups it has.
    pub groups: Vec<String>,
    /// `interface` or `network_load_balancer`.
    pub kind: &'static str,
}

/// An instance: what runs of the application in a zone.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Instance {
    /// Its id: `i-` and 17 hexadecimal digits.
    pub id: String,
    /// Its zone.
    pub zone: AvailabilityZone,
    /// Its address.
    pub address: IpAddr,
    /// It runs; otherwise it is stopped.
    pub runs: bool,
}

/// What else is in the Region. The Region implements it.
pub trait Surroundings: Send + Sync + 'static {
    /// The network interfaces there are.
    fn interfaces(&self) -> Vec<Interface>;

    /// The instances there are.
    fn instances(&self) -> Vec<Instance>;
}
