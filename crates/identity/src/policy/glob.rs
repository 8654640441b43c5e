//! Wildcards: `*` is any run of characters and `?` any one. A pattern is bytes in which two bytes
//! that no UTF-8 has stand for them, so that what a variable brings along is never a wildcard.
//! There is no recursion and nothing is tried again: the leftmost place of each part between two
//! `*` is as good as any other.

/// `*` in a pattern's bytes.
pub(super) const ANY: u8 = 0xfe;

/// `?` in a pattern's bytes.
pub(super) const ONE: u8 = 0xff;

/// The pattern of a text in which `*` and `?` are wildcards.
pub(super) fn encode(text: &str, into: &mut Vec<u8>) {
    for byte in text.bytes() {
        match byte {
            // Two in a row are one.
            b'*' if into.last() == Some(&ANY) => {}
            b'*' => into.push(ANY),
            b'?' => into.push(ONE),
            byte => into.push(byte),
        }
    }
}

/// Does the text match the pattern as a whole?
pub(super) fn matches(pattern: &[u8], text: &str) -> bool {
    let Some(first) = pattern.iter().position(|byte| *byte == ANY) else {
        return starts(pattern, text) == Some(text.len());
    };
    let last = pattern.iter().rposition(|byte| *byte == ANY);
    let last = last.expect("there is one");
    let Some(prefix) = starts(&pattern[..first], text) else {
        return false;
    };
    let mut rest = &text[prefix..];
    let Some(suffix) = ends(&pattern[last + 1..], rest) else {
        return false;
    };
    rest = &rest[..rest.len() - suffix];
    let middle = pattern.get(first + 1..last).unwrap_or_default();
    for part in middle.split(|byte| *byte == ANY) {
        match find(part, rest) {
            Some(end) => rest = &rest[end..],
            None => return false,
        }
    }
    true
}

/// How many bytes of the text's start the part (without `*`) takes.
fn starts(part: &[u8], text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = 0;
    for byte in part {
        match byte {
            &ONE => at += text[at..].chars().next()?.len_utf8(),
            byte if bytes.get(at) == Some(byte) => {
                at += 1;
                // In the middle of a character only its next byte can follow.
            }
            _ => return None,
        }
    }
    Some(at)
}

/// How many bytes of the text's end the part (without `*`) takes.
fn ends(part: &[u8], text: &str) -> Option<usize> {
    let bytes = text.as_bytes();
    let mut at = bytes.len();
    for byte in part.iter().rev() {
        match byte {
            &ONE => at -= text[..at].chars().next_back()?.len_utf8(),
            byte => {
                at = at.checked_sub(1)?;
                if bytes[at] != *byte {
                    return None;
                }
            }
        }
    }
    Some(bytes.len() - at)
}

/// Where the leftmost place of the part (without `*`) in the text ends.
fn find(part: &[u8], text: &str) -> Option<usize> {
    if let Ok(plain) = std::str::from_utf8(part) {
        return find_plain(plain, text).map(|at| at + plain.len());
    }
    // With a `?` in it: the bytes before the first one are found as above.
    let one = part.iter().position(|byte| *byte == ONE)?;
    let plain = std::str::from_utf8(&part[..one]).ok()?;
    let mut from = 0;
    loop {
        let at = from + find_plain(plain, text.get(from..)?)?;
        if let Some(length) = starts(part, &text[at..]) {
            return Some(at + length);
        }
        from = at + text[at..].chars().next()?.len_utf8();
    }
}

/// Texts up to so many bytes are searched place by place: preparing a search that is linear in
/// texts of any length would take longer.
const SHORT: usize = 128;

fn find_plain(part: &str, text: &str) -> Option<usize> {
    let Some(first) = part.bytes().next() else {
        return Some(0);
    };
    if text.len() > SHORT {
        return text.find(part);
    }
    let last = text.len().checked_sub(part.len())?;
    let (bytes, part) = (text.as_bytes(), part.as_bytes());
    (0..=last).find(|at| bytes[*at] == first && bytes[*at..].starts_with(part))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(pattern: &str, text: &str) -> bool {
        let mut bytes = Vec::new();
        encode(pattern, &mut bytes);
        matches(&bytes, text)
    }

    /// The definition, tried in every way.
    fn slow(pattern: &[char], text: &[char]) -> bool {
        match pattern.split_first() {
            None => text.is_empty(),
            Some(('*', rest)) => (0..=text.len()).any(|skip| slow(rest, &text[skip..])),
            Some(('?', rest)) => !text.is_empty() && slow(rest, &text[1..]),
            Some((first, rest)) => text.first() == Some(first) && slow(rest, &text[1..]),
        }
    }

    /// Every word of at most that length.
    fn words(letters: &[char], length: usize) -> Vec<String> {
        let mut words = vec![String::new()];
        let mut last = words.clone();
        for _ in 0..length {
            last = last
                .iter()
                .flat_map(|word| letters.iter().map(move |letter| format!("{word}{letter}")))
                .collect();
            words.extend(last.iter().cloned());
        }
        words
    }

    #[test]
    fn every_short_pattern_matches_what_its_definition_says() {
        let texts = words(&['a', 'é'], 5);
        for pattern in words(&['a', 'é', '*', '?'], 4) {
            for text in &texts {
                let [p, t]: [Vec<char>; 2] = [&pattern, text].map(|word| word.chars().collect());
                assert_eq!(check(&pattern, text), slow(&p, &t), "{pattern} {text}");
            }
        }
    }

    #[test]
    fn long_patterns_end_soon() {
        let text = "a".repeat(4096);
        assert!(!check(&format!("{}b", "*a".repeat(2000)), &text));
        assert!(check(&format!("{}*", "*a".repeat(2000)), &text));
        assert!(!check(&format!("*{}b*", "a".repeat(2000)), &text));
        assert!(!check(&format!("*{}?b*", "a".repeat(1000)), &text));
    }
}
