//! The targets of a command line: addresses, names, CIDR blocks, files of these.
//!
//! All mistakes are collected and reported at once, each with its place. A name is resolved once, at the start.

use pingtong_evidence::Cidr;
use std::{
    collections::{BTreeMap, BTreeSet},
    io::{self, Read as _},
    net::{IpAddr, Ipv4Addr, Ipv6Addr, ToSocketAddrs},
};

/// Maximum number of addresses of one command, a quarter of a million: about 60 MB of figures.
pub(super) const TARGETS_MAX: usize = 1 << 18;

/// The address family to which names resolve.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Family {
    Any,
    V4,
    V6,
}

/// Addresses in the order in which they were given, without duplicates, and the names that were given for some.
#[derive(Debug, Default)]
pub(super) struct Targets {
    pub(super) addresses: Vec<IpAddr>,
    pub(super) names: BTreeMap<usize, String>,
    /// Interface for link-local addresses, if one was given with them.
    pub(super) scope: Option<Scope>,
    /// The first link-local address given without an interface.
    pub(super) unscoped: Option<Ipv6Addr>,
}

/// The interface after the percent sign of a link-local address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Scope {
    pub(super) name: String,
    pub(super) index: u32,
}

/// Reads arguments and lists; a list is a block, a file, or `-` for standard input.
///
/// # Errors
/// All mistakes, one per line.
pub(super) fn read(arguments: &[String], lists: &[String], family: Family) -> Result<Targets, String> {
    let mut reader = Reader { family, seen: BTreeSet::new(), targets: Targets::default(), mistakes: vec![] };
    for text in arguments {
        reader.take(text, "");
    }
    for list in lists {
        reader.take_list(list);
    }
    let Reader { mut targets, mut mistakes, .. } = reader;
    targets.addresses.shrink_to_fit();
    if targets.addresses.is_empty() && mistakes.is_empty() && !(arguments.is_empty() && lists.is_empty()) {
        mistakes.push(String::from("no target is left: give an address, a name, a block, or a file of these"));
    }
    if mistakes.is_empty() { Ok(targets) } else { Err(mistakes.join("\n")) }
}

struct Reader {
    family: Family,
    seen: BTreeSet<IpAddr>,
    targets: Targets,
    mistakes: Vec<String>,
}

impl Reader {
    fn take_list(&mut self, list: &str) {
        if Cidr::parse(list).is_ok() {
            return self.take(list, "");
        }
        let mut text = String::new();
        let read = if list == "-" {
            io::stdin().lock().read_to_string(&mut text).map(|_| ())
        } else {
            std::fs::read_to_string(list).map(|read| text = read)
        };
        if let Err(error) = read {
            self.mistakes
                .push(format!("cannot read \"{list}\": {error}; --targets takes a file, \"-\" or a CIDR block"));
            return;
        }
        let name = if list == "-" { "standard input" } else { list };
        for (number, line) in (1..).zip(text.lines()) {
            // Like fping: the first word of a line, and nothing after a hash.
            if let Some(word) = line.split('#').next().and_then(|line| line.split_whitespace().next()) {
                self.take(word, &format!("{name}:{number}: "));
            }
        }
    }

    fn take(&mut self, text: &str, place: &str) {
        if let Ok(address) = text.parse::<IpAddr>() {
            if let IpAddr::V6(address) = address
                && address.is_unicast_link_local()
            {
                self.targets.unscoped.get_or_insert(address);
            }
            return self.add(address, None);
        }
        if let Some((address, name)) = text.split_once('%') {
            return match self.scoped(address, name) {
                Ok(address) => self.add(address, Some(text)),
                Err(why) => self.mistakes.push(format!("{place}\"{text}\": {why}")),
            };
        }
        if text.contains('/') {
            return match Cidr::parse(text) {
                Ok(block) => self.take_block(text, block, place),
                Err(error) => self.mistakes.push(format!("{place}\"{text}\" is no CIDR block: {error}")),
            };
        }
        match resolved(text, self.family) {
            Ok(address) => self.add(address, Some(text)),
            Err(why) => self.mistakes.push(format!(
                "{place}\"{text}\" is neither an address, a CIDR block nor a name that resolves to one ({why})"
            )),
        }
    }

    fn scoped(&mut self, address: &str, name: &str) -> Result<IpAddr, String> {
        let address: Ipv6Addr =
            address.parse().map_err(|_| String::from("only an IPv6 address has an interface behind a \"%\""))?;
        if !address.is_unicast_link_local() {
            return Err(format!(
                "{address} is not link-local; leave \"%{name}\" out, or bind all probes with -I {name}"
            ));
        }
        let index = name.parse().ok().filter(|index| *index > 0);
        let index = index.or_else(|| nix::net::if_::if_nametoindex(name).ok());
        let index = index.ok_or_else(|| format!("there is no interface \"{name}\" here (ip link)"))?;
        let scope = self.targets.scope.get_or_insert(Scope { name: name.to_owned(), index });
        if scope.index == index {
            return Ok(address.into());
        }
        let first = &scope.name;
        Err(format!(
            "one run reaches link-local addresses by one interface, here {first}; ping those of {name} by another run"
        ))
    }

    fn take_block(&mut self, text: &str, block: Cidr, place: &str) {
        let room = TARGETS_MAX.saturating_sub(self.targets.addresses.len());
        match hosts(block, room) {
            Some(hosts) => hosts.into_iter().for_each(|host| self.add(host, None)),
            None => self.mistakes.push(format!("{place}\"{text}\": {TARGETS_MAX} addresses are accepted in all")),
        }
    }

