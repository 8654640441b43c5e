//! A global cluster that is made of a cluster which is there.

use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use databases::catalogue;
use databases::plan::{Duty, Record, Step};
use types::{Configuration, ConfigurationEdit, ConfigurationError, ConfigurationView, Proposal};

use crate::clusters::{ALONE, GLOBAL, HEAD, NAMED, READER, SECOND, arn, register, row, to, world};
use crate::support::{Api, Memory, block_on, with};

const OF: &[(&str, &str)] = &[
    ("GlobalClusterIdentifier", "world"),
    (
        "SourceDBClusterIdentifier",
        "arn:aws:rds:us-east-1:111122223333:cluster:shop",
    ),
];

/// Regions of which the first has a cluster with a reader, in no global cluster.
fn with_a_cluster() -> (Arc<Memory>, [Api; 3]) {
    let (council, apis) = world();
    make(&apis[0]);
    (council, apis)
}

fn make(here: &Api) {
    here.ok("CreateDBCluster", ALONE);
    for (name, parameters) in [("head", HEAD), ("reader", READER)] {
        here.ok("CreateDBInstance", parameters);
        here.carry_out(name);
    }
    here.carry_out("head");
}

fn duty(council: &Memory, api: &Api, name: &str) -> Duty {
    let found = catalogue::wanted(&*api.memory_view(), &*council.view(), &api.id(name));
    found.unwrap().unwrap().duty
}

/// A council whose changes fail, as they do without a majority, after so many more.
struct Failing {
    council: Arc<Memory>,
    lets: AtomicUsize,
}

impl Configuration for Failing {
    fn view(&self) -> Arc<dyn ConfigurationView> {
        self.council.view()
    }

    fn propose(&self, edits: Vec<ConfigurationEdit>) -> Proposal<'_> {
        let left = self.lets.load(Ordering::Relaxed);
        if left == 0 {
            return Box::pin(std::future::ready(Err(ConfigurationError::NoMajority)));
        }
        self.lets.store(left - 1, Ordering::Relaxed);
        self.council.propose(edits)
    }
}

#[test]
fn a_cluster_becomes_the_writer_of_a_global_cluster_with_what_it_holds() {
    let (council, [here, there, third]) = with_a_cluster();
    let made = here.ok("CreateGlobalCluster", OF);
    assert_eq!(made.text("GlobalCluster/DatabaseName"), "orders");
    assert_eq!(made.text("GlobalCluster/EngineVersion"), "15.14");
    let members = "GlobalCluster/GlobalClusterMembers";
    assert_eq!(made.each(members, "IsWriter"), ["true"]);
    assert_eq!(made.each(members, "DBClusterArn"), [arn(&here)]);
    assert!(matches!(
        duty(&council, &here, "head"),
        Duty::Lead { epoch: 1, .. }
    ));
    // Nothing is made anew: what it holds is epoch 1, and it says so.
    let steps = here.carry_out("head");
    let is_told = |step: &Step| matches!(step, Step::Record(Record::Head(head)) if head.epoch == 1);
    assert!(steps.iter().all(is_told) && steps.len() == 1, "{steps:?}");
    let Duty::Read(reading) = duty(&council, &here, "reader") else {
        panic!("{:?}", duty(&council, &here, "reader"));
    };
    assert!(reading.is_head_ready && reading.is_member);
    assert!(here.carry_out("reader").is_empty());
    // Others join, and the role can move.
    there.ok("CreateDBCluster", SECOND);
    there.ok("CreateDBInstance", HEAD);
    assert_eq!(there.row("head").master.username, "clerk");
    register(&there, 1);
    third.ok("SwitchoverGlobalCluster", &to(&arn(&there)));
    assert!(row(&council).moving.is_some());
}

/// The Region has heard the council since it began.
fn hear(api: &Api) {
    let mut observed = api.observed(&api.id("head"));
    observed.head.confirmed = Some(0);
    api.observe(&api.id("head"), observed);
}

/// Makes a global cluster of it, by a council that takes the first of two changes.
fn half_make(api: &Api) {
    let error = api.call("CreateGlobalCluster", OF).err();
    assert_eq!(error.unwrap().0, "Throttling");
}

/// A council that takes so many changes more, and a Region of it that has a cluster.
fn with_a_council(lets: usize) -> (Arc<Memory>, Arc<Failing>, Api) {
    let council = Arc::<Memory>::default();
    let failing = Arc::new(Failing {
        council: council.clone(),
        lets: AtomicUsize::new(lets),
    });
    let here = Api::beside("us-east-1", failing.clone());
    make(&here);
    (council, failing, here)
}

