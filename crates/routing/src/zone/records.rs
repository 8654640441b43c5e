//! Records as bytes of a packet: made once when a zone is compiled, copied and completed with
//! pointers when they are answered.

use super::{CompiledZone, NONE, Record, Set};
use crate::dns::CLASS_IN;
use crate::dns::response::{Response, Section};
use crate::name::MAX_NAME;
use crate::random::SmallRandom;
use crate::rdata::{self, name_length};
use crate::{Name, RecordKind};

/// Octets of a record before its data, its owner a pointer.
pub(crate) const FIXED: usize = 12;

/// Where the time to live stands in a record whose owner is a pointer.
const TTL: usize = 6;

/// Values of a set up to which they are shuffled; longer sets begin at a random one.
const MAX_SHUFFLED: usize = 16;

/// A pointer that is set when the record is answered.
const POINTER: [u8; 2] = [0xc0, 0];

/// Targets of one set whose addresses are added, at most.
pub(crate) const MAX_TARGETS: usize = 16;

/// The targets of records that were written: their nodes, and where their names stand.
#[derive(Clone, Copy, Default)]
pub(crate) struct Targets {
    found: [(u32, u16); MAX_TARGETS],
    count: usize,
}

impl Targets {
    fn add(&mut self, node: u32, position: usize) {
        let known = self.iter().any(|(known, _)| known == node);
        let Ok(position) = u16::try_from(position) else {
            return;
        };
        if !known && self.count < MAX_TARGETS {
            self.found[self.count] = (node, position);
            self.count += 1;
        }
    }

    /// The targets, each once.
    pub(crate) fn iter(&self) -> impl Iterator<Item = (u32, u16)> + '_ {
        self.found[..self.count].iter().copied()
    }
}

/// Puts the bytes of a record at the end of `wire`. `data` is what `rdata::parse` made.
pub(super) fn append(
    wire: &mut Vec<u8>,
    zone: &Name,
    kind: RecordKind,
    ttl: u32,
    data: &[u8],
) -> Record {
    let start = wire.len();
    wire.extend(POINTER);
    wire.extend(kind.code().to_be_bytes());
    wire.extend(CLASS_IN.to_be_bytes());
    wire.extend(ttl.to_be_bytes());
    wire.extend([0, 0]);
    let mut apex = [0; 2];
    let mut rest = data;
    let (skipped, names) = match kind {
        // RFC 2782: the target is not compressed.
        RecordKind::Srv => (0, 0),
        _ => rdata::names_in(kind),
    };
    wire.extend(&rest[..skipped]);
    rest = &rest[skipped..];
    for pointer in apex.iter_mut().take(names) {
        let length = name_length(rest).expect("the data was parsed");
        let (name, after) = rest.split_at(length);
        rest = after;
        match before_zone(name, zone) {
            Some(labels) => {
                wire.extend(labels);
                *pointer = (wire.len() - start) as u16; // within 2 · 255 + 12
                wire.extend(POINTER);
            }
            None => wire.extend(name),
        }
    }
    wire.extend(rest);
    let length = wire.len() - start;
    let data_length = (length - FIXED) as u16; // a value has at most 4,000 characters
    wire[start + FIXED - 2..start + FIXED].copy_from_slice(&data_length.to_be_bytes());
    Record {
        start: u32::try_from(start).expect("a zone's records take less than 4 GiB"),
        length: length as u16,
        apex,
        target: NONE,
    }
}

/// A record's data, its names whole. `apex` is where pointers to the zone's name stand.
pub(super) fn uncompressed(bytes: &[u8], apex: [u16; 2], zone: &Name) -> Vec<u8> {
    let mut data = Vec::with_capacity(bytes.len());
    let mut from = FIXED;
    for at in apex.into_iter().filter(|at| *at > 0) {
        data.extend(&bytes[from..usize::from(at)]);
        data.extend(zone.wire());
        from = usize::from(at) + POINTER.len();
    }
    data.extend(&bytes[from..]);
    data
}

/// The labels of a name before the zone's, if it lies within. The root is not worth a pointer.
fn before_zone<'a>(name: &'a [u8], zone: &Name) -> Option<&'a [u8]> {
    if zone.is_root() {
        return None;
    }
    let mut at = 0;
    while name.len() - at > zone.wire().len() {
        at += usize::from(name[at]) + 1;
    }
    (&name[at..] == zone.wire()).then(|| &name[..at])
}

impl CompiledZone {
    pub(super) fn records_of(&self, set: Set) -> &[Record] {
        let first = set.first as usize;
        &self.records[first..first + usize::from(set.count)]
    }

