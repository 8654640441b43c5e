//! A Region's API on an empty configuration in memory, driven without a runtime.

#![allow(
    dead_code,
    reason = "what makes listeners and groups is for tests to come"
)]

#[path = "../../../types/tests/support/configuration.rs"]
mod configuration;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use aws::access::{Authorizer, Owner};
use balancer::model::TargetKey;
use balancer::{
    NodePools, NodeView, Service, ServiceConfig, Surroundings, TargetGroupArn, TargetHealth,
    TargetState,
};
use bytes::Bytes;
use types::{AccountId, AvailabilityZone, Region, ZoneLetter, network};

pub use configuration::{Memory, StillEnvironment, View};

/// How all keys begin that the service writes.
const PREFIX: &str = "balancer/";

/// Nodes that serve a set revision, where every target is healthy; and what else is in the Region.
#[derive(Default)]
pub struct Around {
    pub served: AtomicU64,
    pub instances: Mutex<BTreeMap<String, (IpAddr, AvailabilityZone)>>,
    pub certificates: Mutex<BTreeSet<String>>,
}

impl NodeView for Around {
    fn serves(&self, revision: u64) -> bool {
        self.served.load(Ordering::Relaxed) >= revision
    }

    fn target_health(&self, _: &TargetGroupArn, _: &TargetKey) -> TargetHealth {
        TargetHealth {
            state: TargetState::Healthy,
            reason: None,
            description: None,
        }
    }
}

impl Surroundings for Around {
    fn instance(&self, id: &str) -> Option<(IpAddr, AvailabilityZone)> {
        self.instances.lock().unwrap().get(id).copied()
    }

    fn zone_of(&self, address: IpAddr) -> Option<AvailabilityZone> {
        let zone = address == IpAddr::from([127, 1, 1, 11]);
        zone.then(|| zones()[0])
    }

    fn allows_target(&self, address: IpAddr) -> bool {
        address.is_loopback()
    }

    fn target_setting(&self) -> &str {
        "balancer.targets"
    }

    fn has_certificate(&self, arn: &str) -> bool {
        self.certificates.lock().unwrap().contains(arn)
    }

    fn has_security_group(&self, id: &str) -> bool {
        id == "sg-0123456789abcdef0"
    }
}

/// An element: what it has, elements or text.
#[derive(Clone, Default, Debug)]
pub struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// The root of a document as the service writes it.
    fn read(text: &str) -> Element {
        let mut open = vec![Element::default()];
        for part in text
            .split('<')
            .skip(1)
            .filter(|part| !part.starts_with('?'))
        {
            let (tag, text) = part.split_once('>').unwrap();
            if let Some(name) = tag.strip_prefix('/') {
                let closed = open.pop().unwrap();
                assert_eq!(closed.name, name);
                open.last_mut().unwrap().children.push(closed);
                continue;
            }
            let entities = [
                ("&lt;", "<"),
                ("&gt;", ">"),
                ("&quot;", "\""),
                ("&apos;", "'"),
            ];
            let plain = entities
                .iter()
                .fold(text.to_owned(), |text, (entity, meant)| {
                    text.replace(entity, meant)
                });
            open.push(Element {
                name: tag.split(' ').next().unwrap().to_owned(),
                text: plain.replace("&amp;", "&"),
                children: Vec::new(),
            });
        }
        open.pop().unwrap().children.remove(0)
    }
}

/// An element of an answer.
#[derive(Clone, Debug)]
pub struct Answer(pub Element);

impl Answer {
    /// The element inside, by a path of names and of members' numbers: `LoadBalancers/0/State`.
    pub fn find(&self, path: &str) -> Option<Answer> {
        let mut at = self.0.clone();
        for part in path.split('/') {
            let mut children = at.children.into_iter();
            at = match part.parse::<usize>() {
                Ok(number) => children.nth(number)?,
                Err(_) => children.find(|child| child.name == part)?,
            };
        }
        Some(Answer(at))
    }

    /// The text there.
    pub fn text(&self, path: &str) -> String {
        let found = self.find(path);
        found
            .unwrap_or_else(|| panic!("no {path} in {:?}", self.0))
            .0
            .text
    }

    /// How many members a list there has.
    pub fn count(&self, path: &str) -> usize {
        let found = self.find(path);
        found
            .unwrap_or_else(|| panic!("no {path} in {:?}", self.0))
            .0
            .children
            .len()
    }

    /// The texts of a member of each member of a list.
    pub fn each(&self, list: &str, member: &str) -> Vec<String> {
        (0..self.count(list))
            .map(|number| self.text(&format!("{list}/{number}/{member}")))
            .collect()
    }
}

/// Parameters of a request: a form's text, `&`-separated and unescaped but for what tests escape.
pub type Parameters<'a> = &'a [(&'a str, &'a str)];

/// A Region's API and what stands behind it.
pub struct Api {
    pub service: Service,
    pub memory: Arc<Memory>,
    pub around: Arc<Around>,
    pub environment: Arc<StillEnvironment>,
}

impl Api {
    pub fn new() -> Api {
        let networks = ZoneLetter::ALL.into_iter().map(|zone| {
            let network = format!("127.{}.1.0/24", 32 + zone.index());
            (zone, network.parse().unwrap())
        });
        Api::with_pools(Ok(NodePools::new(networks.collect()).unwrap()))
    }

