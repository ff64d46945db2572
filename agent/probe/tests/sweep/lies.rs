//! Replays every counting bug of other pingers that `PROBING.md` §7 lists. Each test says what went wrong and where.

use crate::world::{Sent, World, address, as_received, ms, order, us};
use pingtong_probe::{ErrorKind, Handover, Share, What};
use std::time::Duration;

fn rtt(micros: u64) -> impl FnMut(&Sent) -> Vec<Duration> {
    move |_| vec![us(micros)]
}

/// fping #182: 5 sent, 6 received, "120 % loss".
#[test]
fn six_received_of_five_sent() {
    let mut world = World::new(order(1, 5));
    world.run(|probe| if probe.number == 2 { vec![ms(1), ms(2)] } else { vec![ms(1)] });
    let tally = world.sweep.total();
    assert_eq!((tally.sent, tally.received, tally.duplicates, tally.lost), (5, 5, 1, 0));
    assert!(tally.loss().unwrap().rate.abs() < f64::EPSILON);
}

/// fping #97: sent and received are wrong with slow hosts, whose answer arrives after the next probe was sent.
#[test]
fn a_slow_hosts_answer_is_counted_for_the_next_probe() {
    let mut world = World::new(order(1, 6));
    world.run(|probe| if probe.number.is_multiple_of(2) { vec![ms(150)] } else { vec![] });
    let figures = world.sweep.figures(0).unwrap();
    assert_eq!((figures.tally.received, figures.tally.lost), (3, 3));
    assert_eq!(figures.rtt.unwrap().max, ms(150), "the time of its own probe, not of the one after");
}

/// fping #120: the last ping is always counted lost when the round trip takes more than half the period.
#[test]
fn the_last_ping_is_lost_because_the_loop_ended() {
    let mut world = World::new(order(3, 4));
    world.run(rtt(999_000));
    assert_eq!((world.sweep.total().received, world.sweep.total().lost), (12, 0));
}

/// fping #53: duplicates end count mode early.
#[test]
fn duplicates_end_the_run_early() {
    let mut world = World::new(order(2, 10));
    world.run(|_| vec![ms(1), ms(2), ms(3)]);
    let tally = world.sweep.total();
    assert_eq!((tally.sent, tally.received, tally.duplicates), (20, 20, 40));
}

/// fping #191, #277: another process's replies counted as duplicates; iputils #489, #503, #507: random identifiers
/// collide at 75 to 100 pings in parallel.
#[test]
fn replies_of_a_pinger_with_the_same_identifier_are_counted() {
    let mut worlds: Vec<World> = (0..4u32)
        .map(|run| {
            let mut order = order(5, 4);
            order.run = run;
            World::new(order)
        })
        .collect();
    for _ in 0..25 {
        let all: Vec<Sent> = worlds.iter_mut().flat_map(World::send).collect();
        for world in &mut worlds {
            for probe in &all {
                world.answer(probe, world.now + ms(1));
            }
            world.now += ms(20);
        }
    }
    for world in &mut worlds {
        world.wait();
        let tally = world.sweep.total();
        assert_eq!((tally.sent, tally.received, tally.duplicates, tally.lost), (20, 20, 0, 0));
        assert_eq!(world.sweep.oddities().foreign, 60);
    }
    // And one that copies everything but cannot compute the tag.
    let mut world = World::new(order(1, 1));
    let probe = world.send().remove(0);
    let mut forged = probe.icmp[8..].to_vec();
    forged[31] ^= 1;
    world.reply(probe.to, probe.identifier(), &forged, world.now);
    world.wait();
    assert_eq!((world.sweep.total().received, world.sweep.total().lost, world.sweep.oddities().foreign), (0, 1, 1));
}

/// fping #325: loss appears beyond 8 to 10 targets; prometheus-community/pro-bing #104, collectd #2094, liboping #45:
/// false and correlated loss with hundreds; influxdata/telegraf #10033: 6,000 nodes show loss that tcpdump disproves;
/// jsdelivr/globalping #315: phantom loss.
#[test]
fn loss_appears_with_the_number_of_targets() {
    for targets in [1, 8, 11, 300, 6_000] {
        let mut world = World::new(order(targets, 3));
        let mut sent = vec![];
        while sent.len() < targets * 3 {
            sent.extend(world.send());
            world.now += ms(1);
        }
        // Nothing is read until long after every time-out: the kernel's time stamps show what was in time.
        let read_at = world.now + ms(30_000);
        for probe in &sent {
            world.answer(probe, probe.at + us(700));
        }
        world.now = read_at;
        world.sweep.drained(read_at);
        let tally = world.sweep.total();
        assert_eq!((tally.received, tally.lost, tally.late), (targets as u64 * 3, 0, 0), "{targets}");
        assert!((0..targets).all(|target| world.sweep.tally(target).unwrap().received == 3));
    }
}

