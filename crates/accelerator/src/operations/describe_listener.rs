//! `DescribeListener`.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::judged_by;
use crate::access::{Allowed, Execute};
use crate::arn::ListenerArn;
use crate::error::AcceleratorError;
use crate::request::{arn, respond};
use crate::service::Service;
use crate::{catalogue, shapes};

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Input {
    listener_arn: Option<String>,
}

judged_by!(listener_arn);

impl Execute for Input {
    async fn execute(self, service: &Service, _: &Allowed) -> Result<Bytes, AcceleratorError> {
        let arn: ListenerArn = arn("listenerArn", self.listener_arn.as_ref())?;
        let found = catalogue::find(&*service.view(), &arn.accelerator)?;
        let (_, accelerator) = found.ok_or(AcceleratorError::NoListener)?;
        let listener = accelerator.listener(&arn.listener);
        let listener = listener.ok_or(AcceleratorError::NoListener)?;
        let shape = shapes::listener(&accelerator, listener);
        Ok(respond(&json!({"Listener": shape})))
    }
}
