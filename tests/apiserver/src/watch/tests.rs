use std::collections::BTreeMap;

use serde_json::Value;

use super::*;
use crate::kinds::by_kind;
use crate::shared::AuthMode;
use crate::store::{Store, Target};
use crate::write::Part;

/// What a client knows: name to resourceVersion of what it has chosen.
type Known = BTreeMap<String, String>;

/// A small generator of numbers, the same in every run (Knuth's MMIX).
struct Dice(u64);

impl Dice {
    fn below(&mut self, limit: u64) -> u64 {
        self.0 = self
            .0
            .wrapping_mul(6_364_136_223_846_793_005)
            .wrapping_add(1_442_695_040_888_963_407);
        (self.0 >> 33) % limit
    }
}

fn shared(history: usize) -> Arc<Shared> {
    let store = Store::new(history, false);
    Arc::new(Shared::new(
        store,
        Duration::from_secs(60),
        AuthMode::None,
        String::new(),
    ))
}

fn selector(labels: &str) -> Selector {
    Selector::parse(by_kind("Pod").unwrap(), None, Some(labels), None).unwrap()
}

fn begin(shared: &Arc<Shared>, labels: &str, from: From) -> Watch {
    let ask = Ask {
        from,
        bookmarks: true,
        life: LIFE,
    };
    let kind = by_kind("Pod").unwrap();
    Watch::start(
        Arc::clone(shared),
        Switch::new(),
        kind,
        selector(labels),
        &ask,
        None,
    )
    .unwrap()
}

fn walk(shared: &Shared, dice: &mut Dice) {
    let name = format!("p{}", dice.below(8));
    let target = Target {
        kind: by_kind("Pod").unwrap(),
        namespace: "x",
        name: &name,
    };
    if dice.below(4) == 0 {
        // It may not be there.
        let _ = shared.store.delete(target);
    } else {
        let labels = json!({"tier": dice.below(2).to_string()});
        let body = json!({"metadata": {"labels": labels}, "spec": {"serial": dice.below(1000)}});
        shared.store.replace(target, body, Part::Whole).unwrap();
    }
}

/// Takes a frame in as a client would; the resourceVersion that it has reached.
fn take_in(known: &mut Known, frame: &[u8]) -> u64 {
    let mut reached = 0;
    for line in std::str::from_utf8(frame).unwrap().lines() {
        let event: Value = serde_json::from_str(line).unwrap();
        let meta = &event["object"]["metadata"];
        let (name, version) = (
            meta["name"].as_str(),
            meta["resourceVersion"].as_str().unwrap(),
        );
        match (event["type"].as_str().unwrap(), name) {
            ("ADDED", Some(name)) => assert_eq!(known.insert(name.into(), version.into()), None),
            ("MODIFIED", Some(name)) => {
                assert!(known.insert(name.into(), version.into()).is_some())
            }
            ("DELETED", Some(name)) => assert!(known.remove(name).is_some()),
            ("BOOKMARK", None) => {}
            other => panic!("{other:?}"),
        }
        reached = version.parse().unwrap();
    }
    reached
}

fn listed(shared: &Shared, labels: &str) -> Known {
    let (_, objects) = shared
        .store
        .list(by_kind("Pod").unwrap(), &selector(labels));
    objects
        .iter()
        .map(|one| (one.name.to_string(), one.revision.to_string()))
        .collect()
}

#[test]
fn whoever_follows_a_watch_with_breaks_knows_what_a_list_would_tell() {
    for labels in ["", "tier=1", "tier!=1"] {
        for seed in 0..30 {
            let (shared, mut dice) = (shared(10_000), Dice(seed));
            (0..dice.below(20)).for_each(|_| walk(&shared, &mut dice));
            let mut known = Known::new();
            let mut watch = begin(
                &shared,
                labels,
                From::Start {
                    mark: true,
                    least: 0,
                },
            );
            let mut reached = take_in(&mut known, &watch.initial_frame().unwrap());
            for _ in 0..20 {
                (0..dice.below(6)).for_each(|_| walk(&shared, &mut dice));
                if dice.below(3) == 0 {
                    watch = begin(&shared, labels, From::Revision(reached));
                }
                while let Some(frame) = watch.change_frame() {
                    reached = take_in(&mut known, &frame);
                }
                reached = reached.max(take_in(&mut known, &watch.bookmark(false)));
                assert_eq!(known, listed(&shared, labels), "{labels} {seed}");
            }
            assert_eq!(reached, shared.store.revision());
        }
    }
}

#[test]
fn a_watch_that_fell_out_of_the_history_is_told_so_once() {
    let shared = shared(2);
    let mut watch = begin(&shared, "", From::Now);
    let mut dice = Dice(1);
    let from = shared.store.revision();
    while shared.store.revision() < from + 5 {
        walk(&shared, &mut dice);
    }
    let frame = String::from_utf8(watch.change_frame().unwrap()).unwrap();
    assert!(
        frame.contains("\"ERROR\"") && frame.contains("\"code\":410"),
        "{frame}"
    );
    assert!(watch.ended);
}
