//! The key for redacting snapshots: generated for each use and never stored.

use hmac::{Hmac, KeyInit, Mac};
use pingtong_evidence::{Snapshot, redact};
use sha2::Sha256;
use std::fmt;

/// A random key. Anyone who has it can find out by trial what a pseudonym stands for.
pub struct RedactionKey([u8; 32]);

impl RedactionKey {
    /// Generates a new key.
    ///
    /// # Errors
    /// Fails if the kernel returns no random bytes.
    pub fn random() -> Result<Self, getrandom::Error> {
        let mut key = [0; 32];
        getrandom::fill(&mut key)?;
        Ok(Self(key))
    }

    /// Replaces every id, name and address in the snapshots; references between objects still refer to the same
    /// objects.
    pub fn redact(&self, snapshots: &[Snapshot]) -> Vec<Snapshot> {
        redact(snapshots, &|input| self.keyed(input))
    }

    fn keyed(&self, input: &[u8]) -> [u8; 32] {
        // A key of 32 bytes is always accepted.
        let Ok(mut mac) = Hmac::<Sha256>::new_from_slice(&self.0) else { return [0; 32] };
        mac.update(input);
        mac.finalize().into_bytes().into()
    }
}

impl fmt::Debug for RedactionKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("***")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingtong_evidence::{AccountId, RegionId, Timestamp};

    #[test]
    fn each_key_gives_its_own_pseudonyms_and_is_never_shown() {
        let account = AccountId::parse("1000000000000001").unwrap();
        let snapshot =
            Snapshot::unread(account.clone(), RegionId::parse("cn-qingdao").unwrap(), Timestamp::from_millis(1));
        let (one, other) = (RedactionKey::random().unwrap(), RedactionKey::random().unwrap());
        let by = |key: &RedactionKey| key.redact(std::slice::from_ref(&snapshot)).remove(0).account;
        assert_eq!(by(&one), by(&one));
        assert!(by(&one) != by(&other) && by(&one) != account);
        assert_eq!(format!("{one:?}"), "***");
    }
}
