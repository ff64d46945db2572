//! Finds the interface, instance, vSwitch and security groups of an address, and judges whether that host can send at
//! all.
//!
//! The interface that has the address decides (a secondary interface has its own vSwitch and groups). If interfaces
//! could not be read, the instance's own description of its primary interface is used. Facts:
//! DescribeNetworkInterfaces, DescribeInstances.

use crate::{
    code::CauseCode,
    finding::{Blind, Finding, Stops, Walk},
    fix::Fix,
    lang::both,
    model::Model,
    stage::Points,
    verdict::ObjectKind,
};
use pingtong_evidence::{
    Eni, GapCode, Instance, InstanceStatus, Known, Pair, SecurityGroupId, Side, Snapshot, VSwitch, WhyUnknown,
};
use std::net::IpAddr;

/// What is known about the host that has an address.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Host<'a> {
    pub(crate) eni: Option<&'a Eni>,
    pub(crate) instance: Option<&'a Instance>,
    pub(crate) vswitch: Option<&'a VSwitch>,
}

impl<'a> Host<'a> {
    pub(crate) fn find(model: &'a Model, side: Side, address: IpAddr) -> Self {
        let vpc = &model.link.side(side).vpc;
        let snapshot = model.snapshot(side);
        let eni = snapshot.and_then(|s| s.enis.known()).and_then(|enis| {
            enis.iter().find(|e| e.addresses.contains(&address) && e.vpc.as_ref().is_none_or(|v| v == vpc))
        });
        let instances = snapshot.and_then(|s| s.instances.known());
        let instance = instances.and_then(|all| match eni.and_then(|e| e.instance.as_ref()) {
            Some(id) => all.iter().find(|i| i.id == *id),
            None => all.iter().find(|i| i.addresses.contains(&address) && i.vpc.as_ref().is_none_or(|v| v == vpc)),
        });
        let named = eni.and_then(|e| e.vswitch.as_ref()).or_else(|| instance.and_then(|i| i.vswitch.as_ref()));
        let vswitch = model
            .vswitches(side)
            .and_then(|all| named.and_then(|id| all.into_iter().find(|v| v.id == *id)))
            .or_else(|| model.vswitch_of(side, address));
        Self { eni, instance, vswitch }
    }

    /// Security groups of the interface, in its order; `None` if neither an interface nor an instance is known.
    pub(crate) fn groups(&self) -> Option<&'a [SecurityGroupId]> {
        self.eni.map(|e| e.security_groups.as_slice()).or_else(|| self.instance.map(|i| i.security_groups.as_slice()))
    }
}

/// Builds the blind spot of a part that was not read. If the whole configuration of the side is missing, it says so,
/// which is reported once; otherwise it gives the reason for the one part.
pub(crate) fn blind_because(
    model: &Model,
    side: Side,
    points: Points,
    why: Option<&WhyUnknown>,
    what: (&str, &str),
    stops: Vec<Stops>,
    hides: Vec<CauseCode>,
) -> Blind {
    let account = &model.link.side(side).account;
    let region = &model.link.side(side).region;
    let step = points.first().map_or(0, |point| point.stage.step());
    if model.snapshot(side).is_none() {
        let vpc = &model.link.side(side).vpc;
        let read = |s: &Snapshot| s.account == *account && s.region == *region;
        let what = if model.snapshots().any(read) {
            both!(
                "no configuration of {vpc}: what was read of account {account} in {region} covers other VPCs only",
                "看不到 {vpc} 的配置：已读取的账号 {account} 在 {region} 的配置只涉及其他专有网络"
            )
        } else {
            both!("no configuration of account {account} in {region}", "看不到账号 {account} 在 {region} 的配置")
        };
        return Blind {
            gap: GapCode::AccountNotVisible,
            side,
            step,
            stops,
            hides,
            points,
            what,
            closes_with: both!(
                "an agent with a RAM role in account {account}, or a role of it that trusts the collector's account, as role \
                 of an [[account]] in collector.toml",
                "在账号 {account} 中部署带 RAM 角色的 agent，或由其授予一个信任收集端账号的角色，写在 collector.toml 的 [[account]] 里"
            ),
        };
    }
    let (en, zh) = what;
    let closes_with = match why {
        Some(WhyUnknown::Denied { action, .. }) => {
            both!(
                "grant {action} to the role that reads account {account} (the agent's, or the collector's)",
                "为读取账号 {account} 的角色（agent 的或收集端的）授权 {action}"
            )
        }
        Some(WhyUnknown::NotPermitted { closes_with, .. }) => both!("{closes_with}", "{closes_with}"),
        _ => both!("read it again from account {account}", "重新读取账号 {account} 的该配置"),
    };
    let reason = why.map_or_else(String::new, |why| format!(": {why}"));
    Blind {
        gap: GapCode::ConfigDenied,
        side,
        step,
        stops,
        hides,
        what: both!("{en} of account {account}{reason}", "账号 {account} 的{zh}{reason}"),
        closes_with,
        points,
    }
}

