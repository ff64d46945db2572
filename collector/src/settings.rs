//! The user's settings: `collector.toml`. Every mistake of the file is reported at once with its line.

use pingtong_cli::document::{Mistakes, Reader, Table};
use pingtong_cloud::EndpointRule;
use pingtong_evidence::{
    AccountId, Cidr, EndpointSet, Expectation, InstanceId, LOAD_MBIT_MAX, LOAD_SECONDS_MAX, Link, LinkId, LinkKind,
    LinkSide, PortRange, Protocol, RegionId, Side, VSwitchId, VpcId,
};
use pingtong_verdict::Ask;
use std::{
    collections::BTreeSet,
    fmt, io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};
use toml::de::DeTable;

/// Longest settling time in milliseconds: one hour. With a longer one, nothing would ever be conclusive in a busy
/// account.
const SETTLE_MS_MAX: u64 = 3_600_000;
const SETTLE_MS_DEFAULT: u64 = 60_000;
/// Maximum and default number of steady probes in a round. Fewer cost less, but show a small loss later.
const STEADY_PROBES_MAX: u32 = 10;
/// Default duration of a load in seconds.
const LOAD_SECONDS_DEFAULT: u32 = 3;
/// Bounds of what probes may use: of a percentage, and of rates up to what any connection carries.
const PERCENT: std::ops::RangeInclusive<u32> = 1..=100;
const KBIT: std::ops::RangeInclusive<u32> = 1..=10_000_000;
const MBIT: std::ops::RangeInclusive<u32> = 1..=100_000;
/// Maximum size of a settings file in bytes; a larger one was given by mistake.
const FILE_BYTES_MAX: u64 = 4 << 20;

/// The address that agents use, such as `https://100.100.0.10:7443`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServiceUrl {
    text: String,
    host: String,
}

impl ServiceUrl {
    /// Reads `https://HOST:PORT`.
    ///
    /// # Errors
    /// If the scheme is not `https`, if host or port is missing or wrong, or if something follows the port; the text
    /// says which.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let rest = text.strip_prefix("https://").ok_or("agents speak TLS only")?;
        let rest = rest.strip_suffix('/').unwrap_or(rest);
        if rest.contains(['/', '?', '#', '@']) || rest.chars().any(char::is_whitespace) {
            return Err("nothing may follow the port");
        }
        let (host, port) = rest.rsplit_once(':').ok_or("the port is missing")?;
        let host = host.strip_prefix('[').and_then(|inner| inner.strip_suffix(']')).unwrap_or(host);
        match port.parse::<u16>() {
            Ok(port) if port > 0 && !host.is_empty() => {
                Ok(Self { text: format!("https://{rest}"), host: host.to_owned() })
            }
            _ => Err("host or port is wrong"),
        }
    }

    /// The URL without a trailing slash.
    pub fn as_str(&self) -> &str {
        &self.text
    }

    /// Host name or address without brackets, as the certificate names it.
    pub fn host(&self) -> &str {
        &self.host
    }
}

impl fmt::Display for ServiceUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(&self.text)
    }
}

/// A link, the flows that must and must not work on it, and its limits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedLink {
    /// The link itself: its ID, its kind and its two sides.
    pub link: Link,
    /// Flows that must work.
    pub expectations: Vec<Expectation>,
    /// Flows that must not get through.
    pub forbids: Vec<Expectation>,
    /// Limit of a load that a user requests on this link; `None` forbids loads.
    pub load: Option<LoadLimit>,
    /// Bandwidth of the link in megabits per second, for a link whose configuration in the cloud states none or a
    /// higher one.
    pub bandwidth_mbit: Option<u32>,
    /// Overrides [`Budgets::verify_percent`] for this link.
    pub verify_percent: Option<u32>,
    /// Overrides [`Budgets::steady_percent`] for this link.
    pub steady_percent: Option<u32>,
}

impl ExpectedLink {
    /// A set of flows as a question about this link.
    pub(crate) fn ask(&self, flows: &Expectation) -> Ask {
        Ask { expectation: flows.clone(), link: Some(self.link.clone()) }
    }

    /// The expectations as questions.
    pub(crate) fn asks(&self) -> impl Iterator<Item = Ask> {
        self.expectations.iter().map(|flows| self.ask(flows))
    }
}

