//! The default network as it is described: a VPC, its subnets, internet gateway, route table and
//! network ACL. All of it follows from the Region; only tags are kept.

use types::AvailabilityZone;
use types::network::{DEFAULT_VPC_BLOCK, default_subnet, default_subnet_block, default_vpc};

use crate::described::{Described, Node, text};
use crate::error::Ec2Error;
use crate::settings::Settings;

/// Addresses of a /20 less the five that AWS keeps (Amazon VPC User Guide, "Subnet CIDR blocks").
const FREE_ADDRESSES: u32 = 4_091;

/// The id of something of the default network, of which there is one: its digits are the VPC's.
fn sibling(settings: &Settings<'_>, prefix: &str) -> String {
    let vpc = default_vpc(settings.region);
    format!("{prefix}{}", vpc.trim_start_matches("vpc"))
}

/// The id of the internet gateway.
pub(crate) fn gateway_id(settings: &Settings<'_>) -> String {
    sibling(settings, "igw")
}

/// The id of the main route table.
pub(crate) fn route_table_id(settings: &Settings<'_>) -> String {
    sibling(settings, "rtb")
}

/// The id of the network ACL.
pub(crate) fn acl_id(settings: &Settings<'_>) -> String {
    sibling(settings, "acl")
}

/// What filters of VPCs may be named.
pub(crate) const VPC_FILTERS: &[&str] = &[
    "vpc-id",
    "cidr",
    "cidr-block-association.cidr-block",
    "cidr-block-association.state",
    "is-default",
    "isDefault",
    "owner-id",
    "state",
    "dhcp-options-id",
];

/// The VPC.
pub(crate) fn vpc(settings: &Settings<'_>) -> Result<Described, Ec2Error> {
    let id = default_vpc(settings.region);
    let (_, tags) = settings.tags(&id)?;
    let state = vec![("state", text("associated"))];
    let association = vec![
        ("associationId", text(sibling(settings, "vpc-cidr-assoc"))),
        ("cidrBlock", text(DEFAULT_VPC_BLOCK)),
        ("cidrBlockState", state.into()),
    ];
    Ok(Described::new(&id, tags)
        .filtered("vpcId", "vpc-id", &id)
        .filtered("ownerId", "owner-id", settings.account)
        .filtered("state", "state", "available")
        .filtered("cidrBlock", "cidr", DEFAULT_VPC_BLOCK)
        .with("cidrBlockAssociationSet", vec![Node::Members(association)])
        .attribute(
            "cidr-block-association.cidr-block",
            vec![DEFAULT_VPC_BLOCK.to_owned()],
        )
        .attribute(
            "cidr-block-association.state",
            vec!["associated".to_owned()],
        )
        .filtered(
            "dhcpOptionsId",
            "dhcp-options-id",
            sibling(settings, "dopt"),
        )
        .with("instanceTenancy", "default")
        .filtered("isDefault", "is-default", true)
        .attribute("isDefault", vec!["true".to_owned()])
        .tagged())
}

/// What filters of subnets may be named.
pub(crate) const SUBNET_FILTERS: &[&str] = &[
    "availability-zone",
    "availabilityZone",
    "availability-zone-id",
    "availabilityZoneId",
    "available-ip-address-count",
    "cidr-block",
    "cidr",
    "cidrBlock",
    "default-for-az",
    "defaultForAz",
    "map-public-ip-on-launch",
    "owner-id",
    "state",
    "subnet-arn",
    "subnet-id",
    "vpc-id",
];

/// The subnets, one in each zone.
pub(crate) fn subnets(settings: &Settings<'_>) -> Result<Vec<Described>, Ec2Error> {
    AvailabilityZone::of(settings.region)
        .map(|zone| subnet(settings, zone))
        .collect()
}

fn subnet(settings: &Settings<'_>, zone: AvailabilityZone) -> Result<Described, Ec2Error> {
    let (id, block) = (default_subnet(zone), default_subnet_block(zone));
    let (_, tags) = settings.tags(&id)?;
    let (region, account) = (settings.region, settings.account);
    let arn = format!("arn:aws:ec2:{region}:{account}:subnet/{id}");
    Ok(Described::new(&id, tags)
        .filtered("subnetId", "subnet-id", &id)
        .filtered("subnetArn", "subnet-arn", arn)
        .filtered("state", "state", "available")
        .filtered("vpcId", "vpc-id", default_vpc(region))
        .filtered("ownerId", "owner-id", account)
        .filtered("cidrBlock", "cidr-block", &block)
        .attribute("cidr", vec![block.clone()])
        .attribute("cidrBlock", vec![block])
        .filtered(
            "availableIpAddressCount",
            "available-ip-address-count",
            FREE_ADDRESSES,
        )
        .filtered("availabilityZone", "availability-zone", zone)
        .attribute("availabilityZone", vec![zone.to_string()])
        .filtered("availabilityZoneId", "availability-zone-id", zone.id())
        .attribute("availabilityZoneId", vec![zone.id()])
        .filtered("defaultForAz", "default-for-az", true)
        .attribute("defaultForAz", vec!["true".to_owned()])
        .filtered("mapPublicIpOnLaunch", "map-public-ip-on-launch", true)
        .with("assignIpv6AddressOnCreation", false)
        .with("ipv6Native", false)
        .with("enableDns64", false)
        .tagged())
}

