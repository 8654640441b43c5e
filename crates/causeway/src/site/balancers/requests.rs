//! Requests to application load balancers: what each leads to, which target it is sent to and
//! which next, and what is counted of it. `balancer` decides; `runtime` moves the bytes.

use std::sync::Arc;

use balancer::headers::HeaderFields;
use balancer::model::{Protocol, ProtocolVersion};
use balancer::{
    Circumstances, Decision, Forwarding, Head, Listening, NoTarget, Picked, Transport, Tried,
};
use bytes::Bytes;
use runtime::{
    Answer, Balance, Exchange, Failure, FlowEvent, FlowKey, HeaderField, HttpTarget, Next, Outcome,
    RefusedRequest, RequestHead, StreamTarget, TargetVersion,
};
use types::Environment;

use super::Way;
use super::access_logs::Noted;
use super::counters::{ListenerCounters, class};

/// Requests, and connections whose TLS is taken off.
pub(super) struct Requesting(pub(super) Arc<Way>);

/// Header fields as `balancer` looks at them.
struct Fields<'a>(&'a [HeaderField<'a>]);

impl HeaderFields for Fields<'_> {
    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let named = |field: &&HeaderField<'_>| field.name.eq_ignore_ascii_case(name);
        self.0.iter().filter(named).any(|field| test(field.value))
    }
}

impl Balance for Requesting {
    fn route(&self, head: &RequestHead<'_>) -> Box<dyn Exchange> {
        let way = &self.0;
        let counters = way.counters.listener(head.listener);
        counters.requests.add(1);
        let snapshot = way.balancers.load();
        let Some(listening) = snapshot.at(head.listener, Transport::Tcp) else {
            // It is closed by now: whoever was in between learns that nobody serves.
            return Box::new(Request::new(way, counters, None, Leads::Answered(503)));
        };
        let fields = Fields(head.headers);
        let asked = Head {
            method: head.method,
            host: head.host,
            path: head.path,
            query: head.query,
            headers: &fields,
            source: head.source,
        };
        let row = &listening.balancer.row;
        let certificate = listening.listener().certificates.first();
        let now = way.environment.now().wall;
        let mut noted = Noted::of(row, certificate, head, &fields, now);
        let routed = way.with(|with| listening.route(&asked, with));
        if let Some(noted) = &mut noted {
            noted.routed(&routed);
        }
        let leads = match routed.decision {
            Decision::Forward(forwarding) => Leads::Forwarded(forwarding),
            Decision::Redirect { status, location } => Leads::To(Answer {
                location: Some(location),
                ..Answer::of(status)
            }),
            Decision::Fixed(fixed) => Leads::To(Answer {
                status: fixed.status,
                content_type: fixed.content_type,
                location: None,
                body: fixed.body.map(Bytes::from).unwrap_or_default(),
            }),
            Decision::Nowhere => Leads::Answered(503),
        };
        let request = Request::new(way, counters, Some(listening.clone()), leads);
        Box::new(Request { noted, ..request })
    }

    fn refused(&self, refused: &RefusedRequest<'_>) {
        let counters = self.0.counters.listener(refused.listener);
        counters.refused.add(1);
        if let Some(status) = refused.status {
            class(&counters.own, status);
        }
    }

    fn steer(&self, flow: &FlowKey, tried: &runtime::Tried) -> Option<StreamTarget> {
        self.0.steer(flow, tried)
    }

    fn note(&self, token: u32, event: FlowEvent) {
        self.0.note(token, event);
    }
}

/// What a request leads to.
enum Leads {
    /// A target of a group.
    Forwarded(Forwarding),
    /// An answer that a rule names.
    To(Answer),
    /// The page of a status.
    Answered(u16),
}

/// A request under way.
struct Request {
    way: Arc<Way>,
    counters: Arc<ListenerCounters>,
    /// Where it came to.
    listening: Option<Listening>,
    leads: Leads,
    /// The target that it was given to last: it counts as under way there.
    picked: Option<Picked>,
    tried: Tried,
    /// What its line in the access log needs, if there is one.
    noted: Option<Noted>,
}

impl Request {
    fn new(
        way: &Arc<Way>,
        counters: Arc<ListenerCounters>,
        listening: Option<Listening>,
        leads: Leads,
    ) -> Request {
        Request {
            way: way.clone(),
            counters,
            listening,
            leads,
            picked: None,
            tried: Tried::NONE,
            noted: None,
        }
    }

