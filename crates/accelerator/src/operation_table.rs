//! Every operation of Global Accelerator's published model (API version 2018-08-08), built or not.
//! Not built are custom routing, addresses of one's own (BYOIP) and cross-account attachments.
//!
//! To build one more: its own file under `operations/`, its row here, its test.

use std::pin::Pin;

use aws::Operation;
use aws::access::{Access, Authorizer};
use bytes::Bytes;

use crate::access::{Execute, Resources, everything, judge, named, new_accelerator, updated_group};
use crate::error::AcceleratorError;
use crate::operations;
use crate::request::parse;
use crate::service::Service;

/// What an operation is on its way to: the JSON of its response, or an error.
type Answer<'a> = Pin<Box<dyn Future<Output = Result<Bytes, AcceleratorError>> + Send + 'a>>;

/// What reads a JSON body, has its caller judged by the row's access, and carries it out.
type Handler =
    for<'a> fn(&'a Service, &'a dyn Authorizer, &'a Access<Resources>, &'a [u8]) -> Answer<'a>;

fn run<'a, R: Execute>(
    service: &'a Service,
    caller: &'a dyn Authorizer,
    access: &'a Access<Resources>,
    body: &'a [u8],
) -> Answer<'a> {
    Box::pin(async move {
        let request: R = parse(body)?;
        let allowed = judge(service, caller, access, &request)?;
        request.execute(service, &allowed).await
    })
}

macro_rules! built {
    ($name:literal, $module:ident, $resources:ident) => {
        Operation {
            name: $name,
            access: Access::Judged {
                action: concat!("globalaccelerator:", $name),
                resources: $resources,
            },
            handler: Some(run::<operations::$module::Input>),
        }
    };
}

macro_rules! not_built {
    ($name:literal, $resources:ident) => {
        Operation {
            name: $name,
            access: Access::Judged {
                action: concat!("globalaccelerator:", $name),
                resources: $resources,
            },
            handler: None,
        }
    };
}

const OPERATIONS: &[Operation<Handler, Resources>] = &[
    not_built!("AddCustomRoutingEndpoints", named),
    built!("AddEndpoints", add_endpoints, updated_group),
    not_built!("AdvertiseByoipCidr", everything),
    not_built!("AllowCustomRoutingTraffic", named),
    built!("CreateAccelerator", create_accelerator, new_accelerator),
    not_built!("CreateCrossAccountAttachment", everything),
    not_built!("CreateCustomRoutingAccelerator", everything),
    not_built!("CreateCustomRoutingEndpointGroup", named),
    not_built!("CreateCustomRoutingListener", named),
    built!("CreateEndpointGroup", create_endpoint_group, named),
    built!("CreateListener", create_listener, named),
    built!("DeleteAccelerator", delete_accelerator, named),
    not_built!("DeleteCrossAccountAttachment", named),
    not_built!("DeleteCustomRoutingAccelerator", named),
    not_built!("DeleteCustomRoutingEndpointGroup", named),
    not_built!("DeleteCustomRoutingListener", named),
    built!("DeleteEndpointGroup", delete_endpoint_group, named),
    built!("DeleteListener", delete_listener, named),
    not_built!("DenyCustomRoutingTraffic", named),
    not_built!("DeprovisionByoipCidr", everything),
    built!("DescribeAccelerator", describe_accelerator, named),
    built!(
        "DescribeAcceleratorAttributes",
        describe_accelerator_attributes,
        named
    ),
    not_built!("DescribeCrossAccountAttachment", named),
    not_built!("DescribeCustomRoutingAccelerator", named),
    not_built!("DescribeCustomRoutingAcceleratorAttributes", named),
    not_built!("DescribeCustomRoutingEndpointGroup", named),
    not_built!("DescribeCustomRoutingListener", named),
    built!("DescribeEndpointGroup", describe_endpoint_group, named),
    built!("DescribeListener", describe_listener, named),
    built!("ListAccelerators", list_accelerators, everything),
    not_built!("ListByoipCidrs", everything),
    not_built!("ListCrossAccountAttachments", everything),
    not_built!("ListCrossAccountResourceAccounts", everything),
    built!(
        "ListCrossAccountResources",
        list_cross_account_resources,
        everything
    ),
    not_built!("ListCustomRoutingAccelerators", everything),
    not_built!("ListCustomRoutingEndpointGroups", named),
    not_built!("ListCustomRoutingListeners", named),
    not_built!("ListCustomRoutingPortMappings", named),
    not_built!("ListCustomRoutingPortMappingsByDestination", everything),
    built!("ListEndpointGroups", list_endpoint_groups, named),
    built!("ListListeners", list_listeners, named),
    built!("ListTagsForResource", list_tags_for_resource, named),
    not_built!("ProvisionByoipCidr", everything),
    not_built!("RemoveCustomRoutingEndpoints", named),
    built!("RemoveEndpoints", remove_endpoints, updated_group),
    built!("TagResource", tag_resource, named),
    built!("UntagResource", untag_resource, named),
    built!("UpdateAccelerator", update_accelerator, named),
    built!(
        "UpdateAcceleratorAttributes",
        update_accelerator_attributes,
        named
    ),
    not_built!("UpdateCrossAccountAttachment", named),
    not_built!("UpdateCustomRoutingAccelerator", named),
    not_built!("UpdateCustomRoutingAcceleratorAttributes", named),
    not_built!("UpdateCustomRoutingListener", named),
    built!("UpdateEndpointGroup", update_endpoint_group, named),
    built!("UpdateListener", update_listener, named),
    not_built!("WithdrawByoipCidr", everything),
];

impl Service {
    /// Every operation of the service's model, and whether it is built.
    pub fn operations() -> impl Iterator<Item = (&'static str, bool)> {
        let rows = OPERATIONS.iter();
        rows.map(|row| (row.name, row.handler.is_some()))
    }

    pub(crate) async fn dispatch(
        &self,
        caller: &dyn Authorizer,
        name: &str,
        body: &[u8],
    ) -> Result<Bytes, AcceleratorError> {
        let row = aws::find(OPERATIONS, name)
            .ok_or_else(|| AcceleratorError::UnknownOperation(name.to_owned()))?;
        let handler = row
            .handler
            .ok_or_else(|| AcceleratorError::not_built(row.name))?;
        handler(self, caller, &row.access, body).await
    }
}
