//! `CopyDBSnapshot`: a snapshot that is a copy of another, of this Region or of any other. The
//! Region of the other is asked for leave before anything is made here; its bytes come later
//! ([`crate::copies`]).

use aws::query::Reply;
use types::ConfigurationView;

use super::snapshots;
use crate::arn::{Arn, SnapshotArn};
use crate::catalogue;
use crate::engine::Engine;
use crate::error::{DatabasesError, Refusal};
use crate::events::{self, Category, Telling};
use crate::input::names;
use crate::model::{CopyOf, Snapshot, SnapshotState, Tags};
use crate::request::{DatabasesRequest, shown};
use crate::service::Service;
use crate::source::{AttachRefusal, CopyRequest, SourceError};
use crate::{ids, tags};

/// Parameters that mean something which isn't built.
const UNBUILT: &[&str] = &[
    "CopyOptionGroup",
    "OptionGroupName",
    "SnapshotAvailabilityZone",
    "TargetCustomAvailabilityZone",
];

/// `CopyDBSnapshot`. `SourceRegion` and `PreSignedUrl`, by which other partitions find the source,
/// change nothing: its ARN names its Region.
pub(crate) async fn copy(
    service: &Service,
    request: &DatabasesRequest<'_>,
) -> Result<Reply, DatabasesError> {
    refuse_unbuilt(request)?;
    let name = request.required("TargetDBSnapshotIdentifier")?;
    let name = names::long("TargetDBSnapshotIdentifier", name)?;
    let given = tags::read(&request.members())?;
    let copies_tags = request.flag("CopyTags")?.unwrap_or(false);
    let asked = CopyRequest {
        source: source(request)?,
        copy: request.snapshot_arn(&name),
    };
    // Nobody is asked for what can't be.
    snapshots::check_new(&*service.view(), &asked.copy)?;
    let source = match asked.source.region == request.region() {
        true => service.given(&asked).map_err(refused)?,
        false => across(service, &asked).await?,
    };
    let mut snapshot = new(service, &asked, source)?;
    if !copies_tags {
        snapshot.tags = Tags::new();
    }
    tags::add(&mut snapshot.tags, &given)?;
    let made = service.change(|view: &dyn ConfigurationView| {
        snapshots::check_new(view, &asked.copy)?;
        let mut edits = vec![snapshots::made(&snapshot)];
        let text = format!("Copying snapshot {}", asked.source);
        let told = Telling::of_snapshot(&snapshot, Category::Creation, text);
        edits.extend(events::edits(view, service.now(), vec![told]));
        Ok((edits, ()))
    });
    made.await?;
    // Whoever copies is woken by the name of what no keeper has.
    service.config.servers.changed(&snapshot.id.0);
    snapshots::reply(service, request, &snapshot)
}

fn refuse_unbuilt(request: &DatabasesRequest<'_>) -> Result<(), DatabasesError> {
    if let Some(key) = request.text("KmsKeyId") {
        let text = format!(
            "The key {} is not accessible: storage encryption is not built yet in Causeway.",
            shown(key)
        );
        return Err(DatabasesError::refused(Refusal::KmsKeyNotAccessible, text));
    }
    request.refuse_unbuilt(UNBUILT)?;
    match request.text("SnapshotTarget") {
        None | Some("region") => Ok(()),
        Some(other) => {
            let part = format!("SnapshotTarget '{}'", shown(other));
            Err(DatabasesError::not_built(&part))
        }
    }
}

/// The snapshot that a request wants a copy of: a name here, or an ARN anywhere.
fn source(request: &DatabasesRequest<'_>) -> Result<SnapshotArn, DatabasesError> {
    let text = request.required("SourceDBSnapshotIdentifier")?;
    if text.starts_with("arn:") && text.parse::<Arn>().is_err() {
        let text = "The parameter SourceDBSnapshotIdentifier is not a valid ARN of a DB snapshot.";
        return Err(DatabasesError::value(text));
    }
    // What is another account's is not there.
    let own = snapshots::arn_of(request, text).filter(|arn| arn.account == request.account());
    own.ok_or_else(|| snapshots::not_found(text))
}

