//! What is the same for everybody: security policies and quotas.

use aws::query::Reply;

use crate::error::{BalancerError, Refusal};
use crate::limits::ACCOUNT_LIMITS;
use crate::model::LoadBalancerKind;
use crate::request::{BalancerRequest, Paging, shown, word};
use crate::security_policy::SecurityPolicy;
use crate::service::Service;
use crate::shapes;

/// `DescribeSSLPolicies`: all, or some, as listeners here offer them.
pub(crate) async fn ssl_policies(
    _: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let names = request.texts("Names")?;
    let (all, spelled) = (LoadBalancerKind::ALL, LoadBalancerKind::name);
    word(
        &request.members(),
        "LoadBalancerType",
        all,
        spelled,
        &["gateway"],
    )?;
    if let Some(name) = names
        .iter()
        .find(|name| SecurityPolicy::find(name).is_none())
    {
        let text = format!("SSL policy '{}' not found", shown(name));
        return Err(BalancerError::refused(Refusal::SslPolicyNotFound, text));
    }
    let policies = SecurityPolicy::all().iter().enumerate();
    let asked = policies.filter(|(_, it)| names.is_empty() || names.contains(&it.name));
    let keyed = asked.map(|(place, policy)| (format!("{place:03}"), *policy));
    let mut reply = request.reply();
    let paging = Paging::of(request)?;
    paging.write(
        reply.writer(),
        "SslPolicies",
        keyed.collect(),
        |writer, policy| {
            shapes::texts(writer, "SslProtocols", policy.versions());
            writer.open("Ciphers");
            for (place, cipher) in policy.ciphers().enumerate() {
                writer
                    .open("member")
                    .value("Name", cipher)
                    .value("Priority", place + 1)
                    .close();
            }
            writer.close().value("Name", policy.name);
            shapes::texts(writer, "SupportedLoadBalancerTypes", LoadBalancerKind::ALL);
        },
    );
    Ok(reply)
}

/// `DescribeAccountLimits`.
pub(crate) async fn account_limits(
    _: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let limits = ACCOUNT_LIMITS.iter().enumerate();
    let keyed = limits.map(|(place, limit)| (format!("{place:03}"), limit));
    let mut reply = request.reply();
    let paging = Paging::of(request)?;
    paging.write(
        reply.writer(),
        "Limits",
        keyed.collect(),
        |writer, (name, most)| {
            writer.value("Name", name).value("Max", most);
        },
    );
    Ok(reply)
}
