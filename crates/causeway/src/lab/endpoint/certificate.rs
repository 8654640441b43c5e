//! The certificates of the lab's endpoints, in PEM: made by its own authority with rcgen and ring,
//! or the operator's, of which only the names are read. Keys are new each time and never printed.

use std::net::{IpAddr, Ipv4Addr, Ipv6Addr};
use std::time::Duration;

use anyhow::Context;
use link::certificate::{AUTHORITY_VALIDITY, BACKDATED};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose,
};
use types::Timestamp;
use x509_parser::extensions::GeneralName;
use x509_parser::pem::parse_x509_pem;
use zeroize::Zeroizing;

use crate::failure::Failure;

/// How long a certificate is valid: 397 days, what clients take of public ones at most (CA/Browser
/// Forum, Baseline Requirements 6.3.2). A new one is made at each start.
const VALIDITY: Duration = Duration::from_secs(397 * 86_400);

/// The names in every certificate: a `*` under `localhost` itself is taken by few clients, so that
/// the services that are called by a name of their own have theirs.
const NAMES: [&str; 4] = ["localhost", "*.localhost", "s3.localhost", "*.s3.localhost"];

/// The subject of the authority. Authorities differ by their keys.
const AUTHORITY_NAME: &str = "Causeway endpoint authority";

/// The most names that can be asked for.
const MOST_NAMES: usize = 64;

/// A certificate and its key.
pub(super) struct Made {
    pub(super) certificate: String,
    pub(super) key: Zeroizing<String>,
}

/// Makes an authority.
pub(super) fn authority(now: Timestamp) -> anyhow::Result<Made> {
    let key = KeyPair::generate()?;
    let certificate = authority_parameters(now).self_signed(&key)?;
    Ok(Made {
        certificate: certificate.pem(),
        key: Zeroizing::new(key.serialize_pem()),
    })
}

/// Makes a certificate of the authority with that key, for this machine's own names and addresses,
/// and for those.
pub(super) fn issue(
    authority_key: &str,
    names: &[String],
    addresses: impl Iterator<Item = IpAddr>,
    now: Timestamp,
) -> anyhow::Result<Made> {
    let authority_key = KeyPair::from_pem(authority_key)
        .context("the key of the endpoint authority can't be read")?;
    let own: [IpAddr; 2] = [Ipv4Addr::LOCALHOST.into(), Ipv6Addr::LOCALHOST.into()];
    let mut all: Vec<String> = NAMES.map(str::to_owned).to_vec();
    all.extend(
        own.into_iter()
            .chain(addresses)
            .map(|address| address.to_string()),
    );
    all.extend_from_slice(names);
    let parameters = valid(of_server(without_repeats(all))?, now, VALIDITY);
    let key = KeyPair::generate()?;
    let issuer_parameters = authority_parameters(now);
    let issuer = Issuer::from_params(&issuer_parameters, &authority_key);
    Ok(Made {
        certificate: parameters.signed_by(&key, &issuer)?.pem(),
        key: Zeroizing::new(key.serialize_pem()),
    })
}

/// Signs another certificate with the authority's key, which is for that address as well: else for
/// whom that one is, of the same key, and for as long. A certificate that lists every address a
/// Region's databases may ever have would be 25 KB in each handshake.
pub(super) fn also_for(
    authority_key: &str,
    lab: (&str, &str),
    address: Ipv4Addr,
) -> anyhow::Result<String> {
    let authority_key = KeyPair::from_pem(authority_key)
        .context("the key of the endpoint authority can't be read")?;
    let (_, pem) = parse_x509_pem(lab.0.as_bytes()).context("there is no certificate in it")?;
    let certificate = pem.parse_x509().context("that is no X.509 certificate")?;
    let key = KeyPair::from_pem(lab.1).context("the key of the certificate can't be read")?;
    let mut names = vec![address.to_string()];
    if let Some(held) = certificate.subject_alternative_name()? {
        names.extend(held.value.general_names.iter().filter_map(name));
    }
    let mut parameters = of_server(without_repeats(names))?;
    let validity = certificate.validity();
    let at = |time: i64| {
        let since = Duration::from_secs(u64::try_from(time).unwrap_or(0));
        rcgen::date_time_ymd(1970, 1, 1) + since
    };
    parameters.not_before = at(validity.not_before.timestamp());
    parameters.not_after = at(validity.not_after.timestamp());
    // Drawn from the key if it isn't given, and no two of an authority may have the same (RFC 5280,
    // 4.1.2.2: 20 octets at most).
    let mut serial = certificate.raw_serial().to_vec();
    serial.truncate(16);
    serial.extend(address.octets());
    parameters.serial_number = Some(serial.into());
    let now = Timestamp(u64::try_from(validity.not_before.timestamp())? * 1000);
    let issuer_parameters = authority_parameters(now);
    let issuer = Issuer::from_params(&issuer_parameters, &authority_key);
    Ok(parameters.signed_by(&key, &issuer)?.pem())
}

