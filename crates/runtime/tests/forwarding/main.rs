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

use rig::Stand;

const INSERT: &str = "insert into rows values (1)";
const HELD: &str = "insert into held values (1)";
const FAILS: &str = "insert into rows values ('fails')";
const READ: &str = "select count(*) from rows";

/// A look at how far the session's own server has replayed.
const LOOK: &str = "pg_last_wal_replay_lsn";

/// A look at where the writer's log stands.
const PLACE: &str = "pg_current_wal_insert_lsn";

/// What no question has in it.
const NOTHING: &str = "\0";

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
        stand.one.show(|shows| shows.held = "held");
        let asked = stand.own.count("SELECT 1");
        client.ask(HELD).await;
        stand.own.until_asked("SELECT 1", asked + 2).await;
        stand.one.show(|shows| shows.held = NOTHING);
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
    stand.one.show(|shows| shows.held = NOTHING);
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
    assert_eq!(stand.written(&mut late).await, told("INSERT", 'I'));
    assert_eq!(stand.vouched(), 2);
}

/// What goes on behind the end of a failed transaction would be set or committed at the writer
/// alone, and the session not know of it.
#[tokio::test]
async fn nothing_comes_behind_the_end_of_a_failed_transaction_at_the_writer() {
    let stand = Stand::new(1).await;
    let mut client = stand.session().await;
    for behind in [
        "; set app.tenant = 'b'",
        "; reset all",
        "; insert into rows values (2)",
        "; begin; insert into rows values (2)",
        " and chain",
    ] {
        assert_eq!(client.told("begin").await, told("BEGIN", 'T'));
        assert_eq!(client.told(FAILS).await, told("23505", 'E'));
        let all = format!("rollback{behind}");
        assert_eq!(client.told(&all).await, told("25006", 'E'), "{all}");
        assert_eq!(client.told(READ).await, told("25P02", 'E'), "{all}");
        assert_eq!((stand.one.count(&all), stand.own.count(&all)), (0, 0));
        assert_eq!(client.told("rollback").await, told("ROLLBACK", 'I'));
    }
    // Its end alone goes to where the transaction is.
    assert_eq!(client.told("begin").await, told("BEGIN", 'T'));
    assert_eq!(client.told(FAILS).await, told("23505", 'E'));
    assert_eq!(client.told("set a.b = 1").await, told("25P02", 'E'));
    let ended = stand.one.count("rollback");
    assert_eq!(client.told("rollback").await, told("ROLLBACK", 'I'));
    assert_eq!(stand.one.count("rollback"), ended + 1);
    assert_eq!(client.told("set a.b = 1").await, told("SET", 'I'));
    assert_eq!(client.told(INSERT).await, told("INSERT", 'I'));
}

/// A link that was cut holds answers back, and another may write when it is heard again.
#[tokio::test]
async fn an_answer_that_comes_when_another_writes_is_told_to_nobody() {
    for (begin, failure, status) in [(None, "08007", 'I'), (Some("begin"), "08006", 'E')] {
        let stand = Stand::new(1).await;
        let mut client = stand.session().await;
        if let Some(begin) = begin {
            assert_eq!(client.told(begin).await, told("BEGIN", 'T'));
        }
        client.ask(HELD).await;
        stand.one.until_asked(HELD, 1).await;
        stand.forward_to(Some("other"));
        stand.one.show(|shows| shows.held = NOTHING);
        assert_eq!(client.answer().await, told(failure, status));
        if begin.is_some() {
            assert_eq!(client.told("rollback").await, told("ROLLBACK", 'I'));
        }
        assert_eq!(client.told(INSERT).await, told("INSERT", 'I'));
        assert_eq!(stand.other.count(INSERT), 1);
    }
}

#[tokio::test]
async fn what_is_under_way_when_forwarding_is_turned_off_is_answered() {
    let stand = Stand::new(1).await;
    let mut client = stand.session().await;
    client.ask(HELD).await;
    stand.one.until_asked(HELD, 1).await;
    stand.forward_to(None);
    stand.one.show(|shows| shows.held = NOTHING);
    assert_eq!(client.answer().await, told("INSERT", 'I'));
}

