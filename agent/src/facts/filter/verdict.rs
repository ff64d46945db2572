//! Verdicts as the kernel writes them, in rules and in maps (`enum nft_verdict_attributes`).

use crate::facts::netlink::Attributes;
use pingtong_evidence::packet_filter::Verdict;

const CODE: u16 = 1;
const CHAIN: u16 = 2;

/// Reads a verdict. A jump without a chain is none.
pub(super) fn read(attributes: Attributes<'_>) -> Option<Verdict> {
    Some(match attributes.u32_net(CODE)?.cast_signed() {
        0 => Verdict::Drop,
        1 => Verdict::Accept,
        -1 => Verdict::Continue,
        -3 => Verdict::Jump(attributes.text(CHAIN)?),
        -4 => Verdict::Goto(attributes.text(CHAIN)?),
        -5 => Verdict::Return,
        other => Verdict::Other(other),
    })
}
