//! The key of the probes' tags.
//!
//! The tag proves that a packet carries a probe of an agent of ours: a stranger can echo a tag that it was sent, but
//! cannot make one, so a forged arrival or a reply to a probe that was never sent does not count.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

/// Why a text is not a key.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the nonce key has {0} characters; 64 hexadecimal digits are needed")]
pub struct NonceKeyError(usize);

/// Key of the tags, common to the agents of a link.
#[derive(Clone, PartialEq, Eq)]
pub struct NonceKey([u8; 32]);

impl NonceKey {
    /// From its bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        Self(bytes)
    }

    /// Reads 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`NonceKeyError`] for anything else.
    pub fn parse_hex(text: &str) -> Result<Self, NonceKeyError> {
        let wrong = || NonceKeyError(text.chars().count());
        if text.len() != 64 || !text.is_ascii() {
            return Err(wrong());
        }
        let mut bytes = [0; 32];
        for (byte, digits) in bytes.iter_mut().zip(text.as_bytes().chunks(2)) {
            let digits = std::str::from_utf8(digits).map_err(|_| wrong())?;
            *byte = u8::from_str_radix(digits, 16).map_err(|_| wrong())?;
        }
        Ok(Self(bytes))
    }

    /// The first eight bytes of HMAC-SHA256 over `message`.
    pub(crate) fn tag(&self, message: &[u8]) -> [u8; 8] {
        let mut tag = [0; 8];
        // HMAC takes keys of any length, so the error cannot occur; a zero tag would then match nothing that is sent.
        if let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) {
            mac.update(message);
            tag.copy_from_slice(&mac.finalize().into_bytes()[..8]);
        }
        tag
    }
}

impl fmt::Debug for NonceKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("NonceKey(***)")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_exactly_64_digits_and_never_shows_them() {
        let key = NonceKey::parse_hex(&"0f".repeat(32)).unwrap();
        assert_eq!(key, NonceKey::from_bytes([15; 32]));
        assert_eq!(format!("{key:?}"), "NonceKey(***)");
        for bad in ["", "0f", &"0g".repeat(32), &"é".repeat(32), &"+f".repeat(31)] {
            assert!(NonceKey::parse_hex(bad).is_err(), "{bad}");
        }
    }
}
