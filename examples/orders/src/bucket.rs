//! The S3 bucket behind the service, in place of a table: an order is an object under `orders/`.
//! One SDK call a method, each tried once and cut off before its caller's second is over.

use anyhow::Result;
use aws_sdk_s3::Client;
use aws_sdk_s3::config::retry::RetryConfig;
use aws_sdk_s3::config::timeout::TimeoutConfig;
use aws_sdk_s3::config::{Config, Credentials, Region};
use aws_sdk_s3::error::DisplayErrorContext;
use aws_sdk_s3::primitives::ByteStream;

use crate::order::Order;
use crate::settings::Settings;
use crate::store::{CALL, CONNECT, HEALTHY_WITHIN, Page};

/// What stands before an order's id in its key.
const PREFIX: &str = "orders/";

/// Orders on a page, at most.
const PAGE: i32 = 1000;

/// The bucket of this Region.
pub struct Bucket {
    client: Client,
    name: String,
}

impl Bucket {
    /// A client of the bucket `PREFIX-REGION`. It connects with the first call.
    pub fn new(settings: &Settings, prefix: &str) -> Self {
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
            // An address of the lab has no names below it.
            .force_path_style(true)
            .credentials_provider(credentials)
            .retry_config(RetryConfig::disabled())
            .timeout_config(timeouts)
            .build();
        Self {
            client: Client::from_conf(config),
            name: format!("{prefix}-{}", settings.region),
        }
    }

    /// What it is called.
    pub fn name(&self) -> &str {
        &self.name
    }

    /// Stores an order, as a new version if there is one with its id.
    pub async fn put(&self, order: Order) -> Result<()> {
        let key = key(order.id());
        let body = ByteStream::from(order.into_json().to_string().into_bytes());
        let call = self.client.put_object().bucket(&self.name).key(key);
        let put = call.content_type("application/json").body(body);
        put.send().await.map(drop).map_err(shown)
    }

    /// The order with that id, as this Region has it.
    pub async fn get(&self, id: &str) -> Result<Option<Order>> {
        let call = self.client.get_object().bucket(&self.name).key(key(id));
        let object = match call.send().await {
            Ok(object) => object,
            Err(error) => {
                let missing = error.as_service_error().is_some_and(|e| e.is_no_such_key());
                return if missing { Ok(None) } else { Err(shown(error)) };
            }
        };
        let body = object.body.collect().await?.into_bytes();
        Ok(Some(Order::from_json(&body)?))
    }

    /// One page, from after that id on; of each order its id alone.
    pub async fn list(&self, after: Option<&str>) -> Result<Page> {
        let call = self.client.list_objects_v2().bucket(&self.name);
        let call = call.prefix(PREFIX).max_keys(PAGE);
        let page = call.set_start_after(after.map(key)).send().await;
        let page = page.map_err(shown)?;
        let keys = page.contents().iter().filter_map(|object| object.key());
        let ids: Vec<&str> = keys.filter_map(|key| key.strip_prefix(PREFIX)).collect();
        let last = ids.last().map(|id| (*id).to_owned());
        Ok(Page {
            orders: ids.into_iter().map(Order::of_id).collect(),
            next: last.filter(|_| page.is_truncated() == Some(true)),
        })
    }

    /// Does the bucket answer in good time?
    pub async fn is_healthy(&self) -> bool {
        let head = self.client.head_bucket().bucket(&self.name).send();
        let answer = tokio::time::timeout(HEALTHY_WITHIN, head).await;
        matches!(answer, Ok(Ok(_)))
    }
}

fn key(id: &str) -> String {
    format!("{PREFIX}{id}")
}

/// The SDK's error with its causes: alone it says "service error" at most.
fn shown<E: std::error::Error + Send + Sync + 'static>(error: E) -> anyhow::Error {
    anyhow::anyhow!("{}", DisplayErrorContext(error))
}
