//! Server certificates: what is stored of them, what is refused, and who may see a key.

use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, DnType, IsCa, KeyPair};

use crate::support::Api;

struct Pair {
    body: String,
    key: String,
    chain: String,
}

fn pair() -> Pair {
    let mut above = CertificateParams::new(Vec::new()).unwrap();
    above.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    above
        .distinguished_name
        .push(DnType::CommonName, "authority");
    let above = CertifiedIssuer::self_signed(above, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let own = CertificateParams::new(vec!["shop.example.com".to_owned()]).unwrap();
    let own = own.signed_by(&key, &above).unwrap();
    Pair {
        body: own.pem(),
        key: key.serialize_pem(),
        chain: above.pem(),
    }
}

const NAME: (&str, &str) = ("ServerCertificateName", "Shop");
const ARN: &str = "arn:aws:iam::111122223333:server-certificate/web/Shop";

fn upload(pair: &Pair) -> Vec<(&str, &str)> {
    vec![
        NAME,
        ("Path", "/web/"),
        ("CertificateBody", &pair.body),
        ("PrivateKey", &pair.key),
        ("CertificateChain", &pair.chain),
        ("Tags.member.1.Key", "team"),
        ("Tags.member.1.Value", "blue"),
    ]
}

#[test]
fn a_certificate_is_uploaded_read_listed_renamed_and_deleted() {
    let (api, pair) = (Api::new(), pair());
    let made = api.call("UploadServerCertificate", &upload(&pair)).ok();
    assert_eq!(made.one("Arn"), ARN);
    assert!(made.one("ServerCertificateId").starts_with("ASCA"));
    assert_eq!(made.one("Expiration"), "4096-01-01T00:00:00Z");
    let (code, _) = api.refused("UploadServerCertificate", &upload(&pair));
    assert_eq!(code, "EntityAlreadyExists");
    let read = api.call("GetServerCertificate", &[NAME]).ok();
    assert_eq!(read.one("CertificateBody"), pair.body.trim());
    assert_eq!(read.one("CertificateChain").trim(), pair.chain.trim());
    assert_eq!(read.all("Key"), ["team"]);
    for answer in [&made.text, &read.text] {
        assert!(!answer.contains("PRIVATE KEY"));
    }
    let listed = api
        .call("ListServerCertificates", &[("PathPrefix", "/web/")])
        .ok();
    assert_eq!(listed.all("ServerCertificateName"), ["Shop"]);
    let tag = [
        NAME,
        ("Tags.member.1.Key", "a"),
        ("Tags.member.1.Value", "b"),
    ];
    api.call("TagServerCertificate", &tag).ok();
    let tags = api.call("ListServerCertificateTags", &[NAME]).ok();
    assert_eq!(tags.all("Key"), ["a", "team"]);
    let untag = [NAME, ("TagKeys.member.1", "a")];
    api.call("UntagServerCertificate", &untag).ok();
    let renamed = [
        NAME,
        ("NewServerCertificateName", "Store"),
        ("NewPath", "/"),
    ];
    api.call("UpdateServerCertificate", &renamed).ok();
    assert_eq!(
        api.refused("GetServerCertificate", &[NAME]).0,
        "NoSuchEntity"
    );
    let name = ("ServerCertificateName", "store");
    let read = api.call("GetServerCertificate", &[name]).ok();
    assert_eq!(
        read.one("Arn"),
        "arn:aws:iam::111122223333:server-certificate/Store"
    );
    api.call("DeleteServerCertificate", &[name]).ok();
    assert_eq!(
        api.refused("DeleteServerCertificate", &[name]).0,
        "NoSuchEntity"
    );
}

#[test]
fn a_listener_opens_what_was_uploaded_and_nothing_shows_the_key() {
    let (api, pair) = (Api::new(), pair());
    api.call("UploadServerCertificate", &upload(&pair)).ok();
    let opened = api.service.server_certificate(ARN).unwrap();
    assert_eq!(opened.key.as_str(), pair.key);
    let both = format!("{}\n{}", pair.body.trim(), pair.chain.trim());
    assert_eq!(opened.chain, both);
    assert!(!format!("{opened:?}").contains("BEGIN"));
    for other in [
        "arn:aws:iam::111122223333:server-certificate/Shop",
        "arn:aws:iam::444455556666:server-certificate/web/Shop",
        "arn:aws:acm:us-east-1:111122223333:certificate/Shop",
    ] {
        assert!(api.service.server_certificate(other).is_none(), "{other}");
    }
    let kept = api.memory.view_now();
    let secret = pair.key.lines().nth(1).unwrap();
    for (key, (_, value)) in kept.entries {
        assert!(!String::from_utf8_lossy(&value).contains(secret), "{key}");
    }
}

#[test]
fn what_does_not_belong_together_is_refused() {
    let (api, one, other) = (Api::new(), pair(), pair());
    let code = |body: &str, key: &str, chain: &str| {
        let mut form = vec![NAME, ("CertificateBody", body), ("PrivateKey", key)];
        if !chain.is_empty() {
            form.push(("CertificateChain", chain));
        }
        api.refused("UploadServerCertificate", &form).0
    };
    let both = format!("{}{}", one.body, one.chain);
    assert_eq!(code(&one.body, &other.key, ""), "KeyPairMismatch");
    assert_eq!(code(&both, &one.key, ""), "MalformedCertificate");
    assert_eq!(code("x", &one.key, ""), "MalformedCertificate");
    assert_eq!(code(&one.body, "x", ""), "MalformedCertificate");
    assert_eq!(code(&one.body, &one.body, ""), "MalformedCertificate");
    assert_eq!(code(&one.body, &one.key, "x"), "MalformedCertificate");
    // A key that was put beside a certificate would be kept in the open.
    let combined = format!("{}{}", one.body, one.key);
    assert_eq!(code(&combined, &one.key, ""), "MalformedCertificate");
    let chain = format!("{}{}", one.chain, other.key);
    assert_eq!(code(&one.body, &one.key, &chain), "MalformedCertificate");
    // A chain that doesn't begin with who signed it.
    assert_eq!(code(&one.body, &one.key, &one.body), "MalformedCertificate");
    let long = "a".repeat(16_385);
    assert_eq!(code(&long, &one.key, ""), "ValidationError");
}

#[test]
fn a_certificate_that_a_listener_uses_is_not_deleted() {
    let (api, pair) = (Api::new(), pair());
    let made = api.call("UploadServerCertificate", &upload(&pair)).ok();
    let user = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/app/shop/1234";
    api.used
        .lock()
        .unwrap()
        .insert(ARN.to_owned(), user.to_owned());
    let (code, message) = api.refused("DeleteServerCertificate", &[NAME]);
    assert_eq!(code, "DeleteConflict");
    let id = made.one("ServerCertificateId");
    let words = format!(
        "Certificate: {id} is currently in use by {user}. Please remove it first before deleting \
         it from IAM."
    );
    assert_eq!(message, words);
    api.call("GetServerCertificate", &[NAME]).ok();
    api.used.lock().unwrap().clear();
    api.call("DeleteServerCertificate", &[NAME]).ok();
}

#[test]
fn a_certificate_that_is_renamed_in_use_is_found_by_its_id_and_its_old_arn_goes_to_no_other() {
    let (api, pair, other) = (Api::new(), pair(), pair());
    let made = api.call("UploadServerCertificate", &upload(&pair)).ok();
    let user = "arn:aws:elasticloadbalancing:eu-west-1:111122223333:loadbalancer/app/shop/1234";
    let uses = |arns: &[&str]| {
        let arns = arns.iter().map(|arn| ((*arn).to_owned(), user.to_owned()));
        *api.used.lock().unwrap() = arns.collect();
    };
    let renamed = |from: &str, to: &str| {
        let form = [
            ("ServerCertificateName", from),
            ("NewServerCertificateName", to),
        ];
        api.call("UpdateServerCertificate", &form)
    };
    uses(&[ARN]);
    renamed("Shop", "Store").ok();
    let name = ("ServerCertificateName", "Store");
    let read = api.call("GetServerCertificate", &[name]).ok();
    let now = "arn:aws:iam::111122223333:server-certificate/web/Store";
    assert_eq!(read.one("Arn"), now);
    assert_eq!(
        read.one("ServerCertificateId"),
        made.one("ServerCertificateId")
    );
    // The listener goes on with it, by either name.
    for arn in [ARN, now] {
        assert_eq!(
            api.service.server_certificate(arn).unwrap().key.as_str(),
            pair.key
        );
    }
    let (code, message) = api.refused("DeleteServerCertificate", &[name]);
    assert_eq!(code, "DeleteConflict");
    assert!(
        message.contains(&made.one("ServerCertificateId")),
        "{message}"
    );
    // Another one can't be slipped under the listener; one of another path can be had.
    assert_eq!(
        api.refused("UploadServerCertificate", &upload(&other)).0,
        "EntityAlreadyExists"
    );
    let mut elsewhere = upload(&other);
    elsewhere[1].1 = "/other/";
    api.call("UploadServerCertificate", &elsewhere).ok();
    let there = [NAME, ("NewPath", "/web/")];
    assert_eq!(
        api.refused("UpdateServerCertificate", &there).0,
        "EntityAlreadyExists"
    );
    assert_eq!(
        api.service.server_certificate(ARN).unwrap().key.as_str(),
        pair.key
    );
    // Once no listener names it, the ARN is free, and the certificate can be deleted.
    uses(&[]);
    api.call("UpdateServerCertificate", &there).ok();
    assert_eq!(
        api.service.server_certificate(ARN).unwrap().key.as_str(),
        other.key
    );
    api.call("DeleteServerCertificate", &[name]).ok();
    assert!(api.service.server_certificate(now).is_none());
}

#[test]
fn names_of_before_are_kept_while_they_are_used_and_no_more_than_so_many() {
    let (api, pair) = (Api::new(), pair());
    api.call("UploadServerCertificate", &upload(&pair)).ok();
    let arn = |n: usize| match n {
        0 => ARN.to_owned(),
        n => format!("arn:aws:iam::111122223333:server-certificate/web/n{n}"),
    };
    let name = |n: usize| match n {
        0 => "Shop".to_owned(),
        n => format!("n{n}"),
    };
    let rename = |n: usize| {
        let (from, to) = (name(n), name(n + 1));
        let form = [
            ("ServerCertificateName", from.as_str()),
            ("NewServerCertificateName", to.as_str()),
        ];
        api.call("UpdateServerCertificate", &form)
    };
    for n in 0..16 {
        api.used.lock().unwrap().insert(arn(n), "user".to_owned());
        rename(n).ok();
    }
    api.used.lock().unwrap().insert(arn(16), "user".to_owned());
    assert_eq!(rename(16).error().0, "LimitExceeded");
    api.used.lock().unwrap().remove(&arn(3));
    rename(16).ok();
    let found = |n: usize| api.service.server_certificate(&arn(n)).is_some();
    assert_eq!((0..18).filter(|n| !found(*n)).collect::<Vec<_>>(), [3]);
}
