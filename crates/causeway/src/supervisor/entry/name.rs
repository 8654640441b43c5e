//! The name that leads to the accelerator: a zone whose own name is an alias of it. A record that
//! is there already is left as it is, but for an alias of an accelerator that is no more.

use http::Method;

use super::ZONE;
use crate::failure::Failure;
use crate::gameday::api::{Api, element, elements, escaped, required};

/// The id of the zone that names of accelerators are in, for alias records (AWS General Reference,
/// "AWS Global Accelerator endpoints and quotas").
const ACCELERATORS: &str = "Z2BJ6XQ5FK7U4H";

/// How names of accelerators end.
const ACCELERATOR: &str = ".awsglobalaccelerator.com";

/// Makes what is missing of it. `reference`: the caller's, should the zone be new.
pub(super) async fn make(api: &Api, accelerator: &str, reference: &str) -> Result<(), Failure> {
    let zone = zone(api, reference).await?;
    let path = format!("/hostedzone/{zone}/rrset?name={ZONE}&type=A&maxitems=1");
    let known = api.route53(Method::GET, &path, String::new()).await?;
    let Some(action) = action(&known, accelerator) else {
        return Ok(());
    };
    let path = format!("/hostedzone/{zone}/rrset");
    let change = change(action, accelerator);
    api.route53(Method::POST, &path, change).await?;
    Ok(())
}

/// The zone's id.
async fn zone(api: &Api, reference: &str) -> Result<String, Failure> {
    let path = format!("/hostedzonesbyname?dnsname={ZONE}&maxitems=1");
    let known = api.route53(Method::GET, &path, String::new()).await?;
    let mut zones = elements(&known, "HostedZone");
    let is_ours = |zone: &String| element(zone, "Name") == Some(format!("{ZONE}."));
    let xml = match zones.find(is_ours) {
        Some(zone) => zone,
        None => {
            let xml = format!(
                "<CreateHostedZoneRequest xmlns=\"{}\"><Name>{ZONE}</Name>\
                 <CallerReference>causeway-app-{reference}</CallerReference>\
                 </CreateHostedZoneRequest>",
                aws::rest::ROUTE53.namespace,
            );
            api.route53(Method::POST, "/hostedzone", xml).await?
        }
    };
    let id = required(&xml, "Id", "the zone of the application")?;
    Ok(id.rsplit('/').next().unwrap_or_default().to_owned())
}

/// What is to be done to the record, by the listing that begins with it; nothing, if it is good or
/// somebody's own.
fn action(known: &str, accelerator: &str) -> Option<&'static str> {
    let mut records = elements(known, "ResourceRecordSet");
    let is_it = |record: &String| {
        let name = element(record, "Name");
        name == Some(format!("{ZONE}.")) && element(record, "Type").as_deref() == Some("A")
    };
    let Some(record) = records.find(is_it) else {
        return Some("CREATE");
    };
    let target = element(&record, "DNSName")?;
    let target = target.trim_end_matches('.');
    let is_stale = target.ends_with(ACCELERATOR) && target != accelerator;
    is_stale.then_some("UPSERT")
}

fn change(action: &str, accelerator: &str) -> String {
    let (namespace, target) = (aws::rest::ROUTE53.namespace, escaped(accelerator));
    format!(
        "<ChangeResourceRecordSetsRequest xmlns=\"{namespace}\"><ChangeBatch><Changes><Change>\
         <Action>{action}</Action><ResourceRecordSet><Name>{ZONE}</Name><Type>A</Type>\
         <AliasTarget><HostedZoneId>{ACCELERATORS}</HostedZoneId><DNSName>{target}</DNSName>\
         <EvaluateTargetHealth>false</EvaluateTargetHealth></AliasTarget></ResourceRecordSet>\
         </Change></Changes></ChangeBatch></ChangeResourceRecordSetsRequest>"
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn listing(name: &str, kind: &str, inner: &str) -> String {
        format!(
            "<ResourceRecordSets><ResourceRecordSet><Name>{name}</Name><Type>{kind}</Type>{inner}\
             </ResourceRecordSet></ResourceRecordSets>"
        )
    }

    #[test]
    fn a_record_is_made_once_and_follows_a_new_accelerator_alone() {
        let now = "a1.awsglobalaccelerator.com";
        let alias = |to: &str| format!("<AliasTarget><DNSName>{to}.</DNSName></AliasTarget>");
        let own = "<ResourceRecords><ResourceRecord><Value>192.0.2.1</Value></ResourceRecord>";
        for (listing, wanted) in [
            (String::new(), Some("CREATE")),
            (listing("app.test.", "NS", ""), Some("CREATE")),
            (listing("b.app.test.", "A", own), Some("CREATE")),
            (listing("app.test.", "A", &alias(now)), None),
            (
                listing("app.test.", "A", &alias("a0.awsglobalaccelerator.com")),
                Some("UPSERT"),
            ),
            (listing("app.test.", "A", &alias("www.example.com")), None),
            (listing("app.test.", "A", own), None),
        ] {
            assert_eq!(action(&listing, now), wanted, "{listing}");
        }
    }
}
