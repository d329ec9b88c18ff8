use super::*;

const A: &str = "10.9.1.0/24";
const B: &str = "10.9.2.0/24";
const C: &str = "10.9.3.0/24";

/// One of our own routes' worlds: an external source, and a group of internal peers.
struct World {
    rib: Rib,
    out: AdjRibOut,
    exporter: Exporter,
    source: PeerId,
    mate: PeerId,
    listener: Listener,
}

impl World {
    fn new() -> Self {
        let mut rib = rib();
        let source = add(&mut rib, facts(2, PeerKind::External));
        let mate = add(&mut rib, facts(3, PeerKind::Internal));
        let out = AdjRibOut::new(&rib);
        Self {
            rib,
            out,
            exporter: Exporter::new(target(PeerKind::Internal)),
            source,
            mate,
            listener: Listener::default(),
        }
    }

    fn announce(&mut self, prefixes: &[&str], n: u8) {
        announce(&mut self.rib, self.source, prefixes, route(n, &[65002]));
        export_changes(&mut self.rib, &mut self.out, &mut self.exporter);
    }

    fn withdraw(&mut self, prefixes: &[&str]) {
        withdraw(&mut self.rib, self.source, prefixes);
        export_changes(&mut self.rib, &mut self.out, &mut self.exporter);
    }

    fn join(&mut self) {
        self.out.join(self.mate, ip("10.0.0.3"), Family::V4);
    }

    /// What one write of at most `limit` prefixes says.
    fn write(&mut self, limit: usize) -> Vec<String> {
        let out = self.out.drain(self.mate, &self.rib, limit);
        self.listener.hear(out);
        self.listener.take()
    }
}

#[test]
fn a_new_member_is_told_all_packed_by_route_then_the_end_and_then_only_changes() {
    let mut world = World::new();
    world.announce(&[A, C], 20);
    world.announce(&[B], 21);
    world.join();
    assert!(world.out.has_pending(world.mate));
    let both = format!("+ {A} {C} via 10.0.0.20");
    let one = format!("+ {B} via 10.0.0.21");
    assert_eq!(world.write(100), [both, one, "end IPv4".to_owned()]);
    assert!(!world.out.has_pending(world.mate));
    assert!(world.write(100).is_empty());
    world.announce(&[A, B, C], 21);
    assert_eq!(world.write(100), [format!("+ {A} {C} via 10.0.0.21")]);
    world.withdraw(&[B]);
    world.announce(&[C], 22);
    assert_eq!(
        world.write(100),
        [format!("- {B}"), format!("+ {C} via 10.0.0.22")]
    );
    assert_eq!(world.out.announced(world.mate, Family::V4), 2);
}

#[test]
fn an_empty_table_still_has_an_end() {
    let mut world = World::new();
    world.join();
    assert_eq!(world.write(100), ["end IPv4"]);
}

#[test]
fn the_end_comes_after_all_that_was_there_however_little_is_written_at_once() {
    let mut world = World::new();
    let all: Vec<String> = (0..50).map(|n| format!("10.{n}.0.0/16")).collect();
    let texts: Vec<&str> = all.iter().map(String::as_str).collect();
    world.announce(&texts, 20);
    world.join();
    let mut n = 0_u8;
    while !world.write(3).contains(&"end IPv4".to_owned()) {
        // What changes meanwhile must not keep the end away for ever.
        n += 1;
        assert!(n < 40);
        world.announce(&["10.0.0.0/16"], 100 + n);
        world.withdraw(&["10.49.0.0/16"]);
    }
    assert!(world.listener.has.len() >= 48);
    while world.out.has_pending(world.mate) {
        world.write(3);
    }
    assert_eq!(world.listener.has.len(), 49);
    let route = &world.listener.has[&prefix("10.0.0.0/16")];
    assert_eq!(route.next_hop, hop(&format!("10.0.0.{}", 100 + n)));
}

#[test]
fn what_is_taken_back_before_it_was_written_is_never_seen() {
    let mut world = World::new();
    world.announce(&[A], 20);
    world.join();
    world.write(100);
    world.announce(&[B], 20);
    world.withdraw(&[B]);
    assert!(!world.out.has_pending(world.mate));
    world.withdraw(&[A]);
    world.announce(&[A], 21);
    assert_eq!(world.write(100), [format!("+ {A} via 10.0.0.21")]);
    world.withdraw(&[A]);
    world.announce(&[A], 22);
    world.withdraw(&[A]);
    assert_eq!(world.write(100), [format!("- {A}")]);
}

#[test]
fn a_refresh_tells_all_again_between_its_marks_if_they_were_negotiated() {
    for (enhanced, begin, end) in [
        (false, None, None),
        (true, Some("begin IPv4"), Some("refreshed IPv4")),
    ] {
        let mut world = World::new();
        world.announce(&[A, B], 20);
        world.join();
        world.write(100);
        world.out.refresh(world.mate, Family::V4, enhanced);
        let both = format!("+ {A} {B} via 10.0.0.20");
        let expected: Vec<&str> = begin
            .into_iter()
            .chain([both.as_str()])
            .chain(end)
            .collect();
        assert_eq!(world.write(100), expected);
        assert!(!world.out.has_pending(world.mate));
    }
}

