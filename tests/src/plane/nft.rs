//! nftables: tables, chains, rules and the expressions of rules, as netlink messages.
//!
//! The numbers come from `linux/netfilter/nf_tables.h`. Addresses and ports are in network byte order, `ct state` and
//! marks in host byte order. Used by the lab's routers and by the stand-in for `nft` in guests; it makes no decisions
//! itself.

use super::netlink::{APPEND, Attributes, CREATE, DUMP, Message, Netlink, attribute, attributes, text_of};
use ipnet::Ipv4Net;
use std::{io, net::Ipv4Addr};

/// `NFPROTO_IPV4`.
pub const IP: u8 = 2;

const NEW_TABLE: u16 = 0;
const DELETE_TABLE: u16 = 2;
const NEW_CHAIN: u16 = 3;
const DELETE_CHAIN: u16 = 5;
const NEW_RULE: u16 = 6;
const GET_RULE: u16 = 7;
const DELETE_RULE: u16 = 8;

/// Creates a table; an existing table is not an error.
pub fn table(family: u8, name: &str) -> Message {
    Message::netfilter(NEW_TABLE, CREATE, family, &Attributes::new().text(1, name).be32(2, 0))
}

/// Removes a table with everything in it.
pub fn remove_table(family: u8, name: &str) -> Message {
    Message::netfilter(DELETE_TABLE, 0, family, &Attributes::new().text(1, name))
}

/// Removes all tables.
pub fn remove_tables() -> Message {
    Message::netfilter(DELETE_TABLE, 0, 0, &Attributes::new())
}

/// The hook that a base chain is attached to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Hook<'a> {
    /// `filter`, `nat` or `route`.
    pub kind: &'a str,
    /// `NF_INET_…`.
    pub number: u32,
    /// The interface that the chain is bound to, in the `netdev` family.
    pub device: Option<&'a str>,
    /// Order among the chains of a hook.
    pub priority: i32,
    /// Whether packets that reach the end of the chain are accepted; `None` leaves the policy unchanged.
    pub accept: Option<bool>,
}

/// Hook numbers of the Internet families.
pub mod hook {
    /// `NF_NETDEV_INGRESS`, of the `netdev` family.
    pub const INGRESS: u32 = 0;
    /// `NF_INET_PRE_ROUTING`.
    pub const PREROUTING: u32 = 0;
    /// `NF_INET_LOCAL_IN`.
    pub const INPUT: u32 = 1;
    /// `NF_INET_FORWARD`.
    pub const FORWARD: u32 = 2;
    /// `NF_INET_LOCAL_OUT`.
    pub const OUTPUT: u32 = 3;
    /// `NF_INET_POST_ROUTING`.
    pub const POSTROUTING: u32 = 4;
}

/// Creates a chain, or changes the policy of an existing one.
pub fn chain(family: u8, table: &str, name: &str, hook: Option<Hook<'_>>) -> Message {
    let mut attributes = Attributes::new().text(1, table).text(3, name);
    if let Some(hook) = hook {
        let mut place = Attributes::new().be32(1, hook.number).be32(2, hook.priority.cast_unsigned());
        if let Some(device) = hook.device {
            place = place.text(3, device);
        }
        attributes = attributes.nest(4, &place).text(7, hook.kind);
        if let Some(accept) = hook.accept {
            attributes = attributes.be32(5, u32::from(accept));
        }
    }
    Message::netfilter(NEW_CHAIN, CREATE, family, &attributes)
}

/// Changes a base chain's policy.
pub fn policy(family: u8, table: &str, name: &str, accept: bool) -> Message {
    let attributes = Attributes::new().text(1, table).text(3, name).be32(5, u32::from(accept));
    Message::netfilter(NEW_CHAIN, 0, family, &attributes)
}

/// Removes an empty chain.
pub fn remove_chain(family: u8, table: &str, name: &str) -> Message {
    Message::netfilter(DELETE_CHAIN, 0, family, &Attributes::new().text(1, table).text(3, name))
}

/// Where a rule goes in its chain.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Position {
    /// At the end of the chain.
    Last,
    /// At the beginning of the chain.
    First,
    /// After the rule with this handle.
    After(u64),
    /// Before the rule with this handle.
    Before(u64),
}

