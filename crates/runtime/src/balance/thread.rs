//! A thread of the balancer: accepts connections, holds those that are its own, and ends them when
//! it is told to. A panic costs the connection in which it came, not the thread.

use std::cell::{Cell, RefCell};
use std::collections::BTreeMap;
use std::io;
use std::net::SocketAddr;
use std::rc::Rc;
use std::sync::atomic::Ordering;
use std::sync::{Arc, mpsc};
use std::time::Duration;

use tokio::net::{TcpListener, TcpStream};
use tokio::runtime::Runtime;
use tokio::sync::Notify;
use tokio::sync::mpsc::UnboundedReceiver;
use tokio::task::{AbortHandle, JoinHandle, LocalSet};

use super::h1::Client;
use super::h2::{self, Http2Targets};
use super::handle::{Listening, Shared};
use super::link::Link;
use super::rewrite::Traces;
use super::targets::{Connectors, Targets};
use super::tls::{self, HTTP2};
use super::{Balance, BalancerLimits, ListenerKind, stream};
use crate::http::tls::{Connection, HANDSHAKE_WAIT};

/// How long accepting rests when the process has no descriptor left.
const ACCEPT_PAUSE: Duration = Duration::from_millis(50);

/// Kept connections to targets are looked through this often.
const SWEEP: Duration = Duration::from_secs(5);

/// What a thread is told.
pub(super) enum Command {
    /// To accept what comes there.
    Listen(Arc<Listening>, std::net::TcpListener),
    /// To hold a connection that another thread has accepted.
    Hold(Arc<Listening>, std::net::TcpStream, SocketAddr),
    /// To end what came there; `done` is dropped once nothing is accepted there any more.
    Close {
        number: u64,
        reset: bool,
        done: mpsc::Sender<()>,
    },
    /// To end.
    Stop,
}

/// How a client's connection stands: what those see and set who may end it.
#[derive(Debug)]
pub(super) struct Standing {
    number: u64,
    /// Nothing is asked on it.
    pub(super) idle: Cell<bool>,
    /// No further request is read off it ...
    pub(super) draining: Cell<bool>,
    /// ... of which those are told that wait.
    pub(super) drain: Notify,
    /// It ends by a reset.
    pub(super) reset: Cell<bool>,
}

/// What the connections of a thread share.
pub(super) struct Local {
    pub(super) balance: Arc<dyn Balance>,
    pub(super) limits: BalancerLimits,
    pub(super) targets: Targets,
    pub(super) http2: Http2Targets,
    pub(super) traces: RefCell<Traces>,
    shared: Arc<Shared>,
    index: usize,
    clients: RefCell<BTreeMap<u64, (Rc<Standing>, AbortHandle)>>,
    next_client: Cell<u64>,
}

/// A thread that can run.
pub(super) struct Worker {
    shared: Arc<Shared>,
    index: usize,
    receiver: UnboundedReceiver<Command>,
    runtime: Runtime,
    connectors: Connectors,
}

/// Readies a thread: what can fail, fails here.
pub(super) fn prepare(
    shared: Arc<Shared>,
    index: usize,
    receiver: UnboundedReceiver<Command>,
) -> io::Result<Worker> {
    let connectors = Connectors::new().map_err(io::Error::other)?;
    let runtime = tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()?;
    Ok(Worker {
        shared,
        index,
        receiver,
        runtime,
        connectors,
    })
}

impl Worker {
    /// Runs until it is told to stop.
    pub(super) fn run(self) {
        let limits = self.shared.options.limits;
        let local = Rc::new(Local {
            balance: Arc::clone(&self.shared.balance),
            limits,
            http2: Http2Targets::new(limits.kept),
            targets: Targets::new(self.connectors, limits.kept, limits.connect),
            traces: RefCell::new(Traces::new()),
            shared: self.shared,
            index: self.index,
            clients: RefCell::default(),
            next_client: Cell::new(0),
        });
        let set = LocalSet::new();
        set.block_on(&self.runtime, obey(local, self.receiver));
        // Whatever is left is dropped, and so told.
        drop(set);
    }
}

async fn obey(local: Rc<Local>, mut receiver: UnboundedReceiver<Command>) {
    let mut accepting: BTreeMap<u64, JoinHandle<()>> = BTreeMap::new();
    let sweeping = Rc::clone(&local);
    tokio::task::spawn_local(async move {
        loop {
            tokio::time::sleep(SWEEP).await;
            sweeping.targets.sweep();
            sweeping.http2.sweep();
        }
    });
    while let Some(command) = receiver.recv().await {
        match command {
            Command::Listen(at, socket) => {
                let number = at.number;
                let accept = accept(Rc::clone(&local), at, socket);
                accepting.insert(number, tokio::task::spawn_local(accept));
            }
            Command::Hold(at, stream, source) => match TcpStream::from_std(stream) {
                Ok(stream) => local.hold(at, stream, source),
                Err(cause) => {
                    local.shared.open.fetch_sub(1, Ordering::Relaxed);
                    tracing::warn!(%cause, "a connection can't be held");
                }
            },
            Command::Close {
                number,
                reset,
                done,
            } => {
                if let Some(task) = accepting.remove(&number) {
                    task.abort();
                    // Its socket is closed when it has ended.
                    task.await.ok();
                }
                drop(done);
                local.end(number, reset);
            }
            Command::Stop => return,
        }
    }
}

