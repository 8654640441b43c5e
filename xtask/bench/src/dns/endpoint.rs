//! An endpoint that health checks look at: it answers 200 until it is told to fail, and says when
//! it failed first. Also as a program of its own, for the Regions of a lab to run.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result};

/// The first argument that makes this program an endpoint at HOST and PORT.
pub const ENDPOINT: &str = "serve-endpoint";

/// How long a client may take with its request.
const WAIT: Duration = Duration::from_secs(2);

/// An endpoint in a thread of the bench, which ends with it.
pub struct Endpoint {
    /// Where it listens.
    pub address: SocketAddr,
    state: Arc<State>,
}

#[derive(Default)]
struct State {
    failing: AtomicBool,
    first_failed: Mutex<Option<Instant>>,
}

impl Endpoint {
    /// Starts a healthy one on a free port.
    pub fn start() -> Result<Endpoint> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let state = Arc::new(State::default());
        let served = Arc::clone(&state);
        std::thread::spawn(move || accept(&listener, &served));
        Ok(Endpoint { address, state })
    }

    /// From now on requests are answered 500, or 200 again.
    pub fn fail(&self, failing: bool) {
        *self.first_failed_cell() = None;
        self.state.failing.store(failing, Ordering::SeqCst);
    }

    /// When the first request since then was answered 500.
    pub fn first_failed(&self) -> Option<Instant> {
        *self.first_failed_cell()
    }

    fn first_failed_cell(&self) -> std::sync::MutexGuard<'_, Option<Instant>> {
        let cell = self.state.first_failed.lock();
        cell.unwrap_or_else(PoisonError::into_inner)
    }
}

/// Serves until the process is ended, at the address that the lab gives its applications.
pub fn serve() -> Result<()> {
    let variable = |name: &str| std::env::var(name).with_context(|| format!("{name} isn't set"));
    let address = format!("{}:{}", variable("HOST")?, variable("PORT")?);
    let listener = TcpListener::bind(&address).with_context(|| format!("can't use {address}"))?;
    accept(&listener, &Arc::default());
    Ok(())
}

fn accept(listener: &TcpListener, state: &Arc<State>) {
    for stream in listener.incoming().flatten() {
        let state = Arc::clone(state);
        // A checker that goes away meanwhile is nothing to act on.
        std::thread::spawn(move || answer(stream, &state).ok());
    }
}

fn answer(mut stream: TcpStream, state: &State) -> std::io::Result<()> {
    stream.set_read_timeout(Some(WAIT))?;
    let mut request = Vec::new();
    let mut buffer = [0; 1024];
    while !request.windows(4).any(|window| window == b"\r\n\r\n") {
        let count = stream.read(&mut buffer)?;
        if count == 0 || request.len() > 16 * 1024 {
            return Ok(());
        }
        request.extend_from_slice(&buffer[..count]);
    }
    let failing = state.failing.load(Ordering::SeqCst);
    let status = if failing {
        "500 Internal Server Error"
    } else {
        "200 OK"
    };
    let reply = format!("HTTP/1.1 {status}\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok");
    stream.write_all(reply.as_bytes())?;
    if failing {
        let mut first = state
            .first_failed
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        first.get_or_insert_with(Instant::now);
    }
    Ok(())
}
