use std::sync::Arc;
use std::time::{Duration, Instant};

use super::{Ages, ControllerMetrics, Histogram, Kind, Registry, Text};

#[test]
fn buckets_are_cumulated_and_end_with_the_whole() {
    let histogram = Histogram::default();
    for milliseconds in [1, 5, 6, 300, 20_000] {
        histogram.observe(Duration::from_millis(milliseconds));
    }
    let mut text = Text::default();
    text.histogram("t", &[("a", "b")], &histogram);
    let page = text.into_string();
    for line in [
        r#"kube_router_t_bucket{a="b",le="0.005"} 2"#,
        r#"kube_router_t_bucket{a="b",le="0.01"} 3"#,
        r#"kube_router_t_bucket{a="b",le="0.5"} 4"#,
        r#"kube_router_t_bucket{a="b",le="10"} 4"#,
        r#"kube_router_t_bucket{a="b",le="+Inf"} 5"#,
        r#"kube_router_t_sum{a="b"} 20.312"#,
        r#"kube_router_t_count{a="b"} 5"#,
    ] {
        assert!(
            page.lines().any(|found| found == line),
            "{line} not in\n{page}"
        );
    }
}

#[test]
fn counters_keep_the_names_of_the_original_and_labels_are_escaped() {
    let mut text = Text::default();
    text.family("service_total_connections", Kind::Counter, "Connections");
    text.sample("service_total_connections", &[("s", "a\"b\\c\nd")], 7);
    assert_eq!(
        text.into_string(),
        "# HELP kube_router_service_total_connections Connections\n\
         # TYPE kube_router_service_total_connections counter\n\
         kube_router_service_total_connections{s=\"a\\\"b\\\\c\\nd\"} 7\n"
    );
}

#[test]
#[expect(clippy::disallowed_methods, reason = "any moment does")]
fn a_page_has_every_family_of_every_controller_once() {
    let registry = Registry::new("9.9");
    for name in ["proxy", "routing"] {
        let metrics = Arc::new(ControllerMetrics::new(name));
        metrics.count_changes(["add-vip", "add-vip", "del-vip"].into_iter());
        metrics.count_failures(2);
        let ages = Ages {
            snapshot: Some(Duration::from_secs(3)),
            read_back: None,
        };
        registry.add_controller(metrics, move |_| ages);
    }
    let page = registry.encode(Instant::now());
    let families: Vec<&str> = page
        .lines()
        .filter(|line| line.starts_with("# TYPE"))
        .collect();
    assert_eq!(
        families,
        [
            "# TYPE kube_router_controller_pass_time histogram",
            "# TYPE kube_router_controller_plan_time histogram",
            "# TYPE kube_router_controller_observe_time histogram",
            "# TYPE kube_router_controller_apply_time histogram",
            "# TYPE kube_router_controller_changes_total counter",
            "# TYPE kube_router_controller_failures_total counter",
            "# TYPE kube_router_controller_panics_total counter",
            "# TYPE kube_router_controller_snapshot_age_seconds gauge",
            "# TYPE kube_router_controller_read_back_age_seconds gauge",
            "# TYPE kube_router_build_info gauge",
        ]
    );
    for line in [
        r#"kube_router_controller_changes_total{controller="routing",kind="add-vip"} 2"#,
        r#"kube_router_controller_failures_total{controller="proxy"} 2"#,
        r#"kube_router_controller_snapshot_age_seconds{controller="proxy"} 3"#,
        r#"kube_router_build_info{version="9.9"} 1"#,
    ] {
        assert!(
            page.lines().any(|found| found == line),
            "{line} not in\n{page}"
        );
    }
    assert!(
        !page.contains("read_back_age_seconds{"),
        "an age nobody knows is not a number"
    );
}
