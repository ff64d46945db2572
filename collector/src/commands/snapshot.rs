//! `pingtong snapshot`: the configuration of an account in a file, on standard output, or in the running collector's
//! store.
//!
//! It comes from the cloud, from answers that the `aliyun` CLI saved, or from saved snapshots. What could not be read
//! is reported as a gap, in the result and on standard error, and never as an error. The exit code distinguishes a
//! complete snapshot from one with gaps.

use crate::{
    clock,
    commands::{
        args::{Failed, Place, ours, usage},
        bundle, client,
    },
    data_dir::{DataDir, write_whole},
    render,
    settings::Settings,
};
use anyhow::Context;
use clap::{ArgGroup, Args, ValueEnum};
use pingtong_cli::{Exit, Lang};
use pingtong_cloud::{
    CALLS_PER_SECOND, Choice, EndpointRule, Progress, RedactionKey, Survey, SurveyError, progress, read_directory,
    summary,
};
use pingtong_evidence::{AccountId, RegionId, Snapshot, VpcId};
use std::{io::IsTerminal, path::PathBuf, time::Duration};

/// Maximum number of seconds for reading one region.
const WITHIN_S_MAX: u64 = 3600;
/// Maximum age of changes in hours: ActionTrail keeps 90 days.
const CHANGES_H_MAX: u64 = 90 * 24;

/// Which of the vendor's endpoints are called.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum EndpointType {
    /// Those of the internet. / 公网接入点
    Public,
    /// Those inside a VPC. / VPC 内网接入点
    Vpc,
}

#[derive(Debug, Args)]
#[command(group = ArgGroup::new("source").args(["region", "import", "from"]).required(true).multiple(true))]
pub(crate) struct SnapshotArgs {
    /// Region to read, such as cn-qingdao; may be repeated. With --import: the region of files that do not tell. /
    /// 要读取的地域，可重复；与 --import 同用时：文件未说明的地域
    #[arg(long, value_parser = RegionId::parse)]
    region: Vec<RegionId>,
    /// Account; asked with sts:GetCallerIdentity when left out. / 账号；缺省用 sts:GetCallerIdentity 查询
    #[arg(long, value_name = "ID", value_parser = AccountId::parse)]
    account: Option<AccountId>,
    /// Only this VPC's objects, where the API can filter. / 只读取该 VPC 的对象（API 支持过滤时）
    #[arg(long, value_name = "ID", value_parser = VpcId::parse)]
    vpc: Option<VpcId>,
    #[command(flatten)]
    credentials: CredentialArgs,
    /// Base address of every API, instead of the vendor's; http is for tests. /
    /// 所有 API 共用的基地址，代替官方接入点；http 仅用于测试
    #[arg(long, value_name = "URL", conflicts_with = "endpoint_type")]
    endpoint: Option<String>,
    /// Which hosts of the vendor are asked. / 使用哪一类官方接入点
    #[arg(long, value_enum, default_value_t = EndpointType::Public)]
    endpoint_type: EndpointType,
    /// Seconds for each region; what is not read by then is a gap. / 每个地域的时限（秒）；到时未读完的成为缺口
    #[arg(long, value_name = "SECONDS", default_value_t = 300, value_parser = clap::value_parser!(u64).range(1..=WITHIN_S_MAX))]
    within: u64,
    /// Calls per second of one API in one region, after a burst of 20; the account's other tools draw on the same quota. /
    /// 每个地域每个 API 每秒的调用数（首批 20 次之后）；账号的其他工具共用同一配额
    #[arg(long, value_name = "N", default_value_t = CALLS_PER_SECOND, value_parser = clap::value_parser!(u32).range(1..=1000))]
    calls_per_second: u32,
    /// Also ask ActionTrail who changed what in so many hours. / 同时向操作审计查询最近若干小时内的变更
    #[arg(long, value_name = "HOURS", value_parser = clap::value_parser!(u64).range(1..=CHANGES_H_MAX))]
    changes: Option<u64>,
    /// Instead of the cloud: a directory of answers saved by the aliyun CLI. / 不访问云：读取 aliyun CLI 保存的应答目录
    #[arg(long, value_name = "DIR", conflicts_with_all = ["from", "vpc", "endpoint", "changes"])]
    import: Option<PathBuf>,
    /// Instead of the cloud: snapshots saved before, or - for standard input; may be repeated. /
    /// 不访问云：读取先前保存的快照，- 表示标准输入；可重复
    #[arg(long, value_name = "FILE", conflicts_with_all = ["region", "account", "vpc", "endpoint", "changes"])]
    from: Vec<PathBuf>,
    /// Replace ids, names and addresses, the same in all snapshots of this run, so that they can be shared. /
    /// 替换 ID、名称和地址（本次的各快照一致），以便分享
    #[arg(long, conflicts_with = "to_collector")]
    redact: bool,
    /// File to write, with mode 0600; standard output when left out. / 要写出的文件，权限 0600；缺省为标准输出
    #[arg(long, short, value_name = "FILE", conflicts_with = "to_collector")]
    out: Option<PathBuf>,
    /// Hand the snapshot to the running collector of --config and --data. /
    /// 把快照交给 --config 和 --data 指定的运行中的收集端
    #[arg(long)]
    to_collector: bool,
    #[command(flatten)]
    place: Place,
    /// Nothing on standard error but errors. / 标准错误上只输出错误
    #[arg(long, short)]
    quiet: bool,
}

