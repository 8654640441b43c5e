//! What kind of statement a text is, as far as write forwarding must know: PostgreSQL's words, with
//! its comments, strings and quoted names passed over. It never decides what anybody may do: what
//! is wrongly taken for a read is refused by the standby that gets it, and what is forwarded is
//! judged by the writer, under the user's own rights.

/// What is known of one statement.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) enum Class {
    /// Any server can answer it, as far as its words tell.
    Read,
    /// A standby would refuse it, and the writer may carry it out.
    Write,
    /// It sets something of the session.
    Set,
    /// It begins a transaction. Plain: one that writes may be begun in its place at the writer.
    Begin {
        /// Read committed, and not said to be read only.
        plain: bool,
    },
    /// It commits.
    Commit,
    /// It rolls back.
    Rollback,
    /// Anything else: its first word.
    Other(String),
}

/// What of a statement's words matters.
#[derive(Default)]
struct Words {
    /// The first ones, in capitals.
    first: Vec<String>,
    /// One that changes rows, if it stands where a statement may begin or after WITH.
    writes: bool,
    /// FOR UPDATE, FOR SHARE or one of their kin.
    locks: bool,
    /// INTO outside of parentheses.
    into: bool,
    /// ANALYZE.
    analyzes: bool,
    after_for: bool,
    count: usize,
}

/// So many first words are kept of a statement, and of each so many bytes.
const KEPT: usize = 7;
const LONGEST_WORD: usize = 32;

impl Words {
    fn take(&mut self, word: &[u8], depth: usize) {
        let word = &word[..word.len().min(LONGEST_WORD)];
        let word = String::from_utf8_lossy(word).to_ascii_uppercase();
        self.count += 1;
        let was_for = std::mem::replace(&mut self.after_for, word == "FOR");
        match word.as_str() {
            "UPDATE" | "SHARE" | "NO" | "KEY" if was_for => self.locks = true,
            "INSERT" | "UPDATE" | "DELETE" | "MERGE" => self.writes = true,
            "INTO" if depth == 0 => self.into = true,
            "ANALYZE" | "ANALYSE" => self.analyzes = true,
            _ => {}
        }
        if self.first.len() < KEPT {
            self.first.push(word);
        }
    }

    fn class(&self) -> Option<Class> {
        let mut words = self.first.iter().map(String::as_str);
        let first = words.next()?;
        let rest: Vec<&str> = words.collect();
        let only_names_it = matches!(rest[..], [] | ["WORK" | "TRANSACTION"]);
        Some(match first {
            "INSERT" | "UPDATE" | "DELETE" | "MERGE" => Class::Write,
            "WITH" if self.writes || self.locks => Class::Write,
            "SELECT" | "WITH" if self.into => Class::Other("SELECT INTO".to_owned()),
            "SELECT" | "VALUES" | "TABLE" if self.locks => Class::Write,
            "EXPLAIN" if self.analyzes && (self.writes || self.locks) => Class::Write,
            "SELECT" | "VALUES" | "TABLE" | "WITH" | "EXPLAIN" | "SHOW" => Class::Read,
            "RESET" => Class::Set,
            "SET" => match rest.first() {
                Some(&"TRANSACTION" | &"CONSTRAINTS") => self.other(),
                Some(&"SESSION") if rest.get(1) == Some(&"CHARACTERISTICS") => self.other(),
                _ => Class::Set,
            },
            "BEGIN" => begin(&rest, self.count),
            "START" => begin(&rest, self.count),
            "COMMIT" | "END" if only_names_it => Class::Commit,
            "ROLLBACK" | "ABORT" if only_names_it => Class::Rollback,
            _ => self.other(),
        })
    }

    fn other(&self) -> Class {
        let word = self.first.first().cloned().unwrap_or_default();
        Class::Other(word)
    }
}

fn begin(rest: &[&str], count: usize) -> Class {
    let options = match rest {
        ["WORK" | "TRANSACTION", options @ ..] => options,
        options => options,
    };
    let is_plain = matches!(options, [] | ["ISOLATION", "LEVEL", "READ", "COMMITTED"]);
    Class::Begin {
        plain: is_plain && count <= KEPT,
    }
}

