//! Fuzzing of everything that parses external bytes: no input causes a panic, an endless listing or unbounded memory.
//!
//! Cases are derived from the documented samples by mutating their bytes and their JSON; the number of the case, which a
//! failure reports, is the seed. `PINGTONG_FUZZ_CASES` sets how many run; without it, 5000 run as part of the ordinary
//! tests.

use crate::{
    client::listing::{ListingApi, Pager, Step},
    credentials::metadata,
    gather::ecs,
    gather::interconnect,
    gather::records,
    gather::vpc,
    import::{self, saved_call},
    signing::Params,
    transport::access_key::AccessKey,
    transport::row::{Row, RowError},
    transport::wire::Reply,
};
use fastrand::Rng;
use pingtong_evidence::{AccountId, Provenance, RegionId, Source, Timestamp};
use serde_json::{Map, Value, json};

/// Number of cases of an ordinary run.
const CASES: u64 = 5_000;
/// Maximum pages of one fuzzed listing: enough to repeat tokens and to exceed a total.
const PAGES: usize = 6;
/// Maximum peak memory of the whole test process, in KiB. A case has a few kilobytes.
const PEAK_KIB_MAX: u64 = 256 << 10;

fn one<'a, T>(draw: &mut Rng, list: &'a [T]) -> &'a T {
    &list[draw.usize(..list.len())]
}

/// Text fragments that change the control flow of a parser.
const WORDS: [&str; 24] = [
    "null",
    "true",
    "-1",
    "1e999",
    "18446744073709551616",
    "\"\"",
    "{}",
    "[]",
    "[[[[[[[[",
    "\\ud800",
    "\"NextToken\":\"a\",",
    "\"TotalCount\":4294967295,",
    "\"Code\":\"x\",",
    "\"Success\":false,",
    "pl-1",
    "::ffff:0:0/96",
    "0.0.0.0/0",
    "-1/-1",
    "99999/1",
    "\u{0}",
    "\u{202e}",
    "2026-02-30T25:61:61Z",
    "vtb-1",
    "\"",
];

fn mutate_bytes(draw: &mut Rng, seeds: &[Vec<u8>]) -> Vec<u8> {
    let mut bytes = one(draw, seeds).clone();
    for _ in 0..=draw.usize(..4) {
        let at = draw.usize(..=bytes.len());
        let to = (at + draw.usize(..40)).min(bytes.len());
        match draw.usize(..6) {
            0 if at < bytes.len() => bytes[at] ^= 1 << draw.usize(..8),
            1 => drop(bytes.splice(at..to, [])),
            2 => drop(bytes.splice(at..at, one(draw, &WORDS).bytes())),
            3 => bytes.truncate(at),
            4 => {
                let part = bytes[at..to].repeat(draw.usize(..16));
                drop(bytes.splice(at..at, part));
            }
            _ => {
                let other = one(draw, seeds);
                let from = draw.usize(..other.len());
                drop(bytes.splice(at..to, other[from..].iter().take(400).copied()));
            }
        }
    }
    bytes
}

fn any_scalar(draw: &mut Rng) -> Value {
    match draw.usize(..6) {
        0 => Value::Null,
        1 => json!(draw.u64(..)),
        2 => json!(-1.5e300),
        3 => json!(draw.bool()),
        4 => json!({}),
        _ => json!(*one(draw, &WORDS)),
    }
}

/// Changes some of the nodes of a document, so that readers get past the first field.
fn mutate_value(draw: &mut Rng, value: &mut Value) {
    if draw.usize(..24) == 0 {
        *value = any_scalar(draw);
        return;
    }
    match value {
        Value::Array(list) => {
            if let Some(first) = list.first().cloned().filter(|_| draw.usize(..4) == 0) {
                list.extend(std::iter::repeat_n(first, draw.usize(..6)));
            }
            for value in list {
                mutate_value(draw, value);
            }
        }
        Value::Object(members) => {
            let names: Vec<String> = members.keys().cloned().collect();
            for name in names {
                if draw.usize(..40) == 0 {
                    members.remove(&name);
                }
            }
            for value in members.values_mut() {
                mutate_value(draw, value);
            }
        }
        _ => {}
    }
}

fn case(draw: &mut Rng, seeds: &[Vec<u8>], documents: &[Value]) -> Vec<u8> {
    if draw.bool() {
        return mutate_bytes(draw, seeds);
    }
    let mut document = one(draw, documents).clone();
    mutate_value(draw, &mut document);
    serde_json::to_vec(&document).unwrap()
}