/// Adds a rule. The kernel stores the note with it, of which 120 characters are kept.
pub fn rule(family: u8, table: &str, chain: &str, position: Position, rule: &Rule, note: Option<&str>) -> Message {
    let mut attributes = Attributes::new().text(1, table).text(2, chain).nest(4, &rule.0);
    let mut flags = CREATE;
    if matches!(position, Position::Last | Position::After(_)) {
        flags |= APPEND;
    }
    if let Position::After(handle) | Position::Before(handle) = position {
        attributes = attributes.with(6, &handle.to_be_bytes());
    }
    if let Some(note) = note {
        let kept: String = note.chars().take(120).collect();
        let mut data = vec![0, u8::try_from(kept.len() + 1).unwrap_or(u8::MAX)]; // a comment, in the format of libnftnl
        data.extend_from_slice(kept.as_bytes());
        data.push(0);
        attributes = attributes.with(7, &data);
    }
    Message::netfilter(NEW_RULE, flags, family, &attributes)
}

/// Removes a rule by handle, or all rules of a chain, or of a table.
pub fn remove_rules(family: u8, table: &str, chain: Option<&str>, handle: Option<u64>) -> Message {
    let mut attributes = Attributes::new().text(1, table);
    if let Some(chain) = chain {
        attributes = attributes.text(2, chain);
    }
    if let Some(handle) = handle {
        attributes = attributes.with(3, &handle.to_be_bytes());
    }
    Message::netfilter(DELETE_RULE, 0, family, &attributes)
}

/// Packet counts of the counters in a table's rules, in the order of the rules.
pub fn counted(netlink: &mut Netlink, family: u8, table: &str) -> io::Result<Vec<u64>> {
    let answers = netlink.ask(&Message::netfilter(GET_RULE, DUMP, family, &Attributes::new()))?;
    let of_table = answers
        .iter()
        .filter_map(|answer| answer.body.get(4..))
        .filter(|body| attribute(body, 1).is_some_and(|name| text_of(name) == table));
    Ok(of_table.flat_map(|body| attribute(body, 4).map(expressions).unwrap_or_default()).collect())
}

/// Packet counts of the counters among a rule's expressions.
fn expressions(list: &[u8]) -> Vec<u64> {
    let counters = attributes(list).into_iter().filter_map(|(_, expression)| {
        let name = attribute(expression, 1)?;
        let packets = attribute(attribute(expression, 2)?, 2)?;
        (text_of(name) == "counter").then(|| packets.try_into().map(u64::from_be_bytes).ok())?
    });
    counters.collect()
}

/// How a field is compared.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u32)]
pub enum Comparison {
    /// Equal.
    Equal = 0,
    /// Not equal.
    NotEqual = 1,
    /// Less.
    Less = 2,
    /// At most.
    AtMost = 3,
    /// Greater.
    Greater = 4,
    /// At least.
    AtLeast = 5,
}

/// A field of a packet's headers, of its metadata or of its flow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// Bytes of the network header: offset and length.
    Network(u32, u32),
    /// Bytes of the transport header: offset and length.
    Transport(u32, u32),
    /// `NFT_META_…`.
    Meta(u32),
    /// `NFT_CT_…` of the flow.
    Flow(u32),
    /// `NFT_CT_…` of the flow's original direction, whichever direction this packet has.
    FlowStart(u32),
}

impl Field {
    /// Source address.
    pub const SOURCE: Field = Field::Network(12, 4);
    /// Destination address.
    pub const DESTINATION: Field = Field::Network(16, 4);
    /// Source port.
    pub const SOURCE_PORT: Field = Field::Transport(0, 2);
    /// Destination port.
    pub const DESTINATION_PORT: Field = Field::Transport(2, 2);
    /// Type of an ICMP message.
    pub const ICMP_TYPE: Field = Field::Transport(0, 1);
    /// Protocol above IP.
    pub const PROTOCOL: Field = Field::Meta(16);
    /// `NFPROTO_…` of the packet, in `inet` tables.
    pub const FAMILY: Field = Field::Meta(15);
    /// `EtherType` of the packet, in `netdev` tables.
    pub const ETHER_TYPE: Field = Field::Meta(1);
    /// Name of the interface on which a packet arrived.
    pub const IN: Field = Field::Meta(6);
    /// Name of the interface on which a packet leaves.
    pub const OUT: Field = Field::Meta(7);
    /// Source address of the flow.
    pub const FLOW_SOURCE: Field = Field::FlowStart(8);
    /// Destination address of the flow.
    pub const FLOW_DESTINATION: Field = Field::FlowStart(9);
    /// Protocol of the flow.
    pub const FLOW_PROTOCOL: Field = Field::Flow(10);
    /// Source port of the flow.
    pub const FLOW_SOURCE_PORT: Field = Field::FlowStart(11);
    /// Destination port of the flow.
    pub const FLOW_DESTINATION_PORT: Field = Field::FlowStart(12);
    /// 0 for packets in the direction of the flow's first packet, 1 for replies.
    pub const FLOW_DIRECTION: Field = Field::Flow(1);
    /// State bits of the flow, in host order.
    pub const FLOW_STATE: Field = Field::Flow(0);
}

