//! Actions of listeners and rules, read from requests.

use std::collections::BTreeSet;

use aws::query::Members;

use crate::arn::TargetGroupArn;
use crate::error::{BalancerError, Refusal};
use crate::limits::{MAX_GROUPS_PER_ACTION, MAX_PRIORITY, MAX_WEIGHT, WEEK};
use crate::model::{
    Action, ActionKind, FixedResponse, Forward, GroupStickiness, LoadBalancerKind, Protocol,
    Redirect, RedirectStatus, WeightedGroup,
};
use crate::request::{failed, flag, length, number, parse_arn, required, shown, word};

/// The types of a fixed response's body.
const CONTENT_TYPES: &[&str] = &[
    "text/plain",
    "text/css",
    "text/html",
    "application/javascript",
    "application/json",
];

/// Which action a type names; those that authenticate are not built.
#[derive(Clone, Copy)]
enum Type {
    Forward,
    Redirect,
    FixedResponse,
}

impl Type {
    fn name(self) -> &'static str {
        match self {
            Type::Forward => "forward",
            Type::Redirect => "redirect",
            Type::FixedResponse => "fixed-response",
        }
    }
}

/// The action that a list of them is, for a listener of that protocol.
pub(crate) fn read(list: &[Members<'_>], protocol: Protocol) -> Result<Action, BalancerError> {
    // Of several each is read, for what it says wrong or that isn't built.
    let actions = list.iter().map(|action| one(action, protocol));
    let mut actions = actions.collect::<Result<Vec<_>, _>>()?;
    if actions.len() > 1 {
        let text = "A rule can have only one forward, redirect or fixed-response action";
        return Err(BalancerError::refused(Refusal::TooManyActions, text));
    }
    actions
        .pop()
        .ok_or_else(|| BalancerError::invalid("An action must be specified"))
}

fn one(action: &Members<'_>, protocol: Protocol) -> Result<Action, BalancerError> {
    let all = [Type::Forward, Type::Redirect, Type::FixedResponse];
    let not_built = [
        "authenticate-oidc",
        "authenticate-cognito",
        "jwt-validation",
    ];
    required(action, "Type")?;
    let kind = word(action, "Type", &all, Type::name, &not_built)?.unwrap_or(Type::Forward);
    let order = number(action, "Order", 1, MAX_PRIORITY)?;
    if protocol.kind() == LoadBalancerKind::Network && !matches!(kind, Type::Forward) {
        let text = format!(
            "Actions of type '{}' are supported only on HTTP and HTTPS listeners",
            kind.name()
        );
        return Err(invalid(text));
    }
    let part = |name: &str| {
        action.structure(name).ok_or_else(|| {
            let text = format!("An action of type '{}' must have a {name}", kind.name());
            invalid(text)
        })
    };
    let kind = match kind {
        Type::Forward => ActionKind::Forward(forward(action, protocol)?),
        Type::Redirect => ActionKind::Redirect(redirect(&part("RedirectConfig")?, protocol)?),
        Type::FixedResponse => ActionKind::FixedResponse(fixed(&part("FixedResponseConfig")?)?),
    };
    Ok(Action { order, kind })
}

fn forward(action: &Members<'_>, protocol: Protocol) -> Result<Forward, BalancerError> {
    let alone = action
        .value("TargetGroupArn")
        .filter(|text| !text.is_empty());
    let alone: Option<TargetGroupArn> = alone.map(parse_arn).transpose()?;
    let config = action.structure("ForwardConfig");
    let listed = match &config {
        Some(config) => config.structures("TargetGroups")?,
        None => Vec::new(),
    };
    let mut groups = Vec::new();
    for tuple in &listed {
        let group = parse_arn(required(tuple, "TargetGroupArn")?)?;
        let weight = number(tuple, "Weight", 0, MAX_WEIGHT)?.unwrap_or(1);
        let weight = u16::try_from(weight).unwrap_or(u16::MAX);
        groups.push(WeightedGroup { group, weight });
    }
    match (alone, &groups[..]) {
        (Some(group), []) => groups.push(WeightedGroup { group, weight: 1 }),
        (Some(group), [only]) if only.group == group => {}
        (Some(_), _) => {
            let text = "You cannot specify both a target group ARN and a forward configuration \
                        that has other target groups";
            return Err(invalid(text));
        }
        (None, []) => return Err(invalid("A target group ARN must be specified")),
        (None, _) => {}
    }
    let names: BTreeSet<_> = groups.iter().map(|weighted| &weighted.group).collect();
    if names.len() < groups.len() {
        return Err(invalid("A target group can be specified once in an action"));
    }
    if groups.len() > MAX_GROUPS_PER_ACTION {
        let text = format!("An action can have at most {MAX_GROUPS_PER_ACTION} target groups");
        return Err(invalid(text));
    }
    let stickiness = config.and_then(|it| it.structure("TargetGroupStickinessConfig"));
    let stickiness = stickiness.map(|it| sticky(&it, protocol)).transpose()?;
    Ok(Forward { groups, stickiness })
}

fn sticky(config: &Members<'_>, protocol: Protocol) -> Result<GroupStickiness, BalancerError> {
    let enabled = flag(config, "Enabled")?.unwrap_or(false);
    let duration = number(config, "DurationSeconds", 1, WEEK)?;
    if enabled && protocol.kind() == LoadBalancerKind::Network {
        let part = "Target group stickiness of a network load balancer's action";
        return Err(BalancerError::not_built(part));
    }
    if enabled && duration.is_none() {
        let text = "DurationSeconds must be specified when target group stickiness is enabled";
        return Err(invalid(text));
    }
    Ok(GroupStickiness { enabled, duration })
}

fn redirect(config: &Members<'_>, listener: Protocol) -> Result<Redirect, BalancerError> {
    let part = |name: &str, default: &str| config.value(name).unwrap_or(default).to_owned();
    let redirect = Redirect {
        protocol: part("Protocol", "#{protocol}"),
        port: part("Port", "#{port}"),
        host: part("Host", "#{host}"),
        path: part("Path", "/#{path}"),
        query: part("Query", "#{query}"),
        status: {
            required(config, "StatusCode")?;
            let all = RedirectStatus::ALL;
            let status = word(config, "StatusCode", all, RedirectStatus::name, &[])?;
            status.unwrap_or(RedirectStatus::Temporary)
        },
    };
    if !matches!(redirect.protocol.as_str(), "HTTP" | "HTTPS" | "#{protocol}") {
        let rule = "Member must satisfy regular expression pattern: ^(HTTPS?|#\\{protocol\\})$";
        return Err(failed("protocol", &redirect.protocol, rule));
    }
    let port = redirect.port.as_str();
    let is_number = port.bytes().all(|byte| byte.is_ascii_digit());
    let is_port = is_number && port.parse::<u16>().is_ok_and(|port| port > 0);
    if port != "#{port}" && !is_port {
        let text = format!(
            "Port '{}' must be '#{{port}}' or from 1 to 65535",
            shown(port)
        );
        return Err(invalid(text));
    }
    length("Host", &redirect.host, 1, 128)?;
    length("Path", &redirect.path, 1, 128)?;
    length("Query", &redirect.query, 0, 128)?;
    check_redirect(&redirect, listener)?;
    Ok(redirect)
}

/// What a redirect may have in its parts, and that it leads elsewhere.
fn check_redirect(redirect: &Redirect, listener: Protocol) -> Result<(), BalancerError> {
    let Redirect {
        protocol,
        port,
        host,
        path,
        query,
        ..
    } = redirect;
    for (name, part) in [("Host", host), ("Path", path), ("Query", query)] {
        let plain = without_keywords(part);
        let allowed = |byte: u8| byte.is_ascii_graphic() && !b"#\"<>\\^`{}".contains(&byte);
        let is_host = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
        let fits = match name {
            "Host" => plain.bytes().all(is_host),
            _ => plain.bytes().all(allowed),
        };
        if !fits {
            let text = format!(
                "{name} '{}' has characters or keywords that it can't",
                shown(part)
            );
            return Err(invalid(text));
        }
    }
    if !path.starts_with('/') {
        return Err(invalid("The path of a redirect must begin with '/'"));
    }
    if listener == Protocol::Https && protocol == "HTTP" {
        return Err(invalid("You cannot redirect HTTPS to HTTP"));
    }
    let same_protocol = protocol == "#{protocol}" || protocol == listener.name();
    if same_protocol && port == "#{port}" && host == "#{host}" && path == "/#{path}" {
        let text = "A redirect must change the protocol, the port, the host or the path: it would \
                    lead to itself";
        return Err(invalid(text));
    }
    Ok(())
}

/// A redirect's part without its keywords; what else looks like one stays.
fn without_keywords(part: &str) -> String {
    let keywords = ["#{protocol}", "#{host}", "#{port}", "#{path}", "#{query}"];
    keywords
        .iter()
        .fold(part.to_owned(), |part, keyword| part.replace(keyword, "-"))
}

fn fixed(config: &Members<'_>) -> Result<FixedResponse, BalancerError> {
    let text = required(config, "StatusCode")?;
    let status = text.parse::<u16>().ok().filter(|_| text.len() == 3);
    let status = status.filter(|status| matches!(status / 100, 2 | 4 | 5));
    let status = status.ok_or_else(|| {
        let rule = "Member must satisfy regular expression pattern: ^(2|4|5)\\d\\d$";
        failed("statusCode", text, rule)
    })?;
    let content_type = config.value("ContentType").filter(|text| !text.is_empty());
    if let Some(other) = content_type
        && !CONTENT_TYPES.contains(&other)
    {
        let text = format!(
            "Content type '{}' must be one of '{}'",
            shown(other),
            CONTENT_TYPES.join(", ")
        );
        return Err(BalancerError::invalid(text));
    }
    let body = config.value("MessageBody");
    length("MessageBody", body.unwrap_or(""), 0, 1024)?;
    Ok(FixedResponse {
        status,
        content_type: content_type.map(str::to_owned),
        body: body.filter(|text| !text.is_empty()).map(str::to_owned),
    })
}

fn invalid(text: impl Into<String>) -> BalancerError {
    BalancerError::refused(Refusal::InvalidLoadBalancerAction, text)
}
