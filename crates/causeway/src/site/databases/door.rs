//! An instance's endpoint: the address that clients connect to, open as long as the instance is
//! and its zone is up. What can't be listened on is told, and tried again.

use std::net::SocketAddr;
use std::sync::Arc;

use databases::model::Instance;
use runtime::{DatabaseEndpoint, EndpointLimits, EndpointTls};

use super::servers::{Behind, Seen};

/// The endpoint of one instance.
pub(super) struct Door {
    seen: Arc<Seen>,
    tls: Option<EndpointTls>,
    open: Option<(SocketAddr, DatabaseEndpoint)>,
    trouble: Option<String>,
}

impl Door {
    /// Closed yet; it will speak TLS with clients that ask for it, if there is a certificate.
    pub(super) fn new(seen: Arc<Seen>, tls: Option<EndpointTls>) -> Door {
        Door {
            seen,
            tls,
            open: None,
            trouble: None,
        }
    }

    /// Listens where the instance's row says, from when this returns.
    pub(super) fn open(&mut self, instance: &Instance) {
        let address = SocketAddr::new(instance.address.into(), instance.port);
        if self.open.as_ref().is_some_and(|(open, _)| *open == address) {
            return;
        }
        self.open = None;
        let behind = Arc::new(Behind(self.seen.clone()));
        match DatabaseEndpoint::listen(address, self.tls.clone(), behind, EndpointLimits::STANDARD) {
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