#[test]
fn a_second_refresh_waits_for_the_end_of_the_first_and_a_first_one_for_the_initial_end() {
    let mut world = World::new();
    world.announce(&[A, B], 20);
    world.join();
    world.out.refresh(world.mate, Family::V4, true);
    let mut heard = Vec::new();
    let mut asked = false;
    while world.out.has_pending(world.mate) {
        heard.extend(world.write(1));
        if heard.len() > 4 && !std::mem::replace(&mut asked, true) {
            world.out.refresh(world.mate, Family::V4, true);
        }
    }
    let routes = [A, B].map(|text| format!("+ {text} via 10.0.0.20"));
    let [a, b] = routes.each_ref().map(String::as_str);
    let once = ["begin IPv4", a, b, "refreshed IPv4"];
    let expected: Vec<&str> = [a, b, "end IPv4"]
        .into_iter()
        .chain(once)
        .chain(once)
        .collect();
    assert_eq!(heard, expected);
}

#[test]
fn nobody_is_told_its_own_routes_or_to_send_to_itself() {
    let mut rib = Rib::new(reflector(), Selection::default(), 7);
    let clients = [3, 4].map(|n| add(&mut rib, client(n)));
    let mut out = AdjRibOut::new(&rib);
    let mut exporter = Exporter::new(Target {
        is_client: true,
        ..target(PeerKind::Internal)
    });
    let mut ears = [Listener::default(), Listener::default()];
    for (n, peer) in [3, 4].into_iter().zip(clients) {
        out.join(peer, facts(n, PeerKind::Internal).address, Family::V4);
    }
    announce(&mut rib, clients[0], &[A], route(3, &[]));
    announce(&mut rib, clients[0], &[B], route(4, &[]));
    export_changes(&mut rib, &mut out, &mut exporter);
    let mut listen = |rib: &Rib, out: &mut AdjRibOut| {
        for (ear, peer) in ears.iter_mut().zip(clients) {
            ear.hear(out.drain(peer, rib, 100));
        }
        [0, 1].map(|at: usize| {
            ears[at]
                .has
                .keys()
                .map(Prefix::to_string)
                .collect::<Vec<_>>()
        })
    };
    assert_eq!(listen(&rib, &mut out), [vec![], vec![A.to_owned()]]);
    // The other one tells it better: it has to forget what it had, and the first one hears.
    let better = Attributes {
        local_pref: Some(200),
        ..path_of(&[])
    };
    announce(
        &mut rib,
        clients[1],
        &[A],
        Route::learned(hop("10.0.0.9"), better),
    );
    export_changes(&mut rib, &mut out, &mut exporter);
    assert_eq!(listen(&rib, &mut out), [vec![A.to_owned()], vec![]]);
    let id = rib.get(&prefix(A)).unwrap().id;
    assert!(out.told(clients[0], id).unwrap().is_ok());
    assert!(out.is_written(clients[0], id));
    assert_eq!(
        out.told(clients[1], id).unwrap().unwrap_err(),
        Withheld::OwnRoute
    );
    let id = rib.get(&prefix(B)).unwrap().id;
    assert_eq!(
        out.told(clients[1], id).unwrap().unwrap_err(),
        Withheld::PeerIsNextHop
    );
}

#[test]
fn a_member_of_another_group_is_told_only_what_differs() {
    let mut world = World::new();
    world.announce(&[A, B], 20);
    world.announce(&[C], 21);
    world.join();
    world.write(100);
    let mut other = AdjRibOut::new(&world.rib);
    // The new group does not have A, has B as it was, and C otherwise; nothing has B before.
    let mut exporter = Exporter::new(target(PeerKind::Internal));
    let mut with_own = Exporter::new(Target {
        next_hop_self: true,
        ..target(PeerKind::Internal)
    });
    world.rib.walk(Family::V4, 0, usize::MAX, |view, routes| {
        let best = view.best().unwrap();
        let exporter = if view.prefix == prefix(C) {
            &mut with_own
        } else {
            &mut exporter
        };
        let told = Told {
            route: exporter
                .export(Family::V4, best, routes, |_, _| Filter::Accept)
                .unwrap(),
            source: best.peer(),
        };
        other.set(
            view.id,
            view.prefix,
            (view.prefix != prefix(A)).then_some(told),
        );
    });
    other.take_over(world.mate, &mut world.out, &world.rib);
    assert!(world.out.is_empty() && other.has_member(world.mate));
    std::mem::swap(&mut world.out, &mut other);
    assert_eq!(
        world.write(100),
        [format!("- {A}"), format!("+ {C} via 10.0.0.1")]
    );
    assert!(!world.out.has_pending(world.mate));
}

#[test]
fn who_leaves_and_joins_again_starts_anew() {
    let mut world = World::new();
    world.announce(&[A], 20);
    world.join();
    world.write(100);
    world.out.leave(world.mate);
    world.withdraw(&[A]);
    assert!(world.write(100).is_empty());
    world.join();
    world.listener = Listener::default();
    assert_eq!(world.write(100), ["end IPv4"]);
}
