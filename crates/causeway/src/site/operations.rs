//! Which operations of which services are built, for `causeway status --operations`. It carries
//! none out.

use region::Region;
use serde_json::{Value, json};
use store::EmbeddedEngine;
use tables::Tables;

/// The operations of all services that a Region has.
pub(super) fn operations() -> Value {
    let tables = Tables::<EmbeddedEngine>::operations();
    json!([
        counted("dynamodb", tables),
        counted("route53", routing::Service::operations()),
        counted("globalaccelerator", accelerator::Service::operations()),
        counted("elasticloadbalancing", balancer::Service::operations()),
        counted("ec2", ec2::Service::operations()),
        counted("rds", databases::Service::operations()),
        counted("iam", identity::Service::iam_operations()),
        counted("sts", identity::Service::sts_operations()),
        counted("s3", Region::<EmbeddedEngine>::s3_operations()),
    ])
}

/// The operations of a service, those built and those not.
fn counted(service: &str, operations: impl Iterator<Item = (&'static str, bool)>) -> Value {
    let (built, not_built): (Vec<_>, Vec<_>) = operations.partition(|(_, built)| *built);
    let names = |rows: &[(&'static str, bool)]| -> Vec<&'static str> {
        rows.iter().map(|(name, _)| *name).collect()
    };
    json!({
        "service": service,
        "built": built.len(),
        "not_built": not_built.len(),
        "built_names": names(&built),
        "not_built_names": names(&not_built),
    })
}