    pub fn with_pools(pools: Result<NodePools, String>) -> Api {
        let (memory, around) = (Arc::<Memory>::default(), Arc::<Around>::default());
        let environment = Arc::<StillEnvironment>::default();
        let service = Service::new(ServiceConfig {
            environment: environment.clone(),
            configuration: memory.clone(),
            region: region(),
            nodes: around.clone(),
            surroundings: around.clone(),
            pools,
        });
        Api {
            service,
            memory,
            around,
            environment,
        }
    }

    /// The answer to whoever calls: the result, or the code and the text of a refusal.
    pub fn call_as(
        &self,
        caller: &dyn Authorizer,
        operation: &str,
        parameters: Parameters<'_>,
    ) -> Result<Answer, (String, String)> {
        let mut form = format!("Action={operation}&Version=2015-12-01");
        for (name, value) in parameters {
            form.push_str(&format!("&{name}={}", escape(value)));
        }
        let (status, root) = self.raw(caller, &form);
        if status == 200 {
            let result = root.find(&format!("{operation}Result"));
            return Ok(result.expect("an answer has a result"));
        }
        Err((root.text("Error/Code"), root.text("Error/Message")))
    }

    /// The status and the document that a form is answered with.
    pub fn raw(&self, caller: &dyn Authorizer, form: &str) -> (u16, Answer) {
        let request = http::Request::post("/")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(())
            .unwrap();
        let (parts, ()) = request.into_parts();
        let body = Bytes::from(form.to_owned());
        let answer = block_on(self.service.execute(caller, &parts, &body, "ID"));
        let text = std::str::from_utf8(answer.body()).unwrap();
        (answer.status().as_u16(), Answer(Element::read(text)))
    }

    pub fn call(
        &self,
        operation: &str,
        parameters: Parameters<'_>,
    ) -> Result<Answer, (String, String)> {
        self.call_as(&owner(), operation, parameters)
    }

    /// The answer of a call that succeeds.
    pub fn ok(&self, operation: &str, parameters: Parameters<'_>) -> Answer {
        let answer = self.call(operation, parameters);
        answer.unwrap_or_else(|error| panic!("{operation} {parameters:?}: {error:?}"))
    }

    /// The code and the text of a call that is refused, and changes nothing.
    pub fn refused(&self, operation: &str, parameters: Parameters<'_>) -> (String, String) {
        let before = self.memory.view_now();
        let Err(error) = self.call(operation, parameters) else {
            panic!("{operation} {parameters:?} is not refused");
        };
        assert_eq!(self.memory.view_now(), before, "{operation} {parameters:?}");
        error
    }

    /// The code alone.
    pub fn code(&self, operation: &str, parameters: Parameters<'_>) -> String {
        self.refused(operation, parameters).0
    }

    /// A new application load balancer in zones a and b: its ARN.
    pub fn balancer(&self, name: &str) -> String {
        self.balancer_of(name, "application")
    }

    pub fn balancer_of(&self, name: &str, kind: &str) -> String {
        let (one, other) = (subnet(0), subnet(1));
        let made = self.ok(
            "CreateLoadBalancer",
            &[
                ("Name", name),
                ("Type", kind),
                ("Subnets.member.1", &one),
                ("Subnets.member.2", &other),
            ],
        );
        made.text("LoadBalancers/0/LoadBalancerArn")
    }

    /// A new target group of addresses: its ARN.
    pub fn group(&self, name: &str, protocol: &str) -> String {
        let vpc = network::default_vpc(region());
        let made = self.ok(
            "CreateTargetGroup",
            &[
                ("Name", name),
                ("Protocol", protocol),
                ("Port", "8080"),
                ("VpcId", &vpc),
                ("TargetType", "ip"),
            ],
        );
        made.text("TargetGroups/0/TargetGroupArn")
    }

    /// A new listener that forwards to a group: its ARN.
    pub fn listener(&self, balancer: &str, protocol: &str, port: &str, group: &str) -> String {
        let made = self.ok(
            "CreateListener",
            &[
                ("LoadBalancerArn", balancer),
                ("Protocol", protocol),
                ("Port", port),
                ("DefaultActions.member.1.Type", "forward"),
                ("DefaultActions.member.1.TargetGroupArn", group),
            ],
        );
        made.text("Listeners/0/ListenerArn")
    }

    /// A new rule of a path: its ARN.
    pub fn rule(&self, listener: &str, priority: &str, path: &str) -> String {
        let made = self.ok("CreateRule", &rule_of(listener, priority, path));
        made.text("Rules/0/RuleArn")
    }
}

/// The parameters of a rule of a path, which answers 404.
pub fn rule_of<'a>(listener: &'a str, priority: &'a str, path: &'a str) -> [(&'a str, &'a str); 6] {
    [
        ("ListenerArn", listener),
        ("Priority", priority),
        ("Conditions.member.1.Field", "path-pattern"),
        ("Conditions.member.1.Values.member.1", path),
        ("Actions.member.1.Type", "fixed-response"),
        ("Actions.member.1.FixedResponseConfig.StatusCode", "404"),
    ]
}

fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escaped = text.bytes().map(|byte| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    escaped.collect()
}

pub fn region() -> Region {
    "us-east-1".parse().unwrap()
}

pub fn zones() -> Vec<AvailabilityZone> {
    AvailabilityZone::of(region()).collect()
}

pub fn subnet(zone: usize) -> String {
    network::default_subnet(zones()[zone])
}

pub fn owner() -> Owner {
    Owner::new(AccountId::LAB, "us-east-1")
}

/// Drives a future that never waits for anything outside.
pub fn block_on<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing here waits"),
    }
}
