//! Custom endpoints of clusters: to make, describe, change and delete them. Whom one leads to is
//! judged for each session, by its row and by who is there then.

use std::collections::BTreeSet;
use std::net::Ipv4Addr;

use aws::query::Reply;
use aws::xml::XmlWriter;
use types::{ConfigurationEdit, ConfigurationView};

use super::{addresses, clusters, common};
use crate::arn::{ClusterArn, EndpointArn};
use crate::catalogue::{self, Row};
use crate::error::{DatabasesError, Refusal};
use crate::input::names;
use crate::limits::MAX_CLUSTER_ENDPOINTS;
use crate::model::{Cluster, ClusterEndpoint, EndpointKind, Tags};
use crate::request::{DatabasesRequest, Filters, Paging, list, shown};
use crate::service::Service;
use crate::{ids, keys, tags};

/// Names of endpoints in a row of the list: those that no request made, of writers and readers.
enum Shown {
    Custom(Box<ClusterEndpoint>),
    /// Its cluster, its type, its address, and whether nobody can use it.
    Own(ClusterArn, &'static str, Ipv4Addr, bool),
}

fn kind(request: &DatabasesRequest<'_>) -> Result<Option<EndpointKind>, DatabasesError> {
    let Some(text) = request.text("EndpointType") else {
        return Ok(None);
    };
    let found = EndpointKind::of_name(&text.to_ascii_uppercase());
    found.map(Some).ok_or_else(|| {
        DatabasesError::value(format!(
            "Invalid EndpointType: {}. A custom endpoint's is READER or ANY.",
            shown(text)
        ))
    })
}

/// The instances of a cluster that a request lists; `None`: it says nothing of them.
fn members(
    request: &DatabasesRequest<'_>,
    parameter: &'static str,
    view: &dyn ConfigurationView,
    cluster: &Cluster,
) -> Result<Option<BTreeSet<String>>, DatabasesError> {
    let listed = list(&request.members(), parameter, "member")?;
    if listed.is_empty() {
        return Ok(None);
    }
    let mut found = BTreeSet::new();
    for name in listed {
        let own = names::instance(parameter, name)?;
        let instance = catalogue::instance_named(view, &request.instance_arn(&own))?;
        let (_, instance) = instance.ok_or_else(|| common::no_instance(name))?;
        if !cluster.instances().any(|id| *id == instance.resource_id) {
            return Err(DatabasesError::state(format!(
                "DB instance {own} is not a member of DB cluster {}.",
                cluster.arn.identifier
            )));
        }
        found.insert(own);
    }
    Ok(Some(found))
}

/// The instances that an endpoint leads to, and those that it doesn't.
type Lists = (BTreeSet<String>, BTreeSet<String>);

/// Both lists; one alone may be given.
fn lists(
    request: &DatabasesRequest<'_>,
    view: &dyn ConfigurationView,
    cluster: &Cluster,
) -> Result<Option<Lists>, DatabasesError> {
    let fixed = members(request, "StaticMembers", view, cluster)?;
    let excluded = members(request, "ExcludedMembers", view, cluster)?;
    match (fixed, excluded) {
        (Some(_), Some(_)) => Err(DatabasesError::combination(
            "StaticMembers and ExcludedMembers can't be specified together.",
        )),
        (None, None) => Ok(None),
        (fixed, excluded) => Ok(Some((
            fixed.unwrap_or_default(),
            excluded.unwrap_or_default(),
        ))),
    }
}

/// `CreateDBClusterEndpoint`.
pub(crate) async fn create(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let name = request.required("DBClusterEndpointIdentifier")?;
    let name = names::instance("DBClusterEndpointIdentifier", name)?;
    request.required("EndpointType")?;
    let kind = kind(request)?.unwrap_or(EndpointKind::Any);
    let mut held = Tags::new();
    tags::add(&mut held, &tags::read(&request.members())?)?;
    let made = service.change(|view: &dyn ConfigurationView| {
        let (_, cluster) = clusters::named(view, request)?;
        let arn = EndpointArn {
            region: request.region(),
            account: request.account(),
            identifier: name.clone(),
        };
        check_room(view, &arn, &cluster)?;
        let (static_members, excluded_members) =
            lists(request, view, &cluster)?.unwrap_or_default();
        let made = ClusterEndpoint {
            resource_id: ids::endpoint(service.environment()),
            arn,
            cluster: cluster.resource_id.clone(),
            cluster_arn: cluster.arn.clone(),
            kind,
            static_members,
            excluded_members,
            address: addresses::draw(service, view, cluster.port)?,
            created: service.now(),
            tags: held.clone(),
        };
        Ok((catalogue::create_endpoint(&made), (made, cluster)))
    });
    let (made, cluster) = made.await?;
    wake(service, &cluster);
    Ok(reply(request, &made, "available"))
}

fn check_room(
    view: &dyn ConfigurationView,
    arn: &EndpointArn,
    cluster: &Cluster,
) -> Result<(), DatabasesError> {
    if catalogue::endpoint_named(view, arn)?.is_some() {
        return Err(DatabasesError::refused(
            Refusal::DbClusterEndpointAlreadyExists,
            format!("DB cluster endpoint {} already exists.", arn.identifier),
        ));
    }
    if catalogue::endpoints_of(view, cluster)?.len() >= MAX_CLUSTER_ENDPOINTS {
        return Err(DatabasesError::refused(
            Refusal::DbClusterEndpointQuotaExceeded,
            format!("Quota exceeded: {MAX_CLUSTER_ENDPOINTS} custom endpoints of a DB cluster"),
        ));
    }
    Ok(())
}

/// Has keepers listen where it says, or not any more.
fn wake(service: &Service, cluster: &Cluster) {
    for id in cluster.instances() {
        service.look_at(id);
    }
}

/// The endpoint that a request names by `DBClusterEndpointIdentifier`.
fn named(
    view: &dyn ConfigurationView,
    request: &DatabasesRequest<'_>,
) -> Result<Row<ClusterEndpoint>, DatabasesError> {
    let name = request.required("DBClusterEndpointIdentifier")?;
    let found = match arn_of(request, name) {
        Some(arn) => catalogue::endpoint_named(view, &arn)?,
        None => None,
    };
    found.ok_or_else(|| no_endpoint(name))
}

/// What that names, by a name of its own or by its ARN; `None`: nothing that could be here.
fn arn_of(request: &DatabasesRequest<'_>, name: &str) -> Option<EndpointArn> {
    match names::instance("DBClusterEndpointIdentifier", name) {
        Ok(identifier) => Some(EndpointArn {
            region: request.region(),
            account: request.account(),
            identifier,
        }),
        Err(_) => name
            .parse::<EndpointArn>()
            .ok()
            .filter(|arn| arn.account == request.account() && arn.region == request.region()),
    }
}

/// What is said if there is no such custom endpoint.
pub(super) fn no_endpoint(name: &str) -> DatabasesError {
    let text = format!("DBClusterEndpoint {} not found.", shown(name));
    DatabasesError::refused(Refusal::DbClusterEndpointNotFound, text)
}

/// `ModifyDBClusterEndpoint`: sessions that are open stay where they are.
pub(crate) async fn modify(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let kind = kind(request)?;
    let made = service.change(|view: &dyn ConfigurationView| {
        let (revision, held) = named(view, request)?;
        let (_, cluster) = catalogue::cluster(view, &held.cluster)?
            .ok_or_else(|| common::no_cluster(&held.cluster_arn.identifier))?;
        let mut changed = held.clone();
        changed.kind = kind.unwrap_or(held.kind);
        if let Some(listed) = lists(request, view, &cluster)? {
            (changed.static_members, changed.excluded_members) = listed;
        }
        let edit = catalogue::replace(keys::endpoint(&held.arn), revision, &changed);
        let edits = (changed != held).then_some(edit);
        Ok((edits.into_iter().collect(), changed))
    });
    let changed = made.await?;
    Ok(reply(request, &changed, "available"))
}

/// `DeleteDBClusterEndpoint`: its sessions end.
pub(crate) async fn delete(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let made = service.change(|view: &dyn ConfigurationView| {
        let row = named(view, request)?;
        Ok((catalogue::remove_endpoint(&row), row.1))
    });
    let gone = made.await?;
    if let Some((_, cluster)) = catalogue::cluster(&*service.view(), &gone.cluster)? {
        wake(service, &cluster);
    }
    Ok(reply(request, &gone, "deleting"))
}

/// The edits that remove a cluster's custom endpoints with it.
pub(super) fn removed_with(
    view: &dyn ConfigurationView,
    cluster: &Cluster,
) -> Result<Vec<ConfigurationEdit>, DatabasesError> {
    let all = catalogue::endpoints_of(view, cluster)?;
    Ok(all.iter().flat_map(catalogue::remove_endpoint).collect())
}

/// `DescribeDBClusterEndpoints`: all, also clusters' own; or a cluster's, or one by its name.
pub(crate) async fn describe(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    let known = [
        "db-cluster-endpoint-type",
        "db-cluster-endpoint-custom-type",
        "db-cluster-endpoint-id",
        "db-cluster-endpoint-status",
    ];
    let filters = Filters::of(request, &known)?;
    let paging = Paging::of(request)?;
    let view = service.view();
    let of_cluster = match request.text("DBClusterIdentifier") {
        Some(_) => Some(clusters::named(&*view, request)?.1.resource_id),
        None => None,
    };
    let mut rows = Vec::new();
    for (_, cluster) in catalogue::clusters(&*view)? {
        let is_asked = of_cluster
            .as_ref()
            .is_none_or(|id| *id == cluster.resource_id);
        if is_asked && cluster.arn.account == request.account() {
            rows.extend(of(service, &*view, cluster)?);
        }
    }
    // The operation has no error for one that isn't there: Terraform's provider takes an empty list
    // for it.
    if let Some(name) = request.text("DBClusterEndpointIdentifier") {
        let asked = arn_of(request, name);
        rows.retain(|row| matches!(row, Shown::Custom(held) if asked.as_ref() == Some(&held.arn)));
    }
    rows.retain(|row| {
        let (kind, custom, id) = row.facts();
        filters.pass(&[
            ("db-cluster-endpoint-type", kind),
            ("db-cluster-endpoint-custom-type", custom),
            ("db-cluster-endpoint-id", id),
            ("db-cluster-endpoint-status", row.status()),
        ])
    });
    let keyed = rows.into_iter().map(|row| (row.key(), row));
    let mut reply = request.reply();
    let list = ("DBClusterEndpoints", "DBClusterEndpointList");
    paging.write(
        reply.writer(),
        list,
        keyed.collect(),
        |writer, row| match &row {
            Shown::Custom(held) => write(writer, held, row.status()),
            Shown::Own(cluster, kind, address, _) => {
                writer
                    .value("DBClusterIdentifier", &cluster.identifier)
                    .value("Endpoint", address)
                    .value("Status", row.status())
                    .value("EndpointType", kind);
            }
        },
    );
    Ok(reply)
}

/// The endpoints of a cluster: its own two, and its custom ones.
fn of(
    service: &Service,
    view: &dyn ConfigurationView,
    cluster: Cluster,
) -> Result<Vec<Shown>, DatabasesError> {
    let global = service.global_view();
    let found = catalogue::global_of(&*global, &cluster.arn, &cluster.resource_id)?;
    let is_secondary = found.is_some_and(|(_, row)| row.writer.as_ref() != Some(&cluster.arn));
    let custom = catalogue::endpoints_of(view, &cluster)?;
    let own = [
        Shown::Own(
            cluster.arn.clone(),
            "WRITER",
            cluster.writer_address,
            is_secondary,
        ),
        Shown::Own(cluster.arn.clone(), "READER", cluster.reader_address, false),
    ];
    let custom = custom
        .into_iter()
        .map(|(_, held)| Shown::Custom(Box::new(held)));
    Ok(own.into_iter().chain(custom).collect())
}

impl Shown {
    /// Its type, its custom type and its name, as filters have them.
    fn facts(&self) -> (&str, &str, &str) {
        match self {
            Shown::Custom(held) => ("custom", held.kind.name(), &held.arn.identifier),
            Shown::Own(_, kind, ..) => (kind, "", ""),
        }
    }

