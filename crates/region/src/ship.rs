//! Follows the change log for one peer: reads a stretch, asks the services what it says to that
//! peer, and hands it to the link. Steady state, the first copy of a replica and catching up
//! after a long cut all come through here.

use std::collections::BTreeSet;
use std::sync::Arc;

use bytes::Bytes;
use futures_util::future::{Either, select};
use link::{Lane, Plain, Service};
use store::{Direction, Engine, KeyRange, LogPosition, Snapshot, Space};
use types::{ByteSize, Span, Timestamp};

use crate::message::{MAX_RECORDS, Message, Record};
use crate::peer::Peer;
use crate::planted::PlantedBug;
use crate::region::{Region, TABLES};
use crate::shipper::{Reading, WINDOW};

/// Log entries looked at for one message, at most.
const STRETCH: usize = MAX_RECORDS;

/// Payload after which a message is full. One record more may follow, and an item has at most
/// 400 KB, so a message stays far below the link's limit.
const FULL: ByteSize = ByteSize::mib(1);

/// How often to look whether something is overdue while changes are on their way.
const LOOK: Span = Span::milliseconds(500);

/// How often while nothing is.
const REST: Span = Span::seconds(5);

/// What a stretch of the log says to one peer.
struct Stretch {
    to: LogPosition,
    resource: String,
    records: Vec<Record>,
    size: ByteSize,
    oldest: Option<Timestamp>,
}

impl<E: Engine> Region<E> {
    /// Ships to one peer for as long as the process lives.
    pub(crate) async fn ship(self: Arc<Self>, peer: Arc<Peer>) {
        loop {
            let bell = peer.bell.listen();
            let head = self.engine.log_head();
            self.note_head(&peer, head);
            let reading = peer
                .shipper
                .lock()
                .expect("nothing panics inside")
                .next(head);
            let shipped = match reading {
                Some(reading) => self.ship_stretch(&peer, reading, head).await,
                None => false,
            };
            if !shipped {
                self.report_or_rewind(&peer);
                self.wait_to_ship(&peer, head, bell).await;
            }
        }
    }

    /// Reads and sends one stretch; false if the link doesn't take it now.
    async fn ship_stretch(&self, peer: &Peer, reading: Reading, head: LogPosition) -> bool {
        let stretch = match self.read_stretch(peer, reading.after, head).await {
            Ok(stretch) => stretch,
            Err(error) => {
                self.fail(format!(
                    "reading the change log for {}: {error}",
                    peer.site.name
                ));
                return false;
            }
        };
        if stretch.records.is_empty() {
            let mut shipper = peer.shipper.lock().expect("nothing panics inside");
            shipper.read_nothing(&reading, stretch.to);
            return true;
        }
        let reading = match self.planted {
            Some(PlantedBug::StaleReadingSent) => peer
                .shipper
                .lock()
                .expect("nothing panics inside")
                .reading(),
            _ => reading,
        };
        self.send_stretch(peer, &reading, stretch)
    }

    async fn read_stretch(
        &self,
        peer: &Peer,
        after: LogPosition,
        head: LogPosition,
    ) -> Result<Stretch, store::ReadError> {
        let snapshot = self.engine.snapshot();
        let range = KeyRange {
            start: std::ops::Bound::Excluded(after.key()),
            end: std::ops::Bound::Included(head.key()),
        };
        let page = snapshot
            .scan(Space::Log, range, Direction::Forward, STRETCH)
            .await?;
        let mut stretch = Stretch {
            to: if page.more { after } else { head },
            resource: String::new(),
            records: Vec::new(),
            size: ByteSize(0),
            oldest: None,
        };
        let mut seen: BTreeSet<Bytes> = BTreeSet::new();
        for entry in page.entries {
            let position = LogPosition::from_key(&entry.key)
                .ok_or_else(|| store::ReadError::Corrupt("a key of the change log".to_owned()))?;
            let Some((&TABLES, change)) = entry.value.split_first() else {
                let detail = format!("position {} of the change log is of no service", position.0);
                return Err(store::ReadError::Corrupt(detail));
            };
            let export = self.tables.export(&snapshot, peer.site.id, change).await?;
            if let Some(export) = export {
                // A message is metered under one resource, so another resource begins another.
                let other = !stretch.records.is_empty() && stretch.resource != export.resource;
                if other || stretch.size >= FULL {
                    stretch.to = LogPosition(position.0 - 1);
                    return Ok(stretch);
                }
                if export.key.is_none_or(|key| seen.insert(key)) {
                    stretch.resource = export.resource;
                    stretch.size += ByteSize::from(export.bytes.len());
                    stretch.oldest = stretch.oldest.or(export.written);
                    stretch.records.push(Record {
                        service: TABLES,
                        bytes: export.bytes,
                    });
                }
            }
            stretch.to = stretch.to.max(position);
        }
        Ok(stretch)
    }

