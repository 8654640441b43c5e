//! What the control file of a server says (`pg_controldata`), and where its log ends by that. The
//! server need not run. Nothing is changed.

use std::str::FromStr;

use super::error::PostgresError;
use super::home::ServerHome;
use super::installation::{Postgres, Run};
use super::model::{ControlData, ControlState, HomeState, Lsn};
use super::server::READING;
use super::timeline::{SEGMENT, end_of_record};

/// The length of a checkpoint's record (access/xlogrecord.h, catalog/pg_control.h): a header of
/// 24 bytes, 2 for how long its data are, and a `CheckPoint` of 88.
const CHECKPOINT_RECORD: u64 = 114;

impl Postgres {
    /// What that server's control file says; it need not run.
    ///
    /// # Errors
    /// The directory holds no whole server, or its control file can't be read.
    pub async fn control(&self, home: &ServerHome) -> Result<ControlData, PostgresError> {
        home.require(matches!(home.state(), HomeState::Whole { .. }))?;
        let text = self.control_text(home).await?;
        parse(&text).ok_or_else(|| PostgresError::Damaged {
            path: home.data_path().join("global/pg_control"),
            why: "pg_controldata says nothing that is known of it",
        })
    }

    /// What `pg_controldata` says of it.
    pub(super) async fn control_text(&self, home: &ServerHome) -> Result<String, PostgresError> {
        let run = Run {
            program: "pg_controldata",
            arguments: vec!["-D".into(), home.data_path().into()],
            input: b"",
            wait: READING,
            moving: false,
        };
        run.with(self).await
    }
}

/// The values after their words (bin/pg_controldata).
pub(super) fn parse(text: &str) -> Option<ControlData> {
    let state = match field(text, "Database cluster state")? {
        "shut down" => ControlState::Stopped,
        "shut down in recovery" => ControlState::StoppedStandby,
        "in archive recovery" => ControlState::CrashedStandby,
        "in production" | "in crash recovery" | "shutting down" | "starting up" => {
            ControlState::Crashed
        }
        _ => return None,
    };
    // Places in the log are reckoned by it.
    if number(text, "Bytes per WAL segment") != Some(SEGMENT) {
        return None;
    }
    let checkpoint: Lsn = number(text, "Latest checkpoint location")?;
    // Between a promotion and its first checkpoint only the least that must be recovered says so.
    let of_checkpoint: u32 = number(text, "Latest checkpoint's TimeLineID")?;
    let of_recovery: u32 = number(text, "Min recovery ending loc's timeline")?;
    let end = end_of_record(checkpoint, CHECKPOINT_RECORD);
    Some(ControlData {
        state,
        timeline: of_checkpoint.max(of_recovery),
        checkpoint,
        redo: number(text, "Latest checkpoint's REDO location")?,
        end: (state == ControlState::Stopped).then_some(end),
    })
}

fn field<'a>(text: &'a str, words: &str) -> Option<&'a str> {
    let value = |line: &'a str| Some(line.strip_prefix(words)?.strip_prefix(':')?.trim());
    text.lines().find_map(value)
}

fn number<T: FromStr>(text: &str, words: &str) -> Option<T> {
    field(text, words)?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As PostgreSQL 15 writes it, the lines that are read.
    fn said(state: &str, timelines: [u32; 2]) -> String {
        format!(
            "Database cluster state:               {state}\n\
             Latest checkpoint location:           0/17414F8\n\
             Latest checkpoint's REDO location:    0/17414C0\n\
             Latest checkpoint's TimeLineID:       {}\n\
             Latest checkpoint's PrevTimeLineID:   1\n\
             Min recovery ending loc's timeline:   {}\n\
             Bytes per WAL segment:                4194304\n",
            timelines[0], timelines[1]
        )
    }

    #[test]
    fn the_end_is_known_of_a_primary_that_was_stopped_in_order_alone() {
        let stopped = parse(&said("shut down", [3, 0])).unwrap();
        assert_eq!(
            (stopped.state, stopped.timeline, stopped.end),
            (ControlState::Stopped, 3, Some(Lsn(0x174_1570)))
        );
        assert_eq!(
            (stopped.checkpoint, stopped.redo),
            (Lsn(0x174_14F8), Lsn(0x174_14C0))
        );
        for (words, state) in [
            ("shut down in recovery", ControlState::StoppedStandby),
            ("in archive recovery", ControlState::CrashedStandby),
            ("in production", ControlState::Crashed),
            ("in crash recovery", ControlState::Crashed),
            ("shutting down", ControlState::Crashed),
        ] {
            let left = parse(&said(words, [1, 0])).unwrap();
            assert_eq!((left.state, left.end), (state, None));
        }
        assert_eq!(parse(&said("on fire", [1, 0])), None);
        let other = said("shut down", [1, 0]).replace("4194304", "16777216");
        assert_eq!(parse(&other), None);
        assert_eq!(parse(""), None);
    }

    #[test]
    fn a_promoted_one_is_on_its_own_timeline_before_its_first_checkpoint() {
        assert_eq!(parse(&said("in production", [1, 2])).unwrap().timeline, 2);
        assert_eq!(parse(&said("in production", [2, 0])).unwrap().timeline, 2);
    }
}
