//! The condition keys that every request has, whatever service it is for (IAM User Guide, "AWS
//! global condition context keys"). Those that a service supplies win over them. What is not known
//! of a request has no key, so that no condition holds of it by accident.

use std::borrow::Cow;
use std::net::IpAddr;

use aws::access::Question;
use types::Timestamp;

use crate::Caller;
use crate::caller::Principal;
use crate::iam;
use crate::policy::{KeySource, Values};

/// What is known of a request beside who made it and what it asks for.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct RequestContext {
    /// The client's address, if it came over a network.
    pub source_ip: Option<IpAddr>,
    /// Did it come over TLS?
    pub secure_transport: bool,
    /// The header `User-Agent`.
    pub user_agent: Option<String>,
    /// The header `Referer`.
    pub referer: Option<String>,
    /// The Region that was called, as `aws:RequestedRegion` has it: `us-east-1` of the global
    /// services.
    pub region: String,
    /// The wall clock.
    pub now: Timestamp,
}

/// The condition keys of one question of one request.
pub(crate) struct RequestKeys<'a> {
    /// None: it isn't signed.
    pub(crate) caller: Option<&'a Caller>,
    pub(crate) context: &'a RequestContext,
    pub(crate) question: &'a Question<'a>,
}

/// The longest name of a key that is known here, but for tags'.
const LONGEST_NAME: usize = 32;

/// What the keys of the principal's tags begin with.
const PRINCIPAL_TAG: &str = "aws:principaltag/";

impl KeySource for RequestKeys<'_> {
    fn get(&self, name: &str) -> Option<Values<'_>> {
        // The account is what was asked about, so no service says it otherwise.
        if name.eq_ignore_ascii_case("aws:ResourceAccount") {
            return one(self.question.account.to_string());
        }
        if let Some(values) = self.question.values(name) {
            return Some(Values::Many(values));
        }
        let start = name.get(..PRINCIPAL_TAG.len());
        if start.is_some_and(|start| start.eq_ignore_ascii_case(PRINCIPAL_TAG)) {
            let value = self.caller?.tag(&name[PRINCIPAL_TAG.len()..])?;
            return Some(Values::One(Cow::Borrowed(value)));
        }
        let mut lower = [0; LONGEST_NAME];
        let lower = lower.get_mut(..name.len())?;
        lower.copy_from_slice(name.as_bytes());
        lower.make_ascii_lowercase();
        let lower = std::str::from_utf8(lower).ok()?;
        self.of_request(lower).or_else(|| self.of_caller(lower))
    }
}

impl RequestKeys<'_> {
    fn of_request(&self, name: &str) -> Option<Values<'_>> {
        let context = self.context;
        match name {
            "aws:sourceip" => one(context.source_ip?.to_canonical().to_string()),
            "aws:securetransport" => flag(context.secure_transport),
            "aws:useragent" => context.user_agent.as_deref().and_then(borrowed),
            "aws:referer" => context.referer.as_deref().and_then(borrowed),
            "aws:requestedregion" => borrowed(&context.region),
            "aws:currenttime" => one(iam::time(context.now.0)),
            "aws:epochtime" => one((context.now.0 / 1000).to_string()),
            // Nothing here calls for somebody else.
            "aws:principalisawsservice" | "aws:viaawsservice" => flag(false),
            _ => None,
        }
    }

    fn of_caller(&self, name: &str) -> Option<Values<'_>> {
        let Some(caller) = self.caller else {
            return match name {
                "aws:principaltype" => borrowed("Anonymous"),
                "aws:userid" => borrowed("anonymous"),
                _ => None,
            };
        };
        let session = caller.session();
        match name {
            "aws:principalarn" => borrowed(&caller.principal_arn),
            "aws:principalaccount" => one(caller.account.to_string()),
            "aws:principaltype" => borrowed(match caller.principal {
                Principal::Root => "Account",
                Principal::User(_) => "User",
                Principal::Role { .. } => "AssumedRole",
            }),
            "aws:userid" => borrowed(&caller.user_id),
            "aws:username" => borrowed(caller.user_name()?),
            "aws:sourceidentity" => borrowed(session?.source_identity.as_deref()?),
            "aws:tokenissuetime" => one(iam::time(session?.issued)),
            // Of long-lived credentials there is no such key.
            "aws:multifactorauthpresent" => session.and_then(|_| flag(false)),
            _ => None,
        }
    }
}

impl Caller {
    /// The value of a tag of the principal, by any case of its key: a session's wins over its
    /// role's.
    fn tag(&self, key: &str) -> Option<&str> {
        let sessions = self.session().map(|session| &session.tags);
        let own = self.holder.as_ref().map(|holder| &holder.tags);
        let mut tags = sessions.into_iter().chain(own).flatten();
        let found = tags.find(|(known, _)| known.eq_ignore_ascii_case(key));
        found.map(|(_, value)| value.as_str())
    }
}

fn one<'a>(text: String) -> Option<Values<'a>> {
    Some(Values::One(Cow::Owned(text)))
}

fn borrowed(text: &str) -> Option<Values<'_>> {
    Some(Values::One(Cow::Borrowed(text)))
}

fn flag<'a>(value: bool) -> Option<Values<'a>> {
    borrowed(if value { "true" } else { "false" })
}
