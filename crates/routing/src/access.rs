//! May the caller? What a request is about, by the kinds of resources that Route 53 has (Service
//! Authorization Reference, "Amazon Route 53"), and the judge's word on each. Only [`judge`] makes
//! the [`Allowed`] without which no operation runs.
//!
//! An ARN of Route 53 names no account: whose a zone is, is found when it is looked for, and
//! another account's isn't there.

use std::sync::OnceLock;

use aws::access::{Access, Authorizer, LazyKeys, Question};
use types::AccountId;

use crate::api_limits::MAX_TAGGED;
use crate::batch::{Draft, read_drafts};
use crate::request::Request;
use crate::tags::{Resource, Tags};
use crate::{Name, RoutingError, Service};

/// The ARNs of what a row's action is done to; one at least.
pub(crate) type Resources = fn(&Request<'_>, &dyn Authorizer) -> Vec<String>;

/// The caller was allowed what a request asks for. Nothing but [`judge`] makes one.
pub(crate) struct Allowed(AccountId);

impl Allowed {
    /// The caller's account.
    pub(crate) fn account(&self) -> AccountId {
        self.0
    }
}

/// Asks whether the caller may do all that the request asks for.
pub(crate) fn judge(
    service: &Service,
    caller: &dyn Authorizer,
    access: &Access<Resources>,
    request: &Request<'_>,
) -> Result<Allowed, RoutingError> {
    let Access::Judged { action, resources } = access else {
        return Ok(Allowed(caller.account()));
    };
    let arns = resources(request, caller);
    assert!(!arns.is_empty(), "every kind of resource names something");
    for arn in &arns {
        let keys = Keys {
            service,
            request,
            arn,
            account: caller.account(),
            drafts: OnceLock::new(),
        };
        let mut question = Question::new(*action, arn.as_str(), caller.account());
        question.lazy = Some(&keys);
        caller.authorize(&question).map_err(RoutingError::Denied)?;
    }
    Ok(Allowed(caller.account()))
}

/// Nothing in particular.
pub(crate) fn everything(_: &Request<'_>, _: &dyn Authorizer) -> Vec<String> {
    vec!["*".to_owned()]
}

/// The zone that the path names.
pub(crate) fn zone(request: &Request<'_>, _: &dyn Authorizer) -> Vec<String> {
    let labels = &request.labels;
    let id = [labels.get("Id"), labels.get("HostedZoneId")].concat();
    vec![arn("hostedzone", &id)]
}

/// The health check that the path names.
pub(crate) fn health_check(request: &Request<'_>, _: &dyn Authorizer) -> Vec<String> {
    vec![arn("healthcheck", request.labels.get("HealthCheckId"))]
}

/// The change that the path names.
pub(crate) fn change(request: &Request<'_>, _: &dyn Authorizer) -> Vec<String> {
    vec![arn("change", request.labels.get("Id"))]
}

/// What the path names that tags hang on.
pub(crate) fn tagged(request: &Request<'_>, _: &dyn Authorizer) -> Vec<String> {
    let labels = &request.labels;
    vec![arn(labels.get("ResourceType"), labels.get("ResourceId"))]
}

/// Everything that the document names that tags hang on.
pub(crate) fn each_tagged(request: &Request<'_>, _: &dyn Authorizer) -> Vec<String> {
    let kind = request.labels.get("ResourceType");
    let body = request.body.as_ref();
    let ids = body.and_then(|body| body.child("ResourceIds"));
    let ids = ids.map_or(&[][..], |ids| ids.children());
    // Of more it is refused.
    let ids = ids.iter().take(MAX_TAGGED);
    let arns = ids.map(|id| arn(kind, id.text().unwrap_or_default()));
    let arns: Vec<String> = arns.collect();
    if arns.is_empty() {
        // It is refused; not to those who may read no tags.
        return vec![arn(kind, "")];
    }
    arns
}

macro_rules! of_a_path {
    ($($(#[$doc:meta])* $function:ident: $kind:literal, $label:literal;)*) => {
        $(
            $(#[$doc])*
            pub(crate) fn $function(request: &Request<'_>, _: &dyn Authorizer) -> Vec<String> {
                vec![arn($kind, request.labels.get($label))]
            }
        )*
    };
}

of_a_path! {
    /// The reusable delegation set that the path names.
    delegation_set: "delegationset", "Id";
    /// The traffic policy that the path names.
    traffic_policy: "trafficpolicy", "Id";
    /// The instance of a traffic policy that the path names.
    traffic_policy_instance: "trafficpolicyinstance", "Id";
    /// The configuration of query logging that the path names.
    query_logging: "queryloggingconfig", "Id";
}

/// The collection of networks that the path names: the one kind whose ARN names its account.
pub(crate) fn networks(request: &Request<'_>, caller: &dyn Authorizer) -> Vec<String> {
    let (account, id) = (caller.account(), request.labels.get("CidrCollectionId"));
    vec![format!("arn:aws:route53::{account}:cidrcollection/{id}")]
}

/// The ARN of a resource: `arn:aws:route53:::hostedzone/Z1`.
fn arn(kind: &str, id: &str) -> String {
    let bare = id.trim_start_matches('/');
    let prefix = bare
        .strip_prefix(kind)
        .and_then(|rest| rest.strip_prefix('/'));
    format!("arn:aws:route53:::{kind}/{}", prefix.unwrap_or(bare))
}

/// The condition keys of a request about one resource.
struct Keys<'a> {
    service: &'a Service,
    request: &'a Request<'a>,
    arn: &'a str,
    account: AccountId,
    /// Read once, however many statements name a key of theirs.
    drafts: OnceLock<Option<Vec<Draft>>>,
}

impl LazyKeys for Keys<'_> {
    fn values(&self, name: &str) -> Option<Vec<String>> {
        let changes = |value: fn(&Draft) -> String| {
            let drafts = self.drafts.get_or_init(|| self.drafts()).as_ref()?;
            Some(drafts.iter().map(value).collect())
        };
        if let Some(key) = after(name, "route53:ChangeResourceRecordSets") {
            return match key.to_ascii_lowercase().as_str() {
                "normalizedrecordnames" => changes(normalized_name),
                "recordtypes" => changes(|draft| draft.kind_text().to_owned()),
                "actions" => changes(|draft| draft.action.name().to_owned()),
                _ => None,
            };
        }
        if let Some(tag) = after(name, "aws:ResourceTag/") {
            return self.resource_tags().and_then(|tags| values(&tags, tag));
        }
        if name.eq_ignore_ascii_case("aws:TagKeys") {
            let (added, removed) = self.request_tags()?;
            return Some(added.into_keys().chain(removed).collect());
        }
        let tag = after(name, "aws:RequestTag/")?;
        values(&self.request_tags()?.0, tag)
    }
}

impl Keys<'_> {
    /// The changes that a batch asks for; none if it isn't one, or can't be read: then the
    /// operation refuses it.
    fn drafts(&self) -> Option<Vec<Draft>> {
        let batch = self.request.body.as_ref()?.child("ChangeBatch")?;
        read_drafts(batch.child("Changes")?).ok()
    }

    fn resource_tags(&self) -> Option<Tags> {
        let (kind, id) = self
            .arn
            .strip_prefix("arn:aws:route53:::")?
            .split_once('/')?;
        let resource = Resource::read(kind, id).ok()?;
        resource.tags(&*self.service.view(), self.account).ok()
    }

    /// The tags that the request adds, and the keys of those that it removes.
    fn request_tags(&self) -> Option<(Tags, Vec<String>)> {
        let body = self.request.body.as_ref()?;
        let children = |name| body.child(name).map_or(&[][..], |list| list.children());
        let (added, removed) = (children("AddTags"), children("RemoveTagKeys"));
        if added.is_empty() && removed.is_empty() {
            return None;
        }
        let text = |tag: &aws::xml::Element<'_>, name| {
            let member = tag.child(name).and_then(|member| member.text().ok());
            member.unwrap_or_default().to_owned()
        };
        let added = added
            .iter()
            .map(|tag| (text(tag, "Key"), text(tag, "Value")));
        let removed = removed
            .iter()
            .filter_map(|key| Some(key.text().ok()?.to_owned()));
        Some((added.collect(), removed.collect()))
    }
}

