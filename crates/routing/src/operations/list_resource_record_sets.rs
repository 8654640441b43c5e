//! `ListResourceRecordSets`: in the order of names with the labels reversed, then of types, then
//! of identifiers, from the given ones on. It lists what is configured, served already or not.

use super::shapes;
use crate::access::Allowed;
use crate::api_limits::MAX_RECORD_PAGE;
use crate::request::{Reply, Request, document};
use crate::{Name, RecordKind, RecordSet, RoutingError, Service, catalogue, keys};

/// Where a page begins.
struct Start<'a> {
    name: Option<Name>,
    kind: Option<&'a str>,
    identifier: Option<&'a str>,
}

pub(crate) async fn execute(
    service: &Service,
    request: &Request<'_>,
    allowed: &Allowed,
) -> Result<Reply, RoutingError> {
    let id = request.zone("Id")?;
    let size = request.page_size(MAX_RECORD_PAGE)?;
    let start = read_start(request)?;
    let view = service.view();
    let (_, zone) = catalogue::zone(&*view, allowed.account(), &id)?;
    let first = start
        .name
        .as_ref()
        .map(|name| keys::records_named(&zone.id, name));
    let mut listed: Vec<RecordSet> = Vec::new();
    let first = first.unwrap_or_default();
    catalogue::visit_groups_from(&*view, &zone.id, &first, &mut |name, kind, sets| {
        listed.extend(sets.into_iter().filter(|set| start.covers(name, kind, set)));
        listed.len() <= size
    })?;
    let next = listed.get(size).cloned();
    listed.truncate(size);
    let mut writer = document("ListResourceRecordSetsResponse");
    writer.open("ResourceRecordSets");
    for set in &listed {
        shapes::record_set(&mut writer, set);
    }
    writer.close().value("IsTruncated", next.is_some());
    if let Some(next) = &next {
        writer
            .value("NextRecordName", &next.name)
            .value("NextRecordType", next.kind)
            .optional("NextRecordIdentifier", next.identifier());
    }
    writer.value("MaxItems", size);
    Ok(Reply::ok(writer))
}

fn read_start<'a>(request: &'a Request<'_>) -> Result<Start<'a>, RoutingError> {
    let name = request.parameter("name");
    let kind = request.parameter("type");
    let identifier = request.parameter("identifier");
    if name.is_none() && kind.is_some() {
        return Err(RoutingError::invalid(
            "Invalid parameter: type must come with name.",
        ));
    }
    if kind.is_none() && identifier.is_some() {
        return Err(RoutingError::invalid(
            "Invalid parameter: identifier must come with name and type.",
        ));
    }
    let known = |kind: &str| {
        kind.parse::<RecordKind>().is_ok() || crate::model::KINDS_NOT_BUILT.contains(&kind)
    };
    if let Some(kind) = kind.filter(|kind| !known(kind)) {
        return Err(RoutingError::invalid(format!(
            "Invalid parameter: type '{}' is no record type.",
            kind.chars().take(16).collect::<String>()
        )));
    }
    let parsed = name.map(Name::parse).transpose().map_err(|error| {
        let shown: String = name.unwrap_or_default().chars().take(128).collect();
        RoutingError::invalid(format!("FATAL problem: {error} encountered with '{shown}'"))
    })?;
    Ok(Start {
        name: parsed,
        kind,
        identifier,
    })
}

impl Start<'_> {
    /// Does the set stand at the start or after it?
    fn covers(&self, name: &Name, kind: RecordKind, set: &RecordSet) -> bool {
        if self.name.as_ref() != Some(name) {
            return true; // groups before the name weren't visited
        }
        let Some(first) = self.kind else {
            return true;
        };
        match kind.name().cmp(first) {
            std::cmp::Ordering::Less => false,
            std::cmp::Ordering::Greater => true,
            std::cmp::Ordering::Equal => set.identifier() >= self.identifier,
        }
    }
}
