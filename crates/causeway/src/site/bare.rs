//! A site without services: links to its peers, and an API that says by name that nothing is
//! built behind it. An edge is one until DNS and the accelerator come.

use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use link::{Link, LinkConfig, Port, Windows};
use runtime::{Refusal, Service, SystemEnvironment};
use serde_json::{Value, json};
use types::{Environment, SiteName, Span};

use super::{Site, Task};
use crate::protocol::{Question, SiteConfig};

/// What a peer may have under way to here: 8 MiB last for 300 Mbit/s at 220 ms of round trip.
const WINDOWS: Windows = Windows {
    control: 1 << 20,
    data: 8 << 20,
    bulk: 8 << 20,
};

/// The age at which a connection is replaced, so that a rotated certificate is in use everywhere
/// soon after.
const MAXIMUM_AGE: Span = Span::seconds(600);

/// A site without services.
pub(super) struct Bare {
    site: SiteName,
    ports: Vec<Arc<Port>>,
    environment: Arc<SystemEnvironment>,
}

impl Bare {
    pub(super) fn open(config: &SiteConfig, environment: Arc<SystemEnvironment>) -> Bare {
        let now = environment.now().monotonic;
        let port = |peer| {
            let config = LinkConfig {
                local: config.site,
                peer,
                windows: WINDOWS,
                maximum_age: MAXIMUM_AGE,
                seed: environment.random(),
            };
            Arc::new(Port::new(peer, Link::new(now, config)))
        };
        Bare {
            site: config.site,
            ports: config.peers.iter().map(|peer| port(peer.site)).collect(),
            environment: Arc::clone(&environment),
        }
    }
}

impl Service for Bare {
    async fn call(&self, _client: SocketAddr, _request: Request<Bytes>) -> Response<Bytes> {
        let text = format!("{} serves nothing yet\n", self.site);
        let mut response = Response::new(Bytes::from(text));
        *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
        response
    }

    fn refuse(&self, _head: Option<&Parts>, refusal: Refusal) -> Response<Bytes> {
        crate::supervisor::refusal_response(refusal)
    }
}

impl Site for Bare {
    fn ports(&self) -> Vec<Arc<Port>> {
        self.ports.clone()
    }

    fn tasks(self: Arc<Self>) -> Vec<(&'static str, Task<'static, ()>)> {
        let tasks = self.ports.iter().map(|port| {
            let task: Task<'static, ()> =
                Box::pin(drain(Arc::clone(port), self.environment.clone()));
            ("drain", task)
        });
        tasks.collect()
    }

    fn answer(&self, question: Question) -> Task<'_, Result<Value, String>> {
        Box::pin(async move {
            match question {
                Question::Status => Ok(json!({})),
                Question::Lag | Question::Conflicts { .. } | Question::Operations => Ok(json!([])),
                Question::Verify => Ok(json!({ "findings": [] })),
                Question::Conflict { .. } | Question::Restore { .. } => Ok(Value::Null),
            }
        })
    }

    fn close(&self) -> Task<'_, ()> {
        Box::pin(async {})
    }
}

/// Takes what arrives, so that a peer's window doesn't fill: there is nobody here to want it.
async fn drain(port: Arc<Port>, environment: Arc<SystemEnvironment>) {
    loop {
        let bell = port.site_bell();
        while let Some(delivery) = port.next_delivery() {
            port.consumed(environment.now().monotonic, delivery.receipt);
        }
        bell.await;
    }
}