/// The values of a tag, by whatever case of its key. There may be several of what was tagged before
/// they were told apart without regard to it: none is hidden.
fn values(tags: &Tags, key: &str) -> Option<Vec<String>> {
    let tags = tags.iter();
    let found = tags.filter(|(known, _)| known.eq_ignore_ascii_case(key));
    let values: Vec<String> = found.map(|(_, value)| value.clone()).collect();
    (!values.is_empty()).then_some(values)
}

/// As policies name it: in lower case, without the last dot, and with escape codes for all but
/// letters, digits, hyphens and underscores (Developer Guide, "Using IAM policy conditions for
/// fine-grained access control").
fn normalized_name(draft: &Draft) -> String {
    match Name::parse(draft.name()) {
        Ok(name) => {
            let text = name.to_string();
            text.strip_suffix('.').unwrap_or(&text).to_owned()
        }
        Err(_) => draft.name().to_ascii_lowercase(),
    }
}

/// What follows a prefix, by any case of it.
fn after<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = name.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_spelling_of_a_tag_has_its_value() {
        let tags = [("Team", "blue"), ("team", "red"), ("other", "x")];
        let tags = tags.map(|(key, value)| (key.to_owned(), value.to_owned()));
        let tags = Tags::from(tags);
        assert_eq!(values(&tags, "TEAM").unwrap(), ["blue", "red"]);
        assert_eq!(values(&tags, "none"), None);
    }
}
