//! IAM's API on a configuration in memory, driven without a runtime, and callers to call it as.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use aws::access::{Authorizer, Denied, Owner, PolicyKind, PolicyRefusal, Question};
use bytes::Bytes;
use http::header::CONTENT_TYPE;
use http::{Request, Response};
use identity::{Bootstrap, Identity, RootKey, RootKeys, Sealer, Service, ServiceConfig};
use types::{
    AccountId, Configuration, ConfigurationEdit, ConfigurationError, ConfigurationExpected,
    ConfigurationView, Environment, Monotonic, Now, Proposal, Sleep, Timestamp,
};
use zeroize::Zeroizing;

/// When the tests take place: 2026-11-18T07:06:40Z and later.
pub const START: u64 = 1_795_000_000_000;

/// A clock that moves a millisecond with each look, and a counter for randomness.
#[derive(Default)]
pub struct StillEnvironment {
    looks: AtomicU64,
    draws: AtomicU64,
}

impl Environment for StillEnvironment {
    fn now(&self) -> Now {
        let looks = self.looks.fetch_add(1, Ordering::Relaxed);
        Now {
            wall: Timestamp(START + looks),
            monotonic: Monotonic(looks),
        }
    }

    fn sleep_until(&self, _: Monotonic) -> Sleep {
        Box::pin(std::future::ready(()))
    }

    fn random(&self) -> u64 {
        let draws = self.draws.fetch_add(1, Ordering::Relaxed) + 1;
        draws.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    }
}

/// The settings of one revision.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub struct View {
    pub revision: u64,
    pub entries: BTreeMap<String, (u64, Bytes)>,
}

impl ConfigurationView for View {
    fn revision(&self) -> u64 {
        self.revision
    }

    fn get(&self, key: &str) -> Option<(u64, Bytes)> {
        self.entries.get(key).cloned()
    }

    fn visit(&self, prefix: &str, visitor: &mut dyn FnMut(&str, u64, &Bytes)) {
        let entries = self.entries.range(prefix.to_owned()..);
        for (key, (revision, value)) in entries.take_while(|(key, _)| key.starts_with(prefix)) {
            visitor(key, *revision, value);
        }
    }
}

impl View {
    /// Sets an entry as another Region would.
    pub fn set<T: identity::entries::Entry>(&mut self, key: String, value: &T) {
        self.revision += 1;
        let bytes = identity::entries::encode(value);
        self.entries.insert(key, (self.revision, bytes));
    }

    /// Removes one as another Region would.
    pub fn remove(&mut self, key: &str) {
        self.revision += 1;
        assert!(self.entries.remove(key).is_some(), "{key}");
    }

    /// The access key of that id.
    pub fn get_key(&self, id: &str) -> Option<identity::model::AccessKey> {
        self.read(&identity::entries::access_key_key(id))
    }

    /// What stands there.
    pub fn read<T: identity::entries::Entry>(&self, key: &str) -> Option<T> {
        let found = identity::entries::at(self, key).unwrap();
        found.map(|(_, value)| value)
    }
}

/// What another Region does between a read and the proposal made of it.
type Interference = Box<dyn FnOnce(&mut View) + Send>;

/// A configuration in memory, with the council's rules.
#[derive(Default)]
pub struct Memory {
    view: Mutex<Arc<View>>,
    interferences: Mutex<Vec<Interference>>,
    failure: Mutex<Option<ConfigurationError>>,
    /// Proposals made.
    pub proposals: AtomicUsize,
}

impl Memory {
    /// Everything as it is now.
    pub fn view_now(&self) -> View {
        View::clone(&self.view.lock().unwrap())
    }

    /// Changes it without anybody's permission.
    pub fn change(&self, with: impl FnOnce(&mut View)) {
        let mut held = self.view.lock().unwrap();
        let mut view = View::clone(&held);
        with(&mut view);
        *held = Arc::new(view);
    }

    /// Before the next proposal that has nothing done before it yet, another Region does this.
    pub fn interfere(&self, with: impl FnOnce(&mut View) + Send + 'static) {
        self.interferences.lock().unwrap().insert(0, Box::new(with));
    }

    /// The same, done by a Region that works on a copy of the configuration.
    pub fn interfere_through(&self, with: impl FnOnce(Arc<Memory>) -> View + Send + 'static) {
        self.interfere(move |view| {
            let copy = Arc::new(Memory::default());
            copy.change(|held| *held = view.clone());
            *view = with(copy);
        });
    }

    /// Fails every proposal from now on.
    pub fn fail(&self, error: Option<ConfigurationError>) {
        *self.failure.lock().unwrap() = error;
    }

