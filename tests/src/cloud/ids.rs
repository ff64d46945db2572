//! Ids in the vendor's format: a prefix, a region hint of three characters, and random letters and digits.
//!
//! The hints of Qingdao, Beijing and Hangzhou come from the API samples. Shanghai, Shenzhen and us-west-1 have fixed
//! hints too; any other region gets a hint derived from its name. The hint makes swapped ids easy to see. Equal seeds
//! give equal ids.

use fastrand::Rng;

/// Generates ids and hardware addresses. Deterministic for a seed.
#[derive(Debug, Clone)]
pub(super) struct IdMaker(Rng);

impl IdMaker {
    pub(super) fn new(seed: u64) -> Self {
        Self(Rng::with_seed(seed))
    }

    /// A new id. `prefix` includes its dash: `vpc-`.
    pub(super) fn id(&mut self, prefix: &str, region: &str) -> String {
        format!("{prefix}{}{}", region_hint(region), self.letters(17))
    }

    pub(super) fn letters(&mut self, count: usize) -> String {
        (0..count).map(|_| self.0.digit(36)).collect()
    }

    /// A hardware address with the prefix of the vendor's interfaces, 00:16:3e.
    pub(super) fn mac(&mut self) -> [u8; 6] {
        let [a, b, c, _] = self.0.u32(..).to_le_bytes();
        [0x00, 0x16, 0x3e, a, b, c]
    }
}

/// An id derived from other text, for objects that are computed and not stored (system routes). A hash of
/// the text seeds the letters: the same object has the same id in every answer.
pub(super) fn derived(prefix: &str, from: &str) -> String {
    let folded = from
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3));
    format!("{prefix}{}", IdMaker::new(folded).letters(20))
}

pub(super) fn mac_text(mac: [u8; 6]) -> String {
    mac.map(|byte| format!("{byte:02x}")).join(":")
}

fn region_hint(region: &str) -> String {
    match region {
        "cn-qingdao" => "m5e".to_owned(),
        "cn-beijing" => "2ze".to_owned(),
        "cn-hangzhou" => "bp1".to_owned(),
        "cn-shanghai" => "uf6".to_owned(),
        "cn-shenzhen" => "wz9".to_owned(),
        "us-west-1" => "rj9".to_owned(),
        other => derived("", other).chars().take(3).collect(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn equal_seeds_give_equal_ids_and_the_region_shows() {
        let (mut one, mut two) = (IdMaker::new(7), IdMaker::new(7));
        assert_eq!(one.id("vpc-", "cn-qingdao"), two.id("vpc-", "cn-qingdao"));
        assert!(one.id("ri-", "cn-beijing").starts_with("ri-2ze"));
        assert_ne!(one.id("ri-", "cn-beijing"), one.id("ri-", "cn-beijing"));
    }
}
