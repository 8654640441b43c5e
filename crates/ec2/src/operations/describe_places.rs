//! DescribeRegions, DescribeAvailabilityZones and DescribeAccountAttributes: where things can be.

use types::network::default_vpc;
use types::{AvailabilityZone, Region};

use crate::described::{Described, Members, Node, Tags, text};
use crate::error::Ec2Error;
use crate::filter::{filters, passes, shown};
use crate::request::Ec2Request;

const REGION_FILTERS: &[&str] = &["endpoint", "opt-in-status", "region-name"];

/// The Regions of the deployment; with `AllRegions` all that there are.
pub(crate) async fn regions(request: &Ec2Request<'_>) -> Result<Members, Ec2Error> {
    request.authorize(&["*".to_owned()])?;
    let every = request.flag("AllRegions")? == Some(true);
    let names = request.members.numbered("RegionName")?;
    for name in &names {
        if name.parse::<Region>().is_err() {
            return Err(Ec2Error::NotFound {
                code: "InvalidParameterValue",
                kind: "region",
                id: shown(name),
            });
        }
    }
    let filters = filters(&request.members, REGION_FILTERS)?;
    let here: Vec<Region> = request
        .service
        .config
        .deployment
        .regions()
        .map(|(_, region)| region)
        .collect();
    let described = Region::all().map(|region| {
        let is_here = here.contains(&region);
        let status = if is_here {
            "opt-in-not-required"
        } else {
            "not-opted-in"
        };
        let described = Described::new(region.name(), Tags::new())
            .filtered("regionName", "region-name", region)
            .filtered(
                "regionEndpoint",
                "endpoint",
                format!("ec2.{region}.amazonaws.com"),
            )
            .filtered("optInStatus", "opt-in-status", status);
        (is_here, described)
    });
    let chosen = described
        .filter(|(is_here, region)| match names.is_empty() {
            true => every || *is_here,
            false => names.contains(&region.id.as_str()),
        })
        .filter(|(_, region)| passes(&filters, region))
        .map(|(_, region)| Node::Members(region.members));
    Ok(vec![("regionInfo", Node::Items(chosen.collect()))])
}

const ZONE_FILTERS: &[&str] = &[
    "group-name",
    "message",
    "opt-in-status",
    "parent-zone-id",
    "parent-zone-name",
    "region-name",
    "state",
    "zone-id",
    "zone-name",
    "zone-type",
];

/// The zones of this Region.
pub(crate) async fn zones(request: &Ec2Request<'_>) -> Result<Members, Ec2Error> {
    request.authorize(&["*".to_owned()])?;
    let region = request.service.config.region;
    let names = request.members.numbered("ZoneName")?;
    let ids = request.members.numbered("ZoneId")?;
    let filters = filters(&request.members, ZONE_FILTERS)?;
    let zones: Vec<AvailabilityZone> = AvailabilityZone::of(region).collect();
    let unknown = |given: &&str| !zones.iter().any(|zone| zone.to_string() == **given);
    if let Some(name) = names.iter().copied().find(unknown) {
        let words = format!("Invalid availability zone: [{}]", shown(name));
        return Err(Ec2Error::Invalid(words));
    }
    let unknown = |given: &&str| !zones.iter().any(|zone| zone.id() == **given);
    if let Some(id) = ids.iter().copied().find(unknown) {
        let words = format!("Invalid availability zone-id: [{}]", shown(id));
        return Err(Ec2Error::Invalid(words));
    }
    let chosen = zones.into_iter().filter(|zone| {
        (names.is_empty() || names.contains(&zone.to_string().as_str()))
            && (ids.is_empty() || ids.contains(&zone.id().as_str()))
    });
    let described = chosen.map(|zone| {
        Described::new(zone.to_string(), Tags::new())
            .filtered("optInStatus", "opt-in-status", "opt-in-not-required")
            .with("messageSet", Vec::<Node>::new())
            .filtered("regionName", "region-name", region)
            .filtered("zoneName", "zone-name", zone)
            .filtered("zoneId", "zone-id", zone.id())
            .filtered("groupName", "group-name", format!("{region}-zg-1"))
            .with("networkBorderGroup", region.name())
            .filtered("zoneType", "zone-type", "availability-zone")
            .filtered("zoneState", "state", "available")
    });
    let chosen = described
        .filter(|zone| passes(&filters, zone))
        .map(|zone| Node::Members(zone.members));
    Ok(vec![(
        "availabilityZoneInfo",
        Node::Items(chosen.collect()),
    )])
}

/// What the account can have (EC2 API Reference, "DescribeAccountAttributes").
pub(crate) async fn account(request: &Ec2Request<'_>) -> Result<Members, Ec2Error> {
    request.authorize(&["*".to_owned()])?;
    let region = request.service.config.region;
    let attributes = [
        ("supported-platforms", "VPC".to_owned()),
        ("default-vpc", default_vpc(region)),
        ("max-instances", "20".to_owned()),
        ("vpc-max-security-groups-per-interface", "5".to_owned()),
        ("max-elastic-ips", "5".to_owned()),
        ("vpc-max-elastic-ips", "5".to_owned()),
    ];
    let names = request.members.numbered("AttributeName")?;
    for name in &names {
        if !attributes.iter().any(|(known, _)| known == name) {
            let words = format!("Unknown account attribute: {}", shown(name));
            return Err(Ec2Error::Invalid(words));
        }
    }
    let chosen = attributes
        .iter()
        .filter(|(name, _)| names.is_empty() || names.contains(name));
    let items = chosen.map(|(name, value)| {
        let value = Node::Members(vec![("attributeValue", text(value))]);
        Node::Members(vec![
            ("attributeName", text(name)),
            ("attributeValueSet", Node::Items(vec![value])),
        ])
    });
    Ok(vec![("accountAttributeSet", Node::Items(items.collect()))])
}
