//! Client-side flow control: at most a burst of calls per API and region, then a steady rate.
//!
//! The vendor counts per account, API and region (`alibaba-cloud-api.md` §6); one limiter serves one account. Time comes
//! in as a span since any fixed point. Nothing here waits: the caller is told how long.

use pingtong_evidence::RegionId;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Calls that may go at once after a pause.
const BURST: u32 = 20;
/// Time between calls after that: five per second.
const SPACING: Duration = Duration::from_millis(200);

/// When the bucket of each API and region will be full again.
#[derive(Debug, Default)]
pub(crate) struct Limiter {
    full_at: Mutex<BTreeMap<(&'static str, RegionId), Duration>>,
}

impl Limiter {
    /// Takes one call out of the bucket; the answer is how long to wait before making it.
    pub(crate) fn reserve(&self, api: &'static str, region: &RegionId, now: Duration) -> Duration {
        let mut buckets = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = buckets.entry((api, region.clone())).or_default();
        *full_at = (*full_at).max(now) + SPACING;
        full_at.saturating_sub(now + SPACING * BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_five_per_second_per_api_and_region() {
        let limiter = Limiter::default();
        let (qingdao, beijing) = (RegionId::parse("cn-qingdao").unwrap(), RegionId::parse("cn-beijing").unwrap());
        let now = Duration::from_secs(100);
        for _ in 0..20 {
            assert_eq!(limiter.reserve("DescribeVpcs", &qingdao, now), Duration::ZERO);
        }
        assert_eq!(limiter.reserve("DescribeVpcs", &qingdao, now), Duration::from_millis(200));
        assert_eq!(limiter.reserve("DescribeVpcs", &qingdao, now), Duration::from_millis(400));
        assert_eq!(limiter.reserve("DescribeVpcs", &beijing, now), Duration::ZERO);
        assert_eq!(limiter.reserve("DescribeVSwitches", &qingdao, now), Duration::ZERO);
        assert_eq!(limiter.reserve("DescribeVpcs", &qingdao, now + Duration::from_mins(1)), Duration::ZERO);
    }
}
