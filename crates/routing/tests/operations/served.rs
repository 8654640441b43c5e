//! What the API writes, as a DNS node reads and answers it.

use routing::{
    AnswerContext, Locator, Name, Node, RecordKind, SmallRandom, TestAnswer, TestQuestion, ZoneId,
};
use types::HealthCheckId;

use crate::support::{Api, alias, chosen, values};

/// A node that serves what the API configured.
struct Served<'a> {
    api: &'a Api,
    node: Node,
    zone: String,
}

impl Served<'_> {
    fn answer(&self, name: &str, kind: RecordKind) -> TestAnswer {
        self.answer_of(&self.zone, name, kind)
    }

    fn answer_of(&self, zone: &str, name: &str, kind: RecordKind) -> TestAnswer {
        self.node.refresh(&self.api.memory.view_now());
        let question = TestQuestion {
            zone: ZoneId::new(zone).unwrap(),
            name: Name::parse(name).unwrap(),
            kind,
            resolver: None,
            client_subnet: None,
        };
        let context = AnswerContext {
            board: self.node.board(),
            locator: self.node.locator(),
        };
        let snapshot = self.node.snapshot();
        assert!(snapshot.faults().is_empty(), "{:?}", snapshot.faults());
        assert_eq!(snapshot.revision(), self.api.memory.view_now().revision);
        let explanation = snapshot.explain(&question.inquiry(), &context, &mut SmallRandom::new(1));
        TestAnswer::of(&question, &explanation)
    }
}

#[test]
fn a_node_answers_what_was_configured_by_health_and_place() {
    let api = Api::new();
    let zone = api.zone("example.com");
    let check = api.check("c");
    let healthy = format!("<HealthCheckId>{check}</HealthCheckId>");
    let failover = |role: &str, address: &str| {
        let policy = format!("<Failover>{role}</Failover>");
        chosen("app.example.com", "A", role, &policy, 5, address)
    };
    let latency = |region: &str, address: &str| {
        let policy = format!("<Region>{region}</Region>");
        chosen("near.example.com", "A", region, &policy, 5, address)
    };
    api.batch(
        &zone,
        &[
            ("CREATE", failover("PRIMARY", "192.0.2.1") + &healthy),
            ("CREATE", failover("SECONDARY", "192.0.2.2")),
            ("CREATE", latency("us-west-2", "192.0.2.3")),
            ("CREATE", latency("us-east-2", "192.0.2.4")),
            (
                "CREATE",
                alias("*.example.com", "A", "", &zone, "app.example.com", true),
            ),
            (
                "CREATE",
                values("t.example.com", "TXT", 5, &["\"a \\\" b\""]),
            ),
        ],
    )
    .ok();
    let served = Served {
        api: &api,
        node: Node::new(Locator::new(None)),
        zone,
    };
    let of = |name: &str| served.answer(name, RecordKind::A).values;
    assert_eq!(of("app.example.com"), ["192.0.2.1"]);
    assert_eq!(of("any.example.com"), ["192.0.2.1"]);
    // The resolver is taken to be in us-east-1.
    assert_eq!(of("near.example.com"), ["192.0.2.4"]);
    served.node.board().set(&HealthCheckId(check), false);
    assert_eq!(of("app.example.com"), ["192.0.2.2"]);
    assert_eq!(of("any.example.com"), ["192.0.2.2"]);
    assert_eq!(
        served.answer("t.example.com", RecordKind::Txt).values,
        ["\"a \\\" b\""]
    );
    let soa = served.answer("example.com", RecordKind::Soa).values;
    assert!(soa[0].contains("awsdns-hostmaster.amazon.com."), "{soa:?}");
    assert_eq!(served.answer("example.com", RecordKind::Ns).values.len(), 4);
    let none = served.answer("t.example.com", RecordKind::A);
    assert_eq!((none.code.as_str(), none.values.len()), ("NOERROR", 0));
    // Another zone has the longer name: this one isn't asked.
    let inner = api.zone("t.example.com");
    assert_eq!(
        served.answer("x.t.example.com", RecordKind::A).code,
        "REFUSED"
    );
    let missing = served.answer_of(&inner, "x.t.example.com", RecordKind::A);
    assert_eq!(missing.code, "NXDOMAIN");
}
