//! Where events of buckets may go: what the operator allows, and nothing else. A target that a
//! bucket's notifications name (a topic, a queue, a function) is told by POST to the address that
//! stands here beside its name. Addresses are of plain HTTP; there is no HTTPS to other servers.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use http::Uri;
use objects::notify::TargetArn;
use serde::{Deserialize, Serialize};

/// A name or an ARN of a target, `=`, and the address that it is told at.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Webhook {
    /// A target's whole ARN, or the last part of it: then of every Region and account.
    pub target: String,
    /// Where it is told.
    pub url: WebhookUrl,
}

/// `http://HOST:PORT/PATH`.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct WebhookUrl(Uri);

/// Those that are allowed, by their targets.
pub type Webhooks = BTreeMap<String, WebhookUrl>;

/// The text is no webhook.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub enum InvalidWebhook {
    /// There is no `=` in it, or nothing before it.
    #[error("a webhook is TARGET=URL: a target's name or ARN, and where it is told")]
    Form,
    /// It looks like an ARN and is none of a target.
    #[error("that is no ARN of an SNS topic, an SQS queue or a Lambda function")]
    Target,
    /// The address isn't one that is posted to.
    #[error("a webhook's address is http://HOST:PORT/PATH; https isn't built")]
    Url,
}

impl FromStr for WebhookUrl {
    type Err = InvalidWebhook;

    fn from_str(text: &str) -> Result<WebhookUrl, InvalidWebhook> {
        let url: Uri = text.parse().map_err(|_| InvalidWebhook::Url)?;
        let has_user = url
            .authority()
            .is_some_and(|part| part.as_str().contains('@'));
        let host = url.host().unwrap_or_default();
        match url.scheme_str() == Some("http") && !host.is_empty() && !has_user {
            true => Ok(WebhookUrl(url)),
            false => Err(InvalidWebhook::Url),
        }
    }
}

impl WebhookUrl {
    /// The host, without brackets around an address.
    pub fn host(&self) -> &str {
        let host = self.0.host().unwrap_or_default();
        host.trim_start_matches('[').trim_end_matches(']')
    }

    /// The port; 80 where none is said.
    pub fn port(&self) -> u16 {
        self.0.port_u16().unwrap_or(80)
    }

    /// The host and the port as they were written: the header `Host`.
    pub fn authority(&self) -> &str {
        self.0
            .authority()
            .map_or("", |authority| authority.as_str())
    }

    /// What is asked for there.
    pub fn path(&self) -> &str {
        self.0.path_and_query().map_or("/", |path| path.as_str())
    }
}

impl fmt::Display for WebhookUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl TryFrom<String> for WebhookUrl {
    type Error = InvalidWebhook;

    fn try_from(text: String) -> Result<WebhookUrl, InvalidWebhook> {
        text.parse()
    }
}

impl From<WebhookUrl> for String {
    fn from(url: WebhookUrl) -> String {
        url.to_string()
    }
}

impl FromStr for Webhook {
    type Err = InvalidWebhook;

    fn from_str(text: &str) -> Result<Webhook, InvalidWebhook> {
        let (target, url) = text.split_once('=').ok_or(InvalidWebhook::Form)?;
        let is_name = |name: &str| {
            let valid = |byte: u8| byte.is_ascii_alphanumeric() || b"-_.".contains(&byte);
            !name.is_empty() && name.bytes().all(valid)
        };
        match target {
            arn if arn.starts_with("arn:") => {
                let parsed: Result<TargetArn, _> = arn.parse();
                parsed.map_err(|_| InvalidWebhook::Target)?;
            }
            name if is_name(name) => {}
            _ => return Err(InvalidWebhook::Form),
        }
        Ok(Webhook {
            target: target.to_owned(),
            url: url.parse()?,
        })
    }
}

/// The address of a target, if it may be told.
pub fn address_of<'a>(webhooks: &'a Webhooks, target: &TargetArn) -> Option<&'a WebhookUrl> {
    let by_arn = webhooks.get(target.as_str());
    by_arn.or_else(|| webhooks.get(target.name()))
}

#[cfg(test)]
mod tests {
    use super::*;

    const TOPIC: &str = "arn:aws:sns:us-east-1:111122223333:orders";

    #[test]
    fn a_webhook_names_its_target_and_an_address_of_plain_http() {
        let hook: Webhook = "orders=http://127.0.0.1:9000/hook?a=b".parse().unwrap();
        assert_eq!(hook.target, "orders");
        let url = &hook.url;
        assert_eq!((url.host(), url.port()), ("127.0.0.1", 9000));
        assert_eq!(url.path(), "/hook?a=b");
        let hook: Webhook = format!("{TOPIC}=http://[::1]/").parse().unwrap();
        assert_eq!((hook.url.host(), hook.url.port()), ("::1", 80));
        for (text, expected) in [
            ("orders", InvalidWebhook::Form),
            ("=http://a/", InvalidWebhook::Form),
            ("a b=http://a/", InvalidWebhook::Form),
            ("arn:aws:s3:::b=http://a/", InvalidWebhook::Target),
            ("orders=https://a/", InvalidWebhook::Url),
            ("orders=a", InvalidWebhook::Url),
            ("orders=http://u:p@a/", InvalidWebhook::Url),
            ("orders=http:///", InvalidWebhook::Url),
        ] {
            assert_eq!(text.parse::<Webhook>(), Err(expected), "{text}");
        }
    }

    #[test]
    fn a_target_is_found_by_its_arn_and_by_its_name_and_no_other_is() {
        let url: WebhookUrl = "http://127.0.0.1:9000/".parse().unwrap();
        let target: TargetArn = TOPIC.parse().unwrap();
        for key in [TOPIC, "orders"] {
            let webhooks = Webhooks::from([(key.to_owned(), url.clone())]);
            assert_eq!(address_of(&webhooks, &target), Some(&url));
        }
        for key in ["order", "arn:aws:sqs:us-east-1:111122223333:orders"] {
            let webhooks = Webhooks::from([(key.to_owned(), url.clone())]);
            assert_eq!(address_of(&webhooks, &target), None);
        }
    }

    #[test]
    fn what_is_kept_is_read_back() {
        let url: WebhookUrl = "http://127.0.0.1:9000/hook".parse().unwrap();
        let kept = serde_json::to_string(&url).unwrap();
        assert_eq!(kept, r#""http://127.0.0.1:9000/hook""#);
        assert_eq!(serde_json::from_str::<WebhookUrl>(&kept).unwrap(), url);
        assert!(serde_json::from_str::<WebhookUrl>(r#""ftp://a/""#).is_err());
    }
}
