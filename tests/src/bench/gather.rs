//! Measures what reading a large account costs and checks that no object is lost: the real `pingtong snapshot` runs as
//! a process of its own against the lab's cloud, whose API throttles some requests and breaks some connections.
//!
//! Memory is the peak of that process as counted by the kernel. Completeness is checked by counting the objects in the
//! snapshot that it writes.

use super::{
    large::{Counts, Size, fill},
    rough::{Rough, road},
};
use crate::{
    cloud::{self, Cloud, Keys, NullApply},
    programs::Programs,
};
use anyhow::{Context, Result, bail};
use jiff::Timestamp;
use pingtong_evidence::Snapshot;
use serde_json::{Value, json};
use std::{
    path::Path,
    sync::{Arc, atomic::Ordering},
    time::{Duration, Instant},
};

/// The account that is read.
const ACCOUNT: &str = "1000000000000001";
const REGION: &str = "cn-qingdao";
/// Calls per second of one API. High enough that the quota is not the limit; the throttling under test comes from
/// `Rough`.
const CALLS_PER_SECOND: u32 = 200;
/// Time limit of one run.
const WITHIN: Duration = Duration::from_mins(15);

/// The estate that the requirement names: 200 VPCs, 100 000 custom routes, 1000 groups of 200 rules, 10 000 interfaces.
pub const REQUIRED: Size =
    Size { vpcs: 200, tables_per_vpc: 10, routes_per_table: 50, groups: 1000, rules_per_group: 200, enis: 10_000 };

/// Gathers an estate once. The result says how many objects existed, how many were read, how many requests were
/// throttled or broken, and what time and memory the run cost.
///
/// # Errors
/// Fails if the lab cannot be set up, if `pingtong snapshot` exceeds its time limit or exits with a status other than 0
/// or 2, or if its output cannot be read.
pub async fn run(size: Size, programs: &Programs, directory: &Path) -> Result<Value> {
    let cloud = Cloud::new(cloud::Options::default(), Arc::new(NullApply));
    let keys = cloud.create_account("A", ACCOUNT);
    cloud.edit(|world| fill(world, ACCOUNT, REGION, size, Timestamp::now())).await?;
    let rough = Arc::new(Rough::new(1, 50, 20));
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.context("cannot listen on the loopback")?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let behind_road = road(Arc::clone(&rough), cloud::router(cloud));
    let out = directory.join("snapshot.json");
    let begun = now();
    let child = snapshot(programs, &endpoint, &keys, &out);
    tokio::select! {
        served = async { axum::serve(listener, behind_road).await } => bail!("the lab's cloud ended: {served:?}"),
        ended = tokio::time::timeout(WITHIN, child) => ended.context("the snapshot was not done in time")??,
    }
    let seconds = begun.elapsed().as_secs_f64();
    let peak_kib = nix::sys::resource::getrusage(nix::sys::resource::UsageWho::RUSAGE_CHILDREN)?.max_rss();
    let file = std::fs::File::open(&out).context("the snapshot was not written")?;
    let bytes = file.metadata()?.len();
    let snapshot: Snapshot =
        serde_json::from_reader(std::io::BufReader::new(file)).context("the snapshot cannot be read")?;
    let (found, expected) = (counted(&snapshot), size.counts());
    let count = |counter: &std::sync::atomic::AtomicU64| counter.load(Ordering::Relaxed);
    Ok(json!({
        "schema": 1,
        "size": size,
        "expected": expected,
        "found": found,
        "complete": found == expected && snapshot.gaps.is_empty(),
        "gaps": snapshot.gaps.len(),
        "requests": count(&rough.requests),
        "throttled": count(&rough.throttled),
        "broken": count(&rough.broken),
        "seconds": seconds,
        "peak_mib": f64::from(i32::try_from(peak_kib).unwrap_or(i32::MAX)) / 1024.0,
        "snapshot_bytes": bytes,
    }))
}

#[expect(clippy::disallowed_methods, reason = "a benchmark measures")]
fn now() -> Instant {
    Instant::now()
}

async fn snapshot(programs: &Programs, endpoint: &str, keys: &Keys, out: &Path) -> Result<()> {
    let mut command = tokio::process::Command::new(&programs.collector);
    command
        .args(["snapshot", "--account", ACCOUNT, "--region", REGION, "--endpoint", endpoint, "--quiet"])
        .args(["--calls-per-second", &CALLS_PER_SECOND.to_string(), "--within", &WITHIN.as_secs().to_string()])
        .arg("--out")
        .arg(out)
        .env("ALIBABA_CLOUD_ACCESS_KEY_ID", &keys.access_key_id)
        .env("ALIBABA_CLOUD_ACCESS_KEY_SECRET", &keys.access_key_secret)
        .stdin(std::process::Stdio::null())
        .stdout(std::process::Stdio::null())
        .kill_on_drop(true);
    let status = command.status().await.context("cannot start pingtong")?;
    // Exit code 2 means that there are gaps; the returned figures count them.
    match status.code() {
        Some(0 | 2) => Ok(()),
        _ => bail!("pingtong snapshot ended with {status}"),
    }
}

fn counted(snapshot: &Snapshot) -> Counts {
    fn rows<T>(list: &pingtong_evidence::Known<Vec<T>>) -> &[T] {
        list.known().map_or(&[], Vec::as_slice)
    }
    Counts {
        vpcs: rows(&snapshot.vpcs).len(),
        vswitches: rows(&snapshot.vswitches).len(),
        tables: rows(&snapshot.route_tables).len(),
        routes: rows(&snapshot.route_tables).iter().map(|table| rows(&table.entries).len()).sum(),
        interfaces: rows(&snapshot.router_interfaces).len(),
        groups: rows(&snapshot.security_groups).len(),
        rules: rows(&snapshot.security_groups).iter().map(|group| rows(&group.rules).len()).sum(),
        instances: rows(&snapshot.instances).len(),
        enis: rows(&snapshot.enis).len(),
    }
}
