//! Every operation of Route 53's published model (API version 2013-04-01), built or not.
//!
//! To build one more: its own file under `operations/`, its row here, its test.

use std::pin::Pin;

use aws::Operation;
use aws::access::Access;
use aws::rest::RestOperation;

use crate::access::{self, Allowed, Resources};
use crate::request::{Reply, Request};
use crate::{RoutingError, Service, operations};

/// What an operation is on its way to.
type Answer<'a> = Pin<Box<dyn Future<Output = Result<Reply, RoutingError>> + Send + 'a>>;

/// What carries an operation out.
pub(crate) type Handler = for<'a> fn(&'a Service, &'a Request<'a>, &'a Allowed) -> Answer<'a>;

macro_rules! built {
    ($name:literal, $method:literal, $uri:literal, $resources:ident, $module:ident) => {
        RestOperation {
            operation: Operation {
                name: $name,
                access: Access::Judged {
                    action: concat!("route53:", $name),
                    resources: access::$resources,
                },
                handler: Some(|service, request, allowed| {
                    Box::pin(operations::$module::execute(service, request, allowed))
                }),
            },
            method: $method,
            uri: concat!("/2013-04-01", $uri),
        }
    };
}

macro_rules! not_built {
    ($name:literal, $method:literal, $uri:literal, $resources:ident) => {
        RestOperation {
            operation: Operation {
                name: $name,
                access: Access::Judged {
                    action: concat!("route53:", $name),
                    resources: access::$resources,
                },
                handler: None,
            },
            method: $method,
            uri: concat!("/2013-04-01", $uri),
        }
    };
}

