//! Clusters and global clusters, asked as clients ask.

use std::sync::Arc;

use databases::lease::{self, Lease};
use databases::model::{ForkPoint, GlobalCluster, Lsn, MoveKind, Phase};
use databases::plan::{LogSeen, Record, Role};
use databases::{Fence, Serving, catalogue, serving_cluster};
use types::{Configuration, ConfigurationError, Environment, Monotonic};

use crate::support::{Api, Memory, block_on, standing, with};

/// Three Regions of one council.
pub fn world() -> (Arc<Memory>, [Api; 3]) {
    let council = Arc::<Memory>::default();
    let regions = ["us-east-1", "eu-west-1", "ap-southeast-2"];
    let apis = regions.map(|region| Api::beside(region, council.clone()));
    (council, apis)
}

pub const GLOBAL: &[(&str, &str)] = &[
    ("GlobalClusterIdentifier", "World"),
    ("Engine", "aurora-postgresql"),
    ("DatabaseName", "shop"),
];

pub const FIRST: &[(&str, &str)] = &[
    ("DBClusterIdentifier", "Shop"),
    ("Engine", "aurora-postgresql"),
    ("EngineVersion", "15"),
    ("MasterUsername", "clerk"),
    ("MasterUserPassword", "correct-horse"),
    ("GlobalClusterIdentifier", "world"),
];

pub const SECOND: &[(&str, &str)] = &[
    ("DBClusterIdentifier", "shop"),
    ("Engine", "aurora-postgresql"),
    ("GlobalClusterIdentifier", "world"),
];

pub const HEAD: &[(&str, &str)] = &[
    ("DBInstanceIdentifier", "head"),
    ("DBClusterIdentifier", "shop"),
    ("DBInstanceClass", "db.t3.micro"),
    ("Engine", "aurora-postgresql"),
];

/// A cluster of its Region alone.
pub const ALONE: &[(&str, &str)] = &[
    ("DBClusterIdentifier", "shop"),
    ("Engine", "aurora-postgresql"),
    ("DatabaseName", "orders"),
    ("MasterUsername", "clerk"),
    ("MasterUserPassword", "correct-horse"),
];

/// Another instance of a cluster.
pub const READER: &[(&str, &str)] = &[
    ("DBInstanceIdentifier", "reader"),
    ("DBClusterIdentifier", "shop"),
    ("DBInstanceClass", "db.t3.micro"),
    ("Engine", "aurora-postgresql"),
    ("PromotionTier", "3"),
];

pub const NAMED: &[(&str, &str)] = &[("GlobalClusterIdentifier", "world")];

pub fn arn(api: &Api) -> String {
    format!("arn:aws:rds:{}:111122223333:cluster:shop", api.region)
}

pub fn to(arn: &str) -> Vec<(&'static str, &str)> {
    vec![
        ("GlobalClusterIdentifier", "world"),
        ("TargetDbClusterIdentifier", arn),
    ]
}

pub fn row(council: &Memory) -> GlobalCluster {
    catalogue::global_clusters(&*council.view())
        .unwrap()
        .remove(0)
        .1
}

/// Has a head be known as one, as its plan does.
pub fn register(api: &Api, epoch: u64) {
    let id = api.id("head");
    let head = databases::model::Head {
        arn: api.row("head").arn,
        resource_id: id.clone(),
        class: "db.t3.micro".to_owned(),
        floors: Default::default(),
        epoch,
        writer_address: None,
    };
    block_on(api.service.record(&id, &Record::Head(head))).unwrap();
}

/// A global cluster of two Regions with their heads, and a third Region without any.
pub fn pair() -> (Arc<Memory>, [Api; 3]) {
    let (council, apis) = world();
    apis[0].ok("CreateGlobalCluster", GLOBAL);
    for (api, parameters) in apis.iter().zip([FIRST, SECOND]) {
        api.ok("CreateDBCluster", parameters);
        api.ok("CreateDBInstance", HEAD);
        register(api, 1);
    }
    (council, apis)
}

