//! What the host facts explain: packet filters, kernel settings, route look-ups, addresses.
//!
//! A fact is blamed if the wire agrees with it, or if it surely stops the probes and the wire cannot show that, because
//! something earlier already stops them. What the wire refutes is never blamed: a filter rule that matches something
//! else, a setting that should prevent answers although answers are seen. Facts: `agent/evidence` host facts;
//! signatures: `SEMANTICS.md` §7.1, §7.7.

mod opening;
mod routes;
mod rules;

use crate::{
    code::CauseCode,
    finding::{Finding, Note, Stops},
    fix::Fix,
    guest::rules::kinds,
    guest_filter::{Asked, KnownHost, Maybe, Packets, names_a_source_port},
    lang::{Both, both},
    model::Model,
    observe::{EPERM, Observed},
    verdict::{Cut, Object, ObjectKind},
    walk::Host,
};
use pingtong_evidence::{
    Container, FirewallRule, HostFacts, InstanceId, InterfaceFact, Pair, Protocol, RouteOutcome, Side,
};
use std::net::IpAddr;

/// Distance of the vSwitch's gateway from the last address of its block: x.x.x.253 (`SEMANTICS.md` §5.1).
const GATEWAY_BELOW_LAST: u32 = 2;
/// Makes every reverse-path filter loose: the largest of `all` and the interface's own value counts.
const LOOSE: [&str; 3] = ["sysctl", "-w", "net.ipv4.conf.all.rp_filter=2"];

/// One host with all evidence about it.
pub(crate) struct Guest<'a> {
    pub(crate) model: &'a Model,
    pub(crate) pair: &'a Pair,
    pub(crate) side: Side,
    pub(crate) facts: Option<&'a HostFacts>,
    /// Round trips begun by the other side.
    pub(crate) inbound: &'a Observed,
    /// Round trips begun by this one.
    pub(crate) outbound: &'a Observed,
}

