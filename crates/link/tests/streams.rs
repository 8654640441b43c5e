//! Streams between two ends under seeded delay, cuts, loss and repetition: what is read is what
//! was written, from its beginning, and an end is seen only where one was set; whatever happened,
//! each stream comes to an end at both ends.

use std::collections::{BTreeMap, BTreeSet, VecDeque};

use bytes::Bytes;
use link::{
    FIRST_WINDOW, LinkStanding, MAXIMUM_STREAMS, Multiplexer, OpenStreamError, SEND_BUFFER,
    STREAM_SILENCE, StreamId, StreamRead, StreamReset, WINDOW_BUDGET,
};
use types::{Monotonic, Span};

const START: Monotonic = Monotonic(1_000_000);
const STEP: Span = Span::milliseconds(5);

/// A small generator of reproducible numbers (SplitMix64).
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        z ^ (z >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }

    fn one_in(&mut self, bound: u64) -> bool {
        self.below(bound) == 0
    }
}

/// What a direction of a stream says: byte `n` of it, whatever its salt, is of a period of 251.
struct Pattern(Vec<u8>);

impl Pattern {
    fn new() -> Pattern {
        Pattern(
            (0..251 + SEND_BUFFER * 2)
                .map(|n| (n % 251) as u8)
                .collect(),
        )
    }

    fn at(&self, salt: u64, position: u64, length: usize) -> &[u8] {
        let from = ((salt + position) % 251) as usize;
        &self.0[from..from + length]
    }
}

/// How bad the link is.
#[derive(Clone, Copy)]
struct Faults {
    cuts: bool,
    repeats: bool,
    losses: bool,
    /// Users give streams up.
    givers: bool,
}

const NONE: Faults = Faults {
    cuts: false,
    repeats: false,
    losses: false,
    givers: false,
};

/// What one end's user does with a stream, and how far it is.
struct User {
    id: StreamId,
    salt: u64,
    will_write: u64,
    written: u64,
    read: u64,
    /// Reads only from then on.
    reads_from: Monotonic,
    saw_end: bool,
    ended: bool,
}

/// One end of the link.
struct End {
    multiplexer: Multiplexer,
    users: BTreeMap<String, User>,
    offered: BTreeSet<String>,
    /// What happened to each stream's end: complete, or reset.
    over: BTreeMap<String, Result<(u64, u64), StreamReset>>,
    /// What is on its way to the other end.
    line: VecDeque<(Monotonic, Bytes)>,
    /// What comes a second time.
    repeats: Vec<(Monotonic, Bytes)>,
    standing: LinkStanding,
    /// When it notices that the connection is lost, and when it has another.
    notices: Option<Monotonic>,
    opened: u64,
}

struct World {
    random: Random,
    pattern: Pattern,
    now: Monotonic,
    ends: [End; 2],
    /// When there is a connection again.
    cut_until: Option<Monotonic>,
    delay: Span,
    faults: Faults,
    streams: u64,
}

impl End {
    fn new() -> End {
        let mut end = End {
            multiplexer: Multiplexer::new(),
            users: BTreeMap::new(),
            offered: BTreeSet::new(),
            over: BTreeMap::new(),
            line: VecDeque::new(),
            repeats: Vec::new(),
            standing: LinkStanding {
                generation: 0,
                is_connected: true,
                round_trip: Span::milliseconds(20),
            },
            notices: None,
            opened: 0,
        };
        end.multiplexer.follow(end.standing);
        end
    }
}

impl World {
    fn new(seed: u64, faults: Faults) -> World {
        let mut random = Random(seed);
        let delay = Span::milliseconds(random.below(120));
        let streams = 1 + random.below(6);
        World {
            random,
            pattern: Pattern::new(),
            now: START,
            ends: [End::new(), End::new()],
            cut_until: None,
            delay,
            faults,
            streams,
        }
    }

    fn user(&mut self, id: StreamId, salt: u64) -> User {
        let will_write = match self.random.below(4) {
            0 => 0,
            1 => self.random.below(100),
            2 => self.random.below(50_000),
            _ => self.random.below(900_000),
        };
        let stall = match self.random.below(4) {
            0 => Span::milliseconds(self.random.below(4000)),
            _ => Span::ZERO,
        };
        User {
            id,
            salt,
            will_write,
            written: 0,
            read: 0,
            reads_from: self.now + stall,
            saw_end: false,
            ended: false,
        }
    }

