//! The ARNs of Global Accelerator's resources. A text is one of these only if it is word by word
//! what is printed for it: what a policy was asked about and what an operation then finds are
//! the same.

use std::fmt;
use std::str::FromStr;

use types::AccountId;

use crate::model::{AcceleratorId, EndpointGroupId, ListenerId};

/// Characters of an id in an ARN, at most: a UUID's.
const MAX_ID: usize = 36;

/// `arn:aws:globalaccelerator::111122223333:accelerator/ID`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AcceleratorArn {
    /// Whose it is.
    pub account: AccountId,
    /// Its id.
    pub accelerator: AcceleratorId,
}

/// `…:accelerator/ID/listener/ID`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct ListenerArn {
    /// The accelerator's.
    pub accelerator: AcceleratorArn,
    /// The listener's id.
    pub listener: ListenerId,
}

/// `…:accelerator/ID/listener/ID/endpoint-group/ID`
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct EndpointGroupArn {
    /// The listener's.
    pub listener: ListenerArn,
    /// The group's id.
    pub group: EndpointGroupId,
}

/// The ARN of something that has tags.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Arn {
    /// Of an accelerator.
    Accelerator(AcceleratorArn),
    /// Of a listener.
    Listener(ListenerArn),
    /// Of an endpoint group.
    EndpointGroup(EndpointGroupArn),
}

/// The text is no ARN of that kind.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("it is not the ARN of such a resource of Global Accelerator")]
pub struct InvalidArn;

impl Arn {
    /// The accelerator that it is, or is below.
    pub fn accelerator(&self) -> &AcceleratorArn {
        match self {
            Arn::Accelerator(arn) => arn,
            Arn::Listener(arn) => &arn.accelerator,
            Arn::EndpointGroup(arn) => &arn.listener.accelerator,
        }
    }
}

impl FromStr for Arn {
    type Err = InvalidArn;

    fn from_str(text: &str) -> Result<Arn, InvalidArn> {
        let rest = text.strip_prefix("arn:aws:globalaccelerator::");
        let (account, path) = rest
            .and_then(|rest| rest.split_once(':'))
            .ok_or(InvalidArn)?;
        let account = account.parse().map_err(|_| InvalidArn)?;
        let mut parts = path.split('/');
        let mut id_of = |kind: &str| match (parts.next(), parts.next()) {
            (None, None) => Ok(None),
            (Some(found), Some(id)) if found == kind && is_id(id) => Ok(Some(id.to_owned())),
            _ => Err(InvalidArn),
        };
        let accelerator = AcceleratorArn {
            account,
            accelerator: AcceleratorId(id_of("accelerator")?.ok_or(InvalidArn)?),
        };
        let Some(listener) = id_of("listener")? else {
            return Ok(Arn::Accelerator(accelerator));
        };
        let listener = ListenerArn {
            accelerator,
            listener: ListenerId(listener),
        };
        let Some(group) = id_of("endpoint-group")? else {
            return Ok(Arn::Listener(listener));
        };
        let group = EndpointGroupId(group);
        match parts.next() {
            None => Ok(Arn::EndpointGroup(EndpointGroupArn { listener, group })),
            Some(_) => Err(InvalidArn),
        }
    }
}

/// Could it be the id of something? Its characters can't be mistaken for a part of a key.
fn is_id(text: &str) -> bool {
    let allowed = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    (1..=MAX_ID).contains(&text.len()) && text.bytes().all(allowed)
}

macro_rules! one_kind {
    ($($kind:ident: $arn:ident;)*) => {
        $(impl FromStr for $arn {
            type Err = InvalidArn;

            fn from_str(text: &str) -> Result<$arn, InvalidArn> {
                match text.parse::<Arn>()? {
                    Arn::$kind(arn) => Ok(arn),
                    _ => Err(InvalidArn),
                }
            }
        })*
    };
}

one_kind! {
    Accelerator: AcceleratorArn;
    Listener: ListenerArn;
    EndpointGroup: EndpointGroupArn;
}

impl fmt::Display for AcceleratorArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let (account, id) = (self.account, &self.accelerator.0);
        write!(f, "arn:aws:globalaccelerator::{account}:accelerator/{id}")
    }
}

impl fmt::Display for ListenerArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/listener/{}", self.accelerator, self.listener.0)
    }
}

impl fmt::Display for EndpointGroupArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/endpoint-group/{}", self.listener, self.group.0)
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Arn::Accelerator(arn) => arn.fmt(f),
            Arn::Listener(arn) => arn.fmt(f),
            Arn::EndpointGroup(arn) => arn.fmt(f),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const GROUP: &str = "arn:aws:globalaccelerator::111122223333:accelerator/\
        1234abcd-abcd-4234-abcd-1234abcdef00/listener/0123abcd/endpoint-group/098765fedcba";

    #[test]
    fn every_kind_reads_what_it_prints_and_no_other_kind_s() {
        let group: EndpointGroupArn = GROUP.parse().unwrap();
        let listener = group.listener.to_string();
        let accelerator = group.listener.accelerator.to_string();
        for (text, kinds) in [
            (GROUP.to_owned(), [false, false, true]),
            (listener, [false, true, false]),
            (accelerator, [true, false, false]),
        ] {
            assert_eq!(text.parse::<Arn>().unwrap().to_string(), text);
            let found = [
                text.parse::<AcceleratorArn>().is_ok(),
                text.parse::<ListenerArn>().is_ok(),
                text.parse::<EndpointGroupArn>().is_ok(),
            ];
            assert_eq!(found, kinds, "{text}");
        }
    }

    #[test]
    fn nothing_else_is_an_arn_of_these() {
        for text in [
            "",
            "arn:aws:globalaccelerator::111122223333:accelerator",
            "arn:aws:globalaccelerator::111122223333:accelerator/",
            "arn:aws:globalaccelerator::111122223333:accelerator/a/",
            "arn:aws:globalaccelerator::111122223333:accelerator/a/listener",
            "arn:aws:globalaccelerator::111122223333:accelerator/a/listener/b/",
            "arn:aws:globalaccelerator::111122223333:accelerator/a/group/b",
            "arn:aws:globalaccelerator::111122223333:accelerator/A",
            "arn:aws:globalaccelerator::111122223333:accelerator/a%2fb",
            "arn:aws:globalaccelerator::111122223333:listener/a",
            "arn:aws:globalaccelerator:us-west-2:111122223333:accelerator/a",
            "arn:aws:globalaccelerator::1111:accelerator/a",
            "arn:aws-cn:globalaccelerator::111122223333:accelerator/a",
            " arn:aws:globalaccelerator::111122223333:accelerator/a",
            &format!("{GROUP}/x"),
            &format!("{GROUP}/x/y"),
            &format!(
                "arn:aws:globalaccelerator::111122223333:accelerator/{}",
                "a".repeat(37)
            ),
        ] {
            assert_eq!(text.parse::<Arn>(), Err(InvalidArn), "{text}");
        }
    }
}
