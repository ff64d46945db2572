//! eBPF programs and ring buffers (`bpf(2)`): loads and attaches programs, and reads the records that they write.
//!
//! It does not know what a program does. Each `unsafe` block is sound for the reason stated beside it. Those of the
//! ring rely on this: both mappings have the given lengths, live as long as the `Records`, and have no other reader.
//! The layout is that of `kernel/bpf/ringbuf.c`: a page with the reader's position, a page with the writer's position,
//! and the data mapped twice in a row, so that a record that wraps is contiguous.

#![expect(unsafe_code, reason = "no safe wrapper offers bpf(2) without a compiler for its programs")]

use super::batch::set_option;
use nix::{
    errno::Errno,
    unistd::{SysconfVar, sysconf},
};
use std::{
    mem::size_of_val,
    os::fd::{AsRawFd, FromRawFd, OwnedFd},
    ptr::{self, NonNull},
    sync::atomic::{AtomicU32, AtomicU64, Ordering, fence},
};

/// Commands and types of `linux/bpf.h`.
const MAP_CREATE: libc::c_long = 0;
const PROGRAM_LOAD: libc::c_long = 5;
const MAP_TYPE_RINGBUF: u32 = 27;
const PROGRAM_TYPE_SOCKET_FILTER: u32 = 1;
/// Flags in a record's first word: still being written, discarded. The other bits are the record's length.
const BUSY: u32 = 1 << 31;
const DISCARDED: u32 = 1 << 30;
/// Bytes before a record's data.
const HEADER_BYTES: u64 = 8;

/// One eBPF instruction: opcode, registers, jump offset, immediate number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(C)]
pub(super) struct Instruction {
    pub(super) code: u8,
    /// The destination register in the low half, the source register in the high half.
    pub(super) registers: u8,
    pub(super) offset: i16,
    pub(super) number: i32,
}

/// Loads a program and attaches it to a socket. The kernel verifies the program first.
///
/// # Errors
/// The kernel's error; most often the capability is missing. `EOPNOTSUPP` on big-endian hosts.
pub(super) fn attach(socket: &OwnedFd, program: &[Instruction]) -> Result<(), Errno> {
    if cfg!(target_endian = "big") {
        // Big-endian hosts swap the halves of `registers`.
        return Err(Errno::EOPNOTSUPP);
    }
    let count = u64::try_from(program.len()).map_err(|_| Errno::E2BIG)?;
    let license = c"MIT";
    let mut attributes = [0u64; 16];
    attributes[0] = u64::from(PROGRAM_TYPE_SOCKET_FILTER) | count << 32;
    attributes[1] = program.as_ptr().expose_provenance() as u64;
    attributes[2] = license.as_ptr().expose_provenance() as u64;
    let program = bpf(PROGRAM_LOAD, &attributes)?;
    set_option(socket, libc::SOL_SOCKET, libc::SO_ATTACH_BPF, &program.as_raw_fd().to_ne_bytes())
}