/// Bits of [`Field::FLOW_STATE`].
pub mod state {
    /// The packet belongs to no flow.
    pub const INVALID: u32 = 1;
    /// The packet belongs to a flow that was answered.
    pub const ESTABLISHED: u32 = 2;
    /// The packet relates to a flow, such as an ICMP error.
    pub const RELATED: u32 = 4;
    /// The packet is the first of a flow.
    pub const NEW: u32 = 8;
    /// The packet is not tracked.
    pub const UNTRACKED: u32 = 64;
}

/// The expressions of a rule.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Rule(Attributes);

impl Rule {
    /// A rule that matches everything and does nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// The encoded bytes, for comparing rules.
    pub fn bytes(&self) -> &[u8] {
        self.0.bytes()
    }

    fn with(self, name: &str, data: &Attributes) -> Self {
        Self(self.0.nest(1, &Attributes::new().text(1, name).nest(2, data)))
    }

    fn load(self, field: Field) -> Self {
        let payload = |base: u32, offset: u32, length: u32| {
            Attributes::new().be32(1, 1).be32(2, base).be32(3, offset).be32(4, length)
        };
        match field {
            Field::Network(offset, length) => self.with("payload", &payload(1, offset, length)),
            Field::Transport(offset, length) => self.with("payload", &payload(2, offset, length)),
            Field::Meta(key) => self.with("meta", &Attributes::new().be32(1, 1).be32(2, key)),
            Field::Flow(key) => self.with("ct", &Attributes::new().be32(1, 1).be32(2, key)),
            Field::FlowStart(key) => self.with("ct", &Attributes::new().be32(1, 1).be32(2, key).with(3, &[0])),
        }
    }

    fn mask(self, mask: &[u8]) -> Self {
        let length = u32::try_from(mask.len()).unwrap_or_default();
        let data = Attributes::new()
            .be32(1, 1)
            .be32(2, 1)
            .be32(3, length)
            .nest(4, &Attributes::new().with(1, mask))
            .nest(5, &Attributes::new().with(1, &vec![0; mask.len()]));
        self.with("bitwise", &data)
    }

    fn compare(self, how: Comparison, value: &[u8]) -> Self {
        let data = Attributes::new().be32(1, 1).be32(2, how as u32).nest(3, &Attributes::new().with(1, value));
        self.with("cmp", &data)
    }

    /// Matches only packets whose field compares to the value in this way.
    #[must_use]
    pub fn when(self, field: Field, how: Comparison, value: &[u8]) -> Self {
        self.load(field).compare(how, value)
    }

    /// Matches only packets whose field has this value.
    #[must_use]
    pub fn is(self, field: Field, value: &[u8]) -> Self {
        self.when(field, Comparison::Equal, value)
    }

    /// Matches only packets of this interface ([`Field::IN`], [`Field::OUT`]).
    #[must_use]
    pub fn interface(self, field: Field, how: Comparison, name: &str) -> Self {
        let mut padded = [0; 16];
        for (to, from) in padded.iter_mut().zip(name.bytes()) {
            *to = from;
        }
        self.when(field, how, &padded)
    }

    /// Matches only packets whose address is in a block.
    #[must_use]
    pub fn within(self, field: Field, how: Comparison, net: Ipv4Net) -> Self {
        match net.prefix_len() {
            0 if how == Comparison::Equal => self,
            32 => self.when(field, how, &net.addr().octets()),
            _ => self.load(field).mask(&net.netmask().octets()).compare(how, &net.network().octets()),
        }
    }

