//! Policy routing of a host, typed: rules in the order of the kernel, and the routes of all tables.
//!
//! Texts are those of `ip rule` and `ip route` of iproute2. Semantics: `ip-rule(8)`, `ip-route(8)`,
//! `linux/fib_rules.h`, `linux/rtnetlink.h`. Nothing is judged here.

use crate::Cidr;
use serde::{Deserialize, Serialize};
use std::{
    fmt::{self, Display, Formatter},
    net::IpAddr,
    sync::Arc,
};

/// Numbers of the tables that every kernel has.
pub const TABLE_LOCAL: u32 = 255;
/// Table of the routes that `ip route` shows.
pub const TABLE_MAIN: u32 = 254;
/// Table of the last rule, usually empty.
pub const TABLE_DEFAULT: u32 = 253;

/// What a host reports about its routing.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RoutingFact {
    /// All of it; `None` if an earlier report of this agent has it with the same `content`.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tables: Option<Arc<RoutingTables>>,
    /// Identifies the content of `tables` among all that this agent reports.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub content: Option<String>,
}

/// Rules and routes of IPv4 and IPv6.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct RoutingTables {
    /// Rules of both families, each in the kernel's order.
    pub rules: Vec<RoutingRule>,
    /// Routes of all tables, those of a table in the kernel's order.
    #[serde(default)]
    pub routes: Vec<TableRoute>,
    /// Number of routes that are not listed because of [`RoutingTables::ROUTES_MAX`].
    #[serde(default)]
    pub routes_omitted: u64,
}

/// A rule of policy routing. Every condition that is present must hold.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
pub struct RoutingRule {
    /// Whether it is for IPv4; otherwise for IPv6.
    pub ipv4: bool,
    /// Rules are evaluated from the lowest number to the highest.
    pub priority: u32,
    /// Whether it applies where the conditions together do not hold.
    #[serde(default, skip_serializing_if = "is_default")]
    pub inverted: bool,
    /// Source address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub from: Option<Cidr>,
    /// Destination address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub to: Option<Cidr>,
    /// Packet mark under a mask: value, mask.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub mark: Option<(u32, u32)>,
    /// Interface by which the packet arrived; `lo` for packets of the host itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Interface to which the sending socket is bound.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Whether an interface that it names does not exist, so that its conditions never hold.
    #[serde(default, skip_serializing_if = "is_default")]
    pub detached: bool,
    /// Type of service.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub tos: Option<u8>,
    /// IP protocol number.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub protocol: Option<u8>,
    /// Source ports, both included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source_ports: Option<(u16, u16)>,
    /// Destination ports, both included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub destination_ports: Option<(u16, u16)>,
    /// User ids of the sending socket, both included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub users: Option<(u32, u32)>,
    /// A route whose prefix has at most this length does not count.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub suppress_prefix_length: Option<u32>,
    /// What it does.
    pub action: RoutingAction,
    /// Names of attributes that are not understood; whether the rule applies is then not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_understood: Vec<String>,
}

/// What a rule of policy routing does.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RoutingAction {
    /// Looks a route up in this table.
    Table(u32),
    /// Drops silently.
    Blackhole,
    /// Refuses as unreachable.
    Unreachable,
    /// Refuses as prohibited.
    Prohibit,
    /// Continues at the first rule of this priority.
    Goto(u32),
    /// Nothing.
    #[default]
    Nop,
}

/// A route of a table.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct TableRoute {
    /// Number of the table.
    pub table: u32,
    /// Destination.
    pub to: Cidr,
    /// Type.
    #[serde(default, skip_serializing_if = "is_default")]
    pub kind: TableRouteKind,
    /// Metric; the lowest is preferred.
    #[serde(default, skip_serializing_if = "is_default")]
    pub metric: u32,
    /// Type of service; zero for every one.
    #[serde(default, skip_serializing_if = "is_default")]
    pub tos: u8,
    /// Preferred source address.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<IpAddr>,
    /// Next hops, of which the kernel chooses one.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub hops: Vec<Hop>,
    /// Names of attributes that are not understood; what becomes of packets is then not known.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub not_understood: Vec<String>,
}

/// Type of a route.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TableRouteKind {
    /// To a next hop.
    #[default]
    Unicast,
    /// To this host.
    Local,
    /// A broadcast, anycast or multicast address.
    Group,
    /// Drops silently.
    Blackhole,
    /// Refuses as unreachable.
    Unreachable,
    /// Refuses as prohibited.
    Prohibit,
    /// The table has no route: the next rule decides.
    Throw,
}

/// A next hop.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Hop {
    /// Interface.
    pub device: String,
    /// Gateway; `None` if the destination is on-link.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub gateway: Option<IpAddr>,
    /// Whether the kernel does not use it: its interface is down, or has no carrier and `ignore_routes_with_linkdown` is set.
    #[serde(default, skip_serializing_if = "is_default")]
    pub dead: bool,
}

impl RoutingTables {
    /// Maximum number of routes listed, about 2 MB of JSON.
    pub const ROUTES_MAX: usize = 20_000;

    /// Rules of a family, with their index.
    pub fn of_family(&self, ipv4: bool) -> impl Iterator<Item = (usize, &RoutingRule)> {
        self.rules.iter().enumerate().filter(move |(_, rule)| rule.ipv4 == ipv4)
    }

