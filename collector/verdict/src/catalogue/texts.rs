//! The pages themselves: pure data, in the order of [`crate::CauseCode::ALL`].

use super::{CauseDoc, CauseKind};
use crate::{code::CauseCode, lang::Texts};

/// One page per code.
pub(super) const PAGES: &[CauseDoc] = &[
    CauseDoc {
        code: CauseCode::AccountNotVisible,
        step: "0",
        kind: CauseKind::Gap,
        title: Texts { en: "the account's configuration is not visible", zh: "看不到该账号的配置" },
        meaning: Texts {
            en: "pingtong has no configuration snapshot of this account and region. This side of the path is unknown, which does not mean that it is correct.",
            zh: "没有该账号在该地域的配置快照。这一侧的配置未知，不等于正常。",
        },
        evidence: Texts {
            en: "No snapshot of this account and region is stored, or every configuration call in it failed. The other account's DescribeRouterInterfaces shows only the state of this side's router interface (OppositeInterfaceStatus, OppositeInterfaceBusinessStatus); its route entries, network ACLs and security groups stay unknown. Probes still show whether packets pass.",
            zh: "没有保存该账号该地域的快照，或快照中所有配置查询都失败。从对端账号的 DescribeRouterInterfaces 只能看到本侧路由器接口的状态（OppositeInterfaceStatus、OppositeInterfaceBusinessStatus），本侧的路由条目、网络ACL和安全组规则仍然未知。探测仍能说明报文是否可达。",
        },
        repair: Texts {
            en: "the account's owner runs an agent with a read-only RAM role, grants the collector such a role ([[account]] in collector.toml), or exports a snapshot",
            zh: "由该账号所有者部署带只读 RAM 角色的 agent，或授予收集端这样的角色（collector.toml 的 [[account]]），或导出快照",
        },
        doubt: Texts {
            en: "This is a gap and blames nothing: the account may be configured correctly. A wrong account ID or region in the link's definition looks the same, because snapshots are looked up by both. If a snapshot exists and only single calls in it failed, the gap is config-denied.",
            zh: "这是信息缺口，不指认任何故障：该账号的配置可能完全正确。连接定义中的账号 ID 或地域写错时现象相同，因为快照按这两项查找。若快照存在、只是个别调用失败，则为 config-denied。",
        },
        console: Texts {
            en: "RAM > Roles > the agent's role > Permissions",
            zh: "访问控制 RAM > 角色 > agent 的角色 > 权限管理",
        },
    },
    CauseDoc {
        code: CauseCode::ConfigDenied,
        step: "0",
        kind: CauseKind::Gap,
        title: Texts { en: "an API call was refused or failed", zh: "API 调用被拒绝或失败" },
        meaning: Texts {
            en: "A part of the configuration could not be read, so its content is unknown.",
            zh: "部分配置无法读取，其内容未知。",
        },
        evidence: Texts {
            en: "An API call failed or its answer could not be parsed; the gap names the account, the RAM action or API, and the vendor's error code (such as Forbidden.RAM or NoPermission). The unread part counts as unknown, never as missing. If packets are lost where it decides, the causes that it may hide are listed as suspects.",
            zh: "某个 API 调用失败，或返回内容无法解析；缺口中写明账号、RAM 操作或 API 以及错误码（如 Forbidden.RAM、NoPermission）。未读到的部分按未知处理，不会当作不存在。若报文恰好丢失在由它决定的位置，它可能掩盖的原因会列为疑点。",
        },
        repair: Texts {
            en: "grant the named action to the role that reads the account (the agent's or the collector's); after a timeout or throttling, verify again",
            zh: "为读取该账号的角色（agent 的或收集端的）授予所列操作；若是超时或限流，请重新验证",
        },
        doubt: Texts {
            en: "Not every failed call lacks a permission: throttling, an endpoint that cannot be reached without public access, and an unexpected answer also end here; the text of the gap separates them. RAM action names can differ from API names: CEN actions begin with cen:, those of VPC peering connections with vpc:, and DescribeMetricList of CloudMonitor needs cms:QueryMetricList. A policy that grants cbn: or vpcpeer: actions instead has no effect.",
            zh: "调用失败不一定是缺少授权：限流、没有公网时端点不可达、返回内容不符合预期也归入此项，缺口文字可以区分。RAM 操作名可能与 API 名不同：云企业网以 cen: 开头，VPC对等连接以 vpc: 开头，云监控的 DescribeMetricList 需要 cms:QueryMetricList。授权 cbn: 或 vpcpeer: 的策略不起作用。",
        },
        console: Texts {
            en: "RAM > Roles > the agent's role > Permissions",
            zh: "访问控制 RAM > 角色 > agent 的角色 > 权限管理",
        },
    },
    CauseDoc {
        code: CauseCode::ConfigStale,
        step: "0",
        kind: CauseKind::Gap,
        title: Texts { en: "the configuration is too old or has just changed", zh: "配置过旧或刚刚变更" },
        meaning: Texts {
            en: "Changes take up to a minute to take effect. Probes from that time, or a snapshot that is older than the loss, decide nothing.",
            zh: "变更最长需一分钟生效。其间的探测，或早于丢包的快照，都不能作为依据。",
        },
        evidence: Texts {
            en: "One of three observations: two snapshots of an account differ and the change falls within settle_ms (60 s by default) before the probes or during them; the newest snapshot of a side is more than 600 s old; or it was read before the loss of packets that it does not explain. In the first case the state is what the probes observed, and nothing is blamed only because the configuration explains nothing.",
            zh: "以下三种情况之一：同一账号的两份快照不同，且变更发生在探测期间或之前的 settle_ms（默认 60 秒）之内；某一侧最新的快照已超过 600 秒；快照早于丢包，而其内容解释不了该丢包。第一种情况下状态仍以探测结果为准，但不会仅因配置无法解释而认定原因。",
        },
        repair: Texts { en: "wait and verify again", zh: "稍候再次验证" },
        doubt: Texts {
            en: "Any difference between the two snapshots counts, also of an object that this pair does not use, and the time of the change is only known to lie between the two readings. A probe may therefore be set aside without need; another verification a minute later decides. A clock that is wrong can make a fresh snapshot look old (clock-skew).",
            zh: "两份快照之间的任何差异都计入，包括与该主机对无关的对象；变更时刻也只知道落在两次读取之间。因此探测可能被不必要地搁置，一分钟后重新验证即可确定。时钟不准会使新快照显得过旧（clock-skew）。",
        },
        console: Texts {
            en: "no console page: see the repair", zh: "没有对应的控制台页面：见修复说明"
        },
    },
    CauseDoc {
        code: CauseCode::CidrOverlap,
        step: "0",
        kind: CauseKind::Fault,
        title: Texts { en: "the VPCs' address blocks overlap", zh: "两端专有网络网段重叠" },
        meaning: Texts {
            en: "The peer's address also lies in a vSwitch of the sender's own VPC. The system route of that vSwitch wins, so the packet never leaves the VPC.",
            zh: "对端地址同时落在本端专有网络的交换机网段内。该交换机的系统路由优先，报文不会离开本端。",
        },
        evidence: Texts {
            en: "DescribeVSwitches shows that the peer's address lies in a vSwitch of the sender's own VPC: on both sides, or on one side while the primary CIDR blocks of the VPCs (DescribeVpcs) overlap. The system route of that vSwitch takes precedence over every route to the link, so requests are lost between the hosts (S1) and never appear at the peer. A local host with the same address may answer.",
            zh: "DescribeVSwitches 显示对端地址落在发送侧专有网络自己的交换机网段内：两侧都如此，或一侧如此且两个专有网络的主网段（DescribeVpcs）重叠。该交换机的系统路由优先于任何指向本连接的路由条目，请求在两台主机之间丢失（S1），对端看不到。本地若有主机使用同一地址，可能由它应答。",
        },
        repair: Texts {
            en: "no command repairs this: one owner must move the hosts to a VPC or vSwitch whose CIDR block does not overlap",
            zh: "没有命令可以修复：须由一方把主机迁到不重叠网段的专有网络或交换机",
        },
        doubt: Texts {
            en: "Overlapping VPC blocks alone are not a fault: with disjoint vSwitches and route entries of vSwitch size the two VPCs can communicate, and that is not blamed. A conflict with a vSwitch in a block that was added later on one side is route-shadowed. Replies do not refute this cause as long as the peer's agent saw no request: they come from a host in the sender's VPC.",
            zh: "仅专有网络网段重叠不算故障：交换机网段不重叠、路由条目按交换机网段配置时可以互通，不会报告本原因。若只与一侧后来附加网段中的交换机冲突，则为 route-shadowed。只要对端 agent 没有看到请求，收到应答也不能否定本原因：应答来自发送侧专有网络内的主机。",
        },
        console: Texts { en: "VPC > VPCs > CIDR blocks", zh: "专有网络 > 专有网络 > 网段" },
    },
    CauseDoc {
        code: CauseCode::RiMissing,
        step: "1, 2",
        kind: CauseKind::Fault,
        title: Texts { en: "no router interface for this peer", zh: "没有面向该对端的路由器接口" },
        meaning: Texts {
            en: "The VPC's router has no router interface for this peer: this side of the connection does not exist.",
            zh: "该专有网络的路由器上没有面向该对端的路由器接口，本端的连接不存在。",
        },
        evidence: Texts {
            en: "DescribeRouterInterfaces of the account and region lists no interface on the VPC's router (VpcInstanceId, or RouterId equal to the VPC's VRouterId) that can be meant for this peer. If the account cannot be read, the peer's interface shows it: OppositeInterfaceStatus is Deleted. No route entry can lead to the link, so requests of both directions are lost between the hosts (S1).",
            zh: "在该账号该地域的 DescribeRouterInterfaces 中，专有网络的路由器上（VpcInstanceId，或 RouterId 等于其 VRouterId）没有可用于该对端的路由器接口。若该账号不可读，可由对端的接口看出：OppositeInterfaceStatus 为 Deleted。没有路由条目能指向本连接，两个方向的请求都在两台主机之间丢失（S1）。",
        },
        repair: Texts {
            en: "create the missing side (CreateRouterInterface); if the cloud no longer permits new VPC-to-VPC router interfaces, use a VPC peering connection or a transit router",
            zh: "创建缺少的一端（CreateRouterInterface）；若已不能新建 VPC 互连的路由器接口，请改用 VPC对等连接或转发路由器",
        },
        doubt: Texts {
            en: "Interfaces that are connected to another peer do not count, and those in another region or account are not seen here; one on another VPC of the same account and region that is connected to this peer is ri-wrong-vpc. If a VPC peering connection or a transit router joins the two VPCs, the link's kind is defined wrongly and nothing is missing: probes that pass then turn the finding into model-contradicted.",
            zh: "已与其他对端相连的接口不计在内，建在其他地域或账号的接口在此看不到；同账号同地域其他专有网络上、已与该对端相连的接口为 ri-wrong-vpc。若两个专有网络由 VPC对等连接或转发路由器连通，则是连接类型定义有误，并不缺少接口：此时探测通过，结论会变为 model-contradicted。",
        },
        console: Texts {
            en: "Express Connect > VPC peering connections > VPC-to-VPC > Create Peering Connection",
            zh: "高速通道 > 专有网络对等连接 > VPC互连 > 创建对等连接",
        },
    },
    CauseDoc {
        code: CauseCode::RiWrongRegion,
        step: "1, 2",
        kind: CauseKind::Fault,
        title: Texts {
            en: "the router interface was made for another region", zh: "路由器接口选错了对端地域"
        },
        meaning: Texts {
            en: "The region of the peer was chosen when the interface was created and cannot be changed.",
            zh: "对端地域在创建接口时选定，之后不能修改。",
        },
        evidence: Texts {
            en: "OppositeRegionId of this side's router interface differs from the region of the peer's VPC. Such an interface cannot be connected to the peer's and normally stays Idle. Requests of both directions are lost between the hosts (S1).",
            zh: "本侧路由器接口的 OppositeRegionId 与对端专有网络所在地域不同。这样的接口无法与对端相连，通常一直处于 Idle。两个方向的请求都在两台主机之间丢失（S1）。",
        },
        repair: Texts {
            en: "delete the interface and create it again with the right opposite region",
            zh: "删除后按正确的对端地域重新创建",
        },
        doubt: Texts {
            en: "The expected region comes from the link's definition: if that is wrong, the interface is right, and DescribeVpcs in the peer's account decides. The interface may also belong to another connection while the one for this peer is missing (ri-missing); its name and creation time help to distinguish the two.",
            zh: "预期地域来自连接定义：若定义写错，则接口本身无误，以对端账号的 DescribeVpcs 为准。该接口也可能属于另一条连接，而面向该对端的接口并未创建（ri-missing），可由接口名称和创建时间区分。",
        },
        console: Texts {
            en: "Express Connect > VPC peering connections > VPC-to-VPC > the router interface > Freeze, Delete",
            zh: "高速通道 > 专有网络对等连接 > VPC互连 > 路由器接口 > 冻结、删除",
        },
    },
    CauseDoc {
        code: CauseCode::RiWrongVpc,
        step: "1, 2",
        kind: CauseKind::Fault,
        title: Texts {
            en: "the router interface sits on another VPC", zh: "路由器接口建在了别的专有网络上"
        },
        meaning: Texts {
            en: "The connection may be Active, but it joins the wrong VPC.",
            zh: "连接可能已激活，但接入的是错误的专有网络。",
        },
        evidence: Texts {
            en: "In DescribeRouterInterfaces of both accounts, an interface on another VPC of this account and the peer's interface name each other as OppositeInterfaceId, and VpcInstanceId is not the expected VPC. Status may be Active on both ends. Requests of both directions are lost between the expected hosts (S1).",
            zh: "在两个账号的 DescribeRouterInterfaces 中，本账号另一个专有网络上的接口与对端接口的 OppositeInterfaceId 互相指向，而 VpcInstanceId 不是预期的专有网络。两端 Status 可能都是 Active。两个方向的请求都在预期的两台主机之间丢失（S1）。",
        },
        repair: Texts {
            en: "create a router interface on the right VPC's router and connect it; then the wrong one can be deleted",
            zh: "在正确的专有网络的路由器上创建并连接；之后可删除建错的",
        },
        doubt: Texts {
            en: "The expected VPC comes from the link's definition, so a wrong VPC ID there looks the same: compare it with VpcInstanceId. A VPC that is meant as a hub is not blamed if some snapshot shows a connection from it to the expected VPC or another expected link uses it; without that knowledge a hub looks like a mistake.",
            zh: "预期的专有网络来自连接定义，定义中的专有网络 ID 写错时现象相同，请与 VpcInstanceId 核对。若某份快照显示该专有网络与预期的专有网络相连，或另一条预期连接用到它，则视为中转网络，不会报告；缺少这些信息时，中转网络看上去与建错相同。",
        },
        console: Texts {
            en: "Express Connect > VPC peering connections > VPC-to-VPC > the router interface > Freeze, Delete",
            zh: "高速通道 > 专有网络对等连接 > VPC互连 > 路由器接口 > 冻结、删除",
        },
    },
    CauseDoc {
        code: CauseCode::RiRoleConflict,
        step: "1, 2",
        kind: CauseKind::Fault,
        title: Texts { en: "both router interfaces have the same role", zh: "两端路由器接口角色相同" },
        meaning: Texts {
            en: "One side must initiate and the other accept; two interfaces with the same role can never connect.",
            zh: "必须一端发起、一端接收；角色相同的两个接口无法连接。",
        },
        evidence: Texts {
            en: "Role in DescribeRouterInterfaces is the same on both ends, InitiatingSide twice or AcceptingSide twice. The two cannot be connected; on an accepting side ConnectRouterInterface fails with IncorrectRole.NotInitiatingSide. Requests of both directions are lost between the hosts (S1).",
            zh: "两端在 DescribeRouterInterfaces 中的 Role 相同，都是 InitiatingSide 或都是 AcceptingSide。两者无法建立连接，在接收端调用 ConnectRouterInterface 会返回 IncorrectRole.NotInitiatingSide。两个方向的请求都在两台主机之间丢失（S1）。",
        },
        repair: Texts {
            en: "delete and recreate the side with the wrong role", zh: "删除并重建角色错误的一端"
        },
        doubt: Texts {
            en: "The side whose role differs from the link's definition is blamed. If the definition has initiator and acceptor exchanged, the other interface is the one to rebuild; rebuilding either of them with the opposite role repairs the connection. The roles can only be compared if both accounts are readable.",
            zh: "被指认的是角色与连接定义不符的一端。若定义把发起端与接收端写反，应重建的是另一端；把任意一端按相反角色重建都能修复。只有两个账号都可读时才能比较角色。",
        },
        console: Texts {
            en: "Express Connect > VPC peering connections > VPC-to-VPC > the router interface > Freeze, Delete",
            zh: "高速通道 > 专有网络对等连接 > VPC互连 > 路由器接口 > 冻结、删除",
        },
    },
    CauseDoc {
        code: CauseCode::RiOppositeUnset,
        step: "3, 4",
        kind: CauseKind::Fault,
        title: Texts { en: "the router interface does not name its peer", zh: "路由器接口没有填写对端" },
        meaning: Texts {
            en: "The peer has not been added on this side (tutorial step 3 or 4).",
            zh: "本端尚未添加对端（教程第3或第4步）。",
        },
        evidence: Texts {
            en: "On a router interface that was never connected (for example Idle or Connecting), at least one of OppositeInterfaceId, OppositeRouterId and OppositeInterfaceOwnerId is empty; the evidence lists which. ConnectRouterInterface then fails with IncorrectOppositeInterfaceInfo.NotSet. Requests of both directions are lost between the hosts (S1).",
            zh: "从未连接过的路由器接口（如 Idle、Connecting）上，OppositeInterfaceId、OppositeRouterId、OppositeInterfaceOwnerId 至少有一项为空，证据中列出具体字段。此时 ConnectRouterInterface 返回 IncorrectOppositeInterfaceInfo.NotSet。两个方向的请求都在两台主机之间丢失（S1）。",
        },
        repair: Texts {
            en: "set all four opposite fields (ModifyRouterInterfaceAttribute)",
            zh: "填写全部四个对端字段（ModifyRouterInterfaceAttribute）",
        },
        doubt: Texts {
            en: "If the owner has just added the peer, an older snapshot still shows empty fields; a new snapshot decides. Fields that are set but wrong are ri-opposite-mismatch, and complete fields on two Idle interfaces are ri-not-connected. OppositeRouterType is not among the fields checked here: it defaults to VBR in the API and must be VRouter between two VPCs.",
            zh: "若所有者刚刚添加了对端，旧快照中的字段仍为空，以新快照为准。字段已填但有误为 ri-opposite-mismatch；两端都为 Idle 且字段完整为 ri-not-connected。这里不检查 OppositeRouterType：该参数在 API 中默认为 VBR，两个专有网络互连时必须为 VRouter。",
        },
        console: Texts {
            en: "Express Connect > VPC peering connections > VPC-to-VPC > the router interface > Add Initiator / Add Acceptor",
            zh: "高速通道 > 专有网络对等连接 > VPC互连 > 路由器接口 > 添加发起端 / 添加接收端",
        },
    },
    CauseDoc {
        code: CauseCode::RiOppositeMismatch,
        step: "3, 4",
        kind: CauseKind::Fault,
        title: Texts { en: "the router interface names the wrong peer", zh: "路由器接口填写的对端有误" },
        meaning: Texts {
            en: "A field that identifies the peer differs from the peer's real value, so the two interfaces never connect.",
            zh: "填写的对端信息与实际不符，两端无法建立连接。",
        },
        evidence: Texts {
            en: "OppositeInterfaceId differs from the RouterInterfaceId of the peer's interface. On an interface that was never connected, OppositeInterfaceOwnerId (the peer's account ID), OppositeRouterId (its VRouterId) and OppositeRouterType (must not be VBR) are compared too. The evidence gives each wrong field with its value and the expected one. Requests of both directions are lost between the hosts (S1).",
            zh: "OppositeInterfaceId 与对端接口的 RouterInterfaceId 不同。对从未连接过的接口，还比较 OppositeInterfaceOwnerId（对端账号 ID）、OppositeRouterId（对端 VRouterId）和 OppositeRouterType（不应为 VBR）。证据中给出每个有误字段的当前值与预期值。两个方向的请求都在两台主机之间丢失（S1）。",
        },
        repair: Texts {
            en: "correct the field while the interface is Idle; once it was connected, rebuild it",
            zh: "接口处于 Idle 时更正字段；曾经连接过则须重建",
        },
        doubt: Texts {
            en: "If the peer's account has several router interfaces, the comparison is with the one that fits this link best, and the field may correctly name another one. If the peer's account is not readable, only the owner can be compared. OppositeInterfaceOwnerId must be the main account's ID: the ID of a RAM user of the same account is a real mistake.",
            zh: "若对端账号有多个路由器接口，比较对象是与本连接最吻合的一个，而字段填写的可能是另一个正确的接口。若对端账号不可读，只能比较所有者。OppositeInterfaceOwnerId 必须是主账号 ID：填写同一账号下 RAM 用户的 ID 确属错误。",
        },
        console: Texts {
            en: "Express Connect > VPC peering connections > VPC-to-VPC > the router interface > Add Initiator / Add Acceptor",
            zh: "高速通道 > 专有网络对等连接 > VPC互连 > 路由器接口 > 添加发起端 / 添加接收端",
        },
    },
    CauseDoc {
        code: CauseCode::RiNotConnected,
        step: "4",
        kind: CauseKind::Fault,
        title: Texts { en: "the connection was never initiated", zh: "尚未发起连接" },
        meaning: Texts {
            en: "Both sides name each other, but the initiating side has not started the connection.",
            zh: "两端已互相填写，但发起端没有发起连接。",
        },
        evidence: Texts {
            en: "The initiating router interface is Idle, its opposite fields and those of the other end are complete and agree, and the other end is readable or shown as Idle by OppositeInterfaceStatus. Requests of both directions are lost between the hosts (S1).",
            zh: "发起端的路由器接口为 Idle，两端的对端字段完整且一致，并且另一端可读，或由 OppositeInterfaceStatus 显示为 Idle。两个方向的请求都在两台主机之间丢失（S1）。",
        },
        repair: Texts {
            en: "the initiator's account connects (ConnectRouterInterface)",
            zh: "由发起端发起连接（ConnectRouterInterface）",
        },
        doubt: Texts {
            en: "Idle does not show whether ConnectRouterInterface was never called or was refused: an unpaid bill (Forbidden.BillsOutstanding) or an existing connection of the same two routers (Forbidden.OnlyOneConnection) appears only in the error of the call. An interface that worked and was then frozen is Inactive, which is ri-inactive.",
            zh: "Idle 无法说明 ConnectRouterInterface 是从未调用还是被拒绝：账号欠费（Forbidden.BillsOutstanding）或这两个路由器之间已有连接（Forbidden.OnlyOneConnection）只出现在调用返回的错误中。曾经连通、后被冻结的接口状态为 Inactive，属于 ri-inactive。",
        },
        console: Texts {
            en: "Express Connect > VPC peering connections > VPC-to-VPC > the router interface > Initiate Connection",
            zh: "高速通道 > 专有网络对等连接 > VPC互连 > 路由器接口 > 发起连接",
        },
    },
    CauseDoc {
        code: CauseCode::RiConnecting,
        step: "4",
        kind: CauseKind::Fault,
        title: Texts { en: "the router interface is in transition", zh: "路由器接口处于过渡状态" },
        meaning: Texts {
            en: "The connection is being established or changed. Forwarding is only certain in state Active.",
            zh: "连接正在建立或变更，只有变为 Active 才能确定会转发。",
        },
        evidence: Texts {
            en: "Status of a router interface is Connecting, AcceptingConnecting, Activating or Modifying, and all fields of both ends are right as far as they are readable. The seconds in the evidence are the time from CreationTime to the snapshot. Requests of both directions are lost between the hosts (S1) while the connection is down.",
            zh: "路由器接口的 Status 为 Connecting、AcceptingConnecting、Activating 或 Modifying，且两端可读的字段都正确。证据中的秒数是从 CreationTime 到快照的时间。连接未建立期间，两个方向的请求都在两台主机之间丢失（S1）。",
        },
        repair: Texts {
            en: "wait a minute and verify again; if the state stays, check the peer's fields, rebuild the interface, or open a ticket",
            zh: "等待一分钟后重新验证；若状态不变，检查对端字段、重建接口或提交工单",
        },
        doubt: Texts {
            en: "A transition normally ends within a minute, so one snapshot may have caught a connection that is about to become Active; a second one decides. The seconds are the age of the interface, not of the transition. After a change of the specification packets may still pass during Activating or Modifying; then the finding becomes model-contradicted.",
            zh: "过渡状态通常在一分钟内结束，单份快照可能恰好落在即将变为 Active 之前，以第二份快照为准。证据中的秒数是接口创建以来的时间，而不是过渡持续的时间。变配后处于 Activating 或 Modifying 时报文可能仍然通过，此时结论变为 model-contradicted。",
        },
        console: Texts {
            en: "Express Connect > VPC peering connections > VPC-to-VPC > the router interface",
            zh: "高速通道 > 专有网络对等连接 > VPC互连 > 路由器接口",
        },
    },
    CauseDoc {
        code: CauseCode::RiInactive,
        step: "4",
        kind: CauseKind::Fault,
        title: Texts { en: "the router interface is frozen", zh: "路由器接口已冻结" },
        meaning: Texts {
            en: "The owner of a router interface froze (deactivated) it, which interrupts both directions at once.",
            zh: "路由器接口被其所有者冻结，两个方向同时中断。",
        },
        evidence: Texts {
            en: "Status of a router interface is Inactive or Deactivating; for an account that cannot be read, OppositeInterfaceStatus of the other end shows it. The other end usually stays Active. Requests of both directions are lost between the hosts (S1) from the same moment on.",
            zh: "路由器接口的 Status 为 Inactive 或 Deactivating；账号不可读时，由另一端的 OppositeInterfaceStatus 看出。另一端通常仍为 Active。两个方向的请求从同一时刻起都在两台主机之间丢失（S1）。",
        },
        repair: Texts {
            en: "its owner activates it (ActivateRouterInterface)",
            zh: "由其所有者激活（ActivateRouterInterface）",
        },
        doubt: Texts {
            en: "The frozen end decides who must act: only its owner can activate it. If its BusinessStatus is FinancialLocked as well, activation is refused until the bill is paid. That a frozen interface forwards nothing is not documented by the vendor; probes that pass turn the finding into model-contradicted.",
            zh: "由哪一端冻结决定由谁处理：只有其所有者能激活。若 BusinessStatus 同时为 FinancialLocked，付费之前无法激活。厂商文档没有写明冻结的接口不转发；若探测通过，结论会变为 model-contradicted。",
        },
        console: Texts {
            en: "Express Connect > VPC peering connections > VPC-to-VPC > the router interface > Activate",
            zh: "高速通道 > 专有网络对等连接 > VPC互连 > 路由器接口 > 激活",
        },
    },
    CauseDoc {
        code: CauseCode::RiFinancialLocked,
        step: "4",
        kind: CauseKind::Fault,
        title: Texts { en: "the router interface is locked for payment", zh: "路由器接口因欠费锁定" },
        meaning: Texts {
            en: "The account has an unpaid bill, or the interface has expired.",
            zh: "账号欠费，或该接口已到期。",
        },
        evidence: Texts {
            en: "BusinessStatus of the router interface is FinancialLocked; if its account cannot be read, OppositeInterfaceBusinessStatus of the other end shows it. Where the lock stops forwarding, requests of both directions are lost between the hosts (S1).",
            zh: "路由器接口的 BusinessStatus 为 FinancialLocked；若其账号不可读，由另一端的 OppositeInterfaceBusinessStatus 看出。锁定导致停止转发时，两个方向的请求都在两台主机之间丢失（S1）。",
        },
        repair: Texts {
            en: "the owner pays or renews; no API call helps before that",
            zh: "由所有者付费或续费；在此之前没有可用的 API",
        },
        doubt: Texts {
            en: "It is not documented whether a locked interface stops forwarding at once: if probes pass, the finding becomes model-contradicted, and the bill is still open. An unpaid bill also blocks creating, connecting and activating interfaces of the account, so ri-not-connected or ri-inactive beside it can be its consequence. After a payment a new snapshot decides.",
            zh: "厂商没有写明锁定的接口是否立即停止转发：若探测通过，结论会变为 model-contradicted，但欠费依然存在。欠费还会使该账号无法创建、连接和激活接口，同时出现的 ri-not-connected 或 ri-inactive 可能是其结果。付费后以新快照为准。",
        },
        console: Texts { en: "Expenses > Orders / Renewal", zh: "费用中心 > 订单 / 续费" },
    },
    CauseDoc {
        code: CauseCode::RiSecurityLocked,
        step: "4",
        kind: CauseKind::Fault,
        title: Texts { en: "the router interface is locked for security", zh: "路由器接口被安全锁定" },
        meaning: Texts {
            en: "Alibaba Cloud has locked the interface for security reasons.",
            zh: "该接口被阿里云安全管控锁定。",
        },
        evidence: Texts {
            en: "BusinessStatus of the router interface is SecurityLocked; if its account cannot be read, OppositeInterfaceBusinessStatus of the other end shows it. Requests of both directions are lost between the hosts (S1).",
            zh: "路由器接口的 BusinessStatus 为 SecurityLocked；若其账号不可读，由另一端的 OppositeInterfaceBusinessStatus 看出。两个方向的请求都在两台主机之间丢失（S1）。",
        },
        repair: Texts { en: "the owner opens a ticket", zh: "由所有者提交工单" },
        doubt: Texts {
            en: "The API does not give the reason of the lock; only a ticket reveals it. How a security lock affects forwarding is not documented: if probes pass, the finding becomes model-contradicted. A lock because of an unpaid bill is FinancialLocked and is reported as ri-financial-locked.",
            zh: "API 不提供锁定的原因，只能通过工单查明。安全锁定对转发的影响没有文档说明：若探测通过，结论会变为 model-contradicted。因欠费的锁定为 FinancialLocked，属于 ri-financial-locked。",
        },
        console: Texts { en: "Tickets > Submit Ticket > Express Connect", zh: "工单 > 提交工单 > 高速通道" },
    },
    CauseDoc {
        code: CauseCode::PeeringNotActive,
        step: "4",
        kind: CauseKind::Fault,
        title: Texts { en: "the peering connection is not active", zh: "对等连接未激活" },
        meaning: Texts {
            en: "The VPC peering connection or transit router attachment does not exist, was not accepted, was closed, or is locked.",
            zh: "VPC对等连接或转发路由器连接不存在、未被接受、已关闭或被锁定。",
        },
        evidence: Texts {
            en: "ListVpcPeerConnections shows no connection that joins the two VPCs, or one whose Status is not Activated or whose BizStatus is a lock. For transit routers, ListTransitRouterVpcAttachments shows no attachment of the VPC or one that is not Attached, or ListTransitRouterPeerAttachments shows a connection between the regions that is not Attached. Requests of both directions are lost between the hosts (S1).",
            zh: "ListVpcPeerConnections 中没有连接这两个专有网络的对等连接，或其 Status 不是 Activated，或 BizStatus 为锁定。对转发路由器：ListTransitRouterVpcAttachments 中没有该专有网络的连接或其状态不是 Attached，或 ListTransitRouterPeerAttachments 中的跨地域连接不是 Attached。两个方向的请求都在两台主机之间丢失（S1）。",
        },
        repair: Texts {
            en: "create the missing connection or attachment, let the other account accept it, or have the lock removed (bill, ticket)",
            zh: "创建缺少的对等连接或转发路由器连接，由对端账号接受，或解除锁定（付费、提交工单）",
        },
        doubt: Texts {
            en: "Absence is concluded from the lists that could be read; a list that shows this account only a part makes an existing connection look absent. Creating and Updating are transitional; Accepting needs the other account within 7 days, after which the connection is Expired and must be created again. If router interfaces join the two VPCs, the link's kind is defined wrongly.",
            zh: "“不存在”只依据能读到的列表；列表对该账号只显示一部分时，已有的连接看上去像不存在。Creating、Updating 是过渡状态；Accepting 须由对端账号在 7 天内接受，过期变为 Expired，只能重新创建。若两个专有网络是用路由器接口相连，则是连接类型定义有误。",
        },
        console: Texts {
            en: "VPC > VPC Peering Connections; transit router: CEN > Instances > the instance > the transit router > Intra-region / Inter-region Connections",
            zh: "专有网络 > VPC对等连接；转发路由器：云企业网 > 实例 > 转发路由器 > 地域内连接管理 / 跨地域连接管理",
        },
    },
    CauseDoc {
        code: CauseCode::RouteMissing,
        step: "5",
        kind: CauseKind::Fault,
        title: Texts { en: "no route to the peer", zh: "没有到对端的路由" },
        meaning: Texts {
            en: "The route table in effect for the host's vSwitch, or the transit router's table, has no entry that covers the peer. Packets are dropped silently.",
            zh: "主机所在交换机生效的路由表（或转发路由器的路由表）没有包含对端的路由条目，报文被静默丢弃。",
        },
        evidence: Texts {
            en: "DescribeVSwitches names the route table in effect for the host's vSwitch (RouteTable.RouteTableId), and DescribeRouteEntryList shows no available entry in it that covers the peer's address. For a transit router, no route table is associated with the attachment, or the associated one has no active route to the address. Probes from this side are lost between the hosts (S1), replies to the other side's probes on the way back (S5).",
            zh: "由 DescribeVSwitches 得到主机所在交换机生效的路由表（RouteTable.RouteTableId），DescribeRouteEntryList 中没有可用的路由条目包含对端地址。对转发路由器：没有路由表与该连接建立关联转发，或关联的路由表中没有到该地址的有效路由。本侧发出的探测在两台主机之间丢失（S1），对另一侧探测的应答在返回途中丢失（S5）。",
        },
        repair: Texts {
            en: "add an entry for the peer's CIDR block with the link as next hop (CreateRouteEntry); on a transit router, associate a route table or enable route learning",
            zh: "添加目标为对端网段、下一跳为本连接的路由条目（CreateRouteEntry）；转发路由器上则建立关联转发或开启路由学习",
        },
        doubt: Texts {
            en: "The egress network ACL of this side and the ingress ACL of the other lose exactly the same packets; a missing route affects every protocol, an ACL often only one, and the configuration decides. An entry whose destination is a prefix list (pl-…) is not expanded by pingtong, so a route in that form looks missing. The vSwitch of the probed address counts: hosts in other vSwitches may use another table and be unaffected.",
            zh: "本侧出方向网络ACL与另一侧入方向网络ACL丢失的报文完全相同；缺少路由影响所有协议，网络ACL往往只影响某个协议，最终以配置为准。目标为前缀列表（pl-…）的路由条目不会被展开，这样写的路由看上去像缺失。以被探测地址所在的交换机为准：其他交换机的主机可能使用另一张路由表，不受影响。",
        },
        console: Texts {
            en: "VPC > Route Tables > the table > Route Entry List > Add Route Entry; transit router: CEN > Instances > the instance > the transit router > Route Table",
            zh: "专有网络 > 路由表 > 路由条目列表 > 添加路由条目；转发路由器：云企业网 > 实例 > 转发路由器 > 转发路由器路由表",
        },
    },
    CauseDoc {
        code: CauseCode::RouteWrongCidr,
        step: "5",
        kind: CauseKind::Fault,
        title: Texts { en: "the route to the link has the wrong block", zh: "指向对端的路由网段不对" },
        meaning: Texts {
            en: "An entry leads to the link but does not cover the peer's address, and no other entry does.",
            zh: "有路由条目指向本连接，但不包含对端地址，也没有其他条目包含。",
        },
        evidence: Texts {
            en: "In the table in effect, a custom entry has the link as next hop, but its DestinationCidrBlock contains neither the peer's address nor another whole block of the peer's VPC, and no available entry covers the address. Probes from this side are lost between the hosts (S1), replies to the other side's probes on the way back (S5). Peer hosts inside the entry's block are reachable.",
            zh: "生效的路由表中有一条下一跳为本连接的自定义路由条目，其 DestinationCidrBlock 既不包含对端地址，也不是对端专有网络的另一个完整网段，且没有其他可用条目包含该地址。本侧发出的探测在两台主机之间丢失（S1），对另一侧探测的应答在返回途中丢失（S5）。落在该条目网段内的对端主机可以访问。",
        },
        repair: Texts {
            en: "add an entry for the peer's CIDR block with the link as next hop",
            zh: "添加目标为对端网段、下一跳为本连接的路由条目",
        },
        doubt: Texts {
            en: "The narrow entry may be intended for a part of the peer's VPC, such as one vSwitch; then an entry is missing rather than wrong, and the repair, which adds one, is the same. A security group rule with a narrow source also affects only some hosts, but only one direction: S1 one way and no loss the other way (sg-wrong-cidr).",
            zh: "较窄的条目可能本来只针对对端专有网络的一部分，例如某个交换机；那样属于缺少条目而不是写错，修复方法（新增条目）相同。安全组规则的授权对象过窄也只影响部分主机，但只影响一个方向：一个方向为 S1，另一个方向不丢包（sg-wrong-cidr）。",
        },
        console: Texts {
            en: "VPC > Route Tables > the table > Route Entry List > Add Route Entry",
            zh: "专有网络 > 路由表 > 路由条目列表 > 添加路由条目",
        },
    },
    CauseDoc {
        code: CauseCode::RouteWrongNextHop,
        step: "5",
        kind: CauseKind::Fault,
        title: Texts { en: "the route leads elsewhere", zh: "路由的下一跳不是本连接" },
        meaning: Texts {
            en: "The entry that decides for the peer's address has another next hop than this link.",
            zh: "对端地址命中的路由条目，下一跳不是本连接。",
        },
        evidence: Texts {
            en: "The available entry with the longest prefix that covers the peer's address has a NextHopType or NextHopId other than the link's; in a transit router's table it is a black hole route or leads to another attachment. Probes from this side are lost between the hosts (S1) and replies to the other side's probes on the way back (S5), unless another host has the address and answers.",
            zh: "包含对端地址且前缀最长的可用路由条目，其 NextHopType 或 NextHopId 不是本连接；在转发路由器的路由表中，则为黑洞路由或指向其他连接。本侧发出的探测在两台主机之间丢失（S1），对另一侧探测的应答在返回途中丢失（S5），除非别的主机占用该地址并应答。",
        },
        repair: Texts {
            en: "replace the entry: delete it and create it again with the link as next hop; if it was learned (BGP, CEN), add a longer prefix to the link",
            zh: "替换该条目：删除后以本连接为下一跳重新创建；若是自动学习的条目（BGP、CEN），则添加前缀更长且指向本连接的条目",
        },
        doubt: Texts {
            en: "The other next hop (NAT gateway, VPN gateway, firewall instance, CEN) may be intended and may reach the peer: if packets pass, the finding becomes model-contradicted, and the link's definition needs correcting. If a wider entry to the link exists as well, the cause is route-shadowed. Replies alone prove nothing here: only the agent at the peer shows who received the request.",
            zh: "该下一跳（NAT网关、VPN网关、防火墙实例、云企业网）可能是有意设置的，也可能能到达对端：若报文通过，结论会变为 model-contradicted，需要更正的是连接定义。若同时存在指向本连接的更宽条目，则为 route-shadowed。仅凭收到应答不能说明问题：只有对端 agent 能说明请求到了哪台主机。",
        },
        console: Texts {
            en: "VPC > Route Tables > the table > Route Entry List; transit router: CEN > Instances > the instance > the transit router > Route Table",
            zh: "专有网络 > 路由表 > 路由条目列表；转发路由器：云企业网 > 实例 > 转发路由器 > 转发路由器路由表",
        },
    },
    CauseDoc {
        code: CauseCode::RouteWrongTable,
        step: "5",
        kind: CauseKind::Fault,
        title: Texts {
            en: "the route is in a table that is not in effect", zh: "路由写在了未生效的路由表中"
        },
        meaning: Texts {
            en: "The host's vSwitch uses another route table than the one that has the entry for the peer.",
            zh: "主机所在交换机绑定的路由表，不是写有到对端路由条目的那一张。",
        },
        evidence: Texts {
            en: "Another route table of the same VPC has an entry that covers the peer's address and leads to the link, while the table that DescribeVSwitches names for the host's vSwitch has none. Only hosts of that vSwitch are affected: their probes are lost between the hosts (S1), their replies to the other side's probes on the way back (S5).",
            zh: "同一专有网络的另一张路由表中有包含对端地址、指向本连接的路由条目，而 DescribeVSwitches 中主机所在交换机的路由表没有。只有该交换机内的主机受影响：它们发出的探测在两台主机之间丢失（S1），对另一侧探测的应答在返回途中丢失（S5）。",
        },
        repair: Texts {
            en: "add the route to the table in effect, or bind the vSwitch to the other table",
            zh: "把路由加到生效的路由表，或让交换机绑定另一张路由表",
        },
        doubt: Texts {
            en: "The table in effect is that of the vSwitch of the probed address; a secondary network interface in another vSwitch can have another table. Binding the vSwitch to the other table changes all routes of that vSwitch, so adding one entry is the smaller change. State and next hops of the entry in the other table are not checked further; it may itself be unusable.",
            zh: "生效的路由表由被探测地址所在的交换机决定；位于另一交换机的辅助网卡可能使用另一张路由表。改绑路由表会改变该交换机的全部路由，因此新增一条的影响更小。另一张路由表中条目的状态没有进一步检查，它本身也可能不可用。",
        },
        console: Texts {
            en: "VPC > Route Tables > the table > Route Entry List, or Associated vSwitch",
            zh: "专有网络 > 路由表 > 路由条目列表，或已绑定交换机",
        },
    },
    CauseDoc {
        code: CauseCode::RouteShadowed,
        step: "5",
        kind: CauseKind::Fault,
        title: Texts { en: "a more specific route wins", zh: "被更精确的路由覆盖" },
        meaning: Texts {
            en: "A route to the link may exist, but an entry with a longer prefix and another next hop decides.",
            zh: "即使有指向本连接的路由，前缀更长、下一跳不同的条目优先。",
        },
        evidence: Texts {
            en: "An entry to the link covers the peer's address, and an available entry with a longer prefix (Custom, BGP, CEN or ECR) leads elsewhere; or the address lies in a vSwitch of this VPC, whose system route wins in any case. Only addresses within the longer prefix are affected: S1 for probes from this side, S5 for replies to the other side's probes. In the case of a vSwitch, a local host with the address may answer.",
            zh: "有指向本连接的条目包含对端地址，但另一条前缀更长的可用条目（自定义、BGP、CEN 或 ECR）指向别处；或者该地址落在本专有网络的交换机网段内，其系统路由总是优先。只有更长前缀内的地址受影响：本侧发出的探测在两台主机之间丢失（S1），对另一侧探测的应答在返回途中丢失（S5）。若是交换机网段冲突，本地占用该地址的主机可能应答。",
        },
        repair: Texts {
            en: "delete the longer entry, or add a still longer one to the link; against the system route of this VPC's own vSwitch only removing or renumbering that vSwitch helps",
            zh: "删除前缀更长的条目，或添加前缀更长且指向本连接的条目；若是本专有网络自己交换机的系统路由，只能删除该交换机或更换其网段",
        },
        doubt: Texts {
            en: "The longer prefix may be intended, for example to send traffic through a firewall or CEN; deleting it then breaks that path. Without any entry to the link that covers the address, the cause is route-wrong-next-hop; if both primary VPC blocks overlap, it may be cidr-overlap. A longer entry to the link that is not yet Available is route-not-available.",
            zh: "更长的前缀可能是有意设置的，例如让流量经过防火墙或云企业网，删除会破坏那条路径。若没有任何包含该地址且指向本连接的条目，则为 route-wrong-next-hop；若两个专有网络主网段重叠，则可能是 cidr-overlap。指向本连接、前缀更长但尚未可用的条目为 route-not-available。",
        },
        console: Texts {
            en: "VPC > Route Tables > the table > Route Entry List",
            zh: "专有网络 > 路由表 > 路由条目列表",
        },
    },
    CauseDoc {
        code: CauseCode::RouteNotAvailable,
        step: "5",
        kind: CauseKind::Fault,
        title: Texts { en: "the route is not in force", zh: "路由未生效" },
        meaning: Texts {
            en: "An entry for the peer leads to the link, but its state or its next hop is not usable.",
            zh: "到对端的路由条目指向本连接，但其状态或下一跳不可用。",
        },
        evidence: Texts {
            en: "DescribeRouteEntryList shows the entry to the link with a Status other than Available or Created, or its only next hop with Enabled=0 although the router interface itself is in use. In a transit router's table, the route that covers the address is not Active. Probes from this side are lost between the hosts (S1), replies to the other side's probes on the way back (S5).",
            zh: "DescribeRouteEntryList 中指向本连接的条目 Status 不是 Available 或 Created，或其唯一的下一跳 Enabled=0 而路由器接口本身可用。在转发路由器的路由表中，包含该地址的路由不是 Active。本侧发出的探测在两台主机之间丢失（S1），对另一侧探测的应答在返回途中丢失（S5）。",
        },
        repair: Texts {
            en: "wait until it is Available; if it stays as it is, delete and recreate it",
            zh: "等待其变为可用；若状态不变，删除后重新创建",
        },
        doubt: Texts {
            en: "Pending, Modifying and Deleting normally last seconds, so the snapshot may have caught a change in progress; a second one decides. A Status value that pingtong does not know counts as not usable: if packets pass, the finding becomes model-contradicted. If the next hop's router interface itself is not Active, that interface is blamed and not the route.",
            zh: "Pending、Modifying、Deleting 通常只持续数秒，快照可能恰好落在变更过程中，以第二份快照为准。pingtong 不认识的 Status 取值按不可用处理：若报文通过，结论会变为 model-contradicted。若下一跳的路由器接口本身不是 Active，则指认该接口而不是路由条目。",
        },
        console: Texts {
            en: "VPC > Route Tables > the table > Route Entry List; transit router: CEN > Instances > the instance > the transit router > Route Table",
            zh: "专有网络 > 路由表 > 路由条目列表；转发路由器：云企业网 > 实例 > 转发路由器 > 转发路由器路由表",
        },
    },
    CauseDoc {
        code: CauseCode::EcmpLegDead,
        step: "5",
        kind: CauseKind::Fault,
        title: Texts { en: "one of several next hops is dead", zh: "多个下一跳中有一个不通" },
        meaning: Texts {
            en: "Flows are spread over several router interfaces, and one of them forwards nothing to the peer: the flows assigned to it always fail.",
            zh: "流量分摊到多个路由器接口，其中一个不向对端转发：分到该接口的流固定失败。",
        },
        evidence: Texts {
            en: "The entry in effect has several next hops, and one other than the link's is a router interface that is not Active, is locked or has an opposite end that is not Active, or it leads into another VPC than the peer's. Each probe round is a flow of its own and is lost completely or not at all; with n next hops about 1/n of the flows from this side are lost (S1, or S5 for its replies).",
            zh: "生效的路由条目有多个下一跳，其中一个不属于本连接的路由器接口未处于 Active、被锁定或其对端未处于 Active，或者通向对端以外的专有网络。每轮探测是一条独立的流，要么全部丢失，要么完全不丢；n 个下一跳时，本侧发出的流约有 1/n 丢失（S1，应答则为 S5）。",
        },
        repair: Texts {
            en: "repair that interface or take it out of the route", zh: "修复该接口，或把它从路由中移除"
        },
        doubt: Texts {
            en: "Two hosts may use one next hop for all their flows, so a single pair can be completely dead or completely healthy; eight rounds without loss refute the finding unless other pairs of the link are dead. Loss that affects every flow alike is loss-in-fabric or bandwidth-saturated. If loss depends on the flow but every next hop looks usable, this code is only a suspect, because flows do not show which next hop fails.",
            zh: "两台主机的所有流可能都走同一个下一跳，因此单个主机对可能全部不通或完全正常；八轮无丢包即可否定本结论，除非该连接的其他主机对不通。若丢包均匀影响所有流，则为 loss-in-fabric 或 bandwidth-saturated。若丢包与流有关而各下一跳看上去都可用，本原因只列为疑点，因为从流看不出是哪个下一跳。",
        },
        console: Texts {
            en: "VPC > Route Tables > the table > Route Entry List",
            zh: "专有网络 > 路由表 > 路由条目列表",
        },
    },
    CauseDoc {
        code: CauseCode::RouteLoop,
        step: "5",
        kind: CauseKind::Fault,
        title: Texts { en: "routes send the packet back", zh: "路由形成环路" },
        meaning: Texts {
            en: "The next VPC or transit router on the path routes the peer's address back to where the packet came from.",
            zh: "路径上的下一个专有网络或转发路由器又把该地址的报文路由回来处。",
        },
        evidence: Texts {
            en: "This side's entry leads over a connection into a third VPC whose system route table sends the peer's address back into this VPC, or the route tables of the transit routers lead the packet to a router that it has already passed. Probes from this side are lost between the hosts (S1), replies to the other side's probes on the way back (S5). An ICMP time exceeded need not appear, since the cloud's routers may not send one.",
            zh: "本侧条目经某个连接通向第三个专有网络，而后者的系统路由表又把对端地址送回本专有网络；或转发路由器的路由表把报文送到它已经过的路由器。本侧发出的探测在两台主机之间丢失（S1），对另一侧探测的应答在返回途中丢失（S5）。云上路由器可能不发 ICMP 超时报文，收不到也属正常。",
        },
        repair: Texts {
            en: "correct the entry that sends the packet back, in the table of the account that the finding names",
            zh: "在结论所指账号的路由表中，更正把报文送回的条目",
        },
        doubt: Texts {
            en: "In the third VPC only the system route table is looked at; if a custom table decides there, the packet may go elsewhere. If that VPC does not send the packet back but is connected to the peer's VPC, the cause is route-not-transitive; if its configuration is not readable, the same entry is reported as route-wrong-next-hop. An old snapshot of the third account can show a loop that no longer exists.",
            zh: "对第三个专有网络只查看系统路由表；若那里由自定义路由表决定，报文可能去往别处。若该专有网络不送回报文、但与对端专有网络相连，则为 route-not-transitive；若其配置不可读，同一条目会报告为 route-wrong-next-hop。第三个账号的快照过旧时，可能显示已不存在的环路。",
        },
        console: Texts {
            en: "VPC > Route Tables > the table > Route Entry List; transit router: CEN > Instances > the instance > the transit router > Route Table",
            zh: "专有网络 > 路由表 > 路由条目列表；转发路由器：云企业网 > 实例 > 转发路由器 > 转发路由器路由表",
        },
    },
    CauseDoc {
        code: CauseCode::RouteNotTransitive,
        step: "5",
        kind: CauseKind::Fault,
        title: Texts { en: "the peer is behind another VPC", zh: "对端在第三个专有网络之后" },
        meaning: Texts {
            en: "The entry leads into a third VPC. Peering connections and router interfaces do not pass traffic on to another VPC.",
            zh: "路由条目通向第三个专有网络；对等连接和路由器接口不会把流量继续转发给另一个专有网络。",
        },
        evidence: Texts {
            en: "The entry that decides for the peer's address leads over a router interface or VPC peering connection into a third VPC, which in turn is joined with the peer's VPC by a connection that a snapshot shows or by an expected link. Packets are dropped in the third VPC: S1 for probes from this side, S5 for replies to the other side's probes.",
            zh: "对端地址命中的路由条目经路由器接口或 VPC对等连接通向第三个专有网络，快照显示后者与对端专有网络相连，或有另一条预期连接连接两者。报文在第三个专有网络被丢弃：本侧发出的探测在两台主机之间丢失（S1），对另一侧探测的应答在返回途中丢失（S5）。",
        },
        repair: Texts {
            en: "connect the two VPCs directly, or use a transit router",
            zh: "让两个专有网络直接互连，或使用转发路由器",
        },
        doubt: Texts {
            en: "An instance in the third VPC that proxies or translates packets (NAT, VPN, firewall) can make such a path work; probes that pass then turn the finding into model-contradicted. If the third VPC's connections are in no snapshot, the same entry is reported as route-wrong-next-hop. With a transit router in the middle instead of a VPC, the same topology is permitted.",
            zh: "第三个专有网络中若有实例做代理或地址转换（NAT、VPN、防火墙），这样的路径可能可以工作；此时探测通过，结论会变为 model-contradicted。若没有快照显示第三个专有网络的连接，同一条目会报告为 route-wrong-next-hop。若中间是转发路由器而不是专有网络，同样的拓扑是允许的。",
        },
        console: Texts {
            en: "VPC > Route Tables > the table > Route Entry List",
            zh: "专有网络 > 路由表 > 路由条目列表",
        },
    },
    CauseDoc {
        code: CauseCode::SgIngressMissing,
        step: "6",
        kind: CauseKind::Fault,
        title: Texts { en: "no security group rule lets the peer in", zh: "没有安全组规则放行对端" },
        meaning: Texts {
            en: "Security groups deny ingress by default, and no rule accepts the peer.",
            zh: "安全组入方向默认拒绝，且没有规则放行对端。",
        },
        evidence: Texts {
            en: "SecurityGroupIds in DescribeNetworkInterfaces gives the groups of the interface, DescribeSecurityGroupAttribute their rules: taken together, no ingress rule accepts this protocol and port from the peer's address. Probes to this host are lost between the hosts (S1) without any error, while its own probes to the peer pass, because security groups keep state.",
            zh: "由 DescribeNetworkInterfaces 的 SecurityGroupIds 得到网卡所属的安全组，由 DescribeSecurityGroupAttribute 得到其规则：合并之后，没有入方向规则放行来自对端地址的该协议和端口。到该主机的探测在两台主机之间丢失（S1）且没有任何差错报文；安全组有状态，因此该主机自己发出的探测正常。",
        },
        repair: Texts {
            en: "accept the peer's CIDR block (AuthorizeSecurityGroup)",
            zh: "放行对端网段（AuthorizeSecurityGroup）",
        },
        doubt: Texts {
            en: "The sender's egress rules (sg-egress-blocked) can lose the same packets; only the configuration of both sides decides. A network ACL or route fault in the same direction would also lose replies to this host's own probes (S5), and a guest firewall would let the request reach this host's interface (S2). A rule that was added within the last minute may not be in effect or in the snapshot yet.",
            zh: "发送端的出方向规则（sg-egress-blocked）会丢失同样的报文，只能由两侧的配置区分。同方向的网络ACL或路由故障还会丢失对该主机自身探测的应答（S5）；系统防火墙拒绝时，请求会出现在该主机网卡上（S2）。一分钟内新增的规则可能尚未生效或尚未进入快照。",
        },
        console: Texts {
            en: "ECS > Network & Security > Security Groups > Manage Rules > Inbound > Add Rule",
            zh: "ECS > 网络与安全 > 安全组 > 配置规则 > 入方向 > 添加安全组规则",
        },
    },
    CauseDoc {
        code: CauseCode::SgEgressBlocked,
        step: "6",
        kind: CauseKind::Fault,
        title: Texts { en: "the security group refuses egress", zh: "安全组拒绝出方向" },
        meaning: Texts {
            en: "A drop rule, or an enterprise security group without an accepting rule, stops the connections that this host starts.",
            zh: "拒绝规则，或没有放行规则的企业安全组，阻止了主机主动发出的报文。",
        },
        evidence: Texts {
            en: "Among the egress rules of all groups of the interface, in order of priority, the first that matches this protocol, port and the peer's address is a drop rule; or nothing matches in an enterprise (advanced) group, which denies egress by default. Probes that this host sends are lost between the hosts (S1) although its kernel sent them; the other side's probes are answered, because replies need no egress rule.",
            zh: "在网卡所有安全组的出方向规则中按优先级匹配，第一条匹配该协议、端口和对端地址的是拒绝规则；或者企业安全组中没有规则匹配，其出方向默认拒绝。该主机发出的探测已由内核发出，但在两台主机之间丢失（S1）；应答不需要出方向规则，因此另一侧的探测能收到应答。",
        },
        repair: Texts {
            en: "remove the drop rule, or accept the peer's CIDR block as destination",
            zh: "移除拒绝规则，或放行目的为对端网段",
        },
        doubt: Texts {
            en: "The peer's ingress rules can lose the same packets; the configuration of both sides decides. A guest firewall on output fails earlier: the kernel refuses to send (S0, EPERM). An enterprise group without egress rules also blocks traffic within the VPC, so a failing ping to another host of the same VPC supports this cause.",
            zh: "对端的入方向规则会丢失同样的报文，由两侧的配置区分。系统防火墙在出口拒绝时失败得更早：内核拒绝发送（S0，EPERM）。没有出方向规则的企业安全组还会阻断同一专有网络内的访问，因此 ping 同一专有网络的其他主机也不通，可以佐证本原因。",
        },
        console: Texts {
            en: "ECS > Network & Security > Security Groups > Manage Rules > Outbound",
            zh: "ECS > 网络与安全 > 安全组 > 配置规则 > 出方向",
        },
    },
    CauseDoc {
        code: CauseCode::SgDropWins,
        step: "6",
        kind: CauseKind::Fault,
        title: Texts { en: "a drop rule wins", zh: "拒绝规则优先" },
        meaning: Texts {
            en: "The rules of all groups of the interface are evaluated together: the smallest priority number wins, and drop wins over accept at the same priority.",
            zh: "网卡所有安全组的规则合并计算；优先级数字小者优先，相同则拒绝优先。",
        },
        evidence: Texts {
            en: "Among the ingress rules of all groups of the interface (DescribeSecurityGroupAttribute: Priority, Policy), the first that matches this protocol, port and the peer's address is a drop rule; the evidence lists the rules in their order of evaluation. Probes to this host are lost between the hosts (S1), while its own probes to the peer pass.",
            zh: "在网卡所有安全组的入方向规则中（DescribeSecurityGroupAttribute 的 Priority、Policy），第一条匹配该协议、端口和对端地址的是拒绝规则；证据按生效顺序列出这些规则。到该主机的探测在两台主机之间丢失（S1），而该主机自己发出的探测正常。",
        },
        repair: Texts {
            en: "revoke the drop rule, or accept the peer at a smaller priority number",
            zh: "撤销该拒绝规则，或以更小的优先级数字放行对端",
        },
        doubt: Texts {
            en: "A drop rule that only repeats the default, where no rule accepts the peer and an accept of higher precedence is possible, is not blamed; the cause is then sg-ingress-missing or a related code. The rule may be intended, and its group may serve other hosts: accepting the peer at a smaller number changes less than revoking it. Only the groups of the interface with the probed address count; another interface of the instance can have other rules.",
            zh: "若没有任何规则放行对端，且仍可用更小的数字放行，那么拒绝规则只是重复默认策略，不会被指认，原因为 sg-ingress-missing 等。该规则可能是有意设置的，其安全组也可能用于其他主机：以更小的数字放行对端比撤销规则影响更小。只计入被探测地址所在网卡的安全组，同一实例的其他网卡可以有不同的规则。",
        },
        console: Texts {
            en: "ECS > Network & Security > Security Groups > Manage Rules > Inbound",
            zh: "ECS > 网络与安全 > 安全组 > 配置规则 > 入方向",
        },
    },
    CauseDoc {
        code: CauseCode::SgWrongProtocol,
        step: "6",
        kind: CauseKind::Fault,
        title: Texts {
            en: "the rule for the peer has the wrong protocol or port",
            zh: "为对端设置的规则协议或端口不对",
        },
        meaning: Texts {
            en: "A rule accepts the peer, but not for this protocol or port.",
            zh: "有规则放行对端，但不包含该协议或端口。",
        },
        evidence: Texts {
            en: "An ingress accept rule names a block that contains the peer's address and is meant for it (not 0.0.0.0/0 and not this whole VPC), but with another IpProtocol or PortRange; no rule accepts the probed service. Probes of this service are lost between the hosts (S1), while a service that the rule covers is answered, if only by a TCP reset from a closed port.",
            zh: "有一条入方向放行规则，授权对象包含对端地址且针对对端（不是 0.0.0.0/0，也不是本专有网络整体），但 IpProtocol 或 PortRange 不同；没有规则放行被探测的服务。该服务的探测在两台主机之间丢失（S1），而规则包含的服务能得到应答，哪怕只是关闭端口返回的 TCP RST。",
        },
        repair: Texts {
            en: "accept this protocol and port from the peer's CIDR block",
            zh: "放行来自对端网段的该协议和端口",
        },
        doubt: Texts {
            en: "The rule may be intended for another service, while the probed one was never permitted; a rule that another expected pair needs is therefore not blamed. The additional rule is the repair in both cases. If the request appears on this host's interface (S2), the guest's firewall filters the protocol and not the group; a network ACL for one protocol would also lose ICMP replies (S5).",
            zh: "该规则可能本来针对其他服务，而被探测的服务从未放行；因此另一主机对需要的规则不会被指认。两种情况的修复都是新增规则。若请求出现在该主机网卡上（S2），则是系统防火墙而不是安全组在过滤该协议；针对单个协议的网络ACL还会丢失 ICMP 应答（S5）。",
        },
        console: Texts {
            en: "ECS > Network & Security > Security Groups > Manage Rules > Inbound",
            zh: "ECS > 网络与安全 > 安全组 > 配置规则 > 入方向",
        },
    },
    CauseDoc {
        code: CauseCode::SgWrongCidr,
        step: "6",
        kind: CauseKind::Fault,
        title: Texts { en: "the rule has the wrong block", zh: "规则的授权对象不对" },
        meaning: Texts {
            en: "A rule accepts this protocol and port, but its source does not cover the peer's address.",
            zh: "有规则放行该协议和端口，但授权对象不包含对端地址。",
        },
        evidence: Texts {
            en: "An ingress accept rule with the probed protocol and port has a SourceCidrIp that misses the peer's address and looks meant for it: a part of the peer's VPC, a block of this VPC, or a network that shares its leading bits (at most 12) with the peer's. Probes to this host are lost between the hosts (S1), its own probes pass; peer hosts inside the rule's block are accepted.",
            zh: "有一条协议和端口相符的入方向放行规则，其 SourceCidrIp 不包含对端地址，但看上去是为对端设置的：对端专有网络的一部分、本专有网络的网段，或与对端网段前若干位（最多 12 位）相同的网段。到该主机的探测在两台主机之间丢失（S1），该主机自己发出的探测正常；落在授权对象内的对端主机可以访问。",
        },
        repair: Texts { en: "accept the peer's CIDR block", zh: "放行对端网段" },
        doubt: Texts {
            en: "What the rule was written for is inferred from its block: it may serve a network that pingtong does not know, and then a rule is missing (sg-ingress-missing), with the same repair. A block that covers peers of another expected link is not blamed. A route entry with a narrow destination also affects only some hosts, but in both directions (route-wrong-cidr).",
            zh: "规则的用途是由网段推断的：它可能用于 pingtong 不知道的其他网络，那样属于缺少规则（sg-ingress-missing），修复方法相同。包含其他预期连接对端的网段不会被指认。路由条目目标网段过窄也只影响部分主机，但两个方向都受影响（route-wrong-cidr）。",
        },
        console: Texts {
            en: "ECS > Network & Security > Security Groups > Manage Rules > Inbound",
            zh: "ECS > 网络与安全 > 安全组 > 配置规则 > 入方向",
        },
    },
    CauseDoc {
        code: CauseCode::SgWrongDirection,
        step: "6",
        kind: CauseKind::Fault,
        title: Texts { en: "the rule is in the wrong direction", zh: "规则的方向写反了" },
        meaning: Texts {
            en: "The peer is accepted as a destination of egress; it must be accepted as a source of ingress.",
            zh: "对端被写成出方向目的；应作为入方向来源放行。",
        },
        evidence: Texts {
            en: "No ingress rule accepts the peer, but an egress rule of the same groups accepts this protocol and port with a DestCidrIp that contains the peer's address. This is checked in basic security groups only, where egress is accepted without any rule. Probes to this host are lost between the hosts (S1), its own probes pass.",
            zh: "没有入方向规则放行对端，但同一组安全组中有出方向规则放行该协议和端口，其 DestCidrIp 包含对端地址。只检查普通安全组，因为其出方向本来就默认放行。到该主机的探测在两台主机之间丢失（S1），该主机自己发出的探测正常。",
        },
        repair: Texts { en: "accept the peer's CIDR block as ingress", zh: "在入方向放行对端网段" },
        doubt: Texts {
            en: "The egress rule may be intended, for example to overrule an egress drop rule; then an ingress rule is simply missing (sg-ingress-missing). The repair, an ingress rule for the peer, is the same in both cases. The egress rule does no harm and need not be deleted.",
            zh: "该出方向规则可能是有意设置的，例如用来覆盖出方向的拒绝规则，那样只是缺少入方向规则（sg-ingress-missing）。两种情况的修复相同：为对端添加入方向规则。原有的出方向规则没有害处，不必删除。",
        },
        console: Texts {
            en: "ECS > Network & Security > Security Groups > Manage Rules > Inbound > Add Rule",
            zh: "ECS > 网络与安全 > 安全组 > 配置规则 > 入方向 > 添加安全组规则",
        },
    },
    CauseDoc {
        code: CauseCode::SgGroupSourceCrossVpc,
        step: "6",
        kind: CauseKind::Fault,
        title: Texts {
            en: "the rule names a group of another VPC", zh: "规则以其他专有网络的安全组为来源"
        },
        meaning: Texts {
            en: "A security group as the source of a rule matches only within one VPC; it matches no packet from another VPC.",
            zh: "以安全组为授权对象的规则只在同一专有网络内有效，不匹配来自其他专有网络的报文。",
        },
        evidence: Texts {
            en: "An ingress accept rule for this protocol and port has a SourceGroupId that is not a group of this VPC: SourceGroupOwnerAccount is another account, the group belongs to the peer's VPC, or this account does not list it. Probes to this host are lost between the hosts (S1), its own probes pass.",
            zh: "有一条针对该协议和端口的入方向放行规则，其 SourceGroupId 不是本专有网络的安全组：SourceGroupOwnerAccount 为其他账号、该安全组属于对端专有网络，或本账号的列表中没有它。到该主机的探测在两台主机之间丢失（S1），该主机自己发出的探测正常。",
        },
        repair: Texts {
            en: "accept the peer's CIDR block instead of its group", zh: "把授权对象改为对端网段"
        },
        doubt: Texts {
            en: "The API refuses such rules today (InvalidSourceGroupId.Mismatch), so an existing one is old; some old tutorials say that it works between accounts of one region, which is not confirmed. If probes pass, the finding becomes model-contradicted. In a shared VPC the group may belong to another account and still be in this VPC; the peer is not a member of it either, so the repair stays right.",
            zh: "现在的 API 会拒绝这样的规则（InvalidSourceGroupId.Mismatch），因此已存在的多为旧规则；有些旧教程称同地域跨账号有效，但未得到证实。若探测通过，结论会变为 model-contradicted。在共享专有网络中，其他账号的安全组也可能就在本专有网络内；但对端同样不是其成员，修复方法不变。",
        },
        console: Texts {
            en: "ECS > Network & Security > Security Groups > Manage Rules > Inbound, with a CIDR block as source",
            zh: "ECS > 网络与安全 > 安全组 > 配置规则 > 入方向，授权对象填写网段",
        },
    },
    CauseDoc {
        code: CauseCode::SgNotAttached,
        step: "6",
        kind: CauseKind::Fault,
        title: Texts {
            en: "the group with the rule is not on the interface", zh: "写了规则的安全组没有绑定到网卡"
        },
        meaning: Texts {
            en: "The rule for the peer is in a group that the host's network interface does not belong to.",
            zh: "为对端设置的规则写在主机网卡不属于的安全组里。",
        },
        evidence: Texts {
            en: "A security group of this VPC accepts this protocol and port from the peer's block, but in DescribeNetworkInterfaces no interface has it among its SecurityGroupIds, or only another interface of the same instance has. The groups of the probed interface do not accept the peer. Probes to this host are lost between the hosts (S1), its own probes pass.",
            zh: "本专有网络中有一个安全组放行来自对端网段的该协议和端口，但在 DescribeNetworkInterfaces 中没有网卡的 SecurityGroupIds 包含它，或只有同一实例的另一块网卡包含它。被探测网卡所属的安全组没有放行对端。到该主机的探测在两台主机之间丢失（S1），该主机自己发出的探测正常。",
        },
        repair: Texts {
            en: "accept the peer in a group that is on the interface", zh: "在网卡所属的安全组里放行对端"
        },
        doubt: Texts {
            en: "The group may be prepared for other hosts, and then a rule is simply missing in the attached group (sg-ingress-missing). On an instance with several interfaces, the one with the probed address counts, not the primary one. Joining the interface to the group repairs it too but applies all its other rules, and one interface cannot mix basic and enterprise groups.",
            zh: "该安全组可能是为其他主机准备的，那样只是已绑定的安全组缺少规则（sg-ingress-missing）。实例有多块网卡时，以被探测地址所在的网卡为准，而不是主网卡。把网卡加入该安全组也能修复，但会同时应用它的其他规则，且同一网卡不能混用普通安全组和企业安全组。",
        },
        console: Texts {
            en: "ECS > Network & Security > Security Groups > Manage Rules > Inbound > Add Rule",
            zh: "ECS > 网络与安全 > 安全组 > 配置规则 > 入方向 > 添加安全组规则",
        },
    },
    CauseDoc {
        code: CauseCode::SgPrefixList,
        step: "6",
        kind: CauseKind::Fault,
        title: Texts { en: "the prefix list lacks the peer", zh: "前缀列表不包含对端" },
        meaning: Texts {
            en: "A rule accepts a prefix list that does not contain the peer's address.",
            zh: "规则放行的前缀列表不包含对端地址。",
        },
        evidence: Texts {
            en: "An ingress accept rule for this protocol and port has a SourcePrefixListId, and in DescribePrefixListAttributes no entry of that list contains the peer's address. Probes to this host are lost between the hosts (S1), its own probes pass.",
            zh: "有一条针对该协议和端口的入方向放行规则使用 SourcePrefixListId，而 DescribePrefixListAttributes 中该列表没有条目包含对端地址。到该主机的探测在两台主机之间丢失（S1），该主机自己发出的探测正常。",
        },
        repair: Texts {
            en: "add the peer's CIDR block to the list, or accept it by a separate rule",
            zh: "把对端网段加入前缀列表，或单独添加规则放行",
        },
        doubt: Texts {
            en: "The list may serve another purpose, such as an office network, and then a separate rule is missing (sg-ingress-missing); adding the peer to a shared list opens every rule that uses the list. A list that could not be read is a gap (config-denied), never this cause. A list of the other address family (IPv6) can never contain the peer.",
            zh: "该列表可能另有用途，例如办公网，那样缺少的是单独的规则（sg-ingress-missing）；把对端加入共用的列表，会影响所有引用它的规则。列表读取失败属于信息缺口（config-denied），不会报告本原因。另一地址族（IPv6）的列表不可能包含对端地址。",
        },
        console: Texts { en: "VPC > Prefix Lists", zh: "专有网络 > 前缀列表" },
    },
    CauseDoc {
        code: CauseCode::NaclIngressBlocked,
        step: "6",
        kind: CauseKind::Fault,
        title: Texts { en: "the network ACL refuses ingress", zh: "网络ACL拒绝入方向" },
        meaning: Texts {
            en: "Network ACLs keep no state: requests and replies are both matched in the order of the entries, and what matches no entry is dropped.",
            zh: "网络ACL无状态：请求与应答都按顺序匹配，未匹配即丢弃。",
        },
        evidence: Texts {
            en: "In the network ACL of the host's vSwitch (NetworkAclId in DescribeVSwitches), the first ingress entry that matches the source, the protocol and the destination port has Policy drop, or none matches. Probes to this host are lost between the hosts (S1) and replies to its own probes on the way back (S5). For TCP and UDP only one of the two may be affected, since replies go to an ephemeral port (49152 is tested).",
            zh: "在主机所在交换机的网络ACL中（DescribeVSwitches 的 NetworkAclId），第一条与来源、协议、目的端口匹配的入方向规则 Policy 为 drop，或没有规则匹配。到该主机的探测在两台主机之间丢失（S1），对其自身探测的应答在返回途中丢失（S5）。TCP 和 UDP 可能只影响其中之一，因为应答发往临时端口（以 49152 判断）。",
        },
        repair: Texts {
            en: "put an accepting entry for the peer before the refusing one (UpdateNetworkAclEntries)",
            zh: "在拒绝条目之前加入放行对端的条目（UpdateNetworkAclEntries）",
        },
        doubt: Texts {
            en: "A missing route at the other side, or its egress ACL, loses the same packets; the configuration decides, and a flow log record with REJECT at this host's interface indicates a filter rather than a route. A security group would not drop the replies. Within one vSwitch an ACL does not filter, so a ping from a neighbour in it proves nothing. Entry numbers can differ from the console's if the API leaves out the cloud's own entries (service, system).",
            zh: "另一侧缺少路由或其出方向网络ACL会丢失同样的报文，以配置为准；该主机网卡的流日志中若有 REJECT 记录，则说明是过滤而不是路由。安全组不会丢弃应答。网络ACL不控制同一交换机内的流量，因此同交换机的主机能 ping 通不能说明问题。若 API 不返回系统自带的规则（service、system），条目序号会与控制台不同。",
        },
        console: Texts {
            en: "VPC > Network ACL > the ACL > Inbound Rules", zh: "专有网络 > 网络ACL > 入方向规则"
        },
    },
    CauseDoc {
        code: CauseCode::NaclEgressBlocked,
        step: "6",
        kind: CauseKind::Fault,
        title: Texts { en: "the network ACL refuses egress", zh: "网络ACL拒绝出方向" },
        meaning: Texts {
            en: "Network ACLs keep no state: requests and replies are both matched in the order of the entries, and what matches no entry is dropped.",
            zh: "网络ACL无状态：请求与应答都按顺序匹配，未匹配即丢弃。",
        },
        evidence: Texts {
            en: "In the network ACL of the host's vSwitch (NetworkAclId in DescribeVSwitches), the first egress entry that matches the destination, the protocol and the destination port has Policy drop, or none matches. This host's probes are lost between the hosts (S1), and its replies to the other side's probes on the way back (S5) although they left its interface. An ACL that permits only the service port drops the TCP replies, which go to ephemeral ports.",
            zh: "在主机所在交换机的网络ACL中（DescribeVSwitches 的 NetworkAclId），第一条与目的地址、协议、目的端口匹配的出方向规则 Policy 为 drop，或没有规则匹配。该主机发出的探测在两台主机之间丢失（S1）；它对另一侧探测的应答虽已离开网卡，仍在返回途中丢失（S5）。只放行服务端口的网络ACL会丢弃发往临时端口的 TCP 应答。",
        },
        repair: Texts {
            en: "put an accepting entry for the peer before the refusing one (UpdateNetworkAclEntries)",
            zh: "在拒绝条目之前加入放行对端的条目（UpdateNetworkAclEntries）",
        },
        doubt: Texts {
            en: "A missing route at this side, or the other side's ingress ACL, loses the same packets; a route affects every protocol, an ACL entry often only one. A guest firewall on output differs in that the reply never appears on the host's own interface (S3). Opening a security group does not help, since groups pass replies anyway. ACLs do not apply to a secondary interface with an EIP in cut-through mode.",
            zh: "本侧缺少路由或另一侧的入方向网络ACL会丢失同样的报文；路由影响所有协议，网络ACL规则往往只影响某个协议。系统防火墙在出口拒绝的不同之处在于应答不会出现在主机自己的网卡上（S3）。安全组本来就放行应答，修改安全组没有帮助。网络ACL对使用 EIP 网卡可见模式（cut-through）的辅助网卡不生效。",
        },
        console: Texts {
            en: "VPC > Network ACL > the ACL > Outbound Rules", zh: "专有网络 > 网络ACL > 出方向规则"
        },
    },
    CauseDoc {
        code: CauseCode::InstanceStopped,
        step: "7",
        kind: CauseKind::Fault,
        title: Texts { en: "the instance does not run", zh: "实例未运行" },
        meaning: Texts {
            en: "The instance is not running, so it answers nothing, whatever the network does.",
            zh: "实例没有运行，无论网络如何都不会应答。",
        },
        evidence: Texts {
            en: "Status in DescribeInstances is Stopped, Stopping, Starting or Pending, and the instance's agent sends no reports. Probes to the host get no answer (S1), and it sends none itself.",
            zh: "DescribeInstances 中的 Status 为 Stopped、Stopping、Starting 或 Pending，其 agent 也不再上报。到该主机的探测没有应答（S1），它自己也不发出探测。",
        },
        repair: Texts { en: "start it (StartInstance)", zh: "启动实例（StartInstance）" },
        doubt: Texts {
            en: "The snapshot may be older than a start of the instance: probes that it sends or answers turn the finding into model-contradicted. Starting and Pending end without any action. An instance in state Running whose operating system hangs is not this cause; its agent is silent (agent-silent), and its probes are unanswered.",
            zh: "快照可能早于实例启动：若它发出或应答了探测，结论会变为 model-contradicted。Starting 和 Pending 会自行结束，无需处理。状态为 Running 但操作系统挂起的实例不属于本原因，表现为 agent 没有报告（agent-silent）且探测无应答。",
        },
        console: Texts { en: "ECS > Instances > the instance > Start", zh: "ECS > 实例与镜像 > 实例 > 启动" },
    },
    CauseDoc {
        code: CauseCode::IpNotOnEni,
        step: "7",
        kind: CauseKind::Fault,
        title: Texts { en: "nobody has the address", zh: "该地址不在任何网卡上" },
        meaning: Texts {
            en: "The expected address is on no network interface of the VPC, or the guest has not configured it.",
            zh: "期望的地址不在该专有网络的任何网卡上，或系统内没有配置。",
        },
        evidence: Texts {
            en: "Neither DescribeNetworkInterfaces (PrivateIpAddress, PrivateIpSets) nor DescribeInstances shows the address in the VPC; probes to it are lost between the hosts (S1). Or no interface that the agent sees in the guest has the address, and nothing sent to it was answered; the requests then reach the instance's interface but not its IP stack (S2).",
            zh: "DescribeNetworkInterfaces（PrivateIpAddress、PrivateIpSets）和 DescribeInstances 中都没有该专有网络的这个地址，到它的探测在两台主机之间丢失（S1）。或者 agent 在系统内看到的网卡都没有配置该地址，且发往它的探测没有应答；这时请求到达实例网卡，但没有进入协议栈（S2）。",
        },
        repair: Texts {
            en: "correct the expectation, or assign and configure the address",
            zh: "更正期望的地址，或分配并在系统内配置该地址",
        },
        doubt: Texts {
            en: "The expected address may be wrong, for example after the instance was recreated; then the link's definition must be corrected. An HaVip or an address of a managed service (load balancer, RDS) can be in use without appearing in these lists; probes that pass turn the finding into model-contradicted. An agent in a container sees other addresses, which is agent-in-container.",
            zh: "期望的地址可能有误，例如实例重建之后，这时应更正连接定义。高可用虚拟IP（HaVip）或托管服务（负载均衡、RDS）的地址可能正在使用，却不出现在这些列表中；若探测通过，结论会变为 model-contradicted。容器中的 agent 看到的是另外的地址，属于 agent-in-container。",
        },
        console: Texts { en: "ECS > Network & Security > ENIs", zh: "ECS > 网络与安全 > 弹性网卡" },
    },
    CauseDoc {
        code: CauseCode::GuestFirewall,
        step: "7",
        kind: CauseKind::Fault,
        title: Texts { en: "the guest's packet filter refuses", zh: "系统防火墙拒绝" },
        meaning: Texts {
            en: "The packet reached the host or is sent by it, and the guest's own packet filter drops it. No cloud API shows this.",
            zh: "报文已到达主机或由其发出，被系统自身的防火墙丢弃；API 看不到。",
        },
        evidence: Texts {
            en: "The agent lists every nftables rule and chain policy (iptables-nft included) that drops or rejects, with hook, table, chain and handle. On the wire, requests appear on the interface but not in the IP stack (S2), accepted requests get no reply (S3), own probes fail with EPERM (S0), or replies to them appear on the interface and never reach the prober (S6). An ICMP error from the host's own address shows a reject rule.",
            zh: "agent 列出 nftables（含 iptables-nft）中所有丢弃或拒绝的规则与链策略，包括 hook、表、链和 handle。从报文看：请求出现在网卡上但未进入协议栈（S2），请求被接收但没有应答（S3），本机发出的探测返回 EPERM（S0），或应答到达网卡却没有到达探测程序（S6）。由主机自身地址发出的 ICMP 差错说明有 reject 规则。",
        },
        repair: Texts {
            en: "remove the refusing rule, or accept the peer before it",
            zh: "移除拒绝规则，或在其之前放行对端",
        },
        doubt: Texts {
            en: "An accept rule earlier in the chain is not evaluated: a rule counts if it surely matches the probes, or if packets are seen to be refused. Legacy iptables, eBPF/XDP, tc filters and security agents are not listed; then only the packets show the refusal. Strict reverse-path filtering also gives S2 or S6, with a rising IPReversePathFilter counter; icmp_echo_ignore_all gives S3 for pings only.",
            zh: "链中更靠前的放行规则不参与判断：规则确定匹配探测包，或观测到报文被拒绝时才计入。传统 iptables、eBPF/XDP、tc 过滤和安全软件不在列表中，这时只能由报文看出被拒绝。严格的反向路径过滤也表现为 S2 或 S6，但 IPReversePathFilter 计数会增加；icmp_echo_ignore_all 表现为 S3，且只影响 ping。",
        },
        console: Texts {
            en: "ECS > Instances > Connect (Workbench, VNC), or Cloud Assistant RunCommand (look first: nft list ruleset)",
            zh: "ECS > 实例 > 远程连接（Workbench、VNC），或云助手 RunCommand（先查看：nft list ruleset）",
        },
    },
    CauseDoc {
        code: CauseCode::GuestEchoIgnored,
        step: "7",
        kind: CauseKind::Fault,
        title: Texts { en: "the guest ignores pings", zh: "系统忽略 ping" },
        meaning: Texts {
            en: "The kernel parameter net.ipv4.icmp_echo_ignore_all is 1: echo requests are accepted and never answered. TCP and UDP are not affected.",
            zh: "net.ipv4.icmp_echo_ignore_all 已开启：请求被接收但不应答；TCP、UDP 不受影响。",
        },
        evidence: Texts {
            en: "The agent reads net.ipv4.icmp_echo_ignore_all = 1, and none of the peer's echo requests was answered. They reach the interface and the IP stack, but no reply is made (S3): InEchos in /proc/net/snmp rises and OutEchoReps does not. Pings that this host sends are answered.",
            zh: "agent 读到 net.ipv4.icmp_echo_ignore_all = 1，且对端的请求一个都没有应答。请求到达网卡并进入协议栈，但没有产生应答（S3）：/proc/net/snmp 中 InEchos 增加而 OutEchoReps 不变。该主机自己发出的 ping 正常。",
        },
        repair: Texts {
            en: "sysctl -w net.ipv4.icmp_echo_ignore_all=0",
            zh: "sysctl -w net.ipv4.icmp_echo_ignore_all=0",
        },
        doubt: Texts {
            en: "A single answered probe refutes the finding. A firewall rule on input stops requests earlier (S2); one on output, or a missing route back, also ends without a reply (S3), but can affect TCP too, which this setting does not. The value is the one of the agent's network namespace at the time of reading.",
            zh: "只要有一个探测得到应答，本结论即被否定。入口的防火墙规则更早拦截请求（S2）；出口规则或缺少回程路由也表现为 S3，但可能同时影响 TCP，而本参数不会。该值是读取时 agent 所在网络命名空间的值。",
        },
        console: Texts {
            en: "ECS > Instances > Connect (Workbench, VNC), or Cloud Assistant RunCommand",
            zh: "ECS > 实例 > 远程连接（Workbench、VNC），或云助手 RunCommand",
        },
    },
    CauseDoc {
        code: CauseCode::GuestRouteMissing,
        step: "7",
        kind: CauseKind::Fault,
        title: Texts { en: "the guest has no route to the peer", zh: "系统没有到对端的路由" },
        meaning: Texts {
            en: "The guest has no route to the peer, often because the default route is missing, or a route refuses the peer.",
            zh: "系统没有到对端的路由（常见于默认路由缺失），或有路由拒绝对端。",
        },
        evidence: Texts {
            en: "The kernel's route lookup for the peer fails with errno 101 (no route), 113 (unreachable), 13 (prohibit) or 22 (blackhole), or every send fails with one of these. This host's own probes fail in the host itself (S0); the peer's requests are accepted, but no reply leaves (S3).",
            zh: "内核对对端地址的路由查询返回 errno 101（无路由）、113（unreachable）、13（prohibit）或 22（blackhole），或每次发送都返回其中之一。该主机自己的探测在本机发送时失败（S0）；对端的请求被接收，但没有应答发出（S3）。",
        },
        repair: Texts {
            en: "add a route to the peer through the gateway of the host's network interface",
            zh: "经网卡的网关添加到对端的路由",
        },
        doubt: Texts {
            en: "The lookup is that of an unbound socket: policy rules that match a source address or a mark can give replies another route, and answered probes then refute the finding. Errno 113 also follows when nobody answers ARP behind a bridge; if the lookup itself returns a bridge or tunnel, the cause is guest-route-overlap. A DHCP client may restore a lost default route after the reading.",
            zh: "查询等同于未绑定地址的套接字：按源地址或标记匹配的策略路由可能使应答走其他路由，此时探测有应答即否定本结论。网桥后无人应答 ARP 时也会出现 errno 113；若查询结果本身是网桥或隧道，则为 guest-route-overlap。读取之后，DHCP 客户端可能又恢复了默认路由。",
        },
        console: Texts {
            en: "ECS > Instances > Connect (Workbench, VNC), or Cloud Assistant RunCommand (look first: ip route get PEER)",
            zh: "ECS > 实例 > 远程连接（Workbench、VNC），或云助手 RunCommand（先查看：ip route get 对端地址）",
        },
    },
    CauseDoc {
        code: CauseCode::GuestRouteOverlap,
        step: "7",
        kind: CauseKind::Fault,
        title: Texts {
            en: "another network in the guest swallows the peer's addresses",
            zh: "系统内的其他网络占用了对端网段",
        },
        meaning: Texts {
            en: "A bridge, tunnel or container network in the guest has a route that covers the peer, or the guest itself has the peer's address. Packets to the peer do not leave by the host's network interface.",
            zh: "网桥、隧道或容器网络的路由覆盖了对端，或系统自身占用了对端地址：发往对端的报文不会从网卡发出。",
        },
        evidence: Texts {
            en: "The kernel's route lookup for the peer returns another device than the network interface of the host's address (docker0, br-…, wg0), with the prefix that matched, or says that the address is local. This host's own probes fail in the host itself (S0), often with Destination Host Unreachable from the bridge's own address. The peer's requests are answered, but the replies do not leave by the interface (S4).",
            zh: "内核对对端地址的路由查询返回的设备不是主机地址所在的网卡（如 docker0、br-…、wg0），并给出命中的前缀；或返回该地址就在本机。该主机自己的探测在本机发送时失败（S0），常见由网桥自身地址返回 Destination Host Unreachable。对端的请求有应答产生，但应答没有从该网卡发出（S4）。",
        },
        repair: Texts {
            en: "add a more specific route through the host's network interface; then move the container network to another block (daemon.json: bip, default-address-pools)",
            zh: "经网卡添加更精确的路由；之后调整容器网段（daemon.json：bip、default-address-pools）",
        },
        doubt: Texts {
            en: "A tunnel that is meant to carry this traffic and delivers it is not blamed: arriving probes refute the finding. A device with the MAC address of one of the instance's elastic network interfaces is guest-multi-eni. From outside, the loss looks like a reply lost in the cloud (route-missing at this side); ip route get on this host separates them.",
            zh: "有意用来承载该流量且确实送达的隧道不会被指认：探测到达即否定本结论。若该设备的 MAC 地址属于本实例的弹性网卡，则为 guest-multi-eni。从外部看，它与应答丢失在云网络（本侧 route-missing）相同，在该主机上执行 ip route get 即可区分。",
        },
        console: Texts {
            en: "ECS > Instances > Connect (Workbench, VNC), or Cloud Assistant RunCommand (look first: ip route get PEER)",
            zh: "ECS > 实例 > 远程连接（Workbench、VNC），或云助手 RunCommand（先查看：ip route get 对端地址）",
        },
    },
    CauseDoc {
        code: CauseCode::GuestRpFilter,
        step: "7",
        kind: CauseKind::Fault,
        title: Texts { en: "reverse-path filtering refuses", zh: "反向路径过滤拒绝" },
        meaning: Texts {
            en: "Strict rp_filter drops a packet that arrives on another interface than the one by which the kernel would send the reply.",
            zh: "严格 rp_filter 会丢弃从非回程网卡到达的报文。",
        },
        evidence: Texts {
            en: "rp_filter in effect is 1 (the larger of conf.all and the interface's own value) on at least one interface, and the counter IPReversePathFilter is above zero. Requests appear on the interface but not in the IP stack (S2), or replies to own probes appear there and do not reach the prober (S6).",
            zh: "至少一块网卡生效的 rp_filter 为 1（取 conf.all 与网卡自身值的较大者），且计数器 IPReversePathFilter 大于零。请求出现在网卡上但未进入协议栈（S2），或对本机探测的应答到达网卡却没有到达探测程序（S6）。",
        },
        repair: Texts { en: "set rp_filter to 2 (loose)", zh: "把 rp_filter 设为 2（宽松）" },
        doubt: Texts {
            en: "The counter is a total since boot over all interfaces: if it does not rise while probes are sent, the drops are old, and a packet filter (guest-firewall) explains the loss better. A firewall rule that surely refuses the probes is blamed first. Mode 2 (loose) drops a packet only if there is no route to its source at all, which is guest-route-missing.",
            zh: "该计数器是开机以来所有网卡的总数：若探测期间不增加，说明是旧的丢弃，更可能是系统防火墙（guest-firewall）。若有防火墙规则确定拒绝探测包，优先指认该规则。模式 2（宽松）只在完全没有到源地址的路由时丢弃报文，那属于 guest-route-missing。",
        },
        console: Texts {
            en: "ECS > Instances > Connect (Workbench, VNC), or Cloud Assistant RunCommand (look first: nstat -az TcpExtIPReversePathFilter)",
            zh: "ECS > 实例 > 远程连接（Workbench、VNC），或云助手 RunCommand（先查看：nstat -az TcpExtIPReversePathFilter）",
        },
    },
    CauseDoc {
        code: CauseCode::GuestMultiEni,
        step: "7",
        kind: CauseKind::Fault,
        title: Texts { en: "replies leave by another network interface", zh: "应答从另一块网卡发出" },
        meaning: Texts {
            en: "A secondary network interface needs its own policy routes; without them, replies leave by the primary interface.",
            zh: "辅助网卡需要策略路由，否则应答从主网卡发出。",
        },
        evidence: Texts {
            en: "The kernel's route lookup for the peer returns another network interface of the instance (its MAC address is one that the metadata service or DescribeNetworkInterfaces lists), or the agent sees replies leave by it. The peer's requests arrive and are answered, but not by the interface of the probed address (S4), and the cloud may drop the reply at the other interface.",
            zh: "内核对对端地址的路由查询返回本实例的另一块网卡（其 MAC 地址在元数据服务或 DescribeNetworkInterfaces 中），或 agent 看到应答从该网卡发出。对端的请求已到达并产生应答，但没有从被探测地址所在的网卡发出（S4），云网络可能在另一块网卡处将其丢弃。",
        },
        repair: Texts {
            en: "route the peer through the right network interface, or add policy routing",
            zh: "让到对端的路由走正确的网卡，或配置策略路由",
        },
        doubt: Texts {
            en: "The lookup does not evaluate rules that match a source address: with correct policy routing (ip rule from …) replies take the right interface, and answered probes refute the finding. A bridge, tunnel or veth is guest-route-overlap. With strict rp_filter the request may stop at the interface (S2) before any reply is made; that is guest-rp-filter.",
            zh: "路由查询不评估按源地址匹配的规则：策略路由（ip rule from …）配置正确时应答会走正确的网卡，探测有应答即否定本结论。网桥、隧道或 veth 属于 guest-route-overlap。启用严格 rp_filter 时，请求可能在产生应答之前就停在网卡处（S2），那属于 guest-rp-filter。",
        },
        console: Texts {
            en: "ECS > Instances > Connect (Workbench, VNC), or Cloud Assistant RunCommand (look first: ip rule; ip route show table all)",
            zh: "ECS > 实例 > 远程连接（Workbench、VNC），或云助手 RunCommand（先查看：ip rule; ip route show table all）",
        },
    },
    CauseDoc {
        code: CauseCode::GuestRateLimit,
        step: "7",
        kind: CauseKind::Fault,
        title: Texts {
            en: "a rate limit in the guest drops a share", zh: "系统内的限速规则丢弃部分报文"
        },
        meaning: Texts {
            en: "A rule with a rate limit drops packets above its rate: slow probes pass, fast ones are partly lost.",
            zh: "限速规则丢弃超出速率的报文：慢速探测通过，快速探测部分丢失。",
        },
        evidence: Texts {
            en: "A refusing nftables rule with a limit can match the probes, and at least 3 requests that reached the interface were not accepted by the IP stack while others were. The loss is between interface and IP stack of this host (partial S2), not between the hosts.",
            zh: "有一条带 limit 的拒绝类 nftables 规则可能匹配探测包，且到达网卡的请求中至少 3 个未被协议栈接收，其余被接收。丢失发生在该主机的网卡与协议栈之间（部分 S2），而不是两台主机之间。",
        },
        repair: Texts { en: "raise or remove the limit", zh: "提高或移除限速" },
        doubt: Texts {
            en: "The rule may be for other traffic, since its conditions are not always fully understood; a counter in the rule shows whether it drops during the probes. An overloaded host loses packets at the same place, with softnet drops or CPU waits in its figures (host-overload). A full conntrack table loses only new flows and writes a line to the kernel log (dmesg).",
            zh: "该规则可能针对其他流量，因为其条件不一定能完全识别；在规则上加 counter 可看出探测期间是否命中。过载的主机也在同一位置丢包，但其数据中有 softnet drops 或 CPU 等待（host-overload）。conntrack 表满时只丢失新建的流，并在内核日志（dmesg）中留下记录。",
        },
        console: Texts {
            en: "ECS > Instances > Connect (Workbench, VNC), or Cloud Assistant RunCommand (look first: nft list ruleset)",
            zh: "ECS > 实例 > 远程连接（Workbench、VNC），或云助手 RunCommand（先查看：nft list ruleset）",
        },
    },
    CauseDoc {
        code: CauseCode::GuestNat,
        step: "7",
        kind: CauseKind::Fault,
        title: Texts {
            en: "the guest translates the packets' addresses", zh: "系统内的地址转换改写了报文"
        },
        meaning: Texts {
            en: "A rule of the guest (SNAT, MASQUERADE, DNAT or REDIRECT) gives its packets another source than the address that the cloud knows, or another destination than the peer.",
            zh: "系统内的规则（SNAT、MASQUERADE、DNAT 或 REDIRECT）把报文的源地址改成云上不认识的地址，或把目的地址改成别的主机。",
        },
        evidence: Texts {
            en: "The whole packet filter of the guest was read, and the walk of a probe through it surely passes a rule that translates its address. The peer's agent sees none of the probes arrive from the pair's address (S1), whatever answers the sender got; or requests reach the guest's interface and are forwarded elsewhere instead of answered (S2, S3).",
            zh: "已读取系统完整的防火墙规则，探测报文逐条走过规则时确定会经过一条改写其地址的规则。对端 agent 没有看到来自该地址的探测（S1），无论发送端收到了什么应答；或请求到达网卡后被转发到别处而没有应答（S2、S3）。",
        },
        repair: Texts {
            en: "remove the translating rule, or except the peer's addresses from it before it",
            zh: "删除改写地址的规则，或在其之前排除对端地址",
        },
        doubt: Texts {
            en: "A host that forwards for others (a NAT gateway of one's own, a container host) translates on purpose: the rule is at fault only for the pair's own addresses. Where the cloud accepts the new source, because it is an address of the same interface, probes arrive and refute the finding. Rules of legacy iptables tables are read where iptables-legacy-save is installed; otherwise the agent reports that they exist, and nothing is proven.",
            zh: "为其他主机转发的主机（自建 NAT 网关、容器宿主机）本来就要转换地址：只有本对主机自己的地址被改写才算故障。若新的源地址属于同一网卡、云上放行，探测会到达并否定本结论。legacy iptables 的表只有在装有 iptables-legacy-save 时才会被读取；否则 agent 只报告其存在，不据此作证实的结论。",
        },
        console: Texts {
            en: "ECS > Instances > Connect (Workbench, VNC), or Cloud Assistant RunCommand (look first: nft list ruleset; conntrack -L)",
            zh: "ECS > 实例 > 远程连接（Workbench、VNC），或云助手 RunCommand（先查看：nft list ruleset; conntrack -L）",
        },
    },
    CauseDoc {
        code: CauseCode::HostOverload,
        step: "7",
        kind: CauseKind::Fault,
        title: Texts { en: "the host cannot keep up", zh: "主机过载" },
        meaning: Texts {
            en: "CPU or interrupt load makes the host drop or delay packets, whatever the peer.",
            zh: "CPU 或中断负载使报文在主机内丢失或延迟，对所有对端都如此。",
        },
        evidence: Texts {
            en: "Packets reach the host's interface and are lost inside it, or only pairs with this host are impaired while other pairs of the link are clean. The host's own figures agree: packets dropped from the backlog (softnet), tasks waiting for a CPU during at least 40 % of the time, or at least 10 % of the CPU time given to other guests (steal).",
            zh: "报文到达主机网卡却在主机内丢失，或只有与该主机有关的主机对受影响而其他主机对正常。且主机自身数据吻合：积压队列丢包（softnet），至少 40 % 的时间有任务等待 CPU，或至少 10 % 的 CPU 时间被虚拟化层分给其他实例（steal）。",
        },
        repair: Texts {
            en: "reduce the load of the instance or choose a larger instance type",
            zh: "减轻负载或升级实例规格",
        },
        doubt: Texts {
            en: "The figures cover only the short time in which the probes ran, often less than a second; a peak before or after it does not show. High CPU utilisation alone does not count. Without such figures the loss stays a suspect together with guest-rate-limit and guest-firewall; nft counters and the load history in CloudMonitor decide.",
            zh: "这些数据只覆盖探测进行的短暂时间，往往不到一秒，前后的峰值看不到。仅 CPU 使用率高不计入。没有这些数据时，丢包只与 guest-rate-limit、guest-firewall 一起列为疑点，由 nft 计数器和云监控的历史负载区分。",
        },
        console: Texts {
            en: "ECS > Instances > the instance > Change Instance Type",
            zh: "ECS > 实例与镜像 > 实例 > 变更实例规格",
        },
    },
    CauseDoc {
        code: CauseCode::StrangerReplied,
        step: "7",
        kind: CauseKind::Fault,
        title: Texts { en: "another host answers", zh: "应答的是别的主机" },
        meaning: Texts {
            en: "Another host answers instead of the expected one: the address is used twice, or packets are routed elsewhere.",
            zh: "应答的不是预期的主机：地址被重复使用，或报文被路由到别处。",
        },
        evidence: Texts {
            en: "Replies come from another address or without this agent's nonce, or the target's address answers although the agent there, which watches its interface, saw none of the requests. For the expected host the requests are lost between the hosts (S1).",
            zh: "应答来自其他地址，或不带本 agent 的随机标记；或者目标地址有应答，而正在观测网卡的目标 agent 没有看到任何请求。对预期的主机而言，请求在两台主机之间丢失（S1）。",
        },
        repair: Texts {
            en: "find the host on the path that uses this address and change its address or remove it",
            zh: "找出路径上占用该地址的主机，更换其地址或将其移除",
        },
        doubt: Texts {
            en: "If the configuration shows why packets go elsewhere (cidr-overlap, route-shadowed, route-wrong-next-hop), that cause is reported instead. An echo reply copies the request's payload, so a nonce alone does not identify the host; the report of the peer's agent does, unless it is late. A MAC address does not help, because in a VPC every neighbour shows the same one.",
            zh: "若配置能说明报文为何去往别处（cidr-overlap、route-shadowed、route-wrong-next-hop），则报告那个原因。ICMP 应答会原样带回请求的内容，因此仅凭随机标记不能识别主机；对端 agent 的报告可以，除非其上报延迟。MAC 地址没有帮助，因为专有网络内所有邻居显示的 MAC 地址都相同。",
        },
        console: Texts {
            en: "no console page: see the repair", zh: "没有对应的控制台页面：见修复说明"
        },
    },
    CauseDoc {
        code: CauseCode::AgentInContainer,
        step: "7",
        kind: CauseKind::Fault,
        title: Texts {
            en: "the agent runs in a container of its own network", zh: "agent 运行在独立网络的容器中"
        },
        meaning: Texts {
            en: "The source address of its probes is not the instance's, so the peer's routes and rules do not match it.",
            zh: "其探测的源地址不是实例的地址，对端的路由和规则不会匹配。",
        },
        evidence: Texts {
            en: "No interface that the agent sees has the private address or a MAC address that the metadata service gives for the instance, nor the pair's address. Round trips that this host begins are lost between the hosts (S1, S5) or stay unanswered, and nothing else explains it.",
            zh: "agent 看到的网卡都没有元数据服务给出的实例私网地址或 MAC 地址，也没有该主机对的地址。由该主机发起的往返丢失在两台主机之间（S1、S5）或无应答，且没有其他原因可以解释。",
        },
        repair: Texts {
            en: "run the agent in the host's network (for example docker run --network host)",
            zh: "让 agent 使用主机网络（例如 docker run --network host）",
        },
        doubt: Texts {
            en: "A container whose host translates its addresses (masquerade) works and is not blamed. The finding is about the agent's position: applications on the host itself may reach the peer. If the guest only lost its address, an interface still has the instance's MAC address, and the cause is ip-not-on-eni.",
            zh: "若主机为容器做地址转换（masquerade），则可正常工作，不会被指认。本结论说的是 agent 所处的位置：主机上的应用可能可以访问对端。若系统只是丢失了地址，网卡仍有实例的 MAC 地址，则为 ip-not-on-eni。",
        },
        console: Texts {
            en: "ECS > Instances > Connect (Workbench, VNC), or Cloud Assistant RunCommand",
            zh: "ECS > 实例 > 远程连接（Workbench、VNC），或云助手 RunCommand",
        },
    },
    CauseDoc {
        code: CauseCode::ProbeNotPermitted,
        step: "7",
        kind: CauseKind::Gap,
        title: Texts { en: "the agent may not send probes", zh: "agent 无权发送探测包" },
        meaning: Texts {
            en: "The agent has neither CAP_NET_RAW nor a group in net.ipv4.ping_group_range, so it sends no probes.",
            zh: "agent 没有 CAP_NET_RAW，其所属组也不在 net.ipv4.ping_group_range 内，无法发送探测包。",
        },
        evidence: Texts {
            en: "The agent reports that it could open neither a raw socket nor an ICMP datagram socket. This host sends no ICMP probes, so the direction that it begins has no counts.",
            zh: "agent 报告既不能打开原始套接字，也不能打开 ICMP 数据报套接字。该主机不发送 ICMP 探测，由它发起的方向没有计数。",
        },
        repair: Texts {
            en: "setcap cap_net_raw+ep on the agent's program",
            zh: "对 agent 程序执行 setcap cap_net_raw+ep",
        },
        doubt: Texts {
            en: "This is a gap and says nothing about the path: the other side's probes and the configuration are judged all the same. EPERM on sending with open sockets is not this gap but a packet filter on output (guest-firewall). setcap is lost when the program file is replaced, and containers or seccomp profiles can withhold the capability.",
            zh: "这是信息缺口，不说明路径是否正常：另一侧的探测和配置照常判断。套接字能打开而发送时返回 EPERM，不属于本缺口，而是出口的防火墙规则（guest-firewall）。替换程序文件后 setcap 会失效；容器或 seccomp 配置也可能收回该权限。",
        },
        console: Texts {
            en: "ECS > Instances > Connect (Workbench, VNC), or Cloud Assistant RunCommand (look first: getcap on the agent's program)",
            zh: "ECS > 实例 > 远程连接（Workbench、VNC），或云助手 RunCommand（先查看：对 agent 程序执行 getcap）",
        },
    },
    CauseDoc {
        code: CauseCode::AgentSilent,
        step: "7",
        kind: CauseKind::Gap,
        title: Texts { en: "the agent does not report", zh: "agent 没有报告" },
        meaning: Texts {
            en: "The host may be down, or only its agent, or only its connection to the collector.",
            zh: "可能是主机宕机，也可能只是 agent 或其到收集端的通路有问题。",
        },
        evidence: Texts {
            en: "The collector has no host facts, probe rounds, arrivals or health reports of this agent, or its reports stopped (15 s without one; 75 s for an agent without targets), or it did not answer a verification in time. Probes to the host may still be answered; where unanswered ones are lost cannot be placed between S1 and S5.",
            zh: "收集端没有该 agent 的主机信息、探测、到达或健康报告，或报告已中断（15 秒没有上报；没有探测目标的 agent 为 75 秒），或验证时未在期限内回应。到该主机的探测可能仍有应答；没有应答的，无法确定丢失在 S1 至 S5 的哪一段。",
        },
        repair: Texts {
            en: "start the agent and restore its connection to the collector",
            zh: "启动 agent 并恢复其到收集端的通路",
        },
        doubt: Texts {
            en: "A reply proves that the host is alive and that only its agent or its connection to the collector is at fault. Status in DescribeInstances identifies a stopped instance (instance-stopped). An agent with a spool directory keeps its reports and delivers them later, so missing evidence may still arrive.",
            zh: "收到应答说明主机在运行，问题只在 agent 或其到收集端的连接。DescribeInstances 的 Status 可以识别已停止的实例（instance-stopped）。配置了 spool 目录的 agent 会保存报告稍后上报，缺少的证据可能之后到达。",
        },
        console: Texts {
            en: "ECS > Instances > Connect (Workbench, VNC), or Cloud Assistant RunCommand",
            zh: "ECS > 实例 > 远程连接（Workbench、VNC），或云助手 RunCommand",
        },
    },
    CauseDoc {
        code: CauseCode::ClockSkew,
        step: "7",
        kind: CauseKind::Gap,
        title: Texts { en: "the host's clock is wrong", zh: "主机时钟不准" },
        meaning: Texts {
            en: "Times of this host cannot be compared with those of others, and signed API calls may be refused.",
            zh: "该主机的时间不能与其他主机比较，签名的 API 调用也可能被拒。",
        },
        evidence: Texts {
            en: "The agent measures the offset of its clock from the collector's: it exceeds 1000 ms plus the error of the measurement (half the round trip). Loss counts and round-trip times come from one clock each and stay valid.",
            zh: "agent 测得自身时钟与收集端的偏差超过 1000 毫秒加测量误差（往返时延的一半）。丢包计数和往返时延都只用一台主机的时钟，仍然有效。",
        },
        repair: Texts { en: "run chrony or NTP", zh: "启用 chrony 或 NTP" },
        doubt: Texts {
            en: "The offset is relative: if all agents show about the same one, the collector's clock is wrong. A clock that was corrected after the reading still appears here until the next report. An error of about 15 minutes and more makes the cloud refuse signed calls (such as InvalidTimeStamp.Expired), which then appears as config-denied.",
            zh: "偏差是相对值：若所有 agent 的偏差都差不多，则是收集端的时钟不准。读取之后已校正的时钟，在下一次上报前仍会出现在这里。偏差达到约 15 分钟时，云平台会拒绝签名的调用（如 InvalidTimeStamp.Expired），并表现为 config-denied。",
        },
        console: Texts {
            en: "ECS > Instances > Connect (Workbench, VNC), or Cloud Assistant RunCommand (look first: timedatectl)",
            zh: "ECS > 实例 > 远程连接（Workbench、VNC），或云助手 RunCommand（先查看：timedatectl）",
        },
    },
    CauseDoc {
        code: CauseCode::BandwidthSaturated,
        step: "8",
        kind: CauseKind::Fault,
        title: Texts { en: "the connection's bandwidth is used up", zh: "连接带宽已用满" },
        meaning: Texts {
            en: "Loss and delay grow with load and disappear when the connection is idle.",
            zh: "丢包与时延随负载增长，空闲时消失。",
        },
        evidence: Texts {
            en: "Packets are lost in a direction, and one of four observations agrees. CloudMonitor counts packets dropped by the bandwidth limit (RateLimitDropPps) at that time; at least 90 % of the bandwidth was in use; round-trip times climb smoothly within a round; or they stay at least 30 ms above the usual while the traffic takes at least 75 % of the bandwidth.",
            zh: "某方向丢包，且以下四项之一吻合。云监控显示当时有限速丢包（RateLimitDropPps）；带宽使用率达 90 % 以上；往返时延在一轮探测内平滑上升；或往返时延始终比平时高 30 毫秒以上，同时流量占带宽的 75 % 以上。",
        },
        repair: Texts {
            en: "the initiator's account upgrades the specification (ModifyRouterInterfaceSpec)",
            zh: "由发起端升级规格（ModifyRouterInterfaceSpec）",
        },
        doubt: Texts {
            en: "CloudMonitor data is minutes behind, and short peaks disappear in its averages. A queue that shows only in the round-trip times may also stand in a part of the network that is slower than the specification; loss that does not depend on load is loss-in-fabric. Loss during an excess of pingtong's own probes is set aside. VPC peering connections and transit routers are never blamed, because their metrics are not read.",
            zh: "云监控数据有数分钟延迟，短时峰值会被平均掉。仅由往返时延看出的排队，也可能发生在实际能力低于所购规格的网络中；与负载无关的丢包为 loss-in-fabric。pingtong 自身探测超出预算期间的丢包不作为依据。VPC对等连接和转发路由器的监控指标没有读取，因此不会被指认。",
        },
        console: Texts {
            en: "Express Connect > VPC peering connections > VPC-to-VPC > the router interface > Change Specification",
            zh: "高速通道 > 专有网络对等连接 > VPC互连 > 路由器接口 > 变配",
        },
    },
    CauseDoc {
        code: CauseCode::LossInFabric,
        step: "8",
        kind: CauseKind::Fault,
        title: Texts { en: "packets are lost between the two hosts", zh: "两台主机之间丢包" },
        meaning: Texts {
            en: "Both ends counted, and neither dropped packets itself: the cloud's network loses a share of the packets in this direction.",
            zh: "两端都有计数且自身没有丢包：云网络在该方向上丢失了一部分报文。",
        },
        evidence: Texts {
            en: "The agents record sequence numbers at both interfaces: of the packets that left one, at least 3 and at least 0.3 % never reached the other, in this direction; the rate is given with a 95 % interval. Requests of one flow (partial S1) and replies of the other (partial S5) are counted together. Counts that an observer's own drops could explain are left out.",
            zh: "两端 agent 在网卡处记录序列号：该方向离开一端的报文中，至少 3 个且至少 0.3 % 没有到达另一端，丢包率附 95 % 置信区间。一条流的请求（部分 S1）与另一条流的应答（部分 S5）合并计数。可能由观测端自身丢包造成的计数不计入。",
        },
        repair: Texts {
            en: "no command repairs this: open a ticket with the counts and the interval of this verdict",
            zh: "没有命令可以修复：附上本结论的计数与置信区间提交工单",
        },
        doubt: Texts {
            en: "Without CloudMonitor metrics the same counts fit bandwidth-saturated, which is then added as a suspect; loss of whole flows with several next hops fits ecmp-leg-dead. If other pairs of the link are clean and only those with one host lose packets, that host is examined first (host-overload). A filter that neither the API nor the agent shows, such as a cloud firewall, would look the same.",
            zh: "缺少云监控指标时，同样的计数也符合 bandwidth-saturated，会一并列为疑点；有多个下一跳且整条流丢失时符合 ecmp-leg-dead。若该连接的其他主机对正常，只有与某台主机有关的丢包，则先检查该主机（host-overload）。API 和 agent 都看不到的过滤（如云防火墙）表现相同。",
        },
        console: Texts {
            en: "Tickets > Submit Ticket > VPC / Express Connect",
            zh: "工单 > 提交工单 > 专有网络 / 高速通道",
        },
    },
    CauseDoc {
        code: CauseCode::LatencyShift,
        step: "8",
        kind: CauseKind::Fault,
        title: Texts { en: "the round-trip time has shifted", zh: "往返时延发生阶跃" },
        meaning: Texts {
            en: "The path became longer, or packets wait in queues on it.",
            zh: "路径变长，或路径上有队列堆积。",
        },
        evidence: Texts {
            en: "Even the shortest round trip of the judged rounds is longer than the usual median, by at least 5 ms, a fifth of the usual time and twice its usual spread. The usual time comes from at least 3 earlier rounds of the same pair, sampled over a day. Every flow of the pair with such a history must show the shift.",
            zh: "本轮最短的往返时延也高于平时的中位数，差值至少为 5 毫秒、平时时延的五分之一和平时波动的两倍。平时时延取自同一主机对此前一天内抽样的至少 3 轮。该主机对所有有历史数据的流都须出现该变化。",
        },
        repair: Texts {
            en: "compare the routes before and after the shift; if they are the same, open a ticket",
            zh: "对比变化前后的路由；若没有变化，提交工单",
        },
        doubt: Texts {
            en: "A round trip does not show in which direction it became longer nor, with one pair alone, whether the path or a host is slow; other pairs of the link separate the two (host-overload). If packets are lost as well, a full connection is the first explanation (bandwidth-saturated). Traffic that moved to another connection, such as CEN, takes longer without any fault.",
            zh: "往返时延无法说明是哪个方向变长；只有一对主机时，也无法区分是路径变慢还是主机变慢，该连接的其他主机对可以区分（host-overload）。若同时丢包，首先考虑带宽用满（bandwidth-saturated）。流量改走其他连接（如云企业网）也会使时延变化，但不是故障。",
        },
        console: Texts {
            en: "Tickets > Submit Ticket > VPC / Express Connect",
            zh: "工单 > 提交工单 > 专有网络 / 高速通道",
        },
    },
    CauseDoc {
        code: CauseCode::MtuBlackHole,
        step: "8",
        kind: CauseKind::Fault,
        title: Texts { en: "large packets vanish", zh: "大包丢失" },
        meaning: Texts {
            en: "Packets above a certain size are dropped without an ICMP error; TCP connects and hangs as soon as it sends much data.",
            zh: "超过某一大小的报文被静默丢弃；TCP 能连上，但大量发送数据时卡住。",
        },
        evidence: Texts {
            en: "A search with the don't-fragment bit set gives the largest packet that is answered and the smallest that is not: all above the limit (at least 6) vanish, ordinary loss does not explain that, and no ICMP fragmentation needed came back. Whether the large requests arrived at the far interface shows the direction (S1 or S5).",
            zh: "以不分片方式逐级探测，得到有应答的最大报文和没有应答的最小报文：超过上限的（至少 6 个）全部消失，普通丢包无法解释，且没有收到“需要分片”的 ICMP 报文。大请求是否到达对端网卡说明丢失的方向（S1 或 S5）。",
        },
        repair: Texts {
            en: "lower the guests' MTU to the size that passes", zh: "把系统 MTU 降到可通过的大小"
        },
        doubt: Texts {
            en: "The bottleneck may be a host's own network interface or tunnel: if the MTU of its interface is no larger than what passes, the evidence says so. The ICMP error may also have been sent and filtered on its way back. The usual case is a guest with jumbo frames (MTU 8500) on a path of 1500 bytes; packets that the sender's own kernel refuses are not counted.",
            zh: "瓶颈也可能是主机自身的网卡或隧道：若网卡 MTU 不大于可通过的大小，证据中会指出。ICMP 差错报文也可能已经发出，但在返回途中被过滤。常见情形是系统启用了巨型帧（MTU 8500）而路径只支持 1500 字节；被发送端内核自己拒绝的报文不计入。",
        },
        console: Texts {
            en: "ECS > Instances > Connect (Workbench, VNC), or Cloud Assistant RunCommand (look first: ip link show)",
            zh: "ECS > 实例 > 远程连接（Workbench、VNC），或云助手 RunCommand（先查看：ip link show）",
        },
    },
    CauseDoc {
        code: CauseCode::FabricFault,
        step: "8",
        kind: CauseKind::Fault,
        title: Texts {
            en: "the fabric between the two VPCs drops everything", zh: "两个专有网络之间的网络全部丢包"
        },
        meaning: Texts {
            en: "The configuration of both sides and both guests let the packets pass, and they are lost all the same.",
            zh: "两侧配置与两端系统都放行，报文仍然丢失。",
        },
        evidence: Texts {
            en: "All requests leave one interface and none reaches the other (S1), or all replies do so (S5). Both ends were observed, all configuration of the path was read and not before the loss began, and nothing in it or in the guests stops these packets.",
            zh: "所有请求离开一端网卡后都没有到达另一端（S1），或所有应答如此（S5）。两端都有观测；路径上的配置已全部读取，且不早于丢包开始；配置与系统中没有任何一项会阻断这些报文。",
        },
        repair: Texts {
            en: "no command repairs this: open a ticket with the evidence of this verdict",
            zh: "没有命令可以修复：附上本结论的证据提交工单",
        },
        doubt: Texts {
            en: "The real cause may be an element that pingtong does not read: network ACLs of the vSwitches of a transit router attachment, a cloud firewall, a network ACL without any entry (which denies everything), or a filter in eBPF. An observer that drops packets unnoticed looks the same. A TCP reset or an answer on another port proves that the path works and that a filter is the cause. While a part of the configuration is unread, this code is only a suspect.",
            zh: "真正的原因可能是 pingtong 没有读取的对象：转发路由器连接所用交换机的网络ACL、云防火墙、没有任何规则的网络ACL（会拒绝所有流量），或 eBPF 过滤。观测端未察觉的丢包也表现相同。若另一端口能收到 TCP RST 或应答，说明路径正常，原因是过滤。只要还有配置未读到，本原因就只列为疑点。",
        },
        console: Texts {
            en: "Tickets > Submit Ticket > VPC / Express Connect",
            zh: "工单 > 提交工单 > 专有网络 / 高速通道",
        },
    },
    CauseDoc {
        code: CauseCode::ModelContradicted,
        step: "-",
        kind: CauseKind::Fault,
        title: Texts { en: "the wire refutes the prediction", zh: "实际通信与推断不符" },
        meaning: Texts {
            en: "The configuration says that packets are blocked, but new probes pass: an old session survives, the snapshot is outdated, or an element is not modelled.",
            zh: "配置显示应被阻断，而新探测包通过：可能有残留会话、快照过旧，或有未建模的元素。",
        },
        evidence: Texts {
            en: "The evidence repeats the finding from configuration that should stop these packets, with the counts of newly sent probes that passed all the same. A request that was seen at the far interface, or an answer, is enough to refute a finding about requests; one about replies needs an answer that came back.",
            zh: "证据中重复按配置应当阻断这些报文的结论，并列出照样通过的新探测的计数。对于阻断请求的结论，只要请求出现在对端网卡上或收到应答即可否定；对于阻断应答的结论，须收到返回的应答。",
        },
        repair: Texts {
            en: "read the object again; if the contradiction stays, report it as a bug of pingtong",
            zh: "重新读取该对象；若仍如此，请作为 pingtong 的缺陷上报",
        },
        doubt: Texts {
            en: "That packets pass does not make the configuration right: a rule or route changed less than a minute ago, traffic over another connection, and a locked interface that still forwards all look like this. Another host that answers in place of the peer would refute the finding wrongly; the report of the peer's agent excludes that. If the contradiction outlasts a new snapshot, pingtong models the object wrongly.",
            zh: "报文通过并不等于配置正确：规则或路由在一分钟内刚变更、流量走了其他连接、接口被锁定但仍在转发，都会如此。若是别的主机代替对端应答，会错误地否定结论；对端 agent 的报告可以排除。若重新采集快照后矛盾依旧，则是 pingtong 对该对象的建模有误。",
        },
        console: Texts {
            en: "no console page: see the repair", zh: "没有对应的控制台页面：见修复说明"
        },
    },
];