/// How much probes may use, counted as whole IP packets in each direction, replies included.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Budgets {
    /// Percentage of a link's bandwidth while a verification runs.
    pub verify_percent: u32,
    /// Percentage of a link's bandwidth for steady probes.
    pub steady_percent: u32,
    /// Kilobits per second of one host over all its pairs, while a verification runs.
    pub host_kbit: u32,
    /// Kilobits per second of one host over all its pairs, for steady probes.
    pub host_steady_kbit: u32,
    /// Megabits per second of all links together, while a verification runs.
    pub collector_mbit: u32,
    /// Megabits per second of all links together, for steady probes.
    pub collector_steady_mbit: u32,
}

impl Default for Budgets {
    fn default() -> Self {
        Self {
            verify_percent: 20,
            steady_percent: 2,
            // One fiftieth of the 100 Mbit/s that the smallest instances carry.
            host_kbit: 2_000,
            host_steady_kbit: 500,
            // Enough for 10,000 pairs with 50 probes in each direction within seven seconds.
            collector_mbit: 100,
            collector_steady_mbit: 50,
        }
    }
}

/// Limit of a load.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LoadLimit {
    /// Rate in megabits per second.
    pub mbit: u32,
    /// Total duration in seconds.
    pub seconds: u32,
}

/// A role with which an account's owner allows the collector itself to read the account's configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Grant {
    /// The account whose configuration may be read.
    pub account: AccountId,
    /// ARN of the role: `acs:ram::ACCOUNT:role/NAME`.
    pub role: String,
    /// External ID that the role's owner demands, if any.
    pub external_id: Option<String>,
}

/// Where the collector offers its service.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Service {
    /// Address on which `serve` listens.
    pub listen: SocketAddr,
    /// URL at which agents and commands reach it.
    pub url: ServiceUrl,
}

/// The error if a command needs the service but the settings define none.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error(
    "the settings do not say where the collector serves; add listen = \"ADDRESS:PORT\" and url = \"https://HOST:PORT\", as agents reach it"
)]
pub struct NoService;

/// The content of `collector.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where the collector offers its service; `None` suffices for commands that work on files alone.
    pub service: Option<Service>,
    /// Settling time in milliseconds: a configuration change within this time before the probes makes them
    /// inconclusive.
    pub settle_ms: u64,
    /// Maximum number of probes to each target in one steady round.
    pub steady_probes: u32,
    /// How much probes may use.
    pub budgets: Budgets,
    /// All links, with what is expected on each.
    pub links: Vec<ExpectedLink>,
    /// Roles that the collector may assume; at most one for each account, and only for accounts of links.
    pub grants: Vec<Grant>,
    /// Endpoints of the collector's own cloud calls: the public ones unless the settings name one. Endpoints inside a
    /// VPC answer for their own region only, and links join two.
    pub endpoint: EndpointRule,
    /// The profile of `~/.aliyun/config.json` with which the roles are assumed; `None` for the current profile.
    pub profile: Option<String>,
}

/// Why the settings cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read the settings \"{}\"; name the file with --config", path.display())]
    Unreadable {
        /// Path of the file.
        path: PathBuf,
        /// The I/O error.
        #[source]
        source: io::Error,
    },
    /// The file is too large to be a settings file.
    #[error("\"{}\" has more than {FILE_BYTES_MAX} bytes; name the settings file with --config", path.display())]
    TooLarge {
        /// Path of the file.
        path: PathBuf,
    },
    /// The file contains mistakes.
    #[error("{0}")]
    Mistakes(Mistakes),
}

impl Settings {
    /// Reads the file.
    ///
    /// # Errors
    /// If the file cannot be read, is too large, or contains mistakes; all mistakes are reported at once.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let unreadable = |source| SettingsError::Unreadable { path: path.to_owned(), source };
        if std::fs::metadata(path).map_err(unreadable)?.len() > FILE_BYTES_MAX {
            return Err(SettingsError::TooLarge { path: path.to_owned() });
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Self::parse(&text, &path.display().to_string()).map_err(SettingsError::Mistakes)
    }

