//! Failovers with real servers: the writer dies or is cut off, its follower takes over, and the old
//! one's tail is kept before it is rewound and follows. Every acknowledged row is looked for by id.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::{Duration, Instant};

use runtime::postgres::{
    ControlState, Fork, HomeState, Role, Server, ServerHome, ServerSettings, Stop, Tail, Upstream,
};
use rustix::process::{Pid, Signal, kill_process};
use tokio::task::JoinHandle;

use crate::relay::Relay;
use crate::rig::{Rig, eventually, master, rig};

/// What each takes its rows by.
const SLOT: &str = "other";

/// A server and the way that others have to it.
struct Member {
    home: ServerHome,
    way: Relay,
    server: Option<Server>,
}

impl Member {
    fn new(rig: &Rig, name: &str) -> Member {
        let home = rig.home(name);
        let way = Relay::new(
            rig.path().join(format!("{name}.up")),
            home.socket_directory(),
        );
        Member {
            home,
            way,
            server: None,
        }
    }

    fn server(&self) -> &Server {
        self.server.as_ref().unwrap()
    }

    /// How it is followed.
    fn upstream(&self) -> Upstream {
        Upstream {
            socket_directory: self.way.directory().to_owned(),
            slot: SLOT.into(),
            password: self.home.replication_password().unwrap(),
            application_name: "a follower".into(),
        }
    }

    /// It starts, following or not.
    async fn start(&mut self, rig: &Rig, upstream: Option<Upstream>) {
        let told = ServerSettings {
            parameters: BTreeMap::new(),
            upstream,
            synchronous: None,
        };
        self.server = Some(rig.postgres.start(&self.home, &told).await.unwrap());
    }

    /// It takes over; gives where.
    async fn take_over(&self) -> Fork {
        let server = self.server();
        server.promote().await.unwrap();
        server.checkpoint().await.unwrap();
        let seen = server.observe().await.unwrap();
        assert!(seen.role == Role::Primary && seen.checkpointed);
        server.keep_slots(&[SLOT.to_owned()].into()).await.unwrap();
        let fork = server.fork().await.unwrap().unwrap();
        assert_eq!(fork.timeline, seen.timeline);
        fork
    }

    async fn rows(&self) -> BTreeSet<i64> {
        let client = master(&self.home).await;
        let rows = client.query("SELECT id FROM acked", &[]).await.unwrap();
        rows.iter().map(|row| row.get(0)).collect()
    }
}

/// It streams from its upstream.
async fn streams(follower: &Server) {
    eventually("it streams", || async {
        follower.observe().await.unwrap().receiving
    })
    .await;
}

async fn caught_up(writer: &Server, follower: &Server) {
    streams(follower).await;
    let written = writer.observe().await.unwrap().written;
    eventually("it has all", || async {
        follower.observe().await.unwrap().replayed >= Some(written)
    })
    .await;
}

/// Two servers, one following the other, and who writes to them.
struct Pair {
    rig: Rig,
    writer: Member,
    follower: Member,
    next: Arc<AtomicI64>,
    /// What was acknowledged and isn't known to be lost.
    acked: BTreeSet<i64>,
    tails: usize,
}

impl Pair {
    async fn new(rig: Rig) -> Pair {
        let (mut writer, mut follower) = (Member::new(&rig, "one"), Member::new(&rig, "two"));
        rig.postgres
            .create(&writer.home, &crate::rig::new())
            .await
            .unwrap();
        writer.start(&rig, None).await;
        let client = master(&writer.home).await;
        let make = "CREATE TABLE acked (id bigint PRIMARY KEY, note text)";
        client.batch_execute(make).await.unwrap();
        let server = writer.server();
        server.keep_slots(&[SLOT.to_owned()].into()).await.unwrap();
        rig.postgres
            .copy(&follower.home, &writer.upstream())
            .await
            .unwrap();
        follower.start(&rig, Some(writer.upstream())).await;
        caught_up(writer.server(), follower.server()).await;
        Pair {
            rig,
            writer,
            follower,
            next: Arc::new(AtomicI64::new(1)),
            acked: BTreeSet::new(),
            tails: 0,
        }
    }

    /// Writes rows to the writer, one after the other, until it is refused; gives those that were
    /// acknowledged.
    async fn load(&self) -> JoinHandle<Vec<i64>> {
        let client = master(&self.writer.home).await;
        let next = Arc::clone(&self.next);
        tokio::spawn(async move {
            let mut acked = Vec::new();
            loop {
                let id = next.fetch_add(1, Ordering::SeqCst);
                let insert = "INSERT INTO acked VALUES ($1, 'it''s \\')";
                match client.execute(insert, &[&id]).await {
                    Ok(_) => acked.push(id),
                    Err(error) => {
                        assert!(!acked.is_empty(), "{error}");
                        return acked;
                    }
                }
            }
        })
    }

    /// So many more rows were begun, and all but the last acknowledged.
    async fn written(&self, count: i64) {
        let from = self.next.load(Ordering::SeqCst);
        eventually("rows are written", || async {
            self.next.load(Ordering::SeqCst) >= from + count
        })
        .await;
    }

