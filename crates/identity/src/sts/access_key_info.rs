//! GetAccessKeyInfo: the account that an access key is of, whether the key is good or not.

use aws::query::{Reply, STS};

use super::Request;
use super::error::StsError;
use super::parameters::ACCESS_KEY_ID;

pub(super) fn execute(request: &Request<'_>) -> Result<Reply, StsError> {
    let id = ACCESS_KEY_ID.required(&request.members())?;
    let account = request.call.identity().account_of_key(id);
    let account = account.ok_or(StsError::NoSuchKey)?;
    let mut reply = Reply::with_result(&STS, "GetAccessKeyInfo");
    reply.writer().value("Account", account);
    Ok(reply)
}
