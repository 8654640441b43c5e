//! Health checks as they are configured: the API's `HealthCheckConfig`, kept as JSON with a
//! version, and made into what checkers carry out. Nothing is probed here.

use std::net::IpAddr;

use aws::xml::XmlWriter;
use serde::{Deserialize, Serialize};
use types::{
    AccountId, ConfigurationView, HealthCheck, HealthCheckId, HttpProbe, Probe, Span, Tls,
};

use crate::{RoutingError, keys, tags};

/// The version of a health check's JSON.
const FORMAT: u8 = 1;

/// The version that names the account. Checks of the deployment's first account are written in
/// version 1, which has none.
const OWNED_FORMAT: u8 = 2;

/// What is checked, and how. Those that look at other checks, alarms or switches aren't built.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub(crate) enum CheckKind {
    #[serde(rename = "HTTP")]
    Http,
    #[serde(rename = "HTTPS")]
    Https,
    #[serde(rename = "HTTP_STR_MATCH")]
    HttpStrMatch,
    #[serde(rename = "HTTPS_STR_MATCH")]
    HttpsStrMatch,
    #[serde(rename = "TCP")]
    Tcp,
}

/// `HealthCheckConfig`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct CheckConfig {
    pub(crate) kind: CheckKind,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) address: Option<IpAddr>,
    pub(crate) port: u16,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) path: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) name: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) search: Option<String>,
    /// Seconds.
    pub(crate) interval: u8,
    pub(crate) threshold: u8,
    pub(crate) latency: bool,
    pub(crate) inverted: bool,
    pub(crate) disabled: bool,
    pub(crate) sni: bool,
    /// As they were given. Every site checks, whatever stands here.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub(crate) regions: Vec<String>,
}

/// A health check as it stands in the configuration.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct StoredCheck {
    format: u8,
    /// The account that owns it.
    #[serde(default = "first_account", skip_serializing_if = "is_first")]
    pub(crate) account: AccountId,
    pub(crate) reference: String,
    /// Counts the updates, from 1.
    pub(crate) version: u64,
    pub(crate) config: CheckConfig,
}

/// The account of what was stored without one.
fn first_account() -> AccountId {
    AccountId::LAB
}

/// Is it the account that needn't be said?
fn is_first(account: &AccountId) -> bool {
    *account == AccountId::LAB
}

impl CheckKind {
    /// Every kind that is built.
    pub(crate) const ALL: [CheckKind; 5] = [
        CheckKind::Http,
        CheckKind::Https,
        CheckKind::HttpStrMatch,
        CheckKind::HttpsStrMatch,
        CheckKind::Tcp,
    ];

    /// Its name in the API.
    pub(crate) fn name(self) -> &'static str {
        match self {
            CheckKind::Http => "HTTP",
            CheckKind::Https => "HTTPS",
            CheckKind::HttpStrMatch => "HTTP_STR_MATCH",
            CheckKind::HttpsStrMatch => "HTTPS_STR_MATCH",
            CheckKind::Tcp => "TCP",
        }
    }

    /// It speaks TLS.
    pub(crate) fn is_tls(self) -> bool {
        matches!(self, CheckKind::Https | CheckKind::HttpsStrMatch)
    }

    /// It looks for a text in the body.
    pub(crate) fn is_match(self) -> bool {
        matches!(self, CheckKind::HttpStrMatch | CheckKind::HttpsStrMatch)
    }
}

impl StoredCheck {
    /// A new one.
    pub(crate) fn new(account: AccountId, reference: String, config: CheckConfig) -> StoredCheck {
        StoredCheck {
            format: if is_first(&account) {
                FORMAT
            } else {
                OWNED_FORMAT
            },
            account,
            reference,
            version: 1,
            config,
        }
    }

    /// The bytes that stand in the configuration.
    pub(crate) fn encode(&self) -> bytes::Bytes {
        serde_json::to_vec(self)
            .expect("texts and numbers are JSON")
            .into()
    }

    fn decode(id: &str, bytes: &[u8]) -> Result<StoredCheck, RoutingError> {
        let unreadable =
            |reason: String| RoutingError::Unreadable(format!("health check {id}: {reason}"));
        let check: StoredCheck =
            serde_json::from_slice(bytes).map_err(|error| unreadable(error.to_string()))?;
        if check.format > OWNED_FORMAT {
            return Err(unreadable(format!(
                "format version {}; this program understands up to {OWNED_FORMAT}: start the newer \
                 version of the program",
                check.format
            )));
        }
        if is_first(&check.account) != (check.format == FORMAT) {
            return Err(unreadable("its account isn't of its format".to_owned()));
        }
        Ok(check)
    }

    /// What checkers carry out.
    fn carried_out(&self, id: HealthCheckId) -> HealthCheck {
        let config = &self.config;
        let path = config.path.as_deref().unwrap_or("/");
        let slash = if path.starts_with('/') { "" } else { "/" };
        let probe = match config.kind {
            CheckKind::Tcp => Probe::Tcp,
            kind => Probe::Http(HttpProbe {
                tls: kind.is_tls().then_some(Tls {
                    server_name: config.sni,
                }),
                path: format!("{slash}{path}"),
                search: config.search.clone(),
            }),
        };
        HealthCheck {
            id,
            probe,
            address: config.address,
            name: config.name.clone(),
            port: config.port,
            interval: Span::seconds(u64::from(config.interval)),
            threshold: config.threshold,
            inverted: config.inverted,
            disabled: config.disabled,
        }
    }

