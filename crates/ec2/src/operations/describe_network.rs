//! DescribeVpcs, DescribeVpcAttribute, DescribeSubnets, DescribeInternetGateways,
//! DescribeRouteTables and DescribeNetworkAcls: the default network.

use crate::described::{Members, text};
use crate::error::Ec2Error;
use crate::filter::shown;
use crate::network;
use crate::request::{Ec2Request, Kind};

/// VPCs.
pub(crate) const VPCS: Kind = Kind {
    ids: "VpcId",
    prefix: "vpc",
    codes: ["InvalidVpcId.Malformed", "InvalidVpcID.NotFound"],
    name: "vpc ID",
    filters: network::VPC_FILTERS,
    list: "vpcSet",
};

const SUBNETS: Kind = Kind {
    ids: "SubnetId",
    prefix: "subnet",
    codes: ["InvalidSubnetId.Malformed", "InvalidSubnetID.NotFound"],
    name: "subnet ID",
    filters: network::SUBNET_FILTERS,
    list: "subnetSet",
};

const GATEWAYS: Kind = Kind {
    ids: "InternetGatewayId",
    prefix: "igw",
    codes: [
        "InvalidInternetGatewayId.Malformed",
        "InvalidInternetGatewayID.NotFound",
    ],
    name: "internetGateway ID",
    filters: network::GATEWAY_FILTERS,
    list: "internetGatewaySet",
};

const ROUTE_TABLES: Kind = Kind {
    ids: "RouteTableId",
    prefix: "rtb",
    codes: [
        "InvalidRouteTableId.Malformed",
        "InvalidRouteTableID.NotFound",
    ],
    name: "routeTable ID",
    filters: network::ROUTE_TABLE_FILTERS,
    list: "routeTableSet",
};

const ACLS: Kind = Kind {
    ids: "NetworkAclId",
    prefix: "acl",
    codes: [
        "InvalidNetworkAclId.Malformed",
        "InvalidNetworkAclID.NotFound",
    ],
    name: "networkAcl ID",
    filters: network::ACL_FILTERS,
    list: "networkAclSet",
};

/// The VPC.
pub(crate) async fn vpcs(request: &Ec2Request<'_>) -> Result<Members, Ec2Error> {
    request.authorize(&["*".to_owned()])?;
    request.choose(&VPCS, vec![network::vpc(&request.settings())?])
}

/// One attribute of the VPC; those of a default one.
pub(crate) async fn vpc_attribute(request: &Ec2Request<'_>) -> Result<Members, Ec2Error> {
    let id = request.required("VpcId")?;
    request.authorize(&[request.arn(&format!("vpc/{}", shown(id)))])?;
    let vpc = network::vpc(&request.settings())?;
    if vpc.id != id {
        return Err(Ec2Error::NotFound {
            code: VPCS.codes[1],
            kind: VPCS.name,
            id: shown(id),
        });
    }
    let (member, value) = match request.required("Attribute")? {
        "enableDnsSupport" => ("enableDnsSupport", true),
        "enableDnsHostnames" => ("enableDnsHostnames", true),
        "enableNetworkAddressUsageMetrics" => ("enableNetworkAddressUsageMetrics", false),
        other => {
            let words = format!(
                "Value ({}) for parameter attribute is invalid.",
                shown(other)
            );
            return Err(Ec2Error::Invalid(words));
        }
    };
    let value = vec![("value", text(value))];
    Ok(vec![("vpcId", text(id)), (member, value.into())])
}

/// The subnets.
pub(crate) async fn subnets(request: &Ec2Request<'_>) -> Result<Members, Ec2Error> {
    request.authorize(&["*".to_owned()])?;
    request.choose(&SUBNETS, network::subnets(&request.settings())?)
}

/// The internet gateway.
pub(crate) async fn gateways(request: &Ec2Request<'_>) -> Result<Members, Ec2Error> {
    request.authorize(&["*".to_owned()])?;
    request.choose(&GATEWAYS, vec![network::gateway(&request.settings())?])
}

/// The route table.
pub(crate) async fn route_tables(request: &Ec2Request<'_>) -> Result<Members, Ec2Error> {
    request.authorize(&["*".to_owned()])?;
    request.choose(
        &ROUTE_TABLES,
        vec![network::route_table(&request.settings())?],
    )
}

/// The network ACL.
pub(crate) async fn acls(request: &Ec2Request<'_>) -> Result<Members, Ec2Error> {
    request.authorize(&["*".to_owned()])?;
    request.choose(&ACLS, vec![network::acl(&request.settings())?])
}