    /// Opens streams, and takes those that the other end opened.
    fn open(&mut self, side: usize) {
        if self.ends[side].opened < self.streams && self.random.one_in(20) {
            let target = format!("{side}-{}", self.ends[side].opened);
            let draw = self.random.next();
            let end = &mut self.ends[side];
            match end.multiplexer.open(self.now, &target, || draw) {
                Ok(id) => {
                    end.opened += 1;
                    let user = self.user(id, self.ends[side].opened);
                    self.ends[side].users.insert(target, user);
                }
                Err(error) => assert_eq!(error, OpenStreamError::NotConnected),
            }
        }
        while let Some((id, target)) = self.ends[side].multiplexer.next_offer() {
            let salt = 100 + target.len() as u64;
            let user = self.user(id, salt);
            let is_new = self.ends[side].offered.insert(target.clone());
            assert!(is_new, "a stream came twice: {target}");
            self.ends[side].users.insert(target, user);
        }
    }

    /// The users of one end's streams write and read.
    fn use_streams(&mut self, side: usize) {
        let targets: Vec<String> = self.ends[side].users.keys().cloned().collect();
        for target in targets {
            let salt = self.other_salt(side, &target);
            let end = &mut self.ends[side];
            let Some(mut user) = end.users.remove(&target) else {
                continue;
            };
            let over = step(
                &mut end.multiplexer,
                &mut self.random,
                &self.pattern,
                (self.now, salt),
                &mut user,
            );
            let gives_up = self.faults.givers && self.random.one_in(150);
            match over {
                None if gives_up => {
                    end.multiplexer.release(user.id);
                    end.over.insert(target, Err(StreamReset::Closed));
                }
                None => {
                    end.users.insert(target, user);
                }
                Some(Ok(())) => {
                    end.multiplexer.release(user.id);
                    end.over.insert(target, Ok((user.written, user.read)));
                }
                Some(Err(reason)) => {
                    end.multiplexer.release(user.id);
                    end.over.insert(target, Err(reason));
                }
            }
        }
    }

    /// What the other end's direction is salted with.
    fn other_salt(&self, side: usize, target: &str) -> u64 {
        match target.starts_with(&side.to_string()) {
            true => 100 + target.len() as u64,
            false => 1 + target[2..].parse::<u64>().expect("a number"),
        }
    }

    /// Cuts, and what each end notices of them.
    fn weather(&mut self) {
        if self.faults.cuts && self.cut_until.is_none() && self.random.one_in(50) {
            let until = self.now + Span::milliseconds(self.random.below(3000));
            self.cut_until = Some(until);
            for end in &mut self.ends {
                // What was under way is gone, but for a beginning of it.
                let kept = self.random.below(end.line.len() as u64 + 1);
                end.line.truncate(kept as usize);
                end.notices = Some(self.now + Span::milliseconds(self.random.below(3500)));
            }
        }
        let is_back = self.cut_until.is_some_and(|until| until <= self.now);
        for end in &mut self.ends {
            if end.notices.is_some_and(|at| at <= self.now) {
                end.notices = None;
                end.standing.generation += 1;
                end.standing.is_connected = false;
                end.multiplexer.follow(end.standing);
            }
            if is_back && end.notices.is_none() && !end.standing.is_connected {
                end.standing.is_connected = true;
                end.multiplexer.follow(end.standing);
            }
        }
        let noticed = self.ends.iter().all(|end| end.notices.is_none());
        if is_back && noticed {
            self.cut_until = None;
        }
    }

    fn send(&mut self, side: usize) {
        for _ in 0..1 + self.random.below(8) {
            let end = &mut self.ends[side];
            let Some(message) = end.multiplexer.next_message(self.now) else {
                break;
            };
            let is_dark = self.cut_until.is_some_and(|until| until > self.now);
            let is_old = end.notices.is_some();
            if is_dark || is_old || (self.faults.losses && self.random.one_in(60)) {
                continue;
            }
            let end = &mut self.ends[side];
            let last = end.line.back().map_or(START, |(at, _)| *at);
            let at = (self.now + self.delay).max(last);
            end.line.push_back((at, message.payload.clone()));
            if self.faults.repeats && self.random.one_in(15) {
                let later = at + Span::milliseconds(self.random.below(400));
                end.repeats.push((later, message.payload));
            }
        }
    }

