//! An announcer's turns, one by one, with a BIRD that the test plays and an edge's directory.

use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::sync::Mutex;

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::UnixListener;

use super::settings::tests::USUAL;
use super::*;
use crate::drain::{By, Record, is_announced, say_announced};

/// Room for every wait of a test.
const WAIT: Duration = Duration::from_secs(30);

/// What BIRD was asked, and whether the edge was said to be announced just then.
type Asked = Arc<Mutex<Vec<(String, bool)>>>;

/// An announcer beside an edge, with a BIRD.
struct Stand {
    directory: tempfile::TempDir,
    announcer: Announcer,
    asked: Asked,
}

impl Stand {
    /// `serves`: its own check passes, and that of another site. BIRD refuses what begins so.
    fn new(serves: [bool; 2], refused: &'static str) -> Stand {
        let directory = tempfile::tempdir().unwrap();
        let edge = directory.path().join("edge");
        std::fs::create_dir(&edge).unwrap();
        let mut plan = Plan::parse(USUAL).unwrap();
        plan.control_socket = directory.path().join("bird.ctl");
        plan.bird_configuration = directory.path().join("bird.conf");
        plan.edge = Some(edge.clone());
        plan.checks = checks(serves[0]);
        plan.others = checks(serves[1]);
        let asked = Asked::default();
        let listener = UnixListener::bind(&plan.control_socket).unwrap();
        runtime::spawn(bird(listener, edge, Arc::clone(&asked), refused));
        let announcer = announcer(plan);
        Stand {
            directory,
            announcer,
            asked,
        }
    }

    fn edge(&self) -> PathBuf {
        self.directory.path().join("edge")
    }

    fn is_announced(&self) -> bool {
        is_announced(&self.edge())
    }

    /// What BIRD was asked since this was asked last, of that kind.
    fn asked(&self, kind: &str) -> Vec<bool> {
        let asked = std::mem::take(&mut *self.asked.lock().unwrap());
        let asked = asked.into_iter();
        let asked = asked.filter(|(command, _)| command.starts_with(kind));
        asked.map(|(_, announced)| announced).collect()
    }

    /// One that takes its place.
    fn start_again(&mut self) {
        let plan = Plan::clone(&self.announcer.plan);
        self.announcer = announcer(plan);
    }
}

fn announcer(plan: Plan) -> Announcer {
    let environment = Arc::new(SystemEnvironment::new());
    let router = Router::new(&plan, environment.now().monotonic).unwrap();
    Announcer::new(Arc::new(plan), environment, router)
}

/// One check, that passes or is refused.
fn checks(passes: bool) -> Vec<AliveCheck> {
    #[expect(clippy::disallowed_types, reason = "a test listens")]
    let listener = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let check = format!("tcp:{}", listener.local_addr().unwrap());
    if passes {
        // For as long as the test runs.
        std::mem::forget(listener);
    }
    vec![check.parse().unwrap()]
}

async fn bird(listener: UnixListener, edge: PathBuf, asked: Asked, refused: &'static str) {
    while let Ok((stream, _)) = listener.accept().await {
        let mut stream = BufReader::new(stream);
        stream.write_all(b"0001 ready\n").await.ok();
        let mut line = String::new();
        while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
            let command = std::mem::take(&mut line).trim_end().to_owned();
            let answer: &[u8] = match command.as_str() {
                "configure" => b"0003 Reconfigured\n",
                it if it.starts_with(refused) => b"8003 No protocols match\n",
                _ => b"0000 \n",
            };
            asked.lock().unwrap().push((command, is_announced(&edge)));
            stream.write_all(answer).await.ok();
        }
    }
}

const NOTHING: &str = "nothing";

#[tokio::test]
async fn the_edge_is_told_before_bird_announces_and_after_it_has_withdrawn() {
    let mut stand = Stand::new([true, true], NOTHING);
    stand.announcer.turn().await;
    assert_eq!(stand.asked("enable"), [true, true]);
    let record = Record::new(By::Operator, false);
    record.write(&stand.edge()).unwrap();
    stand.announcer.turn().await;
    assert_eq!(stand.asked("disable"), [true]);
    assert!(!stand.is_announced());
    // Back at once, and drained again before BIRD has been told: the drain must wait.
    Record::remove(&stand.edge()).unwrap();
    stand.announcer.turn().await;
    assert_eq!(stand.asked("enable"), [true, true]);
    assert!(stand.is_announced());
}

#[tokio::test]
async fn a_family_that_bird_refuses_leaves_the_other_one_announced_and_a_drain_waits_for_it() {
    let mut stand = Stand::new([true, true], "enable causeway6");
    let record = Record::new(By::Operator, false);
    record.write(&stand.edge()).unwrap();
    stand.announcer.turn().await;
    assert!(!stand.is_announced());
    Record::remove(&stand.edge()).unwrap();
    for _ in 0..3 {
        stand.announcer.turn().await;
        assert!(stand.is_announced(), "the first is");
    }
    // What BIRD took in part is told it anew, though it was told the same just before.
    stand.asked("");
    record.write(&stand.edge()).unwrap();
    stand.announcer.turn().await;
    assert_eq!(stand.asked("disable"), [true]);
    assert!(!stand.is_announced());
}

