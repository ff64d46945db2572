//! Kernel settings and counters, read from `/proc`.

use pingtong_evidence::{IcmpCounters, IcmpLimits, InterfaceSettings, Known, SysctlFacts, WhyUnknown};
use std::{collections::BTreeMap, io, path::Path};

/// Sysctls that can make this host refuse probes, each with the value in effect.
pub(super) fn sysctls() -> SysctlFacts {
    let per_interface = per_interface();
    SysctlFacts {
        echo_ignore_all: setting("/proc/sys/net/ipv4/icmp_echo_ignore_all", yes_or_no),
        forwards: setting("/proc/sys/net/ipv4/ip_forward", yes_or_no),
        forwards_v6: setting("/proc/sys/net/ipv6/conf/all/forwarding", yes_or_no),
        echo_ignore_all_v6: setting("/proc/sys/net/ipv6/icmp/echo_ignore_all", yes_or_no),
        echo_ignore_broadcasts: setting("/proc/sys/net/ipv4/icmp_echo_ignore_broadcasts", yes_or_no),
        icmp_limits: icmp_limits(),
        strict_reverse_path: strict(&per_interface),
        per_interface,
        ping_group_range: setting("/proc/sys/net/ipv4/ping_group_range", |text| {
            let (first, last) = text.split_once(char::is_whitespace)?;
            Some((first.trim().parse().ok()?, last.trim().parse().ok()?))
        }),
    }
}

fn yes_or_no(text: &str) -> Option<bool> {
    match text {
        "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

/// Netfilter queues for which a program listens. The file is missing as long as no queue was ever used.
pub(super) fn queues() -> Known<Vec<u16>> {
    const FILE: &str = "/proc/net/netfilter/nfnetlink_queue";
    let number = |line: &str| line.split_whitespace().next().and_then(|number| number.parse().ok());
    match std::fs::read_to_string(FILE) {
        Ok(text) => Known::Known(text.lines().filter_map(number).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Known::Known(vec![]),
        Err(error) => Known::Unknown(unreadable(FILE, &error)),
    }
}

/// Counter totals of this network namespace.
pub(super) fn counters() -> Known<IcmpCounters> {
    let read = |path: &'static str| std::fs::read_to_string(path).map_err(|error| unreadable(path, &error));
    let both = read("/proc/net/snmp").and_then(|snmp| Ok((snmp, read("/proc/net/netstat")?)));
    let (snmp, netstat) = match both {
        Ok(both) => both,
        Err(why) => return Known::Unknown(why),
    };
    let (icmp, ip_ext) = (columns(&snmp, "Icmp:"), columns(&netstat, "TcpExt:"));
    let get = |columns: &BTreeMap<&str, u64>, name: &str| columns.get(name).copied().unwrap_or_default();
    Known::Known(IcmpCounters {
        in_echos: get(&icmp, "InEchos"),
        out_echo_replies: get(&icmp, "OutEchoReps"),
        reverse_path_drops: get(&ip_ext, "IPReversePathFilter"),
    })
}

/// Interfaces whose effective `rp_filter` is 1.
fn strict(all: &Known<Vec<InterfaceSettings>>) -> Known<Vec<String>> {
    match all {
        Known::Known(all) => {
            Known::Known(all.iter().filter(|each| each.rp_filter == 1).map(|each| each.name.clone()).collect())
        }
        Known::Unknown(why) => Known::Unknown(why.clone()),
    }
}

/// Settings of each interface; of `all` and its own the larger counts.
fn per_interface() -> Known<Vec<InterfaceSettings>> {
    let base = Path::new("/proc/sys/net/ipv4/conf");
    let value = |name: &str, setting: &str| -> io::Result<u8> {
        let text = std::fs::read_to_string(base.join(name).join(setting))?;
        text.trim().parse().map_err(|error| io::Error::new(io::ErrorKind::InvalidData, error))
    };
    let of = |name: &str| -> io::Result<InterfaceSettings> {
        let larger = |setting: &str| Ok::<u8, io::Error>(value(name, setting)?.max(value("all", setting)?));
        Ok(InterfaceSettings {
            name: name.to_owned(),
            rp_filter: larger("rp_filter")?,
            accept_local: larger("accept_local")? > 0,
            source_valid_mark: larger("src_valid_mark")? > 0,
            route_localnet: larger("route_localnet")? > 0,
            arp_ignore: larger("arp_ignore")?,
            arp_filter: larger("arp_filter")? > 0,
        })
    };
    let read = || -> io::Result<Vec<InterfaceSettings>> {
        let mut all = vec![];
        for entry in std::fs::read_dir(base)? {
            let Ok(name) = entry?.file_name().into_string() else { continue };
            if matches!(name.as_str(), "all" | "default") {
                continue;
            }
            match of(&name) {
                Ok(settings) => all.push(settings),
                // An interface may go away between the listing and the reading.
                Err(_) if !base.join(&name).exists() => {}
                Err(error) => return Err(error),
            }
        }
        all.sort();
        Ok(all)
    };
    read().map_or_else(|error| Known::Unknown(unreadable("net.ipv4.conf", &error)), Known::Known)
}

fn icmp_limits() -> Known<IcmpLimits> {
    let number = |name: &str| setting(&format!("/proc/sys/net/ipv4/{name}"), |text| text.parse().ok());
    match (number("icmp_ratelimit"), number("icmp_ratemask"), number("icmp_msgs_per_sec")) {
        (Known::Known(interval_ms), Known::Known(mask), Known::Known(messages_per_s)) => {
            Known::Known(IcmpLimits { interval_ms, mask, messages_per_s })
        }
        (Known::Unknown(why), _, _) | (_, Known::Unknown(why), _) | (_, _, Known::Unknown(why)) => Known::Unknown(why),
    }
}

fn setting<T>(path: &str, parse: impl Fn(&str) -> Option<T>) -> Known<T> {
    match std::fs::read_to_string(path) {
        Ok(text) => parse(text.trim()).map_or_else(
            || {
                Known::Unknown(WhyUnknown::Malformed {
                    action: path.to_owned(),
                    message: format!("\"{}\" was not expected", text.trim()),
                })
            },
            Known::Known,
        ),
        Err(error) => Known::Unknown(unreadable(path, &error)),
    }
}

fn unreadable(what: &str, error: &io::Error) -> WhyUnknown {
    WhyUnknown::Unreachable { action: what.to_owned(), message: error.to_string() }
}

/// The table whose two lines, names and values, begin with `label`.
fn columns<'t>(text: &'t str, label: &str) -> BTreeMap<&'t str, u64> {
    let mut lines = text.lines().filter_map(|line| line.strip_prefix(label));
    let (Some(names), Some(values)) = (lines.next(), lines.next()) else { return BTreeMap::new() };
    let values = values.split_whitespace().map(|value| value.parse().unwrap_or_default());
    names.split_whitespace().zip(values).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn columns_are_paired_by_name() {
        let text = "Ip: a b\nIp: 1 2\nIcmp: InMsgs InEchos\nIcmp: 5 3\n";
        assert_eq!(columns(text, "Icmp:").get("InEchos"), Some(&3));
        assert!(columns(text, "Udp:").is_empty());
    }

    #[test]
    fn this_kernel_has_the_files() {
        assert!(counters().known().is_some());
        assert!(sysctls().echo_ignore_all.known().is_some());
    }
}