fn bpf(command: libc::c_long, attributes: &[u64; 16]) -> Result<OwnedFd, Errno> {
    // SAFETY: the kernel reads as many bytes of `attributes` as the call states, and the memory at the addresses in it,
    // which the callers keep alive over this call. It writes nothing, since no log is requested.
    let fd = unsafe { libc::syscall(libc::SYS_bpf, command, attributes.as_ptr(), size_of_val(attributes)) };
    let fd = i32::try_from(Errno::result(fd)?).map_err(|_| Errno::EBADF)?;
    // SAFETY: both commands return a new descriptor, which nothing else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// A ring buffer that a program writes records to.
#[derive(Debug)]
pub(super) struct Records {
    pub(super) fd: OwnedFd,
    bytes: u64,
    page: usize,
    /// The page with the reader's position.
    ours: NonNull<u8>,
    /// The page with the writer's position, followed by the data.
    theirs: NonNull<u8>,
    read: u64,
}

// SAFETY: the mappings belong to the process, not to a thread, and the ring is their only user.
unsafe impl Send for Records {}

impl Records {
    /// Creates a ring of `bytes` bytes, which must be a power of two and a multiple of the page size.
    ///
    /// # Errors
    /// The kernel's error if the ring cannot be created or mapped.
    pub(super) fn new(bytes: u32) -> Result<Self, Errno> {
        let page =
            sysconf(SysconfVar::PAGE_SIZE)?.and_then(|bytes| usize::try_from(bytes).ok()).ok_or(Errno::ENOSYS)?;
        let mut attributes = [0u64; 16];
        attributes[0] = u64::from(MAP_TYPE_RINGBUF);
        attributes[1] = u64::from(bytes) << 32;
        let fd = bpf(MAP_CREATE, &attributes)?;
        let data = usize::try_from(bytes).map_err(|_| Errno::EFBIG)?;
        let ours = map(&fd, page, libc::PROT_READ | libc::PROT_WRITE, 0)?;
        let theirs = map(&fd, page + 2 * data, libc::PROT_READ, page);
        let theirs = theirs.inspect_err(|_| unmap(ours, page))?;
        Ok(Self { fd, bytes: bytes.into(), page, ours, theirs, read: 0 })
    }

    /// The writer's current position.
    pub(super) fn written(&self) -> u64 {
        acquire(self.theirs().load(Ordering::Relaxed))
    }

    /// Passes the records before position `until` to `take`, `max` of them at most. Returns how many, and whether there
    /// are more by now.
    pub(super) fn take(&mut self, until: u64, max: usize, mut take: impl FnMut(&[u8])) -> (usize, bool) {
        let mut taken = 0;
        while taken < max && self.read != until {
            let Some((data, next)) = self.record() else { break };
            if let Some(data) = data {
                take(data);
                taken += 1;
            }
            self.read = next;
        }
        self.ours().store(self.read, Ordering::Release);
        (taken, self.read != self.written())
    }

    fn ours(&self) -> &AtomicU64 {
        // SAFETY: the position is a word at the beginning of a page that lives as long as `self`. Only this process
        // stores to it.
        unsafe { AtomicU64::from_ptr(self.ours.as_ptr().cast()) }
    }

    fn theirs(&self) -> &AtomicU64 {
        // SAFETY: as above. Only the kernel writes it, by single stores, and this process only loads: the page is
        // read-only here.
        unsafe { AtomicU64::from_ptr(self.theirs.as_ptr().cast()) }
    }

    /// The next record, or `None` in its place if it was discarded, and the position of the record after it. `None`
    /// while the record is being written. Call this only if there is a record.
    fn record(&self) -> Option<(Option<&[u8]>, u64)> {
        let at = self.page + usize::try_from(self.read & (self.bytes - 1)).ok()?;
        // SAFETY: positions are multiples of eight below the length of the data, so that the word lies within the
        // mapping and is aligned; the kernel writes it by single stores.
        let word = unsafe { AtomicU32::from_ptr(self.theirs.add(at).as_ptr().cast()) };
        let word = acquire(word.load(Ordering::Relaxed));
        if word & BUSY != 0 {
            return None;
        }
        let length = u64::from(word & !DISCARDED);
        let next = self.read + (HEADER_BYTES + length).next_multiple_of(8);
        let length = usize::try_from(length.min(self.bytes - HEADER_BYTES)).ok()?;
        let begin = at + usize::try_from(HEADER_BYTES).ok()?;
        // SAFETY: a record is no longer than the data, which is mapped twice in a row, so that the record lies within
        // the mapping. The kernel does not write to it until the reader's position, which is stored after this borrow
        // ends, has passed it.
        let data = unsafe { std::slice::from_raw_parts(self.theirs.add(begin).as_ptr(), length) };
        Some(((word & DISCARDED == 0).then_some(data), next))
    }
}

impl Drop for Records {
    fn drop(&mut self) {
        unmap(self.ours, self.page);
        unmap(self.theirs, self.page + 2 * usize::try_from(self.bytes).unwrap_or_default());
    }
}

/// Orders what was read after `value`. On memory that is mapped read-only, Rust guarantees relaxed loads only (module
/// documentation of `std::sync::atomic`), so a fence does what an acquiring load would.
fn acquire<T>(value: T) -> T {
    fence(Ordering::Acquire);
    value
}

fn map(fd: &OwnedFd, bytes: usize, protection: i32, offset: usize) -> Result<NonNull<u8>, Errno> {
    let offset = libc::off_t::try_from(offset).map_err(|_| Errno::EINVAL)?;
    // SAFETY: a new mapping at an address of the kernel's choice touches no memory of ours.
    let memory = unsafe { libc::mmap(ptr::null_mut(), bytes, protection, libc::MAP_SHARED, fd.as_raw_fd(), offset) };
    if memory == libc::MAP_FAILED {
        return Err(Errno::last());
    }
    NonNull::new(memory.cast()).ok_or(Errno::ENOMEM)
}

fn unmap(memory: NonNull<u8>, bytes: usize) {
    // SAFETY: called once for a mapping of this length, from which nothing borrows any more.
    unsafe { libc::munmap(memory.as_ptr().cast(), bytes) };
}
