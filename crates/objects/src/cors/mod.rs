//! Cross-origin resource sharing: a bucket's rules, what may stand in them, and which one a
//! request from another origin meets (S3 User Guide, "Using cross-origin resource sharing";
//! Fetch Standard, "CORS protocol"). Pure: it allows a browser to share an answer and decides
//! nothing of who may have it.

mod preflight;

use serde::{Deserialize, Serialize};

use crate::ObjectError;

pub use preflight::{CorsRefusal, Preflight, ResourceType};

/// Rules of a bucket at most (API reference, "CORSConfiguration").
pub const MOST_RULES: usize = 100;

/// Characters of a rule's ID at most (API reference, "CORSRule").
const LONGEST_ID: usize = 255;

/// The methods that a rule can allow.
const METHODS: [&str; 5] = ["GET", "PUT", "POST", "DELETE", "HEAD"];

/// What every answer under a rule varies by.
const VARY: &str = "Origin, Access-Control-Request-Headers, Access-Control-Request-Method";

/// The bucket's rules, in the order in which they are tried.
#[derive(Clone, PartialEq, Eq, Debug, Serialize, Deserialize)]
pub struct CorsConfiguration {
    /// 1 to [`MOST_RULES`] of them.
    pub rules: Vec<CorsRule>,
}

/// Who may share what.
#[derive(Clone, PartialEq, Eq, Debug, Default, Serialize, Deserialize)]
pub struct CorsRule {
    /// Its name, which means nothing.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub id: Option<String>,
    /// Headers that a request may have: patterns with at most one `*`.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub allowed_headers: Vec<String>,
    /// Methods that a request may have.
    pub allowed_methods: Vec<String>,
    /// Origins that may ask: patterns with at most one `*`.
    pub allowed_origins: Vec<String>,
    /// Headers of an answer that a script may read.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub expose_headers: Vec<String>,
    /// Seconds for which a browser may keep the answer to a preflight.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub max_age_seconds: Option<i32>,
}

/// What a request from another origin says of itself.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CorsRequest<'a> {
    /// Its `Origin`.
    pub origin: &'a str,
    /// `Access-Control-Request-Method`; if it has none, its own.
    pub method: &'a str,
    /// `Access-Control-Request-Headers`: names by commas.
    pub headers: Option<&'a str>,
}

impl CorsConfiguration {
    /// May a bucket have these rules?
    ///
    /// # Errors
    ///
    /// `MalformedXML` of what the schema forbids, `InvalidRequest` of the rest, in S3's words.
    pub fn check(&self) -> Result<(), ObjectError> {
        if self.rules.is_empty() || self.rules.len() > MOST_RULES {
            return Err(ObjectError::malformed_xml());
        }
        let lacking =
            |rule: &CorsRule| rule.allowed_methods.is_empty() || rule.allowed_origins.is_empty();
        if self.rules.iter().any(lacking) {
            return Err(ObjectError::malformed_xml());
        }
        self.rules.iter().try_for_each(CorsRule::check)
    }

    /// The first rule that the request meets.
    pub fn find(&self, request: &CorsRequest<'_>) -> Option<&CorsRule> {
        self.rules.iter().find(|rule| rule.meets(request))
    }

    /// The headers that the answer to a request from another origin gets; none: no rule is met,
    /// so that a browser keeps the answer from the script.
    pub fn headers(&self, request: &CorsRequest<'_>) -> Vec<(&'static str, String)> {
        let rule = self.find(request);
        rule.map_or_else(Vec::new, |rule| rule.headers(request))
    }
}

