//! What a Region refuses by what it knows of the council's configuration, which others may have
//! changed a moment ago: it asks the majority first, and asks nothing that it needn't know.

use std::future::pending;
use std::pin::pin;
use std::sync::atomic::Ordering;
use std::sync::{Arc, Mutex};
use std::task::{Context, Waker};

use bytes::Bytes;
use types::{
    CatchUp, Configuration, ConfigurationEdit, ConfigurationError, ConfigurationView, Proposal,
};

use crate::clusters::{FIRST, GLOBAL, HEAD, NAMED, SECOND, arn, register, row, to};
use crate::support::{Api, Memory, owner, with};

/// What an operation is asked with.
type Parameters<'a> = Vec<(&'a str, &'a str)>;

const GLOBAL_ARN: (&str, &str) = (
    "ResourceName",
    "arn:aws:rds::111122223333:global-cluster:world",
);

const SKIP: &[(&str, &str)] = &[
    ("DBClusterIdentifier", "shop"),
    ("SkipFinalSnapshot", "true"),
];

/// A Region's seat, which hears of what others decide when it asks and no sooner.
struct Late {
    council: Arc<Memory>,
    seen: Mutex<Arc<dyn ConfigurationView>>,
}

impl Late {
    fn new(council: &Arc<Memory>) -> Arc<Late> {
        Arc::new(Late {
            council: council.clone(),
            seen: Mutex::new(council.view()),
        })
    }

    fn see(&self) {
        *self.seen.lock().unwrap() = self.council.view();
    }
}

impl Configuration for Late {
    fn view(&self) -> Arc<dyn ConfigurationView> {
        self.seen.lock().unwrap().clone()
    }

    fn propose(&self, edits: Vec<ConfigurationEdit>) -> Proposal<'_> {
        Box::pin(async move {
            let made = self.council.propose(edits).await;
            self.see();
            made
        })
    }

    fn catch_up(&self) -> CatchUp<'_> {
        Box::pin(async move {
            self.council.catch_up().await?;
            self.see();
            Ok(())
        })
    }
}

/// Three Regions, each late.
struct World {
    council: Arc<Memory>,
    seats: [Arc<Late>; 3],
    apis: [Api; 3],
}

impl World {
    /// With a global cluster that has no members, and all Regions know of it.
    fn new() -> World {
        let council = Arc::<Memory>::default();
        let seats = [0; 3].map(|_| Late::new(&council));
        let region = |at: usize, name| Api::beside(name, seats[at].clone());
        let apis = [
            region(0, "us-east-1"),
            region(1, "eu-west-1"),
            region(2, "ap-southeast-2"),
        ];
        apis[0].ok("CreateGlobalCluster", GLOBAL);
        let world = World {
            council,
            seats,
            apis,
        };
        world.settle();
        world
    }

    /// With two members that have their heads.
    fn pair() -> World {
        let world = World::new();
        for (api, parameters) in world.apis.iter().zip([FIRST, SECOND]) {
            api.ok("CreateDBCluster", parameters);
            api.ok("CreateDBInstance", HEAD);
            register(api, 1);
            world.settle();
        }
        world
    }

    /// All hear what was decided, and nobody has asked anything.
    fn settle(&self) {
        self.seats.iter().for_each(|seat| seat.see());
        self.council.questions.store(0, Ordering::Relaxed);
    }

    fn questions(&self) -> usize {
        self.council.questions.load(Ordering::Relaxed)
    }

    fn remove(&self, by: usize, member: usize) {
        let arn = arn(&self.apis[member]);
        let named = with(NAMED, &[("DbClusterIdentifier", &arn)]);
        self.apis[by].ok("RemoveFromGlobalCluster", &named);
    }

    /// A request is granted that would have been refused by what its Region knew.
    fn asks_and_does(&self, by: usize, operation: &str, parameters: &[(&str, &str)]) {
        let before = self.questions();
        self.apis[by].ok(operation, parameters);
        assert_eq!(self.questions() - before, 1, "{operation}");
    }
}

#[test]
fn the_second_member_of_a_global_cluster_needn_t_know_yet_that_the_first_is_there() {
    let world = World::new();
    world.apis[0].ok("CreateDBCluster", FIRST);
    world.asks_and_does(1, "CreateDBCluster", SECOND);
    let row = row(&world.council);
    assert_eq!(row.members.len(), 2);
    assert_eq!(row.writer.unwrap().to_string(), arn(&world.apis[0]));
}

