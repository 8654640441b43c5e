//! This site's own checker: which endpoint to probe when, and the verdicts that come of it. Each
//! check is probed by itself, from the end of one probe to the start of the next; a verdict
//! changes when as many probes in a row as the check's threshold differ from it. A checker that
//! can't look has no verdict: it must neither take an endpoint down nor keep one up. It probes
//! nothing itself, and knows no other site.

use std::collections::{BTreeMap, BTreeSet};
use std::net::{IpAddr, Ipv4Addr};

use types::{
    HealthCheck, HealthCheckId, Monotonic, Now, ProbeOrder, ProbeOutcome, ProbeTimeouts, Span,
};

use crate::limits::{FIRST_PROBE_SPREAD, LOST_AFTER, MAX_CONCURRENT_PROBES, MAX_THRESHOLD};
use crate::random::Random;
use crate::{Endpoint, Observation, Settings, TargetPolicy, Verdict, endpoint, fingerprint, order};

/// A probe that is under way; never given twice by one checker.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Debug)]
pub struct Ticket(pub u64);

/// What the site is asked to do for a probe.
#[derive(Clone, PartialEq, Eq, Debug)]
pub enum ProbeRequest {
    /// Make this probe, then step with [`Input::Probed`](crate::Input).
    Probe(Ticket, ProbeOrder),
    /// Find the IPv4 addresses of that name, then step with [`Input::Resolved`](crate::Input).
    Resolve(Ticket, String),
}

/// This site's probes and verdicts.
#[derive(Debug)]
pub(crate) struct Checker {
    settings: Settings,
    policy: TargetPolicy,
    random: Random,
    watches: BTreeMap<HealthCheckId, Watch>,
    due: BTreeSet<(Monotonic, HealthCheckId)>,
    /// Probes under way, and when each is given up; of checks that are gone too, until they end.
    tickets: BTreeMap<Ticket, (HealthCheckId, Monotonic)>,
    deadlines: BTreeSet<(Monotonic, Ticket)>,
    next_ticket: u64,
    /// Checks of which there is news, and whether other sites are to hear it at once.
    news: BTreeMap<HealthCheckId, bool>,
}

/// One check that is probed.
#[derive(Debug)]
struct Watch {
    check: HealthCheck,
    stage: Stage,
    verdict: Verdict,
    /// What the last probe found, and how many in a row have found so.
    run: (Option<bool>, u8),
}

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Stage {
    Due(Monotonic),
    Under(Ticket, Monotonic),
}

impl Checker {
    /// A checker without checks. The seed spreads its first probes.
    pub(crate) fn new(settings: Settings, policy: TargetPolicy, seed: u64) -> Checker {
        Checker {
            settings,
            policy,
            random: Random(seed),
            watches: BTreeMap::new(),
            due: BTreeSet::new(),
            tickets: BTreeMap::new(),
            deadlines: BTreeSet::new(),
            next_ticket: 0,
            news: BTreeMap::new(),
        }
    }

    /// These checks are configured from now on, all of them: what isn't named is gone. Verdicts
    /// on endpoints that stay the same stay. Disabled checks aren't probed.
    pub(crate) fn configure(&mut self, now: Now, checks: &[HealthCheck]) {
        let probed = checks.iter().filter(|check| !check.disabled);
        let wanted: BTreeMap<&HealthCheckId, &HealthCheck> =
            probed.map(|check| (&check.id, check)).collect();
        let gone: Vec<HealthCheckId> = self
            .watches
            .keys()
            .filter(|id| !wanted.contains_key(id))
            .cloned()
            .collect();
        for id in gone {
            self.forget(&id);
        }
        for (id, check) in wanted {
            match self.watches.get_mut(id) {
                Some(watch) if watch.check == *check => {}
                Some(watch) if watch.verdict.fingerprint == fingerprint(check) => {
                    watch.check = check.clone();
                }
                _ => {
                    self.forget(id);
                    self.watch(now, check);
                }
            }
        }
    }

