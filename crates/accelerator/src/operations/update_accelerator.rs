//! `UpdateAccelerator`: its name, whether it takes traffic, and whether it has IPv6 addresses. Its
//! IPv4 addresses stay for as long as it exists; those of IPv6 for as long as it is dual-stack.

use std::net::IpAddr;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use types::ConfigurationView;

use super::create_accelerator::{address_type, check_name, own_addresses};
use super::judged_by;
use crate::access::{Allowed, Execute};
use crate::endpoints;
use crate::error::AcceleratorError;
use crate::model::{Accelerator, IpAddressType};
use crate::request::{arn, respond};
use crate::service::Service;
use crate::shapes;

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Input {
    accelerator_arn: Option<String>,
    name: Option<String>,
    ip_address_type: Option<String>,
    ip_addresses: Option<Vec<String>>,
    enabled: Option<bool>,
}

judged_by!(accelerator_arn);

impl Execute for Input {
    async fn execute(self, service: &Service, _: &Allowed) -> Result<Bytes, AcceleratorError> {
        let arn = arn("acceleratorArn", self.accelerator_arn.as_ref())?;
        let addresses = self.ip_addresses.as_deref();
        if self.ip_address_type.is_some() && addresses.is_some_and(|given| !given.is_empty()) {
            return Err(AcceleratorError::Contradiction(
                "You can't use both of those options: IpAddressType and IpAddresses.".to_owned(),
            ));
        }
        if let Some(name) = &self.name {
            check_name(name)?;
        }
        let asked = address_type(self.ip_address_type.as_deref())?;
        own_addresses(addresses)?;
        let missing = AcceleratorError::NoAccelerator;
        let amended = service.amend_within(&arn, missing, |view, accelerator| {
            if let Some(asked) = asked {
                change_addresses(service, view, accelerator, asked)?;
            }
            if let Some(name) = &self.name {
                accelerator.name.clone_from(name);
            }
            accelerator.enabled = self.enabled.unwrap_or(accelerator.enabled);
            Ok(())
        });
        let amended = amended.await?;
        let shape = shapes::accelerator(service, amended.revision, &amended.accelerator);
        Ok(respond(&json!({"Accelerator": shape})))
    }
}

/// Gives an accelerator two IPv6 addresses, takes those that it has, or leaves it as it is.
fn change_addresses(
    service: &Service,
    view: &dyn ConfigurationView,
    accelerator: &mut Accelerator,
    asked: IpAddressType,
) -> Result<(), AcceleratorError> {
    if accelerator.ip_address_type == asked {
        return Ok(());
    }
    match asked {
        IpAddressType::Ipv4 => accelerator.addresses.retain(IpAddr::is_ipv4),
        IpAddressType::DualStack => {
            let endpoints = accelerator.groups().flat_map(|group| &group.endpoints);
            endpoints::check_dual_stack(endpoints)?;
            let pools = service.config.pools.as_ref();
            let pools = pools.map_err(|reason| AcceleratorError::Refused(reason.clone()))?;
            let drawn = pools.draw_ipv6(view, || service.config.environment.random())?;
            accelerator.addresses.extend(drawn.map(IpAddr::V6));
        }
    }
    accelerator.ip_address_type = asked;
    Ok(())
}
