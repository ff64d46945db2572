//! One direction of a link as a state machine: packets go in, packets come out when they are due, and everything else
//! is counted exactly.
//!
//! It does no I/O: the time is passed in as nanoseconds, and random decisions come from a seed. The steps are, in this
//! order: whether the link carries at all, loss, packet size, bandwidth with a bounded queue, delay. Jitter alone does
//! not reorder; reordering has its own share.

use crate::desired::Shape;
use fastrand::Rng;
use std::{cmp::Reverse, collections::BinaryHeap};

/// Maximum backlog of the queue, in nanoseconds of transmission time. Further packets are dropped, as by a policer or a
/// short buffer.
const BACKLOG_NS_MAX: u64 = 200_000_000;
/// Maximum time that a packet waits to be overtaken, in nanoseconds; then it is sent anyway.
const OVERTAKE_NS_MAX: u64 = 250_000_000;
/// Maximum number of packets in a lane: bounds the memory under a flood with a long delay.
const PACKETS_MAX: usize = 20_000;
const DEFAULT_MTU: usize = 1500;

/// Counters of one direction of a link. The unit is packets, except for the fields in bytes.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct LinkCounters {
    /// Packets that came in.
    pub seen: u64,
    /// Packets that went out; each fragment and each duplicate counts.
    pub sent: u64,
    /// Packets lost at random.
    pub lost: u64,
    /// Packets dropped because they were too large and had the don't-fragment bit.
    pub oversize: u64,
    /// Packets dropped because they exceeded the bandwidth and the queue was full, or the lane held too many packets.
    pub overflow: u64,
    /// Those of `overflow` that exceeded the bandwidth granted by the cloud and not a limit of the fabric.
    pub over_grant: u64,
    /// Bytes that came in while the link carried, without those that exceeded the grant.
    pub bytes_in: u64,
    /// Bytes that went out.
    pub bytes_out: u64,
    /// Packets dropped because the link is down or does not carry.
    pub refused: u64,
    /// Duplicates created.
    pub duplicated: u64,
    /// Packets held back to be overtaken.
    pub reordered: u64,
}

/// Which limit a packet exceeded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Full {
    Grant,
    Fabric,
}

/// One direction of a link.
#[derive(Debug)]
pub(super) struct Lane {
    shape: Shape,
    carries: bool,
    granted_mbit: Option<u64>,
    random: Rng,
    counters: LinkCounters,
    queue: BinaryHeap<Reverse<(u64, u64, Vec<u8>)>>,
    held: Vec<(u64, Vec<u8>)>,
    order: u64,
    free_at: u64,
    last_release: u64,
}

impl Lane {
    /// A lane that passes packets unchanged; `seed` determines its random decisions.
    pub(super) fn new(seed: u64) -> Self {
        Self {
            shape: Shape::default(),
            carries: true,
            granted_mbit: None,
            random: Rng::with_seed(seed),
            counters: LinkCounters::default(),
            queue: BinaryHeap::new(),
            held: Vec::new(),
            order: 0,
            free_at: 0,
            last_release: 0,
        }
    }

    /// Sets what the fabric does to packets from now on.
    pub(super) fn set_shape(&mut self, shape: Shape) {
        self.shape = shape;
    }

    /// Sets what the cloud grants from now on.
    pub(super) fn set_grant(&mut self, carries: bool, granted_mbit: Option<u64>) {
        self.carries = carries;
        self.granted_mbit = granted_mbit;
    }

    /// The counters so far.
    pub(super) fn counters(&self) -> LinkCounters {
        self.counters
    }

    /// Takes in an IPv4 packet.
    pub(super) fn handle(&mut self, now: u64, packet: &[u8]) {
        self.counters.seen += 1;
        if !self.carries {
            self.counters.refused += 1;
            return;
        }
        self.counters.bytes_in += packet.len() as u64;
        if self.shape.down {
            self.counters.refused += 1;
            return;
        }
        if self.chance(self.shape.loss) {
            self.counters.lost += 1;
            return;
        }
        let mtu = self.shape.mtu.map_or(DEFAULT_MTU, |mtu| mtu as usize);
        if packet.len() <= mtu {
            self.enqueue(now, packet.to_vec());
            return;
        }
        match fragments(packet, mtu) {
            Some(pieces) => pieces.into_iter().for_each(|piece| self.enqueue(now, piece)),
            None => self.counters.oversize += 1,
        }
    }

