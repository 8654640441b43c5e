//! `SimulatePrincipalPolicy`, of what a user, group or role has, and `SimulateCustomPolicy`, of
//! policies that the request gives; and the condition keys that either would need.

use std::collections::BTreeMap;

use aws::query::Reply;
use aws::xml::XmlWriter;

use crate::Service;
use crate::iam::IamError;
use crate::iam::paging::Paging;
use crate::iam::parameters;
use crate::iam::request::IamRequest;
use crate::iam::simulation::{Asked, Evaluation, PolicySet, Source, Verdict};
use crate::policy::Position;

/// Bytes of policies that are evaluated for one page. A page of a simulation may have fewer results
/// than are asked for (API reference, `MaxItems`), so that no request takes long.
const WORK: usize = 32 * 1024 * 1024;

/// Statements and missing keys that one page tells of before it ends, so that no answer is very
/// large.
const GROUNDS: usize = 10_000;

/// `SimulatePrincipalPolicy`.
pub(crate) async fn principal(_: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let mut policies = PolicySet::default();
    let source = Source::named(request)?;
    policies.take_source(request, &source)?;
    policies.take_inputs(request)?;
    simulate(request, Some(&source), policies)
}

/// `SimulateCustomPolicy`.
pub(crate) async fn custom(_: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let mut policies = PolicySet::default();
    take_required_inputs(request, &mut policies)?;
    simulate(request, None, policies)
}

/// `GetContextKeysForPrincipalPolicy`.
pub(crate) async fn principal_keys(
    _: &Service,
    request: &IamRequest<'_>,
) -> Result<Reply, IamError> {
    let mut policies = PolicySet::default();
    policies.take_source(request, &Source::named(request)?)?;
    policies.take_inputs(request)?;
    Ok(context_keys(request, &policies))
}

/// `GetContextKeysForCustomPolicy`.
pub(crate) async fn custom_keys(_: &Service, request: &IamRequest<'_>) -> Result<Reply, IamError> {
    let mut policies = PolicySet::default();
    take_required_inputs(request, &mut policies)?;
    Ok(context_keys(request, &policies))
}

fn take_required_inputs(
    request: &IamRequest<'_>,
    policies: &mut PolicySet,
) -> Result<(), IamError> {
    policies.take_inputs(request)?;
    if policies.identity.is_empty() {
        return Err(parameters::constraint(
            "policyInputList",
            None,
            "Member must not be null",
        ));
    }
    Ok(())
}

fn simulate(
    request: &IamRequest<'_>,
    source: Option<&Source>,
    mut policies: PolicySet,
) -> Result<Reply, IamError> {
    policies.take_given_boundary(request)?;
    policies.take_resource_policy(request)?;
    let asked = Asked::read(request, source, &policies)?;
    let evaluation = Evaluation::new(&asked, &policies);
    let paging = Paging::of(request)?.at_most(WORK / policies.weight.max(1));
    let resources = asked.resources.iter();
    let actions = asked.actions.iter();
    let pairs =
        actions.flat_map(|action| resources.clone().map(move |resource| (*action, *resource)));
    let (mut page, mut told) = (paging.walk(), 0);
    for (number, (action, resource)) in pairs.enumerate() {
        let place = format!("{number:06}");
        if page.is_done() {
            break;
        }
        if !page.wants(&place) {
            continue;
        }
        if told >= GROUNDS {
            page.end();
            break;
        }
        let verdict = evaluation.of(action, resource);
        told += verdict.matched.len() + evaluation.missing().len();
        page.take(place, (action, resource, verdict));
    }
    let mut reply = request.reply();
    let write = |writer: &mut XmlWriter, result: &(&str, &str, Verdict<'_>)| {
        write_result(writer, result, evaluation.missing());
    };
    page.finish()
        .write(reply.writer(), "EvaluationResults", write);
    Ok(reply)
}

fn write_result(
    writer: &mut XmlWriter,
    (action, resource, verdict): &(&str, &str, Verdict<'_>),
    missing: &[&str],
) {
    writer
        .open("member")
        .value("EvalActionName", action)
        .value("EvalResourceName", resource)
        .value("EvalDecision", verdict.decision);
    write_grounds(writer, verdict, missing);
    if let Some(allowed) = verdict.by_organization {
        writer
            .open("OrganizationsDecisionDetail")
            .value("AllowedByOrganizations", allowed)
            .close();
    }
    write_boundary(writer, verdict);
    if *resource != "*" {
        writer
            .open("ResourceSpecificResults")
            .open("member")
            .value("EvalResourceName", resource)
            .value("EvalResourceDecision", verdict.decision);
        write_grounds(writer, verdict, missing);
        write_boundary(writer, verdict);
        writer.close().close();
    }
    writer.close();
}

fn write_grounds(writer: &mut XmlWriter, verdict: &Verdict<'_>, missing: &[&str]) {
    writer.open("MatchedStatements");
    for matched in &verdict.matched {
        writer
            .open("member")
            .value("SourcePolicyId", &matched.given.id)
            .value("SourcePolicyType", matched.given.kind);
        write_position(writer, "StartPosition", matched.start);
        write_position(writer, "EndPosition", matched.end);
        writer.close();
    }
    writer.close();
    writer.open("MissingContextValues");
    for name in missing {
        writer.value("member", name);
    }
    writer.close();
}

fn write_position(writer: &mut XmlWriter, element: &'static str, position: Position) {
    writer
        .open(element)
        .value("Line", position.line)
        .value("Column", position.column)
        .close();
}

fn write_boundary(writer: &mut XmlWriter, verdict: &Verdict<'_>) {
    if let Some(allowed) = verdict.by_boundary {
        writer
            .open("PermissionsBoundaryDecisionDetail")
            .value("AllowedByPermissionsBoundary", allowed)
            .close();
    }
}

/// The names of keys, each once without regard to case.
fn context_keys(request: &IamRequest<'_>, policies: &PolicySet) -> Reply {
    let mut names = BTreeMap::new();
    let attached = policies.identity.iter().chain(&policies.boundary);
    for name in attached.flat_map(|given| given.policy.context_keys()) {
        names.entry(name.to_ascii_lowercase()).or_insert(name);
    }
    let mut reply = request.reply();
    reply.writer().open("ContextKeyNames");
    for name in names.values() {
        reply.writer().value("member", name);
    }
    reply.writer().close();
    reply
}
