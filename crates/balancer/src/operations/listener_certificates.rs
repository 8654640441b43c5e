//! Certificates of listeners beside the default one, of which the name that a client asks for
//! chooses.

use aws::query::Reply;

use super::listeners::{check_certificate, find, find_mut};
use crate::arn::ListenerArn;
use crate::error::{BalancerError, Refusal};
use crate::limits::MAX_CERTIFICATES;
use crate::model::LoadBalancer;
use crate::request::{BalancerRequest, Paging, required};
use crate::service::{Service, no_listener};

/// The certificates that a request names; one at least.
fn read(request: &BalancerRequest<'_>) -> Result<Vec<String>, BalancerError> {
    let given = request.members().structures("Certificates")?;
    let arns = given
        .iter()
        .map(|one| required(one, "CertificateArn").map(str::to_owned));
    let arns = arns.collect::<Result<Vec<_>, _>>()?;
    if arns.is_empty() {
        return Err(BalancerError::invalid("A certificate must be specified"));
    }
    Ok(arns)
}

/// `AddListenerCertificates`: those that it has already stay.
pub(crate) async fn add(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let arn: ListenerArn = request.arn()?;
    let added = read(request)?;
    for certificate in &added {
        check_certificate(service, request, certificate)?;
    }
    service
        .amend_balancer(&arn.balancer, no_listener, |_, balancer| {
            let listener = find_mut(balancer, &arn.listener)?;
            if !listener.protocol.is_secure() {
                let text = format!(
                    "Certificates cannot be added to a listener of protocol '{}'",
                    listener.protocol
                );
                return Err(BalancerError::invalid(text));
            }
            for certificate in &added {
                // The default one may be in the list too, and then it is there twice.
                if !listener.certificates[1..].contains(certificate) {
                    listener.certificates.push(certificate.clone());
                }
            }
            check_count(balancer)
        })
        .await?;
    let mut reply = request.reply();
    let writer = reply.writer();
    writer.open("Certificates");
    for certificate in &added {
        writer.open("member").value("CertificateArn", certificate);
        writer.value("IsDefault", false).close();
    }
    writer.close();
    Ok(reply)
}

fn check_count(balancer: &LoadBalancer) -> Result<(), BalancerError> {
    let listeners = balancer.listeners.iter();
    let count: usize = listeners
        .map(|it| it.certificates.len().saturating_sub(1))
        .sum();
    if count <= MAX_CERTIFICATES {
        return Ok(());
    }
    let text = format!(
        "A load balancer can have at most {MAX_CERTIFICATES} certificates beside the default ones"
    );
    Err(BalancerError::refused(Refusal::TooManyCertificates, text))
}

/// `RemoveListenerCertificates`: not the default one. Those that it hasn't are gone already.
pub(crate) async fn remove(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let arn: ListenerArn = request.arn()?;
    let removed = read(request)?;
    service
        .amend_balancer(&arn.balancer, no_listener, |_, balancer| {
            let listener = find_mut(balancer, &arn.listener)?;
            let mut held = listener.certificates.drain(..);
            let default = held.next();
            let others: Vec<String> = held.collect();
            if let Some(default) = &default
                && removed.contains(default)
                && !others.contains(default)
            {
                let text = format!(
                    "Certificate '{default}' is the default certificate of the listener and cannot \
                     be removed"
                );
                return Err(BalancerError::refused(Refusal::OperationNotPermitted, text));
            }
            let kept = others.into_iter().filter(|held| !removed.contains(held));
            listener.certificates = default.into_iter().chain(kept).collect();
            Ok(())
        })
        .await?;
    Ok(request.done())
}

/// `DescribeListenerCertificates`: the default one first.
pub(crate) async fn describe(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let arn: ListenerArn = request.arn()?;
    let (_, listener) = find(&*service.view(), &arn)?;
    let certificates = listener.certificates.into_iter().enumerate();
    let keyed = certificates.map(|(place, certificate)| {
        let is_default = place == 0;
        (format!("{place:05}"), (certificate, is_default))
    });
    let mut reply = request.reply();
    let paging = Paging::of(request)?;
    paging.write(
        reply.writer(),
        "Certificates",
        keyed.collect(),
        |writer, one| {
            let (certificate, is_default) = one;
            writer
                .value("CertificateArn", certificate)
                .value("IsDefault", is_default);
        },
    );
    Ok(reply)
}
