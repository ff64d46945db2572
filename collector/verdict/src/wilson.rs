//! The interval in which a rate lies, given few samples (Wilson, 95 %).
//!
//! One packet is not a measurement: three losses of ten and thirty of a hundred have the same rate and very different
//! certainty. The normal approximation is wrong near 0 and 1, where loss rates of networks usually lie; the Wilson
//! interval is not.

use serde::{Deserialize, Serialize};

/// Two-sided 95 % quantile of the normal distribution.
const Z: f64 = 1.959_963_984_540_054;
/// Resolution of a rate: fine enough for one packet in a round of the greatest size, and stable as text.
const SCALE: f64 = 1e6;

/// A loss rate with its interval.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
pub struct LossRate {
    /// Packets lost.
    pub lost: u64,
    /// Packets counted, lost ones included.
    pub of: u64,
    /// `lost` divided by `of`, from 0 to 1.
    pub rate: f64,
    /// Lower end of the 95 % interval.
    pub low: f64,
    /// Upper end of the 95 % interval.
    pub high: f64,
}

impl LossRate {
    /// The rate of `lost` packets out of `of`; `None` if `of` is zero.
    #[expect(clippy::cast_precision_loss, reason = "counts of packets stay far below 2^53")]
    pub fn new(lost: u64, of: u64) -> Option<Self> {
        if of == 0 {
            return None;
        }
        let (n, p) = (of as f64, lost.min(of) as f64 / of as f64);
        let z2 = Z * Z;
        let centre = (p + z2 / (2.0 * n)) / (1.0 + z2 / n);
        let half = Z / (1.0 + z2 / n) * (p * (1.0 - p) / n + z2 / (4.0 * n * n)).sqrt();
        let keep = |x: f64| (x.clamp(0.0, 1.0) * SCALE).round() / SCALE;
        Some(Self { lost: lost.min(of), of, rate: keep(p), low: keep(centre - half), high: keep(centre + half) })
    }

    /// Rate and interval as text, such as `2.5 % (1.4 – 4.6 %)`.
    pub fn text(&self) -> String {
        format!("{:.1} % ({:.1} – {:.1} %)", self.rate * 100.0, self.low * 100.0, self.high * 100.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn known_answers() {
        assert_eq!(LossRate::new(0, 0), None);
        let none = LossRate::new(0, 10).unwrap();
        assert!((none.low - 0.0).abs() < 1e-9 && (none.high - 0.277_533).abs() < 1e-5);
        let half = LossRate::new(5, 10).unwrap();
        assert!((half.low - 0.236_593).abs() < 1e-5 && (half.high - 0.763_407).abs() < 1e-5);
    }
}
