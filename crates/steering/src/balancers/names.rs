//! The names of load balancers in DNS: each in the zone that its Region's load balancers of its
//! kind have, by itself and with `dualstack.` before it, with the nodes that serve.

use routing::{
    Name, OutsideAddress, OutsideAnswer, OutsideName, OutsideNames, OutsideZone, ZoneId,
};
use types::{BalancerDirectory, BalancerEntry, Region};

use super::endpoints::name_check;

/// How long a load balancer's addresses may be kept, in seconds (Elastic Load Balancing User Guide,
/// "How Elastic Load Balancing works").
const NAME_TTL: u32 = 60;

/// Adds the names of that directory's load balancers. A zone that another service has isn't theirs.
pub(crate) fn add_names(names: &mut OutsideNames, directory: &BalancerDirectory) {
    let mut added = OutsideNames::default();
    for of in directory.0.values() {
        for entry in of.balancers.values() {
            add(&mut added, of.region, entry);
        }
    }
    for (id, zone) in added.0 {
        names.0.entry(id).or_insert(zone);
    }
}

fn add(names: &mut OutsideNames, region: Region, entry: &BalancerEntry) {
    // What was told was read by the rules of names; what makes none all the same has none.
    let (Ok(name), Ok(dual)) = (
        Name::parse(&entry.dns_name),
        Name::parse(&format!("dualstack.{}", entry.dns_name)),
    ) else {
        return;
    };
    let Some((_, apex)) = entry.dns_name.split_once('.') else {
        return;
    };
    let (Ok(apex), Some(id)) = (Name::parse(apex), ZoneId::new(&entry.hosted_zone)) else {
        return;
    };
    let zone = names.0.entry(id).or_insert_with(|| OutsideZone {
        name: apex.clone(),
        ttl: NAME_TTL,
        names: Default::default(),
    });
    if zone.name != apex {
        tracing::warn!(name = %name, "a load balancer's name isn't of the zone that it names");
        return;
    }
    let addresses = entry.nodes.values().map(|address| OutsideAddress {
        address: *address,
        check: name_check(region, *address),
    });
    let stands = OutsideName {
        addresses: addresses.collect(),
        answer: OutsideAnswer::AllHealthy,
    };
    zone.names.insert(dual, stands.clone());
    zone.names.insert(name, stands);
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use types::{AvailabilityZone, RegionBalancers};

    use super::*;

    #[test]
    fn a_load_balancer_has_two_names_in_the_zone_of_its_kind() {
        let region: Region = "us-east-1".parse().unwrap();
        let zone: AvailabilityZone = "us-east-1b".parse().unwrap();
        let entry = |dns_name: &str, hosted_zone: &str| BalancerEntry {
            arn: dns_name.to_owned(),
            dns_name: dns_name.to_owned(),
            hosted_zone: hosted_zone.to_owned(),
            nodes: [(zone, "127.33.1.1".parse().unwrap())].into(),
            ports: BTreeMap::new(),
            is_healthy: true,
        };
        let entries = [
            entry("app-1.us-east-1.elb.amazonaws.com", "Z35SXDOTRQ7X7K"),
            entry("net-2.elb.us-east-1.amazonaws.com", "Z26RNL4JYFTOTI"),
            entry("odd-3.elb.us-east-1.amazonaws.com", "Z35SXDOTRQ7X7K"),
            entry("of-4.us-east-1.elb.amazonaws.com", "Z2BJ6XQ5FK7U4H"),
        ];
        let balancers = entries.into_iter().map(|entry| (entry.arn.clone(), entry));
        let directory = BalancerDirectory(
            [(
                region,
                RegionBalancers {
                    region,
                    revision: 1,
                    balancers: balancers.collect(),
                    certificates: Default::default(),
                },
            )]
            .into(),
        );
        let accelerators = OutsideZone {
            name: Name::parse("awsglobalaccelerator.com").unwrap(),
            ttl: 300,
            names: BTreeMap::new(),
        };
        let id = |text: &str| ZoneId::new(text).unwrap();
        let mut names = OutsideNames([(id("Z2BJ6XQ5FK7U4H"), accelerators.clone())].into());
        add_names(&mut names, &directory);
        assert_eq!(names.0.len(), 3);
        assert_eq!(names.0[&id("Z2BJ6XQ5FK7U4H")], accelerators);
        let of = |zone: &str| -> Vec<String> {
            let names = names.0[&id(zone)].names.keys();
            names.map(ToString::to_string).collect()
        };
        let application = of("Z35SXDOTRQ7X7K");
        assert_eq!(application.len(), 2, "{application:?}");
        let network = &names.0[&id("Z26RNL4JYFTOTI")];
        assert_eq!(network.ttl, 60);
        let dual = Name::parse("dualstack.net-2.elb.us-east-1.amazonaws.com").unwrap();
        let address = &network.names[&dual].addresses[0];
        assert_eq!(address.address.to_string(), "127.33.1.1");
        assert_eq!(address.check.0, "balancer/us-east-1/127.33.1.1");
    }
}
