//! No circles of modules, in any crate: what two modules need of each other belongs into a third.
//!
//! Modules are the files of a crate. Edges come from paths that begin with `crate`, `super` or `self`, in `use` items and in
//! code; those of unit tests do not count, nor what `lib.rs` re-exports. The rule holds for each folder: its children (a
//! file, or a folder as one) must not use each other in a circle. A child may use what its own parent defines.

use std::{
    collections::{BTreeMap, BTreeSet},
    path::{Path, PathBuf},
};
use syn::visit::{self, Visit};

/// The crates, by the folder that holds their `src`.
const CRATES: [&str; 9] = [
    "agent",
    "agent/evidence",
    "agent/guest",
    "agent/probe",
    "agent/cloud",
    "collector",
    "collector/verdict",
    "tests/worlds",
    "tests",
];

/// A module's path within its crate; empty for the root.
type Module = Vec<String>;

#[test]
fn no_crate_has_a_circle_of_modules() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap();
    let found: Vec<String> = CRATES.iter().flat_map(|name| circles(name, &root.join(name).join("src"))).collect();
    assert!(found.is_empty(), "modules that use each other in a circle:\n{}", found.join("\n"));
}

#[test]
fn a_circle_is_seen_and_a_child_that_uses_its_parent_is_none() {
    let edges = |uses: &[(&str, &str)]| -> BTreeMap<Module, BTreeSet<Module>> {
        let path = |text: &str| text.split("::").map(str::to_owned).collect::<Module>();
        uses.iter().fold(BTreeMap::new(), |mut all: BTreeMap<Module, BTreeSet<Module>>, (from, to)| {
            all.entry(path(from)).or_default().insert(path(to));
            all
        })
    };
    assert_eq!(circles_of(&edges(&[("a", "b"), ("b::x", "c"), ("c", "a::y")])), ["a, b, c"]);
    assert_eq!(circles_of(&edges(&[("a::x", "a::y"), ("a::y", "a::x"), ("a", "b")])), ["a::x, a::y"]);
    assert!(circles_of(&edges(&[("a::x", "a"), ("a", "a::x"), ("b", "a"), ("a", "c")])).is_empty());
}

fn circles(name: &str, src: &Path) -> Vec<String> {
    let files = modules(src);
    let known: BTreeSet<Module> = files.keys().cloned().collect();
    let mut edges = BTreeMap::new();
    for (module, file) in &files {
        let text = std::fs::read_to_string(file).unwrap();
        let parsed = syn::parse_file(&text).unwrap_or_else(|error| panic!("{}: {error}", file.display()));
        let mut paths = Paths { module, inner: vec![], found: BTreeSet::new() };
        paths.visit_file(&parsed);
        let used = paths.found.into_iter().filter_map(|path| longest(&known, &path)).filter(|used| used != module);
        edges.insert(module.clone(), used.collect::<BTreeSet<_>>());
    }
    circles_of(&edges).into_iter().map(|circle| format!("{name}: {circle}")).collect()
}

/// The files of a crate by module, without tests and binaries' own roots.
fn modules(src: &Path) -> BTreeMap<Module, PathBuf> {
    let mut found = BTreeMap::new();
    let mut open = vec![src.to_owned()];
    while let Some(dir) = open.pop() {
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_stem().unwrap().to_str().unwrap().to_owned();
            if name == "tests" {
                continue;
            }
            if path.is_dir() {
                open.push(path);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let inside = path.strip_prefix(src).unwrap().with_extension("");
                let mut module: Module = inside.iter().map(|part| part.to_str().unwrap().to_owned()).collect();
                if matches!(name.as_str(), "mod" | "lib" | "main") {
                    module.pop();
                }
                if !module.is_empty() {
                    found.insert(module, path);
                }
            }
        }
    }
    found
}

/// The module that a path leads into: its longest beginning that is one.
fn longest(known: &BTreeSet<Module>, path: &[String]) -> Option<Module> {
    (1..=path.len()).rev().map(|length| path[..length].to_vec()).find(|begin| known.contains(begin))
}

/// Collects the absolute paths that a file uses.
struct Paths<'m> {
    module: &'m Module,
    /// Modules inside the file around the place that is looked at.
    inner: Vec<String>,
    found: BTreeSet<Module>,
}

