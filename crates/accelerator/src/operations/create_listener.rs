//! `CreateListener`. The same request under the same token is answered with what it made the
//! first time, as long as that exists.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::judged_by;
use crate::access::{Allowed, Execute};
use crate::arn::AcceleratorArn;
use crate::error::AcceleratorError;
use crate::limits::MAX_LISTENERS;
use crate::model::{ClientAffinity, Listener, MadeBy};
use crate::ports::{self, Range};
use crate::request::{arn, one_of, other_request, required, respond, token};
use crate::service::Service;
use crate::shapes::{AFFINITIES, PROTOCOLS};
use crate::{ids, shapes};

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Input {
    accelerator_arn: Option<String>,
    port_ranges: Option<Vec<Range>>,
    protocol: Option<String>,
    client_affinity: Option<String>,
    idempotency_token: Option<String>,
}

judged_by!(accelerator_arn);

impl Execute for Input {
    async fn execute(self, service: &Service, _: &Allowed) -> Result<Bytes, AcceleratorError> {
        let arn: AcceleratorArn = arn("acceleratorArn", self.accelerator_arn.as_ref())?;
        let protocol = required("protocol", self.protocol)?;
        let protocol = one_of("protocol", &protocol, &PROTOCOLS)?;
        let affinity = self.client_affinity;
        let affinity = affinity.map(|word| one_of("clientAffinity", &word, &AFFINITIES));
        let affinity = affinity.transpose()?.unwrap_or(ClientAffinity::None);
        let ports = ports::ranges(required("portRanges", self.port_ranges)?)?;
        let token = token(self.idempotency_token)?;
        let asked = json!([protocol, affinity, ports]).to_string();
        let made_by = MadeBy {
            token,
            digest: ids::digest(&asked),
        };
        let missing = AcceleratorError::NoAccelerator;
        let amended = service.amend(&arn, missing, |accelerator| {
            let mut same = accelerator.listeners.iter();
            if let Some(made) = same.find(|made| made.made_by.token == made_by.token) {
                return match made.made_by == made_by {
                    true => Ok(made.clone()),
                    false => Err(other_request()),
                };
            }
            if accelerator.listeners.len() >= MAX_LISTENERS {
                let what = "listeners for an accelerator";
                return Err(AcceleratorError::limit(MAX_LISTENERS, what));
            }
            let environment = &*service.config.environment;
            let mut id = ids::listener(environment);
            while accelerator.listener(&id).is_some() {
                id = ids::listener(environment);
            }
            let listener = Listener {
                id,
                protocol,
                ports: ports.clone(),
                affinity,
                made_by: made_by.clone(),
                tags: Default::default(),
                groups: Vec::new(),
            };
            ports::check_listener(accelerator, &listener)?;
            accelerator.listeners.push(listener.clone());
            Ok(listener)
        });
        let amended = amended.await?;
        let shape = shapes::listener(&amended.accelerator, &amended.outcome);
        Ok(respond(&json!({"Listener": shape})))
    }
}
