//! May the caller? What each operation is done to, as names, with the condition keys that the
//! request has (Service Authorization Reference, "Actions, resources, and condition keys for AWS
//! Elastic Load Balancing V2"). A thing that isn't there is asked for by the name that the request
//! gives it.

use aws::access::Question;
use aws::query::Members;
use types::ConfigurationView;

use crate::arn::{Arn, ListenerArn, LoadBalancerArn, RuleArn, TargetGroupArn};
use crate::error::BalancerError;
use crate::request::{BalancerRequest, Named, shown};
use crate::tags;

/// What a row's action is done to, given the request; one question at least.
pub(crate) type Resources = fn(&BalancerRequest<'_>, &dyn ConfigurationView, &'static str) -> Asked;

type Asked = Result<Vec<Question<'static>>, BalancerError>;

/// Nothing in particular: what only describes.
pub(crate) fn everything(
    request: &BalancerRequest<'_>,
    _: &dyn ConfigurationView,
    action: &'static str,
) -> Asked {
    Ok(vec![Question::new(action, "*", request.account())])
}

/// The load balancer that is named.
pub(crate) fn balancer(
    request: &BalancerRequest<'_>,
    view: &dyn ConfigurationView,
    action: &'static str,
) -> Asked {
    named::<LoadBalancerArn>(request, view, action)
}

/// The listener that is named.
pub(crate) fn listener(
    request: &BalancerRequest<'_>,
    view: &dyn ConfigurationView,
    action: &'static str,
) -> Asked {
    named::<ListenerArn>(request, view, action)
}

/// The rule that is named.
pub(crate) fn rule(
    request: &BalancerRequest<'_>,
    view: &dyn ConfigurationView,
    action: &'static str,
) -> Asked {
    named::<RuleArn>(request, view, action)
}

/// The target group that is named.
pub(crate) fn group(
    request: &BalancerRequest<'_>,
    view: &dyn ConfigurationView,
    action: &'static str,
) -> Asked {
    named::<TargetGroupArn>(request, view, action)
}

/// Every rule whose priority is set.
pub(crate) fn rules(
    request: &BalancerRequest<'_>,
    view: &dyn ConfigurationView,
    action: &'static str,
) -> Asked {
    let pairs = request.members().structures("RulePriorities")?;
    let arns = pairs.iter().map(|pair| pair.value("RuleArn").unwrap_or(""));
    let mut questions: Vec<_> = arns.map(|arn| about(request, view, action, arn)).collect();
    if questions.is_empty() {
        questions = everything(request, view, action)?;
    }
    Ok(questions)
}

/// Everything whose tags are set or taken away.
pub(crate) fn tagged(
    request: &BalancerRequest<'_>,
    view: &dyn ConfigurationView,
    action: &'static str,
) -> Asked {
    let arns = request.texts("ResourceArns")?;
    let ask = |arn: &&str| {
        let question = about(request, view, action, arn);
        with_tags(request, question)
    };
    let mut questions = arns.iter().map(ask).collect::<Result<Vec<_>, _>>()?;
    if questions.is_empty() {
        questions = everything(request, view, action)?;
    }
    Ok(questions)
}

/// A load balancer that is to be made: which id it will have nobody knows yet.
pub(crate) fn new_balancer(
    request: &BalancerRequest<'_>,
    _: &dyn ConfigurationView,
    action: &'static str,
) -> Asked {
    let members = request.members();
    let kind = match members.value("Type") {
        Some("network") => "net",
        Some("gateway") => "gwy",
        _ => "app",
    };
    let name = shown(members.value("Name").unwrap_or(""));
    let question = made(request, action, &format!("loadbalancer/{kind}/{name}/*"))
        .key("elasticloadbalancing:Scheme", scheme(&members));
    let mut keys = question;
    keys = list(
        keys,
        "elasticloadbalancing:Subnet",
        request.texts("Subnets")?,
    );
    let groups = request.texts("SecurityGroups")?;
    keys = list(keys, "elasticloadbalancing:SecurityGroup", groups);
    and_tagged(request, keys)
}

/// A target group that is to be made.
pub(crate) fn new_group(
    request: &BalancerRequest<'_>,
    _: &dyn ConfigurationView,
    action: &'static str,
) -> Asked {
    let name = shown(request.members().value("Name").unwrap_or(""));
    let question = made(request, action, &format!("targetgroup/{name}/*"));
    and_tagged(request, question)
}

/// A listener that is to be made: its load balancer.
pub(crate) fn new_listener(
    request: &BalancerRequest<'_>,
    view: &dyn ConfigurationView,
    action: &'static str,
) -> Asked {
    below::<LoadBalancerArn>(request, view, action, "loadbalancer/", "listener/")
}

