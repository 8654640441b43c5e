//! Buckets of a scenario: made in each of their Regions, versioned, the first replicated to the
//! others by a role that S3 assumes; and what they hold, read as anybody would. A bucket that holds
//! a version twice, or one that the first has not, is told of and not mended.

use std::collections::{BTreeMap, BTreeSet};

use gameday::scenario::Table;
use gameday::{Order, Plan};
use http::Method;
use types::Region;

use super::api::{Api, ApiError, element, elements};

/// What stands before an order's id in its key, as the application `orders` has it.
const PREFIX: &str = "orders/";

/// The role that replication is done by.
const ROLE: &str = "gameday-replication";

/// Who may assume it, and what it may do; as a form has them.
const TRUST: &str = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22\
    Allow%22%2C%22Principal%22%3A%7B%22Service%22%3A%22s3.amazonaws.com%22%7D%2C%22Action%22%3A%22\
    sts%3AAssumeRole%22%7D%5D%7D";
const RIGHTS: &str = "%7B%22Version%22%3A%222012-10-17%22%2C%22Statement%22%3A%5B%7B%22Effect%22%3A%22\
    Allow%22%2C%22Action%22%3A%22s3%3A%2A%22%2C%22Resource%22%3A%22%2A%22%7D%5D%7D";

const NAMESPACE: &str = "http://s3.amazonaws.com/doc/2006-03-01/";

/// What one Region's bucket holds.
#[derive(Default)]
pub struct Held {
    /// The orders; each has version 1, as placed.
    pub orders: BTreeMap<Order, u32>,
    /// Versions beyond the first of an order.
    pub twice: u64,
    /// Every version: key and version id.
    pub versions: BTreeSet<(String, String)>,
}

/// Makes the role, once for all buckets.
pub async fn create_role(api: &Api) -> Result<(), ApiError> {
    let role = format!("RoleName={ROLE}");
    api.iam(&format!(
        "Action=CreateRole&{role}&AssumeRolePolicyDocument={TRUST}"
    ))
    .await?;
    let policy = format!("PolicyName=all&PolicyDocument={RIGHTS}");
    api.iam(&format!("Action=PutRolePolicy&{role}&{policy}"))
        .await?;
    Ok(())
}

/// Makes the bucket of that Region, versioned.
pub async fn create(api: &Api, buckets: &Table, region: Region) -> Result<(), ApiError> {
    let path = format!("/{}", buckets.bucket(region));
    let body = match region.name() {
        "us-east-1" => String::new(),
        name => format!(
            "<CreateBucketConfiguration xmlns=\"{NAMESPACE}\"><LocationConstraint>{name}\
             </LocationConstraint></CreateBucketConfiguration>"
        ),
    };
    api.s3(region, Method::PUT, &path, body).await?;
    let versioning = format!(
        "<VersioningConfiguration xmlns=\"{NAMESPACE}\"><Status>Enabled</Status>\
         </VersioningConfiguration>"
    );
    let path = format!("{path}?versioning");
    api.s3(region, Method::PUT, &path, versioning).await?;
    Ok(())
}

/// Replicates the first Region's bucket to the others.
pub async fn replicate(api: &Api, buckets: &Table) -> Result<(), ApiError> {
    let Some((first, others)) = buckets.regions.split_first() else {
        return Ok(());
    };
    let rules = others.iter().zip(1..).map(|(region, priority)| {
        let to = buckets.bucket(*region);
        format!(
            "<Rule><ID>to-{region}</ID><Priority>{priority}</Priority><Filter></Filter><Status>\
             Enabled</Status><DeleteMarkerReplication><Status>Enabled</Status>\
             </DeleteMarkerReplication><Destination><Bucket>arn:aws:s3:::{to}</Bucket>\
             </Destination></Rule>"
        )
    });
    let rules: String = rules.collect();
    if rules.is_empty() {
        return Ok(());
    }
    let body = format!(
        "<ReplicationConfiguration xmlns=\"{NAMESPACE}\"><Role>arn:aws:iam::{account}:role/{ROLE}\
         </Role>{rules}</ReplicationConfiguration>",
        account = types::LAB_ACCOUNT
    );
    let path = format!("/{}?replication", buckets.bucket(*first));
    api.s3(*first, Method::PUT, &path, body).await?;
    Ok(())
}

/// Everything that one Region's bucket holds.
pub async fn read(
    api: &Api,
    plan: &Plan,
    buckets: &Table,
    region: Region,
) -> Result<Held, ApiError> {
    let bucket = buckets.bucket(region);
    let mut held = Held::default();
    let mut after = String::new();
    loop {
        let path = format!("/{bucket}?{after}prefix=orders%2F&versions=");
        let page = api.s3(region, Method::GET, &path, String::new()).await?;
        let versions: Vec<String> = elements(&page, "Version").collect();
        for version in &versions {
            let key = element(version, "Key").unwrap_or_default();
            let id = element(version, "VersionId").unwrap_or_default();
            let order = key.strip_prefix(PREFIX).and_then(|id| plan.order(id));
            if let Some(order) = order
                && held.orders.insert(order, 1).is_some()
            {
                held.twice += 1;
            }
            held.versions.insert((key, id));
        }
        let next = element(&page, "NextKeyMarker");
        let id = element(&page, "NextVersionIdMarker").unwrap_or_default();
        let is_truncated = element(&page, "IsTruncated").is_some_and(|text| text == "true");
        match next.filter(|_| is_truncated) {
            // Orders' ids and version ids need no encoding, but for the slash.
            Some(key) => {
                let key = key.replace('/', "%2F");
                after = format!("key-marker={key}&");
                if !id.is_empty() {
                    after = format!("{after}version-id-marker={id}&");
                }
                // The query is signed in the order of its names.
                after = sorted(&after);
            }
            None => return Ok(held),
        }
    }
}

/// Parameters in the order of their names, with an ampersand behind the last.
fn sorted(query: &str) -> String {
    let mut parameters: Vec<&str> = query.split_terminator('&').collect();
    parameters.sort_unstable();
    parameters.iter().map(|one| format!("{one}&")).collect()
}

/// Why the buckets don't hold the same; nothing if they do.
pub async fn difference(
    api: &Api,
    plan: &Plan,
    buckets: &Table,
) -> Result<Option<String>, ApiError> {
    let Some((first, others)) = buckets.regions.split_first() else {
        return Ok(None);
    };
    let source = read(api, plan, buckets, *first).await?.versions;
    for region in others {
        let there = read(api, plan, buckets, *region).await?.versions;
        let missing = source.difference(&there).count();
        let foreign = there.difference(&source).count();
        if missing + foreign > 0 {
            let bucket = buckets.bucket(*region);
            return Ok(Some(format!(
                "{bucket} lacks {missing} versions and has {foreign} that {first} has not"
            )));
        }
    }
    Ok(None)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parameters_stand_in_the_order_of_their_names() {
        let query = "version-id-marker=v&key-marker=k&";
        assert_eq!(sorted(query), "key-marker=k&version-id-marker=v&");
        assert_eq!(sorted(""), "");
    }
}
