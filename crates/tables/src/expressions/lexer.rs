//! Splits an expression into tokens.
//!
//! It refuses nothing: what begins no token is a token of its own, for the parser to stumble
//! over, as in the service's errors.

/// What a token is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum TokenKind {
    /// A name or a keyword.
    Word,
    /// `#name`.
    Name,
    /// `:value`.
    Value,
    /// Digits.
    Digits,
    /// `=`, `<>`, `<`, `<=`, `>`, `>=`, `(`, `)`, `[`, `]`, `,`, `.`, `+`, `-`.
    Symbol,
    /// A character that begins none of these.
    Stray,
    /// The end of the expression.
    End,
}

/// A token and where it stands.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) struct Token {
    pub(super) kind: TokenKind,
    pub(super) start: usize,
    pub(super) end: usize,
}

/// The tokens of an expression; the last is `End`.
pub(super) fn tokens(text: &str) -> Vec<Token> {
    let bytes = text.as_bytes();
    let mut tokens = Vec::new();
    let mut start = 0;
    while start < bytes.len() {
        let rest = &bytes[start..];
        if matches!(rest[0], b' ' | b'\t' | b'\r' | b'\n') {
            start += 1;
            continue;
        }
        let (kind, length) = token(rest, &text[start..]);
        let end = start + length;
        tokens.push(Token { kind, start, end });
        start = end;
    }
    tokens.push(Token {
        kind: TokenKind::End,
        start,
        end: start,
    });
    tokens
}

/// The token that a text, which isn't empty, begins with.
fn token(bytes: &[u8], text: &str) -> (TokenKind, usize) {
    let word = |from: usize| {
        let is_part = |byte: &u8| byte.is_ascii_alphanumeric() || *byte == b'_';
        from + bytes[from..]
            .iter()
            .take_while(|byte| is_part(byte))
            .count()
    };
    match bytes[0] {
        b'a'..=b'z' | b'A'..=b'Z' => (TokenKind::Word, word(1)),
        b'#' if word(1) > 1 => (TokenKind::Name, word(1)),
        b':' if word(1) > 1 => (TokenKind::Value, word(1)),
        b'0'..=b'9' => {
            let length = bytes
                .iter()
                .take_while(|byte| byte.is_ascii_digit())
                .count();
            (TokenKind::Digits, length)
        }
        b'<' if matches!(bytes.get(1), Some(b'>' | b'=')) => (TokenKind::Symbol, 2),
        b'>' if bytes.get(1) == Some(&b'=') => (TokenKind::Symbol, 2),
        b'=' | b'<' | b'>' | b'(' | b')' | b'[' | b']' | b',' | b'.' | b'+' | b'-' => {
            (TokenKind::Symbol, 1)
        }
        _ => (
            TokenKind::Stray,
            text.chars().next().map_or(1, char::len_utf8),
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn split(text: &str) -> Vec<&str> {
        let tokens = tokens(text);
        let texts = tokens.iter().map(|token| &text[token.start..token.end]);
        texts.collect()
    }

    #[test]
    fn splits() {
        assert_eq!(
            split("a.b[12]<>:v_1 AND\t(#n>=b)+-1"),
            [
                "a", ".", "b", "[", "12", "]", "<>", ":v_1", "AND", "(", "#n", ">=", "b", ")", "+",
                "-", "1", ""
            ]
        );
        assert_eq!(split("_123"), ["_", "123", ""]);
        assert_eq!(split("# :é!="), ["#", ":", "é", "!", "=", ""]);
        assert_eq!(split(" \n"), [""]);
    }
}
