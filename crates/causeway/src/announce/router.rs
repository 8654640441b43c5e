//! BIRD, as it is told: what it shall announce, and that its configuration is another. It is told
//! to withdraw whether or not it takes a configuration.

use std::path::{Path, PathBuf};
use std::time::Duration;

use runtime::{BirdError, BirdLine, BirdSocket};
use types::{Monotonic, Span};

use super::bird;
use super::decide::Wanted;
use super::settings::Plan;
use crate::failure::Failure;
use crate::files::{self, Readers};

/// How long BIRD may take to answer.
const BIRD_WAIT: Duration = Duration::from_secs(2);

/// How often BIRD is told what is wanted though nothing has changed: it may have been restarted.
const TELL_EVERY: Span = Span::seconds(1);

/// How long after a configuration that BIRD didn't take it is given that again.
const CONFIGURE_EVERY: Span = Span::seconds(10);

/// BIRD.
pub struct Router {
    socket: Option<BirdSocket>,
    /// When it is to read its configuration; never if it has.
    configure: Option<Monotonic>,
    /// What it was told last, and when.
    told: Option<(Wanted, Monotonic)>,
    was_reached: bool,
    /// The file for its next `configure` says what is wanted.
    was_kept: bool,
    /// What it said against the configuration last.
    refused: Option<String>,
}

impl Router {
    /// Writes BIRD's configuration; nothing is told yet.
    pub fn new(plan: &Plan, now: Monotonic) -> Result<Router, Failure> {
        Ok(Router {
            socket: None,
            configure: write_configuration(plan)?.then_some(now),
            told: None,
            was_reached: true,
            was_kept: true,
            refused: None,
        })
    }

    /// Tells it, if it hasn't been told just now. A failure is tried again with the next call.
    pub async fn tell(&mut self, plan: &Plan, wanted: Wanted, now: Monotonic) {
        let is_told = self
            .told
            .is_some_and(|(told, at)| told == wanted && now < at + TELL_EVERY);
        if is_told {
            return;
        }
        match self.try_telling(plan, wanted, now).await {
            Ok(()) => {
                self.told = Some((wanted, now));
                self.was_reached = true;
            }
            Err(cause) => {
                self.socket = None;
                // It may have taken a part.
                self.told = None;
                // BIRD that is started next reads it.
                self.keep(plan, wanted);
                if self.was_reached {
                    tracing::error!(%cause, "BIRD isn't told: trying again");
                }
                self.was_reached = false;
            }
        }
    }

    /// What it was told last and took, all of it; none since it hasn't.
    pub fn told(&self) -> Option<Wanted> {
        self.told.map(|(wanted, _)| wanted)
    }

    async fn try_telling(
        &mut self,
        plan: &Plan,
        wanted: Wanted,
        now: Monotonic,
    ) -> Result<(), BirdError> {
        let mut socket = match self.socket.take() {
            Some(socket) => socket,
            None => BirdSocket::connect(&plan.control_socket, BIRD_WAIT).await?,
        };
        let must_configure = self.configure.is_some_and(|at| now >= at);
        if wanted == Wanted::Withdrawn {
            // Before all else: neither a disk that hangs nor a configuration may delay it.
            match switch(&mut socket, plan, wanted).await {
                // It may know none of its protocols before it has read of them.
                Err(BirdError::Refused { .. }) if must_configure => {}
                other => other?,
            }
        }
        self.keep(plan, wanted);
        if must_configure {
            self.configure(&mut socket, plan, now).await?;
        }
        if must_configure || wanted == Wanted::Announced {
            switch(&mut socket, plan, wanted).await?;
        }
        self.socket = Some(socket);
        Ok(())
    }

    /// Has it read its configuration. That it refuses is no error here: what runs is switched all
    /// the same.
    async fn configure(
        &mut self,
        socket: &mut BirdSocket,
        plan: &Plan,
        now: Monotonic,
    ) -> Result<(), BirdError> {
        // Set first: without an answer, the next turn switches what runs and doesn't wait again.
        self.configure = Some(now + CONFIGURE_EVERY);
        let refused = match socket.ask("configure").await {
            Ok(lines) if is_taken(&lines) => {
                say(&lines);
                self.configure = None;
                self.refused = None;
                let applied = beside(plan, bird::APPLIED);
                let text = bird::configuration(plan);
                if let Err(cause) = files::write(&applied, &text, Readers::Anyone) {
                    tracing::warn!("BIRD has to read its configuration again later: {cause:#}");
                }
                return Ok(());
            }
            Ok(lines) => {
                let texts: Vec<String> = lines.into_iter().map(|line| line.text).collect();
                texts.join("; ")
            }
            Err(cause @ BirdError::Refused { .. }) => cause.to_string(),
            Err(cause) => return Err(cause),
        };
        if self.refused.as_ref() != Some(&refused) {
            tracing::error!(
                "BIRD doesn't take its configuration and goes on with what it has, which is \
                 switched; trying again: {refused}"
            );
        }
        self.refused = Some(refused);
        Ok(())
    }

