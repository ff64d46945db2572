//! Ring-buffer receive of echo replies. An eBPF program on a separate raw socket copies the head of each reply into a
//! ring that is shared with this process. Queueing a reply and reading it by a system call would cost a tenth of a
//! probe.
//!
//! The program sees what a raw socket sees: packets that passed the guest's firewall. It leaves replies that it does
//! not understand, or that find the ring full, to the socket's queue, so that it loses none. ICMP errors go to the
//! other raw socket. The recorded time is when the kernel delivered the reply, up to some microseconds after it
//! arrived. IPv4 only. Needs `CAP_BPF`; without it, or with a kernel before 5.8, all replies go through the queue.

use super::{
    batch::set_option,
    ebpf::{self, Instruction, Records},
};
use nix::errno::Errno;
use std::{ops::RangeInclusive, os::fd::OwnedFd};

/// Bytes of the ring: about 13 000 replies.
const RING_BYTES: u32 = 1 << 20;
/// Bytes of the time in nanoseconds at the beginning of a record; the packet's head follows.
const STAMP_BYTES: u8 = 8;
/// Bytes kept of a packet: IPv4 and ICMP header and the fixed part of a probe's payload.
const HEAD_BYTES: u8 = 60;
/// `ICMP_FILTER` of `linux/icmp.h`: a set bit blocks a type.
const ICMP_FILTER: i32 = 1;
const ECHO_REPLY: u32 = 0;

/// The ring. The socket belongs to the caller, who reads its queue.
#[derive(Debug)]
pub(super) struct Pickup {
    pub(super) records: Records,
}

impl Pickup {
    /// Receives replies with these identifiers on `replies` into the ring, and on no other socket: `others` no longer
    /// receives echo replies.
    ///
    /// # Errors
    /// The kernel's error; the caller must then close `replies`.
    pub(super) fn start(replies: &OwnedFd, others: &OwnedFd, identifiers: &RangeInclusive<u16>) -> Result<Self, Errno> {
        let records = Records::new(RING_BYTES)?;
        ebpf::attach(replies, &program(identifiers, &records)?)?;
        block_types(replies, !(1 << ECHO_REPLY))?;
        block_types(others, 1 << ECHO_REPLY)?;
        Ok(Self { records })
    }

    /// Passes the replies recorded before position `until` to `take`, `max` of them at most, each with its time on the
    /// kernel's monotonic clock in nanoseconds. Returns how many, and whether there are more by now.
    pub(super) fn take(&mut self, until: u64, max: usize, mut take: impl FnMut(u64, &[u8])) -> (usize, bool) {
        self.records.take(until, max, |record| {
            if let Some((stamp, packet)) = record.split_first_chunk() {
                take(u64::from_ne_bytes(*stamp), packet);
            }
        })
    }
}

fn block_types(socket: &OwnedFd, types: u32) -> Result<(), Errno> {
    set_option(socket, libc::SOL_RAW, ICMP_FILTER, &types.to_ne_bytes())
}

/// Registers: return value of a call, its arguments, and those that a call preserves.
const R0: u8 = 0;
const R1: u8 = 1;
const R2: u8 = 2;
const R3: u8 = 3;
const R4: u8 = 4;
const CONTEXT: u8 = 6;
const RECORD: u8 = 7;

/// Helper functions of the kernel, by their numbers in `linux/bpf.h`.
const KTIME_GET_NS: i32 = 5;
const SKB_LOAD_BYTES: i32 = 26;
const RINGBUF_RESERVE: i32 = 131;
const RINGBUF_SUBMIT: i32 = 132;
const RINGBUF_DISCARD: i32 = 133;

/// Flag that submits a record without waking the reader. A reader in a hurry polls every millisecond; a wake-up costs
/// an interrupt.
const NO_WAKEUP: i32 = 1;

const WHOLE_PACKET: i32 = 0x0004_0000;

/// A jump target in the program, resolved once all steps are known.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Label {
    /// Leave the packet to the socket's queue.
    Queue,
    /// Drop the packet.
    Drop,
    /// Discard a reserved record that could not be filled.
    GiveBack,
}

#[derive(Debug)]
enum Step {
    Do(Instruction),
    Jump(Instruction, Label),
    Here(Label),
}