#[test]
fn a_global_cluster_is_made_joined_described_and_taken_apart() {
    let (council, [here, there, third]) = world();
    let made = here.ok("CreateGlobalCluster", GLOBAL);
    let arn_of_global = "arn:aws:rds::111122223333:global-cluster:world";
    assert_eq!(made.text("GlobalCluster/GlobalClusterArn"), arn_of_global);
    assert_eq!(made.text("GlobalCluster/Status"), "available");
    let made = here.ok("CreateDBCluster", FIRST);
    assert_eq!(made.text("DBCluster/Status"), "available");
    assert_eq!(made.text("DBCluster/DatabaseName"), "shop");
    assert_eq!(made.text("DBCluster/GlobalClusterIdentifier"), "world");
    let endpoints = ["Endpoint", "ReaderEndpoint"];
    let [writer, reader] = endpoints.map(|name| made.text(&format!("DBCluster/{name}")));
    assert_ne!(writer, reader);
    there.ok("CreateDBCluster", SECOND);
    for api in [&here, &there] {
        let made = api.ok("CreateDBInstance", HEAD);
        assert_eq!(made.text("DBInstance/Engine"), "aurora-postgresql");
        assert_eq!(made.text("DBInstance/DBClusterIdentifier"), "shop");
        assert_eq!(made.text("DBInstance/MasterUsername"), "clerk");
        register(api, u64::from(api.region == "us-east-1"));
    }
    // Any Region describes it.
    let told = third.ok("DescribeGlobalClusters", NAMED);
    let members = "GlobalClusters/0/GlobalClusterMembers";
    assert_eq!(told.each(members, "IsWriter"), ["false", "true"]);
    let words = told.each(members, "SynchronizationStatus");
    assert_eq!(words, ["pending-resync", "connected"]);
    let told = here.ok("DescribeDBClusters", &[("DBClusterIdentifier", "shop")]);
    assert_eq!(
        told.text("DBClusters/0/DBClusterMembers/0/IsClusterWriter"),
        "true"
    );
    let told = there.ok("DescribeDBClusters", &[]);
    assert_eq!(
        told.text("DBClusters/0/DBClusterMembers/0/IsClusterWriter"),
        "false"
    );
    assert_eq!(
        there.row("head").master.verifier,
        None,
        "it is the writer's"
    );
    assert!(here.row("head").master.verifier.is_some());

    // It is taken apart from its ends.
    let skip = [
        ("DBClusterIdentifier", "shop"),
        ("SkipFinalSnapshot", "true"),
    ];
    assert_eq!(
        there.code("DeleteDBCluster", &skip),
        "InvalidDBClusterStateFault"
    );
    assert_eq!(
        third.code("DeleteGlobalCluster", NAMED),
        "InvalidGlobalClusterStateFault"
    );
    let head = [("DBInstanceIdentifier", "head")];
    assert_eq!(
        here.code("DeleteDBInstance", &head),
        "InvalidDBClusterStateFault"
    );
    let remove = |api: &Api| {
        let arn = arn(api);
        let named = with(NAMED, &[("DbClusterIdentifier", &arn)]);
        third.call("RemoveFromGlobalCluster", &named).map(drop)
    };
    assert_eq!(
        remove(&here).unwrap_err().0,
        "InvalidGlobalClusterStateFault"
    );
    remove(&there).unwrap();
    remove(&here).unwrap();
    assert_eq!(remove(&here).unwrap_err().0, "DBClusterNotFoundFault");
    third.ok("DeleteGlobalCluster", NAMED);
    assert_eq!(
        here.code("DescribeGlobalClusters", NAMED),
        "GlobalClusterNotFoundFault"
    );
    assert_eq!(
        here.code("DeleteDBCluster", &skip),
        "InvalidDBClusterStateFault"
    );
    here.ok("DeleteDBInstance", &head);
    here.carry_out("head");
    here.ok("DeleteDBCluster", &skip);
    assert_eq!(
        here.code("DeleteDBCluster", &skip),
        "DBClusterNotFoundFault"
    );
    assert!(
        catalogue::global_clusters(&*council.view())
            .unwrap()
            .is_empty()
    );
}

