//! The prober under a virtual clock, with a seeded network that loses, delays, duplicates and reorders. Every failure
//! message contains the seed; each run is bounded.

#![allow(clippy::unwrap_used, clippy::similar_names, reason = "a test fails by panicking")]

use pingtong_evidence::{AgentId, IcmpError, LinkId, PairId, ProbeRound, RoundPurpose, Timestamp};
use pingtong_probe::{
    BucketKey, EchoKind, Heard, Input, NonceKey, Now, Output, Prober, ProberSettings, RoundOrder, SendProbe, Unsent,
    WhyUnsent,
};
use std::{
    collections::BTreeMap,
    net::{IpAddr, Ipv4Addr},
    time::Duration,
};

const HERE: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 1, 10));
const PEER: IpAddr = IpAddr::V4(Ipv4Addr::new(172, 16, 1, 10));
const ROUTER: IpAddr = IpAddr::V4(Ipv4Addr::new(192, 168, 255, 1));
const STEPS_MAX: usize = 1_000_000;

fn ms(millis: u64) -> Duration {
    Duration::from_millis(millis)
}

fn key() -> NonceKey {
    NonceKey::from_bytes([3; 32])
}

fn prober(rate_pps_max: u32, window: usize) -> Prober {
    Prober::new(ProberSettings {
        agent: AgentId::parse("A.ecs1").unwrap(),
        key: key(),
        rate_pps_max,
        window,
        seed: 1,
        started: now(Duration::ZERO),
        wire: Ok(()),
    })
}

fn now(mono: Duration) -> Now {
    Now { mono, wall: Timestamp::from_millis(1_700_000_000_000).plus(mono) }
}

fn order(probes: u32, spacing_ms: u64) -> RoundOrder {
    RoundOrder {
        pair: PairId::parse("p").unwrap(),
        target: PEER,
        probes,
        spacing: ms(spacing_ms),
        timeout: ms(1_000),
        payload_bytes: 56,
        purpose: RoundPurpose::Connectivity,
        bucket: None,
        request: None,
    }
}

/// What the network does with a probe.
enum Fate {
    /// A reply after each of these delays.
    Replies(Vec<Duration>),
    /// An ICMP error from the router.
    Error(u8, u8),
    /// The sender's kernel refuses the probe.
    Refused(i32),
    /// A reply whose payload was changed.
    Forged,
}

/// Runs rounds to their end; returns the closed rounds and the send time of each probe.
fn drive(prober: &mut Prober, mut fate: impl FnMut(&SendProbe) -> Fate) -> (Vec<ProbeRound>, Vec<Duration>) {
    enum Back {
        Echo(SendProbe, Vec<u8>),
        Error(SendProbe, u8, u8),
    }
    let (mut mono, mut rounds, mut sent) = (ms(0), vec![], vec![]);
    let mut back: BTreeMap<(Duration, usize), Back> = BTreeMap::new();
    for step in 0..STEPS_MAX {
        while let Some(output) = prober.poll(now(mono)) {
            let probe = match output {
                Output::Closed(round) => {
                    rounds.push(round);
                    continue;
                }
                Output::Send(probe) => probe,
            };
            let (round, sequence) = (probe.round, probe.sequence);
            match fate(&probe) {
                Fate::Refused(errno) => {
                    prober.handle(now(mono), Input::Unsent(Unsent { round, sequence, why: WhyUnsent::Refused(errno) }));
                    continue;
                }
                Fate::Replies(delays) => {
                    for (n, delay) in delays.into_iter().enumerate() {
                        let payload = probe.payload.clone();
                        back.insert((mono + delay, sent.len() * 8 + n), Back::Echo(probe.clone(), payload));
                    }
                }
                Fate::Error(icmp_type, code) => {
                    back.insert((mono + ms(1), sent.len() * 8), Back::Error(probe, icmp_type, code));
                }
                Fate::Forged => {
                    let mut payload = probe.payload.clone();
                    payload[30] ^= 1;
                    back.insert((mono + ms(1), sent.len() * 8), Back::Echo(probe, payload));
                }
            }
            sent.push(mono);
            prober.handle(now(mono), Input::Sent { round, sequence, at: mono });
        }
        let coming = back.keys().next().map(|(at, _)| *at);
        let Some(next) = [coming, prober.next_deadline()].into_iter().flatten().min() else {
            return (rounds, sent);
        };
        mono = mono.max(next);
        while let Some(entry) = back.first_entry().filter(|entry| entry.key().0 <= mono) {
            let ((at, _), packet) = entry.remove_entry();
            match packet {
                Back::Echo(probe, payload) => {
                    let packet = Heard::Echo {
                        kind: EchoKind::Reply,
                        from: probe.target,
                        to: HERE,
                        identifier: probe.identifier,
                        sequence: probe.wire_sequence,
                        payload: &payload,
                    };
                    prober.handle(now(mono), Input::Heard { packet, at, stamped: true });
                }
                Back::Error(probe, icmp_type, code) => {
                    let packet = Heard::Error {
                        from: ROUTER,
                        icmp_type,
                        code,
                        quoted_to: probe.target,
                        identifier: probe.identifier,
                        sequence: probe.wire_sequence,
                        quoted_payload: &[],
                    };
                    prober.handle(now(mono), Input::Heard { packet, at, stamped: true });
                }
            }
        }
        assert!(step + 1 < STEPS_MAX, "the machine does not come to rest");
    }
    unreachable!()
}

