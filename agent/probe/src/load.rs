//! Load test: paced bursts at rising rates, and how much of them comes back.
//!
//! Bounded on purpose: at most [`LOAD_MBIT_MAX`] for at most [`LOAD_SECONDS_MAX`], whatever is requested, since a load
//! takes bandwidth from all other traffic on the path. Echo probes load both directions alike, so the result shows the
//! narrower one; only arrivals at the far end show which one that is. No I/O: the caller announces, sends and counts.

use pingtong_evidence::{LOAD_MBIT_MAX, LOAD_SECONDS_MAX, ProbeRound};
use std::time::Duration;

/// Bits of one packet of a load test.
pub const LOAD_PACKET_BITS: u32 = PACKET_BYTES * 8;
/// Bytes of one whole IPv4 packet: small enough for every path that carries ordinary traffic.
const PACKET_BYTES: u32 = 1_400;
/// Bytes of the IPv4 and ICMP headers in it. Towards an IPv6 target, the header and so the packet is 20 bytes longer.
const HEADER_BYTES: u32 = 28;
/// Rates offered one after another, in percent of the requested rate: the step shows where loss begins.
const STEPS: [u32; 3] = [25, 50, 100];

/// One step: a rate offered for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadStep {
    /// Offered rate in bits per second.
    pub bits_per_s: u64,
    /// Number of packets.
    pub probes: u32,
    /// Time between two packets.
    pub spacing: Duration,
    /// Bytes after the ICMP header.
    pub payload_bytes: usize,
}

/// Returns the steps of a load test with this maximum rate and total duration; both are limited to their bounds.
pub fn load_steps(mbit: u32, seconds: u32) -> Vec<LoadStep> {
    let (mbit, seconds) = (mbit.clamp(1, LOAD_MBIT_MAX), seconds.clamp(1, LOAD_SECONDS_MAX));
    let lasting = Duration::from_secs(seconds.into()) / u32::try_from(STEPS.len()).unwrap_or(1);
    let step = |percent: &u32| {
        let bits_per_s = u64::from(mbit) * u64::from(*percent) * 10_000;
        let packet_bits = u64::from(PACKET_BYTES) * 8;
        let spacing = Duration::from_nanos(packet_bits * 1_000_000_000 / bits_per_s.max(1));
        let probes = lasting.as_nanos() / spacing.as_nanos().max(1);
        let payload_bytes = usize::try_from(PACKET_BYTES - HEADER_BYTES).unwrap_or_default();
        LoadStep { bits_per_s, probes: u32::try_from(probes).unwrap_or(u32::MAX).max(1), spacing, payload_bytes }
    };
    STEPS.iter().map(step).collect()
}

/// Result of one step.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadOutcome {
    /// Offered rate in bits per second.
    pub offered_bits_per_s: u64,
    /// Packets that were sent.
    pub sent: u64,
    /// Sent packets that were answered.
    pub received: u64,
    /// Rate of the answers over the time of sending, in bits per second.
    pub received_bits_per_s: u64,
    /// Packets that the agent did not manage to send in time: a local shortage, not loss.
    pub not_sent: u64,
    /// Packets that the agent's own receive queue dropped. If not zero, the loss is not attributed to the path.
    pub own_drops: u64,
}

impl LoadOutcome {
    /// Computes the result from the round that carried the step.
    pub fn of(step: &LoadStep, round: &ProbeRound) -> Self {
        let sent = round.sent.len();
        let received = round.replied.union(&round.late).intersection(&round.sent).len();
        let lasted = step.spacing.saturating_mul(step.probes).as_nanos().max(1);
        let bits = u128::from(received) * u128::from(PACKET_BYTES) * 8;
        let refused: u64 = round.send_errors.iter().map(|error| error.probes.len()).sum();
        Self {
            offered_bits_per_s: step.bits_per_s,
            sent,
            received,
            received_bits_per_s: u64::try_from(bits * 1_000_000_000 / lasted).unwrap_or(u64::MAX),
            not_sent: u64::from(round.planned).saturating_sub(sent + refused),
            own_drops: round.own_drops,
        }
    }

    /// Share of lost packets, in thousandths; `None` if nothing was sent or the agent's own queue dropped packets.
    pub fn lost_permille(&self) -> Option<u64> {
        let lost = self.sent.saturating_sub(self.received);
        if self.own_drops > 0 { None } else { (lost * 1_000).checked_div(self.sent) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingtong_evidence::SequenceSet;

    #[test]
    fn no_request_goes_beyond_the_bounds_and_each_step_offers_its_share() {
        for (mbit, seconds) in [(1, 1), (10, 3), (200, 10), (u32::MAX, u32::MAX), (0, 0)] {
            let steps = load_steps(mbit, seconds);
            let lasting: Duration = steps.iter().map(|step| step.spacing * step.probes).sum();
            assert!(lasting <= Duration::from_secs(LOAD_SECONDS_MAX.into()), "{mbit} {seconds}: {lasting:?}");
            for step in &steps {
                assert!(step.bits_per_s <= u64::from(LOAD_MBIT_MAX) * 1_000_000);
                assert!(step.probes <= SequenceSet::NUMBERS_MAX, "{mbit} {seconds}: {}", step.probes);
                let bits = u128::from(step.probes) * 1_400 * 8 * 1_000_000_000;
                let rate = bits / (step.spacing * step.probes).as_nanos();
                let off = rate.abs_diff(u128::from(step.bits_per_s)) * 1_000 / u128::from(step.bits_per_s);
                assert!(off <= 1, "{rate} for {}", step.bits_per_s);
            }
        }
        let rates: Vec<u64> = load_steps(8, 3).iter().map(|step| step.bits_per_s).collect();
        assert_eq!(rates, [2_000_000, 4_000_000, 8_000_000]);
    }

    fn round(step: &LoadStep, sent: u32, replied: u32, own_drops: u64) -> ProbeRound {
        let mut round = crate::tests::sample::round(step.probes);
        (round.sent, round.replied, round.own_drops) =
            (SequenceSet::first(sent), SequenceSet::first(replied), own_drops);
        round
    }

    #[test]
    fn what_came_back_is_counted_against_what_left() {
        let step = load_steps(8, 3)[2];
        let whole = LoadOutcome::of(&step, &round(&step, step.probes, step.probes, 0));
        assert_eq!((whole.lost_permille(), whole.not_sent), (Some(0), 0));
        assert!(whole.received_bits_per_s.abs_diff(8_000_000) < 8_000, "{}", whole.received_bits_per_s);
        let half = LoadOutcome::of(&step, &round(&step, step.probes, step.probes / 2, 0));
        assert_eq!(half.lost_permille(), Some(500));
        assert!(half.received_bits_per_s.abs_diff(4_000_000) < 8_000);
        let held_back = LoadOutcome::of(&step, &round(&step, 100, 100, 0));
        assert_eq!((held_back.lost_permille(), held_back.not_sent), (Some(0), u64::from(step.probes) - 100));
        assert_eq!(
            LoadOutcome::of(&step, &round(&step, 100, 50, 1)).lost_permille(),
            None,
            "our own drops are no loss"
        );
        assert_eq!(LoadOutcome::of(&step, &round(&step, 0, 0, 0)).lost_permille(), None);
    }
}