#[test]
fn what_was_taken_apart_elsewhere_a_moment_ago_is_no_obstacle() {
    let world = World::new();
    world.apis[0].ok("CreateDBCluster", FIRST);
    world.apis[0].ok("CreateDBInstance", HEAD);
    register(&world.apis[0], 1);
    world.settle();
    world.apis[1].ok("CreateDBCluster", SECOND);
    world.settle();
    world.remove(2, 1);
    world.asks_and_does(1, "DeleteDBCluster", SKIP);
    // Another of its Region can take its place, of which the first Region knows as little.
    world.settle();
    world.apis[1].ok("CreateDBCluster", SECOND);
    world.settle();
    world.remove(2, 1);
    let other = with(SECOND, &[("DBClusterIdentifier", "other")]);
    world.asks_and_does(1, "CreateDBCluster", &other);
    world.settle();
    let other = "arn:aws:rds:eu-west-1:111122223333:cluster:other";
    let out = with(NAMED, &[("DbClusterIdentifier", other)]);
    world.apis[2].ok("RemoveFromGlobalCluster", &out);
    let head = [("DBInstanceIdentifier", "head")];
    world.asks_and_does(0, "DeleteDBInstance", &head);
    world.settle();
    world.remove(2, 0);
    world.asks_and_does(1, "DeleteGlobalCluster", NAMED);
    world.asks_and_does(0, "CreateGlobalCluster", GLOBAL);
}

#[test]
fn what_was_made_elsewhere_a_moment_ago_can_be_named() {
    let world = World::pair();
    let target = arn(&world.apis[1]);
    register(&world.apis[1], 0);
    world.settle();
    register(&world.apis[1], 1);
    world.asks_and_does(2, "SwitchoverGlobalCluster", &to(&target));
    world.apis[0].ok("SwitchoverGlobalCluster", &to(&arn(&world.apis[0])));
    world.remove(0, 1);
    world.settle();
    let again = with(SECOND, &[("DBClusterIdentifier", "again")]);
    world.apis[1].ok("CreateDBCluster", &again);
    let again = "arn:aws:rds:eu-west-1:111122223333:cluster:again";
    let out = with(NAMED, &[("DbClusterIdentifier", again)]);
    world.asks_and_does(2, "RemoveFromGlobalCluster", &out);

    let world = World::new();
    world.apis[0].ok("DeleteGlobalCluster", NAMED);
    world.settle();
    let tags = [
        GLOBAL_ARN,
        ("Tags.Tag.1.Key", "team"),
        ("Tags.Tag.1.Value", "sea"),
    ];
    world.apis[0].ok("CreateGlobalCluster", GLOBAL);
    world.asks_and_does(1, "AddTagsToResource", &tags);
    world.asks_and_does(2, "ListTagsForResource", &[GLOBAL_ARN]);
}

#[test]
fn a_failover_goes_to_a_member_that_got_its_head_elsewhere_a_moment_ago() {
    let world = World::new();
    for (api, parameters) in world.apis.iter().zip([FIRST, SECOND]) {
        api.ok("CreateDBCluster", parameters);
        api.ok("CreateDBInstance", HEAD);
    }
    register(&world.apis[0], 1);
    world.settle();
    register(&world.apis[1], 1);
    let target = arn(&world.apis[1]);
    let loses = with(&to(&target), &[("AllowDataLoss", "true")]);
    world.asks_and_does(2, "FailoverGlobalCluster", &loses);
}

