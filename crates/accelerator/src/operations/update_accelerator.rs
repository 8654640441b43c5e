//! `UpdateAccelerator`: its name, and whether it takes traffic. Its addresses stay for as long as
//! it exists.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::create_accelerator::{address_type, check_name, own_addresses};
use super::judged_by;
use crate::access::{Allowed, Execute};
use crate::error::AcceleratorError;
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
        address_type(self.ip_address_type.as_deref())?;
        own_addresses(addresses)?;
        let missing = AcceleratorError::NoAccelerator;
        let amended = service.amend(&arn, missing, |accelerator| {
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
