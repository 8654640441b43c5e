//! A site's API on an empty configuration in memory, driven without a runtime.

#[path = "../../../types/tests/support/configuration.rs"]
mod configuration;

use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use aws::access::{Authorizer, Owner};
use bytes::Bytes;
use http::{Request, Response};
use routing::{
    Name, NodeView, Observation, OutsideAddress, OutsideAnswer, OutsideName, OutsideNames,
    OutsideZone, Service, ServiceConfig, Targets, TestAnswer, TestQuestion, ZoneId,
};
use types::{AccountId, HealthCheckId};

pub use configuration::{Memory, StillEnvironment, View};

/// Keys of the service begin in several ways.
const PREFIX: &str = "";

/// DNS nodes that serve a set revision, and checkers that saw one thing.
#[derive(Default)]
pub struct Nodes {
    pub served: AtomicU64,
    pub seen: Mutex<Vec<Observation>>,
    pub asked: Mutex<Vec<TestQuestion>>,
}

impl NodeView for Nodes {
    fn in_sync(&self, revision: u64) -> bool {
        self.served.load(Ordering::Relaxed) >= revision
    }

    fn observations(&self, _: &HealthCheckId) -> Vec<Observation> {
        self.seen.lock().unwrap().clone()
    }

    fn test_answer(&self, question: &TestQuestion) -> TestAnswer {
        self.asked.lock().unwrap().push(question.clone());
        TestAnswer {
            values: vec!["192.0.2.1".to_owned()],
            code: "NOERROR".to_owned(),
            protocol: "UDP".to_owned(),
        }
    }
}

fn of_accelerator(address: &str) -> OutsideAddress {
    OutsideAddress {
        address: address.parse().unwrap(),
        check: HealthCheckId("accelerator/1".to_owned()),
    }
}

/// One name of another service.
fn outside() -> OutsideNames {
    let name = |text: &str| Name::parse(text).unwrap();
    let stands = OutsideName {
        addresses: ["127.80.0.1", "127.81.0.1"].map(of_accelerator).into(),
        answer: OutsideAnswer::One,
    };
    let zone = OutsideZone {
        name: name("awsglobalaccelerator.com"),
        ttl: 300,
        names: [(name("a1.awsglobalaccelerator.com"), stands)].into(),
    };
    OutsideNames([(ZoneId::new("Z2BJ6XQ5FK7U4H").unwrap(), zone)].into())
}

/// A site's API and what stands behind it.
pub struct Api {
    pub service: Service,
    pub memory: Arc<Memory>,
    pub nodes: Arc<Nodes>,
}

/// An answer: its status, its document's text.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Answer {
    pub status: u16,
    pub location: Option<String>,
    pub text: String,
}

impl Answer {
    /// The texts of the elements of that name, in order.
    pub fn all(&self, name: &str) -> Vec<String> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let parts = self.text.split(&open).skip(1);
        let inner = parts.map(|part| part.split(&close).next().unwrap());
        let unescape = |text: &str| {
            text.replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&amp;", "&")
        };
        inner.map(unescape).collect()
    }

    /// The text of the first element of that name.
    pub fn one(&self, name: &str) -> String {
        let all = self.all(name);
        all.into_iter()
            .next()
            .unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    /// An error's code and text.
    pub fn error(&self) -> (String, String) {
        assert!(self.status >= 400, "{self:?}");
        (self.one("Code"), self.one("Message"))
    }

    /// It succeeded.
    pub fn ok(self) -> Answer {
        assert!(self.status < 300, "{self:?}");
        self
    }
}

impl Api {
    pub fn new() -> Api {
        let (memory, nodes) = (Arc::<Memory>::default(), Arc::<Nodes>::default());
        let service = Service::new(ServiceConfig {
            environment: Arc::new(StillEnvironment {
                step: 1,
                ..StillEnvironment::default()
            }),
            configuration: memory.clone(),
            nodes: nodes.clone(),
            targets: Targets {
                allows: Arc::new(|address: IpAddr| address.is_loopback()),
                setting: "health.targets".to_owned(),
            },
            outside: Arc::new(|_| outside()),
        });
        Api {
            service,
            memory,
            nodes,
        }
    }

    pub fn raw(&self, method: &str, path: &str, body: &[u8]) -> Answer {
        let owner = Owner::new(AccountId::LAB, "us-east-1");
        self.raw_as(&owner, method, path, body)
    }

