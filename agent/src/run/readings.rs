//! What the loop reads beside probing: the identity of the instance, host facts, the account's configuration. Each runs on a
//! thread of its own; the results come back as [`Done`].

use super::{AgentLoop, Done};
use crate::{
    clock::wall,
    facts::{self, FactsOrder, LoadReading},
};
use pingtong_cloud::{GatherScope, gather};
use pingtong_evidence::{HostFacts, Known, Protocol, ReportBody, RequestTag};
use std::time::Duration;

/// Time after which unchanged packet filters and routing tables are reported again: the report that had them may have been lost.
const LARGE_PARTS_AGAIN: Duration = Duration::from_mins(10);
const STEADY_GATHER_MAX: Duration = Duration::from_secs(30);

impl AgentLoop {
    pub(super) fn steady_readings(&mut self, now: Duration) {
        let Some(plan) = &self.plan else { return };
        self.snapshot_at = Some(now + Duration::from_millis(plan.snapshot_period_ms.max(1_000).into()));
        self.read_facts(None);
        if let Some(echo) = &mut self.echo {
            echo.retry();
        }
        if self.identity_at.is_none() && self.metadata.known().is_some() {
            self.identity_at = Some(now);
        }
        if self.settings.snapshot && !self.gathering {
            self.gathering = true;
            self.gather(None, STEADY_GATHER_MAX);
        }
    }

    pub(super) fn read_facts(&mut self, request: Option<RequestTag>) {
        let (since, until) = match self.before_burst.take().filter(|_| request.is_some()) {
            Some((since, until)) => (Some(since), Some(until)),
            None => (self.load.replace(LoadReading::now()), None),
        };
        let order = FactsOrder {
            agent: self.settings.agent.clone(),
            request,
            peers: self.targets.peers.clone(),
            metadata: self.metadata.clone(),
            engine: self.probing.engine().kind(),
            watched_ports: self.watched_ports.clone(),
            observes: self.tap.iter().map(|_| Protocol::Udp).collect(),
            clock: self.clock_fact().map_or_else(Known::default, Known::Known),
            since,
            until,
        };
        self.tasks.spawn_blocking_on(move || Done::Facts(Box::new(facts::read(order, wall()))), &self.beside);
    }

    /// Leaves out the packet filter and the routing tables of facts whose content the collector has already got.
    fn large_parts_once(&mut self, facts: &mut HostFacts) {
        let now = self.clock.mono();
        let is_sent = |sent: &mut Option<(String, Duration)>, content: Option<&String>| match sent {
            Some((content_sent, at)) if Some(&*content_sent) == content && now < *at + LARGE_PARTS_AGAIN => true,
            _ => {
                *sent = content.cloned().map(|content| (content, now));
                false
            }
        };
        if let Known::Known(firewall) = &mut facts.firewall
            && is_sent(&mut self.filter_sent, firewall.content.as_ref())
        {
            firewall.rules = None;
        }
        if let Known::Known(routing) = &mut facts.routing
            && is_sent(&mut self.tables_sent, routing.content.as_ref())
        {
            routing.tables = None;
        }
    }

    pub(super) fn ask_identity(&mut self) {
        let client = self.metadata_client.clone();
        let asking = async move { Done::Identity(client.identity().await.map_err(|error| error.why())) };
        self.tasks.spawn_on(asking, &self.beside);
    }

    pub(super) fn gather(&mut self, tag: Option<RequestTag>, within: Duration) {
        let (cloud, metadata_client) = (self.cloud.clone(), self.metadata_client.clone());
        let (account, known) = (self.settings.account.clone(), self.metadata.known().cloned());
        let gathering = async move {
            let identity = match known {
                Some(identity) => Ok(identity),
                None => metadata_client.identity().await.map_err(|error| error.why()),
            };
            let snapshot = match identity {
                Ok(identity) => {
                    let mut scope = GatherScope::new(account, identity.region).answering(tag.clone());
                    scope.vpc = identity.vpc;
                    scope.within = within;
                    Ok(Box::new(gather(&cloud, &scope, wall).await))
                }
                Err(why) => Err(why),
            };
            Done::Gathered { tag, snapshot }
        };
        self.tasks.spawn_on(gathering, &self.beside);
    }

    pub(super) fn take_done(&mut self, done: Done) {
        match done {
            Done::Identity(Ok(fact)) => {
                self.identity_backoff.reset();
                if self.metadata.known() != Some(&fact) {
                    tracing::info!(instance.id = %fact.instance, account.id = %fact.account, region = %fact.region, "the identity of this instance is known from the metadata service");
                    self.instance.send_replace(Some(fact.instance.clone()));
                    self.identity.send_replace(Some(fact.clone()));
                    let first = self.metadata.known().is_none();
                    self.metadata = Known::Known(fact);
                    if first && self.plan.is_some() {
                        self.snapshot_at = Some(self.clock.mono());
                    }
                }
            }
            Done::Identity(Err(why)) => {
                let wait = self.identity_backoff.next();
                self.identity_at = Some(self.clock.mono() + wait);
                // An earlier answer still holds: an instance does not become another one.
                if self.metadata.known().is_none() && self.metadata.why_unknown() != Some(&why) {
                    tracing::warn!(%why, again_in = ?wait, "the metadata service is silent; probing goes on, the account's configuration waits");
                    self.metadata = Known::Unknown(why);
                }
            }
            Done::Facts(mut facts) => {
                self.sizes.learn(&facts);
                self.go_on_searching();
                self.large_parts_once(&mut facts);
                if let Some(tag) = &facts.request {
                    self.fresh.facts_done(tag);
                }
                self.report(ReportBody::Host(facts));
            }
            Done::Gathered { tag, snapshot } => {
                match &tag {
                    Some(tag) => self.fresh.snapshot_done(tag),
                    None => self.gathering = false,
                }
                match snapshot {
                    Ok(snapshot) => self.report(ReportBody::Snapshot(snapshot)),
                    Err(why) => {
                        tracing::warn!(%why, "no snapshot: the region is not known without the metadata service");
                    }
                }
            }
        }
    }
}
