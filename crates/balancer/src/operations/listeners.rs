//! Listeners: to make, describe, change and delete them.

use aws::query::Reply;
use types::ConfigurationView;

use crate::arn::{ListenerArn, LoadBalancerArn, certificate_account};
use crate::error::{BalancerError, Refusal};
use crate::input::actions;
use crate::limits::MAX_LISTENERS;
use crate::model::{
    AlpnPolicy, Attributes, Listener, ListenerId, LoadBalancer, LoadBalancerKind, Protocol, RuleId,
    Tags,
};
use crate::request::{BalancerRequest, Paging, failed, port, required, shown, word};
use crate::security_policy::{self, SecurityPolicy};
use crate::service::{Service, no_balancer, no_listener};
use crate::{catalogue, forwarding, ids, shapes, tags};

/// Protocols of the model that aren't built.
const NOT_BUILT: &[&str] = &["GENEVE", "QUIC", "TCP_QUIC"];

/// `CreateListener`: repeated with the same settings it makes nothing more.
pub(crate) async fn create(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let arn: LoadBalancerArn = request.arn()?;
    let wanted = read(service, request, arn.kind)?;
    let missing = || no_balancer(&arn);
    let amended = service
        .amend_balancer(&arn, missing, |view, balancer| {
            let mut held = balancer.listeners.iter();
            if let Some(held) = held.find(|held| held.port == wanted.port) {
                let same = is_same(held, &wanted);
                return same.then(|| held.id.clone()).ok_or_else(|| duplicate(&arn));
            }
            if balancer.listeners.len() >= MAX_LISTENERS {
                let text = format!("A load balancer can have at most {MAX_LISTENERS} listeners");
                return Err(BalancerError::refused(Refusal::TooManyListeners, text));
            }
            forwarding::check(view, &arn, wanted.protocol, wanted.actions())?;
            balancer.listeners.push(wanted.clone());
            forwarding::check_count(balancer)?;
            Ok(wanted.id.clone())
        })
        .await?;
    answer(request, &amended.row, &amended.outcome)
}

fn duplicate(arn: &LoadBalancerArn) -> BalancerError {
    let text = format!("A listener already exists on this port for this load balancer '{arn}'");
    BalancerError::refused(Refusal::DuplicateListener, text)
}

/// The listener that a request asks for.
fn read(
    service: &Service,
    request: &BalancerRequest<'_>,
    kind: LoadBalancerKind,
) -> Result<Listener, BalancerError> {
    let members = request.members();
    required(&members, "Protocol")?;
    let protocol = protocol(request, kind)?;
    let protocol =
        protocol.ok_or_else(|| BalancerError::invalid("A protocol must be specified"))?;
    required(&members, "Port")?;
    let port = port(&members, "Port")?;
    let mut listener = Listener {
        id: ListenerId(ids::unique(service.environment())),
        port: port.ok_or_else(|| BalancerError::invalid("A port must be specified"))?,
        protocol,
        certificates: certificates(service, request)?.unwrap_or_default(),
        ssl_policy: ssl_policy(request)?,
        alpn_policy: alpn_policy(request)?,
        default_rule: RuleId(ids::unique(service.environment())),
        default_rule_tags: Tags::new(),
        default_action: actions::read(&members.structures("DefaultActions")?, protocol)?,
        attributes: Attributes::default(),
        tags: tags::read(&members)?,
        rules: Vec::new(),
    };
    complete(&mut listener)?;
    check_mutual(request)?;
    Ok(listener)
}

/// The protocol that a request gives, if it does: one of that kind of load balancer.
fn protocol(
    request: &BalancerRequest<'_>,
    kind: LoadBalancerKind,
) -> Result<Option<Protocol>, BalancerError> {
    let members = request.members();
    let found = word(
        &members,
        "Protocol",
        Protocol::ALL,
        Protocol::name,
        NOT_BUILT,
    )?;
    if let Some(protocol) = found
        && protocol.kind() != kind
    {
        let words: Vec<&str> = Protocol::ALL
            .iter()
            .filter(|protocol| protocol.kind() == kind)
            .map(|protocol| protocol.name())
            .collect();
        let text = format!(
            "Listener protocol '{protocol}' must be one of '{}' for load balancers of type '{kind}'",
            words.join(", ")
        );
        return Err(BalancerError::invalid(text));
    }
    Ok(found)
}

