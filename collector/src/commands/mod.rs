//! The commands, and what each does with its result.

pub(crate) mod args;
pub(crate) mod audit;
mod bundle;
mod client;
mod complaint;
mod enroll;
mod offline;
mod policy;
mod snapshot;

use crate::{
    data_dir::DataDir,
    render,
    server::{self, VerifyRequest},
    settings::Settings,
    store::Store,
};
use args::{Output, Place, ours, usage};
use bundle::Saved;
use clap::{Args, Parser, Subcommand};
use enroll::{EnrollError, Enrolled, Enrolment};
use pingtong_cli::{Exit, Lang, LogFormat};
use pingtong_evidence::{AccountId, AgentId, Cidr, InstanceId};
use pingtong_verdict::{Predicted, State, Unprobed, Verdict, catalogue, explain};
use std::{
    io::IsTerminal as _,
    path::{Path, PathBuf},
};

/// Extra milliseconds for agents if one of them also sends a load: ten seconds, the time-outs of its steps, and
/// transit.
const LOAD_TAKES_MS_MAX: u64 = 15_000;

/// Shows two account owners whether their VPCs are really connected, and when not, what is at fault and how to fix it. /
/// 告诉两个账号的所有者：他们的 VPC 是否真的连通；若不通，问题出在哪里、如何修复
#[derive(Debug, Parser)]
#[command(name = "pingtong", version)]
pub struct Cli {
    /// Language of texts: zh or en; the locale's when left out. / 文本语言，缺省按系统区域设置
    #[arg(long, global = true, value_name = "zh|en")]
    lang: Option<Lang>,
    /// Form of the log on standard error. / 标准错误上日志的形式
    #[arg(long, global = true, value_enum, default_value_t = LogFormat::Text)]
    pub log_format: LogFormat,
    #[command(subcommand)]
    command: Command,
}

#[derive(Debug, Subcommand)]
enum Command {
    /// Run the collector: take reports, keep them, watch every pair. /
    /// 运行收集端：接收上报、保存、持续观察每一对主机
    #[command(after_long_help = "pingtong serve --config collector.toml --data data")]
    Serve(Place),
    /// Make a credential for one agent and write its agent.toml. / 为一个 agent 生成凭证并写出 agent.toml
    #[command(after_long_help = "pingtong enroll --name A.ecs1 --account 1000000000000001 --out agent.toml\n\
         # Bind it to one instance and one block of peers. / 绑定到一台实例和一个对端网段\n\
         pingtong enroll --name A.ecs1 --account 1000000000000001 --instance i-example --allow 172.16.0.0/16 --out agent.toml")]
    Enroll(EnrollArgs),
    /// List the enrolled agents, and when each was last seen. / 列出已登记的 agent 及最近一次出现的时间
    #[command(after_long_help = "pingtong agents\n\
         pingtong agents --json")]
    Agents(AgentsArgs),
    /// Ask every agent for fresh evidence now, and give a verdict for each pair. /
    /// 立即向所有 agent 索取新证据，并对每一对主机给出结论
    #[command(after_long_help = "pingtong verify\n\
         # Only one link, and keep the evidence. / 只看一条链路，并保存证据\n\
         pingtong verify --pair LINK --save evidence.json")]
    Verify(VerifyArgs),
    /// Give the verdict that follows from kept evidence, without a network. / 根据保存的证据给出结论，不需要网络
    #[command(after_long_help = "pingtong diagnose evidence.json\n\
         # What two snapshots predict, before any agent runs. / 在没有 agent 时由两份快照推断\n\
         pingtong diagnose --snapshot a.json --snapshot b.json --config collector.toml")]
    Diagnose(DiagnoseArgs),
    /// Decide every expectation and forbid of the settings for whole sets of hosts, from configuration alone. /
    /// 仅凭配置，对整组主机判定配置文件中的每个期望和禁止项
    #[command(after_long_help = "pingtong audit --snapshot a.json --snapshot b.json")]
    Audit(audit::AuditArgs),
    /// Show the way of one flow through the configuration, stage by stage, there and back. /
    /// 逐段显示一条流在配置中的去程与回程
    #[command(
        after_long_help = "pingtong path i-example 172.16.0.10 --protocol tcp --port 443 --snapshot a.json --snapshot b.json"
    )]
    Path(audit::PathArgs),
    /// Read an account's configuration, or import or redact what was saved, without a collector. /
    /// 读取账号配置，或导入、脱敏已保存的内容，不需要收集端
    #[command(after_long_help = "pingtong snapshot --region cn-qingdao --out a.json\n\
         # A copy that can be shared. / 可以分享的副本\n\
         pingtong snapshot --from a.json --redact --out shared.json")]
    Snapshot(Box<snapshot::SnapshotArgs>),
    /// Print a RAM policy to paste into the console, the least that a role needs. /
    /// 打印可粘贴到控制台的最小权限 RAM 策略
    #[command(after_long_help = "pingtong policy read\n\
         pingtong policy collector-trust --account 1000000000000001 --external-id TEXT")]
    Policy(policy::PolicyArgs),
    /// Say what a cause code means and what to do about it. / 说明一个原因码的含义和处理办法
    #[command(after_long_help = "pingtong explain route-missing\n\
         pingtong explain --list")]
    Explain(ExplainArgs),
}

