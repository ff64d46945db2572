//! Imports saved files in the forms in which users have them.

use super::*;
use pingtong_evidence::{Known, LinkMetricKind};
use serde_json::json;

struct Directory(tempfile::TempDir);

impl Directory {
    fn new(files: &[(&str, Value)]) -> Self {
        let directory = Self(tempfile::tempdir().unwrap());
        for (name, document) in files {
            directory.write(name, document.to_string().as_bytes());
        }
        directory
    }

    fn write(&self, name: &str, bytes: &[u8]) {
        let path = self.0.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(path, bytes).unwrap();
    }

    fn import(&self) -> Result<Vec<Snapshot>, ImportError> {
        read_directory(self.0.path(), None, None)
    }

    fn one(&self) -> Snapshot {
        let mut snapshots = self.import().unwrap();
        assert_eq!(snapshots.len(), 1);
        snapshots.remove(0)
    }
}

fn vpcs() -> Value {
    json!({"TotalCount": 1, "PageNumber": 1, "PageSize": 50, "Vpcs": {"Vpc": [
        {"VpcId": "vpc-1", "CidrBlock": "192.168.0.0/16", "OwnerId": 1_000_000_000_000_001_u64, "RegionId": "cn-qingdao"}]}})
}

fn tables(ids: &[&str]) -> Value {
    let rows: Vec<Value> = ids
        .iter()
        .map(|id| json!({"RouteTableId": id, "VpcId": "vpc-1", "RouteTableType": "Custom", "RouterType": "VRouter"}))
        .collect();
    json!({"TotalCount": rows.len(), "RouterTableList": {"RouterTableListType": rows}})
}

fn why<T>(known: &Known<T>) -> String {
    known.why_unknown().unwrap().to_string()
}

#[test]
fn a_whole_account_is_read_from_files_of_any_name() {
    let entry = json!({"RouteTableId": "vtb-1", "DestinationCidrBlock": "172.16.0.0/16", "Type": "Custom", "Status": "Available",
        "NextHops": {"NextHop": [{"NextHopType": "RouterInterface", "NextHopId": "ri-1"}]}});
    let directory = Directory::new(&[
        ("a.json", vpcs()),
        ("b.json", json!({"VSwitches": {"VSwitch": []}})),
        ("c.json", tables(&["vtb-1", "vtb-2"])),
        ("d.json", json!({"TotalCount": 1, "NextToken": "", "RouteEntrys": {"RouteEntry": [entry]}})),
        ("routes.vtb-2.json", json!({"TotalCount": 0, "NextToken": "", "RouteEntrys": {"RouteEntry": []}})),
        ("e.json", json!({"TotalCount": 0, "RouterInterfaceSet": {"RouterInterfaceType": []}})),
        ("f.json", json!({"TotalCount": 0, "NetworkAcls": {"NetworkAcl": []}})),
        (
            "g.json",
            json!({"SecurityGroups": {"SecurityGroup": [{"SecurityGroupId": "sg-1", "SecurityGroupType": "normal"}]}}),
        ),
        (
            "h.json",
            json!({"SecurityGroupId": "sg-1", "InnerAccessPolicy": "Accept", "Permissions": {"Permission": [
            {"Direction": "ingress", "IpProtocol": "ICMP", "PortRange": "-1/-1", "SourcePrefixListId": "pl-1"}]}}),
        ),
        ("i.json", json!({"PrefixListId": "pl-1", "Entries": {"Entry": [{"Cidr": "172.16.0.0/16"}]}})),
        ("j.json", json!({"Instances": {"Instance": []}})),
        ("k.json", json!({"NetworkInterfaceSets": {"NetworkInterfaceSet": []}})),
        (
            "RateLimitDropPps.json",
            json!({"Code": "200", "Success": true, "Datapoints": "[{\"timestamp\":60000,\"instanceId\":\"ri-1\",\"Average\":3}]"}),
        ),
        (
            "l.json",
            json!({"Events": [{"eventName": "DeleteVpc", "serviceName": "Vpc", "eventTime": "2026-01-02T03:04:05Z"}]}),
        ),
    ]);
    let snapshot = directory.one();
    assert_eq!(snapshot.gaps, []);
    assert_eq!((snapshot.account.as_str(), snapshot.region.as_str()), ("1000000000000001", "cn-qingdao"));
    let tables = snapshot.route_tables.known().unwrap();
    let sizes: Vec<usize> = tables.iter().map(|table| table.entries.known().unwrap().len()).collect();
    assert_eq!(sizes, [1, 0]);
    assert_eq!(snapshot.prefix_lists.known().unwrap()[0].entries.known().unwrap().len(), 1);
    assert_eq!(snapshot.link_metrics.known().unwrap()[0].kind, LinkMetricKind::RateLimitDropPps);
    assert_eq!(snapshot.changes.known().unwrap()[0].action, "vpc:DeleteVpc");
    assert_eq!(snapshot.transit_attachments, Known::Known(vec![]));
    let source = &snapshot.sources[tables[0].entries.known().unwrap()[0].provenance.0 as usize];
    assert_eq!((source.api.as_str(), source.request_id.as_str()), ("vpc:DescribeRouteEntryList", "d.json"));
    assert!(snapshot.taken_at <= snapshot.finished_at && snapshot.taken_at.as_millis() > 0);
}