async fn accept(local: Rc<Local>, at: Arc<Listening>, socket: std::net::TcpListener) {
    let listener = match TcpListener::from_std(socket) {
        Ok(listener) => listener,
        Err(cause) => {
            tracing::error!(%cause, address = %at.bound, "a listener can't be waited for");
            return;
        }
    };
    loop {
        match listener.accept().await {
            Ok((stream, source)) => local.admit(&at, stream, source),
            Err(cause) => {
                tracing::warn!(%cause, address = %at.bound, "a connection could not be accepted");
                tokio::time::sleep(ACCEPT_PAUSE).await;
            }
        }
    }
}

impl Local {
    fn admit(self: &Rc<Self>, at: &Arc<Listening>, stream: TcpStream, source: SocketAddr) {
        let most = self.limits.connections;
        let counted = self.shared.open.fetch_add(1, Ordering::Relaxed);
        if counted >= most || stream.set_nodelay(true).is_err() {
            self.shared.open.fetch_sub(1, Ordering::Relaxed);
            at.counters.turned_away.count();
            return;
        }
        let turn = self.shared.turn.fetch_add(1, Ordering::Relaxed);
        let thread = turn % self.shared.mailboxes.len();
        if thread == self.index {
            self.hold(Arc::clone(at), stream, source);
            return;
        }
        let handed = stream.into_std().map(|stream| {
            let command = Command::Hold(Arc::clone(at), stream, source);
            self.shared.mailboxes[thread].send(command)
        });
        if !matches!(handed, Ok(Ok(()))) {
            self.shared.open.fetch_sub(1, Ordering::Relaxed);
        }
    }

    /// Serves a connection that is counted among the open ones.
    fn hold(self: &Rc<Self>, at: Arc<Listening>, stream: TcpStream, source: SocketAddr) {
        if at.is_closed() {
            self.shared.open.fetch_sub(1, Ordering::Relaxed);
            // Nothing was read off it: it ends by a reset, as one that was never accepted.
            socket2::SockRef::from(&stream)
                .set_linger(Some(Duration::ZERO))
                .ok();
            return;
        }
        at.counters.connections.count();
        let standing = Rc::new(Standing {
            number: at.number,
            idle: Cell::new(true),
            draining: Cell::new(false),
            drain: Notify::new(),
            reset: Cell::new(false),
        });
        let client = self.next_client.get();
        self.next_client.set(client + 1);
        let held = Held {
            local: Rc::clone(self),
            at: Arc::clone(&at),
            client,
        };
        let serve = serve(Rc::clone(self), at, Rc::clone(&standing), stream, source);
        let task = tokio::task::spawn_local(async move {
            let _held = held;
            serve.await;
        });
        let entry = (standing, task.abort_handle());
        self.clients.borrow_mut().insert(client, entry);
    }

    /// Ends the connections that came there: now, or idle ones now and others in a while.
    fn end(self: &Rc<Self>, number: u64, reset: bool) {
        let mut waits = false;
        for (standing, task) in self.clients.borrow().values() {
            if standing.number != number {
                continue;
            }
            standing.draining.set(true);
            standing.reset.set(reset);
            standing.drain.notify_one();
            match reset || standing.idle.get() {
                true => task.abort(),
                false => waits = true,
            }
        }
        if waits {
            let local = Rc::clone(self);
            tokio::task::spawn_local(async move {
                tokio::time::sleep(local.limits.drain).await;
                for (standing, task) in local.clients.borrow().values() {
                    if standing.number == number {
                        task.abort();
                    }
                }
            });
        }
    }
}

/// A connection's place among those that are open.
struct Held {
    local: Rc<Local>,
    at: Arc<Listening>,
    client: u64,
}

impl Drop for Held {
    fn drop(&mut self) {
        self.at.counters.closed.count();
        self.local.shared.open.fetch_sub(1, Ordering::Relaxed);
        if let Ok(mut clients) = self.local.clients.try_borrow_mut() {
            clients.remove(&self.client);
        }
    }
}

/// A connection from its handshake to its end.
async fn serve(
    local: Rc<Local>,
    at: Arc<Listening>,
    standing: Rc<Standing>,
    stream: TcpStream,
    source: SocketAddr,
) {
    let (server, is_http) = match at.kind() {
        ListenerKind::Http(_) => (None, true),
        ListenerKind::Https(_, tls) => (Some(tls.server), true),
        ListenerKind::Tls(tls) => (Some(tls.server), false),
    };
    let accepted = Connection::accept(stream, server.as_ref(), HANDSHAKE_WAIT).await;
    let Some(connection) = accepted else {
        at.counters.handshakes_failed.count();
        return;
    };
    let (mut facts, mut is_http2) = (None, false);
    if let Connection::Secure(secured) = &connection {
        let session = secured.get_ref().1;
        facts = Some(tls::facts(session));
        is_http2 = session.alpn_protocol() == Some(HTTP2);
    }
    let link = Link::of_client(connection, Rc::clone(&standing));
    if !is_http {
        stream::serve(local, at, standing, link, source).await;
    } else if is_http2 {
        h2::serve(local, at, standing, link, source, facts).await;
    } else {
        // Boxed, so that a connection of another kind needn't be as large.
        let client = Client::new(local, at, standing, link, source, facts);
        Box::pin(client.serve()).await;
    }
}
