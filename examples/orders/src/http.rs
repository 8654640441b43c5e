//! The service's HTTP: which request means what, and JSON in and out. It refuses bodies beyond
//! 64 KiB.

use std::convert::Infallible;
use std::sync::Arc;
use std::time::{Duration, Instant};

use bytes::Bytes;
use http_body_util::{BodyExt, Full, Limited};
use hyper::body::Incoming;
use hyper::header::USER_AGENT;
use hyper::{Method, Request, Response, StatusCode};
use serde_json::{Value, json};

use crate::broken::Broken;
use crate::order::{Order, is_id};
use crate::store::Store;

/// The largest body.
const MAX_BODY: usize = 64 * 1024;

/// How long a body may take to arrive.
const BODY_WAIT: Duration = Duration::from_secs(5);

type Answer = (StatusCode, Value);

/// Answers one request.
pub async fn respond(
    store: Arc<Store>,
    broken: Arc<Broken>,
    request: Request<Incoming>,
) -> Result<Response<Full<Bytes>>, Infallible> {
    let (status, body) = match request.uri().path() {
        "/broken" => fail_for_a_while(&broken, request).await,
        path if broken.strikes(path, agent(&request), Instant::now()) => {
            refuse(StatusCode::SERVICE_UNAVAILABLE, "it was told to fail")
        }
        _ => route(&store, request).await,
    };
    let mut response = Response::new(Full::new(Bytes::from(body.to_string())));
    *response.status_mut() = status;
    let headers = response.headers_mut();
    headers.insert(
        "content-type",
        hyper::header::HeaderValue::from_static("application/json"),
    );
    if let Ok(region) = store.region.parse() {
        headers.insert("x-region", region);
    }
    Ok(response)
}

/// Who the request says to be from.
fn agent(request: &Request<Incoming>) -> &str {
    let agent = request.headers().get(USER_AGENT);
    agent
        .and_then(|agent| agent.to_str().ok())
        .unwrap_or_default()
}

async fn fail_for_a_while(broken: &Broken, request: Request<Incoming>) -> Answer {
    if request.method() != Method::POST {
        return refuse(StatusCode::METHOD_NOT_ALLOWED, "POST it");
    }
    let body = match whole(request).await {
        Err(refused) => return refused,
        Ok(body) => body,
    };
    match broken.take(&body, Instant::now()) {
        Err(reason) => refuse(StatusCode::BAD_REQUEST, &reason),
        Ok(()) => (StatusCode::OK, json!({})),
    }
}

/// The body, as far as it is taken.
async fn whole(request: Request<Incoming>) -> Result<Bytes, Answer> {
    let body = Limited::new(request.into_body(), MAX_BODY).collect();
    match tokio::time::timeout(BODY_WAIT, body).await {
        Err(_) => Err(refuse(
            StatusCode::REQUEST_TIMEOUT,
            "the body took too long",
        )),
        Ok(Err(_)) => Err(refuse(
            StatusCode::PAYLOAD_TOO_LARGE,
            "a body of 64 KiB at most",
        )),
        Ok(Ok(body)) => Ok(body.to_bytes()),
    }
}

async fn route(store: &Store, request: Request<Incoming>) -> Answer {
    let method = request.method().clone();
    let path = request.uri().path().to_owned();
    match (method, path.as_str()) {
        (Method::GET, "/health") => health(store).await,
        (Method::GET, "/orders") => list(store, request.uri().query().unwrap_or_default()).await,
        (Method::POST, "/orders") => place(store, request).await,
        (_, "/health" | "/orders") => {
            refuse(StatusCode::METHOD_NOT_ALLOWED, "GET, or POST /orders")
        }
        (method, path) => match path.strip_prefix("/orders/") {
            None => refuse(StatusCode::NOT_FOUND, "try /orders, /orders/ID or /health"),
            Some(_) if method != Method::GET => refuse(StatusCode::METHOD_NOT_ALLOWED, "GET it"),
            Some(id) if !is_id(id) => refuse(StatusCode::NOT_FOUND, "that is no order's id"),
            Some(id) => get(store, id).await,
        },
    }
}

async fn health(store: &Store) -> Answer {
    match store.is_healthy().await {
        true => (
            StatusCode::OK,
            json!({"healthy": true, "region": store.region}),
        ),
        false => refuse(StatusCode::SERVICE_UNAVAILABLE, "the store doesn't answer"),
    }
}

async fn place(store: &Store, request: Request<Incoming>) -> Answer {
    let body = match whole(request).await {
        Err(refused) => return refused,
        Ok(body) => body,
    };
    match Order::parse(&body, &store.region) {
        Err(reason) => refuse(StatusCode::BAD_REQUEST, &reason),
        Ok(order) => {
            let id = order.id().to_owned();
            match store.put(order).await {
                Err(error) => refuse(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
                Ok(()) => (
                    StatusCode::CREATED,
                    json!({"id": id, "region": store.region}),
                ),
            }
        }
    }
}

async fn get(store: &Store, id: &str) -> Answer {
    match store.get(id).await {
        Err(error) => refuse(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
        Ok(None) => refuse(StatusCode::NOT_FOUND, "there is no such order"),
        Ok(Some(order)) => (StatusCode::OK, order.into_json()),
    }
}

/// One page; `?after=ID`, the `next` of the page before, goes on from there.
async fn list(store: &Store, query: &str) -> Answer {
    let after = query.strip_prefix("after=").filter(|id| is_id(id));
    if after.is_none() && !query.is_empty() {
        return refuse(
            StatusCode::BAD_REQUEST,
            "only ?after=ID, with an order's id",
        );
    }
    match store.list(after).await {
        Err(error) => refuse(StatusCode::SERVICE_UNAVAILABLE, &error.to_string()),
        Ok(page) => {
            let orders: Vec<Value> = page.orders.into_iter().map(Order::into_json).collect();
            (StatusCode::OK, json!({"orders": orders, "next": page.next}))
        }
    }
}

fn refuse(status: StatusCode, message: &str) -> Answer {
    (status, json!({"message": message}))
}
