//! What a client asks at once: a simple query, or the messages of the extended protocol up to the
//! next Sync. All of it goes to one side, since it is one transaction unless it says otherwise.

use super::frames::{HEADER, text};
use super::names::Names;
use super::statement::{Class, classes};

/// Where something goes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Side {
    /// To the session's own server.
    Local,
    /// To the writer of the global cluster.
    Writer,
}

/// How a transaction ends.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum End {
    Commit,
    Rollback,
}

/// What statements are carried out, taken together.
#[derive(Default, Debug)]
pub(super) struct Shape {
    count: usize,
    reads: bool,
    pub(super) writes: bool,
    sets: bool,
    /// It begins with BEGIN; plain?
    pub(super) begin: Option<bool>,
    /// It ends with this.
    pub(super) end: Option<End>,
    /// The first word of something else.
    pub(super) other: Option<String>,
}

impl Shape {
    /// This comes next.
    pub(super) fn add(&mut self, class: &Class) {
        if self.end.is_some() {
            self.other
                .get_or_insert_with(|| "several statements".into());
        }
        let is_first = self.count == 0;
        self.count += 1;
        match class {
            Class::Read => self.reads = true,
            Class::Write => self.writes = true,
            Class::Set => self.sets = true,
            Class::Begin { plain } if is_first => self.begin = Some(*plain),
            Class::Begin { .. } => {
                self.other.get_or_insert_with(|| "BEGIN".into());
            }
            Class::Commit => self.end = Some(End::Commit),
            Class::Rollback => self.end = Some(End::Rollback),
            Class::Other(word) => {
                self.other.get_or_insert_with(|| word.clone());
            }
        }
    }

    /// Is nothing carried out?
    pub(super) fn is_empty(&self) -> bool {
        self.count == 0
    }

    /// Does it set something, and nothing else?
    pub(super) fn only_sets(&self) -> bool {
        let nothing_else = !self.reads && !self.writes && self.other.is_none();
        self.sets && nothing_else && self.begin.is_none() && self.end.is_none()
    }

    /// Can the writer carry it out, in a transaction that is open there, or by itself?
    pub(super) fn fits(&self) -> bool {
        self.other.is_none() && !self.sets
    }

    /// Does something come behind the end of its transaction, or does its end begin another?
    pub(super) fn goes_on(&self) -> bool {
        // Of those that end one, only AND CHAIN, PREPARE TRANSACTION and what needs a savepoint are
        // something else.
        let chains =
            |word: &str| matches!(word, "COMMIT" | "END" | "ROLLBACK" | "ABORT" | "PREPARE");
        let other = self.other.as_deref();
        other.is_some_and(|word| self.end.is_some() || chains(word))
    }

    /// Mustn't the writer go on with it, though it has begun to? There it is in a transaction of
    /// that status, or in none that is known of.
    pub(super) fn strays(&self, status: Option<u8>) -> bool {
        match status {
            Some(b'T') => !self.fits(),
            // It comes to nothing there, up to the transaction's end.
            Some(_) => self.goes_on(),
            None => !self.fits() || self.begin.is_some(),
        }
    }

    /// Is it to go to the writer, where no transaction is open? By itself, or with its beginning.
    pub(super) fn is_write(&self) -> bool {
        let is_whole = match self.begin {
            None => self.end.is_none(),
            Some(plain) => plain,
        };
        self.writes && self.fits() && is_whole
    }

    /// Does it commit at the writer?
    pub(super) fn commits(&self, in_transaction: bool) -> bool {
        match self.end {
            Some(end) => end == End::Commit,
            None => !in_transaction && self.begin.is_none(),
        }
    }

    /// Do its reads wait for what they are to see? BEGIN too: its snapshot may be the next
    /// statement's. SET TRANSACTION doesn't: it is to come before any query.
    pub(super) fn waits(&self) -> bool {
        let only_sets = self.count == 1 && self.other.as_deref() == Some("SET");
        self.reads || self.other.is_some() && !only_sets || self.begin.is_some()
    }
}

/// What is being taken of a client.
#[derive(Default)]
pub(super) struct Unit {
    /// Not sent yet.
    messages: Vec<Vec<u8>>,
    held: usize,
    pub(super) shape: Shape,
    /// What it prepares, of reads, writes and what sets something.
    prepares: Shape,
    /// A portal of its may be asked for later.
    pub(super) keeps_portal: bool,
    /// Where it goes, once that is decided.
    pub(super) side: Option<Side>,
    /// It is a simple query, or its Sync has come.
    pub(super) is_whole: bool,
    /// It has failed here: what is left of it is passed over.
    pub(super) is_over: bool,
}

