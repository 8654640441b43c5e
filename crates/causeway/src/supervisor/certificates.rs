//! The sites' certificates: a new one at each start, and for a site that runs, well before the one
//! it has ends or when the operator wants it. Nothing is taken back: an old certificate is good
//! until its own end, whoever has its key.
//!
//! The time is the machine's true one: clock faults set only the sites' clocks off.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use link::certificate::Details;
use runtime::Child;
use serde_json::Value;
use types::{Environment, Site, Span};

use super::Supervisor;
use super::slot::{Slot, to_json};
use crate::control::{Renewal, SiteRenewal};
use crate::files::{self, Readers};
use crate::protocol::SiteCommand;

/// How often certificates are looked at. A third of their validity, a month, is left for trying
/// again; and where the machine's clock was set far ahead, links are down no longer than this.
const INTERVAL: Span = Span::seconds(600);

/// How long a site may take to take over its new certificate.
const ROTATE_WAIT: Duration = Duration::from_secs(5);

/// Whose certificates are renewed.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Renew {
    /// Every site's.
    All,
    /// Those that end soon, and those that should have been renewed before and were not.
    Due,
}

impl Supervisor {
    /// Renews certificates in time, for ever.
    pub async fn keep_certificates(self: Arc<Self>) {
        loop {
            let next = self.environment.now().monotonic + INTERVAL;
            self.environment.sleep_until(next).await;
            self.renew(Renew::Due).await;
        }
    }

    /// Gives every site a new certificate now.
    pub(super) async fn rotate(&self) -> Vec<SiteRenewal> {
        self.renew(Renew::All).await
    }

    async fn renew(&self, which: Renew) -> Vec<SiteRenewal> {
        let renewals = self.lab.settings.sites.iter().map(|site| async move {
            let renewal = self.slots[&site.name].renew(self, which).await?;
            if let Renewal::Failed { reason } = &renewal {
                tracing::warn!(
                    "{} has no new certificate: {reason}. It is tried again in {} minutes, and at \
                     its next start",
                    site.name,
                    INTERVAL.0 / 60_000_000,
                );
            }
            let site = site.name;
            Some(SiteRenewal { site, renewal })
        });
        join_all(renewals).await.into_iter().flatten().collect()
    }

    /// Writes a new certificate for the site and has its process take it over.
    pub(super) async fn replace_certificate(
        &self,
        slot: &Slot,
        child: &Child,
    ) -> Result<Details, String> {
        let directory = self.lab.site_directory(slot.site.name);
        // Should only a part be written, that doesn't matter: each start writes all of it anew.
        write(self, slot.site, &directory).map_err(|cause| format!("{cause:#}"))?;
        let answer = child
            .call(to_json(&SiteCommand::Rotate), ROTATE_WAIT)
            .await
            .map_err(|cause| cause.to_string())?;
        read(answer)
    }
}

/// Issues a certificate and puts it into the site's directory, with its key and the authority that
/// its peers' certificates are checked by.
pub(super) fn write(lab: &Supervisor, site: Site, directory: &Path) -> anyhow::Result<Details> {
    let identity = lab.authority.issue(site.name, lab.environment.now().wall)?;
    let write =
        |name: &str, text: &str, readers| files::write(&directory.join(name), text, readers);
    let authority = lab.authority.certificate_pem();
    write("authorities.pem", authority, Readers::Anyone)?;
    let certificate = identity.certificate_pem();
    write("certificate.pem", certificate, Readers::Anyone)?;
    write("key.pem", identity.key_pem(), Readers::Owner)?;
    Ok(identity.details()?)
}

fn read(answer: Value) -> Result<Details, String> {
    serde_json::from_value(answer).map_err(|cause| format!("it answered something else: {cause}"))
}
