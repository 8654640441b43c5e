//! `ListCrossAccountResources`: what an account may add as endpoints by others' attachments. These
//! aren't built, so that nobody has given anybody any: the list is empty. Terraform asks for it
//! wherever an endpoint is a load balancer.

use bytes::Bytes;
use serde::Deserialize;

use crate::access::{Allowed, Execute, Request, Subject};
use crate::arn::AcceleratorArn;
use crate::catalogue;
use crate::error::AcceleratorError;
use crate::request::{Paging, arn, failed, required};
use crate::service::Service;

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Input {
    accelerator_arn: Option<String>,
    resource_owner_aws_account_id: Option<String>,
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
        let at = "resourceOwnerAwsAccountId";
        let owner = required(at, self.resource_owner_aws_account_id)?;
        if owner.len() != 12 || !owner.bytes().all(|byte| byte.is_ascii_digit()) {
            let rule = "Member must satisfy regular expression pattern: ^\\d{12}$";
            return Err(failed(at, owner, rule));
        }
        if self.accelerator_arn.is_some() {
            let arn: AcceleratorArn = arn("acceleratorArn", self.accelerator_arn.as_ref())?;
            let own = arn.account == allowed.account();
            let found = catalogue::find(&*service.view(), &arn)?.filter(|_| own);
            found.ok_or(AcceleratorError::NoAccelerator)?;
        }
        let paging = Paging {
            max_results: self.max_results,
            next_token: self.next_token,
        };
        let page = paging.page(Vec::<()>::new(), |()| "")?;
        Ok(page.respond("CrossAccountResources", |()| serde_json::Value::Null))
    }
}
