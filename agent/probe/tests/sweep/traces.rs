//! Random traces against a naive model that keeps everything: answers in time and late, duplicated, reordered, forged,
//! from another address, from another pinger; errors, refusals, full queues, and a slow reader. Some 10^6 events in
//! all.

use crate::world::{Sent, World, ms, order};
use pingtong_probe::{Handover, Tally};
use proptest::prelude::*;
use std::{collections::BTreeMap, time::Duration};

/// What happens to one probe.
#[derive(Debug, Clone)]
struct Script {
    handed: Handed,
    /// Milliseconds after which answers come; the time-out is 40.
    answers: Vec<u16>,
    /// How long, in milliseconds, each answer lies in a queue that a read does not show.
    hidden: u8,
    error: Option<(u8, u8, u16)>,
    noise: Noise,
}

#[derive(Debug, Clone, Copy)]
enum Handed {
    Taken,
    Refused,
    NoRoomFirst,
}

#[derive(Debug, Clone, Copy, PartialEq)]
enum Noise {
    None,
    Forged,
    Elsewhere,
    AnotherPinger,
}

fn script() -> impl Strategy<Value = Script> {
    let answers = prop_oneof![
        6 => Just(vec![]).boxed(),
        10 => (0u16..40).prop_map(|at| vec![at]).boxed(),
        2 => (41u16..400).prop_map(|at| vec![at]).boxed(),
        2 => proptest::collection::vec(0u16..400, 2..4).boxed(),
    ];
    let handed = prop_oneof![20 => Just(Handed::Taken), 1 => Just(Handed::Refused), 1 => Just(Handed::NoRoomFirst)];
    let error = prop_oneof![
        9 => Just(None),
        1 => (prop_oneof![Just(3u8), Just(5), Just(11)], 0u8..3, 0u16..200).prop_map(Some)
    ];
    let noise = prop_oneof![12 => Just(Noise::None), 1 => Just(Noise::Forged), 1 => Just(Noise::Elsewhere), 1 => Just(Noise::AnotherPinger)];
    (handed, answers, 0u8..15, error, noise).prop_map(|(handed, answers, hidden, error, noise)| Script {
        handed,
        answers,
        hidden,
        error,
        noise,
    })
}

#[derive(Debug, Default)]
struct Model {
    probes: BTreeMap<u64, Known>,
    foreign: u64,
    misdirected: u64,
}

#[derive(Debug, Default)]
struct Known {
    target: usize,
    sent: Option<Duration>,
    refused: bool,
    answers: Vec<Duration>,
    rejected: bool,
}

impl Model {
    fn tally(&self, timeout: Duration, of: impl Fn(usize) -> bool) -> Tally {
        let mut tally = Tally::default();
        for known in self.probes.values().filter(|known| of(known.target)) {
            tally.refused += u64::from(known.refused);
            let Some(sent) = known.sent else { continue };
            tally.sent += 1;
            match known.answers.first() {
                Some(at) if *at <= sent + timeout => tally.received += 1,
                Some(_) => tally.late += 1,
                None => {
                    tally.lost += 1;
                    tally.rejected += u64::from(known.rejected);
                }
            }
            tally.duplicates += known.answers.len().saturating_sub(1) as u64;
        }
        tally
    }
}

enum Coming {
    Answer(Sent),
    Error(Sent, u8, u8),
    Noise(Sent, Noise),
}

/// Runs one trace to its end and returns the sweep and the model.
fn play(targets: usize, window: usize, flat: bool, scripts: &[Script], naps: &[u8]) -> (World, Model) {
    let mut settings = order(targets, (scripts.len() / targets) as u64);
    settings.timeout = ms(40);
    settings.window = window;
    settings.period = ms(if flat { 0 } else { 7 });
    settings.rate_pps = if flat { 0 } else { 1_000_000 };
    let mut world = World::new(settings);
    let mut model = Model::default();
    // When it can be read, when the kernel says that it arrived, and what it is; in order of arrival.
    let mut coming: Vec<(Duration, Duration, Coming)> = vec![];
    let mut naps = naps.iter().cycle();
    for _ in 0..100_000 {
        let mut tried = 0;
        while let Some(probe) = world.poll() {
            hand(&mut world, &mut model, probe, targets, scripts, &mut coming);
            tried += 1;
            if tried == 64 {
                break;
            }
        }
        let now = world.now;
        coming.sort_by_key(|(read, at, _)| (*read, *at));
        while coming.first().is_some_and(|(read, ..)| *read <= now) {
            let (_, at, what) = coming.remove(0);
            arrive(&mut world, &mut model, at, &what);
        }
        world.sweep.drained(now);
        if world.sweep.is_done() && coming.is_empty() {
            return (world, model);
        }
        world.now += ms(u64::from(*naps.next().unwrap()).max(1));
    }
    panic!("the trace does not end");
}

