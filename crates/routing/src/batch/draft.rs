//! Changes as a request's document has them, before anything is known of the zone: read, held
//! against the form that every record set must have, and made into values of the model.

use aws::rest::ROUTE53;
use aws::xml::{Element, XmlFault};
use types::HealthCheckId;

use crate::api_limits::MAX_VALUE;
use crate::model::KindError;
use crate::{
    Alias, Content, Continent, CountryCode, FailoverRole, Location, Name, Policy, RecordKind,
    RecordSet, RoutingError, Selector, SubdivisionCode, ZoneId,
};

/// The members of a `ResourceRecordSet`, in the model's order.
const MEMBERS: [&str; 15] = [
    "Name",
    "Type",
    "SetIdentifier",
    "Weight",
    "Region",
    "GeoLocation",
    "Failover",
    "MultiValueAnswer",
    "TTL",
    "ResourceRecords",
    "AliasTarget",
    "HealthCheckId",
    "TrafficPolicyInstanceId",
    "CidrRoutingConfig",
    "GeoProximityLocation",
];

/// Every type of the API's model.
const KINDS: [&str; 17] = [
    "SOA", "A", "TXT", "NS", "CNAME", "MX", "NAPTR", "PTR", "SRV", "SPF", "AAAA", "CAA", "DS",
    "TLSA", "SSHFP", "SVCB", "HTTPS",
];

/// What a change does.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Action {
    /// Creates a record set that isn't there.
    Create,
    /// Deletes one that is there with these very values.
    Delete,
    /// Creates it or replaces it.
    Upsert,
}

impl Action {
    /// Its name in the API.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Action::Create => "CREATE",
            Action::Delete => "DELETE",
            Action::Upsert => "UPSERT",
        }
    }
}

/// A change of the model's values.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct Change {
    /// What it does.
    pub(crate) action: Action,
    /// The record set as it shall be, or as it must be to be deleted.
    pub(crate) set: RecordSet,
    /// A DELETE that gives no policy: only the identifier must be that of the set. Clients are
    /// known to leave `MultiValueAnswer` out.
    pub(crate) policy_left_out: bool,
}

/// A change as the document has it.
#[derive(Clone, Debug)]
pub(crate) struct Draft {
    pub(crate) action: Action,
    name: String,
    /// `None`: a type that isn't built.
    kind: Option<RecordKind>,
    kind_text: String,
    identifier: Option<String>,
    /// Each policy it has parameters of.
    policies: Vec<Option<Policy>>,
    ttl: Option<u32>,
    pub(crate) values: Option<Vec<String>>,
    alias: Option<(String, String, bool)>,
    health_check: Option<HealthCheckId>,
    traffic_policy: bool,
    /// What of it exists at AWS and isn't built.
    pub(crate) not_built: Option<String>,
}

/// Reads a `Changes` element.
///
/// # Errors
///
/// It isn't of the schema's form, or a value isn't what its type allows.
pub(crate) fn read_drafts(changes: &Element<'_>) -> Result<Vec<Draft>, RoutingError> {
    let items = changes.items("Change")?;
    if items.is_empty() {
        return Err(changes
            .constraint("Member must have length greater than or equal to 1")
            .into());
    }
    items.iter().map(read_draft).collect()
}

fn read_draft(change: &Element<'_>) -> Result<Draft, RoutingError> {
    let members = change.members(&["Action", "ResourceRecordSet"])?;
    let action = members.required("Action", ROUTE53.namespace)?;
    let action = match action.text()? {
        "CREATE" => Action::Create,
        "DELETE" => Action::Delete,
        "UPSERT" => Action::Upsert,
        _ => return Err(action.not_among(&["CREATE", "DELETE", "UPSERT"]).into()),
    };
    let set = members.required("ResourceRecordSet", ROUTE53.namespace)?;
    Ok(read_set(action, set)?)
}

