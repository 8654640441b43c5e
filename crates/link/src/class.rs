//! Lanes, the kinds of traffic, and the classes, the connections they are mapped to. Both are
//! closed: a number on the wire that is not here is an error, and none is ever used again.

use std::fmt;

use serde::{Deserialize, Serialize};

/// A kind of traffic between two sites. Each envelope travels in one lane; within a lane order is
/// kept, between lanes it isn't.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Lane {
    /// The council's messages: elections, log entries, leases.
    Council = 1,
    /// Health verdicts and the state pushed to edges.
    Health = 2,
    /// Change records and their acknowledgements.
    Changes = 3,
    /// First copies that are sent apart from changes. Nothing is, yet: a table's first copy
    /// travels in `Changes`, in order with them.
    Snapshot = 4,
    /// Bodies of objects.
    Objects = 5,
    /// Opaque byte streams, such as PostgreSQL's WAL.
    Stream = 6,
    /// Questions from one site to another, and their answers.
    Request = 7,
}

/// One of the three connections of a pair of sites. They are apart so that bulk can't hold up a
/// heartbeat: on one connection it did, by tens of milliseconds.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
#[repr(u8)]
pub enum Class {
    /// Small and urgent; sent before anything else.
    Control = 1,
    /// What somebody waits for.
    Data = 2,
    /// Much, and nobody waits for the single byte.
    Bulk = 3,
}

/// The name is of no lane.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("'{0}' is no lane (council, health, changes, snapshot, objects, stream, request)")]
pub struct UnknownLane(pub String);

impl Lane {
    /// Every lane, in the order of the numbers.
    pub const ALL: [Lane; 7] = [
        Lane::Council,
        Lane::Health,
        Lane::Changes,
        Lane::Snapshot,
        Lane::Objects,
        Lane::Stream,
        Lane::Request,
    ];

    /// The connection the lane travels on.
    ///
    /// `Stream` is data although it can be much: a synchronous commit waits for the WAL that it
    /// carries, and a first copy (bulk) must not hold that up. Lanes of one class take turns
    /// frame by frame, so it can't starve `Changes` either.
    pub fn class(self) -> Class {
        match self {
            Lane::Council | Lane::Health => Class::Control,
            Lane::Changes | Lane::Stream | Lane::Request => Class::Data,
            Lane::Snapshot | Lane::Objects => Class::Bulk,
        }
    }

    /// The number on the wire.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The lane of that number on the wire.
    pub fn from_number(number: u8) -> Option<Lane> {
        Lane::ALL.into_iter().find(|lane| lane.number() == number)
    }

    /// Where the lane stands in an array of all lanes.
    pub(crate) fn index(self) -> usize {
        usize::from(self.number() - 1)
    }

    /// The name, as reports and the price list write it.
    pub fn name(self) -> &'static str {
        match self {
            Lane::Council => "council",
            Lane::Health => "health",
            Lane::Changes => "changes",
            Lane::Snapshot => "snapshot",
            Lane::Objects => "objects",
            Lane::Stream => "stream",
            Lane::Request => "request",
        }
    }
}

impl Class {
    /// Every class, the most urgent first.
    pub const ALL: [Class; 3] = [Class::Control, Class::Data, Class::Bulk];

    /// The number on the wire.
    pub fn number(self) -> u8 {
        self as u8
    }

    /// The class of that number on the wire.
    pub fn from_number(number: u8) -> Option<Class> {
        Class::ALL
            .into_iter()
            .find(|class| class.number() == number)
    }

    /// The name.
    pub fn name(self) -> &'static str {
        match self {
            Class::Control => "control",
            Class::Data => "data",
            Class::Bulk => "bulk",
        }
    }

    /// The lanes that travel on it, in the order of their numbers.
    pub fn lanes(self) -> &'static [Lane] {
        match self {
            Class::Control => &[Lane::Council, Lane::Health],
            Class::Data => &[Lane::Changes, Lane::Stream, Lane::Request],
            Class::Bulk => &[Lane::Snapshot, Lane::Objects],
        }
    }

    /// Where the class stands in an array of all classes.
    pub(crate) fn index(self) -> usize {
        usize::from(self.number() - 1)
    }
}

impl std::str::FromStr for Lane {
    type Err = UnknownLane;

    fn from_str(name: &str) -> Result<Self, UnknownLane> {
        Lane::ALL
            .into_iter()
            .find(|lane| lane.name() == name)
            .ok_or_else(|| UnknownLane(name.to_owned()))
    }
}

impl fmt::Display for Lane {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl fmt::Display for Class {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_on_the_wire_are_fixed() {
        let lanes: Vec<_> = Lane::ALL.map(|lane| (lane.number(), lane.name())).into();
        assert_eq!(
            lanes,
            [
                (1, "council"),
                (2, "health"),
                (3, "changes"),
                (4, "snapshot"),
                (5, "objects"),
                (6, "stream"),
                (7, "request")
            ]
        );
        let classes: Vec<_> = Class::ALL
            .map(|class| (class.number(), class.name()))
            .into();
        assert_eq!(classes, [(1, "control"), (2, "data"), (3, "bulk")]);
    }

    #[test]
    fn lanes_and_classes_agree() {
        for lane in Lane::ALL {
            for class in Class::ALL {
                assert_eq!(class.lanes().contains(&lane), lane.class() == class);
            }
        }
    }

    #[test]
    fn a_number_or_name_without_a_lane_is_refused() {
        assert_eq!(Lane::from_number(0), None);
        assert_eq!(Lane::from_number(8), None);
        assert_eq!(Class::from_number(4), None);
        assert_eq!("stream".parse(), Ok(Lane::Stream));
        assert!("Stream".parse::<Lane>().is_err());
    }
}