    fn turn(&mut self) {
        std::mem::swap(&mut self.writer, &mut self.follower);
    }

    /// The writer is gone one way or another; its follower takes over and has its rows taken stock
    /// of. Gives how many were lost.
    async fn fail_over(&mut self, kind: usize) -> usize {
        let load = self.load().await;
        self.written(20).await;
        if !kind.is_multiple_of(3) {
            self.writer.way.cut();
            self.written(10).await;
        }
        let fork = if kind % 3 == 2 {
            // Nobody reaches it but its own clients; then its Region sees that it lost its lease.
            let fork = self.follower.take_over().await;
            let server = self.writer.server.take().unwrap();
            server.stop(Stop::Fast).await.unwrap();
            fork
        } else {
            drop(self.writer.server.take());
            self.follower.take_over().await
        };
        self.acked.extend(load.await.unwrap());
        self.writer.way.heal();
        let tail = self.keep(fork).await;
        self.judge(&tail).await
    }

    async fn keep(&mut self, fork: Fork) -> Tail {
        self.tails += 1;
        let to = self.rig.path().join(format!("tail{}", self.tails));
        let kept = self
            .rig
            .postgres
            .keep_tail(&self.writer.home, fork, (&to, crate::tails::ROOM))
            .await;
        let kept = kept.unwrap();
        assert_eq!(Tail::read(&to).unwrap(), Some(kept.clone()));
        assert_eq!((kept.begin, kept.unexported.as_deref()), (fork.lsn, None));
        kept
    }

    /// Every acknowledged row is at the new writer or in the tail, and none is in both.
    async fn judge(&mut self, tail: &Tail) -> usize {
        let there = self.follower.rows().await;
        let listed = listed(tail);
        let lost: BTreeSet<i64> = self.acked.difference(&there).copied().collect();
        assert!(lost.is_subset(&listed), "{lost:?} not all in {listed:?}");
        assert!(listed.is_disjoint(&there));
        // The one that was on its way when it ended may be there without a word to its client.
        let more = listed.difference(&lost).count();
        assert!(more <= 1, "{more} that nobody was told of");
        let named = crate::tails::listed(tail);
        let inserted = named.iter().flat_map(|it| &it.tables);
        assert_eq!(
            inserted.map(|it| it.inserted).sum::<u64>(),
            listed.len() as u64
        );
        assert_eq!(named.len(), listed.len());
        self.acked.retain(|id| there.contains(id));
        lost.len()
    }

    /// The old writer is rewound and follows.
    async fn bring_back(&mut self) {
        let upstream = self.follower.upstream();
        let begun = Instant::now();
        let rewound = self.rig.postgres.rewind(&self.writer.home, &upstream).await;
        rewound.unwrap();
        let state = self.writer.home.state();
        assert!(
            matches!(state, HomeState::Whole { standby: true, .. }),
            "{state:?}"
        );
        self.writer.start(&self.rig, Some(upstream)).await;
        streams(self.writer.server()).await;
        eprintln!("back in {} ms", begun.elapsed().as_millis());
        self.turn();
    }

    async fn same_everywhere(&self) {
        caught_up(self.writer.server(), self.follower.server()).await;
        let there = self.writer.rows().await;
        assert_eq!(self.follower.rows().await, there);
        assert!(self.acked.is_subset(&there), "an acknowledged row is gone");
    }

    async fn switch_over(&mut self) {
        let load = self.load().await;
        self.written(20).await;
        let begun = Instant::now();
        let server = self.writer.server.take().unwrap();
        server.stop(Stop::Fast).await.unwrap();
        self.acked.extend(load.await.unwrap());
        let control = self.rig.postgres.control(&self.writer.home).await.unwrap();
        assert_eq!(control.state, ControlState::Stopped);
        let end = control.end.unwrap();
        let follower = self.follower.server();
        eventually("it has all", || async {
            follower.observe().await.unwrap().replayed >= Some(end)
        })
        .await;
        let fork = self.follower.take_over().await;
        eprintln!("switched over in {} ms", begun.elapsed().as_millis());
        assert!(fork.lsn >= end, "{fork:?} is before {end}");
        let upstream = self.follower.upstream();
        let home = &self.writer.home;
        self.rig
            .postgres
            .follow(home, &upstream.password)
            .await
            .unwrap();
        self.writer.start(&self.rig, Some(upstream)).await;
        self.turn();
        self.same_everywhere().await;
    }

    async fn stop(mut self) {
        for member in [&mut self.follower, &mut self.writer] {
            member
                .server
                .take()
                .unwrap()
                .stop(Stop::Fast)
                .await
                .unwrap();
        }
    }
}

/// The process of that server's that makes its checkpoints.
fn checkpointer(home: &ServerHome) -> Pid {
    let is_it = |process: &i32| {
        let title = std::fs::read(format!("/proc/{process}/cmdline")).unwrap_or_default();
        String::from_utf8_lossy(&title).contains("checkpointer")
    };
    let found = crate::rig::processes(home).into_iter().find(is_it);
    Pid::from_raw(found.unwrap()).unwrap()
}

