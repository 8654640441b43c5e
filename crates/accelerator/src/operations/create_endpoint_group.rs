//! `CreateEndpointGroup`: one of a listener in each Region. The same request under the same token
//! is answered with what it made the first time, as long as that exists.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use types::Region;

use super::judged_by;
use crate::access::{Allowed, Execute};
use crate::arn::ListenerArn;
use crate::endpoints::{self, EndpointConfiguration};
use crate::error::AcceleratorError;
use crate::group_settings::{self, Given, Settings};
use crate::ids;
use crate::limits::MAX_GROUPS;
use crate::model::{Accelerator, EndpointGroup, EndpointGroupId, MadeBy, TrafficDial};
use crate::ports::{self, Override};
use crate::request::{arn, other_request, required, respond, token};
use crate::service::Service;

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Input {
    listener_arn: Option<String>,
    endpoint_group_region: Option<String>,
    endpoint_configurations: Option<Vec<EndpointConfiguration>>,
    traffic_dial_percentage: Option<f64>,
    health_check_port: Option<i64>,
    health_check_protocol: Option<String>,
    health_check_path: Option<String>,
    health_check_interval_seconds: Option<i64>,
    threshold_count: Option<i64>,
    idempotency_token: Option<String>,
    port_overrides: Option<Vec<Override>>,
}

judged_by!(listener_arn);

/// What is asked for, by the rules.
struct Wanted {
    region: Region,
    settings: Settings,
    made_by: MadeBy,
}

impl Execute for Input {
    async fn execute(self, service: &Service, _: &Allowed) -> Result<Bytes, AcceleratorError> {
        let arn: ListenerArn = arn("listenerArn", self.listener_arn.as_ref())?;
        endpoints::await_balancers(service, self.endpoint_configurations.as_deref()).await;
        let wanted = self.read(service)?;
        let missing = AcceleratorError::NoAccelerator;
        let amended = service.amend(&arn.accelerator, missing, |accelerator| {
            wanted.make(service, &arn, accelerator)
        });
        let amended = amended.await?;
        let (accelerator, group) = (&amended.accelerator, &amended.outcome);
        let listener = accelerator.listener(&arn.listener);
        let listener = listener.ok_or(AcceleratorError::NoListener)?;
        let shape = group_settings::shape(service, accelerator, listener, group);
        Ok(respond(&json!({"EndpointGroup": shape})))
    }
}

impl Input {
    fn read(self, service: &Service) -> Result<Wanted, AcceleratorError> {
        let region = required("endpointGroupRegion", self.endpoint_group_region)?;
        let region = group_settings::region("endpointGroupRegion", &region)?;
        let token = token(self.idempotency_token)?;
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
        let digest = ids::digest(&json!([region, settings]).to_string());
        Ok(Wanted {
            region,
            settings,
            made_by: MadeBy { token, digest },
        })
    }
}

impl Wanted {
    fn make(
        &self,
        service: &Service,
        arn: &ListenerArn,
        accelerator: &mut Accelerator,
    ) -> Result<EndpointGroup, AcceleratorError> {
        let environment = &*service.config.environment;
        let mut id = ids::group(environment);
        while accelerator.groups().any(|group| group.id == id) {
            id = ids::group(environment);
        }
        let listener = accelerator.listener(&arn.listener);
        let listener = listener.ok_or(AcceleratorError::NoListener)?;
        let mut groups = listener.groups.iter();
        if let Some(made) = groups.find(|group| group.made_by.token == self.made_by.token) {
            return match made.made_by == self.made_by {
                true => Ok(made.clone()),
                false => Err(other_request()),
            };
        }
        if listener
            .groups
            .iter()
            .any(|group| group.region == self.region)
        {
            return Err(AcceleratorError::GroupExists(self.region));
        }
        if accelerator.groups().count() >= MAX_GROUPS {
            let what = "endpoint groups for an accelerator";
            return Err(AcceleratorError::limit(MAX_GROUPS, what));
        }
        let group = self.group(id);
        endpoints::check_placed(service, accelerator, self.region, &group.endpoints)?;
        ports::check_overrides(accelerator, &listener.ports, &group.overrides)?;
        let listener = accelerator.find_listener(&arn.listener)?;
        listener.groups.push(group.clone());
        Ok(group)
    }

    fn group(&self, id: EndpointGroupId) -> EndpointGroup {
        let mut group = EndpointGroup {
            id,
            region: self.region,
            made_by: self.made_by.clone(),
            tags: Default::default(),
            dial: TrafficDial::ALL,
            check: group_settings::default_check(),
            overrides: Default::default(),
            endpoints: Vec::new(),
        };
        self.settings.apply(&mut group);
        group
    }
}
