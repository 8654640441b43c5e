//! What a scenario wants in its lab before the load begins: tables and their replicas, health
//! checks, accelerators, zones and records, through the same APIs that anybody would use. It waits
//! for each until it is in force, and changes nothing that it didn't make.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use gameday::Scenario;
use gameday::scenario::{App, ChangeAction, HealthCheck, RecordChange, Table};
use http::{Method, Request};
use serde_json::json;
use types::{Environment, Monotonic, Region, Span};

use super::accelerators::{self, MadeAccelerator};
use super::api::{Api, ApiError, elements, required};
use super::buckets;
use super::databases::{self, MadeCluster};
use super::lab::TestLab;
use super::load::Network;
use super::records::{Made, Zones};
use crate::failure::Failure;

/// How often is looked whether something is in force.
const LOOK: Span = Span::milliseconds(50);

/// How long the application may take to answer one look.
const APPLICATION_WAIT: Duration = Duration::from_secs(2);

/// How long the DNS may take to answer one look.
const NAME_WAIT: Span = Span::seconds(2);

/// What was made, by the names the service has given.
#[derive(Clone, Debug, Default)]
pub struct Deployed {
    /// The zones.
    pub zones: Zones,
    /// The ids of the health checks, by their index in the scenario.
    pub checks: Vec<String>,
    /// The accelerators, by their index in the scenario.
    pub accelerators: Vec<MadeAccelerator>,
    /// The global clusters, by their index among the scenario's tables.
    pub clusters: BTreeMap<usize, MadeCluster>,
}

/// A deployment under way.
pub struct Deployment<'a> {
    lab: &'a TestLab,
    scenario: &'a Scenario,
    api: Api,
    deadline: Monotonic,
}

