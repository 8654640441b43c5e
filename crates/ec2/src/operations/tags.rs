//! CreateTags, DeleteTags and DescribeTags: of security groups, of their rules, and of what is
//! always there.

use std::collections::BTreeSet;

use types::network::{default_subnet, default_vpc};
use types::{AvailabilityZone, ConfigurationEdit};

use crate::described::{Described, Members, Node, Tags};
use crate::error::Ec2Error;
use crate::filter::{filters, passes, shown};
use crate::limits;
use crate::model::Group;
use crate::network;
use crate::request::{Ec2Request, check_count, done, read_tags};
use crate::settings::Settings;

/// A resource that can have tags, by its id.
#[derive(Clone, PartialEq, Eq, Debug)]
enum Tagged {
    Group(String),
    /// A rule and its group.
    Rule {
        group: String,
        rule: String,
    },
    /// One that is always there, with its kind.
    Fixed(&'static str, String),
}

impl Tagged {
    fn find(settings: &Settings<'_>, groups: &[Group], id: &str) -> Result<Tagged, Ec2Error> {
        if let Some((kind, _)) = fixed(settings).into_iter().find(|(_, known)| known == id) {
            return Ok(Tagged::Fixed(kind, id.to_owned()));
        }
        for group in groups {
            if group.id == id {
                return Ok(Tagged::Group(group.id.clone()));
            }
            if group.rules.iter().any(|rule| rule.id == id) {
                return Ok(Tagged::Rule {
                    group: group.id.clone(),
                    rule: id.to_owned(),
                });
            }
        }
        Err(Ec2Error::NotFound {
            code: "InvalidID",
            kind: "ID",
            id: shown(id),
        })
    }

    fn arn_part(&self) -> String {
        match self {
            Tagged::Group(id) => format!("security-group/{id}"),
            Tagged::Rule { rule, .. } => format!("security-group-rule/{rule}"),
            Tagged::Fixed(kind, id) => format!("{kind}/{id}"),
        }
    }

