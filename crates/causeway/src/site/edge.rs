//! An edge as a site process runs it: it has a seat in the council, with a vote where the Regions
//! need one, and serves nothing yet.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;

use bytes::Bytes;
use edge::{Edge, EdgeConfig};
use http::request::Parts;
use http::{Request, Response, StatusCode};
use link::Port;
use runtime::{Refusal, Service, SystemEnvironment};
use serde_json::{Value, json};
use store::EmbeddedEngine;
use types::{Environment, SiteId};

use super::database::open_engine;
use super::{Site, Task};
use crate::failure::Failure;
use crate::protocol::{Question, SiteConfig};

/// An edge in its process.
pub(super) struct EdgeSite(Arc<Edge<EmbeddedEngine>>);

impl EdgeSite {
    /// Opens the edge on the database in its directory.
    pub(super) async fn open(
        config: &SiteConfig,
        environment: &Arc<SystemEnvironment>,
        ports: BTreeMap<SiteId, Arc<Port>>,
    ) -> Result<EdgeSite, Failure> {
        let settings = EdgeConfig {
            deployment: config.deployment.clone(),
            site: config.id()?,
            largest_round_trip: config.largest_round_trip(),
        };
        let clocks: Arc<dyn Environment> = environment.clone();
        let edge = Edge::open(open_engine(config).await?, settings, clocks, ports).await;
        Ok(EdgeSite(edge.map_err(Failure::did_not_hold)?))
    }
}

impl Service for EdgeSite {
    /// An edge listens nowhere yet, so this is never asked.
    async fn call(&self, _client: SocketAddr, _request: Request<Bytes>) -> Response<Bytes> {
        let text = format!("{} serves nothing yet\n", self.0.name());
        let mut response = Response::new(Bytes::from(text));
        *response.status_mut() = StatusCode::NOT_IMPLEMENTED;
        response
    }

    fn refuse(&self, _head: Option<&Parts>, refusal: Refusal) -> Response<Bytes> {
        crate::supervisor::refusal_response(refusal)
    }
}

impl Site for EdgeSite {
    fn tasks(&self) -> Vec<(&'static str, Task<'static, ()>)> {
        let edge = Arc::clone(&self.0);
        let failed: Task<'static, ()> = Box::pin(async move {
            let reason = edge.failed().await;
            tracing::error!(reason, "this edge can't go on");
        });
        let tasks = self.0.tasks().into_iter();
        let tasks = tasks.map(|task| ("edge", task));
        tasks.chain([("failure", failed)]).collect()
    }

    fn answer(&self, question: Question) -> Task<'_, Result<Value, String>> {
        Box::pin(async move {
            match question {
                Question::Status => {
                    let status = self.0.status();
                    let council = &status.council;
                    Ok(json!({
                        "council": {
                            "role": format!("{:?}", council.role).to_lowercase(),
                            "term": council.term,
                            "revision": council.revision,
                            "majority": council.majority,
                        },
                        "put_aside": status.put_aside,
                    }))
                }
                other => Err(format!("an edge has no answer about {other:?}")),
            }
        })
    }
}
