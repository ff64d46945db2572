//! Client-side rate limiting: a burst of calls per API and region, then a steady rate.
//!
//! The vendor counts per account, API and region (`API.md` §5); one limiter serves one account. The
//! current time is passed in as a duration since any fixed point. Nothing here waits: the caller receives the time to
//! wait. A refusal for flow control empties the bucket, so that concurrent calls do not all exceed the same limit.

use pingtong_evidence::RegionId;
use std::{
    collections::BTreeMap,
    sync::{Mutex, PoisonError},
    time::Duration,
};

/// Calls that may be made at once after an idle period.
const BURST: u32 = 20;
/// ActionTrail accepts two calls per second, with no larger burst (`API.md` §5).
const EVENTS_PER_SECOND: u32 = 2;

/// The token buckets of the APIs and regions, each stored as the time at which it will be full again.
#[derive(Debug)]
pub(crate) struct Limiter {
    /// Time between calls after the burst.
    spacing: Duration,
    full_at: Mutex<BTreeMap<(&'static str, RegionId), Duration>>,
}

impl Limiter {
    /// A limiter to `calls_per_second` calls of one API in one region, after the burst is used up.
    pub(crate) fn new(calls_per_second: u32) -> Self {
        Self { spacing: Duration::from_secs(1) / calls_per_second.max(1), full_at: Mutex::default() }
    }

    /// Takes one call from the bucket and returns how long to wait before making it.
    pub(crate) fn reserve(&self, api: &'static str, region: &RegionId, now: Duration) -> Duration {
        let (spacing, burst) = self.limits(api);
        let mut buckets = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = buckets.entry((api, region.clone())).or_default();
        *full_at = (*full_at).max(now) + spacing;
        full_at.saturating_sub(now + spacing * burst)
    }

    /// Empties the bucket, because the cloud has refused a call for lack of quota.
    pub(crate) fn drain(&self, api: &'static str, region: &RegionId, now: Duration) {
        let (spacing, burst) = self.limits(api);
        let mut buckets = self.full_at.lock().unwrap_or_else(PoisonError::into_inner);
        let full_at = buckets.entry((api, region.clone())).or_default();
        *full_at = (*full_at).max(now + spacing * burst);
    }

    fn limits(&self, api: &str) -> (Duration, u32) {
        if api == "LookupEvents" {
            return (self.spacing.max(Duration::from_secs(1) / EVENTS_PER_SECOND), EVENTS_PER_SECOND);
        }
        (self.spacing, BURST)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_burst_passes_then_five_per_second_per_api_and_region() {
        let limiter = Limiter::new(5);
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

    #[test]
    fn a_refusal_ends_the_burst_and_no_longer() {
        let (limiter, region) = (Limiter::new(5), RegionId::parse("cn-qingdao").unwrap());
        let now = Duration::from_secs(100);
        limiter.drain("DescribeVpcs", &region, now);
        assert_eq!(limiter.reserve("DescribeVpcs", &region, now), Duration::from_millis(200));
        limiter.drain("DescribeVpcs", &region, now);
        assert_eq!(limiter.reserve("DescribeVpcs", &region, now), Duration::from_millis(400));
        assert_eq!(limiter.reserve("DescribeVSwitches", &region, now), Duration::ZERO);
        assert_eq!(limiter.reserve("DescribeVpcs", &region, now + Duration::from_mins(1)), Duration::ZERO);
    }

    #[test]
    fn events_are_asked_for_twice_a_second() {
        let (limiter, region) = (Limiter::new(5), RegionId::parse("cn-qingdao").unwrap());
        let waits: Vec<_> =
            (0..4).map(|_| limiter.reserve("LookupEvents", &region, Duration::ZERO).as_millis()).collect();
        assert_eq!(waits, [0, 0, 500, 1000]);
    }
}
