//! Failovers that nobody asks for: only by a tag, only of a writer that is silent, and once.

use databases::automatic::{Hearing, Known, TAG, undecided};
use databases::lease;
use databases::model::Phase;
use databases::silence::LeasesSeen;
use types::{Configuration, Monotonic, Region, Span};

use crate::clusters::{GLOBAL, arn, pair, row, to};
use crate::support::{Memory, block_on, with};

const WORLD: &str = "arn:aws:rds::111122223333:global-cluster:world";

fn tagging(value: &str) -> Vec<(&str, &str)> {
    vec![
        ("ResourceName", WORLD),
        ("Tags.Tag.1.Key", TAG),
        ("Tags.Tag.1.Value", value),
    ]
}

fn renew(council: &Memory, region: &str, number: u64) {
    let edit = lease::edit(region.parse().unwrap(), number, number);
    block_on(council.propose(vec![edit])).unwrap();
}

fn at(seconds: u64) -> Monotonic {
    Monotonic(seconds * 1_000_000)
}

#[test]
fn a_region_is_silent_since_its_last_renewal_while_the_council_is_heard() {
    let (council, _) = pair();
    let there: Region = "eu-west-1".parse().unwrap();
    let (mut leases, mut hearing) = (LeasesSeen::new(), Hearing::default());
    let silent = |leases: &LeasesSeen, hearing: Hearing, now| {
        let known = Known {
            leases,
            hearing,
            now,
        };
        known.silent_since(there)
    };
    hearing.decided(at(10), 1);
    assert_eq!(silent(&leases, hearing, at(10)), None, "it has no lease");
    renew(&council, "eu-west-1", 1);
    leases.look(&council.view_now(), at(11));
    assert_eq!(silent(&leases, hearing, at(11)), Some(at(11)));
    assert_eq!(
        silent(&leases, hearing, at(12)),
        None,
        "nobody hears anything"
    );
    // Heard again, the council may have had nobody's lease renewed before.
    hearing.decided(at(20), 2);
    assert_eq!(silent(&leases, hearing, at(21)), Some(at(20)));
}

#[test]
fn a_tag_says_after_how_long_a_silent_writer_is_failed_over() {
    let (council, [here, there, third]) = pair();
    let own: Region = "eu-west-1".parse().unwrap();
    let (mut leases, mut hearing) = (LeasesSeen::new(), Hearing::default());
    renew(&council, "us-east-1", 1);
    leases.look(&council.view_now(), at(10));
    let found = |leases: &LeasesSeen, hearing: Hearing, now| {
        let known = Known {
            leases,
            hearing,
            now,
        };
        undecided(&council.view_now(), own, known).unwrap()
    };
    hearing.decided(at(12), 1);
    assert!(
        found(&leases, hearing, at(13)).is_empty(),
        "without the tag"
    );
    third.ok("AddTagsToResource", &tagging("4s"));
    assert_eq!(
        third
            .ok("ListTagsForResource", &[("ResourceName", WORLD)])
            .each("TagList", "Value"),
        ["4s"]
    );
    // It counts from when this Region hears the council itself.
    let one = found(&leases, hearing, at(13)).remove(0);
    assert_eq!((one.since, one.due), (at(12), at(16)));
    assert_eq!(one.to.to_string(), arn(&there));
    assert!(found(&leases, Hearing::default(), at(99)).is_empty());
    // A renewal that wasn't looked at yet, and one that was.
    renew(&council, "us-east-1", 2);
    assert!(found(&leases, hearing, at(13)).is_empty());
    assert!(!block_on(there.service.fail_over_unasked(&one, Span::seconds(4))).unwrap());
    leases.look(&council.view_now(), at(14));
    hearing.decided(at(13), 1);
    let one = found(&leases, hearing, at(14)).remove(0);
    assert_eq!(one.due, at(18));
    // In the writer's own Region, and in one without a member, nobody decides.
    for region in ["us-east-1", "ap-southeast-2"] {
        let known = Known {
            leases: &leases,
            hearing,
            now: at(14),
        };
        let none = undecided(&council.view_now(), region.parse().unwrap(), known);
        assert!(none.unwrap().is_empty(), "{region}");
    }
    let is_decided = || {
        block_on(
            there
                .service
                .fail_over_unasked(&one, Span::milliseconds(4_321)),
        )
    };
    assert!(is_decided().unwrap());
    let moving = row(&council).moving.unwrap();
    assert_eq!((moving.number, moving.phase), (1, Phase::Fencing));
    assert!(!is_decided().unwrap(), "once");
    assert!(
        found(&leases, hearing, at(14)).is_empty(),
        "a move is under way"
    );
    // Whoever takes it back isn't overruled, until the writer was heard and is silent again.
    third.ok("SwitchoverGlobalCluster", &to(&arn(&here)));
    assert_eq!(row(&council).moving, None);
    assert!(found(&leases, hearing, at(14)).is_empty());
    renew(&council, "us-east-1", 3);
    leases.look(&council.view_now(), at(14));
    assert_eq!(found(&leases, hearing, at(14)).len(), 1);
    // Each Region tells of it once.
    for api in [&here, &there, &here] {
        block_on(api.service.tell_of_decisions()).unwrap();
        let told = api.messages("db-cluster");
        let words = "no renewal of the lease of Region us-east-1 was seen for 4.3 s (move 1)";
        assert_eq!(
            told.iter().filter(|it| it.contains(words)).count(),
            1,
            "{told:?}"
        );
    }
}

