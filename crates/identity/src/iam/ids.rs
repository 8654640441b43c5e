//! Unique ids and access key ids, drawn from the environment's randomness, and times as the API
//! writes them. What an id is of is in its first four characters (IAM User Guide, "IAM
//! identifiers").

use types::Environment;
use types::calendar::{LAST_SECOND, SECONDS_PER_DAY, date_of};

use crate::model::Milliseconds;

/// Characters of an id after its first four.
const DIGITS: usize = 17;

/// What a unique id is of.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) enum IdKind {
    /// A user: `AIDA…`.
    User,
    /// A group: `AGPA…`.
    Group,
    /// A role: `AROA…`.
    Role,
    /// A managed policy: `ANPA…`.
    Policy,
    /// An instance profile: `AIPA…`.
    InstanceProfile,
    /// A server certificate: `ASCA…`.
    ServerCertificate,
}

impl IdKind {
    fn prefix(self) -> &'static str {
        match self {
            IdKind::User => "AIDA",
            IdKind::Group => "AGPA",
            IdKind::Role => "AROA",
            IdKind::Policy => "ANPA",
            IdKind::InstanceProfile => "AIPA",
            IdKind::ServerCertificate => "ASCA",
        }
    }
}

/// A new id of 21 characters. Of its 85 random bits none is used twice, so two are the same with
/// a chance that nobody need think of.
pub(crate) fn unique_id(environment: &dyn Environment, kind: IdKind) -> String {
    const ALPHABET: &[u8; 32] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZ234567";
    let mut id = String::from(kind.prefix());
    while id.len() < kind.prefix().len() + DIGITS {
        let mut random = environment.random();
        // Nine digits take 45 of the 64 bits.
        for _ in 0..9.min(kind.prefix().len() + DIGITS - id.len()) {
            id.push(char::from(ALPHABET[(random & 31) as usize]));
            random >>= 5;
        }
    }
    id
}

/// `2026-11-28T10:42:38Z`; what is later than the year 9999 is written as its last second.
pub(crate) fn time(at: Milliseconds) -> String {
    let seconds = (at / 1000).min(LAST_SECOND);
    let (year, month, day) = date_of(seconds / SECONDS_PER_DAY);
    let of_day = seconds % SECONDS_PER_DAY;
    format!(
        "{year:04}-{month:02}-{day:02}T{:02}:{:02}:{:02}Z",
        of_day / 3600,
        of_day / 60 % 60,
        of_day % 60
    )
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU64, Ordering};

    use types::{Monotonic, Now, Sleep, Timestamp};

    use super::*;

    struct Counting(AtomicU64);

    impl Environment for Counting {
        fn now(&self) -> Now {
            Now {
                wall: Timestamp(0),
                monotonic: Monotonic(0),
            }
        }

        fn sleep_until(&self, _: Monotonic) -> Sleep {
            Box::pin(std::future::ready(()))
        }

        fn random(&self) -> u64 {
            self.0.fetch_add(1, Ordering::Relaxed)
        }
    }

    #[test]
    fn ids_are_21_characters_and_say_what_they_are_of() {
        let environment = Counting(AtomicU64::new(0));
        let user = unique_id(&environment, IdKind::User);
        assert_eq!(user, "AIDAAAAAAAAAABAAAAAAA");
        for (kind, prefix) in [
            (IdKind::Group, "AGPA"),
            (IdKind::Role, "AROA"),
            (IdKind::Policy, "ANPA"),
            (IdKind::InstanceProfile, "AIPA"),
            (IdKind::ServerCertificate, "ASCA"),
        ] {
            let id = unique_id(&environment, kind);
            assert!(id.starts_with(prefix) && id.len() == 21, "{id}");
        }
    }

    #[test]
    fn times_are_in_seconds() {
        assert_eq!(time(1_440_938_160_999), "2015-08-30T12:36:00Z");
        assert_eq!(time(0), "1970-01-01T00:00:00Z");
        assert_eq!(time(u64::MAX), "9999-12-31T23:59:59Z");
    }
}
