//! How a request's header fields are looked at, whoever holds them, and the cookies in them. It
//! changes no field.

/// The header fields of a request or a response.
pub trait HeaderFields {
    /// Is there a field of that name (in lower case) for which `test` holds? The fields of one name
    /// are looked at in the order in which they came, up to the first for which it does.
    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool;
}

/// No fields.
pub struct NoFields;

impl HeaderFields for NoFields {
    fn any(&self, _: &str, _: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        false
    }
}

impl HeaderFields for [(&str, &str)] {
    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let mut named = self
            .iter()
            .filter(|(field, _)| field.eq_ignore_ascii_case(name));
        named.any(|(_, value)| test(value.as_bytes()))
    }
}

impl<const N: usize> HeaderFields for [(&str, &str); N] {
    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.as_slice().any(name, test)
    }
}

impl HeaderFields for Vec<(&str, &str)> {
    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        self.as_slice().any(name, test)
    }
}

impl HeaderFields for http::HeaderMap {
    fn any(&self, name: &str, test: &mut dyn FnMut(&[u8]) -> bool) -> bool {
        let mut named = self.get_all(name).iter();
        named.any(|value| test(value.as_bytes()))
    }
}

/// Is there a cookie of that name for which `test` holds? A client may send several of one name
/// (RFC 6265 section 5.4); they are looked at in order. Names differ by case.
pub fn any_cookie(
    request: &dyn HeaderFields,
    name: &str,
    test: &mut dyn FnMut(&str) -> bool,
) -> bool {
    request.any("cookie", &mut |field| {
        let Ok(field) = std::str::from_utf8(field) else {
            return false;
        };
        let mut pairs = field
            .split(';')
            .filter_map(|pair| pair.trim().split_once('='));
        pairs.any(|(known, value)| known == name && test(value))
    })
}

/// Does the response set a cookie of that name?
pub fn sets_cookie(response: &dyn HeaderFields, name: &str) -> bool {
    response.any("set-cookie", &mut |field| {
        let end = field.iter().position(|byte| *byte == b'=');
        end.is_some_and(|end| field[..end].trim_ascii() == name.as_bytes())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn cookies_are_found_in_any_field_and_by_their_very_names() {
        let request = [("Cookie", "a=1; AWSALB=x; b"), ("cookie", "AWSALB=y=z;c=")];
        let all = |name: &str| {
            let mut found = Vec::new();
            any_cookie(&request, name, &mut |value| {
                found.push(value.to_owned());
                false
            });
            found
        };
        assert_eq!(all("AWSALB"), ["x", "y=z"]);
        assert_eq!(all("awsalb"), [""; 0]);
        assert_eq!(all("c"), [""]);
        assert!(all("b").is_empty());
        let response = [("Set-Cookie", "SESSION=1; Path=/"), ("set-cookie", "odd")];
        assert!(sets_cookie(&response, "SESSION"));
        assert!(!sets_cookie(&response, "SESS") && !sets_cookie(&response, "odd"));
    }
}