pub(crate) const OPERATIONS: &[RestOperation<Handler, Resources>] = &[
    not_built!(
        "ActivateKeySigningKey",
        "POST",
        "/keysigningkey/{HostedZoneId}/{Name}/activate",
        zone
    ),
    not_built!(
        "AssociateVPCWithHostedZone",
        "POST",
        "/hostedzone/{Id}/associatevpc",
        zone
    ),
    not_built!(
        "ChangeCidrCollection",
        "POST",
        "/cidrcollection/{CidrCollectionId}",
        networks
    ),
    built!(
        "ChangeResourceRecordSets",
        "POST",
        "/hostedzone/{Id}/rrset/",
        zone,
        change_resource_record_sets
    ),
    built!(
        "ChangeTagsForResource",
        "POST",
        "/tags/{ResourceType}/{ResourceId}",
        tagged,
        change_tags_for_resource
    ),
    not_built!(
        "CreateCidrCollection",
        "POST",
        "/cidrcollection",
        everything
    ),
    built!(
        "CreateHealthCheck",
        "POST",
        "/healthcheck",
        everything,
        create_health_check
    ),
    built!(
        "CreateHostedZone",
        "POST",
        "/hostedzone",
        everything,
        create_hosted_zone
    ),
    not_built!("CreateKeySigningKey", "POST", "/keysigningkey", everything),
    not_built!(
        "CreateQueryLoggingConfig",
        "POST",
        "/queryloggingconfig",
        everything
    ),
    not_built!(
        "CreateResourceRecordSetProtections",
        "POST",
        "/hostedzone/{Id}/rrsetprotection",
        zone
    ),
    not_built!(
        "CreateReusableDelegationSet",
        "POST",
        "/delegationset",
        everything
    ),
    not_built!("CreateTrafficPolicy", "POST", "/trafficpolicy", everything),
    not_built!(
        "CreateTrafficPolicyInstance",
        "POST",
        "/trafficpolicyinstance",
        everything
    ),
    not_built!(
        "CreateTrafficPolicyVersion",
        "POST",
        "/trafficpolicy/{Id}",
        traffic_policy
    ),
    not_built!(
        "CreateVPCAssociationAuthorization",
        "POST",
        "/hostedzone/{Id}/authorizevpcassociation",
        zone
    ),
    not_built!(
        "DeactivateKeySigningKey",
        "POST",
        "/keysigningkey/{HostedZoneId}/{Name}/deactivate",
        zone
    ),
    not_built!(
        "DeleteCidrCollection",
        "DELETE",
        "/cidrcollection/{CidrCollectionId}",
        networks
    ),
    built!(
        "DeleteHealthCheck",
        "DELETE",
        "/healthcheck/{HealthCheckId}",
        health_check,
        delete_health_check
    ),
    built!(
        "DeleteHostedZone",
        "DELETE",
        "/hostedzone/{Id}",
        zone,
        delete_hosted_zone
    ),
    not_built!(
        "DeleteKeySigningKey",
        "DELETE",
        "/keysigningkey/{HostedZoneId}/{Name}",
        zone
    ),
    not_built!(
        "DeleteQueryLoggingConfig",
        "DELETE",
        "/queryloggingconfig/{Id}",
        query_logging
    ),
    not_built!(
        "DeleteResourceRecordSetProtections",
        "POST",
        "/hostedzone/{Id}/rrsetprotection/delete",
        zone
    ),
    not_built!(
        "DeleteReusableDelegationSet",
        "DELETE",
        "/delegationset/{Id}",
        delegation_set
    ),
    not_built!(
        "DeleteTrafficPolicy",
        "DELETE",
        "/trafficpolicy/{Id}/{Version}",
        traffic_policy
    ),
    not_built!(
        "DeleteTrafficPolicyInstance",
        "DELETE",
        "/trafficpolicyinstance/{Id}",
        traffic_policy_instance
    ),
    not_built!(
        "DeleteVPCAssociationAuthorization",
        "POST",
        "/hostedzone/{Id}/deauthorizevpcassociation",
        zone
    ),
    not_built!(
        "DisableHostedZoneDNSSEC",
        "POST",
        "/hostedzone/{Id}/disable-dnssec",
        zone
    ),
    not_built!(
        "DisassociateVPCFromHostedZone",
        "POST",
        "/hostedzone/{Id}/disassociatevpc",
        zone
    ),
    not_built!(
        "EnableHostedZoneDNSSEC",
        "POST",
        "/hostedzone/{Id}/enable-dnssec",
        zone
    ),
    built!(
        "GetAccountLimit",
        "GET",
        "/accountlimit/{Type}",
        everything,
        get_account_limit
    ),
    built!("GetChange", "GET", "/change/{Id}", change, get_change),
    not_built!("GetCheckerIpRanges", "GET", "/checkeripranges", everything),
    built!(
        "GetDNSSEC",
        "GET",
        "/hostedzone/{Id}/dnssec",
        zone,
        get_dnssec
    ),
    built!(
        "GetGeoLocation",
        "GET",
        "/geolocation",
        everything,
        get_geo_location
    ),
    built!(
        "GetHealthCheck",
        "GET",
        "/healthcheck/{HealthCheckId}",
        health_check,
        get_health_check
    ),
    built!(
        "GetHealthCheckCount",
        "GET",
        "/healthcheckcount",
        everything,
        get_health_check_count
    ),
    built!(
        "GetHealthCheckLastFailureReason",
        "GET",
        "/healthcheck/{HealthCheckId}/lastfailurereason",
        health_check,
        get_health_check_last_failure_reason
    ),
    built!(
        "GetHealthCheckStatus",
        "GET",
        "/healthcheck/{HealthCheckId}/status",
        health_check,
        get_health_check_status
    ),
    built!(
        "GetHostedZone",
        "GET",
        "/hostedzone/{Id}",
        zone,
        get_hosted_zone
    ),
    built!(
        "GetHostedZoneCount",
        "GET",
        "/hostedzonecount",
        everything,
        get_hosted_zone_count
    ),
    built!(
        "GetHostedZoneLimit",
        "GET",
        "/hostedzonelimit/{Id}/{Type}",
        zone,
        get_hosted_zone_limit
    ),
    not_built!(
        "GetQueryLoggingConfig",
        "GET",
        "/queryloggingconfig/{Id}",
        query_logging
    ),
    not_built!(
        "GetReusableDelegationSet",
        "GET",
        "/delegationset/{Id}",
        delegation_set
    ),
    not_built!(
        "GetReusableDelegationSetLimit",
        "GET",
        "/reusabledelegationsetlimit/{Id}/{Type}",
        delegation_set
    ),
    not_built!(
        "GetTrafficPolicy",
        "GET",
        "/trafficpolicy/{Id}/{Version}",
        traffic_policy
    ),
    not_built!(
        "GetTrafficPolicyInstance",
        "GET",
        "/trafficpolicyinstance/{Id}",
        traffic_policy_instance
    ),
    not_built!(
        "GetTrafficPolicyInstanceCount",
        "GET",
        "/trafficpolicyinstancecount",
        everything
    ),
    not_built!(
        "ListCidrBlocks",
        "GET",
        "/cidrcollection/{CidrCollectionId}/cidrblocks",
        networks
    ),
    not_built!("ListCidrCollections", "GET", "/cidrcollection", everything),
    not_built!(
        "ListCidrLocations",
        "GET",
        "/cidrcollection/{CidrCollectionId}",
        networks
    ),
    built!(
        "ListGeoLocations",
        "GET",
        "/geolocations",
        everything,
        list_geo_locations
    ),
    built!(
        "ListHealthChecks",
        "GET",
        "/healthcheck",
        everything,
        list_health_checks
    ),
    built!(
        "ListHostedZones",
        "GET",
        "/hostedzone",
        everything,
        list_hosted_zones
    ),
    built!(
        "ListHostedZonesByName",
        "GET",
        "/hostedzonesbyname",
        everything,
        list_hosted_zones_by_name
    ),
    not_built!(
        "ListHostedZonesByVPC",
        "GET",
        "/hostedzonesbyvpc",
        everything
    ),
    not_built!(
        "ListQueryLoggingConfigs",
        "GET",
        "/queryloggingconfig",
        everything
    ),
    not_built!(
        "ListResourceRecordSetProtections",
        "GET",
        "/hostedzone/{Id}/rrsetprotection",
        zone
    ),
    built!(
        "ListResourceRecordSets",
        "GET",
        "/hostedzone/{Id}/rrset",
        zone,
        list_resource_record_sets
    ),
    not_built!(
        "ListReusableDelegationSets",
        "GET",
        "/delegationset",
        everything
    ),
    built!(
        "ListTagsForResource",
        "GET",
        "/tags/{ResourceType}/{ResourceId}",
        tagged,
        list_tags_for_resource
    ),
    built!(
        "ListTagsForResources",
        "POST",
        "/tags/{ResourceType}",
        each_tagged,
        list_tags_for_resources
    ),
    not_built!("ListTrafficPolicies", "GET", "/trafficpolicies", everything),
    not_built!(
        "ListTrafficPolicyInstances",
        "GET",
        "/trafficpolicyinstances",
        everything
    ),
    not_built!(
        "ListTrafficPolicyInstancesByHostedZone",
        "GET",
        "/trafficpolicyinstances/hostedzone",
        everything
    ),
    not_built!(
        "ListTrafficPolicyInstancesByPolicy",
        "GET",
        "/trafficpolicyinstances/trafficpolicy",
        everything
    ),
    not_built!(
        "ListTrafficPolicyVersions",
        "GET",
        "/trafficpolicies/{Id}/versions",
        traffic_policy
    ),
    not_built!(
        "ListVPCAssociationAuthorizations",
        "GET",
        "/hostedzone/{Id}/authorizevpcassociation",
        zone
    ),
    built!(
        "TestDNSAnswer",
        "GET",
        "/testdnsanswer",
        everything,
        test_dns_answer
    ),
    built!(
        "UpdateHealthCheck",
        "POST",
        "/healthcheck/{HealthCheckId}",
        health_check,
        update_health_check
    ),
    built!(
        "UpdateHostedZoneComment",
        "POST",
        "/hostedzone/{Id}",
        zone,
        update_hosted_zone_comment
    ),
    not_built!(
        "UpdateHostedZoneFeatures",
        "POST",
        "/hostedzone/{Id}/features",
        zone
    ),
    not_built!(
        "UpdateTrafficPolicyComment",
        "POST",
        "/trafficpolicy/{Id}/{Version}",
        traffic_policy
    ),
    not_built!(
        "UpdateTrafficPolicyInstance",
        "POST",
        "/trafficpolicyinstance/{Id}",
        traffic_policy_instance
    ),
];
