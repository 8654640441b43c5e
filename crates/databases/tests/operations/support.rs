//! A Region's API on an empty configuration in memory, driven without a runtime.

#![allow(dead_code, unused_imports, reason = "each test takes what it needs")]

#[path = "../../../types/tests/support/configuration.rs"]
mod configuration;

use std::collections::{BTreeMap, BTreeSet};
use std::future::Future;
use std::net::Ipv4Addr;
use std::pin::pin;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use aws::access::{Authorizer, Owner};
use bytes::Bytes;
use databases::model::{Farewell, Instance, ResourceId, Snapshot};
use databases::plan::{
    Home, LogSeen, Next, Observed, Role, ServerSeen, SnapshotSeen, Step, next_step,
};
use databases::{
    Archived, AttachRequest, CopyRequest, EndpointPool, Engine, ServerView, Service, ServiceConfig,
    SourceAnswer, SourceError, SourceFacts, SourceView, Standing, Surroundings, catalogue,
};
use types::{
    AccountId, AvailabilityZone, Configuration, ConfigurationView, Environment, Monotonic, Region,
    Span, Timestamp, network,
};

pub use configuration::{Memory, StillEnvironment, View};

/// How all keys begin that the service writes.
const PREFIX: &str = "databases/";

/// How servers stand here, what was told, and what else is in the Region.
#[derive(Default)]
pub struct Around {
    pub standings: Mutex<BTreeMap<String, Standing>>,
    pub looked_at: Mutex<BTreeSet<String>>,
    pub archives: Mutex<BTreeMap<String, Archived>>,
    /// Where others on this host listen.
    pub taken: Mutex<BTreeSet<(Ipv4Addr, u16)>>,
    /// Since when the council has decided nothing that the Region asked for.
    pub unheard_since: Mutex<Option<Monotonic>>,
    /// How late heads of other members are, by their slots.
    pub lags: Mutex<BTreeMap<String, Span>>,
    /// Since when nothing was heard of Regions, while the council was.
    pub silent: Mutex<BTreeMap<String, Monotonic>>,
}

impl ServerView for Around {
    fn standing(&self, resource_id: &str) -> Option<Standing> {
        self.standings.lock().unwrap().get(resource_id).cloned()
    }

    fn changed(&self, resource_id: &str) {
        self.looked_at
            .lock()
            .unwrap()
            .insert(resource_id.to_owned());
    }

    fn unheard_since(&self) -> Option<Monotonic> {
        *self.unheard_since.lock().unwrap()
    }

    fn silent_since(&self, region: Region, _: Monotonic) -> Option<Monotonic> {
        let silent = self.silent.lock().unwrap();
        silent.get(&region.to_string()).copied()
    }

    fn lag_of(&self, _: &str, slot: &str) -> Option<Span> {
        self.lags.lock().unwrap().get(slot).copied()
    }

    fn archived(&self, resource_id: &str) -> Option<Archived> {
        self.archives.lock().unwrap().get(resource_id).cloned()
    }

    fn is_taken(&self, address: Ipv4Addr, port: u16) -> bool {
        self.taken.lock().unwrap().contains(&(address, port))
    }
}

impl Surroundings for Around {
    fn has_security_group(&self, id: &str) -> bool {
        id == "sg-0123456789abcdef0"
    }
}

/// The way to another Region: its API, or silence.
#[derive(Default)]
pub struct Peer {
    pub there: Mutex<Option<Arc<Api>>>,
    pub is_cut: AtomicBool,
    pub asked: Mutex<Vec<AttachRequest>>,
    /// What it makes of its answers, if it is bent on harm.
    pub amend: Mutex<Option<fn(&mut SourceFacts)>>,
}

impl Peer {
    fn reach(&self) -> Result<Arc<Api>, SourceError> {
        match self.is_cut.load(Ordering::Relaxed) {
            true => Err(SourceError::Unreachable),
            false => self
                .there
                .lock()
                .unwrap()
                .clone()
                .ok_or(SourceError::Unreachable),
        }
    }
}

impl SourceView for Peer {
    fn attach<'a>(&'a self, request: &'a AttachRequest) -> SourceAnswer<'a, SourceFacts> {
        self.asked.lock().unwrap().push(request.clone());
        Box::pin(async move {
            let there = self.reach()?;
            let taken = there.service.attach(request).await;
            let amend = *self.amend.lock().unwrap();
            let taken = taken.map(|mut facts| {
                amend.into_iter().for_each(|amend| amend(&mut facts));
                facts
            });
            taken.map_err(SourceError::Refused)
        })
    }

