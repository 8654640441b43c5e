//! Tags of load balancers, listeners, rules and target groups: to set, take away and describe
//! them.

use aws::query::Reply;
use types::ConfigurationView;

use crate::arn::Arn;
use crate::error::BalancerError;
use crate::limits::MAX_TAGGED;
use crate::model::Tags;
use crate::request::{BalancerRequest, shown};
use crate::service::{Service, no_balancer, no_group, no_listener, no_rule};
use crate::tags;

/// What a request's resources are; one at least.
fn resources(request: &BalancerRequest<'_>) -> Result<Vec<Arn>, BalancerError> {
    let texts = request.texts("ResourceArns")?;
    if texts.is_empty() {
        return Err(BalancerError::invalid("A resource ARN must be specified"));
    }
    if texts.len() > MAX_TAGGED {
        let text = format!("At most {MAX_TAGGED} resource ARNs can be specified");
        return Err(BalancerError::invalid(text));
    }
    let parse = |text: &&str| {
        text.parse().map_err(|_| {
            let text = format!("'{}' is not a valid resource ARN", shown(text));
            BalancerError::invalid(text)
        })
    };
    texts.iter().map(parse).collect()
}

/// What is said if there is nothing of that name.
fn missing(arn: &Arn) -> BalancerError {
    match arn {
        Arn::LoadBalancer(arn) => no_balancer(arn),
        Arn::Listener(_) => no_listener(),
        Arn::Rule(_) => no_rule(),
        Arn::TargetGroup(arn) => no_group(arn),
    }
}

/// Changes the tags of each resource. All are looked for before any is changed; they are changed
/// one after the other, as the service does.
async fn change(
    service: &Service,
    arns: &[Arn],
    amend: impl Fn(&mut Tags) -> Result<(), BalancerError>,
) -> Result<(), BalancerError> {
    let view = service.view();
    for arn in arns {
        amend(&mut of(&*view, arn)?)?;
    }
    for arn in arns {
        let none = || missing(arn);
        match arn {
            Arn::TargetGroup(name) => {
                service
                    .amend_group(name, |_, group| amend(&mut group.tags))
                    .await?;
            }
            Arn::LoadBalancer(name) => {
                let on = service.amend_balancer(name, none, |_, row| amend(&mut row.tags));
                on.await?;
            }
            Arn::Listener(name) => {
                let on = service.amend_balancer(&name.balancer, none, |_, row| {
                    amend(tags::of_listener(row, &name.listener).ok_or_else(none)?)
                });
                on.await?;
            }
            Arn::Rule(name) => {
                let balancer = &name.listener.balancer;
                let on = service.amend_balancer(balancer, none, |_, row| {
                    let held = tags::of_rule(row, &name.listener.listener, &name.rule);
                    amend(held.ok_or_else(none)?)
                });
                on.await?;
            }
        }
    }
    Ok(())
}

/// The tags of what is named.
fn of(view: &dyn ConfigurationView, arn: &Arn) -> Result<Tags, BalancerError> {
    tags::of(view, arn)?.ok_or_else(|| missing(arn))
}

/// `AddTags`: those of a key that is there are replaced.
pub(crate) async fn add(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let arns = resources(request)?;
    let added = tags::read(&request.members())?;
    if added.is_empty() {
        return Err(BalancerError::invalid("A tag must be specified"));
    }
    change(service, &arns, |held| tags::add(held, &added)).await?;
    Ok(request.done())
}

/// `RemoveTags`: those that aren't there are taken away already.
pub(crate) async fn remove(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let arns = resources(request)?;
    let keys = request.texts("TagKeys")?;
    if keys.is_empty() {
        return Err(BalancerError::invalid("A tag key must be specified"));
    }
    for key in &keys {
        tags::check_key(key)?;
    }
    let removed = |held: &mut Tags| {
        held.retain(|key, _| !keys.contains(&key.as_str()));
        Ok(())
    };
    change(service, &arns, removed).await?;
    Ok(request.done())
}

/// `DescribeTags`.
pub(crate) async fn describe(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let arns = resources(request)?;
    let view = service.view();
    let mut reply = request.reply();
    let writer = reply.writer();
    writer.open("TagDescriptions");
    for arn in &arns {
        // What isn't the caller's own isn't there.
        if arn.account() != request.account() {
            return Err(missing(arn));
        }
        let held = of(&*view, arn)?;
        writer.open("member").value("ResourceArn", arn);
        tags::write(writer, &held);
        writer.close();
    }
    writer.close();
    Ok(reply)
}
