//! `RemoveEndpoints`: all that are named, or none if the group doesn't have one of them.

use bytes::Bytes;
use serde::Deserialize;

use super::judged_by;
use crate::access::{Allowed, Execute};
use crate::arn::EndpointGroupArn;
use crate::endpoints::{self, EndpointIdentifier};
use crate::error::AcceleratorError;
use crate::request::{arn, nothing, required};
use crate::service::Service;

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Input {
    endpoint_identifiers: Option<Vec<EndpointIdentifier>>,
    endpoint_group_arn: Option<String>,
}

judged_by!(endpoint_group_arn);

impl Execute for Input {
    async fn execute(self, service: &Service, _: &Allowed) -> Result<Bytes, AcceleratorError> {
        let arn: EndpointGroupArn = arn("endpointGroupArn", self.endpoint_group_arn.as_ref())?;
        let removals = required("endpointIdentifiers", self.endpoint_identifiers)?;
        let removals = endpoints::removals(removals)?;
        let missing = AcceleratorError::NoGroup;
        let amended = service.amend(&arn.listener.accelerator, missing, |accelerator| {
            let group = accelerator.find_group(&arn.listener.listener, &arn.group)?;
            endpoints::remove(group, &removals)
        });
        amended.await?;
        Ok(nothing())
    }
}