    /// Matches only packets whose port is in an inclusive range.
    #[must_use]
    pub fn port(self, field: Field, (low, high): (u16, u16)) -> Self {
        if low == high {
            return self.is(field, &low.to_be_bytes());
        }
        self.load(field)
            .compare(Comparison::AtLeast, &low.to_be_bytes())
            .compare(Comparison::AtMost, &high.to_be_bytes())
    }

    /// Matches only packets whose flow is in one of these states.
    #[must_use]
    pub fn flow_state(self, bits: u32) -> Self {
        self.load(Field::FLOW_STATE).mask(&bits.to_ne_bytes()).compare(Comparison::NotEqual, &[0; 4])
    }

    /// Counts packets.
    #[must_use]
    pub fn counter(self) -> Self {
        self.with("counter", &Attributes::new().with(1, &[0; 8]).with(2, &[0; 8]))
    }

    /// Matches `of_a_million` of a million packets, drawn at random for each packet.
    #[must_use]
    pub fn at_random(self, of_a_million: u32) -> Self {
        const RANDOM: u32 = 1;
        const TO_NETWORK_ORDER: u32 = 1;
        let draw = Attributes::new().be32(1, 1).be32(2, 1_000_000).be32(3, RANDOM);
        // The random number is in host byte order, but comparisons go byte by byte.
        let order = Attributes::new().be32(1, 1).be32(2, 1).be32(3, TO_NETWORK_ORDER).be32(4, 4).be32(5, 4);
        self.with("numgen", &draw).with("byteorder", &order).compare(Comparison::Less, &of_a_million.to_be_bytes())
    }

    /// Matches only `packets` packets per `seconds`; with `over`, only the packets beyond that.
    #[must_use]
    pub fn limit(self, packets: u64, seconds: u64, burst: u32, over: bool) -> Self {
        let data = Attributes::new()
            .with(1, &packets.to_be_bytes())
            .with(2, &seconds.to_be_bytes())
            .be32(3, burst)
            .be32(4, 0)
            .be32(5, u32::from(over));
        self.with("limit", &data)
    }

    /// Rejects with a response: kind (0 ICMP unreachable, 1 TCP reset, 2 ICMP of either family) and code.
    #[must_use]
    pub fn reject(self, kind: u32, code: u8) -> Self {
        self.with("reject", &Attributes::new().be32(1, kind).with(2, &[code]))
    }

    /// Rewrites the source address to this one.
    #[must_use]
    pub fn source_nat(self, to: Ipv4Addr) -> Self {
        let value = Attributes::new().with(1, &to.octets());
        self.with("immediate", &Attributes::new().be32(1, 1).nest(2, &value))
            .with("nat", &Attributes::new().be32(1, 0).be32(2, u32::from(IP)).be32(3, 1))
    }

    /// Sets the packet's mark, which routing rules can match.
    #[must_use]
    pub fn mark(self, number: u32) -> Self {
        let value = Attributes::new().with(1, &number.to_ne_bytes());
        self.with("immediate", &Attributes::new().be32(1, 1).nest(2, &value))
            .with("meta", &Attributes::new().be32(2, 3).be32(3, 1))
    }

    fn verdict(self, code: i32, chain: Option<&str>) -> Self {
        let mut verdict = Attributes::new().be32(1, code.cast_unsigned());
        if let Some(chain) = chain {
            verdict = verdict.text(2, chain);
        }
        let data = Attributes::new().be32(1, 0).nest(2, &Attributes::new().nest(2, &verdict));
        self.with("immediate", &data)
    }

    /// Drops the packet silently.
    #[must_use]
    pub fn drop(self) -> Self {
        self.verdict(0, None)
    }

    /// Accepts the packet.
    #[must_use]
    pub fn accept(self) -> Self {
        self.verdict(1, None)
    }

    /// Returns to the chain that jumped here.
    #[must_use]
    pub fn leave(self) -> Self {
        self.verdict(-5, None)
    }

    /// Continues in another chain, which may return here.
    #[must_use]
    pub fn jump(self, chain: &str) -> Self {
        self.verdict(-3, Some(chain))
    }
}
