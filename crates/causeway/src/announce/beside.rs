//! The edge beside, as files in its directory tell: whether it shall be given nothing new, and,
//! told to it, whether its addresses are announced. A disk that hangs holds up nobody: what was
//! known last counts until it answers. It decides nothing.

use std::path::PathBuf;
use std::pin::Pin;
use std::time::Duration;

use super::decide::Drain;
use crate::drain::{self, Record};

/// How long the disk may take before it is taken for one that hangs: a few times what a busy one
/// needs, and short beside the time in which a site that fails is withdrawn.
const PATIENCE: Duration = Duration::from_millis(300);

/// The edge beside, if there is one.
pub struct Beside {
    directory: Option<PathBuf>,
    /// What the disk was asked and hasn't answered yet; one at a time.
    asked: Option<Asked>,
    /// It was waited for in vain.
    hangs: bool,
    heard: Option<Heard>,
    /// Why it can't be heard or told, as it was said last.
    trouble: Option<String>,
}

/// What the disk is asked.
struct Asked {
    /// Whether it is to say that the addresses are announced; it is let alone with nothing.
    announced: Option<bool>,
    answer: Pin<Box<dyn Future<Output = Answer> + Send>>,
}

/// What it answers.
struct Answer {
    told: anyhow::Result<()>,
    record: anyhow::Result<Option<Record>>,
    announced: bool,
}

/// What the edge's directory says.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Heard {
    /// Whether it shall be given nothing new.
    pub drain: Option<Drain>,
    /// Its addresses may be announced.
    pub announced: bool,
}

impl Beside {
    /// That of that directory.
    pub fn new(directory: Option<PathBuf>) -> Beside {
        Beside {
            directory,
            asked: None,
            hangs: false,
            heard: None,
            trouble: None,
        }
    }

    /// Looks what its directory says, and gives what is known of it; nothing, if there is no edge
    /// or it has never been heard and understood. While it can't be read, it is as it was.
    pub async fn hear(&mut self) -> Option<Heard> {
        self.ask(None).await;
        self.heard
    }

    /// Tells it whether its addresses may be announced.
    pub async fn tell(&mut self, announced: bool) {
        self.ask(Some(announced)).await;
    }

    /// Is nothing known of an edge that there is?
    pub fn is_unknown(&self) -> bool {
        self.directory.is_some() && self.heard.is_none()
    }

    /// Asks the disk and waits a while. What it was asked before, it must have answered first.
    async fn ask(&mut self, announced: Option<bool>) {
        let Some(directory) = self.directory.clone() else {
            return;
        };
        let before = self.asked.is_some();
        self.asked.get_or_insert_with(|| ask(&directory, announced));
        let is_answered = self.wait().await;
        if is_answered && before {
            self.asked = Some(ask(&directory, announced));
            self.wait().await;
        }
    }

    /// Waits for the answer; false if it doesn't come. A disk that hangs isn't waited for twice.
    async fn wait(&mut self) -> bool {
        let Some(asked) = &mut self.asked else {
            return true;
        };
        let patience = match self.hangs {
            true => Duration::ZERO,
            false => PATIENCE,
        };
        let answer = runtime::within(patience, asked.answer.as_mut()).await;
        self.hangs = answer.is_none();
        let Some(answer) = answer else {
            let untold = match asked.announced {
                Some(_) => ", and it isn't told what is announced",
                None => "",
            };
            let why = format!("the disk of the edge's directory hangs{untold}: it is as it was");
            self.say(why);
            return false;
        };
        self.asked = None;
        self.take(answer);
        true
    }

    fn take(&mut self, answer: Answer) {
        let mut trouble = None;
        let drain = match answer.record {
            Ok(record) => Some(record.map(|record| match record.forced {
                true => Drain::Forced,
                false => Drain::Asked,
            })),
            Err(cause) => {
                trouble = Some(format!("the edge's drain can't be read: {cause:#}"));
                // Never read, it isn't known to be drained nor not to be.
                self.heard.map(|heard| heard.drain)
            }
        };
        if let Err(cause) = answer.told {
            trouble = Some(format!("the edge isn't told what is announced: {cause:#}"));
        }
        self.heard = drain.map(|drain| Heard {
            drain,
            announced: answer.announced,
        });
        match trouble {
            Some(why) => self.say(why),
            None => self.trouble = None,
        }
    }

    /// Says it once.
    fn say(&mut self, why: String) {
        if self.trouble.as_ref() != Some(&why) {
            tracing::error!("{why}");
        }
        self.trouble = Some(why);
    }
}

fn ask(directory: &std::path::Path, announced: Option<bool>) -> Asked {
    let directory = directory.to_owned();
    let answer = runtime::blocking(move || Answer {
        told: announced.map_or(Ok(()), |is| drain::say_announced(&directory, is)),
        record: Record::read(&directory),
        announced: drain::is_announced(&directory),
    });
    Asked {
        announced,
        answer: Box::pin(answer),
    }
}
