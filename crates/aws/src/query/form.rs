//! Reads a form: the parameters of a body or a query string, decoded, each at most once. It
//! judges neither names nor values; what can't be decoded for certain is refused.

use std::collections::BTreeMap;

use http::Method;
use http::header::CONTENT_TYPE;
use http::request::Parts;

use super::{Members, QueryFault, QueryService};

/// A request's parameters.
#[derive(Clone, PartialEq, Eq, Default)]
pub struct Form(pub(super) BTreeMap<String, String>);

/// Names only: a value may be a secret.
impl std::fmt::Debug for Form {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_set().entries(self.0.keys()).finish()
    }
}

impl Form {
    /// The most parameters a form may have. The longest lists of IAM's and STS's models have 100
    /// members of a few parameters; a simulation of many actions has more.
    pub const MOST: usize = 8_192;

    /// The longest name of a parameter, in bytes: `ContextEntries.member.1.ContextKeyValues
    /// .member.1` is about the longest that the models have.
    pub const LONGEST_NAME: usize = 256;

    /// The parameters of a request: those of its query string and those of its body, which is a
    /// form or empty.
    ///
    /// # Errors
    ///
    /// [`QueryFault`]: it is too large, or not for certain understood.
    pub fn of(service: &QueryService, parts: &Parts, body: &[u8]) -> Result<Form, QueryFault> {
        let is_post = parts.method == Method::POST;
        if !(is_post || parts.method == Method::GET) || parts.uri.path() != "/" {
            return Err(QueryFault::Elsewhere);
        }
        let limit = service.request_limit.0;
        let query = parts.uri.query().unwrap_or("");
        if body.len() as u64 > limit || query.len() as u64 > limit {
            return Err(QueryFault::TooLarge(limit));
        }
        let mut form = Form::default();
        form.read(query.as_bytes())?;
        if !body.is_empty() {
            if !is_form(parts) {
                return Err(QueryFault::NotAForm);
            }
            form.read(body)?;
        }
        Ok(form)
    }

    /// The parameters of a form's text.
    ///
    /// # Errors
    ///
    /// [`QueryFault`], as of [`Form::of`].
    pub fn parse(text: &[u8]) -> Result<Form, QueryFault> {
        let mut form = Form::default();
        form.read(text)?;
        Ok(form)
    }

    fn read(&mut self, text: &[u8]) -> Result<(), QueryFault> {
        let pairs = text.split(|byte| *byte == b'&');
        for pair in pairs.filter(|pair| !pair.is_empty()) {
            if self.0.len() == Form::MOST {
                return Err(QueryFault::TooManyParameters);
            }
            let mut halves = pair.splitn(2, |byte| *byte == b'=');
            let name = decode(halves.next().unwrap_or_default())?;
            let value = decode(halves.next().unwrap_or_default())?;
            if name.len() > Form::LONGEST_NAME {
                return Err(QueryFault::NameTooLong);
            }
            // Which of two was meant nobody can say.
            if self.0.contains_key(&name) {
                return Err(QueryFault::Repeated(name));
            }
            self.0.insert(name, value);
        }
        Ok(())
    }

    /// The name of the operation.
    ///
    /// # Errors
    ///
    /// [`QueryFault::MissingAction`].
    pub fn action(&self) -> Result<&str, QueryFault> {
        let action = self.members().value("Action");
        let action = action.filter(|action| !action.is_empty());
        action.ok_or(QueryFault::MissingAction)
    }

    /// The API's version that the request is made of, if it says one.
    pub fn version(&self) -> Option<&str> {
        self.members().value("Version")
    }

    /// The operation's parameters.
    pub fn members(&self) -> Members<'_> {
        Members::root(self)
    }
}

fn is_form(parts: &Parts) -> bool {
    let content_type = parts.headers.get(CONTENT_TYPE);
    let content_type = content_type.and_then(|value| value.to_str().ok());
    let media_type = content_type.and_then(|value| value.split(';').next());
    media_type.is_some_and(|value| {
        value
            .trim()
            .eq_ignore_ascii_case("application/x-www-form-urlencoded")
    })
}

