//! The control API: what the command line asks of a running lab. The front door serves it on
//! `POST /control/v1` to whoever signs as the deployment's root, for a service of its own name;
//! nothing that an application's policies could grant reaches it.

use std::net::SocketAddr;
use std::time::Duration;

use aws::signature::{Expected, KeyLookup, KeyRefusal, Rules, SecretKey, Target, Verifier, sign};
use bytes::Bytes;
use http::request::Parts;
use http::{Request, Response, StatusCode};
use identity::RootKey;
use link::certificate::Details;
use region::OperatorQuestion;
use runtime::Endpoint;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use types::{AvailabilityZone, FaultTarget, Region, SiteName, Timestamp};

use crate::failure::{ExitCode, Failure};
use crate::faults::{Fault, FaultId};
use crate::listing::PageStart;
use crate::protocol::{ExplainQuestion, FlowQuestion, LinkState, RequestQuestion};
use crate::supervisor::EntryReport;

/// The signing name of the control API.
pub const SERVICE: &str = "causeway";

/// Its only path.
const PATH: &str = "/control/v1";

/// How long an answer may take: a site that starts again, a long verification.
const WAIT: Duration = Duration::from_secs(300);

/// What can be asked of a lab.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "command", rename_all = "snake_case")]
pub enum Command {
    /// See [`StatusReport`].
    Status,
    /// Which operations are built, by service.
    Operations,
    /// Stop.
    Down,
    /// How far each Region is behind each other.
    Lag,
    /// The ledgers of all Regions as one, the latest found first.
    Conflicts {
        /// Only that table's.
        table: Option<String>,
        /// Where the page begins; without it, with the latest.
        after: Option<PageStart>,
        /// How many rows at most.
        limit: u32,
    },
    /// One row of it.
    Conflict {
        /// Its id.
        id: String,
    },
    /// Write what lost once more.
    Restore {
        /// Its id.
        id: String,
    },
    /// Objects' versions that lost, as each Region found them.
    LostObjects {
        /// How many of each Region at most.
        limit: u32,
    },
    /// The Regions' figures as Prometheus reads them.
    Metrics,
    /// Check everything.
    Verify,
    /// Break something.
    Inject {
        /// What.
        fault: Fault,
        /// For how many milliseconds.
        milliseconds: u64,
    },
    /// Start what is down: a site, or what was killed in a Region.
    Start {
        /// Which.
        #[serde(rename = "site")]
        target: FaultTarget,
    },
    /// Let go on what is paused.
    Resume {
        /// Which.
        #[serde(rename = "site")]
        target: FaultTarget,
    },
    /// The faults in force.
    Faults,
    /// End that one, or all.
    Heal {
        /// Which.
        id: Option<FaultId>,
    },
    /// Give every site a new certificate.
    Rotate,
    /// How the nearest edge that runs would answer that question.
    Explain(ExplainQuestion),
    /// Where the nearest edge that runs would carry that flow.
    ExplainFlow(FlowQuestion),
    /// What each edge carries for accelerators.
    Flows,
    /// Give an edge nothing new, and let what it has end: a [`DrainView`] at once.
    Drain {
        /// It, or the place that it is in.
        edge: SiteName,
        /// How many milliseconds its flows may take.
        milliseconds: u64,
        /// Also if no other edge is there.
        forced: bool,
    },
    /// How far that is: a [`DrainView`].
    Drained {
        /// The edge, or the place that it is in.
        edge: SiteName,
    },
    /// Give an edge what is new again: a [`DrainView`].
    Undrain {
        /// It, or the place that it is in.
        edge: SiteName,
    },
    /// What each Region's load balancers carry.
    Balancers,
    /// Each Region's databases.
    Databases,
    /// What each Region kept of old writers of global clusters when another took over.
    LostTransactions,
    /// What a load balancer would do with that request.
    ExplainRequest(RequestQuestion),
    /// Who may call, and changes of it.
    Identity {
        /// What is asked.
        question: OperatorQuestion,
    },
}

/// A fault in force.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct FaultView {
    /// Its number.
    pub id: FaultId,
    /// What it is.
    #[serde(flatten)]
    pub fault: Fault,
    /// In how many milliseconds it ends by itself.
    pub remaining_milliseconds: u64,
}

/// How far an edge's drain is.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct DrainView {
    /// The edge.
    pub edge: SiteName,
    /// Whether new flows come to it.
    pub state: DrainState,
    /// The flows that it has, or had when it was drained; none while it doesn't say.
    pub flows_left: Option<u64>,
    /// In how many milliseconds it is drained at the latest.
    pub remaining_milliseconds: u64,
}

/// Whether new flows come to an edge.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum DrainState {
    /// They do.
    Serving,
    /// They don't, and it is waited for those that it has.
    Draining,
    /// They don't, and its flows are gone or the deadline has passed.
    Drained,
}

