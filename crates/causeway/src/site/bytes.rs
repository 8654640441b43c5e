//! Where a Region's larger bytes are: files of its directory, or a bucket elsewhere. What it was
//! made with stands in its database, and nothing else is taken for it: bytes don't move by a
//! change of configuration, and a Region that looked in the wrong place would find all of them
//! missing.

use std::future::Future;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context;
use bytes::Bytes;
use http::Request;
use objects::blob::{
    Blobs, Carrier, LocalBlobs, LocalOptions, RemoteBlobs, RemoteOptions, Transport,
    TransportError, TransportFuture, TransportTrouble,
};
use runtime::{Spawner, SystemEnvironment, Trust, Upstream, UpstreamError, UpstreamLimits};
use serde::{Deserialize, Serialize};
use store::{Batch, EmbeddedEngine, Engine, Snapshot, Space};
use types::{ByteSize, Environment};

use crate::failure::Failure;
use crate::lab::BlobStore;
use crate::protocol::SiteConfig;

/// Where in a site's directory the bytes of its larger objects are.
const BLOBS: &str = "blobs";

/// Where in `Space::Meta` it stands which bucket elsewhere has the bytes; nowhere: none has.
const ELSEWHERE: &[u8] = b"objects/bytes";

/// The version of that row.
const FORMAT: u32 = 1;

/// What a request to the store may take. An answer is 256 KiB of a blob, or a page of 1,000 names.
const LIMITS: UpstreamLimits = UpstreamLimits {
    connections: 64,
    connect: Duration::from_secs(5),
    request: Duration::from_secs(20),
    answer: ByteSize::mib(4),
};

/// Which bucket elsewhere has a Region's bytes, as JSON.
#[derive(Serialize, Deserialize, Debug)]
struct Elsewhere {
    format: u32,
    bucket: String,
    prefix: String,
    /// What the folder in the bucket is claimed with: drawn at random, for it alone.
    owner: String,
}

/// A Region's larger bytes.
pub(super) struct OpenBytes {
    /// Where they are.
    pub(super) blobs: Arc<dyn Blobs>,
    /// The same, if they are elsewhere.
    pub(super) remote: Option<RemoteBlobs>,
}

/// Opens the place of the Region's bytes. A store elsewhere may be away.
///
/// # Errors
/// The configuration names another place than the Region was made with; the disk refuses.
pub(super) async fn open(
    config: &SiteConfig,
    engine: &EmbeddedEngine,
    environment: &Arc<SystemEnvironment>,
) -> Result<OpenBytes, Failure> {
    let found = engine.snapshot().get(Space::Meta, ELSEWHERE).await;
    let found = found.context("can't read where the bytes of objects are")?;
    let found = found.map(|row| known(&row)).transpose()?;
    let Some(file) = &config.blob_store else {
        return match found {
            None => Ok(OpenBytes {
                blobs: Arc::new(local(config)?),
                remote: None,
            }),
            Some(Elsewhere { bucket, .. }) => Err(moved(format!(
                "the bytes of {}'s larger objects are in the bucket {bucket}",
                config.site
            ))),
        };
    };
    let store = BlobStore::read(file)?;
    let site = config.site.to_string();
    let prefix = match store.prefix.as_str() {
        "" => site,
        prefix => format!("{prefix}/{site}"),
    };
    let owner = match found {
        Some(known) if known.bucket == store.place.bucket && known.prefix == prefix => known.owner,
        Some(Elsewhere { bucket, prefix, .. }) => {
            return Err(moved(format!(
                "the bytes of {}'s larger objects are in the bucket {bucket}, below {prefix}",
                config.site
            )));
        }
        None => begin(config, engine, environment, &store, &prefix).await?,
    };
    let remote = remote(&store, prefix, owner, environment)?;
    // Its outcome is told by the log, and as an alarm.
    drop(remote.claim());
    Ok(OpenBytes {
        blobs: Arc::new(remote.clone()),
        remote: Some(remote),
    })
}