fn decode(text: &[u8]) -> Result<String, QueryFault> {
    let mut decoded = Vec::with_capacity(text.len());
    let mut bytes = text.iter();
    while let Some(&byte) = bytes.next() {
        decoded.push(match byte {
            b'+' => b' ',
            b'%' => {
                let mut digit = || {
                    let digit = bytes.next().and_then(|digit| (*digit as char).to_digit(16));
                    digit.and_then(|digit| u8::try_from(digit).ok())
                };
                let (high, low) = (digit(), digit());
                let (high, low) = high.zip(low).ok_or(QueryFault::Syntax)?;
                high << 4 | low
            }
            other => other,
        });
    }
    String::from_utf8(decoded).map_err(|_| QueryFault::Syntax)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::query::IAM;

    fn request(uri: &str, content_type: &str, body: &str) -> Result<Form, QueryFault> {
        let request = http::Request::post(uri).header(CONTENT_TYPE, content_type);
        let (parts, ()) = request.body(()).unwrap().into_parts();
        Form::of(&IAM, &parts, body.as_bytes())
    }

    const FORM: &str = "application/x-www-form-urlencoded; charset=utf-8";

    #[test]
    fn parameters_are_decoded() {
        let form = Form::parse(b"Action=GetUser&a=b+c%2B%c3%A9&d&&e=1=2").unwrap();
        assert_eq!(form.action(), Ok("GetUser"));
        assert_eq!(form.version(), None);
        let members = form.members();
        assert_eq!(members.value("a"), Some("b c+é"));
        assert_eq!(members.value("d"), Some(""));
        assert_eq!(members.value("e"), Some("1=2"));
        assert_eq!(members.value("f"), None);
    }

    #[test]
    fn body_and_query_string_are_one_form() {
        let form = request("/?Action=GetUser", FORM, "UserName=a").unwrap();
        assert_eq!(form.action(), Ok("GetUser"));
        assert_eq!(form.members().value("UserName"), Some("a"));
        assert!(request("/?Action=A", "", "").is_ok());
        assert_eq!(
            request("/?Action=A", FORM, "Action=B"),
            Err(QueryFault::Repeated("Action".to_owned()))
        );
        assert_eq!(
            request("/", "application/json", "{}"),
            Err(QueryFault::NotAForm)
        );
        assert_eq!(request("/", FORM, "").unwrap().action().ok(), None);
        assert_eq!(
            request("/", FORM, "Action=").unwrap().action(),
            Err(QueryFault::MissingAction)
        );
    }

    #[test]
    fn only_a_post_or_a_get_of_the_root_is_of_the_protocol() {
        let form = |method: &str, uri: &str| {
            let request = http::Request::builder().method(method).uri(uri);
            let (parts, ()) = request.body(()).unwrap().into_parts();
            Form::of(&IAM, &parts, b"")
        };
        for method in ["POST", "GET"] {
            assert!(form(method, "/?Action=A").is_ok(), "{method}");
            assert!(form(method, "http://iam.lab?Action=A").is_ok(), "{method}");
            for path in ["/x", "//", "/%2f", "/index.html"] {
                let refused = form(method, &format!("{path}?Action=A"));
                assert_eq!(refused, Err(QueryFault::Elsewhere), "{path}");
            }
        }
        for method in ["PUT", "DELETE", "HEAD", "PATCH", "OPTIONS", "post", "Get"] {
            let refused = form(method, "/?Action=A");
            assert_eq!(refused, Err(QueryFault::Elsewhere), "{method}");
        }
    }

    #[test]
    fn what_is_not_for_certain_understood_is_refused() {
        for text in ["a=%", "a=%4", "a=%zz", "a=%+1", "%ff=1", "a=%C3", "a=%-1"] {
            assert_eq!(
                Form::parse(text.as_bytes()),
                Err(QueryFault::Syntax),
                "{text}"
            );
        }
        let long = format!("{}=1", "a".repeat(Form::LONGEST_NAME + 1));
        assert_eq!(Form::parse(long.as_bytes()), Err(QueryFault::NameTooLong));
        let pairs: Vec<String> = (0..=Form::MOST).map(|n| format!("a{n}=1")).collect();
        assert!(Form::parse(pairs[1..].join("&").as_bytes()).is_ok());
        assert_eq!(
            Form::parse(pairs.join("&").as_bytes()),
            Err(QueryFault::TooManyParameters)
        );
        let limit = IAM.request_limit.0;
        let large = format!("a={}", "b".repeat(usize::try_from(limit).unwrap()));
        assert_eq!(request("/", FORM, &large), Err(QueryFault::TooLarge(limit)));
    }

    #[test]
    fn values_are_not_printed() {
        let form = Form::parse(b"Password=hunter2").unwrap();
        assert_eq!(format!("{form:?}"), "{\"Password\"}");
    }

    /// As a client writes it.
    fn encode(text: &str) -> String {
        let bytes = text.bytes().map(|byte| match byte {
            b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
                char::from(byte).to_string()
            }
            other => format!("%{other:02X}"),
        });
        bytes.collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig {
            failure_persistence: None,
            ..ProptestConfig::default()
        })]

        #[test]
        fn what_a_client_writes_is_what_is_read(
            wanted in proptest::collection::btree_map("[^\u{0}]{1,20}", "\\PC{0,20}", 0..12),
        ) {
            let pairs = wanted.iter().map(|(name, value)| {
                format!("{}={}", encode(name), encode(value))
            });
            let text = pairs.collect::<Vec<_>>().join("&");
            prop_assert_eq!(Form::parse(text.as_bytes()).unwrap().0, wanted);
        }

        #[test]
        fn rubbish_never_panics(text in proptest::collection::vec(any::<u8>(), 0..200)) {
            if let Ok(form) = Form::parse(&text) {
                let _ = (form.action(), form.version(), form.members().structures("a"));
            }
        }

        #[test]
        fn forms_of_lists_never_panic(
            pairs in proptest::collection::vec(
                ("(A|B|A\\.member|A\\.entry|\\.)(\\.[0-9a-z]{0,3}){0,4}", "[a-c]{0,2}"), 0..20,
            ),
        ) {
            let pairs: Vec<String> =
                pairs.iter().map(|(name, value)| format!("{name}={value}")).collect();
            if let Ok(form) = Form::parse(pairs.join("&").as_bytes()) {
                let members = form.members();
                let _ = (members.values("A"), members.map("A"), members.structure("B"));
                for structure in members.structures("A").unwrap_or_default() {
                    let _ = (structure.values("a"), structure.value("member"));
                }
            }
        }
    }
}