/// A rule that is to be made: its listener.
pub(crate) fn new_rule(
    request: &BalancerRequest<'_>,
    view: &dyn ConfigurationView,
    action: &'static str,
) -> Asked {
    below::<ListenerArn>(request, view, action, "listener/", "listener-rule/")
}

fn named<T: Named>(
    request: &BalancerRequest<'_>,
    view: &dyn ConfigurationView,
    action: &'static str,
) -> Asked {
    let text = request.members().value(T::PARAMETER).unwrap_or("");
    let question = about(request, view, action, text);
    Ok(vec![with_listener(&request.members(), question)])
}

/// Something that is made below what the request names; with tags, tagging it must be allowed too.
fn below<T: Named>(
    request: &BalancerRequest<'_>,
    view: &dyn ConfigurationView,
    action: &'static str,
    above: &str,
    kind: &str,
) -> Asked {
    let text = request.members().value(T::PARAMETER).unwrap_or("");
    let question = about(request, view, action, text);
    let question = with_tags(request, with_listener(&request.members(), question))?;
    let mut questions = vec![question];
    if let Some(mut tagging) = tagging(request)? {
        let new = shown(text).replacen(above, kind, 1);
        tagging.resource = format!("{new}/*").into();
        tagging.account = questions[0].account;
        questions.push(tagging);
    }
    Ok(questions)
}

/// What a text names. Of one that is no name the caller is asked all the same; then it is refused,
/// but not to those who may do nothing here.
fn about(
    request: &BalancerRequest<'_>,
    view: &dyn ConfigurationView,
    action: &'static str,
    text: &str,
) -> Question<'static> {
    if text.is_empty() {
        return Question::new(action, "*", request.account());
    }
    let Ok(arn) = text.parse::<Arn>() else {
        return Question::new(action, shown(text), request.account());
    };
    let mut question = Question::new(action, text.to_owned(), arn.account());
    if let Ok(Some(held)) = tags::of(view, &arn) {
        for (key, value) in held {
            for prefix in ["aws:ResourceTag", "elasticloadbalancing:ResourceTag"] {
                question = question.key(format!("{prefix}/{key}"), value.clone());
            }
        }
    }
    question
}

/// Something of the caller's own that is to be.
fn made(request: &BalancerRequest<'_>, action: &'static str, path: &str) -> Question<'static> {
    let (region, account) = (request.region(), request.account());
    let arn = format!("arn:aws:elasticloadbalancing:{region}:{account}:{path}");
    Question::new(action, arn, account)
}

/// What makes something with tags, and the tagging.
fn and_tagged(request: &BalancerRequest<'_>, question: Question<'static>) -> Asked {
    let (resource, account) = (question.resource.clone(), question.account);
    let mut questions = vec![with_tags(request, question)?];
    if let Some(mut tagging) = tagging(request)? {
        tagging.resource = resource;
        tagging.account = account;
        questions.push(tagging);
    }
    Ok(questions)
}

/// The tagging of what is to be made, if it is to have tags.
fn tagging(request: &BalancerRequest<'_>) -> Result<Option<Question<'static>>, BalancerError> {
    if request.members().structures("Tags")?.is_empty() {
        return Ok(None);
    }
    let question = Question::new("elasticloadbalancing:AddTags", "*", request.account())
        .key("elasticloadbalancing:CreateAction", request.operation());
    Ok(Some(with_tags(request, question)?))
}

/// With the condition keys of the tags that the request gives, or takes away.
fn with_tags(
    request: &BalancerRequest<'_>,
    mut question: Question<'static>,
) -> Result<Question<'static>, BalancerError> {
    let mut keys = Vec::new();
    for tag in request.members().structures("Tags")? {
        let (key, value) = (tag.value("Key").unwrap_or(""), tag.value("Value"));
        question = question.key(format!("aws:RequestTag/{key}"), value.unwrap_or(""));
        keys.push(key);
    }
    keys.extend(request.texts("TagKeys")?);
    Ok(list(question, "aws:TagKeys", keys))
}

/// With the condition keys of listeners.
fn with_listener(members: &Members<'_>, mut question: Question<'static>) -> Question<'static> {
    for (parameter, key) in [
        ("Protocol", "elasticloadbalancing:ListenerProtocol"),
        ("SslPolicy", "elasticloadbalancing:SecurityPolicy"),
    ] {
        if let Some(value) = members.value(parameter) {
            question = question.key(key, value);
        }
    }
    question
}

fn scheme(members: &Members<'_>) -> String {
    let scheme = members.value("Scheme").unwrap_or("internet-facing");
    shown(scheme)
}

fn list(mut question: Question<'static>, key: &'static str, of: Vec<&str>) -> Question<'static> {
    if !of.is_empty() {
        let values = of.into_iter().map(str::to_owned).collect();
        question.keys.set(key, values);
    }
    question
}
