//! Summary of a snapshot for people, in English and Chinese: the number of objects of each kind, and each gap with its
//! next step.
//!
//! Reads a snapshot and does not know how it was made.

use crate::Progress;
use pingtong_evidence::{Gap, Snapshot, WhyUnknown};
use std::{collections::BTreeMap, fmt::Write as _};

/// Maximum number of gaps that are listed; of the rest only the number is shown.
const GAPS_SHOWN_MAX: usize = 40;

/// A text in both languages.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Bilingual {
    /// In English.
    pub en: String,
    /// In Chinese.
    pub zh: String,
}

impl Bilingual {
    fn new(en: impl Into<String>, zh: impl Into<String>) -> Self {
        Self { en: en.into(), zh: zh.into() }
    }

    fn line(&mut self, en: &str, zh: &str) {
        let _ = writeln!(self.en, "{en}");
        let _ = writeln!(self.zh, "{zh}");
    }
}

/// One line about a listing that ended.
pub fn progress(progress: &Progress<'_>) -> Bilingual {
    let object = progress.object.map(|object| format!(" {object}")).unwrap_or_default();
    let action = progress.action;
    match progress.rows {
        Ok(rows) => Bilingual::new(format!("{action}{object}: {rows}"), format!("{action}{object}：{rows}")),
        Err(error) => {
            let why = reason(&error.why());
            Bilingual::new(format!("{action}{object}: {}", why.en), format!("{action}{object}：{}", why.zh))
        }
    }
}

/// What a snapshot holds: a line for each list, then its gaps.
pub fn summary(snapshot: &Snapshot) -> Bilingual {
    let mut text = Bilingual::default();
    let (account, region, calls) = (&snapshot.account, &snapshot.region, snapshot.sources.len());
    let seconds = snapshot.finished_at.since(snapshot.taken_at).as_secs_f64();
    text.line(
        &format!("account {account}, {region}: {calls} answers in {seconds:.1} s"),
        &format!("账号 {account}，{region}：{calls} 次应答，用时 {seconds:.1} 秒"),
    );
    for (list, count) in snapshot.counts() {
        let (en, zh) = list_name(list);
        match count {
            Ok(count) => text.line(&format!("{count:>8}  {en}"), &format!("{count:>8}  {zh}")),
            // Nothing refers to the list, or nobody requested it: that is not a deficiency.
            Err(WhyUnknown::NotAsked) => text.line(&format!("{:>8}  {en}", "-"), &format!("{:>8}  {zh}", "-")),
            Err(why) => {
                let why = reason(why);
                text.line(&format!("{:>8}  {en}: {}", "?", why.en), &format!("{:>8}  {zh}：{}", "?", why.zh));
            }
        }
    }
    gaps(&snapshot.gaps, &mut text);
    text
}

fn gaps(gaps: &[Gap], text: &mut Bilingual) {
    if gaps.is_empty() {
        text.line("complete: no gaps", "完整：没有缺口");
        return;
    }
    text.line(&format!("gaps ({})", gaps.len()), &format!("缺口（{}）", gaps.len()));
    let mut steps: BTreeMap<String, String> = BTreeMap::new();
    for (at, gap) in gaps.iter().enumerate() {
        let (why, step) = (reason(&gap.why), next_step(&gap.why));
        if at < GAPS_SHOWN_MAX {
            let object = gap.object.as_ref().map(|object| format!(" {object}")).unwrap_or_default();
            let what = format!("{}{object}", gap.action);
            text.line(&format!("  ✗ {what}: {}", why.en), &format!("  ✗ {what}：{}", why.zh));
        }
        steps.insert(step.en, step.zh);
    }
    if gaps.len() > GAPS_SHOWN_MAX {
        let more = gaps.len() - GAPS_SHOWN_MAX;
        text.line(&format!("  and {more} more"), &format!("  另有 {more} 处"));
    }
    for (en, zh) in steps {
        text.line(&format!("  next: {en}"), &format!("  下一步：{zh}"));
    }
}

/// The names of a snapshot's list in English and Chinese.
fn list_name(list: &str) -> (&str, &str) {
    match list {
        "vpcs" => ("VPCs", "专有网络 VPC"),
        "vswitches" => ("vSwitches", "交换机"),
        "route_tables" => ("route tables", "路由表"),
        "router_interfaces" => ("router interfaces", "路由器接口"),
        "vpc_peerings" => ("VPC peering connections", "VPC 对等连接"),
        "transit_attachments" => ("transit router attachments", "转发路由器连接"),
        "transit_peerings" => ("connections between transit routers", "转发路由器之间的连接"),
        "transit_route_tables" => ("transit router route tables", "转发路由器路由表"),
        "network_acls" => ("network ACLs", "网络ACL"),
        "security_groups" => ("security groups", "安全组"),
        "prefix_lists" => ("prefix lists", "前缀列表"),
        "instances" => ("instances", "实例"),
        "enis" => ("network interfaces", "弹性网卡"),
        "link_metrics" => ("metrics of connections", "连接的监控指标"),
        "changes" => ("recorded changes", "操作记录"),
        other => (other, other),
    }
}

