//! `CreateJobRequest` read: what S3 Control's model has and a replication job can have. What isn't
//! built of it is refused by its name, never left out.

use std::collections::BTreeSet;

use aws::xml::{Element, Members, XmlFault, XmlLimits, read};
use objects::replication::{FilterStatus, JobFilter, List, Manifest, NewJob, ReportPlace};
use objects::{BucketName, ObjectKey, VersionId};
use types::AccountId;

use crate::error::Fault;
use crate::values::date_time;

/// Of one element and of all of them, no more than a job can have.
const LIMITS: XmlLimits = XmlLimits {
    depth: 8,
    elements: 512,
};

/// The namespace, for the words of errors.
const NAMESPACE: &str = "http://awss3control.amazonaws.com/doc/2018-08-20/";

const ARN: &str = "arn:aws:s3:::";

/// A job as it is asked for.
///
/// # Errors
///
/// `MalformedXML`; `InvalidRequest` of what a job can't be; `NotImplemented` of what isn't built.
pub(super) fn job(document: &[u8]) -> Result<NewJob, Fault> {
    let root = read(document, LIMITS).map_err(malformed)?;
    let members = root.members(&[
        "ConfirmationRequired",
        "Operation",
        "Report",
        "ClientRequestToken",
        "Manifest",
        "Description",
        "Priority",
        "RoleArn",
        "Tags",
        "ManifestGenerator",
    ]);
    let members = members.map_err(malformed)?;
    operation(required(&members, "Operation")?)?;
    if members
        .optional("Tags")
        .is_some_and(|tags| !tags.children().is_empty())
    {
        return Err(Fault::not_built("A job's element Tags"));
    }
    let (listed, generated) = (
        members.optional("Manifest"),
        members.optional("ManifestGenerator"),
    );
    let (source, manifest) = match (listed, generated) {
        (Some(listed), None) => (Source::default(), listed_manifest(listed)?),
        (None, Some(generator)) => {
            let (source, filter) = generator_of(generator)?;
            (source, Manifest::Generated(filter))
        }
        _ => {
            return Err(invalid(
                "Exactly one of Manifest and ManifestGenerator must be specified",
            ));
        }
    };
    let report = report(required(&members, "Report")?)?;
    Ok(NewJob {
        bucket: source.bucket,
        expected_owner: source.owner,
        role: bounded(required(&members, "RoleArn")?, 1, 2048)?,
        manifest,
        report,
        description: members
            .optional("Description")
            .map(|description| bounded(description, 1, 256))
            .transpose()?,
        priority: integer(required(&members, "Priority")?)?,
        confirm: match members.optional("ConfirmationRequired") {
            Some(confirm) => confirm.boolean().map_err(malformed)?,
            None => false,
        },
        token: bounded(required(&members, "ClientRequestToken")?, 1, 64)?,
    })
}

/// The source bucket of a generated manifest, and whose it must be.
#[derive(Default)]
struct Source {
    bucket: Option<BucketName>,
    owner: Option<AccountId>,
}

fn operation(element: &Element<'_>) -> Result<(), Fault> {
    match element.children() {
        [only] if element.child("S3ReplicateObject").is_some() => {
            only.members(&[]).map(|_| ()).map_err(malformed)
        }
        [other] => {
            let name = other.name;
            Err(Fault::not_built(&format!("The operation '{name}' of jobs")))
        }
        _ => Err(Fault::malformed()),
    }
}

