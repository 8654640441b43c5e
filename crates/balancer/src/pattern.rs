//! Patterns of hosts, paths, header fields and query strings, as rules' conditions have them: `*`
//! stands for any number of characters, `?` for exactly one, and `\` takes the meaning from the
//! character after it. No regular expressions, and nothing is percent-decoded: what a client sent
//! is compared as it came. A character is a byte, since what is compared is ASCII in practice.

/// A pattern, ready to compare with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Pattern {
    parts: Vec<Part>,
    folds_case: bool,
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Part {
    /// This very byte; in lower case where case is folded.
    Byte(u8),
    /// `?`
    One,
    /// `*`
    Many,
}

impl Pattern {
    /// A pattern that tells upper from lower case, as those of paths do.
    pub fn exact(text: &str) -> Pattern {
        Pattern::new(text, false)
    }

    /// A pattern that doesn't, as those of hosts, header fields and query strings don't. ASCII's
    /// cases only.
    pub fn folded(text: &str) -> Pattern {
        Pattern::new(text, true)
    }

    fn new(text: &str, folds_case: bool) -> Pattern {
        let mut parts = Vec::with_capacity(text.len());
        let mut bytes = text.bytes().peekable();
        let byte = |byte: u8| match folds_case {
            true => Part::Byte(byte.to_ascii_lowercase()),
            false => Part::Byte(byte),
        };
        while let Some(next) = bytes.next() {
            let part = match next {
                b'*' if parts.last() == Some(&Part::Many) => continue,
                b'*' => Part::Many,
                b'?' => Part::One,
                // One at the very end stands for itself.
                b'\\' => byte(bytes.next().unwrap_or(b'\\')),
                other => byte(other),
            };
            parts.push(part);
        }
        Pattern { parts, folds_case }
    }

    /// Does all of `text` match? It takes at most the product of both lengths in steps: after a
    /// mismatch only the last `*` is tried again, which is enough, since what an earlier one takes
    /// less the last can take more.
    pub fn matches(&self, text: &[u8]) -> bool {
        let (mut part, mut at) = (0, 0);
        // Where the pattern goes on after the last `*`, and from where in the text it was tried.
        let mut retry = None;
        while at < text.len() {
            match self.parts.get(part) {
                Some(Part::Many) => {
                    part += 1;
                    retry = Some((part, at));
                }
                Some(Part::One) => (part, at) = (part + 1, at + 1),
                Some(Part::Byte(byte)) if *byte == self.fold(text[at]) => {
                    (part, at) = (part + 1, at + 1);
                }
                _ => {
                    let Some((after, from)) = retry else {
                        return false;
                    };
                    (part, at) = (after, from + 1);
                    retry = Some((after, at));
                }
            }
        }
        self.parts[part..].iter().all(|rest| *rest == Part::Many)
    }

    fn fold(&self, byte: u8) -> u8 {
        match self.folds_case {
            true => byte.to_ascii_lowercase(),
            false => byte,
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn patterns_match_as_the_guide_says() {
        let cases = [
            ("/img/*", "/img/", true),
            ("/img/*", "/img/a/b.png", true),
            ("/img/*", "/img", false),
            ("/img/*/pics", "/img/a/b/pics", true),
            ("/img/*/pics", "/img/pics", false),
            ("/?", "/a", true),
            ("/?", "/", false),
            ("/?", "/ab", false),
            ("*", "", true),
            ("", "", true),
            ("", "a", false),
            ("*a*b", "xaxbxb", true),
            ("*a*b", "xaxbxc", false),
            ("**a", "a", true),
            (r"a\*b", "a*b", true),
            (r"a\*b", "axb", false),
            (r"a\?", "a?", true),
            (r"a\", r"a\", true),
        ];
        for (pattern, text, matches) in cases {
            let found = Pattern::exact(pattern).matches(text.as_bytes());
            assert_eq!(found, matches, "{pattern} and {text}");
        }
    }

    #[test]
    fn case_counts_where_it_should() {
        assert!(!Pattern::exact("/Img").matches(b"/img"));
        assert!(Pattern::folded("*.Example.com").matches(b"WWW.eXample.COM"));
        assert!(!Pattern::folded("*.example.com").matches(b"example.com"));
    }

    #[test]
    fn a_pattern_made_to_be_slow_is_not() {
        let many = format!("{}b", "*a".repeat(63));
        assert!(!Pattern::exact(&many).matches("a".repeat(16_384).as_bytes()));
    }

    /// By the definition, trying everything.
    fn by_definition(pattern: &[u8], text: &[u8]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some((b'*', rest)) => (0..=text.len()).any(|at| by_definition(rest, &text[at..])),
            Some((b'?', rest)) => !text.is_empty() && by_definition(rest, &text[1..]),
            Some((byte, rest)) => text.first() == Some(byte) && by_definition(rest, &text[1..]),
        }
    }

    proptest! {
        #[test]
        fn it_matches_what_its_definition_matches(
            pattern in "[ab*?]{0,8}",
            text in "[ab]{0,10}",
        ) {
            let found = Pattern::exact(&pattern).matches(text.as_bytes());
            prop_assert_eq!(found, by_definition(pattern.as_bytes(), text.as_bytes()));
        }
    }
}
