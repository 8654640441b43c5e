//! `UntagResource`: removes tags; keys that it doesn't have are no fault.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use crate::access::{Allowed, Execute, Request, Subject};
use crate::arn::Arn;
use crate::error::AcceleratorError;
use crate::limits::{MAX_TAG_KEY, MAX_TAG_KEYS};
use crate::request::{count, length, required, resource_arn, respond};
use crate::service::Service;
use crate::tags;

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Input {
    resource_arn: Option<String>,
    tag_keys: Option<Vec<String>>,
}

impl Request for Input {
    fn subject(&self) -> Subject<'_> {
        let keys = self.tag_keys.as_ref().map_or(&[][..], Vec::as_slice);
        Subject {
            removed_tags: keys.iter().map(String::as_str).collect(),
            ..Subject::of(self.resource_arn.as_ref())
        }
    }
}

impl Execute for Input {
    async fn execute(self, service: &Service, _: &Allowed) -> Result<Bytes, AcceleratorError> {
        let arn: Arn = resource_arn(self.resource_arn.as_ref())?;
        let keys = required("tagKeys", self.tag_keys)?;
        let shown = format!("{} keys", keys.len());
        count("tagKeys", shown, keys.len(), 0, MAX_TAG_KEYS)?;
        for key in &keys {
            length("tagKeys.member", key, 1, MAX_TAG_KEY)?;
            tags::check_key(key)?;
        }
        let amended = service.amend(arn.accelerator(), tags::missing(&arn), |accelerator| {
            let held = tags::of_mut(accelerator, &arn)?;
            held.retain(|key, _| !keys.contains(key));
            Ok(())
        });
        amended.await?;
        Ok(respond(&json!({})))
    }
}
