//! What callers are asked for: of every operation its action, on what it names, and nothing runs
//! for those who may not.

use std::sync::Mutex;

use aws::access::{Authorizer, Denied, Owner, PolicyKind, PolicyRefusal, Question};
use serde_json::{Value, json};
use types::AccountId;

use crate::support::{Api, group_of};

/// A judge who notes each question with some condition keys, and says no to one action.
#[derive(Default)]
struct Judge {
    asked: Mutex<Vec<String>>,
    refuses: Option<&'static str>,
}

impl Judge {
    fn take(&self) -> Vec<String> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Authorizer for Judge {
    fn account(&self) -> AccountId {
        AccountId::LAB
    }

    fn arn(&self) -> &str {
        "arn:aws:iam::111122223333:user/alice"
    }

    fn region(&self) -> &str {
        "us-west-2"
    }

    fn authorize(&self, question: &Question<'_>) -> Result<(), Denied> {
        let mut line = format!("{} {}", question.action, question.resource);
        for key in ["aws:ResourceTag/team", "aws:requesttag/TEAM", "aws:TagKeys"] {
            if let Some(values) = question.values(key) {
                line += &format!(" {key}={}", values.join(","));
            }
        }
        self.asked.lock().unwrap().push(line);
        match self.refuses {
            Some(action) if action == question.action => Err(Denied {
                message: "no".to_owned(),
            }),
            _ => Ok(()),
        }
    }

    fn bind_policy(&self, _: PolicyKind, document: &str) -> Result<String, PolicyRefusal> {
        Ok(document.to_owned())
    }

    fn show_policy(&self, document: &str) -> String {
        document.to_owned()
    }
}

/// Every operation that is built, with a request that succeeds, and what is asked about it.
fn requests(api: &Api) -> Vec<(&'static str, Value, Vec<String>)> {
    let accelerator = api.accelerator("a");
    let listener = api.listener(&accelerator, 80, 80);
    let group = api.group(&listener, "us-east-1");
    let spare = api.listener(&accelerator, 81, 81);
    let spare_group = api.group(&listener, "eu-west-1");
    let empty = api.accelerator("b");
    api.ok(
        "UpdateAccelerator",
        json!({"AcceleratorArn": empty, "Enabled": false}),
    );
    let endpoints = json!([{"EndpointId": "127.1.1.1"}]);
    let (a, l, g) = ("AcceleratorArn", "ListenerArn", "EndpointGroupArn");
    let of = |member: &str, arn: &String| json!({member: arn});
    let new_listener = json!({
        a: accelerator, "Protocol": "UDP", "PortRanges": [{"FromPort": 1, "ToPort": 1}],
        "IdempotencyToken": "t",
    });
    let add = json!({g: group, "EndpointConfigurations": endpoints});
    let remove = json!({g: group, "EndpointIdentifiers": endpoints});
    let tags = json!([{"Key": "Team", "Value": "red"}]);
    let tag = json!({"ResourceArn": group, "Tags": tags});
    let untag = json!({"ResourceArn": group, "TagKeys": ["x"]});
    let one = |arn: &String| vec![arn.clone()];
    let rows = vec![
        (
            "CreateAccelerator",
            json!({"Name": "c", "IdempotencyToken": "c"}),
            one(&"*".into()),
        ),
        ("ListAccelerators", json!({}), one(&"*".into())),
        (
            "ListCrossAccountResources",
            json!({"ResourceOwnerAwsAccountId": "111122223333"}),
            one(&"*".into()),
        ),
        (
            "DescribeAccelerator",
            of(a, &accelerator),
            one(&accelerator),
        ),
        ("UpdateAccelerator", of(a, &accelerator), one(&accelerator)),
        (
            "DescribeAcceleratorAttributes",
            of(a, &accelerator),
            one(&accelerator),
        ),
        (
            "UpdateAcceleratorAttributes",
            of(a, &accelerator),
            one(&accelerator),
        ),
        ("CreateListener", new_listener, one(&accelerator)),
        ("ListListeners", of(a, &accelerator), one(&accelerator)),
        ("DescribeListener", of(l, &listener), one(&listener)),
        ("UpdateListener", of(l, &listener), one(&listener)),
        (
            "CreateEndpointGroup",
            group_of(&listener, "us-west-2", json!({})),
            one(&listener),
        ),
        ("ListEndpointGroups", of(l, &listener), one(&listener)),
        ("DescribeEndpointGroup", of(g, &group), one(&group)),
        ("UpdateEndpointGroup", of(g, &group), one(&group)),
        (
            "ListTagsForResource",
            of("ResourceArn", &group),
            one(&group),
        ),
        (
            "TagResource",
            tag,
            vec![format!("{group} aws:requesttag/TEAM=red aws:TagKeys=Team")],
        ),
        (
            "UntagResource",
            untag,
            vec![format!("{group} aws:ResourceTag/team=red aws:TagKeys=x")],
        ),
        ("AddEndpoints", add, one(&group)),
        ("RemoveEndpoints", remove, one(&group)),
        (
            "DeleteEndpointGroup",
            of(g, &spare_group),
            one(&spare_group),
        ),
        ("DeleteListener", of(l, &spare), one(&spare)),
        ("DeleteAccelerator", of(a, &empty), one(&empty)),
    ];
    let row = |(name, body, asked): (&'static str, Value, Vec<String>)| {
        let asked = asked
            .iter()
            .map(|about| format!("globalaccelerator:{name} {about}"));
        (name, body, asked.collect())
    };
    rows.into_iter().map(row).collect()
}

#[test]
fn every_operation_asks_for_its_action_on_what_it_names() {
    let api = Api::new();
    let judge = Judge::default();
    let rows = requests(&api);
    let built = accelerator::Service::operations().filter(|(_, built)| *built);
    let mut built: Vec<&str> = built.map(|(name, _)| name).collect();
    let mut tried: Vec<&str> = rows.iter().map(|(name, ..)| *name).collect();
    built.sort_unstable();
    tried.sort_unstable();
    assert_eq!(tried, built);
    for (name, body, mut expected) in rows {
        let answer = api.call_as(&judge, name, body);
        answer.unwrap_or_else(|error| panic!("{name}: {error}"));
        if name == "AddEndpoints" || name == "RemoveEndpoints" {
            let tagged = " aws:ResourceTag/team=red";
            let about = expected.pop().unwrap();
            let about = about.split_once(' ').unwrap().1.to_owned();
            assert!(!about.contains(tagged));
            expected.push(format!("globalaccelerator:{name} {about}"));
            expected.push(format!("globalaccelerator:UpdateEndpointGroup {about}"));
        }
        let asked: Vec<String> = judge.take();
        let bare = |line: &String| match name {
            // The group has had its tag since it was given it.
            "AddEndpoints" | "RemoveEndpoints" => line.replace(" aws:ResourceTag/team=red", ""),
            _ => line.clone(),
        };
        assert_eq!(
            asked.iter().map(bare).collect::<Vec<_>>(),
            expected,
            "{name}"
        );
    }
}

#[test]
fn nothing_is_done_for_those_who_may_not() {
    let api = Api::new();
    for (name, body, _) in requests(&api) {
        let action = format!("globalaccelerator:{name}");
        let judge = Judge {
            refuses: Some(action.leak()),
            ..Judge::default()
        };
        let before = api.memory.view_now();
        let error = api.call_as(&judge, name, body).unwrap_err();
        assert_eq!(
            (error.code, error.message.as_str()),
            ("AccessDeniedException", "no")
        );
        assert_eq!(api.memory.view_now(), before, "{name}");
    }
}

#[test]
fn endpoints_are_changed_by_those_who_may_update_the_group() {
    let api = Api::new();
    let judge = Judge {
        refuses: Some("globalaccelerator:UpdateEndpointGroup"),
        ..Judge::default()
    };
    for (name, body, _) in requests(&api) {
        if matches!(name, "AddEndpoints" | "RemoveEndpoints") {
            let error = api.call_as(&judge, name, body).unwrap_err();
            assert_eq!(error.code, "AccessDeniedException", "{name}");
        }
    }
}

#[test]
fn an_accelerator_with_tags_is_made_by_those_who_may_tag() {
    let api = Api::new();
    let judge = Judge {
        refuses: Some("globalaccelerator:TagResource"),
        ..Judge::default()
    };
    let tags = json!([{"Key": "team", "Value": "blue"}]);
    let body = json!({"Name": "a", "IdempotencyToken": "t", "Tags": tags});
    let error = api.call_as(&judge, "CreateAccelerator", body).unwrap_err();
    assert_eq!(error.code, "AccessDeniedException");
    let keys = "aws:requesttag/TEAM=blue aws:TagKeys=team";
    let all = "arn:aws:globalaccelerator::111122223333:accelerator/*";
    let expected = [
        format!("globalaccelerator:CreateAccelerator * {keys}"),
        format!("globalaccelerator:TagResource {all} {keys}"),
    ];
    assert_eq!(judge.take(), expected);
    assert!(api.memory.view_now().entries.is_empty());
}

#[test]
fn a_resource_s_tags_are_told_by_kind() {
    let api = Api::new();
    let accelerator = api.accelerator("a");
    let listener = api.listener(&accelerator, 80, 80);
    for (arn, value) in [(&accelerator, "one"), (&listener, "two")] {
        let tags = json!([{"Key": "Team", "Value": value}]);
        api.ok("TagResource", json!({"ResourceArn": arn, "Tags": tags}));
    }
    let judge = Judge::default();
    let body = json!({"AcceleratorArn": accelerator});
    api.call_as(&judge, "DescribeAccelerator", body).unwrap();
    api.call_as(&judge, "DescribeListener", json!({"ListenerArn": listener}))
        .unwrap();
    let asked = judge.take();
    assert!(asked[0].ends_with("aws:ResourceTag/team=one"), "{asked:?}");
    assert!(asked[1].ends_with("aws:ResourceTag/team=two"), "{asked:?}");
}

#[test]
fn another_account_s_are_asked_about_as_that_account_s_and_are_not_there() {
    let api = Api::new();
    let mine = api.accelerator("a");
    let other = Owner::new("444455556666".parse().unwrap(), "us-west-2");
    let body = json!({"AcceleratorArn": mine});
    let error = api
        .call_as(&other, "DescribeAccelerator", body)
        .unwrap_err();
    assert_eq!(error.code, "AccessDeniedException");
    // Under its own number it has none of that id.
    let theirs = mine.replace("111122223333", "444455556666");
    let body = json!({"AcceleratorArn": theirs});
    for operation in ["DescribeAccelerator", "DeleteAccelerator", "ListListeners"] {
        let error = api.call_as(&other, operation, body.clone()).unwrap_err();
        assert_eq!(error.code, "AcceleratorNotFoundException", "{operation}");
    }
}

#[test]
fn what_names_nothing_is_refused_first_to_those_who_may_do_nothing() {
    let api = Api::new();
    let judge = Judge {
        refuses: Some("globalaccelerator:DescribeAccelerator"),
        ..Judge::default()
    };
    for (arn, about) in [
        (Value::Null, "*"),
        (json!(""), "*"),
        (json!("nonsense"), "nonsense"),
    ] {
        let body = json!({"AcceleratorArn": arn});
        let error = api
            .call_as(&judge, "DescribeAccelerator", body.clone())
            .unwrap_err();
        assert_eq!(error.code, "AccessDeniedException");
        assert_eq!(
            judge.take(),
            [format!("globalaccelerator:DescribeAccelerator {about}")]
        );
        assert_eq!(
            api.code("DescribeAccelerator", body),
            "InvalidArgumentException"
        );
    }
}
