//! SCRAM-SHA-256 (RFC 5802, RFC 7677; PostgreSQL's documentation, 55.3) from between a client and
//! its server: what a client has shown its own server, and what a session of the same user at
//! another server that has the same verifier is begun with. A password is never known here; the key
//! that stands for it is held by one session, and wiped with it.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ring::{digest, hmac};
use zeroize::Zeroizing;

/// What PostgreSQL calls it.
pub(super) const MECHANISM: &str = "SCRAM-SHA-256";

/// Bytes of a key, a proof and a signature.
const KEY: usize = digest::SHA256_OUTPUT_LEN;

/// Why there is no session in a user's name.
#[derive(Clone, Copy, PartialEq, Eq, Debug, thiserror::Error)]
pub(super) enum ScramError {
    /// The client logged in otherwise, or before its verifier was another.
    #[error("the session's user has another password by now: connect again")]
    NotShown,
    /// The other server has another verifier.
    #[error("the user's password isn't the same at the writer: connect again when it has crossed")]
    Differs,
    /// The other server can't be the one that it should be, or speaks otherwise.
    #[error("the writer didn't prove that it knows the user")]
    Unproven,
}

/// A user's verifier, as PostgreSQL keeps it.
pub(super) struct Verifier {
    iterations: String,
    salt: String,
    stored: [u8; KEY],
    server: Zeroizing<[u8; KEY]>,
}

impl Verifier {
    /// Of `SCRAM-SHA-256$iterations:salt$stored:server`.
    pub(super) fn read(text: &str) -> Option<Verifier> {
        let rest = text.strip_prefix(MECHANISM)?.strip_prefix('$')?;
        let (first, keys) = rest.split_once('$')?;
        let (iterations, salt) = first.split_once(':')?;
        let (stored, server) = keys.split_once(':')?;
        Some(Verifier {
            iterations: iterations.to_owned(),
            salt: salt.to_owned(),
            stored: *key(stored)?,
            server: key(server)?,
        })
    }
}

fn key(text: &str) -> Option<Zeroizing<[u8; KEY]>> {
    let bytes = Zeroizing::new(STANDARD.decode(text).ok()?);
    let key: [u8; KEY] = bytes.as_slice().try_into().ok()?;
    Some(Zeroizing::new(key))
}

fn sign(key: &[u8], message: &str) -> hmac::Tag {
    hmac::sign(&hmac::Key::new(hmac::HMAC_SHA256, key), message.as_bytes())
}

fn exclusive_or(one: &[u8; KEY], other: &[u8]) -> Zeroizing<[u8; KEY]> {
    let mut both = Zeroizing::new(*one);
    both.iter_mut().zip(other).for_each(|(a, b)| *a ^= b);
    both
}

/// What passed between a client and its server.
#[derive(Default)]
pub(super) struct Witness {
    first: Option<String>,
    challenge: Option<String>,
    answer: Option<Zeroizing<String>>,
}

impl Witness {
    /// What the client said: the first time with the mechanism, then its proof.
    pub(super) fn client(&mut self, body: &[u8]) {
        if self.first.is_none() {
            self.first = first_of(body);
        } else {
            let text = str::from_utf8(body).ok();
            self.answer = text.map(|text| Zeroizing::new(text.to_owned()));
        }
    }

    /// What the server said: an Authentication message's body.
    pub(super) fn server(&mut self, body: &[u8]) {
        if let Some((&[0, 0, 0, 11], text)) = body.split_first_chunk() {
            self.challenge = str::from_utf8(text).ok().map(str::to_owned);
        }
    }

    /// The key that the client has shown to know; its server has said that it does.
    pub(super) fn client_key(
        &self,
        verifier: &Verifier,
    ) -> Result<Zeroizing<[u8; KEY]>, ScramError> {
        let found = (|| {
            let (without, proof) = self.answer.as_ref()?.rsplit_once(",p=")?;
            let (first, challenge) = (self.first.as_ref()?, self.challenge.as_ref()?);
            let message = format!("{first},{challenge},{without}");
            let signature = sign(&verifier.stored, &message);
            Some(exclusive_or(&*key(proof)?, signature.as_ref()))
        })();
        let found = found.ok_or(ScramError::NotShown)?;
        let stored = digest::digest(&digest::SHA256, &*found);
        match stored.as_ref() == verifier.stored {
            true => Ok(found),
            false => Err(ScramError::NotShown),
        }
    }
}

/// The client's first message without its header, of a SASLInitialResponse's body.
fn first_of(body: &[u8]) -> Option<String> {
    let end = body.iter().position(|byte| *byte == 0)?;
    let text = str::from_utf8(body.get(end + 5..)?).ok()?;
    // The header: what of channel binding, and for whom.
    let mut parts = text.splitn(3, ',');
    parts.nth(2).map(str::to_owned)
}

/// The client's part at another server.
pub(super) struct Exchange {
    nonce: String,
    /// What the server is to sign in the end.
    message: Option<String>,
}

impl Exchange {
    /// With that nonce, of printable ASCII without commas.
    pub(super) fn new(nonce: String) -> Exchange {
        Exchange {
            nonce,
            message: None,
        }
    }

    /// What is said first.
    pub(super) fn first(&self) -> String {
        format!("n,,{}", self.bare())
    }

    fn bare(&self) -> String {
        format!("n=,r={}", self.nonce)
    }