fn one(fate: impl FnMut(&SendProbe) -> Fate, probes: u32) -> ProbeRound {
    let mut prober = prober(100_000, 1_000);
    prober.handle(now(ms(0)), Input::Start(order(probes, 10)));
    let (mut rounds, _) = drive(&mut prober, fate);
    assert_eq!(rounds.len(), 1);
    rounds.remove(0)
}

/// Runs one probe that is sent at time zero, whose departure the kernel stamps at `left` and whose reply arrives at
/// `back`.
fn round_trip(left: Option<Duration>, back: Duration) -> ProbeRound {
    let mut prober = prober(100_000, 1_000);
    prober.handle(now(ms(0)), Input::Start(order(1, 10)));
    let Some(Output::Send(probe)) = prober.poll(now(ms(0))) else { unreachable!("nothing to send") };
    let (round, sequence) = (probe.round, probe.sequence);
    prober.handle(now(ms(0)), Input::Sent { round, sequence, at: ms(0) });
    let echo = |kind, from, to| Heard::Echo {
        kind,
        from,
        to,
        identifier: probe.identifier,
        sequence: probe.wire_sequence,
        payload: &probe.payload,
    };
    for at in left.into_iter().flat_map(|left| [left, left + ms(1)]) {
        let packet = echo(EchoKind::Request, HERE, PEER);
        prober.handle(now(ms(0)), Input::OnWire { packet, outgoing: true, at: Some(at) });
    }
    let packet = echo(EchoKind::Reply, PEER, HERE);
    prober.handle(now(back), Input::Heard { packet, at: back, stamped: true });
    let Some(Output::Closed(round)) = prober.poll(now(back)) else { unreachable!("the round is not over") };
    round
}

#[test]
fn the_kernels_word_of_a_departure_goes_before_ours() {
    let rtt = round_trip(Some(ms(3)), ms(28)).rtt.unwrap();
    assert_eq!((rtt.min, rtt.kernel_timestamps, rtt.kernel_departures), (ms(25).into(), true, true));
    let rtt = round_trip(None, ms(28)).rtt.unwrap();
    assert_eq!((rtt.min, rtt.kernel_timestamps, rtt.kernel_departures), (ms(28).into(), true, false));
    let late = round_trip(Some(ms(30)), ms(1_020));
    assert_eq!((late.replied.len(), late.late.len()), (1, 0), "it had been on its way for less than its time-out");
}

#[test]
fn a_healthy_round_closes_with_its_last_reply() {
    let round = one(|_| Fate::Replies(vec![ms(28)]), 10);
    assert_eq!((round.sent.len(), round.replied.len(), round.planned), (10, 10, 10));
    let rtt = round.rtt.unwrap();
    assert_eq!((rtt.min, rtt.max, rtt.kernel_timestamps), (ms(28).into(), ms(28).into(), true));
    assert_eq!(round.ended_at.since(round.started_at), ms(90 + 28));
}