    fn bytes_of(&self, record: &Record) -> &[u8] {
        let start = record.start as usize;
        &self.wire[start..start + usize::from(record.length)]
    }

    /// A set of records.
    pub(crate) fn set(&self, set: u32) -> Set {
        self.sets[set as usize]
    }

    /// The SOA record of negative answers.
    pub(crate) fn negative(&self) -> Set {
        self.negative
    }

    /// The apex's NS records.
    pub(crate) fn name_servers(&self) -> Option<Set> {
        self.servers.map(|set| self.set(set))
    }

    /// The name in the data of a set's first record, a CNAME, written into `wire`.
    pub(crate) fn canonical_name<'w>(
        &self,
        set: Set,
        wire: &'w mut [u8; MAX_NAME],
    ) -> Option<&'w [u8]> {
        let record = self.records_of(set).first()?;
        let bytes = self.bytes_of(record);
        let (labels, rest) = match record.apex[0] {
            0 => (&bytes[FIXED..], &[][..]),
            at => (&bytes[FIXED..usize::from(at)], self.name.wire()),
        };
        let length = labels.len() + rest.len();
        wire[..labels.len()].copy_from_slice(labels);
        wire[labels.len()..length].copy_from_slice(rest);
        Some(&wire[..length])
    }

    /// How long a set may be kept, in seconds.
    pub(crate) fn ttl(&self, set: Set) -> u32 {
        set.ttl
    }

    /// The data of a set's records, uncompressed, and their kind.
    pub(crate) fn data_of(&self, set: Set) -> impl Iterator<Item = (RecordKind, Vec<u8>)> + '_ {
        self.records_of(set).iter().filter_map(|record| {
            let bytes = self.bytes_of(record);
            let kind = RecordKind::from_code(u16::from_be_bytes([bytes[2], bytes[3]]))?;
            Some((kind, uncompressed(bytes, record.apex, &self.name)))
        })
    }

    /// Writes a set into a section, its values in random order. False if it doesn't fit; some of
    /// it may be written then.
    #[inline]
    pub(crate) fn write(
        &self,
        response: &mut Response<'_>,
        placement: &Placement,
        set: Set,
        random: &mut SmallRandom,
        targets: &mut Targets,
    ) -> bool {
        let records = self.records_of(set);
        if let [record] = records {
            return self.write_record(response, placement, record, targets);
        }
        if records.len() <= MAX_SHUFFLED {
            let mut order: [u8; MAX_SHUFFLED] = std::array::from_fn(|index| index as u8);
            for last in (1..records.len()).rev() {
                order.swap(last, random.below(last as u32 + 1) as usize);
            }
            let mut order = order[..records.len()].iter();
            return order.all(|index| {
                self.write_record(response, placement, &records[usize::from(*index)], targets)
            });
        }
        let (after, before) = records.split_at(random.below(records.len() as u32) as usize);
        let mut order = before.iter().chain(after);
        order.all(|record| self.write_record(response, placement, record, targets))
    }

    #[inline]
    fn write_record(
        &self,
        response: &mut Response<'_>,
        placement: &Placement,
        record: &Record,
        targets: &mut Targets,
    ) -> bool {
        let bytes = self.bytes_of(record);
        let position = response.position();
        let Some(room) = response.record(placement.section, bytes.len()) else {
            return false;
        };
        room.copy_from_slice(bytes);
        room[..2].copy_from_slice(&placement.owner.to_be_bytes());
        if let Some(ttl) = placement.ttl {
            room[TTL..TTL + 4].copy_from_slice(&ttl.to_be_bytes());
        }
        for at in record.apex {
            if at > 0 {
                let at = usize::from(at);
                room[at..at + 2].copy_from_slice(&placement.apex.to_be_bytes());
            }
        }
        if record.target != NONE {
            let kind = u16::from_be_bytes([bytes[2], bytes[3]]);
            let skipped = RecordKind::from_code(kind).map_or(0, |kind| rdata::names_in(kind).0);
            targets.add(record.target, position + FIXED + skipped);
        }
        true
    }
}

/// Where records are written, and what their pointers point to.
#[derive(Clone, Copy)]
pub(crate) struct Placement {
    /// The section.
    pub(crate) section: Section,
    /// The pointer to their owner.
    pub(crate) owner: u16,
    /// The pointer to the zone's name.
    pub(crate) apex: u16,
    /// A time to live in place of their own.
    pub(crate) ttl: Option<u32>,
}
