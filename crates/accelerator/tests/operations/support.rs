//! A site's API on an empty configuration in memory, driven without a runtime.

#[path = "../../../types/tests/support/configuration.rs"]
mod configuration;

use std::collections::BTreeMap;
use std::future::Future;
use std::net::IpAddr;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use accelerator::model::{AcceleratorId, EndpointGroupId, EndpointTarget, HealthState};
use accelerator::{
    EndpointHealth, LogAnswer, LogBuckets, LogRefusal, NodeView, Pools, Service, ServiceConfig,
    Targets,
};
use aws::ServiceError;
use aws::access::{Authorizer, Owner};
use serde_json::{Value, json};
use types::{AccountId, BalancerDirectory, BalancerEntry, Region, RegionBalancers};

pub use configuration::{Memory, StillEnvironment, View};

/// Keys of the service begin in several ways.
const PREFIX: &str = "";

/// Edges that serve a set revision, and checkers that found some endpoints as they are here.
#[derive(Default)]
pub struct Nodes {
    pub served: AtomicU64,
    pub found: Mutex<BTreeMap<IpAddr, (HealthState, &'static str)>>,
    pub balancers: Mutex<Arc<BalancerDirectory>>,
}

impl NodeView for Nodes {
    fn in_sync(&self, revision: u64) -> bool {
        self.served.load(Ordering::Relaxed) >= revision
    }

    fn health(
        &self,
        _: &AcceleratorId,
        _: &EndpointGroupId,
        target: &EndpointTarget,
    ) -> EndpointHealth {
        let EndpointTarget::Address(address) = target else {
            return EndpointHealth {
                state: HealthState::Healthy,
                reason: None,
            };
        };
        let found = self.found.lock().unwrap();
        match found.get(address) {
            Some((state, reason)) => EndpointHealth {
                state: *state,
                reason: Some((*reason).to_owned()),
            },
            None => EndpointHealth {
                state: HealthState::Initial,
                reason: None,
            },
        }
    }

    fn balancers(&self) -> Arc<BalancerDirectory> {
        self.balancers.lock().unwrap().clone()
    }
}

/// Buckets that take logs under these directories, or say why not.
#[derive(Default)]
pub struct Buckets(pub Mutex<BTreeMap<String, Result<String, LogRefusal>>>);

impl LogBuckets for Buckets {
    fn may_deliver<'a>(
        &'a self,
        account: AccountId,
        bucket: &'a str,
        directory: &'a str,
    ) -> LogAnswer<'a> {
        assert!(directory.contains(&account.to_string()));
        let known = self.0.lock().unwrap().get(bucket).cloned();
        let answer = match known.unwrap_or(Err(LogRefusal::NoBucket)) {
            Ok(allowed) if allowed == directory => Ok(()),
            Ok(_) => Err(LogRefusal::Denied),
            Err(refusal) => Err(refusal),
        };
        Box::pin(async move { answer })
    }
}

/// A site's API and what stands behind it.
pub struct Api {
    pub service: Service,
    pub memory: Arc<Memory>,
    pub nodes: Arc<Nodes>,
    pub buckets: Arc<Buckets>,
}

impl Api {
    pub fn new() -> Api {
        Api::with_pools(Ok(pools("127.80.0.0/16", "127.81.0.0/16")))
    }

    pub fn with_pools(pools: Result<Pools, String>) -> Api {
        Api::at_site(0, pools)
    }

    /// A site whose randomness is its own.
    pub fn at_site(site: u64, pools: Result<Pools, String>) -> Api {
        let (memory, nodes) = (Arc::<Memory>::default(), Arc::<Nodes>::default());
        let buckets = Arc::<Buckets>::default();
        let service = Service::new(ServiceConfig {
            environment: Arc::new(StillEnvironment {
                step: 1,
                draws: AtomicU64::new(site << 32),
                ..StillEnvironment::default()
            }),
            configuration: memory.clone(),
            nodes: nodes.clone(),
            pools,
            targets: Targets {
                allows: Arc::new(|address: IpAddr| address.is_loopback()),
                setting: "accelerator.targets".to_owned(),
            },
            log_buckets: buckets.clone(),
        });
        Api {
            service,
            memory,
            nodes,
            buckets,
        }
    }

    /// The answer to whoever calls.
    pub fn raw_as(
        &self,
        caller: &dyn Authorizer,
        operation: &str,
        body: &[u8],
    ) -> Result<Value, ServiceError> {
        let answer = block_on(self.service.execute(caller, operation, body))?;
        match answer.is_empty() {
            true => Ok(Value::Null),
            false => Ok(serde_json::from_slice(&answer).unwrap()),
        }
    }