    /// Has BIRD's next `configure`, whoever asks for it, find what is wanted: it sets a protocol
    /// to what is written, whatever it was told. A failure keeps nobody from being told.
    fn keep(&mut self, plan: &Plan, wanted: Wanted) {
        let file = beside(plan, bird::ANNOUNCED);
        let kept = match wanted {
            Wanted::Announced if holds(&file, bird::SWITCHED_ON) => Ok(()),
            Wanted::Announced => files::write(&file, bird::SWITCHED_ON, Readers::Anyone),
            Wanted::Withdrawn => files::remove(&file),
        };
        if let Err(cause) = &kept
            && self.was_kept
        {
            tracing::error!("BIRD's next `configure` undoes what it was told: {cause:#}");
        }
        self.was_kept = kept.is_ok();
    }
}

/// Writes BIRD's configuration, unless it is there and BIRD has taken it; true if BIRD must be
/// told to read it.
fn write_configuration(plan: &Plan) -> Result<bool, Failure> {
    let text = bird::configuration(plan);
    let (file, applied) = (&plan.bird_configuration, beside(plan, bird::APPLIED));
    if holds(file, &text) && holds(&applied, &text) {
        return Ok(false);
    }
    // First: whoever finds the new file must not find that BIRD has taken it.
    files::remove(&applied)?;
    if !holds(file, &text) {
        files::write(file, &text, Readers::Anyone)?;
    }
    Ok(true)
}

/// Was BIRD told last, in this run of the host, to announce?
pub fn is_switched_on(plan: &Plan) -> bool {
    holds(&beside(plan, bird::ANNOUNCED), bird::SWITCHED_ON)
}

fn holds(file: &Path, text: &str) -> bool {
    files::read(file).is_ok_and(|read| read == text)
}

/// A file beside the control socket, where what is known of BIRD ends with the host's run.
fn beside(plan: &Plan, suffix: &str) -> PathBuf {
    let mut path = plan.control_socket.clone().into_os_string();
    path.push(suffix);
    path.into()
}

/// Gives all the commands. One that is refused keeps none from the others; it is the error then.
async fn switch(socket: &mut BirdSocket, plan: &Plan, wanted: Wanted) -> Result<(), BirdError> {
    let mut refused = None;
    for command in bird::commands(plan, wanted) {
        match socket.ask(&command).await {
            Ok(lines) => {
                // 9: disabled, 11: enabled; 8 and 10: it was so already.
                let done = lines.into_iter().filter(|line| matches!(line.code, 9 | 11));
                say(&done.collect::<Vec<_>>());
            }
            Err(cause @ BirdError::Refused { .. }) => refused = refused.or(Some(cause)),
            Err(cause) => return Err(cause),
        }
    }
    refused.map_or(Ok(()), Err)
}

/// 3: reconfigured, 4: it is in progress, 5: it is queued. When BIRD shuts down it ignores it (6).
fn is_taken(lines: &[BirdLine]) -> bool {
    lines.iter().any(|line| matches!(line.code, 3..=5))
}

fn say(lines: &[BirdLine]) {
    for line in lines {
        tracing::info!("BIRD: {}", line.text);
    }
}

#[cfg(test)]
mod tests {
    use super::super::settings::tests::USUAL;
    use super::*;
    use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
    use tokio::net::UnixListener;

    fn plan(directory: &Path) -> Plan {
        let mut plan = Plan::parse(USUAL).unwrap();
        plan.control_socket = directory.join("bird.ctl");
        plan.bird_configuration = directory.join("bird.conf");
        plan
    }

    fn state(plan: &Plan) -> PathBuf {
        beside(plan, bird::ANNOUNCED)
    }

