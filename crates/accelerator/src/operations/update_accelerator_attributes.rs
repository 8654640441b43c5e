//! `UpdateAcceleratorAttributes`: where flow logs would go. They are not built, so to enable them
//! is refused by name.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::judged_by;
use crate::access::{Allowed, Execute};
use crate::error::AcceleratorError;
use crate::limits::MAX_STRING;
use crate::request::{arn, length, respond};
use crate::service::Service;
use crate::shapes;

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Input {
    accelerator_arn: Option<String>,
    flow_logs_enabled: Option<bool>,
    #[serde(rename = "FlowLogsS3Bucket")]
    bucket: Option<String>,
    #[serde(rename = "FlowLogsS3Prefix")]
    prefix: Option<String>,
}

judged_by!(accelerator_arn);

impl Execute for Input {
    async fn execute(self, service: &Service, _: &Allowed) -> Result<Bytes, AcceleratorError> {
        let arn = arn("acceleratorArn", self.accelerator_arn.as_ref())?;
        if self.flow_logs_enabled == Some(true) {
            return Err(AcceleratorError::not_built(
                "The flow log of an accelerator (FlowLogsEnabled)",
            ));
        }
        for (at, text) in [
            ("flowLogsS3Bucket", &self.bucket),
            ("flowLogsS3Prefix", &self.prefix),
        ] {
            length(at, text.as_deref().unwrap_or_default(), 0, MAX_STRING)?;
        }
        let missing = AcceleratorError::NoAccelerator;
        let amended = service.amend(&arn, missing, |accelerator| {
            let logs = &mut accelerator.flow_logs;
            for (held, given) in [
                (&mut logs.bucket, &self.bucket),
                (&mut logs.prefix, &self.prefix),
            ] {
                if let Some(given) = given {
                    *held = Some(given.clone()).filter(|given| !given.is_empty());
                }
            }
            Ok(())
        });
        let amended = amended.await?;
        let shape = shapes::attributes(&amended.accelerator.flow_logs);
        Ok(respond(&json!({"AcceleratorAttributes": shape})))
    }
}
