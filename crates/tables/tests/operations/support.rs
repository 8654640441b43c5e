//! A Region's tables on an empty database, driven without a runtime.

use std::future::Future;
use std::pin::pin;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll, Waker};

use aws::ServiceError;
use aws::access::{Authorizer, Owner};
use serde_json::{Value, json};
use store::MemoryEngine;
use tables::{Tables, TablesConfig};
use types::{
    AccountId, Deployment, Environment, Monotonic, Now, Region, Site, SiteId, SiteName, Sleep,
    Timestamp,
};

/// A clock that moves a millisecond with each look, and a counter for randomness.
#[derive(Default)]
pub struct StillEnvironment {
    looks: AtomicU64,
    draws: AtomicU64,
}

impl Environment for StillEnvironment {
    fn now(&self) -> Now {
        let looks = self.looks.fetch_add(1, Ordering::Relaxed);
        Now {
            wall: Timestamp(1_795_000_000_000 + looks),
            monotonic: Monotonic(looks),
        }
    }

    fn sleep_until(&self, _: Monotonic) -> Sleep {
        Box::pin(std::future::ready(()))
    }

    fn random(&self) -> u64 {
        let draws = self.draws.fetch_add(1, Ordering::Relaxed) + 1;
        draws.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// Polls until it is ready; other threads make it so.
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

/// A Region's tables.
pub struct Service {
    pub tables: Tables<MemoryEngine>,
    pub engine: MemoryEngine,
}

pub fn service() -> Service {
    service_on(MemoryEngine::new())
}

pub fn service_on(engine: MemoryEngine) -> Service {
    open(engine, &["us-east-1"])
}

/// The tables of the first of these Regions.
pub fn service_of(regions: &[&str]) -> Service {
    open(MemoryEngine::new(), regions)
}

fn open(engine: MemoryEngine, regions: &[&str]) -> Service {
    let regions = regions.iter().map(|name| name.parse().unwrap());
    let regions: Vec<Region> = regions.collect();
    let sites = (1..).zip(&regions).map(|(id, region)| Site {
        id: SiteId(id),
        name: SiteName::Region(*region),
        place: *region,
    });
    let config = TablesConfig {
        deployment: Deployment {
            sites: sites.collect(),
        },
        site: SiteId(1),
        region: regions[0],
        environment: Arc::new(StillEnvironment::default()),
        planted: None,
    };
    let tables = block_on(Tables::open(engine.clone(), config)).unwrap();
    Service { tables, engine }
}

impl Service {
    /// The response to an operation.
    pub fn call(&self, operation: &str, body: Value) -> Result<Value, ServiceError> {
        self.call_text(operation, &body.to_string())
    }

    pub fn call_text(&self, operation: &str, body: &str) -> Result<Value, ServiceError> {
        let owner = Owner::new(AccountId::LAB, "us-east-1");
        self.call_as(&owner, operation, body)
    }

    /// The response to an operation that somebody asks for.
    pub fn call_as(
        &self,
        caller: &dyn Authorizer,
        operation: &str,
        body: &str,
    ) -> Result<Value, ServiceError> {
        let response = block_on(self.tables.execute(caller, operation, body.as_bytes()))?;
        if response.is_empty() {
            return Ok(Value::Null);
        }
        Ok(serde_json::from_slice(&response).expect("a response is JSON"))
    }

    /// The response to an operation that must succeed.
    pub fn ok(&self, operation: &str, body: Value) -> Value {
        match self.call(operation, body.clone()) {
            Ok(response) => response,
            Err(error) => panic!("{operation} {body}: {error}"),
        }
    }

    /// The code and text of an operation that must fail.
    pub fn fails(&self, operation: &str, body: Value) -> String {
        match self.call(operation, body.clone()) {
            Ok(response) => panic!("{operation} {body} succeeded: {response}"),
            Err(error) => format!("{}: {}", error.code, error.message),
        }
    }

    /// A table with partition key `id` (S).
    pub fn plain(&self, name: &str) {
        self.ok("CreateTable", plain(name));
    }

    /// A table with partition key `id` (S) and sort key `at` (N).
    pub fn sorted(&self, name: &str) {
        self.ok("CreateTable", sorted(name));
    }

    /// Counts every table.
    pub fn measure(&self) {
        while block_on(self.tables.measure_step()).unwrap() == tables::MeasureProgress::Worked {}
    }

    /// Removes all that dropped tables left.
    pub fn purge(&self) {
        while block_on(self.tables.purge_step()).unwrap() == tables::PurgeProgress::Worked {}
    }
}

pub fn plain(name: &str) -> Value {
    json!({
        "TableName": name,
        "AttributeDefinitions": [{"AttributeName": "id", "AttributeType": "S"}],
        "KeySchema": [{"AttributeName": "id", "KeyType": "HASH"}],
        "BillingMode": "PAY_PER_REQUEST",
    })
}

pub fn sorted(name: &str) -> Value {
    json!({
        "TableName": name,
        "AttributeDefinitions": [
            {"AttributeName": "id", "AttributeType": "S"},
            {"AttributeName": "seq", "AttributeType": "N"},
        ],
        "KeySchema": [
            {"AttributeName": "id", "KeyType": "HASH"},
            {"AttributeName": "seq", "KeyType": "RANGE"},
        ],
        "BillingMode": "PAY_PER_REQUEST",
    })
}

/// `base` with the members of `change`; a null takes a member away.
pub fn with(mut base: Value, change: Value) -> Value {
    for (name, value) in change.as_object().unwrap() {
        if value.is_null() {
            base.as_object_mut().unwrap().remove(name);
        } else {
            base[name] = value.clone();
        }
    }
    base
}
