//! Words of classic BPF, so that the programs read as what they decide and not as numbers.
//!
//! A program is a list of instructions; blocks that return are put together by [`when`]. What the programs say is each
//! socket's own business.

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

/// `SKF_AD_OFF + SKF_AD_PROTOCOL`: the EtherType, whatever the link layer.
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

/// Has the kernel run the program over what comes to the socket.
pub(crate) fn attach(fd: &impl AsFd, program: &[Op]) -> io::Result<()> {
    let program: Vec<_> = program.iter().map(|op| SockFilter::new(op.code, op.on_true, op.on_false, op.k)).collect();
    SockRef::from(fd).attach_filter(&program)
}

/// On a packet socket: one program for IPv4, one for IPv6, and nothing else.
pub(crate) fn by_version(v4: Program, v6: Program) -> Program {
    let version = vec![
        op(LOAD_HALF_ABSOLUTE, 0, 0, ETHER_TYPE),
        op(JUMP_EQUAL, 2, 0, 0x0800),
        op(JUMP_EQUAL, length(&v4) + 1, 0, 0x86dd),
    ];
    [version, refuse(), v4, v6].concat()
}

/// Runs `block`, which returns, when the accumulator is one of `values`.
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

/// Of a block, which is far shorter than a jump can go.
pub(crate) fn length(block: &[Op]) -> u8 {
    u8::try_from(block.len()).unwrap_or(u8::MAX)
}

pub(crate) fn op(code: u16, on_true: u8, on_false: u8, k: u32) -> Op {
    Op { code, on_true, on_false, k }
}

/// Whether the kernel lets `packet` through: any datagram socket runs the program over what it is sent.
#[cfg(test)]
pub(crate) fn passes(program: &[Op], packet: &[u8]) -> bool {
    let (to, from) = std::os::unix::net::UnixDatagram::pair().unwrap();
    attach(&to, program).unwrap();
    to.set_nonblocking(true).unwrap();
    // A datagram that the filter refuses is an error of the sender here.
    let _ = from.send(packet);
    to.recv(&mut [0; 256]).is_ok()
}
