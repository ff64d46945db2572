//! Stores host facts, and reads them back.
//!
//! A packet filter and routing tables have megabytes at worst and change rarely: each is stored once per content. Facts are
//! stored without them and get them back when they are read.

use super::{Store, StoreError, body_of};
use pingtong_evidence::{AgentId, HostFacts, Known, RequestTag, RoutingTables, packet_filter::RuleSet};
use rusqlite::{OptionalExtension as _, Transaction, params};
use serde::de::DeserializeOwned;
use std::{collections::BTreeMap, sync::Arc};

/// Maximum number of rules and routes that are kept in memory, of all hosts: one has a few hundred bytes.
const ENTRIES_MAX: usize = 200_000;

/// Parsed large parts of facts by agent and content.
#[derive(Debug, Default)]
pub(super) struct LargeParts {
    rules: BTreeMap<(AgentId, String), Arc<RuleSet>>,
    routing: BTreeMap<(AgentId, String), Arc<RoutingTables>>,
    entries: usize,
}

impl LargeParts {
    fn make_room(&mut self, entries: usize) {
        if self.entries + entries > ENTRIES_MAX {
            *self = Self::default();
        }
        self.entries += entries;
    }
}

fn number_of_rules(rules: &RuleSet) -> usize {
    rules.tables.iter().flat_map(|table| &table.chains).map(|chain| chain.rules.len()).sum()
}

