//! Changes as `GetChange` knows them: when each was made and what was said of it. A change's
//! revision is that of its key. An account's newest 1,000 are kept; a new one removes the oldest
//! in the very change that it notes.

use bytes::Bytes;
use types::{AccountId, ConfigurationEdit, ConfigurationExpected, ConfigurationView, Timestamp};

use crate::RoutingError;
use crate::api_limits::{MAX_CHANGES, MAX_FORGOTTEN};

/// Every change stands under this prefix.
const PREFIX: &str = "routing/change/";

/// The version of a change's bytes.
const VERSION: u8 = 1;

/// The version that begins with the account's 12 digits. Changes of the deployment's first account
/// are written in version 1, which has none.
const OWNED_VERSION: u8 = 2;

/// A change that was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(crate) struct ChangeNote {
    /// The account that made it.
    pub(crate) account: AccountId,
    /// Its id, without `/change/`.
    pub(crate) id: String,
    /// When it was asked for.
    pub(crate) submitted: Timestamp,
    /// What its author said of it.
    pub(crate) comment: Option<String>,
}

impl ChangeNote {
    /// The edits that note it and forget the oldest.
    pub(crate) fn edits(&self, view: &dyn ConfigurationView) -> Vec<ConfigurationEdit> {
        let mut noted: Vec<(u64, String)> = Vec::new();
        view.visit(PREFIX, &mut |key, revision, bytes| {
            if owner(bytes).is_some_and(|(account, _)| account == self.account) {
                noted.push((revision, key.to_owned()));
            }
        });
        noted.sort_unstable();
        let surplus = (noted.len() + 1).saturating_sub(MAX_CHANGES);
        let forgotten = noted.into_iter().take(surplus.min(MAX_FORGOTTEN));
        let mut edits: Vec<ConfigurationEdit> = forgotten
            .map(|(_, key)| ConfigurationEdit {
                key,
                expected: ConfigurationExpected::Any,
                value: None,
            })
            .collect();
        edits.push(ConfigurationEdit {
            key: format!("{PREFIX}{}", self.id),
            expected: ConfigurationExpected::Absent,
            value: Some(self.encode()),
        });
        edits
    }

    fn encode(&self) -> Bytes {
        let mut bytes = vec![VERSION];
        if self.account != AccountId::LAB {
            bytes[0] = OWNED_VERSION;
            bytes.extend(self.account.to_string().bytes());
        }
        bytes.extend(self.submitted.0.to_be_bytes());
        // A comment may be empty; none at all is another thing.
        bytes.push(u8::from(self.comment.is_some()));
        bytes.extend(self.comment.as_deref().unwrap_or("").bytes());
        bytes.into()
    }

    fn decode(id: &str, bytes: &[u8]) -> Option<ChangeNote> {
        let (account, rest) = owner(bytes)?;
        let (submitted, rest) = rest.split_first_chunk()?;
        let (&commented, comment) = rest.split_first()?;
        let comment = std::str::from_utf8(comment).ok()?;
        let valid = commented == 1 || commented == 0 && comment.is_empty();
        valid.then(|| ChangeNote {
            account,
            id: id.to_owned(),
            submitted: Timestamp(u64::from_be_bytes(*submitted)),
            comment: (commented == 1).then(|| comment.to_owned()),
        })
    }
}

/// Who made the change of these bytes, and what follows.
fn owner(bytes: &[u8]) -> Option<(AccountId, &[u8])> {
    match bytes.split_first()? {
        (&VERSION, rest) => Some((AccountId::LAB, rest)),
        (&OWNED_VERSION, rest) => {
            let (digits, rest) = rest.split_at_checked(AccountId::DIGITS)?;
            let account = std::str::from_utf8(digits).ok()?.parse().ok()?;
            (account != AccountId::LAB).then_some((account, rest))
        }
        _ => None,
    }
}

/// The account's change of that id, with or without `/change/`, and its revision. Another
/// account's isn't there.
pub(crate) fn find(
    view: &dyn ConfigurationView,
    account: AccountId,
    id: &str,
) -> Result<(u64, ChangeNote), RoutingError> {
    let bare = id.trim_start_matches('/');
    let bare = bare.strip_prefix("change/").unwrap_or(bare);
    let missing = || RoutingError::NoSuchChange(bare.chars().take(64).collect());
    let valid = bare.len() <= 32 && bare.bytes().all(|byte| byte.is_ascii_alphanumeric());
    let found = valid
        .then(|| view.get(&format!("{PREFIX}{bare}")))
        .flatten();
    let (revision, bytes) = found.ok_or_else(missing)?;
    let note = ChangeNote::decode(bare, &bytes)
        .ok_or_else(|| RoutingError::Unreadable(format!("change {bare} is not readable")))?;
    match note.account == account {
        true => Ok((revision, note)),
        false => Err(missing()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn golden_bytes_of_a_change() {
        let other: AccountId = "444455556666".parse().unwrap();
        for (account, comment, golden) in [
            (AccountId::LAB, None, &b"\x01\0\0\0\0\0\0\x01\x02\0"[..]),
            (AccountId::LAB, Some(""), b"\x01\0\0\0\0\0\0\x01\x02\x01"),
            (
                AccountId::LAB,
                Some("hi"),
                b"\x01\0\0\0\0\0\0\x01\x02\x01hi",
            ),
            (other, None, b"\x02444455556666\0\0\0\0\0\0\x01\x02\0"),
        ] {
            let note = ChangeNote {
                account,
                id: "C1".to_owned(),
                submitted: Timestamp(258),
                comment: comment.map(str::to_owned),
            };
            assert_eq!(note.encode(), golden);
            assert_eq!(ChangeNote::decode("C1", golden), Some(note));
        }
        for bad in [
            &b""[..],
            b"\x03",
            b"\x02",
            b"\x02111122223333\0\0\0\0\0\0\x01\x02\0",
            b"\x01\0\0\0\0\0\0\x01\x02",
            b"\x01\0\0\0\0\0\0\x01\x02\0x",
        ] {
            assert_eq!(ChangeNote::decode("C1", bad), None);
        }
    }
}