/// The rest of the message would be taken out of whatever comes.
#[tokio::test]
async fn a_client_that_has_half_a_message_of_a_lost_writer_is_told_nothing_more() {
    let stand = Stand::new(1).await;
    let mut client = stand.session().await;
    client.ask("insert into long select 'held'").await;
    let mut heard = client.heard(16 * 1024).await;
    stand.forward_to(Some("other"));
    stand.one.show(|shows| shows.held = NOTHING);
    heard.extend(client.rest().await);
    assert_eq!(heard[0], b'D');
    assert!(heard[5..].iter().all(|byte| *byte == b'x'));
}

/// Of all that the endpoint asks of the writer for itself.
#[tokio::test]
async fn a_question_of_our_own_that_is_not_answered_can_be_cancelled() {
    for held in ["RESET ALL", "BEGIN", PLACE] {
        let stand = Stand::new(1).await;
        let mut client = stand.session().await;
        stand.own.show(|shows| shows.mode = "GLOBAL");
        stand.one.show(|shows| shows.held = held);
        let (begin, asked) = match held {
            PLACE => (None, READ),
            _ => (Some("begin"), INSERT),
        };
        if let Some(begin) = begin {
            stand.own.show(|shows| shows.mode = "SESSION");
            assert_eq!(client.told(begin).await, told("BEGIN", 'T'));
        }
        let status = begin.map_or('I', |_| 'E');
        client.ask(asked).await;
        stand.one.until_asked(held, 1).await;
        stand.cancel().await;
        assert_eq!(client.answer().await, told("57014", status), "{held}");
        if begin.is_some() {
            assert_eq!(client.told("rollback").await, told("ROLLBACK", 'I'));
        }
        // What comes next isn't answered by what was owed.
        stand.one.show(|shows| shows.held = NOTHING);
        assert_eq!(client.told(INSERT).await, told("INSERT", 'I'), "{held}");
    }
}

/// Nor need the writer have taken all of it.
#[tokio::test]
async fn what_is_on_its_way_to_the_writer_can_be_cancelled() {
    let stand = Stand::new(1).await;
    let mut client = stand.session().await;
    let key = "cancel [2, 2, 2, 2, 2, 2, 2, 2]";
    let cancelling = async {
        stand.one.until_asked("insert into held", 1).await;
        stand.cancel().await;
        stand.one.until_asked(key, 1).await;
    };
    tokio::select! {
        () = client.ask_at_length("insert into held values ($1)", 64 << 20) => {
            panic!("nobody took it");
        }
        () = cancelling => {}
    }
}

#[tokio::test]
async fn a_question_of_our_own_lasts_no_longer_than_a_statement_may() {
    let stand = Stand::new(1).await;
    let mut client = stand.session().await;
    stand.own.show(|shows| {
        shows.mode = "GLOBAL";
        shows.timeout = "20";
    });
    stand.one.show(|shows| shows.held = PLACE);
    assert_eq!(client.told(READ).await, told("57014", 'I'));
    stand.own.show(|shows| shows.timeout = "0");
    stand.one.show(|shows| shows.held = NOTHING);
    assert_eq!(client.told(READ).await, told("SELECT", 'I'));
}

#[tokio::test]
async fn a_client_that_leaves_gives_up_its_place_whatever_the_writer_was_asked() {
    let stand = Stand::new(1).await;
    stand.own.show(|shows| shows.mode = "GLOBAL");
    stand.one.show(|shows| shows.held = PLACE);
    let mut client = stand.session().await;
    client.ask(READ).await;
    stand.one.until_asked(PLACE, 1).await;
    drop(client);
    let mut late = stand.session().await;
    assert_eq!(stand.written(&mut late).await, told("INSERT", 'I'));
}

/// By its default the statement would be another.
#[tokio::test]
async fn what_is_set_and_can_t_go_along_has_the_statement_refused() {
    let stand = Stand::new(1).await;
    let mut client = stand.session().await;
    stand.own.show(|shows| shows.setting = 40 * 1024);
    assert_eq!(client.told(INSERT).await, told("54000", 'I'));
    assert_eq!(client.told(READ).await, told("SELECT", 'I'));
    stand.own.show(|shows| shows.setting = 30 * 1024);
    assert_eq!(client.told(INSERT).await, told("INSERT", 'I'));
    assert_eq!(stand.one.count(INSERT), 1);
}
