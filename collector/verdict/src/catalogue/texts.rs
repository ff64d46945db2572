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
            en: "No snapshot of this account exists; its side of the path is unknown, not fine.",
            zh: "没有该账号的配置快照；它那一侧是未知，不是正常。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts {
            en: "the account's owner runs an agent with a read-only RAM role, grants the collector such a role ([[account]] in \
                 collector.toml), or exports a snapshot",
            zh: "由该账号所有者部署带只读 RAM 角色的 agent，或授予收集端这样的角色（collector.toml 的 [[account]]），或导出快照",
        },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
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
            en: "A part of the configuration could not be read; what it holds is unknown.",
            zh: "部分配置无法读取，其内容未知。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts {
            en: "grant the named action to the agent's role", zh: "为 agent 的角色授予所列操作权限"
        },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
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
            en: "Changes take up to a minute to settle; probes from that time prove nothing.",
            zh: "变更最长需一分钟生效；其间的探测不能作为依据。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts { en: "wait and verify again", zh: "稍候再次验证" },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
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
            en: "The peer's address also lies in the own VPC; the own vSwitch's system route wins and the packet never leaves.",
            zh: "对端地址同时落在本端专有网络中；本端交换机的系统路由优先，报文不会离开本端。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts {
            en: "no command repairs this: one owner must move the hosts to a VPC or vSwitch with another block",
            zh: "没有命令可以修复：须由一方把主机迁到不重叠网段的专有网络或交换机",
        },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts { en: "VPC > VPCs > CIDR blocks", zh: "专有网络 > 专有网络 > 网段" },
    },
    CauseDoc {
        code: CauseCode::RiMissing,
        step: "1, 2",
        kind: CauseKind::Fault,
        title: Texts { en: "no router interface for this peer", zh: "没有面向该对端的路由器接口" },
        meaning: Texts {
            en: "This side of the peering connection does not exist on the VPC's router.",
            zh: "该专有网络的路由器上没有本端的对等连接接口。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts {
            en: "create the side that is missing (CreateRouterInterface)",
            zh: "创建缺少的一端（CreateRouterInterface）",
        },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts {
            en: "Express Connect > VPC peering connections > VPC-to-VPC > the router interface",
            zh: "高速通道 > 专有网络对等连接 > VPC互连 > 路由器接口",
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
            en: "The opposite region was chosen at creation and cannot be changed.",
            zh: "对端地域在创建时选定，之后不能修改。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts {
            en: "delete the interface and create it for the right region", zh: "删除后按正确地域重新创建"
        },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts {
            en: "Express Connect > VPC peering connections > VPC-to-VPC > the router interface",
            zh: "高速通道 > 专有网络对等连接 > VPC互连 > 路由器接口",
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
            en: "The connection may be active, and joins the wrong network.",
            zh: "连接可能已激活，但连的是错误的网络。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts {
            en: "create one on the right VPC's router and connect it; the wrong one may be deleted then",
            zh: "在正确的专有网络的路由器上创建并连接；之后可删除建错的",
        },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts {
            en: "Express Connect > VPC peering connections > VPC-to-VPC > the router interface",
            zh: "高速通道 > 专有网络对等连接 > VPC互连 > 路由器接口",
        },
    },
    CauseDoc {
        code: CauseCode::RiRoleConflict,
        step: "1, 2",
        kind: CauseKind::Fault,
        title: Texts { en: "both router interfaces have the same role", zh: "两端路由器接口角色相同" },
        meaning: Texts {
            en: "One side must initiate and the other accept; equal roles can never connect.",
            zh: "必须一端发起、一端接收；角色相同无法连接。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts {
            en: "delete and recreate the side with the wrong role", zh: "删除并重建角色错误的一端"
        },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts {
            en: "Express Connect > VPC peering connections > VPC-to-VPC > the router interface",
            zh: "高速通道 > 专有网络对等连接 > VPC互连 > 路由器接口",
        },
    },
    CauseDoc {
        code: CauseCode::RiOppositeUnset,
        step: "3, 4",
        kind: CauseKind::Fault,
        title: Texts { en: "the router interface does not name its peer", zh: "路由器接口没有填写对端" },
        meaning: Texts {
            en: "Adding the peer (tutorial step 3 or 4) was not done on this side.",
            zh: "本端尚未添加对端（教程第3或第4步）。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts {
            en: "set all four opposite fields (ModifyRouterInterfaceAttribute)",
            zh: "填写全部四个对端字段（ModifyRouterInterfaceAttribute）",
        },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts {
            en: "Express Connect > VPC peering connections > VPC-to-VPC > the router interface",
            zh: "高速通道 > 专有网络对等连接 > VPC互连 > 路由器接口",
        },
    },
    CauseDoc {
        code: CauseCode::RiOppositeMismatch,
        step: "3, 4",
        kind: CauseKind::Fault,
        title: Texts { en: "the router interface names the wrong peer", zh: "路由器接口填写的对端有误" },
        meaning: Texts {
            en: "A field that names the peer differs from what the peer is; the two never join.",
            zh: "填写的对端信息与实际不符，两端无法建立连接。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts {
            en: "correct the field while the interface is Idle; otherwise rebuild it",
            zh: "接口处于 Idle 时更正字段；否则重建",
        },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts {
            en: "Express Connect > VPC peering connections > VPC-to-VPC > the router interface",
            zh: "高速通道 > 专有网络对等连接 > VPC互连 > 路由器接口",
        },
    },
    CauseDoc {
        code: CauseCode::RiNotConnected,
        step: "4",
        kind: CauseKind::Fault,
        title: Texts { en: "the connection was never initiated", zh: "尚未发起连接" },
        meaning: Texts {
            en: "Both sides name each other and wait; the initiating side has not connected.",
            zh: "两端已互相填写，但发起端没有发起连接。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts {
            en: "the initiator connects (ConnectRouterInterface)",
            zh: "由发起端发起连接（ConnectRouterInterface）",
        },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts {
            en: "Express Connect > VPC peering connections > VPC-to-VPC > the router interface",
            zh: "高速通道 > 专有网络对等连接 > VPC互连 > 路由器接口",
        },
    },
    CauseDoc {
        code: CauseCode::RiConnecting,
        step: "4",
        kind: CauseKind::Fault,
        title: Texts { en: "the router interface is in transition", zh: "路由器接口处于过渡状态" },
        meaning: Texts { en: "It passes nothing until it is Active.", zh: "变为 Active 之前不转发。" },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts {
            en: "wait a minute; if it stays, check the peer's fields, rebuild, or open a ticket",
            zh: "等待一分钟；若仍未完成，检查对端字段、重建或提交工单",
        },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
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
            en: "Its owner deactivated it; both directions die at once.",
            zh: "其所有者冻结了它，两个方向同时中断。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts {
            en: "its owner activates it (ActivateRouterInterface)",
            zh: "由其所有者激活（ActivateRouterInterface）",
        },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts {
            en: "Express Connect > VPC peering connections > VPC-to-VPC > the router interface",
            zh: "高速通道 > 专有网络对等连接 > VPC互连 > 路由器接口",
        },
    },
    CauseDoc {
        code: CauseCode::RiFinancialLocked,
        step: "4",
        kind: CauseKind::Fault,
        title: Texts { en: "the router interface is locked for payment", zh: "路由器接口因欠费锁定" },
        meaning: Texts {
            en: "A bill of the account is not paid or the interface expired.",
            zh: "账号欠费，或该接口已到期。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts {
            en: "the owner pays or renews; no API call helps before",
            zh: "由所有者付费或续费；在此之前没有可用的 API",
        },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts { en: "Expenses > Orders / Renewal", zh: "费用中心 > 订单 / 续费" },
    },
    CauseDoc {
        code: CauseCode::RiSecurityLocked,
        step: "4",
        kind: CauseKind::Fault,
        title: Texts { en: "the router interface is locked for security", zh: "路由器接口被安全锁定" },
        meaning: Texts { en: "The cloud's security team holds it.", zh: "被云平台安全管控锁定。" },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts { en: "the owner opens a ticket", zh: "由所有者提交工单" },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts {
            en: "Tickets > Submit Ticket > VPC / Express Connect",
            zh: "工单 > 提交工单 > 专有网络 / 高速通道",
        },
    },
    CauseDoc {
        code: CauseCode::PeeringNotActive,
        step: "4",
        kind: CauseKind::Fault,
        title: Texts { en: "the peering connection is not active", zh: "对等连接未激活" },
        meaning: Texts {
            en: "It does not exist, was not accepted, or was closed.",
            zh: "连接不存在、未被接受或已关闭。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts {
            en: "create it, or the accepting account accepts it", zh: "创建连接，或由接收端账号接受"
        },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts { en: "VPC > VPC Peering Connections", zh: "专有网络 > VPC对等连接" },
    },
    CauseDoc {
        code: CauseCode::RouteMissing,
        step: "5",
        kind: CauseKind::Fault,
        title: Texts { en: "no route to the peer", zh: "没有到对端的路由" },
        meaning: Texts {
            en: "The table in effect for the host's vSwitch has no entry that covers the peer; packets are dropped silently.",
            zh: "主机所在交换机生效的路由表没有包含对端的条目，报文被静默丢弃。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts {
            en: "add the peer's block with the link as next hop (CreateRouteEntry)",
            zh: "添加目标为对端网段、下一跳为本连接的条目（CreateRouteEntry）",
        },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts {
            en: "VPC > Route Tables > the table > Route Entry List",
            zh: "专有网络 > 路由表 > 路由条目列表",
        },
    },
    CauseDoc {
        code: CauseCode::RouteWrongCidr,
        step: "5",
        kind: CauseKind::Fault,
        title: Texts { en: "the route to the link has the wrong block", zh: "指向对端的路由网段不对" },
        meaning: Texts {
            en: "An entry leads to the link and does not cover the peer's address.",
            zh: "有条目指向本连接，但不包含对端地址。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts { en: "add an entry for the peer's block", zh: "添加目标为对端网段的条目" },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts {
            en: "VPC > Route Tables > the table > Route Entry List",
            zh: "专有网络 > 路由表 > 路由条目列表",
        },
    },
    CauseDoc {
        code: CauseCode::RouteWrongNextHop,
        step: "5",
        kind: CauseKind::Fault,
        title: Texts { en: "the route leads elsewhere", zh: "路由的下一跳不是本连接" },
        meaning: Texts {
            en: "The entry that decides for the peer has another next hop.",
            zh: "决定对端走向的条目指向了别处。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts {
            en: "replace the entry: delete it and create it with the link as next hop",
            zh: "替换该条目：删除后以本连接为下一跳重新创建",
        },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts {
            en: "VPC > Route Tables > the table > Route Entry List",
            zh: "专有网络 > 路由表 > 路由条目列表",
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
            en: "The host's vSwitch uses another table than the one that was edited.",
            zh: "主机所在交换机使用的是另一张路由表。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts { en: "add the route to the table in effect", zh: "把路由加到生效的路由表" },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts {
            en: "VPC > Route Tables > the table > Route Entry List",
            zh: "专有网络 > 路由表 > 路由条目列表",
        },
    },
    CauseDoc {
        code: CauseCode::RouteShadowed,
        step: "5",
        kind: CauseKind::Fault,
        title: Texts { en: "a more specific route wins", zh: "被更精确的路由覆盖" },
        meaning: Texts {
            en: "The route to the link exists; a longer prefix to somewhere else decides.",
            zh: "指向本连接的路由存在，但更长前缀的条目优先。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts {
            en: "delete the more specific entry, or add one yet more specific to the link",
            zh: "删除更精确的条目，或添加更精确且指向本连接的条目",
        },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
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
            en: "The entry leads to the link, but its state or its next hop is not usable.",
            zh: "条目指向本连接，但状态或下一跳不可用。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts {
            en: "wait until it is Available; if it stays, recreate it",
            zh: "等待其变为可用；若一直如此，重新创建",
        },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts {
            en: "VPC > Route Tables > the table > Route Entry List",
            zh: "专有网络 > 路由表 > 路由条目列表",
        },
    },
    CauseDoc {
        code: CauseCode::EcmpLegDead,
        step: "5",
        kind: CauseKind::Fault,
        title: Texts { en: "one of several next hops is dead", zh: "多个下一跳中有一个不通" },
        meaning: Texts {
            en: "Flows are spread over several interfaces and one carries nothing: some flows always fail.",
            zh: "流量分摊到多个接口，其中一个不转发：部分流固定失败。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts {
            en: "repair that interface or take it out of the route", zh: "修复该接口，或把它从路由中移除"
        },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
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
            en: "The far side routes the address back to this one.",
            zh: "对端又把该地址的报文路由回来。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts { en: "correct the route at the far side", zh: "更正对端的路由" },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts {
            en: "VPC > Route Tables > the table > Route Entry List",
            zh: "专有网络 > 路由表 > 路由条目列表",
        },
    },
    CauseDoc {
        code: CauseCode::RouteNotTransitive,
        step: "5",
        kind: CauseKind::Fault,
        title: Texts { en: "the peer is behind another VPC", zh: "对端在第三个专有网络之后" },
        meaning: Texts {
            en: "Peering connections do not pass traffic on to a third VPC.",
            zh: "对等连接不会把流量转发给第三个专有网络。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts {
            en: "connect the two VPCs directly, or use a transit router",
            zh: "让两个专有网络直接互连，或使用转发路由器",
        },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
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
            en: "Ingress is denied by default and no rule accepts the peer.",
            zh: "入方向默认拒绝，且没有规则放行对端。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts {
            en: "accept the peer's block (AuthorizeSecurityGroup)",
            zh: "放行对端网段（AuthorizeSecurityGroup）",
        },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts {
            en: "ECS > Network & Security > Security Groups > Manage Rules > Inbound / Outbound",
            zh: "ECS > 网络与安全 > 安全组 > 配置规则 > 入方向 / 出方向",
        },
    },
    CauseDoc {
        code: CauseCode::SgEgressBlocked,
        step: "6",
        kind: CauseKind::Fault,
        title: Texts { en: "the security group refuses egress", zh: "安全组拒绝出方向" },
        meaning: Texts {
            en: "A drop rule, or an enterprise group without an accepting rule, stops what the host sends.",
            zh: "拒绝规则，或没有放行规则的企业安全组，阻止了主机发出的报文。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts {
            en: "remove the drop rule or accept the peer's block as destination",
            zh: "移除拒绝规则，或放行目的为对端网段",
        },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts {
            en: "ECS > Network & Security > Security Groups > Manage Rules > Inbound / Outbound",
            zh: "ECS > 网络与安全 > 安全组 > 配置规则 > 入方向 / 出方向",
        },
    },
    CauseDoc {
        code: CauseCode::SgDropWins,
        step: "6",
        kind: CauseKind::Fault,
        title: Texts { en: "a drop rule wins", zh: "拒绝规则优先" },
        meaning: Texts {
            en: "Rules of all groups of the interface are pooled; the smaller priority number wins, and drop wins among equals.",
            zh: "网卡所有安全组的规则合并计算；优先级数字小者优先，相同则拒绝优先。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts {
            en: "revoke the drop rule, or accept the peer at a smaller priority number",
            zh: "撤销该拒绝规则，或以更小的优先级数字放行对端",
        },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts {
            en: "ECS > Network & Security > Security Groups > Manage Rules > Inbound / Outbound",
            zh: "ECS > 网络与安全 > 安全组 > 配置规则 > 入方向 / 出方向",
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
            en: "A rule names the peer and does not cover this protocol or port.",
            zh: "有规则针对对端，但不包含该协议或端口。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts { en: "accept this protocol from the peer's block", zh: "放行来自对端网段的该协议" },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts {
            en: "ECS > Network & Security > Security Groups > Manage Rules > Inbound / Outbound",
            zh: "ECS > 网络与安全 > 安全组 > 配置规则 > 入方向 / 出方向",
        },
    },
    CauseDoc {
        code: CauseCode::SgWrongCidr,
        step: "6",
        kind: CauseKind::Fault,
        title: Texts { en: "the rule has the wrong block", zh: "规则的授权网段不对" },
        meaning: Texts {
            en: "A rule for this protocol does not cover the peer's address.",
            zh: "有该协议的规则，但不包含对端地址。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts { en: "accept the peer's block", zh: "放行对端网段" },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts {
            en: "ECS > Network & Security > Security Groups > Manage Rules > Inbound / Outbound",
            zh: "ECS > 网络与安全 > 安全组 > 配置规则 > 入方向 / 出方向",
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
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts { en: "accept the peer's block as ingress", zh: "在入方向放行对端网段" },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts {
            en: "ECS > Network & Security > Security Groups > Manage Rules > Inbound / Outbound",
            zh: "ECS > 网络与安全 > 安全组 > 配置规则 > 入方向 / 出方向",
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
            en: "A group as source matches inside one VPC only; across a peering connection it matches nothing.",
            zh: "以安全组为来源只在同一专有网络内有效；跨对等连接不匹配任何报文。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts { en: "accept the peer's block instead of its group", zh: "改为放行对端网段" },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts {
            en: "ECS > Network & Security > Security Groups > Manage Rules > Inbound / Outbound",
            zh: "ECS > 网络与安全 > 安全组 > 配置规则 > 入方向 / 出方向",
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
            en: "The rule exists in a group that the host's interface does not belong to.",
            zh: "规则写在主机网卡不属于的安全组里。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts {
            en: "accept the peer in a group that is on the interface", zh: "在网卡所属的安全组里放行对端"
        },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts {
            en: "ECS > Network & Security > Security Groups > Manage Rules > Inbound / Outbound",
            zh: "ECS > 网络与安全 > 安全组 > 配置规则 > 入方向 / 出方向",
        },
    },
    CauseDoc {
        code: CauseCode::SgPrefixList,
        step: "6",
        kind: CauseKind::Fault,
        title: Texts { en: "the prefix list lacks the peer", zh: "前缀列表不包含对端" },
        meaning: Texts {
            en: "A rule accepts a prefix list that does not hold the peer's address.",
            zh: "规则放行的前缀列表不包含对端地址。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts {
            en: "add the peer's block to the list, or accept it by a rule of its own",
            zh: "把对端网段加入列表，或单独放行",
        },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts { en: "VPC > Prefix Lists", zh: "专有网络 > 前缀列表" },
    },
    CauseDoc {
        code: CauseCode::NaclIngressBlocked,
        step: "6",
        kind: CauseKind::Fault,
        title: Texts { en: "the network ACL refuses ingress", zh: "网络ACL拒绝入方向" },
        meaning: Texts {
            en: "ACLs keep no state: requests and replies are both judged, in list order, and what matches nothing is dropped.",
            zh: "网络ACL无状态：请求与应答都按顺序匹配，未匹配即丢弃。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts {
            en: "put an accepting entry for the peer before the refusing one (UpdateNetworkAclEntries)",
            zh: "在拒绝条目之前加入放行对端的条目（UpdateNetworkAclEntries）",
        },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts {
            en: "VPC > Network ACL > Inbound / Outbound Rules",
            zh: "专有网络 > 网络ACL > 入方向/出方向规则",
        },
    },
    CauseDoc {
        code: CauseCode::NaclEgressBlocked,
        step: "6",
        kind: CauseKind::Fault,
        title: Texts { en: "the network ACL refuses egress", zh: "网络ACL拒绝出方向" },
        meaning: Texts {
            en: "ACLs keep no state: requests and replies are both judged, in list order, and what matches nothing is dropped.",
            zh: "网络ACL无状态：请求与应答都按顺序匹配，未匹配即丢弃。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts {
            en: "put an accepting entry for the peer before the refusing one (UpdateNetworkAclEntries)",
            zh: "在拒绝条目之前加入放行对端的条目（UpdateNetworkAclEntries）",
        },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts {
            en: "VPC > Network ACL > Inbound / Outbound Rules",
            zh: "专有网络 > 网络ACL > 入方向/出方向规则",
        },
    },
    CauseDoc {
        code: CauseCode::InstanceStopped,
        step: "7",
        kind: CauseKind::Fault,
        title: Texts { en: "the instance does not run", zh: "实例未运行" },
        meaning: Texts {
            en: "It answers nothing, whatever the network does.", zh: "无论网络如何，它都不会应答。"
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts { en: "start it (StartInstance)", zh: "启动实例（StartInstance）" },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts { en: "ECS > Instances > the instance", zh: "ECS > 实例与镜像 > 实例" },
    },
    CauseDoc {
        code: CauseCode::IpNotOnEni,
        step: "7",
        kind: CauseKind::Fault,
        title: Texts { en: "nobody has the address", zh: "该地址不在任何网卡上" },
        meaning: Texts {
            en: "The expected address is on no interface of the VPC, or the guest did not configure it.",
            zh: "期望的地址不在该专有网络的任何网卡上，或系统内没有配置。",
        },
        evidence: Texts {
            en: "the object's fields as the API returned them, with request id and time; the probes' counts where they were observed",
            zh: "API 返回的对象字段（含请求ID与时间），以及观测到的探测计数",
        },
        repair: Texts {
            en: "correct the expectation, or assign and configure the address",
            zh: "更正期望的地址，或分配并在系统内配置该地址",
        },
        doubt: Texts {
            en: "the snapshot may be older than a change just made, or the object may serve another purpose",
            zh: "快照可能早于刚做的变更，或该对象另有用途",
        },
        console: Texts { en: "ECS > Instances > the instance", zh: "ECS > 实例与镜像 > 实例" },
    },
    CauseDoc {
        code: CauseCode::GuestFirewall,
        step: "7",
        kind: CauseKind::Fault,
        title: Texts { en: "the guest's packet filter refuses", zh: "系统防火墙拒绝" },
        meaning: Texts {
            en: "The packet reached the host or is made by it; the guest's own filter drops it. No API shows this.",
            zh: "报文已到达主机或由其产生，被系统自身的防火墙丢弃；API 看不到。",
        },
        evidence: Texts {
            en: "the guest's own facts, and where probes stop: interface, IP stack, reply",
            zh: "系统自身的信息，以及探测包停在何处：网卡、协议栈、应答",
        },
        repair: Texts {
            en: "remove the refusing rule, or accept the peer before it",
            zh: "移除拒绝规则，或在其之前放行对端",
        },
        doubt: Texts {
            en: "facts are read at one moment; a rule earlier in the chain may accept what this one refuses",
            zh: "信息只反映读取的那一刻；链中更靠前的规则可能已放行",
        },
        console: Texts {
            en: "ECS > Instances > Connect (Workbench, VNC), or Cloud Assistant RunCommand",
            zh: "ECS > 实例 > 远程连接（Workbench、VNC），或云助手 RunCommand",
        },
    },
    CauseDoc {
        code: CauseCode::GuestEchoIgnored,
        step: "7",
        kind: CauseKind::Fault,
        title: Texts { en: "the guest ignores pings", zh: "系统忽略 ping" },
        meaning: Texts {
            en: "net.ipv4.icmp_echo_ignore_all is set: requests are accepted and never answered. TCP is not touched.",
            zh: "net.ipv4.icmp_echo_ignore_all 已开启：请求被接收但不应答；TCP 不受影响。",
        },
        evidence: Texts {
            en: "the guest's own facts, and where probes stop: interface, IP stack, reply",
            zh: "系统自身的信息，以及探测包停在何处：网卡、协议栈、应答",
        },
        repair: Texts {
            en: "sysctl -w net.ipv4.icmp_echo_ignore_all=0",
            zh: "sysctl -w net.ipv4.icmp_echo_ignore_all=0",
        },
        doubt: Texts {
            en: "facts are read at one moment; a rule earlier in the chain may accept what this one refuses",
            zh: "信息只反映读取的那一刻；链中更靠前的规则可能已放行",
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
            en: "Its default route is gone or a route refuses the peer.",
            zh: "默认路由缺失，或有路由拒绝对端。",
        },
        evidence: Texts {
            en: "the guest's own facts, and where probes stop: interface, IP stack, reply",
            zh: "系统自身的信息，以及探测包停在何处：网卡、协议栈、应答",
        },
        repair: Texts { en: "add the route by the interface's gateway", zh: "经网卡的网关添加路由" },
        doubt: Texts {
            en: "facts are read at one moment; a rule earlier in the chain may accept what this one refuses",
            zh: "信息只反映读取的那一刻；链中更靠前的规则可能已放行",
        },
        console: Texts {
            en: "ECS > Instances > Connect (Workbench, VNC), or Cloud Assistant RunCommand",
            zh: "ECS > 实例 > 远程连接（Workbench、VNC），或云助手 RunCommand",
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
            en: "A bridge, tunnel or container network has a route that covers the peer: what is meant for it never leaves by the interface.",
            zh: "网桥、隧道或容器网络的路由覆盖了对端：发往对端的报文不会从网卡发出。",
        },
        evidence: Texts {
            en: "the guest's own facts, and where probes stop: interface, IP stack, reply",
            zh: "系统自身的信息，以及探测包停在何处：网卡、协议栈、应答",
        },
        repair: Texts {
            en: "add a more specific route by the interface; then move the container network (daemon.json: bip, default-address-pools)",
            zh: "经网卡添加更精确的路由；之后调整容器网段（daemon.json：bip、default-address-pools）",
        },
        doubt: Texts {
            en: "facts are read at one moment; a rule earlier in the chain may accept what this one refuses",
            zh: "信息只反映读取的那一刻；链中更靠前的规则可能已放行",
        },
        console: Texts {
            en: "ECS > Instances > Connect (Workbench, VNC), or Cloud Assistant RunCommand",
            zh: "ECS > 实例 > 远程连接（Workbench、VNC），或云助手 RunCommand",
        },
    },
    CauseDoc {
        code: CauseCode::GuestRpFilter,
        step: "7",
        kind: CauseKind::Fault,
        title: Texts { en: "reverse-path filtering refuses", zh: "反向路径过滤拒绝" },
        meaning: Texts {
            en: "Strict rp_filter drops what arrives by another interface than replies would leave by.",
            zh: "严格 rp_filter 会丢弃从非回程网卡到达的报文。",
        },
        evidence: Texts {
            en: "the guest's own facts, and where probes stop: interface, IP stack, reply",
            zh: "系统自身的信息，以及探测包停在何处：网卡、协议栈、应答",
        },
        repair: Texts { en: "set rp_filter to 2 (loose)", zh: "把 rp_filter 设为 2（宽松）" },
        doubt: Texts {
            en: "facts are read at one moment; a rule earlier in the chain may accept what this one refuses",
            zh: "信息只反映读取的那一刻；链中更靠前的规则可能已放行",
        },
        console: Texts {
            en: "ECS > Instances > Connect (Workbench, VNC), or Cloud Assistant RunCommand",
            zh: "ECS > 实例 > 远程连接（Workbench、VNC），或云助手 RunCommand",
        },
    },
    CauseDoc {
        code: CauseCode::GuestMultiEni,
        step: "7",
        kind: CauseKind::Fault,
        title: Texts { en: "replies leave by another network card", zh: "应答从另一块网卡发出" },
        meaning: Texts {
            en: "A secondary interface needs its own policy routes; otherwise replies leave by the primary.",
            zh: "辅助网卡需要策略路由，否则应答从主网卡发出。",
        },
        evidence: Texts {
            en: "the guest's own facts, and where probes stop: interface, IP stack, reply",
            zh: "系统自身的信息，以及探测包停在何处：网卡、协议栈、应答",
        },
        repair: Texts {
            en: "route the peer by the right interface, or add policy routing",
            zh: "让到对端的路由走正确的网卡，或配置策略路由",
        },
        doubt: Texts {
            en: "facts are read at one moment; a rule earlier in the chain may accept what this one refuses",
            zh: "信息只反映读取的那一刻；链中更靠前的规则可能已放行",
        },
        console: Texts {
            en: "ECS > Instances > Connect (Workbench, VNC), or Cloud Assistant RunCommand",
            zh: "ECS > 实例 > 远程连接（Workbench、VNC），或云助手 RunCommand",
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
            en: "Slow probes pass, fast ones are dropped.", zh: "慢速探测通过，快速探测被丢弃。"
        },
        evidence: Texts {
            en: "the guest's own facts, and where probes stop: interface, IP stack, reply",
            zh: "系统自身的信息，以及探测包停在何处：网卡、协议栈、应答",
        },
        repair: Texts { en: "raise or remove the limit", zh: "提高或移除限速" },
        doubt: Texts {
            en: "facts are read at one moment; a rule earlier in the chain may accept what this one refuses",
            zh: "信息只反映读取的那一刻；链中更靠前的规则可能已放行",
        },
        console: Texts {
            en: "ECS > Instances > Connect (Workbench, VNC), or Cloud Assistant RunCommand",
            zh: "ECS > 实例 > 远程连接（Workbench、VNC），或云助手 RunCommand",
        },
    },
    CauseDoc {
        code: CauseCode::HostOverload,
        step: "7",
        kind: CauseKind::Fault,
        title: Texts { en: "the host cannot keep up", zh: "主机过载" },
        meaning: Texts {
            en: "CPU or interrupt load drops or delays packets inside the host, towards every peer.",
            zh: "CPU 或中断负载使报文在主机内丢失或延迟，对所有对端都如此。",
        },
        evidence: Texts {
            en: "packets that reach the host's interface and die inside it, or an impairment of this host's pairs alone, and the host's own figures: backlog drops, processor time waited for or stolen",
            zh: "报文到达主机网卡却在主机内丢失，或仅与该主机有关的主机对受影响；且主机自身数据吻合：积压丢包、CPU 等待或被虚拟化层占用",
        },
        repair: Texts { en: "lighten or enlarge the instance", zh: "减轻负载或升级实例规格" },
        doubt: Texts {
            en: "the figures are of the fraction of a second in which the probes ran",
            zh: "这些数据只反映探测进行的那不到一秒的时间",
        },
        console: Texts { en: "ECS > Instances > the instance", zh: "ECS > 实例与镜像 > 实例" },
    },
    CauseDoc {
        code: CauseCode::StrangerReplied,
        step: "7",
        kind: CauseKind::Fault,
        title: Texts { en: "another host answers", zh: "应答的是别的主机" },
        meaning: Texts {
            en: "Replies come that bear no nonce of ours: the address is used twice or routed elsewhere.",
            zh: "收到的应答没有我们的随机标记：地址被重复使用，或被路由到别处。",
        },
        evidence: Texts {
            en: "sequence numbers sent, arrived, answered and received, from both ends",
            zh: "两端记录的发出、到达、应答、收到的序列号",
        },
        repair: Texts {
            en: "find who has this address on the path and remove it",
            zh: "找出路径上占用该地址的主机并移除",
        },
        doubt: Texts {
            en: "an observer that drops packets unnoticed, or a filter that neither API nor guest shows",
            zh: "观测端未察觉的丢包，或 API 与系统都看不到的过滤",
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
            en: "Its source address is not the instance's; the peer's rules do not match it.",
            zh: "其源地址不是实例的地址，对端规则不会匹配。",
        },
        evidence: Texts {
            en: "the guest's own facts, and where probes stop: interface, IP stack, reply",
            zh: "系统自身的信息，以及探测包停在何处：网卡、协议栈、应答",
        },
        repair: Texts { en: "run the agent in the host's network", zh: "让 agent 使用主机网络" },
        doubt: Texts {
            en: "facts are read at one moment; a rule earlier in the chain may accept what this one refuses",
            zh: "信息只反映读取的那一刻；链中更靠前的规则可能已放行",
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
            en: "It lacks CAP_NET_RAW and the group for ping sockets.",
            zh: "缺少 CAP_NET_RAW，且不在 ping 套接字允许的组内。",
        },
        evidence: Texts {
            en: "the guest's own facts, and where probes stop: interface, IP stack, reply",
            zh: "系统自身的信息，以及探测包停在何处：网卡、协议栈、应答",
        },
        repair: Texts {
            en: "setcap cap_net_raw+ep on the agent's program",
            zh: "对 agent 程序执行 setcap cap_net_raw+ep",
        },
        doubt: Texts {
            en: "facts are read at one moment; a rule earlier in the chain may accept what this one refuses",
            zh: "信息只反映读取的那一刻；链中更靠前的规则可能已放行",
        },
        console: Texts {
            en: "ECS > Instances > Connect (Workbench, VNC), or Cloud Assistant RunCommand",
            zh: "ECS > 实例 > 远程连接（Workbench、VNC），或云助手 RunCommand",
        },
    },
    CauseDoc {
        code: CauseCode::AgentSilent,
        step: "7",
        kind: CauseKind::Gap,
        title: Texts { en: "the agent does not report", zh: "agent 没有报告" },
        meaning: Texts {
            en: "The host may be down, or only its agent, or only its way to the collector.",
            zh: "可能是主机宕机，也可能只是 agent 或其到收集端的通路有问题。",
        },
        evidence: Texts {
            en: "the guest's own facts, and where probes stop: interface, IP stack, reply",
            zh: "系统自身的信息，以及探测包停在何处：网卡、协议栈、应答",
        },
        repair: Texts {
            en: "start the agent and its way to the collector", zh: "启动 agent 并恢复其到收集端的通路"
        },
        doubt: Texts {
            en: "facts are read at one moment; a rule earlier in the chain may accept what this one refuses",
            zh: "信息只反映读取的那一刻；链中更靠前的规则可能已放行",
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
            en: "Times of this host cannot be compared with others, and signed API calls may be refused.",
            zh: "该主机的时间不能与其他主机比较，签名的 API 调用也可能被拒。",
        },
        evidence: Texts {
            en: "the guest's own facts, and where probes stop: interface, IP stack, reply",
            zh: "系统自身的信息，以及探测包停在何处：网卡、协议栈、应答",
        },
        repair: Texts { en: "run chrony or NTP", zh: "启用 chrony 或 NTP" },
        doubt: Texts {
            en: "facts are read at one moment; a rule earlier in the chain may accept what this one refuses",
            zh: "信息只反映读取的那一刻；链中更靠前的规则可能已放行",
        },
        console: Texts {
            en: "ECS > Instances > Connect (Workbench, VNC), or Cloud Assistant RunCommand",
            zh: "ECS > 实例 > 远程连接（Workbench、VNC），或云助手 RunCommand",
        },
    },
    CauseDoc {
        code: CauseCode::BandwidthSaturated,
        step: "8",
        kind: CauseKind::Fault,
        title: Texts { en: "the connection's bandwidth is used up", zh: "连接带宽已用满" },
        meaning: Texts {
            en: "Loss and delay grow with load and are gone when idle.",
            zh: "丢包与时延随负载增长，空闲时消失。",
        },
        evidence: Texts {
            en: "loss in a direction, with packets that the bandwidth limit dropped (CloudMonitor), a connection at least 90 % in use, or a queue in the round-trip times",
            zh: "某方向丢包，同时云监控显示限速丢包、带宽使用率达 90 % 以上，或往返时延显示存在排队",
        },
        repair: Texts {
            en: "the initiator enlarges the specification (ModifyRouterInterfaceSpec)",
            zh: "由发起端升级规格（ModifyRouterInterfaceSpec）",
        },
        doubt: Texts {
            en: "CloudMonitor is minutes behind; a queue in the times alone may stand in a fabric that is slower than the specification",
            zh: "云监控数据有数分钟延迟；仅凭时延中的排队，也可能是链路本身低于所购规格",
        },
        console: Texts {
            en: "Express Connect > VPC peering connections > VPC-to-VPC > the router interface",
            zh: "高速通道 > 专有网络对等连接 > VPC互连 > 路由器接口",
        },
    },
    CauseDoc {
        code: CauseCode::LossInFabric,
        step: "8",
        kind: CauseKind::Fault,
        title: Texts { en: "packets are lost between the two hosts", zh: "两台主机之间丢包" },
        meaning: Texts {
            en: "Both ends counted, neither dropped any itself: the cloud's fabric loses a share in this direction.",
            zh: "两端都有计数且自身没有丢包：云网络在该方向上丢失了一部分。",
        },
        evidence: Texts {
            en: "sequence numbers sent, arrived, answered and received, from both ends",
            zh: "两端记录的发出、到达、应答、收到的序列号",
        },
        repair: Texts {
            en: "no command repairs this: open a ticket with the counts and the interval of this verdict",
            zh: "没有命令可以修复：附上本结论的计数与置信区间提交工单",
        },
        doubt: Texts {
            en: "an observer that drops packets unnoticed, or a filter that neither API nor guest shows",
            zh: "观测端未察觉的丢包，或 API 与系统都看不到的过滤",
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
        meaning: Texts { en: "The path became longer or queues stand.", zh: "路径变长或有队列堆积。" },
        evidence: Texts {
            en: "round-trip times of the judged rounds against those of earlier rounds of the same pair, sampled over a day: even the shortest is longer",
            zh: "本轮往返时延与该主机对此前一天内抽样各轮的对比：连最短时延也变长",
        },
        repair: Texts { en: "compare routes before and after; open a ticket", zh: "对比前后路由；提交工单" },
        doubt: Texts {
            en: "a round trip does not tell in which direction it became longer, nor, with one pair alone, the path from a slow host",
            zh: "往返时延无法说明是哪个方向变长；若只有一对主机，也无法区分路径与主机变慢",
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
            en: "Packets above a size are dropped without an ICMP error; TCP connects and then hangs.",
            zh: "超过某一大小的报文被静默丢弃；TCP 能连上但随后卡住。",
        },
        evidence: Texts {
            en: "the largest packet that passes unfragmented and the smallest that does not, found by search; where each was seen to arrive; that nobody sent \"fragmentation needed\"",
            zh: "通过逐级探测得到的、不分片可通过的最大报文与不可通过的最小报文；各自是否到达；且无人发送“需要分片”",
        },
        repair: Texts {
            en: "lower the guests' MTU to the size that passes", zh: "把系统 MTU 降到可通过的大小"
        },
        doubt: Texts {
            en: "the narrow place may be a guest's own card or tunnel: the evidence names a card that carries no more; an error may be filtered on its way back",
            zh: "瓶颈也可能是系统自身的网卡或隧道：证据中会指出 MTU 同样小的网卡；ICMP 差错报文也可能在返回途中被过滤",
        },
        console: Texts {
            en: "ECS > Instances > Connect (Workbench, VNC), or Cloud Assistant RunCommand",
            zh: "ECS > 实例 > 远程连接（Workbench、VNC），或云助手 RunCommand",
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
            en: "Both configurations and both guests are clean, and packets still die.",
            zh: "两侧配置与两端系统都正常，报文仍然丢失。",
        },
        evidence: Texts {
            en: "sequence numbers sent, arrived, answered and received, from both ends",
            zh: "两端记录的发出、到达、应答、收到的序列号",
        },
        repair: Texts {
            en: "no command repairs this: open a ticket with the evidence of this verdict",
            zh: "没有命令可以修复：附上本结论的证据提交工单",
        },
        doubt: Texts {
            en: "an observer that drops packets unnoticed, or a filter that neither API nor guest shows",
            zh: "观测端未察觉的丢包，或 API 与系统都看不到的过滤",
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
            en: "The configuration says blocked and fresh probes pass: a state survives, the snapshot is stale, or an element is not modelled.",
            zh: "配置显示应被阻断，而新探测包通过：可能有残留会话、快照过旧，或有未建模的元素。",
        },
        evidence: Texts {
            en: "sequence numbers sent, arrived, answered and received, from both ends",
            zh: "两端记录的发出、到达、应答、收到的序列号",
        },
        repair: Texts {
            en: "read the object again; if it stays, report it as a mistake of pingtong",
            zh: "重新读取该对象；若仍如此，请作为 pingtong 的缺陷上报",
        },
        doubt: Texts {
            en: "an observer that drops packets unnoticed, or a filter that neither API nor guest shows",
            zh: "观测端未察觉的丢包，或 API 与系统都看不到的过滤",
        },
        console: Texts {
            en: "no console page: see the repair", zh: "没有对应的控制台页面：见修复说明"
        },
    },
];
