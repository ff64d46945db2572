//! The real program reads a larger account over an unreliable network path and misses nothing.

use pingtong_lab::{
    bench::{gather, large::Size},
    programs::Programs,
};

/// Large enough for several pages of every listing; a debug build needs a few seconds.
const SIZE: Size =
    Size { vpcs: 60, tables_per_vpc: 3, routes_per_table: 130, groups: 110, rules_per_group: 12, enis: 230 };

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_lost_across_pages_throttling_and_broken_connections() {
    let programs = Programs::find(None).unwrap();
    let directory = tempfile::tempdir().unwrap();
    let figures = gather::run(SIZE, &programs, directory.path()).await.unwrap();
    assert_eq!(figures["found"], figures["expected"], "{figures}");
    assert_eq!(figures["complete"], true, "{figures}");
    for trouble in ["throttled", "broken"] {
        assert!(figures[trouble].as_u64().unwrap() > 0, "{figures}");
    }
}