impl Paths<'_> {
    fn add(&mut self, path: &[String]) {
        let mut whole: Module = self.module.iter().chain(&self.inner).cloned().collect();
        let mut rest = path.iter().peekable();
        match rest.peek().map(|first| first.as_str()) {
            Some("crate") => {
                whole.clear();
                rest.next();
            }
            Some("self") => {
                rest.next();
            }
            Some("super") => {
                while rest.next_if(|part| *part == "super").is_some() {
                    whole.pop();
                }
            }
            _ => return,
        }
        whole.extend(rest.cloned());
        self.found.insert(whole);
    }

    fn add_tree(&mut self, before: &[String], tree: &syn::UseTree) {
        let with = |name: &syn::Ident| before.iter().cloned().chain([name.to_string()]).collect::<Vec<_>>();
        match tree {
            syn::UseTree::Path(path) => self.add_tree(&with(&path.ident), &path.tree),
            syn::UseTree::Name(name) => self.add(&with(&name.ident)),
            syn::UseTree::Rename(rename) => self.add(&with(&rename.ident)),
            syn::UseTree::Glob(_) => self.add(before),
            syn::UseTree::Group(group) => group.items.iter().for_each(|item| self.add_tree(before, item)),
        }
    }
}

fn is_test(attributes: &[syn::Attribute]) -> bool {
    attributes.iter().any(|attribute| {
        let list = attribute.meta.require_list().ok().filter(|list| list.path.is_ident("cfg"));
        list.is_some_and(|list| list.tokens.to_string().contains("test"))
    })
}

impl<'ast> Visit<'ast> for Paths<'_> {
    fn visit_item_mod(&mut self, item: &'ast syn::ItemMod) {
        if !is_test(&item.attrs) {
            self.inner.push(item.ident.to_string());
            visit::visit_item_mod(self, item);
            self.inner.pop();
        }
    }

    fn visit_item_use(&mut self, item: &'ast syn::ItemUse) {
        if !is_test(&item.attrs) {
            self.add_tree(&[], &item.tree);
        }
    }

    fn visit_path(&mut self, path: &'ast syn::Path) {
        let parts: Vec<String> = path.segments.iter().map(|segment| segment.ident.to_string()).collect();
        self.add(&parts);
        visit::visit_path(self, path);
    }
}

/// The circles among the children of each folder.
fn circles_of(edges: &BTreeMap<Module, BTreeSet<Module>>) -> Vec<String> {
    let all: BTreeSet<&Module> = edges.iter().flat_map(|(from, to)| to.iter().chain([from])).collect();
    let folders: BTreeSet<Module> =
        all.iter().flat_map(|module| (0..module.len()).map(|length| module[..length].to_vec())).collect();
    let mut circles = vec![];
    for folder in folders {
        let child = |module: &Module| {
            (module.len() > folder.len() && module.starts_with(&folder)).then(|| module[..=folder.len()].to_vec())
        };
        let mut uses: BTreeMap<Module, BTreeSet<Module>> = BTreeMap::new();
        for (from, to) in edges.iter().flat_map(|(from, to)| to.iter().map(move |to| (from, to))) {
            if let (Some(from), Some(to)) = (child(from), child(to))
                && from != to
            {
                uses.entry(from).or_default().insert(to);
            }
        }
        let reached = |from: &Module| {
            let (mut seen, mut open) = (BTreeSet::new(), vec![from.clone()]);
            while let Some(at) = open.pop() {
                let next: Vec<Module> = uses.get(&at).into_iter().flatten().cloned().collect();
                open.extend(next.into_iter().filter(|next| seen.insert(next.clone())));
            }
            seen
        };
        let reach: BTreeMap<&Module, BTreeSet<Module>> = uses.keys().map(|from| (from, reached(from))).collect();
        let circle = |at: &Module| -> BTreeSet<Module> {
            let back = |other: &&Module| reach.get(*other).is_some_and(|seen| seen.contains(at));
            reach[at].iter().filter(back).cloned().collect()
        };
        let of_folder: BTreeSet<BTreeSet<Module>> = uses.keys().map(circle).filter(|circle| circle.len() > 1).collect();
        circles.extend(
            of_folder.iter().map(|circle| circle.iter().map(|module| module.join("::")).collect::<Vec<_>>().join(", ")),
        );
    }
    circles
}