#[test]
fn one_that_was_half_made_serves_nobody_until_its_region_goes_on_or_the_same_request_does() {
    for goes_on in [
        (|api| block_on(api.service.finish_source_clusters()).unwrap()) as fn(&Api),
        |api| {
            let made = api.ok("CreateGlobalCluster", OF);
            let members = "GlobalCluster/GlobalClusterMembers";
            assert_eq!(made.each(members, "IsWriter"), ["true"]);
        },
    ] {
        let (council, failing, here) = with_a_council(1);
        let there = Api::beside("eu-west-1", council.clone());
        half_make(&here);
        for name in ["head", "reader"] {
            assert_eq!(duty(&council, &here, name), Duty::Await, "{name}");
            let steps = here.carry_out(name);
            assert!(steps.is_empty(), "nothing is started, nothing is stopped");
        }
        let refused = there.code("CreateDBCluster", &with(SECOND, &ALONE[3..]));
        assert_eq!(
            refused, "InvalidGlobalClusterStateFault",
            "nobody else writes"
        );
        assert!(block_on(here.service.finish_source_clusters()).is_err());
        failing.lets.store(1, Ordering::Relaxed);
        goes_on(&here);
        assert!(matches!(
            duty(&council, &here, "head"),
            Duty::Lead { epoch: 1, .. }
        ));
    }
}

#[test]
fn one_whose_request_ended_before_it_joined_stands_on_its_own() {
    let (council, _, here) = with_a_council(1);
    half_make(&here);
    // As if its own row had never been written: that is what a crash leaves.
    let (_, mut head) = catalogue::instance(&*here.memory_view(), &here.id("head"))
        .unwrap()
        .unwrap();
    let headship = head.headship.as_mut().unwrap();
    (headship.epoch, headship.leads) = (0, None);
    let row = row(&council);
    let found = (council.view().revision(), Some(&row));
    assert_eq!(Duty::of(&head, None, found), Duty::Alone);
}

#[test]
fn one_that_is_given_up_stands_on_its_own() {
    let (council, failing, here) = with_a_council(1);
    half_make(&here);
    failing.lets.store(9, Ordering::Relaxed);
    let shop = arn(&here);
    let out = [
        ("GlobalClusterIdentifier", "world"),
        ("DbClusterIdentifier", &*shop),
    ];
    here.ok("RemoveFromGlobalCluster", &out);
    here.ok("DeleteGlobalCluster", NAMED);
    assert_eq!(duty(&council, &here, "head"), Duty::Left);
    assert!(here.carry_out("head").is_empty() && here.carry_out("reader").is_empty());
}

#[test]
fn what_can_t_be_a_first_member_is_refused() {
    let (council, [here, there, _]) = with_a_cluster();
    for (name, word) in [("Engine", "engineName"), ("DatabaseName", "databaseName")] {
        let (code, text) = here.refused("CreateGlobalCluster", &with(OF, &[(name, "orders")]));
        assert_eq!(code, "InvalidParameterCombination");
        assert!(text.contains(word), "{text}");
    }
    let of_nobody = with(OF, &[("SourceDBClusterIdentifier", "nobody")]);
    let of_another_region = there.code("CreateGlobalCluster", OF);
    assert_eq!(of_another_region, "DBClusterNotFoundFault");
    assert_eq!(
        here.code("CreateGlobalCluster", &of_nobody),
        "DBClusterNotFoundFault"
    );
    there.ok("CreateGlobalCluster", GLOBAL);
    assert_eq!(
        here.code("CreateGlobalCluster", OF),
        "GlobalClusterAlreadyExistsFault"
    );
    assert!(row(&council).members.is_empty());
    let by_name = [
        ("GlobalClusterIdentifier", "other"),
        ("SourceDBClusterIdentifier", "shop"),
    ];
    here.ok("CreateGlobalCluster", &by_name);
    let twice = with(&by_name, &[("GlobalClusterIdentifier", "third")]);
    assert_eq!(
        here.code("CreateGlobalCluster", &twice),
        "InvalidDBClusterStateFault"
    );
}

#[test]
fn one_without_an_instance_gets_its_first_one_as_the_writer_s() {
    let (council, [here, ..]) = world();
    here.ok("CreateDBCluster", ALONE);
    here.ok("CreateGlobalCluster", OF);
    here.ok("CreateDBInstance", HEAD);
    hear(&here);
    let steps = here.carry_out("head");
    assert!(matches!(steps[0], Step::Record(_)), "{steps:?}");
    assert!(matches!(
        duty(&council, &here, "head"),
        Duty::Lead { epoch: 1, .. }
    ));
    assert!(here.row("head").was_available());
}

#[test]
fn one_whose_instance_is_being_made_goes_on_with_that() {
    let (council, [here, ..]) = world();
    here.ok("CreateDBCluster", ALONE);
    here.ok("CreateDBInstance", HEAD);
    here.ok("CreateGlobalCluster", OF);
    hear(&here);
    here.carry_out("head");
    let leads = here.row("head").headship.unwrap().leads;
    assert_eq!(leads.map(|leads| leads.epoch), Some(1));
    assert!(matches!(
        duty(&council, &here, "head"),
        Duty::Lead { epoch: 1, .. }
    ));
    assert!(here.row("head").was_available());
}
