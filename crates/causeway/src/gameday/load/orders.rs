//! What the requests of loads do, as HTTP, and what the application's answers say: orders that
//! are placed, shared orders that are written in turn with rising versions, and reads of either.
//! It knows the example application's contract: `POST /orders` with `id` and `version`,
//! `GET /orders/ID`.

use std::collections::BTreeMap;
use std::sync::{Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use gameday::scenario::Work;
use gameday::{Order, Outcome, Plan, Request, Task, Verb};
use http::header::{CONTENT_TYPE, HOST};
use http::{Response, StatusCode};
use serde::Deserialize;
use serde_json::json;

/// What is read while no order was acknowledged yet: no load places one of that id.
const NO_ORDER: &str = "none";

/// What all loads together know of the orders.
#[derive(Default)]
pub struct Orders(Mutex<Known>);

#[derive(Default)]
struct Known {
    /// The orders in the sequence in which they were acknowledged.
    acknowledged: Vec<Order>,
    /// The highest version of each shared order that was sent.
    sent: BTreeMap<Order, u32>,
}

/// A request, before it is sent.
pub struct Prepared {
    verb: Verb,
    order: Option<Order>,
    version: u32,
    path: String,
    body: Option<String>,
}

impl Orders {
    /// What a load's request of that number is: choices are the plan's.
    pub fn prepare(&self, plan: &Plan, load: usize, number: u32, task: Task) -> Prepared {
        match task {
            Task::Place(order) => write(plan, Verb::Place, order, 1),
            Task::Update(order) => {
                let mut known = self.known();
                let sent = known.sent.entry(order).or_default();
                *sent += 1;
                write(plan, Verb::Update, order, *sent)
            }
            Task::Read(order) => read(plan, Some(order)),
            Task::ReadAcknowledged => {
                let known = self.known();
                let chosen = plan.choose(load, number, known.acknowledged.len() as u64);
                let chosen = chosen.and_then(|index| usize::try_from(index).ok());
                read(
                    plan,
                    chosen.and_then(|index| known.acknowledged.get(index).copied()),
                )
            }
            Task::Get => {
                let work = plan.scenario.loads.get(load).map(|load| &load.work);
                let path = match work {
                    Some(Work::Get { path }) => path.clone(),
                    _ => "/".to_owned(),
                };
                Prepared {
                    verb: Verb::Get,
                    order: None,
                    version: 0,
                    path,
                    body: None,
                }
            }
        }
    }

    /// What an answer means; notes what it acknowledges, and in the request which version it read.
    pub fn judge(
        &self,
        prepared: &Prepared,
        answer: &Response<Bytes>,
        request: &mut Request,
    ) -> Outcome {
        let status = answer.status();
        match prepared.verb {
            Verb::Read if status == StatusCode::NOT_FOUND => {
                request.version = 0;
                Outcome::Ok
            }
            _ if !status.is_success() => Outcome::Status(status.as_u16()),
            Verb::Read => match serde_json::from_slice::<Stored>(answer.body()) {
                Ok(stored) => {
                    request.version = stored.version;
                    Outcome::Ok
                }
                Err(_) => Outcome::Garbled,
            },
            Verb::Place => {
                self.known().acknowledged.extend(prepared.order);
                Outcome::Ok
            }
            Verb::Update | Verb::Get => Outcome::Ok,
        }
    }

    fn known(&self) -> MutexGuard<'_, Known> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// What is read of an order.
#[derive(Deserialize)]
struct Stored {
    version: u32,
}

fn write(plan: &Plan, verb: Verb, order: Order, version: u32) -> Prepared {
    let body = json!({ "id": plan.order_id(order), "version": version });
    Prepared {
        verb,
        order: Some(order),
        version,
        path: "/orders".to_owned(),
        body: Some(body.to_string()),
    }
}

fn read(plan: &Plan, order: Option<Order>) -> Prepared {
    let id = order.map_or(NO_ORDER.to_owned(), |order| plan.order_id(order));
    Prepared {
        verb: Verb::Read,
        order,
        version: 0,
        path: format!("/orders/{id}"),
        body: None,
    }
}

impl Prepared {
    /// Notes in the request what it is about.
    pub fn describe(&self, request: &mut Request) {
        request.verb = self.verb;
        request.order = self.order;
        request.version = self.version;
    }

    /// As HTTP, for that host.
    pub fn request(&self, host: &str) -> http::Request<Bytes> {
        let request = http::Request::builder().uri(&self.path).header(HOST, host);
        let request = match &self.body {
            None => request.method("GET").body(Bytes::new()),
            Some(body) => request
                .method("POST")
                .header(CONTENT_TYPE, "application/json")
                .body(Bytes::from(body.clone())),
        };
        request.expect("a checked path and host make a request")
    }
}
