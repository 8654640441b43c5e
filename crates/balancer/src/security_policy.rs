//! Security policies of HTTPS and TLS listeners: the names that AWS has (Application Load Balancers
//! User Guide, "Security policies"), and what a listener here offers by each.
//!
//! TLS 1.0 and 1.1, and ciphers without authenticated encryption or forward secrecy, are never
//! offered, and TLS 1.3 always is: a policy says whether TLS 1.2 is offered beside it, and each is
//! described as what a listener here offers. Policies of FIPS modules and post-quantum key exchange
//! aren't built: their names are unknown.

/// A security policy.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct SecurityPolicy {
    /// Its name.
    pub name: &'static str,
    /// Does it offer TLS 1.2, beside TLS 1.3?
    pub offers_1_2: bool,
}

/// The one of listeners that name none: the API's default.
pub const DEFAULT: &str = "ELBSecurityPolicy-2016-08";

/// Ciphers of TLS 1.3, in the order in which a listener prefers them where the client has no order
/// of its own.
const CIPHERS_1_3: &[&str] = &[
    "TLS_AES_256_GCM_SHA384",
    "TLS_AES_128_GCM_SHA256",
    "TLS_CHACHA20_POLY1305_SHA256",
];

/// Ciphers of TLS 1.2, by OpenSSL's names as the API has them.
const CIPHERS_1_2: &[&str] = &[
    "ECDHE-ECDSA-AES256-GCM-SHA384",
    "ECDHE-ECDSA-AES128-GCM-SHA256",
    "ECDHE-ECDSA-CHACHA20-POLY1305",
    "ECDHE-RSA-AES256-GCM-SHA384",
    "ECDHE-RSA-AES128-GCM-SHA256",
    "ECDHE-RSA-CHACHA20-POLY1305",
];

const fn policy(name: &'static str, offers_1_2: bool) -> SecurityPolicy {
    SecurityPolicy { name, offers_1_2 }
}

const POLICIES: &[SecurityPolicy] = &[
    policy("ELBSecurityPolicy-TLS13-1-3-2021-06", false),
    policy("ELBSecurityPolicy-TLS13-1-2-Res-2021-06", true),
    policy("ELBSecurityPolicy-TLS13-1-2-2021-06", true),
    policy("ELBSecurityPolicy-TLS13-1-2-Ext1-2021-06", true),
    policy("ELBSecurityPolicy-TLS13-1-2-Ext2-2021-06", true),
    policy("ELBSecurityPolicy-TLS13-1-1-2021-06", true),
    policy("ELBSecurityPolicy-TLS13-1-0-2021-06", true),
    policy("ELBSecurityPolicy-FS-1-2-Res-2020-10", true),
    policy("ELBSecurityPolicy-FS-1-2-Res-2019-08", true),
    policy("ELBSecurityPolicy-FS-1-2-2019-08", true),
    policy("ELBSecurityPolicy-FS-1-1-2019-08", true),
    policy("ELBSecurityPolicy-FS-2018-06", true),
    policy("ELBSecurityPolicy-TLS-1-2-Ext-2018-06", true),
    policy("ELBSecurityPolicy-TLS-1-2-2017-01", true),
    policy("ELBSecurityPolicy-TLS-1-1-2017-01", true),
    policy("ELBSecurityPolicy-TLS-1-0-2015-04", true),
    policy(DEFAULT, true),
];

impl SecurityPolicy {
    /// The policy of that name.
    pub fn find(name: &str) -> Option<SecurityPolicy> {
        let mut all = POLICIES.iter().copied();
        all.find(|policy| policy.name == name)
    }

    /// All of them, the stricter ones first.
    pub(crate) fn all() -> &'static [SecurityPolicy] {
        POLICIES
    }

    /// The versions of TLS that it offers, as the API writes them.
    pub(crate) fn versions(self) -> impl Iterator<Item = &'static str> {
        let offered = [("TLSv1.2", self.offers_1_2), ("TLSv1.3", true)];
        offered
            .into_iter()
            .filter_map(|(version, is)| is.then_some(version))
    }

    /// The ciphers that it offers, those preferred first.
    pub(crate) fn ciphers(self) -> impl Iterator<Item = &'static str> {
        let older: &'static [&'static str] = if self.offers_1_2 { CIPHERS_1_2 } else { &[] };
        CIPHERS_1_3.iter().chain(older).copied()
    }
}