    /// The answer to whoever calls.
    pub fn raw_as(&self, caller: &dyn Authorizer, method: &str, path: &str, body: &[u8]) -> Answer {
        let request = Request::builder()
            .method(method)
            .uri(format!("/2013-04-01/{path}"));
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let body = Bytes::copy_from_slice(body);
        let response: Response<Bytes> =
            block_on(self.service.execute(caller, &parts, &body, "REQUEST"));
        assert_eq!(response.headers()["x-amzn-requestid"], "REQUEST");
        let location = response.headers().get("location");
        Answer {
            status: response.status().as_u16(),
            location: location.map(|value| value.to_str().unwrap().to_owned()),
            text: String::from_utf8(response.body().to_vec()).unwrap(),
        }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.raw("GET", path, b"")
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.raw("DELETE", path, b"")
    }

    /// Posts a document whose root is the operation's, with that inside.
    pub fn post(&self, operation: &str, path: &str, inner: &str) -> Answer {
        let document = format!(
            "<{operation}Request xmlns=\"https://route53.amazonaws.com/doc/2013-04-01/\">{inner}\
             </{operation}Request>"
        );
        self.raw("POST", path, document.as_bytes())
    }

    /// A new zone's bare id.
    pub fn zone(&self, name: &str) -> String {
        let reference = self.memory.view_now().revision;
        let inner = format!("<Name>{name}</Name><CallerReference>r{reference}</CallerReference>");
        let created = self.post("CreateHostedZone", "hostedzone", &inner).ok();
        created
            .one("Id")
            .trim_start_matches("/hostedzone/")
            .to_owned()
    }

    /// Makes a batch of changes: each `ACTION` and the inside of a `ResourceRecordSet`.
    pub fn batch(&self, zone: &str, changes: &[(&str, String)]) -> Answer {
        let changes: String = changes
            .iter()
            .map(|(action, set)| {
                format!(
                    "<Change><Action>{action}</Action><ResourceRecordSet>{set}</ResourceRecordSet>\
                     </Change>"
                )
            })
            .collect();
        let inner = format!("<ChangeBatch><Changes>{changes}</Changes></ChangeBatch>");
        let path = format!("hostedzone/{zone}/rrset/");
        self.post("ChangeResourceRecordSets", &path, &inner)
    }

    /// The messages of a batch that must be refused, without their brackets.
    pub fn faults(&self, zone: &str, changes: &[(&str, String)]) -> String {
        let before = self.memory.view_now();
        let (code, message) = self.batch(zone, changes).error();
        assert_eq!(code, "InvalidChangeBatch", "{message}");
        assert_eq!(
            self.memory.view_now(),
            before,
            "a refused batch changed something"
        );
        let bare = message
            .strip_prefix('[')
            .and_then(|text| text.strip_suffix(']'));
        bare.unwrap_or_else(|| panic!("no brackets: {message}"))
            .to_owned()
    }

    /// A new health check's id.
    pub fn check(&self, reference: &str) -> String {
        let inner = format!(
            "<CallerReference>{reference}</CallerReference><HealthCheckConfig>\
             <IPAddress>127.1.1.1</IPAddress><Port>8080</Port><Type>HTTP</Type>\
             <ResourcePath>/health</ResourcePath></HealthCheckConfig>"
        );
        self.post("CreateHealthCheck", "healthcheck", &inner)
            .ok()
            .one("Id")
    }
}

/// A record set with values of its own.
pub fn values(name: &str, kind: &str, ttl: u32, values: &[&str]) -> String {
    format!(
        "<Name>{name}</Name><Type>{kind}</Type>{}",
        content(ttl, values)
    )
}

/// The same, chosen by a policy: `<Weight>1</Weight>`, say.
pub fn chosen(name: &str, kind: &str, id: &str, policy: &str, ttl: u32, value: &str) -> String {
    format!(
        "<Name>{name}</Name><Type>{kind}</Type><SetIdentifier>{id}</SetIdentifier>{policy}{}",
        content(ttl, &[value])
    )
}

fn content(ttl: u32, values: &[&str]) -> String {
    let records: String = values
        .iter()
        .map(|value| format!("<ResourceRecord><Value>{value}</Value></ResourceRecord>"))
        .collect();
    format!("<TTL>{ttl}</TTL><ResourceRecords>{records}</ResourceRecords>")
}

/// An alias, with what stands before it.
pub fn alias(
    name: &str,
    kind: &str,
    before: &str,
    zone: &str,
    target: &str,
    health: bool,
) -> String {
    format!(
        "<Name>{name}</Name><Type>{kind}</Type>{before}<AliasTarget><HostedZoneId>{zone}\
         </HostedZoneId><DNSName>{target}</DNSName><EvaluateTargetHealth>{health}\
         </EvaluateTargetHealth></AliasTarget>"
    )
}

/// Polls until it is ready.
pub fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    loop {
        if let Poll::Ready(output) = future.as_mut().poll(&mut context) {
            return output;
        }
        std::thread::yield_now();
    }
}
