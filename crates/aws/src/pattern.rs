//! Patterns of policies, `*` for any text and `?` for any character, as far as services judge them
//! before a policy is stored. Whether a request matches is `identity`'s affair.

/// Is there a text that a pattern with `*` and `?` matches, and which is `text`; or, if `open`,
/// begins with it? It costs the product of their lengths, which the document's bounds.
pub fn meet(pattern: &str, text: &str, open: bool) -> bool {
    let pattern = pattern.as_bytes();
    // Of each place in the pattern: can all before it match what has been read of the text?
    let mut reached = vec![false; pattern.len() + 1];
    reached[0] = true;
    pass_stars(pattern, &mut reached);
    for byte in text.bytes() {
        let mut next = vec![false; pattern.len() + 1];
        for (at, wanted) in pattern.iter().enumerate() {
            if reached[at] && *wanted == b'*' {
                next[at] = true;
            } else if reached[at] && (*wanted == b'?' || *wanted == byte) {
                next[at + 1] = true;
            }
        }
        pass_stars(pattern, &mut next);
        if !next.contains(&true) {
            return false;
        }
        reached = next;
    }
    // Whatever of the pattern is left, some text goes on as it wants.
    match open {
        true => reached.contains(&true),
        false => reached[pattern.len()],
    }
}

/// The pattern with `*` in place of variables, which can be anything.
pub fn without_variables(pattern: &str) -> String {
    let mut rest = pattern;
    let mut plain = String::with_capacity(pattern.len());
    while let Some((before, after)) = rest.split_once("${") {
        let Some((_, after)) = after.split_once('}') else {
            break;
        };
        plain.push_str(before);
        plain.push('*');
        rest = after;
    }
    plain.push_str(rest);
    plain
}

fn pass_stars(pattern: &[u8], reached: &mut [bool]) {
    for (at, wanted) in pattern.iter().enumerate() {
        if reached[at] && *wanted == b'*' {
            reached[at + 1] = true;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_pattern_meets_a_text_or_what_begins_with_it() {
        let met =
            |pattern: &str, text: &str| (meet(pattern, text, false), meet(pattern, text, true));
        assert_eq!(met("a*c", "abc"), (true, true));
        assert_eq!(met("a?c", "ab"), (false, true));
        assert_eq!(met("a?c", "abd"), (false, false));
        assert_eq!(met("*", ""), (true, true));
        assert_eq!(met("", "a"), (false, false));
        assert_eq!(met("**b", "ab"), (true, true));
    }
}