/// What is said of a message that is too long to be read here.
const TOO_LONG: &str = "a statement of more than 1 MiB";

impl Unit {
    /// Takes a message, or the beginning of a long one, header and all; `names` learns what it
    /// prepares.
    pub(super) fn take(&mut self, bytes: Vec<u8>, is_long: bool, names: &mut Names) {
        let body = &bytes[HEADER..];
        match bytes[0] {
            b'Q' => {
                let all = match is_long {
                    true => vec![Class::Other(TOO_LONG.to_owned())],
                    false => classes(text(body).map_or(body, |(text, _)| text)),
                };
                names.simple(&all, body);
                all.iter().for_each(|class| self.shape.add(class));
                self.is_whole = true;
            }
            b'F' => {
                self.shape.add(&Class::Other("a function".to_owned()));
                self.is_whole = true;
            }
            b'P' => {
                if is_long {
                    // Whoever uses it says so of a statement that isn't known.
                    names.close(text(body).map_or(&[], |(name, _)| name));
                } else {
                    let class = names.prepare(&bytes);
                    let kind =
                        |class: &Class| matches!(class, Class::Read | Class::Write | Class::Set);
                    let class = class.filter(kind);
                    class.iter().for_each(|class| self.prepares.add(class));
                }
            }
            b'B' => {
                if let Some((portal, rest)) = text(body)
                    && let Some((name, _)) = text(rest)
                {
                    self.keeps_portal |= !portal.is_empty();
                    match names.class(name) {
                        Some(class) => class.iter().for_each(|class| self.shape.add(class)),
                        None => self.shape.add(&Class::Other("a statement".to_owned())),
                    }
                }
            }
            b'C' if body.first() == Some(&b'S') => {
                if let Some((name, _)) = text(&body[1..]) {
                    names.close(name);
                }
            }
            b'S' => self.is_whole = true,
            _ => {}
        }
        self.held += bytes.len();
        self.messages.push(bytes);
    }

    /// What it is judged by: what it carries out; or, if it is sent before its end and carries out
    /// nothing yet, what it prepares, for that comes next.
    pub(super) fn judged(&self) -> &Shape {
        match !self.is_whole && self.shape.is_empty() {
            true => &self.prepares,
            false => &self.shape,
        }
    }

    /// How many bytes wait.
    pub(super) fn held(&self) -> usize {
        self.held
    }

    /// What waits, to be sent.
    pub(super) fn messages(&mut self) -> Vec<Vec<u8>> {
        self.held = 0;
        std::mem::take(&mut self.messages)
    }
}

#[cfg(test)]
mod tests {
    use super::super::frames::message;
    use super::*;

    fn simple(sql: &str) -> Unit {
        let mut unit = Unit::default();
        let query = message(b'Q', &[sql.as_bytes(), b"\0"]);
        unit.take(query, false, &mut Names::default());
        assert!(unit.is_whole && unit.held() > 0);
        unit
    }

    /// The messages of the extended protocol that carry out statements, with one Sync.
    fn extended(all: &[&str]) -> Unit {
        let (mut unit, mut names) = (Unit::default(), Names::default());
        for sql in all {
            let parse = message(b'P', &[b"\0", sql.as_bytes(), b"\0\0\0"]);
            let bind = message(b'B', &[b"\0\0\0\0\0\0\0\0"]);
            for bytes in [parse, bind, message(b'E', &[b"\0\0\0\0\0"])] {
                assert!(!unit.is_whole);
                unit.take(bytes, false, &mut names);
            }
        }
        unit.take(message(b'S', &[]), false, &mut names);
        assert!(unit.is_whole);
        unit
    }

    #[test]
    fn both_protocols_say_the_same() {
        for (all, is_write) in [
            (&["insert into t values (1)"][..], true),
            (&["select 1", "delete from t"], true),
            (&["begin", "insert into t values (1)"], true),
            (&["begin", "insert into t values (1)", "commit"], true),
            (&["select 1"], false),
            (&["begin", "select 1"], false),
            (&["begin read only", "insert into t values (1)"], false),
            (&["insert into t values (1)", "begin"], false),
            (&["insert into t values (1)", "commit"], false),
            (&["insert into t values (1)", "commit", "select 1"], false),
            (&["insert into t values (1)", "create table u ()"], false),
            (&["insert into t values (1)", "set a.b = 1"], false),
            (&["savepoint a", "insert into t values (1)"], false),
        ] {
            assert_eq!(extended(all).shape.is_write(), is_write, "{all:?}");
            assert_eq!(simple(&all.join(";")).shape.is_write(), is_write, "{all:?}");
        }
        assert!(extended(&[]).shape.is_empty() && simple(" -- \n").shape.is_empty());
    }

