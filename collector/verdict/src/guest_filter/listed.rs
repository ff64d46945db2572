//! A rule that refuses, reported without the rules around it, as a rule set of its own.

use pingtong_evidence::{
    FirewallRule, FirewallVerdict, Policy,
    packet_filter::{
        BaseChain, Chain, ChainKind, Condition, Family, Field, Reject, Rule, RuleSet, Statement, Table, Verdict,
    },
};

/// The rule alone, in a base chain at its hook.
pub(super) fn alone(rule: &FirewallRule) -> RuleSet {
    let family = match rule.family.as_str() {
        "ip" => Family::Ip,
        "ip6" => Family::Ip6,
        "netdev" => Family::Netdev,
        "bridge" => Family::Bridge,
        "arp" => Family::Arp,
        _ => Family::Inet,
    };
    // Frames of a bridge are not walked; a rule for them may concern the host's packets all the same.
    let family = if family == Family::Bridge { Family::Inet } else { family };
    // Named as a match of xtables, which decides nothing by itself.
    let unseen = || Statement::NotUnderstood { name: String::from("xt earlier-rules") };
    let protocol = rule.protocol.map(|number| Statement::Match(Condition::equal(Field::MetaL4proto, number.into())));
    let ends = |statement: &Statement| matches!(statement, Statement::Verdict(_) | Statement::Reject(_));
    let mut statements: Vec<Statement> = protocol.into_iter().collect();
    match &rule.statements {
        Some(typed) if rule.protocol.is_some() && rule.handle.is_some() => statements.extend(typed.iter().cloned()),
        typed => {
            statements.push(unseen());
            statements.extend(typed.iter().flatten().cloned());
        }
    }
    statements.retain(|statement| !ends(statement));
    statements.push(match rule.verdict {
        FirewallVerdict::Reject => Statement::Reject(Reject::Icmpx(1)),
        _ => Statement::Verdict(Verdict::Drop),
    });
    let base =
        BaseChain { kind: ChainKind::Filter, hook: rule.hook, priority: 0, policy: Policy::Accept, devices: vec![] };
    let chain = Chain {
        name: rule.chain.clone(),
        base: Some(base),
        rules: vec![Rule { handle: rule.handle.unwrap_or_default(), statements }],
    };
    let table = Table { family, name: rule.table.clone(), dormant: false, chains: vec![chain], sets: vec![] };
    RuleSet { tables: vec![table], rules_omitted: 0 }
}