    fn watch(&mut self, now: Now, check: &HealthCheck) {
        let spread = self.settings.interval(check).min(FIRST_PROBE_SPREAD);
        let at = now.monotonic + self.random.below(spread);
        let verdict = Verdict {
            fingerprint: fingerprint(check),
            healthy: None,
            since: now.wall,
            last: None,
            failure: None,
        };
        let watch = Watch {
            check: check.clone(),
            stage: Stage::Due(at),
            verdict,
            run: (None, 0),
        };
        self.due.insert((at, check.id.clone()));
        self.watches.insert(check.id.clone(), watch);
        self.news.insert(check.id.clone(), true);
    }

    /// A probe of it that is under way goes on, and its result is for nobody.
    fn forget(&mut self, id: &HealthCheckId) {
        if let Some(watch) = self.watches.remove(id) {
            if let Stage::Due(at) = watch.stage {
                self.due.remove(&(at, id.clone()));
            }
            self.news.insert(id.clone(), true);
        }
    }

    /// What is to be probed now; no more than [`MAX_CONCURRENT_PROBES`] are under way at once,
    /// and what has waited longest goes first.
    pub(crate) fn poll(&mut self, now: Now) -> Vec<ProbeRequest> {
        self.give_up(now);
        let mut requests = Vec::new();
        while self.tickets.len() < MAX_CONCURRENT_PROBES
            && self.due.first().is_some_and(|(at, _)| *at <= now.monotonic)
        {
            let Some((_, id)) = self.due.pop_first() else {
                break;
            };
            requests.extend(self.begin(now, &id));
        }
        requests
    }

    fn begin(&mut self, now: Now, id: &HealthCheckId) -> Option<ProbeRequest> {
        let ticket = Ticket(self.next_ticket);
        self.next_ticket += 1;
        let settings = self.settings;
        let watch = self
            .watches
            .get_mut(id)
            .expect("only watched checks are due");
        watch.stage = Stage::Under(ticket, now.monotonic);
        let timeouts = settings.timeouts(&watch.check);
        let request = match endpoint(&watch.check) {
            Some(Endpoint::Address(endpoint)) if self.policy.contains(endpoint.ip()) => {
                let order = order(&watch.check, endpoint.ip(), settings);
                Ok(ProbeRequest::Probe(ticket, order))
            }
            Some(Endpoint::Address(_)) => Err(ProbeOutcome::Forbidden),
            Some(Endpoint::Name(name)) => {
                let name = name.to_owned();
                Ok(ProbeRequest::Resolve(ticket, name))
            }
            None => Err(ProbeOutcome::Unresolved),
        };
        match request {
            Ok(request) => {
                let lost = now.monotonic + longest(timeouts) + LOST_AFTER;
                self.tickets.insert(ticket, (id.clone(), lost));
                self.deadlines.insert((lost, ticket));
                Some(request)
            }
            Err(outcome) => {
                self.judge(now, id, &outcome);
                None
            }
        }
    }

    /// The name of that probe's endpoint has these addresses now. The first that is allowed is
    /// to be probed.
    pub(crate) fn resolved(
        &mut self,
        now: Now,
        ticket: Ticket,
        addresses: &[Ipv4Addr],
    ) -> Option<ProbeRequest> {
        let (id, _) = self.tickets.get(&ticket)?.clone();
        let watch = self.watches.get(&id);
        let Some(watch) = watch.filter(|watch| watch.stage.ticket() == Some(ticket)) else {
            self.release(ticket);
            return None;
        };
        let allowed = addresses
            .iter()
            .map(|address| IpAddr::V4(*address))
            .find(|address| self.policy.contains(*address));
        let outcome = match allowed {
            Some(address) => {
                let order = order(&watch.check, address, self.settings);
                return Some(ProbeRequest::Probe(ticket, order));
            }
            None if addresses.is_empty() => ProbeOutcome::Unresolved,
            None => ProbeOutcome::Forbidden,
        };
        self.finished(now, ticket, &outcome);
        None
    }

    /// The outcome of a probe. One whose check is gone or was changed meanwhile is for nobody.
    pub(crate) fn finished(&mut self, now: Now, ticket: Ticket, outcome: &ProbeOutcome) {
        let Some(id) = self.release(ticket) else {
            return;
        };
        let watch = self.watches.get(&id);
        if watch.is_some_and(|watch| watch.stage.ticket() == Some(ticket)) {
            self.judge(now, &id, outcome);
        }
    }

