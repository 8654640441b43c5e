//! `UpdateTable`: settings here, replicas in `global`. Changes take effect before it returns;
//! the answer says `UPDATING`, as the service's does and its clients' waiters expect.

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Map, Value, json};
use store::{Batch, Engine};

use crate::access::{Allowed, Execute, Request, Subject};
use crate::description::status;
use crate::request::{Constraints, respond};
use crate::schema::ThroughputInput;
use crate::settings::{StreamInput, judge_class, refuse_unbuilt};
use crate::table::{Billing, Table, Throughput};
use crate::{Change, Tables, TablesError};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Input {
    table_name: Option<String>,
    billing_mode: Option<String>,
    provisioned_throughput: Option<ThroughputInput>,
    stream_specification: Option<StreamInput>,
    table_class: Option<String>,
    deletion_protection_enabled: Option<bool>,
    global_secondary_index_updates: Option<Vec<Value>>,
    #[serde(rename = "SSESpecification")]
    sse_specification: Option<Value>,
    on_demand_throughput: Option<Value>,
    warm_throughput: Option<Value>,
    disassociation_protection_enabled: Option<bool>,
    replica_updates: Option<Vec<ReplicaUpdate>>,
    multi_region_consistency: Option<String>,
    global_table_witness_updates: Option<Vec<Value>>,
    global_table_settings_replication_mode: Option<String>,
}

/// The members of a request that concern replicas.
pub(crate) struct ReplicaRequest {
    pub(crate) replica_updates: Option<Vec<ReplicaUpdate>>,
    pub(crate) multi_region_consistency: Option<String>,
    pub(crate) global_table_witness_updates: Option<Vec<Value>>,
    pub(crate) global_table_settings_replication_mode: Option<String>,
    /// Are there other changes in the same request? The service allows none.
    pub(crate) others: bool,
}

/// `ReplicationGroupUpdate`: one action, by the service's rules.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReplicaUpdate {
    pub(crate) create: Option<ReplicaAction>,
    pub(crate) update: Option<ReplicaAction>,
    pub(crate) delete: Option<ReplicaAction>,
    pub(crate) disassociate: Option<ReplicaAction>,
}

/// What is to be done with the replica of a Region.
#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct ReplicaAction {
    pub(crate) region_name: Option<String>,
    /// Every other member, by its name.
    #[serde(flatten)]
    pub(crate) settings: Map<String, Value>,
}

impl Request for Input {
    fn subject(&self) -> Subject<'_> {
        let updates = || self.replica_updates.iter().flatten();
        let joining = updates().filter_map(|update| update.create.as_ref()?.region());
        let leaving = updates().filter_map(|update| update.delete.as_ref()?.region());
        Subject {
            table: self.table_name.as_deref(),
            joining: joining.collect(),
            leaving: leaving.collect(),
            ..Subject::default()
        }
    }
}

impl<E: Engine> Execute<E> for Input {
    async fn execute(
        self,
        tables: &Tables<E>,
        allowed: &Allowed<'_>,
    ) -> Result<Bytes, TablesError> {
        let input = self;
        input.constrain()?;
        let name = input.table_name.as_deref().unwrap_or_default();
        let table = tables.control_table(allowed, name)?;
        if input.concerns_replicas() {
            tables.update_replicas(&table, input.replicas()).await?;
            // As the service answers: `UPDATING`, and the replicas that there were.
            let description = tables.describe_as(&table, "UPDATING");
            return Ok(respond(&json!({"TableDescription": description})));
        }
        if !input.changes_settings() {
            return Err(TablesError::validation(NOTHING_TO_DO));
        }
        input.refuse_unbuilt()?;
        let mut change = tables.catalogue.change().await;
        let table = tables.control_table(allowed, name)?;
        check_free(&table, tables)?;
        let updated = input.judge(&table, tables)?;
        let mut batch = Batch::new();
        change.stage(&updated, &mut batch);
        if updated.group.is_some() {
            batch.announce(Change::Table { table: table.id }.encode());
        }
        tables.engine.commit(batch).await?;
        let table = change.publish(updated);
        let description = tables.describe_as(&table, "UPDATING");
        Ok(respond(&json!({"TableDescription": description})))
    }
}

