//! `UpdateEndpointGroup`. What a request leaves out stays; lists that it gives replace those that
//! the group has.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::judged_by;
use crate::access::{Allowed, Execute};
use crate::arn::EndpointGroupArn;
use crate::endpoints::{self, EndpointConfiguration};
use crate::error::AcceleratorError;
use crate::group_settings::{self, Given};
use crate::ports::{self, Override};
use crate::request::{arn, respond};
use crate::service::Service;

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Input {
    endpoint_group_arn: Option<String>,
    endpoint_configurations: Option<Vec<EndpointConfiguration>>,
    traffic_dial_percentage: Option<f64>,
    health_check_port: Option<i64>,
    health_check_protocol: Option<String>,
    health_check_path: Option<String>,
    health_check_interval_seconds: Option<i64>,
    threshold_count: Option<i64>,
    port_overrides: Option<Vec<Override>>,
}

judged_by!(endpoint_group_arn);

impl Execute for Input {
    async fn execute(self, service: &Service, _: &Allowed) -> Result<Bytes, AcceleratorError> {
        let arn: EndpointGroupArn = arn("endpointGroupArn", self.endpoint_group_arn.as_ref())?;
        endpoints::await_balancers(service, self.endpoint_configurations.as_deref()).await;
        let given = Given {
            endpoints: self.endpoint_configurations,
            dial: self.traffic_dial_percentage,
            port: self.health_check_port,
            protocol: self.health_check_protocol,
            path: self.health_check_path,
            interval: self.health_check_interval_seconds,
            threshold: self.threshold_count,
            overrides: self.port_overrides,
        };
        let settings = given.read(service)?;
        let (listener, missing) = (&arn.listener.listener, AcceleratorError::NoGroup);
        let amended = service.amend(&arn.listener.accelerator, missing, |accelerator| {
            let mut group = accelerator.find_group(listener, &arn.group)?.clone();
            settings.apply(&mut group);
            endpoints::check_placed(service, accelerator, group.region, &group.endpoints)?;
            // Its new overrides must go with all others', and not with its own of before.
            accelerator
                .find_group(listener, &arn.group)?
                .overrides
                .clear();
            let ports = accelerator.find_listener(listener)?.ports.clone();
            ports::check_overrides(accelerator, &ports, &group.overrides)?;
            *accelerator.find_group(listener, &arn.group)? = group.clone();
            Ok(group)
        });
        let amended = amended.await?;
        let accelerator = &amended.accelerator;
        let listener = accelerator.listener(listener);
        let listener = listener.ok_or(AcceleratorError::NoGroup)?;
        let shape = group_settings::shape(service, accelerator, listener, &amended.outcome);
        Ok(respond(&json!({"EndpointGroup": shape})))
    }
}
