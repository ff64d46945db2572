//! Sends and receives many messages per system call (`sendmmsg`, `recvmmsg`). One of the three modules of the agent
//! that contain `unsafe`.
//!
//! nix offers `recvmmsg` too, but reuses the shrunken control length of one call for the next, so that later control
//! messages are truncated. Each `unsafe` block is sound for the reasons stated beside it: the pointers passed to the
//! kernel are made in the same function from slices that outlive the call, with the lengths of those slices, and
//! nothing keeps them. What the kernel wrote is parsed as bytes by safe code, up to the length that the kernel
//! returned.

#![expect(unsafe_code, reason = "recvmmsg, sendmmsg, and socket options that no safe wrapper offers")]
#![expect(clippy::cast_possible_truncation, reason = "lengths far below any limit; their types differ between libcs")]

use nix::errno::Errno;
use std::{
    ffi::c_void,
    mem::size_of,
    os::fd::{AsRawFd, OwnedFd},
    ptr,
    time::Duration,
};

/// Maximum messages per call.
pub(super) const BATCH: usize = 64;

/// Messages of a small call. A paced prober that wakes up for two probes would spend more on zeroing the headers of a
/// full batch than on the probes.
pub(super) const FEW: usize = 8;

/// Bytes kept of a packet. Longer packets are truncated; a probe's tag lies before that.
const PACKET_BYTES: usize = 512;
/// An odd number of cache lines, so that the first bytes of a batch's packets do not evict one another.
const PACKET_STRIDE: usize = PACKET_BYTES + 64;
/// Room for a `sockaddr_in6`, the longest address that occurs.
const NAME_BYTES: usize = 32;
/// Room for the control messages that may come together: timestamp (32), destination address (40), drop counter (24).
const CONTROL_BYTES: usize = 128;

/// Received messages, in memory that is reused for every batch.
#[derive(Debug)]
pub(super) struct Inbox {
    packets: Box<[u8]>,
    names: Box<[[u8; NAME_BYTES]; BATCH]>,
    controls: Box<[Control; BATCH]>,
    lengths: [Lengths; BATCH],
}

/// Aligned as a `cmsghdr` must be.
#[derive(Debug, Clone, Copy)]
#[repr(align(8))]
struct Control([u8; CONTROL_BYTES]);

#[derive(Debug, Clone, Copy, Default)]
struct Lengths {
    packet: usize,
    name: usize,
    control: usize,
}

/// One received message.
#[derive(Debug, Clone, Copy)]
pub(super) struct Message<'a> {
    pub(super) packet: &'a [u8],
    /// A socket address in kernel layout; empty if it was not requested.
    pub(super) name: &'a [u8],
    control: &'a [u8],
}

/// A parsed control message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Note {
    /// Timestamp of the wall clock, counted from 1970.
    Stamp(Duration),
    /// Packets that the socket's receive queue dropped since it was opened; wraps.
    Drops(u32),
    /// Destination address of an IPv6 packet.
    To([u8; 16]),
}

impl Inbox {
    pub(super) fn new() -> Self {
        Self {
            packets: vec![0; PACKET_STRIDE * BATCH].into_boxed_slice(),
            names: Box::new([[0; NAME_BYTES]; BATCH]),
            controls: Box::new([Control([0; CONTROL_BYTES]); BATCH]),
            lengths: [Lengths::default(); BATCH],
        }
    }

    /// Receives up to `wanted` messages without blocking; returns how many.
    pub(super) fn receive(&mut self, fd: &OwnedFd, from: Queue, wanted: usize) -> Result<usize, Errno> {
        let count = wanted.min(BATCH);
        // SAFETY: both are plain C structures for which all zeroes is a value: null pointers with lengths of zero.
        let (mut headers, mut slices): ([libc::mmsghdr; BATCH], [libc::iovec; BATCH]) = unsafe { std::mem::zeroed() };
        let parts =
            self.packets.chunks_exact_mut(PACKET_STRIDE).zip(self.names.iter_mut()).zip(self.controls.iter_mut());
        for (((packet, name), control), (header, slice)) in
            parts.zip(headers.iter_mut().zip(slices.iter_mut())).take(count)
        {
            slice.iov_base = packet.as_mut_ptr().cast();
            slice.iov_len = PACKET_BYTES;
            let header = &mut header.msg_hdr;
            if from.named() {
                header.msg_name = name.as_mut_ptr().cast();
                header.msg_namelen = 28;
            }
            header.msg_iov = ptr::from_mut(slice);
            header.msg_iovlen = 1;
            header.msg_control = control.0.as_mut_ptr().cast();
            header.msg_controllen = CONTROL_BYTES as _;
        }
        // SAFETY: `headers` has at least `count` entries, each pointing at a slice, a name and a control area of its
        // own of the given length, all borrowed from `self` or the stack frame for longer than the call.
        let read = unsafe {
            libc::recvmmsg(fd.as_raw_fd(), headers.as_mut_ptr(), count as _, libc::MSG_DONTWAIT as _, ptr::null_mut())
        };
        let read = usize::try_from(Errno::result(read)?).unwrap_or_default().min(count);
        for (lengths, header) in self.lengths.iter_mut().zip(&headers).take(read) {
            *lengths = Lengths {
                packet: usize::try_from(header.msg_len).unwrap_or_default(),
                name: if from.named() { usize::try_from(header.msg_hdr.msg_namelen).unwrap_or_default() } else { 0 },
                control: header.msg_hdr.msg_controllen as _,
            };
        }
        Ok(read)
    }

