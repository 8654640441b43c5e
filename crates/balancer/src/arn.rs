//! Amazon Resource Names of load balancers, listeners, rules and target groups. Whoever has a name
//! has no right by it, and what it names need not exist.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use types::{AccountId, Region};

use crate::model::{ListenerId, LoadBalancerId, LoadBalancerKind, RuleId, TargetGroupId};

/// How long a load balancer's or a target group's name is at most, in characters.
pub const MAX_NAME: usize = 32;

/// The text is not the name of such a thing.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
#[error("it is no Amazon Resource Name of Elastic Load Balancing")]
pub struct InvalidArn;

/// A load balancer's:
/// `arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/shop/50dc6c495c0c9188`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LoadBalancerArn {
    /// Its Region.
    pub region: Region,
    /// Whose it is.
    pub account: AccountId,
    /// Its kind: `app` or `net` in the name.
    pub kind: LoadBalancerKind,
    /// Its name, one of its own in the Region and account.
    pub name: String,
    /// What tells it from one that had its name before.
    pub id: LoadBalancerId,
}

/// A listener's: its load balancer's, `listener` in place of `loadbalancer`, and its id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct ListenerArn {
    /// Its load balancer's.
    pub balancer: LoadBalancerArn,
    /// Which of the load balancer's.
    pub listener: ListenerId,
}

/// A rule's: its listener's, `listener-rule` in place of `listener`, and its id.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RuleArn {
    /// Its listener's.
    pub listener: ListenerArn,
    /// Which of the listener's.
    pub rule: RuleId,
}

/// A target group's:
/// `arn:aws:elasticloadbalancing:us-east-1:111122223333:targetgroup/shop/73e2d6bc24d8a067`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct TargetGroupArn {
    /// Its Region.
    pub region: Region,
    /// Whose it is.
    pub account: AccountId,
    /// Its name, one of its own in the Region and account.
    pub name: String,
    /// What tells it from one that had its name before.
    pub id: TargetGroupId,
}

/// Any of them: what operations on tags are done to.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub enum Arn {
    /// A load balancer.
    LoadBalancer(LoadBalancerArn),
    /// A listener.
    Listener(ListenerArn),
    /// A rule.
    Rule(RuleArn),
    /// A target group.
    TargetGroup(TargetGroupArn),
}

impl Arn {
    /// The Region of what it names.
    pub fn region(&self) -> Region {
        match self {
            Arn::LoadBalancer(arn) => arn.region,
            Arn::Listener(arn) => arn.balancer.region,
            Arn::Rule(arn) => arn.listener.balancer.region,
            Arn::TargetGroup(arn) => arn.region,
        }
    }

    /// Whose is what it names?
    pub fn account(&self) -> AccountId {
        match self {
            Arn::LoadBalancer(arn) => arn.account,
            Arn::Listener(arn) => arn.balancer.account,
            Arn::Rule(arn) => arn.listener.balancer.account,
            Arn::TargetGroup(arn) => arn.account,
        }
    }
}

/// Whose the certificate is that an ARN of Certificate Manager's or IAM's names; `None`: it is no
/// such ARN.
pub fn certificate_account(arn: &str) -> Option<AccountId> {
    let mut parts = arn.splitn(6, ':');
    let mut next = || parts.next();
    let (Some("arn"), Some("aws"), Some(service), Some(_), Some(account), Some(resource)) =
        (next(), next(), next(), next(), next(), next())
    else {
        return None;
    };
    let is_one = match service {
        "acm" => resource.starts_with("certificate/"),
        "iam" => resource.starts_with("server-certificate/"),
        _ => false,
    };
    account.parse().ok().filter(|_| is_one)
}

impl LoadBalancerArn {
    fn write(&self, f: &mut fmt::Formatter<'_>, what: &str) -> fmt::Result {
        let LoadBalancerArn {
            region, account, ..
        } = self;
        let kind = self.kind.path();
        write!(
            f,
            "arn:aws:elasticloadbalancing:{region}:{account}:{what}/{kind}/"
        )?;
        write!(f, "{}/{}", self.name, self.id)
    }
}

impl fmt::Display for LoadBalancerArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.write(f, "loadbalancer")
    }
}

impl fmt::Display for ListenerArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.balancer.write(f, "listener")?;
        write!(f, "/{}", self.listener)
    }
}

impl fmt::Display for RuleArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.listener.balancer.write(f, "listener-rule")?;
        write!(f, "/{}/{}", self.listener.listener, self.rule)
    }
}

impl fmt::Display for TargetGroupArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let TargetGroupArn {
            region,
            account,
            name,
            id,
        } = self;
        write!(
            f,
            "arn:aws:elasticloadbalancing:{region}:{account}:targetgroup/{name}/{id}"
        )
    }
}

impl fmt::Display for Arn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Arn::LoadBalancer(arn) => arn.fmt(f),
            Arn::Listener(arn) => arn.fmt(f),
            Arn::Rule(arn) => arn.fmt(f),
            Arn::TargetGroup(arn) => arn.fmt(f),
        }
    }
}

impl FromStr for Arn {
    type Err = InvalidArn;

