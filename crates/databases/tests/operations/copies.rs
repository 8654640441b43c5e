//! Copies of snapshots: what may be copied, what the copy says, and how it comes to its end.

use databases::copies::{CopyFailure, CopyNext, CopyRecord, CopySeen, next_copy};
use databases::model::SnapshotState;
use databases::plan::FailureKind;
use types::{Monotonic, Timestamp};

use crate::support::{Api, block_on, with};

/// A Region with a snapshot `before` of an instance `shop`.
fn taken(api: &Api) {
    api.available("shop");
    let body = [
        ("DBInstanceIdentifier", "shop"),
        ("DBSnapshotIdentifier", "before"),
        ("Tags.Tag.1.Key", "team"),
        ("Tags.Tag.1.Value", "blue"),
    ];
    api.ok("CreateDBSnapshot", &body);
    api.carry_out("shop");
}

const ARN: &str = "arn:aws:rds:us-east-1:111122223333:snapshot:before";

const COPY: [(&str, &str); 2] = [
    ("SourceDBSnapshotIdentifier", ARN),
    ("TargetDBSnapshotIdentifier", "Over-Here"),
];

fn reach(api: &Api, name: &str, record: &CopyRecord) {
    let row = api.snapshot_row(name);
    block_on(api.service.copy_reached(&row.arn, &row.id, record)).unwrap();
}

#[test]
fn a_copy_in_another_region_is_a_snapshot_of_its_own_once_it_is_whole() {
    let (here, there) = Api::pair();
    taken(&here);
    let body = with(
        &COPY,
        &[("CopyTags", "true"), ("SourceRegion", "us-east-1")],
    );
    let made = there.ok("CopyDBSnapshot", &body);
    let at = |member: &str| made.text(&format!("DBSnapshot/{member}"));
    assert_eq!((&*at("Status"), &*at("PercentProgress")), ("copying", "0"));
    assert_eq!(
        (&*at("SnapshotType"), &*at("SourceRegion")),
        ("manual", "us-east-1")
    );
    assert_eq!(at("SourceDBSnapshotIdentifier"), ARN);
    assert_eq!(at("DBInstanceIdentifier"), "shop");
    assert!(at("AvailabilityZone").starts_with("ap-southeast-2"));
    assert_eq!(at("TagList/0/Value"), "blue");
    let name = [("DBSnapshotIdentifier", "over-here")];
    assert_eq!(
        there.code("DeleteDBSnapshot", &name),
        "InvalidDBSnapshotState"
    );
    let restore = [
        ("DBInstanceIdentifier", "again"),
        ("DBSnapshotIdentifier", "over-here"),
    ];
    let code = there.code("RestoreDBInstanceFromDBSnapshot", &restore);
    assert_eq!(code, "InvalidDBSnapshotState");
    let whole = CopyRecord::Copied {
        bytes: 7,
        taken: Timestamp(1_795_000_001_000),
    };
    reach(&there, "over-here", &whole);
    // Told twice, nothing more happens.
    reach(&there, "over-here", &whole);
    let found = there.ok("DescribeDBSnapshots", &name);
    let at = |member: &str| found.text(&format!("DBSnapshots/0/{member}"));
    assert_eq!(
        (&*at("Status"), &*at("PercentProgress")),
        ("available", "100")
    );
    assert_eq!(at("SnapshotCreateTime"), "2026-11-18T11:06:41.000Z");
    assert_eq!(at("OriginalSnapshotCreateTime"), "2026-11-18T11:06:40.500Z");
    let events = there.ok("DescribeEvents", &[("SourceType", "db-snapshot")]);
    assert_eq!(events.count("Events"), 2);
    there.ok("RestoreDBInstanceFromDBSnapshot", &restore);
}

#[test]
fn a_copy_beside_its_source_says_nothing_of_a_region() {
    let api = Api::new();
    taken(&api);
    let body = with(&COPY, &[("SourceDBSnapshotIdentifier", "before")]);
    let made = api.ok("CopyDBSnapshot", &body);
    assert!(made.find("DBSnapshot/SourceRegion").is_none());
    assert_eq!(made.count("DBSnapshot/TagList"), 0, "nobody asked for them");
    assert_eq!(api.status("shop"), "available");
    // What is copied is no keeper's to take.
    assert!(api.carry_out("shop").is_empty());
}