    /// The target that was named last didn't get it. False if no other may be tried.
    fn note_failure(&mut self, failure: Failure) -> bool {
        let Some(failed) = self.picked.take() else {
            return false;
        };
        if failure != Failure::Unable {
            self.counters.failed.add(1);
            let number = self.way.counters.target(&failed.group.arn, failed.address);
            if let Some(counters) = self.way.counters.of(number) {
                counters.failed.add(1);
            }
        }
        self.tried.add(failed.address)
    }

    fn unserved(&self, status: u16) -> Next {
        self.counters.unserved.add(1);
        Next::Answer(Answer::of(status))
    }
}

impl Exchange for Request {
    fn next(&mut self, failed: Option<Failure>) -> Next {
        if let Some(failure) = failed
            && !self.note_failure(failure)
        {
            return self.unserved(status_of(failure));
        }
        let forwarding = match &self.leads {
            Leads::Forwarded(forwarding) => forwarding,
            Leads::To(answer) => return Next::Answer(answer.clone()),
            Leads::Answered(status) => return self.unserved(*status),
        };
        match self.way.with(|with| forwarding.pick(&self.tried, with)) {
            Ok(picked) if !self.way.balancers.allows(picked.address.ip()) => {
                tracing::debug!(target = %picked.address, "no target may have this address any more");
                self.unserved(503)
            }
            Ok(picked) => {
                let group = &picked.group;
                let target = HttpTarget {
                    address: picked.address,
                    tls: group.protocol == Protocol::Https,
                    version: match group.version {
                        None | Some(ProtocolVersion::Http1) => TargetVersion::Http1,
                        Some(ProtocolVersion::Http2) => TargetVersion::Http2,
                        Some(ProtocolVersion::Grpc) => TargetVersion::Grpc,
                    },
                };
                self.picked = Some(picked);
                Next::Forward(target)
            }
            Err(NoTarget::NoTargets) => self.unserved(503),
            Err(NoTarget::AllTried) => self.unserved(failed.map_or(502, status_of)),
        }
    }

    fn sent(&mut self) {
        let Some(picked) = &self.picked else {
            return;
        };
        let number = self.way.counters.target(&picked.group.arn, picked.address);
        if let Some(counters) = self.way.counters.of(number) {
            counters.requests.add(1);
        }
    }

    fn answered(&mut self, _status: u16, headers: &[HeaderField<'_>]) -> Vec<(String, String)> {
        let (Leads::Forwarded(forwarding), Some(picked), Some(listening)) =
            (&self.leads, &self.picked, &self.listening)
        else {
            return Vec::new();
        };
        let fields = Fields(headers);
        let cookies = self
            .way
            .with(|with| forwarding.set_cookies(picked, &fields, with));
        let cookies = cookies.into_iter();
        let mut added: Vec<(String, String)> = cookies
            .map(|cookie| ("Set-Cookie".to_owned(), cookie))
            .collect();
        for (name, value) in listening.listener().answer_headers() {
            if !fields.any(name, &mut |_| true) {
                added.push((name.to_owned(), value.to_owned()));
            }
        }
        added
    }

    fn ended(&mut self, outcome: &Outcome) {
        let counters = &self.counters;
        counters.ended.add(1);
        counters.received.add(outcome.received);
        counters.sent.add(outcome.sent);
        match outcome.target_status {
            Some(status) => class(&counters.targets, status),
            None => class(&counters.own, outcome.status),
        }
        if let Some(noted) = &self.noted {
            let (picked, environment) = (self.picked.as_ref(), &*self.way.environment);
            self.way.logs.add(noted, picked, outcome, environment);
        }
        self.picked = None;
    }
}

/// What a client is answered whose request no target took: Application Load Balancers User Guide,
/// "Troubleshoot your Application Load Balancers".
fn status_of(failure: Failure) -> u16 {
    match failure {
        Failure::Refused | Failure::Handshake => 502,
        Failure::TimedOut => 504,
        Failure::Unable => 503,
    }
}

impl Way {
    /// Decides with the time, randomness and the keys of cookies.
    pub(super) fn with<T>(&self, decide: impl FnOnce(&Circumstances<'_>) -> T) -> T {
        decide(&Circumstances {
            now: self.environment.now(),
            random: &|| self.environment.random(),
            sealer: self.balancers.sealer(),
        })
    }
}