impl Store {
    /// The facts of the rows that a query selects.
    pub(super) fn hosts(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<Vec<HostFacts>, StoreError> {
        let mut found: Vec<HostFacts> = super::bodies(&self.connection, "host fact", sql, parameters)?;
        for facts in &mut found {
            if let Known::Known(firewall) = &mut facts.firewall
                && let Some(content) = &firewall.content
                && firewall.rules.is_none()
            {
                firewall.rules = self.rule_set((facts.agent.clone(), content.clone()))?;
            }
            if let Known::Known(routing) = &mut facts.routing
                && let Some(content) = &routing.content
                && routing.tables.is_none()
            {
                routing.tables = self.routing_tables((facts.agent.clone(), content.clone()))?;
            }
        }
        Ok(found)
    }

    fn rule_set(&self, key: (AgentId, String)) -> Result<Option<Arc<RuleSet>>, StoreError> {
        if let Some(known) = self.large_parts.borrow().rules.get(&key) {
            return Ok(Some(Arc::clone(known)));
        }
        let Some(rules) = self.large_part::<RuleSet>(&key, "rule set")? else { return Ok(None) };
        let mut parts = self.large_parts.borrow_mut();
        parts.make_room(number_of_rules(&rules));
        Ok(Some(Arc::clone(parts.rules.entry(key).or_insert_with(|| Arc::new(rules)))))
    }

    fn routing_tables(&self, key: (AgentId, String)) -> Result<Option<Arc<RoutingTables>>, StoreError> {
        if let Some(known) = self.large_parts.borrow().routing.get(&key) {
            return Ok(Some(Arc::clone(known)));
        }
        let Some(tables) = self.large_part::<RoutingTables>(&key, "routing tables")? else { return Ok(None) };
        let mut parts = self.large_parts.borrow_mut();
        parts.make_room(tables.rules.len() + tables.routes.len());
        Ok(Some(Arc::clone(parts.routing.entry(key).or_insert_with(|| Arc::new(tables)))))
    }

    fn large_part<T: DeserializeOwned>(
        &self,
        (agent, content): &(AgentId, String),
        what: &'static str,
    ) -> Result<Option<T>, StoreError> {
        let body: Option<String> = self
            .connection
            .prepare_cached("SELECT body FROM rule_set WHERE agent = ?1 AND content = ?2")
            .and_then(|mut select| select.query_row([agent.as_str(), content], |row| row.get(0)).optional())
            .map_err(StoreError::of("read kept evidence"))?;
        let parsed = body.map(|body| serde_json::from_str(&body)).transpose();
        parsed.map_err(|source| StoreError::Body { what, source })
    }
}

/// Stores the facts of a host; `body` is their JSON as it came.
pub(super) fn keep_facts(
    db: &Transaction<'_>,
    agent: &AgentId,
    facts: &HostFacts,
    body: &str,
    now: i64,
) -> Result<(), StoreError> {
    let fail = StoreError::of("keep a report");
    let mut parts = vec![];
    if let Some(firewall) = facts.firewall.known()
        && let Some(content) = &firewall.content
    {
        parts.push((content, firewall.rules.as_deref().map(|rules| body_of("rule set", rules)).transpose()?));
    }
    if let Some(routing) = facts.routing.known()
        && let Some(content) = &routing.content
    {
        parts.push((content, routing.tables.as_deref().map(|all| body_of("routing tables", all)).transpose()?));
    }
    for (content, part) in &parts {
        match part {
            Some(part) => db
                .prepare_cached(
                    "INSERT INTO rule_set (agent, content, kept_at, body) VALUES (?1, ?2, ?3, ?4)
                     ON CONFLICT (agent, content) DO UPDATE SET kept_at = ?3",
                )
                .and_then(|mut insert| insert.execute(params![agent.as_str(), content, now, part])),
            None => db
                .prepare_cached("UPDATE rule_set SET kept_at = ?3 WHERE agent = ?1 AND content = ?2")
                .and_then(|mut update| update.execute(params![agent.as_str(), content, now])),
        }
        .map_err(&fail)?;
    }
    let mut without = None;
    if parts.iter().any(|(_, part)| part.is_some()) {
        let mut facts = facts.clone();
        if let Known::Known(firewall) = &mut facts.firewall
            && firewall.content.is_some()
        {
            firewall.rules = None;
        }
        if let Known::Known(routing) = &mut facts.routing
            && routing.content.is_some()
        {
            routing.tables = None;
        }
        without = Some(body_of("host fact", &facts)?);
    }
    db.prepare_cached("INSERT INTO host (agent, request, at, kept_at, body) VALUES (?1, ?2, ?3, ?4, ?5)")
        .and_then(|mut insert| {
            insert.execute(params![
                agent.as_str(),
                facts.request.as_ref().map(RequestTag::as_str),
                facts.at.as_millis(),
                now,
                without.as_deref().unwrap_or(body),
            ])
        })
        .map(drop)
        .map_err(fail)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::Incoming;
    use pingtong_evidence::{FirewallFact, Report, ReportBody, ReportId, RoutingFact, Timestamp};
    use serde_json::json;
    use std::path::Path;

    fn facts(agent: &AgentId, at: usize) -> HostFacts {
        let unknown = json!({"unknown": "not_asked"});
        serde_json::from_value(json!({
            "schema": 1, "agent": agent, "at": at, "metadata": unknown, "interfaces": unknown, "routes": [],
            "sysctls": {}, "firewall": unknown, "counters": unknown, "container": unknown, "engine": "raw", "clock": unknown,
        }))
        .unwrap()
    }

    #[test]
    fn a_large_part_is_stored_once_and_comes_back_with_every_fact_of_its_content() {
        let mut store = Store::open(Path::new(":memory:")).unwrap();
        let rules = Arc::new(RuleSet { tables: vec![], rules_omitted: 7 });
        let tables = Arc::new(RoutingTables { routes_omitted: 9, ..RoutingTables::default() });
        let agent = AgentId::parse("a").unwrap();
        for (number, reported) in [Some(&rules), None, None].into_iter().enumerate() {
            let mut facts = facts(&agent, number);
            facts.firewall = Known::Known(FirewallFact {
                content: Some(if number == 2 { "other".into() } else { "one".into() }),
                rules: reported.cloned(),
                ..FirewallFact::default()
            });
            facts.routing = Known::Known(RoutingFact {
                content: Some(if number == 2 { "routes-other".into() } else { "routes-one".into() }),
                tables: reported.map(|_| Arc::clone(&tables)),
            });
            let report = Report {
                id: ReportId::parse(&number.to_string()).unwrap(),
                at: Timestamp::from_millis(0),
                body: ReportBody::Host(Box::new(facts)),
            };
            store.keep(&agent, &[Incoming::new(report, None)], Timestamp::from_millis(0)).unwrap();
        }
        let read = store.hosts("SELECT body FROM host ORDER BY at", []).unwrap();
        let of = |facts: &HostFacts| facts.firewall.known().unwrap().rules.clone();
        assert_eq!(read.iter().map(of).collect::<Vec<_>>(), [Some(Arc::clone(&rules)), Some(rules), None]);
        let of = |facts: &HostFacts| facts.routing.known().unwrap().tables.clone();
        assert_eq!(read.iter().map(of).collect::<Vec<_>>(), [Some(Arc::clone(&tables)), Some(tables), None]);
        let stored: i64 = store.connection.query_row("SELECT COUNT(*) FROM rule_set", [], |row| row.get(0)).unwrap();
        let bodies: String =
            store.connection.query_row("SELECT GROUP_CONCAT(body) FROM host", [], |row| row.get(0)).unwrap();
        assert_eq!((stored, bodies.contains("_omitted")), (2, false));
    }
}
