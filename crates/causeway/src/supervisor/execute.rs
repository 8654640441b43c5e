//! Carrying out what the control API was asked for.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use runtime::CallError;
use serde_json::{Value, json};
use types::{Environment, SiteName, Span};

use super::Supervisor;
use super::slot::{Slot, State};
use crate::control::{Command, FaultView, SiteReport, StatusReport};
use crate::failure::Failure;
use crate::faults::{Fault, FaultId, Lease};
use crate::protocol::{LinkState, Question, SiteCommand};

/// How long a site may take to say how it is. One that is busier counts as silent.
const STATUS_WAIT: Duration = Duration::from_secs(2);

/// How long a site may take to look something up in its data.
const QUESTION_WAIT: Duration = Duration::from_secs(30);

/// The longest lease: a day. Whoever wants more injects again.
const LONGEST_LEASE: Duration = Duration::from_secs(86_400);

impl Supervisor {
    /// Carries out a command.
    pub async fn execute(self: &Arc<Self>, command: Command) -> Result<Value, Failure> {
        match command {
            Command::Status => Ok(to_json(&self.status().await)),
            Command::Operations => self.operations().await,
            Command::Down => {
                self.down.notify_one();
                Ok(Value::Null)
            }
            Command::Lag => Ok(self.lag().await),
            Command::Conflicts { table, limit } => Ok(self.conflicts(table, limit).await),
            Command::Conflict { id } => self.find(&id, Question::Conflict { id: id.clone() }).await,
            Command::Restore { id } => self.find(&id, Question::Restore { id: id.clone() }).await,
            Command::Verify => self.verify().await,
            Command::Inject {
                fault,
                milliseconds,
            } => self.inject(fault, milliseconds).await,
            Command::Start { site } => self.start_again(site).await,
            Command::Resume { site } => self.resume(site).await,
            Command::Faults => Ok(to_json(&self.fault_views())),
            Command::Heal { id } => self.heal(id).await,
            Command::Rotate => Ok(json!({ "sites": self.rotate().await })),
        }
    }

    // === Faults ===

    async fn inject(self: &Arc<Self>, fault: Fault, milliseconds: u64) -> Result<Value, Failure> {
        let sites = fault.sites();
        for site in &sites {
            self.slot(*site)?;
        }
        if let [one, other] = sites[..]
            && one == other
        {
            return Err(Failure::wrong_use(format!(
                "{one} has no link with itself: name two sites"
            )));
        }
        let longest = LONGEST_LEASE.as_millis() as u64;
        if !(1..=longest).contains(&milliseconds) {
            return Err(Failure::wrong_use(
                "a lease lasts from a millisecond to a day",
            ));
        }
        let now = self.environment.now().monotonic;
        let lasting = Span::milliseconds(milliseconds);
        let lease = self.faults().inject(now, fault, lasting);
        let lease = lease.map_err(Failure::wrong_use)?;
        self.leased.notify_one();
        self.reconcile_sites(&sites).await?;
        Ok(to_json(&self.view(&lease)))
    }

    async fn heal(self: &Arc<Self>, id: Option<FaultId>) -> Result<Value, Failure> {
        let ended = match id {
            None => self.faults().heal_all(),
            Some(id) => {
                let lease = self.faults().heal(id).ok_or_else(|| {
                    Failure::wrong_use(format!(
                        "there is no fault {}; `causeway fault list` shows those in force",
                        id.0
                    ))
                })?;
                vec![lease]
            }
        };
        self.ended(&ended).await
    }

    async fn start_again(self: &Arc<Self>, site: SiteName) -> Result<Value, Failure> {
        let slot = Arc::clone(self.slot(site)?);
        let ended = self.faults().end_kills(site);
        if matches!(slot.state(), State::Running(_) | State::Starting(_)) {
            return Err(Failure::wrong_use(format!("{site} is running")));
        }
        slot.revive(self).await?;
        self.leased.notify_one();
        Ok(json!(self.views(&ended)))
    }

    async fn resume(self: &Arc<Self>, site: SiteName) -> Result<Value, Failure> {
        self.slot(site)?;
        let ended = self.faults().end_pauses(site);
        if ended.is_empty() {
            return Err(Failure::wrong_use(format!("{site} is not paused")));
        }
        self.ended(&ended).await
    }