/// influxdata/telegraf #8679, #7892: loss of -300 %, and of 0 % where all was lost; oetiker/SmokePing #437: loss shown
/// as -1.
#[test]
fn loss_leaves_the_range_from_nought_to_one() {
    let mut world = World::new(order(1, 4));
    world.run(|_| vec![]);
    assert!(world.sweep.total().loss().unwrap().rate >= 1.0);
    let mut world = World::new(order(1, 4));
    world.run(|_| vec![ms(1); 4]);
    assert!(world.sweep.total().loss().unwrap().rate.abs() < f64::EPSILON);
    let untouched = World::new(order(1, 4));
    assert_eq!(untouched.sweep.total().loss(), None, "nothing decided is neither 0 nor 1 nor -1");
    for (lost, of) in [(0, 1), (1, 1), (3, 1_000_000)] {
        let share = Share::of(lost, of).unwrap();
        assert!(0.0 <= share.low && share.low <= share.rate && share.rate <= share.high && share.high <= 1.0);
    }
}

/// influxdata/telegraf #8980: results of different targets mixed.
#[test]
fn one_targets_answer_is_counted_for_another() {
    let mut world = World::new(order(2, 1));
    let mut sent = world.send();
    while sent.len() < 2 {
        world.now += ms(1);
        sent.extend(world.send());
    }
    world.reply(sent[1].to, sent[0].identifier(), &sent[0].icmp[8..], world.now);
    world.answer(&sent[1], world.now);
    world.wait();
    assert_eq!(world.sweep.tally(0).unwrap().lost, 1);
    assert_eq!(world.sweep.tally(1).unwrap().received, 1);
    assert_eq!(world.sweep.oddities().misdirected, 1);
}

/// influxdata/telegraf #6280, #8501: 4 or 6 pings are sent when 3 or 5 were requested.
#[test]
fn another_number_is_sent_than_asked_for() {
    for count in [1, 3, 5, 100] {
        let mut world = World::new(order(3, count));
        world.run(rtt(100));
        assert!((0..3).all(|target| world.sweep.tally(target).unwrap().sent == count));
    }
}

/// influxdata/telegraf #5499, cloudprober PR #620 and #576: no value at all when sending fails, so no alert fires.
#[test]
fn a_target_that_cannot_be_sent_to_is_silent_about_it() {
    let mut world = World::new(order(1, 3));
    for _ in 0..3 {
        let probe = world.poll().unwrap();
        world.sweep.handed(world.now, probe.number, Handover::Refused(101));
        world.now += ms(120);
    }
    assert!(world.sweep.is_done(), "nothing is waited for");
    let tally = world.sweep.total();
    assert_eq!((tally.sent, tally.refused, tally.lost), (0, 3, 0));
    assert_eq!(tally.loss(), None, "the network lost nothing");
    assert!(tally.answered().unwrap().rate.abs() < f64::EPSILON, "and nothing was answered");
    assert_eq!(world.sweep.errors(), [(ErrorKind::Refused(101), 3)]);
}

/// prometheus/blackbox_exporter #984: a round-trip time of 0 for lost packets.
#[test]
fn a_lost_packet_has_a_time_of_nought() {
    let mut world = World::new(order(1, 4));
    world.run(|probe| if probe.number == 0 { vec![ms(8)] } else { vec![] });
    let rtt = world.sweep.figures(0).unwrap().rtt.unwrap();
    assert_eq!((rtt.samples, rtt.min, rtt.mean), (1, ms(8), ms(8)));
    let mut world = World::new(order(1, 4));
    world.run(|_| vec![]);
    assert_eq!(world.sweep.figures(0).unwrap().rtt, None);
    assert_eq!(world.sweep.total_rtt(), None);
}

/// prometheus/blackbox_exporter #591, #705: dead until restart, since a firewall kept state for a constant identifier.
#[test]
fn the_identifier_is_not_the_runs_own() {
    let mut another = order(1, 1);
    another.identifier = 0x1717;
    let probe = World::new(another).send().remove(0);
    assert_eq!(probe.identifier(), 0x1717);
    assert!(as_received(&probe.icmp));
}

