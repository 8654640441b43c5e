//! What a request says of rules: `IpPermissions`, or one rule by the request's own parameters.
//! Read and written here; whether a group has them is asked elsewhere.

use std::collections::BTreeMap;

use aws::query::Members as Form;

use crate::described::{Described, Members, Node, text};
use crate::error::Ec2Error;
use crate::filter::shown;
use crate::limits;
use crate::model::{Group, Peer, Rule, What, block_v4, block_v6, protocol};
use crate::request::Ec2Request;
use crate::settings::Settings;

/// What is to be let through, and what for.
pub(crate) type Wanted = (What, Option<String>);

/// The rules that a request names.
///
/// # Errors
///
/// It names none, or one that can't be.
pub(crate) fn read(request: &Ec2Request<'_>) -> Result<Vec<Wanted>, Ec2Error> {
    let groups = request.settings().groups()?;
    let members = &request.members;
    let permissions = members.numbered_structures("IpPermissions")?;
    let mut wanted = Vec::new();
    for permission in &permissions {
        let before = wanted.len();
        read_permission(permission, &groups, &mut wanted)?;
        if wanted.len() == before {
            let words = "A security group rule must have at least one peer";
            return Err(Ec2Error::Invalid(words.to_owned()));
        }
        if wanted.len() > 2 * limits::RULES {
            return Err(too_many());
        }
    }
    if permissions.is_empty()
        && let Some(named) = members.value("IpProtocol")
    {
        let ports = ports(members)?;
        let peer = match (
            members.value("CidrIp"),
            members.value("SourceSecurityGroupName"),
        ) {
            (Some(block), _) => v4(block)?,
            (None, Some(name)) => Peer::Group(by_name(name, &groups)?),
            (None, None) => return Err(Ec2Error::Missing("CidrIp")),
        };
        wanted.push((what(named, ports, peer)?, None));
    }
    match wanted.is_empty() {
        true => Err(Ec2Error::Missing("ipPermissions")),
        false => Ok(wanted),
    }
}

/// More rules than a group may have.
pub(crate) fn too_many() -> Ec2Error {
    Ec2Error::Limit {
        code: "RulesPerSecurityGroupLimitExceeded",
        message: "The maximum number of rules per security group has been reached.".to_owned(),
    }
}

fn read_permission(
    permission: &Form<'_>,
    groups: &[Group],
    wanted: &mut Vec<Wanted>,
) -> Result<(), Ec2Error> {
    let named = permission
        .value("IpProtocol")
        .ok_or(Ec2Error::Missing("IpProtocol"))?;
    let ports = ports(permission)?;
    let mut add = |peer, of: &Form<'_>| {
        let description = description(of)?;
        wanted.push((what(named, ports, peer)?, description));
        Ok::<(), Ec2Error>(())
    };
    for range in permission.numbered_structures("IpRanges")? {
        let block = range.value("CidrIp").ok_or(Ec2Error::Missing("CidrIp"))?;
        add(v4(block)?, &range)?;
    }
    for range in permission.numbered_structures("Ipv6Ranges")? {
        let block = range
            .value("CidrIpv6")
            .ok_or(Ec2Error::Missing("CidrIpv6"))?;
        add(v6(block)?, &range)?;
    }
    // There are no managed prefix lists here.
    let lists = permission.numbered_structures("PrefixListIds")?;
    if let Some(list) = lists.first() {
        let id = list.value("PrefixListId");
        return Err(Ec2Error::NotFound {
            code: "InvalidPrefixListID.NotFound",
            kind: "prefix list ID",
            id: shown(id.unwrap_or("")),
        });
    }
    for group in permission.numbered_structures("Groups")? {
        let id = match (group.value("GroupId"), group.value("GroupName")) {
            (Some(id), _) => by_id(id, groups)?,
            (None, Some(name)) => by_name(name, groups)?,
            (None, None) => return Err(Ec2Error::Missing("GroupId")),
        };
        add(Peer::Group(id), &group)?;
    }
    Ok(())
}

fn description(of: &Form<'_>) -> Result<Option<String>, Ec2Error> {
    let given = of.value("Description").filter(|text| !text.is_empty());
    if given.is_some_and(|text| text.chars().count() > limits::TEXT) {
        let words = "Invalid rule description. Up to 255 characters are allowed.";
        return Err(Ec2Error::Invalid(words.to_owned()));
    }
    Ok(given.map(str::to_owned))
}

/// A block of IPv4 as a peer.
pub(crate) fn v4(block: &str) -> Result<Peer, Ec2Error> {
    block_v4(block).map(Peer::V4).ok_or_else(|| no_block(block))
}

/// A block of IPv6 as a peer.
pub(crate) fn v6(block: &str) -> Result<Peer, Ec2Error> {
    block_v6(block).map(Peer::V6).ok_or_else(|| no_block(block))
}

fn no_block(block: &str) -> Ec2Error {
    Ec2Error::Invalid(format!("CIDR block {} is malformed", shown(block)))
}

/// The id of a group that is there.
pub(crate) fn by_id(id: &str, groups: &[Group]) -> Result<String, Ec2Error> {
    let found = groups.iter().find(|group| group.id == id);
    found
        .map(|group| group.id.clone())
        .ok_or_else(|| missing(id))
}

fn by_name(name: &str, groups: &[Group]) -> Result<String, Ec2Error> {
    let found = groups.iter().find(|group| group.name == name);
    found
        .map(|group| group.id.clone())
        .ok_or_else(|| missing(name))
}

fn missing(named: &str) -> Ec2Error {
    Ec2Error::NotFound {
        code: "InvalidGroup.NotFound",
        kind: "security group",
        id: shown(named),
    }
}