#[test]
fn what_was_not_saved_is_a_gap_that_says_how_to_save_it() {
    let directory = Directory::new(&[("a.json", vpcs()), ("t.json", tables(&["vtb-9"]))]);
    let snapshot = directory.one();
    assert!(
        why(&snapshot.router_interfaces)
            .contains("aliyun vpc DescribeRouterInterfaces --RegionId REGION --PageSize 50")
    );
    let entries = &snapshot.route_tables.known().unwrap()[0].entries;
    assert!(
        why(entries)
            .contains("aliyun vpc DescribeRouteEntryList --RegionId REGION --RouteTableId vtb-9 --MaxResult 100")
    );
    assert_eq!(snapshot.vpc_peerings, Known::default());
    assert_eq!(snapshot.transit_attachments, Known::default(), "whether routes lead to a transit router is not known");
    assert!(snapshot.gaps.iter().any(|gap| gap.object.as_deref() == Some("vtb-9")));
}

#[test]
fn pages_are_joined_and_a_missing_one_makes_the_listing_unknown() {
    let page = |number: u32, ids: &[&str]| {
        let mut page = tables(ids);
        page["PageNumber"] = json!(number);
        page["TotalCount"] = json!(3);
        page
    };
    let files = [("a.json", vpcs()), ("2.json", page(2, &["vtb-3"])), ("10.json", page(1, &["vtb-1", "vtb-2"]))];
    let count = |snapshot: &Snapshot| snapshot.route_tables.known().map(Vec::len);
    assert_eq!(count(&Directory::new(&files).one()), Some(3));
    let short = Directory::new(&files[..2]).one();
    assert!(why(&short.route_tables).contains("1 of 3 rows"), "{}", why(&short.route_tables));

    let tokens = |next: &str, id: &str| json!({"NextToken": next, "Instances": {"Instance": [{"InstanceId": id}]}});
    let files = [("a.json", vpcs()), ("i1.json", tokens("more", "i-1")), ("i2.json", tokens("", "i-2"))];
    assert_eq!(Directory::new(&files).one().instances.known().unwrap().len(), 2);
    assert!(why(&Directory::new(&files[..2]).one().instances).contains("not the last page"));
}

#[test]
fn a_saved_refusal_names_the_permission() {
    let denied = json!({"RequestId": "R", "HostId": "h", "Code": "Forbidden.RAM", "Message": "no"});
    let directory = Directory::new(&[("a.json", vpcs()), ("DescribeInstances.json", denied)]);
    let expected = WhyUnknown::Denied {
        action: "ecs:DescribeInstances".into(),
        code: "Forbidden.RAM".into(),
        request_id: "R".into(),
    };
    assert_eq!(directory.one().instances, Known::Unknown(expected));
}

#[test]
fn files_of_other_platforms_are_read() {
    let directory = Directory::new(&[]);
    let text = vpcs().to_string();
    let utf16: Vec<u8> = text.encode_utf16().flat_map(u16::to_le_bytes).collect();
    directory.write("a.json", &[&[0xff, 0xfe], utf16.as_slice()].concat());
    directory.write("notes.txt", b"not looked at");
    assert!(directory.one().vpcs.known().is_some());
    directory.write("a.json", &[b"\xef\xbb\xbf", text.as_bytes()].concat());
    assert!(directory.one().vpcs.known().is_some());
}