#[test]
fn silence_closes_after_the_last_probes_time_out() {
    let round = one(|_| Fate::Replies(vec![]), 10);
    assert_eq!((round.sent.len(), round.replied.len()), (10, 0));
    assert_eq!(round.rtt, None);
    assert_eq!(round.ended_at.since(round.started_at), ms(90 + 1_000));
}

#[test]
fn duplicates_late_and_reordered_replies_are_counted_apart() {
    let round = one(
        |probe| match probe.sequence {
            0 => Fate::Replies(vec![ms(25)]), // after the replies to 1 and 2: reordered
            1 => Fate::Replies(vec![ms(1), ms(2), ms(300)]), // two duplicates
            3 => Fate::Replies(vec![ms(1_001)]), // late
            4 => Fate::Replies(vec![ms(1_000)]), // just in time
            _ => Fate::Replies(vec![ms(1)]),
        },
        40,
    );
    assert_eq!((round.duplicates, round.reordered), (2, 3), "0, the late one and the slow one come after later probes");
    assert!(round.late.contains(3) && round.late.len() == 1);
    assert_eq!(round.replied.len(), 39);
}

#[test]
fn errors_of_third_parties_describe_the_series_and_end_nothing() {
    let round = one(|probe| if probe.sequence < 3 { Fate::Error(5, 1) } else { Fate::Error(3, 13) }, 5);
    let error = |icmp_type, code, count| IcmpError { from: ROUTER, icmp_type, code, count };
    assert_eq!(round.icmp_errors, [error(3, 13, 2), error(5, 1, 3)]);
    assert_eq!((round.sent.len(), round.replied.len()), (5, 0));
}

#[test]
fn a_reply_without_our_tag_is_a_strangers() {
    let round = one(|_| Fate::Forged, 4);
    assert_eq!(round.replied.len(), 0);
    assert_eq!((round.strangers[0].from, round.strangers[0].count), (PEER, 4));
}

#[test]
fn refusals_of_the_own_kernel_are_told_by_errno_and_are_not_sent() {
    let round = one(|probe| if probe.sequence % 2 == 0 { Fate::Refused(101) } else { Fate::Refused(1) }, 6);
    assert!(round.sent.is_empty());
    let shown: Vec<(i32, u64)> = round.send_errors.iter().map(|each| (each.errno, each.probes.len())).collect();
    assert_eq!(shown, [(1, 3), (101, 3)]);
    assert_eq!(round.ended_at.since(round.started_at), ms(50), "nothing to wait for");
}

#[test]
fn sequence_numbers_beyond_sixteen_bits_stay_apart() {
    let mut prober = prober(1_000_000, 1_000);
    prober.handle(now(ms(0)), Input::Start(RoundOrder { spacing: Duration::from_micros(10), ..order(70_000, 0) }));
    let (rounds, _) = drive(&mut prober, |_| Fate::Replies(vec![Duration::from_micros(5)]));
    assert_eq!((rounds[0].replied.len(), rounds[0].duplicates), (70_000, 0));
}

#[test]
fn identifiers_differ_between_rounds_and_round_numbers_grow() {
    let mut prober = prober(100_000, 1_000);
    for _ in 0..50 {
        prober.handle(now(ms(0)), Input::Start(order(1, 1)));
    }
    let mut seen = BTreeMap::new();
    let (rounds, _) = drive(&mut prober, |probe| {
        assert!(seen.insert(probe.identifier, probe.round).is_none(), "identifier used twice at a time");
        Fate::Replies(vec![ms(1)])
    });
    let numbers: Vec<u64> = rounds.iter().map(|round| round.key.round.bits()).collect();
    assert_eq!(numbers.len(), 50);
    assert_eq!(numbers[0] >> 20, 1_700_000_000_000);
}

#[test]
fn the_rate_cap_holds_over_every_tenth_of_a_second() {
    let mut prober = prober(1_000, 10_000);
    for target in 1..=20u8 {
        let target = IpAddr::from([10, 0, 0, target]);
        prober.handle(now(ms(0)), Input::Start(RoundOrder { target, timeout: ms(5_000), ..order(50, 1) }));
    }
    let (_, sent) = drive(&mut prober, |_| Fate::Replies(vec![ms(1)]));
    assert_eq!(sent.len(), 1_000);
    for (n, at) in sent.iter().enumerate() {
        let within = sent[n..].iter().filter(|each| **each < *at + ms(100)).count();
        assert!(within <= 111, "{within} probes within 100 ms from {at:?}");
    }
}

