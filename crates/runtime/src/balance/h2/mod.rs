//! A client's connection that speaks HTTP/2, by hyper: each request is a task, and goes to a
//! target by HTTP/1.1 or HTTP/2. What concerns routing, headers and outcomes is the same code as
//! for HTTP/1.x.

mod moving;
mod passing;
mod targets;

use std::convert::Infallible;
use std::future::Future;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::Arc;
use std::time::{Duration, SystemTime};

use bytes::Bytes;
use http::header::{CONTENT_LENGTH, CONTENT_TYPE, COOKIE, DATE, HOST, LOCATION, SERVER, TE};
use http::request::Parts;
use http::uri::{Authority, Scheme};
use http::{
    HeaderMap, HeaderName, HeaderValue, Method, Request, Response, StatusCode, Uri, Version,
};
use http_body_util::Full;
use hyper::body::{Body, Incoming};
use hyper::rt::Executor;
use hyper::server::conn::http2 as server;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::time::Instant;

use self::moving::{Active, LOOK, Sending, Streams};
use self::passing::{AnswerBody, Passing};
use self::targets::Answered;
pub(super) use self::targets::Http2Targets;
use super::course::Course;
use super::handle::Listening;
use super::link::Link;
use super::request::Known;
use super::rewrite::{self, Asked};
use super::thread::{Local, Standing};
use super::{
    Answer, BalancerLimits, Classification, ClientVersion, End, HeaderField, HttpOptions, Next,
    RefusedRequest, RequestHead, TargetVersion, TlsFacts, answer,
};

/// Requests at a time on a connection (ELB: 128).
const STREAMS: u32 = 128;

/// What of a body may be under way on a stream.
const WINDOW: u32 = 256 * 1024;

/// A client that is silent is asked whether it is there.
const ASKED: Duration = Duration::from_secs(30);

/// Requests without a body that are sent again when a kept connection ends under them.
const REPEATED: [Method; 5] = [
    Method::GET,
    Method::HEAD,
    Method::OPTIONS,
    Method::PUT,
    Method::DELETE,
];

/// How often a request is offered, whatever its [`Exchange`](super::Exchange) says.
const MOST_ATTEMPTS: usize = 32;

/// Tasks of a connection are the thread's own.
#[derive(Clone, Copy)]
struct Here;

impl<F: Future + 'static> Executor<F> for Here {
    fn execute(&self, future: F) {
        tokio::task::spawn_local(async move {
            future.await;
        });
    }
}

/// What a stream's task knows of its connection.
struct Session {
    local: Rc<Local>,
    at: Arc<Listening>,
    source: SocketAddr,
    tls: Option<TlsFacts>,
    streams: Rc<Streams>,
}

/// Serves it to its end.
pub(super) async fn serve(
    local: Rc<Local>,
    at: Arc<Listening>,
    standing: Rc<Standing>,
    link: Link,
    source: SocketAddr,
    tls: Option<TlsFacts>,
) {
    standing.idle.set(false);
    let born = Instant::now();
    let session = Rc::new(Session {
        local,
        at,
        source,
        tls,
        streams: Streams::new(),
    });
    let builder = settings(&session.local.limits);
    let asked = Rc::clone(&session);
    let service = service_fn(move |request| {
        let session = Rc::clone(&asked);
        async move { Ok::<_, Infallible>(session.serve(request).await) }
    });
    let mut connection = std::pin::pin!(builder.serve_connection(TokioIo::new(link), service));
    let mut ending = None;
    loop {
        let options = session.at.options();
        let aged = born + options.keep_alive;
        // Activity is looked at again after a while, since it wakes nobody here.
        let soon = Instant::now() + options.idle.min(LOOK);
        let due = session.streams.due(aged, ending, options.idle);
        let look = due.map_or(soon, |due| due.min(soon));
        tokio::select! {
            biased;
            ended = connection.as_mut() => {
                if let Err(cause) = ended {
                    tracing::debug!(%source, %cause, "a connection ended badly");
                }
                return;
            }
            () = standing.drain.notified(), if ending.is_none() => {
                ending = Some(Instant::now());
                connection.as_mut().graceful_shutdown();
            }
            () = tokio::time::sleep_until(look) => {
                if session.streams.is_stuck(options.idle) {
                    tracing::debug!(%source, "a client takes nothing of its answers");
                    session.streams.give_up();
                    return;
                }
                let due = session.streams.due(aged, ending, options.idle);
                if due.is_none_or(|due| Instant::now() < due) {
                    continue;
                }
                if ending.is_some() {
                    return;
                }
                ending = Some(Instant::now());
                connection.as_mut().graceful_shutdown();
            }
        }
    }
}

/// hyper's settings for a connection under these limits.
fn settings(limits: &BalancerLimits) -> server::Builder<Here> {
    let head = u32::try_from(limits.head.0).unwrap_or(u32::MAX);
    let mut builder = server::Builder::new(Here);
    builder
        .timer(TokioTimer::new())
        .keep_alive_interval(ASKED)
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(head)
        .initial_stream_window_size(WINDOW)
        .initial_connection_window_size(4 * WINDOW)
        .max_send_buf_size(64 * 1024);
    builder
}

