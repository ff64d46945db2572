//! Optional parts of `check` besides ICMP echo and ports: packet sizes, hops, load.
//!
//! They run one after another, so that none of them disturbs another. The load runs last.

use crate::{
    Lang,
    check::{
        hops::{self, HopsSeen},
        load::{self, LoadSeen},
        path_size,
    },
    cli::CheckArgs,
    clock::Clock,
};
use pingtong_evidence::HostFacts;
use pingtong_probe::{PathSize, SizeVerdict};
use serde_json::{Map, Value};
use std::net::IpAddr;

/// Results of the optional parts that were requested.
#[derive(Debug, Default)]
pub(crate) struct Extras {
    sizes: Vec<PathSize>,
    hops: Vec<HopsSeen>,
    loads: Vec<LoadSeen>,
}

impl Extras {
    /// Runs what the command line requests.
    ///
    /// # Errors
    /// Fails if raw sockets cannot be opened or read, or if the kernel provides no random bytes for the probes.
    pub(crate) async fn of(
        args: &CheckArgs,
        targets: &[IpAddr],
        facts: &HostFacts,
        clock: Clock,
        lang: Lang,
    ) -> anyhow::Result<Self> {
        let mut extras = Self::default();
        if args.path_size {
            extras.sizes = path_size::search(targets, facts, clock).await?;
        }
        for &target in targets {
            if let Some(hops_max) = args.hops {
                let walked = tokio::task::spawn_blocking(move || hops::walk(target, hops_max, &clock));
                extras.hops.push(walked.await??);
            }
        }
        for &target in targets {
            if let Some(mbit) = args.load {
                extras.loads.push(load::load(target, mbit, args.load_seconds, clock, lang).await?);
            }
        }
        Ok(extras)
    }

    /// Whether the results show a fault, which only an MTU black hole is. Hops prove nothing, and loss under load is
    /// what the load is meant to measure.
    pub(crate) fn is_broken(&self) -> bool {
        self.sizes.iter().any(|size| size.verdict() == SizeVerdict::BlackHole)
    }

    /// Lines of text for people.
    pub(crate) fn lines(&self, lang: Lang) -> Vec<String> {
        let sizes = self.sizes.iter().map(|size| path_size::words(size, lang));
        let hops = self.hops.iter().flat_map(|seen| hops::words(seen, lang));
        let loads = self.loads.iter().flat_map(|seen| load::words(seen, lang));
        sizes.chain(hops).chain(loads).collect()
    }

    /// Adds the results that exist to a JSON document.
    pub(crate) fn add_to(&self, document: &mut Map<String, Value>) {
        let parts: [(&str, Vec<Value>); 3] = [
            ("path_sizes", self.sizes.iter().map(path_size::as_json).collect()),
            ("hops", self.hops.iter().map(hops::as_json).collect()),
            ("loads", self.loads.iter().map(load::as_json).collect()),
        ];
        for (name, part) in parts.into_iter().filter(|(_, part)| !part.is_empty()) {
            document.insert(name.to_owned(), Value::Array(part));
        }
    }
}