/// prometheus/blackbox_exporter #811, bloomberg/goldpinger #126: once dead, dead until restart.
#[test]
fn a_target_that_comes_back_stays_dead() {
    let mut world = World::new(order(1, 20));
    world.run(|probe| if probe.number < 10 { vec![] } else { vec![ms(1)] });
    let tally = world.sweep.total();
    assert_eq!((tally.received, tally.lost), (10, 10));
}

/// SuperQ/smokeping_prober #72: one dead target stalls all; oetiker/SmokePing #135: the others are blank.
#[test]
fn one_dead_target_stalls_the_others() {
    let mut order = order(10, 30);
    order.window = 64;
    let mut world = World::new(order);
    let began = world.now;
    world.run(|probe| if probe.to == address(3) { vec![] } else { vec![ms(1)] });
    assert!(world.now < began + ms(30 * 100 + 1_100), "{:?}", world.now);
    for target in 0..10 {
        let received = world.sweep.tally(target).unwrap().received;
        assert_eq!(received, if target == 3 { 0 } else { 30 });
    }
}

/// bloomberg/goldpinger #69: a ping of seconds that is the prober's own lack of CPU.
#[test]
fn the_probers_own_delay_is_taken_for_the_networks() {
    let mut order = order(1, 1);
    order.stamps_departures = true;
    let mut world = World::new(order);
    let probe = world.send().remove(0);
    // The probe lay in our queue for 300 ms, and the answer was read two seconds late.
    world.leave(&probe, probe.at + ms(300));
    world.leave(&probe, probe.at + ms(301));
    world.now += ms(2_500);
    world.answer(&probe, probe.at + ms(300) + us(80));
    world.sweep.drained(world.now);
    let figures = world.sweep.figures(0).unwrap();
    assert_eq!((figures.tally.received, figures.tally.late), (1, 0));
    assert_eq!(figures.rtt.unwrap().max, us(80));
    assert_eq!(world.sweep.oddities().unstamped, 0);
}

/// The same when the departure stamp arrives after the answer, and when it never arrives.
#[test]
fn an_answer_that_overtakes_the_departures_stamp_is_measured_from_it() {
    let mut order = order(2, 1);
    order.stamps_departures = true;
    let mut world = World::new(order);
    let mut sent = world.send();
    world.now += ms(60);
    sent.extend(world.send());
    for probe in &sent {
        world.answer(probe, probe.at + ms(5));
    }
    world.sweep.drained(world.now);
    assert!(!world.sweep.is_done(), "a time is still to be measured");
    world.leave(&sent[0], sent[0].at + ms(3));
    world.sweep.drained(world.now);
    assert_eq!(world.sweep.figures(0).unwrap().rtt.unwrap().max, ms(2));
    assert_eq!(world.sweep.figures(1).unwrap().rtt.unwrap().max, ms(5));
    assert_eq!(world.sweep.oddities().unstamped, 1, "and said to be less exact");
    assert!(world.sweep.is_done());
}

/// The same when the answer is delivered late: the time at which it was seen arriving counts, the first time only.
#[test]
fn an_answer_came_when_it_was_first_seen_coming() {
    let mut order = order(1, 2);
    order.stamps_departures = true;
    let mut world = World::new(order);
    let first = world.send().remove(0);
    world.leave(&first, first.at);
    for delay in [us(80), us(900)] {
        world.come(&first, first.at + delay);
    }
    let mut forged = first.clone();
    forged.icmp[33] ^= 1;
    for _ in 0..2 {
        world.answer(&first, first.at + ms(7));
    }
    world.now += ms(110);
    let second = world.send().remove(0);
    world.leave(&second, second.at);
    world.come(&forged, second.at);
    world.answer(&second, second.at + us(50));
    let figures = world.sweep.figures(0).unwrap();
    assert_eq!((figures.tally.received, figures.tally.duplicates), (2, 1));
    let rtt = figures.rtt.unwrap();
    assert_eq!((rtt.min, rtt.max), (us(50), us(80)));
}

/// bloomberg/goldpinger #83: a thundering herd at every period.
#[test]
fn all_targets_are_probed_at_once() {
    let mut world = World::new(order(1_000, 2));
    let mut most = 0;
    for _ in 0..=200 {
        most = most.max(world.send().len());
        world.now += ms(1);
    }
    assert!(most <= 30, "{most} in one millisecond, of 10 on average");
    assert_eq!(world.sweep.total().sent, 2_000);
}

