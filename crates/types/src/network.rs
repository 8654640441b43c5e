//! The default network of a Region, as EC2 describes it and load balancers name it: one VPC with a
//! subnet in each Availability Zone and one security group. Their ids follow from the Region alone,
//! so whoever needs one knows it without asking anybody. It describes; no packet is filtered by it.

use std::net::Ipv4Addr;

use crate::{AvailabilityZone, Region};

/// The block of every default VPC (Amazon VPC User Guide, "Default VPCs").
pub const DEFAULT_VPC_BLOCK: &str = "172.31.0.0/16";

/// The id of the Region's default VPC: `vpc-` and 17 hexadecimal digits.
pub fn default_vpc(region: Region) -> String {
    format!("vpc-{}", digits("vpc", region.name()))
}

/// The id of the default subnet of that zone: `subnet-` and 17 hexadecimal digits.
pub fn default_subnet(zone: AvailabilityZone) -> String {
    format!("subnet-{}", digits("subnet", &zone.to_string()))
}

/// The block of that zone's default subnet: a /20 of the VPC's, in the zones' order.
pub fn default_subnet_block(zone: AvailabilityZone) -> String {
    let third = zone.letter.index() * 16;
    format!("{}/20", Ipv4Addr::new(172, 31, third, 0))
}

/// The zone of that subnet, if it is a default one of the Region.
pub fn zone_of_subnet(region: Region, subnet: &str) -> Option<AvailabilityZone> {
    AvailabilityZone::of(region).find(|zone| default_subnet(*zone) == subnet)
}

/// The id of the default security group of the Region's default VPC.
pub fn default_security_group(region: Region) -> String {
    format!("sg-{}", digits("sg", region.name()))
}

/// The id of the application's instance in that zone: `i-` and 17 hexadecimal digits.
pub fn instance(zone: AvailabilityZone) -> String {
    format!("i-{}", digits("instance", &zone.to_string()))
}

/// The id of a network interface that a service made under that name: `eni-` and 17 hexadecimal
/// digits.
pub fn interface(name: &str) -> String {
    format!("eni-{}", digits("interface", name))
}

/// 17 hexadecimal digits that follow from a kind and a name: FNV-1a of 64 bits, which has to be
/// neither secret nor free of collisions made on purpose.
fn digits(kind: &str, name: &str) -> String {
    let bytes = kind.bytes().chain([0]).chain(name.bytes());
    let hash = bytes.fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    format!("0{hash:016x}")
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;

    #[test]
    fn every_id_of_every_region_is_its_own() {
        let mut ids = BTreeSet::new();
        for region in Region::all() {
            assert!(ids.insert(default_vpc(region)));
            assert!(ids.insert(default_security_group(region)));
            for zone in AvailabilityZone::of(region) {
                let subnet = default_subnet(zone);
                assert_eq!(zone_of_subnet(region, &subnet), Some(zone));
                assert!(ids.insert(subnet));
                assert!(ids.insert(instance(zone)));
            }
        }
    }

    #[test]
    fn subnets_follow_each_other_in_the_vpc() {
        let region = Region::all().next().expect("there is a Region");
        let blocks: Vec<String> = AvailabilityZone::of(region)
            .map(default_subnet_block)
            .collect();
        assert_eq!(
            blocks,
            ["172.31.0.0/20", "172.31.16.0/20", "172.31.32.0/20"]
        );
    }
}