/// The default certificate that a request gives, if it does.
fn certificates(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Option<Vec<String>>, BalancerError> {
    let given = request.members().structures("Certificates")?;
    if given.len() > 1 {
        let text = "You must specify exactly one certificate as the default of a listener: add \
                    others by AddListenerCertificates";
        return Err(BalancerError::refused(Refusal::TooManyCertificates, text));
    }
    let arns = given.iter().map(|one| required(one, "CertificateArn"));
    let arns = arns.collect::<Result<Vec<_>, _>>()?;
    for arn in &arns {
        check_certificate(service, request, arn)?;
    }
    let arns: Vec<String> = arns.into_iter().map(str::to_owned).collect();
    Ok((!arns.is_empty()).then_some(arns))
}

/// Has the caller's account such a certificate? Those of others are none: whoever names one would
/// serve with its key.
pub(super) fn check_certificate(
    service: &Service,
    request: &BalancerRequest<'_>,
    arn: &str,
) -> Result<(), BalancerError> {
    let is_own = certificate_account(arn) == Some(request.account());
    if is_own && service.config.surroundings.has_certificate(arn) {
        return Ok(());
    }
    let text = format!("Certificate '{}' not found", shown(arn));
    Err(BalancerError::refused(Refusal::CertificateNotFound, text))
}

fn ssl_policy(request: &BalancerRequest<'_>) -> Result<Option<String>, BalancerError> {
    let Some(name) = request.members().value("SslPolicy") else {
        return Ok(None);
    };
    match SecurityPolicy::find(name) {
        Some(policy) => Ok(Some(policy.name.to_owned())),
        None => {
            let text = format!("SSL policy '{}' not found", shown(name));
            Err(BalancerError::refused(Refusal::SslPolicyNotFound, text))
        }
    }
}

fn alpn_policy(request: &BalancerRequest<'_>) -> Result<Option<AlpnPolicy>, BalancerError> {
    match &request.texts("AlpnPolicy")?[..] {
        [] => Ok(None),
        [name] => {
            let found = AlpnPolicy::of_name(name).ok_or_else(|| {
                let text = format!("ALPN policy '{}' not found", shown(name));
                BalancerError::refused(Refusal::AlpnPolicyNotFound, text)
            })?;
            Ok(Some(found))
        }
        _ => Err(BalancerError::invalid(
            "You can specify only one ALPN policy",
        )),
    }
}

/// Mutual TLS isn't built: it can be said that there is none.
fn check_mutual(request: &BalancerRequest<'_>) -> Result<(), BalancerError> {
    let config = request.members().structure("MutualAuthentication");
    match config.and_then(|config| config.value("Mode")) {
        None | Some("off") => Ok(()),
        Some(mode @ ("passthrough" | "verify")) => Err(BalancerError::not_built(format!(
            "Mutual authentication '{mode}'"
        ))),
        Some(other) => {
            let rule = "Member must satisfy enum value set: [off, passthrough, verify]";
            Err(failed("mutualAuthentication.mode", other, rule))
        }
    }
}

/// What goes with a listener's protocol: of those with TLS a certificate and a security policy, of
/// others neither.
fn complete(listener: &mut Listener) -> Result<(), BalancerError> {
    let protocol = listener.protocol;
    if protocol.is_secure() {
        if listener.certificates.is_empty() {
            let text = format!("A certificate must be specified for {protocol} listeners");
            return Err(BalancerError::invalid(text));
        }
        let default = || security_policy::DEFAULT.to_owned();
        listener.ssl_policy.get_or_insert_with(default);
    } else {
        for (is_there, what) in [
            (!listener.certificates.is_empty(), "A certificate"),
            (listener.ssl_policy.is_some(), "A security policy"),
        ] {
            if is_there {
                let text = format!("{what} cannot be specified for {protocol} listeners");
                return Err(BalancerError::invalid(text));
            }
        }
    }
    if listener.alpn_policy.is_some() && protocol != Protocol::Tls {
        let text = format!("An ALPN policy cannot be specified for {protocol} listeners");
        return Err(BalancerError::invalid(text));
    }
    Ok(())
}

/// Were the two asked for by the same settings?
fn is_same(found: &Listener, wanted: &Listener) -> bool {
    found.protocol == wanted.protocol
        && found.certificates.first() == wanted.certificates.first()
        && found.ssl_policy == wanted.ssl_policy
        && found.alpn_policy == wanted.alpn_policy
        && found.default_action == wanted.default_action
        && (wanted.tags.is_empty() || found.tags == wanted.tags)
}

fn answer(
    request: &BalancerRequest<'_>,
    balancer: &LoadBalancer,
    id: &ListenerId,
) -> Result<Reply, BalancerError> {
    let listener = balancer.listener(id).ok_or_else(no_listener)?;
    let mut reply = request.reply();
    let writer = reply.writer();
    writer.open("Listeners").open("member");
    shapes::listener(writer, balancer, listener);
    writer.close().close();
    Ok(reply)
}

/// `DescribeListeners`: of a load balancer, or of some names.
pub(crate) async fn describe(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let balancer: Option<LoadBalancerArn> = request.optional_arn()?;
    let arns: Vec<ListenerArn> = request.arns("ListenerArns")?;
    let view = service.view();
    let mut found = Vec::new();
    match balancer {
        Some(arn) if arns.is_empty() => {
            let row = catalogue::balancer(&*view, &arn)?;
            let (_, balancer) = row.ok_or_else(|| no_balancer(&arn))?;
            let ids: Vec<_> = balancer.listeners.iter().map(|it| it.id.clone()).collect();
            found.extend(ids.into_iter().map(|id| (balancer.clone(), id)));
        }
        None if !arns.is_empty() => {
            for arn in arns {
                let (balancer, _) = find(&*view, &arn)?;
                found.push((balancer, arn.listener));
            }
        }
        _ => {
            let text = "You must specify either listener ARNs or a load balancer ARN";
            return Err(BalancerError::invalid(text));
        }
    }
    let mut keyed = Vec::new();
    for (balancer, id) in found {
        let listener = balancer.listener(&id).ok_or_else(no_listener)?;
        let key = format!("{:05}-{id}", listener.port);
        keyed.push((key, (listener.clone(), balancer)));
    }
    let mut reply = request.reply();
    let paging = Paging::of(request)?;
    paging.write(
        reply.writer(),
        "Listeners",
        keyed,
        |writer, (listener, balancer)| {
            shapes::listener(writer, &balancer, &listener);
        },
    );
    Ok(reply)
}

/// The listener of that name, and its load balancer.
pub(super) fn find(
    view: &dyn ConfigurationView,
    arn: &ListenerArn,
) -> Result<(LoadBalancer, Listener), BalancerError> {
    let row = catalogue::balancer(view, &arn.balancer)?;
    let (_, balancer) = row.ok_or_else(no_listener)?;
    let listener = balancer.listener(&arn.listener).ok_or_else(no_listener)?;
    let listener = listener.clone();
    Ok((balancer, listener))
}

/// The listener of that id, to be changed.
pub(super) fn find_mut<'a>(
    balancer: &'a mut LoadBalancer,
    id: &ListenerId,
) -> Result<&'a mut Listener, BalancerError> {
    let mut listeners = balancer.listeners.iter_mut();
    listeners
        .find(|listener| listener.id == *id)
        .ok_or_else(no_listener)
}

