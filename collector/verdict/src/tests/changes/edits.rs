//! One edit for each kind of object, with the change that it must be reported as.

use super::*;

pub(super) type Edit = fn(&mut Snapshot);
pub(super) type Told = (ObjectKind, &'static str, &'static str, Option<&'static str>, Option<&'static str>);

/// Edits, each with the one change that it causes: kind, object as named in the records, key, text before, text after.
pub(super) fn edits() -> Vec<(Edit, Told)> {
    use ObjectKind as K;
    vec![
        (
            |s| first(&mut s.vpcs).secondary_cidrs = vec![cidr("10.5.0.0/16"), cidr("10.6.0.0/16")],
            (K::Vpc, "vpc-a", "vpc-a", Some("192.168.0.0/16 -"), Some("192.168.0.0/16 10.5.0.0/16 10.6.0.0/16")),
        ),
        (
            |s| (first(&mut s.vswitches).network_acl, first(&mut s.vswitches).route_table) = (None, None),
            (
                K::VSwitch,
                "vsw-a",
                "vsw-a",
                Some("192.168.1.0/24 RouteTable vtb-a NetworkAcl nacl-a"),
                Some("192.168.1.0/24 RouteTable - NetworkAcl -"),
            ),
        ),
        (
            |s| first(&mut s.route_tables).vswitches.clear(),
            (K::RouteTable, "vtb-a", "vtb-a", Some("System VSwitches vsw-a"), Some("System VSwitches -")),
        ),
        (
            |s| known(&mut first(&mut s.route_tables).entries)[1].status = RouteStatus::Pending,
            (
                K::RouteEntry,
                "vtb-a",
                "172.16.0.0/16",
                Some("172.16.0.0/16 RouterInterface ri-a Available"),
                Some("172.16.0.0/16 RouterInterface ri-a Pending"),
            ),
        ),
        (
            |s| first(&mut s.router_interfaces).opposite_interface = None,
            (
                K::RouterInterface,
                "ri-a",
                "ri-a",
                Some("Active Normal Mini.2 OppositeInterface ri-b"),
                Some("Active Normal Mini.2 OppositeInterface -"),
            ),
        ),
        (
            |s| first(&mut s.vpc_peerings).status = VpcPeeringStatus::Activated,
            (K::VpcPeering, "pcc-1", "pcc-1", Some("Accepting Normal"), Some("Activated Normal")),
        ),
        (
            |s| first(&mut s.transit_attachments).attached = false,
            (
                K::TransitAttachment,
                "tr-attach-a",
                "tr-attach-a",
                Some("tr-a vpc-a Attached=true"),
                Some("tr-a vpc-a Attached=false"),
            ),
        ),
        (
            |s| first(&mut s.transit_peerings).attached = false,
            (
                K::TransitAttachment,
                "tr-attach-ab",
                "tr-attach-ab",
                Some("tr-a tr-b Attached=true"),
                Some("tr-a tr-b Attached=false"),
            ),
        ),
        (
            |s| known(&mut first(&mut s.transit_route_tables).routes).truncate(1),
            (
                K::RouteTable,
                "vtb-tr",
                "vtb-tr",
                Some("RouteEntries 2 Associations 1 Propagations ?"),
                Some("RouteEntries 1 Associations 1 Propagations ?"),
            ),
        ),
        (
            |s| known(&mut first(&mut s.network_acls).ingress).clear(),
            (
                K::NetworkAcl,
                "nacl-a",
                "nacl-a",
                Some("IngressAclEntries 1 EgressAclEntries 1 VSwitches vsw-a"),
                Some("IngressAclEntries 0 EgressAclEntries 1 VSwitches vsw-a"),
            ),
        ),
        (
            |s| first(&mut s.security_groups).kind = SecurityGroupKind::Enterprise,
            (K::SecurityGroup, "sg-a", "sg-a", Some("Normal"), Some("Enterprise")),
        ),
        (
            |s| known(&mut first(&mut s.security_groups).rules)[0].policy = Policy::Drop,
            (
                K::SecurityGroupRule,
                "sg-a",
                "sgr-a",
                Some("ingress accept icmp -1/-1 172.16.0.0/16 priority 1"),
                Some("ingress drop icmp -1/-1 172.16.0.0/16 priority 1"),
            ),
        ),
        (
            |s| known(&mut first(&mut s.security_groups).rules).truncate(1),
            (
                K::SecurityGroupRule,
                "sg-a",
                "egress drop tcp 1/65535 0.0.0.0/0 priority 7",
                Some("egress drop tcp 1/65535 0.0.0.0/0 priority 7"),
                None,
            ),
        ),
        (
            |s| known(&mut first(&mut s.prefix_lists).entries).truncate(1),
            (K::PrefixList, "pl-1", "pl-1", Some("10.1.0.0/16 10.2.0.0/16"), Some("10.1.0.0/16")),
        ),
        (
            |s| first(&mut s.prefix_lists).entries = Known::default(),
            (K::PrefixList, "pl-1", "pl-1", Some("10.1.0.0/16 10.2.0.0/16"), Some("?")),
        ),
        (
            |s| first(&mut s.instances).status = InstanceStatus::Stopped,
            (
                K::Instance,
                "i-a",
                "i-a",
                Some("Running 192.168.1.10 SecurityGroups sg-a"),
                Some("Stopped 192.168.1.10 SecurityGroups sg-a"),
            ),
        ),
        (
            |s| first(&mut s.enis).security_groups.clear(),
            (
                K::NetworkInterface,
                "eni-a",
                "eni-a",
                Some("InUse 192.168.1.10 SecurityGroups sg-a"),
                Some("InUse 192.168.1.10 SecurityGroups -"),
            ),
        ),
    ]
}
