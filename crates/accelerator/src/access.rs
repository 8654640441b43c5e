//! May the caller? What a request is about, by the kinds of resources that Global Accelerator has
//! (Service Authorization Reference, "AWS Global Accelerator"), and the judge's word on each. Only
//! [`judge`] makes the [`Allowed`] without which no operation runs.

use aws::access::{Access, Authorizer, LazyKeys, Question};
use serde::de::DeserializeOwned;
use types::AccountId;

use crate::arn::Arn;
use crate::error::AcceleratorError;
use crate::limits::MAX_RESOURCE_ARN;
use crate::service::Service;
use crate::tags;

/// What a row's action is done to, given what its request names; one target at least.
pub(crate) type Resources = fn(&Subject<'_>, &dyn Authorizer) -> Vec<Target>;

/// A request's body, read.
pub(crate) trait Request: DeserializeOwned + Send + Sync {
    /// What it names, as far as its caller is judged by that.
    fn subject(&self) -> Subject<'_>;
}

/// What carries a request out.
pub(crate) trait Execute: Request {
    /// Carries it out, for a caller that may.
    fn execute(
        self,
        service: &Service,
        allowed: &Allowed,
    ) -> impl Future<Output = Result<bytes::Bytes, AcceleratorError>> + Send;
}

/// What a request names. Names are as they come: missing, of nothing, or of another account.
#[derive(Default)]
pub(crate) struct Subject<'a> {
    /// The ARN that it is about.
    pub(crate) arn: Option<&'a str>,
    /// The tags that it sets: key and value.
    pub(crate) tags: Vec<(&'a str, &'a str)>,
    /// The keys of the tags that it removes.
    pub(crate) removed_tags: Vec<&'a str>,
}

impl<'a> Subject<'a> {
    /// Of a request that is about that ARN.
    pub(crate) fn of(arn: Option<&'a String>) -> Subject<'a> {
        Subject {
            arn: arn.map(String::as_str),
            ..Subject::default()
        }
    }
}

/// One thing that a caller must be allowed.
pub(crate) struct Target {
    /// Another action than the row's.
    action: Option<&'static str>,
    /// The ARN of what it is done to.
    resource: String,
    /// Whose it is.
    account: AccountId,
}

/// The caller was allowed what a request asks for. Nothing but [`judge`] makes one.
pub(crate) struct Allowed(AccountId);

impl Allowed {
    /// The caller's account.
    pub(crate) fn account(&self) -> AccountId {
        self.0
    }
}

/// Asks whether the caller may do all that the request asks for.
pub(crate) fn judge<R: Request>(
    service: &Service,
    caller: &dyn Authorizer,
    access: &Access<Resources>,
    request: &R,
) -> Result<Allowed, AcceleratorError> {
    let Access::Judged { action, resources } = access else {
        return Ok(Allowed(caller.account()));
    };
    let subject = request.subject();
    let targets = resources(&subject, caller);
    assert!(
        !targets.is_empty(),
        "every kind of resource names something"
    );
    for target in &targets {
        let keys = Keys {
            service,
            subject: &subject,
            resource: &target.resource,
        };
        let action = target.action.unwrap_or(action);
        let mut question = Question::new(action, target.resource.as_str(), target.account);
        question.lazy = Some(&keys);
        let allowed = caller.authorize(&question);
        allowed.map_err(AcceleratorError::Denied)?;
    }
    Ok(Allowed(caller.account()))
}

/// Nothing in particular.
pub(crate) fn everything(_: &Subject<'_>, caller: &dyn Authorizer) -> Vec<Target> {
    vec![Target {
        action: None,
        resource: "*".to_owned(),
        account: caller.account(),
    }]
}

/// What the request's ARN names. Of a text that is no ARN of the service the caller is asked all
/// the same; then it is refused, but not to those who may do nothing here.
pub(crate) fn named(subject: &Subject<'_>, caller: &dyn Authorizer) -> Vec<Target> {
    let text = subject.arn.filter(|text| !text.is_empty());
    let arn = text.and_then(|text| text.parse::<Arn>().ok());
    let account = arn.map_or(caller.account(), |arn| arn.accelerator().account);
    let shown = |text: &str| text.chars().take(MAX_RESOURCE_ARN).collect();
    vec![Target {
        action: None,
        resource: text.map_or_else(|| "*".to_owned(), shown),
        account,
    }]
}

/// An endpoint group whose endpoints are added or removed: its update must be allowed too, as the
/// reference has it of the two operations.
pub(crate) fn updated_group(subject: &Subject<'_>, caller: &dyn Authorizer) -> Vec<Target> {
    let mut targets = named(subject, caller);
    let mut update = named(subject, caller);
    for target in &mut update {
        target.action = Some("globalaccelerator:UpdateEndpointGroup");
    }
    targets.extend(update);
    targets
}

/// An accelerator that is to be made: which ARN it will have nobody knows yet. With tags, tagging
/// must be allowed too.
pub(crate) fn new_accelerator(subject: &Subject<'_>, caller: &dyn Authorizer) -> Vec<Target> {
    let mut targets = everything(subject, caller);
    if !subject.tags.is_empty() {
        let account = caller.account();
        targets.push(Target {
            action: Some("globalaccelerator:TagResource"),
            resource: format!("arn:aws:globalaccelerator::{account}:accelerator/*"),
            account,
        });
    }
    targets
}

/// The condition keys of one target, found when a policy names them.
struct Keys<'a> {
    service: &'a Service,
    subject: &'a Subject<'a>,
    resource: &'a str,
}

impl LazyKeys for Keys<'_> {
    fn values(&self, name: &str) -> Option<Vec<String>> {
        let Subject {
            tags, removed_tags, ..
        } = self.subject;
        if let Some(key) = after(name, "aws:ResourceTag/") {
            let arn: Arn = self.resource.parse().ok()?;
            let held = tags::of(&*self.service.view(), &arn).ok()?;
            let held = held.iter();
            return values(held.map(|(key, value)| (key.as_str(), value.as_str())), key);
        }
        if name.eq_ignore_ascii_case("aws:TagKeys") {
            let set = tags.iter().map(|(key, _)| *key);
            let keys: Vec<String> = set
                .chain(removed_tags.iter().copied())
                .map(str::to_owned)
                .collect();
            return (!keys.is_empty()).then_some(keys);
        }
        let key = after(name, "aws:RequestTag/")?;
        values(tags.iter().copied(), key)
    }
}

/// The values of a tag, by whatever case of its key.
fn values<'a>(tags: impl Iterator<Item = (&'a str, &'a str)>, key: &str) -> Option<Vec<String>> {
    let found = tags.filter(|(known, _)| known.eq_ignore_ascii_case(key));
    let values: Vec<String> = found.map(|(_, value)| value.to_owned()).collect();
    (!values.is_empty()).then_some(values)
}

/// What follows a prefix, by any case of it.
fn after<'a>(name: &'a str, prefix: &str) -> Option<&'a str> {
    let (start, rest) = name.split_at_checked(prefix.len())?;
    start.eq_ignore_ascii_case(prefix).then_some(rest)
}
