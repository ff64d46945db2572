//! `pingtong audit` and `pingtong path`: what the configuration alone implies for whole sets of flows, and for one
//! flow.
//!
//! Rules. 1. Snapshots come from files or from the collector's store. 2. An expectation or forbid of a link applies to
//! pairs of hosts with one host on each side of the link. 3. `path` takes hosts by instance ID or by address. It finds
//! the link between them in the configuration; links of the settings file count too, if one is given. 4. These commands
//! send no probes, so what the guests do is not visible.

use crate::{
    commands::{
        args::{Failed, Output, Place, ours, usage},
        bundle,
    },
    data_dir::DataDir,
    evidence::question,
    render,
    settings::{ExpectedLink, Settings},
    store::Store,
};
use clap::{Args, ValueEnum};
use pingtong_cli::{Exit, Lang};
use pingtong_evidence::{Link, Protocol, Snapshot, Timestamp};
use pingtong_verdict::{Ask, Audit, Auditor, Estate, ExpectationState, Flow, ForbidState, HostRef, PathState};
use std::{net::IpAddr, path::PathBuf, sync::Arc};

#[derive(Debug, Args)]
pub(crate) struct AuditArgs {
    /// A snapshot as written by "pingtong snapshot"; may be repeated. Without any, those that the collector keeps in --data. /
    /// “pingtong snapshot”写出的快照，可重复；缺省时使用收集端保存在 --data 中的快照
    #[arg(long, value_name = "FILE")]
    snapshot: Vec<PathBuf>,
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
pub(crate) struct PathArgs {
    /// Who opens the flow: an instance id or an address. / 发起方：实例 ID 或 IP 地址
    #[arg(value_name = "FROM")]
    from: String,
    /// Who answers. / 应答方：实例 ID 或 IP 地址
    #[arg(value_name = "TO")]
    to: String,
    /// Protocol. / 协议
    #[arg(long, value_enum, default_value_t = PathProtocol::Icmp)]
    protocol: PathProtocol,
    /// Destination port of tcp and udp. / tcp、udp 的目的端口
    #[arg(long, value_name = "N")]
    port: Option<u16>,
    /// A snapshot as written by "pingtong snapshot"; may be repeated. / “pingtong snapshot”写出的快照，可重复
    #[arg(long, value_name = "FILE", required = true)]
    snapshot: Vec<PathBuf>,
    /// Settings file whose links matter beside those that the snapshots show. /
    /// 配置文件；其中的链路与快照显示的链路一并考虑
    #[arg(long, value_name = "FILE")]
    config: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

/// A protocol as the command line names it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum PathProtocol {
    /// ICMP echo.
    Icmp,
    /// TCP.
    Tcp,
    /// UDP.
    Udp,
}

/// Decides every expectation and forbid of the settings.
///
/// # Errors
/// [`Exit::Usage`] if the settings or a snapshot file cannot be read, if there is nothing to audit, or if the store
/// holds no snapshot; [`Exit::Failure`] if the store cannot be read.
pub(crate) fn audit(args: &AuditArgs, lang: Lang) -> Result<Exit, Failed> {
    let settings = Settings::load(&args.place.config).map_err(usage)?;
    let snapshots = if args.snapshot.is_empty() {
        kept(&settings.links, &args.place)?
    } else {
        bundle::read_snapshots(&args.snapshot).map_err(usage)?.into_iter().map(Arc::new).collect()
    };
    let (expectations, forbids) = asks(&settings.links);
    if expectations.is_empty() && forbids.is_empty() {
        return Err(usage(anyhow::anyhow!(
            "\"{}\" has no [[link.expect]] and no [[link.forbid]]; there is nothing to audit",
            args.place.config.display()
        )));
    }
    let links: Vec<Link> = settings.links.iter().map(|expected| expected.link.clone()).collect();
    let estate = Estate::new(snapshots, &links);
    let audit = Auditor::default().audit(&estate, &expectations, &forbids, lang);
    render::audit(&audit, args.output.json, args.output.style(lang));
    Ok(exit_of(&audit))
}

/// The expectations and the forbids of all links.
fn asks(links: &[ExpectedLink]) -> (Vec<Ask>, Vec<Ask>) {
    let (mut expectations, mut forbids) = (vec![], vec![]);
    for expected in links {
        expectations.extend(expected.asks());
        forbids.extend(expected.forbids.iter().map(|forbid| expected.ask(forbid)));
    }
    (expectations, forbids)
}

/// The stored snapshots by which a verdict would judge the VPCs of the links now.
fn kept(links: &[ExpectedLink], place: &Place) -> Result<Vec<Arc<Snapshot>>, Failed> {
    let dir = DataDir::existing(&place.data).map_err(usage)?;
    let store = Store::open(&dir.store_path()).map_err(ours)?;
    let mut snapshots: Vec<Arc<Snapshot>> = vec![];
    for ExpectedLink { link, .. } in links {
        for snapshot in question::latest(&store, link, Timestamp::from_millis(i64::MAX)).map_err(ours)? {
            if !snapshots.contains(&snapshot) {
                snapshots.push(snapshot);
            }
        }
    }
    if snapshots.is_empty() {
        return Err(usage(anyhow::anyhow!(
            "\"{}\" keeps no snapshot of any link's account; give files with --snapshot, as \"pingtong snapshot\" writes them",
            place.data.display()
        )));
    }
    Ok(snapshots)
}

fn exit_of(audit: &Audit) -> Exit {
    let expectations = || audit.expectations.iter().map(|answer| answer.state);
    let forbids = || audit.forbids.iter().map(|answer| answer.state);
    if expectations().any(|state| state == ExpectationState::Fails) || forbids().any(|s| s == ForbidState::Leaks) {
        Exit::Bad
    } else if expectations().any(|s| s == ExpectationState::Unknown) || forbids().any(|s| s == ForbidState::Unknown) {
        Exit::Undecided
    } else {
        Exit::Fine
    }
}

/// Shows the path of one flow, stage by stage.
///
/// # Errors
/// [`Exit::Usage`] if the port does not fit the protocol, a file cannot be read, or a host is unknown, ambiguous or the
/// same as the other one; [`Exit::Failure`] if the estate has no path for the two hosts.
pub(crate) fn path(args: &PathArgs, lang: Lang) -> Result<Exit, Failed> {
    let protocol = match args.protocol {
        PathProtocol::Icmp => Protocol::Icmp,
        PathProtocol::Tcp => Protocol::Tcp,
        PathProtocol::Udp => Protocol::Udp,
    };
    match (protocol, args.port) {
        (Protocol::Icmp, Some(_)) => return Err(usage(anyhow::anyhow!("icmp has no ports; leave --port out"))),
        (Protocol::Tcp | Protocol::Udp, None) => {
            return Err(usage(anyhow::anyhow!("{protocol} needs a destination port, such as --port 443")));
        }
        _ => {}
    }
    let links = match &args.config {
        Some(config) => Settings::load(config).map_err(usage)?.links,
        None => vec![],
    };
    let links: Vec<Link> = links.into_iter().map(|expected| expected.link).collect();
    let snapshots = bundle::read_snapshots(&args.snapshot).map_err(usage)?;
    let estate = Estate::new(snapshots, &links);
    let (source, destination) = (host(&estate, &args.from)?, host(&estate, &args.to)?);
    if source == destination {
        return Err(usage(anyhow::anyhow!("\"{}\" and \"{}\" are the same host", args.from, args.to)));
    }
    let flow = Flow { source, destination, protocol, port: args.port };
    let trace = estate.path(&flow, lang).ok_or_else(|| ours(anyhow::anyhow!("the hosts are not of one estate")))?;
    render::path(&trace, args.output.json, args.output.style(lang));
    Ok(match trace.state {
        PathState::Passes => Exit::Fine,
        PathState::Stopped => Exit::Bad,
        PathState::Unknown => Exit::Undecided,
    })
}

/// Finds a host by its address, or by its instance ID; then the result is the instance's first address.
fn host(estate: &Estate, name: &str) -> Result<HostRef, Failed> {
    let found: Vec<HostRef> = match name.parse::<IpAddr>() {
        Ok(address) => estate.hosts_at(address),
        Err(_) => estate.hosts_of_instance(name),
    };
    match found.as_slice() {
        [] => Err(usage(anyhow::anyhow!(
            "the snapshots show no host \"{name}\"; name an instance id or the private address of an interface that they show"
        ))),
        [one] => Ok(*one),
        [first, ..] if name.parse::<IpAddr>().is_err() => Ok(*first),
        several => {
            let named: Vec<String> = several
                .iter()
                .filter_map(|host| estate.instance(*host).map(|id| format!("{id} in {}", vpc_of(estate, *host))))
                .collect();
            Err(usage(anyhow::anyhow!(
                "several hosts have the address \"{name}\": {}; name the instance instead",
                named.join(", ")
            )))
        }
    }
}

fn vpc_of(estate: &Estate, host: HostRef) -> String {
    estate.vpc(host).map_or_else(String::new, ToString::to_string)
}

#[cfg(test)]
mod tests {
    use super::*;
    use pingtong_worlds::estate::{Shape, estate as drawn};

