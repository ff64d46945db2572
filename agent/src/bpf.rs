//! Building blocks of classic BPF programs: named opcodes and helpers, so that programs read as decisions, not numbers.
//!
//! A program is a list of instructions. [`when`] combines blocks that end in a return. This module does not know what a
//! filter selects: the module of each socket defines its own program.

use socket2::{SockFilter, SockRef};
use std::{io, os::fd::AsFd};

pub(crate) const LOAD_HALF_ABSOLUTE: u16 = 0x28;
pub(crate) const LOAD_BYTE_ABSOLUTE: u16 = 0x30;
pub(crate) const LOAD_WORD_ABSOLUTE: u16 = 0x20;
pub(crate) const LOAD_WORD_INDEXED: u16 = 0x40;
pub(crate) const LOAD_HEADER_LENGTH: u16 = 0xb1;
pub(crate) const LOAD_HALF_INDEXED: u16 = 0x48;
pub(crate) const LOAD_BYTE_INDEXED: u16 = 0x50;
pub(crate) const AND: u16 = 0x54;
pub(crate) const SHIFT_LEFT: u16 = 0x64;
pub(crate) const ADD: u16 = 0x04;
pub(crate) const ADD_X: u16 = 0x0c;
pub(crate) const TO_X: u16 = 0x07;
pub(crate) const JUMP_EQUAL: u16 = 0x15;
pub(crate) const JUMP_GREATER: u16 = 0x25;
pub(crate) const JUMP_AT_LEAST: u16 = 0x35;
pub(crate) const JUMP_ANY_BIT: u16 = 0x45;
pub(crate) const RETURN: u16 = 0x06;

/// `SKF_AD_OFF + SKF_AD_PROTOCOL`: the EtherType, independent of the link layer.
const ETHER_TYPE: u32 = 0xffff_f000;
const WHOLE_PACKET: u32 = 0x0004_0000;

/// One instruction, as a `SockFilter` that can be copied.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Op {
    code: u16,
    on_true: u8,
    on_false: u8,
    k: u32,
}

pub(crate) type Program = Vec<Op>;

/// Attaches the program to the socket as its filter.
pub(crate) fn attach(fd: &impl AsFd, program: &[Op]) -> io::Result<()> {
    let program: Vec<_> = program.iter().map(|op| SockFilter::new(op.code, op.on_true, op.on_false, op.k)).collect();
    SockRef::from(fd).attach_filter(&program)
}

/// For a packet socket: runs `v4` on IPv4 packets, `v6` on IPv6 packets, and rejects all others.
pub(crate) fn by_version(v4: Program, v6: Program) -> Program {
    let version = vec![
        op(LOAD_HALF_ABSOLUTE, 0, 0, ETHER_TYPE),
        op(JUMP_EQUAL, 2, 0, 0x0800),
        op(JUMP_EQUAL, length(&v4) + 1, 0, 0x86dd),
    ];
    [version, refuse(), v4, v6].concat()
}

/// Runs `block`, which must end in a return, if the accumulator equals one of `values`.
pub(crate) fn when(values: &[u8], block: Program) -> Program {
    let mut program = vec![];
    for (at, &value) in (1..).zip(values) {
        let others = u8::try_from(values.len()).unwrap_or_default() - at;
        let otherwise = if others == 0 { length(&block) } else { 0 };
        program.push(op(JUMP_EQUAL, others, otherwise, u32::from(value)));
    }
    if !values.is_empty() {
        program.extend(block);
    }
    program
}

pub(crate) fn accept() -> Program {
    vec![op(RETURN, 0, 0, WHOLE_PACKET)]
}

pub(crate) fn refuse() -> Program {
    vec![op(RETURN, 0, 0, 0)]
}

/// Length of a block in instructions. Blocks are far shorter than the longest jump.
pub(crate) fn length(block: &[Op]) -> u8 {
    u8::try_from(block.len()).unwrap_or(u8::MAX)
}

pub(crate) fn op(code: u16, on_true: u8, on_false: u8, k: u32) -> Op {
    Op { code, on_true, on_false, k }
}

/// Whether the kernel accepts `packet`: any datagram socket runs the attached program over the data that it receives.
#[cfg(test)]
pub(crate) fn passes(program: &[Op], packet: &[u8]) -> bool {
    let (to, from) = std::os::unix::net::UnixDatagram::pair().unwrap();
    attach(&to, program).unwrap();
    to.set_nonblocking(true).unwrap();
    // If the filter rejects a datagram of a Unix socket, the sender gets an error.
    let _ = from.send(packet);
    to.recv(&mut [0; 256]).is_ok()
}
