//! The command line: declares the arguments. What a command does is in that command's own module.
//!
//! The doc comments of arguments are also their help texts, in both languages: `English. / 中文`.

use crate::Lang;
use clap::{Args, Parser, Subcommand};
use pingtong_cli::LogFormat;
use std::{net::IpAddr, path::PathBuf, time::Duration};

/// The agent of pingtong: probes peers, records arrivals, reads its host and its account, and reports. /
/// pingtong 探测代理：探测对端、记录到达、读取本机与本账号并上报
#[derive(Debug, Parser)]
#[command(name = "pingtong-agent", version)]
pub struct Cli {
    /// Language of results: zh or en; taken from the locale if not given. / 结果语言
    #[arg(long, global = true, value_name = "zh|en")]
    pub lang: Option<Lang>,
    /// Results as JSON. / 以 JSON 输出结果
    #[arg(long, global = true)]
    pub json: bool,
    /// Log lines as JSON or text. / 日志格式
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// The command to run.
    #[command(subcommand)]
    pub command: Command,
}

/// The commands.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run as the agent of a collector until SIGTERM. / 作为 agent 持续运行，直到收到 SIGTERM
    #[command(after_long_help = "pingtong-agent run --config /etc/pingtong/agent.toml")]
    Run(ConfigArgs),
    /// Ping many addresses at once. / 批量 ping
    #[command(after_long_help = "pingtong-agent ping 172.16.0.10 172.16.0.11\n\
         # A whole block, 20 probes each, 5000 probes per second. / 整个网段，每个目标 20 次，总速率 5000 个/秒\n\
         pingtong-agent ping -f 172.16.0.0/24 -c 20 --rate 5000\n\
         # Count the echo requests that arrive here. / 统计到达本机的 ping 请求\n\
         pingtong-agent ping --observe")]
    Ping(PingArgs),
    /// Probe addresses once and read this host. / 单次探测并读取本机事实
    #[command(after_long_help = "pingtong-agent check 172.16.0.10\n\
         pingtong-agent check 172.16.0.10 --tcp 443,8443 --path-size")]
    Check(CheckArgs),
    /// Read this account's configuration as the agent would. / 采集本账号配置快照
    #[command(after_long_help = "pingtong-agent snapshot --out a.json\n\
         pingtong-agent snapshot --redact --out shared.json")]
    Snapshot(SnapshotArgs),
    /// Show what works here and what to do about the rest. / 自检并给出下一步
    #[command(after_long_help = "pingtong-agent doctor\n\
         pingtong-agent doctor --config /etc/pingtong/agent.toml --peer 172.16.0.10")]
    Doctor(DoctorArgs),
    /// Print the man pages, in troff. / 输出手册页
    #[command(after_long_help = "pingtong-agent man > pingtong-agent.1")]
    Man,
    /// Print completions for a shell. / 输出命令行补全脚本
    #[command(after_long_help = "pingtong-agent completions bash > /etc/bash_completion.d/pingtong-agent")]
    Completions {
        /// bash, zsh, fish, elvish or powershell.
        shell: clap_complete::Shell,
    },
}

/// Location of the settings.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The settings file that "pingtong enroll" wrote. / 配置文件
    #[arg(long, default_value = "/etc/pingtong/agent.toml")]
    pub config: PathBuf,
}

/// A mistake on the command line.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Usage(pub String);

