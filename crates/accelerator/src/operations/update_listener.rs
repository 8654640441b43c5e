//! `UpdateListener`: its ports, its protocol and its affinity. What a request leaves out stays.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::judged_by;
use crate::access::{Allowed, Execute};
use crate::arn::ListenerArn;
use crate::error::AcceleratorError;
use crate::ports::{self, Range};
use crate::request::{arn, one_of, respond};
use crate::service::Service;
use crate::shapes::{self, AFFINITIES, PROTOCOLS};

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Input {
    listener_arn: Option<String>,
    port_ranges: Option<Vec<Range>>,
    protocol: Option<String>,
    client_affinity: Option<String>,
}

judged_by!(listener_arn);

impl Execute for Input {
    async fn execute(self, service: &Service, _: &Allowed) -> Result<Bytes, AcceleratorError> {
        let arn: ListenerArn = arn("listenerArn", self.listener_arn.as_ref())?;
        let protocol = self.protocol;
        let protocol = protocol.map(|word| one_of("protocol", &word, &PROTOCOLS));
        let protocol = protocol.transpose()?;
        let affinity = self.client_affinity;
        let affinity = affinity.map(|word| one_of("clientAffinity", &word, &AFFINITIES));
        let affinity = affinity.transpose()?;
        let ports = self.port_ranges.map(ports::ranges).transpose()?;
        let missing = AcceleratorError::NoListener;
        let amended = service.amend(&arn.accelerator, missing, |accelerator| {
            let mut listener = accelerator.find_listener(&arn.listener)?.clone();
            listener.protocol = protocol.unwrap_or(listener.protocol);
            listener.affinity = affinity.unwrap_or(listener.affinity);
            if let Some(ports) = &ports {
                listener.ports.clone_from(ports);
            }
            ports::check_listener(accelerator, &listener)?;
            *accelerator.find_listener(&arn.listener)? = listener.clone();
            Ok(listener)
        });
        let amended = amended.await?;
        let shape = shapes::listener(&amended.accelerator, &amended.outcome);
        Ok(respond(&json!({"Listener": shape})))
    }
}
