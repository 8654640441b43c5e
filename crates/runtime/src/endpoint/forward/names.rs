//! A session's prepared statements: a client knows one session, and two servers may have to know
//! what it prepared. What a side lacks is prepared there again before it is used.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use super::customs::Customs;
use super::frames::{HEADER, message, text};
use super::statement::{Class, classes};
use super::unit::Side;

/// So many bytes of prepared statements are kept for a session; what is beyond can be used only on
/// the side that it was prepared on.
const KEPT: usize = 1 << 20;

/// So many statements are known of one.
const KNOWN: usize = 4096;

/// PostgreSQL keeps so many bytes of a statement's name (`NAMEDATALEN`, its NUL left out), and
/// takes names that differ only behind them for the same.
const LONGEST_NAME: usize = 63;

struct Statement {
    /// Its Parse message, unless there was no room for it.
    parse: Option<Vec<u8>>,
    /// What it is; none: it is empty.
    class: Option<Class>,
    is_local: bool,
    is_at_writer: bool,
}

impl Statement {
    fn is_on(&mut self, side: Side) -> &mut bool {
        match side {
            Side::Local => &mut self.is_local,
            Side::Writer => &mut self.is_at_writer,
        }
    }
}

/// All of them.
#[derive(Default)]
pub(super) struct Names {
    known: BTreeMap<Vec<u8>, Statement>,
    kept: usize,
    /// The parameters of its own making.
    pub(super) customs: Customs,
    /// What isn't known any more and may still be there, on the own server and at the writer.
    lingering: [Lingering; 2],
    /// What the unit that is under way has prepared, of those that are known.
    recent: BTreeSet<Vec<u8>>,
}

/// Names that are closed before they are used again: a side may have them. Too many does no harm.
#[derive(Default)]
struct Lingering {
    names: BTreeSet<Vec<u8>>,
    /// There was no room for more: it may be any.
    any: bool,
}

impl Lingering {
    fn add(&mut self, name: &[u8]) {
        if name.is_empty() {
            return;
        }
        match self.names.len() < KNOWN {
            true => _ = self.names.insert(name.to_vec()),
            false => self.any = true,
        }
    }

    fn remove(&mut self, name: &[u8]) -> bool {
        self.names.remove(name) || self.any && !name.is_empty()
    }
}

/// What is owed an answer of a kind, oldest first: by whom it was sent. It takes room for each time
/// that this changes.
#[derive(Default)]
pub(super) struct Owed(VecDeque<(bool, u64)>);

impl Owed {
    /// Something was sent: by us, or by the client?
    pub(super) fn push(&mut self, is_ours: bool) {
        match self.0.back_mut() {
            Some((was_ours, count)) if *was_ours == is_ours => *count += 1,
            _ => self.0.push_back((is_ours, 1)),
        }
    }

    /// It was answered: what we sent?
    pub(super) fn pop(&mut self) -> bool {
        let Some((is_ours, count)) = self.0.front_mut() else {
            return false;
        };
        let is_ours = *is_ours;
        *count -= 1;
        if *count == 0 {
            self.0.pop_front();
        }
        is_ours
    }

    /// Is it more than is kept? Nobody asks so much without an answer who means it.
    pub(super) fn is_too_much(&self) -> bool {
        self.0.len() > 4 * KNOWN
    }

    /// Nothing is owed any more.
    pub(super) fn clear(&mut self) {
        self.0.clear();
    }
}

impl Names {
    /// A Parse message has come, header and all: what it prepares, if that is no empty text.
    pub(super) fn prepare(&mut self, bytes: &[u8]) -> Option<Class> {
        let (name, rest) = text(&bytes[HEADER..])?;
        let (sql, _) = text(rest)?;
        let class = classes(sql).into_iter().next();
        self.customs.hear(class == Some(Class::Set), sql);
        let name = kept(name);
        self.forget(name);
        if self.known.len() < KNOWN {
            let has_room = self.kept + bytes.len() <= KEPT;
            let parse = has_room.then(|| bytes.to_vec());
            self.kept += parse.as_ref().map_or(0, Vec::len);
            let statement = Statement {
                parse,
                class: class.clone(),
                is_local: false,
                is_at_writer: false,
            };
            self.known.insert(name.to_vec(), statement);
        }
        class
    }

