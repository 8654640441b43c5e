//! Verification and evaluation alone, in this process on one thread: a signed `GetItem` from its
//! bytes to "allowed", as a Region's front door and its tables go about it, without a socket.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr};
use std::sync::Arc;

use anyhow::{Context, Result, bail};
use aws::access::{Authorizer, Question};
use aws::signature::{Credentials, Expected, Rules, SecretKey, Target, Verifier, sign};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use bytes::Bytes;
use http::request::Parts;
use identity::model::{AccessKey, ManagedPolicy, Policies, PolicyVersion, User};
use identity::{
    Bootstrap, Call, Identity, NONCE_BYTES, OPERATOR_KEY_BYTES, Purpose, RequestContext, RootKey,
    RootKeys, Sealer, entries,
};
use rustix::time::{ClockId, clock_gettime};
use types::{AccountId, ConfigurationView, Region, Timestamp};
use zeroize::Zeroizing;

use super::{JUDGED, POLICIES, REGION, TABLE, document, policy_arn};
use crate::items;

/// A moment within the signatures' time.
const NOW: Timestamp = Timestamp(1_800_000_000_000);

/// Different requests of each caller, used in turn.
const REQUESTS: usize = 64;

/// How many are judged in a row.
const TURNS: usize = 20_000;

const USER_KEY: (&str, &str) = (
    "AKIABENCHBENCHBENCH7",
    "bench/bench/bench/bench/bench/bench/benc",
);
const ROOT_KEY: (&str, &str) = (
    "AKIAROOTROOTROOTROO7",
    "root/root/root/root/root/root/root/root/",
);

/// A configuration in memory.
struct View(BTreeMap<String, Bytes>);

impl ConfigurationView for View {
    fn revision(&self) -> u64 {
        1
    }

    fn get(&self, key: &str) -> Option<(u64, Bytes)> {
        Some((1, self.0.get(key)?.clone()))
    }

    fn visit(&self, prefix: &str, visitor: &mut dyn FnMut(&str, u64, &Bytes)) {
        let range = self.0.range(prefix.to_owned()..);
        for (key, value) in range.take_while(|(key, _)| key.starts_with(prefix)) {
            visitor(key, 1, value);
        }
    }
}

/// Who judges, and what.
pub struct Bare {
    identity: Arc<Identity>,
    verifier: Verifier,
    region: Region,
    of_user: Vec<(Parts, Vec<u8>)>,
    of_root: Vec<(Parts, Vec<u8>)>,
}

/// Microseconds of processor time a request, of the user and of the root.
pub struct Costs {
    /// Judged by ten policies.
    pub user: f64,
    /// Judged by none: the root may do everything.
    pub root: f64,
}

impl Bare {
    /// The user with its policies, the root, and their requests.
    pub fn new() -> Result<Bare> {
        let region: Region = REGION.parse()?;
        let sealer = Arc::new(Sealer::new(&Zeroizing::new([7; OPERATOR_KEY_BYTES])));
        let bootstrap = Bootstrap {
            account: AccountId::LAB,
            root_keys: RootKeys::new(RootKey::new(ROOT_KEY.0, ROOT_KEY.1)?),
        };
        let view = Arc::new(View(configuration(&sealer)));
        let identity = Identity::compile(None, view, &sealer, &bootstrap);
        let (of_user, of_root) = (requests(USER_KEY, region)?, requests(ROOT_KEY, region)?);
        Ok(Bare {
            identity: Arc::new(identity),
            verifier: Verifier::new(),
            region,
            of_user,
            of_root,
        })
    }

    /// Judges both callers' requests, some thousands in a row each.
    pub fn round(&self) -> Result<Costs> {
        Ok(Costs {
            user: self.cost(&self.of_user)?,
            root: self.cost(&self.of_root)?,
        })
    }

    fn cost(&self, requests: &[(Parts, Vec<u8>)]) -> Result<f64> {
        let before = clock_gettime(ClockId::ThreadCPUTime);
        for (parts, body) in requests.iter().cycle().take(TURNS) {
            self.judge(parts, body)?;
        }
        let after = clock_gettime(ClockId::ThreadCPUTime);
        let seconds = (after.tv_sec - before.tv_sec) as f64;
        let nanoseconds = (after.tv_nsec - before.tv_nsec) as f64;
        Ok((seconds * 1e6 + nanoseconds / 1e3) / TURNS as f64)
    }

