//! The global writer endpoints of global clusters in DNS: the name of each leads to the cluster
//! that writes, as the configuration says that is served. Nobody watches the address: who writes is
//! decided by the council, not by health.

use std::net::IpAddr;

use databases::catalogue;
use databases::model::{GLOBAL_DOMAIN, GlobalCluster};
use routing::{
    Name, OutsideAddress, OutsideAnswer, OutsideName, OutsideNames, OutsideZone, ZoneId,
};
use types::{ConfigurationView, HealthCheckId};

/// The id of the zone of these names. RDS has published none, as no alias leads to one at AWS.
const ZONE: &str = "ZCAUSEWAYRDSGLOBAL";

/// How long an address may be kept, in seconds: as that of Aurora's endpoints (Aurora User Guide,
/// "Fast failover with Amazon Aurora PostgreSQL").
const NAME_TTL: u32 = 5;

/// Adds the names of that configuration's global clusters that have a writer.
pub(crate) fn add_writers(names: &mut OutsideNames, view: &dyn ConfigurationView) {
    let rows = catalogue::global_clusters(view).unwrap_or_else(|cause| {
        tracing::warn!(%cause, "global writer endpoints have no names");
        Vec::new()
    });
    let found = rows.iter().filter_map(|(_, row)| stands(row));
    let found: std::collections::BTreeMap<Name, OutsideName> = found.collect();
    let (Some(id), Ok(apex)) = (ZoneId::new(ZONE), Name::parse(GLOBAL_DOMAIN)) else {
        return;
    };
    if !found.is_empty() {
        let zone = OutsideZone {
            name: apex,
            ttl: NAME_TTL,
            names: found,
        };
        names.0.insert(id, zone);
    }
}

fn stands(row: &GlobalCluster) -> Option<(Name, OutsideName)> {
    let name = Name::parse(&row.endpoint()).ok()?;
    let address = OutsideAddress {
        address: IpAddr::V4(row.writer_address()?),
        // Nobody says anything of it, and it is the only one: it is answered.
        check: HealthCheckId(format!("databases/{}", row.resource_id)),
    };
    let stands = OutsideName {
        addresses: vec![address],
        answer: OutsideAnswer::AllHealthy,
    };
    Some((name, stands))
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use databases::model::{ClusterId, GlobalClusterId, Head, Member, ResourceId};
    use databases::{encode, keys};
    use types::Timestamp;

    use super::*;

    /// The council's configuration with that global cluster.
    struct View(GlobalCluster);

    impl ConfigurationView for View {
        fn revision(&self) -> u64 {
            1
        }

        fn get(&self, _: &str) -> Option<(u64, Bytes)> {
            None
        }

        fn visit(&self, prefix: &str, visitor: &mut dyn FnMut(&str, u64, &Bytes)) {
            if prefix == keys::GLOBAL_CLUSTERS {
                visitor("databases/global-cluster/a/world", 1, &encode(&self.0));
            }
        }
    }

    fn member(region: &str, host: u8) -> (String, Member) {
        let arn = format!("arn:aws:rds:{region}:111122223333:cluster:orders");
        let head = Head {
            arn: format!("arn:aws:rds:{region}:111122223333:db:orders")
                .parse()
                .unwrap(),
            resource_id: ResourceId(format!("db-{host}")),
            class: "db.r6g.large".to_owned(),
            floors: BTreeMap::new(),
            epoch: 1,
            writer_address: Some([127, 35, 1, host].into()),
        };
        let member = Member {
            arn: arn.parse().unwrap(),
            resource_id: ClusterId(format!("cluster-{host}")),
            head: Some(head),
            write_forwarding: false,
        };
        (arn, member)
    }

    fn addresses(names: &OutsideNames) -> BTreeMap<String, Vec<String>> {
        let zones = names.0.values();
        let names = zones.flat_map(|zone| &zone.names);
        let told = names.map(|(name, stands)| {
            let addresses = stands.addresses.iter();
            let addresses = addresses.map(|it| it.address.to_string());
            (name.to_string(), addresses.collect())
        });
        told.collect()
    }

    #[test]
    fn the_name_of_a_global_cluster_leads_to_the_member_that_writes() {
        let members = [member("us-east-1", 7), member("eu-west-1", 9)];
        let [virginia, ireland] = members.clone().map(|(_, member)| member.arn);
        let mut view = View(GlobalCluster {
            resource_id: GlobalClusterId("cluster-00ff".to_owned()),
            account: "111122223333".parse().unwrap(),
            identifier: "world".to_owned(),
            engine_version: "15.14".to_owned(),
            database: None,
            deletion_protection: false,
            tags: BTreeMap::new(),
            created: Timestamp(0),
            master_username: None,
            writer: Some(virginia),
            members: BTreeMap::from(members),
            epoch: 1,
            moves: 0,
            moving: None,
            forks: Vec::new(),
        });
        let told = |view: &View| {
            let mut names = OutsideNames::default();
            add_writers(&mut names, view);
            addresses(&names)
        };
        let is_one = |told: BTreeMap<String, Vec<String>>, address: &str| {
            let name = "world.global-00ff.global.rds.amazonaws.com";
            let (found, addresses) = told.first_key_value().unwrap();
            assert!(found.starts_with(name), "{found}");
            assert_eq!(addresses, &[address]);
        };
        is_one(told(&view), "127.35.1.7");
        view.0.writer = Some(ireland);
        is_one(told(&view), "127.35.1.9");
        view.0.writer = None;
        assert_eq!(told(&view), BTreeMap::new());
    }
}
