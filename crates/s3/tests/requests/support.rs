//! A Region's S3 in memory, and requests to it: a configuration, a clock and callers that tests
//! set. Signatures are verified elsewhere; whoever calls here is who a test says.

use std::collections::BTreeMap;
use std::future::Future;
use std::pin::{Pin, pin};
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::task::{Context, Poll, Wake, Waker};
use std::thread::Thread;

use aws::access::{Authorizer, Denied, Owner, PolicyKind, PolicyRefusal, Question};
use aws::signature::PayloadVerifier;
use bytes::Bytes;
use http::{HeaderMap, Method, Request};
use http_body_util::{BodyExt, Full};
use objects::blob::MemoryBlobs;
use objects::content::SiteKey;
use objects::notify::NoWebhooks;
use objects::{
    BucketEntry, BucketFacts, BucketId, BucketName, BucketSettings, NewBucket, Objects,
    ObjectsConfig, Peers, RoleRefusal, Roles, Unreachable, Versioning,
};
use s3::{Caller, S3Call, S3Form, S3Service};
use store::MemoryEngine;
use types::{
    AccountId, Configuration, ConfigurationEdit, ConfigurationError, ConfigurationExpected,
    ConfigurationView, Deployment, Environment, Monotonic, Now, Proposal, Region, Site, SiteId,
    SiteName, Sleep, Timestamp,
};

/// When everything happens: Sat, 28 Nov 2026 17:20:00 GMT.
pub const NOW: u64 = 1_795_886_400_000;

