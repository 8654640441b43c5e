//! GetCallerIdentity: who calls. Everyone may ask, whatever policies say (API reference).

use aws::query::{Reply, STS};

use super::Request;
use super::error::StsError;

pub(super) fn execute(request: &Request<'_>) -> Result<Reply, StsError> {
    let caller = request.call.caller();
    let mut reply = Reply::with_result(&STS, "GetCallerIdentity");
    reply
        .writer()
        .value("Arn", caller.arn())
        .value("UserId", caller.user_id())
        .value("Account", caller.account());
    Ok(reply)
}
