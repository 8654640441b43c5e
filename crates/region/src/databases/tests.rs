//! What Regions ask each other about databases: its bytes, its bounds, and who may.

use std::collections::BTreeSet;

use databases::InstanceArn;
use databases::model::ResourceId;
use zeroize::Zeroizing;

use super::*;

fn arn(text: &str) -> InstanceArn {
    format!("arn:aws:rds:{text}").parse().unwrap()
}

fn request() -> LeaveRequest {
    LeaveRequest {
        source: arn("us-east-1:111122223333:db:orders"),
        source_id: ResourceId("db-A".to_owned()),
        replica_id: ResourceId("db-B".to_owned()),
    }
}

pub(crate) fn leave() -> DatabaseQuestion {
    DatabaseQuestion::Leave { request: request() }
}

pub(crate) fn left() -> DatabaseAnswer {
    DatabaseAnswer::Leave {
        answer: Ok(Leave {
            password: ReplicationPassword(Zeroizing::new("geheim".to_owned())),
            engine_version: "15.14".to_owned(),
            oldest_log: None,
        }),
    }
}

#[test]
fn golden_bytes_of_a_question_and_its_answer() {
    let bytes = |message: Message| message.encode().to_vec();
    let question = crate::message::Question::Database(leave());
    let asked = bytes(Message::Question {
        number: 7,
        question,
    });
    let mut golden = vec![1, 9, 0, 0, 0, 0, 0, 0, 0, 7];
    golden.extend(
        br#"{"about":"leave","request":{"source":"arn:aws:rds:us-east-1:111122223333:db:orders","#,
    );
    golden.extend(br#""source_id":"db-A","replica_id":"db-B"}}"#);
    assert_eq!(asked, golden);
    let answer = Answer::Database(left());
    let answered = bytes(Message::Answer { number: 7, answer });
    let mut golden = vec![1, 10, 0, 0, 0, 0, 0, 0, 0, 7];
    golden.extend(br#"{"to":"leave","answer":{"Ok":{"password":"geheim","#);
    golden.extend(br#""engine_version":"15.14"}}}"#);
    assert_eq!(answered, golden);
}

#[test]
fn how_far_a_head_is_has_bytes_of_its_own() {
    let mut out = bytes::BytesMut::new();
    let head = ResourceId("db-B".to_owned());
    put(&DatabaseQuestion::Received { head }, &mut out);
    assert_eq!(out[..], br#"{"about":"received","head":"db-B"}"#[..]);
    let received = Some(databases::model::Lsn(0x16_b374_d848));
    let answer = DatabaseAnswer::Received { received };
    let mut out = bytes::BytesMut::new();
    put(&answer, &mut out);
    assert_eq!(take::<DatabaseAnswer>(&mut out.freeze()), Some(answer));
}

#[test]
fn a_leave_says_where_the_log_begins_that_the_source_still_has() {
    let mut answer = left();
    if let DatabaseAnswer::Leave { answer: Ok(leave) } = &mut answer {
        leave.oldest_log = Some("0/3400000".parse().unwrap());
    }
    let mut out = bytes::BytesMut::new();
    put(&answer, &mut out);
    let golden = br#""engine_version":"15.14","oldest_log":"0/3400000"}}}"#;
    assert!(out.ends_with(golden), "{out:?}");
    assert_eq!(take::<DatabaseAnswer>(&mut out.freeze()), Some(answer));
}

#[test]
fn a_password_is_never_printed() {
    assert!(!format!("{:?}", left()).contains("geheim"));
}

#[test]
fn what_is_too_long_or_not_wholly_understood_is_refused() {
    let mut out = bytes::BytesMut::new();
    put(&leave(), &mut out);
    let text = String::from_utf8(out.to_vec()).unwrap();
    let read = |text: &str| take::<DatabaseQuestion>(&mut text.to_owned().into());
    assert_eq!(read(&text), Some(leave()));
    assert_eq!(read(&text.replace("\"source_id\"", "\"other\"")), None);
    assert_eq!(read(&text.replace("\"leave\"", "\"give\"")), None);
    assert_eq!(
        read(&format!("{text}{}", " ".repeat(question::MAX_BYTES))),
        None
    );
    assert_eq!(read(""), None);
}

#[test]
fn a_region_asks_for_its_own_replicas_only() {
    let (here, peer) = ("us-east-1".parse().unwrap(), "eu-west-1".parse().unwrap());
    let attach = |source: &str, replica: &str| DatabaseQuestion::Attach {
        request: databases::AttachRequest {
            source: arn(&format!("{source}:111122223333:db:orders")),
            replica: arn(&format!("{replica}:111122223333:db:readers")),
            replica_id: ResourceId("db-B".to_owned()),
        },
    };
    let may = |question: &DatabaseQuestion| sources::may_ask(peer, here, question);
    let mut foreign = attach("us-east-1", "eu-west-1");
    if let DatabaseQuestion::Attach { request } = &mut foreign {
        request.replica = arn("eu-west-1:444455556666:db:readers");
    }
    assert!(!may(&foreign), "what is another account's");
    assert!(may(&attach("us-east-1", "eu-west-1")));
    assert!(!may(&attach("us-east-1", "ap-southeast-1")));
    assert!(!may(&attach("eu-west-1", "eu-west-1")));
    assert!(may(&leave()));
    assert!(!sources::may_ask(peer, peer, &leave()));
    let copy = |source: &str, copy: &str| {
        let arn = |at: &str| format!("arn:aws:rds:{at}:snapshot:s").parse().unwrap();
        let request = databases::CopyRequest {
            source: arn(source),
            copy: arn(copy),
        };
        DatabaseQuestion::Copy { request }
    };
    let (near, far) = ("us-east-1:111122223333", "eu-west-1:111122223333");
    assert!(may(&copy(near, far)));
    assert!(!may(&copy(near, near)) && !may(&copy(far, far)));
    assert!(
        !may(&copy(near, "eu-west-1:444455556666")),
        "what is another account's"
    );
}

#[test]
fn questions_wait_in_order_and_no_more_than_may() {
    let waiting = Waiting::default();
    for number in 0..MAX_WAITING as u64 {
        assert!(waiting.push((SiteId(2), number, leave())));
    }
    assert!(!waiting.push((SiteId(2), 0, leave())));
    let first = futures_util::FutureExt::now_or_never(waiting.next());
    assert_eq!(first.unwrap().1, 0);
    assert!(waiting.push((SiteId(2), 0, leave())));
}

#[test]
fn no_two_services_share_a_tag_in_the_lane_of_questions() {
    let (tables, objects) = (crate::region::TABLES, crate::region::OBJECTS);
    let tags = [0, tables, objects, DATABASES, steering::FLOW_LOGS.0];
    assert_eq!(BTreeSet::from(tags).len(), tags.len());
}
