//! The packet socket's frames in memory that the kernel shares with us (`TPACKET_V2`), read without a system call.
//!
//! An arrival is seen three times: by the raw socket, as it came in, and as its reply left. Two of the three come this way
//! at a tenth of what a call a frame costs. The older version of the interface is used since it shows each frame at once,
//! while `TPACKET_V3` shows blocks of them when a timer fires: a round would be closed before the sight of its last reply.
//!
//! Every block of `unsafe` is sound for the reason beside it; all rest on this: the mapping is as long as its frames are and
//! lives as long as the `Ring`, and a frame is the kernel's or ours by its first word, never both's.

#![expect(unsafe_code, reason = "memory that the kernel writes to can be mapped and read in no safe way")]

use super::batch::set_option;
use nix::errno::Errno;
use std::{
    os::fd::{AsRawFd, OwnedFd},
    ptr::{self, NonNull},
    sync::atomic::{AtomicU32, Ordering},
    time::Duration,
};

/// A frame holds its headers (80 bytes) and as much of a packet as the tag of a probe can lie within.
const FRAME_BYTES: usize = 256;
/// Frames that wait at most where arrivals are observed: 80 ms of 50 000 requests a second and their replies.
pub(super) const FRAMES_OF_ALL: usize = 8_192;
/// The same for an agent that runs for ever beside other programs: a mebibyte, 100 ms of 20 000 requests a second. Beyond
/// that its own drops are told.
pub(super) const FRAMES_AT_REST: usize = 4_096;
/// And where only our own probes are: those of one batch and their replies, and a stall.
pub(super) const FRAMES_OF_OURS: usize = 2_048;
const BLOCK_BYTES: usize = 64 << 10;

/// `TPACKET_V2`, `TP_STATUS_KERNEL`, `TP_STATUS_USER` of `linux/if_packet.h`.
const VERSION_2: u32 = 1;
const KERNELS: u32 = 0;
const OURS: u32 = 1;
/// Where `struct tpacket2_hdr` has the length of what was kept and where that begins, and where the address follows.
const KEPT_AT: usize = 8;
const BEGINS_AT: usize = 14;
/// Where it has the seconds since 1970, and the nanoseconds.
const STAMP_AT: usize = 16;
const NAME_AT: usize = 32;
const NAME_BYTES: usize = 20;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    /// A `sockaddr_ll`.
    pub(super) name: &'a [u8],
    /// From the network header on.
    pub(super) packet: &'a [u8],
    /// When the kernel saw it, by the wall clock, from 1970.
    pub(super) stamp: Duration,
}

/// The mapping, and the frame that comes next.
#[derive(Debug)]
pub(super) struct Ring {
    memory: NonNull<u8>,
    frames: usize,
    next: usize,
}

// SAFETY: the mapping belongs to the process, not to a thread, and the ring is its only user.
unsafe impl Send for Ring {}

impl Ring {
    /// Has the kernel put the packets of a packet socket into so many frames instead of its queue; a multiple of a block's.
    ///
    /// # Errors
    /// What the kernel said; the socket works as before then.
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
            // Without its memory the ring would only hide the packets.
            set_option(fd, libc::SOL_PACKET, libc::PACKET_RX_RING, &[0; 16])?;
            return Err(errno);
        }
        NonNull::new(memory.cast()).map(|memory| Self { memory, frames, next: 0 }).ok_or(Errno::ENOMEM)
    }

    /// Gives the next frame to `take`, then back; false when there is none.
    pub(super) fn take(&mut self, take: impl FnOnce(Frame<'_>)) -> bool {
        // SAFETY: `next` is below `frames`, so that the frame lies within the mapping.
        let frame = unsafe { self.memory.add(self.next * FRAME_BYTES) };
        // SAFETY: frames begin at multiples of 256 of a page, so that their first word is aligned; the kernel writes it, we
        // write it, both at once by single stores, which is what an atomic is for.
        let status = unsafe { AtomicU32::from_ptr(frame.as_ptr().cast()) };
        if status.load(Ordering::Acquire) & OURS == 0 {
            return false;
        }
        // SAFETY: the frame is ours until its status is given back below, which is after the last use of this borrow. The
        // status word itself is not among the bytes.
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

/// What is in a frame whose first word is cut off; the kernel is believed as far as the frame goes.
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
