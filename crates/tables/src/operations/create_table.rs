//! `CreateTable`. The table is in service when this returns; the answer says `CREATING`, as the
//! service's does and its clients' waiters expect.

use std::collections::BTreeMap;

use bytes::Bytes;
use serde::Deserialize;
use serde_json::{Value, json};
use store::{Batch, Engine};

use super::tag_resource::{Tag, judge_tags, tag_values};
use crate::access::{About, Allowed, Execute, Request, Subject};
use crate::condition_keys::ConditionKey;
use crate::request::{Constraints, respond};
use crate::resource_policy::{ResourcePolicy, judge_document};
use crate::resources::table_arn;
use crate::schema::{
    AttributeDefinition, IndexInput, KeySchemaElement, SchemaInput, ThroughputInput,
};
use crate::settings::{StreamInput, judge_class};
use crate::table::{Billing, Phase, Table};
use crate::{SettingStamps, TableName, Tables, TablesError, limits};

#[derive(Deserialize)]
#[serde(rename_all = "PascalCase")]
pub(crate) struct Input {
    table_name: Option<String>,
    attribute_definitions: Option<Vec<AttributeDefinition>>,
    key_schema: Option<Vec<KeySchemaElement>>,
    local_secondary_indexes: Option<Vec<IndexInput>>,
    global_secondary_indexes: Option<Vec<IndexInput>>,
    billing_mode: Option<String>,
    provisioned_throughput: Option<ThroughputInput>,
    stream_specification: Option<StreamInput>,
    table_class: Option<String>,
    deletion_protection_enabled: Option<bool>,
    tags: Option<Vec<Tag>>,
    #[serde(rename = "SSESpecification")]
    sse_specification: Option<Value>,
    resource_policy: Option<String>,
    warm_throughput: Option<Value>,
    on_demand_throughput: Option<Value>,
    global_table_source_arn: Option<Value>,
}

impl Request for Input {
    fn subject(&self) -> Subject<'_> {
        Subject {
            table: self.table_name.as_deref(),
            tags: self.tags.as_ref().is_some_and(|tags| !tags.is_empty()),
            policy: self.resource_policy.is_some(),
            ..Subject::default()
        }
    }

    fn values(&self, key: &ConditionKey<'_>, _about: About<'_>) -> Option<Vec<String>> {
        tag_values(self.tags.as_deref(), key)
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
        input.refuse_unbuilt()?;
        let billing = input.judge_billing(tables)?;
        let schema = input.schema().judge()?;
        let now = tables.wall();
        let stream = match &input.stream_specification {
            Some(stream) => stream.judge(now)?,
            None => None,
        };
        let tags = judge_tags(BTreeMap::new(), input.tags.as_deref().unwrap_or_default())?;
        let name = input.table_name.as_deref().unwrap_or_default();
        let account = allowed.account();
        let arn = table_arn(tables.config.region, &TableName::new(account, name));
        let policy = input.resource_policy.as_deref();
        let policy = policy.map(|document| judge_document(allowed, document, &arn));
        let policy = policy.transpose()?;
        let policy = policy.map(|document| ResourcePolicy::put(&document, None, now));

        let mut change = tables.catalogue.change().await;
        if tables.catalogue.named(account, name).is_some() {
            return Err(TablesError::InUse(format!("Table already exists: {name}")));
        }
        if tables.catalogue.live(account) >= limits::TABLES {
            return Err(TablesError::LimitExceeded(format!(
                "Subscriber limit exceeded: There is a limit of {} tables per subscriber",
                limits::TABLES
            )));
        }
        let mut batch = Batch::new();
        let table = Table {
            id: change.allocate(&mut batch),
            account,
            name: name.to_owned(),
            uuid: tables.uuid(),
            created: now,
            phase: Phase::Active,
            schema: schema.keys,
            attributes: schema.attributes,
            indexes: schema.indexes,
            billing,
            deletion_protection: input.deletion_protection_enabled.unwrap_or(false),
            class: judge_class(input.table_class.as_deref()),
            stream,
            tags,
            group: None,
            settings: SettingStamps::default(),
            policy,
        };
        change.stage(&table, &mut batch);
        tables.engine.commit(batch).await?;
        let table = change.publish(table);
        let description = tables.describe_as(&table, "CREATING");
        Ok(respond(&json!({"TableDescription": description})))
    }
}

impl Input {
    fn schema(&self) -> SchemaInput<'_> {
        SchemaInput {
            attributes: &self.attribute_definitions,
            keys: &self.key_schema,
            local: &self.local_secondary_indexes,
            global: &self.global_secondary_indexes,
            on_demand: self.is_on_demand(),
        }
    }

    fn is_on_demand(&self) -> bool {
        self.billing_mode.as_deref() == Some("PAY_PER_REQUEST")
    }

    fn constrain(&self) -> Result<(), TablesError> {
        let mut constraints = Constraints::default();
        constraints.name("tableName", self.table_name.as_deref());
        self.schema().constrain(&mut constraints);
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
        constraints.check()
    }

    /// What would change how the table behaves, and isn't built, is refused by name.
    fn refuse_unbuilt(&self) -> Result<(), TablesError> {
        let encrypts = |sse: &Value| sse.get("Enabled") == Some(&Value::Bool(true));
        let unbuilt = [
            (
                "SSESpecification with Enabled",
                self.sse_specification.as_ref().is_some_and(encrypts),
            ),
            ("WarmThroughput", self.warm_throughput.is_some()),
            ("OnDemandThroughput", self.on_demand_throughput.is_some()),
            (
                "GlobalTableSourceArn",
                self.global_table_source_arn.is_some(),
            ),
        ];
        crate::settings::refuse_unbuilt(&unbuilt)
    }

    fn judge_billing<E: Engine>(&self, tables: &Tables<E>) -> Result<Billing, TablesError> {
        match (&self.provisioned_throughput, self.is_on_demand()) {
            (None, true) => Ok(Billing::OnDemand(tables.wall())),
            (Some(_), true) => Err(TablesError::invalid(
                "Neither ReadCapacityUnits nor WriteCapacityUnits can be specified when \
                 BillingMode is PAY_PER_REQUEST",
            )),
            (Some(throughput), false) => Ok(Billing::Provisioned(throughput.judge()?)),
            (None, false) => Err(TablesError::invalid(
                "ReadCapacityUnits and WriteCapacityUnits must both be specified when \
                 BillingMode is PROVISIONED",
            )),
        }
    }
}