fn hand(
    world: &mut World,
    model: &mut Model,
    probe: Sent,
    targets: usize,
    scripts: &[Script],
    coming: &mut Vec<(Duration, Duration, Coming)>,
) {
    let script = &scripts[usize::try_from(probe.number).unwrap()];
    let again = model.probes.contains_key(&probe.number);
    let known = model.probes.entry(probe.number).or_default();
    known.target = usize::try_from(probe.number).unwrap() % targets;
    let what = match script.handed {
        Handed::Refused => Handover::Refused(1),
        Handed::NoRoomFirst if !again => Handover::NoRoom,
        _ => Handover::Taken,
    };
    world.sweep.handed(world.now, probe.number, what);
    known.refused = what == Handover::Refused(1);
    if what != Handover::Taken {
        return;
    }
    known.sent = Some(world.now);
    for &after in &script.answers {
        let at = world.now + ms(after.into());
        coming.push((at + ms(script.hidden.into()), at, Coming::Answer(probe.clone())));
    }
    if let Some((icmp_type, code, after)) = script.error {
        let at = world.now + ms(after.into());
        coming.push((at, at, Coming::Error(probe.clone(), icmp_type, code)));
    }
    if script.noise != Noise::None {
        coming.push((world.now + ms(3), world.now + ms(3), Coming::Noise(probe, script.noise)));
    }
}

fn arrive(world: &mut World, model: &mut Model, at: Duration, what: &Coming) {
    match what {
        Coming::Answer(probe) => {
            world.answer(probe, at);
            model.probes.get_mut(&probe.number).unwrap().answers.push(at);
        }
        Coming::Error(probe, icmp_type, code) => {
            world.error(probe, [192, 0, 2, 1].into(), *icmp_type, *code);
            model.probes.get_mut(&probe.number).unwrap().rejected |= *icmp_type != 5;
        }
        Coming::Noise(probe, Noise::Elsewhere) => {
            world.reply([192, 0, 2, 9].into(), probe.identifier(), &probe.icmp[8..], at);
            model.misdirected += 1;
        }
        Coming::Noise(probe, noise) => {
            let mut payload = probe.icmp[8..].to_vec();
            payload[if *noise == Noise::Forged { 25 } else { 15 }] ^= 0x10;
            world.reply(probe.to, probe.identifier(), &payload, at);
            model.foreign += 1;
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, max_shrink_iters: 4_000, ..ProptestConfig::default() })]
    #[test]
    fn the_machine_counts_as_one_that_keeps_everything(
        targets in 1usize..6,
        window in prop_oneof![Just(4usize), Just(32), Just(5_000)],
        flat: bool,
        scripts in proptest::collection::vec(script(), 6..1_600),
        naps in proptest::collection::vec(1u8..30, 7),
    ) {
        let (world, model) = play(targets, window, flat, &scripts, &naps);
        let timeout = ms(40);
        prop_assert_eq!(world.sweep.total(), model.tally(timeout, |_| true));
        for target in 0..targets {
            prop_assert_eq!(world.sweep.tally(target).unwrap(), model.tally(timeout, |of| of == target), "{}", target);
        }
        let tally = world.sweep.total();
        prop_assert_eq!(tally.sent, tally.received + tally.late + tally.lost);
        let odd = world.sweep.oddities();
        prop_assert_eq!((odd.foreign, odd.misdirected, odd.forgotten, odd.unsent_answered), (model.foreign, model.misdirected, 0, 0));
        let answered = tally.received + tally.late;
        // The round-trip time of a late answer whose slot was reused is no longer known.
        let measured = world.sweep.total_rtt().map_or(0, |rtt| rtt.samples);
        prop_assert!(measured <= answered && measured >= tally.received);
    }
}
