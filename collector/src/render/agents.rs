//! The enrolled agents as a list: in columns for people, one object per line for scripts.

use super::{
    layout::{columns, pick, wrapped},
    line_of, print,
};
use crate::store::AgentRow;
use pingtong_evidence::{InstanceId, Timestamp};
use pingtong_verdict::Lang;
use serde_json::json;
use unicode_width::UnicodeWidthStr;

/// Columns of space between two cells.
const GAP: usize = 2;

/// Prints the enrolled agents.
pub(crate) fn agents(agents: &[AgentRow], json: bool, lang: Lang) {
    print(&if json { lines(agents) } else { page(agents, lang) });
}

/// When the agent was last seen. It counts as seen only after it has introduced itself; fetching a plan is not enough.
fn last_seen(agent: &AgentRow) -> Option<Timestamp> {
    agent.hello.as_ref().and(agent.seen_at)
}

fn lines(agents: &[AgentRow]) -> String {
    let mut out = String::new();
    for agent in agents {
        let value = json!({
            "schema": pingtong_evidence::SCHEMA, "name": agent.id, "account": agent.account, "instance": agent.instance(),
            "address": agent.hello.as_ref().and_then(|hello| Some(hello.metadata.as_ref()?.private_address)),
            "enrolled_at": agent.enrolled_at, "last_seen": last_seen(agent),
        });
        out.push_str(&line_of(&value));
        out.push('\n');
    }
    out
}

fn page(agents: &[AgentRow], lang: Lang) -> String {
    if agents.is_empty() {
        let none = pick(
            lang,
            "No agent is enrolled yet; \"pingtong enroll\" makes the first one's credential.",
            "尚未登记任何 agent；请用“pingtong enroll”为第一个 agent 生成凭证。",
        );
        return wrapped(none, 0, 0);
    }
    let head = pick(lang, "name|account|instance|enrolled|last seen", "名称|账号|实例|登记时间|最近出现");
    let mut rows: Vec<Vec<String>> = vec![head.split('|').map(str::to_owned).collect()];
    for agent in agents {
        let seen = last_seen(agent).map_or_else(|| pick(lang, "never", "从未").to_owned(), |at| at.to_string());
        rows.push(vec![
            agent.id.to_string(),
            agent.account.to_string(),
            agent.instance().map_or_else(|| "-".to_owned(), InstanceId::to_string),
            agent.enrolled_at.to_string(),
            seen,
        ]);
    }
    let width_of = |n: usize| rows.iter().filter_map(|row| row.get(n)).map(|cell| cell.width()).max().unwrap_or(0);
    let widths: Vec<usize> = (0..5).map(|n| width_of(n) + GAP).collect();
    let mut out = String::new();
    for row in &rows {
        let cells: Vec<(&str, usize)> = row.iter().map(String::as_str).zip(widths.iter().copied()).collect();
        out.push_str(&columns(&cells));
        out.push('\n');
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingtong_evidence::{AccountId, AgentId};

    fn agent(name: &str, seen_at: Option<i64>, hello: bool) -> AgentRow {
        AgentRow {
            id: AgentId::parse(name).unwrap(),
            account: AccountId::parse("1000000000000001").unwrap(),
            instance: InstanceId::parse("i-a").ok(),
            secret_hash: vec![],
            enrolled_at: Timestamp::from_millis(0),
            seen_at: seen_at.map(Timestamp::from_millis),
            hello: hello.then(|| serde_json::from_str(r#"{"schema":1,"version":"test"}"#).unwrap()),
        }
    }

    #[test]
    fn who_never_introduced_itself_was_never_seen() {
        let agents = [agent("A.ecs1", Some(1000), true), agent("B.ecs1", Some(1000), false)];
        let seen: Vec<serde_json::Value> = lines(&agents)
            .lines()
            .map(|line| serde_json::from_str::<serde_json::Value>(line).unwrap()["last_seen"].clone())
            .collect();
        assert_eq!(seen, [json!(1000), json!(null)]);
        insta::assert_snapshot!(page(&agents, Lang::En), @r"
name    account           instance  enrolled                  last seen
A.ecs1  1000000000000001  i-a       1970-01-01T00:00:00.000Z  1970-01-01T00:00:01.000Z
B.ecs1  1000000000000001  i-a       1970-01-01T00:00:00.000Z  never
");
        insta::assert_snapshot!(page(&agents, Lang::Zh), @r"
名称    账号              实例  登记时间                  最近出现
A.ecs1  1000000000000001  i-a   1970-01-01T00:00:00.000Z  1970-01-01T00:00:01.000Z
B.ecs1  1000000000000001  i-a   1970-01-01T00:00:00.000Z  从未
");
    }
}
