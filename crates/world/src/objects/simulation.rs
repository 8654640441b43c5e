//! One simulation of buckets from beginning to end.

use std::sync::{Arc, Mutex};

use types::{Monotonic, SiteId, Span};

use super::check::{Fault as Wrong, Held, HeldVersion, check, check_order};
use super::listing::{versions, wrong_bytes};
use super::workload::{Attempts, Habits, Told, bucket_of, work};
use crate::deployment::REGIONS;
use crate::faults::{Fault, schedule};
use crate::random::Random;
use crate::workload::Client;
use crate::world::{PlantedBug, World};

/// How long the buckets may take to be there and replicated.
const SETUP: Span = Span::seconds(120);

/// How long clients and faults are at work.
const TURMOIL: Span = Span::seconds(15);

/// How long everything may take to arrive after the heal.
const HEALING: Span = Span::seconds(240);

/// Between looks at how far it is.
const LOOK: Span = Span::milliseconds(250);

/// Between looks at the order in which versions arrived. Each lists every bucket whole.
const ORDER_EVERY: Span = Span::seconds(1);

/// The sites whose clients write.
const WRITERS: [SiteId; 2] = [SiteId(1), SiteId(2)];

/// What a simulation found.
#[derive(Debug)]
pub struct ObjectsReport {
    /// Its seed.
    pub seed: u64,
    /// What is wrong in the end, or was at any moment; empty if all is well.
    pub wrong: Vec<Wrong>,
    /// Why it didn't come to its end.
    pub stuck: Option<String>,
    /// Everything that happened, condensed.
    pub trace: u64,
    /// Writes acknowledged.
    pub acknowledged: usize,
    /// Versions, counted at each site, that have tags of another site's clients in the end.
    pub tagged: usize,
    /// The faults that were injected.
    pub faults: Vec<(Monotonic, Fault)>,
}

impl ObjectsReport {
    /// Is everything as it must be?
    pub fn is_sound(&self) -> bool {
        self.wrong.is_empty() && self.stuck.is_none()
    }
}

/// Runs the simulation of a seed.
pub fn simulate_objects(seed: u64, planted: Option<PlantedBug>) -> ObjectsReport {
    let mut random = Random::new(seed ^ 0x0b1e_c75a);
    let mut simulation = Simulation {
        world: World::new(seed, planted),
        attempts: Arc::default(),
        habits: Habits {
            keys: [1, 3, 40][random.below(3) as usize],
            pause: [250, 600, 1_500][random.below(3) as usize],
        },
        random,
        wrong: Vec::new(),
        faults: Vec::new(),
    };
    let stuck = simulation.set_up().err();
    if stuck.is_none() {
        simulation.turmoil();
        simulation.heal();
    }
    let held = simulation.held();
    let of_another = |(site, listed): (&SiteId, &Vec<HeldVersion>)| {
        let own = format!("by-{}", site.0);
        let tagged = listed
            .iter()
            .filter(|one| one.tags.keys().any(|key| *key != own));
        tagged.count()
    };
    let tagged = held.iter().map(of_another).sum();
    let attempts = simulation.attempts.lock().expect("nothing panics inside");
    let done = attempts
        .iter()
        .filter(|one| matches!(one.told, Told::Done(_)));
    ObjectsReport {
        seed,
        wrong: simulation.wrong.clone(),
        stuck,
        trace: simulation.world.trace(),
        acknowledged: done.count(),
        tagged,
        faults: simulation.faults.clone(),
    }
}

struct Simulation {
    world: World,
    attempts: Attempts,
    habits: Habits,
    random: Random,
    wrong: Vec<Wrong>,
    faults: Vec<(Monotonic, Fault)>,
}

impl Simulation {
    fn client(&self, site: SiteId) -> Option<Client> {
        let mut regions = self.world.regions().into_iter();
        let region = regions.find(|region| self.world.site_of(region) == site)?;
        Some(Client {
            region,
            environment: self.world.environment(site),
            key: self.world.key().clone(),
        })
    }