/// Credentials of the calls: those given here, else the environment, else `~/.aliyun/config.json`, else the instance's
/// role.
#[derive(Debug, Args)]
struct CredentialArgs {
    /// Id of an access key. / 访问密钥的 AccessKey ID
    #[arg(long, value_name = "ID", requires = "access_key_secret_file")]
    access_key_id: Option<String>,
    /// File with its secret, - for standard input; never the secret itself, which every process could read. /
    /// AccessKey Secret 所在文件，- 表示标准输入；不接受直接写在命令行上的密钥，因为其他进程能看到
    #[arg(long, value_name = "FILE|-", requires = "access_key_id")]
    access_key_secret_file: Option<PathBuf>,
    /// File with the token of a temporary key, - for standard input. / 临时密钥的 STS Token 所在文件，- 表示标准输入
    #[arg(long, value_name = "FILE|-", requires = "access_key_id")]
    security_token_file: Option<PathBuf>,
    /// Profile of ~/.aliyun/config.json. / ~/.aliyun/config.json 中的配置名
    #[arg(long, value_name = "NAME", conflicts_with = "access_key_id")]
    profile: Option<String>,
    /// Role to assume with these credentials. / 用上述凭证扮演的 RAM 角色
    #[arg(long, value_name = "ARN")]
    role_arn: Option<String>,
    /// The external id that the role's owner requires. / 角色所有者要求出示的 ExternalId
    #[arg(long, value_name = "TEXT", requires = "role_arn")]
    external_id: Option<String>,
}

impl CredentialArgs {
    fn choice(&self) -> Choice {
        Choice {
            access_key_id: self.access_key_id.clone(),
            access_key_secret_file: self.access_key_secret_file.clone(),
            security_token_file: self.security_token_file.clone(),
            profile: self.profile.clone(),
            role_arn: self.role_arn.clone(),
            external_id: self.external_id.clone(),
        }
    }
}

/// Takes the snapshots, prints a summary of each, and delivers them.
///
/// # Errors
/// [`Exit::Usage`] or [`Exit::Failure`] if the arguments, files, credentials or the collector cannot be used. A refused
/// call that reads configuration is a gap, not an error.
pub(crate) async fn run(args: &SnapshotArgs, lang: Lang) -> Result<Exit, Failed> {
    // Problems with the destination must show before minutes are spent on reading.
    let collector = args.to_collector.then(|| collector(&args.place)).transpose()?;
    let snapshots = take(args, lang).await?;
    if !args.quiet {
        for snapshot in &snapshots {
            let text = summary(snapshot);
            render::aside(&text.en, &text.zh, lang);
        }
    }
    let complete = snapshots.iter().all(|snapshot| snapshot.gaps.is_empty());
    match &collector {
        Some((settings, dir)) => hand_over(settings, dir, &snapshots).await?,
        None => put(args, &snapshots)?,
    }
    Ok(if complete { Exit::Fine } else { Exit::Undecided })
}

fn collector(place: &Place) -> Result<(Settings, DataDir), Failed> {
    let settings = Settings::load(&place.config).map_err(usage)?;
    Ok((settings, DataDir::existing(&place.data).map_err(usage)?))
}

async fn take(args: &SnapshotArgs, lang: Lang) -> Result<Vec<Snapshot>, Failed> {
    if let Some(directory) = &args.import {
        let region = match args.region.as_slice() {
            [] => None,
            [region] => Some(region),
            _ => {
                return Err(usage(anyhow::anyhow!(
                    "--import takes one --region, that of files that do not name theirs"
                )));
            }
        };
        return read_directory(directory, args.account.as_ref(), region).map_err(usage);
    }
    if !args.from.is_empty() {
        return bundle::read_snapshots(&args.from).map_err(usage);
    }
    survey(args, lang).await
}

async fn survey(args: &SnapshotArgs, lang: Lang) -> Result<Vec<Snapshot>, Failed> {
    let Some(first) = args.region.first() else { return Ok(vec![]) };
    let endpoint = match (&args.endpoint, args.endpoint_type) {
        (Some(base), _) => EndpointRule::parse(Some(base)).map_err(usage)?,
        (None, EndpointType::Public) => EndpointRule::Public,
        (None, EndpointType::Vpc) => EndpointRule::Internal,
    };
    let survey = Survey {
        account: args.account.clone(),
        regions: args.region.clone(),
        vpc: args.vpc.clone(),
        credentials: args.credentials.choice().credentials(first, &endpoint).map_err(usage)?,
        endpoint,
        within: Duration::from_secs(args.within),
        calls_per_second: args.calls_per_second,
        changes: args.changes.map(|hours| Duration::from_secs(hours * 3600)),
    };
    let watched = !args.quiet && std::io::stderr().is_terminal();
    let watch = |step: &Progress<'_>| {
        if watched {
            let text = progress(step);
            render::aside(&text.en, &text.zh, lang);
        }
    };
    survey.read(clock::now, &watch).await.map_err(|error| match error {
        SurveyError::Another { .. } | SurveyError::Client(_) => usage(error),
        SurveyError::Whose(_) | SurveyError::Name(_) => ours(error),
    })
}

async fn hand_over(settings: &Settings, dir: &DataDir, snapshots: &[Snapshot]) -> Result<(), Failed> {
    for snapshot in snapshots {
        client::hand_over(settings, dir, snapshot).await.map_err(|error| match error {
            client::ClientError::Broken { .. } | client::ClientError::Failed { .. } => ours(error),
            _ => usage(error),
        })?;
    }
    Ok(())
}

fn put(args: &SnapshotArgs, snapshots: &[Snapshot]) -> Result<(), Failed> {
    let text = if args.redact {
        let key = RedactionKey::random().context("no random key for the pseudonyms").map_err(ours)?;
        bundle::lines_of(&key.redact(snapshots))
    } else {
        bundle::lines_of(snapshots)
    };
    let Some(path) = &args.out else {
        render::text(&text);
        return Ok(());
    };
    write_whole(path, 0o600, &text)
        .with_context(|| format!("cannot write \"{}\"; name another file with --out", path.display()))
        .map_err(usage)
}
