//! What of a rule set can refuse a packet: policies that drop, and rules that drop or reject, at every hook from which
//! they can be reached.

use crate::facts::kernel;
use pingtong_evidence::{
    Policy,
    packet_filter::{
        BaseChain, Condition, Data, Field, FirewallFact, FirewallHook, FirewallRule, FirewallVerdict, RuleSet, Source,
        Statement, Table, Test, Verdict,
    },
};
use std::{
    collections::{BTreeMap, BTreeSet},
    hash::{DefaultHasher, Hash as _, Hasher as _},
    sync::Arc,
};

/// Maximum number of rules listed; more are truncated after sorting by place.
const RULES_MAX: usize = 512;
/// Maximum number of elements of the sets in these rules, about 200 kB in JSON; sets beyond it are listed as not read.
const ELEMENTS_MAX: usize = 4_096;

/// A rule set, with what of it refuses.
pub(super) fn fact(rules: RuleSet, legacy_tables: bool) -> FirewallFact {
    let active = rules.tables.iter().filter(|table| !table.dormant);
    let all: BTreeSet<FirewallRule> = active.flat_map(refusing).collect();
    let chains = rules.tables.iter().flat_map(|table| &table.chains);
    let base_chains = u32::try_from(chains.filter(|chain| chain.base.is_some()).count()).unwrap_or(u32::MAX);
    let mut refusing: Vec<FirewallRule> = all.into_iter().take(RULES_MAX).collect();
    bound(&mut refusing);
    FirewallFact {
        refusing,
        base_chains,
        legacy_tables,
        content: Some(content(&rules)),
        rules: Some(Arc::new(rules)),
        queues: kernel::queues(),
    }
}

/// Equal for equal rule sets of one agent; another version of Rust may give other names.
fn content(rules: &RuleSet) -> String {
    let mut hasher = DefaultHasher::new();
    rules.hash(&mut hasher);
    format!("{:016x}", hasher.finish())
}

fn bound(rules: &mut [FirewallRule]) {
    let mut left = ELEMENTS_MAX;
    for statement in rules.iter_mut().flat_map(|rule| &mut rule.statements).flatten() {
        let set = match statement {
            Statement::Match(Condition { test: Test::In { set, .. }, .. }) | Statement::VerdictMap { map: set, .. } => {
                set
            }
            Statement::Assign { to: Source::Map { map, .. }, .. } => map,
            _ => continue,
        };
        match set.elements.as_ref().map_or(0, Vec::len) {
            more if more > left => set.elements = None,
            some => left -= some,
        }
    }
}

fn refusing(table: &Table) -> Vec<FirewallRule> {
    let hooks = hooks(table);
    let place = |chain: &str, hook: FirewallHook| FirewallRule {
        family: table.family.name().to_owned(),
        table: table.name.clone(),
        chain: chain.to_owned(),
        hook,
        handle: None,
        verdict: FirewallVerdict::Drop,
        protocol: None,
        limited: false,
        statements: Some(vec![]),
        text: String::new(),
    };
    let mut found = vec![];
    for chain in &table.chains {
        let policy = chain.base.as_ref().filter(|base| base.policy == Policy::Drop);
        found.extend(policy.filter(|base| is_known(base)).map(|base| place(&chain.name, base.hook)));
        for rule in &chain.rules {
            let verdict = verdict(&rule.statements);
            if !matches!(verdict, FirewallVerdict::Drop | FirewallVerdict::Reject) {
                continue;
            }
            for &hook in hooks.get(chain.name.as_str()).into_iter().flatten() {
                found.push(FirewallRule {
                    handle: Some(rule.handle),
                    verdict,
                    protocol: protocol(&rule.statements),
                    limited: rule.statements.iter().any(Statement::is_limited),
                    statements: Some(rule.statements.clone()),
                    ..place(&chain.name, hook)
                });
            }
        }
    }
    found
}

/// Nothing is known of the packets that pass a hook without a name.
fn is_known(base: &BaseChain) -> bool {
    base.hook != FirewallHook::Unknown
}

/// The hooks from which packets reach each chain, along jumps. Each pass adds a hook to a chain, so that it ends.
fn hooks(table: &Table) -> BTreeMap<&str, BTreeSet<FirewallHook>> {
    let mut hooks: BTreeMap<&str, BTreeSet<FirewallHook>> = BTreeMap::new();
    for chain in &table.chains {
        hooks
            .entry(&chain.name)
            .or_default()
            .extend(chain.base.iter().filter(|base| is_known(base)).map(|base| base.hook));
    }
    loop {
        let mut changed = false;
        for chain in &table.chains {
            let from = hooks.get(chain.name.as_str()).cloned().unwrap_or_default();
            for target in chain.rules.iter().flat_map(|rule| &rule.statements).flat_map(|each| targets(table, each)) {
                let into = hooks.entry(target).or_default();
                let before = into.len();
                into.extend(&from);
                changed |= into.len() != before;
            }
        }
        if !changed {
            return hooks;
        }
    }
}

/// The chains that a statement leads to.
fn targets<'t>(table: &'t Table, statement: &'t Statement) -> Vec<&'t str> {
    fn target(verdict: &Verdict) -> Option<&str> {
        match verdict {
            Verdict::Jump(chain) | Verdict::Goto(chain) => Some(chain),
            _ => None,
        }
    }
    match statement {
        Statement::Verdict(verdict) => target(verdict).into_iter().collect(),
        Statement::VerdictMap { map, .. } => map
            .elements
            .iter()
            .chain(table.sets.iter().filter(|set| set.name == map.name).flat_map(|set| &set.elements))
            .flatten()
            .filter_map(|element| match &element.data {
                Some(Data::Verdict(verdict)) => target(verdict),
                _ => None,
            })
            .collect(),
        _ => vec![],
    }
}

fn verdict(statements: &[Statement]) -> FirewallVerdict {
    let decided = statements.iter().rev().find_map(|statement| match statement {
        Statement::Reject(_) => Some(FirewallVerdict::Reject),
        Statement::Verdict(Verdict::Drop) => Some(FirewallVerdict::Drop),
        Statement::Verdict(Verdict::Accept) => Some(FirewallVerdict::Accept),
        _ => None,
    });
    decided.unwrap_or(FirewallVerdict::Other)
}

/// The protocol that a condition of the rule requires.
fn protocol(statements: &[Statement]) -> Option<u8> {
    statements.iter().rev().find_map(|statement| match statement {
        Statement::Match(condition) => match condition.equals()? {
            (Field::MetaL4proto | Field::IpProtocol, number) => u8::try_from(number).ok(),
            _ => None,
        },
        _ => None,
    })
}
