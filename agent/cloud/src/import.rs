//! Builds the same snapshot from saved output of the `aliyun` CLI, one file per call, so that nobody has to give a key
//! away.
//!
//! The content of a file identifies its call. The file name matters only for what the content does not contain: the
//! object of a call whose answer does not name it (`DescribeRouteEntryList.vtb-….json` for an empty table), the metric
//! that was requested, and the call that was refused. A listing with missing pages is unknown, never short. Times are
//! the modification times of the files. All files that cannot be understood are reported at once; no file is skipped
//! silently.

use crate::{
    client::listing::{Listing, ListingApi, PageError, Paging},
    error::{Remedy, is_throttling, remedy},
    gather::ecs,
    gather::interconnect,
    gather::reading::{Optional, Read, Reading, Record, Transit, TransitReading, TransitTableReading, rows},
    gather::records,
    gather::vpc,
    transport::row::{Row, RowError},
};
use pingtong_evidence::{
    AccountId, NextHopKind, Provenance, RegionId, RouteTableId, Snapshot, Source, Timestamp, TransitRouterId,
    WhyUnknown,
};
use serde_json::{Map, Value};
use std::{
    collections::{BTreeMap, BTreeSet},
    fmt,
    path::{Path, PathBuf},
};

/// Maximum number of files in one directory: one per call and page. An account with a thousand groups has a few
/// thousand.
const FILES_MAX: usize = 20_000;
/// Maximum size in bytes of one file, which may hold all pages of a large listing.
const FILE_BYTES_MAX: u64 = 256 << 20;

/// Why nothing was imported.
#[derive(Debug, thiserror::Error)]
pub enum ImportError {
    /// The directory cannot be read.
    #[error("cannot read the directory \"{path}\"")]
    Directory {
        /// Path of the directory.
        path: PathBuf,
        /// Error of the operating system.
        #[source]
        source: std::io::Error,
    },
    /// The directory has no `.json` file.
    #[error(
        "no .json file is in \"{0}\"; save answers there, such as: aliyun vpc DescribeVpcs --RegionId cn-qingdao --PageSize 50 > DescribeVpcs.json"
    )]
    Empty(PathBuf),
    /// Files cannot be understood, or there are too many of them.
    #[error("{} cannot be imported:{}", plural(.0.len()), lines(.0))]
    Files(Vec<FileProblem>),
    /// The files do not identify the account or the region, or they disagree about it.
    #[error("\"{path}\" holds answers of {found}; {next}")]
    Whose {
        /// Path of the directory.
        path: PathBuf,
        /// Description of the values that the files contain.
        found: String,
        /// What the user can do.
        next: &'static str,
    },
}

/// A file that cannot be understood.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct FileProblem {
    /// Path of the file.
    pub path: PathBuf,
    /// What is wrong, and how to correct it.
    pub what: String,
}

fn plural(files: usize) -> String {
    if files == 1 { "1 file".to_owned() } else { format!("{files} files") }
}

fn lines(problems: &[FileProblem]) -> String {
    problems
        .iter()
        .fold(String::new(), |text, FileProblem { path, what }| format!("{text}\n  {}: {what}", path.display()))
}

/// Reads a directory of saved answers, and each directory in it separately: one directory per account and region.
/// `account` and `region` apply to all of them; if `None`, the files identify account and region.
///
/// # Errors
/// Fails if a directory cannot be read or has no `.json` file, if a file cannot be understood, or if account or region
/// remain undetermined. A missing or incomplete listing is not an error; it becomes a gap.
pub fn read_directory(
    path: &Path,
    account: Option<&AccountId>,
    region: Option<&RegionId>,
) -> Result<Vec<Snapshot>, ImportError> {
    let (files, directories) = entries_of(path)?;
    let mut snapshots = vec![];
    if !files.is_empty() {
        snapshots.push(read_files(path, &files, account, region)?);
    }
    for directory in directories {
        let (files, _) = entries_of(&directory)?;
        if !files.is_empty() {
            snapshots.push(read_files(&directory, &files, account, region)?);
        }
    }
    if snapshots.is_empty() { Err(ImportError::Empty(path.to_owned())) } else { Ok(snapshots) }
}