    fn decide(&self, edits: Vec<ConfigurationEdit>) -> Result<u64, ConfigurationError> {
        self.proposals.fetch_add(1, Ordering::Relaxed);
        if let Some(error) = *self.failure.lock().unwrap() {
            return Err(error);
        }
        let interference = self.interferences.lock().unwrap().pop();
        if let Some(interfere) = interference {
            self.change(interfere);
        }
        let mut held = self.view.lock().unwrap();
        let mut view = View::clone(&held);
        assert!(!edits.is_empty() && edits.len() <= 1_100, "{}", edits.len());
        for (index, edit) in edits.iter().enumerate() {
            assert!((1..=512).contains(&edit.key.len()), "{}", edit.key);
            let earlier = edits[..index].iter().any(|other| other.key == edit.key);
            assert!(!earlier, "{} twice", edit.key);
            let found = view.entries.get(&edit.key).map(|(revision, _)| *revision);
            let holds = match edit.expected {
                ConfigurationExpected::Any => true,
                ConfigurationExpected::Absent => found.is_none(),
                ConfigurationExpected::Revision(revision) => found == Some(revision),
            };
            if !holds {
                return Err(ConfigurationError::Conflict);
            }
        }
        view.revision += 1;
        for edit in edits {
            match edit.value {
                Some(value) => view.entries.insert(edit.key, (view.revision, value)),
                None => view.entries.remove(&edit.key),
            };
        }
        let revision = view.revision;
        *held = Arc::new(view);
        Ok(revision)
    }
}

impl Configuration for Memory {
    fn view(&self) -> Arc<dyn ConfigurationView> {
        self.view.lock().unwrap().clone()
    }

    fn propose(&self, edits: Vec<ConfigurationEdit>) -> Proposal<'_> {
        Box::pin(std::future::ready(self.decide(edits)))
    }
}

/// What was asked of a caller: action, resource, and the service's condition keys in order.
pub type Asked = (String, String, Vec<(String, Vec<String>)>);

/// A caller who may do all but some actions, and remembers what it was asked.
pub struct Somebody {
    account: AccountId,
    arn: String,
    denied: Vec<String>,
    asked: Mutex<Vec<Asked>>,
}

impl Somebody {
    /// The one of that ARN, who may do everything in its account.
    pub fn new(account: AccountId, arn: impl Into<String>) -> Somebody {
        Somebody {
            account,
            arn: arn.into(),
            denied: Vec::new(),
            asked: Mutex::default(),
        }
    }

    /// A user of the lab's account.
    pub fn user(name_and_path: &str) -> Somebody {
        let account = AccountId::LAB;
        Somebody::new(
            account,
            format!("arn:aws:iam::{account}:user{name_and_path}"),
        )
    }

    /// But not what is denied: an action, or an action, a space and a resource.
    pub fn but_not(mut self, denied: &str) -> Somebody {
        self.denied.push(denied.to_owned());
        self
    }

    /// What it was asked since it was asked this last.
    pub fn asked(&self) -> Vec<Asked> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Authorizer for Somebody {
    fn account(&self) -> AccountId {
        self.account
    }

    fn arn(&self) -> &str {
        &self.arn
    }

    fn region(&self) -> &str {
        "us-east-1"
    }

    fn authorize(&self, question: &Question<'_>) -> Result<(), Denied> {
        let (action, resource) = (question.action.to_string(), question.resource.to_string());
        let keys = question.keys.iter();
        let keys = keys.map(|(name, values)| (name.to_owned(), values.to_vec()));
        let asked = (action.clone(), resource.clone(), keys.collect());
        self.asked.lock().unwrap().push(asked);
        let both = format!("{action} {resource}");
        if self.denied.contains(&action) || self.denied.contains(&both) {
            return Err(Denied {
                message: format!("{} may not {both}", self.arn),
            });
        }
        Ok(())
    }

    fn bind_policy(&self, _: PolicyKind, document: &str) -> Result<String, PolicyRefusal> {
        Ok(document.to_owned())
    }

    fn show_policy(&self, document: &str) -> String {
        document.to_owned()
    }
}

/// IAM at one Region, and the configuration that it shares with the others.
pub struct Api {
    pub service: Service,
    pub memory: Arc<Memory>,
    /// Who uses which server certificate, by their ARNs.
    pub used: Arc<Mutex<BTreeMap<String, String>>>,
}

/// What an operation answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub text: String,
}