    /// Those faults are over: the sites they held are brought back.
    async fn ended(self: &Arc<Self>, leases: &[Lease]) -> Result<Value, Failure> {
        self.leased.notify_one();
        let sites = leases.iter().flat_map(|lease| lease.fault.sites());
        let sites: std::collections::BTreeSet<SiteName> = sites.collect();
        let sites: Vec<SiteName> = sites.into_iter().collect();
        self.reconcile_sites(&sites).await?;
        Ok(json!(self.views(leases)))
    }

    async fn reconcile_sites(self: &Arc<Self>, sites: &[SiteName]) -> Result<(), Failure> {
        let slots = sites.iter().filter_map(|site| self.slots.get(site));
        let done = join_all(slots.map(|slot| slot.reconcile(self))).await;
        done.into_iter().collect()
    }

    fn fault_views(&self) -> Vec<FaultView> {
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

    // === Questions ===

    async fn status(&self) -> StatusReport {
        let now = self.environment.now().monotonic;
        let asked = join_all(self.slots.values().map(|slot| self.report(slot))).await;
        let (mut sites, links): (Vec<SiteReport>, Vec<Vec<LinkState>>) = asked.into_iter().unzip();
        sites.sort_by_key(|site| site.id);
        StatusReport {
            data: self.lab.directory.display().to_string(),
            endpoint: format!("http://{}", self.lab.front_door()),
            delay_scale: self.lab.settings.delay_scale,
            running_milliseconds: (now - self.begun).0 / 1000,
            sites,
            links: links.into_iter().flatten().collect(),
            faults: self.fault_views(),
        }
    }

    async fn report(&self, slot: &Slot) -> (SiteReport, Vec<LinkState>) {
        let name = slot.site.name;
        let mut report = SiteReport {
            site: name,
            id: slot.site.id.0,
            state: "running".to_owned(),
            reason: None,
            process: None,
            api: name.region().map(|_| self.lab.api_address(slot.site.id)),
            running_milliseconds: None,
            memory_bytes: None,
            certificate: None,
            clock_offset_milliseconds: self.faults().clock_offset(name),
            detail: Value::Null,
        };
        let state = slot.state();
        let running = match state {
            State::Running(running) => running,
            other => {
                (report.state, report.reason) = describe(&other);
                return (report, Vec::new());
            }
        };
        let now = self.environment.now().monotonic;
        report.process = Some(running.child.id());
        report.running_milliseconds = Some((now - running.since).0 / 1000);
        report.memory_bytes = proportional_set_size(running.child.id());
        report.certificate = Some(running.certificate.clone());
        let not_renewed = running.not_renewed.as_ref();
        report.reason = not_renewed.map(|why| format!("it has no new certificate: {why}"));
        if running.paused {
            report.state = "paused".to_owned();
            return (report, Vec::new());
        }
        let question = Question::Status;
        let detail = slot.call(&SiteCommand::Ask { question }, STATUS_WAIT).await;
        match detail {
            Ok(detail) => report.detail = detail,
            Err(cause) => report.reason = Some(cause.to_string()),
        }
        let links = slot.call(&SiteCommand::Links, STATUS_WAIT).await;
        let links = links
            .ok()
            .and_then(|links| serde_json::from_value(links).ok());
        (report, links.unwrap_or_default())
    }

    /// How late each Region's changes are in each other: what waits, as their origin knows it,
    /// and how long they took, as measured where they arrive.
    async fn lag(&self) -> Value {
        let (answers, silent) = self.heard(&Question::Lag).await;
        let rows = |name: &str| -> Vec<Value> {
            let lists = answers
                .iter()
                .filter_map(|(_, answer)| answer[name].as_array());
            lists.flatten().cloned().collect()
        };
        let mut lag = rows("lag");
        for latency in rows("latencies") {
            let same =
                |row: &&mut Value| row["from"] == latency["from"] && row["to"] == latency["to"];
            match (lag.iter_mut().find(same), latency) {
                (Some(Value::Object(row)), Value::Object(latency)) => row.extend(latency),
                (_, latency) => lag.push(latency),
            }
        }
        json!({ "lag": lag, "silent": silent })
    }

    /// The ledgers of all Regions as one, the latest first. A conflict that several Regions have
    /// found is one row.
    async fn conflicts(&self, table: Option<String>, limit: u32) -> Value {
        let (answers, silent) = self.heard(&Question::Conflicts { table, limit }).await;
        let mut rows: Vec<Value> = Vec::new();
        let lists = answers.into_iter().filter_map(|(_, answer)| match answer {
            Value::Array(rows) => Some(rows),
            _ => None,
        });
        for mut row in lists.flatten() {
            let found_in = row["detectedIn"].clone();
            match rows.iter_mut().find(|seen| seen["id"] == row["id"]) {
                Some(seen) => {
                    if let Some(regions) = seen["regions"].as_array_mut() {
                        regions.push(found_in);
                    }
                }
                None => {
                    row["regions"] = json!([found_in]);
                    rows.push(row);
                }
            }
        }
        rows.sort_by_key(|row| std::cmp::Reverse(row["detectedAt"].as_u64()));
        rows.truncate(limit as usize);
        json!({ "conflicts": rows, "silent": silent })
    }

    /// The answers of the Regions that answered, and who didn't, and why.
    async fn heard(&self, question: &Question) -> (Vec<(SiteName, Value)>, Vec<Value>) {
        let (mut heard, mut silent) = (Vec::new(), Vec::new());
        for (region, answer) in self.ask_regions(question, QUESTION_WAIT).await {
            match answer {
                Ok(answer) => heard.push((region, answer)),
                Err(cause) => silent.push(json!({ "region": region, "reason": cause.to_string() })),
            }
        }
        (heard, silent)
    }

    /// The first Region's answer that isn't null, with the Region's name as `region`. One after
    /// the other: a restore is to happen once.
    async fn find(&self, id: &str, question: Question) -> Result<Value, Failure> {
        let is_restore = matches!(question, Question::Restore { .. });
        let mut silent = Vec::new();
        let mut failed = None;
        let sites = self.lab.settings.sites.iter();
        for site in sites.filter(|site| site.name.region().is_some()) {
            let question = question.clone();
            let command = SiteCommand::Ask { question };
            match self.slots[&site.name].call(&command, QUESTION_WAIT).await {
                Ok(Value::Null) => {}
                Ok(mut found) => {
                    if let Value::Object(row) = &mut found {
                        row.insert("region".to_owned(), json!(site.name));
                    }
                    return Ok(found);
                }
                Err(CallError::Failed(why)) => failed = Some(why),
                // Whether it has carried it out is unknown: nobody else may do it as well.
                Err(CallError::TimedOut(_)) if is_restore => {
                    let name = site.name;
                    return Err(Failure::did_not_hold(format!(
                        "{name} did not answer in time; look whether it has restored {id}"
                    )));
                }
                Err(cause) => silent.push(format!("{} ({cause})", site.name)),
            }
        }
        if let Some(why) = failed {
            return Err(Failure::did_not_hold(why));
        }
        let mut message =
            format!("no Region has a conflict {id}; `causeway conflicts list` shows them");
        if !silent.is_empty() {
            message = format!("{message}. Not asked: {}", silent.join(", "));
        }
        Err(Failure::did_not_hold(message))
    }

    async fn operations(&self) -> Result<Value, Failure> {
        let answers = self.ask_regions(&Question::Operations, QUESTION_WAIT).await;
        let answered = answers.into_iter().find_map(|(_, answer)| answer.ok());
        answered.ok_or_else(|| Failure::did_not_hold("no Region answered"))
    }

    /// Asks all Regions at once; answers in the order of their numbers.
    pub(super) async fn ask_regions(
        &self,
        question: &Question,
        wait: Duration,
    ) -> Vec<(SiteName, Result<Value, CallError>)> {
        let sites = self.lab.settings.sites.iter();
        let regions = sites.filter(|site| site.name.region().is_some());
        let asked = regions.map(|site| async move {
            let question = question.clone();
            let command = SiteCommand::Ask { question };
            let answer = self.slots[&site.name].call(&command, wait).await;
            (site.name, answer)
        });
        join_all(asked).await
    }
}

fn describe(state: &State) -> (String, Option<String>) {
    match state {
        State::Idle => ("stopped".to_owned(), None),
        State::Starting(_) => ("starting".to_owned(), None),
        State::Running(_) => ("running".to_owned(), None),
        State::Killed => ("killed".to_owned(), None),
        State::Crashed(exit) => ("crashed".to_owned(), Some(exit.to_string())),
    }
}

/// The process's proportional set size in bytes (proc_pid_smaps_rollup(5)).
fn proportional_set_size(process: i32) -> Option<u64> {
    let text = std::fs::read_to_string(format!("/proc/{process}/smaps_rollup")).ok()?;
    let line = text.lines().find(|line| line.starts_with("Pss:"))?;
    let kibibytes: u64 = line.split_whitespace().nth(1)?.parse().ok()?;
    Some(kibibytes * 1024)
}

fn to_json(value: &impl serde::Serialize) -> Value {
    serde_json::to_value(value).expect("plain values have a JSON form")
}
