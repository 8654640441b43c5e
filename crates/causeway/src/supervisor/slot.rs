//! One site as its supervisor sees it: its process, what was done to it, and the way from the
//! one state to the other.

use std::ffi::OsString;
use std::path::PathBuf;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use anyhow::Context;
use link::certificate::Details;
use runtime::postgres::Postgres;
use runtime::{CallError, Child, ChildSpec, Exit};
use serde_json::Value;
use tokio::sync::{Mutex as AsyncMutex, mpsc};
use types::{Environment, LAB_ACCOUNT, Monotonic, Site, SiteName};

use super::Supervisor;
use super::app::Apps;
use super::certificates::{self, Renew};
use crate::control::Renewal;
use crate::drain::Record;
use crate::failure::Failure;
use crate::faults::InstanceWish;
use crate::files;
use crate::lab::KEY_VARIABLE;
use crate::protocol::{
    Conditions, PeerConfig, Question, SiteCommand, SiteConfig, SiteEvent, accelerator_pools,
    balancer_pools, database_pool,
};

/// How long a site may take from its start until it serves. Recovery of a large store is the
/// longest part.
const START_WAIT: Duration = Duration::from_secs(120);

/// How long what a site said before its end may take to be read after it.
const LAST_WORDS_WAIT: Duration = Duration::from_secs(1);

/// How long an application may take to stop before it is killed.
const APP_GRACE: Duration = Duration::from_secs(5);

/// How long a site may take to take over new conditions.
const CONDITIONS_WAIT: Duration = Duration::from_secs(5);

/// What is known of a site's process.
#[derive(Clone)]
pub(super) enum State {
    /// Never started, or stopped in order.
    Idle,
    /// Started, doesn't serve yet.
    Starting(Arc<Child>),
    /// Serves.
    Running(Running),
    /// Killed by a fault, or by `fault start` about to be started.
    Killed,
    /// Ended by itself.
    Crashed(Exit),
    /// Ended in order, by itself: an edge that was asked to by a signal.
    Left,
}

/// A process that serves.
#[derive(Clone)]
pub(super) struct Running {
    pub(super) child: Arc<Child>,
    pub(super) since: Monotonic,
    pub(super) paused: bool,
    /// The certificate its links have.
    pub(super) certificate: Details,
    /// Why it has that one still, where it was to have another.
    pub(super) not_renewed: Option<String>,
    /// The Region's application, if it has one: it lives with the process.
    pub(super) apps: Apps,
    /// What it was last told; `None` if that is unknown.
    conditions: Option<Conditions>,
}

/// A site of a running lab.
pub(super) struct Slot {
    pub(super) site: Site,
    state: Mutex<State>,
    /// Held while the site is brought from one state to another.
    changing: AsyncMutex<()>,
    /// It heard a majority of the council when it was asked last.
    has_majority: AtomicBool,
}

impl Slot {
    pub(super) fn new(site: Site) -> Slot {
        Slot {
            site,
            state: Mutex::new(State::Idle),
            changing: AsyncMutex::new(()),
            has_majority: AtomicBool::new(false),
        }
    }

    pub(super) fn state(&self) -> State {
        self.lock().clone()
    }

    pub(super) fn is_serving(&self) -> bool {
        matches!(&*self.lock(), State::Running(running) if !running.paused)
    }

    /// Could a change of global settings be decided there, when it was asked last?
    pub(super) fn has_majority(&self) -> bool {
        self.has_majority.load(Ordering::Relaxed)
    }

