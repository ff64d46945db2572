//! The configuration of one link, compiled once for all of its pairs.

use crate::{model::Model, order::sort_by_key};
use pingtong_evidence::{Link, LinkId, Snapshot};
use std::{collections::BTreeMap, sync::Arc};

/// The configuration that the snapshots of a link show: the model over which packets are walked, and the snapshots
/// themselves, which show what changed and when.
#[derive(Debug)]
pub struct Configuration {
    pub(crate) model: Model,
    /// In order of time.
    pub(crate) snapshots: Vec<Arc<Snapshot>>,
    /// The snapshots as they were given, by which the next set is recognised.
    given: Vec<Arc<Snapshot>>,
}

impl Configuration {
    /// Compiles the snapshots of a link, given in any order. Of several snapshots that cover a VPC, the newest is judged;
    /// older ones show what changed.
    pub fn compile(link: &Link, snapshots: &[Arc<Snapshot>]) -> Self {
        let mut ordered = snapshots.to_vec();
        sort_by_key(&mut ordered, |s| (s.taken_at, s.finished_at, s.account.clone(), s.region.clone()));
        let model = Model::new(link, ordered.iter().map(Arc::as_ref));
        Self { model, snapshots: ordered, given: snapshots.to_vec() }
    }

    fn is_of(&self, link: &Link, snapshots: &[Arc<Snapshot>]) -> bool {
        self.model.link == *link
            && self.given.len() == snapshots.len()
            && self.given.iter().zip(snapshots).all(|(one, other)| Arc::ptr_eq(one, other))
    }
}

/// The compiled configurations of links. A link is compiled again only when its snapshots are others than last time.
#[derive(Debug, Default)]
pub struct Configurations {
    of_links: BTreeMap<LinkId, Arc<Configuration>>,
    compiled: u64,
}

impl Configurations {
    /// The configuration of a link by these snapshots.
    pub fn of(&mut self, link: &Link, snapshots: &[Arc<Snapshot>]) -> Arc<Configuration> {
        if let Some(known) = self.of_links.get(&link.id).filter(|known| known.is_of(link, snapshots)) {
            return Arc::clone(known);
        }
        let compiled = Arc::new(Configuration::compile(link, snapshots));
        self.compiled += 1;
        self.of_links.insert(link.id.clone(), Arc::clone(&compiled));
        compiled
    }

    /// How often a configuration was compiled.
    pub fn compiled(&self) -> u64 {
        self.compiled
    }
}
