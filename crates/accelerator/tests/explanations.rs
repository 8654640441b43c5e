//! Explanations say what choices do.
#![allow(clippy::unwrap_used, reason = "a test may panic")]

mod common;

use accelerator::model::ClientAffinity;
use accelerator::{ChooseContext, Explanation, Flow, HealthState, Tried};
use common::*;

fn scene() -> Scene {
    let east = group("us-east-1", 50, &[("10.0.1.1", 128), ("10.0.1.2", 0)]);
    let mut west = group("us-west-2", 25, &[("10.0.2.1", 128)]);
    west.endpoints[0].preserves_client = true;
    Scene::new(ClientAffinity::None, vec![west, east])
}

fn explain(scene: &Scene, flow: &Flow, tried: &Tried) -> Explanation {
    let context = ChooseContext {
        board: &scene.board,
        place: region("us-east-1"),
    };
    scene.snapshot.explain(flow, &context, tried)
}

#[test]
fn an_explanation_leads_where_the_choice_leads() {
    let scene = scene();
    let mut tried = Tried::NONE;
    for number in 0..300 {
        for state in [HealthState::Healthy, HealthState::Initial] {
            scene.set("10.0.1.1", state);
            let explained = explain(&scene, &flow(number), &tried);
            match scene.choose("us-east-1", &flow(number), &tried) {
                Ok(choice) => {
                    let chosen = explained.chosen.unwrap();
                    assert_eq!((chosen.address, chosen.why), (choice.address, choice.why));
                    if number % 100 == 0 {
                        tried.add(choice.address);
                    }
                }
                Err(refused) => assert_eq!(explained.refused, Some(refused)),
            }
        }
    }
    assert_eq!(tried.len(), 3);
}

#[test]
fn it_says_every_step() {
    let scene = scene();
    scene.set("10.0.2.1", HealthState::Unhealthy);
    // The first flow that the east's dial sends on.
    let on = (0..100).map(flow).find(|flow| {
        let steps = explain(&scene, flow, &Tried::NONE).steps;
        steps
            .iter()
            .any(|step| step.contains("takes what the dials leave"))
    });
    let on = on.unwrap();
    let lines = explain(&scene, &on, &Tried::NONE).lines();
    let text = lines.join("\n");
    let port = on.from.port();
    for expected in [
        &format!("TCP from 127.64.1.1:{port} to 127.80.0.1:80, at us-east-1 (revision 0)"),
        "accelerator accelerator-1 (name-1)",
        "listener listener, client affinity NONE",
        "  us-east-1 (group-us-east-1): 0.0 ms, traffic dial 50 %",
        "    10.0.1.1:80 weight 128, HEALTHY",
        "    10.0.1.2:80 weight 0, HEALTHY",
        "traffic dial 25 %",
        "    10.0.2.1:80 weight 128, UNHEALTHY",
        "goes on to the next",
        "us-west-2: the last with a dial above 0 takes what the dials leave",
        "us-west-2: no endpoint is healthy, untried and of a weight above 0",
        "us-east-1: is asked next, whatever its dial",
        "goes to 10.0.1.1:80 in us-east-1: by its weight in the nearest other group",
    ] {
        assert!(text.contains(expected), "{expected} isn't in\n{text}");
    }
}

#[test]
fn it_says_why_a_flow_goes_nowhere() {
    let scene = scene();
    let to = "127.80.0.9:80".parse().unwrap();
    let explained = explain(&scene, &Flow { to, ..flow(1) }, &Tried::NONE);
    assert_eq!(
        explained.steps,
        ["goes nowhere: no accelerator has this address"]
    );
    let json = serde_json::to_value(&explained).unwrap();
    assert_eq!(json["refused"], "no_accelerator");
    assert_eq!(json["accelerator"], serde_json::Value::Null);
    let to = "127.80.0.1:81".parse().unwrap();
    let explained = explain(&scene, &Flow { to, ..flow(1) }, &Tried::NONE);
    assert_eq!(
        explained.steps,
        ["goes nowhere: no listener takes this protocol at this port"]
    );
    assert_eq!(explained.accelerator.unwrap().1, "name-1");
}

#[test]
fn its_json_has_what_people_look_for() {
    let scene = scene();
    let tried = ["10.0.1.1:80".parse().unwrap()].into_iter().collect();
    let json = serde_json::to_value(explain(&scene, &flow(1), &tried)).unwrap();
    assert_eq!(json["place"], "us-east-1");
    assert_eq!(json["groups"][0]["region"], "us-east-1");
    assert_eq!(json["groups"][0]["dial"], 50.0);
    assert_eq!(json["groups"][0]["endpoints"][0]["nodes"][0]["tried"], true);
    assert_eq!(json["groups"][0]["endpoints"][0]["state"], "HEALTHY");
    assert_eq!(json["chosen"]["address"], "10.0.2.1:80");
    assert_eq!(json["chosen"]["preserves_client"], true);
}