fn program(identifiers: &RangeInclusive<u16>, records: &Records) -> Result<Vec<Instruction>, Errno> {
    use std::os::fd::AsRawFd;
    let (low, high) = (i32::from(*identifiers.start()), i32::from(*identifiers.end()));
    let (record, head) = (i32::from(STAMP_BYTES) + i32::from(HEAD_BYTES), i32::from(HEAD_BYTES));
    let [ring_low, ring_high] = load_map(R1, records.fd.as_raw_fd());
    resolve(&[
        Step::Do(copy(CONTEXT, R1)),
        // With IP options the header is longer: such packets go to the queue, as do packets too short for a probe.
        Step::Do(load_byte(0)),
        Step::Jump(unless_equal(R0, 0x45), Label::Queue),
        Step::Do(load_half(24)),
        Step::Jump(if_less(R0, low), Label::Drop),
        Step::Jump(if_greater(R0, high), Label::Drop),
        Step::Do(load_length(R0)),
        Step::Jump(if_less(R0, head), Label::Queue),
        Step::Do(ring_low),
        Step::Do(ring_high),
        Step::Do(set(R2, record)),
        Step::Do(set(R3, 0)),
        Step::Do(call(RINGBUF_RESERVE)),
        Step::Jump(if_equal(R0, 0), Label::Queue),
        Step::Do(copy(RECORD, R0)),
        Step::Do(copy(R1, CONTEXT)),
        Step::Do(set(R2, 0)),
        Step::Do(copy(R3, RECORD)),
        Step::Do(add(R3, i32::from(STAMP_BYTES))),
        Step::Do(set(R4, head)),
        Step::Do(call(SKB_LOAD_BYTES)),
        Step::Jump(unless_equal(R0, 0), Label::GiveBack),
        Step::Do(call(KTIME_GET_NS)),
        Step::Do(store(RECORD, R0)),
        Step::Do(copy(R1, RECORD)),
        Step::Do(set(R2, NO_WAKEUP)),
        Step::Do(call(RINGBUF_SUBMIT)),
        Step::Here(Label::Drop),
        Step::Do(set(R0, 0)),
        Step::Do(exit()),
        Step::Here(Label::GiveBack),
        Step::Do(copy(R1, RECORD)),
        Step::Do(set(R2, NO_WAKEUP)),
        Step::Do(call(RINGBUF_DISCARD)),
        Step::Here(Label::Queue),
        Step::Do(set(R0, WHOLE_PACKET)),
        Step::Do(exit()),
    ])
}

/// Resolves labels: a jump counts the instructions between itself and its label.
fn resolve(steps: &[Step]) -> Result<Vec<Instruction>, Errno> {
    let places = |steps: &[Step]| steps.iter().filter(|step| !matches!(step, Step::Here(_))).count();
    let mut program = Vec::with_capacity(steps.len());
    for (at, step) in steps.iter().enumerate() {
        match *step {
            Step::Do(instruction) => program.push(instruction),
            Step::Jump(jump, label) => {
                let target = steps.iter().position(|step| matches!(step, Step::Here(here) if *here == label));
                let target = places(&steps[..target.ok_or(Errno::EINVAL)?]);
                let offset = target.checked_sub(places(&steps[..=at])).and_then(|over| i16::try_from(over).ok());
                program.push(Instruction { offset: offset.ok_or(Errno::EINVAL)?, ..jump });
            }
            Step::Here(_) => {}
        }
    }
    Ok(program)
}

const fn instruction(code: u8, to: u8, from: u8, number: i32) -> Instruction {
    Instruction { code, registers: from << 4 | to, offset: 0, number }
}

const fn copy(to: u8, from: u8) -> Instruction {
    instruction(0xbf, to, from, 0)
}

const fn set(to: u8, number: i32) -> Instruction {
    instruction(0xb7, to, 0, number)
}

const fn add(to: u8, number: i32) -> Instruction {
    instruction(0x07, to, 0, number)
}

/// Loads a byte (or half word, below) of the packet into the first register; ends the program if the packet is shorter.
const fn load_byte(at: i32) -> Instruction {
    instruction(0x30, 0, 0, at)
}

const fn load_half(at: i32) -> Instruction {
    instruction(0x28, 0, 0, at)
}

/// Loads the packet's length, the first word of the program's context.
const fn load_length(to: u8) -> Instruction {
    instruction(0x61, to, CONTEXT, 0)
}

/// Stores eight bytes at the address in a register.
const fn store(to: u8, from: u8) -> Instruction {
    instruction(0x7b, to, from, 0)
}

const fn if_equal(of: u8, number: i32) -> Instruction {
    instruction(0x15, of, 0, number)
}

const fn unless_equal(of: u8, number: i32) -> Instruction {
    instruction(0x55, of, 0, number)
}

const fn if_greater(of: u8, number: i32) -> Instruction {
    instruction(0x25, of, 0, number)
}

const fn if_less(of: u8, number: i32) -> Instruction {
    instruction(0xa5, of, 0, number)
}

const fn call(function: i32) -> Instruction {
    instruction(0x85, 0, 0, function)
}

const fn exit() -> Instruction {
    instruction(0x95, 0, 0, 0)
}

/// Loads the address of a map, which takes two instructions.
const fn load_map(to: u8, fd: i32) -> [Instruction; 2] {
    [instruction(0x18, to, 1, fd), instruction(0, 0, 0, 0)]
}

#[cfg(test)]
#[allow(
    clippy::print_stderr,
    clippy::disallowed_methods,
    reason = "a test that cannot run says so, and fails under CI"
)]
mod tests {
    use super::*;
    use pingtong_probe::{EchoKind, Heard, echo_request, parse_ipv4};
    use std::os::unix::net::UnixDatagram;