impl CorsRule {
    fn check(&self) -> Result<(), ObjectError> {
        let invalid = |message: String| Err(ObjectError::refused("InvalidRequest", message));
        let id = self.id.as_deref().unwrap_or_default();
        if id.chars().count() > LONGEST_ID {
            return invalid(format!(
                "The length of ID can't be longer than {LONGEST_ID} characters."
            ));
        }
        if let Some(method) = self.allowed_methods.iter().find(|one| !is_method(one)) {
            return invalid(format!(
                "Found unsupported HTTP method in CORS config. Unsupported method is {method}"
            ));
        }
        if let Some(origin) = self.allowed_origins.iter().find(|one| has_two_stars(one)) {
            return invalid(format!(
                "AllowedOrigin \"{origin}\" can not have more than one wildcard."
            ));
        }
        if let Some(header) = self.allowed_headers.iter().find(|one| has_two_stars(one)) {
            return invalid(format!(
                "AllowedHeader \"{header}\" can not have more than one wildcard."
            ));
        }
        if let Some(header) = self.expose_headers.iter().find(|one| one.contains('*')) {
            return invalid(format!(
                "ExposeHeader \"{header}\" contains wildcard. We currently do not support wildcard \
                 for ExposeHeader."
            ));
        }
        Ok(())
    }

    /// Origins and methods are compared as they are, headers whatever their case.
    fn meets(&self, request: &CorsRequest<'_>) -> bool {
        let allows = |name: &str| {
            let mut patterns = self.allowed_headers.iter();
            patterns.any(|pattern| matches(&pattern.to_ascii_lowercase(), name))
        };
        self.allowed_methods.iter().any(|one| one == request.method)
            && self.origin(request).is_some()
            && names(request.headers).all(|name| allows(&name))
    }

    /// The pattern of an origin that the request meets.
    fn origin(&self, request: &CorsRequest<'_>) -> Option<&str> {
        let mut patterns = self.allowed_origins.iter();
        let found = patterns.find(|pattern| matches(pattern, request.origin));
        found.map(String::as_str)
    }

    fn headers(&self, request: &CorsRequest<'_>) -> Vec<(&'static str, String)> {
        let mut headers = Vec::with_capacity(7);
        let mut add = |name, value: String| {
            if !value.is_empty() {
                headers.push((name, value));
            }
        };
        // With `*` a browser must not send credentials, and is told nothing of them.
        if self.origin(request) == Some("*") {
            add("access-control-allow-origin", "*".to_owned());
        } else {
            add("access-control-allow-origin", request.origin.to_owned());
            add("access-control-allow-credentials", "true".to_owned());
        }
        let methods = self.allowed_methods.join(", ");
        add("access-control-allow-methods", methods);
        let requested: Vec<String> = names(request.headers).collect();
        add("access-control-allow-headers", requested.join(", "));
        let exposed = self.expose_headers.join(", ");
        add("access-control-expose-headers", exposed);
        if let Some(seconds) = self.max_age_seconds {
            add("access-control-max-age", seconds.to_string());
        }
        add("vary", VARY.to_owned());
        headers
    }
}

/// The names of headers in such a list, in lower case.
fn names(list: Option<&str>) -> impl Iterator<Item = String> {
    let names = list.unwrap_or_default().split(',').map(str::trim);
    let names = names.filter(|name| !name.is_empty());
    names.map(str::to_ascii_lowercase)
}

fn is_method(method: &str) -> bool {
    METHODS.contains(&method)
}

fn has_two_stars(pattern: &str) -> bool {
    pattern.matches('*').count() > 1
}