    fn status(&self) -> &'static str {
        match self {
            Shown::Own(.., true) => "inactive",
            _ => "available",
        }
    }

    fn key(&self) -> String {
        let cluster = match self {
            Shown::Custom(held) => &held.cluster_arn,
            Shown::Own(cluster, ..) => cluster,
        };
        let (kind, _, id) = self.facts();
        format!("{}/{kind}/{id}", cluster.identifier)
    }
}

fn reply(request: &DatabasesRequest<'_>, endpoint: &ClusterEndpoint, status: &str) -> Reply {
    let mut reply = request.reply();
    write(reply.writer(), endpoint, status);
    reply
}

/// Writes a `DBClusterEndpoint`'s members.
fn write(writer: &mut XmlWriter, endpoint: &ClusterEndpoint, status: &str) {
    writer
        .value("DBClusterEndpointIdentifier", &endpoint.arn.identifier)
        .value("DBClusterIdentifier", &endpoint.cluster_arn.identifier)
        .value("DBClusterEndpointResourceIdentifier", &endpoint.resource_id)
        .value("Endpoint", endpoint.address)
        .value("Status", status)
        .value("EndpointType", "CUSTOM")
        .value("CustomEndpointType", endpoint.kind);
    crate::shapes::texts(writer, "StaticMembers", "member", &endpoint.static_members);
    let excluded = &endpoint.excluded_members;
    crate::shapes::texts(writer, "ExcludedMembers", "member", excluded);
    writer.value("DBClusterEndpointArn", &endpoint.arn);
}
