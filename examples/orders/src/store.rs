//! Where orders are kept: a DynamoDB table, or an S3 bucket.

use std::time::Duration;

use anyhow::Result;

use crate::bucket::Bucket;
use crate::order::Order;
use crate::settings::Settings;
use crate::table::Table;

/// How long a call may take: the rest of a second is for the way to the client.
pub const CALL: Duration = Duration::from_millis(800);

/// How long a connection may take to be made.
pub const CONNECT: Duration = Duration::from_millis(400);

/// How long the store may take to answer for `/health` to say that all is well.
pub const HEALTHY_WITHIN: Duration = Duration::from_millis(400);

/// The store, and the Region that it is used in.
pub struct Store {
    kind: Kind,
    /// Stands in every answer.
    pub region: String,
}

enum Kind {
    Table(Table),
    Bucket(Bucket),
}

/// Some of the orders, and where to go on.
pub struct Page {
    /// In no order that means anything, as DynamoDB scans; of a bucket, each with its id alone.
    pub orders: Vec<Order>,
    /// The id after which the next page begins; without it this was the last.
    pub next: Option<String>,
}

impl Store {
    /// The one that the settings name.
    pub fn new(settings: &Settings) -> Self {
        let kind = match &settings.bucket {
            Some(prefix) => Kind::Bucket(Bucket::new(settings, prefix)),
            None => Kind::Table(Table::new(settings)),
        };
        let region = settings.region.clone();
        Self { kind, region }
    }

    /// What it is, in words.
    pub fn describe(&self) -> String {
        match &self.kind {
            Kind::Table(table) => format!("table {}", table.name()),
            Kind::Bucket(bucket) => format!("bucket {}", bucket.name()),
        }
    }

    /// Stores an order, over an older one with its id. When this returns it is on the disk of
    /// this Region, and on its way to the others.
    pub async fn put(&self, order: Order) -> Result<()> {
        match &self.kind {
            Kind::Table(table) => table.put(&order).await,
            Kind::Bucket(bucket) => bucket.put(order).await,
        }
    }

    /// The order with that id, as this Region has it.
    pub async fn get(&self, id: &str) -> Result<Option<Order>> {
        match &self.kind {
            Kind::Table(table) => table.get(id).await,
            Kind::Bucket(bucket) => bucket.get(id).await,
        }
    }

    /// One page, from after that id on.
    pub async fn list(&self, after: Option<&str>) -> Result<Page> {
        match &self.kind {
            Kind::Table(table) => table.list(after).await,
            Kind::Bucket(bucket) => bucket.list(after).await,
        }
    }

    /// Does it answer in good time?
    pub async fn is_healthy(&self) -> bool {
        match &self.kind {
            Kind::Table(table) => table.is_healthy().await,
            Kind::Bucket(bucket) => bucket.is_healthy().await,
        }
    }
}