#[test]
fn a_refusal_asks_once_and_changes_nothing_and_without_a_majority_it_is_none() {
    let world = World::pair();
    let (first, third) = (arn(&world.apis[0]), arn(&world.apis[2]));
    let none = ("GlobalClusterIdentifier", "none");
    let out = with(NAMED, &[("DbClusterIdentifier", &third)]);
    let loses = with(&to(&third), &[("AllowDataLoss", "true")]);
    let source = [none, ("SourceDBClusterIdentifier", "shop")];
    let head = [("DBInstanceIdentifier", "head")];
    let other = [
        GLOBAL_ARN.0,
        "arn:aws:rds::111122223333:global-cluster:none",
    ];
    let asked: [(usize, &str, Parameters<'_>); 12] = [
        (2, "CreateDBCluster", with(FIRST, &[none])),
        (2, "CreateDBCluster", FIRST.to_vec()),
        (2, "CreateGlobalCluster", GLOBAL.to_vec()),
        (0, "CreateGlobalCluster", source.to_vec()),
        (2, "ModifyGlobalCluster", vec![none]),
        (2, "DeleteGlobalCluster", NAMED.to_vec()),
        (2, "RemoveFromGlobalCluster", out),
        (2, "SwitchoverGlobalCluster", to(&first)),
        (2, "FailoverGlobalCluster", loses),
        (2, "ListTagsForResource", vec![(other[0], other[1])]),
        (0, "DeleteDBInstance", head.to_vec()),
        (1, "DeleteDBCluster", SKIP.to_vec()),
    ];
    let before = world.council.view_now();
    for (by, operation, parameters) in &asked {
        let code = world.apis[*by].code(operation, parameters);
        assert_ne!(code, "Throttling", "{operation}");
        assert_eq!(world.questions(), 1, "{operation} {parameters:?}: {code}");
        world.settle();
    }
    world.council.fail(Some(ConfigurationError::NoMajority));
    for (by, operation, parameters) in &asked {
        let code = world.apis[*by].code(operation, parameters);
        assert_eq!(code, "Throttling", "{operation} {parameters:?}");
    }
    assert_eq!(world.council.view_now(), before);
}

#[test]
fn what_can_t_be_whatever_was_decided_is_refused_without_asking() {
    let world = World::pair();
    let wrong = ("GlobalClusterIdentifier", "a--b");
    let word = with(NAMED, &[("DbClusterIdentifier", "shop")]);
    let tags = |key, value| {
        vec![
            GLOBAL_ARN,
            ("Tags.Tag.1.Key", key),
            ("Tags.Tag.1.Value", value),
        ]
    };
    let misnamed = "arn:aws:rds::111122223333:global-cluster:a--b";
    let asked: [(&str, Parameters<'_>, &str); 13] = [
        (
            "CreateDBCluster",
            with(FIRST, &[wrong]),
            "GlobalClusterNotFoundFault",
        ),
        (
            "CreateDBCluster",
            with(FIRST, &[("Port", "1")]),
            "InvalidParameterValue",
        ),
        (
            "CreateGlobalCluster",
            with(GLOBAL, &[wrong]),
            "InvalidParameterValue",
        ),
        ("ModifyGlobalCluster", vec![], "MissingParameter"),
        (
            "ModifyGlobalCluster",
            vec![wrong],
            "GlobalClusterNotFoundFault",
        ),
        (
            "DeleteGlobalCluster",
            vec![wrong],
            "GlobalClusterNotFoundFault",
        ),
        (
            "RemoveFromGlobalCluster",
            NAMED.to_vec(),
            "MissingParameter",
        ),
        ("RemoveFromGlobalCluster", word, "DBClusterNotFoundFault"),
        (
            "SwitchoverGlobalCluster",
            to("shop"),
            "DBClusterNotFoundFault",
        ),
        (
            "FailoverGlobalCluster",
            with(&to("shop"), &[("AllowDataLoss", "true")]),
            "DBClusterNotFoundFault",
        ),
        (
            "AddTagsToResource",
            tags("causeway:failover-after", "soon"),
            "InvalidParameterValue",
        ),
        (
            "AddTagsToResource",
            tags("aws:team", "x"),
            "InvalidParameterValue",
        ),
        (
            "ListTagsForResource",
            vec![("ResourceName", misnamed)],
            "DBClusterNotFoundFault",
        ),
    ];
    for (operation, parameters, code) in &asked {
        let refused = world.apis[2].code(operation, parameters);
        assert_eq!(&refused, code, "{operation} {parameters:?}");
        assert_eq!(world.questions(), 0, "{operation} {parameters:?}");
    }
}

/// A council that never answers whoever asks what was decided.
struct Silent(Arc<Memory>);

impl Configuration for Silent {
    fn view(&self) -> Arc<dyn ConfigurationView> {
        self.0.view()
    }

    fn propose(&self, edits: Vec<ConfigurationEdit>) -> Proposal<'_> {
        self.0.propose(edits)
    }

    fn catch_up(&self) -> CatchUp<'_> {
        Box::pin(pending())
    }
}

#[test]
fn nobody_waits_for_one_who_names_a_global_cluster_that_may_not_be_there() {
    let council = Arc::<Memory>::default();
    let api = Api::beside("us-east-1", Arc::new(Silent(council.clone())));
    api.ok("CreateGlobalCluster", GLOBAL);
    let caller = owner();
    let asked = with(FIRST, &[("GlobalClusterIdentifier", "none")]);
    let mut form = "Action=CreateDBCluster&Version=2014-10-31".to_owned();
    for (name, value) in asked {
        form.push_str(&format!("&{name}={value}"));
    }
    let request = http::Request::post("/")
        .header("content-type", "application/x-www-form-urlencoded")
        .body(())
        .unwrap();
    let (parts, body) = (request.into_parts().0, Bytes::from(form));
    let mut waits = pin!(api.service.execute(&caller, &parts, &body, "ID"));
    let mut context = Context::from_waker(Waker::noop());
    assert!(waits.as_mut().poll(&mut context).is_pending());
    api.ok("CreateDBCluster", FIRST);
    assert!(waits.as_mut().poll(&mut context).is_pending());
}