/// iputils #189: drops hidden under duplicates.
#[test]
fn a_duplicate_makes_up_for_a_loss() {
    let mut world = World::new(order(1, 10));
    world.run(|probe| if probe.number.is_multiple_of(2) { vec![ms(1), ms(2)] } else { vec![] });
    let tally = world.sweep.total();
    assert_eq!((tally.received, tally.lost, tally.duplicates), (5, 5, 5));
}

/// fping aborts after 65,535 probes within its ten seconds; sequence numbers of 16 bits wrap.
#[test]
fn probes_beyond_65535_are_mixed_up() {
    let mut settings = order(1, 200_000);
    (settings.period, settings.rate_pps, settings.window) = (Duration::ZERO, 0, 300);
    let mut world = World::new(settings);
    let mut stale = vec![];
    let mut sent = 0;
    while sent < 200_000 {
        for probe in world.send() {
            sent += 1;
            if probe.number % 50_000 == 7 {
                stale.push(probe);
            } else {
                world.answer(&probe, world.now + us(50));
            }
        }
        world.now += ms(5);
        world.sweep.drained(world.now);
    }
    world.wait();
    let tally = world.sweep.total();
    assert_eq!((tally.sent, tally.received, tally.lost), (200_000, 199_996, 4));
    // Answers that come a hundred thousand probes later are late, each counted once.
    for probe in [&stale[0], &stale[1], &stale[1]] {
        world.answer(probe, world.now);
    }
    let tally = world.sweep.total();
    assert_eq!((tally.received, tally.late, tally.lost, tally.duplicates), (199_996, 2, 2, 1));
}

/// surge-ping returns `Ok` for unreachables and redirects; ICMP errors are limited to a few per second, so they cannot
/// be counted as losses either.
#[test]
fn an_icmp_error_is_taken_for_an_answer_or_for_the_end() {
    let router = [192, 0, 2, 1].into();
    let mut world = World::new(order(1, 3));
    let mut sent = vec![];
    for _ in 0..3 {
        sent.extend(world.send());
        world.now += ms(120);
    }
    world.error(&sent[0], router, 3, 13);
    world.error(&sent[1], router, 5, 1);
    world.answer(&sent[1], world.now);
    world.wait();
    let tally = world.sweep.total();
    assert_eq!((tally.received, tally.lost, tally.rejected), (1, 2, 1));
    let errors = world.sweep.errors_of(0);
    assert_eq!(
        errors.iter().map(|e| (e.kind.icmp_name().unwrap(), e.from)).collect::<Vec<_>>(),
        [
            ("unreachable-admin-prohibited".to_owned(), Some(router.into())),
            ("redirect".to_owned(), Some(router.into())),
        ]
    );
    // An unanswered ARP request is reported after three seconds, long after the probe was given up.
    world.error(&sent[2], router, 3, 1);
    assert_eq!(world.sweep.total().rejected, 2);
    // And an answer reverts loss and rejection.
    world.answer(&sent[0], sent[0].at + ms(2));
    let tally = world.sweep.total();
    assert_eq!((tally.received, tally.lost, tally.rejected), (2, 1, 1));
}

/// An error about another pinger's probe with our identifier and sequence number is not counted as ours.
#[test]
fn an_icmp_error_about_anothers_probe_is_counted() {
    let mut world = World::new(order(1, 1));
    let mut another = order(1, 1);
    another.run = 1;
    let theirs = World::new(another).send().remove(0);
    let ours = world.send().remove(0);
    let router = [192, 0, 2, 1].into();
    world.error_quoting(&ours, &theirs.icmp[8..], router, 3, 13);
    assert_eq!((world.sweep.errors(), world.sweep.oddities().foreign), (vec![], 1));
    world.error_quoting(&ours, &ours.icmp[8..], router, 3, 13);
    assert_eq!(world.sweep.errors().len(), 1);
}

/// A reply that is slightly late is neither lost nor received, and reuse of the ring does not change that.
#[test]
fn a_late_reply_is_counted_as_received_or_not_at_all() {
    let mut world = World::new(order(1, 3));
    world.run(|probe| if probe.number == 1 { vec![ms(1_010), ms(1_500)] } else { vec![ms(1)] });
    let tally = world.sweep.total();
    assert_eq!((tally.received, tally.late, tally.lost, tally.sent), (2, 1, 0, 3));
}

