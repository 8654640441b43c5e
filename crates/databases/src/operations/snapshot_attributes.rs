//! Who else may copy or restore a manual DB snapshot, which is nobody: sharing isn't built, and
//! what would change it (`ModifyDBSnapshotAttribute`) is refused by its name. Terraform reads it.

use aws::query::Reply;

use super::snapshots;
use crate::error::DatabasesError;
use crate::request::DatabasesRequest;
use crate::service::Service;

/// `DescribeDBSnapshotAttributes`: the attribute `restore` with no account.
pub(crate) async fn describe(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let (_, snapshot) = snapshots::named(&*service.view(), request)?;
    let mut reply = request.reply();
    reply
        .writer()
        .open("DBSnapshotAttributesResult")
        .value("DBSnapshotIdentifier", &snapshot.arn.identifier)
        .open("DBSnapshotAttributes")
        .open("DBSnapshotAttribute")
        .value("AttributeName", "restore")
        .open("AttributeValues")
        .close()
        .close()
        .close()
        .close();
    Ok(reply)
}
