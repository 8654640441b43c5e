//! `AddEndpoints`: adds endpoints to a group's. One that it has takes the weight that is given.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::judged_by;
use crate::access::{Allowed, Execute};
use crate::arn::EndpointGroupArn;
use crate::endpoints::{self, EndpointConfiguration};
use crate::error::AcceleratorError;
use crate::request::{arn, required, respond};
use crate::service::Service;

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Input {
    endpoint_configurations: Option<Vec<EndpointConfiguration>>,
    endpoint_group_arn: Option<String>,
}

judged_by!(endpoint_group_arn);

impl Execute for Input {
    async fn execute(self, service: &Service, _: &Allowed) -> Result<Bytes, AcceleratorError> {
        let arn: EndpointGroupArn = arn("endpointGroupArn", self.endpoint_group_arn.as_ref())?;
        let added = required("endpointConfigurations", self.endpoint_configurations)?;
        endpoints::await_balancers(service, Some(&added)).await;
        let added = endpoints::read(service, added)?;
        let missing = AcceleratorError::NoGroup;
        let amended = service.amend(&arn.listener.accelerator, missing, |accelerator| {
            let listener = &arn.listener.listener;
            let region = accelerator.find_group(listener, &arn.group)?.region;
            endpoints::check_placed(service, accelerator, region, &added)?;
            let group = accelerator.find_group(listener, &arn.group)?;
            endpoints::add(group, &added)?;
            Ok(group.clone())
        });
        let amended = amended.await?;
        let described = endpoints::describe(service, &amended.accelerator, &amended.outcome);
        Ok(respond(&json!({
            "EndpointDescriptions": described,
            "EndpointGroupArn": arn.to_string(),
        })))
    }
}