/// A site's new certificate, or why it has none.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SiteRenewal {
    /// The site.
    pub site: SiteName,
    /// What has become of it.
    #[serde(flatten)]
    pub renewal: Renewal,
}

/// What has become of a new certificate.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
#[serde(tag = "outcome", rename_all = "snake_case")]
pub enum Renewal {
    /// The site makes its connections with it from here on.
    Renewed {
        /// It.
        certificate: Details,
    },
    /// The site isn't running; each start brings a new one.
    AtStart,
    /// The site keeps the one it has.
    Failed {
        /// Why.
        reason: String,
    },
}

/// A lab, seen from outside.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct StatusReport {
    /// Its directory.
    pub data: String,
    /// The front door.
    pub endpoint: String,
    /// Where the lab answers DNS, if it has an edge.
    pub dns: Option<SocketAddr>,
    /// What delays are multiplied by.
    pub delay_scale: f64,
    /// How long it has been running.
    pub running_milliseconds: u64,
    /// The application's entry, if there is an application.
    pub entry: Option<EntryReport>,
    /// Its sites.
    pub sites: Vec<SiteReport>,
    /// Its links, each direction on its own.
    pub links: Vec<LinkReport>,
    /// The faults in force.
    pub faults: Vec<FaultView>,
}

/// One direction of a link, seen from outside.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct LinkReport {
    /// Whether anything passes, and if not, why.
    pub state: LinkWord,
    /// What the sending end says.
    #[serde(flatten)]
    pub link: LinkState,
}

/// Whether anything passes one way over a link, and if not, why.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum LinkWord {
    /// It is connected.
    Up,
    /// Both ends run and try: soon after a start or a heal that is how it is.
    Connecting,
    /// A fault cuts this direction.
    Cut,
    /// An end is killed, paused or has crashed, or the other direction is cut.
    Down,
}

/// A site, seen from outside.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct SiteReport {
    /// Its name.
    pub site: SiteName,
    /// Its number.
    pub id: u16,
    /// `stopped`, `starting`, `running`, `paused`, `killed`, `crashed`; of an edge that runs also
    /// `draining`, `drained`.
    pub state: String,
    /// Why, where it isn't running; or what else is wrong.
    pub reason: Option<String>,
    /// What was asked for and is as it should be, with what ends it.
    pub note: Option<String>,
    /// Its process.
    pub process: Option<i32>,
    /// Its own address, unless it is an edge.
    pub api: Option<SocketAddr>,
    /// Where it answers DNS, if it is an edge.
    pub dns: Option<SocketAddr>,
    /// How long it has been running.
    pub running_milliseconds: Option<u64>,
    /// Memory as its proportional set size, in bytes.
    pub memory_bytes: Option<u64>,
    /// The certificate that its new connections are made with, while it runs.
    pub certificate: Option<Details>,
    /// The instances of its application, while the Region runs and has one.
    pub apps: Vec<AppReport>,
    /// Its zones that are killed, while the Region itself runs.
    pub zones_down: Vec<AvailabilityZone>,
    /// How far its wall clock is off, in milliseconds.
    pub clock_offset_milliseconds: i64,
    /// What it says of itself.
    pub detail: Value,
}

/// An instance of a Region's application, seen from outside.
#[derive(Clone, PartialEq, Debug, Serialize, Deserialize)]
pub struct AppReport {
    /// The zone that it is in.
    pub zone: AvailabilityZone,
    /// Where it is to listen.
    pub address: SocketAddr,
    /// `running`, `waiting` (it has ended and is started again soon), `paused`, `killed`,
    /// `stopped`.
    pub state: String,
    /// Its process, the leader of its group.
    pub process: Option<i32>,
    /// How long it has been running.
    pub running_milliseconds: Option<u64>,
    /// How often it was started again since its Region started.
    pub restarts: u32,
    /// How it ended last, or why it couldn't start.
    pub last_end: Option<String>,
}

impl std::fmt::Display for LinkWord {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(match self {
            LinkWord::Up => "up",
            LinkWord::Connecting => "connecting",
            LinkWord::Cut => "cut",
            LinkWord::Down => "down",
        })
    }
}

// === The command line's end ===

/// Asks the lab and gives its answer.
pub async fn ask(
    endpoint: &Endpoint,
    key: &RootKey,
    region: Region,
    now: Timestamp,
    command: &Command,
) -> Result<Value, Failure> {
    let server = endpoint.address;
    let body = serde_json::to_vec(command).expect("commands have a JSON form");
    let request = Request::post(PATH)
        .header(http::header::HOST, server.to_string())
        .body(Bytes::from(body))
        .expect("constant parts make a request");
    let (mut parts, body) = request.into_parts();
    let target = Target {
        service: SERVICE,
        region,
        rules: Rules::JSON,
    };
    sign(&mut parts, &body, &key.credentials(), &target, now)
        .map_err(|cause| Failure::did_not_hold(format!("can't sign the request: {cause}")))?;
    let response = runtime::request(endpoint.clone(), Request::from_parts(parts, body), WAIT).await;
    let response = response.map_err(|cause| match cause {
        runtime::RequestError::Refused(_) => {
            Failure::nothing_running(cause).then("start the lab with `causeway up`")
        }
        _ => Failure::did_not_hold(cause),
    })?;
    let parsed = if response.status() == StatusCode::OK {
        serde_json::from_slice(response.body())
    } else {
        match serde_json::from_slice::<Failure>(response.body()) {
            Ok(failure) => return Err(failure),
            Err(cause) => Err(cause),
        }
    };
    parsed.map_err(|cause| {
        let status = response.status();
        Failure::did_not_hold(format!(
            "what listens on {server} answered {status} and no control API's words ({cause})"
        ))
        .then("another program may be there; name the lab's port with --api-port")
    })
}

