//! Access keys: made once, sealed at rest, switched off and on, deleted.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use identity::model::AccessKey;
use identity::{Purpose, Sealer, entries};
use zeroize::Zeroizing;

use crate::support::{Answer, Api};

fn with_user() -> Api {
    let api = Api::new();
    api.call("CreateUser", &[("UserName", "Alice")]).ok();
    api
}

fn create(api: &Api) -> Answer {
    api.call("CreateAccessKey", &[("UserName", "alice")])
}

#[test]
fn a_key_is_told_once_and_kept_sealed() {
    let api = with_user();
    let created = create(&api).ok();
    let (id, secret) = (created.one("AccessKeyId"), created.one("SecretAccessKey"));
    assert!(id.starts_with("AKIA") && id.len() == 20, "{id}");
    assert_eq!(secret.len(), 40);
    assert_eq!(created.one("Status"), "Active");
    assert_eq!(created.one("UserName"), "Alice");
    let listed = api.call("ListAccessKeys", &[("UserName", "alice")]).ok();
    assert!(!listed.text.contains(&secret));
    let view = api.memory.view_now();
    for (key, (_, bytes)) in &view.entries {
        let text = String::from_utf8_lossy(bytes);
        assert!(!text.contains(&secret), "{key} has the secret");
    }
    let stored: AccessKey = view.read(&entries::access_key_key(&id)).unwrap();
    assert_eq!(stored.user, "alice");
    let sealed = STANDARD.decode(stored.sealed).unwrap();
    let sealer = Sealer::new(&Zeroizing::new([9; 32]));
    let opened = sealer.open(Purpose::AccessKey, &id, &sealed).unwrap();
    assert_eq!(opened.as_slice(), secret.as_bytes());
    assert!(
        sealer
            .open(Purpose::AccessKey, "AKIAOTHER", &sealed)
            .is_err()
    );
}

#[test]
fn a_user_has_two_keys_at_most() {
    let api = with_user();
    let ids = [create(&api), create(&api)].map(|created| created.ok().one("AccessKeyId"));
    assert_ne!(ids[0], ids[1]);
    let refused = create(&api).error();
    assert_eq!(refused.0, "LimitExceeded");
    assert_eq!(refused.1, "Cannot exceed quota for AccessKeysPerUser: 2");
    let delete = [("UserName", "alice"), ("AccessKeyId", &*ids[0])];
    api.call("DeleteAccessKey", &delete).ok();
    let view = api.memory.view_now();
    assert_eq!(view.get_key(&ids[0]), None);
    create(&api).ok();
}

#[test]
fn keys_are_switched_off_and_on() {
    let api = with_user();
    let id = create(&api).ok().one("AccessKeyId");
    let set = |status: &str| {
        let parameters = [
            ("UserName", "alice"),
            ("AccessKeyId", &*id),
            ("Status", status),
        ];
        api.call("UpdateAccessKey", &parameters)
    };
    let status = || {
        let listed = api.call("ListAccessKeys", &[("UserName", "alice")]);
        listed.ok().one("Status")
    };
    set("Inactive").ok();
    assert_eq!(status(), "Inactive");
    assert!(!api.memory.view_now().get_key(&id).unwrap().active);
    set("Active").ok();
    assert_eq!(status(), "Active");
    assert_eq!(set("Expired").error().0, "InvalidInput");
    assert_eq!(set("active").error().0, "ValidationError");
}

#[test]
fn a_key_of_somebody_else_cannot_be_found() {
    let api = with_user();
    api.call("CreateUser", &[("UserName", "bob")]).ok();
    let id = create(&api).ok().one("AccessKeyId");
    for operation in ["DeleteAccessKey", "UpdateAccessKey"] {
        for (user, id) in [("bob", &*id), ("alice", "AKIAIOSFODNN7EXAMPLE")] {
            let parameters = [
                ("UserName", user),
                ("AccessKeyId", id),
                ("Status", "Inactive"),
            ];
            let refused = api.refused(operation, &parameters);
            assert_eq!(refused.0, "NoSuchEntity");
            assert_eq!(
                refused.1,
                format!("The Access Key with id {id} cannot be found.")
            );
        }
    }
    for id in ["short", "AKIA/OSFODNN7EXAMPLE", ""] {
        let refused = api.refused("GetAccessKeyLastUsed", &[("AccessKeyId", id)]);
        assert_eq!(refused.0, "ValidationError", "{id}");
    }
}

#[test]
fn when_a_key_was_used_nobody_keeps() {
    let api = with_user();
    let id = create(&api).ok().one("AccessKeyId");
    let answer = api
        .call("GetAccessKeyLastUsed", &[("AccessKeyId", &id)])
        .ok();
    assert_eq!(answer.one("UserName"), "Alice");
    assert_eq!(answer.one("ServiceName"), "N/A");
    assert_eq!(answer.one("Region"), "N/A");
    assert!(answer.all("LastUsedDate").is_empty());
}

#[test]
fn keys_come_in_pages() {
    let api = with_user();
    let ids = [create(&api), create(&api)].map(|created| created.ok().one("AccessKeyId"));
    let list = |parameters: &[(&str, &str)]| {
        let parameters = [&[("UserName", "alice")], parameters].concat();
        api.call("ListAccessKeys", &parameters).ok()
    };
    let first = list(&[("MaxItems", "1")]);
    let second = list(&[("MaxItems", "1"), ("Marker", &first.one("Marker"))]);
    let mut seen = [first.one("AccessKeyId"), second.one("AccessKeyId")];
    let mut ids = ids;
    seen.sort();
    ids.sort();
    assert_eq!(seen, ids);
    assert_eq!(second.one("IsTruncated"), "false");
}
