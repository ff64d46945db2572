//! Receive ring of the packet socket (`TPACKET_V2`): frames in memory shared with the kernel, read without a system
//! call.
//!
//! An arrival is seen three times: by the raw socket, as it came in, and as its reply left. The ring delivers two of
//! the three at a tenth of the cost of a call per frame. `TPACKET_V2` is used because it shows each frame at once.
//! `TPACKET_V3` shows blocks of frames when a timer fires: a round would be closed before its last reply is seen.
//!
//! Each `unsafe` block is sound for the reason stated beside it. All rely on this: the mapping is as long as its frames
//! and lives as long as the `Ring`, and a frame's first word says whether it belongs to the kernel or to this process,
//! never to both.

#![expect(unsafe_code, reason = "memory that the kernel writes to can be mapped and read in no safe way")]

use super::batch::set_option;
use nix::errno::Errno;
use std::{
    os::fd::{AsRawFd, OwnedFd},
    ptr::{self, NonNull},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// Bytes of a frame: its headers (80 bytes) and as much of a packet as a probe's tag can lie within.
const FRAME_BYTES: usize = 256;
/// Frames of the ring if arrivals are observed: 80 ms of 50 000 requests a second and their replies.
pub(super) const FRAMES_OF_ALL: usize = 8_192;
/// Frames for an agent that runs permanently beside other programs: 1 MiB, 100 ms of 20 000 requests a second and their
/// replies. Beyond that it reports drops of its own.
pub(super) const FRAMES_AT_REST: usize = 4_096;
/// Frames if only this process's own probes are observed: one batch and its replies, and a stall.
pub(super) const FRAMES_OF_OURS: usize = 2_048;
const BLOCK_BYTES: usize = 64 << 10;

/// `TPACKET_V2`, `TP_STATUS_KERNEL`, `TP_STATUS_USER` of `linux/if_packet.h`.
const VERSION_2: u32 = 1;
const KERNELS: u32 = 0;
const OURS: u32 = 1;
/// Offsets in `struct tpacket2_hdr` of the captured length and of the packet's beginning.
const KEPT_AT: usize = 8;
const BEGINS_AT: usize = 14;
/// Offset of the seconds since 1970; the nanoseconds follow.
const STAMP_AT: usize = 16;
/// Offset and length of the `sockaddr_ll` after that header.
const NAME_AT: usize = 32;
const NAME_BYTES: usize = 20;

/// A received frame.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    /// A `sockaddr_ll`.
    pub(super) name: &'a [u8],
    /// The packet from the network header on.
    pub(super) packet: &'a [u8],
    /// When the kernel saw it, by the wall clock since 1970.
    pub(super) stamp: Duration,
}

/// The mapping, and the index of the next frame to read.
#[derive(Debug)]
pub(super) struct Ring {
    memory: NonNull<u8>,
    frames: usize,
    next: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and the ring is its only user.
unsafe impl Send for Ring {}

impl Ring {
    /// Makes the kernel put the packets of a packet socket into a ring of `frames` frames instead of its queue.
    /// `frames` must fill whole blocks.
    ///
    /// # Errors
    /// The kernel's error; the socket then works as before.
    pub(super) fn map(fd: &OwnedFd, frames: usize) -> Result<Self, Errno> {
        set_option(fd, libc::SOL_PACKET, libc::PACKET_VERSION, &VERSION_2.to_ne_bytes())?;
        // struct tpacket_req: bytes of a block, blocks, bytes of a frame, frames.
        let request = [BLOCK_BYTES, frames * FRAME_BYTES / BLOCK_BYTES, FRAME_BYTES, frames];
        let request = request.map(|number| u32::try_from(number).unwrap_or_default().to_ne_bytes()).concat();
        set_option(fd, libc::SOL_PACKET, libc::PACKET_RX_RING, &request)?;
        // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
        let memory = unsafe {
            libc::mmap(
                ptr::null_mut(),
                frames * FRAME_BYTES,
                libc::PROT_READ | libc::PROT_WRITE,
                libc::MAP_SHARED,
                fd.as_raw_fd(),
                0,
            )
        };
        if memory == libc::MAP_FAILED {
            let errno = Errno::last();
            // Without the mapping, the ring would only hide the packets.
            set_option(fd, libc::SOL_PACKET, libc::PACKET_RX_RING, &[0; 16])?;
            return Err(errno);
        }
        NonNull::new(memory.cast()).map(|memory| Self { memory, frames, next: 0 }).ok_or(Errno::ENOMEM)
    }

