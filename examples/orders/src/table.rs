//! The DynamoDB table behind the service: one SDK call a method, each tried once and cut off
//! before its caller's second is over.

use anyhow::Result;
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::config::timeout::TimeoutConfig;
use aws_sdk_dynamodb::config::{Config, Credentials, Region};
use aws_sdk_dynamodb::error::DisplayErrorContext;
use aws_sdk_dynamodb::operation::get_item::builders::GetItemFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;

use crate::order::Order;
use crate::settings::Settings;
use crate::store::{CALL, CONNECT, HEALTHY_WITHIN, Page};

/// Orders on a page, at most.
const PAGE: i32 = 1000;

/// The table.
pub struct Table {
    client: Client,
    name: String,
}

impl Table {
    /// A client of the table. It connects with the first call.
    pub fn new(settings: &Settings) -> Self {
        let credentials = Credentials::new(
            &settings.access_key,
            &settings.secret_key,
            settings.session_token.clone(),
            None,
            "environment",
        );
        let timeouts = TimeoutConfig::builder()
            .operation_timeout(CALL)
            .connect_timeout(CONNECT)
            .build();
        let config = Config::builder()
            .behavior_version_latest()
            .http_client(aws_smithy_http_client::Builder::new().build_http())
            .region(Region::new(settings.region.clone()))
            .endpoint_url(&settings.endpoint)
            .credentials_provider(credentials)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .build();
        Self {
            client: Client::from_conf(config),
            name: settings.table.clone(),
        }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Stores an order, over an older one with its id.
    pub async fn put(&self, order: &Order) -> Result<()> {
        let call = self.client.put_item().table_name(&self.name);
        let put = call.set_item(Some(order.to_item())).send().await;
        put.map(drop).map_err(shown)
    }

    /// The order with that id, as this Region has it.
    pub async fn get(&self, id: &str) -> Result<Option<Order>> {
        let got = self.read(id).send().await.map_err(shown)?;
        Ok(got.item.map(Order::from_item))
    }

    /// One page, from after that id on.
    pub async fn list(&self, after: Option<&str>) -> Result<Page> {
        let call = self.client.scan().table_name(&self.name).limit(PAGE);
        let start = after.map(|id| [("id".to_owned(), AttributeValue::S(id.to_owned()))].into());
        let call = call.set_exclusive_start_key(start).consistent_read(true);
        let page = call.send().await.map_err(shown)?;
        let next = page.last_evaluated_key.and_then(|mut key| key.remove("id"));
        Ok(Page {
            next: next.and_then(|id| id.as_s().ok().cloned()),
            orders: page
                .items
                .unwrap_or_default()
                .into_iter()
                .map(Order::from_item)
                .collect(),
        })
    }

    /// Does the table answer in good time? Asks for an order that needn't be there.
    pub async fn is_healthy(&self) -> bool {
        let answer = tokio::time::timeout(HEALTHY_WITHIN, self.read("health").send()).await;
        matches!(answer, Ok(Ok(_)))
    }

    fn read(&self, id: &str) -> GetItemFluentBuilder {
        let call = self.client.get_item().table_name(&self.name);
        call.key("id", AttributeValue::S(id.to_owned()))
            .consistent_read(true)
    }
}

/// The SDK's error with its causes: alone it says "service error" at most.
fn shown<E: std::error::Error + Send + Sync + 'static>(error: E) -> anyhow::Error {
    anyhow::anyhow!("{}", DisplayErrorContext(error))
}