#[derive(Debug, Args)]
struct EnrollArgs {
    #[command(flatten)]
    place: Place,
    /// Name of the agent, such as A.ecs1. / agent 的名字，例如 A.ecs1
    #[arg(long, value_parser = AgentId::parse)]
    name: AgentId,
    /// Account that it speaks for. / 它所代表的账号
    #[arg(long, value_parser = AccountId::parse)]
    account: AccountId,
    /// Instance that it will run on. / 它将运行在哪个实例上
    #[arg(long, value_parser = InstanceId::parse)]
    instance: Option<InstanceId>,
    /// Addresses that it may probe; the far ends of its expectations when left out. /
    /// 允许它探测的地址；缺省为各期望的对端
    #[arg(long, value_name = "CIDR", value_parser = Cidr::parse)]
    allow: Vec<Cidr>,
    /// OpenAPI endpoint for all products, instead of the region's VPC endpoints. /
    /// 所有产品共用的 OpenAPI 端点，代替各地域的 VPC 端点
    #[arg(long, value_name = "URL")]
    cloud_endpoint: Option<String>,
    /// Metadata service, instead of http://100.100.100.200. / 元数据服务地址，代替 http://100.100.100.200
    #[arg(long, value_name = "URL")]
    metadata: Option<String>,
    /// Where the agent keeps reports while the collector is away. / 收集端不可达时 agent 保存上报的目录
    #[arg(long, value_name = "DIR")]
    spool: Option<PathBuf>,
    /// File to write, with mode 0600. / 要写出的文件，权限 0600
    #[arg(long, value_name = "FILE")]
    out: PathBuf,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
struct AgentsArgs {
    #[command(flatten)]
    place: Place,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
struct VerifyArgs {
    #[command(flatten)]
    place: Place,
    /// Only this pair, or the pairs of this link. / 只看这一对主机，或这条链路上的各对主机
    #[arg(long, value_name = "ID")]
    pair: Option<String>,
    /// Seconds to wait for agents that do not answer. / 等待无响应 agent 的秒数
    #[arg(long, value_name = "SECONDS", default_value_t = 15.0, value_parser = parse_wait)]
    wait: f64,
    /// Also load the path of this one pair: takes bandwidth from others, both ways. The link's load_mbit and the agent's load_mbit_max must permit it. /
    /// 同时对这一对主机做带宽压测，往返方向都会占用带宽；须链路配置 load_mbit 且 agent 配置 load_mbit_max 允许
    #[arg(long, requires = "pair")]
    load: bool,
    /// Keep the evidence, so that "pingtong diagnose FILE" gives the same verdicts again. /
    /// 保存证据，使 “pingtong diagnose FILE” 得到同样的结论
    #[arg(long, value_name = "FILE")]
    save: Option<PathBuf>,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
struct DiagnoseArgs {
    /// File with evidence as written by "verify --save", a directory of such files, or - for standard input. /
    /// “verify --save” 写出的证据文件、此类文件的目录，或 - 表示标准输入
    #[arg(value_name = "FILE|DIR|-", required_unless_present = "snapshot")]
    bundle: Option<PathBuf>,
    /// Instead: a snapshot as written by "pingtong snapshot"; may be repeated. What it predicts for every expectation of --config. /
    /// 改为使用“pingtong snapshot”写出的快照，可重复；给出对 --config 中每个期望的推断
    #[arg(long, value_name = "FILE", conflicts_with = "bundle")]
    snapshot: Vec<PathBuf>,
    /// With --snapshot: settings file with the links and expectations. / 与 --snapshot 同用：含链路和期望的配置文件
    #[arg(long, default_value = "collector.toml", value_name = "FILE")]
    config: PathBuf,
    #[command(flatten)]
    output: Output,
}

#[derive(Debug, Args)]
#[command(group = clap::ArgGroup::new("what").required(true))]
struct ExplainArgs {
    /// Code, such as route-missing. / 原因码，例如 route-missing
    #[arg(group = "what")]
    code: Option<String>,
    /// List every code with its title. / 列出全部原因码及标题
    #[arg(long, group = "what")]
    list: bool,
    #[command(flatten)]
    output: Output,
}

/// Runs the command and writes its results to standard output.
///
/// # Errors
/// If the command could not do its job; the exit code says whether the user or the program is at fault.
pub async fn run(cli: Cli, lang: Lang) -> Result<Exit, (Exit, anyhow::Error)> {
    match cli.command {
        Command::Serve(place) => {
            let settings = load(&place.config)?;
            server::serve(settings, &place.data).await.map_err(|error| match error {
                server::ServeError::Service(_) | server::ServeError::Grants(_) => usage(error),
                _ => ours(error),
            })?;
            Ok(Exit::Fine)
        }
        Command::Enroll(args) => enroll_agent(args, lang),
        Command::Agents(args) => list_agents(&args, lang),
        Command::Verify(args) => verify(args, lang).await,
        Command::Diagnose(args) => {
            let saved = if let Some(bundle) = &args.bundle {
                bundle::read(bundle).map_err(usage)?
            } else {
                let links = load(&args.config)?.links;
                let snapshots = bundle::read_snapshots(&args.snapshot).map_err(usage)?;
                vec![Saved::Bundle(Box::new(offline::evidence(&links, snapshots).map_err(usage)?))]
            };
            Ok(show(&saved, &args.output, lang))
        }
        Command::Audit(args) => audit::audit(&args, lang),
        Command::Path(args) => audit::path(&args, lang),
        Command::Snapshot(args) => snapshot::run(&args, lang).await,
        Command::Policy(args) => policy::run(&args),
        Command::Explain(args) => explain_code(&args, lang),
    }
}

fn enroll_agent(args: EnrollArgs, lang: Lang) -> Result<Exit, (Exit, anyhow::Error)> {
    let settings = load(&args.place.config)?;
    let (name, out) = (args.name.clone(), args.out.clone());
    let wanted = Enrolment {
        name: args.name,
        account: args.account,
        instance: args.instance,
        allow: args.allow,
        cloud_endpoint: args.cloud_endpoint,
        metadata: args.metadata,
        spool: args.spool,
        out: args.out,
    };
    let enrolled = enroll::enroll(&settings, &args.place.data, &wanted).map_err(|error| match error {
        EnrollError::Service(_) | EnrollError::Account { .. } | EnrollError::Out { .. } => usage(error),
        EnrollError::DataDir(_) | EnrollError::Store(_) | EnrollError::Random(_) => ours(error),
    })?;
    let Enrolled { unknown, replaced, allow } = enrolled;
    render::enrolled(&name, &out, replaced, &allow, &unknown, args.output.json, lang);
    Ok(Exit::Fine)
}

/// Reads the store directly, so that it works with and without a running server.
fn list_agents(args: &AgentsArgs, lang: Lang) -> Result<Exit, (Exit, anyhow::Error)> {
    load(&args.place.config)?;
    let dir = DataDir::existing(&args.place.data).map_err(usage)?;
    let agents = Store::open(&dir.store_path()).and_then(|store| store.agents()).map_err(ours)?;
    render::agents(&agents, args.output.json, lang);
    Ok(Exit::Fine)
}

async fn verify(args: VerifyArgs, lang: Lang) -> Result<Exit, (Exit, anyhow::Error)> {
    let settings = load(&args.place.config)?;
    let dir = DataDir::existing(&args.place.data).map_err(usage)?;
    #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "parse_wait bounds it to 0..=120")]
    let mut wait_ms = (args.wait * 1000.0) as u64;
    if args.load {
        wait_ms += LOAD_TAKES_MS_MAX;
        render::loading(lang);
    }
    let request = VerifyRequest { pair: args.pair, wait_ms, load: args.load };
    if std::io::stderr().is_terminal() {
        render::asking(args.wait, lang);
    }
    let bundle = client::ask(&settings, &dir, &request).await.map_err(|error| match error {
        client::ClientError::Broken { .. } | client::ClientError::Failed { .. } => ours(error),
        _ => usage(error),
    })?;
    if let Some(file) = &args.save {
        bundle::write(file, &bundle).map_err(usage)?;
    }
    Ok(show(&[Saved::Bundle(Box::new(bundle))], &args.output, lang))
}

fn show(saved: &[Saved], output: &Output, lang: Lang) -> Exit {
    let style = output.style(lang);
    let verdicts: Vec<Verdict> = saved.iter().flat_map(|saved| saved.verdicts(style.lang)).collect();
    let unprobed: Vec<Unprobed> = saved.iter().filter_map(|saved| saved.unprobed(style.lang)).collect();
    render::verdicts(&verdicts, &unprobed, output.json, style);
    exit_of(&verdicts, &unprobed)
}

/// The worst state decides: broken or degraded, then undecided, then healthy. A host without an agent counts as broken
/// if the configuration stops what is expected of it, and as undecided if that is not known. No verdict at all counts
/// as undecided.
fn exit_of(verdicts: &[Verdict], unprobed: &[Unprobed]) -> Exit {
    let any = |wanted: &[State]| verdicts.iter().any(|verdict| wanted.contains(&verdict.state));
    let hosts = |predicted| unprobed.iter().flat_map(|of| &of.sets).any(|set| set.count(predicted) > 0);
    if any(&[State::Broken, State::Degraded]) || hosts(Predicted::Blocked) {
        Exit::Bad
    } else if verdicts.is_empty() || any(&[State::Undecided]) || hosts(Predicted::Unknown) {
        Exit::Undecided
    } else {
        Exit::Fine
    }
}

fn explain_code(args: &ExplainArgs, lang: Lang) -> Result<Exit, (Exit, anyhow::Error)> {
    let Some(code) = &args.code else {
        render::catalogue(catalogue(), args.output.json, lang);
        return Ok(Exit::Fine);
    };
    let Some(doc) = explain(code) else {
        let near: Vec<&str> =
            catalogue().iter().map(|doc| doc.code.as_str()).filter(|known| alike(known, code)).collect();
        let hint = if near.is_empty() {
            "\"pingtong explain --list\" shows all".to_owned()
        } else {
            format!("did you mean {}?", near.join(", "))
        };
        return Err((Exit::Usage, anyhow::anyhow!("no cause has the code \"{code}\"; {hint}")));
    };
    render::cause_doc(doc, args.output.json, lang);
    Ok(Exit::Fine)
}

/// Whether both codes share a word of at least three letters, or one contains the other.
fn alike(known: &str, given: &str) -> bool {
    let given = given.to_lowercase();
    known.contains(&given)
        || given.contains(known)
        || given.split('-').any(|word| word.len() > 2 && known.split('-').any(|own| own == word))
}

fn load(config: &Path) -> Result<Settings, (Exit, anyhow::Error)> {
    Settings::load(config).map_err(usage)
}

fn parse_wait(text: &str) -> Result<f64, String> {
    let wait: f64 = text.parse().map_err(|_| "accepted: seconds from 0 to 120".to_owned())?;
    if (0.0..=120.0).contains(&wait) { Ok(wait) } else { Err("accepted: seconds from 0 to 120".to_owned()) }
}

/// Prints on standard error why the command could not do its job.
pub fn complain(error: &anyhow::Error, lang: Lang) {
    render::complaint(&complaint::headline(error, lang), error);
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;
    use pingtong_cli::help;

    #[test]
    fn the_help_of_every_command_is_as_agreed() {
        for lang in [Lang::En, Lang::Zh] {
            let mut command = help::localised(Cli::command(), lang, 80);
            command.build();
            let mut text = command.render_long_help().to_string();
            for sub in command.get_subcommands_mut() {
                let help = sub.render_long_help();
                text = format!("{text}\n=== {}\n{help}", sub.get_name());
            }
            insta::assert_snapshot!(format!("help_{}", lang.as_str()), text);
        }
    }

    /// A host that nobody measured does not read as healthy where the configuration surely stops what is expected of it.
    #[test]
    fn a_host_without_an_agent_counts_for_the_exit_code() {
        let unprobed = |predicted: &str| -> Unprobed {
            serde_json::from_value(serde_json::json!({"schema": 1, "sets": [{
                "asked": {"from": {"vpc": "vpc-a"}, "to": {"vpc": "vpc-b"}, "protocol": "icmp"}, "link": "p", "probed": 1,
                "hosts": [{"instance": "i-1", "address": "10.0.0.1", "side": "acceptor", "predicted": predicted}],
                "failing": [], "unknown": [], "unread": []
            }]}))
            .unwrap()
        };
        let mut healthy: Verdict = serde_json::from_str(include_str!("../render/testdata/verdict.json")).unwrap();
        healthy.state = State::Healthy;
        let exit = |predicted: &str| exit_of(std::slice::from_ref(&healthy), &[unprobed(predicted)]);
        assert_eq!([exit("passes"), exit("unknown"), exit("blocked")], [Exit::Fine, Exit::Undecided, Exit::Bad]);
    }

    #[test]
    fn a_mistyped_code_finds_its_neighbours() {
        assert!(alike("route-missing", "route"));
        assert!(alike("sg-ingress-missing", "SG-Ingress"));
        assert!(!alike("loss-in-fabric", "nonsense"));
    }
}