/// Asks the Region of a snapshot for leave.
async fn across(service: &Service, asked: &CopyRequest) -> Result<Snapshot, DatabasesError> {
    match service.config.sources.snapshot(asked).await {
        // What it says of another snapshot is no answer.
        Ok(source) if source.arn != asked.source => Err(DatabasesError::Unreachable(
            SourceError::Unreachable.to_string(),
        )),
        Ok(source) => Ok(*source),
        Err(SourceError::Refused(refusal)) => Err(refused(refusal)),
        Err(error @ SourceError::NoSuchRegion(_)) => Err(DatabasesError::refused(
            Refusal::DbSnapshotNotFound,
            error.to_string(),
        )),
        Err(error @ SourceError::Unreachable) => {
            Err(DatabasesError::Unreachable(error.to_string()))
        }
    }
}

fn refused(refusal: AttachRefusal) -> DatabasesError {
    match refusal {
        AttachRefusal::NotFound(name) => snapshots::not_found(&name),
        AttachRefusal::State(text) => {
            DatabasesError::refused(Refusal::InvalidDbSnapshotState, text)
        }
        AttachRefusal::TooMany(text) | AttachRefusal::Internal(text) => {
            DatabasesError::Unreachable(text)
        }
    }
}

/// The copy. What another Region says of its snapshot is believed as far as it can be.
fn new(
    service: &Service,
    asked: &CopyRequest,
    source: Snapshot,
) -> Result<Snapshot, DatabasesError> {
    if Engine::new(&source.engine_version).is_err() {
        let text = format!(
            "{} is of no version of PostgreSQL",
            shown(&source.engine_version)
        );
        return Err(DatabasesError::combination(text));
    }
    let engine = service.config.engine.as_ref().ok();
    let first = source.copy_of.as_ref().and_then(|of| of.original);
    let copy_of = CopyOf {
        arn: source.arn.clone(),
        id: source.id.clone(),
        bytes: source.bytes,
        original: first.or(source.taken),
    };
    // Groups of another Region mean nothing here.
    let is_near = source.arn.region == asked.copy.region;
    let group = |own: String, default: Option<String>| match (is_near, default) {
        (false, Some(default)) => default,
        _ => own,
    };
    let zone = types::AvailabilityZone::of(asked.copy.region).next();
    Ok(Snapshot {
        id: ids::snapshot(service.environment()),
        arn: asked.copy.clone(),
        asked: service.now(),
        taken: None,
        state: SnapshotState::Copying,
        failure: None,
        zone: zone.filter(|_| !is_near).unwrap_or(source.zone),
        option_group: group(
            source.option_group,
            engine.map(Engine::default_option_group),
        ),
        parameter_group: group(
            source.parameter_group,
            engine.map(Engine::default_parameter_group),
        ),
        copy_of: Some(copy_of),
        automated: false,
        ..source
    })
}

impl Service {
    /// The snapshot that a request wants a copy of, if it is whole: what its Region answers.
    ///
    /// # Errors
    ///
    /// [`AttachRefusal`].
    pub fn given(&self, request: &CopyRequest) -> Result<Snapshot, AttachRefusal> {
        let found = catalogue::snapshot(&*self.view(), &request.source);
        let found = found.map_err(|error| AttachRefusal::Internal(error.to_string()))?;
        // What is another account's is not there.
        let found = found.filter(|_| request.source.account == request.copy.account);
        let name = &request.source.identifier;
        match found {
            None => Err(AttachRefusal::NotFound(name.clone())),
            Some((_, snapshot)) if snapshot.state == SnapshotState::Available => Ok(snapshot),
            Some(_) => Err(AttachRefusal::State(format!(
                "Snapshot {name} is not in available state."
            ))),
        }
    }
}
