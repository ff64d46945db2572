//! Secrets: generates them, writes them as hex, and compares them in constant time.

use crate::store::{AgentRow, SECRET_BYTES, hash_of};
use pingtong_evidence::AgentId;
use std::fmt::{self, Write as _};
use subtle::ConstantTimeEq;

/// A secret in hex. Its debug output is `***`.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Secret(String);

impl Secret {
    /// Generates a secret from the kernel's random numbers.
    ///
    /// # Errors
    /// If the kernel returns no random numbers.
    pub(crate) fn generate() -> Result<Self, getrandom::Error> {
        let mut bytes = [0u8; SECRET_BYTES];
        getrandom::fill(&mut bytes)?;
        let mut text = String::with_capacity(2 * SECRET_BYTES);
        for byte in bytes {
            let _ = write!(text, "{byte:02x}");
        }
        Ok(Self(text))
    }

    /// Takes over a secret that was written earlier, without surrounding white space.
    pub(crate) fn from_text(text: &str) -> Self {
        Self(text.trim().to_owned())
    }

    /// The secret itself, to be written to a file of mode 0600 or sent in a header.
    pub(crate) fn expose(&self) -> &str {
        &self.0
    }

    /// Whether `given` is this secret; the time taken does not depend on where they differ.
    pub(crate) fn is(&self, given: &str) -> bool {
        hash_of(&self.0).ct_eq(&hash_of(given)).into()
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

/// The token of an `Authorization: Bearer …` header.
pub(crate) fn bearer(header: Option<&str>) -> Option<&str> {
    let (scheme, token) = header?.split_once(' ')?;
    scheme.eq_ignore_ascii_case("bearer").then(|| token.trim())
}

/// Splits `AGENT_ID.SECRET` at the last dot: the secret is hex, but an agent's name may contain dots.
pub(crate) fn agent_and_secret(token: &str) -> Option<(AgentId, &str)> {
    let (id, secret) = token.rsplit_once('.')?;
    Some((AgentId::parse(id).ok()?, secret))
}

/// Whether the secret is the agent's. Takes the same time if there is no such agent.
pub(crate) fn matches(agent: Option<&AgentRow>, secret: &str) -> bool {
    let kept = agent.map_or_else(|| vec![0; SECRET_BYTES], |row| row.secret_hash.clone());
    let same: bool = kept.ct_eq(&hash_of(secret)).into();
    same && agent.is_some()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_may_have_dots() {
        let (id, secret) = agent_and_secret("A.ecs1.00ff").unwrap();
        assert_eq!((id.as_str(), secret), ("A.ecs1", "00ff"));
        assert_eq!(agent_and_secret("nodots"), None);
        assert_eq!(agent_and_secret(".00"), None);
    }

    #[test]
    fn a_secret_does_not_show() {
        let secret = Secret::generate().unwrap();
        assert_eq!(format!("{secret:?}"), "***");
        assert_eq!(secret.expose().len(), 64);
        assert!(secret.is(secret.expose()) && !secret.is("00"));
    }

    #[test]
    fn a_bearer_header_is_read() {
        assert_eq!(bearer(Some("Bearer a.b")), Some("a.b"));
        assert_eq!(bearer(Some("Basic a.b")), None);
        assert_eq!(bearer(None), None);
    }
}
