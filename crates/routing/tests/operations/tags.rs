//! Tags of zones and health checks.

use crate::support::Api;

fn added(pairs: &[(&str, &str)]) -> String {
    let tags: String = pairs
        .iter()
        .map(|(key, value)| format!("<Tag><Key>{key}</Key><Value>{value}</Value></Tag>"))
        .collect();
    format!("<AddTags>{tags}</AddTags>")
}

#[test]
fn tags_are_added_replaced_removed_and_listed() {
    let api = Api::new();
    let (zone, check) = (api.zone("a.com"), api.check("c"));
    for path in [
        format!("tags/hostedzone/{zone}"),
        format!("tags/healthcheck/{check}"),
    ] {
        let change = |inner: &str| api.post("ChangeTagsForResource", &path, inner).ok();
        assert!(api.get(&path).ok().all("Tag").is_empty());
        change(&added(&[("b", "2"), ("a", "1"), ("c", "")]));
        change(&format!(
            "{}<RemoveTagKeys><Key>c</Key></RemoveTagKeys>",
            added(&[("b", "3")])
        ));
        let listed = api.get(&path).ok();
        assert_eq!(
            (listed.all("Key"), listed.all("Value")),
            (
                vec!["a".to_owned(), "b".to_owned()],
                vec!["1".to_owned(), "3".to_owned()],
            )
        );
    }
    let ids = format!("<ResourceIds><ResourceId>{zone}</ResourceId></ResourceIds>");
    let listed = api
        .post("ListTagsForResources", "tags/hostedzone", &ids)
        .ok();
    assert_eq!(listed.all("ResourceId"), [zone]);
    assert_eq!(listed.all("Key"), ["a", "b"]);
}

#[test]
fn one_tag_of_a_name_is_judged_and_kept() {
    let api = Api::new();
    let path = format!("tags/hostedzone/{}", api.zone("a.com"));
    let change = |inner: &str| api.post("ChangeTagsForResource", &path, inner);
    for twice in ["Team", "team"] {
        let refused = change(&added(&[("Team", "blue"), (twice, "red")])).error();
        assert_eq!(refused.0, "InvalidInput");
        assert!(refused.1.contains(&format!("duplicate tag key {twice}.")));
    }
    change(&added(&[("Team", "blue")])).ok();
    let refused = change(&added(&[("a", "1"), ("TEAM", "red")])).error();
    assert_eq!(refused.0, "InvalidInput");
    let listed = api.get(&path).ok();
    assert_eq!(listed.all("Key"), ["Team"]);
    // The same key is taken, and another spelling in place of the one that goes.
    change(&added(&[("Team", "green")])).ok();
    let instead = "<RemoveTagKeys><Key>Team</Key></RemoveTagKeys>";
    change(&format!("{}{instead}", added(&[("team", "red")]))).ok();
    let listed = api.get(&path).ok();
    assert_eq!(
        (listed.all("Key"), listed.all("Value")),
        (vec!["team".to_owned()], vec!["red".to_owned()])
    );
}

#[test]
fn tags_are_limited_and_hang_on_what_is_there() {
    let api = Api::new();
    let zone = api.zone("a.com");
    let path = format!("tags/hostedzone/{zone}");
    let change = |path: &str, inner: &str| api.post("ChangeTagsForResource", path, inner);
    let ten: Vec<String> = (0..10).map(|number| format!("k{number}")).collect();
    let ten: Vec<(&str, &str)> = ten.iter().map(|key| (key.as_str(), "v")).collect();
    change(&path, &added(&ten)).ok();
    let proposals = api
        .memory
        .proposals
        .load(std::sync::atomic::Ordering::Relaxed);
    change(&path, &added(&ten[..1])).ok();
    let again = api
        .memory
        .proposals
        .load(std::sync::atomic::Ordering::Relaxed);
    assert_eq!(again, proposals, "nothing new was proposed");
    for (path, inner, code) in [
        (path.as_str(), added(&[("more", "v")]), "InvalidInput"),
        (path.as_str(), String::new(), "InvalidInput"),
        (
            path.as_str(),
            added(&[(&"k".repeat(129), "v")]),
            "InvalidInput",
        ),
        (
            path.as_str(),
            added(&[("k", &"v".repeat(257))]),
            "InvalidInput",
        ),
        ("tags/other/Z1", added(&[("k", "v")]), "InvalidInput"),
        (
            "tags/hostedzone/Z1",
            added(&[("k", "v")]),
            "NoSuchHostedZone",
        ),
        (
            "tags/healthcheck/x",
            added(&[("k", "v")]),
            "NoSuchHealthCheck",
        ),
    ] {
        assert_eq!(change(path, &inner).error().0, code, "{path} {inner}");
    }
    assert_eq!(api.get("tags/hostedzone/Z1").error().0, "NoSuchHostedZone");
    let ids = "<ResourceId>Z1</ResourceId>".repeat(11);
    let listed = api.post(
        "ListTagsForResources",
        "tags/hostedzone",
        &format!("<ResourceIds>{ids}</ResourceIds>"),
    );
    assert_eq!(listed.error().0, "InvalidInput");
}
