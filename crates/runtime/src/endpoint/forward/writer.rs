//! A session at the writer of the global cluster, over a stream of the link that ends at the
//! writer's own endpoint: of the same user, database and settings as the session that it is for.

use std::sync::Arc;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use link::StreamEnd;
use tokio::sync::OwnedSemaphorePermit;
use tokio::time::timeout;
use zeroize::Zeroizing;

use super::WriteForwarding;
use super::failure::Failure;
use super::frames::{Frame, Frames, columns, message};
use super::scram::{Exchange, MECHANISM, ScramError, Verifier, Witness};
use super::terms::ForwardingTerms;
use crate::environment::fill_random;

/// The longest message of a server that is kept whole: an error, say.
pub(super) const LONGEST_ANSWER: usize = 64 * 1024;

/// Bytes of a nonce; in base64 there is no comma.
const NONCE: usize = 18;

/// One session there.
pub(super) struct Writer {
    pub(super) end: Arc<StreamEnd>,
    pub(super) frames: Frames,
    /// What it is asked to cancel by: its process and its key.
    pub(super) key: Option<[u8; 8]>,
    /// The statement that gave it the settings that it has.
    pub(super) settings: String,
    /// Is something of our own not answered yet? What it says next is no answer to anything else.
    pub(super) owes: bool,
    _place: Option<OwnedSemaphorePermit>,
}

/// Of whom a session is.
pub(super) struct Who<'a> {
    /// The startup packet, length and all.
    pub(super) startup: &'a [u8],
    pub(super) user: &'a str,
    pub(super) witness: &'a Witness,
}

/// What a statement of our own was answered.
pub(super) struct Answer {
    /// The rows' columns.
    pub(super) rows: Vec<Vec<Option<String>>>,
    /// The transaction's status after it.
    pub(super) status: u8,
}

impl From<ScramError> for Failure {
    fn from(error: ScramError) -> Failure {
        Failure::unreachable(&error.to_string())
    }
}

impl Writer {
    /// Begins one.
    pub(super) async fn open(
        forwarding: &dyn WriteForwarding,
        terms: &ForwardingTerms,
        who: Who<'_>,
    ) -> Result<Writer, Failure> {
        let opened = Writer::begin(forwarding, who);
        match terms.connect_timeout {
            None => opened.await,
            Some(wait) => timeout(wait, opened).await.unwrap_or_else(|_| {
                let why = format!("no answer within {} s", wait.as_secs());
                Err(Failure::unreachable(&why))
            }),
        }
    }

    async fn begin(forwarding: &dyn WriteForwarding, who: Who<'_>) -> Result<Writer, Failure> {
        // First its place: who finds none asks nothing of the own server.
        let opened = forwarding.open()?;
        let verifier = forwarding.verifier(who.user).await;
        let verifier = verifier.map_err(|why| Failure::unreachable(&why))?;
        let verifier = Verifier::read(&verifier).ok_or(ScramError::NotShown)?;
        let key = who.witness.client_key(&verifier)?;
        let mut writer = Writer {
            end: Arc::new(opened.end),
            _place: opened.place,
            frames: Frames::new(LONGEST_ANSWER),
            key: None,
            settings: String::new(),
            owes: false,
        };
        writer.send(who.startup).await?;
        writer.log_in(&verifier, &key).await?;
        Ok(writer)
    }

    async fn log_in(&mut self, verifier: &Verifier, key: &[u8; 32]) -> Result<(), Failure> {
        let mut nonce = [0; NONCE];
        fill_random(&mut nonce);
        let mut exchange = Exchange::new(STANDARD.encode(nonce));
        let mut is_proven = false;
        loop {
            let bytes = self.next().await?;
            let body = &bytes[5..];
            match bytes[0] {
                b'R' => {
                    let (kind, rest) = body.split_first_chunk().ok_or(ScramError::Unproven)?;
                    let text = || str::from_utf8(rest).map_err(|_| ScramError::Unproven);
                    match u32::from_be_bytes(*kind) {
                        0 if is_proven => {}
                        10 => {
                            let first = exchange.first();
                            let length = u32::try_from(first.len()).expect("it is short");
                            let length = length.to_be_bytes();
                            let mechanism = MECHANISM.as_bytes();
                            let parts = [mechanism, b"\0", &length, first.as_bytes()];
                            self.send(&message(b'p', &parts)).await?;
                        }
                        11 => {
                            let proof = Zeroizing::new(exchange.prove(text()?, verifier, key)?);
                            self.send(&message(b'p', &[proof.as_bytes()])).await?;
                        }
                        12 => {
                            exchange.verify(text()?, verifier)?;
                            is_proven = true;
                        }
                        // Who lets anybody in isn't the writer.
                        _ => return Err(ScramError::Unproven.into()),
                    }
                }
                b'E' => return Err(Failure::unreachable(&Failure::said(body).message)),
                b'K' => self.key = body.try_into().ok(),
                b'Z' if is_proven => return Ok(()),
                _ => {}
            }
        }
    }

    /// Sends bytes.
    pub(super) async fn send(&self, bytes: &[u8]) -> Result<(), Failure> {
        let sent = self.end.write(bytes).await;
        sent.map_err(|cause| Failure::unreachable(&cause.to_string()))
    }

    /// The next message, which must be one that is kept whole.
    async fn next(&mut self) -> Result<Vec<u8>, Failure> {
        loop {
            match self.frames.next() {
                Ok(Some(Frame::Whole(bytes))) => return Ok(bytes),
                Ok(Some(_)) | Err(_) => {
                    return Err(Failure::unreachable("what it says can't be understood"));
                }
                Ok(None) => {}
            }
            match self.end.read().await {
                Ok(Some(bytes)) => self.frames.push(&bytes),
                Ok(None) => return Err(Failure::unreachable("it ended the session")),
                Err(cause) => return Err(Failure::unreachable(&cause.to_string())),
            }
        }
    }

    /// Has a statement of our own carried out, while nothing else is. If this is given up it
    /// still [owes](Writer::owes) the answer.
    pub(super) async fn ask(&mut self, sql: &str) -> Result<Answer, Failure> {
        self.owes = true;
        self.send(&query(sql)).await?;
        let mut rows = Vec::new();
        let mut failure = None;
        loop {
            let bytes = self.next().await?;
            match bytes[0] {
                b'D' => rows.push(row(&bytes[5..])),
                b'E' => failure = Some(Failure::said(&bytes[5..])),
                b'Z' => {
                    self.owes = false;
                    let status = bytes.get(5).copied().unwrap_or(b'E');
                    return failure.map_or(Ok(Answer { rows, status }), Err);
                }
                _ => {}
            }
        }
    }
}

/// A simple query's message.
pub(super) fn query(sql: &str) -> Vec<u8> {
    message(b'Q', &[sql.as_bytes(), b"\0"])
}

/// The columns of a row in text.
pub(super) fn row(body: &[u8]) -> Vec<Option<String>> {
    let columns = columns(body).unwrap_or_default().into_iter();
    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
    columns.map(|column| column.map(text)).collect()
}