    /// The change that has its tags changed so.
    fn change(
        &self,
        settings: &Settings<'_>,
        change: &dyn Fn(&mut Tags),
    ) -> Result<ConfigurationEdit, Ec2Error> {
        match self {
            Tagged::Fixed(_, id) => {
                let (expected, mut tags) = settings.tags(id)?;
                change(&mut tags);
                check_count(&tags)?;
                Ok(settings.put_tags(expected, id, &tags))
            }
            Tagged::Group(id) => {
                let (expected, mut group) = settings.group(id)?;
                change(&mut group.tags);
                check_count(&group.tags)?;
                Ok(settings.put(expected, &group))
            }
            Tagged::Rule { group, rule } => {
                let (expected, mut group) = settings.group(group)?;
                let found = group.rules.iter_mut().find(|other| other.id == *rule);
                let found = found.ok_or(Ec2Error::NoSuchRule)?;
                change(&mut found.tags);
                check_count(&found.tags)?;
                Ok(settings.put(expected, &group))
            }
        }
    }
}

/// What is always there: kinds and ids.
fn fixed(settings: &Settings<'_>) -> Vec<(&'static str, String)> {
    let mut fixed = vec![
        ("vpc", default_vpc(settings.region)),
        ("internet-gateway", network::gateway_id(settings)),
        ("route-table", network::route_table_id(settings)),
        ("network-acl", network::acl_id(settings)),
    ];
    let zones = AvailabilityZone::of(settings.region);
    fixed.extend(zones.map(|zone| ("subnet", default_subnet(zone))));
    fixed
}

fn resources(request: &Ec2Request<'_>) -> Result<Vec<Tagged>, Ec2Error> {
    let settings = request.settings();
    let ids = request.members.numbered("ResourceId")?;
    if ids.is_empty() {
        return Err(Ec2Error::Missing("resourceIdSet"));
    }
    if ids.len() > limits::IDS {
        let words = format!("At most {} ids may be given", limits::IDS);
        return Err(Ec2Error::Invalid(words));
    }
    // Read once, however many are named: whether the caller may is known only afterwards.
    let groups = settings.groups()?;
    let ids: BTreeSet<&str> = ids.into_iter().collect();
    let found = ids
        .into_iter()
        .map(|id| Tagged::find(&settings, &groups, id));
    let found: Vec<Tagged> = found.collect::<Result<_, _>>()?;
    let arns: Vec<String> = found
        .iter()
        .map(|resource| request.arn(&resource.arn_part()))
        .collect();
    request.authorize(&arns)?;
    Ok(found)
}

/// Gives resources tags; those of the same keys are replaced. A resource after the other: AWS
/// says no more of several.
pub(crate) async fn create(request: &Ec2Request<'_>) -> Result<Members, Ec2Error> {
    let resources = resources(request)?;
    let given = read_tags(&request.members)?;
    if given.is_empty() {
        return Err(Ec2Error::Missing("tagSet"));
    }
    let add = |tags: &mut Tags| tags.extend(given.clone());
    apply(request, &resources, &add).await
}

/// Takes tags from resources: those of the keys named, if a value is named of that value alone;
/// without any, all.
pub(crate) async fn delete(request: &Ec2Request<'_>) -> Result<Members, Ec2Error> {
    let resources = resources(request)?;
    let mut wanted = Vec::new();
    for tag in request.members.numbered_structures("Tag")? {
        let key = tag.value("Key").ok_or(Ec2Error::Missing("Tag.Key"))?;
        wanted.push((key.to_owned(), tag.value("Value").map(str::to_owned)));
    }
    let remove = |tags: &mut Tags| {
        if wanted.is_empty() {
            tags.clear();
        }
        for (key, value) in &wanted {
            let is_it = tags
                .get(key)
                .is_some_and(|there| value.as_ref().is_none_or(|value| value == there));
            if is_it {
                tags.remove(key);
            }
        }
    };
    apply(request, &resources, &remove).await
}

async fn apply(
    request: &Ec2Request<'_>,
    resources: &[Tagged],
    change: &(dyn Fn(&mut Tags) + Sync),
) -> Result<Members, Ec2Error> {
    let (caller, service) = (request.caller, request.service);
    let region = service.config.region;
    for resource in resources {
        service
            .change(|view| {
                let settings = Settings::of(view, caller, region);
                Ok((vec![resource.change(&settings, change)?], ()))
            })
            .await?;
    }
    Ok(done())
}

const FILTERS: &[&str] = &["key", "resource-id", "resource-type", "value"];

/// All tags.
pub(crate) async fn describe(request: &Ec2Request<'_>) -> Result<Members, Ec2Error> {
    request.authorize(&["*".to_owned()])?;
    let settings = request.settings();
    let filters = filters(&request.members, FILTERS)?;
    let mut rows: Vec<(&'static str, String, Tags)> = Vec::new();
    for (kind, id) in fixed(&settings) {
        let (_, tags) = settings.tags(&id)?;
        rows.push((kind, id, tags));
    }
    for group in settings.groups()? {
        for rule in group.rules {
            rows.push(("security-group-rule", rule.id, rule.tags));
        }
        rows.push(("security-group", group.id, group.tags));
    }
    let described = rows.into_iter().flat_map(|(kind, id, tags)| {
        let row = move |(key, value): (String, String)| {
            Described::new(format!("{id} {key}"), Tags::new())
                .filtered("resourceId", "resource-id", &id)
                .filtered("resourceType", "resource-type", kind)
                .filtered("key", "key", &key)
                .filtered("value", "value", value)
        };
        tags.into_iter().map(row)
    });
    let chosen = described.filter(|row| passes(&filters, row));
    let items = chosen.map(|row| Node::Members(row.members));
    Ok(vec![("tagSet", Node::Items(items.collect()))])
}
