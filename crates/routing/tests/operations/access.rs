//! Who is asked what: resources, condition keys, accounts.

use std::sync::Mutex;

use aws::access::{Authorizer, Denied, Owner, PolicyKind, PolicyRefusal, Question};
use types::AccountId;

use crate::support::{Answer, Api, values};

/// The condition keys that a question is asked for.
const KEYS: [&str; 6] = [
    "route53:ChangeResourceRecordSetsNormalizedRecordNames",
    "route53:changeresourcerecordsetsRecordTypes",
    "route53:ChangeResourceRecordSetsActions",
    "aws:TagKeys",
    "aws:RequestTag/team",
    "aws:ResourceTag/team",
];

/// A judge that writes down what it is asked, and admits what its rule admits.
struct Clerk {
    asked: Mutex<Vec<Asked>>,
    rule: fn(&Asked) -> bool,
}

#[derive(Clone, PartialEq, Debug)]
struct Asked {
    action: String,
    resource: String,
    keys: Vec<(&'static str, Vec<String>)>,
}

fn clerk(rule: fn(&Asked) -> bool) -> Clerk {
    Clerk {
        asked: Mutex::default(),
        rule,
    }
}

impl Clerk {
    /// What was asked since the last time.
    fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Authorizer for Clerk {
    fn account(&self) -> AccountId {
        AccountId::LAB
    }

    fn arn(&self) -> &str {
        "arn:aws:iam::111122223333:user/alice"
    }

    fn region(&self) -> &str {
        "us-east-1"
    }

    fn authorize(&self, question: &Question<'_>) -> Result<(), Denied> {
        assert_eq!(question.account, AccountId::LAB);
        let value = |key: &'static str| Some((key, question.values(key)?.into_owned()));
        let asked = Asked {
            action: question.action.clone().into_owned(),
            resource: question.resource.clone().into_owned(),
            keys: KEYS.into_iter().filter_map(value).collect(),
        };
        let admitted = (self.rule)(&asked);
        self.asked.lock().unwrap().push(asked);
        match admitted {
            true => Ok(()),
            false => Err(Denied {
                message: "no".to_owned(),
            }),
        }
    }

    fn bind_policy(&self, _: PolicyKind, document: &str) -> Result<String, PolicyRefusal> {
        Ok(document.to_owned())
    }

    fn show_policy(&self, document: &str) -> String {
        document.to_owned()
    }
}

fn texts(values: &[&str]) -> Vec<String> {
    values.iter().map(ToString::to_string).collect()
}

fn document(operation: &str, inner: &str) -> String {
    format!("<{operation}Request>{inner}</{operation}Request>")
}

fn create(api: &Api, caller: &dyn Authorizer, name: &str, reference: &str) -> Answer {
    let inner = format!("<Name>{name}</Name><CallerReference>{reference}</CallerReference>");
    let body = document("CreateHostedZone", &inner);
    api.raw_as(caller, "POST", "hostedzone", body.as_bytes())
}

fn bare(created: &Answer) -> String {
    created
        .one("Id")
        .trim_start_matches("/hostedzone/")
        .to_owned()
}

fn second() -> Owner {
    Owner::new("444455556666".parse().unwrap(), "us-east-1")
}

#[test]
fn each_kind_of_request_names_what_it_is_about() {
    let api = Api::new();
    let all = clerk(|_| true);
    let tags = document(
        "ListTagsForResources",
        "<ResourceIds><ResourceId>Z1</ResourceId><ResourceId>Z2</ResourceId></ResourceIds>",
    );
    for (method, path, body, action, resources) in [
        ("GET", "hostedzone", "", "ListHostedZones", &["*"][..]),
        (
            "GET",
            "hostedzone/Z1",
            "",
            "GetHostedZone",
            &["arn:aws:route53:::hostedzone/Z1"],
        ),
        (
            "GET",
            "hostedzone/Z1/rrset",
            "",
            "ListResourceRecordSets",
            &["arn:aws:route53:::hostedzone/Z1"],
        ),
        (
            "GET",
            "healthcheck/abc/status",
            "",
            "GetHealthCheckStatus",
            &["arn:aws:route53:::healthcheck/abc"],
        ),
        (
            "GET",
            "change/C1",
            "",
            "GetChange",
            &["arn:aws:route53:::change/C1"],
        ),
        (
            "GET",
            "tags/healthcheck/abc",
            "",
            "ListTagsForResource",
            &["arn:aws:route53:::healthcheck/abc"],
        ),
        (
            "POST",
            "tags/hostedzone",
            &tags,
            "ListTagsForResources",
            &[
                "arn:aws:route53:::hostedzone/Z1",
                "arn:aws:route53:::hostedzone/Z2",
            ],
        ),
    ] {
        api.raw_as(&all, method, path, body.as_bytes());
        let asked = all.asked();
        let found: Vec<&str> = asked.iter().map(|asked| asked.resource.as_str()).collect();
        assert_eq!(found, resources, "{action}");
        assert!(
            asked
                .iter()
                .all(|asked| asked.action == format!("route53:{action}"))
        );
    }
}

#[test]
fn the_changes_of_a_batch_are_condition_keys() {
    let api = Api::new();
    let zone = api.zone("example.com");
    let change = |action: &str, set: String| {
        format!(
            "<Change><Action>{action}</Action><ResourceRecordSet>{set}</ResourceRecordSet></Change>"
        )
    };
    let changes = [
        change(
            "UPSERT",
            values("WWW.Example.com.", "A", 60, &["192.0.2.1"]),
        ),
        change("CREATE", values("*.example.com", "TXT", 60, &["\"x\""])),
    ];
    let inner = format!(
        "<ChangeBatch><Changes>{}</Changes></ChangeBatch>",
        changes.concat()
    );
    let body = document("ChangeResourceRecordSets", &inner);
    let path = format!("hostedzone/{zone}/rrset");
    let before = api.memory.view_now();
    let only_a = clerk(|asked| asked.keys[1].1.iter().all(|kind| kind == "A"));
    let refused = api.raw_as(&only_a, "POST", &path, body.as_bytes());
    assert_eq!(refused.status, 403);
    assert_eq!(
        refused.error(),
        ("AccessDenied".to_owned(), "no".to_owned())
    );
    assert_eq!(api.memory.view_now(), before);
    assert_eq!(
        only_a.asked()[0].keys,
        [
            (KEYS[0], texts(&["www.example.com", "\\052.example.com"])),
            (KEYS[1], texts(&["A", "TXT"])),
            (KEYS[2], texts(&["UPSERT", "CREATE"])),
        ]
    );
    api.raw_as(&clerk(|_| true), "POST", &path, body.as_bytes())
        .ok();
}

#[test]
fn tags_given_and_tags_there_are_condition_keys() {
    let api = Api::new();
    let check = api.check("c");
    let path = format!("tags/healthcheck/{check}");
    let inner = "<AddTags><Tag><Key>Team</Key><Value>blue</Value></Tag></AddTags>\
                 <RemoveTagKeys><Key>old</Key></RemoveTagKeys>";
    let body = document("ChangeTagsForResource", inner);
    let all = clerk(|_| true);
    api.raw_as(&all, "POST", &path, body.as_bytes()).ok();
    assert_eq!(
        all.asked()[0].keys,
        [
            (KEYS[3], texts(&["Team", "old"])),
            (KEYS[4], texts(&["blue"]))
        ]
    );
    api.raw_as(&all, "GET", &format!("healthcheck/{check}"), b"")
        .ok();
    assert_eq!(all.asked()[0].keys, [(KEYS[5], texts(&["blue"]))]);
}

#[test]
fn a_refusal_comes_after_what_cannot_be_read_and_before_what_is_wrong() {
    let api = Api::new();
    let nobody = clerk(|_| false);
    let code = |method: &str, path: &str, body: &str| {
        api.raw_as(&nobody, method, path, body.as_bytes()).error().0
    };
    assert_eq!(code("GET", "nothing", ""), "UnknownOperationException");
    assert_eq!(code("POST", "trafficpolicy", ""), "NotImplemented");
    assert_eq!(code("POST", "hostedzone", "<"), "InvalidInput");
    assert_eq!(code("POST", "hostedzone", ""), "AccessDenied");
    assert_eq!(code("GET", "hostedzone/Z1", ""), "AccessDenied");
    assert_eq!(code("GET", "healthcheck?maxitems=-1", ""), "AccessDenied");
}

#[test]
fn an_account_sees_its_own_zones_checks_changes_and_tags() {
    let api = Api::new();
    let other = second();
    // One reference in two accounts is two references.
    let mine = api.post(
        "CreateHostedZone",
        "hostedzone",
        "<Name>example.com</Name><CallerReference>r</CallerReference>",
    );
    let theirs = create(&api, &other, "example.net", "r").ok();
    let (zone, change) = (bare(&theirs), theirs.all("Id")[1].clone());
    let change = change.trim_start_matches("/change/").to_owned();
    let check = document(
        "CreateHealthCheck",
        "<CallerReference>c</CallerReference><HealthCheckConfig><IPAddress>127.1.1.1</IPAddress>\
         <Port>80</Port><Type>TCP</Type></HealthCheckConfig>",
    );
    let check = api.raw_as(&other, "POST", "healthcheck", check.as_bytes());
    let check = check.ok().one("Id");
    api.check("c");
    let tag = document(
        "ChangeTagsForResource",
        "<AddTags><Tag><Key>a</Key><Value>b</Value></Tag></AddTags>",
    );
    for (path, code) in [
        (format!("hostedzone/{zone}"), "NoSuchHostedZone"),
        (format!("hostedzone/{zone}/rrset"), "NoSuchHostedZone"),
        (format!("hostedzone/{zone}/dnssec"), "NoSuchHostedZone"),
        (
            format!("testdnsanswer?hostedzoneid={zone}&recordname=a.example.net&recordtype=A"),
            "NoSuchHostedZone",
        ),
        (format!("tags/hostedzone/{zone}"), "NoSuchHostedZone"),
        (format!("change/{change}"), "NoSuchChange"),
        (format!("healthcheck/{check}"), "NoSuchHealthCheck"),
        (format!("healthcheck/{check}/status"), "NoSuchHealthCheck"),
        (format!("tags/healthcheck/{check}"), "NoSuchHealthCheck"),
    ] {
        assert_eq!(api.get(&path).error().0, code, "{path}");
        api.raw_as(&other, "GET", &path, b"").ok();
    }
    let before = api.memory.view_now();
    let set = values("a.example.net", "A", 60, &["192.0.2.1"]);
    assert_eq!(
        api.batch(&zone, &[("CREATE", set)]).error().0,
        "NoSuchHostedZone"
    );
    let tags = format!("tags/hostedzone/{zone}");
    assert_eq!(
        api.raw("POST", &tags, tag.as_bytes()).error().0,
        "NoSuchHostedZone"
    );
    assert_eq!(
        api.delete(&format!("hostedzone/{zone}")).error().0,
        "NoSuchHostedZone"
    );
    assert_eq!(
        api.delete(&format!("healthcheck/{check}")).error().0,
        "NoSuchHealthCheck"
    );
    assert_eq!(api.memory.view_now(), before);
    for path in ["hostedzone", "hostedzonesbyname"] {
        assert_eq!(api.get(path).all("Name"), ["example.com."]);
        assert_eq!(
            api.raw_as(&other, "GET", path, b"").all("Name"),
            ["example.net."]
        );
    }
    assert_eq!(api.get("hostedzonecount").one("HostedZoneCount"), "1");
    assert_eq!(api.get("healthcheckcount").one("HealthCheckCount"), "1");
    assert_eq!(
        api.raw_as(&other, "GET", "healthcheck", b"")
            .all("HealthCheck")
            .len(),
        1
    );
    assert_eq!(mine.status, 201);
    // What another account checks can't be depended on.
    let own = bare(&mine);
    let set = values("b.example.com", "A", 60, &["192.0.2.1"]);
    let set = format!("{set}<HealthCheckId>{check}</HealthCheckId>");
    assert_eq!(
        api.batch(&own, &[("CREATE", set)]).error().0,
        "NoSuchHealthCheck"
    );
    api.raw_as(&other, "DELETE", &format!("hostedzone/{zone}"), b"")
        .ok();
    create(&api, &other, "example.net", "r").ok();
}

#[test]
fn a_name_of_another_accounts_zone_is_had_by_delegation_alone() {
    let api = Api::new();
    let zone = api.zone("example.com");
    let other = second();
    for name in ["example.com", "app.example.com"] {
        let refused = create(&api, &other, name, name);
        assert_eq!(refused.error().0, "ConflictingDomainExists", "{name}");
    }
    // Above it there is nothing to take.
    create(&api, &other, "example.org", "org").ok();
    let handed = values("app.example.com", "NS", 60, &["ns.example.org"]);
    api.batch(&zone, &[("CREATE", handed)]).ok();
    create(&api, &other, "app.example.com", "app").ok();
    // Then it is the other's. Its own names it may have as often as it likes.
    let owner = Owner::new(AccountId::LAB, "us-east-1");
    let taken = create(&api, &owner, "x.app.example.com", "taken");
    assert_eq!(taken.error().0, "ConflictingDomainExists");
    api.zone("example.com");
}
