//! The shapes of accelerators and listeners in answers, as the API's model has them.

use serde_json::{Value, json};

use crate::arn::{AcceleratorArn, EndpointGroupArn, ListenerArn};
use crate::model::{
    Accelerator, ClientAffinity, EndpointGroupId, FlowLogs, IpAddressType, Listener, ListenerId,
    Protocol,
};
use crate::ports;
use crate::service::Service;

/// How protocols of listeners are spelled.
pub(crate) const PROTOCOLS: [(&str, Protocol); 2] =
    [("TCP", Protocol::Tcp), ("UDP", Protocol::Udp)];

/// How affinities are spelled.
pub(crate) const AFFINITIES: [(&str, ClientAffinity); 2] = [
    ("NONE", ClientAffinity::None),
    ("SOURCE_IP", ClientAffinity::SourceIp),
];

/// How types of addresses are spelled.
pub(crate) const ADDRESS_TYPES: [(&str, IpAddressType); 2] = [
    ("IPV4", IpAddressType::Ipv4),
    ("DUAL_STACK", IpAddressType::DualStack),
];

/// The word for one of several.
fn word<T: PartialEq>(words: &[(&'static str, T)], meant: &T) -> &'static str {
    let found = words.iter().find(|(_, meaning)| meaning == meant);
    found.map(|(word, _)| *word).expect("each has a word")
}

/// An accelerator's ARN.
pub(crate) fn accelerator_arn(accelerator: &Accelerator) -> AcceleratorArn {
    AcceleratorArn {
        account: accelerator.account,
        accelerator: accelerator.id.clone(),
    }
}

/// A listener's ARN, as text.
pub(crate) fn listener_arn(accelerator: &Accelerator, listener: &ListenerId) -> ListenerArn {
    ListenerArn {
        accelerator: accelerator_arn(accelerator),
        listener: listener.clone(),
    }
}

/// An endpoint group's ARN, as text.
pub(crate) fn group_arn(
    accelerator: &Accelerator,
    listener: &ListenerId,
    group: &EndpointGroupId,
) -> String {
    let arn = EndpointGroupArn {
        listener: listener_arn(accelerator, listener),
        group: group.clone(),
    };
    arn.to_string()
}

/// `Accelerator`, as that revision wrote it: deployed when every living edge serves that.
pub(crate) fn accelerator(service: &Service, revision: u64, accelerator: &Accelerator) -> Value {
    let deployed = service.config.nodes.in_sync(revision);
    let family = |name: &str, is_v4: bool| {
        let addresses = accelerator.addresses.iter();
        let addresses = addresses.filter(|address| address.is_ipv4() == is_v4);
        let addresses: Vec<String> = addresses.map(ToString::to_string).collect();
        let set = json!({
            "IpFamily": name,
            "IpAddresses": addresses,
            "IpAddressFamily": name,
        });
        (!addresses.is_empty()).then_some(set)
    };
    let sets = [family("IPv4", true), family("IPv6", false)];
    let mut shape = json!({
        "AcceleratorArn": accelerator_arn(accelerator).to_string(),
        "Name": accelerator.name,
        "IpAddressType": word(&ADDRESS_TYPES, &accelerator.ip_address_type),
        "Enabled": accelerator.enabled,
        "IpSets": sets.into_iter().flatten().collect::<Vec<Value>>(),
        "DnsName": accelerator.dns_name(),
        "Status": if deployed { "DEPLOYED" } else { "IN_PROGRESS" },
        "CreatedTime": accelerator.created.seconds(),
        "LastModifiedTime": accelerator.modified.seconds(),
    });
    if let Some(name) = accelerator.dual_stack_dns_name() {
        shape["DualStackDnsName"] = name.into();
    }
    shape
}

/// `AcceleratorAttributes`.
pub(crate) fn attributes(flow_logs: &FlowLogs) -> Value {
    let mut shape = json!({"FlowLogsEnabled": flow_logs.enabled});
    if let Some(bucket) = &flow_logs.bucket {
        shape["FlowLogsS3Bucket"] = bucket.as_str().into();
    }
    if let Some(prefix) = &flow_logs.prefix {
        shape["FlowLogsS3Prefix"] = prefix.as_str().into();
    }
    shape
}

/// `Listener`.
pub(crate) fn listener(accelerator: &Accelerator, listener: &Listener) -> Value {
    json!({
        "ListenerArn": listener_arn(accelerator, &listener.id).to_string(),
        "PortRanges": ports::shape_ranges(&listener.ports),
        "Protocol": word(&PROTOCOLS, &listener.protocol),
        "ClientAffinity": word(&AFFINITIES, &listener.affinity),
    })
}