    /// Hands a stretch to the link; false if it isn't taken now, and then nothing has changed.
    /// If shipping has started again since it was read, it is dropped: it will be read anew.
    fn send_stretch(&self, peer: &Peer, reading: &Reading, stretch: Stretch) -> bool {
        let now = self.environment.now();
        let records = u32::try_from(stretch.records.len()).expect("at most MAX_RECORDS");
        let committed = stretch.oldest.unwrap_or(now.wall);
        let message = Message::Changes {
            log: self.log,
            from: reading.from,
            to: stretch.to,
            committed,
            records: stretch.records,
        };
        let payload = message.encode();
        let size = ByteSize::from(payload.len());
        let service = Service(TABLES);
        let plain = Plain::new(
            peer.site.name,
            Lane::Changes,
            service,
            stretch.resource,
            payload,
        )
        .expect("FULL and the limits of names keep a message below the link's limits");
        // Held until it is noted as sent: a cursor that comes in between would be undone by it.
        let mut shipper = peer.shipper.lock().expect("nothing panics inside");
        if !shipper.holds(reading) {
            return true;
        }
        let sent = peer
            .port
            .send(now.monotonic, &self.admission, plain.with_records(records));
        if sent.is_ok() {
            shipper.sent(reading, now.monotonic, stretch.to, size);
        }
        sent.is_ok()
    }

    /// Tells the peer now and then how far the log has gone without concerning it, and starts
    /// again if its word is overdue.
    fn report_or_rewind(&self, peer: &Peer) {
        let now = self.environment.now();
        let round_trip = peer.port.round_trip().unwrap_or_default();
        let report = {
            let mut shipper = peer.shipper.lock().expect("nothing panics inside");
            let rewound = shipper.rewind_if_overdue(now.monotonic, round_trip);
            shipper.report(now.monotonic).filter(|_| !rewound)
        };
        if let Some(reading) = report {
            let nothing = Stretch {
                to: reading.after,
                resource: String::new(),
                records: Vec::new(),
                size: ByteSize(0),
                oldest: None,
            };
            self.send_stretch(peer, &reading, nothing);
        }
    }

    /// Waits until there may be something to ship again.
    async fn wait_to_ship(
        &self,
        peer: &Peer,
        head: LogPosition,
        bell: event_listener::EventListener,
    ) {
        let room = peer.port.site_bell();
        let now = self.environment.now().monotonic;
        let (next, busy) = {
            let shipper = peer.shipper.lock().expect("nothing panics inside");
            let (sent, read) = shipper.span();
            let behind = shipper.acknowledged().is_some_and(|applied| applied < read);
            (shipper.next(LogPosition(u64::MAX)), behind || sent < read)
        };
        let rest = self
            .environment
            .sleep_until(now + if busy { LOOK } else { REST });
        let alarm = select(bell, rest);
        if next.is_none() {
            // The window is full or the peer silent: only its word or the clock helps.
            alarm.await;
        } else if next.is_some_and(|reading| reading.after < head) {
            // The link took nothing: wait for room or a connection.
            select(alarm, room).await;
        } else if let Either::Left((grown, _)) =
            select(Box::pin(self.engine.log_grown(head)), alarm).await
        {
            self.note_head(peer, grown);
        }
    }

    fn note_head(&self, peer: &Peer, head: LogPosition) {
        let wall = self.environment.now().wall;
        let mut measures = peer.measures.lock().expect("nothing panics inside");
        let applied = peer
            .shipper
            .lock()
            .expect("nothing panics inside")
            .acknowledged();
        if applied.unwrap_or_default() < head {
            measures.committed(head, wall);
        }
    }
}

// A stretch is at most FULL and one item: the window must hold several.
const _: () = assert!(WINDOW.0 >= 4 * FULL.0);
