//! Carrying out `causeway fault`: what may be done to a site, or to a part of a Region, in which
//! condition, and doing it. What the faults in force amount to is `faults`'; bringing a site and
//! what runs in it there is its slot's.

use std::collections::BTreeSet;
use std::sync::Arc;

use futures_util::future::join_all;
use serde_json::{Value, json};
use types::{Environment, FaultTarget, SiteName, Span};

use super::Supervisor;
use super::execute::to_json;
use super::slot::State;
use crate::control::FaultView;
use crate::failure::Failure;
use crate::faults::{Fault, FaultId, FaultTable, LONGEST_LEASE, Lease};

/// What is done to processes.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Deed {
    Kill,
    Start,
    Pause,
    Resume,
}

/// How a site or a part of one is, faults that are just taking hold included.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
enum Condition {
    Running,
    Paused,
    Killed,
    Crashed,
    Starting,
    /// Before its first start, or stopping with the lab.
    Stopped,
    /// It ended in order, as a signal asked it to.
    Left,
}

impl Supervisor {
    /// Breaks something for so many milliseconds.
    pub(super) async fn inject(
        self: &Arc<Self>,
        fault: Fault,
        milliseconds: u64,
    ) -> Result<Value, Failure> {
        let sites = fault.sites();
        for site in &sites {
            self.slot(*site)?;
        }
        if let [one, other] = sites[..]
            && one == other
        {
            let failure = Failure::wrong_use(format!("{one} has no link with itself"));
            return Err(failure.then("name two sites"));
        }
        let longest = LONGEST_LEASE.as_millis() as u64;
        if !(1..=longest).contains(&milliseconds) {
            return Err(Failure::wrong_use(
                "a lease lasts from a millisecond to a day",
            ));
        }
        let lease = self.lease(fault, Span::milliseconds(milliseconds))?;
        self.leased.notify_one();
        let id = lease.id.0;
        self.reconcile_sites(&sites).await.map_err(|failure| {
            failure.then(format!(
                "the fault is in force all the same, `causeway fault heal {id}` ends it"
            ))
        })?;
        self.took_hold(&lease)?;
        let mut view = to_json(&self.view(&lease));
        if let Some(note) = self.note(&lease) {
            view["note"] = json!(note);
        }
        Ok(view)
    }

    /// Puts the fault among those in force, if what it strikes is in a condition for it.
    fn lease(&self, fault: Fault, lasting: Span) -> Result<Lease, Failure> {
        let deed = match fault {
            Fault::Kill { target } => Some((Deed::Kill, target)),
            Fault::Pause { target } => Some((Deed::Pause, target)),
            _ => None,
        };
        if let Some((deed, target)) = deed {
            self.refuse_part(deed, target)?;
        }
        let now = self.environment.now().monotonic;
        // Looked at and injected under one lock: of two equal commands one is refused.
        let mut faults = self.faults();
        if let Some((deed, target)) = deed {
            refuse(deed, self.condition_of(&faults, target)?, target)?;
        }
        let lease = faults.inject(now, fault, lasting);
        let lease = lease.map_err(Failure::wrong_use)?;
        if let Fault::Kill { target } = fault {
            // What stood still is gone; what starts in its place doesn't stand still.
            faults.end_pauses_within(target);
        }
        Ok(lease)
    }

    /// Refuses what can't be done to a part of a Region whatever its condition.
    fn refuse_part(&self, deed: Deed, target: FaultTarget) -> Result<(), Failure> {
        if let FaultTarget::Zone(zone) = target
            && deed == Deed::Pause
        {
            let failure = format!("{zone} can't be paused: one process of the Region serves all");
            let next = format!("`causeway fault pause {target}/app` pauses the application there");
            return Err(Failure::wrong_use(failure).then(next));
        }
        if !target.is_app() {
            return Ok(());
        }
        let Some(app) = &self.app else {
            let failure = Failure::wrong_use("this lab runs no application");
            return Err(failure.then("start it with `causeway up --app COMMAND`"));
        };
        match target.zone() {
            Some(zone) if !app.zones.contains(&zone.letter) => {
                let failure = format!("no instance of the application is in {zone}");
                let next = "`causeway up --app-zones ZONES` says which zones have one";
                Err(Failure::wrong_use(failure).then(next))
            }
            _ => Ok(()),
        }
    }

