//! `ListTagsForResource`.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::judged_by;
use crate::access::{Allowed, Execute};
use crate::arn::Arn;
use crate::error::AcceleratorError;
use crate::request::{resource_arn, respond};
use crate::service::Service;
use crate::tags;

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Input {
    resource_arn: Option<String>,
}

judged_by!(resource_arn);

impl Execute for Input {
    async fn execute(self, service: &Service, _: &Allowed) -> Result<Bytes, AcceleratorError> {
        let arn: Arn = resource_arn(self.resource_arn.as_ref())?;
        let held = tags::of(&*service.view(), &arn)?;
        Ok(respond(&json!({"Tags": tags::shape(&held)})))
    }
}
