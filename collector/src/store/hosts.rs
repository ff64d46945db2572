//! Stores host facts, and reads them back.
//!
//! A packet filter has megabytes at worst and changes rarely: it is stored once per content. Facts are stored without it and
//! get it back when they are read.

use super::{Store, StoreError, body_of};
use pingtong_evidence::{AgentId, HostFacts, Known, RequestTag, packet_filter::RuleSet};
use rusqlite::{OptionalExtension as _, Transaction, params};
use std::{collections::BTreeMap, sync::Arc};

/// Maximum number of rules whose rule sets are kept in memory, of all hosts: a rule has a few hundred bytes.
const RULES_MAX: usize = 200_000;

/// Parsed rule sets by agent and content.
#[derive(Debug, Default)]
pub(super) struct RuleSets {
    known: BTreeMap<(AgentId, String), Arc<RuleSet>>,
    rules: usize,
}

impl RuleSets {
    fn insert(&mut self, key: (AgentId, String), rules: &Arc<RuleSet>) {
        let count = rules.tables.iter().flat_map(|table| &table.chains).map(|chain| chain.rules.len()).sum::<usize>();
        if self.rules + count > RULES_MAX {
            *self = Self::default();
        }
        self.rules += count;
        self.known.insert(key, Arc::clone(rules));
    }
}

impl Store {
    /// The facts of the rows that a query selects.
    pub(super) fn hosts(&self, sql: &str, parameters: impl rusqlite::Params) -> Result<Vec<HostFacts>, StoreError> {
        let mut found: Vec<HostFacts> = super::bodies(&self.connection, "host fact", sql, parameters)?;
        for facts in &mut found {
            let agent = facts.agent.clone();
            if let Known::Known(firewall) = &mut facts.firewall
                && let Some(content) = &firewall.content
                && firewall.rules.is_none()
            {
                firewall.rules = self.rule_set(agent, content)?;
            }
        }
        Ok(found)
    }

    fn rule_set(&self, agent: AgentId, content: &str) -> Result<Option<Arc<RuleSet>>, StoreError> {
        let key = (agent, content.to_owned());
        if let Some(known) = self.rule_sets.borrow().known.get(&key) {
            return Ok(Some(Arc::clone(known)));
        }
        let body: Option<String> = self
            .connection
            .prepare_cached("SELECT body FROM rule_set WHERE agent = ?1 AND content = ?2")
            .and_then(|mut select| select.query_row([key.0.as_str(), content], |row| row.get(0)).optional())
            .map_err(StoreError::of("read kept evidence"))?;
        let Some(body) = body else { return Ok(None) };
        let rules: RuleSet =
            serde_json::from_str(&body).map_err(|source| StoreError::Body { what: "rule set", source })?;
        let rules = Arc::new(rules);
        self.rule_sets.borrow_mut().insert(key, &rules);
        Ok(Some(rules))
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
    let firewall = facts.firewall.known();
    let content = firewall.and_then(|firewall| firewall.content.as_deref());
    let mut without = None;
    if let Some((content, rules)) = content.zip(firewall.and_then(|firewall| firewall.rules.as_deref())) {
        let rules = body_of("rule set", rules)?;
        db.prepare_cached(
            "INSERT INTO rule_set (agent, content, kept_at, body) VALUES (?1, ?2, ?3, ?4)
             ON CONFLICT (agent, content) DO UPDATE SET kept_at = ?3",
        )
        .and_then(|mut insert| insert.execute(params![agent.as_str(), content, now, rules]))
        .map_err(&fail)?;
        let mut facts = facts.clone();
        if let Known::Known(firewall) = &mut facts.firewall {
            firewall.rules = None;
        }
        without = Some(body_of("host fact", &facts)?);
    } else if let Some(content) = content {
        db.prepare_cached("UPDATE rule_set SET kept_at = ?3 WHERE agent = ?1 AND content = ?2")
            .and_then(|mut update| update.execute(params![agent.as_str(), content, now]))
            .map_err(&fail)?;
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
    use pingtong_evidence::{FirewallFact, Report, ReportBody, ReportId, Timestamp};
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
    fn a_rule_set_is_stored_once_and_comes_back_with_every_fact_of_its_content() {
        let mut store = Store::open(Path::new(":memory:")).unwrap();
        let rules = Arc::new(RuleSet { tables: vec![], rules_omitted: 7 });
        let agent = AgentId::parse("a").unwrap();
        for (number, reported) in [Some(&rules), None, None].into_iter().enumerate() {
            let mut facts = facts(&agent, number);
            facts.firewall = Known::Known(FirewallFact {
                content: Some(if number == 2 { "other".into() } else { "one".into() }),
                rules: reported.cloned(),
                ..FirewallFact::default()
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
        let stored: i64 = store.connection.query_row("SELECT COUNT(*) FROM rule_set", [], |row| row.get(0)).unwrap();
        let bodies: String =
            store.connection.query_row("SELECT GROUP_CONCAT(body) FROM host", [], |row| row.get(0)).unwrap();
        assert_eq!((stored, bodies.contains("rules_omitted")), (1, false));
    }
}
