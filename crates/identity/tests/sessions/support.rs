//! A deployment's identity on a configuration in memory, and clients who sign for real.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::pin;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Waker};

use aws::access::{Authorizer, Question};
use aws::signature::{
    Credentials, Expected, Rules, SecretKey, SignatureError, Target, Verifier, sign,
};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::Request;
use http::header::CONTENT_TYPE;
use identity::entries::{self, Entry};
use identity::model::{AccessKey, Policies, Role, User};
use identity::{
    Bootstrap, Call, Caller, Identity, NONCE_BYTES, Purpose, RequestContext, RootKey, RootKeys,
    Sealer, Service, ServiceConfig,
};
use types::{
    AccountId, Configuration, ConfigurationEdit, ConfigurationView, Environment, Monotonic, Now,
    Proposal, Region, Sleep, Timestamp,
};
use zeroize::Zeroizing;

/// When the tests begin: 2026-11-18T11:06:40Z.
pub const START: u64 = 1_795_000_000_000;

/// The settings of one revision.
#[derive(Clone, Default)]
pub struct View {
    revision: u64,
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

/// A configuration in memory, which is changed by tests alone.
#[derive(Default)]
pub struct Memory {
    view: Mutex<Arc<View>>,
}

impl Memory {
    pub fn now(&self) -> Arc<View> {
        Arc::clone(&self.view.lock().unwrap())
    }

    pub fn put(&self, key: &str, value: Option<Bytes>) {
        let mut held = self.view.lock().unwrap();
        let mut view = View::clone(&held);
        view.revision += 1;
        match value {
            Some(value) => drop(view.entries.insert(key.to_owned(), (view.revision, value))),
            None => assert!(view.entries.remove(key).is_some(), "{key}"),
        }
        *held = Arc::new(view);
    }
}

impl Configuration for Memory {
    fn view(&self) -> Arc<dyn ConfigurationView> {
        self.now()
    }

    fn propose(&self, _: Vec<ConfigurationEdit>) -> Proposal<'_> {
        panic!("STS stores nothing");
    }
}

/// A clock that is set, and a counter for randomness.
pub struct Clock {
    now: AtomicU64,
    draws: AtomicU64,
}

impl Environment for Clock {
    fn now(&self) -> Now {
        Now {
            wall: Timestamp(self.now.load(Ordering::Relaxed)),
            monotonic: Monotonic(0),
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

/// A Region that knows everybody.
pub struct Deployment {
    pub memory: Arc<Memory>,
    pub clock: Arc<Clock>,
    pub sealer: Arc<Sealer>,
    pub service: Service,
    pub root: RootKey,
    adopted: Arc<Mutex<Arc<Identity>>>,
}

/// What somebody signs with.
#[derive(Clone, Debug)]
pub struct Client {
    pub id: String,
    pub secret: String,
    pub token: Option<String>,
}

/// What an operation answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub text: String,
}

impl Answer {
    pub fn one(&self, name: &str) -> String {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let rest = self.text.split(&open).nth(1);
        let rest = rest.unwrap_or_else(|| panic!("no {name} in {self:?}"));
        rest.split(&close).next().unwrap().to_owned()
    }

    pub fn error(&self) -> (String, String) {
        assert!(self.status >= 400, "{self:?}");
        (self.one("Code"), self.one("Message"))
    }

    /// The credentials that it gives.
    pub fn client(&self) -> Client {
        assert_eq!(self.status, 200, "{self:?}");
        Client {
            id: self.one("AccessKeyId"),
            secret: self.one("SecretAccessKey"),
            token: Some(self.one("SessionToken")),
        }
    }
}

/// A document with one statement that allows those actions on everything.
pub fn allow(actions: &str) -> String {
    statement("Allow", actions, "*")
}

/// A document with one statement.
pub fn statement(effect: &str, action: &str, resource: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"{effect}","Action":"{action}",
        "Resource":"{resource}"}}]}}"#
    )
}

/// A trust policy that lets in whom those principals name, with that condition.
pub fn trust(principal: &str, condition: &str) -> String {
    format!(
        r#"{{"Version":"2012-10-17","Statement":[{{"Effect":"Allow","Principal":{{"AWS":
        "{principal}"}},"Action":["sts:AssumeRole","sts:TagSession","sts:SetSourceIdentity"],
        "Condition":{condition}}}]}}"#
    )
}