#[derive(Clone, Default)]
struct View {
    revision: u64,
    entries: BTreeMap<String, (u64, Bytes)>,
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

/// A configuration in memory.
#[derive(Default)]
pub struct Memory {
    view: Mutex<Arc<View>>,
}

impl Memory {
    fn decide(&self, edits: Vec<ConfigurationEdit>) -> Result<u64, ConfigurationError> {
        let mut held = self.view.lock().unwrap();
        let mut view = View::clone(&held);
        view.revision += 1;
        for edit in edits {
            let found = view.entries.get(&edit.key).map(|(revision, _)| *revision);
            let holds = match edit.expected {
                ConfigurationExpected::Any => true,
                ConfigurationExpected::Absent => found.is_none(),
                ConfigurationExpected::Revision(revision) => found == Some(revision),
            };
            if !holds {
                return Err(ConfigurationError::Conflict);
            }
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

/// A clock that goes on by a millisecond a look, and a counter for randomness.
#[derive(Default)]
pub struct Clock {
    passed: AtomicU64,
    draws: AtomicU64,
}

impl Environment for Clock {
    fn now(&self) -> Now {
        let passed = self.passed.fetch_add(1, Ordering::Relaxed);
        Now {
            wall: Timestamp(NOW + passed),
            monotonic: Monotonic(passed * 1_000_000),
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

struct Nobody;

impl Roles for Nobody {
    fn assume(&self, role: &str) -> Result<Box<dyn Authorizer>, RoleRefusal> {
        Err(RoleRefusal(format!("there is no {role}")))
    }
}

impl Peers for Nobody {
    fn bucket(
        &self,
        _: Region,
        _: &BucketName,
    ) -> Pin<Box<dyn Future<Output = Result<Option<BucketFacts>, Unreachable>> + Send + '_>> {
        Box::pin(std::future::ready(Err(Unreachable)))
    }
}

/// A caller of the lab's account who may all but some actions, and remembers what it was asked.
pub struct Somebody {
    owner: Owner,
    denied: Vec<&'static str>,
    asked: Mutex<Vec<(String, String)>>,
}

impl Somebody {
    pub fn but_not(denied: &[&'static str]) -> Arc<Somebody> {
        Arc::new(Somebody {
            owner: Owner::new(AccountId::LAB, "us-east-1"),
            denied: denied.to_vec(),
            asked: Mutex::default(),
        })
    }

    /// What it was asked: actions and resources.
    pub fn asked(&self) -> Vec<(String, String)> {
        std::mem::take(&mut self.asked.lock().unwrap())
    }
}

impl Authorizer for Somebody {
    fn account(&self) -> AccountId {
        self.owner.account()
    }

    fn arn(&self) -> &str {
        self.owner.arn()
    }

    fn region(&self) -> &str {
        self.owner.region()
    }

    fn authorize(&self, question: &Question<'_>) -> Result<(), Denied> {
        let asked = (question.action.to_string(), question.resource.to_string());
        let refused = self.denied.contains(&asked.0.as_str());
        self.asked.lock().unwrap().push(asked);
        match refused {
            true => Err(Denied {
                message: "no".to_owned(),
            }),
            false => self.owner.authorize(question),
        }
    }

    fn bind_policy(&self, kind: PolicyKind, document: &str) -> Result<String, PolicyRefusal> {
        self.owner.bind_policy(kind, document)
    }

    fn show_policy(&self, document: &str) -> String {
        self.owner.show_policy(document)
    }
}

/// A Region's S3.
pub struct Stand {
    pub objects: Arc<Objects<MemoryEngine>>,
    pub blobs: MemoryBlobs,
    pub engine: MemoryEngine,
    pub caller: Arc<dyn Authorizer>,
    service: S3Service<MemoryEngine>,
}

/// What was answered.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
}

impl Answer {
    /// The body as text.
    pub fn text(&self) -> &str {
        std::str::from_utf8(&self.body).unwrap()
    }

    /// The text of the first element of that name.
    pub fn one(&self, name: &str) -> &str {
        let (open, close) = (format!("<{name}>"), format!("</{name}>"));
        let rest = self.text().split(&open).nth(1);
        let rest = rest.unwrap_or_else(|| panic!("no {name} in {}", self.text()));
        rest.split(&close).next().unwrap()
    }

    /// A header's text; empty if it isn't there.
    pub fn header(&self, name: &str) -> &str {
        let value = self.headers.get(name);
        value.map_or("", |value| value.to_str().unwrap())
    }

    /// Status and code of an error.
    pub fn error(&self) -> (u16, &str) {
        assert!(self.status >= 300, "{self:?}");
        (self.status, self.one("Code"))
    }

    /// The answer, which is a success.
    pub fn ok(self) -> Answer {
        assert!(self.status < 300, "{} {}", self.status, self.text());
        self
    }
}

impl Stand {
    /// One without buckets.
    pub fn new() -> Stand {
        let blobs = MemoryBlobs::new();
        let region: Region = "us-east-1".parse().unwrap();
        let site = Site {
            id: SiteId(1),
            name: SiteName::Region(region),
            place: "us-east-1".parse().unwrap(),
        };
        let config = ObjectsConfig {
            deployment: Deployment { sites: vec![site] },
            site: SiteId(1),
            region,
            environment: Arc::new(Clock::default()),
            configuration: Arc::new(Memory::default()),
            blobs: Arc::new(blobs.clone()),
            key: SiteKey::new([7; 32]),
            roles: Arc::new(Nobody),
            peers: Arc::new(Nobody),
            webhooks: Arc::new(NoWebhooks),
        };
        let engine = MemoryEngine::new();
        let opened = block_on(Objects::open(engine.clone(), config));
        let objects = Arc::new(opened.unwrap());
        Stand {
            service: S3Service::new(objects.clone()),
            caller: Arc::new(Owner::new(AccountId::LAB, "us-east-1")),
            objects,
            blobs,
            engine,
        }
    }

    /// One with a bucket `bucket`, as that function sets it.
    pub fn with(set: impl FnOnce(&mut BucketSettings)) -> Stand {
        let stand = Stand::new();
        let mut settings = BucketSettings::new(false);
        set(&mut settings);
        let new = NewBucket {
            name: "bucket".parse().unwrap(),
            owner: AccountId::LAB,
            settings,
        };
        block_on(stand.objects.create_bucket(new)).unwrap();
        stand
    }

    /// One with a bucket `bucket` that keeps versions.
    pub fn versioned() -> Stand {
        Stand::with(|settings| settings.versioning = Versioning::Enabled)
    }

    /// A bucket in another Region.
    pub fn elsewhere(&self, name: &str, region: &str) {
        let entry = BucketEntry {
            id: BucketId(77),
            owner: AccountId::LAB,
            region: region.parse().unwrap(),
            created: Timestamp(NOW),
            object_lock: false,
        };
        let edit = ConfigurationEdit {
            key: format!("objects/bucket/{name}"),
            expected: ConfigurationExpected::Absent,
            value: Some(serde_json::to_vec(&entry).unwrap().into()),
        };
        let configuration = self.objects.config().configuration.clone();
        block_on(configuration.propose(vec![edit])).unwrap();
    }

    /// The answer to a request.
    pub fn call(
        &self,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        self.call_as(
            Caller::Signed(self.caller.clone()),
            method,
            path,
            headers,
            body,
        )
    }

    /// The same, of that caller.
    pub fn call_as(
        &self,
        caller: Caller,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: impl Into<Bytes>,
    ) -> Answer {
        let body: Bytes = body.into();
        let is_given = |name: &str| headers.iter().any(|(given, _)| *given == name);
        let length = body.len().to_string();
        let mut headers = headers.to_vec();
        if !is_given("content-length") && !is_given("transfer-encoding") {
            headers.push(("content-length", &length));
        }
        let body = Full::new(body).map_err(|never| match never {});
        self.call_with(caller, method, path, &headers, body.boxed_unsync())
    }

    /// The same, of a body as it comes.
    pub fn call_with(
        &self,
        caller: Caller,
        method: Method,
        path: &str,
        headers: &[(&str, &str)],
        body: s3::Body,
    ) -> Answer {
        let mut request = Request::builder().method(method).uri(path);
        let is_given = |name: &str| headers.iter().any(|(given, _)| *given == name);
        if !is_given("host") {
            request = request.header("host", "127.0.0.1:4566");
        }
        for (name, value) in headers {
            request = request.header(*name, *value);
        }
        let request = request.body(body).unwrap();
        let (parts, body) = request.into_parts();
        let call = S3Call {
            payload: PayloadVerifier::unsigned(&parts).unwrap(),
            request: Request::from_parts(parts, body),
            caller,
            request_id: "REQUEST".to_owned(),
            source: "192.0.2.7".parse().unwrap(),
        };
        let (head, body) = block_on(self.service.call(call)).into_parts();
        let body = block_on(body.collect());
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.map(|body| body.to_bytes()).unwrap_or_default(),
        }
    }

    /// The answer to a form of these fields and that file, of that caller.
    pub fn post(&self, caller: &Caller, path: &str, fields: &[(&str, &str)], file: &str) -> Answer {
        let mut body = String::new();
        for (name, value) in fields {
            body += "--xx\r\nContent-Disposition: form-data; name=\"";
            body += &format!("{name}\"\r\n\r\n{value}\r\n");
        }
        body += "--xx\r\nContent-Disposition: form-data; name=\"file\"; filename=\"f.txt\"\r\n";
        body += &format!("\r\n{file}\r\n--xx--\r\n");
        let request = Request::post(path)
            .header("host", "127.0.0.1:4566")
            .header("content-length", body.len())
            .header("content-type", "multipart/form-data; boundary=xx");
        let body = Full::new(Bytes::from(body)).map_err(|never| match never {});
        let form = S3Form {
            request: request.body(body.boxed_unsync()).unwrap(),
            request_id: "REQUEST".to_owned(),
            source: "192.0.2.7".parse().unwrap(),
        };
        let admit = |_: &s3::Form| Ok(caller.clone());
        let (head, body) = block_on(self.service.post(form, &admit)).into_parts();
        let body = block_on(body.collect());
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: body.map(|body| body.to_bytes()).unwrap_or_default(),
        }
    }

    pub fn get(&self, path: &str) -> Answer {
        self.call(Method::GET, path, &[], "")
    }

    pub fn put(&self, path: &str, body: impl Into<Bytes>) -> Answer {
        self.call(Method::PUT, path, &[], body)
    }

    pub fn delete(&self, path: &str) -> Answer {
        self.call(Method::DELETE, path, &[], "")
    }

    pub fn head(&self, path: &str) -> Answer {
        self.call(Method::HEAD, path, &[], "")
    }
}

/// Polls a future to its end on this thread.
pub fn block_on<F: Future>(future: F) -> F::Output {
    struct Unpark(Thread);
    impl Wake for Unpark {
        fn wake(self: Arc<Self>) {
            self.0.unpark();
        }
    }
    let waker = Waker::from(Arc::new(Unpark(std::thread::current())));
    let mut context = Context::from_waker(&waker);
    let mut future = pin!(future);
    loop {
        match future.as_mut().poll(&mut context) {
            Poll::Ready(output) => return output,
            Poll::Pending => std::thread::park(),
        }
    }
}
