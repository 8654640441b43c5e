//! Orders: a small HTTP service over one DynamoDB table, or over an S3 bucket of each Region, as
//! `causeway up --app orders` runs it in every Region. It is ordinary code on the AWS SDK for
//! Rust: nothing in it knows Causeway.
//!
//! `POST /orders` takes an order, `GET /orders/ID` and `GET /orders` read them, `GET /health`
//! says whether the store answers. Every answer names its Region in `x-region`. `POST /broken` has
//! it fail for a while, for those who rehearse that.
//!
//! It refuses to retry: a failure is the caller's to see, within a second. It speaks plain HTTP.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    reason = "invariant 1 leaves examples out: a user's application opens its own sockets"
)]

mod broken;
mod bucket;
mod http;
mod order;
mod settings;
mod store;
mod table;

use std::net::SocketAddr;
use std::process::ExitCode;
use std::sync::Arc;
use std::time::Duration;

use anyhow::{Context, Result};
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use tokio::net::{TcpListener, TcpSocket};
use tokio::signal::unix::{SignalKind, signal};
use tokio::sync::Semaphore;

use broken::Broken;
use settings::Settings;
use store::Store;

/// Open connections; more wait to be accepted.
const MAX_CONNECTIONS: usize = 1024;

/// How long open requests may take to end after SIGTERM.
const DRAIN: Duration = Duration::from_secs(3);

/// How long a request's head may take to arrive, and an idle connection is kept.
const HEAD_WAIT: Duration = Duration::from_secs(30);

#[tokio::main]
async fn main() -> ExitCode {
    match Settings::from_environment() {
        Err(error) => fail(&error, 2),
        Ok(settings) => match serve(settings).await {
            Err(error) => fail(&error, 1),
            Ok(()) => ExitCode::SUCCESS,
        },
    }
}

fn fail(error: &anyhow::Error, code: u8) -> ExitCode {
    eprintln!("orders: {error:#}");
    ExitCode::from(code)
}

/// Listens; so many connections wait to be accepted.
fn listen(address: SocketAddr, backlog: u32) -> std::io::Result<TcpListener> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4()?,
        SocketAddr::V6(_) => TcpSocket::new_v6()?,
    };
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    socket.listen(backlog)
}

/// Serves until SIGTERM or SIGINT, then lets open requests end.
async fn serve(settings: Settings) -> Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    let address = settings.address;
    let listener =
        listen(address, settings.backlog).with_context(|| format!("can't listen on {address}"))?;
    let address = listener.local_addr()?;
    let store = Arc::new(Store::new(&settings));
    let broken = Arc::new(Broken::default());
    let kept_in = store.describe();
    println!("orders: {} on http://{address}, {kept_in}", store.region);
    let places = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    let open = GracefulShutdown::new();
    loop {
        let place = Arc::clone(&places).acquire_owned().await?;
        let accepted = tokio::select! {
            accepted = listener.accept() => accepted,
            _ = terminate.recv() => break,
            _ = interrupt.recv() => break,
        };
        let Ok((stream, _)) = accepted else {
            // Out of descriptors, say: it passes, and spinning doesn't help.
            tokio::time::sleep(Duration::from_millis(50)).await;
            continue;
        };
        let store = Arc::clone(&store);
        let broken = Arc::clone(&broken);
        let service = service_fn(move |request| {
            http::respond(Arc::clone(&store), Arc::clone(&broken), request)
        });
        let connection = hyper::server::conn::http1::Builder::new()
            .timer(TokioTimer::new())
            .header_read_timeout(HEAD_WAIT)
            .serve_connection(TokioIo::new(stream), service);
        let connection = open.watch(connection);
        tokio::spawn(async move {
            // A client that went away is no error of ours.
            let _ = connection.await;
            drop(place);
        });
    }
    drop(listener);
    let _ = tokio::time::timeout(DRAIN, open.shutdown()).await;
    Ok(())
}
