//! Users: to make, read, list, rename and delete them.

use aws::query::Reply;

use crate::Service;
use crate::iam::IamError;
use crate::iam::lookup;
use crate::iam::paging::Paging;
use crate::iam::parameters::{PATH_PREFIX, USER_NAME};
use crate::iam::request::IamRequest;
use crate::iam::shapes::{self, Detail};
use crate::model::User;

/// `GetUser`: of the caller where no user is named. The account's root has no name and no path.
pub(crate) async fn get(_: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let account = request.account();
    let mut reply = request.reply();
    if request.optional(&USER_NAME)?.is_none() && request.is_root() {
        reply
            .writer()
            .open("User")
            .value("UserId", account)
            .value("Arn", request.caller().arn())
            .close();
        return Ok(reply);
    }
    let (_, user) = lookup::user(request, request.user_or_caller()?)?;
    shapes::user(reply.writer(), "User", account, &user, Detail::Whole);
    Ok(reply)
}

/// `ListUsers`: in the order of their names, those at a path or below.
pub(crate) async fn list(_: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let prefix = request.optional(&PATH_PREFIX)?.unwrap_or("/");
    let page =
        Paging::of(request)?.entries::<User>(request, |user| user.path.starts_with(prefix))?;
    let mut reply = request.reply();
    page.write(reply.writer(), "Users", |writer, user| {
        shapes::user(writer, "member", request.account(), user, Detail::Listed);
    });
    Ok(reply)
}
