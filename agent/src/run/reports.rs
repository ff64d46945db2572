//! What the loop reports: closed rounds, arrivals, how the agent itself fares.

use super::AgentLoop;
use crate::{
    Lang,
    clock::wall,
    facts::LoadReading,
    ports::{echo::PortEcho, probing::PortProbing},
    probing::Yield,
};
use pingtong_evidence::{AgentHealth, ClockFact, Report, ReportBody, ReportId, RequestTag, RoundPurpose};
use pingtong_probe::Arrived;
use std::time::Duration;

/// Interval between two reports of the agent's own health, unless there is news.
const HEALTH_PERIOD: Duration = Duration::from_secs(10);

impl AgentLoop {
    pub(super) fn report_yield(&mut self, out: Yield) {
        for round in out.rounds {
            self.loading.take(&round);
            if round.purpose == RoundPurpose::PathSize {
                self.sizes.take(&round);
            } else if let Some(tag) = &round.request {
                self.fresh.round_done(tag);
            }
            self.report(ReportBody::Probe(Box::new(round)));
        }
        self.go_on_searching();
        for arrival in out.arrivals {
            self.report(match arrival {
                Arrived::Round(part) => ReportBody::Arrival(part),
                Arrived::Connections(part) => ReportBody::Connections(part),
            });
        }
    }

    pub(super) fn report_health(&mut self, fresh_done: Option<RequestTag>) {
        let no_ports = self.ports.as_ref().err().filter(|_| !self.targets.ports.is_empty()).cloned();
        let degraded: Vec<String> =
            [self.probing.engine().degraded(Lang::En), self.targets.unsupported.clone(), no_ports]
                .into_iter()
                .flatten()
                .chain(self.echo.iter().flat_map(PortEcho::failed))
                .collect();
        let now = LoadReading::now();
        let of_request = if fresh_done.is_some() { self.echoes_since.0.take() } else { None };
        let before = std::mem::replace(&mut self.echoes_since.1, now.clone());
        let health = AgentHealth {
            echoes: now.echoes_since(&of_request.unwrap_or(before)),
            reports_dropped: self.uplink.borrow().dropped + self.outbox.dropped(),
            probes_not_sent: self.probing.counters().probes_not_sent
                + self.ports.as_ref().map_or(0, PortProbing::not_sent),
            targets_refused: self.targets.refused.clone(),
            clock_steps_ms: self.steps_ms.clone(),
            loop_lag_ms_max: u64::try_from(std::mem::take(&mut self.lag_max).as_millis()).unwrap_or(u64::MAX),
            degraded: (!degraded.is_empty()).then(|| degraded.join("; ")),
            load_refused: if fresh_done.is_some() { self.load_refused.take() } else { self.load_refused.clone() },
            fresh_done,
        };
        self.health_at = self.clock.mono() + HEALTH_PERIOD;
        self.report(ReportBody::Health(health));
    }

    pub(super) fn report(&mut self, body: ReportBody) {
        let Ok(id) = ReportId::parse(&uuid::Uuid::now_v7().to_string()) else { return };
        self.outbox.add(self.clock.mono(), Report { id, at: wall(), body });
    }

    pub(super) fn clock_fact(&self) -> Option<ClockFact> {
        self.uplink.borrow().clock.or(self.plan_clock)
    }
}