    /// How it is: a site by its process and the faults, a part by the faults alone.
    fn condition_of(&self, faults: &FaultTable, of: FaultTarget) -> Result<Condition, Failure> {
        let state = self.slot(of.site())?.state();
        let (killed, paused) = (faults.is_killed(of), faults.is_paused(of));
        Ok(match of {
            FaultTarget::Site(_) => condition(&state, killed, paused),
            _ if killed => Condition::Killed,
            _ if paused => Condition::Paused,
            _ => Condition::Running,
        })
    }

    /// A kill or pause whose site ended by itself just then is taken back.
    fn took_hold(&self, lease: &Lease) -> Result<(), Failure> {
        let (Fault::Kill { target } | Fault::Pause { target }) = lease.fault else {
            return Ok(());
        };
        let FaultTarget::Site(site) = target else {
            return Ok(());
        };
        let state = self.slot(site)?.state();
        let condition = match state {
            State::Crashed(_) => Condition::Crashed,
            State::Left => Condition::Left,
            _ => return Ok(()),
        };
        self.faults().heal(lease.id);
        refuse(Deed::Resume, condition, target)
    }

    /// What a caller should know of a fault that holds only later.
    fn note(&self, lease: &Lease) -> Option<String> {
        let is_of_a_process = match lease.fault {
            Fault::Kill { target } | Fault::Pause { target } => {
                matches!(target, FaultTarget::Site(_))
            }
            _ => false,
        };
        let sites = lease.fault.sites().into_iter();
        let waiting: Vec<String> = sites
            .filter(|site| self.slots.get(site).is_some_and(|slot| !slot.is_serving()))
            .map(|site| site.to_string())
            .collect();
        (!is_of_a_process && !waiting.is_empty()).then(|| {
            format!(
                "{} does not run now: it holds there later",
                waiting.join(", ")
            )
        })
    }

    /// Ends one fault, or all.
    pub(super) async fn heal(self: &Arc<Self>, id: Option<FaultId>) -> Result<Value, Failure> {
        let ended = match id {
            None => self.faults().heal_all(),
            Some(id) => vec![self.heal_one(id)?],
        };
        self.ended(&ended).await
    }

    fn heal_one(&self, id: FaultId) -> Result<Lease, Failure> {
        let mut faults = self.faults();
        faults.heal(id).ok_or_else(|| {
            let message = match faults.has_been(id) {
                true => format!("fault {} has ended already", id.0),
                false => format!("there is no fault {}", id.0),
            };
            Failure::wrong_use(message).then("`causeway fault list` shows those in force")
        })
    }

    /// Starts what was killed; a site also if it has crashed.
    pub(super) async fn start_again(
        self: &Arc<Self>,
        target: FaultTarget,
    ) -> Result<Value, Failure> {
        let slot = Arc::clone(self.slot(target.site())?);
        let ended = {
            let mut faults = self.faults();
            refuse(Deed::Start, self.condition_of(&faults, target)?, target)?;
            let mut ended = faults.end_kills(target);
            // Of a process that crashed while it stood still.
            ended.extend(faults.end_pauses(target));
            ended
        };
        if !matches!(target, FaultTarget::Site(_)) {
            return self.ended(&ended).await;
        }
        self.leased.notify_one();
        slot.revive(self).await?;
        Ok(json!(self.views(&ended)))
    }

    /// Lets go on what is paused.
    pub(super) async fn resume(self: &Arc<Self>, target: FaultTarget) -> Result<Value, Failure> {
        let ended = {
            let mut faults = self.faults();
            refuse(Deed::Resume, self.condition_of(&faults, target)?, target)?;
            faults.end_pauses(target)
        };
        self.ended(&ended).await
    }

    /// Those faults are over: the sites they held are brought back.
    async fn ended(self: &Arc<Self>, leases: &[Lease]) -> Result<Value, Failure> {
        self.leased.notify_one();
        let sites = leases.iter().flat_map(|lease| lease.fault.sites());
        let sites: BTreeSet<SiteName> = sites.collect();
        let sites: Vec<SiteName> = sites.into_iter().collect();
        self.reconcile_sites(&sites).await?;
        Ok(json!(self.views(leases)))
    }

    async fn reconcile_sites(self: &Arc<Self>, sites: &[SiteName]) -> Result<(), Failure> {
        let slots = sites.iter().filter_map(|site| self.slots.get(site));
        let done = join_all(slots.map(|slot| slot.reconcile(self))).await;
        let done: Result<(), Failure> = done.into_iter().collect();
        if done.is_err() {
            // Whoever asked is told; what is in force, or over, comes to the sites all the same.
            runtime::spawn(Arc::clone(self).settle());
        }
        done
    }

