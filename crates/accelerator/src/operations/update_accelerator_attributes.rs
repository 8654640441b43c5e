//! `UpdateAcceleratorAttributes`: whether an accelerator's flows are logged, and into which bucket.
//! Logs are enabled only where they can be delivered at that time; that they can be later is
//! nobody's promise.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use super::judged_by;
use crate::access::{Allowed, Execute};
use crate::arn::AcceleratorArn;
use crate::error::AcceleratorError;
use crate::flow_log::{FlowLogPlace, MAX_KEY, log_directory, log_key_bytes};
use crate::limits::MAX_STRING;
use crate::model::FlowLogs;
use crate::node::LogRefusal;
use crate::request::{arn, length, respond};
use crate::service::Service;
use crate::{catalogue, shapes};

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
        for (at, text) in [
            ("flowLogsS3Bucket", &self.bucket),
            ("flowLogsS3Prefix", &self.prefix),
        ] {
            length(at, text.as_deref().unwrap_or_default(), 0, MAX_STRING)?;
        }
        let found = catalogue::find(&*service.view(), &arn)?;
        let (_, accelerator) = found.ok_or(AcceleratorError::NoAccelerator)?;
        let wanted = self.wanted(&accelerator.flow_logs);
        deliverable(service, &arn, &wanted).await?;
        let missing = AcceleratorError::NoAccelerator;
        let amended = service.amend(&arn, missing, |accelerator| {
            let logs = self.wanted(&accelerator.flow_logs);
            // What another request has set meanwhile, nobody has asked the bucket about.
            if logs.enabled && logs != wanted {
                return Err(AcceleratorError::Overtaken);
            }
            accelerator.flow_logs = logs;
            Ok(())
        });
        let amended = amended.await?;
        let shape = shapes::attributes(&amended.accelerator.flow_logs);
        Ok(respond(&json!({"AcceleratorAttributes": shape})))
    }
}

impl Input {
    /// What the request makes of what is set: what it leaves out stays, what it empties goes.
    fn wanted(&self, held: &FlowLogs) -> FlowLogs {
        let of = |given: &Option<String>, held: &Option<String>| match given {
            Some(given) => Some(given.clone()).filter(|given| !given.is_empty()),
            None => held.clone(),
        };
        FlowLogs {
            enabled: self.flow_logs_enabled.unwrap_or(held.enabled),
            bucket: of(&self.bucket, &held.bucket),
            prefix: of(&self.prefix, &held.prefix),
        }
    }
}

/// Can logs that are enabled so be delivered? Of those that aren't enabled nothing is asked.
async fn deliverable(
    service: &Service,
    arn: &AcceleratorArn,
    wanted: &FlowLogs,
) -> Result<(), AcceleratorError> {
    if !wanted.enabled {
        return Ok(());
    }
    // The API's model: both are required if flow logs are enabled.
    let required = |name: &str| {
        let text = format!("{name} must be specified if FlowLogsEnabled is true.");
        AcceleratorError::invalid(text)
    };
    let id = &arn.accelerator;
    let place = FlowLogPlace::of(arn.account, id, wanted);
    let place = place.ok_or_else(|| required("FlowLogsS3Bucket"))?;
    if wanted.prefix.is_none() {
        return Err(required("FlowLogsS3Prefix"));
    }
    if log_key_bytes(&place) > MAX_KEY {
        return Err(AcceleratorError::invalid(format!(
            "With that FlowLogsS3Prefix the keys of objects would be longer than {MAX_KEY} bytes."
        )));
    }
    let directory = log_directory(&place.prefix, place.account);
    let buckets = &service.config.log_buckets;
    let asked = buckets.may_deliver(place.account, &place.bucket, &directory);
    asked.await.map_err(|refusal| match refusal {
        LogRefusal::NoBucket => AcceleratorError::NoBucket(place.bucket.clone()),
        LogRefusal::Denied => AcceleratorError::BucketDenied(place.bucket.clone(), directory),
        LogRefusal::Unreachable => AcceleratorError::BucketUnreachable(place.bucket.clone()),
    })
}
