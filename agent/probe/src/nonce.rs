//! Key of the probes' tags.
//!
//! The tag proves that a packet carries a probe of one of our agents. Another host can echo a tag that it received, but
//! cannot create one, so a forged arrival or a reply to a probe that was never sent does not count.

use hmac::{Hmac, KeyInit, Mac};
use sha2::Sha256;
use std::fmt;

/// Why a text is not a key; holds its number of characters.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the nonce key has {0} characters; 64 hexadecimal digits are needed")]
pub struct NonceKeyError(usize);

/// Key of the tags, common to the agents of a link.
#[derive(Clone)]
pub struct NonceKey {
    bytes: [u8; 32],
    /// HMAC state with the key already processed: a tag then costs two blocks of SHA-256 instead of four.
    keyed: Hmac<Sha256>,
}

impl PartialEq for NonceKey {
    fn eq(&self, other: &Self) -> bool {
        self.bytes == other.bytes
    }
}

impl Eq for NonceKey {}

impl NonceKey {
    /// Creates a key from its bytes.
    pub fn from_bytes(bytes: [u8; 32]) -> Self {
        // HMAC pads a shorter key with zeros to its block size, so this gives the tags of the 32-byte key.
        let mut block = [0; 64];
        block[..32].copy_from_slice(&bytes);
        Self { bytes, keyed: Hmac::new(&block.into()) }
    }

    /// Parses 64 hexadecimal digits.
    ///
    /// # Errors
    /// [`NonceKeyError`] if the text is not exactly 64 hexadecimal digits.
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
        Ok(Self::from_bytes(bytes))
    }

    /// The first eight bytes of HMAC-SHA256 over `message`.
    pub(crate) fn tag(&self, message: &[u8]) -> [u8; 8] {
        let mut mac = self.keyed.clone();
        mac.update(message);
        let mut tag = [0; 8];
        tag.copy_from_slice(&mac.finalize().into_bytes()[..8]);
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
    fn the_tag_is_that_of_hmac_sha256_under_the_bare_key() {
        let mut mac = Hmac::<Sha256>::new_from_slice(&[7; 32]).unwrap();
        mac.update(b"PtP1 and so on");
        assert_eq!(NonceKey::from_bytes([7; 32]).tag(b"PtP1 and so on"), mac.finalize().into_bytes()[..8]);
    }

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
