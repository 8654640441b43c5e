//! `DeleteAccelerator`: of one that is disabled and has no listeners. Its addresses may be
//! another's from then on.

use bytes::Bytes;
use serde::Deserialize;
use types::ConfigurationView;

use super::judged_by;
use crate::access::{Allowed, Execute};
use crate::arn::AcceleratorArn;
use crate::catalogue;
use crate::error::AcceleratorError;
use crate::request::{arn, nothing};
use crate::service::Service;

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Input {
    accelerator_arn: Option<String>,
}

judged_by!(accelerator_arn);

impl Execute for Input {
    async fn execute(self, service: &Service, _: &Allowed) -> Result<Bytes, AcceleratorError> {
        let arn: AcceleratorArn = arn("acceleratorArn", self.accelerator_arn.as_ref())?;
        let attempt = |view: &dyn ConfigurationView| {
            let found = catalogue::find(view, &arn)?;
            let (revision, accelerator) = found.ok_or(AcceleratorError::NoAccelerator)?;
            if accelerator.enabled {
                return Err(AcceleratorError::NotDisabled);
            }
            if !accelerator.listeners.is_empty() {
                return Err(AcceleratorError::HasListeners);
            }
            Ok((catalogue::remove(revision, &accelerator), ()))
        };
        service.change(&arn.accelerator.0, attempt).await?;
        Ok(nothing())
    }
}
