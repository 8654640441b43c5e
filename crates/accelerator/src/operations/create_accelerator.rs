//! `CreateAccelerator`: draws an address of each pool, and two of IPv6 if asked to. The same
//! request under the same token is answered with what it made the first time, as long as that
//! exists.

use std::net::IpAddr;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::json;
use types::ConfigurationView;

use crate::access::{Allowed, Execute, Request, Subject};
use crate::error::AcceleratorError;
use crate::limits::{MAX_ACCELERATORS, MAX_NAME};
use crate::model::{Accelerator, FlowLogs, IpAddressType, MadeBy};
use crate::pools::Pools;
use crate::request::{length, one_of, other_request, required, respond, token};
use crate::service::Service;
use crate::shapes::ADDRESS_TYPES;
use crate::tags::{Tag, Tags};
use crate::{catalogue, ids, shapes, tags};

#[derive(Deserialize, Default)]
#[serde(rename_all = "PascalCase", default)]
pub(crate) struct Input {
    name: Option<String>,
    ip_address_type: Option<String>,
    ip_addresses: Option<Vec<String>>,
    enabled: Option<bool>,
    idempotency_token: Option<String>,
    tags: Option<Vec<Tag>>,
}

impl Request for Input {
    fn subject(&self) -> Subject<'_> {
        Subject {
            tags: tags::subject(self.tags.as_ref()),
            ..Subject::default()
        }
    }
}

/// What is asked for, by the rules.
struct Wanted {
    name: String,
    ip_address_type: IpAddressType,
    enabled: bool,
    tags: Tags,
    made_by: MadeBy,
}

impl Execute for Input {
    async fn execute(
        self,
        service: &Service,
        allowed: &Allowed,
    ) -> Result<Bytes, AcceleratorError> {
        let wanted = self.read()?;
        let pools = service.config.pools.as_ref();
        let pools = pools.map_err(|reason| AcceleratorError::Refused(reason.clone()))?;
        let account = allowed.account().to_string();
        let attempt = |view: &dyn ConfigurationView| {
            let held = catalogue::of_account(view, allowed.account())?;
            let mut same = held.iter();
            if let Some((revision, made)) =
                same.find(|(_, made)| made.made_by.token == wanted.made_by.token)
            {
                return match made.made_by == wanted.made_by {
                    true => Ok((Vec::new(), (made.clone(), *revision))),
                    false => Err(other_request()),
                };
            }
            if held.len() >= MAX_ACCELERATORS {
                return Err(AcceleratorError::too_many_accelerators());
            }
            let made = wanted.make(service, allowed, view, pools)?;
            Ok((catalogue::create(view, &made), (made, 0)))
        };
        let ((accelerator, read), made) = service.change(&account, attempt).await?;
        let shape = shapes::accelerator(service, made.unwrap_or(read), &accelerator);
        Ok(respond(&json!({"Accelerator": shape})))
    }
}

impl Input {
    fn read(self) -> Result<Wanted, AcceleratorError> {
        let name = required("name", self.name)?;
        check_name(&name)?;
        let enabled = self.enabled.unwrap_or(true);
        let asked = address_type(self.ip_address_type.as_deref())?;
        let ip_address_type = asked.unwrap_or(IpAddressType::Ipv4);
        own_addresses(self.ip_addresses.as_deref())?;
        let token = token(self.idempotency_token)?;
        let tags = tags::read(self.tags.unwrap_or_default())?;
        // Of IPv4 alone it says what it said when there was nothing else: tokens outlive programs.
        let said = match ip_address_type {
            IpAddressType::Ipv4 => json!([name, enabled, tags]),
            IpAddressType::DualStack => json!([name, enabled, tags, "DUAL_STACK"]),
        };
        let digest = ids::digest(&said.to_string());
        Ok(Wanted {
            name,
            ip_address_type,
            enabled,
            tags,
            made_by: MadeBy { token, digest },
        })
    }
}

impl Wanted {
    fn make(
        &self,
        service: &Service,
        allowed: &Allowed,
        view: &dyn ConfigurationView,
        pools: &Pools,
    ) -> Result<Accelerator, AcceleratorError> {
        let environment = &*service.config.environment;
        let ipv4 = pools.draw(view, || environment.random())?;
        let mut addresses: Vec<IpAddr> = ipv4.map(IpAddr::V4).into();
        if self.ip_address_type == IpAddressType::DualStack {
            let ipv6 = pools.draw_ipv6(view, || environment.random())?;
            addresses.extend(ipv6.map(IpAddr::V6));
        }
        let now = service.now();
        Ok(Accelerator {
            id: ids::accelerator(environment),
            account: allowed.account(),
            name: self.name.clone(),
            ip_address_type: self.ip_address_type,
            enabled: self.enabled,
            addresses,
            dns_label: ids::dns_label(environment),
            created: now,
            modified: now,
            made_by: self.made_by.clone(),
            tags: self.tags.clone(),
            flow_logs: FlowLogs::default(),
            listeners: Vec::new(),
        })
    }
}

/// Is it a name that an accelerator can have?
pub(super) fn check_name(name: &str) -> Result<(), AcceleratorError> {
    length("name", name, 1, MAX_NAME)?;
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || b".-".contains(&byte);
    let edge = |end: Option<char>| matches!(end, Some('.' | '-'));
    if !name.bytes().all(allowed) || edge(name.chars().next()) || edge(name.chars().last()) {
        return Err(AcceleratorError::invalid(
            "The name must contain only alphanumeric characters, periods (.), or hyphens (-), \
             and must not begin or end with a hyphen or period.",
        ));
    }
    Ok(())
}

/// Which kinds of addresses are asked for, if that is said.
pub(super) fn address_type(word: Option<&str>) -> Result<Option<IpAddressType>, AcceleratorError> {
    let found = word.map(|word| one_of("ipAddressType", word, &ADDRESS_TYPES));
    found.transpose()
}

/// Addresses of one's own aren't built.
pub(super) fn own_addresses(addresses: Option<&[String]>) -> Result<(), AcceleratorError> {
    match addresses {
        Some([_, ..]) => Err(AcceleratorError::not_built(
            "An accelerator with addresses of one's own (BYOIP, IpAddresses)",
        )),
        Some([]) | None => Ok(()),
    }
}