/// The statements of a text, in order; those that are empty are none.
pub(super) fn classes(text: &[u8]) -> Vec<Class> {
    let mut found = Vec::new();
    let mut words = Words::default();
    let mut depth = 0usize;
    let mut at = 0;
    while let Some(byte) = text.get(at).copied() {
        let rest = &text[at..];
        match byte {
            b'-' if rest.starts_with(b"--") => at += line(rest),
            b'/' if rest.starts_with(b"/*") => at += comment(rest),
            b'\'' => at += quoted(rest, b'\'', false),
            b'"' => {
                words.after_for = false;
                at += quoted(rest, b'"', false);
            }
            b'$' => at += dollars(rest),
            b'(' => {
                depth += 1;
                at += 1;
            }
            b')' => {
                depth = depth.saturating_sub(1);
                at += 1;
            }
            b';' => {
                found.extend(std::mem::take(&mut words).class());
                depth = 0;
                at += 1;
            }
            b'e' | b'E' if rest.get(1) == Some(&b'\'') => {
                at += 1 + quoted(&rest[1..], b'\'', true);
            }
            _ if is_first(byte) => {
                let length = rest.iter().position(|byte| !is_later(*byte));
                let length = length.unwrap_or(rest.len());
                words.take(&rest[..length], depth);
                at += length;
            }
            // A number's letters are no word.
            b'0'..=b'9' => {
                let length = rest.iter().position(|byte| !is_later(*byte));
                at += length.unwrap_or(rest.len());
            }
            _ => at += 1,
        }
    }
    found.extend(words.class());
    found
}

fn is_first(byte: u8) -> bool {
    byte.is_ascii_alphabetic() || byte == b'_' || byte >= 0x80
}

fn is_later(byte: u8) -> bool {
    is_first(byte) || byte.is_ascii_digit() || byte == b'$'
}

/// The bytes of a comment up to the end of its line.
fn line(text: &[u8]) -> usize {
    let end = text.iter().position(|byte| matches!(byte, b'\n' | b'\r'));
    end.unwrap_or(text.len())
}

/// The bytes of a comment, which may hold others.
fn comment(text: &[u8]) -> usize {
    let (mut at, mut depth) = (0, 0usize);
    while at < text.len() {
        if text[at..].starts_with(b"/*") {
            depth += 1;
            at += 2;
        } else if text[at..].starts_with(b"*/") {
            depth -= 1;
            at += 2;
            if depth == 0 {
                return at;
            }
        } else {
            at += 1;
        }
    }
    text.len()
}

/// The bytes of what stands between two quotes, both of them included. A quote that is doubled
/// begins another such text right behind, which comes to the same.
fn quoted(text: &[u8], quote: u8, escapes: bool) -> usize {
    let mut at = 1;
    while at < text.len() {
        match text[at] {
            b'\\' if escapes => at += 2,
            byte if byte == quote => return at + 1,
            _ => at += 1,
        }
    }
    text.len()
}

