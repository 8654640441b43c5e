//! `TagResource`: sets tags of an accelerator, a listener or an endpoint group.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;

use crate::access::{Allowed, Execute, Request, Subject};
use crate::arn::Arn;
use crate::error::AcceleratorError;
use crate::request::{required, resource_arn, respond};
use crate::service::Service;
use crate::tags::{self, Tag};

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Input {
    resource_arn: Option<String>,
    tags: Option<Vec<Tag>>,
}

impl Request for Input {
    fn subject(&self) -> Subject<'_> {
        Subject {
            tags: tags::subject(self.tags.as_ref()),
            ..Subject::of(self.resource_arn.as_ref())
        }
    }
}

impl Execute for Input {
    async fn execute(self, service: &Service, _: &Allowed) -> Result<Bytes, AcceleratorError> {
        let arn: Arn = resource_arn(self.resource_arn.as_ref())?;
        let added = tags::read(required("tags", self.tags)?)?;
        let amended = service.amend(arn.accelerator(), tags::missing(&arn), |accelerator| {
            tags::add(tags::of_mut(accelerator, &arn)?, &added)
        });
        amended.await?;
        Ok(respond(&json!({})))
    }
}
