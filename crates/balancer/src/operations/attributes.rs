//! Attributes of load balancers, listeners and target groups: to describe and to set them.

use std::collections::BTreeMap;

use aws::query::Reply;
use aws::xml::XmlWriter;

use super::listeners::{find, find_mut};
use crate::arn::{ListenerArn, LoadBalancerArn, TargetGroupArn};
use crate::attributes::{Attribute, table_of_balancers, table_of_groups, table_of_listeners};
use crate::error::BalancerError;
use crate::limits::MAX_ATTRIBUTES;
use crate::model::{Attributes, LoadBalancer, TargetGroup};
use crate::request::{BalancerRequest, required, shown};
use crate::service::{Service, no_balancer, no_group, no_listener};
use crate::{Algorithm, Stickiness, catalogue};

/// What the names of cookies begin with that are the load balancer's own.
const RESERVED_COOKIE: &str = "AWSALB";

/// The attributes that a request sets: names and values.
fn read<'f>(request: &BalancerRequest<'f>) -> Result<BTreeMap<&'f str, &'f str>, BalancerError> {
    let mut read = BTreeMap::new();
    let given = request.members().structures("Attributes")?;
    for attribute in &given {
        let key = required(attribute, "Key")?;
        let value = attribute.value("Value").unwrap_or("");
        if read.insert(key, value).is_some() {
            let text = format!("Attribute '{}' was specified more than once", shown(key));
            return Err(BalancerError::invalid(text));
        }
    }
    if read.is_empty() {
        return Err(BalancerError::invalid("An attribute must be specified"));
    }
    if read.len() > MAX_ATTRIBUTES {
        let text = format!("At most {MAX_ATTRIBUTES} attributes can be specified");
        return Err(BalancerError::invalid(text));
    }
    Ok(read)
}

/// Sets attributes that a table has, each as it may be. What is set to its default isn't kept.
fn set(
    table: &[Attribute],
    noun: &str,
    given: &BTreeMap<&str, &str>,
    attributes: &mut Attributes,
) -> Result<(), BalancerError> {
    for (key, value) in given {
        let row = table.iter().find(|row| row.name == *key).ok_or_else(|| {
            let text = format!("{noun} attribute key '{}' is not recognized", shown(key));
            BalancerError::invalid(text)
        })?;
        row.check(value)?;
        match *value == row.default {
            true => attributes.0.remove(*key),
            false => attributes.0.insert((*key).to_owned(), (*value).to_owned()),
        };
    }
    Ok(())
}

fn write(writer: &mut XmlWriter, table: &[Attribute], attributes: &Attributes) {
    writer.open("Attributes");
    for (key, value) in attributes.all(table) {
        writer
            .open("member")
            .value("Key", key)
            .value("Value", value)
            .close();
    }
    writer.close();
}

/// `DescribeLoadBalancerAttributes`.
pub(crate) async fn describe_balancer(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let arn: LoadBalancerArn = request.arn()?;
    let found = catalogue::balancer(&*service.view(), &arn)?;
    let (_, balancer) = found.ok_or_else(|| no_balancer(&arn))?;
    let mut reply = request.reply();
    write(
        reply.writer(),
        table_of_balancers(arn.kind),
        &balancer.attributes,
    );
    Ok(reply)
}

/// `ModifyLoadBalancerAttributes`.
pub(crate) async fn modify_balancer(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let arn: LoadBalancerArn = request.arn()?;
    let given = read(request)?;
    let table = table_of_balancers(arn.kind);
    let missing = || no_balancer(&arn);
    let amended = service
        .amend_balancer(&arn, missing, |_, balancer| {
            set(table, "Load balancer", &given, &mut balancer.attributes)?;
            check_balancer(balancer)
        })
        .await?;
    let mut reply = request.reply();
    write(reply.writer(), table, &amended.row.attributes);
    Ok(reply)
}

/// What must hold between a load balancer's attributes.
fn check_balancer(balancer: &LoadBalancer) -> Result<(), BalancerError> {
    if balancer
        .access_logs()
        .is_some_and(|(bucket, _)| bucket.is_empty())
    {
        let text = "The value of 'access_logs.s3.bucket' cannot be empty when access logs are \
                    enabled";
        return Err(BalancerError::invalid(text));
    }
    Ok(())
}

/// `DescribeListenerAttributes`.
pub(crate) async fn describe_listener(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let arn: ListenerArn = request.arn()?;
    let (_, listener) = find(&*service.view(), &arn)?;
    let mut reply = request.reply();
    let table = table_of_listeners(listener.protocol);
    write(reply.writer(), table, &listener.attributes);
    Ok(reply)
}

/// `ModifyListenerAttributes`.
pub(crate) async fn modify_listener(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let arn: ListenerArn = request.arn()?;
    let given = read(request)?;
    let amended = service
        .amend_balancer(&arn.balancer, no_listener, |_, balancer| {
            let listener = find_mut(balancer, &arn.listener)?;
            let table = table_of_listeners(listener.protocol);
            set(table, "Listener", &given, &mut listener.attributes)
        })
        .await?;
    let listener = amended
        .row
        .listener(&arn.listener)
        .ok_or_else(no_listener)?;
    let mut reply = request.reply();
    let table = table_of_listeners(listener.protocol);
    write(reply.writer(), table, &listener.attributes);
    Ok(reply)
}

/// `DescribeTargetGroupAttributes`.
pub(crate) async fn describe_group(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let arn: TargetGroupArn = request.arn()?;
    let found = catalogue::group(&*service.view(), &arn)?;
    let (_, group) = found.ok_or_else(|| no_group(&arn))?;
    let mut reply = request.reply();
    write(
        reply.writer(),
        table_of_groups(group.protocol),
        &group.attributes,
    );
    Ok(reply)
}

/// `ModifyTargetGroupAttributes`.
pub(crate) async fn modify_group(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let arn: TargetGroupArn = request.arn()?;
    let given = read(request)?;
    let amended = service
        .amend_group(&arn, |_, group| {
            let table = table_of_groups(group.protocol);
            set(table, "Target group", &given, &mut group.attributes)?;
            check_group(group)
        })
        .await?;
    let group = &amended.row;
    let mut reply = request.reply();
    write(
        reply.writer(),
        table_of_groups(group.protocol),
        &group.attributes,
    );
    Ok(reply)
}

/// What must hold between a target group's attributes.
fn check_group(group: &TargetGroup) -> Result<(), BalancerError> {
    let algorithm = group.algorithm();
    if group.slow_start().is_some() && algorithm != Algorithm::RoundRobin {
        let text = format!(
            "You cannot enable slow start mode with the load balancing algorithm '{algorithm}'"
        );
        return Err(BalancerError::configuration(text));
    }
    let Some(Stickiness::ApplicationCookie { name, .. }) = group.stickiness() else {
        return Ok(());
    };
    // A token of RFC 6265, section 4.1.1.
    let token = |byte: u8| byte.is_ascii_alphanumeric() || b"!#$%&'*+-.^_`|~".contains(&byte);
    let is_name = !name.is_empty() && name.bytes().all(token);
    if !is_name || name.starts_with(RESERVED_COOKIE) {
        let text = format!(
            "'{}' is not a valid value for 'stickiness.app_cookie.cookie_name': it must be a \
             cookie's name that doesn't begin with {RESERVED_COOKIE}",
            shown(&name)
        );
        return Err(BalancerError::invalid(text));
    }
    Ok(())
}