/// `ModifyListener`: what the request says, and nothing else. A protocol without TLS takes the
/// certificates and the policy away.
pub(crate) async fn modify(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let arn: ListenerArn = request.arn()?;
    let members = request.members();
    let protocol = protocol(request, arn.balancer.kind)?;
    let port = port(&members, "Port")?;
    let certificates = certificates(service, request)?;
    let (ssl_policy, alpn_policy) = (ssl_policy(request)?, alpn_policy(request)?);
    let actions = members.structures("DefaultActions")?;
    check_mutual(request)?;
    let amended = service
        .amend_balancer(&arn.balancer, no_listener, |view, balancer| {
            let listener = find_mut(balancer, &arn.listener)?;
            if let Some(protocol) = protocol {
                if !protocol.is_secure() {
                    listener.certificates.clear();
                    listener.ssl_policy = None;
                }
                if protocol != Protocol::Tls {
                    listener.alpn_policy = None;
                }
                listener.protocol = protocol;
            }
            if let Some(default) = &certificates {
                let others = listener.certificates.iter().skip(1).cloned();
                listener.certificates = default.iter().cloned().chain(others).collect();
            }
            listener.ssl_policy = ssl_policy.clone().or(listener.ssl_policy.take());
            listener.alpn_policy = alpn_policy.or(listener.alpn_policy);
            if !actions.is_empty() {
                listener.default_action = actions::read(&actions, listener.protocol)?;
            }
            complete(listener)?;
            let changed = listener.clone();
            forwarding::check(view, &arn.balancer, changed.protocol, changed.actions())?;
            if let Some(port) = port {
                let is_other = |other: &&Listener| other.id != arn.listener && other.port == port;
                if balancer.listeners.iter().find(is_other).is_some() {
                    return Err(duplicate(&arn.balancer));
                }
                find_mut(balancer, &arn.listener)?.port = port;
            }
            forwarding::check_count(balancer)
        })
        .await?;
    answer(request, &amended.row, &arn.listener)
}

/// `DeleteListener`, and its rules.
pub(crate) async fn delete(
    service: &Service,
    request: &BalancerRequest<'_>,
) -> Result<Reply, BalancerError> {
    let arn: ListenerArn = request.arn()?;
    service
        .amend_balancer(&arn.balancer, no_listener, |_, balancer| {
            find_mut(balancer, &arn.listener)?;
            balancer
                .listeners
                .retain(|listener| listener.id != arn.listener);
            Ok(())
        })
        .await?;
    Ok(request.done())
}
