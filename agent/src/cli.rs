//! The command line. Says which arguments there are; what they do is each command's own module.

use crate::Lang;
use clap::{Args, Parser, Subcommand};
use std::{
    net::{IpAddr, Ipv4Addr},
    path::PathBuf,
};

/// The agent of pingtong: probes, sees arrivals, reads its host and its account, reports.
#[derive(Debug, Parser)]
#[command(name = "pingtong-agent", version, about = "pingtong 探测代理 / the agent of pingtong")]
pub struct Cli {
    /// Language of results: zh or en; the locale decides when not given. / 结果语言
    #[arg(long, global = true, value_enum)]
    pub lang: Option<Lang>,
    /// Results as JSON. / 以 JSON 输出结果
    #[arg(long, global = true)]
    pub json: bool,
    /// Log lines as JSON or text. / 日志格式
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// How log lines look.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// For machines.
    Json,
}

/// What to do.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Work for a collector until SIGTERM. / 作为代理持续运行
    Run(ConfigArgs),
    /// Ping many addresses at once. / 批量 ping
    Ping(PingArgs),
    /// Probe addresses once and read this host. / 单次探测并读取本机事实
    Check(CheckArgs),
    /// Read this account's configuration as the agent would. / 采集本账号配置快照
    Snapshot(SnapshotArgs),
    /// Say what works here and what to do about the rest. / 自检并给出下一步
    Doctor(DoctorArgs),
}

/// Where the settings are.
#[derive(Debug, Args)]
pub struct ConfigArgs {
    /// The settings that "pingtong enroll" wrote. / 配置文件
    #[arg(long, default_value = "/etc/pingtong/agent.toml")]
    pub config: PathBuf,
}

/// Arguments of `ping`.
#[derive(Debug, Args)]
pub struct PingArgs {
    /// Addresses, names or CIDR blocks. / 地址、主机名或网段
    pub target: Vec<String>,
    /// A file of targets, one a line, or a CIDR block. / 目标文件或网段
    #[arg(long)]
    pub targets: Option<String>,
    /// Probes per target. / 每个目标的探测次数
    #[arg(long, short = 'c', default_value_t = 5, value_parser = clap::value_parser!(u32).range(1..=131_072))]
    pub count: u32,
    /// Milliseconds between two probes to one target. / 同一目标的探测间隔（毫秒）
    #[arg(long, short = 'p', default_value_t = 1_000)]
    pub period: u32,
    /// Probes per second, all targets together. / 总速率上限（个/秒）
    #[arg(long, default_value_t = 10_000, value_parser = clap::value_parser!(u32).range(1..=1_000_000))]
    pub rate: u32,
    /// Bytes after the ICMP header. / ICMP 载荷字节数
    #[arg(long, short = 's', default_value_t = 56, value_parser = clap::value_parser!(u32).range(32..=65_507))]
    pub size: u32,
    /// Milliseconds after which a probe counts as unanswered. / 超时（毫秒）
    #[arg(long, short = 't', default_value_t = 1_000)]
    pub timeout: u32,
}

/// Arguments of `check`.
#[derive(Debug, Args)]
pub struct CheckArgs {
    /// Addresses to probe. / 要探测的地址
    pub target: Vec<Ipv4Addr>,
    /// Probes per address. / 探测次数
    #[arg(long, short = 'c', default_value_t = 10, value_parser = clap::value_parser!(u32).range(1..=131_072))]
    pub count: u32,
    /// Also connect to these TCP ports; a refusal proves the path. / 同时探测这些 TCP 端口
    #[arg(long, value_name = "PORT", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    pub tcp: Vec<u16>,
    /// Also send datagrams to these UDP ports; a refusal proves the path. / 同时探测这些 UDP 端口
    #[arg(long, value_name = "PORT", value_delimiter = ',', value_parser = clap::value_parser!(u16).range(1..))]
    pub udp: Vec<u16>,
    /// Also search the largest packet that passes unfragmented. / 同时查找不分片可通过的最大报文
    #[arg(long)]
    pub path_size: bool,
    /// Also try hop limits up to this: evidence, never proof. / 同时逐跳探测（仅供参考）
    #[arg(long, value_name = "N", num_args = 0..=1, default_missing_value = "30", value_parser = clap::value_parser!(u8).range(1..=64))]
    pub hops: Option<u8>,
    /// Also load the path with so many Mbit/s, in rising steps, both ways: takes bandwidth from others. / 同时进行带宽压测（Mbit/s，会占用带宽）
    #[arg(long, value_name = "MBIT", value_parser = clap::value_parser!(u32).range(1..=i64::from(pingtong_probe::LOAD_MBIT_MAX)))]
    pub load: Option<u32>,
    /// Seconds of the load in all. / 压测总时长（秒）
    #[arg(long, value_name = "SECONDS", default_value_t = 3, value_parser = clap::value_parser!(u32).range(1..=i64::from(pingtong_probe::LOAD_SECONDS_MAX)))]
    pub load_seconds: u32,
    /// Ask surge-ping too. / 同时用 surge-ping 复核
    #[arg(long)]
    pub second_opinion: bool,
    /// Base of the metadata service, when not the real one. / 元数据服务地址
    #[arg(long)]
    pub metadata: Option<String>,
}

/// Arguments of `snapshot`.
#[derive(Debug, Args)]
pub struct SnapshotArgs {
    /// Settings with the account and the addresses of the cloud; not needed on an instance with a RAM role. / 配置文件（有 RAM 角色的实例上可省略）
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Where to write, with mode 0600; standard output when not given. / 输出文件（权限 0600）
    #[arg(long, short = 'o', conflicts_with = "to_collector")]
    pub out: Option<PathBuf>,
    /// Report it to the collector of the settings. / 上报给配置文件中的收集端
    #[arg(long, requires = "config")]
    pub to_collector: bool,
    /// Replace ids, names and addresses, so that it can be shared. / 替换 ID、名称和地址以便分享
    #[arg(long, conflicts_with = "to_collector")]
    pub redact: bool,
    /// Read every VPC of the region, not only this instance's. / 读取该地域的所有 VPC
    #[arg(long)]
    pub all_vpcs: bool,
    /// Also ask who changed what in so many hours. / 同时查询最近若干小时内的变更
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u64).range(1..=2_160))]
    pub changes: Option<u64>,
    /// Seconds for the whole; what is not read by then is a gap. / 总时限（秒）
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=3_600))]
    pub within: u64,
    /// Base of the metadata service, when not the real one. / 元数据服务地址
    #[arg(long, value_name = "URL")]
    pub metadata: Option<String>,
    /// Base of every API, when not the VPC's own endpoints. / OpenAPI 端点
    #[arg(long, value_name = "URL")]
    pub endpoint: Option<String>,
    /// Nothing on standard error but errors. / 标准错误上只输出错误
    #[arg(long, short)]
    pub quiet: bool,
}

/// Arguments of `doctor`.
#[derive(Debug, Args)]
pub struct DoctorArgs {
    /// Settings to try out; without them only the host is looked at. / 配置文件
    #[arg(long)]
    pub config: Option<PathBuf>,
    /// Peers to look up routes towards, beside those of the plan. / 另外要检查路由的对端地址
    #[arg(long, value_name = "ADDRESS")]
    pub peer: Vec<IpAddr>,
}
