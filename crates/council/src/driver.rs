//! Runs a council over an engine: ticks it, persists what it wants persisted, hands its messages
//! out, and answers whoever proposes. Asynchronous but of no runtime: it waits through
//! `types::Environment` and runs the same under virtual time. It opens no connection; what is to
//! be sent goes to a closure, what was received comes by `receive`.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use bytes::Bytes;
use event_listener::Event;
use futures_util::future::select;
use futures_util::pin_mut;
use store::{CommitError, Engine};
use types::{ConfigurationEdit, Environment, Monotonic, SiteId, Span};

use crate::limits::{MAX_INBOX, MAX_INBOX_SIZE};
use crate::places::Places;
use crate::timing::TICK;
use crate::{
    Change, Council, CouncilConfig, CouncilError, CouncilStatus, Edit, Outcome, ProposalId, Ready,
    Refusal, Settings, load,
};

/// A council and what keeps it going. Share it in an `Arc`.
pub struct CouncilDriver<E: Engine> {
    engine: E,
    environment: Arc<dyn Environment>,
    inner: Mutex<Inner>,
    /// There is input.
    woken: Event,
    /// The settings changed.
    changed: Event,
    proposal_span: Span,
}

struct Inner {
    council: Council,
    inbox: VecDeque<(SiteId, Bytes)>,
    inbox_size: usize,
    submitted: VecDeque<Submitted>,
    /// Of who asked for what was decided before, since such a question was put to the council last.
    question: Option<Arc<Answer>>,
    /// That question, until it is answered: it may have been put before what a later one is to know
    /// was decided.
    asking: Option<ProposalId>,
    waiting: BTreeMap<ProposalId, Arc<Answer>>,
    /// As of the last commit.
    settings: Arc<Settings>,
    stopped: bool,
}

/// A change on its way to the council.
struct Submitted {
    change: Change,
    places: Places,
    answer: Arc<Answer>,
}

/// What one proposal came to, for all who wait for it.
#[derive(Default)]
struct Answer {
    result: Mutex<Option<Result<u64, CouncilError>>>,
    given: Event,
}

impl<E: Engine> CouncilDriver<E> {
    /// Loads the council's records and takes the seat. Nothing happens until `run`.
    ///
    /// # Errors
    /// See `load` and `Council::open`.
    pub async fn open(
        engine: E,
        config: CouncilConfig,
        environment: Arc<dyn Environment>,
    ) -> Result<Arc<CouncilDriver<E>>, CouncilError> {
        let saved = load(&engine.snapshot()).await?;
        // One tick more than the council itself takes, whose answer says more.
        let proposal_span = Span(TICK.0 * (config.timing.proposal_ticks() + 1));
        let council = Council::open(config, saved, environment.random())?;
        let inner = Inner {
            settings: council.settings(),
            council,
            inbox: VecDeque::new(),
            inbox_size: 0,
            submitted: VecDeque::new(),
            question: None,
            asking: None,
            waiting: BTreeMap::new(),
            stopped: false,
        };
        Ok(Arc::new(CouncilDriver {
            engine,
            environment,
            inner: Mutex::new(inner),
            woken: Event::new(),
            changed: Event::new(),
            proposal_span,
        }))
    }

    /// Runs the council for good; to be polled by one task only. `outgoing` must not block; it
    /// may drop what it can't send.
    ///
    /// # Errors
    /// Returns only when the engine has failed; the council has stopped then, and every waiting
    /// proposal is told so. A full disk is waited out.
    pub async fn run(
        self: Arc<Self>,
        outgoing: impl Fn(SiteId, Bytes) + Send + Sync,
    ) -> Result<(), CouncilError> {
        let mut next_tick = self.environment.now().monotonic + TICK;
        loop {
            let woken = self.woken.listen();
            let now = self.environment.now().monotonic;
            let tick = now >= next_tick;
            if tick {
                // Ticks missed while the process stood still are not made up for: a burst of
                // them would look like silence of everyone else.
                next_tick = (next_tick + TICK).max(now);
            }
            if let Err(error) = self.turn(tick, &outgoing).await {
                self.stop();
                return Err(CouncilError::Commit(error));
            }
            let sleep = self.environment.sleep_until(next_tick);
            select(woken, sleep).await;
        }
    }

