//! Every operation of Route 53's published model (API version 2013-04-01), built or not.
//!
//! To build one more: its own file under `operations/`, its row here, its test.

use std::pin::Pin;

use aws::Operation;
use aws::access::Access;
use aws::rest::RestOperation;

use crate::request::{Reply, Request};
use crate::{RoutingError, Service, operations};

/// What an operation is on its way to.
type Answer<'a> = Pin<Box<dyn Future<Output = Result<Reply, RoutingError>> + Send + 'a>>;

/// What carries an operation out.
pub(crate) type Handler = for<'a> fn(&'a Service, &'a Request<'a>) -> Answer<'a>;

macro_rules! built {
    ($name:literal, $method:literal, $uri:literal, $module:ident) => {
        RestOperation {
            operation: Operation {
                name: $name,
                access: Access::Judged {
                    action: concat!("route53:", $name),
                    resources: (),
                },
                handler: Some(|service, request| {
                    Box::pin(operations::$module::execute(service, request))
                }),
            },
            method: $method,
            uri: concat!("/2013-04-01", $uri),
        }
    };
}

macro_rules! not_built {
    ($name:literal, $method:literal, $uri:literal) => {
        RestOperation {
            operation: Operation {
                name: $name,
                access: Access::Judged {
                    action: concat!("route53:", $name),
                    resources: (),
                },
                handler: None,
            },
            method: $method,
            uri: concat!("/2013-04-01", $uri),
        }
    };
}