    /// Any datagram socket runs the attached program over the data that it receives. `None` if the kernel does not
    /// permit it.
    fn sockets(identifiers: RangeInclusive<u16>, ring_bytes: u32) -> Option<(UnixDatagram, UnixDatagram, Pickup)> {
        let (to, from) = UnixDatagram::pair().unwrap();
        to.set_nonblocking(true).unwrap();
        from.set_nonblocking(true).unwrap();
        let attached = Records::new(ring_bytes).and_then(|records| {
            let fd = OwnedFd::from(to.try_clone().unwrap());
            ebpf::attach(&fd, &program(&identifiers, &records)?).map(|()| records)
        });
        match attached {
            Ok(records) => Some((to, from, Pickup { records })),
            Err(errno) => {
                eprintln!("SKIPPED: bpf(2) is not permitted here: {errno}");
                assert!(std::env::var_os("CI").is_none(), "under CI it must run");
                None
            }
        }
    }

    fn reply(identifier: u16, sequence: u16, options: u8, payload: usize) -> Vec<u8> {
        let mut icmp = echo_request(identifier, sequence, &vec![0x5a; payload]);
        icmp[0] = 0;
        let mut packet = vec![0; 20 + usize::from(options) * 4];
        (packet[0], packet[9]) = (0x45 + options, 1);
        packet.extend(icmp);
        let length = u16::try_from(packet.len()).unwrap().to_be_bytes();
        packet[2..4].copy_from_slice(&length);
        packet
    }

    fn picked_up(pickup: &mut Pickup) -> Vec<u16> {
        let mut sequences = vec![];
        let until = pickup.records.written();
        let (count, more) = pickup.take(until, 1_000, |stamp, packet| {
            let Some(Heard::Echo { kind: EchoKind::Reply, sequence, payload, .. }) = parse_ipv4(packet) else {
                unreachable!("{packet:?}")
            };
            assert_eq!(payload, &[0x5a; 32], "a probe's fixed part, and no more");
            assert!(stamp > 0);
            sequences.push(sequence);
        });
        assert_eq!((count, more), (sequences.len(), false));
        sequences
    }

    #[test]
    fn ours_are_picked_up_others_dropped_and_odd_ones_queued() {
        let Some((to, from, mut pickup)) = sockets(7..=8, 1 << 16) else { return };
        for (identifier, sequence) in [(6, 1), (7, 2), (8, 3), (9, 4)] {
            // If the filter drops a datagram of a Unix socket, the sender gets an error.
            let _ = from.send(&reply(identifier, sequence, 0, 56));
        }
        assert_eq!(picked_up(&mut pickup), [2, 3]);
        assert!(to.recv(&mut [0; 256]).is_err(), "nothing is queued");
        for (options, payload) in [(1, 56), (0, 31)] {
            from.send(&reply(7, 5, options, payload)).unwrap();
            assert_eq!(picked_up(&mut pickup), [0u16; 0]);
            assert!(to.recv(&mut [0; 256]).is_ok(), "{options} words of options, {payload} bytes");
        }
        from.send(&reply(7, 6, 0, 32)).unwrap();
        assert_eq!(picked_up(&mut pickup), [6], "the smallest probe");
    }

    #[test]
    fn what_finds_the_ring_full_is_queued_and_nothing_is_lost_as_it_goes_round() {
        let Some((to, from, mut pickup)) = sockets(7..=7, 4_096) else { return };
        let (mut next, mut queued, mut seen) = (0u16, 0, vec![]);
        for _ in 0..40 {
            for _ in 0..60 {
                // A reply that goes to the ring is not queued, which the sender of a Unix socket sees as an error.
                let _ = from.send(&reply(7, next, 0, 56));
                next += 1;
            }
            seen.extend(picked_up(&mut pickup));
            let mut packet = [0; 256];
            while let Ok(length) = to.recv(&mut packet) {
                let Some(Heard::Echo { sequence, .. }) = parse_ipv4(&packet[..length]) else { unreachable!() };
                seen.push(sequence);
                queued += 1;
            }
        }
        assert!(queued > 0 && queued < usize::from(next), "{queued}");
        seen.sort_unstable();
        assert_eq!(seen, (0..next).collect::<Vec<_>>());
    }

    #[test]
    fn a_jump_counts_the_instructions_between() {
        let steps = [
            Step::Jump(if_equal(R0, 0), Label::Queue),
            Step::Do(exit()),
            Step::Here(Label::Drop),
            Step::Do(exit()),
            Step::Here(Label::Queue),
            Step::Do(exit()),
        ];
        assert_eq!(resolve(&steps).unwrap()[0].offset, 2);
        assert_eq!(resolve(&steps).unwrap().len(), 4);
        assert!(resolve(&[Step::Jump(exit(), Label::Drop)]).is_err(), "a label that is nowhere");
        assert!(resolve(&[Step::Here(Label::Drop), Step::Jump(exit(), Label::Drop)]).is_err(), "no way back");
    }
}