/// Arguments of `ping`. Short options are those of fping where fping has them.
#[derive(Debug, Args)]
pub struct PingArgs {
    /// Addresses, names or CIDR blocks, IPv4 or IPv6; link-local addresses with their interface, fe80::1%eth0. /
    /// 地址、主机名或网段；链路本地地址须带接口，如 fe80::1%eth0
    pub target: Vec<String>,
    /// A file of targets, one per line ("-" is standard input), or a CIDR block; may be repeated. /
    /// 目标文件（“-”为标准输入）或网段，可重复
    #[arg(long, short = 'f', value_name = "FILE|CIDR")]
    pub targets: Vec<String>,
    /// Probes per target; 0 continues until interrupted [default: 5]. / 每个目标的探测次数，0 为不限
    #[arg(long, short = 'c')]
    pub count: Option<u64>,
    /// Continue until interrupted, like --count 0. / 持续探测直到中断
    #[arg(long = "loop", short = 'l', conflicts_with = "count")]
    pub endless: bool,
    /// Stop sending after this many seconds; without --count, nothing else stops it. / 发送持续的秒数
    #[arg(long, value_name = "SECONDS", value_parser = seconds)]
    pub duration: Option<Span>,
    /// Milliseconds between two probes to one target, decimals allowed [default: 1000; 0 with --rate 0]. /
    /// 同一目标的探测间隔（毫秒）
    #[arg(long, short = 'p', value_name = "MS", value_parser = millis)]
    pub period: Option<Span>,
    /// Probes per second over all targets; 0 sends as fast as replies come [default: 10000]. / 总速率（个/秒），0 为不限速
    #[arg(long, value_name = "PPS", value_parser = clap::value_parser!(u32).range(..=10_000_000))]
    pub rate: Option<u32>,
    /// Bytes after the ICMP header. / ICMP 载荷字节数
    #[arg(long, short = 's', short_alias = 'b', default_value_t = 56, value_parser = clap::value_parser!(u32).range(32..=65_507))]
    pub size: u32,
    /// Milliseconds after which a reply counts as late, decimals allowed. The run ends this long plus 20 ms after the
    /// last probe; a reply that comes even later counts as lost. / 超时（毫秒）；最后一个探测发出后再等这么久加 20 毫秒即结束，更晚的应答按丢失计
    #[arg(long, short = 't', value_name = "MS", default_value = "1000", value_parser = positive_millis)]
    pub timeout: Span,
    /// Kernel timestamps to use. "receive" costs a sixth less and takes the send time just before the send. Default:
    /// both, except with --rate 0, where a probe waits for other probes anyway. / 使用内核的哪些时间戳（--rate 0 时默认 receive，否则
    /// both）
    #[arg(long, value_enum)]
    pub stamps: Option<WantedStamps>,
    /// TTL or hop limit of probes. / TTL 或跳数上限
    #[arg(long, short = 'H', value_parser = clap::value_parser!(u8).range(1..))]
    pub ttl: Option<u8>,
    /// Outgoing interface. / 出接口
    #[arg(long, short = 'I', value_name = "NAME")]
    pub interface: Option<String>,
    /// Source address. / 源地址
    #[arg(long, short = 'S', value_name = "ADDRESS")]
    pub source: Option<IpAddr>,
    /// Resolve names to IPv4 addresses only. / 主机名只取 IPv4
    #[arg(short = '4', long, conflicts_with = "ipv6")]
    pub ipv4: bool,
    /// Resolve names to IPv6 addresses only. / 主机名只取 IPv6
    #[arg(short = '6', long)]
    pub ipv6: bool,
    /// Count echo requests that arrive here, by source; without targets, runs until interrupted. / 统计到达本机的 ping 请求
    #[arg(long)]
    pub observe: bool,
    /// Write one line per probe: target,sequence,sent_ns,rtt_ns,what. / 每个探测写一行到文件
    #[arg(long, value_name = "FILE")]
    pub samples: Option<PathBuf>,
    /// Print only the summary. / 只输出汇总
    #[arg(long, short)]
    pub quiet: bool,
}

/// Kernel timestamps to use.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum WantedStamps {
    /// Of departures and arrivals. / 发出与到达
    Both,
    /// Of arrivals only. / 仅到达
    Receive,
}

/// Default number of probes per target.
const COUNT: u64 = 5;

impl PingArgs {
    /// The timestamps to use: those given, or the default for the rate.
    pub fn stamps(&self) -> WantedStamps {
        let usual = if self.rate == Some(0) { WantedStamps::Receive } else { WantedStamps::Both };
        self.stamps.unwrap_or(usual)
    }

    /// Probes per target; `None` if something else ends the run.
    pub fn count(&self) -> Option<u64> {
        let usual = self.duration.is_none().then_some(COUNT);
        self.count.or(usual).filter(|count| *count > 0 && !self.endless)
    }
}

/// A duration given on the command line.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Span(pub Duration);

/// Longest accepted duration in seconds: ten years.
const SECONDS_MAX: f64 = 315_360_000.0;

fn seconds(text: &str) -> Result<Span, String> {
    let number: f64 = text.parse().map_err(|_| String::from("a number is accepted, such as 1.5"))?;
    if !(0.0..=SECONDS_MAX).contains(&number) {
        return Err(format!("0 to {SECONDS_MAX} s are accepted"));
    }
    Ok(Span(Duration::from_secs_f64(number)))
}

fn millis(text: &str) -> Result<Span, String> {
    let number: f64 = text.parse().map_err(|_| String::from("a number of milliseconds is accepted, such as 0.5"))?;
    seconds(&(number / 1_000.0).to_string())
}