    #[test]
    fn what_commits_is_known() {
        let commits = |sql: &str, in_transaction| simple(sql).shape.commits(in_transaction);
        assert!(commits("insert into t values (1)", false));
        assert!(!commits("insert into t values (1)", true));
        assert!(commits("insert into t values (1); commit", true));
        assert!(commits("begin; insert into t values (1); commit", true));
        assert!(!commits("rollback", true));
    }

    /// What comes behind a Flush is judged too.
    #[test]
    fn what_the_writer_must_not_go_on_with_strays() {
        for (all, strays) in [
            (&["insert into t values (1)"][..], [false, false, false]),
            (&["insert into t values (1)", "select 1"], [false; 3]),
            (&["insert into t values (1)", "begin"], [true, true, false]),
            (&["begin", "insert into t values (1)"], [true, false, false]),
            (&["insert into t values (1)", "commit", "begin"], [true; 3]),
            (
                &["insert into t values (1)", "set a.b = 1"],
                [true, true, false],
            ),
            (
                &["insert into t values (1)", "savepoint a"],
                [true, true, false],
            ),
            (&["rollback", "set a.b = 1"], [true; 3]),
            (&["rollback", "insert into t values (1)"], [true; 3]),
            (&["rollback and chain"], [true; 3]),
            (&["rollback"], [false; 3]),
        ] {
            let shape = extended(all).shape;
            let found = [None, Some(b'T'), Some(b'E')].map(|status| shape.strays(status));
            assert_eq!(found, strays, "{all:?}");
        }
    }

    /// A look at the server is a query, and these are refused behind one.
    #[test]
    fn what_is_to_come_before_any_query_does_not_wait() {
        let waits = |sql: &str| simple(sql).shape.waits();
        assert!(!waits(
            "set transaction isolation level repeatable read, read only"
        ));
        assert!(!waits("set constraints all deferred") && !waits("commit"));
        assert!(waits("set transaction read only; create table t ()"));
        assert!(waits("set transaction read only; select 1"));
        assert!(waits("begin") && waits("select 1") && waits("declare c cursor for select 1"));
    }

    /// Parse, Describe and Flush, with Bind and Execute to come: asyncpg asks so.
    #[test]
    fn what_is_prepared_before_a_flush_is_judged_as_if_carried_out() {
        let flushed = |sql: &str| {
            let mut unit = Unit::default();
            let parse = message(b'P', &[b"\0", sql.as_bytes(), b"\0\0\0"]);
            for bytes in [parse, message(b'D', &[b"S\0"]), message(b'H', &[])] {
                unit.take(bytes, false, &mut Names::default());
            }
            assert!(unit.shape.is_empty() && !unit.is_whole);
            unit
        };
        let write = flushed("insert into t values ($1)");
        assert!(write.judged().is_write() && write.judged().fits());
        let read = flushed("select a from t");
        assert!(read.judged().waits() && !read.judged().is_write());
        assert!(flushed("set a.b = 1").judged().only_sets());
        for sql in ["begin", "commit", "create table t ()", ""] {
            assert!(flushed(sql).judged().is_empty(), "{sql}");
        }
        // With its Sync, nothing is carried out.
        let mut whole = write;
        whole.take(message(b'S', &[]), false, &mut Names::default());
        assert!(whole.judged().is_empty());
    }

    #[test]
    fn what_is_too_long_to_be_read_is_nothing_that_is_forwarded() {
        let mut names = Names::default();
        let mut unit = Unit::default();
        let query = message(b'Q', &[b"insert into t values (1)\0"]);
        unit.take(query, true, &mut names);
        assert!(!unit.shape.is_write() && !unit.shape.fits());
        // Nor is a statement that was prepared so, whatever had its name before.
        let parse = message(b'P', &[b"a\0insert into t values (1)\0\0\0"]);
        let bind = message(b'B', &[b"\0a\0\0\0\0\0\0\0"]);
        for is_long in [false, true] {
            let mut unit = Unit::default();
            unit.take(parse.clone(), is_long, &mut names);
            unit.take(bind.clone(), false, &mut names);
            assert_eq!(unit.shape.is_write(), !is_long);
        }
    }
}