#[test]
fn what_cannot_be_sent_within_its_time_out_is_counted_and_never_called_lost() {
    let mut prober = prober(100, 10_000);
    prober.handle(now(ms(0)), Input::Start(order(1_000, 1)));
    let (rounds, sent) = drive(&mut prober, |_| Fate::Replies(vec![ms(1)]));
    assert_eq!(rounds[0].sent.len(), sent.len() as u64);
    assert_eq!(rounds[0].replied, rounds[0].sent);
    assert_eq!(prober.counters().probes_not_sent, 1_000 - sent.len() as u64);
    assert!(prober.counters().probes_not_sent > 0);
}

#[test]
fn the_window_bounds_what_is_on_its_way() {
    let mut prober = prober(1_000_000, 16);
    prober.handle(now(ms(0)), Input::Start(order(64, 0)));
    let (rounds, sent) = drive(&mut prober, |_| Fate::Replies(vec![ms(5)]));
    assert_eq!(rounds[0].replied.len(), 64);
    for at in &sent {
        let open = sent.iter().filter(|each| **each <= *at && **each + ms(5) > *at).count();
        assert!(open <= 16, "{open} probes on their way at {at:?}");
    }
}

#[test]
fn a_step_of_the_wall_clock_moves_no_round_trip_time() {
    let mut prober = prober(1_000, 10);
    let stepped = |mono: u64, wall: i64| Now { mono: ms(mono), wall: Timestamp::from_millis(wall) };
    prober.handle(stepped(0, 1_000_000), Input::Start(order(1, 1)));
    let Some(Output::Send(probe)) = prober.poll(stepped(0, 1_000_000)) else { unreachable!("nothing to send") };
    let packet = Heard::Echo {
        kind: EchoKind::Reply,
        from: PEER,
        to: HERE,
        identifier: probe.identifier,
        sequence: probe.wire_sequence,
        payload: &probe.payload,
    };
    prober.handle(stepped(7, 5), Input::Heard { packet, at: ms(7), stamped: true });
    let Some(Output::Closed(round)) = prober.poll(stepped(7, 5)) else { panic!("not closed") };
    assert_eq!(round.rtt.unwrap().min, ms(7).into());
}

#[test]
fn own_drops_reach_every_round_under_way_and_finish_ends_them() {
    let mut prober = prober(1_000, 10);
    prober.handle(now(ms(0)), Input::Start(order(3, 10)));
    let Some(Output::Send(_)) = prober.poll(now(ms(0))) else { unreachable!("nothing to send") };
    prober.handle(now(ms(1)), Input::OwnDrops(4));
    prober.handle(now(ms(2)), Input::Finish);
    let Some(Output::Closed(round)) = prober.poll(now(ms(2))) else { panic!("not closed") };
    assert_eq!((round.own_drops, round.sent.len(), round.planned), (4, 1, 3));
    assert_eq!(prober.rounds(), 0);
    assert_eq!(prober.poll(now(ms(2))), None);
    assert_eq!(prober.next_deadline(), None);
}

#[test]
fn any_mixture_adds_up() {
    for seed in 0..200u64 {
        let mut random = fastrand::Rng::with_seed(seed);
        let mut draw = move || random.u64(..100);
        let mut prober = prober(100_000, 64);
        for _ in 0..3 {
            prober.handle(now(ms(0)), Input::Start(order(60, 3)));
        }
        let (rounds, _) = drive(&mut prober, |_| match draw() {
            0..20 => Fate::Replies(vec![]),
            20..25 => Fate::Refused(1),
            25..30 => Fate::Error(3, 1),
            30..35 => Fate::Forged,
            35..45 => Fate::Replies(vec![ms(draw() * 20)]),
            45..55 => Fate::Replies(vec![ms(draw()), ms(draw())]),
            _ => Fate::Replies(vec![ms(draw())]),
        });
        assert_eq!(rounds.len(), 3, "seed {seed}");
        for round in rounds {
            let refused: u64 = round.send_errors.iter().map(|each| each.probes.len()).sum();
            assert_eq!(round.sent.len() + refused, 60, "seed {seed}: {round:?}");
            assert_eq!(round.replied.missing_from(&round.sent), 0, "seed {seed}");
            assert!(round.replied.intersection(&round.late).is_empty(), "seed {seed}");
            assert_eq!(round.rtt.map_or(0, |rtt| rtt.samples), round.replied.len(), "seed {seed}");
        }
    }
}

