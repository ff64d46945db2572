//! Findings about the rules of a guest's packet filter: those that refuse, those that hold packets to a rate, those that translate
//! addresses.

use super::{Guest, opening};
use crate::{
    code::CauseCode,
    finding::{Finding, Stops},
    guest_filter::{Asked, Filter, Translated, names_a_type},
    lang::both,
    observe::LOST_MIN,
};
use pingtong_evidence::{FirewallRule, Protocol};

impl Guest<'_> {
    /// Rules that refuse the packets in question: those that surely do or, if there are none and `possible_too` is set,
    /// those that perhaps do.
    pub(super) fn refusing(&self, asked: Asked, possible_too: bool) -> Vec<FirewallRule> {
        let opens = self.side == self.pair.opened_by;
        // TCP and UDP flows are opened in one direction: the far end sends no requests and receives no replies.
        if self.pair.protocol != Protocol::Icmp && opens != matches!(asked, Asked::Sent | Asked::Replies) {
            return vec![];
        }
        let filter = self.facts.and_then(Filter::of);
        filter.map_or_else(Vec::new, |filter| filter.refusing(&self.packets(), asked, possible_too))
    }

    /// Whether a rule treats requests and replies of the pair differently.
    pub(super) fn names_a_type(&self, rule: &FirewallRule) -> bool {
        names_a_type(rule, self.peer(), self.address())
    }

    /// Commands that let packets of these kinds pass the filter.
    fn opening(&self, kinds: &[Asked]) -> Vec<Vec<String>> {
        let filter = self.facts.and_then(Filter::of);
        filter.and_then(|filter| opening::commands(&filter, &self.packets(), kinds)).unwrap_or_default()
    }

    /// These kinds of packets, and others that pass the same hooks and are refused there. Where the rules are not all known,
    /// those that may be refused count too.
    fn refused_with(&self, kinds: &[Asked]) -> Vec<Asked> {
        let inbound = kinds.iter().any(|asked| asked.is_inbound());
        let all = if inbound { [Asked::Requests, Asked::Replies] } else { [Asked::Sent, Asked::Answers] };
        let in_part = matches!(self.facts.and_then(Filter::of), Some(Filter::Refusing(..)));
        let refused = |asked: &Asked| kinds.contains(asked) || !self.refusing(*asked, in_part).is_empty();
        all.into_iter().filter(refused).collect()
    }

    /// The finding about rules that refuse packets of these kinds.
    pub(super) fn firewall(&self, rules: &[FirewallRule], kinds: &[Asked], stops: Stops) -> Finding {
        let outward = matches!(stops, Stops::Sending(_) | Stops::Answers(_));
        let (en, zh) = if outward { ("output", "出口") } else { ("input", "入口") };
        let list = rules.iter().map(rule_words).collect::<Vec<_>>().join("; ");
        let text =
            both!("the guest's packet filter refuses at hook {en}: {list}", "系统防火墙在{zh}（{en}）处拒绝：{list}");
        let kinds = self.refused_with(kinds);
        // A ping needs its requests and its replies; where only requests are refused, replies are not stopped.
        let stops = match (kinds.as_slice(), stops) {
            ([Asked::Requests], Stops::Arrivals(side)) => Stops::ArrivingRequests(side),
            ([Asked::Sent], Stops::Sending(side)) => Stops::OwnRequests(side),
            _ => stops,
        };
        let mut finding = self.finding(CauseCode::GuestFirewall, stops, text, self.opening(&kinds), None);
        // The direction is that of the packets that pass the hook.
        finding.direction = Some(if outward { self.side.sends() } else { self.side.opposite().sends() });
        finding
    }

    /// The finding about packets that the host refuses in part: a rule holds them to a rate.
    pub(super) fn rate_limit(&self) -> Option<Finding> {
        let (sends, receives) = (self.side.sends(), self.side.opposite().sends());
        let stages = [
            (Asked::Requests, self.inbound.accept, receives, "requests that reached the interface", "到达网卡的请求"),
            (Asked::Answers, self.inbound.answer, sends, "replies", "应答"),
            (Asked::Sent, self.outbound.leaving(), sends, "requests of its own", "本机发出的请求"),
            (Asked::Replies, self.outbound.home, receives, "replies that reached the interface", "到达网卡的应答"),
        ];
        let filter = Filter::of(self.facts?)?;
        let (asked, rule, leg, direction, en, zh) =
            stages.into_iter().find_map(|(asked, leg, direction, en, zh)| {
                let leg = leg.filter(|leg| leg.passed > 0 && leg.lost() >= LOST_MIN)?;
                Some((asked, filter.limiting(&self.packets(), asked)?, leg, direction, en, zh))
            })?;
        let (words, lost, of) = (rule_words(&rule), leg.lost(), leg.of);
        let text = both!(
            "the host refused {lost} of {of} {en}; a rule is bound to a rate: {words}",
            "{of} 个{zh}中有 {lost} 个被本机拒绝；存在限速规则：{words}"
        );
        let commands = vec![opening::command(&rule, &self.packets(), asked)];
        Some(self.finding(CauseCode::GuestRateLimit, Stops::Some(direction), text, commands, None))
    }

    /// The finding about echo replies that the kernel itself holds to a rate: `icmp_ratemask` includes their type, which it does
    /// not unless it is set so (IPv4 only).
    pub(super) fn kernel_rate(&self) -> Option<Finding> {
        const ECHO_REPLY: u32 = 1;
        let limits = self.facts?.sysctls.icmp_limits.known()?;
        let leg = self.inbound.answer.filter(|leg| leg.passed > 0 && leg.lost() >= LOST_MIN)?;
        let is_limited = limits.interval_ms > 0 && limits.mask & ECHO_REPLY != 0;
        if self.pair.protocol != Protocol::Icmp || !self.address().is_ipv4() || !is_limited {
            return None;
        }
        let (lost, of, interval, mask) = (leg.lost(), leg.of, limits.interval_ms, limits.mask);
        let text = both!(
            "the host did not send {lost} of {of} echo replies: net.ipv4.icmp_ratemask {mask} holds them to one in {interval} ms",
            "{of} 个 ping 应答中有 {lost} 个未发出：net.ipv4.icmp_ratemask {mask} 将其限制为每 {interval} 毫秒一个"
        );
        let setting = format!("net.ipv4.icmp_ratemask={}", mask & !ECHO_REPLY);
        let commands = vec![["sysctl", "-w", &setting].map(str::to_owned).to_vec()];
        Some(self.finding(CauseCode::GuestRateLimit, Stops::Some(self.side.sends()), text, commands, None))
    }

    /// Whether the host's address translation surely sends its requests to another destination than the peer.
    pub(crate) fn diverts(&self) -> bool {
        self.translated(Asked::Sent).is_some_and(|translated| translated.becomes.1 != self.peer())
    }

    fn translated(&self, asked: Asked) -> Option<Translated> {
        Filter::of(self.facts?)?.translating(&self.packets(), asked)
    }

    /// The finding about packets whose addresses the host itself translates: the peer gets them from an address that it
    /// does not know, or another host gets them.
    pub(super) fn nat(&self) -> Option<Finding> {
        let opens = self.pair.protocol == Protocol::Icmp || self.side == self.pair.opened_by;
        let (own, peer) = (self.address(), self.peer());
        if opens
            && !self.outbound.arrives()
            && let Some(Translated { rule, becomes, .. }) = self.translated(Asked::Sent)
            && becomes != (own, peer)
        {
            let (words, (source, destination)) = (rule_words(&rule), becomes);
            let text = both!(
                "the guest translates its packets to {peer} so that they go from {source} to {destination}: {words}",
                "系统把发往 {peer} 的报文改写为从 {source} 到 {destination}：{words}"
            );
            return Some(self.finding(
                CauseCode::GuestNat,
                Stops::OwnRequests(self.side),
                text,
                self.opening(&[Asked::Sent]),
                None,
            ));
        }
        let serves = self.pair.protocol == Protocol::Icmp || self.side != self.pair.opened_by;
        let Translated { rule, becomes: (_, destination), leaves: true } =
            self.translated(Asked::Requests).filter(|_| serves && !self.inbound.answered())?
        else {
            return None;
        };
        let words = rule_words(&rule);
        let text = both!(
            "the guest forwards packets for {own} to {destination}: {words}",
            "系统把发往 {own} 的报文转发到 {destination}：{words}"
        );
        Some(self.finding(
            CauseCode::GuestNat,
            Stops::ArrivingRequests(self.side),
            text,
            self.opening(&[Asked::Requests]),
            None,
        ))
    }
}

fn rule_words(rule: &FirewallRule) -> String {
    let FirewallRule { family, table, chain, .. } = rule;
    match rule.handle {
        Some(handle) => format!("{family} {table} {chain} handle {handle}: {rule}"),
        None => format!("{family} {table} {chain}: {rule}"),
    }
}

/// The kinds of packets for which there are rules.
pub(super) fn kinds(of: &[(Asked, &Vec<FirewallRule>)]) -> Vec<Asked> {
    of.iter().filter(|(_, rules)| !rules.is_empty()).map(|(asked, _)| *asked).collect()
}
