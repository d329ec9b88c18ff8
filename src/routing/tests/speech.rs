//! What is said by BGP: once, again when it differs, and never taken back by a broken object.

use super::*;
use crate::model::{Node, Snapshot};
use crate::routing::plan::bgp::tests as bgp;

const MESH: &str = "";
const BY_ANNOTATION: &str = "bgp.nodes_full_mesh = false";

fn speaking(text: &str, change: impl FnOnce(&mut Node)) -> Input {
    let mut input = input(SUBNET, "");
    input.bgp = Some(Arc::new(bgp::settings(text)));
    let mut snapshot = Snapshot::clone(&input.snapshot);
    let mut nodes = (*snapshot.nodes).clone();
    let own = nodes.get_mut("n1").unwrap();
    change(Arc::make_mut(own));
    snapshot.nodes = Arc::new(nodes);
    input.snapshot = Arc::new(snapshot);
    input
}

fn said(steps: &[String]) -> Vec<&str> {
    let said = steps.iter().filter(|step| step.starts_with("bgp: "));
    said.map(String::as_str).collect()
}

#[test]
fn the_speaker_is_told_once_and_again_only_when_it_differs() {
    let mut routing = started(FakeHost::new());
    let first = speaking(MESH, |_| {});
    let steps = pass(&mut routing, &first);
    let [told] = said(&steps)[..] else {
        panic!("{steps:#?}")
    };
    assert!(
        told.starts_with("bgp: as 64512 router-id 10.1.1.1, "),
        "{told}"
    );
    assert_eq!(said(&pass(&mut routing, &first)), [""; 0]);
    // Pods come and go, and are none of BGP's business.
    let mut other = first.clone();
    let mut snapshot = Snapshot::clone(&first.snapshot);
    snapshot.generation += 1;
    other.snapshot = Arc::new(snapshot);
    assert_eq!(said(&pass(&mut routing, &other)), [""; 0]);
    let fewer = speaking("bgp.enable_ibgp = false", |_| {});
    let steps = pass(&mut routing, &fewer);
    assert!(said(&steps)[0].contains(", 0 peers, "), "{steps:#?}");
}

#[test]
fn a_node_that_loses_its_as_number_goes_on_speaking() {
    let mut routing = started(FakeHost::new());
    let whole = speaking(BY_ANNOTATION, |own| own.bgp.asn = Some(64_600));
    let steps = pass(&mut routing, &whole);
    assert!(said(&steps)[0].starts_with("bgp: as 64600 "), "{steps:#?}");
    let broken = speaking(BY_ANNOTATION, |_| {});
    assert_eq!(said(&pass(&mut routing, &broken)), [""; 0]);
    let notes = routing.notes();
    assert!(
        notes.iter().any(|note| note.contains("node.asn")),
        "{notes:#?}"
    );
}

#[test]
fn packets_can_be_taken_before_routes_are_announced_and_the_cni_file_comes_last() {
    let mut routing = started(FakeHost::new());
    let mut input = speaking(MESH, |_| {});
    input.learned = super::input(SUBNET, "10.244.3.0/24 via 10.1.3.3").learned;
    let steps = pass(&mut routing, &input);
    let at = |word: &str| steps.iter().position(|step| step.contains(word)).unwrap();
    let last = |word: &str| steps.iter().rposition(|step| step.contains(word)).unwrap();
    for first in ["tables-restore", "ip link add tun-", "rule add from"] {
        assert!(last(first) < at("bgp: "), "{first}: {steps:#?}");
    }
    assert!(at("bgp: ") < at("10-kuberouter.conflist"), "{steps:#?}");
}