pub(crate) const OPERATIONS: &[RestOperation<Handler, ()>] = &[
    not_built!(
        "ActivateKeySigningKey",
        "POST",
        "/keysigningkey/{HostedZoneId}/{Name}/activate"
    ),
    not_built!(
        "AssociateVPCWithHostedZone",
        "POST",
        "/hostedzone/{Id}/associatevpc"
    ),
    not_built!(
        "ChangeCidrCollection",
        "POST",
        "/cidrcollection/{CidrCollectionId}"
    ),
    built!(
        "ChangeResourceRecordSets",
        "POST",
        "/hostedzone/{Id}/rrset/",
        change_resource_record_sets
    ),
    built!(
        "ChangeTagsForResource",
        "POST",
        "/tags/{ResourceType}/{ResourceId}",
        change_tags_for_resource
    ),
    not_built!("CreateCidrCollection", "POST", "/cidrcollection"),
    built!(
        "CreateHealthCheck",
        "POST",
        "/healthcheck",
        create_health_check
    ),
    built!(
        "CreateHostedZone",
        "POST",
        "/hostedzone",
        create_hosted_zone
    ),
    not_built!("CreateKeySigningKey", "POST", "/keysigningkey"),
    not_built!("CreateQueryLoggingConfig", "POST", "/queryloggingconfig"),
    not_built!(
        "CreateResourceRecordSetProtections",
        "POST",
        "/hostedzone/{Id}/rrsetprotection"
    ),
    not_built!("CreateReusableDelegationSet", "POST", "/delegationset"),
    not_built!("CreateTrafficPolicy", "POST", "/trafficpolicy"),
    not_built!(
        "CreateTrafficPolicyInstance",
        "POST",
        "/trafficpolicyinstance"
    ),
    not_built!("CreateTrafficPolicyVersion", "POST", "/trafficpolicy/{Id}"),
    not_built!(
        "CreateVPCAssociationAuthorization",
        "POST",
        "/hostedzone/{Id}/authorizevpcassociation"
    ),
    not_built!(
        "DeactivateKeySigningKey",
        "POST",
        "/keysigningkey/{HostedZoneId}/{Name}/deactivate"
    ),
    not_built!(
        "DeleteCidrCollection",
        "DELETE",
        "/cidrcollection/{CidrCollectionId}"
    ),
    built!(
        "DeleteHealthCheck",
        "DELETE",
        "/healthcheck/{HealthCheckId}",
        delete_health_check
    ),
    built!(
        "DeleteHostedZone",
        "DELETE",
        "/hostedzone/{Id}",
        delete_hosted_zone
    ),
    not_built!(
        "DeleteKeySigningKey",
        "DELETE",
        "/keysigningkey/{HostedZoneId}/{Name}"
    ),
    not_built!(
        "DeleteQueryLoggingConfig",
        "DELETE",
        "/queryloggingconfig/{Id}"
    ),
    not_built!(
        "DeleteResourceRecordSetProtections",
        "POST",
        "/hostedzone/{Id}/rrsetprotection/delete"
    ),
    not_built!(
        "DeleteReusableDelegationSet",
        "DELETE",
        "/delegationset/{Id}"
    ),
    not_built!(
        "DeleteTrafficPolicy",
        "DELETE",
        "/trafficpolicy/{Id}/{Version}"
    ),
    not_built!(
        "DeleteTrafficPolicyInstance",
        "DELETE",
        "/trafficpolicyinstance/{Id}"
    ),
    not_built!(
        "DeleteVPCAssociationAuthorization",
        "POST",
        "/hostedzone/{Id}/deauthorizevpcassociation"
    ),
    not_built!(
        "DisableHostedZoneDNSSEC",
        "POST",
        "/hostedzone/{Id}/disable-dnssec"
    ),
    not_built!(
        "DisassociateVPCFromHostedZone",
        "POST",
        "/hostedzone/{Id}/disassociatevpc"
    ),
    not_built!(
        "EnableHostedZoneDNSSEC",
        "POST",
        "/hostedzone/{Id}/enable-dnssec"
    ),
    built!(
        "GetAccountLimit",
        "GET",
        "/accountlimit/{Type}",
        get_account_limit
    ),
    built!("GetChange", "GET", "/change/{Id}", get_change),
    not_built!("GetCheckerIpRanges", "GET", "/checkeripranges"),
    built!("GetDNSSEC", "GET", "/hostedzone/{Id}/dnssec", get_dnssec),
    built!("GetGeoLocation", "GET", "/geolocation", get_geo_location),
    built!(
        "GetHealthCheck",
        "GET",
        "/healthcheck/{HealthCheckId}",
        get_health_check
    ),
    built!(
        "GetHealthCheckCount",
        "GET",
        "/healthcheckcount",
        get_health_check_count
    ),
    built!(
        "GetHealthCheckLastFailureReason",
        "GET",
        "/healthcheck/{HealthCheckId}/lastfailurereason",
        get_health_check_last_failure_reason
    ),
    built!(
        "GetHealthCheckStatus",
        "GET",
        "/healthcheck/{HealthCheckId}/status",
        get_health_check_status
    ),
    built!("GetHostedZone", "GET", "/hostedzone/{Id}", get_hosted_zone),
    built!(
        "GetHostedZoneCount",
        "GET",
        "/hostedzonecount",
        get_hosted_zone_count
    ),
    built!(
        "GetHostedZoneLimit",
        "GET",
        "/hostedzonelimit/{Id}/{Type}",
        get_hosted_zone_limit
    ),
    not_built!("GetQueryLoggingConfig", "GET", "/queryloggingconfig/{Id}"),
    not_built!("GetReusableDelegationSet", "GET", "/delegationset/{Id}"),
    not_built!(
        "GetReusableDelegationSetLimit",
        "GET",
        "/reusabledelegationsetlimit/{Id}/{Type}"
    ),
    not_built!("GetTrafficPolicy", "GET", "/trafficpolicy/{Id}/{Version}"),
    not_built!(
        "GetTrafficPolicyInstance",
        "GET",
        "/trafficpolicyinstance/{Id}"
    ),
    not_built!(
        "GetTrafficPolicyInstanceCount",
        "GET",
        "/trafficpolicyinstancecount"
    ),
    not_built!(
        "ListCidrBlocks",
        "GET",
        "/cidrcollection/{CidrCollectionId}/cidrblocks"
    ),
    not_built!("ListCidrCollections", "GET", "/cidrcollection"),
    not_built!(
        "ListCidrLocations",
        "GET",
        "/cidrcollection/{CidrCollectionId}"
    ),
    built!(
        "ListGeoLocations",
        "GET",
        "/geolocations",
        list_geo_locations
    ),
    built!(
        "ListHealthChecks",
        "GET",
        "/healthcheck",
        list_health_checks
    ),
    built!("ListHostedZones", "GET", "/hostedzone", list_hosted_zones),
    built!(
        "ListHostedZonesByName",
        "GET",
        "/hostedzonesbyname",
        list_hosted_zones_by_name
    ),
    not_built!("ListHostedZonesByVPC", "GET", "/hostedzonesbyvpc"),
    not_built!("ListQueryLoggingConfigs", "GET", "/queryloggingconfig"),
    not_built!(
        "ListResourceRecordSetProtections",
        "GET",
        "/hostedzone/{Id}/rrsetprotection"
    ),
    built!(
        "ListResourceRecordSets",
        "GET",
        "/hostedzone/{Id}/rrset",
        list_resource_record_sets
    ),
    not_built!("ListReusableDelegationSets", "GET", "/delegationset"),
    built!(
        "ListTagsForResource",
        "GET",
        "/tags/{ResourceType}/{ResourceId}",
        list_tags_for_resource
    ),
    built!(
        "ListTagsForResources",
        "POST",
        "/tags/{ResourceType}",
        list_tags_for_resources
    ),
    not_built!("ListTrafficPolicies", "GET", "/trafficpolicies"),
    not_built!(
        "ListTrafficPolicyInstances",
        "GET",
        "/trafficpolicyinstances"
    ),
    not_built!(
        "ListTrafficPolicyInstancesByHostedZone",
        "GET",
        "/trafficpolicyinstances/hostedzone"
    ),
    not_built!(
        "ListTrafficPolicyInstancesByPolicy",
        "GET",
        "/trafficpolicyinstances/trafficpolicy"
    ),
    not_built!(
        "ListTrafficPolicyVersions",
        "GET",
        "/trafficpolicies/{Id}/versions"
    ),
    not_built!(
        "ListVPCAssociationAuthorizations",
        "GET",
        "/hostedzone/{Id}/authorizevpcassociation"
    ),
    built!("TestDNSAnswer", "GET", "/testdnsanswer", test_dns_answer),
    built!(
        "UpdateHealthCheck",
        "POST",
        "/healthcheck/{HealthCheckId}",
        update_health_check
    ),
    built!(
        "UpdateHostedZoneComment",
        "POST",
        "/hostedzone/{Id}",
        update_hosted_zone_comment
    ),
    not_built!(
        "UpdateHostedZoneFeatures",
        "POST",
        "/hostedzone/{Id}/features"
    ),
    not_built!(
        "UpdateTrafficPolicyComment",
        "POST",
        "/trafficpolicy/{Id}/{Version}"
    ),
    not_built!(
        "UpdateTrafficPolicyInstance",
        "POST",
        "/trafficpolicyinstance/{Id}"
    ),
];