fn listed_manifest(element: &Element<'_>) -> Result<Manifest, Fault> {
    let members = element.members(&["Spec", "Location"]).map_err(malformed)?;
    let spec = required(&members, "Spec")?;
    let spec = spec.members(&["Format", "Fields"]).map_err(malformed)?;
    let format = required(&spec, "Format")?.text().map_err(malformed)?;
    if format != "S3BatchOperations_CSV_20180820" {
        return Err(Fault::not_built(&format!(
            "A manifest of the format '{format}'"
        )));
    }
    let fields = spec
        .optional("Fields")
        .map_or(&[][..], |fields| fields.children());
    let fields: Result<Vec<&str>, XmlFault> = fields.iter().map(Element::text).collect();
    let has_versions = match fields.map_err(malformed)?[..] {
        ["Bucket", "Key"] => false,
        ["Bucket", "Key", "VersionId"] => true,
        _ => {
            return Err(invalid(
                "The manifest's fields must be Bucket and Key, and may go on with VersionId",
            ));
        }
    };
    let location = required(&members, "Location")?;
    let location = location
        .members(&["ObjectArn", "ObjectVersionId", "ETag"])
        .map_err(malformed)?;
    let arn = required(&location, "ObjectArn")?
        .text()
        .map_err(malformed)?;
    let object = arn.strip_prefix(ARN).and_then(|rest| rest.split_once('/'));
    let parsed = object.and_then(|(bucket, key)| {
        Some((
            bucket.parse::<BucketName>().ok()?,
            key.parse::<ObjectKey>().ok()?,
        ))
    });
    let (bucket, key) = parsed.ok_or_else(|| invalid("The manifest's ObjectArn is no object's"))?;
    let version = location.optional("ObjectVersionId").map(|id| {
        let id = bounded(id, 1, 2000)?;
        let id = id.parse::<VersionId>();
        id.map_err(|_| invalid("The manifest's ObjectVersionId is no version's"))
    });
    let etag = bounded(required(&location, "ETag")?, 1, 1024)?;
    Ok(Manifest::Listed(List {
        bucket,
        key,
        version: version.transpose()?,
        etag: Some(etag.trim_matches('"').to_owned()),
        has_versions,
    }))
}

fn generator_of(element: &Element<'_>) -> Result<(Source, JobFilter), Fault> {
    let members = element
        .members(&["S3JobManifestGenerator"])
        .map_err(malformed)?;
    let generator = required(&members, "S3JobManifestGenerator")?;
    let generator = generator
        .members(&[
            "ExpectedBucketOwner",
            "SourceBucket",
            "ManifestOutputLocation",
            "Filter",
            "EnableManifestOutput",
        ])
        .map_err(malformed)?;
    let output = generator.optional("EnableManifestOutput");
    let output = output.map(|output| output.boolean().map_err(malformed));
    if output.transpose()? == Some(true) {
        return Err(Fault::not_built("A job's element ManifestOutputLocation"));
    }
    let source = Source {
        bucket: Some(bucket_of(required(&generator, "SourceBucket")?)?),
        owner: owner_of(&generator)?,
    };
    let filter = match generator.optional("Filter") {
        None => JobFilter::default(),
        Some(filter) => filter_of(filter)?,
    };
    Ok((source, filter))
}

fn filter_of(element: &Element<'_>) -> Result<JobFilter, Fault> {
    let known = [
        "EligibleForReplication",
        "CreatedAfter",
        "CreatedBefore",
        "ObjectReplicationStatuses",
    ];
    if let Some(other) = element
        .children()
        .iter()
        .find(|child| !known.contains(&child.name))
    {
        let what = format!("A manifest's filter '{}'", other.name);
        return Err(Fault::not_built(&what));
    }
    let members = element.members(&known).map_err(malformed)?;
    let time = |name: &str| {
        let text = members
            .optional(name)
            .map(|time| time.text().map_err(malformed));
        let time = text.transpose()?.map(|text| {
            date_time(text.trim()).ok_or_else(|| invalid("A time of the filter is none"))
        });
        time.transpose()
    };
    let mut statuses = BTreeSet::new();
    if let Some(list) = members.optional("ObjectReplicationStatuses") {
        for item in list.children() {
            statuses.insert(match item.text().map_err(malformed)? {
                "NONE" => FilterStatus::None,
                "FAILED" => FilterStatus::Failed,
                "COMPLETED" => FilterStatus::Completed,
                "REPLICA" => FilterStatus::Replica,
                _ => return Err(Fault::malformed()),
            });
        }
    }
    // A job takes only what rules choose, be it asked for or not.
    if let Some(eligible) = members.optional("EligibleForReplication")
        && !eligible.boolean().map_err(malformed)?
    {
        return Err(invalid(
            "EligibleForReplication must be true for the operation S3ReplicateObject",
        ));
    }
    Ok(JobFilter {
        statuses,
        created_after: time("CreatedAfter")?,
        created_before: time("CreatedBefore")?,
    })
}

