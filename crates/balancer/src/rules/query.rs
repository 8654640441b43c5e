//! The pairs of a query string, as query-string conditions look at them: parted by `&`, the key
//! before the first `=`. Nothing is decoded.

/// The pairs; one without `=` has no key, and all of it is its value.
pub(super) fn pairs(query: &str) -> impl Iterator<Item = (Option<&str>, &str)> {
    let parts = query.split('&').filter(|part| !part.is_empty());
    parts.map(|part| match part.split_once('=') {
        Some((key, value)) => (Some(key), value),
        None => (None, part),
    })
}

#[cfg(test)]
mod tests {
    #[test]
    fn pairs_are_parted_and_not_decoded() {
        let pairs: Vec<_> = super::pairs("a=1&&b=2=3&c&d=&%26=x").collect();
        let expected = [
            (Some("a"), "1"),
            (Some("b"), "2=3"),
            (None, "c"),
            (Some("d"), ""),
            (Some("%26"), "x"),
        ];
        assert_eq!(pairs, expected);
        assert_eq!(super::pairs("").count(), 0);
    }
}