type Ports = (Option<i32>, Option<i32>);

fn ports(of: &Form<'_>) -> Result<Ports, Ec2Error> {
    let port = |name| {
        let given = of.value(name);
        let number = given.map(str::parse::<i32>).transpose();
        number.map_err(|_| {
            let words = shown(given.unwrap_or(""));
            Ec2Error::Invalid(format!("Invalid value '{words}' for {name}"))
        })
    };
    Ok((port("FromPort")?, port("ToPort")?))
}

/// What is let through with that peer (EC2 API Reference, "IpPermission").
///
/// # Errors
///
/// There is no such protocol, or it has no such ports.
pub(crate) fn what(named: &str, (from, to): Ports, peer: Peer) -> Result<What, Ec2Error> {
    let protocol = protocol(named).ok_or_else(|| {
        let words = "for protocol. VPC security group rules must specify protocols explicitly.";
        Ec2Error::Invalid(format!("Invalid value '{}' {words}", shown(named)))
    })?;
    let invalid = |from: i32, to: i32| {
        let words = format!("Invalid TCP/UDP port range ({from}:{to})");
        Ec2Error::Invalid(words)
    };
    let (from, to) = match protocol.as_str() {
        "tcp" | "udp" => match (from, to) {
            // -1 to -1 is all, as clients write it.
            (Some(-1), Some(-1)) => (Some(0), Some(65_535)),
            (Some(from), Some(to))
                if (0..=65_535).contains(&from) && to <= 65_535 && from <= to =>
            {
                (Some(from), Some(to))
            }
            (Some(from), Some(to)) => return Err(invalid(from, to)),
            _ => {
                let words = "A port range must be given for TCP and UDP";
                return Err(Ec2Error::Invalid(words.to_owned()));
            }
        },
        "icmp" | "icmpv6" => {
            let code = |code: Option<i32>| code.is_none_or(|code| (-1..=255).contains(&code));
            if !(code(from) && code(to)) {
                let words = "ICMP types and codes are from -1 to 255";
                return Err(Ec2Error::Invalid(words.to_owned()));
            }
            (from.or(Some(-1)), to.or(Some(-1)))
        }
        _ => (None, None),
    };
    Ok(What {
        protocol,
        from,
        to,
        peer,
    })
}

/// Rules of one direction as lists of `IpPermission` have them: those of the same ports together.
pub(crate) fn permissions<'r>(
    rules: impl Iterator<Item = (&'r What, Option<&'r str>)>,
    settings: &Settings<'_>,
) -> Node {
    type Peers<'r> = Vec<(&'r Peer, Option<&'r str>)>;
    let mut by_ports: BTreeMap<(&str, Option<i32>, Option<i32>), Peers<'_>> = BTreeMap::new();
    for (what, description) in rules {
        let key = (what.protocol.as_str(), what.from, what.to);
        let peers = by_ports.entry(key).or_default();
        peers.push((&what.peer, description));
    }
    let items = by_ports.into_iter().map(|((protocol, from, to), peers)| {
        let mut members = vec![("ipProtocol", text(protocol))];
        members.extend(from.map(|port| ("fromPort", text(port))));
        members.extend(to.map(|port| ("toPort", text(port))));
        let mut lists: [Vec<Node>; 4] = Default::default();
        for (peer, description) in peers {
            let (list, mut one) = peer_members(peer, settings);
            one.extend(description.map(|words| ("description", text(words))));
            lists[list].push(Node::Members(one));
        }
        let names = ["groups", "ipRanges", "ipv6Ranges", "prefixListIds"];
        members.extend(names.into_iter().zip(lists.map(Node::Items)));
        Node::Members(members)
    });
    Node::Items(items.collect())
}

/// Which of the lists of an `IpPermission` a peer is in, and how.
fn peer_members(peer: &Peer, settings: &Settings<'_>) -> (usize, Members) {
    match peer {
        Peer::Group(id) => (
            0,
            vec![("userId", text(settings.account)), ("groupId", text(id))],
        ),
        Peer::V4(block) => (1, vec![("cidrIp", text(block))]),
        Peer::V6(block) => (2, vec![("cidrIpv6", text(block))]),
    }
}

/// A rule as it is described by itself (`SecurityGroupRule`).
pub(crate) fn describe(rule: &Rule, group: &str, settings: &Settings<'_>) -> Described {
    let (region, account) = (settings.region, settings.account);
    let arn = format!(
        "arn:aws:ec2:{region}:{account}:security-group-rule/{}",
        rule.id
    );
    let mut described = Described::new(&rule.id, rule.tags.clone())
        .filtered("securityGroupRuleId", "security-group-rule-id", &rule.id)
        .filtered("groupId", "group-id", group)
        .with("groupOwnerId", account.to_string())
        .with("isEgress", rule.is_egress)
        .with("ipProtocol", rule.what.protocol.as_str())
        .with("fromPort", rule.what.from.unwrap_or(-1).to_string())
        .with("toPort", rule.what.to.unwrap_or(-1).to_string());
    described = match &rule.what.peer {
        Peer::V4(block) => described.with("cidrIpv4", block.as_str()),
        Peer::V6(block) => described.with("cidrIpv6", block.as_str()),
        Peer::Group(id) => {
            let referenced = vec![("groupId", text(id)), ("userId", text(account))];
            described.with("referencedGroupInfo", referenced)
        }
    };
    if let Some(words) = &rule.description {
        described = described.with("description", words.as_str());
    }
    described.with("securityGroupRuleArn", arn).tagged()
}
