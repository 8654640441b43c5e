//! GetSessionToken: temporary credentials of the user or root who calls, for those who do. Policies
//! can't control it (API reference).

use aws::query::{Reply, STS};

use super::error::StsError;
use super::parameters::{duration, refuse_not_built};
use super::{Request, issue};
use crate::caller::Principal;
use crate::model::Tags;
use crate::session::{Content, SessionKind};

/// The shortest and the longest session, and how long one is that nobody says the length of, in
/// seconds.
const SHORTEST: u32 = 900;
const LONGEST: u32 = 129_600;
const USUAL: u32 = 43_200;

/// The root's are never longer, whatever is asked for, in seconds.
const LONGEST_OF_ROOT: u32 = 3_600;

pub(super) fn execute(request: &Request<'_>) -> Result<Reply, StsError> {
    let caller = request.call.caller();
    let members = request.members();
    refuse_not_built(&members)?;
    let seconds = duration(&members, SHORTEST, LONGEST)?.unwrap_or(USUAL);
    if caller.is_temporary() {
        return Err(StsError::denied(
            "Cannot call GetSessionToken with session credentials",
        ));
    }
    let holder = caller.holder.as_deref();
    let (kind, seconds) = match caller.principal {
        Principal::Root => (SessionKind::Root, seconds.min(LONGEST_OF_ROOT)),
        Principal::User(_) => (SessionKind::User, seconds),
        // A role's session is temporary: it was refused.
        Principal::Role { .. } => return Err(StsError::Root),
    };
    let issued = request.now();
    let content = Content {
        kind,
        account: caller.account,
        name: holder.map_or_else(String::new, |holder| holder.name.clone()),
        id: holder.map_or_else(String::new, |holder| holder.id.clone()),
        session: String::new(),
        policy: None,
        policy_arns: Vec::new(),
        tags: Tags::new(),
        transitive: Default::default(),
        source_identity: None,
        issued,
        expires: issued + u64::from(seconds) * 1_000,
    };
    let mut reply = Reply::with_result(&STS, "GetSessionToken");
    issue(request.service, content, reply.writer());
    Ok(reply)
}