/// A name or an address in a certificate, as a text.
fn name(name: &GeneralName<'_>) -> Option<String> {
    match name {
        GeneralName::DNSName(name) => Some((*name).to_owned()),
        GeneralName::IPAddress(octets) => match octets.len() {
            4 => <[u8; 4]>::try_from(*octets)
                .ok()
                .map(|it| Ipv4Addr::from(it).to_string()),
            _ => <[u8; 16]>::try_from(*octets)
                .ok()
                .map(|it| Ipv6Addr::from(it).to_string()),
        },
        _ => None,
    }
}

/// What every certificate of a server says beside when it is valid.
fn of_server(names: Vec<String>) -> anyhow::Result<CertificateParams> {
    let mut parameters = CertificateParams::new(names)?;
    parameters.distinguished_name = named("Causeway endpoint");
    parameters.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    parameters.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    parameters.use_authority_key_identifier_extension = true;
    Ok(parameters)
}

/// Refuses what can't stand in a certificate.
pub(super) fn check_names(names: &[String]) -> Result<(), Failure> {
    let next = "name hosts and addresses with --tls-names NAMES, commas between";
    if names.len() > MOST_NAMES {
        let failure = format!("a certificate has {MOST_NAMES} names of one's own at most");
        return Err(Failure::wrong_use(failure).then(next));
    }
    for name in names {
        let label = |label: &str| {
            let plain = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
            (1..=63).contains(&label.len()) && label.bytes().all(plain)
        };
        let host = name.strip_prefix("*.").unwrap_or(name);
        let is_host = host.len() <= 253 && host.split('.').all(label);
        if !is_host && name.parse::<IpAddr>().is_err() {
            let failure = format!("'{name}' is neither a host's name nor an address");
            return Err(Failure::wrong_use(failure).then(next));
        }
    }
    Ok(())
}

/// By what name a server with that certificate is to be called: `None` by its address, if the
/// certificate is for that or names nobody.
pub(super) fn host(pem: &str, address: IpAddr) -> anyhow::Result<Option<String>> {
    let (_, pem) = parse_x509_pem(pem.as_bytes()).context("there is no certificate in it")?;
    let certificate = pem.parse_x509().context("that is no X.509 certificate")?;
    let names = certificate.subject_alternative_name()?;
    let names = names.map(|names| names.value.general_names.as_slice());
    let octets = match address {
        IpAddr::V4(address) => address.octets().to_vec(),
        IpAddr::V6(address) => address.octets().to_vec(),
    };
    let names = names.unwrap_or_default();
    if names.contains(&GeneralName::IPAddress(&octets)) {
        return Ok(None);
    }
    let hosts = names.iter().filter_map(|name| match name {
        GeneralName::DNSName(name) if !name.contains('*') => Some((*name).to_owned()),
        _ => None,
    });
    Ok(hosts.min_by_key(|name| name != "localhost"))
}

