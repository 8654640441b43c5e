//! `ListListeners`: an accelerator's, in the order of their ids.

use bytes::Bytes;
use serde::Deserialize;

use super::judged_by;
use crate::access::{Allowed, Execute};
use crate::error::AcceleratorError;
use crate::request::{Paging, arn};
use crate::service::Service;
use crate::{catalogue, shapes};

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Input {
    accelerator_arn: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

judged_by!(accelerator_arn);

impl Execute for Input {
    async fn execute(self, service: &Service, _: &Allowed) -> Result<Bytes, AcceleratorError> {
        let arn = arn("acceleratorArn", self.accelerator_arn.as_ref())?;
        let paging = Paging {
            max_results: self.max_results,
            next_token: self.next_token,
        };
        let found = catalogue::find(&*service.view(), &arn)?;
        let (_, accelerator) = found.ok_or(AcceleratorError::NoAccelerator)?;
        let mut all: Vec<_> = accelerator.listeners.iter().collect();
        all.sort_by(|one, other| one.id.cmp(&other.id));
        let page = paging.page(all, |listener| &listener.id.0)?;
        Ok(page.respond("Listeners", |listener| {
            shapes::listener(&accelerator, listener)
        }))
    }
}
