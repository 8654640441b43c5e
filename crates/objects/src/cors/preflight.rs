//! A preflight: the question that a browser asks, unsigned, before it sends a request from
//! another origin. Whether the request itself may be made is not its affair, nor whether the
//! object is there.

use std::fmt;

use super::{CorsConfiguration, CorsRequest, is_method};
use crate::ObjectError;

/// An `OPTIONS` request.
#[derive(Clone, Copy, PartialEq, Eq, Debug, Default)]
pub struct Preflight<'a> {
    /// `Origin`.
    pub origin: Option<&'a str>,
    /// `Access-Control-Request-Method`.
    pub method: Option<&'a str>,
    /// `Access-Control-Request-Headers`.
    pub headers: Option<&'a str>,
}

/// What a preflight is about.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum ResourceType {
    /// A bucket, or one that has no rules.
    Bucket,
    /// An object.
    Object,
}

/// The browser is told that it may not: an error, and what S3 tells with it.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct CorsRefusal {
    /// `BadRequest`, or `AccessForbidden`.
    pub error: ObjectError,
    /// `Method`: the one that was asked for; of `AccessForbidden` only.
    pub method: Option<String>,
    /// `ResourceType`, likewise.
    pub resource_type: Option<ResourceType>,
}

impl fmt::Display for ResourceType {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            ResourceType::Bucket => "BUCKET",
            ResourceType::Object => "OBJECT",
        })
    }
}

impl Preflight<'_> {
    /// The headers of the answer to it.
    ///
    /// # Errors
    ///
    /// [`CorsRefusal`] if it isn't one, the bucket has no rules, or none of them is met.
    pub fn answer(
        &self,
        rules: Option<&CorsConfiguration>,
        resource_type: ResourceType,
    ) -> Result<Vec<(&'static str, String)>, CorsRefusal> {
        let origin = self.origin.filter(|origin| !origin.is_empty());
        let Some(origin) = origin else {
            return Err(bad(
                "Insufficient information. Origin request header needed.".to_owned(),
            ));
        };
        let Some(rules) = rules else {
            let text = "CORSResponse: CORS is not enabled for this bucket.";
            return Err(self.forbidden(text, ResourceType::Bucket));
        };
        let Some(method) = self.method.filter(|method| is_method(method)) else {
            let given = self.method.unwrap_or("null");
            let text = format!("Invalid Access-Control-Request-Method: {given}");
            return Err(bad(text));
        };
        let request = CorsRequest {
            origin,
            method,
            headers: self.headers,
        };
        let headers = rules.headers(&request);
        match headers.is_empty() {
            false => Ok(headers),
            // The missing letter is S3's.
            true => Err(self.forbidden(
                "CORSResponse: This CORS request is not allowed. This is usually because the \
                 evalution of Origin, request method / Access-Control-Request-Method or \
                 Access-Control-Request-Headers are not whitelisted by the resource's CORS spec.",
                resource_type,
            )),
        }
    }

    /// The answer to one about a bucket that isn't there.
    pub fn no_such_bucket(&self) -> CorsRefusal {
        match self.origin {
            Some(_) => self.forbidden("CORSResponse: Bucket not found", ResourceType::Bucket),
            None => bad("Insufficient information. Origin request header needed.".to_owned()),
        }
    }

    fn forbidden(&self, text: &'static str, resource_type: ResourceType) -> CorsRefusal {
        CorsRefusal {
            error: ObjectError::refused_with(403, "AccessForbidden", text),
            method: Some(self.method.unwrap_or("OPTIONS").to_owned()),
            resource_type: Some(resource_type),
        }
    }
}

fn bad(text: String) -> CorsRefusal {
    CorsRefusal {
        error: ObjectError::refused("BadRequest", text),
        method: None,
        resource_type: None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cors::CorsRule;

    #[test]
    fn a_preflight_is_answered_by_the_rules_alone() {
        let rules = CorsConfiguration {
            rules: vec![CorsRule {
                allowed_methods: vec!["GET".to_owned()],
                allowed_origins: vec!["http://*.origin.com".to_owned()],
                ..CorsRule::default()
            }],
        };
        let ask = |origin, method, headers, rules| {
            let preflight = Preflight {
                origin,
                method,
                headers,
            };
            preflight.answer(rules, ResourceType::Object)
        };
        let origin = Some("http://test.origin.com");
        let answer = ask(origin, Some("GET"), None, Some(&rules)).unwrap();
        assert_eq!(answer[0].1, "http://test.origin.com");

        let refused = ask(None, Some("GET"), None, Some(&rules)).unwrap_err();
        assert_eq!(refused.error.code(), ("BadRequest", 400));
        let refused = ask(origin, None, None, None).unwrap_err();
        assert_eq!(refused.error.code(), ("AccessForbidden", 403));
        assert_eq!(refused.method.as_deref(), Some("OPTIONS"));
        assert_eq!(refused.resource_type, Some(ResourceType::Bucket));
        let refused = ask(origin, None, None, Some(&rules)).unwrap_err();
        assert_eq!(
            refused.error.to_string(),
            "Invalid Access-Control-Request-Method: null"
        );
        for (method, headers) in [("PUT", None), ("GET", Some("x-amz-date"))] {
            let refused = ask(origin, Some(method), headers, Some(&rules)).unwrap_err();
            assert_eq!(refused.error.code().0, "AccessForbidden");
            assert_eq!(refused.method.as_deref(), Some(method));
            assert_eq!(refused.resource_type, Some(ResourceType::Object));
        }
        let slash = Some("http://test.origin.com/");
        assert!(ask(slash, Some("GET"), None, Some(&rules)).is_err());
        let asked = Preflight {
            origin,
            ..Preflight::default()
        };
        let text = asked.no_such_bucket().error.to_string();
        assert_eq!(text, "CORSResponse: Bucket not found");
    }
}
