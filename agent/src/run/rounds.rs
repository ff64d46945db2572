//! Rounds that the loop starts: steady ones when they are due, and those that answer a request for fresh evidence.

use super::{
    AgentLoop, plan_load,
    targets::{Purpose, as_flows},
};
use crate::facts::LoadReading;
use pingtong_evidence::{LinkId, ProbeEngine, RequestTag, Sampling};
use pingtong_probe::{PortOrder, RoundOrder};
use std::{collections::BTreeSet, time::Duration};

/// Time limit of a gather for fresh evidence: the requester waits no longer.
const FRESH_GATHER_MAX: Duration = Duration::from_millis(2_500);

impl AgentLoop {
    pub(super) fn begin_fresh(&mut self, tag: RequestTag) {
        let Some(sampling) = self.plan.as_ref().map(|plan| plan.fresh_sampling) else { return };
        let (orders, lasting) = self.targets.orders(sampling, Purpose::Fresh, self.settings.rate_pps_max, |_| true);
        let ports = self.targets.port_orders(sampling, Purpose::Fresh, |_| true);
        self.before_burst = Some((self.recent[0].clone(), LoadReading::now()));
        self.echoes_since.0 = Some(LoadReading::now());
        let rounds = self.start(as_flows(orders), Some(&tag))
            + self.start_ports(ports, Some(&tag))
            + self.search_sizes(Purpose::Fresh, sampling, Some(&tag))
            + self.plan_load(sampling, &tag);
        tracing::debug!(request = %tag, rounds, "fresh evidence is asked for");
        self.fresh.begin(tag.clone(), self.clock.mono(), rounds, lasting, self.settings.snapshot);
        if self.settings.snapshot {
            self.gather(Some(tag), FRESH_GATHER_MAX);
        }
    }

    /// Begins the load that the plan requests together with `tag`, if it is allowed; returns the number of its rounds.
    pub(super) fn plan_load(&mut self, sampling: Sampling, tag: &RequestTag) -> usize {
        self.load_refused = None;
        let Some(load) = self.plan.as_ref().and_then(|plan| plan.load.clone()) else { return 0 };
        let engine = self.probing.engine().kind();
        match plan_load::allowed(&load, &self.settings, &self.targets, engine) {
            Ok((mbit, seconds)) => {
                tracing::warn!(peer.addr = %load.address, mbit, seconds, "a load of the path is asked for and allowed: it takes bandwidth from others, both ways");
                let timeout = Duration::from_millis(sampling.timeout_ms.into());
                self.loading.begin(&load, mbit, seconds, timeout, tag)
            }
            Err(why) => {
                tracing::warn!(peer.addr = %load.address, %why, "a load of the path is asked for and not sent");
                self.load_refused = Some(why);
                0
            }
        }
    }

    pub(super) fn steady_round(&mut self, now: Duration) {
        let Some(sampling) = self.plan.as_ref().map(|plan| plan.steady) else { return };
        let period = Duration::from_millis(sampling.period_ms.max(1).into());
        let due = self.round_at.unwrap_or(now);
        // After a delay of the loop, missed rounds are not made up for.
        self.round_at = Some((due + period).max(now));
        self.lag_max = self.lag_max.max(now.saturating_sub(due));
        self.recent.swap(0, 1);
        self.recent[1] = LoadReading::now();
        let due = self.links_due_at(now);
        let due = |link: Option<&LinkId>| link.is_none_or(|link| due.contains(link));
        let (orders, _) = self.targets.orders(sampling, Purpose::Steady, self.settings.rate_pps_max, due);
        let ports = self.targets.port_orders(sampling, Purpose::Steady, due);
        self.start(orders, None);
        self.start_ports(ports, None);
        self.search_sizes(Purpose::Steady, sampling, None);
    }

    /// The links whose steady round is due; sets when their next ones are due.
    pub(super) fn links_due_at(&mut self, now: Duration) -> BTreeSet<LinkId> {
        let mut due = BTreeSet::new();
        for (link, share) in &self.targets.shares {
            let next = self.links_due.entry(link.clone()).or_insert(now);
            if *next <= now {
                let period = Duration::from_millis(share.steady.period_ms.max(1).into());
                *next = (*next + period).max(now);
                due.insert(link.clone());
            }
        }
        due
    }

    /// Begins searches for the largest packets that pass; returns how many.
    pub(super) fn search_sizes(&mut self, purpose: Purpose, sampling: Sampling, tag: Option<&RequestTag>) -> usize {
        if self.probing.engine().kind() != ProbeEngine::Raw {
            return 0;
        }
        let timeout = Duration::from_millis(sampling.timeout_ms.into());
        let count = self.sizes.begin(&self.targets, purpose, timeout, tag, self.clock.mono());
        self.go_on_searching();
        count
    }

    pub(super) fn go_on_searching(&mut self) {
        for order in self.sizes.orders(self.clock.mono()) {
            self.probing.start(order);
        }
        for tag in self.sizes.finished() {
            self.fresh.round_done(&tag);
        }
    }

    /// Starts rounds; returns how many.
    pub(super) fn start(&mut self, orders: Vec<RoundOrder>, tag: Option<&RequestTag>) -> usize {
        if self.probing.engine().kind() == ProbeEngine::None {
            return 0;
        }
        let count = orders.len();
        for order in orders {
            self.probing.start(RoundOrder { request: tag.cloned(), ..order });
        }
        count
    }

    /// Starts rounds of probes of ports; returns how many.
    pub(super) fn start_ports(&mut self, orders: Vec<PortOrder>, tag: Option<&RequestTag>) -> usize {
        let Ok(ports) = &mut self.ports else { return 0 };
        let count = orders.len();
        for order in orders {
            ports.start(PortOrder { request: tag.cloned(), ..order });
        }
        count
    }
}