    fn detach<'a>(&'a self, farewell: &'a Farewell) -> SourceAnswer<'a, ()> {
        Box::pin(async move {
            let there = self.reach()?;
            let told = there.service.detach(farewell).await;
            told.map_err(SourceError::Refused)
        })
    }

    fn snapshot<'a>(&'a self, request: &'a CopyRequest) -> SourceAnswer<'a, Box<Snapshot>> {
        Box::pin(async move {
            let given = self.reach()?.service.given(request);
            given.map(Box::new).map_err(SourceError::Refused)
        })
    }
}

/// An element: what it has, elements or text.
#[derive(Clone, Default, Debug)]
pub struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// The root of a document as the service writes it.
    fn read(text: &str) -> Element {
        let mut open = vec![Element::default()];
        for part in text
            .split('<')
            .skip(1)
            .filter(|part| !part.starts_with('?'))
        {
            let (tag, text) = part.split_once('>').unwrap();
            if let Some(name) = tag.strip_prefix('/') {
                let closed = open.pop().unwrap();
                assert_eq!(closed.name, name);
                open.last_mut().unwrap().children.push(closed);
                continue;
            }
            let entities = [
                ("&lt;", "<"),
                ("&gt;", ">"),
                ("&quot;", "\""),
                ("&apos;", "'"),
            ];
            let plain = entities
                .iter()
                .fold(text.to_owned(), |text, (entity, meant)| {
                    text.replace(entity, meant)
                });
            open.push(Element {
                name: tag.split(' ').next().unwrap().to_owned(),
                text: plain.replace("&amp;", "&"),
                children: Vec::new(),
            });
        }
        open.pop().unwrap().children.remove(0)
    }
}

/// An element of an answer.
#[derive(Clone, Debug)]
pub struct Answer(pub Element);

impl Answer {
    /// The element inside, by a path of names and of members' numbers: `LoadBalancers/0/State`.
    pub fn find(&self, path: &str) -> Option<Answer> {
        let mut at = self.0.clone();
        for part in path.split('/') {
            let mut children = at.children.into_iter();
            at = match part.parse::<usize>() {
                Ok(number) => children.nth(number)?,
                Err(_) => children.find(|child| child.name == part)?,
            };
        }
        Some(Answer(at))
    }

    /// The text there.
    pub fn text(&self, path: &str) -> String {
        let found = self.find(path);
        found
            .unwrap_or_else(|| panic!("no {path} in {:?}", self.0))
            .0
            .text
    }

    /// The text of this very element.
    pub fn text_of(&self) -> String {
        self.0.text.clone()
    }

    /// How many members a list there has.
    pub fn count(&self, path: &str) -> usize {
        let found = self.find(path);
        found
            .unwrap_or_else(|| panic!("no {path} in {:?}", self.0))
            .0
            .children
            .len()
    }

    /// The texts of a member of each member of a list.
    pub fn each(&self, list: &str, member: &str) -> Vec<String> {
        (0..self.count(list))
            .map(|number| self.text(&format!("{list}/{number}/{member}")))
            .collect()
    }
}

/// Parameters of a request: a form's text, `&`-separated and unescaped but for what tests escape.
pub type Parameters<'a> = &'a [(&'a str, &'a str)];

/// A Region's API and what stands behind it.
pub struct Api {
    pub service: Service,
    pub memory: Arc<Memory>,
    /// The council's configuration.
    pub global: Arc<dyn Configuration>,
    pub around: Arc<Around>,
    pub peer: Arc<Peer>,
    pub region: String,
    pub environment: Arc<StillEnvironment>,
}

/// What a Region is made with.
pub struct Setting<'a> {
    pub region: &'a str,
    pub engine: Result<&'a str, &'a str>,
    pub pool: Result<u8, &'a str>,
    /// The council's configuration, which other Regions may share.
    pub global: Arc<dyn Configuration>,
}