    /// Passes the next frame to `take`, then returns it to the kernel; false if there is no frame.
    pub(super) fn take(&mut self, take: impl FnOnce(Frame<'_>)) -> bool {
        // SAFETY: `next` is below `frames`, so that the frame lies within the mapping.
        let frame = unsafe { self.memory.add(self.next * FRAME_BYTES) };
        // SAFETY: frames begin at multiples of 256 bytes from a page, so that their first word is aligned. The kernel
        // and this process both write it, by single stores, which is what an atomic is for.
        let status = unsafe { AtomicU32::from_ptr(frame.as_ptr().cast()) };
        if status.load(Ordering::Acquire) & OURS == 0 {
            return false;
        }
        // SAFETY: the frame belongs to this process until its status is returned below, which is after the last use of
        // this borrow. The status word itself is not among the bytes.
        let bytes = unsafe { std::slice::from_raw_parts(frame.as_ptr().add(4), FRAME_BYTES - 4) };
        if let Some(frame) = parts(bytes) {
            take(frame);
        }
        status.store(KERNELS, Ordering::Release);
        self.next = (self.next + 1) % self.frames;
        true
    }
}

impl Drop for Ring {
    fn drop(&mut self) {
        // SAFETY: the mapping is ours, of this length, and nothing borrows from it any more.
        unsafe { libc::munmap(self.memory.as_ptr().cast(), self.frames * FRAME_BYTES) };
    }
}

/// Parses a frame without its first word. The kernel's lengths are trusted only within the frame.
fn parts(bytes: &[u8]) -> Option<Frame<'_>> {
    let word = |at: usize| Some(u32::from_ne_bytes(*bytes.get(at - 4..)?.first_chunk()?));
    let kept = usize::try_from(word(KEPT_AT)?).ok()?;
    let begins = usize::from(u16::from_ne_bytes(*bytes.get(BEGINS_AT - 4..)?.first_chunk()?)).checked_sub(4)?;
    let end = begins.saturating_add(kept).min(bytes.len());
    Some(Frame {
        name: bytes.get(NAME_AT - 4..)?.get(..NAME_BYTES)?,
        packet: bytes.get(begins..end)?,
        stamp: Duration::from_secs(word(STAMP_AT)?.into()) + Duration::from_nanos(word(STAMP_AT + 4)?.into()),
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_is_read_where_its_header_says() {
        let mut bytes = [0; FRAME_BYTES];
        bytes[8..12].copy_from_slice(&3u32.to_ne_bytes());
        bytes[14..16].copy_from_slice(&80u16.to_ne_bytes());
        bytes[16..20].copy_from_slice(&7u32.to_ne_bytes());
        bytes[20..24].copy_from_slice(&9u32.to_ne_bytes());
        bytes[32] = 17;
        bytes[80..83].copy_from_slice(b"abc");
        let Frame { name, packet, stamp } = parts(&bytes[4..]).unwrap();
        assert_eq!((name[0], name.len(), packet), (17, 20, &b"abc"[..]));
        assert_eq!(stamp, Duration::new(7, 9));
    }

    proptest! {
        #[test]
        fn any_frame_is_answered(bytes in proptest::collection::vec(any::<u8>(), FRAME_BYTES - 4)) {
            let _ = parts(&bytes);
        }
    }
}