    /// Makes the role, the buckets and their replication, in a world without faults.
    fn set_up(&mut self) -> Result<(), String> {
        let ready = Arc::new(Mutex::new(0));
        for site in [SiteId(1), SiteId(2), SiteId(3)] {
            let client = self.client(site).ok_or("a Region is down")?;
            let ready = ready.clone();
            self.world.spawn(site, async move {
                make_bucket(&client, site).await;
                *ready.lock().expect("nothing panics inside") += 1;
            });
        }
        self.wait(&ready, 3, "the buckets are not there")?;
        for (count, (from, to)) in [(SiteId(1), &[2, 3][..]), (SiteId(2), &[1])]
            .into_iter()
            .enumerate()
        {
            let client = self.client(from).ok_or("a Region is down")?;
            let done = ready.clone();
            self.world.spawn(from, async move {
                replicate(&client, from, to).await;
                *done.lock().expect("nothing panics inside") += 1;
            });
            self.wait(&ready, 4 + count, "the buckets are not replicated")?;
        }
        Ok(())
    }

    fn wait(&mut self, ready: &Mutex<usize>, wanted: usize, what: &str) -> Result<(), String> {
        let end = self.world.now() + SETUP;
        loop {
            let reached = *ready.lock().expect("nothing panics inside") >= wanted;
            if reached && self.world.agree_on_settings() {
                return Ok(());
            }
            if self.world.now() >= end {
                return Err(what.to_owned());
            }
            self.world.run(self.world.now() + LOOK);
        }
    }

    /// Clients and faults at work; what must hold at any moment is looked at all the time.
    fn turmoil(&mut self) {
        let begin = self.world.now();
        let end = begin + TURMOIL;
        for site in WRITERS {
            self.employ(site, end);
        }
        let sites = self.world.sites();
        let mut faults = schedule(&mut self.random, &sites, begin, end);
        self.faults.clone_from(&faults);
        faults.push((end, Fault::Break(SiteId(1), SiteId(2))));
        for (at, fault) in faults {
            while self.world.now() < at {
                self.world.run((self.world.now() + ORDER_EVERY).min(at));
                self.watch_order();
            }
            self.world.inject(fault);
            if let Fault::Restart(site) = fault
                && WRITERS.contains(&site)
            {
                self.employ(site, end);
            }
        }
    }

    /// Two clients of a Region that is up; they die with it.
    fn employ(&mut self, site: SiteId, end: Monotonic) {
        for _ in 0..2 {
            let random = self.random.split();
            if let Some(client) = self.client(site) {
                let (attempts, habits) = (self.attempts.clone(), self.habits);
                let task = work(client, site, attempts, habits, random, end);
                self.world.spawn(site, task);
            }
        }
    }

    /// Ends every fault and waits until all is as it must be in the end; notes what isn't.
    fn heal(&mut self) {
        self.world.heal();
        let end = self.world.now() + HEALING;
        loop {
            self.world.run(self.world.now() + ORDER_EVERY);
            self.watch_order();
            let held = self.held();
            let attempts = self.attempts.lock().expect("nothing panics inside");
            let wrong = check(&attempts, &held);
            drop(attempts);
            // Clients may still be finishing what they began.
            if wrong.is_empty() && self.world.now() + HEALING >= end + TURMOIL {
                self.look_at_bytes();
                return;
            }
            if self.world.now() >= end {
                self.wrong.extend(wrong);
                return;
            }
        }
    }

    /// Reads everything that there is.
    fn look_at_bytes(&mut self) {
        let attempts = self.attempts.lock().expect("nothing panics inside");
        for region in self.world.regions() {
            let site = self.world.site_of(&region);
            let name = bucket_of(site).parse().expect("a bucket's name");
            let objects = region.objects();
            let Ok(bucket) = objects.bucket(&name) else {
                continue;
            };
            let wrong = wrong_bytes(objects, &bucket, &attempts).into_iter();
            self.wrong
                .extend(wrong.map(|what| Wrong::Bytes(site, what)));
        }
    }

    fn watch_order(&mut self) {
        let found = check_order(&self.held());
        for one in found {
            if !self.wrong.contains(&one) {
                self.wrong.push(one);
            }
        }
    }

