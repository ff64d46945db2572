//! `pingtong policy`: RAM policies to paste into the console. Each grants only what its role needs.

use crate::{
    commands::args::{Failed, usage},
    render,
};
use clap::{Args, ValueEnum};
use pingtong_cli::Exit;
use pingtong_cloud::{COLLECTOR_ROLE, account_trust, assume_policy, instance_trust, read_policy};
use pingtong_evidence::AccountId;

/// The policies that can be printed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub(crate) enum Kind {
    /// What reads an account: an agent's instance role, or a role granted to the collector. /
    /// 读取账号配置：agent 的实例角色，或授予收集端的角色
    #[value(alias = "agent")]
    Read,
    /// What lets the collector's own user or role assume granted roles. / 让收集端自己的用户或角色能扮演被授予的角色
    Collector,
    /// Trust policy of a role granted to the collector. / 授予收集端的角色的信任策略
    CollectorTrust,
    /// Trust policy of an agent's instance role. / agent 实例角色的信任策略
    InstanceTrust,
}

#[derive(Debug, Args)]
pub(crate) struct PolicyArgs {
    /// Which policy. / 哪一个策略
    #[arg(value_name = "ROLE", value_enum)]
    kind: Kind,
    /// With collector-trust: the collector's account. With collector: an account whose role it may assume; may be repeated, any when left out. /
    /// 用于 collector-trust：收集端的账号；用于 collector：可扮演其角色的账号，可重复，缺省为任意账号
    #[arg(long, value_name = "ID", value_parser = AccountId::parse)]
    account: Vec<AccountId>,
    /// With collector: name of the granted roles. / 用于 collector：被授予角色的名称
    #[arg(long, value_name = "NAME", default_value = COLLECTOR_ROLE)]
    role: String,
    /// With collector-trust: what the collector must say; the external_id of its [[account]]. /
    /// 用于 collector-trust：收集端必须出示的 ExternalId，即其 [[account]] 的 external_id
    #[arg(long, value_name = "TEXT")]
    external_id: Option<String>,
}

/// Prints the policy.
///
/// # Errors
/// [`Exit::Usage`] if an argument does not fit the policy.
pub(crate) fn run(args: &PolicyArgs) -> Result<Exit, Failed> {
    let policy = match (args.kind, args.account.as_slice()) {
        (Kind::Read, _) => read_policy(),
        (Kind::InstanceTrust, _) => instance_trust(),
        (Kind::Collector, accounts) => assume_policy(accounts, &args.role).map_err(usage)?,
        (Kind::CollectorTrust, [account]) => account_trust(account, args.external_id.as_deref()).map_err(usage)?,
        (Kind::CollectorTrust, _) => {
            return Err(usage(anyhow::anyhow!(
                "collector-trust names one account; give the collector's with --account ID"
            )));
        }
    };
    render::document(&policy);
    Ok(Exit::Fine)
}
