//! GetAccessKeyInfo: the account that an access key is of, whether the key is good or not.

use aws::query::{Reply, STS};

use super::Request;
use super::error::StsError;

pub(super) fn execute(request: &Request<'_>) -> Result<Reply, StsError> {
    let id = request.form.members().value("AccessKeyId").unwrap_or("");
    let well_formed = (16..=128).contains(&id.len())
        && id
            .bytes()
            .all(|byte| byte.is_ascii_alphanumeric() || byte == b'_');
    if !well_formed {
        return Err(StsError::invalid(
            "accessKeyId",
            "Member must have length between 16 and 128 and satisfy regular expression pattern: \
             [\\w]*",
        ));
    }
    let account = request.call.identity().account_of_key(id);
    let account = account.ok_or(StsError::NoSuchKey)?;
    let mut reply = Reply::with_result(&STS, "GetAccessKeyInfo");
    reply.writer().value("Account", account);
    Ok(reply)
}