impl Session {
    async fn serve(self: &Rc<Self>, request: Request<Incoming>) -> Response<AnswerBody> {
        let active = self.streams.begin();
        let options = self.at.options();
        let begun = Instant::now();
        self.at.counters.requests.count();
        let (parts, incoming) = request.into_parts();
        let fields = fields(&parts.headers);
        let refused = match parts.method {
            Method::TRACE => Some(405),
            Method::CONNECT => Some(400),
            _ if rewrite::forwarded_too_often(&fields) => Some(463),
            _ if parts.uri.path().is_empty() => Some(400),
            _ => None,
        };
        if let Some(status) = refused {
            return self.refuse(status, &parts, &options);
        }
        let trace_id = self.local.traces.borrow_mut().trace(&fields);
        let exchange = self.local.balance.route(&RequestHead {
            listener: self.at.bound,
            source: self.source,
            version: ClientVersion::Http2,
            method: parts.method.as_str(),
            host: host(&parts),
            path: parts.uri.path(),
            query: parts.uri.query(),
            headers: &fields,
            tls: self.tls.as_ref(),
            trace_id: &trace_id,
            classification: Classification::COMPLIANT,
        });
        let size = fields
            .iter()
            .map(|field| field.name.len() + field.value.len() + 4);
        let head = size.sum::<usize>() + parts.uri.path().len();
        let mut course = Course::new(exchange, begun, head as u64);
        let body = Sending::new(incoming, active.moved.clone());
        let carried = self.carry(&mut course, &parts, &fields, &trace_id, body, &options);
        match carried.await {
            Ok(answered) => self.give(course, answered, active, &options),
            Err((page, end)) => {
                course.answers(page.status);
                course.outcome.sent = page.body.len() as u64;
                course.ends(end);
                own(&page, &options, parts.method == Method::HEAD)
            }
        }
    }

    fn refuse(&self, status: u16, parts: &Parts, options: &HttpOptions) -> Response<AnswerBody> {
        self.at.counters.refused.count();
        let line = format!("{} {} HTTP/2.0", parts.method, parts.uri.path());
        self.local.balance.refused(&RefusedRequest {
            listener: self.at.bound,
            source: self.source,
            status: Some(status),
            line: Some(&line),
            classification: Classification::COMPLIANT,
            tls: self.tls.as_ref(),
        });
        own(&Answer::of(status), options, parts.method == Method::HEAD)
    }

