//! One request by HTTP/2 and what is answered: a GET, of which the status counts, or a gRPC call
//! with an empty message, of which the status at its end counts. Bounds: a head of 16,384 bytes, as
//! much of trailers, and 5,120 bytes of a call's messages before them.

use bytes::Bytes;
use http::header::{ACCEPT, CONTENT_TYPE, TE, USER_AGENT};
use http::{HeaderMap, HeaderValue, Request, Response, StatusCode};
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::client::conn::http2;
use hyper_util::rt::{TokioExecutor, TokioIo};
use types::{HttpProbe, ProbeOrder, ProbeOutcome};

use super::Agent;
use super::exchange::{Connection, HEAD, SEARCHED, Stream, failure, host, target, user_agent};

/// A gRPC message without bytes: not compressed, of length 0.
const EMPTY_MESSAGE: &[u8] = &[0; 5];

/// What is asked.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Call {
    /// A GET of the path.
    Get,
    /// A call of the method that is the path.
    Grpc,
}

/// Sends the request, and reads as much of the answer as it takes.
pub(super) async fn answer(
    stream: Box<dyn Stream>,
    order: &ProbeOrder,
    http: &HttpProbe,
    (call, agent): (Call, &Agent),
) -> Result<ProbeOutcome, ProbeOutcome> {
    let request = request(order, http, call, agent)
        .map_err(|cause| ProbeOutcome::Broken(ProbeOutcome::words(&cause)))?;
    let largest = u32::try_from(HEAD).expect("16,384 is no large number");
    let (mut sender, connection) = http2::Builder::new(TokioExecutor::new())
        .max_header_list_size(largest)
        .handshake(TokioIo::new(stream))
        .await
        .map_err(|cause| failure(&cause))?;
    let _connection = Connection(tokio::spawn(async move {
        if let Err(cause) = connection.await {
            tracing::trace!(%cause, "a probe's connection ended badly");
        }
    }));
    let response = sender
        .send_request(request)
        .await
        .map_err(|cause| failure(&cause))?;
    match call {
        Call::Get => Ok(ProbeOutcome::Status(response.status().as_u16())),
        Call::Grpc => ended(response).await,
    }
}

/// The status of a call: in its trailers, or in the head of an answer that has nothing else.
async fn ended(mut response: Response<Incoming>) -> Result<ProbeOutcome, ProbeOutcome> {
    if response.status() != StatusCode::OK {
        return Ok(ProbeOutcome::Status(response.status().as_u16()));
    }
    if let Some(status) = grpc_status(response.headers()) {
        return Ok(ProbeOutcome::Grpc(status));
    }
    let mut read = 0;
    while let Some(frame) = response.body_mut().frame().await {
        let frame = frame.map_err(|cause| failure(&cause))?;
        if let Some(status) = frame.trailers_ref().and_then(grpc_status) {
            return Ok(ProbeOutcome::Grpc(status));
        }
        read += frame.data_ref().map_or(0, Bytes::len);
        if read > SEARCHED {
            break;
        }
    }
    let what = "the call ended without a status of gRPC";
    Err(ProbeOutcome::NotHttp(what.to_owned()))
}

fn grpc_status(fields: &HeaderMap) -> Option<u16> {
    let text = fields.get("grpc-status")?.to_str().ok()?;
    text.parse().ok()
}

fn request(
    order: &ProbeOrder,
    http: &HttpProbe,
    call: Call,
    agent: &Agent,
) -> Result<Request<Full<Bytes>>, http::Error> {
    let scheme = match http.tls {
        None => "http",
        Some(_) => "https",
    };
    let url = format!("{scheme}://{}{}", host(order, http), target(&http.path));
    let agent = HeaderValue::try_from(user_agent(order, agent))?;
    match call {
        Call::Get => Request::get(url)
            .header(USER_AGENT, agent)
            .header(ACCEPT, "*/*")
            .body(Full::default()),
        Call::Grpc => Request::post(url)
            .header(USER_AGENT, agent)
            .header(CONTENT_TYPE, "application/grpc")
            .header(TE, "trailers")
            .body(Full::new(Bytes::from_static(EMPTY_MESSAGE))),
    }
}