    fn deliver(&mut self, side: usize) {
        let [one, other] = &mut self.ends;
        let (from, to) = match side {
            0 => (other, one),
            _ => (one, other),
        };
        let due = from.repeats.extract_if(.., |(at, _)| *at <= self.now);
        let due: Vec<_> = due.map(|(_, payload)| payload).collect();
        let line = std::iter::from_fn(|| from.line.pop_front_if(|(at, _)| *at <= self.now));
        for payload in due.into_iter().chain(line.map(|(_, payload)| payload)) {
            let received = to.multiplexer.receive(self.now, payload);
            received.expect("a message");
        }
        let most = 2 * MAXIMUM_STREAMS as u64 * FIRST_WINDOW + WINDOW_BUDGET;
        assert!(to.multiplexer.unread() <= most);
    }

    fn step(&mut self) {
        self.now = self.now + STEP;
        self.weather();
        for side in 0..2 {
            self.ends[side].multiplexer.advance(self.now);
            self.open(side);
            self.use_streams(side);
            self.send(side);
            self.deliver(side);
            self.ends[side].multiplexer.take_touched();
        }
    }

    fn is_done(&self) -> bool {
        let ends = self.ends.iter();
        ends.clone().all(|end| {
            end.opened == self.streams && end.users.is_empty() && end.multiplexer.counts().open == 0
        })
    }

    /// Runs until faults end and all is over; panics if that never comes.
    fn run(&mut self) {
        for _ in 0..600 {
            self.step();
        }
        self.faults = NONE;
        let patience = START + Span::seconds(3) + STREAM_SILENCE + STREAM_SILENCE;
        while !self.is_done() {
            self.step();
            assert!(self.now < patience + Span::seconds(20), "streams never end");
        }
        self.check();
    }

    /// What one end holds for complete, the other wrote; both having seen all or neither sure.
    fn check(&self) {
        for side in 0..2 {
            for (target, over) in &self.ends[side].over {
                let other = self.ends[1 - side].over.get(target);
                if let (Ok((written, read)), Some(Ok((other_written, other_read)))) = (over, other)
                {
                    assert_eq!((written, read), (other_read, other_written), "{target}");
                }
            }
        }
    }
}

/// A user's turn: whether it is over, and how.
fn step(
    multiplexer: &mut Multiplexer,
    random: &mut Random,
    pattern: &Pattern,
    (now, other_salt): (Monotonic, u64),
    user: &mut User,
) -> Option<Result<(), StreamReset>> {
    if user.written < user.will_write {
        let length = (user.will_write - user.written).min(1 + random.below(120_000)) as usize;
        let bytes = pattern.at(user.salt, user.written, length);
        match multiplexer.write(user.id, bytes) {
            Ok(count) => user.written += count as u64,
            Err(reason) => return Some(Err(reason)),
        }
    } else if !user.ended {
        multiplexer.finish(user.id);
        user.ended = true;
    }
    let reads = match now >= user.reads_from {
        true => random.below(4),
        false => 0,
    };
    for _ in 0..reads {
        match multiplexer.read(user.id) {
            Ok(StreamRead::Bytes(bytes)) => {
                let expected = pattern.at(other_salt, user.read, bytes.len());
                assert!(bytes == expected, "other bytes than were written");
                user.read += bytes.len() as u64;
            }
            Ok(StreamRead::End) => user.saw_end = true,
            Ok(StreamRead::Nothing) => {}
            Err(reason) => return Some(Err(reason)),
        }
    }
    (user.ended && user.saw_end).then_some(Ok(()))
}

fn run(seeds: u64, faults: Faults) -> Vec<World> {
    let worlds = (0..seeds).map(|seed| {
        let mut world = World::new(seed, faults);
        let ran = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| world.run()));
        if let Err(cause) = ran {
            eprintln!("seed {seed}");
            std::panic::resume_unwind(cause);
        }
        world
    });
    worlds.collect()
}

fn ends(worlds: &[World]) -> usize {
    let ends = worlds.iter().flat_map(|world| &world.ends);
    ends.map(|end| end.over.len()).sum()
}

fn resets(worlds: &[World]) -> usize {
    let overs = worlds.iter().flat_map(|world| &world.ends);
    let overs = overs.flat_map(|end| end.over.values());
    overs.filter(|over| over.is_err()).count()
}

#[test]
fn without_faults_every_stream_is_whole_over_two_hundred_seeds() {
    let worlds = run(200, NONE);
    assert_eq!(resets(&worlds), 0);
    for world in &worlds {
        let ends = world.ends.iter();
        let counts = ends.map(|end| end.over.len() as u64).sum::<u64>();
        assert_eq!(counts, 4 * world.streams, "each has two ends");
    }
}