pub fn account(digits: &str) -> AccountId {
    digits.parse().unwrap()
}

impl Deployment {
    pub fn new() -> Deployment {
        Deployment::sealed_with(1, Arc::default())
    }

    /// On that configuration, with another operator's key.
    pub fn sealed_with(key: u8, memory: Arc<Memory>) -> Deployment {
        let root = RootKey::generate(&Zeroizing::new([7; 40]));
        let sealer = Arc::new(Sealer::new(&Zeroizing::new([key; 32])));
        let clock = Arc::new(Clock {
            now: AtomicU64::new(START),
            draws: AtomicU64::new(0),
        });
        let first = Identity::new(AccountId::LAB, RootKeys::new(root.clone()));
        let adopted = Arc::new(Mutex::new(Arc::new(first)));
        let known = Arc::clone(&adopted);
        let service = Service::new(ServiceConfig {
            environment: clock.clone(),
            configuration: memory.clone(),
            sealer: sealer.clone(),
            identity: Arc::new(move || known.lock().unwrap().clone()),
            certificate_user: Arc::new(|_: &str| None),
        });
        Deployment {
            memory,
            clock,
            sealer,
            service,
            root,
            adopted,
        }
    }

    /// The identity of what is configured now.
    pub fn identity(&self) -> Arc<Identity> {
        let mut adopted = self.adopted.lock().unwrap();
        let bootstrap = Bootstrap {
            account: AccountId::LAB,
            root_keys: RootKeys::new(self.root.clone()),
        };
        let view = self.memory.view();
        let identity = Identity::compile(Some(&adopted), view, &self.sealer, &bootstrap);
        *adopted = Arc::new(identity);
        Arc::clone(&adopted)
    }

    pub fn pass(&self, seconds: u64) {
        self.clock.now.fetch_add(seconds * 1_000, Ordering::Relaxed);
    }

    pub fn time(&self) -> Timestamp {
        self.clock.now().wall
    }

    pub fn set<T: Entry>(&self, key: &str, value: &T) {
        self.memory.put(key, Some(entries::encode(value)));
    }

    pub fn remove(&self, key: &str) {
        self.memory.put(key, None);
    }

    /// A user with those inline policies, and its key.
    pub fn user(&self, account: AccountId, name: &str, policies: &[&str]) -> Client {
        self.user_with(account, name, policies, |_| {})
    }

    /// The same, changed before it is there.
    pub fn user_with(
        &self,
        account: AccountId,
        name: &str,
        policies: &[&str],
        change: impl FnOnce(&mut User),
    ) -> Client {
        let mut random = Zeroizing::new([0; 40]);
        for (index, byte) in format!("{name}{account}").bytes().enumerate() {
            random[index % 40] = byte;
        }
        let key = RootKey::generate(&random);
        let (id, secret) = (key.access_key_id().to_owned(), key.secret().expose());
        let mut user = User {
            name: name.to_owned(),
            id: format!("AIDA{}", name.to_uppercase()),
            path: "/".to_owned(),
            created: START,
            policies: inline(policies),
            boundary: None,
            groups: Default::default(),
            keys: vec![id.clone()],
            tags: Default::default(),
        };
        change(&mut user);
        self.set(&entries::key::<User>(account, name), &user);
        let nonce = [random[0]; NONCE_BYTES];
        let sealed = self
            .sealer
            .seal(Purpose::AccessKey, &id, secret.as_bytes(), &nonce);
        let entry = AccessKey {
            account: account.to_string(),
            user: name.to_lowercase(),
            created: START,
            active: true,
            sealed: STANDARD.encode(sealed),
        };
        self.set(&entries::access_key_key(&id), &entry);
        Client {
            id,
            secret: secret.to_owned(),
            token: None,
        }
    }

    /// A role with that trust policy and those inline policies.
    pub fn role(&self, account: AccountId, name: &str, trust: &str, policies: &[&str]) -> String {
        self.role_with(account, name, trust, policies, |_| {})
    }