    /// `HealthCheck`.
    pub(crate) fn shape(&self, writer: &mut XmlWriter, id: &HealthCheckId) {
        let config = &self.config;
        writer
            .open("HealthCheck")
            .value("Id", id)
            .value("CallerReference", &self.reference)
            .open("HealthCheckConfig")
            .optional("IPAddress", config.address)
            .value("Port", config.port)
            .value("Type", config.kind.name())
            .optional("ResourcePath", config.path.as_ref())
            .optional("FullyQualifiedDomainName", config.name.as_ref())
            .optional("SearchString", config.search.as_ref())
            .value("RequestInterval", config.interval)
            .value("FailureThreshold", config.threshold)
            .value("MeasureLatency", config.latency)
            .value("Inverted", config.inverted)
            .value("Disabled", config.disabled)
            .value("EnableSNI", config.sni);
        if !config.regions.is_empty() {
            writer.open("Regions");
            for region in &config.regions {
                writer.value("Region", region);
            }
            writer.close();
        }
        writer
            .close()
            .value("HealthCheckVersion", self.version)
            .close();
    }
}

/// The account's health check of that id, and the revision that wrote it last. Another account's
/// isn't there.
pub(crate) fn find(
    view: &dyn ConfigurationView,
    account: AccountId,
    id: &HealthCheckId,
) -> Result<(u64, StoredCheck), RoutingError> {
    let missing = || RoutingError::NoSuchHealthCheck(id.0.chars().take(64).collect());
    let found = tags::is_check_id(id).then(|| view.get(&keys::check(id)));
    let (revision, bytes) = found.flatten().ok_or_else(missing)?;
    let check = StoredCheck::decode(&id.0, &bytes)?;
    match check.account == account {
        true => Ok((revision, check)),
        false => Err(missing()),
    }
}

/// The account's health checks, in the order of their ids.
pub(crate) fn all(
    view: &dyn ConfigurationView,
    account: AccountId,
) -> Result<Vec<(HealthCheckId, StoredCheck)>, RoutingError> {
    let mut checks = Vec::new();
    view.visit(keys::CHECKS, &mut |key, _, bytes| {
        let id = key.strip_prefix(keys::CHECKS).unwrap_or(key);
        let check = StoredCheck::decode(id, bytes);
        if check.as_ref().is_ok_and(|check| check.account != account) {
            return;
        }
        checks.push(check.map(|check| (HealthCheckId(id.to_owned()), check)));
    });
    checks.into_iter().collect()
}

/// How many health checks the account has.
pub(crate) fn count(
    view: &dyn ConfigurationView,
    account: AccountId,
) -> Result<usize, RoutingError> {
    Ok(all(view, account)?.len())
}

/// The health checks of the configuration, as checkers carry them out, in the order of their
/// ids. One that can't be read (a newer program wrote it) is left out: its last verdict stands.
pub fn health_checks(view: &dyn ConfigurationView) -> Vec<HealthCheck> {
    let mut checks = Vec::new();
    view.visit(keys::CHECKS, &mut |key, _, bytes| {
        let id = key.strip_prefix(keys::CHECKS).unwrap_or(key);
        match StoredCheck::decode(id, bytes) {
            Ok(check) => checks.push(check.carried_out(HealthCheckId(id.to_owned()))),
            Err(error) => tracing::warn!("{error}"),
        }
    });
    checks
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check() -> StoredCheck {
        StoredCheck::new(
            AccountId::LAB,
            "ref".to_owned(),
            CheckConfig {
                kind: CheckKind::HttpsStrMatch,
                address: Some(IpAddr::from([127, 1, 1, 1])),
                port: 8443,
                path: Some("health?full".to_owned()),
                name: Some("app.example.com".to_owned()),
                search: Some("ok".to_owned()),
                interval: 10,
                threshold: 3,
                latency: false,
                inverted: false,
                disabled: false,
                sni: true,
                regions: Vec::new(),
            },
        )
    }

    #[test]
    fn golden_bytes_of_a_health_check() {
        let golden = br#"{"format":1,"reference":"ref","version":1,"config":{"kind":"HTTPS_STR_MATCH","address":"127.1.1.1","port":8443,"path":"health?full","name":"app.example.com","search":"ok","interval":10,"threshold":3,"latency":false,"inverted":false,"disabled":false,"sni":true}}"#;
        assert_eq!(check().encode(), &golden[..]);
        assert_eq!(StoredCheck::decode("x", golden), Ok(check()));
        let newer = String::from_utf8_lossy(golden).replace("\"format\":1", "\"format\":3");
        let error = StoredCheck::decode("x", newer.as_bytes()).unwrap_err();
        assert!(error.to_string().contains("newer version"), "{error}");
        // Another account's says whose it is, in version 2.
        let account: AccountId = "444455556666".parse().unwrap();
        let owned = StoredCheck::new(account, "ref".to_owned(), check().config);
        let golden = String::from_utf8_lossy(golden)
            .replace("\"format\":1", "\"format\":2,\"account\":\"444455556666\"");
        assert_eq!(owned.encode(), golden.as_bytes());
        assert_eq!(StoredCheck::decode("x", golden.as_bytes()), Ok(owned));
        let unsaid = golden.replace("\"account\":\"444455556666\",", "");
        assert!(StoredCheck::decode("x", unsaid.as_bytes()).is_err());
    }

    #[test]
    fn a_path_is_probed_from_its_slash_on() {
        let carried_out = check().carried_out(HealthCheckId("id".to_owned()));
        let Probe::Http(probe) = carried_out.probe else {
            panic!("it is a probe by HTTP");
        };
        assert_eq!(probe.path, "/health?full");
        assert_eq!(probe.tls, Some(Tls { server_name: true }));
        assert_eq!(probe.search.as_deref(), Some("ok"));
        assert_eq!(carried_out.interval, Span::seconds(10));
    }
}