#[test]
fn streams_are_whole_or_reset_over_a_thousand_seeds_of_faults() {
    let kinds = [
        (true, false, false, false),
        (false, true, false, false),
        (false, false, true, false),
        (false, false, false, true),
        (true, true, true, true),
    ];
    for (cuts, repeats, losses, givers) in kinds {
        let faults = Faults {
            cuts,
            repeats,
            losses,
            givers,
        };
        let worlds = run(200, faults);
        let resets = resets(&worlds);
        let whole = ends(&worlds) - resets;
        // Faults that do nothing, or leave nothing, prove nothing.
        assert!(
            resets > 100 && whole > 100,
            "{resets} resets, {whole} whole"
        );
    }
}

#[test]
fn one_seed_run_twice_ends_the_same() {
    let faults = Faults {
        cuts: true,
        repeats: true,
        losses: true,
        givers: true,
    };
    let ended = |seed| {
        let mut world = World::new(seed, faults);
        world.run();
        let ends = world.ends.map(|end| (end.over, end.multiplexer.counts()));
        (world.now, ends)
    };
    for seed in 0..20 {
        assert_eq!(ended(seed), ended(seed));
    }
}

// === By hand ===

struct Pair {
    now: Monotonic,
    ends: [Multiplexer; 2],
}

impl Pair {
    fn new() -> Pair {
        let standing = LinkStanding {
            generation: 1,
            is_connected: true,
            round_trip: Span::ZERO,
        };
        let end = || {
            let mut end = Multiplexer::new();
            end.follow(standing);
            end
        };
        Pair {
            now: START,
            ends: [end(), end()],
        }
    }

    /// Everything that there is to say is said; gives how many messages that were.
    fn settle(&mut self) -> usize {
        let mut said = 0;
        loop {
            let before = said;
            for side in 0..2 {
                while let Some(message) = self.ends[side].next_message(self.now) {
                    self.ends[1 - side]
                        .receive(self.now, message.payload)
                        .expect("a message");
                    said += 1;
                }
                self.ends[side].take_touched();
            }
            if said == before {
                return said;
            }
        }
    }

    fn open(&mut self, target: &str) -> StreamId {
        self.ends[0].open(self.now, target, || 7).expect("room")
    }

    fn offered(&mut self) -> StreamId {
        self.ends[1].next_offer().expect("it was opened").0
    }
}

#[test]
fn a_stream_whose_reader_takes_nothing_holds_its_own_writer_and_no_other() {
    let mut pair = Pair::new();
    let (stuck, moving) = (pair.open("stuck"), pair.open("moving"));
    pair.settle();
    let (_, taken) = (pair.offered(), pair.offered());
    let bytes = vec![7; SEND_BUFFER];
    let mut held = 0;
    loop {
        let count = pair.ends[0].write(stuck, &bytes).expect("open");
        held += count as u64;
        pair.settle();
        if count == 0 {
            break;
        }
    }
    assert_eq!(held, FIRST_WINDOW + SEND_BUFFER as u64);
    assert_eq!(pair.ends[1].unread(), FIRST_WINDOW);
    for _ in 0..40 {
        assert_eq!(pair.ends[0].write(moving, &bytes), Ok(SEND_BUFFER));
        pair.settle();
        while let Ok(StreamRead::Bytes(_)) = pair.ends[1].read(taken) {}
        pair.settle();
    }
}

#[test]
fn streams_beyond_the_limit_are_refused_at_either_end() {
    let mut pair = Pair::new();
    for _ in 0..MAXIMUM_STREAMS {
        pair.open("db");
    }
    let open = pair.ends[0].open(pair.now, "db", || 7);
    assert_eq!(open, Err(OpenStreamError::TooMany));
    pair.settle();
    assert_eq!(pair.ends[1].counts().offered, MAXIMUM_STREAMS as u64);
    // Another incarnation has as many of its own: a peer that keeps to no limit.
    let mut other = Multiplexer::new();
    other.follow(LinkStanding {
        is_connected: true,
        ..LinkStanding::default()
    });
    for _ in 0..2 {
        let id = other.open(pair.now, "db", || 9).expect("room");
        let message = other.next_message(pair.now).expect("it says so");
        pair.ends[1]
            .receive(pair.now, message.payload)
            .expect("a message");
        while let Some(reply) = pair.ends[1].next_message(pair.now) {
            other.receive(pair.now, reply.payload).expect("a message");
        }
        assert_eq!(other.reset_of(id), Some(StreamReset::Busy));
    }
}

