//! `causeway announce`: beside an edge, tells BIRD to announce the site's addresses while it
//! serves, and to withdraw them when it can't. It is the edge's watchdog: a process of its own, so
//! that an edge that is dead or hangs is withdrawn all the same. It carries no flow and routes
//! nothing.

mod beside;
mod bird;
mod decide;
mod prefix;
mod router;
mod settings;
#[cfg(test)]
mod tests;

use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use futures_util::future::join_all;
use runtime::{AliveCheck, SystemEnvironment, Termination};
use types::{Environment, Monotonic, Span};

use crate::cli;
use crate::failure::Failure;
use crate::output;
use beside::Beside;
use decide::{Decider, Drain, Seen, Verdict, Wanted, Why};
use router::Router;
use settings::Plan;

/// How often others are looked at while this site serves.
const OTHERS_EVERY: Span = Span::seconds(1);

/// Announces until it is asked to end. What is announced then stays so.
pub fn announce(options: &cli::Announce) -> Result<(), Failure> {
    let plan = Plan::read(&options.config)?;
    if options.print {
        return output::print(bird::configuration(&plan));
    }
    let ended = runtime::run(0, run(Arc::new(plan)));
    ended.map_err(anyhow::Error::from)?
}

async fn run(plan: Arc<Plan>) -> Result<(), Failure> {
    let mut termination = Termination::listen().context("can't listen for signals")?;
    let environment = Arc::new(SystemEnvironment::new());
    let router = Router::new(&plan, environment.now().monotonic)?;
    let announcer = Announcer::new(plan, environment, router);
    tokio::select! {
        () = announcer.run() => {}
        signal = termination.next() => {
            tracing::info!("{signal}: what is announced stays so");
        }
    }
    Ok(())
}

/// What looks after the site.
struct Announcer {
    plan: Arc<Plan>,
    environment: Arc<SystemEnvironment>,
    /// How many other sites are seen to serve, and since when that is known.
    others: usize,
    looked: Option<Monotonic>,
    decider: Decider,
    router: Router,
    /// What was said last, for people.
    said: Option<(Option<Wanted>, String)>,
    beside: Beside,
}

impl Announcer {
    fn new(plan: Arc<Plan>, environment: Arc<SystemEnvironment>, router: Router) -> Announcer {
        Announcer {
            environment,
            others: 0,
            looked: None,
            decider: Decider::new(plan.rules),
            router,
            said: None,
            beside: Beside::new(plan.edge.clone()),
            plan,
        }
    }

    async fn run(mut self) {
        self.begin().await;
        loop {
            self.turn().await;
            let next = self.environment.now().monotonic + self.plan.interval.into();
            self.environment.sleep_until(next).await;
        }
    }

    /// Finds what an announcer before this one has left.
    async fn begin(&mut self) {
        if router::is_switched_on(&self.plan) {
            self.beside.tell(true).await;
        }
    }

    /// Looks, decides and tells.
    async fn turn(&mut self) {
        let failed = failures(&self.plan.checks, self.plan.wait).await;
        let drain = self.hear_edge().await;
        let must = !failed.is_empty() || drain.is_some();
        self.look_at_others(must).await;
        let now = self.environment.now().monotonic;
        let seen = Seen {
            serving: failed.is_empty(),
            others: self.others,
            drain,
        };
        let verdict = self.decider.step(now, seen);
        self.say(&verdict, &failed);
        match verdict.wanted {
            // It may be drained: what BIRD does is left as it is.
            Some(Wanted::Announced) if self.beside.is_unknown() => {}
            Some(Wanted::Announced) => {
                // First: who drains it meanwhile waits until it is withdrawn again.
                self.beside.tell(true).await;
                self.router.tell(&self.plan, Wanted::Announced, now).await;
            }
            Some(Wanted::Withdrawn) => {
                self.router.tell(&self.plan, Wanted::Withdrawn, now).await;
                if self.router.told() == Some(Wanted::Withdrawn) {
                    self.beside.tell(false).await;
                }
            }
            None => {}
        }
    }

    /// Whether the edge beside is to be given nothing new.
    async fn hear_edge(&mut self) -> Option<Drain> {
        let was_unknown = self.beside.is_unknown();
        let heard = self.beside.hear().await?;
        if was_unknown && heard.drain.is_some() && !heard.announced {
            self.decider.found_drained();
        }
        heard.drain
    }

    /// Counts the other sites that are seen to serve: now, if this one doesn't. What was seen
    /// before it failed may have failed with it, and then nobody must withdraw.
    async fn look_at_others(&mut self, must: bool) {
        let now = self.environment.now().monotonic;
        let is_known = self.looked.is_some_and(|at| now < at + OTHERS_EVERY);
        if is_known && !must {
            return;
        }
        let of = self.plan.others.len();
        let serving = of - failures(&self.plan.others, self.plan.wait).await.len();
        if self.others != serving {
            tracing::info!("{serving} of {of} other sites are seen to serve");
        }
        self.others = serving;
        self.looked = Some(now);
    }

    /// Says what changes, once each time.
    fn say(&mut self, verdict: &Verdict, failed: &[String]) {
        // How long it takes yet is another every time.
        let why = match verdict.why {
            Why::Settles(_) => "it serves again".to_owned(),
            Why::Failing(_) => "it fails".to_owned(),
            other => other.to_string(),
        };
        let said = Some((verdict.wanted, why));
        if self.said == said {
            return;
        }
        self.said = said;
        let what = match verdict.wanted {
            Some(Wanted::Announced) => "announced",
            Some(Wanted::Withdrawn) => "withdrawn",
            None => "as it was before",
        };
        let failed = failed.join("; ");
        tracing::info!(failed, "{what}: {}", verdict.why);
    }
}

/// Makes those checks, all at once; what failed, and why.
async fn failures(checks: &[AliveCheck], wait: Duration) -> Vec<String> {
    let asked = checks.iter().map(|check| async move {
        let answer = check.ask(wait).await;
        answer.err().map(|cause| format!("{check}: {cause}"))
    });
    let asked = join_all(asked).await;
    asked.into_iter().flatten().collect()
}