    fn enqueue(&mut self, now: u64, packet: Vec<u8>) {
        let departure = match self.departure(now, packet.len()) {
            Ok(departure) => departure,
            Err(full) => {
                self.counters.overflow += 1;
                if full == Full::Grant {
                    self.counters.over_grant += 1;
                    // Each fragment has its own header, so the fragments together can be larger than the packet.
                    self.counters.bytes_in = self.counters.bytes_in.saturating_sub(packet.len() as u64);
                }
                return;
            }
        };
        let extra_ms = self.shape.delay_ms.max(0.0) + self.shape.jitter_ms.max(0.0) * self.random.f64();
        let release = (departure + nanoseconds(extra_ms)).max(self.last_release);
        if self.chance(self.shape.reorder) {
            self.counters.reordered += 1;
            self.held.push((release + OVERTAKE_NS_MAX, packet));
            return;
        }
        self.last_release = release;
        let copy = self.chance(self.shape.duplicate).then(|| packet.clone());
        self.push(release, packet);
        if let Some(copy) = copy {
            self.counters.duplicated += 1;
            self.push(release, copy);
        }
        for (_, overtaken) in std::mem::take(&mut self.held) {
            self.push(release, overtaken);
        }
    }

    fn departure(&mut self, now: u64, bytes: usize) -> Result<u64, Full> {
        if self.queue.len() + self.held.len() >= PACKETS_MAX {
            return Err(Full::Fabric);
        }
        #[expect(clippy::cast_precision_loss, reason = "a bandwidth in Mbit/s is far below 2^52")]
        let granted = self.granted_mbit.map(|mbit| mbit as f64);
        let (mbit, whose) = match (granted, self.shape.rate_mbit) {
            (Some(granted), shaped) if shaped.is_none_or(|shaped| granted <= shaped) => (granted, Full::Grant),
            (_, Some(shaped)) => (shaped, Full::Fabric),
            _ => return Ok(now),
        };
        let start = self.free_at.max(now);
        if mbit <= 0.0 || start - now > BACKLOG_NS_MAX {
            return Err(whose);
        }
        #[expect(clippy::cast_precision_loss, reason = "a packet has at most 65535 bytes")]
        let transmission = nanoseconds(bytes as f64 * 8.0 / (mbit * 1000.0));
        self.free_at = start + transmission;
        Ok(self.free_at)
    }

    fn push(&mut self, release: u64, packet: Vec<u8>) {
        self.order += 1;
        self.queue.push(Reverse((release, self.order, packet)));
    }

    /// When the next packet is due; `None` if the lane is empty.
    pub(super) fn next_deadline(&self) -> Option<u64> {
        let queued = self.queue.peek().map(|Reverse((at, ..))| *at);
        self.held.iter().map(|(at, _)| *at).chain(queued).min()
    }

    /// The next packet that is due at `now`.
    pub(super) fn poll(&mut self, now: u64) -> Option<Vec<u8>> {
        let packet = if let Some(at) = self.held.iter().position(|(at, _)| *at <= now) {
            self.held.remove(at).1
        } else {
            if self.queue.peek().is_none_or(|Reverse((at, ..))| *at > now) {
                return None;
            }
            let Reverse((_, _, packet)) = self.queue.pop()?;
            packet
        };
        self.counters.sent += 1;
        self.counters.bytes_out += packet.len() as u64;
        Some(packet)
    }

    fn chance(&mut self, share: f64) -> bool {
        share > 0.0 && self.random.f64() < share
    }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "delays are non-negative and far below 2^64 ns"
)]
fn nanoseconds(ms: f64) -> u64 {
    (ms * 1e6) as u64
}

