//! `ListAccelerators`: the account's, in the order of their ids.

use bytes::Bytes;
use serde::Deserialize;

use crate::access::{Allowed, Execute, Request, Subject};
use crate::error::AcceleratorError;
use crate::request::Paging;
use crate::service::Service;
use crate::{catalogue, shapes};

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Input {
    max_results: Option<i64>,
    next_token: Option<String>,
}

impl Request for Input {
    fn subject(&self) -> Subject<'_> {
        Subject::default()
    }
}

impl Execute for Input {
    async fn execute(
        self,
        service: &Service,
        allowed: &Allowed,
    ) -> Result<Bytes, AcceleratorError> {
        let paging = Paging {
            max_results: self.max_results,
            next_token: self.next_token,
        };
        let all = catalogue::of_account(&*service.view(), allowed.account())?;
        let page = paging.page(all, |(_, accelerator)| &accelerator.id.0)?;
        Ok(page.respond("Accelerators", |(revision, accelerator)| {
            shapes::accelerator(service, revision, &accelerator)
        }))
    }
}