/// The service's words for a request that changes nothing.
pub(crate) const NOTHING_TO_DO: &str = "At least one of ProvisionedThroughput, BillingMode, \
     UpdateStreamEnabled, GlobalSecondaryIndexUpdates, SSESpecification, ReplicaUpdates, \
     DeletionProtectionEnabled or TableClass is required";

fn check_free<E: Engine>(table: &Table, tables: &Tables<E>) -> Result<(), TablesError> {
    let doing = match status(table, tables.config.site) {
        "CREATING" => "created",
        "UPDATING" => "updated",
        _ => return Ok(()),
    };
    Err(TablesError::InUse(format!(
        "Attempt to change a resource which is still in use: Table is being {doing}: {}",
        table.name
    )))
}

impl Input {
    fn concerns_replicas(&self) -> bool {
        self.replica_updates.is_some()
            || self.multi_region_consistency.is_some()
            || self.global_table_witness_updates.is_some()
            || self.global_table_settings_replication_mode.is_some()
    }

    /// The part that concerns replicas.
    fn replicas(self) -> ReplicaRequest {
        ReplicaRequest {
            others: self.changes_settings(),
            replica_updates: self.replica_updates,
            multi_region_consistency: self.multi_region_consistency,
            global_table_witness_updates: self.global_table_witness_updates,
            global_table_settings_replication_mode: self.global_table_settings_replication_mode,
        }
    }

    fn constrain(&self) -> Result<(), TablesError> {
        let mut constraints = Constraints::default();
        constraints.table(self.table_name.as_deref());
        constraints.one_of(
            "billingMode",
            self.billing_mode.as_deref(),
            &["PROVISIONED", "PAY_PER_REQUEST"],
        );
        if let Some(throughput) = &self.provisioned_throughput {
            throughput.constrain("provisionedThroughput", &mut constraints);
        }
        if let Some(stream) = &self.stream_specification {
            stream.constrain(&mut constraints);
        }
        constraints.one_of(
            "tableClass",
            self.table_class.as_deref(),
            &["STANDARD", "STANDARD_INFREQUENT_ACCESS"],
        );
        constraints.one_of(
            "multiRegionConsistency",
            self.multi_region_consistency.as_deref(),
            &["EVENTUAL", "STRONG"],
        );
        if let Some(updates) = &self.replica_updates {
            constraints.length("replicaUpdates", "[]", updates.len(), 1, usize::MAX);
            for (index, update) in updates.iter().enumerate() {
                for (kind, action) in update.actions() {
                    let at = format!("replicaUpdates.{}.member.{kind}.regionName", index + 1);
                    constraints.present(&at, action.region_name.as_ref());
                }
            }
        }
        constraints.check()
    }

    /// `AttributeDefinitions` are no change of their own: they explain the keys of new indexes.
    fn changes_settings(&self) -> bool {
        self.billing_mode.is_some()
            || self.provisioned_throughput.is_some()
            || self.stream_specification.is_some()
            || self.table_class.is_some()
            || self.deletion_protection_enabled.is_some()
            || self.global_secondary_index_updates.is_some()
            || self.sse_specification.is_some()
            || self.on_demand_throughput.is_some()
            || self.warm_throughput.is_some()
            || self.disassociation_protection_enabled.is_some()
    }

    fn refuse_unbuilt(&self) -> Result<(), TablesError> {
        let index_updates = self.global_secondary_index_updates.as_ref();
        refuse_unbuilt(&[
            (
                "GlobalSecondaryIndexUpdates",
                index_updates.is_some_and(|updates| !updates.is_empty()),
            ),
            ("SSESpecification", self.sse_specification.is_some()),
            ("OnDemandThroughput", self.on_demand_throughput.is_some()),
            ("WarmThroughput", self.warm_throughput.is_some()),
            (
                "DisassociationProtectionEnabled",
                self.disassociation_protection_enabled.is_some(),
            ),
        ])
    }