/// Why something is not known.
fn reason(why: &WhyUnknown) -> Bilingual {
    match why {
        WhyUnknown::NotAsked => Bilingual::new("not asked", "未读取"),
        WhyUnknown::Denied { action, code, .. } => {
            Bilingual::new(format!("{action} was refused with {code}"), format!("{action} 被拒绝（{code}）"))
        }
        WhyUnknown::Throttled { .. } => Bilingual::new("throttled to the last retry", "重试到最后仍被限流"),
        WhyUnknown::Unreachable { message, .. } => {
            Bilingual::new(format!("no answer: {message}"), format!("没有应答：{message}"))
        }
        WhyUnknown::Malformed { message, .. } => {
            Bilingual::new(format!("cannot be read: {message}"), format!("无法解读：{message}"))
        }
        WhyUnknown::Refused { code, .. } => Bilingual::new(format!("failed with {code}"), format!("失败（{code}）")),
        WhyUnknown::NotPermitted { what, .. } => {
            Bilingual::new(format!("{what} is not permitted"), format!("不允许：{what}"))
        }
    }
}

/// What the user should do next.
fn next_step(why: &WhyUnknown) -> Bilingual {
    match why {
        WhyUnknown::NotAsked => {
            Bilingual::new("read it, or save the answer of that call too", "读取它，或同时保存该调用的结果")
        }
        WhyUnknown::Denied { .. } => Bilingual::new(
            "let the account's owner attach the policy that \"pingtong policy read\" prints to the user or role that reads",
            "请账号所有者把“pingtong policy read”打印的策略授予执行读取的用户或角色",
        ),
        WhyUnknown::Throttled { .. } => {
            Bilingual::new("read again later, or one VPC only with --vpc ID", "稍后重试，或用 --vpc ID 只读取一个 VPC")
        }
        WhyUnknown::Unreachable { .. } => Bilingual::new(
            "let this host reach the endpoint (--endpoint-type public|vpc), or give more time with --within SECONDS",
            "确认本机能访问接入点（--endpoint-type public|vpc），或用 --within 秒数 给更多时间",
        ),
        WhyUnknown::Malformed { .. } => Bilingual::new(
            "read again; if it stays, send us the snapshot made with --redact",
            "重新读取；若仍如此，请用 --redact 生成快照发给我们",
        ),
        WhyUnknown::Refused { .. } => Bilingual::new(
            "look the error code up in the vendor's documents; the request id is in the snapshot",
            "在厂商文档中查询该错误码；请求 ID 在快照中",
        ),
        WhyUnknown::NotPermitted { closes_with, .. } => Bilingual::new(closes_with.clone(), closes_with.clone()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingtong_evidence::{AccountId, Known, RegionId, Timestamp};

    fn snapshot() -> Snapshot {
        let (account, region) = (AccountId::parse("1").unwrap(), RegionId::parse("cn-qingdao").unwrap());
        Snapshot::unread(account, region, Timestamp::from_millis(1))
    }

    #[test]
    fn every_list_has_a_name_in_both_languages() {
        for (list, _) in snapshot().counts() {
            let (en, zh) = list_name(list);
            assert!(en != zh, "{list}");
        }
    }

    #[test]
    fn counts_gaps_and_next_steps_are_told_and_a_step_only_once() {
        let mut snapshot = snapshot();
        snapshot.vpcs = Known::Known(vec![]);
        let why = WhyUnknown::Denied {
            action: "ecs:DescribeSecurityGroupAttribute".to_owned(),
            code: "Forbidden.RAM".to_owned(),
            request_id: String::new(),
        };
        let (account, region, at) = (snapshot.account.clone(), snapshot.region.clone(), snapshot.taken_at);
        for object in 0..50 {
            let (account, region, action) =
                (account.clone(), region.clone(), "ecs:DescribeSecurityGroupAttribute".to_owned());
            snapshot.gaps.push(Gap {
                account,
                region,
                action,
                object: Some(format!("sg-{object}")),
                why: why.clone(),
                at,
            });
        }
        let told = summary(&snapshot);
        assert!(told.en.contains("       0  VPCs\n") && told.en.contains("-  vSwitches\n"), "{}", told.en);
        assert!(told.en.contains("✗ ecs:DescribeSecurityGroupAttribute sg-7") && told.en.contains("and 10 more"));
        assert_eq!(told.en.matches("pingtong policy read").count(), 1);
        assert_eq!(told.zh.lines().count(), told.en.lines().count());
        assert!(told.zh.contains("专有网络") && told.zh.contains("缺口（50）"), "{}", told.zh);
    }
}