fn unread<T>(known: Option<&Known<T>>) -> Option<&WhyUnknown> {
    known.and_then(Known::why_unknown)
}

pub(crate) fn check_host(model: &Model, pair: &Pair, side: Side, walk: &mut Walk) {
    let endpoint = pair.endpoint(side);
    let address = endpoint.address;
    let host = Host::find(model, side, address);
    let snapshot = model.snapshot(side);
    let instances = snapshot.map(|s| &s.instances);
    let stops = Stops::Host(side);
    if let Some(instance) = host.instance {
        judge_status(model, side, instance, walk);
    } else if instances.is_none_or(|known| known.known().is_none()) {
        walk.blind(blind_because(
            model,
            side,
            stops.at_host(side),
            unread(instances),
            ("the instances", "实例"),
            vec![stops],
            vec![CauseCode::InstanceStopped],
        ));
    }
    let enis = snapshot.map(|s| &s.enis);
    let enis_known = enis.is_some_and(|known| known.known().is_some());
    let instances_known = instances.is_some_and(|known| known.known().is_some());
    if host.eni.is_none() && host.instance.is_none() && enis_known && instances_known {
        let vpc = &model.link.side(side).vpc;
        let text = both!("no interface of {vpc} has the address {address}", "{vpc} 中没有任何网卡拥有地址 {address}");
        // The host may still run under another address and receive answers to what it sends from there.
        let requests = Stops::Requests(side.opposite().sends());
        walk.blame(Finding {
            code: CauseCode::IpNotOnEni,
            side,
            direction: None,
            object: model.object(side, ObjectKind::Address, address.to_string()),
            stops: requests,
            points: requests.at_host(side),
            evidence: vec![model.note(side, &address.to_string(), pingtong_evidence::Provenance::default(), text)],
            fix: Fix::Manual,
        });
    } else if !enis_known && snapshot.is_some() {
        walk.blind(blind_because(
            model,
            side,
            stops.at_host(side),
            unread(enis),
            ("the network interfaces", "弹性网卡"),
            vec![stops],
            vec![CauseCode::IpNotOnEni],
        ));
    }
}

fn judge_status(model: &Model, side: Side, instance: &Instance, walk: &mut Walk) {
    let (id, status, stops) = (&instance.id, format!("{:?}", instance.status), Stops::Host(side));
    let note = model.note(
        side,
        id.as_str(),
        instance.provenance,
        both!("the state of {id} is {status}", "{id} 的状态为 {status}"),
    );
    match instance.status {
        InstanceStatus::Running | InstanceStatus::Unrecognised => walk.pass(stops.at_host(side), 7, side, note),
        InstanceStatus::Pending | InstanceStatus::Starting | InstanceStatus::Stopping | InstanceStatus::Stopped => {
            walk.blame(Finding {
                code: CauseCode::InstanceStopped,
                side,
                direction: None,
                object: model.object(side, ObjectKind::Instance, id.as_str()),
                stops,
                points: stops.at_host(side),
                evidence: vec![note],
                fix: match instance.status {
                    InstanceStatus::Stopped | InstanceStatus::Stopping => Fix::StartInstance { instance: id.clone() },
                    _ => Fix::Manual,
                },
            });
        }
    }
}