    /// Parses the text of a file; `file` is its name in mistakes.
    ///
    /// # Errors
    /// If the text contains mistakes; all of them are returned.
    pub fn parse(text: &str, file: &str) -> Result<Self, Mistakes> {
        let mut reader = Reader::new(text);
        let (document, errors) = DeTable::parse_recoverable(text);
        reader.syntax(errors);
        if !reader.is_clean() {
            return Err(reader.finish(file));
        }
        let mut root = Table::root(&document);
        let service = read_service(&mut reader, &mut root);
        let settle_ms = reader.number(&mut root, "settle_ms", 0..=SETTLE_MS_MAX, SETTLE_MS_DEFAULT);
        let steady_probes = reader.number(&mut root, "steady_probes", 1..=STEADY_PROBES_MAX, STEADY_PROBES_MAX);
        let endpoint = reader
            .text_if_given(&mut root, "cloud_endpoint", "a base address such as \"http://100.100.0.2\"", |text| {
                EndpointRule::parse(Some(text))
            })
            .unwrap_or(EndpointRule::Public);
        let profile =
            reader.text_if_given(&mut root, "profile", "the name of a profile in ~/.aliyun/config.json", |text| {
                if text.is_empty() { Err("a name is not empty") } else { Ok(text.to_owned()) }
            });
        let budgets = read_budgets(&mut reader, &mut root);
        let tables = reader.tables(&mut root, "link", "[[link]] tables");
        if tables.is_empty() && reader.is_clean() {
            reader.mistake(&(0..0), "no [[link]] is given; accepted: at least one, with id, kind, initiator, acceptor");
        }
        let mut names = BTreeSet::new();
        let mut links = vec![];
        for table in tables {
            let at = table.at();
            if let Some(link) = read_link(&mut reader, table) {
                if !names.insert(link.link.id.clone()) {
                    reader.mistake(&at, format!("two links are named \"{}\"; each needs its own id", link.link.id));
                }
                links.push(link);
            }
        }
        let grants = read_grants(&mut reader, &mut root, &links);
        reader.close(&root);
        if !reader.is_clean() {
            return Err(reader.finish(file));
        }
        Ok(Self { service, settle_ms, steady_probes, budgets, links, grants, endpoint, profile })
    }

    /// Where the collector offers its service.
    ///
    /// # Errors
    /// If the settings do not say.
    pub fn service(&self) -> Result<&Service, NoService> {
        self.service.as_ref().ok_or(NoService)
    }

    /// The accounts of all links.
    pub fn accounts(&self) -> BTreeSet<AccountId> {
        accounts_of(&self.links)
    }
}

/// Reads `listen` and `url`. Both or neither must be given; one without the other is a mistake.
fn read_service(reader: &mut Reader<'_>, root: &mut Table<'_, '_>) -> Option<Service> {
    let given = ["listen", "url"].map(|key| root.has(key));
    if given == [false; 2] {
        return None;
    }
    let listen = reader.text(root, "listen", "ADDRESS:PORT, such as \"100.100.0.10:7443\"", str::parse);
    let url = reader.text(root, "url", "\"https://HOST:PORT\", as agents reach it", ServiceUrl::parse);
    Some(Service { listen: listen?, url: url? })
}

fn accounts_of(links: &[ExpectedLink]) -> BTreeSet<AccountId> {
    links.iter().flat_map(|expected| Side::BOTH.map(|side| expected.link.side(side).account.clone())).collect()
}

fn read_grants(reader: &mut Reader<'_>, root: &mut Table<'_, '_>, links: &[ExpectedLink]) -> Vec<Grant> {
    let known = accounts_of(links);
    let mut grants: Vec<Grant> = vec![];
    for mut table in reader.tables(root, "account", "[[account]] tables") {
        let account = reader.text(&mut table, "id", "the account's id, such as \"1000000000000001\"", AccountId::parse);
        let role = reader.text(&mut table, "role", "\"acs:ram::ACCOUNT:role/NAME\"", parse_role);
        let external_id = reader.text_if_given(
            &mut table,
            "external_id",
            "2 to 1224 letters, digits and any of =,.@:/-_+",
            parse_external_id,
        );
        let (at, path) = (table.at(), table.path().to_owned());
        reader.close(&table);
        let (Some(account), Some((owner, role))) = (account, role) else { continue };
        if owner != account {
            reader.mistake(&at, format!("{path}: the role \"{role}\" belongs to another account than {account}"));
        }
        // If a link could not be read, its accounts are not known; the link's own mistake says more.
        if !known.contains(&account) && reader.is_clean() {
            let accepted = known.iter().map(AccountId::as_str).collect::<Vec<_>>().join(", ");
            reader.mistake(&at, format!("{path}: account \"{account}\" is on no link; accepted: {accepted}"));
        }
        if grants.iter().any(|grant| grant.account == account) {
            reader.mistake(&at, format!("two roles are given for account {account}; the collector needs one"));
        }
        grants.push(Grant { account, role, external_id });
    }
    grants
}