    fn release(&mut self, ticket: Ticket) -> Option<HealthCheckId> {
        let (id, lost) = self.tickets.remove(&ticket)?;
        self.deadlines.remove(&(lost, ticket));
        Some(id)
    }

    /// Probes of which nothing was heard in time have found nothing.
    fn give_up(&mut self, now: Now) {
        while let Some((_, ticket)) = self.deadlines.first().copied()
            && self
                .deadlines
                .first()
                .is_some_and(|(at, _)| *at <= now.monotonic)
        {
            tracing::warn!(ticket = ticket.0, "nothing was heard of a probe");
            self.finished(now, ticket, &ProbeOutcome::Lost);
        }
    }

    fn judge(&mut self, now: Now, id: &HealthCheckId, outcome: &ProbeOutcome) {
        let interval = |check: &HealthCheck| self.settings.interval(check);
        let Some(watch) = self.watches.get_mut(id) else {
            return;
        };
        let began = match watch.stage {
            Stage::Under(_, began) => began,
            Stage::Due(at) => at,
        };
        // The interval runs from the response. Without one it runs from the start of the probe:
        // an endpoint that hangs is no reason to look at it less often.
        let next = match outcome.answered() {
            true => now.monotonic + interval(&watch.check),
            false => now.monotonic.max(began + interval(&watch.check)),
        };
        watch.stage = Stage::Due(next);
        self.due.insert((next, id.clone()));
        let urgent = watch.observe(now, outcome);
        *self.news.entry(id.clone()).or_insert(false) |= urgent;
    }

    /// The checks that were probed, or whose verdicts have changed, begun or ended, since this
    /// was last asked; with each, whether its verdict did.
    pub(crate) fn take_news(&mut self) -> BTreeMap<HealthCheckId, bool> {
        std::mem::take(&mut self.news)
    }

    /// The verdict on that check, if it is probed.
    pub(crate) fn verdict(&self, id: &HealthCheckId) -> Option<&Verdict> {
        self.watches.get(id).map(|watch| &watch.verdict)
    }

    /// All verdicts, in the order of the checks' ids.
    pub(crate) fn verdicts(&self) -> impl Iterator<Item = (&HealthCheckId, &Verdict)> {
        self.watches.iter().map(|(id, watch)| (id, &watch.verdict))
    }

    /// When [`Checker::poll`] has something to do by itself.
    pub(crate) fn wake(&self) -> Option<Monotonic> {
        let room = self.tickets.len() < MAX_CONCURRENT_PROBES;
        let due = self.due.first().filter(|_| room).map(|(at, _)| *at);
        let lost = self.deadlines.first().map(|(at, _)| *at);
        due.into_iter().chain(lost).min()
    }
}

impl Stage {
    fn ticket(self) -> Option<Ticket> {
        match self {
            Stage::Under(ticket, _) => Some(ticket),
            Stage::Due(_) => None,
        }
    }
}

impl Watch {
    /// Takes note of a probe. Whether the verdict is another now.
    fn observe(&mut self, now: Now, outcome: &ProbeOutcome) -> bool {
        let observation = Observation {
            status: outcome.status(),
            checked: now.wall,
        };
        if !outcome.passed() {
            self.verdict.failure = Some(observation.clone());
        }
        self.verdict.last = Some(observation);
        let finding = outcome.finding();
        let count = match self.run {
            (same, count) if same == finding => count.saturating_add(1),
            _ => 1,
        };
        self.run = (finding, count);
        let threshold = self.check.threshold.clamp(1, MAX_THRESHOLD);
        let changes = self.verdict.healthy != finding && count >= threshold;
        if changes {
            self.verdict.healthy = finding;
            self.verdict.since = now.wall;
        }
        changes
    }
}

/// How long a probe with these time-outs takes at most. A retry of the TLS handshake connects
/// again within the time for the response; the name is resolved within the time to connect.
fn longest(timeouts: ProbeTimeouts) -> Span {
    Span(2 * timeouts.connect.0 + timeouts.response.0 + timeouts.body.0)
}