fn authority_parameters(now: Timestamp) -> CertificateParams {
    let mut parameters = CertificateParams::default();
    parameters.distinguished_name = named(AUTHORITY_NAME);
    // It signs certificates of servers, and no other authority's.
    parameters.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    parameters.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    valid(parameters, now, AUTHORITY_VALIDITY)
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn valid(
    mut parameters: CertificateParams,
    now: Timestamp,
    validity: Duration,
) -> CertificateParams {
    let now = Duration::from_millis(now.0);
    let epoch = rcgen::date_time_ymd(1970, 1, 1);
    parameters.not_before = epoch + now.saturating_sub(BACKDATED);
    parameters.not_after = epoch + now + validity;
    parameters
}

fn without_repeats(names: Vec<String>) -> Vec<String> {
    let mut seen = std::collections::BTreeSet::new();
    let first = names.into_iter();
    first.filter(|name| seen.insert(name.clone())).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: Timestamp = Timestamp(1_700_000_000_000);

    #[test]
    fn a_certificate_is_for_the_machine_the_regions_and_what_was_asked_for() {
        let authority = authority(NOW).unwrap();
        let names = ["lab.example.com", "192.0.2.7", "localhost"].map(str::to_owned);
        let region: IpAddr = "127.1.2.1".parse().unwrap();
        let made = issue(&authority.key, &names, [region].into_iter(), NOW).unwrap();
        for address in ["127.0.0.1", "::1", "127.1.2.1", "192.0.2.7"] {
            let host = host(&made.certificate, address.parse().unwrap()).unwrap();
            assert_eq!(host, None, "{address}");
        }
        let elsewhere = host(&made.certificate, "192.0.2.8".parse().unwrap()).unwrap();
        assert_eq!(elsewhere.as_deref(), Some("localhost"));
        assert!(issue("no key", &names, std::iter::empty(), NOW).is_err());
    }

    #[test]
    fn a_database_s_certificate_is_the_lab_s_and_for_its_own_address_as_well() {
        let authority = authority(NOW).unwrap();
        let names = ["lab.example.com", "2001:db8::1"].map(str::to_owned);
        let made = issue(&authority.key, &names, std::iter::empty(), NOW).unwrap();
        let lab = (made.certificate.as_str(), made.key.as_str());
        let [one, other] = [[127, 36, 0, 9], [127, 36, 0, 10]].map(Ipv4Addr::from);
        let its = also_for(&authority.key, lab, one).unwrap();
        for address in ["127.36.0.9", "127.0.0.1", "::1", "2001:db8::1"] {
            let host = host(&its, address.parse().unwrap()).unwrap();
            assert_eq!(host, None, "{address}");
        }
        assert!(
            host(&its, other.into()).unwrap().is_some(),
            "not for another"
        );
        runtime::EndpointTls::from_pem(&its, &made.key).unwrap();
        let others = also_for(&authority.key, lab, other).unwrap();
        let read = |text: &str| parse_x509_pem(text.as_bytes()).unwrap().1.contents;
        let ders = [&made.certificate, &its, &others].map(|text| read(text));
        let [lab, its, others] = ders
            .each_ref()
            .map(|der| x509_parser::parse_x509_certificate(der).unwrap().1);
        assert_eq!(its.validity(), lab.validity());
        assert_eq!(
            (its.issuer(), its.public_key()),
            (lab.issuer(), lab.public_key())
        );
        assert_ne!(its.raw_serial(), others.raw_serial());
        assert!(its.raw_serial().len() <= 20);
        assert!(also_for("no key", (&made.certificate, &made.key), one).is_err());
    }

    #[test]
    fn a_host_s_own_certificate_says_its_name() {
        let authority = authority(NOW).unwrap();
        let key = KeyPair::from_pem(&authority.key).unwrap();
        let names = vec!["*.example.com".to_owned(), "lab.example.com".to_owned()];
        let own = CertificateParams::new(names).unwrap().self_signed(&key);
        let host = host(&own.unwrap().pem(), "127.0.0.1".parse().unwrap()).unwrap();
        assert_eq!(host.as_deref(), Some("lab.example.com"));
        assert!(super::host("nothing", "127.0.0.1".parse().unwrap()).is_err());
    }

    #[test]
    fn names_that_no_certificate_can_have_are_refused() {
        let good = [
            "a",
            "a-b.example",
            "*.example.com",
            "192.0.2.1",
            "2001:db8::1",
        ];
        check_names(&good.map(str::to_owned)).unwrap();
        let long = "a".repeat(64);
        for name in [
            "",
            "a..b",
            "a b",
            "*",
            "*.",
            "a.*.b",
            "https://a",
            "a:1",
            "\u{e9}",
            &long,
        ] {
            assert!(check_names(&[name.to_owned()]).is_err(), "{name}");
        }
        assert!(check_names(&vec!["a".to_owned(); 65]).is_err());
    }
}
