//! To whom events go: named as AWS names topics, queues and functions, reached as webhooks that
//! the operator allowed. It opens no connection.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::str::FromStr;

use bytes::Bytes;
use serde::{Deserialize, Deserializer, Serialize, Serializer};
use types::AccountId;

use crate::ObjectError;

/// What kind of thing a target is named as.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum TargetKind {
    /// A topic of SNS.
    Topic,
    /// A queue of SQS.
    Queue,
    /// A function of Lambda.
    Function,
}

/// A target's name: `arn:aws:sns:REGION:ACCOUNT:NAME`, `arn:aws:sqs:REGION:ACCOUNT:NAME` or
/// `arn:aws:lambda:REGION:ACCOUNT:function:NAME`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Debug)]
pub struct TargetArn(String);

/// The longest name of a target, in bytes: longer than AWS's services let any be.
const LONGEST_ARN: usize = 512;

impl TargetArn {
    /// The ARN.
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What it is named as.
    pub fn kind(&self) -> TargetKind {
        match self.part(2) {
            "sns" => TargetKind::Topic,
            "sqs" => TargetKind::Queue,
            _ => TargetKind::Function,
        }
    }

    /// The Region that it is in.
    pub fn region(&self) -> &str {
        self.part(3)
    }

    /// The name by which the operator allows it: the last of the ARN, without a function's
    /// version or alias.
    pub fn name(&self) -> &str {
        match self.kind() {
            TargetKind::Topic | TargetKind::Queue => self.part(5),
            TargetKind::Function => self.part(6),
        }
    }

    fn part(&self, at: usize) -> &str {
        let part = self.0.split(':').nth(at);
        part.expect("an ARN that was taken has all its parts")
    }
}

impl FromStr for TargetArn {
    type Err = ObjectError;

    fn from_str(text: &str) -> Result<TargetArn, ObjectError> {
        let parts: Vec<&str> = text.split(':').collect();
        let word = |part: &&str| {
            let is_word = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.$".contains(&byte);
            !part.is_empty() && part.bytes().all(is_word)
        };
        let place =
            |region: &str, account: &str| word(&region) && account.parse::<AccountId>().is_ok();
        let holds = match parts[..] {
            ["arn", "aws", "sns" | "sqs", region, account, name] => {
                place(region, account) && word(&name)
            }
            [
                "arn",
                "aws",
                "lambda",
                region,
                account,
                "function",
                ref names @ ..,
            ] => place(region, account) && (1..=2).contains(&names.len()) && names.iter().all(word),
            _ => false,
        };
        match holds && text.len() <= LONGEST_ARN {
            true => Ok(TargetArn(text.to_owned())),
            false => Err(ObjectError::refused(
                "InvalidArgument",
                "The ARN could not be parsed",
            )),
        }
    }
}

impl fmt::Display for TargetArn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl Serialize for TargetArn {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

impl<'de> Deserialize<'de> for TargetArn {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<TargetArn, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A message on its way to a target.
pub type Posting<'a> = Pin<Box<dyn Future<Output = Result<(), PostError>> + Send + 'a>>;

/// The webhooks that the operator allowed.
pub trait Webhooks: Send + Sync + 'static {
    /// May events of this Region go there?
    fn allows(&self, target: &TargetArn) -> bool;

    /// Posts JSON there, in bounded time; done when the target has answered with a status of
    /// 200 to 299.
    fn post<'a>(&'a self, target: &'a TargetArn, body: Bytes) -> Posting<'a>;
}

/// The target has not taken it.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum PostError {
    /// It answered with another status.
    #[error("it answered {0}")]
    Refused(u16),
    /// It could not be reached, or didn't answer in time.
    #[error("{0}")]
    Unreachable(String),
}

/// The webhooks of an operator who allowed none.
#[derive(Clone, Copy, Debug)]
pub struct NoWebhooks;

impl Webhooks for NoWebhooks {
    fn allows(&self, _: &TargetArn) -> bool {
        false
    }

    fn post<'a>(&'a self, _: &'a TargetArn, _: Bytes) -> Posting<'a> {
        let refused = PostError::Unreachable("no webhook is allowed".to_owned());
        Box::pin(std::future::ready(Err(refused)))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_topics_queues_and_functions() {
        for (text, kind, name) in [
            (
                "arn:aws:sns:us-east-1:111122223333:t-1",
                TargetKind::Topic,
                "t-1",
            ),
            (
                "arn:aws:sqs:us-east-1:111122223333:q.fifo",
                TargetKind::Queue,
                "q.fifo",
            ),
            (
                "arn:aws:lambda:us-east-1:111122223333:function:f:live",
                TargetKind::Function,
                "f",
            ),
        ] {
            let target: TargetArn = text.parse().unwrap();
            assert_eq!(target.kind(), kind);
            assert_eq!(target.name(), name);
            assert_eq!(target.region(), "us-east-1");
        }
        for text in [
            "",
            "arn:aws:sns:us-east-1:111122223333",
            "arn:aws:sns:us-east-1:1:t",
            "arn:aws:sns::111122223333:t",
            "arn:aws:sns:us-east-1:111122223333:t:u",
            "arn:aws:sns:us-east-1:111122223333:a b",
            "arn:aws:sns:us-east-1:111122223333:a\0b",
            "arn:aws:lambda:us-east-1:111122223333:layer:f",
            "arn:aws:lambda:us-east-1:111122223333:function:f:1:2",
            "arn:aws:kinesis:us-east-1:111122223333:t",
            "http://example.com/",
        ] {
            let refused = text.parse::<TargetArn>().unwrap_err();
            assert_eq!(refused.to_string(), "The ARN could not be parsed", "{text}");
        }
    }
}
