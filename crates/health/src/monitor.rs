//! A site's health checking as a whole: its own checker, what the others report, and what that
//! amounts to. The site gives it inputs and the time, and carries out what comes back; nothing
//! happens in between.

use std::collections::{BTreeMap, BTreeSet};

use bytes::Bytes;
use types::{HealthCheck, HealthCheckId, Monotonic, Now, ProbeOutcome, SiteId, Span};

use crate::board::{Board, Changes};
use crate::checker::Checker;
use crate::limits::{ALIVE_EVERY, MAX_CHECKS, MAX_ID, MAX_VERDICTS, REFRESH_EVERY};
use crate::{
    Message, MessageError, ProbeRequest, Report, Settings, SiteObservation, SnapshotError, Tally,
    TargetPolicy, Ticket, Verdict, snapshot,
};

/// What a monitor is made with.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct MonitorConfig {
    /// This site.
    pub site: SiteId,
    /// Which life of the site's process this is: greater than that of any life before. The wall
    /// clock's milliseconds at the start will do: should the clock have been set back between
    /// two lives, other sites believe the new one once they haven't heard the old one for
    /// [`FRESHNESS`](crate::limits::FRESHNESS).
    pub instance: u64,
    /// Spreads the first probes.
    pub seed: u64,
    /// What the deployment sets for all checks.
    pub settings: Settings,
    /// What may be looked at.
    pub policy: TargetPolicy,
}

/// What a site tells its monitor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Input {
    /// These are all health checks of the configuration, from now on.
    Configured(Vec<HealthCheck>),
    /// The health lane to that site is open: messages to it may be sent. Also after messages
    /// were dropped, to say everything again.
    Connected(SiteId),
    /// It is not.
    Disconnected(SiteId),
    /// That site's monitor sent this.
    Received(SiteId, Bytes),
    /// The outcome of a probe.
    Probed(Ticket, ProbeOutcome),
    /// The addresses of a name; none if it has none.
    Resolved(Ticket, Vec<std::net::Ipv4Addr>),
    /// Time has passed.
    Tick,
}

/// What a site is to do for its monitor.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum Output {
    /// A probe, or the addresses of a name.
    Request(ProbeRequest),
    /// Send this to that site on the health lane.
    Send(SiteId, Bytes),
    /// A check's status is this from now on; said of each check once it is configured, then at
    /// each change.
    Status(HealthCheckId, bool),
    /// A check is configured no more.
    Gone(HealthCheckId),
    /// Keep these bytes on disk in place of those before: what [`Monitor::new`] takes after a
    /// restart. They matter only for a site that then hears nobody: they needn't be synced.
    Keep(Bytes),
}

/// A site's health checking.
#[derive(Debug)]
pub struct Monitor {
    instance: u64,
    sequence: u64,
    checker: Checker,
    board: Board,
    connected: BTreeSet<SiteId>,
    alive_at: Monotonic,
    refresh_at: Monotonic,
    stepped: Monotonic,
}

impl Monitor {
    /// A monitor that knows no checks yet, with the statuses that the site has kept on its disk
    /// (none at its first start). It asks for nothing before its first step.
    ///
    /// # Errors
    /// The kept bytes can't be read.
    pub fn new(
        now: Now,
        config: MonitorConfig,
        kept: Option<&[u8]>,
    ) -> Result<Monitor, SnapshotError> {
        let last_known = kept.map_or(Ok(BTreeMap::new()), snapshot::decode)?;
        Ok(Monitor {
            instance: config.instance,
            sequence: 0,
            checker: Checker::new(config.settings, config.policy, config.seed),
            board: Board::new(config.site, last_known),
            connected: BTreeSet::new(),
            alive_at: now.monotonic + ALIVE_EVERY,
            refresh_at: now.monotonic + REFRESH_EVERY,
            stepped: now.monotonic,
        })
    }

    /// Takes note of an input and says what is to be done, in order.
    ///
    /// # Errors
    /// A message of another site made no sense and was ignored; everything else was done.
    pub fn step(
        &mut self,
        now: Now,
        input: Input,
        outputs: &mut Vec<Output>,
    ) -> Result<(), MessageError> {
        self.excuse_own_sleep(now.monotonic);
        let mut changes = Changes::default();
        let taken = self.take(now, input, &mut changes, outputs);
        let requests = self.checker.poll(now);
        outputs.extend(requests.into_iter().map(Output::Request));
        self.say_what_changed(now.monotonic, &mut changes, outputs);
        changes.then(self.board.look(now.monotonic));
        self.say_it_lives(now.monotonic, outputs);
        outputs.extend(changes.gone.into_iter().map(Output::Gone));
        let statuses = changes.statuses.into_iter();
        outputs.extend(statuses.map(|(id, status)| Output::Status(id, status)));
        if changes.kept {
            outputs.push(Output::Keep(snapshot::encode(self.board.last_known())));
        }
        taken
    }

    /// When the next [`Input::Tick`] is due, at the latest.
    pub fn wake(&self) -> Monotonic {
        let timers = [self.alive_at, self.refresh_at];
        let parts = self.checker.wake().into_iter().chain(self.board.wake());
        parts.fold(timers[0].min(timers[1]), Monotonic::min)
    }

    /// The status of that check, as last said by [`Output::Status`]; `None` if it isn't
    /// configured.
    pub fn status(&self, id: &HealthCheckId) -> Option<bool> {
        self.board.status(id)
    }

    /// How that check's status comes about.
    pub fn tally(&self, now: Monotonic, id: &HealthCheckId) -> Option<Tally> {
        self.board.tally(now, id)
    }