/// Reads a listing from fuzzed answers and checks that it ends within its limits.
fn listing<T>(
    api: &ListingApi,
    answers: &[Map<String, Value>],
    read: impl Fn(Row<'_>, Provenance) -> Result<T, RowError>,
) {
    // Without its list every answer ends the same way; unit tests cover that.
    if !answers[0].contains_key(api.container) {
        return;
    }
    let (mut pager, mut params) = (Pager::new(api), Params::new());
    for answer in answers {
        pager.ask(&mut params);
        let source = Source { api: String::new(), request_id: String::new(), at: Timestamp::from_millis(0) };
        let before = pager.listing.rows.len();
        match pager.take(answer.clone(), source, &read) {
            Ok(Step::More) => assert!(pager.listing.rows.len() >= before && params.len() <= 3),
            Ok(Step::Done) | Err(_) => return,
        }
    }
}

fn listings(answers: &[Map<String, Value>]) {
    let (account, region) = (AccountId::parse("1").unwrap(), RegionId::parse("r").unwrap());
    listing(&vpc::VPCS, answers, vpc::vpc);
    listing(&vpc::VSWITCHES, answers, vpc::vswitch);
    listing(&vpc::ROUTE_TABLES, answers, vpc::route_table);
    listing(&vpc::ROUTE_ENTRIES, answers, vpc::route_entry);
    listing(&vpc::ROUTER_INTERFACES, answers, vpc::router_interface);
    listing(&vpc::NETWORK_ACLS, answers, vpc::network_acl);
    listing(&ecs::SECURITY_GROUPS, answers, ecs::security_group);
    listing(&ecs::SECURITY_RULES, answers, |row, _| ecs::security_rule(row, &account));
    listing(&ecs::PREFIX_LIST_ENTRIES, answers, ecs::prefix_list_entry);
    listing(&ecs::INSTANCES, answers, ecs::instance);
    listing(&ecs::ENIS, answers, ecs::eni);
    listing(&interconnect::VPC_PEERINGS, answers, |row, at| interconnect::vpc_peering(row, at, &account, &region));
    listing(&interconnect::ATTACHMENTS, answers, interconnect::attachment);
    listing(&interconnect::TRANSIT_PEERINGS, answers, |row, at| interconnect::transit_peering(row, at, &region));
    listing(&interconnect::TRANSIT_TABLES, answers, interconnect::transit_table);
    listing(&interconnect::TRANSIT_ROUTES, answers, interconnect::transit_route);
    listing(&interconnect::ASSOCIATIONS, answers, interconnect::bound_attachment);
    listing(&interconnect::PROPAGATIONS, answers, interconnect::bound_attachment);
    listing(&records::METRICS, answers, records::measured);
    listing(&records::EVENTS, answers, records::change);
}

/// Runs one case through every parser of external bytes.
fn run(draw: &mut Rng, seeds: &[Vec<u8>], documents: &[Value]) {
    let bytes = case(draw, seeds, documents);
    let status = *one(draw, &[200, 400, 403, 404, 500, 503]);
    let reply = Reply::read(status, &bytes);
    let _ = (reply.error(), reply.request_id(), reply.denied_action());
    let text = String::from_utf8_lossy(&bytes);
    let name = one(draw, &["DescribeVpcs.json", "x.vtb-1.json", "vtb-", "RateLimitDropPps-sg-1", "é-tr-"]);
    let _ = (import::decoded(&bytes).map(|text| saved_call(name, &text)), AccessKey::from_service(&text, "x"));
    let _ = (metadata::fact(&text), metadata::role_name(&text), metadata::addresses(&text));
    assert!(metadata::hardware_addresses(&text).iter().all(|mac| !mac.contains(['/', '.', '?'])));
    if reply.is_document {
        // Pages of one listing resemble each other, so the same answer is repeated, sometimes mutated.
        let mut answers = vec![reply.document];
        while answers.len() < 1 + draw.usize(..PAGES) {
            let mut next = Value::Object(answers[0].clone());
            if draw.bool() {
                mutate_value(draw, &mut next);
            }
            answers.extend(next.as_object().cloned());
            if !next.is_object() {
                break;
            }
        }
        listings(&answers);
    }
}

fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:")).unwrap();
    line.trim().trim_end_matches(" kB").parse().unwrap()
}

#[test]
#[expect(clippy::disallowed_methods, reason = "how many cases a run draws is said from outside")]
fn bytes_from_outside_neither_panic_nor_fill_the_memory() {
    let cases: u64 = std::env::var("PINGTONG_FUZZ_CASES").ok().map_or(CASES, |text| text.parse().unwrap());
    let directory = concat!(env!("CARGO_MANIFEST_DIR"), "/testdata/samples");
    let mut files: Vec<_> = std::fs::read_dir(directory).unwrap().map(|entry| entry.unwrap().path()).collect();
    files.sort();
    let seeds: Vec<Vec<u8>> = files.iter().map(|file| std::fs::read(file).unwrap()).collect();
    let documents: Vec<Value> = seeds.iter().filter_map(|bytes| serde_json::from_slice(bytes).ok()).collect();
    assert!(documents.len() > 20);
    let threads = std::thread::available_parallelism().map_or(1, std::num::NonZero::get) as u64;
    std::thread::scope(|scope| {
        for thread in 0..threads {
            let (seeds, documents) = (&seeds, &documents);
            scope.spawn(move || {
                for number in (thread..cases).step_by(usize::try_from(threads).unwrap()) {
                    // Forked, because the first numbers of neighbouring seeds are correlated.
                    let mut draw = Rng::with_seed(number).fork();
                    let outcome = std::panic::catch_unwind(move || run(&mut draw, seeds, documents));
                    assert!(outcome.is_ok(), "case {number} panicked");
                }
            });
        }
    });
    let peak = peak_kib();
    assert!(peak <= PEAK_KIB_MAX, "{peak} KiB at the peak");
    println!("{cases} cases, {peak} KiB at the peak");
}