#[test]
fn every_file_that_is_not_understood_is_named_at_once() {
    let directory = Directory::new(&[
        ("a.json", vpcs()),
        ("b.json", json!({"Buckets": []})),
        ("c.json", json!([1])),
        ("d.json", json!({"RouteEntrys": {"RouteEntry": []}})),
        ("e.json", vpcs()),
        ("f.json", json!({"Datapoints": "[]"})),
        ("g.json", json!({"TransitRouterAttachments": []})),
    ]);
    directory.write("h.json", b"");
    directory.write("i.json", b"ERROR: SDK.ServerError");
    directory.write("j.json", &[0xff, 0xfe, 0x00, 0xd8]);
    let Err(ImportError::Files(problems)) = directory.import() else { panic!() };
    let said: Vec<(String, &str)> = problems
        .iter()
        .map(|problem| (problem.path.file_name().unwrap().to_string_lossy().into_owned(), problem.what.as_str()))
        .collect();
    for (file, part) in [
        ("b.json", "no list of a known call"),
        ("c.json", "not a JSON object"),
        ("d.json", "DescribeRouteEntryList.vtb-"),
        ("e.json", "the same page as \"a.json\""),
        ("f.json", "RateLimitDropPps"),
        ("g.json", "the name of the call"),
        ("h.json", "empty"),
        ("i.json", "not JSON"),
        ("j.json", "not text"),
    ] {
        assert!(said.iter().any(|(name, what)| name == file && what.contains(part)), "{file}: {said:?}");
    }
    assert_eq!(said.len(), 9);
}

#[test]
fn whose_the_files_are_must_be_told_once() {
    let mut other = vpcs();
    other["Vpcs"]["Vpc"][0]["RegionId"] = json!("cn-beijing");
    other["PageNumber"] = json!(2);
    let both = Directory::new(&[("a.json", vpcs()), ("b.json", other.clone())]);
    let error = both.import().unwrap_err().to_string();
    assert!(error.contains("cn-beijing, cn-qingdao") && error.contains("directory of its own"), "{error}");
    let apart = Directory::new(&[("a/a.json", vpcs()), ("b/b.json", other)]);
    let regions: Vec<String> = apart.import().unwrap().iter().map(|snapshot| snapshot.region.to_string()).collect();
    assert_eq!(regions, ["cn-qingdao", "cn-beijing"]);
    let silent = Directory::new(&[("a.json", json!({"Instances": {"Instance": []}}))]);
    assert!(silent.import().unwrap_err().to_string().contains("--account"));
    let (account, region) = (AccountId::parse("1").unwrap(), RegionId::parse("r").unwrap());
    assert!(read_directory(silent.0.path(), Some(&account), Some(&region)).is_ok());
    assert!(matches!(Directory::new(&[]).import(), Err(ImportError::Empty(_))));
}

#[test]
fn transit_routers_are_read_along_what_was_saved() {
    let attachment = |fields: Value| json!({"TransitRouterAttachments": [fields]});
    let directory = Directory::new(&[
        ("a.json", vpcs()),
        (
            "b.json",
            attachment(
                json!({"TransitRouterAttachmentId": "tr-attach-1", "TransitRouterId": "tr-1", "VpcId": "vpc-1", "Status": "Attached"}),
            ),
        ),
        (
            "c.json",
            attachment(json!({"TransitRouterAttachmentId": "tr-attach-p", "TransitRouterId": "tr-1",
            "PeerTransitRouterId": "tr-2", "PeerTransitRouterRegionId": "cn-beijing", "Status": "Attached"})),
        ),
        (
            "d.json",
            json!({"TransitRouterRouteTables": [{"TransitRouterRouteTableId": "vtb-1", "TransitRouterId": "tr-1"}]}),
        ),
        ("routes.vtb-1.json", json!({"TransitRouterRouteEntries": []})),
        (
            "f.json",
            json!({"TransitRouterAssociations": [{"TransitRouterAttachmentId": "tr-attach-1", "TransitRouterRouteTableId": "vtb-1"}]}),
        ),
    ]);
    let snapshot = directory.one();
    assert_eq!(snapshot.transit_peerings.known().unwrap()[0].peer_region.as_str(), "cn-beijing");
    let table = &snapshot.transit_route_tables.known().unwrap()[0];
    assert_eq!((table.routes.known().unwrap().len(), table.associations.known().unwrap().len()), (0, 1));
    assert!(why(&table.propagations).contains("--TransitRouterRouteTableId vtb-1"));
}
