//! Single looks at one home of an instance that has two, where the simulation seldom comes.

use databases::catalogue;
use databases::model::ResourceId;
use databases::plan::{
    Behind, Home, LogSeen, MateSeen, MateSlot, Next, Observed, PairSeen, Record, Removal, Role,
    ServerSeen, Settings, Step, StepKind, Wanted, next_step,
};
use types::{Monotonic, Now, Timestamp};

use crate::support::{Api, block_on, new_instance, with};

const NAME: &str = "shop";

/// An instance whose standby was in step once.
fn paired() -> (Api, ResourceId) {
    let api = Api::new();
    api.ok(
        "CreateDBInstance",
        &with(&new_instance(NAME), &[("MultiAZ", "true")]),
    );
    api.carry_out(NAME);
    let standby = api.row(NAME).standby.unwrap().home;
    record(
        &api,
        &Record::InStep {
            standby: standby.clone(),
        },
    );
    (api, standby)
}

fn record(api: &Api, record: &Record) {
    block_on(api.service.record(&api.id(NAME), record)).unwrap();
}

/// The same, once its standby was found to be out of step.
fn out_of_step() -> (Api, ResourceId) {
    let (api, home) = paired();
    let standby = home.clone();
    record(&api, &Record::OutOfStep { standby });
    (api, home)
}

fn wanted(api: &Api, home: &ResourceId) -> Wanted {
    let id = api.id(NAME);
    let found = catalogue::wanted_at(&*api.memory_view(), &*api.global.view(), (&id, home));
    found.unwrap().unwrap()
}

fn next(wanted: &Wanted, observed: &Observed) -> Next {
    let now = Now {
        wall: Timestamp(1_795_000_000_000),
        monotonic: Monotonic(100_000_000),
    };
    next_step(wanted, observed, now)
}

/// The other home as it is while its server runs as a primary's, and all is well.
const PRIMARY: MateSeen = MateSeen {
    is_zone_up: true,
    home: Home::Whole,
    runs: true,
    failed_starts: 0,
    is_primary_data: true,
    is_checkpointed: true,
    slot: MateSlot::Kept,
};

/// A whole home beside that one, on which no server runs.
fn beside(mate: MateSeen) -> Observed {
    Observed {
        home: Home::Whole,
        pair: PairSeen {
            mate: Some(mate),
            ..PairSeen::default()
        },
        ..Observed::nothing()
    }
}

/// The server that such a home's plan starts, as one that answers.
fn started(wanted: &Wanted, observed: &Observed) -> ServerSeen {
    let Next::Step(Step::Start {
        generation,
        settings,
    }) = next(wanted, observed)
    else {
        panic!("{:?}", next(wanted, observed));
    };
    server(generation, settings)
}

fn server(generation: u64, settings: Settings) -> ServerSeen {
    let role = match settings.upstream {
        Some(_) => Role::Standby,
        None => Role::Primary,
    };
    ServerSeen {
        generation,
        role: Some(role),
        settings,
        awaits_restart: Default::default(),
        slots: Default::default(),
        receives: false,
        is_paused: false,
        master_set: None,
        log: LogSeen::default(),
    }
}

#[test]
fn a_standby_s_home_stays_until_the_last_snapshot_is_taken() {
    let removed = Next::Step(Step::RemoveHome(Removal::Deleted));
    for is_taken in [true, false] {
        let (api, home) = out_of_step();
        let last = [
            ("DBInstanceIdentifier", NAME),
            ("FinalDBSnapshotIdentifier", "last"),
        ];
        api.ok("DeleteDBInstance", &last);
        let observed = beside(MateSeen {
            home: Home::Absent,
            runs: false,
            ..PRIMARY
        });
        let before = next(&wanted(&api, &home), &observed);
        assert!(matches!(before, Next::WaitUntil(_)), "{before:?}");
        let id = api.snapshot_row("last").id;
        record(
            &api,
            &match is_taken {
                true => Record::SnapshotTaken {
                    id,
                    bytes: 1,
                    taken: Timestamp(1_795_000_000_000),
                },
                false => Record::SnapshotFailed {
                    id,
                    reason: "why".to_owned(),
                },
            },
        );
        assert_eq!(api.row(NAME).deletion.is_some(), is_taken);
        let after = next(&wanted(&api, &home), &observed);
        assert_eq!(after == removed, is_taken, "{after:?}");
    }
}

