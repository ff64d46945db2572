//! What handles packets beside the packet filter and the routes: queue disciplines, XDP programs, IPsec policies, policy
//! routing (`RTM_GETQDISC`, `RTM_GETLINK`, `XFRM_MSG_GETPOLICY`, `RTM_GETRULE`).

use super::netlink::{self, DUMP};
use netlink_packet_route::{
    AddressFamily, RouteNetlinkMessage,
    link::{LinkAttribute, LinkMessage, LinkXdp, XdpAttached},
    rule::{RuleAttribute, RuleMessage},
    tc::{TcAttribute, TcMessage, TcStats2},
};
use pingtong_evidence::{Known, Mechanisms, QueueDiscipline, WhyUnknown};
use std::{collections::BTreeMap, io};

const NETLINK_XFRM: isize = 6;
const XFRM_MSG_GETPOLICY: u16 = 0x15;
/// `struct xfrm_userpolicy_id`.
const POLICY_ID_BYTES: usize = 64;
/// Priorities of the kernel's own rules: local, main, default.
const OWN_RULES: [u32; 3] = [0, 32_766, 32_767];

/// Reads them; unknown if one of them cannot be read.
pub(super) fn read() -> Known<Mechanisms> {
    all().map_or_else(
        |error| {
            Known::Unknown(WhyUnknown::Unreachable {
                action: String::from("listing queue disciplines, XDP programs, IPsec policies and routing rules"),
                message: error.to_string(),
            })
        },
        Known::Known,
    )
}

fn all() -> io::Result<Mechanisms> {
    let links = netlink::route(&RouteNetlinkMessage::GetLink(LinkMessage::default()), DUMP)?;
    let (mut names, mut xdp) = (BTreeMap::new(), vec![]);
    for message in links {
        let RouteNetlinkMessage::NewLink(link) = message else { continue };
        let name = link.attributes.iter().find_map(|attribute| match attribute {
            LinkAttribute::IfName(name) => Some(name.clone()),
            _ => None,
        });
        let Some(name) = name else { continue };
        if link.attributes.iter().any(has_program) {
            xdp.push(name.clone());
        }
        names.insert(link.header.index, name);
    }
    let mut disciplines = vec![];
    for message in netlink::route(&RouteNetlinkMessage::GetQueueDiscipline(TcMessage::default()), DUMP)? {
        if let RouteNetlinkMessage::NewQueueDiscipline(message) = message
            && let Ok(index) = u32::try_from(message.header.index)
            && let Some(interface) = names.get(&index)
        {
            disciplines.extend(discipline(interface, &message));
        }
    }
    disciplines.sort();
    Ok(Mechanisms { disciplines, xdp, ipsec_policies: ipsec_policies()?, routing_rules: routing_rules()? })
}

fn has_program(attribute: &LinkAttribute) -> bool {
    let is_attached = |each: &LinkXdp| matches!(each, LinkXdp::Attached(how) if !matches!(how, XdpAttached::None));
    matches!(attribute, LinkAttribute::Xdp(all) if all.iter().any(is_attached))
}

fn discipline(interface: &str, message: &TcMessage) -> Option<QueueDiscipline> {
    let kind = message.attributes.iter().find_map(|attribute| match attribute {
        TcAttribute::Kind(kind) => Some(kind.clone()),
        _ => None,
    })?;
    let dropped = message.attributes.iter().find_map(|attribute| match attribute {
        TcAttribute::Stats2(all) => all.iter().find_map(|each| match each {
            TcStats2::Queue(queue) => Some(queue.drops.into()),
            _ => None,
        }),
        _ => None,
    });
    (kind != "noqueue").then(|| QueueDiscipline {
        interface: interface.to_owned(),
        kind,
        dropped: dropped.unwrap_or_default(),
    })
}

/// A kernel without IPsec has no such socket.
fn ipsec_policies() -> io::Result<u32> {
    match netlink::ask(NETLINK_XFRM, XFRM_MSG_GETPOLICY, DUMP, &[0; POLICY_ID_BYTES]) {
        Ok(all) => Ok(u32::try_from(all.len()).unwrap_or(u32::MAX)),
        Err(error) if error.raw_os_error() == Some(libc::EPROTONOSUPPORT) => Ok(0),
        Err(error) => Err(error),
    }
}

fn routing_rules() -> io::Result<u32> {
    let mut others = 0;
    for family in [AddressFamily::Inet, AddressFamily::Inet6] {
        let mut message = RuleMessage::default();
        message.header.family = family;
        for answer in netlink::route(&RouteNetlinkMessage::GetRule(message), DUMP)? {
            let RouteNetlinkMessage::NewRule(rule) = answer else { continue };
            let priority = rule.attributes.iter().find_map(|attribute| match attribute {
                RuleAttribute::Priority(priority) => Some(*priority),
                _ => None,
            });
            others += u32::from(!OWN_RULES.contains(&priority.unwrap_or_default()));
        }
    }
    Ok(others)
}