impl<'a> Deployment<'a> {
    /// One that must be through within the scenario's time.
    pub fn new(lab: &'a TestLab, scenario: &'a Scenario) -> Deployment<'a> {
        let now = lab.environment.now().monotonic;
        Deployment {
            lab,
            scenario,
            api: lab.api(),
            deadline: now + scenario.measure.deploy_within,
        }
    }

    /// Makes the tables and buckets and waits until every replica serves.
    pub async fn tables(&self) -> Result<(), Failure> {
        let stores = self.scenario.tables.iter();
        let stores = stores.filter(|store| !store.is_global_cluster());
        let (kept_in_buckets, tables): (Vec<&Table>, Vec<&Table>) =
            stores.partition(|t| t.is_buckets());
        for table in tables {
            self.create_table(table).await?;
        }
        if !kept_in_buckets.is_empty() {
            let made = "the role that replicates is there";
            self.wait(made, || self.agreed(buckets::create_role(&self.api)))
                .await?;
        }
        for of in kept_in_buckets {
            for region in &of.regions {
                let what = format!("the bucket {} is there", of.bucket(*region));
                self.wait(&what, || {
                    self.agreed(buckets::create(&self.api, of, *region))
                })
                .await?;
            }
            let what = format!("the bucket {} is replicated", of.name);
            self.wait(&what, || self.agreed(buckets::replicate(&self.api, of)))
                .await?;
        }
        Ok(())
    }

    /// It is done, or not yet: what only one bucket may have, the sites agree on first.
    async fn agreed(
        &self,
        made: impl Future<Output = Result<(), ApiError>>,
    ) -> Result<bool, ApiError> {
        match made.await {
            Ok(()) => Ok(true),
            // It was made by an attempt whose answer was lost.
            Err(ApiError::Refused {
                code: Some(code), ..
            }) if ["EntityAlreadyExists", "BucketAlreadyOwnedByYou"].contains(&code.as_str()) => {
                Ok(true)
            }
            Err(cause) => Err(cause),
        }
    }

    /// Makes the global clusters, and waits until each of their members serves.
    pub async fn databases(&self, made: &mut Deployed) -> Result<(), Failure> {
        let stores = self.scenario.tables.iter().enumerate();
        for (index, of) in stores.filter(|(_, store)| store.is_global_cluster()) {
            let cluster = databases::make(self, of).await?;
            made.clusters.insert(index, cluster);
        }
        Ok(())
    }

    async fn create_table(&self, table: &Table) -> Result<(), Failure> {
        let name = &table.name;
        let mut regions = table.regions.iter().copied();
        let Some(first) = regions.next() else {
            return Ok(());
        };
        let key = table.key.as_deref().unwrap_or("id");
        let create = json!({
            "TableName": name,
            "BillingMode": "PAY_PER_REQUEST",
            "AttributeDefinitions": [{ "AttributeName": key, "AttributeType": "S" }],
            "KeySchema": [{ "AttributeName": key, "KeyType": "HASH" }],
        });
        self.api.dynamodb(first, "CreateTable", &create).await?;
        self.wait_for_table(name, first, 0).await?;
        // One at a time: the service takes no second change while the first is under way.
        for (count, replica) in regions.enumerate() {
            let create = json!({ "Create": { "RegionName": replica } });
            let update = json!({ "TableName": name, "ReplicaUpdates": [create] });
            self.api.dynamodb(first, "UpdateTable", &update).await?;
            self.wait_for_table(name, first, count + 1).await?;
            self.wait_for_table(name, replica, 0).await?;
        }
        Ok(())
    }

    /// Waits until the table serves there and says that so many replicas do.
    async fn wait_for_table(
        &self,
        name: &str,
        region: Region,
        replicas: usize,
    ) -> Result<(), Failure> {
        let what = format!("the table {name} in {region} serves");
        self.wait(&what, || async {
            let input = json!({ "TableName": name });
            let answer = self.api.dynamodb(region, "DescribeTable", &input).await?;
            let table = &answer["Table"];
            let rows = table["Replicas"].as_array().map_or(&[][..], Vec::as_slice);
            let active = rows.iter().filter(|row| row["ReplicaStatus"] == "ACTIVE");
            Ok(table["TableStatus"] == "ACTIVE" && active.count() >= replicas)
        })
        .await
    }

    /// Waits until the application answers in every Region.
    pub async fn applications(&self) -> Result<(), Failure> {
        let path = match &self.scenario.lab.app {
            None => return Ok(()),
            Some(App::Orders) => "/health",
            // Whatever it answers there, it is there.
            Some(App::Command(_)) => "/",
        };
        let must_succeed = self.scenario.lab.app == Some(App::Orders);
        for (region, address) in self.lab.applications() {
            let what = format!("the application in {region} answers on http://{address}{path}");
            self.wait(&what, || async {
                let status = get(address, path).await;
                Ok(status.is_some_and(|status| status.is_success() || !must_succeed))
            })
            .await?;
        }
        Ok(())
    }

    /// Makes accelerators, health checks, zones and records, and waits until every name server
    /// serves them.
    pub async fn routing(&self) -> Result<Deployed, Failure> {
        let mut made = Deployed::default();
        for accelerator in &self.scenario.accelerators {
            let done = accelerators::make(self, accelerator, |region| self.lab.instances(region));
            let done = done.await?;
            made.accelerators.push(done);
        }
        for check in &self.scenario.health_checks {
            made.checks.push(self.create_check(check).await?);
        }
        for zone in &self.scenario.zones {
            self.create_zone(&zone.name, &mut made).await?;
        }
        let records = self.scenario.records.iter().cloned();
        let changes = records.map(|record| RecordChange {
            action: ChangeAction::Create,
            record,
        });
        let changes: Vec<RecordChange> = changes.collect();
        let submitted = self.change_records(&self.api, &made, &changes).await?;
        for change in &submitted {
            self.wait_in_sync(change).await?;
        }
        Ok(made)
    }

    async fn create_check(&self, check: &HealthCheck) -> Result<String, Failure> {
        let xml = super::records::health_check(check, &self.unique(), &self.addresses());
        let answer = self.api.route53(Method::POST, "/healthcheck", xml).await?;
        Ok(required(&answer, "Id", "CreateHealthCheck")?)
    }

    async fn create_zone(&self, name: &str, made: &mut Deployed) -> Result<(), Failure> {
        let xml = super::records::hosted_zone(name, &self.unique());
        let answer = self.api.route53(Method::POST, "/hostedzone", xml).await?;
        let (change, zone) = super::records::created_zone(&answer)?;
        made.zones.add(zone);
        self.wait_in_sync(&change).await
    }

    /// Submits changes of records, a batch for each zone; gives the ids of the changes.
    pub async fn change_records(
        &self,
        api: &Api,
        made: &Deployed,
        changes: &[RecordChange],
    ) -> Result<Vec<String>, Failure> {
        let mut submitted = Vec::new();
        let refers_to = Made {
            checks: &made.checks,
            addresses: &self.addresses(),
            accelerators: &made.accelerators,
        };
        for (zone, xml) in made.zones.batches(changes, &refers_to) {
            let path = format!("/hostedzone/{zone}/rrset");
            let answer = api.route53(Method::POST, &path, xml).await?;
            let id = required(&answer, "Id", "ChangeResourceRecordSets")?;
            submitted.push(super::records::last_segment(&id).to_owned());
        }
        Ok(submitted)
    }

    async fn wait_in_sync(&self, change: &str) -> Result<(), Failure> {
        let what = format!("every name server serves the change {change}");
        let path = format!("/change/{change}");
        self.wait(&what, || async {
            let answer = self.api.route53(Method::GET, &path, String::new()).await?;
            Ok(required(&answer, "Status", "GetChange")? == "INSYNC")
        })
        .await
    }

    /// Waits until every checker (each site is one) has found every endpoint healthy that is
    /// probed: a load that begins before would measure the start.
    pub async fn healthy(&self, made: &Deployed) -> Result<(), Failure> {
        for (check, id) in self.scenario.health_checks.iter().zip(&made.checks) {
            if check.disabled || check.inverted {
                continue;
            }
            let what = format!("every checker finds {} healthy", check.name);
            let path = format!("/healthcheck/{id}/status");
            self.wait(&what, || async {
                let answer = self.api.route53(Method::GET, &path, String::new()).await?;
                Ok(all_find_it_healthy(&answer, self.lab.sites()))
            })
            .await?;
        }
        accelerators::settle(self, &self.scenario.accelerators, &made.accelerators).await
    }

    /// Waits until the names that the loads ask for have addresses, asked from their places.
    pub async fn names(&self, networks: impl Iterator<Item = Arc<Network>>) -> Result<(), Failure> {
        for (load, network) in self.scenario.loads.iter().zip(networks) {
            if !load.asks_the_dns() {
                continue;
            }
            let place = types::Place(load.place).address(super::load::WATCHER);
            let what = format!("{} has an address, asked from {}", load.target, load.place);
            self.wait(&what, || async {
                let resolved = network.resolve(place, NAME_WAIT).await;
                Ok(resolved.is_ok_and(|resolved| !resolved.addresses.is_empty()))
            })
            .await?;
        }
        Ok(())
    }

    /// The APIs, through the front door.
    pub(super) fn api(&self) -> &Api {
        &self.api
    }

    /// The address of each Region's application.
    fn addresses(&self) -> BTreeMap<Region, SocketAddr> {
        self.lab.applications().into_iter().collect()
    }

    /// A caller reference.
    pub(super) fn unique(&self) -> String {
        format!("gameday-{:016x}", self.lab.environment.random())
    }

    /// Looks until it holds.
    pub(super) async fn wait<F: Future<Output = Result<bool, ApiError>>>(
        &self,
        what: &str,
        look: impl Fn() -> F,
    ) -> Result<(), Failure> {
        let found = self.obtain(what, || async { Ok(look().await?.then_some(())) });
        found.await
    }

    /// Looks until there is something. What is refused meanwhile (a table that isn't there yet) is
    /// looked at again; in the end it is told.
    pub(super) async fn obtain<T, F: Future<Output = Result<Option<T>, ApiError>>>(
        &self,
        what: &str,
        look: impl Fn() -> F,
    ) -> Result<T, Failure> {
        loop {
            let looked = match look().await {
                Ok(Some(found)) => return Ok(found),
                Ok(None) => None,
                Err(cause) => Some(cause),
            };
            let now = self.lab.environment.now().monotonic;
            if now >= self.deadline {
                let within = self.scenario.measure.deploy_within.0 / 1_000_000;
                let why = looked.map(|cause| format!(" ({cause})"));
                let why = why.unwrap_or_default();
                return Err(Failure::nothing_running(format!(
                    "the lab is not ready after {within} s: not yet so that {what}{why}"
                )));
            }
            self.lab.environment.sleep_until(now + LOOK).await;
        }
    }
}

/// Have so many checkers an observation, and does each say that the endpoint is well?
fn all_find_it_healthy(answer: &str, checkers: usize) -> bool {
    let statuses: Vec<String> = elements(answer, "Status").collect();
    let mut all = statuses.iter();
    statuses.len() == checkers && all.all(|status| status.starts_with("Success"))
}

async fn get(server: SocketAddr, path: &str) -> Option<http::StatusCode> {
    let request = Request::get(path).header("host", server.to_string());
    let request = request.body(Bytes::new()).ok()?;
    let answer = runtime::request(server, request, APPLICATION_WAIT).await;
    Some(answer.ok()?.status())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_site_must_have_found_it_healthy() {
        let well = "<Status>Success: HTTP Status Code 200, OK</Status>";
        let ill = "<Status>Failure: Connection refused</Status>";
        assert!(all_find_it_healthy(&well.repeat(3), 3));
        assert!(!all_find_it_healthy(well, 3));
        assert!(!all_find_it_healthy("", 3));
        assert!(!all_find_it_healthy(&format!("{well}{ill}{well}"), 3));
    }
}