fn read_set(action: Action, set: &Element<'_>) -> Result<Draft, XmlFault> {
    let members = set.members(&MEMBERS)?;
    let name = members
        .required("Name", ROUTE53.namespace)?
        .bounded(0, 1024)?;
    let kind = members.required("Type", ROUTE53.namespace)?;
    let kind_text = kind.text()?.to_owned();
    let parsed: Result<RecordKind, KindError> = kind_text.parse();
    if let Err(KindError::Unknown(_)) = &parsed {
        return Err(kind.not_among(&KINDS));
    }
    let mut draft = Draft {
        action,
        name: name.to_owned(),
        not_built: match &parsed {
            Err(_) => Some(format!("The record type {kind_text}")),
            Ok(_) => None,
        },
        kind: parsed.ok(),
        kind_text,
        identifier: None,
        policies: Vec::new(),
        ttl: None,
        values: None,
        alias: None,
        health_check: None,
        traffic_policy: members.optional("TrafficPolicyInstanceId").is_some(),
    };
    if let Some(identifier) = members.optional("SetIdentifier") {
        draft.identifier = Some(identifier.bounded(1, 128)?.to_owned());
    }
    if let Some(ttl) = members.optional("TTL") {
        let seconds = ttl.integer(0, i64::from(i32::MAX))?;
        draft.ttl = Some(u32::try_from(seconds).expect("within its bounds"));
    }
    if let Some(values) = members.optional("ResourceRecords") {
        draft.values = Some(read_values(values)?);
    }
    if let Some(alias) = members.optional("AliasTarget") {
        draft.alias = Some(read_alias(alias)?);
    }
    if let Some(check) = members.optional("HealthCheckId") {
        draft.health_check = Some(HealthCheckId(check.bounded(0, 64)?.to_owned()));
        // Some clients send an empty one for none.
        draft.health_check = draft.health_check.filter(|check| !check.0.is_empty());
    }
    read_policies(&members, &mut draft)?;
    Ok(draft)
}

fn read_values(values: &Element<'_>) -> Result<Vec<String>, XmlFault> {
    let read = |record: &Element<'_>| {
        let members = record.members(&["Value"])?;
        let value = members.required("Value", ROUTE53.namespace)?;
        Ok(value.bounded(0, MAX_VALUE)?.to_owned())
    };
    values.items("ResourceRecord")?.iter().map(read).collect()
}

fn read_alias(alias: &Element<'_>) -> Result<(String, String, bool), XmlFault> {
    let members = alias.members(&["HostedZoneId", "DNSName", "EvaluateTargetHealth"])?;
    let zone = members.required("HostedZoneId", ROUTE53.namespace)?;
    let target = members.required("DNSName", ROUTE53.namespace)?;
    let evaluate = members.required("EvaluateTargetHealth", ROUTE53.namespace)?;
    let zone = zone.bounded(0, 64)?.trim_start_matches("/hostedzone/");
    Ok((
        zone.to_owned(),
        target.bounded(0, 1024)?.to_owned(),
        evaluate.boolean()?,
    ))
}

fn read_policies(members: &aws::xml::Members<'_, '_>, draft: &mut Draft) -> Result<(), XmlFault> {
    if let Some(weight) = members.optional("Weight") {
        let weight = u8::try_from(weight.integer(0, 255)?).expect("within its bounds");
        draft.policies.push(Some(Policy::Weighted(weight)));
    }
    if let Some(region) = members.optional("Region") {
        let names: Vec<&str> = types::Region::all().map(types::Region::name).collect();
        let known = region
            .text()?
            .parse()
            .map_err(|_| region.not_among(&names))?;
        draft.policies.push(Some(Policy::Latency(known)));
    }
    if let Some(location) = members.optional("GeoLocation") {
        draft
            .policies
            .push(Some(Policy::Geolocation(read_location(location)?)));
    }
    if let Some(failover) = members.optional("Failover") {
        let role = match failover.text()? {
            "PRIMARY" => FailoverRole::Primary,
            "SECONDARY" => FailoverRole::Secondary,
            _ => return Err(failover.not_among(&["PRIMARY", "SECONDARY"])),
        };
        draft.policies.push(Some(Policy::Failover(role)));
    }
    if let Some(multivalue) = members.optional("MultiValueAnswer")
        && multivalue.boolean()?
    {
        draft.policies.push(Some(Policy::Multivalue));
    }
    for (member, words) in [
        ("CidrRoutingConfig", "IP-based routing (CidrRoutingConfig)"),
        (
            "GeoProximityLocation",
            "Geoproximity routing (GeoProximityLocation)",
        ),
    ] {
        if members.optional(member).is_some() {
            draft.policies.push(None);
            draft.not_built = Some(words.to_owned());
        }
    }
    if draft.traffic_policy {
        draft.not_built = Some("A record of a traffic policy (TrafficPolicyInstanceId)".to_owned());
    }
    Ok(())
}