    fn small(quirks: u64) -> Estate {
        Estate::new(drawn(Shape { quirks, ..Shape::SMALL }, 1), &[])
    }

    #[test]
    fn hosts_are_named_by_instance_or_by_address() {
        let estate = small(0);
        let first = host(&estate, "i-0-0").unwrap();
        let address = estate.address(first).unwrap().to_string();
        assert_eq!(host(&estate, &address).unwrap(), first);
        for unknown in ["i-none", "192.0.2.1", "fd00::1", ""] {
            assert_eq!(host(&estate, unknown).unwrap_err().0, Exit::Usage, "{unknown}");
        }
    }

    #[test]
    fn the_exit_code_is_the_worst_of_the_answers() {
        let text = |forbid: &str| {
            format!(
                "listen = \"127.0.0.1:1\"\nurl = \"https://127.0.0.1:1\"\n[[link]]\nid = \"p\"\nkind = \"router-interface\"\n\
                 initiator = {{ account = \"1000000000000000\", region = \"cn-qingdao\", vpc = \"vpc-0\" }}\n\
                 acceptor = {{ account = \"1000000000000000\", region = \"cn-beijing\", vpc = \"vpc-1\" }}\n\
                 [[link.expect]]\nfrom = {{ vpc = \"vpc-0\" }}\nto = {{ vpc = \"vpc-1\" }}\nprotocol = \"icmp\"\n{forbid}"
            )
        };
        let estate = small(0);
        let exit = |text: &str| {
            let settings = Settings::parse(text, "c").unwrap();
            let (expectations, forbids) = asks(&settings.links);
            exit_of(&Auditor::default().audit(&estate, &expectations, &forbids, Lang::En))
        };
        assert_eq!(exit(&text("")), Exit::Fine);
        let forbid = |to: &str| {
            text(&format!(
                "[[link.forbid]]\nfrom = {{ cidr = \"10.0.0.0/8\" }}\nto = {{ {to} }}\nprotocol = \"tcp\"\nports = [22, 22]\n"
            ))
        };
        assert_eq!(exit(&forbid("vpc = \"vpc-1\"")), Exit::Bad);
        assert_eq!(exit(&forbid("vpc = \"vpc-9\"")), Exit::Undecided);
    }
}