impl Setting<'_> {
    pub fn make(self) -> Api {
        self.on_a_machine(u64::MAX)
    }

    /// On one with so many bytes of memory.
    pub fn on_a_machine(self, room: u64) -> Api {
        let memory = Arc::<Memory>::default();
        let global = self.global.clone();
        let (around, peer) = (Arc::<Around>::default(), Arc::<Peer>::default());
        let environment = Arc::<StillEnvironment>::default();
        // Ids of two Regions are not each other's.
        let draws = 1000 * self.region.len() as u64;
        environment.draws.store(draws, Ordering::Relaxed);
        let pool = |prefix| EndpointPool::new([127, 48, 1, 0].into(), prefix).unwrap();
        let service = Service::new(ServiceConfig {
            environment: environment.clone(),
            configuration: memory.clone(),
            global: global.clone(),
            region: self.region.parse().unwrap(),
            engine: match self.engine {
                Ok(version) => Ok(Engine::new(version).unwrap()),
                Err(why) => Err(why.to_owned()),
            },
            servers: around.clone(),
            sources: peer.clone(),
            surroundings: around.clone(),
            pool: self.pool.map(pool).map_err(str::to_owned),
            memory: room,
        });
        Api {
            service,
            memory,
            global,
            around,
            peer,
            region: self.region.to_owned(),
            environment,
        }
    }
}

impl Api {
    pub fn new() -> Api {
        Api::in_region("us-east-1")
    }

    pub fn in_region(region: &str) -> Api {
        let (engine, pool) = (Ok("15.14"), Ok(24));
        Setting {
            region,
            engine,
            pool,
            global: Arc::<Memory>::default(),
        }
        .make()
    }

    /// A Region of a council.
    pub fn beside(region: &str, global: Arc<dyn Configuration>) -> Api {
        let (engine, pool) = (Ok("15.14"), Ok(24));
        Setting {
            region,
            engine,
            pool,
            global,
        }
        .make()
    }

    /// Two Regions, each the other's peer.
    pub fn pair() -> (Arc<Api>, Arc<Api>) {
        let here = Arc::new(Api::in_region("us-east-1"));
        let there = Arc::new(Api::in_region("ap-southeast-2"));
        *here.peer.there.lock().unwrap() = Some(there.clone());
        *there.peer.there.lock().unwrap() = Some(here.clone());
        (here, there)
    }

    /// The answer to whoever calls: the result, or the code and the text of a refusal.
    pub fn call_as(
        &self,
        caller: &dyn Authorizer,
        operation: &str,
        parameters: Parameters<'_>,
    ) -> Result<Answer, (String, String)> {
        let mut form = format!("Action={operation}&Version=2014-10-31");
        for (name, value) in parameters {
            form.push_str(&format!("&{name}={}", escape(value)));
        }
        let (status, root) = self.raw(caller, &form);
        if status == 200 {
            // Some operations have no result.
            let result = root.find(&format!("{operation}Result"));
            return Ok(result.unwrap_or(root));
        }
        Err((root.text("Error/Code"), root.text("Error/Message")))
    }

    /// The status and the document that a form is answered with.
    pub fn raw(&self, caller: &dyn Authorizer, form: &str) -> (u16, Answer) {
        let request = http::Request::post("/")
            .header("content-type", "application/x-www-form-urlencoded")
            .body(())
            .unwrap();
        let (parts, ()) = request.into_parts();
        let body = Bytes::from(form.to_owned());
        let answer = block_on(self.service.execute(caller, &parts, &body, "ID"));
        let text = std::str::from_utf8(answer.body()).unwrap();
        (answer.status().as_u16(), Answer(Element::read(text)))
    }

    pub fn call(
        &self,
        operation: &str,
        parameters: Parameters<'_>,
    ) -> Result<Answer, (String, String)> {
        self.call_as(&owner(), operation, parameters)
    }

    /// The answer of a call that succeeds.
    pub fn ok(&self, operation: &str, parameters: Parameters<'_>) -> Answer {
        let answer = self.call(operation, parameters);
        answer.unwrap_or_else(|error| panic!("{operation} {parameters:?}: {error:?}"))
    }

    /// The code and the text of a call that is refused, and changes nothing.
    pub fn refused(&self, operation: &str, parameters: Parameters<'_>) -> (String, String) {
        let before = self.memory.view_now();
        let Err(error) = self.call(operation, parameters) else {
            panic!("{operation} {parameters:?} is not refused");
        };
        assert_eq!(self.memory.view_now(), before, "{operation} {parameters:?}");
        error
    }