/// Fragments an IPv4 packet to an MTU; `None` if it must not be fragmented or is malformed.
fn fragments(packet: &[u8], mtu: usize) -> Option<Vec<Vec<u8>>> {
    let header_length = usize::from(packet.first()? & 0x0f) * 4;
    let flags = u16::from_be_bytes([*packet.get(6)?, *packet.get(7)?]);
    let room = mtu.checked_sub(header_length)? & !7;
    if flags & 0x4000 != 0 || room == 0 || header_length < 20 {
        return None;
    }
    let (header, payload) = packet.split_at_checked(header_length)?;
    let pieces = payload.chunks(room);
    let last = pieces.len().checked_sub(1)?;
    let mut cut = Vec::with_capacity(pieces.len());
    for (at, piece) in pieces.enumerate() {
        let offset = (flags & 0x1fff) + u16::try_from(at * room / 8).ok()?;
        let more = if at < last { 0x2000 } else { flags & 0x2000 };
        let mut whole = header.to_vec();
        whole.extend_from_slice(piece);
        let length = u16::try_from(whole.len()).ok()?;
        whole[2..4].copy_from_slice(&length.to_be_bytes());
        whole[6..8].copy_from_slice(&(more | offset).to_be_bytes());
        whole[10..12].fill(0);
        let sum = checksum(&whole[..header_length]);
        whole[10..12].copy_from_slice(&sum.to_be_bytes());
        cut.push(whole);
    }
    Some(cut)
}