#[test]
fn a_standby_in_step_takes_over_once_a_deletion_without_a_snapshot_is_given_up() {
    let (api, home) = paired();
    let observed = beside(MateSeen {
        home: Home::Absent,
        runs: false,
        ..PRIMARY
    });
    let server = started(&wanted(&api, &home), &observed);
    let observed = Observed {
        server: Some(server),
        ..observed
    };
    let last = [
        ("DBInstanceIdentifier", NAME),
        ("FinalDBSnapshotIdentifier", "last"),
    ];
    api.ok("DeleteDBInstance", &last);
    let before = next(&wanted(&api, &home), &observed);
    assert!(matches!(before, Next::WaitUntil(_)), "{before:?}");
    let id = api.snapshot_row("last").id;
    let reason = "why".to_owned();
    record(&api, &Record::SnapshotFailed { id, reason });
    let take_over = Record::TakeOver {
        standby: home.clone(),
    };
    let after = next(&wanted(&api, &home), &observed);
    assert_eq!(after, Next::Step(Step::Record(take_over)));
}

#[test]
fn an_old_primary_whose_log_is_gone_is_copied_anew() {
    let (api, home) = out_of_step();
    let wanted = wanted(&api, &home);
    let old = |mate: MateSeen| {
        let mut observed = beside(mate);
        observed.pair.is_primary_data = true;
        next(&wanted, &observed)
    };
    assert!(matches!(old(PRIMARY), Next::Step(Step::Rewind { .. })));
    let lost = MateSeen {
        slot: MateSlot::Lost,
        ..PRIMARY
    };
    let removed = old(lost);
    assert!(
        matches!(removed, Next::Step(Step::RemoveHome(Removal::Diverged(_)))),
        "{removed:?}"
    );
    let early = old(MateSeen {
        is_checkpointed: false,
        ..lost
    });
    assert!(matches!(early, Next::WaitUntil(_)), "{early:?}");
    // What may be the last copy stays.
    let (api, home) = paired();
    let mut observed = beside(lost);
    observed.pair.is_primary_data = true;
    let kept = next(&self::wanted(&api, &home), &observed);
    assert!(!matches!(kept, Next::Step(_)), "{kept:?}");
}

#[test]
fn a_standby_that_has_lost_its_log_unseen_is_copied_anew() {
    let (api, home) = out_of_step();
    let stopped = beside(PRIMARY);
    let server = started(&wanted(&api, &home), &stopped);
    let observed = |behind| Observed {
        server: Some(server.clone()),
        behind,
        ..stopped.clone()
    };
    let told = Some(Behind {
        since: Monotonic(90_000_000),
        reseeds: 0,
        last: None,
    });
    let step = |wanted: &Wanted, behind| match next(wanted, &observed(behind)) {
        Next::Step(step) => Some(step.kind()),
        _ => None,
    };
    let row = wanted(&api, &home);
    assert_eq!(step(&row, None), None);
    assert_eq!(step(&row, told), Some(StepKind::Reseed));
    // What may be the last copy stays.
    let standby = home.clone();
    record(&api, &Record::InStep { standby });
    assert_eq!(step(&wanted(&api, &home), told), None);
}

#[test]
fn a_lost_slot_stays_until_it_was_seen_that_nothing_follows_by_it() {
    let (api, home) = out_of_step();
    let primary = wanted(&api, &api.id(NAME));
    let mate = MateSeen {
        home: Home::Absent,
        runs: false,
        is_primary_data: false,
        slot: MateSlot::Lost,
        ..PRIMARY
    };
    let mut server = started(&primary, &beside(mate));
    server.slots = [databases::slot(&home)].into();
    let dropped = |mate| {
        let observed = Observed {
            server: Some(server.clone()),
            ..beside(mate)
        };
        next(&primary, &observed) == Next::Step(Step::KeepSlots(Default::default()))
    };
    assert!(dropped(mate));
    let is_zone_up = false;
    assert!(!dropped(MateSeen { is_zone_up, ..mate }));
}

#[test]
fn an_instance_is_gone_only_once_its_other_home_was_seen_to_be() {
    let (api, _) = out_of_step();
    let named = [
        ("DBInstanceIdentifier", NAME),
        ("SkipFinalSnapshot", "true"),
    ];
    api.ok("DeleteDBInstance", &named);
    let primary = wanted(&api, &api.id(NAME));
    let mate = MateSeen {
        home: Home::Absent,
        runs: false,
        ..PRIMARY
    };
    let removed = |mate| {
        let observed = Observed {
            home: Home::Absent,
            ..beside(mate)
        };
        next(&primary, &observed) == Next::Step(Step::Record(Record::Removed))
    };
    assert!(removed(mate));
    // Of a zone that is down nobody has looked at it since the process began.
    let is_zone_up = false;
    assert!(!removed(MateSeen { is_zone_up, ..mate }));
}