/// The `.json` files and the subdirectories of a directory, each sorted.
fn entries_of(path: &Path) -> Result<(Vec<PathBuf>, Vec<PathBuf>), ImportError> {
    let failed = |source| ImportError::Directory { path: path.to_owned(), source };
    let (mut files, mut directories) = (vec![], vec![]);
    for entry in std::fs::read_dir(path).map_err(failed)? {
        let entry = entry.map_err(failed)?.path();
        if entry.is_dir() {
            directories.push(entry);
        } else if entry.extension().is_some_and(|extension| extension.eq_ignore_ascii_case("json")) {
            files.push(entry);
        }
    }
    if files.len() > FILES_MAX {
        let what = format!("more than {FILES_MAX} files are in one directory");
        return Err(ImportError::Files(vec![FileProblem { path: path.to_owned(), what }]));
    }
    files.sort();
    directories.sort();
    Ok((files, directories))
}

fn read_files(
    path: &Path,
    files: &[PathBuf],
    account: Option<&AccountId>,
    region: Option<&RegionId>,
) -> Result<Snapshot, ImportError> {
    let mut saved = SavedCalls::default();
    let mut problems = vec![];
    for file in files {
        match Saved::read(file).and_then(|(call, page)| saved.add(call, page)) {
            Ok(()) => {}
            Err(what) => problems.push(FileProblem { path: file.clone(), what }),
        }
    }
    if !problems.is_empty() {
        return Err(ImportError::Files(problems));
    }
    let account = match account {
        Some(account) => account.clone(),
        None => the_one(
            path,
            "account",
            &saved.accounts,
            "give each account a directory of its own, or name one with --account",
        )?,
    };
    let region = match region {
        Some(region) => region.clone(),
        None => the_one(
            path,
            "region",
            &saved.regions,
            "give each region a directory of its own, or name one with --region",
        )?,
    };
    let (from, to) = (saved.oldest, saved.newest);
    let now = move || to;
    let record = Record::new(account.clone(), region.clone(), &now).taken_at(from);
    Ok(saved.reading(&account, &region).into_snapshot(record))
}

fn the_one<T: std::str::FromStr>(
    path: &Path,
    word: &str,
    found: &BTreeSet<String>,
    next: &'static str,
) -> Result<T, ImportError> {
    let refuse = |found: String| ImportError::Whose { path: path.to_owned(), found, next };
    let mut found_once = found.iter();
    match (found_once.next(), found_once.next()) {
        (Some(one), None) => one.parse().map_err(|_| refuse(format!("the {word} \"{}\"", one.escape_debug()))),
        (None, _) => Err(refuse(format!("an untold {word}"))),
        (Some(_), Some(_)) => {
            let all: Vec<&str> = found.iter().map(String::as_str).collect();
            Err(refuse(format!("the {word}s {}", all.join(", "))))
        }
    }
}

/// The action that a text is the answer of; `None` if it is not the answer of a known call.
#[cfg(test)]
pub(crate) fn saved_call(name: &str, text: &str) -> Option<&'static str> {
    Saved::parse(name.to_owned(), Timestamp::from_millis(0), text).ok().map(|(key, _)| key.action)
}

/// Identifies the call that a file is the answer of.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord)]
struct CallKey {
    action: &'static str,
    /// Id of the object that the call asked about, or name of the metric.
    object: Option<String>,
}

/// Which object a call is about, and where its id is found.
#[derive(Clone, Copy)]
enum About {
    /// No object: the listing is of the whole account and region.
    Nothing,
    /// The object whose id has this prefix. The id is in the answer's own fields, in its rows, or in the file name.
    Id { field: &'static str, prefix: &'static str },
    /// A metric, named by the file name.
    Metric,
}