    fn add(&mut self, address: IpAddr, name: Option<&str>) {
        if !self.seen.insert(address) {
            return;
        }
        let index = self.targets.addresses.len();
        if index == TARGETS_MAX {
            self.mistakes.push(format!("more than {TARGETS_MAX} targets"));
        }
        if index >= TARGETS_MAX {
            return;
        }
        self.targets.addresses.push(address);
        if let Some(name) = name {
            self.targets.names.insert(index, name.to_owned());
        }
    }
}

fn resolved(name: &str, family: Family) -> Result<IpAddr, String> {
    let all = (name, 0).to_socket_addrs().map_err(|error| error.to_string())?;
    let mut fitting = all.map(|address| address.ip()).filter(|address| match family {
        Family::Any => true,
        Family::V4 => address.is_ipv4(),
        Family::V6 => address.is_ipv6(),
    });
    fitting.next().ok_or_else(|| String::from("no address of the wanted family"))
}

/// Hosts of a block: without network and broadcast address in IPv4 up to /30, without the router anycast address in
/// IPv6 up to /126. `None` when there are more than `room`.
fn hosts(block: Cidr, room: usize) -> Option<Vec<IpAddr>> {
    let (first, last) = match (block.network(), block.last()) {
        (IpAddr::V4(first), IpAddr::V4(last)) => {
            let (first, last) = (u128::from(u32::from(first)), u128::from(u32::from(last)));
            if block.prefix_length() <= 30 { (first + 1, last - 1) } else { (first, last) }
        }
        (IpAddr::V6(first), IpAddr::V6(last)) => {
            let (first, last) = (u128::from(first), u128::from(last));
            if block.prefix_length() <= 126 { (first + 1, last) } else { (first, last) }
        }
        _ => return None,
    };
    let fits = last - first < room as u128;
    let address = |number: u128| match block.network() {
        IpAddr::V4(_) => IpAddr::V4(Ipv4Addr::from(u32::try_from(number).unwrap_or_default())),
        IpAddr::V6(_) => IpAddr::V6(Ipv6Addr::from(number)),
    };
    fits.then(|| (first..=last).map(address).collect())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn given(texts: &[&str]) -> Result<Targets, String> {
        let texts: Vec<String> = texts.iter().copied().map(str::to_owned).collect();
        read(&texts, &[], Family::Any)
    }

    #[test]
    fn addresses_and_blocks_of_both_families_each_once_and_in_order() {
        let targets = given(&["10.0.0.2", "10.0.0.0/30", "fd00::/126", "10.0.0.1", "10.0.0.8/31"]).unwrap();
        let texts: Vec<String> = targets.addresses.iter().map(IpAddr::to_string).collect();
        assert_eq!(texts, ["10.0.0.2", "10.0.0.1", "fd00::1", "fd00::2", "fd00::3", "10.0.0.8", "10.0.0.9"]);
    }

    #[test]
    fn every_mistake_is_told_with_its_place() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "# ours\n10.0.0.1 # first\n\n10.0.0.1/8\nno.such.name.invalid x\n").unwrap();
        let path = file.path().to_str().unwrap().to_owned();
        let lists = [path.clone(), "/no/such/file".to_owned()];
        let error = read(&["10.0.0.0/8".to_owned()], &lists, Family::Any).unwrap_err();
        for expected in [":4: \"10.0.0.1/8\"", ":5: \"no.such.name.invalid\"", "/no/such/file", "\"10.0.0.0/8\""] {
            assert!(error.contains(expected), "{expected}: {error}");
        }
        assert_eq!(error.lines().count(), 4, "{error}");
    }

    #[test]
    fn a_link_local_address_names_its_interface_and_all_of_a_run_the_same() {
        let targets = given(&["fe80::1%lo", "fe80::2%1", "fd00::1"]).unwrap();
        assert_eq!(targets.scope, Some(Scope { name: String::from("lo"), index: 1 }));
        assert_eq!((targets.addresses.len(), targets.names[&0].as_str()), (3, "fe80::1%lo"));
        assert_eq!(given(&["fe80::3"]).unwrap().unscoped, Some("fe80::3".parse().unwrap()));
        for (texts, expected) in [
            (&["fe80::1%no-such"][..], "no interface"),
            (&["fd00::1%lo"], "not link-local"),
            (&["10.0.0.1%lo"], "only an IPv6 address"),
            (&["fe80::1%lo", "fe80::2%2"], "another run"),
        ] {
            let error = given(texts).unwrap_err();
            assert!(error.contains(expected), "{texts:?}: {error}");
        }
    }

    #[test]
    fn a_file_of_nothing_but_comments_is_a_mistake_and_no_argument_at_all_is_none() {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), "# nothing\n").unwrap();
        assert!(read(&[], &[file.path().to_str().unwrap().to_owned()], Family::Any).is_err());
        assert!(read(&[], &[], Family::Any).unwrap().addresses.is_empty());
    }

    #[test]
    fn a_block_too_large_is_refused_without_being_counted_out() {
        assert!(given(&["::/0"]).is_err());
        assert_eq!(given(&["10.0.0.0/14"]).unwrap().addresses.len(), TARGETS_MAX - 2);
    }
}