fn bucket(link: &str) -> BucketKey {
    BucketKey { link: LinkId::parse(link).unwrap(), fresh: true }
}

/// Bits of an echo with the payload of [`order`].
const ECHO_BITS: u64 = 84 * 8;

#[test]
fn rounds_of_one_bucket_keep_its_rate_together_and_lose_nothing() {
    let mut prober = prober(100_000, 10_000);
    // One fifth of 2 Mbit/s, and another link that is independent of it.
    prober.handle(now(ms(0)), Input::Buckets(BTreeMap::from([(bucket("a"), 400_000), (bucket("b"), 100_000_000)])));
    for target in 1..=10u8 {
        let target = IpAddr::from([10, 0, 0, target]);
        let round = RoundOrder { target, bucket: Some(bucket("a")), ..order(100, 1) };
        prober.handle(now(ms(0)), Input::Start(round));
    }
    let apart = RoundOrder { target: [10, 0, 1, 1].into(), bucket: Some(bucket("b")), ..order(100, 1) };
    prober.handle(now(ms(0)), Input::Start(apart));
    let mut sent: Vec<u64> = vec![];
    let (rounds, at) = drive(&mut prober, |probe| {
        sent.push(u64::from(probe.target != IpAddr::from([10, 0, 1, 1])) * ECHO_BITS);
        Fate::Replies(vec![ms(1)])
    });
    assert!(rounds.iter().all(|round| round.replied.len() == 100), "what waits for the budget is sent later");
    let held: Vec<u64> = rounds.iter().filter_map(|round| round.held_ms).collect();
    assert_eq!((held.len(), held.iter().min()), (11, Some(&0)), "and each round says for how long it was held back");
    assert_eq!(prober.counters().probes_not_sent, 0);
    let own: Vec<_> = at.iter().zip(&sent).filter(|(_, bits)| **bits > 0).map(|(at, _)| *at).collect();
    for (n, from) in own.iter().enumerate() {
        let within = own[n..].iter().filter(|each| **each < *from + ms(1_000)).count() as u64;
        assert!(within * ECHO_BITS <= 400_000 + 10_000, "{within} probes in the second from {from:?}");
    }
    assert!(*own.last().unwrap() >= ms(1_600), "672 kbit take their time");
    let other: Vec<_> = at.iter().zip(&sent).filter(|(_, bits)| **bits == 0).map(|(at, _)| *at).collect();
    assert!(*other.last().unwrap() <= ms(110), "the other link does not wait");
}

#[test]
fn a_machine_that_was_held_up_does_not_make_up_for_it_in_a_burst() {
    let mut prober = prober(100_000, 10_000);
    prober.handle(now(ms(0)), Input::Buckets(BTreeMap::from([(bucket("a"), 200_000)])));
    prober.handle(now(ms(0)), Input::Start(RoundOrder { bucket: Some(bucket("a")), ..order(400, 4) }));
    // The prober was not polled for 900 ms, in which 225 probes were due.
    let mut at_once = 0;
    while let Some(Output::Send(_)) = prober.poll(now(ms(900))) {
        at_once += 1;
    }
    assert!((1..=8).contains(&at_once), "{at_once} probes at once");
    assert!(prober.next_deadline().unwrap() > ms(900));
}

#[test]
fn a_round_says_over_what_time_it_was_sent_and_one_without_a_budget_sends_nothing() {
    let mut prober = prober(100_000, 10_000);
    prober.handle(now(ms(0)), Input::Start(order(11, 20)));
    prober.handle(now(ms(0)), Input::Start(RoundOrder { bucket: Some(bucket("gone")), ..order(5, 20) }));
    let (rounds, _) = drive(&mut prober, |_| Fate::Replies(vec![ms(1)]));
    let shown: Vec<_> = rounds.iter().map(|round| (round.sent.len(), round.sending_ms)).collect();
    assert_eq!(shown, [(0, None), (11, Some(200))]);
    assert_eq!(prober.counters().probes_not_sent, 5);
}
