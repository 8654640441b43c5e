//! An instance's endpoint: the address that clients connect to, open as long as the instance is
//! and its zone is up. Where each connection goes is asked of the instance's row and of how its
//! server stands, at that moment. What can't be listened on is told, and tried again.

use std::net::SocketAddr;
use std::sync::Arc;

use databases::catalogue;
use databases::model::{Instance, ResourceId};
use databases::{Serving, serving};
use runtime::{Away, Backend, DatabaseEndpoint, EndpointDirectory, EndpointLimits};

use super::Around;
use super::servers::Seen;

/// The endpoint of one instance.
pub(super) struct Door {
    around: Arc<Around>,
    id: ResourceId,
    seen: Arc<Seen>,
    open: Option<(SocketAddr, DatabaseEndpoint)>,
    trouble: Option<String>,
}

impl Door {
    /// Closed yet.
    pub(super) fn new(around: Arc<Around>, id: ResourceId, seen: Arc<Seen>) -> Door {
        Door {
            around,
            id,
            seen,
            open: None,
            trouble: None,
        }
    }

    /// Listens where the instance's row says, from when this returns; it speaks TLS with clients
    /// that ask for it, if the lab has a certificate.
    pub(super) fn open(&mut self, instance: &Instance) {
        let address = SocketAddr::new(instance.address.into(), instance.port);
        if self.open.as_ref().is_some_and(|(open, _)| *open == address) {
            return;
        }
        self.open = None;
        let behind = Arc::new(Behind {
            around: self.around.clone(),
            id: self.id.clone(),
            seen: self.seen.clone(),
        });
        let (tls, limits) = (self.around.tls.clone(), EndpointLimits::STANDARD);
        match DatabaseEndpoint::listen(address, tls, behind, limits) {
            Ok(endpoint) => {
                self.open = Some((address, endpoint));
                self.trouble = None;
            }
            Err(cause) => {
                let trouble = format!("its endpoint can't be listened on: {cause}");
                if self.trouble.as_ref() != Some(&trouble) {
                    tracing::warn!(%address, %cause, "a database's endpoint isn't open");
                }
                self.trouble = Some(trouble);
            }
        }
    }

    /// Nothing listens there any more, and connections end.
    pub(super) fn close(&mut self) {
        self.open = None;
        self.trouble = None;
    }

    /// Sessions that are open.
    pub(super) fn connections(&self) -> u64 {
        let open = self.open.as_ref();
        open.map_or(0, |(_, endpoint)| endpoint.counts().open)
    }

    /// Why it isn't open, if it should be.
    pub(super) fn trouble(&self) -> Option<String> {
        self.trouble.clone()
    }
}

/// What is behind an instance's endpoint.
struct Behind {
    around: Arc<Around>,
    id: ResourceId,
    seen: Arc<Seen>,
}

impl EndpointDirectory for Behind {
    fn backend(&self) -> Backend {
        let view = self.around.region.regional_view();
        let standing = self.seen.state().standing.clone();
        let away = |sqlstate, message: &str| {
            let message = message.to_owned();
            Backend::Away(Away { sqlstate, message })
        };
        match catalogue::instance(&*view, &self.id) {
            Ok(Some((_, instance))) => match serving(&instance, Some(&standing)) {
                Serving::Open => Backend::Server {
                    socket: self.seen.socket(),
                },
                Serving::Away { sqlstate, message } => away(sqlstate, message),
            },
            // SQLSTATE 57P03: cannot_connect_now.
            Ok(None) | Err(_) => away(*b"57P03", "the database system is shutting down"),
        }
    }
}