/// The bytes of a text in dollars, or of the dollar alone if it begins none.
fn dollars(text: &[u8]) -> usize {
    let Some(end) = text[1..].iter().position(|byte| *byte == b'$') else {
        return 1;
    };
    let tag = &text[1..1 + end];
    let is_tag = tag.iter().all(|byte| is_later(*byte));
    if !is_tag || tag.first().is_some_and(u8::is_ascii_digit) {
        return 1;
    }
    let mark = &text[..end + 2];
    let body = &text[mark.len()..];
    let found = body.windows(mark.len()).position(|part| part == mark);
    found.map_or(text.len(), |at| mark.len() + at + mark.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn class(text: &str) -> Class {
        let mut all = classes(text.as_bytes());
        assert_eq!(all.len(), 1, "{text}: {all:?}");
        all.pop().unwrap()
    }

    fn other(word: &str) -> Class {
        Class::Other(word.to_owned())
    }

    #[test]
    fn statements_that_change_rows_or_lock_them_are_writes() {
        for text in [
            "insert into t values (1)",
            "  INSERT INTO t SELECT 1;",
            "update t set a = 1 where b = 'x;y'",
            "delete from t",
            "merge into t using u on t.a = u.a when matched then delete",
            "with x as (insert into t values (1) returning a) select * from x",
            "WITH x AS (SELECT 1) INSERT INTO t SELECT * FROM x",
            "select * from t for update",
            "select * from t for no key update of t skip locked",
            "(select * from t for key share)",
            "select * from t for /* why */ share",
            "table t for update",
            "explain analyze delete from t",
            "explain (costs off, analyze) update t set a = 1",
            "/* a /* nested */ comment */ -- and\n insert into t values ($$;$$, $x$;$x$)",
            "insert into \"odd; name\" values (E'it\\'s; ', 'it''s;')",
        ] {
            assert_eq!(class(text), Class::Write, "{text}");
        }
    }

    #[test]
    fn everything_else_stays_where_it_is() {
        for text in [
            "select 1",
            "select 'insert into t'",
            "select \"for\" update from t",
            "select substring('abc' for 2)",
            "select a from t where b = $1 and c = $2",
            "values (1)",
            "table t",
            "with x as (select 1) select * from x",
            "explain insert into t values (1)",
            "explain analyze select 1",
            "show all",
            "select $1, 1e3, 0x1f",
            "select 'insert' /* ; */ -- ; insert into t values (1)",
        ] {
            assert_eq!(class(text), Class::Read, "{text}");
        }
        for (text, word) in [
            ("create table t (a int)", "CREATE"),
            ("select 1 into t", "SELECT INTO"),
            ("copy t from stdin", "COPY"),
            ("lock t", "LOCK"),
            ("savepoint a", "SAVEPOINT"),
            ("rollback to a", "ROLLBACK"),
            ("rollback to savepoint a", "ROLLBACK"),
            ("commit and chain", "COMMIT"),
            ("commit prepared 'x'", "COMMIT"),
            ("prepare x as insert into t values (1)", "PREPARE"),
            ("set transaction read only", "SET"),
            (
                "set session characteristics as transaction read only",
                "SET",
            ),
            ("truncate t", "TRUNCATE"),
            ("do $$ begin insert into t values (1); end $$", "DO"),
            ("call p()", "CALL"),
            ("declare c cursor for select 1", "DECLARE"),
        ] {
            assert_eq!(class(text), other(word), "{text}");
        }
    }

    #[test]
    fn transactions_and_settings_are_told_apart() {
        let plain = |plain| Class::Begin { plain };
        for (text, expected) in [
            ("begin", plain(true)),
            ("BEGIN WORK", plain(true)),
            ("start transaction", plain(true)),
            ("begin isolation level read committed", plain(true)),
            (
                "begin transaction isolation level read committed",
                plain(true),
            ),
            ("begin read only", plain(false)),
            (
                "begin isolation level read committed read only",
                plain(false),
            ),
            (
                "begin transaction isolation level read committed read only",
                plain(false),
            ),
            ("begin isolation level repeatable read", plain(false)),
            ("begin read write", plain(false)),
            ("commit", Class::Commit),
            ("end transaction", Class::Commit),
            ("rollback", Class::Rollback),
            ("abort work", Class::Rollback),
            ("set search_path = a", Class::Set),
            ("set local work_mem = 64", Class::Set),
            ("reset all", Class::Set),
        ] {
            assert_eq!(class(text), expected, "{text}");
        }
    }

    #[test]
    fn several_statements_are_several_and_empty_ones_none() {
        assert!(classes(b"").is_empty());
        assert!(classes(b" ;; /* x */ ; -- y").is_empty());
        let both = classes(b"select 1; insert into t values (1);");
        assert_eq!(both, [Class::Read, Class::Write]);
        let odd = classes(b"select 'a;b'; begin;; commit");
        assert_eq!(
            odd,
            [Class::Read, Class::Begin { plain: true }, Class::Commit]
        );
    }

    /// Any bytes at all: it ends, and a statement is still one behind any comment or string that is
    /// closed.
    #[test]
    fn no_text_confuses_it() {
        let parts: [&[u8]; 22] = [
            b"'", b"\"", b"$", b"$a$", b"$$", b"--", b"\n", b"/*", b"*/", b"\\", b"e'", b"(", b")",
            b";", b"insert", b"for", b"update", b" ", b"\xff", b"1", b"x", b"with",
        ];
        let mut state = 0x9e37_79b9_7f4a_7c15_u64;
        let mut draw = |below: usize| {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            (state % below as u64) as usize
        };
        for _ in 0..20_000 {
            let count = draw(12);
            let text: Vec<u8> = (0..count).flat_map(|_| parts[draw(22)].to_vec()).collect();
            let found = classes(&text);
            assert!(found.len() <= text.len());
            // What is wrapped in something that can't hold its end is passed over.
            let plain: Vec<u8> = text
                .iter()
                .copied()
                .filter(|it| !b"'\\".contains(it))
                .collect();
            let wrapped = [b"select '", &plain[..], b"'; insert into t values (1)"].concat();
            assert_eq!(
                classes(&wrapped),
                [Class::Read, Class::Write],
                "{wrapped:?}"
            );
        }
    }
}
