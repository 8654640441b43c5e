//! Rows as `COPY ... TO` writes them, made into `INSERT`s. Byte by byte: a row may be as large as
//! the disk.

use std::io::{self, BufRead, Write};

/// Where in a row it is.
enum Place {
    /// In the first field, the number of the transaction.
    Number(Vec<u8>),
    /// Before a value's first byte.
    Begin,
    /// In a value.
    Value,
    /// Behind a `\N`, which is a whole value.
    Null,
}

/// Writes an `INSERT` a row: what comes before its values, the values, and which transaction left
/// it so. Gives how many.
///
/// # Errors
/// The rows are cut off, aren't what they must be, or can't be read or written.
pub(super) fn inserts(
    rows: &mut impl BufRead,
    before: &str,
    to: &mut impl Write,
) -> io::Result<u64> {
    let mut count = 0;
    let mut place = Place::Number(Vec::new());
    let mut number = Vec::new();
    let mut first = true;
    let odd = || io::Error::other("rows that were written out are not as they must be");
    while let Some(byte) = next(rows)? {
        match (&mut place, byte) {
            (Place::Number(digits), b'0'..=b'9') if digits.len() < 10 => digits.push(byte),
            (Place::Number(digits), b'\t') => {
                number = std::mem::take(digits);
                to.write_all(before.as_bytes())?;
                first = true;
                place = Place::Begin;
            }
            (Place::Number(_), _) => return Err(odd()),
            (_, b'\t' | b'\n') => {
                match place {
                    // An empty value.
                    Place::Begin => to.write_all(separated(first, b"''"))?,
                    Place::Value => to.write_all(b"'")?,
                    _ => {}
                }
                first = false;
                place = Place::Begin;
                if byte == b'\n' {
                    to.write_all(b") ON CONFLICT DO NOTHING; -- transaction ")?;
                    to.write_all(&number)?;
                    to.write_all(b"\n")?;
                    count += 1;
                    place = Place::Number(Vec::new());
                }
            }
            (Place::Null, _) => return Err(odd()),
            (_, byte) => {
                let begins = matches!(place, Place::Begin);
                let escaped = match byte {
                    b'\\' => Some(next(rows)?.ok_or_else(odd)?),
                    _ => None,
                };
                if begins && escaped == Some(b'N') {
                    to.write_all(separated(first, b"NULL"))?;
                    place = Place::Null;
                    continue;
                }
                if begins {
                    to.write_all(separated(first, b"'"))?;
                    place = Place::Value;
                }
                match escaped.map_or(byte, unescaped) {
                    b'\'' => to.write_all(b"''")?,
                    byte => to.write_all(&[byte])?,
                }
            }
        }
    }
    match place {
        Place::Number(digits) if digits.is_empty() => Ok(count),
        _ => Err(odd()),
    }
}

fn separated(first: bool, word: &'static [u8]) -> &'static [u8] {
    match (first, word) {
        (true, word) => word,
        (false, b"'") => b", '",
        (false, b"''") => b", ''",
        (false, _) => b", NULL",
    }
}

/// What a letter behind a backslash is (sql-copy: Text Format).
fn unescaped(letter: u8) -> u8 {
    match letter {
        b'b' => 8,
        b'f' => 12,
        b'n' => b'\n',
        b'r' => b'\r',
        b't' => b'\t',
        b'v' => 11,
        other => other,
    }
}

/// A field of a short list, as it was before it was written out.
pub(super) fn field(text: &str) -> String {
    let mut bytes = Vec::with_capacity(text.len());
    let mut rest = text.bytes();
    while let Some(byte) = rest.next() {
        match byte {
            b'\\' => bytes.extend(rest.next().map(unescaped)),
            byte => bytes.push(byte),
        }
    }
    String::from_utf8_lossy(&bytes).into_owned()
}

fn next(rows: &mut impl BufRead) -> io::Result<Option<u8>> {
    let byte = rows.fill_buf()?.first().copied();
    if byte.is_some() {
        rows.consume(1);
    }
    Ok(byte)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn made(rows: &str) -> io::Result<String> {
        let mut written = Vec::new();
        inserts(&mut rows.as_bytes(), "I (", &mut written)?;
        Ok(String::from_utf8(written).unwrap())
    }

    #[test]
    fn every_kind_of_value_is_quoted() {
        assert_eq!(
            made("731\t1\tit's\t\\N\t\t\\\\N\ta\\tb\\nc\n9\t\t2\n").unwrap(),
            "I ('1', 'it''s', NULL, '', '\\N', 'a\tb\nc') ON CONFLICT DO NOTHING; -- transaction \
             731\nI ('', '2') ON CONFLICT DO NOTHING; -- transaction 9\n"
        );
        assert_eq!(made("").unwrap(), "");
    }

    #[test]
    fn a_field_is_what_it_was() {
        assert_eq!(field(r"a\tb\\c\nä"), "a\tb\\c\nä");
    }

    #[test]
    fn what_is_cut_off_or_odd_is_an_error() {
        for rows in [
            "7",
            "7\t1",
            "x\t1\n",
            "7\t\\Nx\n",
            "7\ta\\",
            "7\n",
            "12345678901\t1\n",
        ] {
            assert!(made(rows).is_err(), "{rows:?}");
        }
    }
}
