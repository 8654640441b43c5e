//! The application of one Region (`up --app`): an instance in each of the lab's zones for it, all
//! started by the shell once their Region serves, and gone with it. Nothing is said to them but by
//! their environment, and nothing they do is judged.

mod instance;

use std::future::Future;
use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use runtime::ProgramSpec;
use types::{AvailabilityZone, Site, ZoneLetter};

use super::Supervisor;
use crate::control::AppReport;
use crate::faults::InstanceWish;
use crate::lab::KEY_VARIABLE;
use instance::Instance;

/// What runs in every Region.
#[derive(Clone, PartialEq, Eq, Debug)]
pub struct AppCommand {
    /// What the shell runs.
    pub command: String,
    /// The zones with an instance, in order.
    pub zones: Vec<ZoneLetter>,
}

/// The instances of a Region that serves; none of an edge, or without an application.
#[derive(Clone, Default)]
pub(super) struct Apps(Vec<(AvailabilityZone, Arc<Instance>)>);

impl Apps {
    /// Begins to run the application of that Region, if the lab has one, where faults let it.
    pub(super) fn start(lab: &Supervisor, site: Site) -> Apps {
        let (Some(region), Some(app)) = (site.name.region(), &lab.app) else {
            return Apps::default();
        };
        let start = |letter: &ZoneLetter| {
            let zone = AvailabilityZone {
                region,
                letter: *letter,
            };
            let address = lab.lab.instance_address(site.id, *letter);
            let wish = lab.faults().instance(zone);
            let spec = spec(lab, site, zone, &app.command);
            let instance =
                Instance::start((zone, address), spec, &lab.guard, &lab.environment, wish);
            (zone, instance)
        };
        Apps(app.zones.iter().map(start).collect())
    }

    /// Brings them to what was wished of each zone's; what is killed is gone when this ends.
    pub(super) async fn adjust(&self, wish: impl Fn(AvailabilityZone) -> InstanceWish) {
        let set = self
            .0
            .iter()
            .map(|(zone, instance)| instance.set(wish(*zone)));
        join_all(set).await;
    }

    /// Kills them for good. Their shells are gone when the future ends, and what they started was
    /// killed.
    pub(super) fn kill(&self) -> impl Future<Output = ()> + use<> {
        let killed: Vec<_> = self.0.iter().map(|(_, instance)| instance.kill()).collect();
        async move {
            join_all(killed).await;
        }
    }

    /// Asks them to end, and kills those that haven't within `grace`.
    pub(super) async fn stop(&self, grace: Duration) {
        join_all(self.0.iter().map(|(_, instance)| instance.stop(grace))).await;
    }

    /// How they are.
    pub(super) fn report(&self) -> Vec<AppReport> {
        self.0
            .iter()
            .map(|(_, instance)| instance.report())
            .collect()
    }
}

/// The command in the shell, with what every AWS tool and every server looks for in its
/// environment. Its endpoint is the lab's front door: there an application reaches its own Region
/// and the others, as it would by their public names; its own Region's address would refuse
/// requests for another.
fn spec(lab: &Supervisor, site: Site, zone: AvailabilityZone, command: &str) -> ProgramSpec {
    let address = lab.lab.instance_address(site.id, zone.letter);
    let region = zone.region;
    let key = &lab.lab.root_key;
    let set = [
        ("AWS_AVAILABILITY_ZONE", zone.to_string()),
        ("HOST", address.ip().to_string()),
        ("PORT", address.port().to_string()),
        ("AWS_REGION", region.name().to_owned()),
        ("AWS_DEFAULT_REGION", region.name().to_owned()),
        ("AWS_ENDPOINT_URL", lab.lab.url()),
        ("AWS_ACCESS_KEY_ID", key.access_key_id().to_owned()),
        ("AWS_SECRET_ACCESS_KEY", key.secret().expose().to_owned()),
    ];
    let authority = lab.lab.authority_file();
    let authority = ("AWS_CA_BUNDLE".to_owned(), authority.map(Into::into));
    let set = set.map(|(name, value)| (name.to_owned(), Some(value.into())));
    let set = set.into_iter().chain([authority]);
    let inherited = runtime::variables_named(SERVICE_ENDPOINT);
    let taken_away = taken_away(inherited).map(|name| (name, None));
    // What seals every secret is nobody's but the Regions' and their supervisor's.
    let taken_away = taken_away.chain([(KEY_VARIABLE.to_owned(), None)]);
    let log = format!("app-{}.log", zone.letter);
    ProgramSpec {
        program: "/bin/sh".into(),
        arguments: vec!["-c".into(), command.into()],
        environment: set.chain(taken_away).collect(),
        log: lab.lab.site_directory(site.name).join(log),
    }
}

/// How the variables begin that name the endpoint of one service, as `AWS_ENDPOINT_URL_DYNAMODB`:
/// SDKs take it before `AWS_ENDPOINT_URL` (AWS SDKs and Tools Reference Guide, "Service-specific
/// endpoints").
const SERVICE_ENDPOINT: &str = "AWS_ENDPOINT_URL_";

/// What of the user's environment would lead the application elsewhere: another account's
/// credentials, a switch that has SDKs ignore endpoints, and the endpoints of single services.
fn taken_away(service_endpoints: Vec<String>) -> impl Iterator<Item = String> {
    let fixed = [
        "AWS_SESSION_TOKEN",
        "AWS_PROFILE",
        "AWS_IGNORE_CONFIGURED_ENDPOINT_URLS",
    ];
    fixed
        .into_iter()
        .map(str::to_owned)
        .chain(service_endpoints)
}