    /// The faults in force, the oldest first.
    pub(super) fn fault_views(&self) -> Vec<FaultView> {
        let leases: Vec<Lease> = self.faults().leases().copied().collect();
        self.views(&leases)
    }

    fn views(&self, leases: &[Lease]) -> Vec<FaultView> {
        leases.iter().map(|lease| self.view(lease)).collect()
    }

    fn view(&self, lease: &Lease) -> FaultView {
        let remaining = lease.ends - self.environment.now().monotonic;
        FaultView {
            id: lease.id,
            fault: lease.fault,
            remaining_milliseconds: remaining.0 / 1000,
        }
    }
}

fn condition(state: &State, is_killed: bool, is_paused: bool) -> Condition {
    match state {
        State::Idle => Condition::Stopped,
        State::Crashed(_) => Condition::Crashed,
        State::Left => Condition::Left,
        State::Killed => Condition::Killed,
        State::Starting(_) | State::Running(_) if is_killed => Condition::Killed,
        State::Running(running) if running.paused || is_paused => Condition::Paused,
        State::Starting(_) if is_paused => Condition::Paused,
        State::Running(_) => Condition::Running,
        State::Starting(_) => Condition::Starting,
    }
}

/// What may be done to it in which condition, and what is said where it may not.
fn refuse(deed: Deed, condition: Condition, target: FaultTarget) -> Result<(), Failure> {
    use Condition::{Crashed, Killed, Left, Paused, Running, Starting, Stopped};
    use Deed::{Kill, Pause, Resume, Start};
    let start = format!("`causeway fault start {target}` starts it");
    let resume = format!("`causeway fault resume {target}` lets it go on");
    let is_site = matches!(target, FaultTarget::Site(_));
    let (words, next) = match (deed, condition) {
        (Kill, Running | Paused | Starting)
        | (Start, Killed | Crashed | Left)
        | (Pause, Running | Starting)
        | (Resume, Paused) => return Ok(()),
        (Kill, Killed) => ("is killed already", Some(start)),
        (Pause, Killed) => ("is killed and can't be paused", Some(start)),
        (Resume, Killed) => ("is killed, not paused", Some(start)),
        (_, Crashed) => ("has crashed and is down", Some(start)),
        (_, Left) => ("has ended and is down", Some(start)),
        (Start, Paused) => ("is paused, not down", Some(resume)),
        (Pause, Paused) => ("is paused already", Some(resume)),
        (Start, Running) if !is_site => ("is not killed", None),
        (Start, Running) => ("is running", None),
        (Start, Starting) => ("is starting already", None),
        (Resume, Running | Starting) => ("is not paused", None),
        (_, Stopped) => ("stops with its lab", None),
    };
    let failure = Failure::wrong_use(format!("{target} {words}"));
    Err(match next {
        Some(next) => failure.then(next),
        None => failure,
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::failure::ExitCode;

    #[test]
    fn what_may_be_done_to_a_site_in_which_condition() {
        use Condition::{Crashed, Killed, Left, Paused, Running, Starting, Stopped};
        let conditions = [Running, Paused, Killed, Crashed, Left, Starting, Stopped];
        let allowed = [
            (Deed::Kill, &[Running, Paused, Starting][..]),
            (Deed::Start, &[Killed, Crashed, Left]),
            (Deed::Pause, &[Running, Starting]),
            (Deed::Resume, &[Paused]),
        ];
        let site: FaultTarget = "eu-west-1".parse().unwrap();
        for (deed, allowed) in allowed {
            for condition in conditions {
                let refused = refuse(deed, condition, site);
                assert_eq!(
                    refused.is_ok(),
                    allowed.contains(&condition),
                    "{deed:?} {condition:?}"
                );
                let Err(failure) = refused else { continue };
                assert_eq!(failure.code, ExitCode::WrongUse);
                assert!(failure.message.starts_with("eu-west-1 "), "{failure}");
                // Whoever is down is told how to get it up.
                if matches!(condition, Crashed | Killed | Left) {
                    assert!(
                        failure.to_string().contains("fault start eu-west-1"),
                        "{failure}"
                    );
                }
            }
        }
    }
}