/// Where the report goes.
fn report(element: &Element<'_>) -> Result<Option<ReportPlace>, Fault> {
    let members = element
        .members(&[
            "Bucket",
            "Format",
            "Enabled",
            "Prefix",
            "ReportScope",
            "ExpectedBucketOwner",
        ])
        .map_err(malformed)?;
    if !required(&members, "Enabled")?
        .boolean()
        .map_err(malformed)?
    {
        return Ok(None);
    }
    let scope = members.optional("ReportScope").map(Element::text);
    let failed_only = match scope.transpose().map_err(malformed)? {
        None | Some("AllTasks") => false,
        Some("FailedTasksOnly") => true,
        Some(_) => return Err(Fault::malformed()),
    };
    let prefix = members
        .optional("Prefix")
        .map(|prefix| bounded(prefix, 1, 512));
    let place = ReportPlace {
        bucket: bucket_of(required(&members, "Bucket")?)?,
        expected_owner: owner_of(&members)?,
        prefix: prefix.transpose()?.unwrap_or_default(),
        failed_only,
    };
    Ok(Some(place))
}

fn bucket_of(element: &Element<'_>) -> Result<BucketName, Fault> {
    let arn = element.text().map_err(malformed)?;
    let name = arn.strip_prefix(ARN).and_then(|name| name.parse().ok());
    name.ok_or_else(|| invalid("An ARN of the job is no bucket's"))
}

/// `ExpectedBucketOwner`: whose a bucket must be.
fn owner_of(members: &Members<'_, '_>) -> Result<Option<AccountId>, Fault> {
    let owner = members.optional("ExpectedBucketOwner").map(|owner| {
        let text = owner.text().map_err(malformed)?;
        text.parse()
            .map_err(|_| invalid("An ExpectedBucketOwner of the job is no account's number"))
    });
    owner.transpose()
}

fn required<'e, 'a>(members: &Members<'e, 'a>, name: &str) -> Result<&'e Element<'a>, Fault> {
    members.required(name, NAMESPACE).map_err(malformed)
}

fn bounded(element: &Element<'_>, least: usize, most: usize) -> Result<String, Fault> {
    let text = element.bounded(least, most).map_err(malformed)?;
    Ok(text.to_owned())
}

fn integer(element: &Element<'_>) -> Result<i32, Fault> {
    let number = element.integer(0, i64::from(i32::MAX)).map_err(malformed)?;
    i32::try_from(number).map_err(|_| Fault::malformed())
}

fn malformed(_: XmlFault) -> Fault {
    Fault::malformed()
}

