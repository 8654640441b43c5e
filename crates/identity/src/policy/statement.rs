//! One statement of a policy: whether it applies to an inquiry, and if not, what of it doesn't.
//! What follows from that is decided elsewhere.

use std::borrow::Cow;

use super::condition::Condition;
use super::error::Position;
use super::pattern::{Match, Pattern};
use super::principal::{Named, Principals};
use super::request::Inquiry;

/// A statement, compiled.
#[derive(Debug)]
pub(super) struct Statement {
    pub(super) sid: Option<Box<str>>,
    /// Allow, else Deny.
    pub(super) allows: bool,
    /// Only of policies whose principal is not whoever has them.
    pub(super) principals: Option<Principals>,
    pub(super) actions: Actions,
    /// None in trust policies: they are about their role.
    pub(super) resources: Option<Resources>,
    pub(super) conditions: Box<[Condition]>,
    /// Where it stands in its document: its first character and the one behind its last.
    pub(super) extent: (Position, Position),
}

/// What doesn't apply.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Mismatch {
    Action,
    Resource,
    Principal,
    /// That one of its conditions.
    Condition(usize),
}

/// An inquiry as statements are asked.
pub(super) struct Asked<'q, 'a> {
    pub(super) inquiry: &'q Inquiry<'a>,
    /// The action in lower case.
    action: Lowercase<'a>,
    /// The bit of its service.
    pub(super) service: u64,
    /// Has the principal a permissions boundary?
    bounded: bool,
}

impl<'q, 'a> Asked<'q, 'a> {
    pub(super) fn new(inquiry: &'q Inquiry<'a>, bounded: bool) -> Asked<'q, 'a> {
        let action = Lowercase::new(inquiry.action);
        Asked {
            service: service_bit(action.text()),
            action,
            inquiry,
            bounded,
        }
    }
}

impl Statement {
    /// Does it apply, and how does it name the principal?
    pub(super) fn applies(&self, asked: &Asked<'_, '_>) -> Result<Named, Mismatch> {
        let inquiry = asked.inquiry;
        if !self.actions.contain(asked) {
            return Err(Mismatch::Action);
        }
        let resources = self.resources.as_ref();
        if resources.is_some_and(|resources| !resources.contain(inquiry, self.allows)) {
            return Err(Mismatch::Resource);
        }
        let named = match &self.principals {
            None => Named::Itself,
            Some(principals) if principals.negated => {
                match principals.excepts(&inquiry.principal, asked.bounded) {
                    true => Named::No,
                    false => Named::Itself,
                }
            }
            Some(principals) => principals.names(&inquiry.principal),
        };
        if named == Named::No {
            return Err(Mismatch::Principal);
        }
        let mut conditions = self.conditions.iter();
        match conditions.position(|condition| !condition.holds(inquiry.keys, self.allows)) {
            Some(failed) => Err(Mismatch::Condition(failed)),
            None => Ok(named),
        }
    }
}

/// The Action or NotAction element.
#[derive(Debug)]
pub(super) struct Actions {
    negated: bool,
    /// The bits of the services that the patterns name.
    services: u64,
    /// In lower case and without variables.
    patterns: Box<[Pattern]>,
}

impl Actions {
    /// Of patterns in lower case.
    pub(super) fn new(patterns: Vec<Pattern>, services: u64, negated: bool) -> Actions {
        Actions {
            negated,
            services,
            patterns: patterns.into(),
        }
    }

    /// The bits of the services whose actions it may contain.
    pub(super) fn services(&self) -> u64 {
        if self.negated {
            u64::MAX
        } else {
            self.services
        }
    }

    fn contain(&self, asked: &Asked<'_, '_>) -> bool {
        let action = asked.action.text();
        let named = self.services & asked.service != 0
            && self
                .patterns
                .iter()
                .any(|pattern| pattern.matches(action, &()) == Match::Yes);
        named != self.negated
    }
}

/// The bit of the service that an action or a pattern of one in lower case names; all of them
/// for `*` and `*:Action`. Services share bits: it only tells quickly what can't match.
pub(super) fn service_bit(action: &str) -> u64 {
    let service = action.split_once(':').map_or("*", |(service, _)| service);
    if service == "*" {
        return u64::MAX;
    }
    // FNV-1a, which mixes short names well enough.
    let hash = service
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    1 << (hash >> 58)
}

/// The Resource or NotResource element.
#[derive(Debug)]
pub(super) struct Resources {
    pub(super) negated: bool,
    pub(super) patterns: Box<[Pattern]>,
}

impl Resources {
    fn contain(&self, inquiry: &Inquiry<'_>, allows: bool) -> bool {
        let mut found = Match::No;
        for pattern in &self.patterns {
            match pattern.matches(inquiry.resource, inquiry.keys) {
                Match::Yes => return !self.negated,
                Match::Unknown => found = Match::Unknown,
                Match::No => {}
            }
        }
        // What isn't known to be excepted is denied, and not allowed.
        self.negated && (found == Match::No || !allows)
    }
}

/// Letters that are made lower without taking memory.
const INLINE: usize = 96;

/// A text in lower case (ASCII, as actions are).
struct Lowercase<'a> {
    inline: [u8; INLINE],
    text: Cow<'a, str>,
    /// Is it in `inline`?
    length: Option<usize>,
}

impl<'a> Lowercase<'a> {
    fn new(text: &'a str) -> Lowercase<'a> {
        let mut inline = [0; INLINE];
        let bytes = text.as_bytes();
        if bytes.len() > INLINE {
            return Lowercase {
                inline,
                text: Cow::Owned(text.to_ascii_lowercase()),
                length: None,
            };
        }
        for (lower, byte) in inline.iter_mut().zip(bytes) {
            *lower = byte.to_ascii_lowercase();
        }
        Lowercase {
            inline,
            text: Cow::Borrowed(text),
            length: Some(bytes.len()),
        }
    }

    fn text(&self) -> &str {
        let inline = self
            .length
            .and_then(|length| std::str::from_utf8(&self.inline[..length]).ok());
        // Lower case in ASCII leaves UTF-8 what it is, so `inline` is always taken.
        inline.unwrap_or(&self.text)
    }
}
