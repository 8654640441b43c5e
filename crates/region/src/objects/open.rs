//! What a Region's objects are opened with: its own clocks and settings, the site's key, and ways
//! to ask its identity and its peers.

use std::sync::Arc;

use identity::Sealer;
use objects::{Objects, ObjectsConfig};
use store::Engine;
use types::{Configuration, Environment, Region, SiteName};

use super::peers::BucketPeers;
use super::roles::RolesOf;
use super::site_key;
use crate::asking::Asking;
use crate::error::OpenError;
use crate::open::RegionConfig;
use crate::standing::Standing;

/// What of the Region its objects are opened with.
pub(crate) struct Around<'a> {
    pub(crate) config: &'a RegionConfig,
    pub(crate) region: Region,
    pub(crate) environment: &'a Arc<dyn Environment>,
    pub(crate) configuration: Arc<dyn Configuration>,
    pub(crate) sealer: &'a Sealer,
    pub(crate) standing: &'a Arc<Standing>,
    pub(crate) asking: &'a Arc<Asking>,
}

/// The objects that the engine holds.
///
/// # Errors
/// A row can't be read, or the site's key was sealed with another operator's key.
pub(crate) async fn open<E: Engine>(
    engine: &E,
    around: Around<'_>,
) -> Result<Arc<Objects<E>>, OpenError> {
    let Around {
        config,
        region,
        environment,
        ..
    } = around;
    let site = SiteName::Region(region);
    let key = site_key(engine, around.sealer, environment.as_ref(), site).await?;
    let config = ObjectsConfig {
        deployment: config.deployment.clone(),
        site: config.site,
        region,
        environment: environment.clone(),
        configuration: around.configuration,
        blobs: config.objects.blobs.clone(),
        key,
        roles: Arc::new(RolesOf {
            standing: around.standing.clone(),
            environment: environment.clone(),
            region,
        }),
        peers: Arc::new(BucketPeers {
            asking: around.asking.clone(),
            deployment: config.deployment.clone(),
        }),
        webhooks: config.objects.webhooks.clone(),
    };
    Ok(Arc::new(Objects::open(engine.clone(), config).await?))
}