/// What filters of internet gateways may be named.
pub(crate) const GATEWAY_FILTERS: &[&str] = &[
    "attachment.state",
    "attachment.vpc-id",
    "internet-gateway-id",
    "owner-id",
];

/// The internet gateway.
pub(crate) fn gateway(settings: &Settings<'_>) -> Result<Described, Ec2Error> {
    let (id, vpc) = (gateway_id(settings), default_vpc(settings.region));
    let (_, tags) = settings.tags(&id)?;
    let attachment = vec![("state", text("available")), ("vpcId", text(&vpc))];
    Ok(Described::new(&id, tags)
        .filtered("internetGatewayId", "internet-gateway-id", &id)
        .filtered("ownerId", "owner-id", settings.account)
        .with("attachmentSet", vec![Node::Members(attachment)])
        .attribute("attachment.state", vec!["available".to_owned()])
        .attribute("attachment.vpc-id", vec![vpc])
        .tagged())
}

/// What filters of route tables may be named.
pub(crate) const ROUTE_TABLE_FILTERS: &[&str] = &[
    "association.main",
    "association.route-table-association-id",
    "association.subnet-id",
    "owner-id",
    "route-table-id",
    "vpc-id",
];

/// The main route table.
pub(crate) fn route_table(settings: &Settings<'_>) -> Result<Described, Ec2Error> {
    let (id, vpc) = (route_table_id(settings), default_vpc(settings.region));
    let (_, tags) = settings.tags(&id)?;
    let association_id = sibling(settings, "rtbassoc");
    let state = vec![("state", text("associated"))];
    let association = vec![
        ("routeTableAssociationId", text(&association_id)),
        ("routeTableId", text(&id)),
        ("main", text(true)),
        ("associationState", state.into()),
    ];
    let route = |block: &str, gateway: &str, origin: &str| {
        Node::Members(vec![
            ("destinationCidrBlock", text(block)),
            ("gatewayId", text(gateway)),
            ("state", text("active")),
            ("origin", text(origin)),
        ])
    };
    let routes = vec![
        route(DEFAULT_VPC_BLOCK, "local", "CreateRouteTable"),
        route("0.0.0.0/0", &gateway_id(settings), "CreateRoute"),
    ];
    Ok(Described::new(&id, tags)
        .filtered("routeTableId", "route-table-id", &id)
        .filtered("vpcId", "vpc-id", vpc)
        .filtered("ownerId", "owner-id", settings.account)
        .with("routeSet", routes)
        .with("associationSet", vec![Node::Members(association)])
        .attribute("association.main", vec!["true".to_owned()])
        .attribute(
            "association.route-table-association-id",
            vec![association_id],
        )
        .with("propagatingVgwSet", Vec::<Node>::new())
        .tagged())
}

/// What filters of network ACLs may be named.
pub(crate) const ACL_FILTERS: &[&str] = &[
    "association.subnet-id",
    "default",
    "network-acl-id",
    "owner-id",
    "vpc-id",
];

/// The network ACL: it lets everything through.
pub(crate) fn acl(settings: &Settings<'_>) -> Result<Described, Ec2Error> {
    let (id, vpc) = (acl_id(settings), default_vpc(settings.region));
    let (_, tags) = settings.tags(&id)?;
    let entry = |egress: bool, number: u32, action: &str| {
        Node::Members(vec![
            ("ruleNumber", text(number)),
            ("protocol", text("-1")),
            ("ruleAction", text(action)),
            ("egress", text(egress)),
            ("cidrBlock", text("0.0.0.0/0")),
        ])
    };
    let both = [true, false].into_iter();
    let entries = both.flat_map(|way| [entry(way, 100, "allow"), entry(way, 32_767, "deny")]);
    let subnets: Vec<String> = AvailabilityZone::of(settings.region)
        .map(default_subnet)
        .collect();
    let association = |subnet: &String| {
        let digits = subnet.trim_start_matches("subnet");
        Node::Members(vec![
            ("networkAclAssociationId", text(format!("aclassoc{digits}"))),
            ("networkAclId", text(&id)),
            ("subnetId", text(subnet)),
        ])
    };
    let associations: Vec<Node> = subnets.iter().map(association).collect();
    Ok(Described::new(&id, tags)
        .filtered("networkAclId", "network-acl-id", &id)
        .filtered("vpcId", "vpc-id", vpc)
        .filtered("ownerId", "owner-id", settings.account)
        .filtered("default", "default", true)
        .with("entrySet", entries.collect::<Vec<Node>>())
        .with("associationSet", associations)
        .attribute("association.subnet-id", subnets)
        .tagged())
}