    pub fn call_as(
        &self,
        caller: &dyn Authorizer,
        operation: &str,
        body: Value,
    ) -> Result<Value, ServiceError> {
        self.raw_as(caller, operation, body.to_string().as_bytes())
    }

    pub fn call(&self, operation: &str, body: Value) -> Result<Value, ServiceError> {
        self.call_as(&owner(), operation, body)
    }

    /// The answer of a call that succeeds.
    pub fn ok(&self, operation: &str, body: Value) -> Value {
        let shown = body.clone();
        let answer = self.call(operation, body);
        answer.unwrap_or_else(|error| panic!("{operation} {shown}: {error}"))
    }

    /// The code and the text of a call that is refused, and changes nothing.
    pub fn refused(&self, operation: &str, body: Value) -> (&'static str, String) {
        let before = self.memory.view_now();
        let shown = body.clone();
        let Err(error) = self.call(operation, body) else {
            panic!("{operation} {shown} is not refused");
        };
        assert_eq!(self.memory.view_now(), before, "{operation} {shown}");
        (error.code, error.message)
    }

    /// The code alone.
    pub fn code(&self, operation: &str, body: Value) -> &'static str {
        self.refused(operation, body).0
    }

    /// A new accelerator's ARN.
    pub fn accelerator(&self, name: &str) -> String {
        let made = self.ok(
            "CreateAccelerator",
            json!({"Name": name, "IdempotencyToken": name}),
        );
        text(&made["Accelerator"]["AcceleratorArn"])
    }

    /// A new listener's ARN: TCP on ports from one to another.
    pub fn listener(&self, accelerator: &str, from: u16, to: u16) -> String {
        let made = self.ok(
            "CreateListener",
            json!({
                "AcceleratorArn": accelerator,
                "PortRanges": [{"FromPort": from, "ToPort": to}],
                "Protocol": "TCP",
                "IdempotencyToken": format!("{from}-{to}"),
            }),
        );
        text(&made["Listener"]["ListenerArn"])
    }

    /// A new endpoint group's ARN.
    pub fn group(&self, listener: &str, region: &str) -> String {
        let made = self.ok("CreateEndpointGroup", group_of(listener, region, json!({})));
        text(&made["EndpointGroup"]["EndpointGroupArn"])
    }

    /// A load balancer of `us-east-1`, known to this site: its ARN.
    pub fn balancer(&self, kind: &str) -> String {
        let region: Region = "us-east-1".parse().unwrap();
        let arn =
            format!("arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/{kind}/it/1");
        let entry = BalancerEntry {
            arn: arn.clone(),
            dns_name: String::new(),
            hosted_zone: String::new(),
            nodes: Default::default(),
            ports: Default::default(),
            is_healthy: true,
        };
        let of = RegionBalancers {
            region,
            revision: 1,
            balancers: [(arn.clone(), entry)].into(),
            certificates: Default::default(),
        };
        let mut known = self.nodes.balancers.lock().unwrap();
        *known = BalancerDirectory([(region, of)].into()).into();
        arn
    }

    /// An endpoint group as it is described.
    pub fn described(&self, group: &str) -> Value {
        let found = self.ok("DescribeEndpointGroup", json!({"EndpointGroupArn": group}));
        found["EndpointGroup"].clone()
    }
}

/// The request for an endpoint group, with those members beside the required ones.
pub fn group_of(listener: &str, region: &str, more: Value) -> Value {
    let mut body = json!({
        "ListenerArn": listener,
        "EndpointGroupRegion": region,
        "IdempotencyToken": region,
    });
    merge(&mut body, more);
    body
}

/// Puts the members of one object over another's.
pub fn merge(body: &mut Value, more: Value) {
    let Value::Object(more) = more else {
        panic!("{more} is no object");
    };
    body.as_object_mut().unwrap().extend(more);
}

/// Those pools, and one of IPv6 that has room for all.
pub fn pools(one: &str, other: &str) -> Pools {
    pools_with(one, other, Ok("fd00:80::/64"))
}

/// Those pools, and that one of IPv6, or why there is none.
pub fn pools_with(one: &str, other: &str, ipv6: Result<&str, &str>) -> Pools {
    let ipv4 = [one, other].map(|text| text.parse().unwrap());
    let ipv6 = ipv6.map(|text| text.parse().unwrap());
    Pools::new(ipv4, ipv6.map_err(str::to_owned)).unwrap()
}

pub fn owner() -> Owner {
    Owner::new(AccountId::LAB, "us-west-2")
}

pub fn text(value: &Value) -> String {
    value.as_str().unwrap().to_owned()
}

/// Drives a future that never waits for anything outside.
pub fn block_on<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing here waits"),
    }
}