    /// The same, changed before it is there.
    pub fn role_with(
        &self,
        account: AccountId,
        name: &str,
        trust: &str,
        policies: &[&str],
        change: impl FnOnce(&mut Role),
    ) -> String {
        let mut role = Role {
            name: name.to_owned(),
            id: format!("AROA{}", name.to_uppercase()),
            path: "/".to_owned(),
            created: START,
            trust: trust.into(),
            longest_session: 3_600,
            description: None,
            policies: inline(policies),
            boundary: None,
            tags: Default::default(),
        };
        change(&mut role);
        self.set(&entries::key::<Role>(account, name), &role);
        identity::model::arn(account, "role", &role.path, &role.name)
    }

    /// Who signs with that, if it holds here and now.
    pub fn caller(&self, client: &Client) -> Result<Caller, SignatureError> {
        let (identity, now) = (self.identity(), self.time());
        let region: Region = "us-east-1".parse().unwrap();
        let request = Request::post("http://127.0.0.1:4566/").body(());
        let (mut parts, ()) = request.unwrap().into_parts();
        let secret = SecretKey::new(client.secret.clone());
        let credentials = Credentials {
            access_key_id: &client.id,
            secret: &secret,
            session_token: client.token.as_deref(),
        };
        let (service, rules) = ("sts", Rules::QUERY);
        let target = Target {
            service,
            region,
            rules,
        };
        sign(&mut parts, b"", &credentials, &target, now).unwrap();
        let expected = Expected {
            service,
            regions: &[region],
            rules,
        };
        let keys = identity.keys(now);
        let verified = Verifier::new().verify(&parts, b"", &expected, now, &keys)?;
        Ok(identity.caller(&verified, now)?)
    }

    /// A request of that client.
    pub fn call(&self, client: &Client) -> Call {
        let caller = self.caller(client).unwrap();
        self.call_of(caller)
    }

    /// A request of that caller.
    pub fn call_of(&self, caller: Caller) -> Call {
        let context = RequestContext {
            source_ip: Some("203.0.113.7".parse().unwrap()),
            secure_transport: true,
            user_agent: Some("test".to_owned()),
            referer: None,
            region: "us-east-1".to_owned(),
            now: self.time(),
        };
        Call::new(self.identity(), caller, context)
    }

    /// May that client do this to something of its own account?
    pub fn may(&self, client: &Client, action: &str, resource: &str) -> Result<(), String> {
        let call = self.call(client);
        let question = Question::new(action, resource, call.account());
        let answer = call.authorize(&question);
        answer.map_err(|denied| denied.message)
    }

    /// Asks STS.
    pub fn sts(&self, client: &Client, operation: &str, parameters: &[(&str, &str)]) -> Answer {
        let call = self.call(client);
        let mut form = format!("Action={operation}&Version=2011-06-15");
        for (name, value) in parameters {
            let bytes = value.bytes().map(|byte| format!("%{byte:02X}"));
            form += &format!("&{name}={}", bytes.collect::<String>());
        }
        let request = Request::post("/").header(CONTENT_TYPE, "application/x-www-form-urlencoded");
        let (parts, ()) = request.body(()).unwrap().into_parts();
        let response = block_on(self.service.sts(&call, &parts, &form.into(), "REQUEST"));
        Answer {
            status: response.status().as_u16(),
            text: String::from_utf8(response.body().to_vec()).unwrap(),
        }
    }

    /// Assumes a role as session `s`.
    pub fn assume(&self, client: &Client, role: &str, more: &[(&str, &str)]) -> Answer {
        let mut parameters = vec![("RoleArn", role), ("RoleSessionName", "s1")];
        parameters.extend(more);
        self.sts(client, "AssumeRole", &parameters)
    }
}

/// Inline policies by number.
pub fn inline(documents: &[&str]) -> Policies {
    let numbered = documents.iter().enumerate();
    Policies {
        attached: Vec::new(),
        inline: numbered
            .map(|(number, document)| (format!("p{number}"), (*document).into()))
            .collect(),
    }
}

/// Nothing here ever waits.
pub fn block_on<T>(future: impl Future<Output = T>) -> T {
    let mut future = pin!(future);
    let mut context = Context::from_waker(Waker::noop());
    match future.as_mut().poll(&mut context) {
        Poll::Ready(value) => value,
        Poll::Pending => panic!("it waits for something"),
    }
}
