//! What a Region keeps in mind of one peer: its port, where replication stands in each
//! direction, and what was measured. Nothing here outlives the process; the cursor on disk does.

use std::collections::VecDeque;
use std::sync::atomic::AtomicBool;
use std::sync::{Arc, Mutex};

use event_listener::Event;
use link::{Port, Receipt, StreamExchange};
use store::LogPosition;
use types::{Environment, Monotonic, Site, Timestamp};

use crate::lag::Measures;
use crate::message::{LogId, Message};
use crate::objects::ObjectsInbox;
use crate::receiver::Cursor;
use crate::shipper::Shipper;

/// One peer of a Region.
pub(crate) struct Peer {
    pub site: Site,
    pub port: Arc<Port>,
    /// Rings when something about the peer changed: an inbox entry, a cursor, a reconnection.
    pub bell: Event,
    pub shipper: Mutex<Shipper>,
    /// Changes that arrived and aren't applied yet; bounded by the credit their receipts hold.
    pub inbox: Mutex<VecDeque<(Message, Receipt)>>,
    /// What was said about objects and isn't worked on yet.
    pub objects: ObjectsInbox,
    /// Byte streams with it. Nothing opens any with an edge.
    pub streams: Arc<StreamExchange>,
    /// How far its log is applied here, as on disk.
    pub cursor: Mutex<Cursor>,
    pub measures: Mutex<Measures>,
    /// The cursor at which a rewind was last asked for, and when.
    pub rewind_asked: Mutex<Option<(Cursor, Monotonic)>>,
    /// It needs its tables copied anew.
    pub resynchronize: AtomicBool,
}

impl Peer {
    pub fn new(
        site: Site,
        port: Arc<Port>,
        log: LogId,
        cursor: Cursor,
        environment: Arc<dyn Environment>,
    ) -> Peer {
        Peer {
            site,
            port,
            bell: Event::new(),
            shipper: Mutex::new(Shipper::new(log)),
            inbox: Mutex::default(),
            objects: ObjectsInbox::default(),
            streams: Arc::new(StreamExchange::new(site.name, environment)),
            cursor: Mutex::new(cursor),
            measures: Mutex::default(),
            rewind_asked: Mutex::default(),
            resynchronize: AtomicBool::new(false),
        }
    }

    /// Is it a Region (and so takes part in replication), or an edge?
    pub fn is_region(&self) -> bool {
        self.site.name.region().is_some()
    }

    pub fn ring(&self) {
        self.bell.notify(usize::MAX);
    }

    /// Our log is applied there up to here, as far as is known.
    pub fn acknowledged(&self) -> Option<LogPosition> {
        self.shipper
            .lock()
            .expect("nothing panics inside")
            .acknowledged()
    }

    /// How far its log is applied here.
    pub fn cursor(&self) -> Cursor {
        *self.cursor.lock().expect("nothing panics inside")
    }

    /// Notes that replication from it waits for the local clock until then, or no longer.
    pub fn set_parked(&self, until: Option<Timestamp>) {
        self.measures
            .lock()
            .expect("nothing panics inside")
            .parked_until = until;
    }

    /// Notes why replication from it stands still, or that it doesn't.
    pub fn set_trouble(&self, trouble: Option<String>) {
        self.measures.lock().expect("nothing panics inside").trouble = trouble;
    }
}