    /// The code alone.
    pub fn code(&self, operation: &str, parameters: Parameters<'_>) -> String {
        self.refused(operation, parameters).0
    }

    /// The configuration as of now.
    pub fn memory_view(&self) -> Arc<dyn ConfigurationView> {
        self.memory.view()
    }

    /// The row of an instance.
    pub fn row(&self, identifier: &str) -> Instance {
        let arn = arn_in(&self.region, identifier).parse().unwrap();
        let view = self.memory.view();
        catalogue::instance_named(&*view, &arn).unwrap().unwrap().1
    }

    /// Is there such an instance?
    pub fn has(&self, identifier: &str) -> bool {
        let arn = arn_in(&self.region, identifier).parse().unwrap();
        catalogue::instance_named(&*self.memory.view(), &arn)
            .unwrap()
            .is_some()
    }

    /// The row of a snapshot.
    pub fn snapshot_row(&self, name: &str) -> Snapshot {
        let region = &self.region;
        let arn = format!("arn:aws:rds:{region}:111122223333:snapshot:{name}");
        let found = catalogue::snapshot(&*self.memory.view(), &arn.parse().unwrap());
        found.unwrap().unwrap().1
    }

    /// Asks for an instance.
    pub fn create(&self, name: &str) -> Answer {
        self.ok("CreateDBInstance", &new_instance(name))
    }

    /// An instance that is available.
    pub fn available(&self, name: &str) -> Instance {
        self.create(name);
        self.carry_out(name);
        self.row(name)
    }

    /// What events say of what is of that type, oldest first.
    pub fn messages(&self, source_type: &str) -> Vec<String> {
        let told = self.ok("DescribeEvents", &[("SourceType", source_type)]);
        told.each("Events", "Message")
    }

    pub fn status(&self, name: &str) -> String {
        let found = self.ok("DescribeDBInstances", &[("DBInstanceIdentifier", name)]);
        found.text("DBInstances/0/DBInstanceStatus")
    }

    pub fn id(&self, name: &str) -> ResourceId {
        self.row(name).resource_id
    }

    /// How an instance stands: as was seen last.
    pub fn observed(&self, id: &ResourceId) -> Observed {
        let standings = self.around.standings.lock().unwrap();
        let found = standings
            .get(&id.0)
            .map(|standing| standing.observed.clone());
        found.unwrap_or_else(Observed::nothing)
    }

    pub fn observe(&self, id: &ResourceId, observed: Observed) {
        let mut standings = self.around.standings.lock().unwrap();
        standings.insert(id.0.clone(), standing(observed));
    }

    /// Carries out the plan of an instance until nothing is left to do: the steps that were taken.
    pub fn carry_out(&self, name: &str) -> Vec<Step> {
        self.carry_out_id(&self.id(name))
    }

    pub fn carry_out_id(&self, id: &ResourceId) -> Vec<Step> {
        let mut steps = Vec::new();
        while let Some(step) = self.step(id) {
            steps.push(step);
            assert!(steps.len() < 50, "it never ends: {steps:#?}");
        }
        steps
    }

    /// Carries out the next step of an instance, if there is one.
    pub fn step(&self, id: &ResourceId) -> Option<Step> {
        let global = self.global.view();
        let wanted = catalogue::wanted(&*self.memory.view(), &*global, id).unwrap()?;
        let mut observed = self.observed(id);
        let Next::Step(step) = next_step(&wanted, &observed, self.environment.now()) else {
            return None;
        };
        match &step {
            Step::Record(record) => block_on(self.service.record(id, record)).unwrap(),
            other => {
                let follows = wanted.instance.follows().is_some();
                let follows = follows || wanted.duty.following().is_some();
                act(other, &mut observed, follows);
            }
        }
        self.observe(id, observed);
        Some(step)
    }

    /// Tells sources of replicas that are none any more, as `region` does.
    pub fn say_farewells(&self) {
        let now = self.environment.now().wall;
        for (_, farewell) in catalogue::farewells(&*self.memory.view()).unwrap() {
            let is_due = farewell.after <= now;
            if is_due && block_on(self.peer.detach(&farewell)).is_ok() {
                block_on(self.service.farewell_told(&farewell.replica_id)).unwrap();
            }
        }
    }
}

