//! What `check` does on demand beyond echoes and ports: packet sizes, hops, load. One after another, so that none of them
//! disturbs another, and the load last.

use crate::{
    Lang,
    cli::CheckArgs,
    clock::Clock,
    hop_check::{self, HopsSeen},
    load_check::{self, LoadSeen},
    path_size_check,
};
use pingtong_evidence::HostFacts;
use pingtong_probe::{PathSize, SizeVerdict};
use serde_json::{Map, Value};
use std::net::IpAddr;

/// What was asked for and seen.
#[derive(Debug, Default)]
pub struct Extras {
    sizes: Vec<PathSize>,
    hops: Vec<HopsSeen>,
    loads: Vec<LoadSeen>,
}

impl Extras {
    /// Does what the command line asks for.
    ///
    /// # Errors
    /// When raw sockets cannot be opened.
    pub(crate) async fn of(
        args: &CheckArgs,
        targets: &[IpAddr],
        facts: &HostFacts,
        clock: Clock,
        lang: Lang,
    ) -> anyhow::Result<Self> {
        let mut extras = Self::default();
        if args.path_size {
            extras.sizes = path_size_check::search(targets, facts, clock).await?;
        }
        for &target in targets {
            if let Some(hops_max) = args.hops {
                let walked = tokio::task::spawn_blocking(move || hop_check::walk(target, hops_max, &clock));
                extras.hops.push(walked.await??);
            }
        }
        for &target in targets {
            if let Some(mbit) = args.load {
                extras.loads.push(load_check::load(target, mbit, args.load_seconds, clock, lang).await?);
            }
        }
        Ok(extras)
    }

    /// Whether what was seen is wrong: hops prove nothing, and what a load loses is what it was sent to find out.
    pub(crate) fn is_broken(&self) -> bool {
        self.sizes.iter().any(|size| size.verdict() == SizeVerdict::BlackHole)
    }

    /// Lines for people.
    pub(crate) fn lines(&self, lang: Lang) -> Vec<String> {
        let sizes = self.sizes.iter().map(|size| path_size_check::words(size, lang));
        let hops = self.hops.iter().flat_map(|seen| hop_check::words(seen, lang));
        let loads = self.loads.iter().flat_map(|seen| load_check::words(seen, lang));
        sizes.chain(hops).chain(loads).collect()
    }

    /// Adds what there is to a document.
    pub(crate) fn add_to(&self, document: &mut Map<String, Value>) {
        let parts: [(&str, Vec<Value>); 3] = [
            ("path_sizes", self.sizes.iter().map(path_size_check::as_json).collect()),
            ("hops", self.hops.iter().map(hop_check::as_json).collect()),
            ("loads", self.loads.iter().map(load_check::as_json).collect()),
        ];
        for (name, part) in parts.into_iter().filter(|(_, part)| !part.is_empty()) {
            document.insert(name.to_owned(), Value::Array(part));
        }
    }
}