    /// Takes bytes of that site, which the link has authenticated. They wait for the running
    /// driver; beyond a bound they are dropped, as the link might have.
    pub fn receive(&self, from: SiteId, bytes: Bytes) {
        let mut inner = self.lock();
        let size = inner.inbox_size + bytes.len();
        if inner.stopped || inner.inbox.len() >= MAX_INBOX || size > MAX_INBOX_SIZE.as_usize() {
            tracing::debug!(from = from.0, "dropped a message: the inbox is full");
            return;
        }
        inner.inbox_size = size;
        inner.inbox.push_back((from, bytes));
        drop(inner);
        self.woken.notify(usize::MAX);
    }

    /// Has a change decided by the majority, and returns the settings' revision that made it.
    /// When it returns, this site's settings have it.
    ///
    /// # Errors
    /// `NoMajority`, `Refused`, `TimedOut` (it may yet be made, once), `InvalidChange`,
    /// `TooManyProposals`, `Stopped`.
    pub async fn propose(&self, change: Change) -> Result<u64, CouncilError> {
        self.submit(change, Places::Common).await
    }

    /// As [`CouncilDriver::propose`], for what must not wait for other changes of this site,
    /// however many there are: a few places are kept for it (`KEPT_PLACES`), which is as many as
    /// there can be of these at once.
    ///
    /// # Errors
    /// As of [`CouncilDriver::propose`].
    pub async fn propose_first(&self, change: Change) -> Result<u64, CouncilError> {
        self.submit(change, Places::All).await
    }

    /// Returns when this site's settings have all that was decided before the call. However many
    /// ask at once, one proposal is under way for them: those who come after it began wait for the
    /// next. It is refused at every site, so it changes nothing, and no revision comes of it.
    ///
    /// # Errors
    /// As of [`CouncilDriver::propose`]: what was decided can't be known now.
    pub async fn catch_up(&self) -> Result<(), CouncilError> {
        let answer = {
            let mut inner = self.lock();
            if inner.stopped {
                return Err(CouncilError::Stopped);
            }
            inner.question.get_or_insert_default().clone()
        };
        self.woken.notify(usize::MAX);
        match self.wait(&answer).await {
            Ok(_) | Err(CouncilError::Refused(Refusal::Conflict { .. })) => Ok(()),
            Err(error) => Err(error),
        }
    }

    async fn submit(&self, change: Change, places: Places) -> Result<u64, CouncilError> {
        let answer = Arc::new(Answer::default());
        {
            let mut inner = self.lock();
            if inner.stopped {
                return Err(CouncilError::Stopped);
            }
            if inner.submitted.len() >= places.count() {
                return Err(CouncilError::TooManyProposals);
            }
            inner.submitted.push_back(Submitted {
                change,
                places,
                answer: answer.clone(),
            });
        }
        self.woken.notify(usize::MAX);
        self.wait(&answer).await
    }

    /// What was answered, or `TimedOut` if nothing is in time.
    async fn wait(&self, answer: &Answer) -> Result<u64, CouncilError> {
        let deadline: Monotonic = self.environment.now().monotonic + self.proposal_span;
        let mut sleep = self.environment.sleep_until(deadline);
        loop {
            let given = answer.given.listen();
            if let Some(result) = lock(&answer.result).clone() {
                return result;
            }
            pin_mut!(given);
            let late = matches!(
                select(given, sleep.as_mut()).await,
                futures_util::future::Either::Right(_)
            );
            if late {
                let result = lock(&answer.result).clone();
                return result.unwrap_or(Err(CouncilError::TimedOut));
            }
        }
    }

    /// The settings in effect at this site, on its disk.
    pub fn settings(&self) -> Arc<Settings> {
        self.lock().settings.clone()
    }

    /// Waits until the settings' revision is past `revision`, and returns them.
    pub async fn settings_after(&self, revision: u64) -> Arc<Settings> {
        loop {
            let changed = self.changed.listen();
            let settings = self.settings();
            if settings.revision() > revision {
                return settings;
            }
            changed.await;
        }
    }

    /// The council as this site sees it.
    pub fn status(&self) -> CouncilStatus {
        self.lock().council.status()
    }

    /// One turn: input in, then work out until there is none.
    async fn turn(
        &self,
        tick: bool,
        outgoing: &(impl Fn(SiteId, Bytes) + Send + Sync),
    ) -> Result<(), CommitError> {
        if tick {
            self.lock().council.tick();
        }
        self.work(outgoing).await?;
        loop {
            let taken = self.lock().take_input();
            if !taken {
                return Ok(());
            }
            self.work(outgoing).await?;
        }
    }

