//! Secrets: generates them, writes them as hex, and compares them in constant time.

use crate::store::{AgentRow, SECRET_BYTES, hash_of};
use pingtong_evidence::AgentId;
use secrecy::{ExposeSecret as _, SecretString};
use std::fmt::Write as _;
use subtle::ConstantTimeEq;

/// Generates a secret from the kernel's random numbers, in hex.
///
/// # Errors
/// If the kernel returns no random numbers.
pub(crate) fn generate() -> Result<SecretString, getrandom::Error> {
    let mut bytes = [0u8; SECRET_BYTES];
    getrandom::fill(&mut bytes)?;
    let mut text = String::with_capacity(2 * SECRET_BYTES);
    for byte in bytes {
        let _ = write!(text, "{byte:02x}");
    }
    Ok(SecretString::from(text))
}

/// Whether `given` is the secret; the time taken does not depend on where they differ.
pub(crate) fn is(secret: &SecretString, given: &str) -> bool {
    hash_of(secret.expose_secret()).ct_eq(&hash_of(given)).into()
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
    fn a_generated_secret_does_not_show_and_is_itself() {
        let secret = generate().unwrap();
        let text = secret.expose_secret();
        assert_eq!(text.len(), 64);
        assert!(!format!("{secret:?}").contains(text));
        assert!(is(&secret, text) && !is(&secret, "00"));
    }

    #[test]
    fn a_bearer_header_is_read() {
        assert_eq!(bearer(Some("Bearer a.b")), Some("a.b"));
        assert_eq!(bearer(Some("Basic a.b")), None);
        assert_eq!(bearer(None), None);
    }
}