#[test]
fn a_silent_stream_is_reset_and_one_that_is_idle_is_not() {
    let mut pair = Pair::new();
    let id = pair.open("db");
    pair.settle();
    let offered = pair.offered();
    for _ in 0..100 {
        pair.now = pair.ends[0].next_wake().expect("it is kept alive");
        for end in &mut pair.ends {
            end.advance(pair.now);
        }
        assert!(pair.settle() <= 4);
    }
    assert!(pair.now > START + STREAM_SILENCE + STREAM_SILENCE);
    assert_eq!(pair.ends[0].reset_of(id), None);
    // Nothing comes any more.
    let until = pair.now + STREAM_SILENCE;
    while pair.now < until {
        pair.now = pair.ends[0].next_wake().expect("it is watched");
        pair.ends[0].advance(pair.now);
        while pair.ends[0].next_message(pair.now).is_some() {}
    }
    assert_eq!(pair.ends[0].reset_of(id), Some(StreamReset::Silent));
    assert_eq!(pair.ends[0].next_wake(), None);
    pair.ends[1].advance(pair.now + STREAM_SILENCE);
    assert_eq!(pair.ends[1].reset_of(offered), Some(StreamReset::Silent));
}

#[test]
fn what_came_before_a_reset_is_read_and_then_the_reset() {
    let mut pair = Pair::new();
    let id = pair.open("db");
    pair.settle();
    let offered = pair.offered();
    assert_eq!(pair.ends[1].write(offered, b"FATAL"), Ok(5));
    pair.settle();
    pair.ends[1].reset(offered, StreamReset::Closed);
    pair.settle();
    let read = pair.ends[0].read(id);
    assert_eq!(read, Ok(StreamRead::Bytes(Bytes::from_static(b"FATAL"))));
    assert_eq!(pair.ends[0].read(id), Err(StreamReset::Closed));
    assert_eq!(pair.ends[0].write(id, b"more"), Err(StreamReset::Closed));
}

#[test]
fn a_peer_that_starts_anew_ends_what_it_had_opened_and_opens_nothing_from_before() {
    let mut pair = Pair::new();
    pair.open("db");
    let opening = pair.ends[0].next_message(pair.now).expect("it opens");
    let open = opening.payload;
    pair.ends[1]
        .receive(pair.now, open.clone())
        .expect("a message");
    let before = pair.offered();
    let mut anew = Multiplexer::new();
    anew.follow(LinkStanding {
        is_connected: true,
        ..LinkStanding::default()
    });
    anew.open(pair.now, "db", || 8).expect("room");
    let message = anew.next_message(pair.now).expect("it opens");
    pair.ends[1]
        .receive(pair.now, message.payload)
        .expect("a message");
    let after = pair.offered();
    let over = Some(StreamReset::Restarted);
    assert_eq!(pair.ends[1].reset_of(before), over);
    // An envelope of before comes late, or again.
    for _ in 0..2 {
        pair.ends[1]
            .receive(pair.now, open.clone())
            .expect("a message");
    }
    assert_eq!(pair.ends[1].next_offer(), None);
    assert_eq!(pair.ends[1].reset_of(after), None);
}

#[test]
fn rubbish_is_refused_and_harms_no_stream() {
    let mut pair = Pair::new();
    let id = pair.open("db");
    pair.settle();
    let mut random = Random(1);
    let mut refused = 0;
    for _ in 0..20_000 {
        let length = random.below(60) as usize;
        let mut bytes: Vec<u8> = (0..length).map(|_| random.next() as u8).collect();
        // Mostly of this version, and of a kind there is.
        if random.below(4) > 0 && length > 2 {
            (bytes[0], bytes[1], bytes[2]) = (1, 1 + random.below(5) as u8, bytes[2] & 1);
        }
        refused += usize::from(pair.ends[1].receive(pair.now, bytes.into()).is_err());
        while pair.ends[1].next_message(pair.now).is_some() {}
        while let Some((offered, _)) = pair.ends[1].next_offer() {
            pair.ends[1].release(offered);
        }
    }
    assert!(refused > 5_000);
    assert_eq!(pair.ends[1].counts().unreadable, refused as u64);
    assert!(pair.ends[1].counts().open <= 1);
    assert_eq!(pair.ends[0].reset_of(id), None);
}