/// Every call that can be imported.
fn calls() -> [(&'static ListingApi, About); 20] {
    let table = About::Id { field: "TransitRouterRouteTableId", prefix: "vtb-" };
    let router = About::Id { field: "TransitRouterId", prefix: "tr-" };
    [
        (&vpc::VPCS, About::Nothing),
        (&vpc::VSWITCHES, About::Nothing),
        (&vpc::ROUTE_TABLES, About::Nothing),
        (&vpc::ROUTE_ENTRIES, About::Id { field: "RouteTableId", prefix: "vtb-" }),
        (&vpc::ROUTER_INTERFACES, About::Nothing),
        (&vpc::NETWORK_ACLS, About::Nothing),
        (&ecs::SECURITY_GROUPS, About::Nothing),
        (&ecs::SECURITY_RULES, About::Id { field: "SecurityGroupId", prefix: "sg-" }),
        (&ecs::PREFIX_LIST_ENTRIES, About::Id { field: "PrefixListId", prefix: "pl-" }),
        (&ecs::INSTANCES, About::Nothing),
        (&ecs::ENIS, About::Nothing),
        (&interconnect::VPC_PEERINGS, About::Nothing),
        (&interconnect::ATTACHMENTS, About::Nothing),
        (&interconnect::TRANSIT_PEERINGS, router),
        (&interconnect::TRANSIT_TABLES, router),
        (&interconnect::TRANSIT_ROUTES, table),
        (&interconnect::ASSOCIATIONS, table),
        (&interconnect::PROPAGATIONS, table),
        (&records::METRICS, About::Metric),
        (&records::EVENTS, About::Nothing),
    ]
}

/// The saved answer in one file.
struct Saved {
    name: String,
    at: Timestamp,
    document: Map<String, Value>,
}

impl Saved {
    /// Reads a file and identifies the call that it answers. The error says what is wrong and how to correct it.
    fn read(path: &Path) -> Result<(CallKey, Self), String> {
        let name = path.file_name().unwrap_or_default().to_string_lossy().into_owned();
        let failed = |error: std::io::Error| error.to_string();
        let metadata = std::fs::metadata(path).map_err(failed)?;
        if metadata.len() > FILE_BYTES_MAX {
            return Err(format!("longer than {} MiB; save the pages in files of their own", FILE_BYTES_MAX >> 20));
        }
        let written = metadata.modified().map_err(failed)?;
        let since = written.duration_since(std::time::UNIX_EPOCH).unwrap_or_default();
        let at = Timestamp::from_millis(i64::try_from(since.as_millis()).unwrap_or(i64::MAX));
        let text = decoded(&std::fs::read(path).map_err(failed)?)?;
        Self::parse(name, at, &text)
    }

    fn parse(name: String, at: Timestamp, text: &str) -> Result<(CallKey, Self), String> {
        if text.trim().is_empty() {
            return Err("empty: the call failed; run it again and look at what it says, or remove the file".to_owned());
        }
        let document = match serde_json::from_str(text) {
            Ok(Value::Object(document)) => document,
            Ok(_) => return Err("not a JSON object: save the whole answer, without --cli-query or --output".to_owned()),
            Err(error) => return Err(format!("not JSON: {error}; save the answer as the CLI prints it")),
        };
        let key = call_key(&name, &document)?;
        Ok((key, Self { name, at, document }))
    }

    /// Error code and request id, if this is an error answer of the API.
    fn refusal(&self) -> Option<(String, String)> {
        let row = Row::new(&self.document);
        let code = row.text("Code").filter(|_| row.text("Message").is_some())?;
        Some((code, row.text("RequestId").unwrap_or_default()))
    }
}

/// Decodes text as the shells of the CLI's platforms write it: UTF-8, or UTF-16 with a byte order mark (PowerShell).
pub(crate) fn decoded(bytes: &[u8]) -> Result<String, String> {
    let units =
        |pair: fn([u8; 2]) -> u16| bytes[2..].chunks_exact(2).map(|two| pair([two[0], two[1]])).collect::<Vec<_>>();
    let text = match bytes {
        [0xff, 0xfe, ..] => String::from_utf16(&units(u16::from_le_bytes)).ok(),
        [0xfe, 0xff, ..] => String::from_utf16(&units(u16::from_be_bytes)).ok(),
        [0xef, 0xbb, 0xbf, rest @ ..] => String::from_utf8(rest.to_vec()).ok(),
        _ => String::from_utf8(bytes.to_vec()).ok(),
    };
    text.ok_or_else(|| "not text in UTF-8 or UTF-16".to_owned())
}

/// Identifies the call of a document. The list in the content decides; the file name decides between calls that use the
/// same list field, and for an error answer.
fn call_key(name: &str, document: &Map<String, Value>) -> Result<CallKey, String> {
    let calls = calls();
    let holding: Vec<_> = calls.iter().filter(|(api, _)| document.contains_key(api.container)).collect();
    let named = calls.iter().filter(|(api, _)| name.contains(api.action)).max_by_key(|(api, _)| api.action.len());
    let (api, about) = match (holding.as_slice(), named) {
        ([one], _) => one,
        ([], Some(named)) if document.contains_key("Code") => named,
        ([], Some(named)) if Row::new(document).number::<u64>("TotalCount") == Some(0) => named,
        ([], _) => return Err(format!("no list of a known call is in it; the calls are {}", actions(&calls))),
        (several, Some(named)) if several.iter().any(|(api, _)| api.action == named.0.action) => named,
        (several, _) => several
            .iter()
            .find(|(api, _)| told_by_rows(api, document))
            .ok_or_else(|| "put the name of the call into the file's name".to_owned())?,
    };
    let object = match about {
        About::Nothing => None,
        About::Id { field, prefix } => {
            Some(id_inside(document, api.container, field).or_else(|| id_in_name(name, prefix)).ok_or_else(|| {
                format!("the answer does not say which object it is about; name the file {}.{prefix}….json", api.action)
            })?)
        }
        About::Metric => {
            let metric =
                records::METRIC_KINDS.into_iter().map(records::metric_name).find(|metric| name.contains(metric));
            Some(metric.map(str::to_owned).ok_or_else(|| {
                format!(
                    "the answer does not say which metric it is; name the file {}.RateLimitDropPps.json",
                    api.action
                )
            })?)
        }
    };
    Ok(CallKey { action: api.action, object })
}

fn actions(calls: &[(&ListingApi, About)]) -> String {
    calls.iter().map(|(api, _)| api.action).collect::<Vec<_>>().join(", ")
}

/// Whether the rows belong to this API. Attachments of VPCs and of transit routers are in a list field of the same
/// name.
fn told_by_rows(api: &ListingApi, document: &Map<String, Value>) -> bool {
    let field = if api.action == interconnect::TRANSIT_PEERINGS.action { "PeerTransitRouterId" } else { "VpcId" };
    Row::new(document).rows(api.container).any(|row| row.text(field).is_some())
}

fn id_inside(document: &Map<String, Value>, container: &str, field: &str) -> Option<String> {
    let row = Row::new(document);
    row.text(field).or_else(|| row.rows(container).find_map(|row| row.text(field)))
}

/// Finds an id in the parts of a file name: `x.vtb-1.2.json` contains `vtb-1`.
fn id_in_name(name: &str, prefix: &str) -> Option<String> {
    let part = |c: char| !(c.is_ascii_alphanumeric() || c == '-');
    let at = |part: &str| {
        let start =
            part.match_indices(prefix).map(|(at, _)| at).find(|at| *at == 0 || part.as_bytes()[at - 1] == b'-')?;
        (part.len() > start + prefix.len()).then(|| part[start..].to_owned())
    };
    name.split(part).find_map(at)
}

/// The saved pages of all calls, with the accounts, regions and times that they contain.
struct SavedCalls {
    pages: BTreeMap<CallKey, Vec<Saved>>,
    accounts: BTreeSet<String>,
    regions: BTreeSet<String>,
    oldest: Timestamp,
    newest: Timestamp,
}

impl Default for SavedCalls {
    fn default() -> Self {
        let (oldest, newest) = (Timestamp::from_millis(i64::MAX), Timestamp::from_millis(0));
        Self { pages: BTreeMap::new(), accounts: BTreeSet::new(), regions: BTreeSet::new(), oldest, newest }
    }
}

impl SavedCalls {
    fn add(&mut self, key: CallKey, page: Saved) -> Result<(), String> {
        let row = Row::new(&page.document);
        if key.action == vpc::VPCS.action || key.action == vpc::VSWITCHES.action {
            for container in [vpc::VPCS.container, vpc::VSWITCHES.container] {
                self.accounts.extend(row.rows(container).filter_map(|row| row.text("OwnerId")));
                self.regions.extend(row.rows(container).filter_map(|row| row.text("RegionId")));
            }
        }
        self.oldest = self.oldest.min(page.at);
        self.newest = self.newest.max(page.at);
        let pages = self.pages.entry(key).or_default();
        let number = |page: &Saved| Row::new(&page.document).number::<u64>("PageNumber");
        if let Some(same) = pages.iter().find(|have| number(have).is_some() && number(have) == number(&page)) {
            return Err(format!("the same page as \"{}\"; remove one of them", same.name));
        }
        pages.push(page);
        Ok(())
    }

    /// Joins the saved pages of a call into one listing.
    fn read<T>(
        &mut self,
        api: &ListingApi,
        object: Option<&str>,
        read: impl Fn(Row<'_>, Provenance) -> Result<T, RowError>,
    ) -> Read<T> {
        let action = api.name();
        let key = CallKey { action: api.action, object: object.map(str::to_owned) };
        let Some(mut pages) = self.pages.remove(&key) else {
            let message = format!("no file of this call is there; save the answer of \"{}\"", how_to_save(api, object));
            return Err(WhyUnknown::Unreachable { action, message });
        };
        pages.sort_by_key(|page| Row::new(&page.document).number::<u64>("PageNumber"));
        if let Some((code, request_id)) = pages.iter().find_map(Saved::refusal).filter(|(code, _)| code != "200") {
            return Err(match remedy(200, &code) {
                _ if is_throttling(200, &code) => WhyUnknown::Throttled { action },
                Remedy::Grant => WhyUnknown::Denied { action, code, request_id },
                _ => WhyUnknown::Refused { action, code, request_id },
            });
        }
        let malformed = |message| WhyUnknown::Malformed { action: action.clone(), message };
        let mut listing = Listing::default();
        let (mut total, mut open_ends, count) = (None, 0, pages.len());
        for page in pages {
            let source = Source { api: api.name(), request_id: page.name.clone(), at: page.at };
            let said = listing.add(api.container, page.document, source, &read).map_err(|error| {
                let (PageError::NoList(what) | PageError::Row(what)) = error;
                malformed(format!("{}: {what}", page.name))
            })?;
            total = total.max(said.total);
            open_ends += usize::from(said.next.is_some());
        }
        let have = listing.rows.len();
        let short = total.is_some_and(|total| have < total);
        let unended = matches!(api.paging, Paging::Token(..)) && open_ends >= count;
        if short || unended {
            let of = total.filter(|_| short).map_or_else(String::new, |total| format!(" of {total}"));
            let message = format!("the files hold {have}{of} rows and not the last page; save the further pages too");
            return Err(malformed(message));
        }
        Ok(listing)
    }

    fn read_each<Id: Ord + ToString, T>(
        &mut self,
        api: &ListingApi,
        ids: impl IntoIterator<Item = Id>,
        read: impl Fn(Row<'_>, Provenance) -> Result<T, RowError>,
    ) -> BTreeMap<Id, Read<T>> {
        ids.into_iter()
            .map(|id| (self.read(api, Some(&id.to_string()), &read), id))
            .map(|(read, id)| (id, read))
            .collect()
    }

    fn has(&self, api: &ListingApi) -> bool {
        self.pages.keys().any(|key| key.action == api.action)
    }

    fn reading(mut self, account: &AccountId, region: &RegionId) -> Reading {
        let mut in_cen = false;
        let vpcs = self.pages.iter().filter(|(key, _)| key.action == vpc::VPCS.action).flat_map(|(_, pages)| pages);
        for page in vpcs {
            let mut rows = Row::new(&page.document).rows(vpc::VPCS.container);
            in_cen |= rows.any(|row| row.word("CenStatus").as_deref() == Some("attached"));
        }
        let vpcs = self.read(&vpc::VPCS, None, vpc::vpc);
        let vswitches = self.read(&vpc::VSWITCHES, None, vpc::vswitch);
        let route_tables = self.read(&vpc::ROUTE_TABLES, None, vpc::route_table);
        let tables: BTreeSet<RouteTableId> =
            rows(&route_tables).iter().flatten().map(|table| table.id.clone()).collect();
        let route_entries = self.read_each(&vpc::ROUTE_ENTRIES, tables, vpc::route_entry);
        let security_groups = self.read(&ecs::SECURITY_GROUPS, None, ecs::security_group);
        let groups: BTreeSet<_> = rows(&security_groups).iter().map(|group| group.id.clone()).collect();
        let security_rules = self.read_each(&ecs::SECURITY_RULES, groups, |row, _| ecs::security_rule(row, account));
        let hops = Reading::next_hops(&route_entries);
        let lists = Reading::prefix_lists_named(&security_rules);
        let needs_peerings = hops.contains(&NextHopKind::VpcPeering) || self.has(&interconnect::VPC_PEERINGS);
        let needs_transit = in_cen || hops.contains(&NextHopKind::Attachment) || self.has(&interconnect::ATTACHMENTS);
        let no_cen = vpcs.is_ok() && route_tables.is_ok() && route_entries.values().all(Result::is_ok);
        let peering =
            |row: Row<'_>, provenance: Provenance| interconnect::vpc_peering(row, provenance, account, region);
        let metrics = records::METRIC_KINDS.into_iter().filter_map(|kind| {
            let name = records::metric_name(kind);
            let key = CallKey { action: records::METRICS.action, object: Some(name.to_owned()) };
            let saved = self.pages.contains_key(&key);
            saved.then(|| (kind, Optional::Needed(self.read(&records::METRICS, Some(name), records::measured))))
        });
        let metrics = metrics.collect();
        let changes = self.has(&records::EVENTS);
        Reading {
            vpcs,
            vswitches,
            route_tables,
            route_entries,
            router_interfaces: self.read(&vpc::ROUTER_INTERFACES, None, vpc::router_interface),
            network_acls: self.read(&vpc::NETWORK_ACLS, None, vpc::network_acl),
            security_groups,
            security_rules,
            instances: self.read(&ecs::INSTANCES, None, ecs::instance),
            enis: self.read(&ecs::ENIS, None, ecs::eni),
            prefix_lists: self.read_each(&ecs::PREFIX_LIST_ENTRIES, lists, ecs::prefix_list_entry),
            vpc_peerings: if needs_peerings {
                Optional::Needed(self.read(&interconnect::VPC_PEERINGS, None, peering))
            } else {
                Optional::NotAsked
            },
            transit: match (needs_transit, no_cen) {
                (true, _) => Transit::Read(Box::new(self.transit(region))),
                (false, true) => Transit::None,
                (false, false) => Transit::NotAsked,
            },
            metrics,
            changes: if changes {
                Optional::Needed(self.read(&records::EVENTS, None, records::change))
            } else {
                Optional::NotAsked
            },
        }
    }

    /// Reads transit routers: those of the attachments, and further ones whose answers were saved.
    fn transit(&mut self, region: &RegionId) -> TransitReading {
        let attachments = self.read(&interconnect::ATTACHMENTS, None, interconnect::attachment);
        let saved = self.pages.keys().filter(|key| key.action == interconnect::TRANSIT_TABLES.action);
        let saved = saved.filter_map(|key| TransitRouterId::parse(key.object.as_deref()?).ok());
        let mut routers: BTreeSet<TransitRouterId> = saved.collect();
        routers.extend(rows(&attachments).iter().map(|row| row.transit_router.clone()));
        let peering = |row: Row<'_>, provenance: Provenance| interconnect::transit_peering(row, provenance, region);
        let peerings = self.read_each(&interconnect::TRANSIT_PEERINGS, routers.clone(), peering);
        let tables = self.read_each(&interconnect::TRANSIT_TABLES, routers, interconnect::transit_table);
        let ids: Vec<RouteTableId> = tables.values().flat_map(rows).map(|table| table.id.clone()).collect();
        let mut inner = BTreeMap::new();
        for id in ids {
            let about = Some(id.to_string());
            let reading = TransitTableReading {
                routes: self.read(&interconnect::TRANSIT_ROUTES, about.as_deref(), interconnect::transit_route),
                associations: self.read(&interconnect::ASSOCIATIONS, about.as_deref(), interconnect::bound_attachment),
                propagations: self.read(&interconnect::PROPAGATIONS, about.as_deref(), interconnect::bound_attachment),
            };
            inner.insert(id, reading);
        }
        TransitReading { attachments: Some(attachments), peerings, tables, inner }
    }
}

/// The command line that saves the answer of a call.
fn how_to_save(api: &ListingApi, object: Option<&str>) -> impl fmt::Display {
    let about = calls().into_iter().find(|(known, _)| known.action == api.action).map(|(_, about)| about);
    let argument = match (about, object) {
        (Some(About::Id { field, .. }), Some(id)) => format!(" --{field} {id}"),
        _ => String::new(),
    };
    let region = if api.regional { " --RegionId REGION" } else { "" };
    let size = match api.paging {
        Paging::Number => " --PageSize 50".to_owned(),
        Paging::Token(name, size) => format!(" --{name} {size}"),
        Paging::Whole => String::new(),
    };
    format!("aliyun {} {}{region}{argument}{size}", api.product.code(), api.action)
}

#[cfg(test)]
mod tests;
