//! The load: every request at its own moment, whatever became of those before it (an open loop),
//! and its latency from that moment, so that no slow answer is left out (no coordinated
//! omission). It remembers what became of each and judges nothing.

mod answers;
mod client;
mod network;
mod orders;
mod rows;
#[cfg(test)]
mod tests;

use std::net::Ipv4Addr;
use std::sync::{Arc, Mutex, PoisonError};

use bytes::Bytes;
use futures_util::future::join_all;
use gameday::scenario::{ClientKind, Load};
use gameday::{Outcome, Plan, Request};
use http::Response;
use tokio::sync::Semaphore;
use types::{Environment, Monotonic, Place, Region, Span};

use answers::{Answers, Belief, Phase};
use client::{Client, Trouble};
pub use network::Network;
use orders::{Orders, Prepared};
pub use rows::Database;
use rows::RowClient;

/// The last octet of the address from which names are looked at, in every place.
pub const WATCHER: u8 = 254;

/// Clients of each load, each with an address, a memory of the name and connections of its own.
/// Requests go to them in turn.
const CLIENTS: usize = 8;

/// Addresses of a place that clients take, from 1 on.
const ADDRESSES: usize = 250;

/// Requests of all loads that may be under way at once. One that is due beyond that isn't sent,
/// and counts as failed.
pub const UNDER_WAY: u32 = 4_096;

/// The header in which the application says which Region served.
const REGION_HEADER: &str = "x-region";

/// A client of a load.
enum User {
    /// Of an application.
    Http(Client),
    /// Of a global cluster.
    Sql(Arc<RowClient>),
}

/// The way of a load.
#[derive(Clone)]
pub struct Way {
    /// The network between its clients and what they go to.
    pub network: Arc<Network>,
    /// The global cluster, if it writes to one.
    pub database: Option<Arc<Database>>,
}

/// The loads of a game day.
pub struct Loads {
    plan: Arc<Plan>,
    /// The way of each load.
    ways: Vec<Way>,
    orders: Orders,
    limit: u32,
    under_way: Arc<Semaphore>,
    done: Mutex<Vec<Request>>,
    /// When the load starts.
    start: Monotonic,
}

impl Loads {
    /// The plan's loads, to start at that time; at most `limit` of their requests are under way
    /// at once.
    pub fn new(plan: &Arc<Plan>, ways: &[Way], start: Monotonic, limit: u32) -> Arc<Loads> {
        let expected = usize::try_from(plan.requests).unwrap_or(0);
        Arc::new(Loads {
            plan: Arc::clone(plan),
            ways: ways.to_vec(),
            orders: Orders::default(),
            limit,
            under_way: Arc::new(Semaphore::new(limit as usize)),
            done: Mutex::new(Vec::with_capacity(expected)),
            start,
        })
    }

    /// Sends every request of every load; ends when the last has its outcome.
    pub async fn run(self: &Arc<Self>) {
        let loads = self.plan.scenario.loads.iter().enumerate();
        join_all(loads.map(|(index, load)| self.drive(index, load))).await;
        let all = self.under_way.acquire_many(self.limit).await;
        drop(all.expect("it is never closed"));
    }

    /// How many requests have succeeded and failed so far.
    pub fn progress(&self) -> (usize, usize) {
        let done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        let succeeded = done.iter().filter(|request| request.outcome.is_ok());
        let succeeded = succeeded.count();
        (succeeded, done.len() - succeeded)
    }

    /// What became of every request.
    pub fn take(&self) -> Vec<Request> {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::take(&mut done)
    }

    async fn drive(self: &Arc<Self>, index: usize, load: &Load) {
        let way = &self.ways[index];
        let network = &way.network;
        let clients: Vec<Arc<User>> = (0..CLIENTS)
            .map(|number| Arc::new(new_user(index, number, load, way)))
            .collect();
        for number in 0..load.count() {
            let due = self.plan.due(index, number);
            let at = self.start + due;
            if network.now() < at {
                network.environment.sleep_until(at).await;
            }
            let client = Arc::clone(&clients[number as usize % CLIENTS]);
            let (loads, network) = (Arc::clone(self), Arc::clone(network));
            let mut request = Request {
                load: u16::try_from(index).expect("there are at most 32 loads"),
                ..loads.blank(due, network.now())
            };
            let task = load.task(index, number);
            let timeout = load.timeout;
            let Ok(permit) = Arc::clone(&self.under_way).try_acquire_owned() else {
                let prepared = self.orders.prepare(&self.plan, index, number, task);
                prepared.describe(&mut request);
                request.outcome = Outcome::NotSent;
                request.ended = request.began;
                self.remember(request);
                continue;
            };
            runtime::spawn(async move {
                // Given back however the task ends.
                let _permit = permit;
                let prepared = loads.orders.prepare(&loads.plan, index, number, task);
                prepared.describe(&mut request);
                loads
                    .attempt(&mut request, &network, &client, prepared, timeout)
                    .await;
                loads.remember(request);
            });
        }
    }