    fn judge(&self, parts: &Parts, body: &[u8]) -> Result<()> {
        let expected = Expected {
            service: "dynamodb",
            regions: &[self.region],
            rules: Rules::JSON,
        };
        let keys = self.identity.keys(NOW);
        let verified = self.verifier.verify(parts, body, &expected, NOW, &keys);
        let Ok(verified) = verified else {
            bail!("the bench's own signature is refused");
        };
        let caller = self.identity.caller(&verified, NOW);
        let caller = caller.ok().context("the key's owner is known")?;
        let context = RequestContext {
            source_ip: Some(IpAddr::V4(Ipv4Addr::LOCALHOST)),
            secure_transport: false,
            user_agent: None,
            referer: None,
            region: REGION.to_owned(),
            now: NOW,
        };
        let call = Call::new(Arc::clone(&self.identity), caller, context);
        let resource = format!("arn:aws:dynamodb:{REGION}:{}:table/{TABLE}", AccountId::LAB);
        let question = Question::new("dynamodb:GetItem", resource, AccountId::LAB);
        if let Err(denied) = call.authorize(&question) {
            bail!("the bench's own user is denied: {}", denied.message);
        }
        Ok(())
    }
}

fn configuration(sealer: &Sealer) -> BTreeMap<String, Bytes> {
    let account = AccountId::LAB;
    let mut entries = BTreeMap::new();
    let mut attached = Vec::new();
    for number in 0..POLICIES {
        let name = format!("bench-{number}");
        let version = PolicyVersion {
            document: document(number).into(),
            created: 1,
        };
        let policy = ManagedPolicy {
            name: name.clone(),
            id: format!("ANPA{number:017}"),
            path: "/".to_owned(),
            created: 1,
            updated: 1,
            description: None,
            versions: BTreeMap::from([(1, version)]),
            default_version: 1,
            next_version: 2,
            tags: BTreeMap::new(),
        };
        attached.push(policy_arn(&name));
        let key = entries::key::<ManagedPolicy>(account, &name);
        entries.insert(key, entries::encode(&policy));
    }
    let policies = Policies {
        attached,
        inline: BTreeMap::new(),
    };
    let (id, secret) = USER_KEY;
    let user = super::loading::user(JUDGED, 0, policies, id);
    entries.insert(
        entries::key::<User>(account, JUDGED),
        entries::encode(&user),
    );
    let sealed = sealer.seal(Purpose::AccessKey, id, secret.as_bytes(), &[3; NONCE_BYTES]);
    let key = AccessKey {
        account: account.to_string(),
        user: JUDGED.to_owned(),
        created: 1,
        active: true,
        sealed: STANDARD.encode(sealed),
    };
    entries.insert(entries::access_key_key(id), entries::encode(&key));
    entries
}

/// Signed requests of whoever has that key.
fn requests((id, secret): (&str, &str), region: Region) -> Result<Vec<(Parts, Vec<u8>)>> {
    let secret = SecretKey::new(secret.to_owned());
    let credentials = Credentials {
        access_key_id: id,
        secret: &secret,
        session_token: None,
    };
    let target = Target {
        service: "dynamodb",
        region,
        rules: Rules::JSON,
    };
    let requests = (0..REQUESTS).map(|number| {
        let body = items::get(TABLE, &format!("filled-{number}"));
        let request = http::Request::post("/")
            .header("host", "127.1.1.1:4566")
            .header("content-type", "application/x-amz-json-1.0")
            .header("x-amz-target", "DynamoDB_20120810.GetItem")
            .body(())?;
        let (mut parts, ()) = request.into_parts();
        sign(&mut parts, &body, &credentials, &target, NOW)?;
        Ok((parts, body))
    });
    requests.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_are_allowed() {
        let bare = Bare::new().unwrap();
        for (parts, body) in bare.of_user.iter().chain(&bare.of_root) {
            bare.judge(parts, body).unwrap();
        }
    }
}
