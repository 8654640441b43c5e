//! What of an action depends on the request: which of several target groups takes it, and where a
//! redirect leads. It chooses no target and knows nothing of health.

use std::fmt::Write;

use crate::algorithm::below;
use crate::model::Redirect;
use crate::rules::Head;

/// What of the place where a request came in goes into redirects.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct CameTo<'a> {
    /// `HTTP` or `HTTPS`.
    pub protocol: &'a str,
    /// The listener's port.
    pub port: u16,
    /// The host of a request that names none: the address it came to.
    pub fallback_host: &'a str,
}

/// The member that takes a share as its weight says; none: all weights are 0. `random` is drawn
/// for this request.
pub(crate) fn by_weight<G>(groups: &[(G, u16)], random: u64) -> Option<&G> {
    let total: u32 = groups.iter().map(|(_, weight)| u32::from(*weight)).sum();
    if total == 0 {
        return None;
    }
    let mut drawn = below(random, total);
    for (group, weight) in groups {
        match drawn.checked_sub(u32::from(*weight)) {
            Some(rest) => drawn = rest,
            None => return Some(group),
        }
    }
    None
}

impl Redirect {
    /// Where the request is sent: an absolute URI that has its port even where it is the
    /// protocol's own, as the service writes it. Bytes that may not stand in a field are
    /// percent-encoded.
    pub fn location(&self, head: &Head<'_>, came_to: &CameTo<'_>) -> String {
        let host = match head.host_name() {
            "" => came_to.fallback_host,
            name => name,
        };
        let port = came_to.port.to_string();
        let path = head.path.strip_prefix('/').unwrap_or(head.path);
        let known = [
            ("#{protocol}", came_to.protocol),
            ("#{host}", host),
            ("#{port}", port.as_str()),
            ("#{path}", path),
            ("#{query}", head.query.unwrap_or_default()),
        ];
        let protocol = filled(&self.protocol, &known).to_ascii_lowercase();
        let mut location = format!("{protocol}://{}", filled(&self.host, &known));
        location.push(':');
        location.push_str(&filled(&self.port, &known));
        location.push_str(&filled(&self.path, &known));
        let query = filled(&self.query, &known);
        if !query.is_empty() {
            location.push('?');
            location.push_str(&query);
        }
        encoded(&location)
    }
}

/// The template with its keywords replaced, once: what a client sent is never looked at for
/// keywords.
fn filled(template: &str, known: &[(&str, &str)]) -> String {
    let mut text = String::with_capacity(template.len());
    let mut rest = template;
    while let Some(at) = rest.find("#{") {
        text.push_str(&rest[..at]);
        rest = &rest[at..];
        let keyword = known.iter().find(|(keyword, _)| rest.starts_with(keyword));
        let (taken, value) = match keyword {
            Some((keyword, value)) => (keyword.len(), *value),
            None => (2, "#{"),
        };
        text.push_str(value);
        rest = &rest[taken..];
    }
    text.push_str(rest);
    text
}

fn encoded(location: &str) -> String {
    let mut encoded = String::with_capacity(location.len());
    for byte in location.bytes() {
        match byte {
            0x21..=0x7e => encoded.push(char::from(byte)),
            other => write!(encoded, "%{other:02X}").expect("a string takes everything"),
        }
    }
    encoded
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::net::SocketAddr;

    use super::*;
    use crate::headers::NoFields;
    use crate::model::RedirectStatus;

    fn redirect() -> Redirect {
        Redirect {
            protocol: "#{protocol}".to_owned(),
            host: "#{host}".to_owned(),
            port: "#{port}".to_owned(),
            path: "/#{path}".to_owned(),
            query: "#{query}".to_owned(),
            status: RedirectStatus::Permanent,
        }
    }

    fn location(redirect: &Redirect, host: &str, target: &str) -> String {
        let source = SocketAddr::from(([127, 0, 0, 1], 9));
        let head = Head::new("GET", host, target, &NoFields, source);
        let came_to = CameTo {
            protocol: "HTTP",
            port: 8080,
            fallback_host: "127.32.1.1",
        };
        redirect.location(&head, &came_to)
    }

    #[test]
    fn a_redirect_keeps_what_it_does_not_change() {
        let to = location(&redirect(), "App.example:8080", "/a/b?c=d");
        assert_eq!(to, "http://App.example:8080/a/b?c=d");
        let to = location(&redirect(), "app.example", "/");
        assert_eq!(to, "http://app.example:8080/");
        let https = Redirect {
            protocol: "HTTPS".to_owned(),
            port: "443".to_owned(),
            ..redirect()
        };
        let to = location(&https, "app.example:8080", "/x?y");
        assert_eq!(to, "https://app.example:443/x?y");
        assert_eq!(location(&https, "", "/"), "https://127.32.1.1:443/");
    }

    #[test]
    fn keywords_stand_anywhere_and_are_replaced_once() {
        let other = Redirect {
            host: "new.#{host}".to_owned(),
            path: "/#{host}/#{path}/#{port}#{none}".to_owned(),
            query: "from=#{path}&#{query}".to_owned(),
            ..redirect()
        };
        let to = location(&other, "a.example", "/#{port}/ü?q=#{host}");
        let path = "/a.example/#{port}/%C3%BC/8080#{none}";
        let query = "from=#{port}/%C3%BC&q=#{host}";
        assert_eq!(to, format!("http://new.a.example:8080{path}?{query}"));
    }

    #[test]
    fn no_byte_of_a_location_ends_its_field() {
        let to = location(&redirect(), "a\r\nSet-Cookie: x", "/\u{7f} ");
        assert!(to.bytes().all(|byte| (0x21..=0x7e).contains(&byte)), "{to}");
    }

    #[test]
    fn groups_share_by_weight_and_weightless_ones_take_nothing() {
        let groups = [("a", 1), ("b", 0), ("c", 3)];
        let mut counts = BTreeMap::new();
        for number in 0..4000u64 {
            let random = number.wrapping_mul(0x9e37_79b9_7f4a_7c15);
            *counts
                .entry(*by_weight(&groups, random).unwrap())
                .or_insert(0) += 1;
        }
        assert!((990..=1010).contains(&counts["a"]), "{counts:?}");
        assert_eq!(counts.len(), 2);
        assert_eq!(by_weight(&[("a", 0)], 7), None);
    }
}