/// The Internet checksum; an odd number of bytes is padded with a zero.
pub fn checksum(bytes: &[u8]) -> u16 {
    let mut sum: u32 =
        bytes.chunks(2).map(|pair| u32::from(pair[0]) << 8 | pair.get(1).map_or(0, |low| u32::from(*low))).sum();
    while sum > 0xffff {
        sum = (sum & 0xffff) + (sum >> 16);
    }
    !u16::try_from(sum).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;

    const MS: u64 = 1_000_000;

    fn packet(length: usize, df: bool) -> Vec<u8> {
        let mut packet = vec![0; length];
        packet[0] = 0x45;
        packet[2..4].copy_from_slice(&u16::try_from(length).unwrap().to_be_bytes());
        packet[6] = if df { 0x40 } else { 0 };
        packet
    }

    fn lane(shape: Shape) -> Lane {
        let mut lane = Lane::new(7);
        lane.set_shape(shape);
        lane
    }

    fn drain(lane: &mut Lane, now: u64) -> Vec<Vec<u8>> {
        std::iter::from_fn(|| lane.poll(now)).collect()
    }

    #[test]
    fn a_plain_lane_passes_everything_at_once() {
        let mut lane = lane(Shape::default());
        lane.handle(5, &packet(100, true));
        assert_eq!(drain(&mut lane, 5).len(), 1);
        let expected = LinkCounters { seen: 1, sent: 1, bytes_in: 100, bytes_out: 100, ..LinkCounters::default() };
        assert_eq!(lane.counters(), expected);
    }

    #[test]
    fn loss_comes_near_its_share_and_is_counted_exactly() {
        let mut lane = lane(Shape { loss: 0.05, ..Shape::default() });
        (0..20_000).for_each(|_| {
            lane.handle(0, &packet(60, true));
            drain(&mut lane, 0);
        });
        let counters = lane.counters();
        assert_eq!(counters.sent + counters.lost, 20_000);
        assert!((900..1100).contains(&counters.lost), "seed 7 lost {}", counters.lost);
    }

    #[test]
    fn delay_holds_and_jitter_keeps_the_order() {
        let mut lane = lane(Shape { delay_ms: 10.0, jitter_ms: 5.0, ..Shape::default() });
        for at in 0..50_u8 {
            let mut one = packet(60, true);
            one[30] = at;
            lane.handle(u64::from(at) * MS / 10, &one);
        }
        assert!(lane.poll(9 * MS).is_none());
        let order: Vec<u8> = drain(&mut lane, 100 * MS).iter().map(|packet| packet[30]).collect();
        assert_eq!(order, (0..50).collect::<Vec<_>>());
    }

    #[test]
    fn bandwidth_spaces_packets_and_drops_beyond_the_queue() {
        let mut lane = lane(Shape { rate_mbit: Some(1.0), ..Shape::default() });
        (0..100).for_each(|_| lane.handle(0, &packet(1250, true))); // 10 ms each
        assert_eq!(drain(&mut lane, 10 * MS).len(), 1);
        let counters = lane.counters();
        assert_eq!(counters.seen, 100);
        assert_eq!(counters.overflow, 79); // 21 fit: the queue is checked before a packet joins it
    }

    #[test]
    fn drops_are_the_grants_own_only_where_the_grant_is_the_narrower() {
        let saturated = |granted: Option<u64>, shaped: Option<f64>| {
            let mut lane = lane(Shape { rate_mbit: shaped, ..Shape::default() });
            lane.set_grant(true, granted);
            (0..100).for_each(|_| lane.handle(0, &packet(1250, true)));
            drain(&mut lane, 1000 * MS);
            let counters = lane.counters();
            (counters.overflow, counters.over_grant, counters.bytes_in, counters.bytes_out)
        };
        assert_eq!(saturated(Some(1), None), (79, 79, 21 * 1250, 21 * 1250));
        assert_eq!(saturated(Some(2), Some(1.0)), (79, 0, 100 * 1250, 21 * 1250));
        assert_eq!(saturated(Some(1), Some(2.0)), (79, 79, 21 * 1250, 21 * 1250));
        assert_eq!(saturated(None, None), (0, 0, 100 * 1250, 100 * 1250));
    }

    #[test]
    fn what_the_fabric_loses_has_left_the_near_side_all_the_same() {
        let mut lossy = lane(Shape { loss: 1.0, ..Shape::default() });
        lossy.handle(0, &packet(100, true));
        assert_eq!((lossy.counters().bytes_in, lossy.counters().bytes_out), (100, 0));
        let mut frozen = lane(Shape::default());
        frozen.set_grant(false, None);
        frozen.handle(0, &packet(100, true));
        assert_eq!(frozen.counters().bytes_in, 0);
    }

    #[test]
    fn larger_packets_vanish_with_df_and_are_cut_without() {
        let mut lane = lane(Shape { mtu: Some(1400), ..Shape::default() });
        lane.handle(0, &packet(1401, true));
        assert_eq!(lane.counters().oversize, 1);
        lane.handle(0, &packet(1500, false));
        let pieces = drain(&mut lane, 0);
        assert_eq!(pieces.iter().map(Vec::len).collect::<Vec<_>>(), [1396, 124]);
        assert_eq!(pieces[0][6] & 0x20, 0x20);
        assert_eq!(u16::from_be_bytes([pieces[1][6], pieces[1][7]]), 1376 / 8);
        assert!(pieces.iter().all(|piece| checksum(&piece[..20]) == 0));
    }

    #[test]
    fn reordered_packets_are_overtaken_and_duplicates_come_twice() {
        let mut all = lane(Shape { reorder: 1.0, ..Shape::default() });
        all.handle(0, &packet(60, true));
        assert!(all.poll(0).is_none());
        assert_eq!(all.next_deadline(), Some(OVERTAKE_NS_MAX));
        all.set_shape(Shape { duplicate: 1.0, ..Shape::default() });
        all.handle(MS, &packet(61, true));
        let lengths: Vec<usize> = drain(&mut all, MS).iter().map(Vec::len).collect();
        assert_eq!(lengths, [61, 61, 60]);
    }

    #[test]
    fn nothing_passes_a_link_that_is_down_or_frozen() {
        let mut down = lane(Shape { down: true, ..Shape::default() });
        down.handle(0, &packet(60, true));
        let mut frozen = lane(Shape::default());
        frozen.set_grant(false, None);
        frozen.handle(0, &packet(60, true));
        assert_eq!((down.counters().refused, frozen.counters().refused), (1, 1));
    }
}
