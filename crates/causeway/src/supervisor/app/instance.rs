//! One instance of a Region's application: started by the shell, started again whenever it ends,
//! paused, and killed for a while or for good. It refuses to judge what the instance does.

use std::future::Future;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runtime::{Guard, ProcessGroup, ProgramSpec, SystemEnvironment};
use tokio::sync::watch;
use types::{AvailabilityZone, Environment, Monotonic, Span};

use crate::control::AppReport;
use crate::faults::InstanceWish;

/// How long after its end an application is started again, the first time.
const FIRST_WAIT: Span = Span::milliseconds(250);

/// How long it is waited at most: the wait doubles with every end.
const LONGEST_WAIT: Span = Span::seconds(10);

/// Who has run for so long begins with the first wait again.
const STEADY: Span = Span::seconds(10);

/// What an instance is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wish {
    Run,
    Stand,
    /// A fault keeps it down.
    Down,
    /// Its Region ends, and it for good.
    End,
}

/// An instance in a Region that serves.
pub(super) struct Instance {
    zone: AvailabilityZone,
    address: SocketAddr,
    spec: ProgramSpec,
    guard: Guard,
    environment: Arc<SystemEnvironment>,
    wish: watch::Sender<Wish>,
    process: Mutex<Process>,
}

/// What is known of its process. Held while one is started or signalled, so that none slips
/// through in between.
#[derive(Default)]
struct Process {
    group: Option<Arc<ProcessGroup>>,
    since: Option<Monotonic>,
    starts: u32,
    /// How it ended last, or why it couldn't start.
    last_end: Option<String>,
}

impl Instance {
    /// Begins with one in that zone, which is to listen there and does as wished.
    pub(super) fn start(
        (zone, address): (AvailabilityZone, SocketAddr),
        spec: ProgramSpec,
        guard: &Guard,
        environment: &Arc<SystemEnvironment>,
        wish: InstanceWish,
    ) -> Arc<Instance> {
        let instance = Arc::new(Instance {
            zone,
            address,
            spec,
            guard: guard.clone(),
            environment: Arc::clone(environment),
            wish: watch::Sender::new(wish.into()),
            process: Mutex::default(),
        });
        runtime::spawn(Arc::clone(&instance).keep());
        instance
    }

    /// Starts it, stops it where it stands, lets it go on, or kills it until it is wished again.
    /// What was killed is gone when the future ends.
    pub(super) fn set(&self, wish: InstanceWish) -> impl Future<Output = ()> + use<> {
        let wished = Wish::from(wish);
        let process = self.lock();
        let is_new = self.wish.send_if_modified(|wish| {
            let changes = *wish != Wish::End && *wish != wished;
            if changes {
                *wish = wished;
            }
            changes
        });
        let group = process.group.clone().filter(|_| is_new);
        if let Some(group) = &group {
            match wish {
                InstanceWish::Run => group.resume(),
                InstanceWish::Stand => group.pause(),
                InstanceWish::Down => group.kill(),
            }
        }
        let killed = group.filter(|_| wish == InstanceWish::Down);
        async move {
            if let Some(group) = killed {
                group.ended().await;
            }
        }
    }

    /// Kills it for good. Its shell is gone when the future ends, and what it started was killed.
    pub(super) fn kill(&self) -> impl Future<Output = ()> + use<> {
        let group = self.end();
        if let Some(group) = &group {
            group.kill();
        }
        async move {
            if let Some(group) = group {
                group.ended().await;
            }
        }
    }

    /// Asks it to end, and kills it if it hasn't within `grace`.
    pub(super) async fn stop(&self, grace: Duration) {
        let Some(group) = self.end() else { return };
        group.resume();
        group.terminate();
        if runtime::within(grace, group.ended()).await.is_none() {
            tracing::warn!(
                "the application in {} was killed: it did not end",
                self.zone
            );
            group.kill();
            group.ended().await;
        }
    }