/// Parses an address to which a route can lead. A link-local address means nothing without an interface, and `check`
/// sends along the host's routes.
fn routed_address(text: &str) -> Result<IpAddr, String> {
    let bare = text.split_once('%').map_or(text, |(address, _)| address);
    let address: IpAddr = bare.parse().map_err(|_| String::from("an IPv4 or IPv6 address is accepted"))?;
    let link_local = matches!(address, IpAddr::V6(address) if address.is_unicast_link_local());
    match (link_local, bare == text) {
        (true, _) => Err(format!(
            "check goes where routes lead, and no route leads to a link-local address; use \"pingtong-agent ping {address}%INTERFACE\""
        )),
        (false, true) => Ok(address),
        (false, false) => Err(format!("{address} is not link-local; leave the interface out")),
    }
}

fn positive_millis(text: &str) -> Result<Span, String> {
    let span = millis(text)?;
    if span.0.is_zero() { Err(String::from("more than 0 is accepted")) } else { Ok(span) }
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Addresses to probe. / 要探测的地址
    #[arg(value_parser = routed_address)]
    pub target: Vec<IpAddr>,
    /// Probes per address. / 探测次数
    #[arg(long, short = 'c', default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=131_072))]
    pub count: u32,
    /// Also connect to these TCP ports; a refusal also proves that the path works. / 同时探测这些 TCP 端口
    #[arg(long, value_name = "PORT", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    pub tcp: Vec<u16>,
    /// Also send datagrams to these UDP ports; a refusal also proves that the path works. / 同时探测这些 UDP 端口
    #[arg(long, value_name = "PORT", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    pub udp: Vec<u16>,
    /// Also search the largest packet that passes unfragmented. / 同时查找不分片可通过的最大报文
    #[arg(long)]
    pub path_size: bool,
    /// Also try hop limits up to this: evidence, never proof. / 同时逐跳探测（仅供参考）
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "30", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub hops: Option<u8>,
    /// Also load the path with up to this many Mbit/s, in rising steps, both ways: takes bandwidth from others. /
    /// 同时进行带宽压测（Mbit/s，会占用带宽）
    #[arg(long, value_name = "MBIT", value_parser = clap::value_parser!(u32).range(1..=i64::from(pingtong_evidence::LOAD_MBIT_MAX)))]
    pub load: Option<u32>,
    /// Total duration of the load in seconds. / 压测总时长（秒）
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=i64::from(pingtong_evidence::LOAD_SECONDS_MAX)))]
    pub load_seconds: u32,
    /// Also ping with surge-ping, as a second opinion. / 同时用 surge-ping 复核
    #[arg(long)]
    pub second_opinion: bool,
    /// Base URL of the metadata service, if not the real one. / 元数据服务地址
    #[arg(long)]
    pub metadata: Option<String>,
}

/// Arguments of `snapshot`.
#[derive(Debug, Args)]
pub struct SnapshotArgs {
    /// Settings file with the account and the cloud's addresses; not needed on an instance with a RAM role. / 配置文件（有
    /// RAM 角色的实例上可省略）
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Output file, with mode 0600; standard output if not given. / 输出文件（权限 0600）
    #[arg(long, short = 'o', conflicts_with = "to_collector")]
    pub out: Option<PathBuf>,
    /// Report the snapshot to the collector of the settings. / 上报给配置文件中的收集端
    #[arg(long, requires = "config")]
    pub to_collector: bool,
    /// Replace ids, names and addresses, so that it can be shared. / 替换 ID、名称和地址以便分享
    #[arg(long, conflicts_with = "to_collector")]
    pub redact: bool,
    /// Read every VPC of the region, not only this instance's. / 读取该地域的所有 VPC
    #[arg(long)]
    pub all_vpcs: bool,
    /// Also query who changed what in the last HOURS hours. / 同时查询最近若干小时内的变更
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u64).range(1..=2_160))]
    pub changes: Option<u64>,
    /// Time limit in seconds; what is not read by then is reported as a gap. / 总时限（秒）
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub within: u64,
    /// Base URL of the metadata service, if not the real one. / 元数据服务地址
    #[arg(long, value_name = "URL")]
    pub metadata: Option<String>,
    /// Base URL of every API, if not the VPC's own endpoints. / OpenAPI 端点
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// Print only errors on standard error. / 标准错误上只输出错误
    #[arg(long, short)]
    pub quiet: bool,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Settings file to check; without it, only the host is examined. / 配置文件
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Peers to check besides those of the plan: route lookup and search for the largest packet. / 另外要检查路由和最大报文的对端地址
    #[arg(long, value_name = "ADDRESS")]
    pub peer: Vec<IpAddr>,
}
