//! Sessions whose writes are forwarded, in raw messages: what their own server and the writer are
//! asked, and when. Both are the test's own (`rig`), with a true link in between.
#![allow(
    clippy::disallowed_methods,
    clippy::disallowed_types,
    clippy::unwrap_used,
    reason = "a test opens sockets and waits"
)]

#[path = "../common/mod.rs"]
mod common;
mod rig;

use common::WAIT;
use rig::Stand;

const INSERT: &str = "insert into rows values (1)";
const HELD: &str = "insert into held values (1)";
const READ: &str = "select count(*) from rows";

/// A look at how far the session's own server has replayed.
const LOOK: &str = "pg_last_wal_replay_lsn";

/// A look at where the writer's log stands.
const PLACE: &str = "pg_current_wal_insert_lsn";

fn told(tag: &str, status: char) -> (String, char) {
    (tag.to_owned(), status)
}

/// It would end one that is idle, by its timeouts, and tell so in the writer's place.
#[tokio::test]
async fn a_session_s_own_server_is_kept_awake_while_the_writer_is_at_work() {
    let stand = Stand::new(1).await;
    let mut client = stand.session().await;
    for (begin, status) in [(None, 'I'), (Some("begin"), 'T')] {
        if let Some(begin) = begin {
            assert_eq!(client.told(begin).await, told("BEGIN", status));
        }
        stand.one.show(|shows| shows.holds = true);
        let asked = stand.own.count("SELECT 1");
        client.ask(HELD).await;
        stand.own.until_asked("SELECT 1", asked + 2).await;
        stand.one.show(|shows| shows.holds = false);
        assert_eq!(client.answer().await, told("INSERT", status));
    }
    assert_eq!(client.told("commit").await, told("COMMIT", 'I'));
    assert_eq!(stand.one.count(HELD), 2);
    assert_eq!(stand.own.count(HELD), 0);
}

/// A place in the log of the writer before says nothing of this one's.
#[tokio::test]
async fn a_read_that_waits_for_a_writer_s_log_waits_for_the_next_writer_s_instead() {
    let stand = Stand::new(1).await;
    let mut client = stand.session().await;
    assert_eq!(client.told(INSERT).await, told("INSERT", 'I'));
    stand.own.show(|shows| shows.place = "0/50");
    let looked = stand.own.count(LOOK);
    client.ask(READ).await;
    stand.own.until_asked(LOOK, looked + 3).await;
    stand.other.show(|shows| shows.place = "0/60");
    stand.forward_to(Some("other"));
    stand.other.until_asked(PLACE, 1).await;
    let looked = stand.own.count(LOOK);
    stand.own.until_asked(LOOK, looked + 2).await;
    assert_eq!(
        stand.own.count(READ),
        0,
        "the next writer's place is waited for"
    );
    stand.own.show(|shows| shows.place = "0/60");
    assert_eq!(client.answer().await, told("SELECT", 'I'));
    // What comes next is the next writer's, by a session there.
    assert_eq!(client.told(INSERT).await, told("INSERT", 'I'));
    assert_eq!((stand.one.count(INSERT), stand.other.count(INSERT)), (1, 1));
}

#[tokio::test]
async fn a_read_waits_for_no_log_once_nothing_is_forwarded() {
    let stand = Stand::new(1).await;
    let mut client = stand.session().await;
    assert_eq!(client.told(INSERT).await, told("INSERT", 'I'));
    stand.own.show(|shows| shows.place = "0/50");
    let looked = stand.own.count(LOOK);
    client.ask(READ).await;
    stand.own.until_asked(LOOK, looked + 3).await;
    assert_eq!(stand.own.count(READ), 0);
    stand.forward_to(None);
    assert_eq!(client.answer().await, told("SELECT", 'I'));
}

/// Its snapshot holds up the very replay that it would wait for.
#[tokio::test]
async fn a_transaction_in_repeatable_read_waits_as_it_begins_and_never_again() {
    let stand = Stand::new(1).await;
    let mut client = stand.session().await;
    stand.own.show(|shows| {
        shows.mode = "GLOBAL";
        shows.isolation = "repeatable read";
    });
    assert_eq!(client.told("begin").await, told("BEGIN", 'T'));
    assert_eq!(stand.one.count(PLACE), 1);
    stand.one.show(|shows| shows.place = "0/200");
    assert_eq!(client.told(READ).await, told("SELECT", 'T'));
    assert_eq!(stand.one.count(PLACE), 1);
}

/// Each of its statements has a snapshot of its own.
#[tokio::test]
async fn a_transaction_in_read_committed_waits_at_each_read_even_if_it_can_t_write() {
    let stand = Stand::new(1).await;
    let mut client = stand.session().await;
    stand.own.show(|shows| shows.mode = "GLOBAL");
    assert_eq!(client.told("begin read only").await, told("BEGIN", 'T'));
    stand.one.show(|shows| shows.place = "0/200");
    let looked = stand.own.count(LOOK);
    client.ask(READ).await;
    stand.own.until_asked(LOOK, looked + 3).await;
    assert_eq!(stand.own.count(READ), 0);
    stand.own.show(|shows| shows.place = "0/200");
    assert_eq!(client.answer().await, told("SELECT", 'T'));
}

#[tokio::test]
async fn what_is_forwarded_can_be_cancelled_with_all_places_taken() {
    let stand = Stand::new(1).await;
    let mut client = stand.session().await;
    client.ask(HELD).await;
    stand.one.until_asked(HELD, 1).await;
    stand.cancel().await;
    stand
        .one
        .until_asked("cancel [2, 2, 2, 2, 2, 2, 2, 2]", 1)
        .await;
    stand.one.show(|shows| shows.holds = false);
    assert_eq!(client.answer().await, told("INSERT", 'I'));
}

/// Many that write at once would take the few connections that the server keeps back.
#[tokio::test]
async fn who_finds_no_place_has_the_own_server_asked_for_no_verifier() {
    let stand = Stand::new(1).await;
    let mut client = stand.session().await;
    assert_eq!(client.told(INSERT).await, told("INSERT", 'I'));
    assert_eq!(stand.vouched(), 1);
    let mut late = stand.session().await;
    for _ in 0..3 {
        assert_eq!(late.told(INSERT).await, told("53300", 'I'));
    }
    assert_eq!(stand.vouched(), 1);
    // A place that is left is there for the next.
    drop(client);
    let going_on = async {
        loop {
            let answer = late.told(INSERT).await;
            if answer.0 != "53300" {
                return answer;
            }
        }
    };
    let answer = tokio::time::timeout(WAIT, going_on).await.expect("in time");
    assert_eq!(answer, told("INSERT", 'I'));
    assert_eq!(stand.vouched(), 2);
}