#[tokio::test]
async fn one_that_starts_beside_a_drained_edge_leaves_it_withdrawn_and_one_beside_others_knows() {
    let mut stand = Stand::new([true, false], NOTHING);
    Record::new(By::Operator, false)
        .write(&stand.edge())
        .unwrap();
    // Nobody else is in sight: it was withdrawn when somebody was.
    stand.announcer.begin().await;
    stand.announcer.turn().await;
    assert!(stand.asked("enable").is_empty());
    assert!(!stand.is_announced());
    // One that hadn't withdrawn it goes on announcing.
    say_announced(&stand.edge(), true).unwrap();
    stand.start_again();
    stand.announcer.begin().await;
    stand.announcer.turn().await;
    assert_eq!(stand.asked("enable"), [true, true]);
    // What one of before has announced without a word to the edge is told to it first of all.
    say_announced(&stand.edge(), false).unwrap();
    stand.start_again();
    stand.announcer.begin().await;
    assert!(stand.is_announced());
}

/// A file that hangs whoever reads it, until this is dropped.
struct Hanging(PathBuf);

impl Hanging {
    #[expect(clippy::disallowed_types, reason = "nothing at hand makes one")]
    fn at(path: &Path) -> Hanging {
        let made = std::process::Command::new("mkfifo").arg(path).status();
        assert!(made.unwrap().success());
        Hanging(path.to_owned())
    }
}

impl Drop for Hanging {
    fn drop(&mut self) {
        // Whoever reads it reads its end, and finds nothing there again.
        let writer = std::fs::OpenOptions::new()
            .write(true)
            .custom_flags(0o4000) // O_NONBLOCK
            .open(&self.0);
        std::fs::remove_file(&self.0).unwrap();
        drop(writer);
    }
}

#[tokio::test]
async fn an_edge_s_disk_that_hangs_holds_up_no_withdrawal() {
    let mut stand = Stand::new([true, true], NOTHING);
    stand.announcer.turn().await;
    assert_eq!(stand.asked("enable"), [true, true]);
    // What its process runs on, too: it fails from now on.
    Arc::make_mut(&mut stand.announcer.plan).checks = checks(false);
    let hanging = Hanging::at(&stand.edge().join("drain.toml"));
    for _ in 0..3 {
        let turn = stand.announcer.turn();
        runtime::within(WAIT, turn)
            .await
            .expect("the disk holds it up");
    }
    // Told again, if a second has passed between two turns.
    assert_eq!(stand.asked("disable").first(), Some(&true));
    assert!(stand.is_announced(), "it isn't told: that is safe");
    // When the disk answers again, it is.
    drop(hanging);
    let told = async {
        while stand.is_announced() {
            stand.announcer.turn().await;
        }
    };
    runtime::within(WAIT, told).await.unwrap();
}

#[tokio::test]
async fn of_an_edge_whose_disk_hangs_from_the_start_nothing_is_announced() {
    let mut stand = Stand::new([true, true], NOTHING);
    let hanging = Hanging::at(&stand.edge().join("drain.toml"));
    for _ in 0..3 {
        stand.announcer.turn().await;
    }
    assert!(stand.asked("enable").is_empty());
    drop(hanging);
    let announced = async {
        while !stand.is_announced() {
            stand.announcer.turn().await;
        }
    };
    runtime::within(WAIT, announced).await.unwrap();
    assert_eq!(stand.asked("enable")[..2], [true, true]);
}

#[tokio::test]
async fn of_an_edge_whose_record_can_t_be_read_from_the_start_nothing_is_announced() {
    // Nobody else is in sight: it was drained when somebody was, and stays so.
    let mut stand = Stand::new([true, false], NOTHING);
    let record = stand.edge().join("drain.toml");
    std::fs::write(&record, "format = 99\n").unwrap();
    stand.announcer.begin().await;
    for _ in 0..3 {
        stand.announcer.turn().await;
    }
    assert!(stand.asked("enable").is_empty());
    Record::new(By::Operator, false)
        .write(&stand.edge())
        .unwrap();
    for _ in 0..3 {
        stand.announcer.turn().await;
    }
    assert!(stand.asked("enable").is_empty());
    assert!(!stand.is_announced());
    // One that was read is as it was while it can't be any more.
    Record::remove(&stand.edge()).unwrap();
    stand.announcer.turn().await;
    assert_eq!(stand.asked("enable"), [true, true]);
    std::fs::write(&record, "format = 99\n").unwrap();
    stand.announcer.turn().await;
    assert!(stand.asked("disable").is_empty());
    assert!(stand.is_announced());
}
