//! `DeleteEndpointGroup`, with its endpoints.

use bytes::Bytes;
use serde::Deserialize;

use super::judged_by;
use crate::access::{Allowed, Execute};
use crate::arn::EndpointGroupArn;
use crate::error::AcceleratorError;
use crate::request::{arn, nothing};
use crate::service::Service;

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Input {
    endpoint_group_arn: Option<String>,
}

judged_by!(endpoint_group_arn);

impl Execute for Input {
    async fn execute(self, service: &Service, _: &Allowed) -> Result<Bytes, AcceleratorError> {
        let arn: EndpointGroupArn = arn("endpointGroupArn", self.endpoint_group_arn.as_ref())?;
        let (listener, missing) = (&arn.listener.listener, AcceleratorError::NoGroup);
        let amended = service.amend(&arn.listener.accelerator, missing, |accelerator| {
            accelerator.find_group(listener, &arn.group)?;
            let groups = &mut accelerator.find_listener(listener)?.groups;
            groups.retain(|group| group.id != arn.group);
            Ok(())
        });
        amended.await?;
        Ok(nothing())
    }
}