    /// One of the messages of the last [`Inbox::receive`].
    pub(super) fn message(&self, index: usize) -> Option<Message<'_>> {
        let (lengths, control) = (self.lengths.get(index)?, self.controls.get(index)?);
        Some(Message {
            packet: self.packets.get(index * PACKET_STRIDE..)?.get(..lengths.packet.min(PACKET_BYTES))?,
            name: self.names.get(index)?.get(..lengths.name.min(NAME_BYTES))?,
            control: control.0.get(..lengths.control.min(CONTROL_BYTES))?,
        })
    }
}

/// Whether the sender's address is requested with each message.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Queue {
    /// Packets without the sender's address.
    Packets,
    /// Packets with the sender's address.
    Named,
}

impl Queue {
    fn named(self) -> bool {
        self == Self::Named
    }
}

impl Message<'_> {
    /// The control messages that concern probing.
    pub(super) fn notes(&self) -> impl Iterator<Item = Note> {
        let mut rest = self.control;
        std::iter::from_fn(move || {
            loop {
                let (kind, data, after) = split_control(rest)?;
                rest = after;
                if let Some(note) = note(kind, data) {
                    return Some(note);
                }
            }
        })
    }
}

/// Level and type of a control message.
type Kind = (i32, i32);

/// Splits off the first control message: its kind, its data, and what follows. Steps as `CMSG_FIRSTHDR` and
/// `CMSG_NXTHDR`.
fn split_control(bytes: &[u8]) -> Option<(Kind, &[u8], &[u8])> {
    const HEADER: usize = WORD + 8;
    let length = usize::from_ne_bytes(*bytes.first_chunk()?);
    let level = i32::from_ne_bytes(*bytes.get(WORD..)?.first_chunk()?);
    let kind = i32::from_ne_bytes(*bytes.get(WORD + 4..)?.first_chunk()?);
    let data = bytes.get(HEADER..length)?;
    let next = length.checked_next_multiple_of(WORD)?;
    Some(((level, kind), data, bytes.get(next..).unwrap_or_default()))
}

fn note((level, kind): Kind, data: &[u8]) -> Option<Note> {
    match (level, kind) {
        (libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS) => stamp(data).map(Note::Stamp),
        (libc::SOL_SOCKET, libc::SO_RXQ_OVFL) => Some(Note::Drops(u32::from_ne_bytes(*data.first_chunk()?))),
        (libc::IPPROTO_IPV6, libc::IPV6_PKTINFO) => Some(Note::To(*data.first_chunk()?)),
        _ => None,
    }
}

/// Parses a `timespec`; zero means that there is no timestamp.
fn stamp(data: &[u8]) -> Option<Duration> {
    const LONG: usize = size_of::<libc::time_t>();
    let seconds = libc::time_t::from_ne_bytes(*data.first_chunk()?);
    let nanos = libc::time_t::from_ne_bytes(*data.get(LONG..)?.first_chunk()?);
    let stamp = Duration::new(u64::try_from(seconds).ok()?, u32::try_from(nanos).ok()?);
    (!stamp.is_zero()).then_some(stamp)
}

/// One message to send: `head` followed by `body`.
#[derive(Debug, Clone, Copy, Default)]
pub(super) struct Letter<'a> {
    pub(super) head: &'a [u8],
    pub(super) body: &'a [u8],
    pub(super) name: &'a [u8],
    /// Control messages in kernel layout.
    pub(super) control: &'a [u8],
}