    /// The answer of a target, or what the client is answered without one.
    async fn carry(
        &self,
        course: &mut Course,
        parts: &Parts,
        fields: &[HeaderField<'_>],
        trace_id: &str,
        mut body: Sending,
        options: &HttpOptions,
    ) -> Result<Answered, (Answer, End)> {
        let mut failed = None;
        let moved = body.moved.clone();
        let repeats = body.is_end_stream() && REPEATED.contains(&parts.method);
        for _ in 0..MOST_ATTEMPTS {
            let target = match course.next(failed.take()) {
                Next::Forward(target) => target,
                Next::Answer(page) => return Err((page, End::Done)),
            };
            course.goes_to(target.address);
            if target.version == TargetVersion::Grpc && parts.method != Method::POST {
                return Err((Answer::of(464), End::Done));
            }
            let head = self.head(parts, fields, trace_id, target.version, options);
            let Some(mut head) = head else {
                return Err((Answer::of(400), End::ClientBroke));
            };
            let mut anew = false;
            loop {
                let sender = self.local.http2.sender(&self.local, &target, anew).await;
                let (sender, reused) = match sender {
                    Ok(sender) => sender,
                    Err(failure) => {
                        self.at.counters.failed_attempts.count();
                        failed = Some(failure);
                        break;
                    }
                };
                let carrier = sender.carrier();
                let again = head.clone();
                let request = Request::from_parts(head, body);
                course.sent();
                moved.note();
                let sent = sender.send(request, &self.local.http2, target);
                let unsent = match moved.unless_silent(options.idle, sent).await {
                    Some(Ok(answered)) => return Ok(answered),
                    Some(Err(unsent)) => unsent,
                    None => {
                        // The next request isn't to wait for a connection that may be dead.
                        if let Some(carrier) = carrier {
                            carrier.leave();
                        }
                        return Err((Answer::of(504), End::TargetSilent));
                    }
                };
                body = match unsent {
                    Some(unsent) if reused => unsent.into_body(),
                    None if reused && repeats => Sending::empty(moved.clone()),
                    _ => return Err((Answer::of(502), End::TargetBroke)),
                };
                (head, anew) = (again, true);
            }
        }
        Err((Answer::of(502), End::TargetBroke))
    }

    /// A request's head as a target of that version gets it.
    fn head(
        &self,
        parts: &Parts,
        fields: &[HeaderField<'_>],
        trace_id: &str,
        version: TargetVersion,
        options: &HttpOptions,
    ) -> Option<Parts> {
        let asked = Asked {
            source: self.source,
            listener: self.at.bound,
            tls: self.tls.as_ref(),
        };
        let mut headers = HeaderMap::with_capacity(fields.len() + 8);
        let (mut is_sound, mut cookies) = (true, Vec::new());
        rewrite::request_fields(
            fields,
            host(parts),
            trace_id,
            &asked,
            options,
            |name, value| {
                let name = HeaderName::from_bytes(name.as_bytes());
                match (name, HeaderValue::from_bytes(value)) {
                    // Cut into crumbs by HTTP/2 (RFC 9113, section 8.2.3).
                    (Ok(COOKIE), Ok(_)) => {
                        let separator: &[u8] = if cookies.is_empty() { b"" } else { b"; " };
                        cookies.extend_from_slice(separator);
                        cookies.extend_from_slice(value);
                    }
                    (Ok(name), Ok(value)) => {
                        headers.append(name, value);
                    }
                    _ => is_sound = false,
                }
            },
        );
        if !cookies.is_empty() {
            headers.insert(COOKIE, HeaderValue::from_bytes(&cookies).ok()?);
        }
        let is_http2 = version != TargetVersion::Http1;
        let mut uri = Uri::builder().path_and_query(parts.uri.path_and_query()?.clone());
        if is_http2 {
            let named = headers.remove(HOST);
            let named = named.as_ref().and_then(|host| host.to_str().ok());
            let authority: Authority = named.unwrap_or("localhost").parse().ok()?;
            uri = uri.scheme(Scheme::HTTP).authority(authority);
            if parts.headers.get(TE).is_some_and(|te| te == "trailers") {
                headers.insert(TE, HeaderValue::from_static("trailers"));
            }
        }
        let (mut head, ()) = Request::new(()).into_parts();
        head.method = parts.method.clone();
        head.uri = uri.build().ok()?;
        head.version = if is_http2 {
            Version::HTTP_2
        } else {
            Version::HTTP_11
        };
        head.headers = headers;
        is_sound.then_some(head)
    }

    /// A target's answer as the client gets it.
    fn give(
        self: &Rc<Self>,
        mut course: Course,
        (response, occupied): Answered,
        active: Active,
        options: &HttpOptions,
    ) -> Response<AnswerBody> {
        self.at.counters.forwarded.count();
        let (parts, incoming) = response.into_parts();
        let status = parts.status.as_u16();
        let fields = fields(&parts.headers);
        let added = course.answered(status, &fields);
        let mut headers = HeaderMap::with_capacity(fields.len() + added.len());
        for (name, value) in &parts.headers {
            match Known::of(name.as_str()) {
                Known::Connection | Known::HopByHop | Known::TransferEncoding | Known::Upgrade => {}
                _ => {
                    headers.append(name.clone(), value.clone());
                }
            }
        }
        for (name, value) in &added {
            let name = HeaderName::from_bytes(name.as_bytes());
            if let (Ok(name), Ok(value)) = (name, HeaderValue::from_str(value)) {
                headers.append(name, value);
            }
        }
        course.answers(status);
        let body = Passing::new(incoming, course, active, occupied, options.idle);
        let mut response = Response::new(AnswerBody::Passing(Box::new(body)));
        *response.status_mut() = parts.status;
        *response.headers_mut() = headers;
        response
    }
}

fn fields(headers: &HeaderMap) -> Vec<HeaderField<'_>> {
    let fields = headers.iter().map(|(name, value)| HeaderField {
        name: name.as_str(),
        value: value.as_bytes(),
    });
    fields.collect()
}

fn host(parts: &Parts) -> &str {
    let authority = parts.uri.authority().map(Authority::as_str);
    let named = || parts.headers.get(HOST).and_then(|host| host.to_str().ok());
    authority.or_else(named).unwrap_or("")
}

/// An answer that is made here.
fn own(page: &Answer, options: &HttpOptions, is_head: bool) -> Response<AnswerBody> {
    let body = if is_head {
        Bytes::new()
    } else {
        page.body.clone()
    };
    let mut response = Response::new(AnswerBody::Whole(Full::new(body)));
    let status = StatusCode::from_u16(page.status);
    *response.status_mut() = status.unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    let headers = response.headers_mut();
    if options.server_header {
        headers.insert(SERVER, HeaderValue::from_static(answer::SERVER));
    }
    let mut say = |name: HeaderName, value: &str| {
        if let Ok(value) = HeaderValue::from_str(value) {
            headers.insert(name, value);
        }
    };
    say(DATE, &answer::date(SystemTime::now()));
    if let Some(kind) = &page.content_type {
        say(CONTENT_TYPE, kind);
    }
    if let Some(location) = &page.location {
        say(LOCATION, location);
    }
    say(CONTENT_LENGTH, &page.body.len().to_string());
    response
}