    fn from_str(text: &str) -> Result<Arn, InvalidArn> {
        let rest = text.strip_prefix("arn:aws:elasticloadbalancing:");
        let mut fields = rest.ok_or(InvalidArn)?.splitn(3, ':');
        let mut field = || fields.next().ok_or(InvalidArn);
        let region: Region = field()?.parse().map_err(|_| InvalidArn)?;
        let account: AccountId = field()?.parse().map_err(|_| InvalidArn)?;
        let parts: Vec<&str> = field()?.split('/').collect();
        if let ["targetgroup", name, id] = parts[..] {
            return Ok(Arn::TargetGroup(TargetGroupArn {
                region,
                account,
                name: checked_name(name)?,
                id: TargetGroupId(checked_id(id)?),
            }));
        }
        let [what, kind, name, id, below @ ..] = &parts[..] else {
            return Err(InvalidArn);
        };
        let balancer = LoadBalancerArn {
            region,
            account,
            kind: LoadBalancerKind::of_path(kind).ok_or(InvalidArn)?,
            name: checked_name(name)?,
            id: LoadBalancerId(checked_id(id)?),
        };
        let listener = |balancer, id: &str| {
            Ok(ListenerArn {
                balancer,
                listener: ListenerId(checked_id(id)?),
            })
        };
        match (*what, below) {
            ("loadbalancer", []) => Ok(Arn::LoadBalancer(balancer)),
            ("listener", [id]) => Ok(Arn::Listener(listener(balancer, id)?)),
            ("listener-rule", [id, rule]) => Ok(Arn::Rule(RuleArn {
                listener: listener(balancer, id)?,
                rule: RuleId(checked_id(rule)?),
            })),
            _ => Err(InvalidArn),
        }
    }
}

fn checked_name(text: &str) -> Result<String, InvalidArn> {
    let allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'-';
    let fits = (1..=MAX_NAME).contains(&text.len()) && text.bytes().all(allowed);
    fits.then(|| text.to_owned()).ok_or(InvalidArn)
}

fn checked_id(text: &str) -> Result<String, InvalidArn> {
    let digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
    let fits = text.len() == 16 && text.bytes().all(digit);
    fits.then(|| text.to_owned()).ok_or(InvalidArn)
}

/// What one kind of name shares with the others: read from any, and stored as text.
macro_rules! one_of_them {
    ($name:ident, $variant:ident) => {
        impl FromStr for $name {
            type Err = InvalidArn;

            fn from_str(text: &str) -> Result<$name, InvalidArn> {
                match text.parse()? {
                    Arn::$variant(arn) => Ok(arn),
                    _ => Err(InvalidArn),
                }
            }
        }

        impl fmt::Debug for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                fmt::Display::fmt(self, f)
            }
        }

        impl Serialize for $name {
            fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
                serializer.collect_str(self)
            }
        }

        impl<'de> Deserialize<'de> for $name {
            fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
                let text = String::deserialize(deserializer)?;
                text.parse().map_err(serde::de::Error::custom)
            }
        }
    };
}

one_of_them!(LoadBalancerArn, LoadBalancer);
one_of_them!(ListenerArn, Listener);
one_of_them!(RuleArn, Rule);
one_of_them!(TargetGroupArn, TargetGroup);

#[cfg(test)]
mod tests {
    use super::*;

    const BALANCER: &str = "arn:aws:elasticloadbalancing:us-east-1:111122223333:loadbalancer/app/shop/0123456789abcdef";

    #[test]
    fn names_are_read_as_they_are_written() {
        let listener = BALANCER.replace("loadbalancer", "listener") + "/00000000000000aa";
        let rule = listener.replace("listener/", "listener-rule/") + "/00000000000000bb";
        let group = "arn:aws:elasticloadbalancing:us-east-1:111122223333:targetgroup/\
                     shop/0123456789abcdef";
        let network = BALANCER.replace("/app/", "/net/");
        for text in [BALANCER, &listener, &rule, group, &network] {
            assert_eq!(text.parse::<Arn>().unwrap().to_string(), text);
        }
        assert!(listener.parse::<LoadBalancerArn>().is_err());
        assert!(group.parse::<RuleArn>().is_err());
        let arn: RuleArn = rule.parse().unwrap();
        assert_eq!(arn.listener.balancer.to_string(), BALANCER);
        assert_eq!(arn.listener.to_string(), listener);
    }

    #[test]
    fn a_certificate_is_of_the_account_that_its_name_has() {
        let account = |arn| certificate_account(arn).map(|account| account.to_string());
        for arn in [
            "arn:aws:acm:us-east-1:111122223333:certificate/shop",
            "arn:aws:iam::111122223333:server-certificate/a/path/shop",
        ] {
            assert_eq!(account(arn).as_deref(), Some("111122223333"), "{arn}");
        }
        for arn in [
            "",
            "arn:x",
            "arn:aws:iam:::server-certificate/shop",
            "arn:aws:iam::111122223333:role/shop",
            "arn:aws:acm:us-east-1:111122223333:server-certificate/shop",
            "arn:aws:s3:us-east-1:111122223333:certificate/shop",
        ] {
            assert_eq!(account(arn), None, "{arn}");
        }
    }

    #[test]
    fn what_is_no_name_is_refused() {
        for text in [
            "",
            "arn:aws:elasticloadbalancing",
            &BALANCER.replace("us-east-1", "us-east-9"),
            &BALANCER.replace("111122223333", "1111"),
            &BALANCER.replace("/app/", "/gwy/"),
            &BALANCER.replace("shop", "sh_op"),
            &BALANCER.replace("shop", &"s".repeat(33)),
            &BALANCER.replace("abcdef", "ABCDEF"),
            &BALANCER.replace("/0123", "/123"),
            &format!("{BALANCER}/0123456789abcdef"),
            &BALANCER.replace("loadbalancer", "listener"),
            &BALANCER.replace("loadbalancer", "targetgroup"),
        ] {
            assert!(text.parse::<Arn>().is_err(), "{text}");
        }
    }
}
