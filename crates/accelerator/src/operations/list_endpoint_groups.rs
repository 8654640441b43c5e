//! `ListEndpointGroups`: a listener's, in the order of their ids.

use bytes::Bytes;
use serde::Deserialize;

use super::judged_by;
use crate::access::{Allowed, Execute};
use crate::arn::ListenerArn;
use crate::error::AcceleratorError;
use crate::request::{Paging, arn};
use crate::service::Service;
use crate::{catalogue, group_settings};

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Input {
    listener_arn: Option<String>,
    max_results: Option<i64>,
    next_token: Option<String>,
}

judged_by!(listener_arn);

impl Execute for Input {
    async fn execute(self, service: &Service, _: &Allowed) -> Result<Bytes, AcceleratorError> {
        let arn: ListenerArn = arn("listenerArn", self.listener_arn.as_ref())?;
        let paging = Paging {
            max_results: self.max_results,
            next_token: self.next_token,
        };
        let found = catalogue::find(&*service.view(), &arn.accelerator)?;
        let (_, accelerator) = found.ok_or(AcceleratorError::NoListener)?;
        let listener = accelerator.listener(&arn.listener);
        let listener = listener.ok_or(AcceleratorError::NoListener)?;
        let mut all: Vec<_> = listener.groups.iter().collect();
        all.sort_by(|one, other| one.id.cmp(&other.id));
        let page = paging.page(all, |group| &group.id.0)?;
        Ok(page.respond("EndpointGroups", |group| {
            group_settings::shape(service, &accelerator, listener, group)
        }))
    }
}
