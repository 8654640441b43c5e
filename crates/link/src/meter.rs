//! The meter: what crossed in the outgoing direction, by lane, service and resource, counted
//! when it is handed to the wire. The bill and the audit ledger are made of it. It prices
//! nothing, and never forgets a byte: beyond its number of resources it counts into one row for
//! the rest.

use std::collections::BTreeMap;

use types::SiteName;

use crate::{Lane, Service};

/// How many resources a link meters apart. Those that come later share `OTHER_RESOURCES`, one row
/// for each lane and service.
pub const MAXIMUM_RESOURCES: usize = 4096;

/// The resource under which everything beyond `MAXIMUM_RESOURCES` is metered. No resource of AWS
/// can have that name.
pub const OTHER_RESOURCES: &str = "(other)";

/// What has crossed in one row, since the link was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Crossing {
    /// The lane.
    pub lane: Lane,
    /// The service.
    pub service: Service,
    /// The resource, or `OTHER_RESOURCES`.
    pub resource: String,
    /// Envelopes whose last byte was handed to the wire.
    pub envelopes: u64,
    /// Records in these envelopes, as their senders count.
    pub records: u64,
    /// Bytes of payload.
    pub payload_bytes: u64,
    /// Bytes of frames: payload, the envelope's head and the frames' headers; before TLS.
    pub framed_bytes: u64,
}

/// All that crossed from one site to another, since the link was made.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct Traffic {
    /// The sending site.
    pub from: SiteName,
    /// The receiving site.
    pub to: SiteName,
    /// The rows, in order of lane, service and resource.
    pub crossings: Vec<Crossing>,
    /// Bytes of frames that belong to no envelope: heartbeats, credit, greetings.
    pub overhead_bytes: u64,
}

impl Traffic {
    /// All bytes handed to the wire, before TLS.
    pub fn framed_bytes(&self) -> u64 {
        let rows = self.crossings.iter().map(|row| row.framed_bytes);
        rows.sum::<u64>() + self.overhead_bytes
    }
}

/// A row of the meter, by its place.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Row(usize);

/// What one frame adds to its envelope's row.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(crate) struct Charge {
    pub(crate) row: Row,
    pub(crate) payload_bytes: u32,
    /// The envelope's records, with its last frame.
    pub(crate) completes: Option<u32>,
}

#[derive(Debug, Default)]
pub(crate) struct Meter {
    rows: Vec<Crossing>,
    places: BTreeMap<(Lane, Service), BTreeMap<String, Row>>,
    overhead_bytes: u64,
}

impl Meter {
    /// The row of that resource; made if there is none and room is left.
    pub(crate) fn row(&mut self, lane: Lane, service: Service, resource: &str) -> Row {
        let places = self.places.entry((lane, service)).or_default();
        if let Some(row) = places.get(resource) {
            return *row;
        }
        let full = self.rows.len() >= MAXIMUM_RESOURCES;
        let resource = if full { OTHER_RESOURCES } else { resource };
        let rows = &mut self.rows;
        *places.entry(resource.to_owned()).or_insert_with(|| {
            rows.push(Crossing {
                lane,
                service,
                resource: resource.to_owned(),
                envelopes: 0,
                records: 0,
                payload_bytes: 0,
                framed_bytes: 0,
            });
            Row(rows.len() - 1)
        })
    }

    /// Counts a frame of that length on the wire.
    pub(crate) fn count(&mut self, framed_bytes: usize, charge: Option<Charge>) {
        let framed_bytes = framed_bytes as u64;
        let Some(charge) = charge else {
            self.overhead_bytes += framed_bytes;
            return;
        };
        let row = &mut self.rows[charge.row.0];
        row.framed_bytes += framed_bytes;
        row.payload_bytes += u64::from(charge.payload_bytes);
        if let Some(records) = charge.completes {
            row.envelopes += 1;
            row.records += u64::from(records);
        }
    }

    pub(crate) fn traffic(&self, from: SiteName, to: SiteName) -> Traffic {
        let rows = self.places.values().flat_map(BTreeMap::values);
        Traffic {
            from,
            to,
            crossings: rows.map(|row| self.rows[row.0].clone()).collect(),
            overhead_bytes: self.overhead_bytes,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn resources_beyond_the_limit_share_a_row_and_lose_no_byte() {
        let mut meter = Meter::default();
        for number in 0..MAXIMUM_RESOURCES + 100 {
            let row = meter.row(Lane::Changes, Service(1), &format!("table-{number}"));
            let charge = Charge {
                row,
                payload_bytes: 1,
                completes: Some(2),
            };
            meter.count(10, Some(charge));
        }
        meter.count(7, None);
        let traffic = meter.traffic(SiteName::Edge(1), SiteName::Edge(2));
        assert_eq!(traffic.crossings.len(), MAXIMUM_RESOURCES + 1);
        let other = traffic
            .crossings
            .iter()
            .find(|row| row.resource == OTHER_RESOURCES)
            .expect("the row of the rest");
        assert_eq!((other.envelopes, other.records), (100, 200));
        let all = (MAXIMUM_RESOURCES as u64 + 100) * 10 + 7;
        assert_eq!(traffic.framed_bytes(), all);
    }
}
