//! Where requests at the front door go: to the Region their signature names, to any living
//! Region where it names a global service or none, and to the control API. What S3 is asked by
//! Signature V2, which names no Region, goes to its bucket's, as AWS's DNS would have it.

use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use aws::signature::scope_of;
use bytes::Bytes;
use http::header::HOST;
use http::request::Parts;
use http::{HeaderMap, Request, Response, StatusCode};
use region::Client;
use runtime::{FrontDoor, Refusal, Route, Service};
use types::{Environment, Region, SiteId};

use super::Supervisor;
use crate::control::{self, Gate};
use crate::failure::Failure;

/// Services that AWS runs in one place for all Regions: their scope names a Region (us-east-1,
/// us-west-2) that need not be of this lab.
const GLOBAL_SERVICES: [&str; 3] = ["iam", "route53", "globalaccelerator"];

/// Where S3's endpoint without a Region is (AWS General Reference, "Amazon S3 endpoints and
/// quotas").
const OBJECTS_HOME: &str = "us-east-1";

/// What of an answer says where its bucket is.
const BUCKET_REGION: &str = "x-amz-bucket-region";

/// How long a Region may take to say so, from its memory.
const FIND_WAIT: Duration = Duration::from_secs(2);

/// The front door of a lab.
pub struct Door {
    supervisor: Arc<Supervisor>,
    gate: Gate,
}

impl Door {
    /// The door of that supervisor's lab.
    pub fn new(supervisor: Arc<Supervisor>) -> Door {
        let gate = Gate::new(supervisor.lab.root_key.clone());
        Door { supervisor, gate }
    }

    async fn control(&self, request: Request<Bytes>) -> Response<Bytes> {
        let (parts, body) = request.into_parts();
        let request = Request::from_parts(parts, ());
        let now = self.supervisor.environment.now().wall;
        let outcome = match self.gate.admit(&request, &body, now) {
            Ok(command) => self.supervisor.execute(command).await,
            Err(failure) => Err(failure),
        };
        control::response(outcome)
    }

    /// The Region that has that bucket. Every Region knows it, and says it of whatever it's asked
    /// about the bucket; of one that was made just now perhaps its own alone.
    async fn region_of_bucket(&self, bucket: &str) -> Option<SiteId> {
        for asked in self.supervisor.living_regions() {
            let found = self.ask_for_bucket(asked, bucket).await;
            if found.is_some() {
                return found;
            }
        }
        None
    }

    async fn ask_for_bucket(&self, asked: SiteId, bucket: &str) -> Option<SiteId> {
        let endpoint = self.supervisor.lab.site_endpoint(asked).ok()?;
        let request = Request::head(format!("/{bucket}"))
            .header(HOST, endpoint.address.to_string())
            .body(Bytes::new());
        let answer = runtime::request(endpoint, request.ok()?, FIND_WAIT).await;
        let answer = answer.ok()?;
        let region = answer.headers().get(BUCKET_REGION)?.to_str().ok()?;
        self.supervisor.region(region.parse().ok()?)
    }

    /// The Region that a request is for which says none: its bucket's, or where AWS would look.
    async fn region_to_find(&self, head: &Parts) -> Option<SiteId> {
        let bucket = region::bucket_to_find(head)?;
        match self.region_of_bucket(&bucket).await {
            Some(site) => Some(site),
            None => self.supervisor.living_region(OBJECTS_HOME.parse().ok()?),
        }
    }
}

/// The Region that a host of S3 names: `BUCKET.s3.REGION.localhost`, `s3.REGION.amazonaws.com`.
fn region_of_host(head: &Parts) -> Option<Region> {
    let host = head.headers.get(HOST)?.to_str().ok()?;
    let host = host.rsplit_once(':').map_or(host, |(host, _)| host);
    let mut labels = host.split('.').skip_while(|label| *label != "s3");
    labels.nth(1)?.parse().ok()
}

impl FrontDoor for Door {
    async fn route(&self, _client: SocketAddr, head: &Parts) -> Route {
        if control::is_addressed(head) {
            return Route::Here;
        }
        let is_global = |service: &str| GLOBAL_SERVICES.contains(&service);
        let named = match scope_of(head) {
            Some(scope) if is_global(&scope.service) => None,
            Some(scope) => match scope.region.parse::<Region>() {
                Ok(region) => self.supervisor.region(region),
                // A set of Regions, of Signature V4A: one of them does.
                Err(_) => self.supervisor.living_region_of(&scope),
            },
            // What isn't signed may still say its Region: a browser's request for S3, say.
            None => match region_of_host(head) {
                Some(region) => self.supervisor.region(region),
                None => self.region_to_find(head).await,
            },
        };
        match named.or_else(|| self.supervisor.any_living_region()) {
            Some(site) => Route::To(self.supervisor.lab.api_address(site)),
            None => Route::Reset,
        }
    }

    fn vouch(&self, client: SocketAddr, headers: &mut HeaderMap) {
        let client = Client {
            address: client.ip(),
            is_secure: self.supervisor.lab.settings.endpoint.has_tls(),
        };
        self.supervisor.door.vouch(client, headers);
    }
}

impl Service for Door {
    async fn call(&self, _client: SocketAddr, request: Request<Bytes>) -> Response<Bytes> {
        self.control(request).await
    }

    fn refuse(&self, head: Option<&Parts>, refusal: Refusal) -> Response<Bytes> {
        match head {
            // Only the control API reads bodies here.
            Some(_) => control::response(Err(Failure::wrong_use(words(refusal)))),
            None => refusal_response(refusal),
        }
    }
}

/// A refusal where no service's own form applies.
pub fn refusal_response(refusal: Refusal) -> Response<Bytes> {
    let status = match refusal {
        Refusal::BodyTooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
        Refusal::BodyTooSlow => StatusCode::REQUEST_TIMEOUT,
        Refusal::BodyBroken => StatusCode::BAD_REQUEST,
        Refusal::TooManyConnections(_) => StatusCode::SERVICE_UNAVAILABLE,
    };
    let mut response = Response::new(Bytes::from(words(refusal) + "\n"));
    *response.status_mut() = status;
    response
}

fn words(refusal: Refusal) -> String {
    match refusal {
        Refusal::BodyTooLarge(limit) => format!("the body is larger than {limit}"),
        Refusal::BodyTooSlow => "the body took too long to arrive".to_owned(),
        Refusal::BodyBroken => "the body ended early".to_owned(),
        Refusal::TooManyConnections(limit) => {
            format!("there are {limit} connections already; close some and try again")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_host_of_s3_may_name_its_region() {
        let of = |host: &str| {
            let request = Request::get("/").header(HOST, host).body(()).unwrap();
            region_of_host(&request.into_parts().0).map(|region| region.to_string())
        };
        let there = Some("eu-west-1".to_owned());
        assert_eq!(of("s3.eu-west-1.localhost:4566"), there);
        assert_eq!(of("my.bucket.s3.eu-west-1.amazonaws.com"), there);
        for host in [
            "localhost:4566",
            "s3.localhost",
            "bucket.s3.localhost:4566",
            "eu-west-1.s3.localhost",
            "dynamodb.eu-west-1.localhost",
            "s3",
        ] {
            assert_eq!(of(host), None, "{host}");
        }
    }
}
