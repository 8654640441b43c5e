//! `DescribeEndpointGroup`.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::judged_by;
use crate::access::{Allowed, Execute};
use crate::arn::EndpointGroupArn;
use crate::error::AcceleratorError;
use crate::request::{arn, respond};
use crate::service::Service;
use crate::{catalogue, group_settings};

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Input {
    endpoint_group_arn: Option<String>,
}

judged_by!(endpoint_group_arn);

impl Execute for Input {
    async fn execute(self, service: &Service, _: &Allowed) -> Result<Bytes, AcceleratorError> {
        let arn: EndpointGroupArn = arn("endpointGroupArn", self.endpoint_group_arn.as_ref())?;
        let found = catalogue::find(&*service.view(), &arn.listener.accelerator)?;
        let (_, accelerator) = found.ok_or(AcceleratorError::NoGroup)?;
        let listener = accelerator.listener(&arn.listener.listener);
        let listener = listener.ok_or(AcceleratorError::NoGroup)?;
        let group = listener.group(&arn.group);
        let group = group.ok_or(AcceleratorError::NoGroup)?;
        let shape = group_settings::shape(service, &accelerator, listener, group);
        Ok(respond(&json!({"EndpointGroup": shape})))
    }
}