    /// What BIRD that answers `configure` so, or not at all, is asked while it is told that at
    /// those times, in seconds.
    async fn asked(
        router: &mut Router,
        plan: &Plan,
        configured: Option<&'static str>,
        told: &[(u64, Wanted)],
    ) -> Vec<String> {
        let listener = UnixListener::bind(&plan.control_socket).unwrap();
        let (sender, mut asked) = tokio::sync::mpsc::unbounded_channel();
        let bird = async move {
            loop {
                let (stream, _) = listener.accept().await.unwrap();
                let mut stream = BufReader::new(stream);
                stream.write_all(b"0001 ready\n").await.unwrap();
                let mut line = String::new();
                while stream.read_line(&mut line).await.is_ok_and(|read| read > 0) {
                    let line = std::mem::take(&mut line);
                    sender.send(line.trim_end().to_owned()).unwrap();
                    let answer = match (line.trim_end(), configured) {
                        ("configure", Some(answer)) => answer,
                        // It ends the conversation.
                        ("configure", None) => break,
                        _ => "0000 \n",
                    };
                    stream.write_all(answer.as_bytes()).await.unwrap();
                }
            }
        };
        let telling = async {
            for (at, wanted) in told {
                let now = Monotonic(0) + Span::seconds(*at);
                router.tell(plan, *wanted, now).await;
            }
        };
        tokio::select! {
            () = bird => {}
            () = telling => {}
        }
        std::fs::remove_file(&plan.control_socket).unwrap();
        let mut commands = Vec::new();
        while let Ok(command) = asked.try_recv() {
            commands.push(command);
        }
        commands
    }

    const DISABLE: &str = "disable \"causeway?\"";

    #[tokio::test]
    async fn what_runs_is_withdrawn_though_the_configuration_is_refused_or_lost() {
        for answer in [
            Some("0002-Reading\n8002 bird.conf:8:1 syntax error\n"),
            None,
        ] {
            let directory = tempfile::tempdir().unwrap();
            let plan = plan(directory.path());
            let mut router = Router::new(&plan, Monotonic(0)).unwrap();
            let told = [
                (0, Wanted::Withdrawn),
                (1, Wanted::Withdrawn),
                (11, Wanted::Withdrawn),
            ];
            let asked = asked(&mut router, &plan, answer, &told).await;
            assert_eq!(asked[..2], [DISABLE, "configure"]);
            let configured = asked.iter().filter(|it| *it == "configure").count();
            assert_eq!(configured, 2, "{asked:?}");
            let disabled = asked.iter().filter(|it| *it == DISABLE).count();
            assert!(disabled >= 3, "{asked:?}");
            // So is the next one told to read it.
            assert!(write_configuration(&plan).unwrap());
        }
    }

    #[tokio::test]
    async fn a_configuration_is_read_once_and_with_what_is_wanted() {
        let directory = tempfile::tempdir().unwrap();
        let mut plan = plan(directory.path());
        assert!(write_configuration(&plan).unwrap());
        // Nobody told BIRD.
        let mut router = Router::new(&plan, Monotonic(0)).unwrap();
        let taken = Some("0002-Reading\n0004 Reconfiguration in progress\n");
        let told = [(0, Wanted::Announced), (1, Wanted::Announced)];
        let commands = asked(&mut router, &plan, taken, &told).await;
        let enable = ["enable causeway4", "enable causeway6"];
        assert_eq!(commands[0], "configure");
        assert_eq!(commands[1..3], enable);
        assert_eq!(commands[3..], enable);
        assert!(holds(&state(&plan), bird::SWITCHED_ON));
        assert!(!write_configuration(&plan).unwrap());
        // The first finds that the conversation has ended.
        let told = [(2, Wanted::Withdrawn), (2, Wanted::Withdrawn)];
        let commands = asked(&mut router, &plan, taken, &told).await;
        assert_eq!(commands, [DISABLE]);
        assert!(!state(&plan).exists());
        // Another, and back again: nobody knows which of them BIRD has read meanwhile.
        plan.hold_seconds += 1;
        assert!(write_configuration(&plan).unwrap());
        plan.hold_seconds -= 1;
        assert!(write_configuration(&plan).unwrap());
    }

    #[tokio::test]
    async fn bird_that_isn_t_there_finds_what_is_wanted_when_it_starts() {
        let directory = tempfile::tempdir().unwrap();
        let plan = plan(directory.path());
        let mut router = Router::new(&plan, Monotonic(0)).unwrap();
        router.tell(&plan, Wanted::Announced, Monotonic(0)).await;
        assert!(state(&plan).exists());
        router.tell(&plan, Wanted::Withdrawn, Monotonic(1)).await;
        assert!(!state(&plan).exists());
    }
}