/// Sends up to `N` messages without blocking. Returns how many the kernel took, or the error of the first.
pub(super) fn send<const N: usize>(fd: &OwnedFd, letters: &[Letter<'_>]) -> Result<usize, Errno> {
    let count = letters.len().min(N);
    // SAFETY: as in `receive`.
    let (mut headers, mut slices): ([libc::mmsghdr; N], [[libc::iovec; 2]; N]) = unsafe { std::mem::zeroed() };
    for (letter, (header, slices)) in letters.iter().zip(headers.iter_mut().zip(slices.iter_mut())).take(count) {
        let header = &mut header.msg_hdr;
        slices[0] = slice_of(letter.head);
        slices[1] = slice_of(letter.body);
        header.msg_name = letter.name.as_ptr().cast_mut().cast();
        header.msg_namelen = letter.name.len() as _;
        let skipped = usize::from(letter.head.is_empty());
        header.msg_iov = slices[skipped..].as_mut_ptr();
        header.msg_iovlen = (2 - skipped) as _;
        if !letter.control.is_empty() {
            header.msg_control = letter.control.as_ptr().cast_mut().cast();
            header.msg_controllen = letter.control.len() as _;
        }
    }
    // SAFETY: `headers` has at least `count` entries, whose pointers come from slices of the letters with their
    // lengths. Sending only reads through them, so that shared borrows suffice, and returns before the borrows end.
    let sent = unsafe { libc::sendmmsg(fd.as_raw_fd(), headers.as_mut_ptr(), count as _, libc::MSG_DONTWAIT as _) };
    Ok(usize::try_from(Errno::result(sent)?).unwrap_or_default().min(count))
}

fn slice_of(bytes: &[u8]) -> libc::iovec {
    libc::iovec { iov_base: bytes.as_ptr().cast_mut().cast(), iov_len: bytes.len() }
}

/// Sets an option that nix does not support.
pub(super) fn set_option(fd: &impl AsRawFd, level: i32, name: i32, value: &[u8]) -> Result<(), Errno> {
    let length = libc::socklen_t::try_from(value.len()).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the kernel reads `length` bytes of `value`, which has as many. An invalid descriptor is refused.
    let done = unsafe { libc::setsockopt(fd.as_raw_fd(), level, name, value.as_ptr().cast::<c_void>(), length) };
    Errno::result(done).map(drop)
}

/// Reads an option that nix does not support, as an array of words; returns the words that the kernel wrote.
pub(super) fn read_option<'a>(fd: &OwnedFd, level: i32, name: i32, value: &'a mut [u32]) -> Result<&'a [u32], Errno> {
    let mut length = libc::socklen_t::try_from(size_of_val(value)).map_err(|_| Errno::EINVAL)?;
    // SAFETY: the kernel writes at most `length` bytes to `value`, which has as many, and any bit pattern is a valid
    // word.
    let done =
        unsafe { libc::getsockopt(fd.as_raw_fd(), level, name, value.as_mut_ptr().cast::<c_void>(), &raw mut length) };
    Errno::result(done)?;
    let words = usize::try_from(length).unwrap_or_default() / size_of::<u32>();
    Ok(value.get(..words).unwrap_or_default())
}

const WORD: usize = size_of::<usize>();

/// Bytes of a control message that carries a number.
pub(super) const NUMBER_CONTROL_BYTES: usize = (WORD + 12).next_multiple_of(WORD);

/// One control message that carries a number, in kernel layout.
pub(super) fn number_control(level: i32, kind: i32, number: i32) -> [u8; NUMBER_CONTROL_BYTES] {
    let mut bytes = [0; NUMBER_CONTROL_BYTES];
    bytes[..WORD].copy_from_slice(&(WORD + 12).to_ne_bytes());
    bytes[WORD..WORD + 4].copy_from_slice(&level.to_ne_bytes());
    bytes[WORD + 4..WORD + 8].copy_from_slice(&kind.to_ne_bytes());
    bytes[WORD + 8..WORD + 12].copy_from_slice(&number.to_ne_bytes());
    bytes
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn control(level: i32, kind: i32, data: &[u8]) -> Vec<u8> {
        let length = size_of::<usize>() + 8 + data.len();
        let mut bytes = length.to_ne_bytes().to_vec();
        bytes.extend(level.to_ne_bytes());
        bytes.extend(kind.to_ne_bytes());
        bytes.extend(data);
        bytes.resize(length.next_multiple_of(size_of::<usize>()), 0);
        bytes
    }

    fn notes(control: &[u8]) -> Vec<Note> {
        Message { packet: &[], name: &[], control }.notes().collect()
    }

    #[test]
    fn stamp_and_drops_are_read_among_others() {
        let mut stamps = [0; 16];
        stamps[..8].copy_from_slice(&5i64.to_ne_bytes());
        stamps[8..16].copy_from_slice(&9i64.to_ne_bytes());
        let all = [
            control(libc::SOL_SOCKET, libc::SCM_RIGHTS, &[1, 2, 3]),
            control(libc::SOL_SOCKET, libc::SCM_TIMESTAMPNS, &stamps),
            control(libc::SOL_SOCKET, libc::SO_RXQ_OVFL, &3u32.to_ne_bytes()),
        ]
        .concat();
        assert_eq!(notes(&all), [Note::Stamp(Duration::new(5, 9)), Note::Drops(3)]);
    }

    proptest! {
        #[test]
        fn any_control_bytes_are_answered(bytes in proptest::collection::vec(any::<u8>(), 0..CONTROL_BYTES)) {
            let _ = notes(&bytes);
        }

        #[test]
        fn any_length_field_is_answered(length: usize, rest in proptest::collection::vec(any::<u8>(), 0..64)) {
            let mut bytes = length.to_ne_bytes().to_vec();
            bytes.extend(rest);
            let _ = notes(&bytes);
        }
    }
}
