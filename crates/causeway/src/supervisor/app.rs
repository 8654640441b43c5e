//! The application of one Region (`up --app`): started by the shell once its Region serves,
//! started again whenever it ends, and gone with its Region. Nothing is said to it but by its
//! environment, and nothing it does is judged.

use std::future::Future;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use runtime::{Guard, ProcessGroup, ProgramSpec, SystemEnvironment};
use tokio::sync::watch;
use types::{Environment, Monotonic, Region, Site, Span};

use super::Supervisor;
use crate::control::AppReport;
use crate::lab::KEY_VARIABLE;

/// How long after its end an application is started again, the first time.
const FIRST_WAIT: Span = Span::milliseconds(250);

/// How long it is waited at most: the wait doubles with every end.
const LONGEST_WAIT: Span = Span::seconds(10);

/// Who has run for so long begins with the first wait again.
const STEADY: Span = Span::seconds(10);

/// What an application is to do.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Wish {
    Run,
    Stand,
    End,
}

/// The application of a Region that serves.
pub(super) struct App {
    region: Region,
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

impl App {
    /// Begins to run the application of that Region, if the lab has one.
    pub(super) fn start(lab: &Supervisor, site: Site) -> Option<Arc<App>> {
        let region = site.name.region()?;
        let spec = spec(lab, site, region)?;
        let app = Arc::new(App {
            region,
            spec,
            guard: lab.guard.clone(),
            environment: Arc::clone(&lab.environment),
            wish: watch::Sender::new(Wish::Run),
            process: Mutex::default(),
        });
        runtime::spawn(Arc::clone(&app).keep());
        Some(app)
    }

    /// Stops it where it stands, or lets it go on.
    pub(super) fn set_paused(&self, paused: bool) {
        let process = self.lock();
        self.wish.send_if_modified(|wish| {
            let wished = if paused { Wish::Stand } else { Wish::Run };
            let changes = *wish != Wish::End && *wish != wished;
            if changes {
                *wish = wished;
            }
            changes
        });
        if let Some(group) = &process.group {
            match paused {
                true => group.pause(),
                false => group.resume(),
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
                "the application of {} was killed: it did not end",
                self.region
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
            (Some(_), Wish::Run) => "running",
            (None, Wish::Run) => "waiting",
        };
        let now = self.environment.now().monotonic;
        let since = process.since.filter(|_| process.group.is_some());
        AppReport {
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
            if *wishes.borrow() == Wish::End {
                break;
            }
            if ended - begun >= STEADY {
                wait = FIRST_WAIT;
            }
            tracing::warn!(
                "the application of {}: {words}; again in {wait}",
                self.region
            );
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

/// What became of a start.
enum Launch {
    Started(Arc<ProcessGroup>),
    /// Meanwhile it is not to run.
    Unwished,
    Failed(String),
}

/// Waits while it is to stand still. False: it is to end.
async fn is_to_run(wishes: &mut watch::Receiver<Wish>) -> bool {
    let wish = wishes.wait_for(|wish| *wish != Wish::Stand).await;
    wish.is_ok_and(|wish| *wish == Wish::Run)
}

/// The command in the shell, with what every AWS tool and every server looks for in its
/// environment. Its endpoint is the lab's front door: there an application reaches its own Region
/// and the others, as it would by their public names; its own Region's address would refuse
/// requests for another.
fn spec(lab: &Supervisor, site: Site, region: Region) -> Option<ProgramSpec> {
    let command = lab.app.as_ref()?;
    let address = lab.lab.app_address(site.id);
    let key = &lab.lab.root_key;
    let set = [
        ("HOST", address.ip().to_string()),
        ("PORT", address.port().to_string()),
        ("AWS_REGION", region.name().to_owned()),
        ("AWS_DEFAULT_REGION", region.name().to_owned()),
        ("AWS_ENDPOINT_URL", lab.lab.url()),
        ("AWS_ACCESS_KEY_ID", key.access_key_id().to_owned()),
        ("AWS_SECRET_ACCESS_KEY", key.secret().expose().to_owned()),
    ];
    let authority = lab.lab.authority_file();
    let authority = ("AWS_CA_BUNDLE".to_owned(), authority.map(Into::into));
    let set = set.map(|(name, value)| (name.to_owned(), Some(value.into())));
    let set = set.into_iter().chain([authority]);
    let inherited = runtime::variables_named(SERVICE_ENDPOINT);
    let taken_away = taken_away(inherited).map(|name| (name, None));
    // What seals every secret is nobody's but the Regions' and their supervisor's.
    let taken_away = taken_away.chain([(KEY_VARIABLE.to_owned(), None)]);
    Some(ProgramSpec {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), command.into()],
        environment: set.chain(taken_away).collect(),
        log: lab.lab.site_directory(site.name).join("app.log"),
    })
}

/// How the variables begin that name the endpoint of one service, as `AWS_ENDPOINT_URL_DYNAMODB`:
/// SDKs take it before `AWS_ENDPOINT_URL` (AWS SDKs and Tools Reference Guide, "Service-specific
/// endpoints").
const SERVICE_ENDPOINT: &str = "AWS_ENDPOINT_URL_";

/// What of the user's environment would lead the application elsewhere: another account's
/// credentials, a switch that has SDKs ignore endpoints, and the endpoints of single services.
fn taken_away(service_endpoints: Vec<String>) -> impl Iterator<Item = String> {
    let fixed = [
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    ];
    fixed
        .into_iter()
        .map(str::to_owned)
        .chain(service_endpoints)
}
