//! Caller references: what makes a repeated request known. Each is a key of its own, so that two
//! sites can't use one twice.

use types::{AccountId, ConfigurationEdit, ConfigurationExpected, ConfigurationView};

use crate::api_limits::MAX_DELETED_REFERENCES;

/// What a reference is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum Kind {
    /// A zone.
    Zone,
    /// A health check.
    HealthCheck,
}

/// What stands for the id where the resource is deleted and its reference stays taken.
pub(crate) const DELETED: &str = "deleted";

/// Bytes of a reference that stand in its key as they are; of a longer one, a hash ends it.
const MAX_PLAIN: usize = 300;

/// What an account's references of a kind stand under. Those of the deployment's first account are
/// where they were before there were others.
fn prefix(kind: Kind, account: AccountId) -> String {
    let kind = match kind {
        Kind::Zone => "zone",
        Kind::HealthCheck => "check",
    };
    match account == AccountId::LAB {
        true => format!("routing/reference/{kind}/"),
        false => format!("routing/reference/{kind}-of/{account}/"),
    }
}

/// The key of an account's caller reference.
pub(crate) fn key(kind: Kind, account: AccountId, reference: &str) -> String {
    let prefix = prefix(kind, account);
    if reference.len() <= MAX_PLAIN {
        return format!("{prefix}{reference}");
    }
    let cut = reference.floor_char_boundary(MAX_PLAIN);
    // FNV-1a: of two long references that begin alike, it is very unlikely to confuse any, and
    // who makes it do so is told that the reference is taken.
    let hash = reference.bytes().fold(
        0x6c62_272e_07bb_0142_62b8_2175_6295_c58d_u128,
        |hash, byte| {
            (hash ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b)
        },
    );
    format!("{prefix}{}#{hash:032x}", &reference[..cut])
}

/// What has that reference: an id, or [`DELETED`].
pub(crate) fn holder(view: &dyn ConfigurationView, key: &str) -> Option<String> {
    let (_, value) = view.get(key)?;
    Some(String::from_utf8_lossy(&value).into_owned())
}

/// The edit that takes a reference for the resource of that id.
pub(crate) fn take(key: String, id: &str) -> ConfigurationEdit {
    ConfigurationEdit {
        key,
        expected: ConfigurationExpected::Absent,
        value: Some(id.to_owned().into()),
    }
}

/// The edits that keep a reference taken after its resource is deleted, and free the oldest of
/// those kept so.
pub(crate) fn bury(
    view: &dyn ConfigurationView,
    kind: Kind,
    account: AccountId,
    reference: &str,
) -> Vec<ConfigurationEdit> {
    let mut buried: Vec<(u64, String)> = Vec::new();
    view.visit(&prefix(kind, account), &mut |key, revision, value| {
        if *value == DELETED.as_bytes() {
            buried.push((revision, key.to_owned()));
        }
    });
    buried.sort_unstable();
    let surplus = (buried.len() + 1).saturating_sub(MAX_DELETED_REFERENCES);
    let mut edits: Vec<ConfigurationEdit> = buried
        .into_iter()
        .take(surplus.min(MAX_DELETED_REFERENCES))
        .map(|(_, key)| free(key))
        .collect();
    edits.push(ConfigurationEdit {
        key: key(kind, account, reference),
        expected: ConfigurationExpected::Any,
        value: Some(DELETED.into()),
    });
    edits
}

/// The edit that frees a reference.
pub(crate) fn free(key: String) -> ConfigurationEdit {
    ConfigurationEdit {
        key,
        expected: ConfigurationExpected::Any,
        value: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_bounded_and_differ() {
        let (lab, other) = (AccountId::LAB, "444455556666".parse().unwrap());
        let zone = |account, reference: &str| key(Kind::Zone, account, reference);
        assert_eq!(zone(lab, "ref/1"), "routing/reference/zone/ref/1");
        assert_eq!(
            zone(other, "ref/1"),
            "routing/reference/zone-of/444455556666/ref/1"
        );
        let long = "\u{10ffff}".repeat(128);
        let like = format!("{}x", &long[..long.len() - 4]);
        let checks = key(Kind::HealthCheck, "444455556666".parse().unwrap(), &long);
        assert!(checks.len() <= crate::keys::MAX_KEY);
        assert_ne!(zone(lab, &long), zone(lab, &like));
    }
}