impl Guest<'_> {
    fn address(&self) -> IpAddr {
        self.pair.endpoint(self.side).address
    }

    fn peer(&self) -> IpAddr {
        self.pair.endpoint(self.side.opposite()).address
    }

    fn packets(&self) -> Packets {
        Packets::of(self.pair, self.side)
    }

    fn instance(&self) -> Option<InstanceId> {
        let named = self.pair.endpoint(self.side).instance.clone();
        named
            .or_else(|| Some(self.facts?.metadata.known()?.instance.clone()))
            .or_else(|| Host::find(self.model, self.side, self.address()).instance.map(|i| i.id.clone()))
    }

    fn object(&self) -> Object {
        let id = self.instance().map_or_else(|| self.address().to_string(), |id| id.to_string());
        self.model.object(self.side, ObjectKind::Instance, id)
    }

    fn interfaces(&self) -> &[InterfaceFact] {
        self.facts.and_then(|f| f.interfaces.known()).map_or(&[], Vec::as_slice)
    }

    /// The interface that has the pair's address.
    fn card(&self) -> Option<&InterfaceFact> {
        self.interfaces().iter().find(|i| i.addresses.iter().any(|(address, _)| *address == self.address()))
    }

    /// The network interface that the host's packets to the peer should leave by: the one with the pair's address, else
    /// the one with an address that the cloud assigned to this instance.
    fn home(&self) -> Option<&InterfaceFact> {
        self.card().or_else(|| {
            let told = self.facts?.metadata.known()?;
            let given = |address: &IpAddr| {
                *address == told.private_address || told.interfaces.iter().any(|i| i.addresses.contains(address))
            };
            self.interfaces().iter().find(|i| i.addresses.iter().any(|(address, _)| given(address)))
        })
    }

    fn note(&self, text: Both) -> Note {
        let object = self.object().id;
        let source = self.facts.map(|facts| pingtong_evidence::Source {
            api: "host".to_owned(),
            request_id: String::new(),
            at: facts.at,
        });
        Note { text, object: Some(object), account: Some(self.model.link.side(self.side).account.clone()), source }
    }

    fn finding(
        &self,
        code: CauseCode,
        stops: Stops,
        text: Both,
        commands: Vec<Vec<String>>,
        opens: Option<&str>,
    ) -> Finding {
        let direction = match stops {
            Stops::Arrivals(side) | Stops::ArrivingRequests(side) | Stops::Answers(side) => {
                Some(side.opposite().sends())
            }
            Stops::Sending(side) | Stops::OwnRequests(side) => Some(side.sends()),
            Stops::Some(direction) => Some(direction),
            _ => None,
        };
        let fix = match self.instance() {
            Some(instance) if !commands.is_empty() => {
                Fix::Guest { instance, commands, opens: opens.map(ToOwned::to_owned) }
            }
            _ => Fix::Manual,
        };
        let evidence = vec![self.note(text)];
        Finding {
            code,
            side: self.side,
            direction,
            object: self.object(),
            stops,
            points: stops.at_host(self.side),
            evidence,
            fix,
        }
    }

    /// The gateway of the interface's vSwitch, as seen in a route look-up, else by the cloud's convention.
    fn gateway(&self, card: &str) -> Option<IpAddr> {
        let seen = self.facts?.routes.iter().find_map(|route| match route.outcome.known() {
            Some(RouteOutcome::Via { interface, gateway: Some(gateway), .. }) if interface == card => Some(*gateway),
            _ => None,
        });
        seen.or_else(|| {
            let block = Host::find(self.model, self.side, self.address()).vswitch.map(|v| v.cidr).or_else(|| {
                self.card()?.addresses.iter().find(|(address, _)| *address == self.address()).map(|(_, block)| *block)
            })?;
            match block.last() {
                IpAddr::V4(last) if block.prefix_length() < 30 => {
                    Some(IpAddr::from((last.to_bits() - GATEWAY_BELOW_LAST).to_be_bytes()))
                }
                _ => None,
            }
        })
    }

    /// Command that adds the pair's address to the guest's network interface that has the MAC address of the ENI with
    /// this address in the account's configuration.
    fn address_command(&self) -> Vec<Vec<String>> {
        let address = self.address();
        let host = Host::find(self.model, self.side, address);
        let mac = host.eni.map(|eni| eni.mac.as_str());
        let card = self.interfaces().iter().find(|i| mac.is_some_and(|mac| mac.eq_ignore_ascii_case(&i.mac)));
        let (Some(card), Some(vswitch)) = (card, host.vswitch) else { return vec![] };
        let with_length = format!("{address}/{}", vswitch.cidr.prefix_length());
        vec![words(&["ip", "address", "add", &with_length, "dev", &card.name])]
    }

    /// Whether the agent runs in a container with its own network, to which the pair's address does not belong.
    fn contained(&self) -> bool {
        self.facts.and_then(|f| f.container.known()) == Some(&Container::Yes)
            && !self.interfaces().is_empty()
            && self.card().is_none()
    }

    /// The finding for an agent in a container, used if nothing else explains why its packets die: they have the
    /// container's address as their source. A container whose host translates addresses does no harm, so running in one
    /// is not blamed.
    pub(crate) fn container(&self) -> Option<Finding> {
        let address = self.address();
        self.contained().then(|| {
            let text = both!(
                "the agent runs in a container of its own network; {address} is not among its addresses",
                "agent 运行在独立网络的容器中，其地址不含 {address}"
            );
            self.finding(CauseCode::AgentInContainer, Stops::Sending(self.side), text, vec![], None)
        })
    }

    fn addresses(&self) -> Option<Finding> {
        if self.interfaces().is_empty() || self.card().is_some() || self.inbound.answered() || self.contained() {
            return None;
        }
        let address = self.address();
        let text = both!("no interface of the guest has {address}", "系统内没有任何网卡配置了 {address}");
        // They reach the interface, which has the address in the cloud. Replies to the host's own requests are sent to the
        // address that these come from.
        let stops = Stops::ArrivingRequests(self.side);
        let mut finding = self.finding(CauseCode::IpNotOnEni, stops, text, self.address_command(), None);
        finding.object = self.model.object(self.side, ObjectKind::Address, address.to_string());
        Some(finding)
    }

    /// Findings about packets that the host refuses on input: the peer's requests, or the replies to its own.
    /// `overlap`: the host's routes lead elsewhere; `unaddressed`: it lacks the address that requests are for.
    fn input(&self, overlap: bool, unaddressed: bool) -> Vec<Finding> {
        let shown = self.inbound.cut == Some(Cut::S2) || self.rejects_openly();
        let turned_away = self.outbound.cut == Some(Cut::S6);
        let requests = if self.inbound.accepted() { vec![] } else { self.refusing(Asked::Requests, shown) };
        // If no reply was received, a rule that names replies surely refuses them, whatever else is in their way. Any
        // other rule counts only if replies are seen to be refused.
        let mut replies = if self.outbound.alive() { vec![] } else { self.refusing(Asked::Replies, turned_away) };
        replies.retain(|rule| turned_away || self.names_a_type(rule) || names_a_source_port(rule));
        let stops = if requests.is_empty() { Stops::Replies(self.side) } else { Stops::Arrivals(self.side) };
        let mut rules: Vec<FirewallRule> = requests.iter().chain(&replies).cloned().collect();
        rules.sort();
        rules.dedup();
        let mut found = vec![];
        if !rules.is_empty() {
            let kinds = kinds(&[(Asked::Requests, &requests), (Asked::Replies, &replies)]);
            found.push(self.firewall(&rules, &kinds, stops));
        }
        // What the reverse-path filter drops no rule behind it sees: both are at fault.
        let checked = if self.rejects_openly() { None } else { self.reverse_path() };
        found.extend(checked.clone());
        let covers = |stops: Stops| checked.as_ref().is_some_and(|finding| finding.stops == stops);
        let both = covers(Stops::Arrivals(self.side));
        let open = (
            shown && requests.is_empty() && !unaddressed && !both && !covers(Stops::ArrivingRequests(self.side)),
            turned_away && replies.is_empty() && !both && !covers(Stops::Replies(self.side)),
        );
        let stops = match open {
            (false, false) => return found,
            (true, _) => Stops::Arrivals(self.side),
            (false, true) => Stops::Replies(self.side),
        };
        if overlap {
            return found;
        }
        // A host that rejects openly does not drop silently.
        let silent = if self.rejects_openly() { None } else { self.reverse_path_drops(stops) };
        found.push(silent.unwrap_or_else(|| self.unseen_by_stack(shown, stops)));
        found
    }

    /// Whether the host itself answers probes of a port with an ICMP error, which neither an open nor a closed port
    /// does.
    fn rejects_openly(&self) -> bool {
        self.pair.protocol != Protocol::Icmp
            && self.inbound.dead()
            && self.inbound.complaints.contains_key(&self.address())
    }

    /// Packets that the reverse-path filter has refused so far.
    fn counted_drops(&self) -> u64 {
        self.facts.and_then(|facts| facts.counters.known()).map_or(0, |counters| counters.reverse_path_drops)
    }

    /// The finding from the walk: the reverse-path filter surely refuses packets of the pair. It is blamed if its counter
    /// agrees, or if no packet came that it could have counted.
    fn reverse_path(&self) -> Option<Finding> {
        let known = self.facts.and_then(KnownHost::of)?;
        let opens = self.side == self.pair.opened_by;
        let of_pair = |asked: Asked| self.pair.protocol == Protocol::Icmp || opens == matches!(asked, Asked::Replies);
        let refused = |asked| of_pair(asked) && known.reverse_path(&self.packets(), asked) == Some(Maybe::Surely);
        let requests = !self.inbound.accepted() && refused(Asked::Requests);
        let replies = !self.outbound.alive() && refused(Asked::Replies);
        let (stops, kinds) = match (requests, replies) {
            (true, true) => (Stops::Arrivals(self.side), &[Asked::Requests, Asked::Replies][..]),
            (true, false) => (Stops::ArrivingRequests(self.side), &[Asked::Requests][..]),
            (false, true) => (Stops::Replies(self.side), &[Asked::Replies][..]),
            (false, false) => return None,
        };
        let drops = self.counted_drops();
        let came = self.inbound.arrives() || self.outbound.home.is_some_and(|leg| leg.of > 0);
        if came && drops == 0 {
            return None;
        }
        let peer = self.peer();
        let text = both!(
            "reverse-path filtering refuses packets from {peer}, to which the host's route leads elsewhere; it has refused {drops} packets",
            "反向路径过滤拒绝来自 {peer} 的报文，因为本机到它的路由不经该网卡；已拒绝 {drops} 个报文"
        );
        let helps = kinds.iter().all(|asked| known.passes_if_loose(&self.packets(), *asked));
        let commands = if helps { vec![words(&LOOSE)] } else { vec![] };
        Some(self.finding(CauseCode::GuestRpFilter, stops, text, commands, None))
    }

    /// The finding from the counter alone, where the walk does not show what the filter does with these packets: an agent
    /// that does not report the settings, or routes that are not known. A walk that shows that it passes them refutes it.
    fn reverse_path_drops(&self, stops: Stops) -> Option<Finding> {
        let strict = self.facts?.sysctls.strict_reverse_path.known().filter(|list| !list.is_empty())?;
        let asked = if matches!(stops, Stops::Replies(_)) { Asked::Replies } else { Asked::Requests };
        let walked = KnownHost::of(self.facts?).and_then(|known| known.reverse_path(&self.packets(), asked));
        let drops = self.counted_drops();
        let list = strict.join(", ");
        (drops > 0 && walked != Some(Maybe::No)).then(|| {
            let text = both!(
                "strict reverse-path filtering on {list} refused {drops} packets",
                "{list} 上的严格反向路径过滤拒绝了 {drops} 个报文"
            );
            let mut finding = self.finding(CauseCode::GuestRpFilter, stops, text, vec![words(&LOOSE)], None);
            if walked.is_some() {
                finding.fix = Fix::Unexplained;
            }
            finding
        })
    }

    /// The finding for a refusal that only the wire shows and no fact explains.
    fn unseen_by_stack(&self, shown: bool, stops: Stops) -> Finding {
        let text = if self.rejects_openly() {
            let address = self.address();
            both!(
                "{address} itself rejects the probes of this port by ICMP errors",
                "{address} 自身以 ICMP 差错拒绝对该端口的探测"
            )
        } else if shown {
            both!("requests reach the interface and the IP stack never sees them", "请求到达了网卡，但协议栈从未收到")
        } else {
            both!("replies reach the interface and the prober never gets them", "应答到达了网卡，但探测程序从未收到")
        };
        let mut finding = self.finding(CauseCode::GuestFirewall, stops, text, vec![], None);
        if !self.rejects_openly() {
            finding.fix = Fix::Unexplained;
        }
        finding.direction = Some(self.side.opposite().sends());
        finding
    }

    /// The finding about packets that the host refuses on output: its own requests, or its replies to the peer's.
    fn output(&self) -> Option<Finding> {
        let unanswered = self.inbound.cut == Some(Cut::S3) && !self.ignores_echo();
        let unsent = self.outbound.errors.contains_key(&EPERM);
        let leaves = self.outbound.alive() || self.outbound.arrives();
        let requests = if leaves && !unsent { vec![] } else { self.refusing(Asked::Sent, unsent) };
        let answers = if self.inbound.answered() { vec![] } else { self.refusing(Asked::Answers, unanswered) };
        let stops = if requests.is_empty() { Stops::Answers(self.side) } else { Stops::Sending(self.side) };
        // A rule that matches requests and replies alike is refuted if either kind gets out.
        let mut rules: Vec<FirewallRule> = requests.iter().chain(&answers).cloned().collect();
        rules.retain(|rule| {
            let (asked, answering) = (requests.contains(rule), answers.contains(rule));
            let of_both = !self.names_a_type(rule);
            !of_both || ((asked || unsent || !leaves) && (answering || !self.inbound.answered()))
        });
        rules.sort();
        rules.dedup();
        if !rules.is_empty() {
            let kinds = kinds(&[(Asked::Sent, &requests), (Asked::Answers, &answers)]);
            return Some(self.firewall(&rules, &kinds, stops));
        }
        (unsent && self.outbound.sent == 0).then(|| {
            let text = both!("the kernel refuses to send (EPERM)", "内核拒绝发送（EPERM）");
            self.finding(CauseCode::GuestFirewall, Stops::Sending(self.side), text, vec![], None)
        })
    }

    fn ignores_echo(&self) -> bool {
        let setting = self.facts.map(|facts| facts.sysctls.ignores_echo(self.address()));
        setting.and_then(|setting| setting.known()).copied().unwrap_or(false)
    }

    fn echo(&self) -> Option<Finding> {
        if self.pair.protocol != Protocol::Icmp || !self.ignores_echo() || self.inbound.answered() {
            return None;
        }
        let name =
            if self.address().is_ipv4() { "net.ipv4.icmp_echo_ignore_all" } else { "net.ipv6.icmp.echo_ignore_all" };
        let text = both!("{name} is 1", "{name} 为 1");
        let command = words(&["sysctl", "-w", &format!("{name}=0")]);
        // The setting is for everybody's pings.
        Some(self.finding(CauseCode::GuestEchoIgnored, Stops::Answers(self.side), text, vec![command], Some("icmp")))
    }

    pub(crate) fn findings(&self) -> Vec<Finding> {
        let route = self.route();
        let addresses = self.addresses();
        let mut found: Vec<Finding> = self.input(route.is_some(), addresses.is_some());
        found.extend(addresses);
        found.extend(self.echo());
        found.extend(self.output());
        found.extend(route);
        found.extend(self.rate_limit().or_else(|| self.kernel_rate()));
        found.extend(self.nat());
        found
    }

    /// Whether this host's own route look-up sends the pair's packets elsewhere: they then die in the host, not on the
    /// path.
    pub(crate) fn swallows(&self) -> bool {
        let complains =
            self.interfaces().iter().flat_map(|i| &i.addresses).any(|(a, _)| self.outbound.complaints.contains_key(a));
        complains || self.route().is_some()
    }
}

fn words(words: &[&str]) -> Vec<String> {
    words.iter().map(|word| (*word).to_owned()).collect()
}