#[test]
fn a_cluster_of_no_global_one_leads_alone() {
    let api = Api::new();
    let alone = with(FIRST, &[("GlobalClusterIdentifier", "-")]);
    api.ok("CreateDBCluster", &alone);
    api.ok("CreateDBInstance", HEAD);
    api.carry_out("head");
    assert_eq!(api.status("head"), "available");
    assert_eq!(
        api.code("StopDBInstance", &[("DBInstanceIdentifier", "head")]),
        "InvalidParameterCombination"
    );
    let password = [
        ("DBClusterIdentifier", "shop"),
        ("MasterUserPassword", "battery-staple"),
    ];
    api.ok("ModifyDBCluster", &password);
    assert_eq!(api.row("head").master.asked, 1);
}

#[test]
fn what_a_cluster_can_t_be_is_refused_by_name_and_makes_no_member() {
    let (council, [here, there, _]) = world();
    here.ok("CreateGlobalCluster", GLOBAL);
    let refused = |api: &Api, base: &[(&str, &str)], more: &[(&str, &str)], code: &str| {
        let before = council.view_now().entries;
        let refused = api.code("CreateDBCluster", &with(base, more));
        assert_eq!(refused, code, "{more:?}");
        assert_eq!(council.view_now().entries, before, "{more:?}");
    };
    for (more, code) in [
        (
            ("GlobalClusterIdentifier", "none"),
            "GlobalClusterNotFoundFault",
        ),
        (("Engine", "aurora-mysql"), "InvalidParameterCombination"),
        (("Engine", "cobol"), "InvalidParameterValue"),
        (("EngineVersion", "14.1"), "InvalidParameterCombination"),
        (("MasterUsername", "-"), "InvalidParameterValue"),
        (("MasterUserPassword", "short"), "InvalidParameterValue"),
        (("DatabaseName", "other"), "InvalidParameterCombination"),
        (
            ("DBClusterParameterGroupName", "mine"),
            "DBClusterParameterGroupNotFound",
        ),
        (("DBClusterIdentifier", "a--b"), "InvalidParameterValue"),
        (
            ("AvailabilityZones.AvailabilityZone.1", "eu-west-1a"),
            "InvalidParameterValue",
        ),
    ] {
        refused(&here, FIRST, &[more], code);
    }
    here.ok("CreateDBCluster", FIRST);
    let clerk = ("MasterUsername", "clerk");
    refused(&there, SECOND, &[clerk], "InvalidParameterCombination");
    refused(&here, FIRST, &[], "DBClusterAlreadyExistsFault");
    let other = ("DBClusterIdentifier", "other");
    refused(&here, SECOND, &[other], "InvalidGlobalClusterStateFault");
    // Its own row can't be made: the member goes again.
    there.memory.fail(Some(ConfigurationError::Full));
    assert_eq!(
        there.call("CreateDBCluster", SECOND).unwrap_err().0,
        "LimitExceeded"
    );
    assert_eq!(row(&council).members.len(), 1);
    there.memory.fail(None);
    // Nobody becomes a member without a majority.
    council.fail(Some(ConfigurationError::NoMajority));
    let (code, text) = there.refused("CreateDBCluster", SECOND);
    assert_eq!(code, "Throttling");
    assert!(text.contains("majority"), "{text}");
    for parameters in [&[("Port", "5000")][..], &[("MasterUsername", "clerk")]] {
        let (code, _) = here.refused("CreateDBInstance", &with(HEAD, parameters));
        assert_eq!(code, "InvalidParameterCombination");
    }
}