fn known(row: &Bytes) -> Result<Elsewhere, Failure> {
    let known: Elsewhere = serde_json::from_slice(row).map_err(|cause| {
        Failure::did_not_hold(format!(
            "where the bytes of objects are can't be read: {cause}"
        ))
    })?;
    match known.format {
        FORMAT => Ok(known),
        format => Err(Failure::wrong_use(format!(
            "where the bytes of objects are is written in format {format}; this Causeway \
             understands {FORMAT}"
        ))),
    }
}

fn moved(fact: String) -> Failure {
    Failure::wrong_use(format!("{fact}, and a Region's bytes aren't moved"))
        .then("start it as before: --blob-store FILE, or --blob-store local")
}

fn local(config: &SiteConfig) -> Result<LocalBlobs, Failure> {
    let path = config.directory.join(BLOBS);
    let blobs = LocalBlobs::open(&path, LocalOptions::modest());
    Ok(blobs.with_context(|| format!("can't open {}", path.display()))?)
}

/// Notes in a Region that has no bytes yet that they will be elsewhere; the claim's text.
async fn begin(
    config: &SiteConfig,
    engine: &EmbeddedEngine,
    environment: &Arc<SystemEnvironment>,
    store: &BlobStore,
    prefix: &str,
) -> Result<String, Failure> {
    if config.directory.join(BLOBS).exists() {
        let blobs = local(config)?.list(None, 1).await;
        let blobs = blobs.context("can't look for bytes of objects on this disk")?;
        if !blobs.is_empty() {
            return Err(moved(format!(
                "the bytes of {}'s larger objects are in {}",
                config.site,
                config.directory.join(BLOBS).display()
            )));
        }
    }
    let (high, low) = (environment.random(), environment.random());
    let elsewhere = Elsewhere {
        format: FORMAT,
        bucket: store.place.bucket.clone(),
        prefix: prefix.to_owned(),
        owner: format!("{} {high:016x}{low:016x}", config.site),
    };
    let row = serde_json::to_vec(&elsewhere).context("they are plain values")?;
    let mut batch = Batch::new();
    batch.put(Space::Meta, ELSEWHERE, row);
    let noted = engine.commit(batch).await;
    noted.context("can't note where the bytes of objects are")?;
    Ok(elsewhere.owner)
}

fn remote(
    store: &BlobStore,
    prefix: String,
    owner: String,
    environment: &Arc<SystemEnvironment>,
) -> Result<RemoteBlobs, Failure> {
    let trust = store.authorities.as_deref().map(Trust::authorities);
    let trust = trust.transpose().map_err(Failure::wrong_use)?;
    let upstream = Upstream::new(&store.server, trust, LIMITS);
    let upstream = upstream.ok_or_else(|| Failure::wrong_use("the endpoint names no host"))?;
    let options = RemoteOptions {
        prefix,
        owner,
        carrier: Arc::new(Tasks(Spawner::here())),
        environment: environment.clone(),
    };
    let transport = Arc::new(Requests(upstream));
    RemoteBlobs::s3(&store.place, transport, options).map_err(Failure::wrong_use)
}

/// Tasks of the runtime.
struct Tasks(Spawner);

impl Carrier for Tasks {
    fn carry(&self, task: Pin<Box<dyn Future<Output = ()> + Send>>) {
        self.0.spawn(task);
    }
}

/// Requests to the store's server.
struct Requests(Upstream);

impl Transport for Requests {
    fn send(&self, request: Request<Vec<Bytes>>) -> TransportFuture<'_> {
        Box::pin(async move {
            let answer = self.0.send(request).await;
            answer.map_err(|error| TransportError {
                trouble: match error {
                    UpstreamError::Unconnected(_) => TransportTrouble::Unconnected,
                    UpstreamError::Broken(_) => TransportTrouble::Broken,
                    UpstreamError::Late(_) => TransportTrouble::Late,
                    UpstreamError::Unreadable(_) => TransportTrouble::Unreadable,
                },
                detail: error.to_string(),
            })
        })
    }
}