#[test]
fn what_can_t_be_copied_is_refused_in_the_service_s_words() {
    let (here, there) = Api::pair();
    taken(&here);
    let refused = |more: &[(&str, &str)], code: &str| {
        assert_eq!(
            there.code("CopyDBSnapshot", &with(&COPY, more)),
            code,
            "{more:?}"
        );
    };
    let none = ARN.replace("before", "never");
    refused(
        &[("SourceDBSnapshotIdentifier", &none)],
        "DBSnapshotNotFound",
    );
    refused(
        &[("SourceDBSnapshotIdentifier", "before")],
        "DBSnapshotNotFound",
    );
    let others = ARN.replace("111122223333", "444455556666");
    refused(&[("SourceDBSnapshotIdentifier", &others)], "AccessDenied");
    refused(
        &[("SourceDBSnapshotIdentifier", "arn:x")],
        "InvalidParameterValue",
    );
    refused(&[("SourceDBSnapshotIdentifier", "-")], "MissingParameter");
    refused(&[("TargetDBSnapshotIdentifier", "-")], "MissingParameter");
    refused(
        &[("TargetDBSnapshotIdentifier", "rds:a")],
        "InvalidParameterValue",
    );
    refused(&[("KmsKeyId", "k")], "KMSKeyNotAccessibleFault");
    refused(&[("OptionGroupName", "o")], "InvalidParameterCombination");
    refused(
        &[("SnapshotTarget", "outposts")],
        "InvalidParameterCombination",
    );
    there.ok("CopyDBSnapshot", &COPY);
    refused(&[], "DBSnapshotAlreadyExists");
    let delete = [("DBSnapshotIdentifier", "before")];
    here.ok("DeleteDBSnapshot", &delete);
    refused(
        &[("TargetDBSnapshotIdentifier", "b")],
        "InvalidDBSnapshotState",
    );
    there
        .peer
        .is_cut
        .store(true, std::sync::atomic::Ordering::Relaxed);
    refused(&[("TargetDBSnapshotIdentifier", "c")], "ServiceUnavailable");
}

#[test]
fn there_are_no_more_manual_snapshots_than_may_be() {
    let api = Api::new();
    taken(&api);
    for number in 1..100 {
        let name = format!("copy-{number}");
        api.ok(
            "CopyDBSnapshot",
            &with(&COPY, &[("TargetDBSnapshotIdentifier", &name)]),
        );
    }
    assert_eq!(api.code("CopyDBSnapshot", &COPY), "SnapshotQuotaExceeded");
}

#[test]
fn a_copy_goes_on_until_it_is_whole_or_its_source_is_gone() {
    let (here, there) = Api::pair();
    taken(&here);
    there.ok("CopyDBSnapshot", &COPY);
    let row = || there.snapshot_row("over-here");
    let failed = |kind, attempts| CopySeen {
        whole: None,
        failure: Some(CopyFailure {
            kind,
            reason: "why".to_owned(),
            attempts,
            at: Monotonic(1_000_000),
        }),
    };
    let next = |seen: &CopySeen, now| next_copy(&row(), seen, Monotonic(now));
    assert_eq!(next(&CopySeen::default(), 0), CopyNext::Fetch);
    // A cut is waited out, however long it is.
    let cut = failed(FailureKind::Source, 100);
    assert_eq!(
        next(&cut, 1_000_000),
        CopyNext::WaitUntil(Monotonic(16_000_000))
    );
    assert_eq!(next(&cut, 16_000_000), CopyNext::Fetch);
    // So is a disk that is full, for minutes: then what is here of it goes.
    let full = |attempts| failed(FailureKind::DiskFull, attempts);
    assert_eq!(next(&full(25), 16_000_000), CopyNext::Fetch);
    let end = next(&full(26), 16_000_000);
    assert!(matches!(end, CopyNext::Record(_)), "{end:?}");
    for kind in [FailureKind::Damaged, FailureKind::Other] {
        assert_eq!(next(&failed(kind, 2), 20_000_000), CopyNext::Fetch);
        let next = next(&failed(kind, 3), 20_000_000);
        assert!(
            matches!(next, CopyNext::Record(CopyRecord::Failed { .. })),
            "{next:?}"
        );
    }
    let CopyNext::Record(mut gone) = next(&failed(FailureKind::SourceGone, 1), 0) else {
        panic!("it goes on");
    };
    if let CopyRecord::Failed { reason } = &mut gone {
        *reason = "can't write to /srv/causeway/db/x.part".to_owned();
    }
    reach(&there, "over-here", &gone);
    assert_eq!(row().state, SnapshotState::Failed);
    let reason = row().failure.unwrap();
    assert_eq!(reason, "can't write to x.part", "the host's directories");
    assert_eq!(next(&CopySeen::default(), 0), CopyNext::Settled);
    let told = there.messages("db-snapshot");
    assert!(
        told.contains(&"Snapshot copy failed: can't write to x.part".to_owned()),
        "{told:?}"
    );
    there.ok("DeleteDBSnapshot", &[("DBSnapshotIdentifier", "over-here")]);
}