fn read_location(location: &Element<'_>) -> Result<Location, XmlFault> {
    let members = location.members(&["ContinentCode", "CountryCode", "SubdivisionCode"])?;
    let text = |name| {
        members
            .optional(name)
            .map(|member| Ok((member, member.text()?)))
    };
    let continent = text("ContinentCode").transpose()?;
    let country = text("CountryCode").transpose()?;
    let subdivision = text("SubdivisionCode").transpose()?;
    let unknown = |member: &Element<'_>| member.constraint("Member must be a supported location");
    match (continent, country, subdivision) {
        (Some((member, code)), None, None) => Continent::from_code(code)
            .map(Location::Continent)
            .ok_or_else(|| unknown(member)),
        (None, Some((_, "*")), None) => Ok(Location::Default),
        (None, Some((member, code)), None) => CountryCode::new(code)
            .map(Location::Country)
            .filter(|country| crate::places::find(*country).is_some())
            .ok_or_else(|| unknown(member)),
        (None, Some((member, "US")), Some((part, code))) => {
            let country = CountryCode::new("US").ok_or_else(|| unknown(member))?;
            SubdivisionCode::new(code)
                .filter(|code| crate::places::subdivision(country, *code).is_some())
                .map(|code| Location::Subdivision(country, code))
                .ok_or_else(|| unknown(part))
        }
        (None, _, Some((part, _))) => Err(part.constraint("Member must come with CountryCode US")),
        (Some((member, _)), ..) => {
            Err(member
                .constraint("Member must not be combined with CountryCode or SubdivisionCode"))
        }
        (None, None, None) => {
            Err(location.constraint("Member must have one of ContinentCode and CountryCode"))
        }
    }
}

impl Draft {
    /// The record's name, as it was given.
    pub(crate) fn name(&self) -> &str {
        &self.name
    }

    /// The record's type, as it was given.
    pub(crate) fn kind_text(&self) -> &str {
        &self.kind_text
    }

    /// What of it isn't of the form that every record set must have, in the service's words.
    pub(crate) fn shape_faults(&self) -> Vec<String> {
        let place = format!(
            "in Change with [Action={}, Name={}, Type={}, SetIdentifier={}]",
            self.action.name(),
            self.name,
            self.kind_text,
            self.identifier.as_deref().unwrap_or("null")
        );
        let mut faults = Vec::new();
        let content = "Expected exactly one of [AliasTarget, all of [TTL, and ResourceRecords], or \
                       TrafficPolicyInstanceId], but found";
        let complete = self.ttl.is_some() && self.values.as_ref().is_some_and(|v| !v.is_empty());
        let begun = self.ttl.is_some() || self.values.is_some();
        let others = usize::from(self.alias.is_some()) + usize::from(self.traffic_policy);
        match (others, complete) {
            (0, false) => faults.push(format!("{content} none {place}")),
            (1, _) if begun => faults.push(format!("{content} more than one {place}")),
            (2, _) => faults.push(format!("{content} more than one {place}")),
            _ => {}
        }
        let policy = "Expected exactly one of [Weight, Region, Failover, GeoLocation, \
                      MultiValueAnswer, GeoProximityLocation, or CidrRoutingConfig], but found";
        match (self.policies.len(), &self.identifier) {
            (0, Some(_)) if self.action != Action::Delete => {
                faults.push(format!("{policy} none {place}"));
            }
            (2.., _) => faults.push(format!("{policy} more than one {place}")),
            (1, None) => faults.push(format!("Missing field 'SetIdentifier' {place}")),
            _ => {}
        }
        faults
    }

    /// The change it describes. To be asked of a draft without faults of its form.
    pub(crate) fn settle(self) -> Result<Change, String> {
        let fault = |text: &str, error: crate::NameError| {
            format!("FATAL problem: {error} encountered with '{text}'")
        };
        let name = Name::parse(&self.name).map_err(|error| fault(&self.name, error))?;
        let content = match (self.alias, self.ttl, self.values) {
            (Some((zone, target, evaluate_target_health)), ..) => {
                let name = Name::parse(&target).map_err(|error| fault(&target, error))?;
                let zone = ZoneId::new(&zone)
                    .ok_or_else(|| target_not_found(&name, &self.kind_text, &zone))?;
                Content::Alias(Alias {
                    zone,
                    target: name,
                    evaluate_target_health,
                })
            }
            (None, ttl, values) => Content::Values {
                ttl: ttl.unwrap_or_default(),
                values: values.unwrap_or_default(),
            },
        };
        let policy = self.policies.into_iter().next().flatten();
        let policy_left_out = self.identifier.is_some() && policy.is_none();
        let selector = self.identifier.map(|identifier| Selector {
            identifier,
            policy: policy.unwrap_or(Policy::Multivalue),
        });
        let kind = self
            .kind
            .ok_or_else(|| format!("'{}' is no record type", self.kind_text))?;
        Ok(Change {
            action: self.action,
            set: RecordSet {
                name,
                kind,
                selector,
                content,
                health_check: self.health_check,
            },
            policy_left_out,
        })
    }
}

/// The fault that an alias's target isn't there.
pub(super) fn target_not_found(target: &Name, kind: &str, zone: &str) -> String {
    format!(
        "Tried to create an alias that targets {target}, type {kind} in zone {zone}, but that \
         target was not found"
    )
}