// === The supervisor's end ===

/// Is the request one for the control API? (Whether it may be is another question.)
pub fn is_addressed(head: &Parts) -> bool {
    head.uri.path() == PATH
}

/// Lets through whoever signed with the operator's own key. It knows no other key: no user, role or
/// session of IAM can be let through, whatever its policies allow.
pub struct Gate {
    verifier: Verifier,
    key: RootKey,
}

impl Gate {
    /// The gate of a lab with that key.
    pub fn new(key: RootKey) -> Gate {
        Gate {
            verifier: Verifier::new(),
            key,
        }
    }

    /// The command of a request, if the signature is the operator's.
    pub fn admit(
        &self,
        request: &Request<()>,
        body: &[u8],
        now: Timestamp,
    ) -> Result<Command, Failure> {
        let regions: Vec<Region> = Region::all().collect();
        let expected = Expected {
            service: SERVICE,
            regions: &regions,
            rules: Rules::JSON,
        };
        let (parts, ()) = request.clone().into_parts();
        self.verifier
            .verify(&parts, body, &expected, now, self)
            .map_err(|cause| Failure::wrong_use(format!("the control API refuses: {cause}")))?;
        serde_json::from_slice(body)
            .map_err(|cause| Failure::wrong_use(format!("that is no command: {cause}")))
    }
}

impl KeyLookup for Gate {
    fn secret(
        &self,
        access_key_id: &str,
        session_token: Option<&str>,
    ) -> Result<SecretKey, KeyRefusal> {
        let is_ours = session_token.is_none() && access_key_id == self.key.access_key_id();
        is_ours
            .then(|| self.key.secret().clone())
            .ok_or(KeyRefusal::Unknown)
    }
}

/// What the command came to, as a response.
pub fn response(outcome: Result<Value, Failure>) -> Response<Bytes> {
    let (status, body) = match &outcome {
        Ok(answer) => (StatusCode::OK, serde_json::to_vec(answer)),
        Err(failure) => {
            let status = match failure.code {
                ExitCode::WrongUse => StatusCode::BAD_REQUEST,
                _ => StatusCode::INTERNAL_SERVER_ERROR,
            };
            (status, serde_json::to_vec(failure))
        }
    };
    let body = body.expect("plain values have a JSON form");
    Response::builder()
        .status(status)
        .header(http::header::CONTENT_TYPE, "application/json")
        .body(Bytes::from(body))
        .expect("constant parts make a response")
}

#[cfg(test)]
mod tests {
    use super::*;
    use zeroize::Zeroizing;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    fn key(byte: u8) -> RootKey {
        RootKey::generate(&Zeroizing::new([byte; identity::RANDOM_BYTES]))
    }

    fn signed(key: &RootKey, service: &str, body: &[u8]) -> Request<()> {
        let request = Request::post(PATH).header("host", "127.0.0.1:4566");
        let (mut parts, ()) = request.body(()).unwrap().into_parts();
        let target = Target {
            service,
            region: "us-east-1".parse().unwrap(),
            rules: Rules::JSON,
        };
        sign(&mut parts, body, &key.credentials(), &target, NOW).unwrap();
        Request::from_parts(parts, ())
    }

    #[test]
    fn only_the_operator_s_signature_for_this_service_is_let_through() {
        let gate = Gate::new(key(1));
        let body = br#"{"command":"heal","id":3}"#;
        let admitted = gate.admit(&signed(&key(1), SERVICE, body), body, NOW);
        let id = Some(FaultId(3));
        assert_eq!(admitted, Ok(Command::Heal { id }));
        for request in [
            signed(&key(2), SERVICE, body),
            signed(&key(1), "dynamodb", body),
            signed(&key(1), SERVICE, b"{}"),
            Request::post(PATH).body(()).unwrap(),
        ] {
            let refused = gate.admit(&request, body, NOW).unwrap_err();
            assert_eq!(refused.code, ExitCode::WrongUse);
        }
        let late = Timestamp(NOW.0 + 3_600_000);
        assert!(
            gate.admit(&signed(&key(1), SERVICE, body), body, late)
                .is_err()
        );
    }
}
