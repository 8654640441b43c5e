//! `TableDescription`: a descriptor as the API shows it.

use serde_json::{Map, Value, json};
use store::Engine;
use types::{Region, SiteId};

use crate::measure::Counts;
use crate::table::{Billing, Index, IndexKind, IndexProjection, KeySchema, Table, Throughput};
use crate::{MemberPhase, Phase, Tables};

impl<E: Engine> Tables<E> {
    /// The table as `DescribeTable` shows it.
    pub(crate) fn describe(&self, table: &Table) -> Value {
        self.describe_as(table, status(table, self.config.site))
    }

    /// The table with a status that is said rather than so: `CREATING` and `DELETING` last no
    /// time here, but the service's answers and its clients' waiters know them.
    pub(crate) fn describe_as(&self, table: &Table, status: &str) -> Value {
        let arn = table.arn(self.config.region);
        let mut shown = Map::new();
        let mut show = |name: &str, value: Value| shown.insert(name.to_owned(), value);
        let attributes = table.attributes.iter().map(
            |attribute| json!({"AttributeName": attribute.name, "AttributeType": attribute.kind}),
        );
        show("AttributeDefinitions", attributes.collect());
        show("TableName", json!(table.name));
        show("KeySchema", describe_keys(&table.schema));
        show("TableStatus", json!(status));
        show("CreationDateTime", json!(table.created.seconds()));
        show("TableArn", json!(arn));
        show("TableId", json!(table.uuid));
        let counts = self.counts(table.id);
        show("ItemCount", json!(counts.table.items));
        show("TableSizeBytes", json!(counts.table.bytes));
        let throughput = match table.billing {
            Billing::Provisioned(throughput) => Some(throughput),
            Billing::OnDemand(since) => {
                show(
                    "BillingModeSummary",
                    json!({
                        "BillingMode": "PAY_PER_REQUEST",
                        "LastUpdateToPayPerRequestDateTime": since.seconds(),
                    }),
                );
                None
            }
        };
        show("ProvisionedThroughput", describe_throughput(throughput));
        for (name, kind) in [
            ("LocalSecondaryIndexes", IndexKind::Local),
            ("GlobalSecondaryIndexes", IndexKind::Global),
        ] {
            let indexes = table.indexes.iter().filter(|index| index.kind == kind);
            let indexes: Vec<Value> = indexes
                .map(|index| describe_index(index, &arn, &counts))
                .collect();
            if !indexes.is_empty() {
                show(name, json!(indexes));
            }
        }
        if let Some(class) = table.class {
            show("TableClassSummary", json!({"TableClass": class.name()}));
        }
        show(
            "DeletionProtectionEnabled",
            json!(table.deletion_protection),
        );
        if let Some(stream) = &table.stream {
            if stream.enabled {
                show(
                    "StreamSpecification",
                    json!({"StreamEnabled": true, "StreamViewType": stream.view}),
                );
            }
            show("LatestStreamLabel", json!(stream.label));
            let label = &stream.label;
            show("LatestStreamArn", json!(format!("{arn}/stream/{label}")));
        }
        self.describe_group(table, &mut shown);
        Value::Object(shown)
    }

    /// What a replica shows beside: its peers. A table of one Region shows none of it.
    fn describe_group(&self, table: &Table, shown: &mut Map<String, Value>) {
        let replicas = replicas(table, self.config.site, |site| {
            self.config.deployment.region_of(site)
        });
        if replicas.is_empty() {
            return;
        }
        let replicas = replicas.into_iter().map(|(region, status)| {
            json!({
                "RegionName": region.name(),
                "ReplicaStatus": status,
                "GlobalTableSettingsReplicationMode": "ENABLED_WITH_OVERRIDES",
            })
        });
        shown.insert("Replicas".to_owned(), replicas.collect());
        shown.insert("GlobalTableVersion".to_owned(), json!("2019.11.21"));
        shown.insert(
            "GlobalTableSettingsReplicationMode".to_owned(),
            json!("ENABLED_WITH_OVERRIDES"),
        );
    }
}

/// The other Regions that hold the table, each with its `ReplicaStatus`.
fn replicas(
    table: &Table,
    site: SiteId,
    region: impl Fn(SiteId) -> Option<Region>,
) -> Vec<(Region, &'static str)> {
    let Some(group) = &table.group else {
        return Vec::new();
    };
    let others = group.members.iter().filter(|(id, _)| **id != site);
    let shown = others.filter_map(|(id, member)| {
        let status = match member.phase {
            MemberPhase::Creating => "CREATING",
            MemberPhase::Active => "ACTIVE",
            MemberPhase::Deleting => "DELETING",
            MemberPhase::Gone => return None,
        };
        Some((region(*id)?, status))
    });
    shown.collect()
}

/// `TableStatus` in this site: a member through which a replica comes or goes is `UPDATING`.
pub(crate) fn status(table: &Table, site: SiteId) -> &'static str {
    let changing = |phase| matches!(phase, MemberPhase::Creating | MemberPhase::Deleting);
    let busy = table.group.as_ref().is_some_and(|group| {
        let mut members = group.members.iter();
        members.any(|(id, member)| *id != site && member.source == site && changing(member.phase))
    });
    match table.phase {
        Phase::Creating => "CREATING",
        Phase::Active if busy => "UPDATING",
        Phase::Active => "ACTIVE",
        Phase::Dropped | Phase::Purged => "DELETING",
    }
}

fn describe_index(index: &Index, arn: &str, counts: &Counts) -> Value {
    let count = counts.indexes.get(&index.id).copied().unwrap_or_default();
    let mut shown = json!({
        "IndexName": index.name,
        "KeySchema": describe_keys(&index.schema),
        "Projection": describe_projection(&index.projection),
        "IndexArn": format!("{arn}/index/{}", index.name),
        "ItemCount": count.items,
        "IndexSizeBytes": count.bytes,
    });
    if index.kind == IndexKind::Global {
        shown["IndexStatus"] = json!("ACTIVE");
        shown["ProvisionedThroughput"] = describe_throughput(index.throughput);
    }
    shown
}

fn describe_keys(schema: &KeySchema) -> Value {
    let kinds = ["HASH", "RANGE"];
    let keys = schema.attributes().zip(kinds);
    keys.map(|(key, kind)| json!({"AttributeName": key.name, "KeyType": kind}))
        .collect()
}

fn describe_projection(projection: &IndexProjection) -> Value {
    match projection {
        IndexProjection::All => json!({"ProjectionType": "ALL"}),
        IndexProjection::KeysOnly => json!({"ProjectionType": "KEYS_ONLY"}),
        IndexProjection::Include(names) => {
            json!({"ProjectionType": "INCLUDE", "NonKeyAttributes": names})
        }
    }
}

fn describe_throughput(throughput: Option<Throughput>) -> Value {
    let Throughput { read, write } = throughput.unwrap_or(Throughput { read: 0, write: 0 });
    json!({
        "ReadCapacityUnits": read,
        "WriteCapacityUnits": write,
        "NumberOfDecreasesToday": 0,
    })
}