/// The ids in a tail's file of rows.
fn listed(tail: &Tail) -> BTreeSet<i64> {
    let Some(file) = &tail.sql_file else {
        return BTreeSet::new();
    };
    let text = std::fs::read_to_string(file).unwrap();
    let begin = "INSERT INTO \"public\".\"acked\" (id, note) OVERRIDING SYSTEM VALUE VALUES ('";
    let ids = text.lines().filter_map(|line| line.strip_prefix(begin));
    ids.map(|rest| rest.split_once('\'').unwrap().0.parse().unwrap())
        .collect()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ten_unplanned_failovers_lose_exactly_what_their_tails_list() {
    let Some(rig) = rig() else { return };
    let mut pair = Pair::new(rig).await;
    let mut lost = Vec::new();
    for kind in 0..10 {
        lost.push(pair.fail_over(kind).await);
        pair.bring_back().await;
        pair.same_everywhere().await;
    }
    eprintln!(
        "lost and listed: {lost:?} of {} acknowledged",
        pair.acked.len()
    );
    // Those that were cut off went on for a while: a test without losses would show nothing.
    assert!(
        lost.iter().skip(1).step_by(3).all(|count| *count > 0),
        "{lost:?}"
    );
    assert!(
        lost.iter().skip(2).step_by(3).all(|count| *count > 0),
        "{lost:?}"
    );
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn five_switchovers_lose_nothing() {
    let Some(rig) = rig() else { return };
    let mut pair = Pair::new(rig).await;
    for _ in 0..5 {
        pair.switch_over().await;
    }
    assert!(pair.acked.len() > 50, "{} rows", pair.acked.len());
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn three_double_failovers_lose_exactly_what_their_tails_list() {
    let Some(rig) = rig() else { return };
    let mut pair = Pair::new(rig).await;
    for round in 0..3 {
        pair.fail_over(1).await;
        pair.bring_back().await;
        // The moment that it streams, whatever it still lacks, the next one fails.
        pair.fail_over(round).await;
        pair.bring_back().await;
        pair.same_everywhere().await;
    }
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_rewind_waits_for_the_upstream_s_checkpoint_and_one_that_is_cut_off_is_seen() {
    let Some(rig) = rig() else { return };
    let mut pair = Pair::new(rig).await;
    pair.writer.way.cut();
    let client = master(&pair.writer.home).await;
    client
        .batch_execute("INSERT INTO acked VALUES (1, '')")
        .await
        .unwrap();
    drop(pair.writer.server.take());
    pair.writer.way.heal();
    let (home, follower) = (&pair.writer.home, pair.follower.server());
    // Its first checkpoint after the promotion is held up.
    let checkpointer = checkpointer(&pair.follower.home);
    kill_process(checkpointer, Signal::STOP).unwrap();
    follower.promote().await.unwrap();
    follower
        .keep_slots(&[SLOT.to_owned()].into())
        .await
        .unwrap();
    let upstream = pair.follower.upstream();
    let whole = || matches!(home.state(), HomeState::Whole { standby: false, .. });

    // PostgreSQL's own would take such a home for one that needs no rewind.
    assert!(!follower.observe().await.unwrap().checkpointed);
    let refused = pair.rig.postgres.rewind(home, &upstream).await.unwrap_err();
    assert!(refused.to_string().contains("no checkpoint"), "{refused}");
    kill_process(checkpointer, Signal::CONT).unwrap();
    assert!(whole());
    follower.checkpoint().await.unwrap();
    pair.follower.way.cut();
    pair.rig.postgres.rewind(home, &upstream).await.unwrap_err();
    assert!(whole(), "an upstream that is gone changes nothing");
    let followed = pair.rig.postgres.control(home).await.unwrap();
    assert_eq!(followed.timeline, 1);
    pair.follower.way.heal();

    // A process that dies amid it: what is left is nothing that is started.
    let cut_off = async {
        while whole() {
            tokio::time::sleep(Duration::from_millis(1)).await;
        }
    };
    tokio::select! {
        done = pair.rig.postgres.rewind(home, &upstream) => panic!("{done:?} too soon"),
        () = cut_off => {}
    }
    assert_eq!(home.state(), HomeState::Unfinished);
    let started = pair
        .rig
        .postgres
        .start(home, &ServerSettings::default())
        .await;
    assert!(started.is_err());
    home.remove().await.unwrap();
    pair.rig.postgres.copy(home, &upstream).await.unwrap();
    pair.writer.start(&pair.rig, Some(upstream)).await;
    pair.turn();
    pair.same_everywhere().await;
    pair.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_home_that_was_killed_is_not_made_a_follower_as_it_is() {
    let Some(rig) = rig() else { return };
    let (home, server) = rig.server("one").await;
    server.stop(Stop::Immediate).await.unwrap();
    let control = rig.postgres.control(&home).await.unwrap();
    assert_eq!((control.state, control.end), (ControlState::Crashed, None));
    let refused = rig.postgres.follow(&home, "password").await.unwrap_err();
    assert!(
        refused.to_string().contains("not stopped in order"),
        "{refused}"
    );
    assert!(matches!(
        home.state(),
        HomeState::Whole { standby: false, .. }
    ));
}
