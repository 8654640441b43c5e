//! The operations, one file each. Each reads its request from JSON, judges it as the service does,
//! and writes its response as JSON.

pub(crate) mod add_endpoints;
pub(crate) mod create_accelerator;
pub(crate) mod create_endpoint_group;
pub(crate) mod create_listener;
pub(crate) mod delete_accelerator;
pub(crate) mod delete_endpoint_group;
pub(crate) mod delete_listener;
pub(crate) mod describe_accelerator;
pub(crate) mod describe_accelerator_attributes;
pub(crate) mod describe_endpoint_group;
pub(crate) mod describe_listener;
pub(crate) mod list_accelerators;
pub(crate) mod list_cross_account_resources;
pub(crate) mod list_endpoint_groups;
pub(crate) mod list_listeners;
pub(crate) mod list_tags_for_resource;
pub(crate) mod remove_endpoints;
pub(crate) mod tag_resource;
pub(crate) mod untag_resource;
pub(crate) mod update_accelerator;
pub(crate) mod update_accelerator_attributes;
pub(crate) mod update_endpoint_group;
pub(crate) mod update_listener;

/// The caller of a request is judged by the ARN in this member, and by nothing else of it.
macro_rules! judged_by {
    ($member:ident) => {
        impl $crate::access::Request for Input {
            fn subject(&self) -> $crate::access::Subject<'_> {
                $crate::access::Subject::of(self.$member.as_ref())
            }
        }
    };
}
use judged_by;