impl Answer {
    /// The texts of the elements of that name, in order.
    pub fn all(&self, name: &str) -> Vec<String> {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let parts = self.text.split(&open).skip(1);
        let inner = parts.map(|part| part.split(&close).next().unwrap());
        let unescape = |text: &str| {
            text.replace("&lt;", "<")
                .replace("&gt;", ">")
                .replace("&amp;", "&")
        };
        inner.map(unescape).collect()
    }

    /// The text of the first element of that name.
    pub fn one(&self, name: &str) -> String {
        let all = self.all(name);
        all.into_iter()
            .next()
            .unwrap_or_else(|| panic!("no {name} in {self:?}"))
    }

    /// An error's code and text.
    pub fn error(&self) -> (String, String) {
        assert!(self.status >= 400, "{self:?}");
        (self.one("Code"), self.one("Message"))
    }

    /// It succeeded.
    pub fn ok(self) -> Answer {
        assert!(self.status < 300, "{self:?}");
        self
    }
}

impl Api {
    /// With nothing configured.
    pub fn new() -> Api {
        Api::of(Arc::default())
    }

    /// Another Region, with the same configuration.
    pub fn elsewhere(&self) -> Api {
        Api::of(self.memory.clone())
    }

    /// The same Region, with a configuration of its own.
    pub fn on(self, memory: Arc<Memory>) -> Api {
        Api::of(memory)
    }

    fn of(memory: Arc<Memory>) -> Api {
        let sealer = Arc::new(Sealer::new(&Zeroizing::new([9; 32])));
        let (view, opener) = (memory.clone(), sealer.clone());
        let used: Arc<Mutex<BTreeMap<String, String>>> = Arc::default();
        let service = Service::new(ServiceConfig {
            environment: Arc::new(StillEnvironment::default()),
            configuration: memory.clone(),
            sealer,
            identity: Arc::new(move || Arc::new(identity_of(&view, &opener))),
            certificate_user: {
                let used = used.clone();
                Arc::new(move |arn: &str| used.lock().unwrap().get(arn).cloned())
            },
        });
        Api {
            service,
            memory,
            used,
        }
    }

    /// Sends a form's text as that caller.
    pub fn send(&self, caller: &dyn Authorizer, form: &str) -> Answer {
        let request = Request::post("/");
        let request = request.header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let body = Bytes::copy_from_slice(form.as_bytes());
        let response: Response<Bytes> =
            block_on(self.service.iam(caller, &parts, &body, "REQUEST"));
        assert_eq!(response.headers()["x-amzn-requestid"], "REQUEST");
        Answer {
            status: response.status().as_u16(),
            text: String::from_utf8(response.body().to_vec()).unwrap(),
        }
    }

    /// Asks for an operation with those parameters as that caller.
    pub fn call_as(
        &self,
        caller: &dyn Authorizer,
        operation: &str,
        parameters: &[(&str, &str)],
    ) -> Answer {
        let mut form = format!("Action={operation}&Version=2010-05-08");
        for (name, value) in parameters {
            form.push_str(&format!("&{}={}", encode(name), encode(value)));
        }
        self.send(caller, &form)
    }

    /// Asks for an operation with those parameters as the account's owner.
    pub fn call(&self, operation: &str, parameters: &[(&str, &str)]) -> Answer {
        let owner = Owner::new(AccountId::LAB, "us-east-1");
        self.call_as(&owner, operation, parameters)
    }

    /// The code and the text of an operation that must be refused, and that must change nothing.
    pub fn refused(&self, operation: &str, parameters: &[(&str, &str)]) -> (String, String) {
        let before = self.memory.view_now();
        let error = self.call(operation, parameters).error();
        let after = self.memory.view_now();
        assert_eq!(after, before, "a refused {operation} changed something");
        error
    }
}

/// The identity of that configuration as it is now. The operator's root key is the same everywhere.
pub fn identity_of(memory: &Memory, sealer: &Arc<Sealer>) -> Identity {
    let bootstrap = Bootstrap {
        account: AccountId::LAB,
        root_keys: RootKeys::new(RootKey::generate(&Zeroizing::new([7; 40]))),
    };
    Identity::compile(None, memory.view(), sealer, &bootstrap)
}

fn encode(text: &str) -> String {
    let bytes = text.bytes().map(|byte| match byte {
        b'a'..=b'z' | b'A'..=b'Z' | b'0'..=b'9' | b'-' | b'_' | b'.' | b'~' => {
            char::from(byte).to_string()
        }
        other => format!("%{other:02X}"),
    });
    bytes.collect()
}

/// Nothing here waits for anything: a future that isn't ready will never be.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    match future
        .as_mut()
        .poll(&mut Context::from_waker(Waker::noop()))
    {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("a future waits without a runtime"),
    }
}