fn invalid(message: &'static str) -> Fault {
    Fault::bad("InvalidRequest", message)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(operation: &str, manifest: &str) -> String {
        format!(
            "<CreateJobRequest xmlns=\"{NAMESPACE}\"><ConfirmationRequired>false\
             </ConfirmationRequired><Operation>{operation}</Operation><Report><Bucket>\
             arn:aws:s3:::reports</Bucket><Format>Report_CSV_20180820</Format><Enabled>true\
             </Enabled><Prefix>p</Prefix><ReportScope>FailedTasksOnly</ReportScope></Report>\
             <ClientRequestToken>t</ClientRequestToken>{manifest}<Priority>7</Priority><RoleArn>\
             arn:aws:iam::111122223333:role/batch</RoleArn></CreateJobRequest>"
        )
    }

    fn listed(fields: &str, location: &str) -> String {
        format!(
            "<Manifest><Spec><Format>S3BatchOperations_CSV_20180820</Format><Fields>{fields}\
             </Fields></Spec><Location><ObjectArn>arn:aws:s3:::lists/a/b.csv</ObjectArn>\
             {location}</Location></Manifest>"
        )
    }

    fn generated(filter: &str) -> String {
        format!(
            "<ManifestGenerator><S3JobManifestGenerator><ExpectedBucketOwner>111122223333\
             </ExpectedBucketOwner><SourceBucket>arn:aws:s3:::one\
             </SourceBucket><Filter>{filter}</Filter><EnableManifestOutput>false\
             </EnableManifestOutput></S3JobManifestGenerator></ManifestGenerator>"
        )
    }

    fn refusal(document: &str) -> String {
        let fault = job(document.as_bytes()).expect_err("it is refused");
        fault.code.into_owned()
    }

    #[test]
    fn a_job_is_read_as_sdks_write_it() {
        let filter = "<EligibleForReplication>true</EligibleForReplication><CreatedAfter>\
                      2026-11-28T00:00:00Z</CreatedAfter><ObjectReplicationStatuses><member>NONE\
                      </member><member>FAILED</member></ObjectReplicationStatuses>";
        let read = job(request("<S3ReplicateObject/>", &generated(filter)).as_bytes());
        let read = read.expect("it is a job");
        assert_eq!(
            read.bucket.map(|name| name.to_string()),
            Some("one".to_owned())
        );
        assert_eq!(read.expected_owner, Some(AccountId::LAB));
        let Manifest::Generated(filter) = read.manifest else {
            panic!("it is generated");
        };
        let statuses = [FilterStatus::None, FilterStatus::Failed];
        assert_eq!(filter.statuses, BTreeSet::from(statuses));
        assert_eq!(
            filter.created_after.map(|time| time.0),
            Some(1_795_824_000_000)
        );
        let report = read.report.expect("it has one");
        assert_eq!(
            (report.bucket.as_str(), report.failed_only),
            ("reports", true)
        );
    }

    #[test]
    fn a_list_is_named_to_its_version_and_tag() {
        let three = "<member>Bucket</member><member>Key</member><member>VersionId</member>";
        let two = "<member>Bucket</member><member>Key</member>";
        let tag = "<ETag>\"60e460c9d1046e73f7dde5043ac3ae85\"</ETag>";
        let version = "<ObjectVersionId>null</ObjectVersionId>";
        let of = |fields: &str, location: &str| {
            let manifest = listed(fields, location);
            job(request("<S3ReplicateObject/>", &manifest).as_bytes())
        };
        let read = of(three, &format!("{version}{tag}")).expect("it is a job");
        let Manifest::Listed(list) = read.manifest else {
            panic!("it is listed");
        };
        assert_eq!(
            (list.bucket.as_str(), list.key.as_str()),
            ("lists", "a/b.csv")
        );
        assert_eq!(list.version, Some(VersionId::Null));
        assert_eq!(
            list.etag.as_deref(),
            Some("60e460c9d1046e73f7dde5043ac3ae85")
        );
        assert!(list.has_versions);
        let read = of(two, tag).expect("it is a job");
        let Manifest::Listed(list) = read.manifest else {
            panic!("it is listed");
        };
        assert_eq!((list.version, list.has_versions), (None, false));
        let code = |location: &str| of(two, location).expect_err("it is refused").code;
        assert_eq!(code(version), "MalformedXML");
        let strange = format!("<ObjectVersionId>no version</ObjectVersionId>{tag}");
        assert_eq!(code(&strange), "InvalidRequest");
    }

    #[test]
    fn what_is_not_built_is_named_and_what_is_malformed_refused() {
        let other = request("<LambdaInvoke/>", &generated(""));
        assert_eq!(refusal(&other), "NotImplemented");
        let filtered = generated("<KeyNameConstraint/>");
        assert_eq!(
            refusal(&request("<S3ReplicateObject/>", &filtered)),
            "NotImplemented"
        );
        assert_eq!(
            refusal(&request("<S3ReplicateObject/>", "")),
            "InvalidRequest"
        );
        assert_eq!(refusal("<CreateJobRequest/>"), "MalformedXML");
        let owner =
            request("<S3ReplicateObject/>", &generated("")).replace("111122223333</E", "1</E");
        assert_eq!(refusal(&owner), "InvalidRequest");
        assert_eq!(refusal("nothing"), "MalformedXML");
    }
}