    /// Asks it whether it hears a majority. Who doesn't answer hears none.
    pub(super) async fn ask_majority(&self, wait: Duration) {
        let question = Question::Majority;
        let answer = self.call(&SiteCommand::Ask { question }, wait).await;
        let has_majority = answer.is_ok_and(|answer| answer == Value::Bool(true));
        self.has_majority.store(has_majority, Ordering::Relaxed);
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn set(&self, state: State) {
        *self.lock() = state;
    }

    /// Asks the site's process.
    pub(super) async fn call(
        &self,
        command: &SiteCommand,
        wait: Duration,
    ) -> Result<Value, CallError> {
        let State::Running(running) = self.state() else {
            return Err(CallError::Gone);
        };
        running.child.call(to_json(command), wait).await
    }

    /// Starts the site's process and waits until it serves.
    pub(super) async fn start(self: &Arc<Self>, lab: &Arc<Supervisor>) -> Result<(), Failure> {
        let _changing = self.changing.lock().await;
        self.launch(lab).await
    }

    /// Starts a site that was killed or has crashed; its faults of that kind are ended already.
    pub(super) async fn revive(self: &Arc<Self>, lab: &Arc<Supervisor>) -> Result<(), Failure> {
        {
            let _changing = self.changing.lock().await;
            if matches!(self.state(), State::Crashed(_) | State::Left) {
                self.set(State::Killed);
            }
        }
        self.reconcile(lab).await
    }

    /// Stops the site's process, in order if it can within `grace`.
    pub(super) async fn stop(&self, grace: Duration) {
        let (child, apps) = match self.state() {
            State::Running(running) => (running.child, running.apps),
            State::Starting(child) => (child, Apps::default()),
            State::Idle | State::Killed | State::Crashed(_) | State::Left => return,
        };
        self.set(State::Idle);
        // First: what they still have to finish, they finish with their Region.
        apps.stop(APP_GRACE.min(grace)).await;
        child.stop(to_json(&SiteCommand::Stop), grace).await;
    }

    /// Brings the site to what the faults in force make of it.
    pub(super) async fn reconcile(self: &Arc<Self>, lab: &Arc<Supervisor>) -> Result<(), Failure> {
        let _changing = self.changing.lock().await;
        let name = self.site.name;
        let (is_killed, is_paused) = {
            let faults = lab.faults();
            (faults.is_killed(name), faults.is_paused(name))
        };
        match self.state() {
            State::Running(running) if is_killed => {
                // First the state: its end must not look like a crash.
                self.set(State::Killed);
                running.child.kill();
                let gone = running.apps.kill();
                running.child.ended().await;
                lab.addresses.detach(self.site);
                gone.await;
                Ok(())
            }
            State::Killed if !is_killed => {
                self.launch(lab).await?;
                self.adjust(lab, is_paused).await
            }
            State::Running(_) => self.adjust(lab, is_paused).await,
            State::Idle | State::Starting(_) | State::Killed | State::Crashed(_) | State::Left => {
                Ok(())
            }
        }
    }

    async fn launch(self: &Arc<Self>, lab: &Arc<Supervisor>) -> Result<(), Failure> {
        let conditions = lab.conditions(self.site);
        let (spec, certificate) = prepare(lab, self.site, &conditions)?;
        let (sender, mut events) = mpsc::unbounded_channel();
        let handed = lab.addresses.attach(self.site)?;
        let child = Child::spawn_with(&spec, handed, &lab.guard, move |event| {
            // Nobody listens any more once the site serves.
            sender.send(event).ok();
        });
        let child = child.with_context(|| format!("can't start {}", self.site.name));
        let child = Arc::new(child?);
        self.set(State::Starting(Arc::clone(&child)));
        let deadline = lab.environment.now().monotonic + START_WAIT.into();
        if self.site.name.region().is_some() {
            // One that ends before it has heard them says itself why, or its end does.
            let secrets = lab.secrets();
            let open = to_json(&SiteCommand::Open { secrets });
            child.call(open, START_WAIT).await.ok();
        }
        let ready = tokio::select! {
            biased;
            event = events.recv() => judge(event, &child).await,
            exit = child.ended() => Err(last_words(&mut events, exit).await),
            () = lab.environment.sleep_until(deadline) => {
                Err(Failure::did_not_hold(format!("not ready in {} s", START_WAIT.as_secs())))
            }
        };
        if let Err(failure) = ready {
            child.kill();
            let exit = child.ended().await;
            lab.addresses.detach(self.site);
            self.set(State::Crashed(exit));
            let log = spec.log.display();
            let (name, why) = (self.site.name, &failure.message);
            return Err(Failure {
                message: format!("{name} can't start: {why} (its log: {log})"),
                ..failure
            });
        }
        self.set(State::Running(Running {
            child: Arc::clone(&child),
            since: lab.environment.now().monotonic,
            paused: false,
            certificate,
            not_renewed: None,
            apps: Apps::start(lab, self.site),
            conditions: Some(conditions),
        }));
        runtime::spawn(Arc::clone(self).watch(child));
        Ok(())
    }

    /// Notes the end of a process that nobody ended.
    async fn watch(self: Arc<Self>, child: Arc<Child>) {
        let exit = child.ended().await;
        let mut state = self.lock();
        if let State::Running(running) = &*state
            && Arc::ptr_eq(&running.child, &child)
        {
            // Their Region is gone, and nobody waits for them to be gone as well.
            drop(running.apps.kill());
            let name = self.site.name;
            let again = format!("`causeway fault start {name}` starts it again");
            // An edge ends so by a signal alone; one that the lab has end isn't running by then.
            if exit == Exit::Code(0) && name.region().is_none() {
                *state = State::Left;
                tracing::warn!("{name} has ended in order, as a signal asked it to; {again}");
                return;
            }
            *state = State::Crashed(exit);
            tracing::error!("{name} has ended by itself ({exit}); {again}");
        }
    }

    /// Pauses, resumes, and tells the process its conditions where they have changed.
    async fn adjust(&self, lab: &Supervisor, is_paused: bool) -> Result<(), Failure> {
        let State::Running(mut running) = self.state() else {
            return Ok(());
        };
        if is_paused != running.paused {
            match is_paused {
                true => running.child.pause(),
                false => running.child.resume(),
            }
            running.paused = is_paused;
        }
        let wished = |zone| match lab.faults().instance(zone) {
            InstanceWish::Run if is_paused => InstanceWish::Stand,
            wish => wish,
        };
        running.apps.adjust(wished).await;
        let mut told = Ok(());
        let conditions = lab.conditions(self.site);
        if !is_paused && running.conditions.as_ref() != Some(&conditions) {
            let command = to_json(&SiteCommand::Conditions(conditions.clone()));
            let answer = running.child.call(command, CONDITIONS_WAIT).await;
            running.conditions = answer.is_ok().then_some(conditions);
            told = answer.map(drop).map_err(|cause| {
                Failure::did_not_hold(format!("{} was not told: {cause}", self.site.name))
            });
        }
        self.keep(running);
        told
    }

    /// Gives the process a new certificate; `None` where it needs none.
    pub(super) async fn renew(&self, lab: &Supervisor, which: Renew) -> Option<Renewal> {
        let _changing = self.changing.lock().await;
        let State::Running(mut running) = self.state() else {
            return (which == Renew::All).then_some(Renewal::AtStart);
        };
        let is_due =
            running.not_renewed.is_some() || running.certificate.is_due(lab.environment.now().wall);
        if which == Renew::Due && !is_due {
            return None;
        }
        let replaced = match running.paused {
            true => Err("it is paused".to_owned()),
            false => lab.replace_certificate(self, &running.child).await,
        };
        running.not_renewed = replaced.as_ref().err().cloned();
        let renewal = match replaced {
            Ok(certificate) => {
                running.certificate = certificate.clone();
                Renewal::Renewed { certificate }
            }
            Err(reason) => Renewal::Failed { reason },
        };
        self.keep(running);
        Some(renewal)
    }

    /// Notes what was done to the process, unless it has ended meanwhile.
    fn keep(&self, running: Running) {
        let mut state = self.lock();
        if matches!(&*state, State::Running(_)) {
            *state = State::Running(running);
        }
    }
}

async fn judge(event: Option<Value>, child: &Child) -> Result<(), Failure> {
    let Some(event) = event else {
        // Without a pipe it is of no use, should it still be there.
        child.kill();
        return Err(ended(child.ended().await));
    };
    match serde_json::from_value(event) {
        Ok(SiteEvent::Ready) => Ok(()),
        Ok(SiteEvent::Failed(failure)) => Err(failure),
        Err(cause) => Err(Failure::did_not_hold(format!(
            "it said something else: {cause}"
        ))),
    }
}

/// Why a site ended before it served. Its end is often noticed before the event that it sent just
/// then has been read from the pipe, and only the event says what to do.
async fn last_words(events: &mut mpsc::UnboundedReceiver<Value>, exit: Exit) -> Failure {
    let last = tokio::time::timeout(LAST_WORDS_WAIT, events.recv()).await;
    match last.ok().flatten().map(serde_json::from_value) {
        Some(Ok(SiteEvent::Failed(failure))) => failure,
        _ => ended(exit),
    }
}

fn ended(exit: Exit) -> Failure {
    Failure::did_not_hold(format!("it ended ({exit})"))
}

/// Writes what the site's process reads, with a new certificate, and says how to start it.
fn prepare(
    lab: &Supervisor,
    site: Site,
    conditions: &Conditions,
) -> anyhow::Result<(ChildSpec, Details)> {
    let directory = lab.lab.site_directory(site.name);
    files::create_directory(&directory)?;
    let certificate = certificates::write(lab, site, &directory)?;
    Record::start_anew(&directory)?;
    // Older versions left the root key there, in the open.
    files::remove(&directory.join("credentials"))?;
    let deployment = lab.lab.deployment();
    let peers = conditions.shapes.iter().map(|(name, shape)| {
        let peer = deployment
            .named(*name)
            .expect("shapes are of the lab's sites");
        PeerConfig {
            site: *name,
            link: lab.lab.link_address(peer.id),
            shape: *shape,
        }
    });
    let (settings, region) = (&lab.lab.settings, site.name.region());
    let config = SiteConfig {
        site: site.name,
        account: LAB_ACCOUNT.to_owned(),
        directory: directory.clone(),
        api: lab.lab.api_address(site.id),
        tls: settings.endpoint.files(&lab.lab.directory),
        authority_key: region.and(settings.endpoint.authority_key(&lab.lab.directory)),
        link: lab.lab.link_address(site.id),
        dns: settings.edge_dns(&site),
        accelerator_pools: accelerator_pools(),
        accelerator_ipv6_pool: settings.ipv6,
        balancer_pools: region.map(|_| balancer_pools(site.id)),
        database_pool: region.map(|_| database_pool(site.id)),
        databases: databases_directory(lab, site)?,
        tail_limit_mib: region.and(settings.tail_limit_mib),
        certificates: region.and(settings.certificates.clone()),
        app: lab.app_front(&site),
        zones_down: conditions.zones_down.clone(),
        clock_offset_milliseconds: conditions.clock_offset_milliseconds,
        delay_scale: settings.delay_scale,
        health_interval_milliseconds: settings.health_interval_milliseconds,
        flow_log_interval_milliseconds: settings.flow_log_interval_milliseconds,
        health_targets: settings.health_targets.clone(),
        webhooks: settings.webhooks.clone(),
        blob_store: region.and(settings.blob_store.clone()),
        geo_database: settings.geo_database.clone(),
        peers: peers.collect(),
        deployment,
    };
    let file = config.write()?;
    let role: &[&str] = match site.name {
        SiteName::Region(_) => &["region"],
        SiteName::Edge(_) => &["edge", "run"],
    };
    let mut arguments: Vec<OsString> = role.iter().map(Into::into).collect();
    arguments.extend(["--config".into(), file.into()]);
    let spec = ChildSpec {
        program: std::env::current_exe().context("can't find this program's own file")?,
        arguments,
        log: directory.join("log"),
        // A Region is told the key over its pipe, an edge never.
        withheld: vec![KEY_VARIABLE],
    };
    Ok((spec, certificate))
}

/// Where a Region's databases are. The servers' user, who is another one than root, may pass
/// through the directories on the way, where there are servers at all.
fn databases_directory(lab: &Supervisor, site: Site) -> anyhow::Result<Option<PathBuf>> {
    let Some(region) = site.name.region() else {
        return Ok(None);
    };
    let all = lab.lab.directory.join("db");
    files::create_directory(&all)?;
    if let Ok(postgres) = Postgres::find() {
        for directory in [&lab.lab.directory, &all] {
            let passable = postgres.let_pass(directory);
            passable.with_context(|| format!("can't open the way to {}", directory.display()))?;
        }
    }
    let directory = all.join(region.name());
    Ok(Some(std::path::absolute(directory)?))
}

pub(super) fn to_json(command: &SiteCommand) -> Value {
    serde_json::to_value(command).expect("commands have a JSON form")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn what_a_site_said_before_its_end_is_told_though_it_arrives_after_it() {
        let (sender, mut events) = mpsc::unbounded_channel();
        let failure = Failure::did_not_hold("the store is corrupt: restore it");
        let event = serde_json::to_value(SiteEvent::Failed(failure.clone())).unwrap();
        let late = async {
            tokio::task::yield_now().await;
            sender.send(event).unwrap();
        };
        let (told, ()) = tokio::join!(last_words(&mut events, Exit::Code(1)), late);
        assert_eq!(told, failure);
        drop(sender);
        let told = last_words(&mut events, Exit::Signal(9)).await;
        assert_eq!(told.message, "it ended (signal 9)");
    }
}