    /// What the buckets of the Regions that are up list.
    fn held(&self) -> Held {
        let regions = self.world.regions();
        let listed = regions.iter().filter_map(|region| {
            let site = self.world.site_of(region);
            let name = bucket_of(site).parse().expect("a bucket's name");
            let objects = region.objects();
            let bucket = objects.bucket(&name).ok()?;
            let listed = versions(objects, &bucket)?;
            let held = listed.iter().map(|one| HeldVersion {
                key: one.key.as_str().to_owned(),
                stamp: one.version.stamp,
                is_latest: one.is_latest,
                size: one.version.object().map(|object| object.size),
                tags: one
                    .version
                    .object()
                    .map(|object| object.tags.clone())
                    .unwrap_or_default(),
                status: one.version.replication_status(),
            });
            Some((site, held.collect()))
        });
        listed.collect()
    }
}

/// Calls until it is done: what only one may have, the sites elect a leader for first.
async fn until_done(client: &Client, path: &str, body: &str) {
    loop {
        let answer = client.s3("PUT", path, body.as_bytes().to_vec()).await;
        match answer.status {
            200..=299 => return,
            500..=599 | 404 | 409 => client.rest(LOOK).await,
            status => panic!("PUT {path} is refused ({status}): {}", answer.body),
        }
    }
}

async fn make_bucket(client: &Client, site: SiteId) {
    let path = format!("/{}", bucket_of(site));
    let region = REGIONS[usize::from(site.0) - 1];
    let constraint = match region {
        "us-east-1" => String::new(),
        region => format!(
            "<CreateBucketConfiguration><LocationConstraint>{region}</LocationConstraint>\
             </CreateBucketConfiguration>"
        ),
    };
    until_done(client, &path, &constraint).await;
    let versioned = "<VersioningConfiguration><Status>Enabled</Status></VersioningConfiguration>";
    until_done(client, &format!("{path}?versioning="), versioned).await;
    if site == SiteId(1) {
        // As a form has them: S3 may assume the role, which may do everything to objects.
        const TRUST: &str = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%7B%22Effect\
            %22%3A%22Allow%22%2C%22Principal%22%3A%7B%22Service%22%3A%22s3.amazonaws.com%22%7D%2C\
            %22Action%22%3A%22sts%3AAssumeRole%22%7D%7D";
        const RIGHTS: &str = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%7B%22Effect\
            %22%3A%22Allow%22%2C%22Action%22%3A%22s3%3A%2A%22%2C%22Resource%22%3A%22%2A%22%7D%7D";
        let create = format!("RoleName=crr&AssumeRolePolicyDocument={TRUST}");
        crate::workload::until_done(client, "CreateRole", &create).await;
        let put = format!("RoleName=crr&PolicyName=all&PolicyDocument={RIGHTS}");
        crate::workload::until_done(client, "PutRolePolicy", &put).await;
    }
}

async fn replicate(client: &Client, from: SiteId, to: &[u16]) {
    let rules = to.iter().map(|to| {
        let name = bucket_of(SiteId(*to));
        // Tags travel back between the two that replicate to each other.
        let modifications = match to {
            3 => "",
            _ => {
                "<SourceSelectionCriteria><ReplicaModifications><Status>Enabled</Status>\
                 </ReplicaModifications></SourceSelectionCriteria>"
            }
        };
        format!(
            "<Rule><ID>to-{to}</ID><Priority>{to}</Priority><Filter></Filter>\
             <Status>Enabled</Status>{modifications}<DeleteMarkerReplication>\
             <Status>Enabled</Status></DeleteMarkerReplication><Destination>\
             <Bucket>arn:aws:s3:::{name}</Bucket></Destination></Rule>"
        )
    });
    let rules: String = rules.collect();
    let body = format!(
        "<ReplicationConfiguration><Role>arn:aws:iam::111122223333:role/crr</Role>{rules}\
         </ReplicationConfiguration>"
    );
    let path = format!("/{}?replication=", bucket_of(from));
    until_done(client, &path, &body).await;
}
