//! `DeleteListener`: of one that has no endpoint groups.

use bytes::Bytes;
use serde::Deserialize;

use super::judged_by;
use crate::access::{Allowed, Execute};
use crate::arn::ListenerArn;
use crate::error::AcceleratorError;
use crate::request::{arn, nothing};
use crate::service::Service;

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Input {
    listener_arn: Option<String>,
}

judged_by!(listener_arn);

impl Execute for Input {
    async fn execute(self, service: &Service, _: &Allowed) -> Result<Bytes, AcceleratorError> {
        let arn: ListenerArn = arn("listenerArn", self.listener_arn.as_ref())?;
        let missing = AcceleratorError::NoListener;
        let amended = service.amend(&arn.accelerator, missing, |accelerator| {
            if !accelerator.find_listener(&arn.listener)?.groups.is_empty() {
                return Err(AcceleratorError::HasGroups);
            }
            let listeners = &mut accelerator.listeners;
            listeners.retain(|listener| listener.id != arn.listener);
            Ok(())
        });
        amended.await?;
        Ok(nothing())
    }
}
