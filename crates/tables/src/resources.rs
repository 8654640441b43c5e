//! What an operation's action is done to, by the kinds there are (Service Authorization Reference,
//! "Resource types defined by Amazon DynamoDB"). What a request names and isn't there has an ARN
//! too: who may not use it doesn't learn that.

use std::sync::Arc;

use aws::access::Authorizer;
use store::Engine;
use types::{AccountId, Region};

use crate::access::{Subject, Target};
use crate::{Table, TableName, Tables, limits};

/// What making a replica takes in its Region (Developer Guide, "Using IAM with global tables"): of
/// the table there, in a request that is made here and has this Region as `aws:RequestedRegion`.
const CREATE_REPLICA: [&str; 9] = [
    "dynamodb:CreateTable",
    "dynamodb:CreateTableReplica",
    "dynamodb:Scan",
    "dynamodb:Query",
    "dynamodb:UpdateItem",
    "dynamodb:PutItem",
    "dynamodb:GetItem",
    "dynamodb:DeleteItem",
    "dynamodb:BatchWriteItem",
];

/// What deleting one takes there.
const DELETE_REPLICA: [&str; 2] = ["dynamodb:DeleteTable", "dynamodb:DeleteTableReplica"];

/// Nothing in particular.
pub(crate) fn everything<E: Engine>(
    _tables: &Tables<E>,
    caller: &dyn Authorizer,
    _subject: &Subject<'_>,
) -> Vec<Target> {
    vec![Target::new("*".to_owned(), caller.account(), None)]
}

/// The table.
pub(crate) fn table<E: Engine>(
    tables: &Tables<E>,
    caller: &dyn Authorizer,
    subject: &Subject<'_>,
) -> Vec<Target> {
    vec![tables.target(caller, subject.table.unwrap_or_default())]
}

/// The table, or its index if one is named.
pub(crate) fn table_or_index<E: Engine>(
    tables: &Tables<E>,
    caller: &dyn Authorizer,
    subject: &Subject<'_>,
) -> Vec<Target> {
    let mut target = tables.target(caller, subject.table.unwrap_or_default());
    if let Some(index) = subject.index {
        target.resource = format!("{}/index/{index}", target.resource);
    }
    vec![target]
}

/// Every table of a batch, each by itself.
pub(crate) fn each_table<E: Engine>(
    tables: &Tables<E>,
    caller: &dyn Authorizer,
    subject: &Subject<'_>,
) -> Vec<Target> {
    // A batch of more tables is refused, and none of them found that wasn't asked about.
    let names = subject.tables.iter().take(limits::BATCH_GET_KEYS);
    let names = names.enumerate();
    let targets = names.map(|(part, name)| Target {
        part: Some(part),
        ..tables.target(caller, name)
    });
    let targets: Vec<Target> = targets.collect();
    if targets.is_empty() {
        // A batch of nothing is refused; not to those who may use no table.
        return vec![tables.target(caller, "")];
    }
    targets
}

/// What an ARN names.
pub(crate) fn arn<E: Engine>(
    tables: &Tables<E>,
    caller: &dyn Authorizer,
    subject: &Subject<'_>,
) -> Vec<Target> {
    vec![tables.target(caller, subject.arn.unwrap_or_default())]
}

/// The table that an ARN names, for taking its policy away: an account's root always may, so that
/// no policy locks everybody out (API Reference, DeleteResourcePolicy).
pub(crate) fn policy_to_delete<E: Engine>(
    tables: &Tables<E>,
    caller: &dyn Authorizer,
    subject: &Subject<'_>,
) -> Vec<Target> {
    let target = tables.target(caller, subject.arn.unwrap_or_default());
    let root = format!("arn:aws:iam::{}:root", target.account);
    vec![Target {
        despite_policy: caller.arn() == root,
        ..target
    }]
}