/// Packets that this host's own queues dropped must never count as network loss: each may have been the answer to one
/// of the probes in flight then, but not to one decided before or sent later.
#[test]
fn the_probers_own_drops_are_silently_loss() {
    let mut world = World::new(order(1, 2));
    world.run(|_| vec![]);
    world.sweep.own_drops(3);
    let tally = world.sweep.total();
    assert_eq!((world.sweep.oddities().own_drops, tally.lost, tally.excused), (3, 2, 0), "decided before");
    let mut world = World::new(order(1, 20));
    let before = world.send().len() as u64;
    world.sweep.own_drops(100);
    world.run(|_| vec![]);
    let tally = world.sweep.total();
    assert_eq!((tally.sent, tally.excused, tally.lost), (20, before, 20 - before));
    assert!(before > 0);
}

/// Only as many probes as packets were dropped are excused; an answer that still arrives, or an error, shows what
/// became of a probe.
#[test]
fn own_drops_excuse_every_loss() {
    let mut world = World::new(order(4, 1));
    let mut sent = vec![];
    while sent.len() < 4 {
        sent.extend(world.send());
        world.now += ms(1);
    }
    world.sweep.own_drops(2);
    world.now += ms(2_000);
    world.sweep.drained(world.now);
    let tally = world.sweep.total();
    assert_eq!((tally.sent, tally.excused, tally.lost), (4, 2, 2));
    // It arrived in time by the kernel's time stamp, and was read late.
    world.answer(&sent[0], sent[0].at + ms(100));
    let tally = world.sweep.total();
    assert_eq!((tally.received, tally.excused, tally.lost), (1, 1, 2));
    world.answer(&sent[0], world.now);
    assert_eq!((world.sweep.total().duplicates, world.sweep.total().excused), (1, 1));
}

/// An interrupt decides nothing about probes in flight.
#[test]
fn an_interrupt_makes_losses() {
    let mut world = World::new(order(4, 100));
    let mut sent = vec![];
    for _ in 0..50 {
        sent.extend(world.send());
        world.now += ms(3);
    }
    world.answer(&sent[0], world.now);
    world.sweep.stop();
    let tally = world.sweep.total();
    assert!(world.sweep.is_done() && world.send().is_empty());
    assert_eq!((tally.sent, tally.received, tally.open, tally.lost), (sent.len() as u64, 1, sent.len() as u64 - 1, 0));
}

/// No room in the kernel's queues is neither a refusal nor a loss; the probe is sent once there is room.
#[test]
fn a_full_queue_loses_probes() {
    let mut world = World::new(order(2, 2));
    let probe = world.poll().unwrap();
    world.sweep.handed(world.now, probe.number, Handover::NoRoom);
    let mut refused = 1;
    let mut numbers = std::collections::BTreeSet::new();
    for _ in 0..600 {
        while let Some(probe) = world.poll() {
            let full = refused < 5;
            refused += u32::from(full);
            world.sweep.handed(world.now, probe.number, if full { Handover::NoRoom } else { Handover::Taken });
            if !full {
                assert!(numbers.insert(probe.number));
                world.answer(&probe, world.now);
            }
        }
        world.now += ms(1);
        world.sweep.drained(world.now);
    }
    let tally = world.sweep.total();
    assert_eq!((tally.sent, tally.received, tally.refused), (4, 4, 0));
    assert!(world.sweep.is_done());
}

/// The outcome of each probe, for comparison with a capture.
#[test]
fn every_probe_has_one_last_word() {
    let mut settings = order(2, 2);
    settings.keeps_fates = true;
    let mut world = World::new(settings);
    world.run(|probe| match probe.number {
        0 => vec![ms(1), ms(2)],
        1 => vec![ms(1_400)],
        2 => vec![],
        _ => vec![ms(4)],
    });
    let mut fates = world.sweep.take_fates();
    fates.sort_by_key(|fate| (fate.sequence, fate.target));
    let words: Vec<_> = fates.iter().map(|fate| (fate.sequence, fate.target, fate.what)).collect();
    assert_eq!(
        words,
        [
            (0, 0, What::Received(ms(1))),
            (0, 1, What::Lost),
            (0, 1, What::Late(Some(ms(1_400)))),
            (1, 0, What::Lost),
            (1, 1, What::Received(ms(4))),
        ]
    );
}