    async fn work(
        &self,
        outgoing: &(impl Fn(SiteId, Bytes) + Send + Sync),
    ) -> Result<(), CommitError> {
        loop {
            let ready = self.lock().council.ready();
            let Some(ready) = ready else {
                self.lock().answer();
                return Ok(());
            };
            self.carry_out(ready, outgoing).await?;
        }
    }

    async fn carry_out(
        &self,
        ready: Ready,
        outgoing: &(impl Fn(SiteId, Bytes) + Send + Sync),
    ) -> Result<(), CommitError> {
        for (to, bytes) in ready.before_persist {
            outgoing(to, bytes);
        }
        if !ready.writes.is_empty() {
            self.commit(&ready.writes).await?;
        }
        {
            let mut inner = self.lock();
            inner.council.persisted(ready.token);
            inner.settings = inner.council.settings();
        }
        if ready.restored || !ready.applied.is_empty() {
            self.changed.notify(usize::MAX);
        }
        for (to, bytes) in ready.after_persist {
            outgoing(to, bytes);
        }
        Ok(())
    }

    /// Commits a batch; waits while the disk is full, since raft can't take back what it wants
    /// written, and until then this site promises nothing to anyone.
    async fn commit(&self, batch: &store::Batch) -> Result<(), CommitError> {
        loop {
            match self.engine.commit(batch.clone()).await {
                Ok(_) => return Ok(()),
                Err(CommitError::DiskFull) => {
                    tracing::warn!("the disk is full: this site's council waits for space");
                    let now = self.environment.now().monotonic;
                    self.environment.sleep_until(now + Span::seconds(1)).await;
                }
                Err(error) => return Err(error),
            }
        }
    }

    fn stop(&self) {
        let mut inner = self.lock();
        inner.stopped = true;
        inner.inbox.clear();
        let submitted = std::mem::take(&mut inner.submitted);
        let question = inner.question.take();
        let waiting = std::mem::take(&mut inner.waiting);
        drop(inner);
        let answers = submitted.into_iter().map(|submitted| submitted.answer);
        for answer in answers.chain(question).chain(waiting.into_values()) {
            answer.give(Err(CouncilError::Stopped));
        }
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        lock(&self.inner)
    }
}

impl Inner {
    /// Feeds one message and every waiting proposal to the council. False: there was nothing.
    fn take_input(&mut self) -> bool {
        let message = self.inbox.pop_front();
        let submitted = std::mem::take(&mut self.submitted);
        let question = self.due_question();
        let any = message.is_some() || !submitted.is_empty() || question.is_some();
        if let Some((from, bytes)) = message {
            self.inbox_size -= bytes.len();
            if let Err(error) = self.council.receive(from, &bytes) {
                tracing::debug!(%error, "the council refused a message");
            }
        }
        for submitted in submitted {
            self.propose(submitted);
        }
        if let Some(answer) = question {
            let edits = vec![Edit::from(ConfigurationEdit::never_made())];
            let asking = self.propose(Submitted {
                change: Change { edits },
                places: Places::Common,
                answer,
            });
            self.asking = asking.or(self.asking);
        }
        any
    }

    /// What is asked for, once nothing is that was asked before; without a majority at once, for
    /// that is the answer.
    fn due_question(&mut self) -> Option<Arc<Answer>> {
        match self.asking.is_none() || !self.council.has_majority() {
            true => self.question.take(),
            false => None,
        }
    }

    fn propose(&mut self, submitted: Submitted) -> Option<ProposalId> {
        let Submitted {
            change,
            places,
            answer,
        } = submitted;
        let proposed = match places {
            Places::Common => self.council.propose(&change),
            Places::All => self.council.propose_first(&change),
        };
        match proposed {
            Ok(id) => {
                self.waiting.insert(id, answer);
                Some(id)
            }
            Err(error) => {
                answer.give(Err(error));
                None
            }
        }
    }

    fn answer(&mut self) {
        for (id, result) in self.council.take_finished() {
            self.asking.take_if(|asking| *asking == id);
            if let Some(answer) = self.waiting.remove(&id) {
                answer.give(match result {
                    Ok(Outcome::Made { revision }) => Ok(revision),
                    Ok(Outcome::Refused(refusal)) => Err(CouncilError::Refused(refusal)),
                    Err(error) => Err(error),
                });
            }
        }
    }
}

impl Answer {
    fn give(&self, result: Result<u64, CouncilError>) {
        *lock(&self.result) = Some(result);
        self.given.notify(usize::MAX);
    }
}

/// A panic elsewhere while the lock was held leaves plain data: it is still good to read.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
