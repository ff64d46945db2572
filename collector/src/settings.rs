//! What the user sets: `collector.toml`, and the few words of the environment that a terminal program heeds.
//!
//! Every mistake of the file is told at once with its line. The only module that reads the environment.

use crate::document::{Mistakes, Reader, Table};
use pingtong_evidence::{
    AccountId, Cidr, EndpointSet, Expectation, InstanceId, Link, LinkId, LinkKind, LinkSide, PortRange, Protocol,
    RegionId, Side, VSwitchId, VpcId,
};
use pingtong_verdict::Lang;
use std::{
    collections::BTreeSet,
    fmt, io,
    net::{IpAddr, SocketAddr},
    path::{Path, PathBuf},
};
use toml::de::DeTable;

/// Greatest settling time: an hour. Beyond it nothing would ever be conclusive in a busy account.
const SETTLE_MS_MAX: u64 = 3_600_000;
const SETTLE_MS_DEFAULT: u64 = 60_000;
/// Bytes of a settings file; more is a wrong file given by mistake.
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
    /// What is wrong, in words.
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

/// A link and what must hold on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ExpectedLink {
    /// The link.
    pub link: Link,
    /// What must hold.
    pub expectations: Vec<Expectation>,
}

/// `collector.toml`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Settings {
    /// Where `serve` listens.
    pub listen: SocketAddr,
    /// Where agents and commands find it.
    pub url: ServiceUrl,
    /// A configuration change within this time before the probes makes them inconclusive.
    pub settle_ms: u64,
    /// The links.
    pub links: Vec<ExpectedLink>,
}

/// Why there are no settings.
#[derive(Debug, thiserror::Error)]
pub enum SettingsError {
    /// The file cannot be read.
    #[error("cannot read the settings \"{}\"; name the file with --config", path.display())]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// The file is far too large to be one of ours.
    #[error("\"{}\" has more than {FILE_BYTES_MAX} bytes; name the settings file with --config", path.display())]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// The file says something that cannot be accepted.
    #[error("{0}")]
    Mistakes(Mistakes),
}

impl Settings {
    /// Reads the file.
    ///
    /// # Errors
    /// [`SettingsError`], with every mistake at once.
    pub fn load(path: &Path) -> Result<Self, SettingsError> {
        let unreadable = |source| SettingsError::Unreadable { path: path.to_owned(), source };
        if std::fs::metadata(path).map_err(unreadable)?.len() > FILE_BYTES_MAX {
            return Err(SettingsError::TooLarge { path: path.to_owned() });
        }
        let text = std::fs::read_to_string(path).map_err(unreadable)?;
        Self::parse(&text, &path.display().to_string()).map_err(SettingsError::Mistakes)
    }

    /// Reads the text of a file; `file` is its name in mistakes.
    ///
    /// # Errors
    /// Every mistake at once.
    pub fn parse(text: &str, file: &str) -> Result<Self, Mistakes> {
        let mut reader = Reader::new(text);
        let (document, errors) = DeTable::parse_recoverable(text);
        reader.syntax(errors);
        if !reader.is_clean() {
            return Err(reader.finish(file));
        }
        let mut root = Table::root(&document);
        let listen = reader.text(&mut root, "listen", "ADDRESS:PORT, such as \"100.100.0.10:7443\"", str::parse);
        let url = reader.text(&mut root, "url", "\"https://HOST:PORT\", as agents reach it", ServiceUrl::parse);
        let settle_ms = reader.number(&mut root, "settle_ms", 0..=SETTLE_MS_MAX, SETTLE_MS_DEFAULT);
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
        reader.close(&root);
        let clean = reader.is_clean();
        match (listen, url) {
            (Some(listen), Some(url)) if clean => Ok(Self { listen, url, settle_ms, links }),
            _ => Err(reader.finish(file)),
        }
    }

    /// The accounts of all links.
    pub fn accounts(&self) -> BTreeSet<AccountId> {
        self.links
            .iter()
            .flat_map(|expected| Side::BOTH.map(|side| expected.link.side(side).account.clone()))
            .collect()
    }
}

fn read_link(reader: &mut Reader<'_>, mut table: Table<'_, '_>) -> Option<ExpectedLink> {
    let id = reader.text(&mut table, "id", "a name without spaces, such as \"peering1\"", LinkId::parse);
    let kind = reader.text(&mut table, "kind", "\"router-interface\", \"vpc-peering\" or \"transit-router\"", link_kind);
    let sides = ["initiator", "acceptor"].map(|key| {
        reader.table(&mut table, key, "{ account = \"…\", region = \"…\", vpc = \"…\" }").and_then(|t| read_side(reader, t))
    });
    let mut expectations = vec![];
    for expect in reader.tables(&mut table, "expect", "[[link.expect]] tables") {
        expectations.extend(read_expectation(reader, expect));
    }
    let at = table.at();
    reader.close(&table);
    let [Some(initiator), Some(acceptor)] = sides else { return None };
    if initiator == acceptor {
        reader.mistake(&at, "initiator and acceptor are the same VPC; a link joins two");
        return None;
    }
    Some(ExpectedLink { link: Link { id: id?, kind: kind?, initiator, acceptor }, expectations })
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
    let account = reader.text(&mut table, "account", "the account's id, such as \"1000000000000001\"", AccountId::parse);
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
        Some(Protocol::Icmp) if ports_given => reader.mistake(&at, format!("{path}: icmp has no ports; leave them out")),
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
        ["cidr"] => reader.text(&mut table, "cidr", "a block such as \"10.0.0.0/8\"", Cidr::parse).map(EndpointSet::Cidr),
        _ => {
            reader.mistake(&table.at(), format!("{}: exactly one set of hosts is needed; accepted: {accepted}", table.path()));
            None
        }
    };
    reader.close(&table);
    set
}

