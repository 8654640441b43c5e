//! Who may follow a global cluster's writer: by the council's configuration, the heads of the other
//! members. It asks nobody; what it knows may be late, and then nobody gets anything.

use databases::model::{GlobalCluster, Head, ResourceId};
use databases::{catalogue, slot};
use types::{ConfigurationView, Region};

use super::question::LeaveRequest;

/// Has that Region a head that follows the instance `writer`, which is a writer's head?
pub(super) fn follows_at(
    global: &dyn ConfigurationView,
    writer: &ResourceId,
    region: Region,
) -> bool {
    let mut found = false;
    visit_followers(global, writer, &mut |head| {
        found |= head.arn.region == region
    });
    found
}

/// Has that Region a member of a global cluster that has the instance `head` as a head?
pub(super) fn are_of_one(
    global: &dyn ConfigurationView,
    head: &ResourceId,
    region: Region,
) -> bool {
    let rows = catalogue::global_clusters(global).unwrap_or_default();
    let is_one = |row: &GlobalCluster| {
        let mut members = row.members.values();
        row.has_head(head) && members.any(|member| member.arn.region == region)
    };
    rows.iter().any(|(_, row)| is_one(row))
}

/// The slot that the writer's head keeps for the head that asks, if it follows it by what is known
/// here and is that Region's.
pub(super) fn slot_of(
    global: &dyn ConfigurationView,
    request: &LeaveRequest,
    peer: Region,
) -> Option<String> {
    let mut found = None;
    visit_followers(global, &request.source_id, &mut |head| {
        if head.resource_id == request.replica_id && head.arn.region == peer {
            found = Some(slot(&head.resource_id));
        }
    });
    found
}

/// Visits the heads that follow that instance: it must be the head of the member that writes.
fn visit_followers(
    global: &dyn ConfigurationView,
    writer: &ResourceId,
    visitor: &mut dyn FnMut(&Head),
) {
    let rows = catalogue::global_clusters(global).unwrap_or_else(|cause| {
        tracing::error!(%cause, "nobody can tell who follows a global cluster's writer");
        Vec::new()
    });
    for (_, row) in rows.iter().filter(|(_, row)| writes(row, writer)) {
        let heads = row.members.values().filter_map(|it| it.head.as_ref());
        let followers = heads.filter(|head| head.resource_id != *writer);
        followers.for_each(&mut *visitor);
    }
}

fn writes(row: &GlobalCluster, instance: &ResourceId) -> bool {
    let head = row.writing_head();
    head.is_some_and(|head| head.resource_id == *instance)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use bytes::Bytes;
    use databases::model::{GlobalClusterId, Member};
    use databases::{encode, keys};
    use types::{AccountId, Timestamp};

    use super::*;

    const ACCOUNT: &str = "111122223333";

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

    fn member(region: &str, id: &str) -> (String, Member) {
        let arn = format!("arn:aws:rds:{region}:{ACCOUNT}:cluster:orders");
        let head = Head {
            arn: format!("arn:aws:rds:{region}:{ACCOUNT}:db:orders")
                .parse()
                .unwrap(),
            resource_id: ResourceId(id.to_owned()),
            class: "db.r6g.large".to_owned(),
            floors: BTreeMap::new(),
            epoch: 1,
            writer_address: None,
        };
        let member = Member {
            arn: arn.parse().unwrap(),
            resource_id: databases::model::ClusterId(format!("cluster-{id}")),
            head: Some(head),
            write_forwarding: false,
        };
        (arn, member)
    }

    /// Virginia writes, Ireland follows.
    fn world() -> View {
        let members = [member("us-east-1", "db-A"), member("eu-west-1", "db-B")];
        let account: AccountId = ACCOUNT.parse().unwrap();
        View(GlobalCluster {
            resource_id: GlobalClusterId("cluster-1".to_owned()),
            account,
            identifier: "world".to_owned(),
            engine_version: "15.14".to_owned(),
            database: None,
            deletion_protection: false,
            tags: BTreeMap::new(),
            created: Timestamp(0),
            master_username: None,
            writer: Some(members[0].1.arn.clone()),
            members: BTreeMap::from(members),
            epoch: 1,
            moves: 0,
            moving: None,
            forks: Vec::new(),
        })
    }

    fn region(name: &str) -> Region {
        name.parse().unwrap()
    }

    fn asks(source: &str, head: &str) -> LeaveRequest {
        let arn = format!("arn:aws:rds:us-east-1:{ACCOUNT}:db:orders");
        LeaveRequest {
            source: arn.parse().unwrap(),
            source_id: ResourceId(source.to_owned()),
            replica_id: ResourceId(head.to_owned()),
        }
    }

    #[test]
    fn only_the_heads_of_other_members_follow_and_only_the_writers() {
        let world = world();
        let (ireland, virginia) = (region("eu-west-1"), region("us-east-1"));
        let id = |id: &str| ResourceId(id.to_owned());
        assert!(follows_at(&world, &id("db-A"), ireland));
        assert!(!follows_at(&world, &id("db-A"), region("ap-southeast-1")));
        assert!(
            !follows_at(&world, &id("db-A"), virginia),
            "nobody follows itself"
        );
        assert!(
            !follows_at(&world, &id("db-B"), virginia),
            "it doesn't write"
        );
        let slot = slot_of(&world, &asks("db-A", "db-B"), ireland);
        assert_eq!(slot.as_deref(), Some("causeway_db_b"));
        assert_eq!(
            slot_of(&world, &asks("db-A", "db-B"), virginia),
            None,
            "another's head"
        );
        assert_eq!(slot_of(&world, &asks("db-A", "db-C"), ireland), None);
        assert_eq!(slot_of(&world, &asks("db-B", "db-B"), ireland), None);
    }

    #[test]
    fn once_the_writer_is_another_the_old_one_gives_nothing() {
        let mut world = world();
        world.0.writer = Some(
            "arn:aws:rds:eu-west-1:111122223333:cluster:orders"
                .parse()
                .unwrap(),
        );
        let virginia = region("us-east-1");
        assert!(!follows_at(
            &world,
            &ResourceId("db-A".to_owned()),
            region("eu-west-1")
        ));
        assert!(follows_at(&world, &ResourceId("db-B".to_owned()), virginia));
        assert!(slot_of(&world, &asks("db-B", "db-A"), virginia).is_some());
    }
}