    /// What a statement is; `None`: it isn't known here.
    pub(super) fn class(&self, name: &[u8]) -> Option<&Option<Class>> {
        self.known.get(kept(name)).map(|statement| &statement.class)
    }

    /// It is to be there no longer.
    pub(super) fn close(&mut self, name: &[u8]) {
        let name = kept(name);
        if let Some(closed) = self.known.get(name) {
            let [local, writer] = &mut self.lingering;
            for (is_there, side) in [(closed.is_local, local), (closed.is_at_writer, writer)] {
                if is_there {
                    side.add(name);
                }
            }
        }
        self.forget(name);
    }

    fn forget(&mut self, name: &[u8]) {
        self.recent.remove(name);
        if let Some(closed) = self.known.remove(name) {
            self.kept -= closed.parse.map_or(0, |parse| parse.len());
        }
    }

    /// Whatever is there may go. What is known stays so, and is prepared again when it is used.
    fn lose_whatever(&mut self) {
        let [local, writer] = &mut self.lingering;
        for (name, statement) in &mut self.known {
            for (side, lingering) in [(Side::Local, &mut *local), (Side::Writer, &mut *writer)] {
                if std::mem::take(statement.is_on(side)) {
                    lingering.add(name);
                }
            }
        }
    }

    /// A simple query was sent, which may take prepared statements away, or set something.
    pub(super) fn simple(&mut self, all: &[Class], body: &[u8]) {
        self.customs.hear(all.contains(&Class::Set), body);
        if !all.iter().any(takes_away) {
            return;
        }
        let sql = String::from_utf8_lossy(body);
        let is_end = |it: char| matches!(it, '\0' | ';') || it.is_whitespace();
        let sql = sql.trim_end_matches(is_end);
        let name = sql.rsplit(char::is_whitespace).next().unwrap_or_default();
        let name = name.trim_matches('"');
        if ["all", "plans"]
            .iter()
            .any(|it| name.eq_ignore_ascii_case(it))
        {
            self.lose_whatever();
            (self.known, self.kept) = (BTreeMap::new(), 0);
            self.recent.clear();
        } else if !name.is_empty() {
            self.close(name.as_bytes());
        }
    }

    /// A side carries out a simple query of its own or of ours: its unnamed statement is gone.
    pub(super) fn lose_unnamed(&mut self, side: Side) {
        if let Some(unnamed) = self.known.get_mut(&b""[..]) {
            *unnamed.is_on(side) = false;
        }
    }

    /// A side has a new session.
    pub(super) fn lose_all(&mut self, side: Side) {
        for statement in self.known.values_mut() {
            *statement.is_on(side) = false;
        }
        self.lingering[side as usize] = Lingering::default();
    }

    /// What the unit under way has prepared on a side may have failed.
    pub(super) fn doubt(&mut self, side: Side) {
        for name in std::mem::take(&mut self.recent) {
            if let Some(statement) = self.known.get_mut(&name) {
                *statement.is_on(side) = false;
            }
        }
    }

    /// A unit begins.
    pub(super) fn begin(&mut self) {
        self.recent.clear();
    }

    /// A message goes to a side: what must be sent before it, so that the side knows what it is
    /// about: a Close and a Parse, or nothing.
    pub(super) fn before(&mut self, side: Side, bytes: &[u8]) -> Option<Vec<Vec<u8>>> {
        let body = &bytes[HEADER..];
        let name = match bytes[0] {
            b'P' => {
                let (name, _) = text(body)?;
                if let Some(statement) = self.known.get_mut(kept(name)) {
                    *statement.is_on(side) = true;
                    self.recent.insert(kept(name).to_vec());
                }
                let lingers = self.lingering[side as usize].remove(kept(name));
                return lingers.then(|| vec![close(name)]);
            }
            b'C' if body.first() == Some(&b'S') => {
                self.lingering[side as usize].remove(kept(text(&body[1..])?.0));
                return None;
            }
            b'B' => text(text(body)?.1)?.0,
            b'D' if body.first() == Some(&b'S') => text(&body[1..])?.0,
            _ => return None,
        };
        let statement = self.known.get_mut(kept(name))?;
        if bytes[0] == b'B' && statement.class.as_ref().is_some_and(takes_away) {
            self.lose_whatever();
        }
        let statement = self.known.get_mut(kept(name))?;
        if std::mem::replace(statement.is_on(side), true) {
            return None;
        }
        let parse = statement.parse.clone()?;
        self.recent.insert(kept(name).to_vec());
        Some(vec![close(name), parse])
    }
}

