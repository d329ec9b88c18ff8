//! However the plan got there, it is the plan of its input.

use proptest::prelude::*;

use super::*;

const HOPS: [&str; 7] = [
    "10.1.1.2",
    "10.1.1.3",
    "10.1.3.3",
    "10.1.3.4",
    "fd01:1::2",
    "fd01:3::3",
    "10.9.9.9",
];
const PREFIXES: [&str; 7] = [
    "10.244.2.0/24",
    "10.244.3.0/24",
    "10.244.1.0/25",
    "192.0.2.0/24",
    "fd02:3::/64",
    "fd02:4::/64",
    "10.1.1.0/24",
];

type Paths = Vec<(usize, Vec<usize>)>;

fn paths() -> impl Strategy<Value = Paths> {
    let hops = proptest::collection::vec(0..HOPS.len(), 1..4);
    proptest::collection::vec((0..PREFIXES.len(), hops), 0..7)
}

fn input_of(paths: &Paths, overlay: usize, moved: bool, fewer: bool) -> Input {
    let overlay = [None, SUBNET, FULL, FOU][overlay];
    let mut input = input(overlay, "");
    let best: BTreeMap<Prefix, Vec<Hop>> = paths
        .iter()
        .map(|(at, hops)| {
            let hops = hops.iter().map(|at| hop(HOPS[*at])).collect();
            (prefix(PREFIXES[*at]), hops)
        })
        .collect();
    input.learned.best = best.into_iter().collect();
    if moved {
        let mut facts = facts();
        facts.addresses[0].prefix_length = 16;
        input.facts = Arc::new(facts);
    }
    if fewer {
        let mut snapshot = snapshot();
        Arc::make_mut(&mut snapshot.nodes).remove("n3");
        input.snapshot = Arc::new(snapshot);
    }
    input
}

fn whole(plan: &Plan) -> (Vec<String>, String) {
    let roads = plan.roads.routes.iter();
    let mut lines: Vec<String> = roads
        .map(|(key, route)| format!("{key:?} {route:?}"))
        .collect();
    lines.extend(
        plan.roads
            .tunnels
            .iter()
            .map(|tunnel| format!("{tunnel:?}")),
    );
    lines.extend(plan.members.iter().map(|member| format!("{member:?}")));
    lines.sort();
    (lines, format!("{:?} {:?}", plan.host, plan.notes()))
}

proptest! {
    #[test]
    fn the_way_leaves_no_trace(
        steps in proptest::collection::vec((paths(), 0..4_usize, any::<bool>(), any::<bool>()), 1..8),
        stays in any::<bool>(),
    ) {
        let mut plan = Plan::default();
        let first = (steps[0].1, steps[0].2, steps[0].3);
        for (paths, overlay, moved, fewer) in steps {
            // Half of the walks change nothing but what is learned: the quick way.
            let (overlay, moved, fewer) = if stays { first } else { (overlay, moved, fewer) };
            let input = input_of(&paths, overlay, moved, fewer);
            plan.update(&input);
            prop_assert_eq!(whole(&plan), whole(&planned(&input)));
        }
    }
}