/// The language that the locale asks for.
pub fn lang_of_environment() -> Lang {
    let word = ["LC_ALL", "LC_MESSAGES", "LANG"].into_iter().filter_map(read_variable).find(|word| !word.is_empty());
    word.map_or(Lang::En, |word| Lang::from_locale(&word))
}

/// Whether the user asked for no colour (`NO_COLOR`, any value).
pub fn no_colour() -> bool {
    read_variable("NO_COLOR").is_some_and(|value| !value.is_empty())
}

/// The log filter, `RUST_LOG`, when it is set.
pub fn log_filter() -> Option<String> {
    read_variable("RUST_LOG").filter(|filter| !filter.is_empty())
}

#[expect(clippy::disallowed_methods, reason = "this is the module that reads the environment")]
fn read_variable(name: &str) -> Option<String> {
    std::env::var(name).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    const GOOD: &str = r#"
listen = "100.100.0.10:7443"
url = "https://100.100.0.10:7443"
settle_ms = 0
[[link]]
id = "peering1"
kind = "router-interface"
initiator = { account = "1000000000000001", region = "cn-qingdao", vpc = "vpc-a" }
acceptor = { account = "1000000000000002", region = "cn-beijing", vpc = "vpc-b" }
[[link.expect]]
from = { instance = { id = "i-a", address = "192.168.1.10" } }
to = { vpc = "vpc-b" }
protocol = "icmp"
[[link.expect]]
from = { cidr = "192.168.0.0/16" }
to = { vswitch = "vsw-b" }
protocol = "tcp"
ports = [443, 443]
"#;

    #[test]
    fn reads_a_whole_file() {
        let settings = Settings::parse(GOOD, "collector.toml").unwrap();
        assert_eq!(settings.settle_ms, 0);
        assert_eq!(settings.url.host(), "100.100.0.10");
        assert_eq!(settings.links[0].expectations.len(), 2);
        assert_eq!(settings.links[0].expectations[1].ports, PortRange::new(443, 443));
        assert_eq!(settings.accounts().len(), 2);
    }

    #[test]
    fn tells_every_mistake_at_once_with_its_line() {
        let bad = r#"
listen = "nowhere"
url = "http://x:1"
settle = 3
[[link]]
id = "a b"
kind = "wire"
initiator = { account = "1", region = "r", vpc = "v", zone = "z" }
[[link.expect]]
from = { cidr = "10.0.0.1/8" }
to = { vpc = "v", cidr = "10.0.0.0/8" }
protocol = "tcp"
"#;
        let mistakes = Settings::parse(bad, "c.toml").unwrap_err();
        insta::assert_snapshot!(mistakes.to_string(), @r##"
c.toml:2: listen = "nowhere": invalid socket address syntax; accepted: ADDRESS:PORT, such as "100.100.0.10:7443"
c.toml:3: url = "http://x:1": agents speak TLS only; accepted: "https://HOST:PORT", as agents reach it
c.toml:4: unknown key "settle"; accepted here: link, listen, settle_ms, url
c.toml:5: "link[0].acceptor" is missing; accepted: { account = "…", region = "…", vpc = "…" }
c.toml:6: link[0].id = "a b": id "a b" contains white space or a control character; accepted: a name without spaces, such as "peering1"
c.toml:7: link[0].kind = "wire": no such kind of link; accepted: "router-interface", "vpc-peering" or "transit-router"
c.toml:8: unknown key "link[0].initiator.zone"; accepted here: account, region, vpc
c.toml:9: link[0].expect[0]: tcp and udp need ports, such as ports = [443, 443]
c.toml:10: link[0].expect[0].from.cidr = "10.0.0.1/8": "10.0.0.1/8" has host bits set; probably 10.0.0.0/8 was meant; accepted: a block such as "10.0.0.0/8"
c.toml:11: link[0].expect[0].to: exactly one set of hosts is needed; accepted: { instance = { id = "i-…", address = "192.168.1.10" } }, { vswitch = "vsw-…" }, { vpc = "vpc-…" } or { cidr = "10.0.0.0/8" }
"##);
    }

    #[test]
    fn broken_toml_is_told_with_its_line() {
        let mistakes = Settings::parse("listen = \n\nurl = \"\n", "c.toml").unwrap_err();
        assert!(mistakes.to_string().starts_with("c.toml:1: not TOML"), "{mistakes}");
    }

    #[test]
    fn a_url_keeps_its_host() {
        assert_eq!(ServiceUrl::parse("https://[fd00::1]:7443/").unwrap().host(), "fd00::1");
        for bad in ["http://a:1", "https://a", "https://:1", "https://a:0", "https://a:1/x", "https://u@a:1"] {
            assert!(ServiceUrl::parse(bad).is_err(), "{bad}");
        }
    }
}
