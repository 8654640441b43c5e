//! DescribeNetworkInterfaces, DescribeInstances and DescribeAddresses: what other services and
//! the application have here. EC2's own instances and addresses can't be made.

use types::network::{default_subnet, default_vpc};

use crate::described::{Described, Members, Node, Tags, text};
use crate::error::Ec2Error;
use crate::request::{Ec2Request, Kind};
use crate::surroundings::{Instance, Interface};

const INTERFACES: Kind = Kind {
    ids: "NetworkInterfaceId",
    prefix: "eni",
    codes: [
        "InvalidNetworkInterfaceId.Malformed",
        "InvalidNetworkInterfaceID.NotFound",
    ],
    name: "networkInterface ID",
    filters: &[
        "addresses.private-ip-address",
        "attachment.instance-id",
        "attachment.status",
        "availability-zone",
        "description",
        "group-id",
        "interface-type",
        "network-interface-id",
        "owner-id",
        "private-ip-address",
        "requester-id",
        "requester-managed",
        "status",
        "subnet-id",
        "vpc-id",
    ],
    list: "networkInterfaceSet",
};

/// The network interfaces of load balancers' nodes.
pub(crate) async fn interfaces(request: &Ec2Request<'_>) -> Result<Members, Ec2Error> {
    request.authorize(&["*".to_owned()])?;
    let mut all = request.service.config.surroundings.interfaces();
    all.sort_by(|one, other| one.id.cmp(&other.id));
    let names = request.settings().groups()?;
    let name_of = |id: &str| {
        let named = names.iter().find(|group| group.id == id);
        named.map_or(String::new(), |group| group.name.clone())
    };
    let described = all
        .into_iter()
        .map(|interface| describe(request, interface, &name_of));
    request.choose(&INTERFACES, described.collect())
}

fn describe(
    request: &Ec2Request<'_>,
    interface: Interface,
    name_of: &dyn Fn(&str) -> String,
) -> Described {
    let Interface {
        id,
        description,
        zone,
        address,
        groups,
        kind,
    } = interface;
    let group = |id: &String| {
        Node::Members(vec![
            ("groupId", text(id)),
            ("groupName", text(name_of(id))),
        ])
    };
    let listed: Vec<Node> = groups.iter().map(group).collect();
    let private = Node::Members(vec![
        ("privateIpAddress", text(address)),
        ("primary", text(true)),
    ]);
    let attachment = vec![
        ("status", text("attached")),
        ("instanceOwnerId", text("amazon-elb")),
        ("deleteOnTermination", text(false)),
    ];
    Described::new(&id, Tags::new())
        .filtered("networkInterfaceId", "network-interface-id", &id)
        .filtered("subnetId", "subnet-id", default_subnet(zone))
        .filtered("vpcId", "vpc-id", default_vpc(zone.region))
        .filtered("availabilityZone", "availability-zone", zone)
        .filtered("description", "description", description)
        .filtered("ownerId", "owner-id", request.caller.account())
        .filtered("requesterId", "requester-id", "amazon-elb")
        .filtered("requesterManaged", "requester-managed", true)
        .filtered("status", "status", "in-use")
        .filtered("privateIpAddress", "private-ip-address", address)
        .attribute("addresses.private-ip-address", vec![address.to_string()])
        .with("sourceDestCheck", true)
        .with("groupSet", listed)
        .attribute("group-id", groups)
        .with("attachment", attachment)
        .attribute("attachment.status", vec!["attached".to_owned()])
        .with("privateIpAddressesSet", vec![private])
        .filtered("interfaceType", "interface-type", kind)
        .tagged()
}

const INSTANCES: Kind = Kind {
    ids: "InstanceId",
    prefix: "i",
    codes: ["InvalidInstanceID.Malformed", "InvalidInstanceID.NotFound"],
    name: "instance ID",
    filters: &[
        "availability-zone",
        "instance-id",
        "instance-state-name",
        "ip-address",
        "owner-id",
        "private-ip-address",
        "subnet-id",
        "vpc-id",
    ],
    list: "instancesSet",
};

/// The application's instances: each is a reservation of its own.
pub(crate) async fn instances(request: &Ec2Request<'_>) -> Result<Members, Ec2Error> {
    request.authorize(&["*".to_owned()])?;
    let mut all = request.service.config.surroundings.instances();
    all.sort_by(|one, other| one.id.cmp(&other.id));
    let account = request.caller.account();
    let described = all.into_iter().map(|instance| {
        let Instance {
            id,
            zone,
            address,
            runs,
        } = instance;
        // The codes of InstanceState (EC2 API Reference).
        let (code, state) = if runs {
            (16, "running")
        } else {
            (80, "stopped")
        };
        let placed = vec![
            ("availabilityZone", text(zone)),
            ("tenancy", text("default")),
        ];
        Described::new(&id, Tags::new())
            .filtered("instanceId", "instance-id", &id)
            .with(
                "instanceState",
                vec![("code", text(code)), ("name", text(state))],
            )
            .attribute("instance-state-name", vec![state.to_owned()])
            .attribute("owner-id", vec![account.to_string()])
            .with("placement", placed)
            .attribute("availability-zone", vec![zone.to_string()])
            .filtered("subnetId", "subnet-id", default_subnet(zone))
            .filtered("vpcId", "vpc-id", default_vpc(zone.region))
            .filtered("privateIpAddress", "private-ip-address", address)
            .filtered("ipAddress", "ip-address", address)
            .tagged()
    });
    let mut answer = request.choose(&INSTANCES, described.collect())?;
    if let Some((name, Node::Items(instances))) = answer.first_mut() {
        *name = "reservationSet";
        for instance in instances {
            let alone = Node::Items(vec![instance.clone()]);
            let id = match &*instance {
                Node::Members(members) => members.first().cloned(),
                _ => None,
            };
            let id = match id {
                Some((_, Node::Text(id))) => id.replacen('i', "r", 1),
                _ => String::new(),
            };
            *instance = Node::Members(vec![
                ("reservationId", text(id)),
                ("ownerId", text(account)),
                ("groupSet", Node::Items(Vec::new())),
                ("instancesSet", alone),
            ]);
        }
    }
    Ok(answer)
}

const ADDRESSES: Kind = Kind {
    ids: "AllocationId",
    prefix: "eipalloc",
    codes: [
        "InvalidAllocationID.Malformed",
        "InvalidAllocationID.NotFound",
    ],
    name: "allocation ID",
    filters: &[
        "allocation-id",
        "association-id",
        "domain",
        "instance-id",
        "network-interface-id",
        "private-ip-address",
        "public-ip",
    ],
    list: "addressesSet",
};

/// Elastic IP addresses: none can be allocated.
pub(crate) async fn addresses(request: &Ec2Request<'_>) -> Result<Members, Ec2Error> {
    request.authorize(&["*".to_owned()])?;
    if let Some(address) = request.members.numbered("PublicIp")?.first() {
        return Err(Ec2Error::NotFound {
            code: "InvalidAddress.NotFound",
            kind: "address",
            id: crate::filter::shown(address),
        });
    }
    request.choose(&ADDRESSES, Vec::new())
}