/// The table that is to be made, with what comes with it.
pub(crate) fn new_table<E: Engine>(
    tables: &Tables<E>,
    caller: &dyn Authorizer,
    subject: &Subject<'_>,
) -> Vec<Target> {
    let further = [
        (subject.tags, "dynamodb:TagResource"),
        (subject.policy, "dynamodb:PutResourcePolicy"),
    ];
    let further = further.into_iter().filter(|(asked, _)| *asked);
    let actions = std::iter::once(None).chain(further.map(|(_, action)| Some(action)));
    let target = |action| Target {
        action,
        ..tables.target(caller, subject.table.unwrap_or_default())
    };
    actions.map(target).collect()
}

/// The table, and its replicas in the Regions where some are to come or to go.
pub(crate) fn table_and_replicas<E: Engine>(
    tables: &Tables<E>,
    caller: &dyn Authorizer,
    subject: &Subject<'_>,
) -> Vec<Target> {
    let table = tables.target(caller, subject.table.unwrap_or_default());
    let name = tables.table_name(caller.account(), subject.table.unwrap_or_default());
    let mut targets = vec![table];
    for (regions, actions) in [
        (&subject.joining, &CREATE_REPLICA[..]),
        (&subject.leaving, &DELETE_REPLICA[..]),
    ] {
        for region in tables.regions_among(regions) {
            targets.extend(actions.iter().map(|action| Target {
                action: Some(action),
                ..Target::new(table_arn(region, &name), name.account, None)
            }));
        }
    }
    targets
}

/// The global table of version 2017.11.29.
pub(crate) fn global_table<E: Engine>(
    _tables: &Tables<E>,
    caller: &dyn Authorizer,
    subject: &Subject<'_>,
) -> Vec<Target> {
    let (account, name) = (caller.account(), subject.global_table.unwrap_or_default());
    let arn = format!("arn:aws:dynamodb::{account}:global-table/{name}");
    vec![Target::new(arn, account, None)]
}

/// The global table of version 2017.11.29, and the tables it is made of.
pub(crate) fn global_table_and_tables<E: Engine>(
    tables: &Tables<E>,
    caller: &dyn Authorizer,
    subject: &Subject<'_>,
) -> Vec<Target> {
    let mut targets = global_table(tables, caller, subject);
    let name = subject.global_table.unwrap_or_default();
    targets.push(tables.target(caller, name));
    let name = TableName::new(caller.account(), name);
    let named = [&subject.joining[..], &subject.leaving[..]].concat();
    let regions = tables.regions_among(&named);
    let there = |region| Target::new(table_arn(region, &name), name.account, None);
    targets.extend(regions.into_iter().map(there));
    targets
}

impl Target {
    fn new(resource: String, account: AccountId, table: Option<Arc<Table>>) -> Target {
        Target {
            action: None,
            resource,
            account,
            part: None,
            table,
            despite_policy: false,
        }
    }
}

impl<E: Engine> Tables<E> {
    /// The table of that name, or what an ARN names.
    fn target(&self, caller: &dyn Authorizer, name_or_arn: &str) -> Target {
        let name = self.table_name(caller.account(), name_or_arn);
        let table = self.catalogue.named(name.account, &name.name);
        if name.name.starts_with("arn:") {
            // Of no table here. Whoever it is of, it is looked for in vain.
            let owner = name.name.split(':').nth(4).and_then(|id| id.parse().ok());
            return Target::new(name.name, owner.unwrap_or(name.account), None);
        }
        Target::new(table_arn(self.config.region, &name), name.account, table)
    }

    /// The other Regions of the deployment among these names, each once. A Region that it doesn't
    /// have is refused later.
    fn regions_among(&self, names: &[&str]) -> Vec<Region> {
        let regions = self.config.deployment.regions().map(|(_, region)| region);
        let others = regions.filter(|region| *region != self.config.region);
        others
            .filter(|region| names.contains(&region.name()))
            .collect()
    }
}

/// The ARN of a table in a Region.
pub(crate) fn table_arn(region: Region, name: &TableName) -> String {
    let TableName { account, name } = name;
    format!("arn:aws:dynamodb:{region}:{account}:table/{name}")
}