    /// Sends one request and notes what became of it.
    async fn attempt(
        &self,
        request: &mut Request,
        network: &Arc<Network>,
        user: &User,
        prepared: Prepared,
        timeout: Span,
    ) {
        let deadline = self.start + request.due + timeout;
        let left = deadline - network.now();
        let client = match user {
            User::Http(client) => client,
            User::Sql(client) => return self.insert(request, network, client, left).await,
        };
        let message = prepared.request(&network.host());
        let answer = runtime::within(left.into(), client.send(network, message)).await;
        request.ended = network.now() - self.start;
        request.outcome = match answer {
            None => Outcome::TimedOut,
            Some(Err(trouble)) => trouble.into(),
            Some(Ok(answer)) => {
                request.region = region_of(&answer);
                self.orders.judge(&prepared, &answer, request)
            }
        };
    }

    /// Inserts one row and notes what became of it.
    async fn insert(
        &self,
        request: &mut Request,
        network: &Arc<Network>,
        client: &Arc<RowClient>,
        left: Span,
    ) {
        let order = request.order.expect("a load of rows places each");
        let id = self.plan.order_id(order);
        // Which server acknowledges it, nobody knows before.
        request.version = 0;
        let answer = runtime::within(left.into(), client.insert(&id)).await;
        request.ended = network.now() - self.start;
        request.outcome = match answer {
            None => Outcome::TimedOut,
            Some(Err(trouble)) => trouble.into(),
            Some(Ok((region, timeline))) => {
                request.region = Some(region);
                request.version = timeline;
                Outcome::Ok
            }
        };
    }

    fn remember(&self, request: Request) {
        let mut done = self.done.lock().unwrap_or_else(PoisonError::into_inner);
        done.push(request);
    }

    fn blank(&self, due: Span, now: Monotonic) -> Request {
        Request {
            load: 0,
            verb: gameday::Verb::Get,
            due,
            began: now - self.start,
            ended: now - self.start,
            outcome: Outcome::TimedOut,
            region: None,
            order: None,
            version: 0,
        }
    }
}

fn new_user(load: usize, number: usize, of: &Load, way: &Way) -> User {
    let address = address(load, number, of.place);
    match &way.database {
        Some(database) => {
            let client = RowClient::new((of.place, address), database, &way.network);
            User::Sql(Arc::new(client))
        }
        None => User::Http(new_client(address, number, of, &way.network)),
    }
}

/// The address of a load's client of that number.
fn address(load: usize, number: usize, place: Region) -> Ipv4Addr {
    let last = (load * CLIENTS + number) % ADDRESSES + 1;
    let last = u8::try_from(last).expect("an octet");
    Place(place).address(last)
}

fn new_client(address: Ipv4Addr, number: usize, of: &Load, network: &Network) -> Client {
    let belief = match of.client.kind {
        ClientKind::HonoursTtl | ClientKind::Pooled => Belief::Ttl,
        ClientKind::Holds(span) => Belief::For(span),
        ClientKind::NeverResolvesAgain => Belief::Always,
        // They know where to go: one half to the one address, one to the other.
        ClientKind::Accelerator | ClientKind::AcceleratorPooled => Belief::Always,
        // It asks RDS, and has no answer of the DNS.
        ClientKind::FollowsTheWriter => Belief::Always,
    };
    let phase = Phase {
        part: number as u64 + 1,
        of: CLIENTS as u64,
    };
    let fixed = network.statics.get(number % network.statics.len().max(1));
    let answers = match fixed.filter(|_| of.accelerator.is_some()) {
        Some(fixed) => Answers::fixed(*fixed),
        None => Answers::new(belief, phase),
    };
    Client::new(
        of.place,
        address,
        answers,
        of.client.kind.is_pooled(),
        of.timeout,
    )
}

fn region_of(answer: &Response<Bytes>) -> Option<Region> {
    let header = answer.headers().get(REGION_HEADER)?;
    header.to_str().ok()?.parse().ok()
}

impl From<Trouble> for Outcome {
    fn from(trouble: Trouble) -> Outcome {
        match trouble {
            Trouble::Unanswered | Trouble::NoAddress => Outcome::NotResolved,
            Trouble::Refused => Outcome::Refused,
            Trouble::Unreachable | Trouble::Broken => Outcome::Reset,
            Trouble::Malformed => Outcome::Garbled,
            Trouble::Sql => Outcome::SqlError,
            Trouble::Status(status) => Outcome::Status(status.as_u16()),
        }
    }
}
