//! `DescribeAcceleratorAttributes`: whether flows are logged, and where to.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::judged_by;
use crate::access::{Allowed, Execute};
use crate::error::AcceleratorError;
use crate::request::{arn, respond};
use crate::service::Service;
use crate::{catalogue, shapes};

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Input {
    accelerator_arn: Option<String>,
}

judged_by!(accelerator_arn);

impl Execute for Input {
    async fn execute(self, service: &Service, _: &Allowed) -> Result<Bytes, AcceleratorError> {
        let arn = arn("acceleratorArn", self.accelerator_arn.as_ref())?;
        let found = catalogue::find(&*service.view(), &arn)?;
        let (_, accelerator) = found.ok_or(AcceleratorError::NoAccelerator)?;
        let shape = shapes::attributes(&accelerator.flow_logs);
        Ok(respond(&json!({"AcceleratorAttributes": shape})))
    }
}