    /// Whether a family has rules beside those of an unconfigured kernel.
    pub fn has_policy(&self, ipv4: bool) -> bool {
        self.of_family(ipv4).any(|(_, rule)| !rule.is_default())
    }
}

impl RoutingRule {
    /// A rule without conditions that looks up a table.
    pub fn lookup(ipv4: bool, priority: u32, table: u32) -> Self {
        Self { ipv4, priority, action: RoutingAction::Table(table), ..Self::default() }
    }

    /// Whether an unconfigured kernel has it.
    pub fn is_default(&self) -> bool {
        [(0, TABLE_LOCAL), (32_766, TABLE_MAIN), (32_767, TABLE_DEFAULT)]
            .into_iter()
            .any(|(priority, table)| *self == Self::lookup(self.ipv4, priority, table))
    }
}

/// Whether a field has the value that it gets where it is left out.
fn is_default<T: Default + PartialEq>(value: &T) -> bool {
    *value == T::default()
}

/// Name of a table in the words of iproute2.
pub fn table_name(table: u32) -> String {
    match table {
        TABLE_LOCAL => "local".to_owned(),
        TABLE_MAIN => "main".to_owned(),
        TABLE_DEFAULT => "default".to_owned(),
        number => number.to_string(),
    }
}

fn block(block: &Cidr) -> String {
    let is_host = block.prefix_length() == if block.is_ipv4() { 32 } else { 128 };
    if is_host { block.network().to_string() } else { block.to_string() }
}

impl Display for RoutingRule {
    /// The rule as `ip rule` shows it, with its priority in front.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.priority)?;
        if self.inverted {
            f.write_str("not ")?;
        }
        write!(f, "from {}", self.from.as_ref().map_or_else(|| "all".to_owned(), block))?;
        if let Some(to) = &self.to {
            write!(f, " to {}", block(to))?;
        }
        if let Some(tos) = self.tos {
            write!(f, " tos {tos:#x}")?;
        }
        match self.mark {
            Some((value, u32::MAX)) => write!(f, " fwmark {value:#x}")?,
            Some((value, mask)) => write!(f, " fwmark {value:#x}/{mask:#x}")?,
            None => {}
        }
        for (word, name) in [(" iif ", &self.input), (" oif ", &self.output)] {
            if let Some(name) = name {
                write!(f, "{word}{name}")?;
            }
        }
        if let Some((first, last)) = self.users {
            write!(f, " uidrange {first}-{last}")?;
        }
        if let Some(protocol) = self.protocol {
            write!(f, " ipproto {protocol}")?;
        }
        for (word, ports) in [(" sport ", self.source_ports), (" dport ", self.destination_ports)] {
            match ports {
                Some((first, last)) if first == last => write!(f, "{word}{first}")?,
                Some((first, last)) => write!(f, "{word}{first}-{last}")?,
                None => {}
            }
        }
        for name in &self.not_understood {
            write!(f, " ({name}?)")?;
        }
        match self.action {
            RoutingAction::Table(table) => write!(f, " lookup {}", table_name(table))?,
            RoutingAction::Blackhole => f.write_str(" blackhole")?,
            RoutingAction::Unreachable => f.write_str(" unreachable")?,
            RoutingAction::Prohibit => f.write_str(" prohibit")?,
            RoutingAction::Goto(priority) => write!(f, " goto {priority}")?,
            RoutingAction::Nop => f.write_str(" nop")?,
        }
        match self.suppress_prefix_length {
            Some(length) => write!(f, " suppress_prefixlength {length}"),
            None => Ok(()),
        }
    }
}

impl Display for TableRoute {
    /// The route as `ip route show table all` shows it.
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let kind = match self.kind {
            TableRouteKind::Unicast => "",
            TableRouteKind::Local => "local ",
            TableRouteKind::Group => "group ",
            TableRouteKind::Blackhole => "blackhole ",
            TableRouteKind::Unreachable => "unreachable ",
            TableRouteKind::Prohibit => "prohibit ",
            TableRouteKind::Throw => "throw ",
        };
        let to = if self.to.prefix_length() == 0 { "default".to_owned() } else { block(&self.to) };
        write!(f, "{kind}{to}")?;
        for hop in &self.hops {
            if self.hops.len() > 1 {
                f.write_str(" nexthop")?;
            }
            if let Some(gateway) = hop.gateway {
                write!(f, " via {gateway}")?;
            }
            write!(f, " dev {}", hop.device)?;
        }
        write!(f, " table {}", table_name(self.table))?;
        if self.metric != 0 {
            write!(f, " metric {}", self.metric)?;
        }
        self.not_understood.iter().try_for_each(|name| write!(f, " ({name}?)"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rule_reads_as_ip_rule_shows_it_and_comes_back_from_json() {
        let rule = RoutingRule {
            inverted: true,
            mark: Some((0xca6c, u32::MAX)),
            suppress_prefix_length: Some(0),
            ..RoutingRule::lookup(true, 32_764, 51_820)
        };
        assert_eq!(rule.to_string(), "32764: not from all fwmark 0xca6c lookup 51820 suppress_prefixlength 0");
        let json = serde_json::to_string(&rule).unwrap();
        assert_eq!(serde_json::from_str::<RoutingRule>(&json).unwrap(), rule);
        assert!(!rule.is_default() && RoutingRule::lookup(false, 32_766, TABLE_MAIN).is_default());
    }
}