#[test]
fn a_move_goes_through_its_phases_and_by_no_other_way() {
    let (council, [here, there, third]) = pair();
    let (from, target) = (arn(&here), arn(&there));
    for (arn, code) in [
        (from.as_str(), "InvalidDBClusterStateFault"),
        ("shop", "DBClusterNotFoundFault"),
    ] {
        assert_eq!(third.code("SwitchoverGlobalCluster", &to(arn)), code);
    }
    let both = with(
        &to(&target),
        &[("AllowDataLoss", "true"), ("Switchover", "true")],
    );
    assert_eq!(
        third.code("FailoverGlobalCluster", &both),
        "InvalidParameterCombination"
    );
    let told = third.ok("SwitchoverGlobalCluster", &to(&target));
    assert_eq!(told.text("GlobalCluster/Status"), "switching-over");
    assert_eq!(
        told.text("GlobalCluster/FailoverState/IsDataLossAllowed"),
        "false"
    );
    let again = third.code("SwitchoverGlobalCluster", &to(&target));
    assert_eq!(again, "InvalidGlobalClusterStateFault");
    let remove = with(NAMED, &[("DbClusterIdentifier", &target)]);
    assert_eq!(
        third.code("RemoveFromGlobalCluster", &remove),
        "InvalidGlobalClusterStateFault"
    );

    let tell = |api: &Api, record: Record| {
        block_on(api.service.record(&api.id("head"), &record)).unwrap();
        row(&council).moving.map(|moving| moving.phase)
    };
    let lsn = Lsn(7);
    // Nobody else may say it, of no other move, and nothing before its time.
    assert_eq!(
        tell(&there, Record::Promoting { number: 1 }),
        Some(Phase::Draining)
    );
    assert_eq!(
        tell(&there, Record::Drained { number: 1, lsn }),
        Some(Phase::Draining)
    );
    assert_eq!(
        tell(&here, Record::Drained { number: 2, lsn }),
        Some(Phase::Draining)
    );
    assert_eq!(
        tell(&here, Record::Drained { number: 1, lsn }),
        Some(Phase::Drained { lsn })
    );
    assert_eq!(
        tell(&there, Record::Promoting { number: 1 }),
        Some(Phase::Promoting)
    );
    let point = ForkPoint { timeline: 2, lsn };
    let leads = Record::Leads { number: 1, point };
    assert_eq!(
        tell(&there, leads.clone()),
        Some(Phase::Promoting),
        "it is not written down"
    );
    let leading = databases::model::Leading {
        epoch: 2,
        number: 1,
    };
    tell(&there, Record::Leading(leading));
    assert_eq!(tell(&there, leads.clone()), None);
    assert_eq!(tell(&there, leads), None);
    let now = row(&council);
    assert_eq!((now.epoch, now.forks.len()), (2, 1));
    assert_eq!(now.writer.unwrap().to_string(), target);

    // A failover overrides a switchover, and a late word of that changes nothing.
    register(&here, 2);
    third.ok("SwitchoverGlobalCluster", &to(&from));
    let loses = with(&to(&from), &[("AllowDataLoss", "true")]);
    third.ok("FailoverGlobalCluster", &loses);
    let moving = row(&council).moving.unwrap();
    assert_eq!((moving.number, moving.kind), (3, MoveKind::Failover));
    assert_eq!(
        tell(&there, Record::Drained { number: 2, lsn }),
        Some(Phase::Fencing)
    );
    assert_eq!(
        third.code("FailoverGlobalCluster", &loses),
        "InvalidGlobalClusterStateFault"
    );
    let reason = "why".to_owned();
    assert_eq!(tell(&here, Record::Cancelled { number: 3, reason }), None);
    assert_eq!(row(&council).epoch, 2);
}