/// How an instance stands for which nothing is being done.
pub fn standing(observed: Observed) -> Standing {
    Standing {
        observed,
        doing: None,
        source_gone: false,
    }
}

/// What a step that succeeds does.
pub fn act(step: &Step, observed: &mut Observed, follows: bool) {
    let taken = Timestamp(1_795_000_000_500);
    match step {
        Step::Make { .. } | Step::Copy(_) | Step::Restore(_) | Step::RestoreTo(_) => {
            observed.home = Home::Whole;
        }
        Step::RemoveHome(_) => observed.home = Home::Absent,
        Step::Reseed(_) => {
            (observed.home, observed.server, observed.behind) = (Home::Absent, None, None);
        }
        Step::Start {
            generation,
            settings,
        } => {
            let role = match follows {
                true => Role::Standby,
                false => Role::Primary,
            };
            observed.server = Some(ServerSeen {
                generation: *generation,
                role: Some(role),
                settings: settings.clone(),
                awaits_restart: BTreeSet::new(),
                slots: BTreeSet::new(),
                receives: follows,
                is_paused: false,
                master_set: None,
                log: LogSeen::default(),
            });
        }
        Step::Stop => observed.server = None,
        Step::TakeSnapshot(id) => {
            let whole = SnapshotSeen::Whole { bytes: 7, taken };
            observed.snapshots.insert(id.clone(), whole);
        }
        Step::DiscardSnapshot(id) => {
            observed.snapshots.remove(id);
        }
        Step::Reload(_) | Step::Promote | Step::KeepSlots(_) | Step::SetMaster { .. } => {
            let server = observed.server.as_mut().expect("it runs");
            match step {
                Step::Reload(settings) => server.settings = settings.clone(),
                Step::Promote => server.role = Some(Role::Primary),
                Step::KeepSlots(slots) => server.slots = slots.clone(),
                Step::SetMaster { number, .. } => server.master_set = Some(*number),
                _ => {}
            }
        }
        Step::Checkpoint
        | Step::Synchronise(_)
        | Step::Follow { .. }
        | Step::KeepTail { .. }
        | Step::SetAside { .. }
        | Step::Rewind { .. } => {
            panic!("{step:?} is a head's, or of an instance with a standby")
        }
        Step::Record(record) => panic!("{record:?} is for the configuration"),
    }
}

/// The parameters of an instance.
pub fn new_instance(name: &str) -> [(&str, &str); 6] {
    [
        ("DBInstanceIdentifier", name),
        ("DBInstanceClass", "db.t3.micro"),
        ("Engine", "postgres"),
        ("AllocatedStorage", "20"),
        ("MasterUsername", "root"),
        ("MasterUserPassword", "correct-horse"),
    ]
}

/// Parameters, and others that replace those of their names.
pub fn with<'a>(
    base: &[(&'a str, &'a str)],
    more: &[(&'a str, &'a str)],
) -> Vec<(&'a str, &'a str)> {
    let kept = base
        .iter()
        .filter(|(name, _)| !more.iter().any(|(other, _)| other == name));
    kept.chain(more)
        .copied()
        .filter(|(_, value)| *value != "-")
        .collect()
}

/// An instance's ARN.
pub fn arn(name: &str) -> String {
    arn_in("us-east-1", name)
}

pub fn arn_in(region: &str, name: &str) -> String {
    format!("arn:aws:rds:{region}:111122223333:db:{name}")
}

fn escape(text: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || b"-._~".contains(&byte);
    let escaped = text.bytes().map(|byte| match plain(byte) {
        true => char::from(byte).to_string(),
        false => format!("%{byte:02X}"),
    });
    escaped.collect()
}

pub fn region() -> Region {
    "us-east-1".parse().unwrap()
}

pub fn zones() -> Vec<AvailabilityZone> {
    AvailabilityZone::of(region()).collect()
}

pub fn subnet(zone: usize) -> String {
    network::default_subnet(zones()[zone])
}

pub fn owner() -> Owner {
    Owner::new(AccountId::LAB, "us-east-1")
}

/// Drives a future that never waits for anything outside.
pub fn block_on<F: Future>(future: F) -> F::Output {
    match pin!(future).poll(&mut Context::from_waker(Waker::noop())) {
        Poll::Ready(output) => output,
        Poll::Pending => panic!("nothing here waits"),
    }
}