fn close(name: &[u8]) -> Vec<u8> {
    message(b'C', &[b"S", name, b"\0"])
}

/// May it take prepared statements away?
fn takes_away(class: &Class) -> bool {
    matches!(class, Class::Other(word) if word == "DEALLOCATE" || word == "DISCARD")
}

/// What PostgreSQL keeps of a name.
fn kept(name: &[u8]) -> &[u8] {
    &name[..name.len().min(LONGEST_NAME)]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(name: &[u8], sql: &[u8]) -> Vec<u8> {
        message(b'P', &[name, b"\0", sql, b"\0\0\0"])
    }

    fn bind(name: &[u8]) -> Vec<u8> {
        message(b'B', &[b"\0", name, b"\0\0\0\0\0\0\0"])
    }

    #[test]
    fn a_side_is_told_what_it_lacks_and_no_more() {
        let mut names = Names::default();
        let made = parse(b"a", b"insert into t values ($1)");
        assert_eq!(names.prepare(&made), Some(Class::Write));
        assert_eq!(names.before(Side::Local, &made), None);
        assert_eq!(names.before(Side::Local, &bind(b"a")), None);
        let lacks = vec![message(b'C', &[b"Sa\0"]), made.clone()];
        assert_eq!(names.before(Side::Writer, &bind(b"a")), Some(lacks));
        assert_eq!(names.before(Side::Writer, &bind(b"a")), None);
        // If that failed it is told again; and so is a new session.
        names.doubt(Side::Writer);
        assert!(names.before(Side::Writer, &bind(b"a")).is_some());
        names.begin();
        names.doubt(Side::Writer);
        assert_eq!(names.before(Side::Writer, &bind(b"a")), None);
        names.lose_all(Side::Writer);
        assert!(names.before(Side::Writer, &bind(b"a")).is_some());
        assert_eq!(names.before(Side::Local, &bind(b"a")), None);
    }

    #[test]
    fn what_is_closed_or_taken_away_is_no_longer_known() {
        let mut names = Names::default();
        let prepare = |names: &mut Names| {
            for name in [&b"a"[..], b"b", b""] {
                names.prepare(&parse(name, b"select 1"));
            }
        };
        prepare(&mut names);
        let other = |word: &str| [Class::Other(word.to_owned())];
        names.simple(&other("DEALLOCATE"), b"deallocate \"a\" ;\0");
        assert!(names.class(b"a").is_none() && names.class(b"b").is_some());
        names.simple(&[Class::Read], b"select all\0");
        assert!(names.class(b"b").is_some());
        names.simple(&other("DISCARD"), b"DISCARD ALL\0");
        assert!(names.class(b"b").is_none() && names.kept == 0);
        prepare(&mut names);
        names.close(b"b");
        assert!(names.class(b"b").is_none() && names.class(b"a").is_some());
        names.before(Side::Local, &parse(b"", b"select 1"));
        assert_eq!(names.before(Side::Local, &bind(b"")), None);
        names.lose_unnamed(Side::Local);
        assert!(names.before(Side::Local, &bind(b"")).is_some());
    }

    #[test]
    fn what_is_kept_is_bounded() {
        let mut names = Names::default();
        let long = vec![b' '; 100_000];
        for number in 0..20u32 {
            names.prepare(&parse(number.to_string().as_bytes(), &long));
        }
        assert!(names.kept <= KEPT);
        for number in 0..10_000u32 {
            names.prepare(&parse(number.to_string().as_bytes(), b"select 1"));
        }
        assert!(names.known.len() <= KNOWN && names.kept <= KEPT);
        // It is used where it is, and nothing is said where it can't be.
        assert_eq!(names.before(Side::Writer, &bind(b"unheard")), None);
        assert_eq!(names.before(Side::Writer, &[b'B', 0, 0, 0, 4]), None);
    }

    /// A name that a client gives up on one side and uses again is free on the other too.
    #[test]
    fn a_name_that_is_used_again_is_closed_first_where_it_may_still_be() {
        let made = parse(b"a", b"insert into t values ($1)");
        let both = || {
            let mut names = Names::default();
            names.prepare(&made);
            names.before(Side::Local, &made);
            names.before(Side::Writer, &bind(b"a"));
            names
        };
        let mut names = both();
        names.close(b"a");
        assert_eq!(names.before(Side::Local, &close(b"a")), None);
        names.prepare(&made);
        assert_eq!(names.before(Side::Local, &made), None);
        assert_eq!(names.before(Side::Writer, &made), Some(vec![close(b"a")]));
        assert_eq!(names.before(Side::Writer, &made), None);
        // A name that is prepared twice is an error, and stays one.
        names.prepare(&made);
        assert_eq!(names.before(Side::Writer, &made), None);
        let mut names = both();
        names.simple(&[Class::Other("DISCARD".to_owned())], b"DISCARD ALL\0");
        names.prepare(&made);
        assert_eq!(names.before(Side::Writer, &made), Some(vec![close(b"a")]));
        // A session of its own has none of them.
        let mut names = both();
        names.close(b"a");
        names.lose_all(Side::Writer);
        names.prepare(&made);
        assert_eq!(names.before(Side::Writer, &made), None);
        // By the extended protocol: what is used then is prepared again.
        let mut names = both();
        let all = parse(b"", b"deallocate all");
        names.prepare(&all);
        names.before(Side::Local, &all);
        names.before(Side::Local, &bind(b""));
        let lacks = Some(vec![close(b"a"), made.clone()]);
        assert_eq!(names.before(Side::Local, &bind(b"a")), lacks);
        assert_eq!(names.before(Side::Writer, &bind(b"a")), lacks);
    }

    #[test]
    fn names_that_may_still_be_there_are_bounded() {
        let mut names = Names::default();
        for number in 0..10_000u32 {
            let made = parse(number.to_string().as_bytes(), b"select 1");
            names.prepare(&made);
            names.before(Side::Writer, &made);
            names.close(number.to_string().as_bytes());
        }
        assert!(names.lingering[1].names.len() <= KNOWN && names.lingering[0].names.is_empty());
        let made = parse(b"9999", b"select 1");
        names.prepare(&made);
        assert!(names.before(Side::Writer, &made).is_some());
    }

    /// A unit that never ends: what is kept of it doesn't grow with it.
    #[test]
    fn a_unit_without_an_end_takes_bounded_room() {
        let mut names = Names::default();
        let mut owed = Owed::default();
        let long = [b'n'; 100];
        for number in 0..20_000u32 {
            let name = [number.to_string().as_bytes(), &long].concat();
            let made = parse(&name, b"select 1");
            names.prepare(&made);
            assert_eq!(names.before(Side::Writer, &made), None);
            owed.push(false);
            if number.is_multiple_of(3) {
                names.close(&name);
            }
        }
        assert!(names.known.len() <= KNOWN && names.recent.len() <= KNOWN);
        let mut all = names.known.keys().chain(&names.recent);
        assert!(all.all(|name| name.len() <= LONGEST_NAME));
        assert_eq!(owed.0.len(), 1);
        (0..4 * KNOWN).for_each(|number| owed.push(number % 2 == 0));
        assert!(owed.is_too_much());
        names.begin();
        assert!(names.recent.is_empty());
    }

    #[test]
    fn names_are_the_same_where_postgresql_takes_them_so() {
        let mut names = Names::default();
        let name = [b'n'; 80];
        names.prepare(&parse(&name, b"select 1"));
        assert!(names.class(&name[..63]).is_some() && names.class(&name[..62]).is_none());
        names.close(&name[..70]);
        assert!(names.class(&name).is_none());
    }

    #[test]
    fn answers_are_told_apart_by_who_is_owed_them() {
        let mut owed = Owed::default();
        let sent = [false, false, true, false, true, true];
        sent.iter().for_each(|is_ours| owed.push(*is_ours));
        let answered: Vec<bool> = sent.iter().map(|_| owed.pop()).collect();
        assert_eq!(answered, sent);
        assert!(!owed.pop());
        owed.push(true);
        owed.clear();
        assert!(!owed.pop());
    }
}