#[test]
fn a_writer_serves_by_its_lease_and_a_standby_only_reads() {
    let (council, [here, there, third]) = pair();
    let serving = |api: &Api, role, lease: &Lease, now| {
        let view = api.memory_view();
        let (_, cluster) = catalogue::clusters(&*view).unwrap().remove(0);
        let mut instance = api.row("head");
        instance.settled = instance.generation;
        let mut observed = databases::plan::Observed::nothing();
        observed.server = Some(databases::plan::ServerSeen {
            generation: instance.generation,
            role: Some(role),
            settings: Default::default(),
            awaits_restart: Default::default(),
            slots: Default::default(),
            receives: false,
            is_paused: false,
            master_set: None,
            log: LogSeen::default(),
        });
        let standing = standing(observed);
        let view = council.view();
        let fence = Fence {
            view: &*view,
            lease,
            now,
        };
        let served = serving_cluster(&cluster, Some((&instance, Some(&standing))), fence);
        let served = served.unwrap();
        [served.writer, served.reader].map(|it| it == Serving::Open)
    };
    let leading = databases::model::Leading {
        epoch: 1,
        number: 0,
    };
    let id = here.id("head");
    block_on(here.service.record(&id, &Record::Leading(leading))).unwrap();
    let began = Monotonic(1_000_000);
    let mut lease = Lease::default();
    let soon = Monotonic(2_000_000);
    assert_eq!(serving(&here, Role::Primary, &lease, soon), [false, false]);
    let edit = lease::edit("us-east-1".parse().unwrap(), 1, 1);
    let revision = block_on(council.propose(vec![edit])).unwrap();
    lease.committed(Lease::begin(began), revision);
    assert_eq!(serving(&here, Role::Primary, &lease, soon), [true, true]);
    assert_eq!(
        serving(&here, Role::Primary, &lease, began + lease::LEASE),
        [false, false]
    );
    let mut newer = Lease::default();
    newer.committed(Lease::begin(began), revision + 1);
    assert_eq!(serving(&here, Role::Primary, &newer, soon), [false, false]);
    assert_eq!(serving(&there, Role::Standby, &lease, soon), [false, true]);
    assert_eq!(serving(&there, Role::Primary, &lease, soon), [false, false]);
    // One that was to lead may be a primary by now.
    let leading = databases::model::Leading {
        epoch: 2,
        number: 1,
    };
    block_on(
        there
            .service
            .record(&there.id("head"), &Record::Leading(leading)),
    )
    .unwrap();
    assert_eq!(serving(&there, Role::Standby, &lease, soon), [false, false]);
    // A move takes the role away at once.
    let target = arn(&there);
    third.ok("SwitchoverGlobalCluster", &to(&target));
    assert_eq!(serving(&here, Role::Primary, &lease, soon), [false, false]);
    let now = here.environment.now().monotonic;
    assert!(lease.until().is_some_and(|until| until > now));
}

#[test]
fn nobody_reads_at_a_target_while_it_replays_the_last_of_its_old_writer() {
    let (council, [here, there, third]) = pair();
    let served = || {
        let view = there.memory_view();
        let (_, cluster) = catalogue::clusters(&*view).unwrap().remove(0);
        let mut instance = there.row("head");
        instance.settled = instance.generation;
        let mut observed = databases::plan::Observed::nothing();
        observed.server = Some(databases::plan::ServerSeen {
            role: Some(Role::Standby),
            ..crate::moves::primary(&there)
        });
        let standing = standing(observed);
        let (view, lease) = (council.view(), Lease::default());
        let (now, lease) = (Monotonic(1), &lease);
        let fence = Fence {
            view: &*view,
            lease,
            now,
        };
        let served = serving_cluster(&cluster, Some((&instance, Some(&standing))), fence);
        served.unwrap().reader == Serving::Open
    };
    assert!(served());
    third.ok("SwitchoverGlobalCluster", &to(&arn(&there)));
    assert!(served(), "the old writer hasn't stopped yet");
    let (number, lsn) = (1, Lsn(7));
    let drained = Record::Drained { number, lsn };
    block_on(here.service.record(&here.id("head"), &drained)).unwrap();
    assert!(!served());
    // A move that is taken back lets them in again.
    third.ok("SwitchoverGlobalCluster", &to(&arn(&here)));
    assert!(served());
}

#[test]
fn a_takeover_waits_longer_than_any_lease_holds() {
    use databases::lease::{LEASE, TAKEOVER_WAIT};
    // The old writer's last renewal began before the move was committed, by a clock that may be
    // 1 % slower than that of the one who takes over.
    let held = LEASE.0 + LEASE.0 / 100;
    assert!(TAKEOVER_WAIT.0 >= held + 100_000, "{TAKEOVER_WAIT:?}");
    let mut lease = Lease::default();
    let first = Lease::begin(Monotonic(10));
    let second = Lease::begin(Monotonic(20));
    lease.committed(second, 2);
    let until = lease.until();
    lease.committed(first, 3);
    assert_eq!(lease.until(), until, "an older renewal shortens nothing");
}
