//! Metrics for a monitoring system, in the text format of OpenMetrics by `prometheus-client`, which Prometheus reads
//! since version 2.5.
//!
//! Counters are the live ones; the states of pairs and the silence of agents are read at every request, in the order of
//! their names.

use crate::server::shared::Counters;
use pingtong_evidence::{AgentId, PairId, Timestamp};
use pingtong_verdict::State;
use prometheus_client::{
    collector::Collector,
    encoding::{DescriptorEncoder, EncodeMetric as _, text::encode},
    metrics::{MetricType, gauge::ConstGauge},
    registry::{Registry, Unit},
};
use std::{collections::BTreeMap, fmt};

/// Media type of [`text`].
pub(crate) const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// What is read at the time of a request.
#[derive(Debug)]
pub(crate) struct Readings {
    /// The states of the pairs at the latest look.
    pub(crate) states: BTreeMap<PairId, State>,
    /// When each agent last sent a request.
    pub(crate) seen: BTreeMap<AgentId, Timestamp>,
    pub(crate) now: Timestamp,
}

/// All metrics.
pub(crate) fn text(counters: &Counters, readings: Readings) -> String {
    let mut registry = Registry::with_prefix("pingtong");
    // The library ends each help text with a full stop and each counter's name with `_total`.
    for (name, help, counter) in [
        ("reports_accepted", "Reports kept", &counters.reports_accepted),
        ("reports_rejected", "Reports refused for good", &counters.reports_rejected),
        ("requests_unauthorised", "Requests without a valid credential", &counters.unauthorised),
        ("keep_failed", "Batches that could not be kept", &counters.keep_failed),
        ("verifications", "Requests for fresh evidence", &counters.verifications),
    ] {
        registry.register(name, help, counter.clone());
    }
    registry.register_collector(Box::new(readings));
    let mut out = String::new();
    // Only the writer can fail, and a string does not.
    let _ = encode(&mut out, &registry);
    out
}

impl Collector for Readings {
    fn encode(&self, mut encoder: DescriptorEncoder<'_>) -> fmt::Result {
        let help = "Whether the pair is in that state.";
        let mut family = encoder.encode_descriptor("pair_state", help, None, MetricType::Gauge)?;
        for (pair, state) in &self.states {
            for known in [State::Healthy, State::Degraded, State::Broken, State::Undecided] {
                let labels = [("pair", pair.as_str()), ("state", known.as_str())];
                ConstGauge::new(i64::from(known == *state)).encode(family.encode_family(&labels)?)?;
            }
        }
        let help = "Seconds since the agent last asked.";
        let unit = Some(&Unit::Seconds);
        let mut family = encoder.encode_descriptor("agent_silence", help, unit, MetricType::Gauge)?;
        for (agent, at) in &self.seen {
            let silence = self.now.since(*at).as_secs_f64();
            ConstGauge::new(silence).encode(family.encode_family(&[("agent", agent.as_str())])?)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_types_help_and_labels_are_fixed() {
        let counters = Counters::default();
        counters.reports_accepted.inc_by(3);
        counters.keep_failed.inc();
        let states = [("p1/a-b", State::Broken), ("p2/\"x\"", State::Healthy)];
        let states = states.map(|(pair, state)| (PairId::parse(pair).unwrap(), state));
        let seen = [(AgentId::parse("A.ecs1").unwrap(), Timestamp::from_millis(1_000))];
        let readings = Readings { states: states.into(), seen: seen.into(), now: Timestamp::from_millis(3_250) };
        assert_eq!(
            text(&counters, readings),
            "\
# HELP pingtong_reports_accepted Reports kept.
# TYPE pingtong_reports_accepted counter
pingtong_reports_accepted_total 3
# HELP pingtong_reports_rejected Reports refused for good.
# TYPE pingtong_reports_rejected counter
pingtong_reports_rejected_total 0
# HELP pingtong_requests_unauthorised Requests without a valid credential.
# TYPE pingtong_requests_unauthorised counter
pingtong_requests_unauthorised_total 0
# HELP pingtong_keep_failed Batches that could not be kept.
# TYPE pingtong_keep_failed counter
pingtong_keep_failed_total 1
# HELP pingtong_verifications Requests for fresh evidence.
# TYPE pingtong_verifications counter
pingtong_verifications_total 0
# HELP pingtong_pair_state Whether the pair is in that state.
# TYPE pingtong_pair_state gauge
pingtong_pair_state{pair=\"p1/a-b\",state=\"healthy\"} 0
pingtong_pair_state{pair=\"p1/a-b\",state=\"degraded\"} 0
pingtong_pair_state{pair=\"p1/a-b\",state=\"broken\"} 1
pingtong_pair_state{pair=\"p1/a-b\",state=\"undecided\"} 0
pingtong_pair_state{pair=\"p2/\\\"x\\\"\",state=\"healthy\"} 1
pingtong_pair_state{pair=\"p2/\\\"x\\\"\",state=\"degraded\"} 0
pingtong_pair_state{pair=\"p2/\\\"x\\\"\",state=\"broken\"} 0
pingtong_pair_state{pair=\"p2/\\\"x\\\"\",state=\"undecided\"} 0
# HELP pingtong_agent_silence_seconds Seconds since the agent last asked.
# TYPE pingtong_agent_silence_seconds gauge
# UNIT pingtong_agent_silence_seconds seconds
pingtong_agent_silence_seconds{agent=\"A.ecs1\"} 2.25
# EOF
"
        );
    }
}