    fn judge<E: Engine>(&self, table: &Table, tables: &Tables<E>) -> Result<Table, TablesError> {
        let mut updated = table.clone();
        if let Some(billing) = self.judge_billing(table, tables)? {
            updated.billing = billing;
            tables.stamp_setting(&mut updated.settings.billing);
        }
        if let Some(stream) = &self.stream_specification {
            self.judge_stream(stream, &mut updated, tables)?;
        }
        if self.table_class.is_some() {
            updated.class = judge_class(self.table_class.as_deref());
            tables.stamp_setting(&mut updated.settings.class);
        }
        if let Some(enabled) = self.deletion_protection_enabled {
            updated.deletion_protection = enabled;
        }
        Ok(updated)
    }

    fn judge_billing<E: Engine>(
        &self,
        table: &Table,
        tables: &Tables<E>,
    ) -> Result<Option<Billing>, TablesError> {
        let on_demand = match self.billing_mode.as_deref() {
            Some(mode) => mode == "PAY_PER_REQUEST",
            None => matches!(table.billing, Billing::OnDemand(_)),
        };
        match (&self.provisioned_throughput, on_demand) {
            (Some(_), true) => Err(TablesError::invalid(
                "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when \
                 BillingMode is PAY_PER_REQUEST",
            )),
            (None, true) if matches!(table.billing, Billing::OnDemand(_)) => Ok(None),
            (None, true) => Ok(Some(Billing::OnDemand(tables.wall()))),
            (None, false) if matches!(table.billing, Billing::OnDemand(_)) => {
                Err(TablesError::invalid(
                    "ReadCapacityUnits and WriteCapacityUnits must both be specified when \
                     BillingMode is PROVISIONED",
                ))
            }
            (None, false) => Ok(None),
            (Some(throughput), false) => {
                let wanted = throughput.judge()?;
                match table.billing {
                    Billing::Provisioned(current) if current == wanted => {
                        Err(unchanged_throughput(current))
                    }
                    _ => Ok(Some(Billing::Provisioned(wanted))),
                }
            }
        }
    }

    fn judge_stream<E: Engine>(
        &self,
        stream: &StreamInput,
        updated: &mut Table,
        tables: &Tables<E>,
    ) -> Result<(), TablesError> {
        let is_on = updated.stream.as_ref().is_some_and(|stream| stream.enabled);
        match stream.judge(tables.wall())? {
            Some(_) if is_on => Err(TablesError::Validation(format!(
                "Table already has an enabled stream: TableName: {}",
                updated.name
            ))),
            Some(stream) => {
                updated.stream = Some(stream);
                Ok(())
            }
            None if updated.is_global(tables.config.site) => Err(TablesError::validation(
                "Disabling Stream is not allowed for a Global Table replica",
            )),
            None if !is_on => Err(TablesError::Validation(format!(
                "Table has no stream to disable: TableName: {}",
                updated.name
            ))),
            None => {
                if let Some(stream) = &mut updated.stream {
                    stream.enabled = false;
                }
                Ok(())
            }
        }
    }
}

impl ReplicaAction {
    fn region(&self) -> Option<&str> {
        self.region_name.as_deref()
    }
}

impl ReplicaUpdate {
    /// Its actions, each with its kind as the validator spells it.
    pub(crate) fn actions(&self) -> impl Iterator<Item = (&'static str, &ReplicaAction)> {
        let actions = [
            ("create", &self.create),
            ("update", &self.update),
            ("delete", &self.delete),
            ("disassociate", &self.disassociate),
        ];
        actions
            .into_iter()
            .filter_map(|(kind, action)| Some((kind, action.as_ref()?)))
    }
}

fn unchanged_throughput(current: Throughput) -> TablesError {
    let Throughput { read, write } = current;
    TablesError::Validation(format!(
        "The provisioned throughput for the table will not change. The requested value equals \
         the current value. Current ReadCapacityUnits provisioned for the table: {read}. \
         Requested ReadCapacityUnits: {read}. Current WriteCapacityUnits provisioned for the \
         table: {write}. Requested WriteCapacityUnits: {write}. Refer to the Amazon DynamoDB \
         Developer Guide for current limits and how to request higher limits."
    ))
}