    /// From here on it is started no more; gives what runs of it.
    fn end(&self) -> Option<Arc<ProcessGroup>> {
        let process = self.lock();
        self.wish.send_replace(Wish::End);
        process.group.clone()
    }

    /// How it is.
    pub(super) fn report(&self) -> AppReport {
        let wish = *self.wish.borrow();
        let process = self.lock();
        let state = match (&process.group, wish) {
            (_, Wish::End) => "stopped",
            (_, Wish::Stand) => "paused",
            (_, Wish::Down) => "killed",
            (Some(_), Wish::Run) => "running",
            (None, Wish::Run) => "waiting",
        };
        let now = self.environment.now().monotonic;
        let since = process.since.filter(|_| process.group.is_some());
        AppReport {
            zone: self.zone,
            address: self.address,
            state: state.to_owned(),
            process: process.group.as_ref().map(|group| group.id()),
            running_milliseconds: since.map(|since| (now - since).0 / 1000),
            restarts: process.starts.saturating_sub(1),
            last_end: process.last_end.clone(),
        }
    }

    fn lock(&self) -> MutexGuard<'_, Process> {
        self.process.lock().unwrap_or_else(PoisonError::into_inner)
    }

    async fn keep(self: Arc<Self>) {
        let mut wishes = self.wish.subscribe();
        let mut wait = FIRST_WAIT;
        while is_to_run(&mut wishes).await {
            let begun = self.environment.now().monotonic;
            let words = match self.launch(begun) {
                Launch::Unwished => continue,
                Launch::Failed(words) => words,
                Launch::Started(group) => format!("it ended ({})", group.ended().await),
            };
            let ended = self.environment.now().monotonic;
            match *wishes.borrow() {
                Wish::End => break,
                Wish::Down => {
                    // It was killed on purpose: whoever ends the fault doesn't wait.
                    self.note_end(words);
                    wait = FIRST_WAIT;
                    continue;
                }
                Wish::Run | Wish::Stand => {}
            }
            if ended - begun >= STEADY {
                wait = FIRST_WAIT;
            }
            tracing::warn!("the application in {}: {words}; again in {wait}", self.zone);
            self.note_end(words);
            tokio::select! {
                () = self.environment.sleep_until(ended + wait) => {}
                _ = wishes.wait_for(|wish| *wish == Wish::End) => break,
            }
            wait = Span(wait.0.saturating_mul(2)).min(LONGEST_WAIT);
        }
        self.lock().group = None;
    }

    fn launch(&self, now: Monotonic) -> Launch {
        let mut process = self.lock();
        if *self.wish.borrow() != Wish::Run {
            return Launch::Unwished;
        }
        process.starts += 1;
        match ProcessGroup::spawn(&self.spec, &self.guard) {
            Ok(group) => {
                let group = Arc::new(group);
                process.group = Some(Arc::clone(&group));
                process.since = Some(now);
                Launch::Started(group)
            }
            Err(cause) => Launch::Failed(format!("it can't be started: {cause}")),
        }
    }

    fn note_end(&self, words: String) {
        let mut process = self.lock();
        process.group = None;
        process.last_end = Some(words);
    }
}

impl From<InstanceWish> for Wish {
    fn from(wish: InstanceWish) -> Wish {
        match wish {
            InstanceWish::Run => Wish::Run,
            InstanceWish::Stand => Wish::Stand,
            InstanceWish::Down => Wish::Down,
        }
    }
}

/// What became of a start.
enum Launch {
    Started(Arc<ProcessGroup>),
    /// Meanwhile it is not to run.
    Unwished,
    Failed(String),
}

/// Waits while it is to stand still or be down. False: it is to end.
async fn is_to_run(wishes: &mut watch::Receiver<Wish>) -> bool {
    let wish = wishes
        .wait_for(|wish| matches!(wish, Wish::Run | Wish::End))
        .await;
    wish.is_ok_and(|wish| *wish == Wish::Run)
}
