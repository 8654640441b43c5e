//! Where endpoints get their addresses: none that another has, on this host as in the Region.

use std::sync::Arc;

use crate::support::{Api, Memory, Setting, new_instance, with};

/// A Region that has two addresses for endpoints: 127.48.1.1 and 127.48.1.2.
fn with_two_addresses() -> Api {
    Setting {
        region: "us-east-1",
        engine: Ok("15.14"),
        pool: Ok(30),
        global: Arc::<Memory>::default(),
    }
    .make()
}

#[test]
fn an_address_that_others_on_the_host_have_is_nobody_s() {
    let api = with_two_addresses();
    let take = |last| {
        let mut taken = api.around.taken.lock().unwrap();
        taken.insert(([127, 48, 1, last].into(), 5432));
    };
    take(1);
    api.create("shop");
    assert_eq!(api.row("shop").address.octets(), [127, 48, 1, 2]);
    let (code, text) = api.refused("CreateDBInstance", &new_instance("other"));
    assert_eq!(code, "InsufficientDBInstanceCapacity");
    assert!(text.contains("listen on port 5432"), "{text}");
    let elsewhere = with(&new_instance("other"), &[("Port", "6432")]);
    api.ok("CreateDBInstance", &elsewhere);
    assert_eq!(api.row("other").address.octets(), [127, 48, 1, 1]);
}

#[test]
fn a_cluster_gets_two_addresses_or_none() {
    let api = with_two_addresses();
    let cluster = [
        ("DBClusterIdentifier", "orders"),
        ("Engine", "aurora-postgresql"),
        ("MasterUsername", "root"),
        ("MasterUserPassword", "correct-horse"),
    ];
    let mut taken = api.around.taken.lock().unwrap();
    taken.insert(([127, 48, 1, 1].into(), 5432));
    drop(taken);
    let refused = api.code("CreateDBCluster", &cluster);
    assert_eq!(refused, "InsufficientDBInstanceCapacity");
    api.around.taken.lock().unwrap().clear();
    let made = api.ok("CreateDBCluster", &cluster);
    let endpoints = ["Endpoint", "ReaderEndpoint"].map(|it| made.text(&format!("DBCluster/{it}")));
    assert_ne!(endpoints[0], endpoints[1]);
}