#[test]
fn the_one_that_has_received_most_is_chosen() {
    use databases::model::Lsn;
    let (council, [_, _, third]) = pair();
    third.ok("AddTagsToResource", &tagging("2s"));
    renew(&council, "us-east-1", 1);
    let (mut leases, mut hearing) = (LeasesSeen::new(), Hearing::default());
    leases.look(&council.view_now(), at(1));
    hearing.decided(at(1), 1);
    let known = Known {
        leases: &leases,
        hearing,
        now: at(2),
    };
    let one = undecided(&council.view_now(), "eu-west-1".parse().unwrap(), known);
    let one = one.unwrap().remove(0);
    let other = |region: &str, lsn| -> (databases::ClusterArn, Lsn) {
        let arn = format!("arn:aws:rds:{region}:111122223333:cluster:shop");
        (arn.parse().unwrap(), Lsn(lsn))
    };
    assert!(!one.is_for_another(Lsn(7), &[]));
    assert!(one.is_for_another(Lsn(7), &[other("us-west-2", 8)]));
    assert!(!one.is_for_another(Lsn(7), &[other("us-west-2", 6)]));
    // Of two that have received the same, the first in the order of their names.
    for region in ["us-west-2", "ap-south-1"] {
        let same = other(region, 7);
        assert_eq!(
            one.is_for_another(Lsn(7), std::slice::from_ref(&same)),
            same.0 < one.to
        );
    }
    assert!(one.due_at_last() > one.due);
}

#[test]
fn a_span_that_is_none_is_refused() {
    let (_, [_, _, third]) = pair();
    for value in ["1s", "11m", "soon", ""] {
        let code = third.code("AddTagsToResource", &tagging(value));
        assert_eq!(code, "InvalidParameterValue", "{value}");
    }
    let named = with(GLOBAL, &[("GlobalClusterIdentifier", "other")]);
    let tag = [("Tags.Tag.1.Key", TAG), ("Tags.Tag.1.Value", "1s")];
    let code = third.code("CreateGlobalCluster", &with(&named, &tag));
    assert_eq!(code, "InvalidParameterValue");
    // Other tags come and go as those of any other resource.
    let blue = [
        ("ResourceName", WORLD),
        ("Tags.Tag.1.Key", "team"),
        ("Tags.Tag.1.Value", "blue"),
    ];
    third.ok("AddTagsToResource", &blue);
    let taken = [("ResourceName", WORLD), ("TagKeys.member.1", "team")];
    third.ok("RemoveTagsFromResource", &taken);
    let listed = third.ok("ListTagsForResource", &[("ResourceName", WORLD)]);
    assert!(listed.each("TagList", "Value").is_empty());
    let missing = [(
        "ResourceName",
        "arn:aws:rds::111122223333:global-cluster:none",
    )];
    let more = |more| with(&missing, more);
    for (operation, parameters) in [
        ("ListTagsForResource", missing.to_vec()),
        ("AddTagsToResource", more(&blue[1..])),
        ("RemoveTagsFromResource", more(&taken[1..])),
    ] {
        // One that the API's model has for all three.
        let code = third.code(operation, &parameters);
        assert_eq!(code, "DBClusterNotFoundFault", "{operation}");
    }
}
