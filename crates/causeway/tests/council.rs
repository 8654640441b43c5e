//! The council of a real lab: sites that lose their disks, one and then most of them.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test starts processes, waits and may panic"
)]

mod support;

use serde_json::Value;
use support::{Lab, eventually};

/// Each site's part in the council.
fn roles(lab: &Lab) -> Vec<String> {
    let status = lab.json(&["status"]);
    let sites = status["sites"].as_array().unwrap();
    let role = |site: &Value| {
        site["detail"]["council"]["role"]
            .as_str()
            .map(ToOwned::to_owned)
    };
    sites.iter().filter_map(role).collect()
}

fn is_settled(lab: &Lab) -> bool {
    let roles = roles(lab);
    let count = |role: &str| roles.iter().filter(|one| *one == role).count();
    roles.len() == 3 && count("leader") == 1 && count("follower") == 2
}

fn lose_disk(lab: &Lab, site: &str) {
    std::fs::remove_dir_all(lab.data().join(site).join("store")).unwrap();
}

#[test]
fn sites_that_lose_their_disks_take_their_seats_again() {
    let regions = ["--regions", "us-east-1,eu-west-1,ap-southeast-1"];
    let quick = ["--edges", "0", "--delay-scale", "0"];
    let mut lab = Lab::start(&[regions.as_slice(), &quick].concat());
    eventually("the council is founded", || is_settled(&lab));
    let refused = lab.causeway(&["council", "recover"]);
    assert_eq!(refused.status.code(), Some(2), "it runs: {refused:?}");

    lab.down();
    lose_disk(&lab, "eu-west-1");
    let refused = lab.causeway(&["council", "recover"]);
    assert_eq!(refused.status.code(), Some(2), "two remember: {refused:?}");
    lab.up();
    eventually("one that lost its disk is back", || is_settled(&lab));

    lab.down();
    lose_disk(&lab, "us-east-1");
    lose_disk(&lab, "eu-west-1");
    lab.up();
    std::thread::sleep(std::time::Duration::from_secs(6));
    assert!(
        !roles(&lab).contains(&"leader".to_owned()),
        "one memory of three leads nobody"
    );
    lab.down();
    let recovered = lab.json(&["council", "recover"]);
    assert_eq!(recovered["source"], "ap-southeast-1");
    lab.up();
    eventually("the council is recovered", || is_settled(&lab));
}