/// Parses the ARN of a role. Returns the role's account, and the ARN as written.
fn parse_role(text: &str) -> Result<(AccountId, String), &'static str> {
    const NAME_MAX: usize = 64;
    let no_role = "not the ARN of a role";
    let (account, name) = text.strip_prefix("acs:ram::").and_then(|rest| rest.split_once(":role/")).ok_or(no_role)?;
    let plain = name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b".-_/".contains(&byte));
    if name.is_empty() || name.len() > NAME_MAX || !plain {
        return Err("no role can have that name");
    }
    Ok((AccountId::parse(account).map_err(|_| no_role)?, text.to_owned()))
}

fn parse_external_id(text: &str) -> Result<String, &'static str> {
    const BYTES: std::ops::RangeInclusive<usize> = 2..=1224;
    let plain = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"=,.@:/-_+".contains(&byte));
    if BYTES.contains(&text.len()) && plain { Ok(text.to_owned()) } else { Err("no external id has that form") }
}

fn read_link(reader: &mut Reader<'_>, mut table: Table<'_, '_>) -> Option<ExpectedLink> {
    let id = reader.text(&mut table, "id", "a name without spaces, such as \"peering1\"", LinkId::parse);
    let kind =
        reader.text(&mut table, "kind", "\"router-interface\", \"vpc-peering\" or \"transit-router\"", link_kind);
    let sides = ["initiator", "acceptor"].map(|key| {
        reader
            .table(&mut table, key, "{ account = \"…\", region = \"…\", vpc = \"…\" }")
            .and_then(|t| read_side(reader, t))
    });
    let mut expectations = vec![];
    for expect in reader.tables(&mut table, "expect", "[[link.expect]] tables") {
        expectations.extend(read_expectation(reader, expect));
    }
    let mut forbids = vec![];
    for forbid in reader.tables(&mut table, "forbid", "[[link.forbid]] tables") {
        forbids.extend(read_expectation(reader, forbid));
    }
    let load = read_load(reader, &mut table);
    let bandwidth_mbit = number_if_given(reader, &mut table, "bandwidth_mbit", MBIT);
    let verify_percent = number_if_given(reader, &mut table, "verify_percent", PERCENT);
    let steady_percent = number_if_given(reader, &mut table, "steady_percent", PERCENT);
    let at = table.at();
    reader.close(&table);
    let [Some(initiator), Some(acceptor)] = sides else { return None };
    if initiator == acceptor {
        reader.mistake(&at, "initiator and acceptor are the same VPC; a link joins two");
        return None;
    }
    let link = Link { id: id?, kind: kind?, initiator, acceptor };
    Some(ExpectedLink { link, expectations, forbids, load, bandwidth_mbit, verify_percent, steady_percent })
}

/// Reads the limit of a load. A missing or zero `load_mbit` forbids loads.
fn read_load(reader: &mut Reader<'_>, table: &mut Table<'_, '_>) -> Option<LoadLimit> {
    let mbit = reader.number(table, "load_mbit", 0..=LOAD_MBIT_MAX, 0);
    let seconds = reader.number(table, "load_seconds", 1..=LOAD_SECONDS_MAX, LOAD_SECONDS_DEFAULT);
    (mbit > 0).then_some(LoadLimit { mbit, seconds })
}

fn read_budgets(reader: &mut Reader<'_>, root: &mut Table<'_, '_>) -> Budgets {
    let usual = Budgets::default();
    if !root.has("budget") {
        return usual;
    }
    let Some(mut table) = reader.table(root, "budget", "a table with verify_percent, steady_percent and others") else {
        return usual;
    };
    let budgets = Budgets {
        verify_percent: reader.number(&mut table, "verify_percent", PERCENT, usual.verify_percent),
        steady_percent: reader.number(&mut table, "steady_percent", PERCENT, usual.steady_percent),
        host_kbit: reader.number(&mut table, "host_kbit", KBIT, usual.host_kbit),
        host_steady_kbit: reader.number(&mut table, "host_steady_kbit", KBIT, usual.host_steady_kbit),
        collector_mbit: reader.number(&mut table, "collector_mbit", MBIT, usual.collector_mbit),
        collector_steady_mbit: reader.number(&mut table, "collector_steady_mbit", MBIT, usual.collector_steady_mbit),
    };
    reader.close(&table);
    budgets
}