    /// What each checker that is heard saw last of that check, in the order of sites:
    /// `GetHealthCheckStatus`.
    pub fn observations(&self, now: Monotonic, id: &HealthCheckId) -> Vec<SiteObservation> {
        self.board
            .observations(now, id, |verdict| verdict.last.as_ref())
    }

    /// The last failure that each checker that is heard saw of that check, in the order of
    /// sites: `GetHealthCheckLastFailureReason`.
    pub fn last_failures(&self, now: Monotonic, id: &HealthCheckId) -> Vec<SiteObservation> {
        self.board
            .observations(now, id, |verdict| verdict.failure.as_ref())
    }

    fn take(
        &mut self,
        now: Now,
        input: Input,
        changes: &mut Changes,
        outputs: &mut Vec<Output>,
    ) -> Result<(), MessageError> {
        match input {
            Input::Configured(checks) => {
                let checks = within_limits(checks);
                self.checker.configure(now, &checks);
                changes.then(self.board.configure(now.monotonic, &checks));
            }
            Input::Connected(site) => {
                self.connected.insert(site);
                changes.then(self.board.connected(now.monotonic, site, true));
                self.say_everything(&[site], outputs);
            }
            Input::Disconnected(site) => {
                self.connected.remove(&site);
                changes.then(self.board.connected(now.monotonic, site, false));
            }
            Input::Received(site, bytes) => {
                let message = Message::decode(&bytes)?;
                changes.then(self.board.receive(now.monotonic, site, message));
            }
            Input::Probed(ticket, outcome) => self.checker.finished(now, ticket, &outcome),
            Input::Resolved(ticket, addresses) => {
                let request = self.checker.resolved(now, ticket, &addresses);
                outputs.extend(request.map(Output::Request));
            }
            Input::Tick => {}
        }
        Ok(())
    }

    /// A site that was stopped itself mustn't take its own sleep for the others' silence.
    fn excuse_own_sleep(&mut self, now: Monotonic) {
        let asleep = now - self.stepped;
        if asleep > Span(2 * ALIVE_EVERY.0) {
            self.board.excuse(asleep);
        }
        self.stepped = now;
    }

    /// What this site's checker has found since goes to its board and to all sites at once.
    fn say_what_changed(
        &mut self,
        now: Monotonic,
        changes: &mut Changes,
        outputs: &mut Vec<Output>,
    ) {
        let mut verdicts = Vec::new();
        for (id, urgent) in self.checker.take_news() {
            let verdict = self.checker.verdict(&id);
            self.board.own(now, &id, verdict, changes);
            let verdict = verdict.filter(|_| urgent);
            verdicts.extend(verdict.map(|verdict| (id, verdict.clone())));
        }
        let everyone: Vec<SiteId> = self.connected.iter().copied().collect();
        if !verdicts.is_empty() {
            self.say(verdicts, &everyone, outputs);
        }
    }

    /// The word that the checker lives, and everything it has found, each in its time.
    fn say_it_lives(&mut self, now: Monotonic, outputs: &mut Vec<Output>) {
        let everyone: Vec<SiteId> = self.connected.iter().copied().collect();
        if self.refresh_at <= now {
            self.refresh_at = now + REFRESH_EVERY;
            self.say_everything(&everyone, outputs);
        }
        if self.alive_at <= now {
            self.alive_at = now + ALIVE_EVERY;
            let alive = self.message(None);
            outputs.extend(
                everyone
                    .iter()
                    .map(|site| Output::Send(*site, alive.clone())),
            );
        }
    }

    fn say_everything(&mut self, to: &[SiteId], outputs: &mut Vec<Output>) {
        let verdicts = self.verdicts();
        self.say(verdicts, to, outputs);
    }

    fn verdicts(&self) -> Vec<(HealthCheckId, Verdict)> {
        let verdicts = self.checker.verdicts();
        verdicts
            .map(|(id, verdict)| (id.clone(), verdict.clone()))
            .collect()
    }

    /// Verdicts, in as many messages as they need; in one if there are none.
    fn say(
        &mut self,
        mut verdicts: Vec<(HealthCheckId, Verdict)>,
        to: &[SiteId],
        outputs: &mut Vec<Output>,
    ) {
        while !to.is_empty() {
            let rest = verdicts.split_off(verdicts.len().min(MAX_VERDICTS));
            let report = self.message(Some(Report(verdicts)));
            outputs.extend(to.iter().map(|site| Output::Send(*site, report.clone())));
            if rest.is_empty() {
                return;
            }
            verdicts = rest;
        }
    }

    fn message(&mut self, report: Option<Report>) -> Bytes {
        self.sequence += 1;
        let message = Message {
            instance: self.instance,
            sequence: self.sequence,
            report,
        };
        message.encode()
    }
}

/// The checks as far as the limits go. Their configuration has limits of its own, so that none
/// should ever be left out.
fn within_limits(mut checks: Vec<HealthCheck>) -> Vec<HealthCheck> {
    let printable = |id: &str| !id.chars().any(char::is_control);
    checks.retain(|check| {
        let fits = (1..=MAX_ID).contains(&check.id.0.len()) && printable(&check.id.0);
        if !fits {
            tracing::error!(id = ?check.id, "a health check with such an id is not probed");
        }
        fits
    });
    checks.sort_by(|one, other| one.id.cmp(&other.id));
    checks.dedup_by(|one, other| one.id == other.id);
    if checks.len() > MAX_CHECKS {
        let (more, limit) = (checks.len() - MAX_CHECKS, MAX_CHECKS);
        tracing::error!(more, limit, "there are more health checks than are probed");
        checks.truncate(MAX_CHECKS);
    }
    checks
}
