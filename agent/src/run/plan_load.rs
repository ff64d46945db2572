//! A load that the plan requests: whether it is sent, how much of it, and its steps one after another.
//!
//! Sent only if the agent's own settings allow one (`load_mbit_max`, 0 unless set), and only to a target that is probed
//! anyway. It is limited to the rate and duration of the settings, and to half of the rate cap over all probes. It
//! begins when everything else of the request is done, so that it disturbs none of it. Its result is in the counts of
//! both ends, as for any round.

use crate::{
    run::{fresh::FreshJobs, targets::Targets},
    settings::Settings,
};
use pingtong_evidence::{LoadRefusal, PlanLoad, ProbeEngine, ProbeRound, RequestTag, RoundPurpose};
use pingtong_probe::{LOAD_PACKET_BITS, RoundOrder, load_steps};
use std::{collections::VecDeque, time::Duration};

const BITS_PER_MEGABIT: u64 = 1_000_000;

/// The load in progress, if any.
#[derive(Debug, Default)]
pub(crate) struct LoadJob {
    tag: Option<RequestTag>,
    steps: VecDeque<RoundOrder>,
    running: bool,
}

/// What the settings permit of a load: Mbit/s and seconds.
///
/// # Errors
/// Why no load is sent.
pub(crate) fn allowed(
    load: &PlanLoad,
    settings: &Settings,
    targets: &Targets,
    engine: ProbeEngine,
) -> Result<(u32, u32), LoadRefusal> {
    if settings.load_mbit_max == 0 {
        return Err(LoadRefusal::NotPermitted);
    }
    if engine != ProbeEngine::Raw {
        return Err(LoadRefusal::NoRawSockets);
    }
    if !targets.probed.iter().any(|target| target.address == load.address) {
        return Err(LoadRefusal::NoTarget(load.address));
    }
    let half = u64::from(settings.rate_pps_max / 2) * u64::from(LOAD_PACKET_BITS) / BITS_PER_MEGABIT;
    let by_rate = u32::try_from(half).unwrap_or(u32::MAX);
    let mbit = load.mbit.min(settings.load_mbit_max).min(by_rate);
    if mbit == 0 {
        return Err(LoadRefusal::RateTooLow(settings.rate_pps_max));
    }
    Ok((mbit, load.seconds.min(settings.load_seconds_max)))
}

impl LoadJob {
    /// Begins a load that is allowed; returns the number of its rounds.
    pub(crate) fn begin(
        &mut self,
        load: &PlanLoad,
        mbit: u32,
        seconds: u32,
        timeout: Duration,
        tag: &RequestTag,
    ) -> usize {
        let order = |step: pingtong_probe::LoadStep| RoundOrder {
            pair: load.pair.clone(),
            target: load.address,
            probes: step.probes,
            spacing: step.spacing,
            timeout,
            payload_bytes: step.payload_bytes,
            purpose: RoundPurpose::Load { bits_per_s: step.bits_per_s },
            bucket: None,
            request: Some(tag.clone()),
        };
        let steps = load_steps(mbit, seconds).into_iter().map(order).collect();
        *self = Self { tag: Some(tag.clone()), steps, running: false };
        self.steps.len()
    }

    /// The next step, if nothing else of its request is in progress.
    pub(crate) fn next(&mut self, jobs: &FreshJobs) -> Option<RoundOrder> {
        let left = jobs.rounds_left(self.tag.as_ref()?);
        if self.running || left != Some(self.steps.len()) {
            return None;
        }
        let step = self.steps.pop_front()?;
        self.running = true;
        Some(step)
    }

    /// Takes a closed round; if it is the running step, the next one may begin.
    pub(crate) fn take(&mut self, round: &ProbeRound) {
        if round.purpose.is_load() && round.request == self.tag {
            self.running = false;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::run::targets::EchoTarget;
    use pingtong_evidence::{PairId, RoundKey};

    fn settings(more: &str) -> Settings {
        let text = format!(
            "collector = \"https://a:1\"\ncertificate = \"-----BEGIN CERTIFICATE-----\"\nagent = \"A\"\nsecret = \"0\"\n\
             account = \"1\"\nallow = []\nspool = \"/s\"\n{more}"
        );
        Settings::parse(&text, "a.toml").unwrap()
    }

    fn load() -> PlanLoad {
        PlanLoad { pair: PairId::parse("p").unwrap(), address: [10, 0, 0, 2].into(), mbit: 100, seconds: 9 }
    }

    fn targets() -> Targets {
        let target = EchoTarget { pair: load().pair, address: load().address, link: None };
        Targets { probed: vec![target], ..Targets::default() }
    }

    #[test]
    fn without_the_owners_word_no_load_is_sent_and_with_it_never_more_than_that() {
        let ask = |more: &str| allowed(&load(), &settings(more), &targets(), ProbeEngine::Raw);
        assert_eq!(ask("").unwrap_err(), LoadRefusal::NotPermitted);
        assert_eq!(ask("load_mbit_max = 5"), Ok((5, 3)));
        assert_eq!(ask("load_mbit_max = 200\nload_seconds_max = 10\nrate_pps_max = 200_000"), Ok((100, 9)));
        assert_eq!(ask("load_mbit_max = 200\nrate_pps_max = 2000"), Ok((11, 3)), "half of the rate cap");
        assert_eq!(ask("load_mbit_max = 200\nrate_pps_max = 100").unwrap_err(), LoadRefusal::RateTooLow(100));
        let permitted = settings("load_mbit_max = 5");
        let portable = allowed(&load(), &permitted, &targets(), ProbeEngine::Portable);
        assert_eq!(portable.unwrap_err(), LoadRefusal::NoRawSockets);
        let nobody = allowed(&load(), &permitted, &Targets::default(), ProbeEngine::Raw);
        assert_eq!(nobody.unwrap_err(), LoadRefusal::NoTarget("10.0.0.2".parse().unwrap()));
    }

    #[test]
    fn steps_follow_one_another_and_wait_for_everything_else_of_the_request() {
        let (mut job, mut jobs, tag) = (LoadJob::default(), FreshJobs::default(), RequestTag::parse("r").unwrap());
        assert_eq!(job.next(&jobs), None);
        let steps = job.begin(&load(), 4, 3, Duration::from_secs(1), &tag);
        jobs.begin(tag.clone(), Duration::ZERO, 2 + steps, Duration::ZERO, false);
        let over = |purpose| {
            let key = RoundKey { agent: "A".parse().unwrap(), round: 1.into() };
            let round = ProbeRound::unanswered(key, load().pair, load().address, 1);
            ProbeRound { purpose, request: Some(tag.clone()), ..round }
        };
        for _ in 0..2 {
            assert_eq!(job.next(&jobs), None, "the burst is not over");
            jobs.round_done(&tag);
            job.take(&over(RoundPurpose::Connectivity));
        }
        for share in [1_000_000, 2_000_000, 4_000_000] {
            let order = job.next(&jobs).unwrap();
            assert_eq!((order.purpose, order.request.as_ref()), (RoundPurpose::Load { bits_per_s: share }, Some(&tag)));
            assert_eq!(job.next(&jobs), None, "one at a time");
            jobs.round_done(&tag);
            job.take(&over(order.purpose));
        }
        assert_eq!(job.next(&jobs), None);
    }
}
