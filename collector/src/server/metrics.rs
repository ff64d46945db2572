//! Metrics for a monitoring system, in the text format of Prometheus.

use crate::server::shared::ServerState;
use pingtong_evidence::Timestamp;
use pingtong_verdict::State;
use std::{fmt::Write as _, sync::atomic::Ordering};

/// All metrics as of `now`.
pub(crate) fn text(shared: &ServerState, now: Timestamp) -> String {
    let counters = &shared.counters;
    let mut out = String::new();
    for (name, help, counter) in [
        ("reports_accepted", "Reports kept.", &counters.reports_accepted),
        ("reports_rejected", "Reports refused for good.", &counters.reports_rejected),
        ("requests_unauthorised", "Requests without a valid credential.", &counters.unauthorised),
        ("keep_failed", "Batches that could not be kept.", &counters.keep_failed),
        ("verifications", "Requests for fresh evidence.", &counters.verifications),
    ] {
        let value = counter.load(Ordering::Relaxed);
        let _ = writeln!(
            out,
            "# HELP pingtong_{name}_total {help}\n# TYPE pingtong_{name}_total counter\npingtong_{name}_total {value}"
        );
    }
    let _ = writeln!(
        out,
        "# HELP pingtong_pair_state Whether the pair is in that state.\n# TYPE pingtong_pair_state gauge"
    );
    for (pair, state) in shared.states() {
        for known in [State::Healthy, State::Degraded, State::Broken, State::Undecided] {
            let (pair, name, is) = (escape(pair.as_str()), known.as_str(), u8::from(known == state));
            let _ = writeln!(out, "pingtong_pair_state{{pair=\"{pair}\",state=\"{name}\"}} {is}");
        }
    }
    let _ = writeln!(
        out,
        "# HELP pingtong_agent_silence_seconds Seconds since the agent last asked.\n# TYPE pingtong_agent_silence_seconds gauge"
    );
    for (agent, at) in shared.seen() {
        let _ = writeln!(
            out,
            "pingtong_agent_silence_seconds{{agent=\"{}\"}} {:.3}",
            escape(agent.as_str()),
            now.since(at).as_secs_f64()
        );
    }
    out
}

fn escape(label: &str) -> String {
    label.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n")
}
