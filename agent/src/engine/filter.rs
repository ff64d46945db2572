//! Classic BPF programs, so that the kernel hands over only what concerns probing.
//!
//! They bound the work that other people's traffic can cause; correctness does not rest on them, since everything that
//! comes through is parsed again.

use socket2::SockFilter;

const LOAD_HALF_ABSOLUTE: u16 = 0x28;
const LOAD_BYTE_ABSOLUTE: u16 = 0x30;
const LOAD_HEADER_LENGTH: u16 = 0xb1;
const LOAD_BYTE_INDEXED: u16 = 0x50;
const JUMP_EQUAL: u16 = 0x15;
const JUMP_ANY_BIT: u16 = 0x45;
const RETURN: u16 = 0x06;

/// `SKF_AD_OFF + SKF_AD_PROTOCOL`: the EtherType, whatever the link layer.
const ETHER_TYPE: u32 = 0xffff_f000;
const WHOLE_PACKET: u32 = 0x0004_0000;

/// For the raw ICMP socket: echoes and the errors that may quote one.
pub(crate) fn icmp() -> Vec<SockFilter> {
    let mut program = vec![op(LOAD_HEADER_LENGTH, 0, 0, 0), op(LOAD_BYTE_INDEXED, 0, 0, 0)];
    accept_types(&mut program, &[0, 3, 5, 8, 11, 12]);
    program
}

/// For the packet socket: IPv4, ICMP, not a later fragment, echo request or reply. Direction is checked by the reader.
pub(crate) fn echoes() -> Vec<SockFilter> {
    let mut program = vec![
        op(LOAD_HALF_ABSOLUTE, 0, 0, ETHER_TYPE),
        op(JUMP_EQUAL, 1, 0, 0x0800),
        op(RETURN, 0, 0, 0),
        op(LOAD_BYTE_ABSOLUTE, 0, 0, 9),
        op(JUMP_EQUAL, 1, 0, 1),
        op(RETURN, 0, 0, 0),
        op(LOAD_HALF_ABSOLUTE, 0, 0, 6),
        op(JUMP_ANY_BIT, 0, 1, 0x1fff),
        op(RETURN, 0, 0, 0),
        op(LOAD_HEADER_LENGTH, 0, 0, 0),
        op(LOAD_BYTE_INDEXED, 0, 0, 0),
    ];
    accept_types(&mut program, &[0, 8]);
    program
}

fn accept_types(program: &mut Vec<SockFilter>, types: &[u8]) {
    for &icmp_type in types {
        program.push(op(JUMP_EQUAL, 0, 1, u32::from(icmp_type)));
        program.push(op(RETURN, 0, 0, WHOLE_PACKET));
    }
    program.push(op(RETURN, 0, 0, 0));
}

fn op(code: u16, on_true: u8, on_false: u8, k: u32) -> SockFilter {
    SockFilter::new(code, on_true, on_false, k)
}