/// Reads a whole number within bounds; `None` if the key is absent.
fn number_if_given(
    reader: &mut Reader<'_>,
    table: &mut Table<'_, '_>,
    key: &str,
    range: std::ops::RangeInclusive<u32>,
) -> Option<u32> {
    let least = *range.start();
    table.has(key).then(|| reader.number(table, key, range, least))
}

fn link_kind(text: &str) -> Result<LinkKind, &'static str> {
    match text {
        "router-interface" => Ok(LinkKind::RouterInterface),
        "vpc-peering" => Ok(LinkKind::VpcPeering),
        "transit-router" => Ok(LinkKind::TransitRouter),
        _ => Err("no such kind of link"),
    }
}

fn read_side(reader: &mut Reader<'_>, mut table: Table<'_, '_>) -> Option<LinkSide> {
    let account =
        reader.text(&mut table, "account", "the account's id, such as \"1000000000000001\"", AccountId::parse);
    let region = reader.text(&mut table, "region", "a region id, such as \"cn-qingdao\"", RegionId::parse);
    let vpc = reader.text(&mut table, "vpc", "a VPC id, such as \"vpc-…\"", VpcId::parse);
    reader.close(&table);
    Some(LinkSide { account: account?, region: region?, vpc: vpc? })
}

fn read_expectation(reader: &mut Reader<'_>, mut table: Table<'_, '_>) -> Option<Expectation> {
    const SET: &str = "{ instance = { id = \"i-…\", address = \"192.168.1.10\" } }, { vswitch = \"vsw-…\" }, \
                       { vpc = \"vpc-…\" } or { cidr = \"10.0.0.0/8\" }";
    let sets = ["from", "to"].map(|key| reader.table(&mut table, key, SET).and_then(|t| read_set(reader, t, SET)));
    let protocol = reader.text(&mut table, "protocol", "\"icmp\", \"tcp\" or \"udp\"", |text| match text {
        "icmp" => Ok(Protocol::Icmp),
        "tcp" => Ok(Protocol::Tcp),
        "udp" => Ok(Protocol::Udp),
        _ => Err("no such protocol"),
    });
    let ports_given = table.has("ports");
    let ports = reader.port_pair(&mut table, "ports").and_then(|(first, last)| PortRange::new(first, last));
    let at = table.at();
    let path = table.path().to_owned();
    reader.close(&table);
    match protocol {
        Some(Protocol::Icmp) if ports_given => {
            reader.mistake(&at, format!("{path}: icmp has no ports; leave them out"));
        }
        Some(Protocol::Tcp | Protocol::Udp) if !ports_given => {
            reader.mistake(&at, format!("{path}: tcp and udp need ports, such as ports = [443, 443]"));
        }
        _ => {}
    }
    let [Some(from), Some(to)] = sets else { return None };
    Some(Expectation { from, to, protocol: protocol?, ports })
}

fn read_set(reader: &mut Reader<'_>, mut table: Table<'_, '_>, accepted: &str) -> Option<EndpointSet> {
    let given: Vec<&str> = ["instance", "vswitch", "vpc", "cidr"].into_iter().filter(|key| table.has(key)).collect();
    let set = match given[..] {
        ["instance"] => reader.table(&mut table, "instance", accepted).and_then(|mut instance| {
            let id = reader.text(&mut instance, "id", "an instance id, such as \"i-…\"", InstanceId::parse);
            let address = reader.text(&mut instance, "address", "its private address", str::parse::<IpAddr>);
            reader.close(&instance);
            Some(EndpointSet::Instance { id: id?, address: address? })
        }),
        ["vswitch"] => reader.text(&mut table, "vswitch", "a vSwitch id", VSwitchId::parse).map(EndpointSet::VSwitch),
        ["vpc"] => reader.text(&mut table, "vpc", "a VPC id", VpcId::parse).map(EndpointSet::Vpc),
        ["cidr"] => {
            reader.text(&mut table, "cidr", "a block such as \"10.0.0.0/8\"", Cidr::parse).map(EndpointSet::Cidr)
        }
        _ => {
            reader.mistake(
                &table.at(),
                format!("{}: exactly one set of hosts is needed; accepted: {accepted}", table.path()),
            );
            None
        }
    };
    reader.close(&table);
    set
}

#[cfg(test)]
mod tests;