/// Does a pattern with at most one `*`, which stands for any text, none included, match it?
fn matches(pattern: &str, text: &str) -> bool {
    match pattern.split_once('*') {
        None => pattern == text,
        Some((before, after)) => {
            text.len() >= before.len() + after.len()
                && text.starts_with(before)
                && text.ends_with(after)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rule(methods: &[&str], origins: &[&str]) -> CorsRule {
        let owned = |texts: &[&str]| texts.iter().map(|text| (*text).to_owned()).collect();
        CorsRule {
            allowed_methods: owned(methods),
            allowed_origins: owned(origins),
            ..CorsRule::default()
        }
    }

    fn request<'a>(origin: &'a str, method: &'a str) -> CorsRequest<'a> {
        CorsRequest {
            origin,
            method,
            headers: None,
        }
    }

    #[test]
    fn a_star_stands_for_any_text_and_patterns_are_anchored() {
        let patterns = rule(&["GET"], &["*suffix", "start*end", "prefix*", ""]);
        for origin in [
            "foo.suffix",
            "startend",
            "start1end",
            "prefix",
            "prefix.x",
            "",
        ] {
            assert!(patterns.meets(&request(origin, "GET")), "{origin}");
        }
        for origin in ["foo.bar", "foo.suffix.get", "0start1end", "bla.prefix"] {
            assert!(!patterns.meets(&request(origin, "GET")), "{origin}");
        }
        assert!(!rule(&["GET"], &["ab*ba"]).meets(&request("aba", "GET")));
        assert!(!patterns.meets(&request("prefix", "PUT")));
    }

    #[test]
    fn an_answer_under_a_rule_has_its_headers() {
        let mut site = rule(&["GET", "PUT"], &["https://localhost:4200"]);
        site.allowed_headers = vec!["X-Amz-*".to_owned()];
        site.max_age_seconds = Some(3000);
        site.expose_headers = vec!["ETag".to_owned(), "x-amz-id-2".to_owned()];
        let rules = CorsConfiguration {
            rules: vec![rule(&["GET"], &["*"]), site],
        };
        let mut asked = request("https://localhost:4200", "PUT");
        asked.headers = Some("x-AMZ-date,, x-amz-acl");
        assert_eq!(
            rules.headers(&asked),
            [
                (
                    "access-control-allow-origin",
                    "https://localhost:4200".to_owned()
                ),
                ("access-control-allow-credentials", "true".to_owned()),
                ("access-control-allow-methods", "GET, PUT".to_owned()),
                (
                    "access-control-allow-headers",
                    "x-amz-date, x-amz-acl".to_owned()
                ),
                (
                    "access-control-expose-headers",
                    "ETag, x-amz-id-2".to_owned()
                ),
                ("access-control-max-age", "3000".to_owned()),
                ("vary", VARY.to_owned()),
            ]
        );
        asked.headers = Some("x-amz-acl, authorization");
        assert_eq!(rules.headers(&asked), []);
        let headers = rules.headers(&request("http://anyone", "GET"));
        let names: Vec<&str> = headers.iter().map(|(name, _)| *name).collect();
        assert_eq!(
            names,
            [
                "access-control-allow-origin",
                "access-control-allow-methods",
                "vary"
            ]
        );
        assert_eq!(headers[0].1, "*");
    }

    #[test]
    fn what_may_not_stand_in_rules_is_refused_in_s3_s_words() {
        let refusal = |rules: Vec<CorsRule>| match (CorsConfiguration { rules }).check() {
            Ok(()) => String::new(),
            Err(error) => format!("{} {error}", error.code().0),
        };
        let good = rule(&["GET"], &["*"]);
        assert_eq!(refusal(vec![good.clone(); MOST_RULES]), "");
        for rules in [
            vec![],
            vec![good.clone(); MOST_RULES + 1],
            vec![rule(&[], &["*"])],
            vec![rule(&["GET"], &[])],
        ] {
            assert!(refusal(rules).starts_with("MalformedXML "));
        }
        for (rule, expected) in [
            (
                rule(&["OPTIONS"], &["*"]),
                "InvalidRequest Found unsupported HTTP method in CORS config. Unsupported method \
                 is OPTIONS",
            ),
            (
                rule(&["get"], &["*"]),
                "InvalidRequest Found unsupported HTTP method in CORS config. Unsupported method \
                 is get",
            ),
            (
                rule(&["GET"], &["*a*"]),
                "InvalidRequest AllowedOrigin \"*a*\" can not have more than one wildcard.",
            ),
            (
                CorsRule {
                    allowed_headers: vec!["**".to_owned()],
                    ..good.clone()
                },
                "InvalidRequest AllowedHeader \"**\" can not have more than one wildcard.",
            ),
            (
                CorsRule {
                    expose_headers: vec!["x*".to_owned()],
                    ..good.clone()
                },
                "InvalidRequest ExposeHeader \"x*\" contains wildcard. We currently do not support \
                 wildcard for ExposeHeader.",
            ),
            (
                CorsRule {
                    id: Some("i".repeat(256)),
                    ..good.clone()
                },
                "InvalidRequest The length of ID can't be longer than 255 characters.",
            ),
        ] {
            assert_eq!(refusal(vec![good.clone(), rule]), expected);
        }
    }
}