    /// The proof, in answer to the server's challenge.
    pub(super) fn prove(
        &mut self,
        challenge: &str,
        verifier: &Verifier,
        client_key: &[u8; KEY],
    ) -> Result<String, ScramError> {
        let mut fields = challenge.split(',');
        let mut next = |name: &str| fields.next().and_then(|it| it.strip_prefix(name));
        let (nonce, salt, iterations) = (next("r="), next("s="), next("i="));
        let nonce = nonce.filter(|nonce| nonce.starts_with(&self.nonce));
        let nonce = nonce.ok_or(ScramError::Unproven)?;
        if salt != Some(&verifier.salt) || iterations != Some(&verifier.iterations) {
            return Err(ScramError::Differs);
        }
        let without = format!("c=biws,r={nonce}");
        let message = format!("{},{challenge},{without}", self.bare());
        let proof = exclusive_or(client_key, sign(&verifier.stored, &message).as_ref());
        self.message = Some(message);
        Ok(format!("{without},p={}", STANDARD.encode(*proof)))
    }

    /// Does the server know the verifier as well?
    pub(super) fn verify(&self, last: &str, verifier: &Verifier) -> Result<(), ScramError> {
        let signature = last.strip_prefix("v=").and_then(key);
        let message = self.message.as_ref();
        let (Some(signature), Some(message)) = (signature, message) else {
            return Err(ScramError::Unproven);
        };
        let own = hmac::Key::new(hmac::HMAC_SHA256, &*verifier.server);
        hmac::verify(&own, message.as_bytes(), &*signature).map_err(|_| ScramError::Unproven)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    // RFC 7677, section 3: user "user", password "pencil".
    const VERIFIER: &str = "SCRAM-SHA-256$4096:W22ZaJ0SNY7soEsUEjb6gQ==$\
        WG5d8oPm3OtcPnkdi4Uo7BkeZkBFzpcXkuLmtbsT4qY=:\
        wfPLwcE6nTWhTAmQ7tl2KeoiWGPlZqQxSrmfPwDl2dU=";
    const FIRST: &str = "n,,n=user,r=rOprNGfwEbeRWgbNEkqO";
    const CHALLENGE: &str = "r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
        s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
    const ANSWER: &str = "c=biws,r=rOprNGfwEbeRWgbNEkqO%hvYDpWUa2RaTCAfuxFIlj)hNlF$k0,\
        p=dHzbZapWIk4jUhN+Ute9ytag9zjfMHgsqmmiz7AndVQ=";

    fn witness(answer: &str) -> Witness {
        let mut witness = Witness::default();
        let length = u32::try_from(FIRST.len()).unwrap().to_be_bytes();
        let first = [b"SCRAM-SHA-256\0", &length[..], FIRST.as_bytes()].concat();
        witness.client(&first);
        witness.server(&[&[0, 0, 0, 11], CHALLENGE.as_bytes()].concat());
        witness.client(answer.as_bytes());
        witness.server(&[0, 0, 0, 0]);
        witness
    }

    #[test]
    fn the_key_of_the_rfc_s_example_is_found_and_proves_itself_elsewhere() {
        let verifier = Verifier::read(VERIFIER).unwrap();
        let key = witness(ANSWER).client_key(&verifier).unwrap();
        let mut exchange = Exchange::new("abc".to_owned());
        assert_eq!(exchange.first(), "n,,n=,r=abc");
        let challenge = "r=abcdef,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=4096";
        let said = exchange.prove(challenge, &verifier, &key).unwrap();
        // The other server takes it for the same user, as it would the client itself.
        let mut other = Witness::default();
        let first = [b"SCRAM-SHA-256\0\0\0\0\0", exchange.first().as_bytes()].concat();
        other.client(&first);
        other.server(&[&[0, 0, 0, 11], challenge.as_bytes()].concat());
        other.client(said.as_bytes());
        assert_eq!(*other.client_key(&verifier).unwrap(), *key);
        // And proves itself.
        let signature = sign(&*verifier.server, exchange.message.as_ref().unwrap());
        let last = format!("v={}", STANDARD.encode(signature));
        assert_eq!(exchange.verify(&last, &verifier), Ok(()));
        let other = format!("v={}", STANDARD.encode([0; KEY]));
        assert_eq!(
            exchange.verify(&other, &verifier),
            Err(ScramError::Unproven)
        );
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        let verifier = Verifier::read(VERIFIER).unwrap();
        let wrong = ANSWER.replace("p=dHz", "p=dHy");
        for answer in [&wrong[..], "", "c=biws", "c=biws,p=x"] {
            let key = witness(answer).client_key(&verifier);
            assert_eq!(key.err(), Some(ScramError::NotShown), "{answer}");
        }
        let key = witness(ANSWER).client_key(&verifier).unwrap();
        let prove = |challenge: &str| {
            let mut exchange = Exchange::new("abc".to_owned());
            exchange.prove(challenge, &verifier, &key).err()
        };
        let differs = Some(ScramError::Differs);
        assert_eq!(prove("r=abcd,s=AAAA,i=4096"), differs);
        assert_eq!(prove("r=abcd,s=W22ZaJ0SNY7soEsUEjb6gQ==,i=1"), differs);
        for challenge in ["", "r=abd,s=AAAA,i=4096", "m=x,r=abc"] {
            assert_eq!(prove(challenge), Some(ScramError::Unproven), "{challenge}");
        }
        for text in ["", "md5abc", "SCRAM-SHA-256$4096:AAAA$AAAA:AAAA"] {
            assert!(Verifier::read(text).is_none(), "{text}");
        }
    }
}
