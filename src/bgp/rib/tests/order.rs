//! Whatever happens in whatever order: what is there in the end is what a fresh start would have.

use proptest::prelude::*;

use super::*;

const PEERS: u8 = 4;
const PREFIXES: [&str; 5] = [
    "10.9.0.0/16",
    "10.9.1.0/24",
    "0.0.0.0/0",
    "2001:db8:9::/48",
    "::/0",
];

#[derive(Debug, Clone)]
enum Step {
    Announce {
        peer: u8,
        prefix: usize,
        path_id: u32,
        shape: u8,
    },
    Withdraw {
        peer: u8,
        prefix: usize,
        path_id: u32,
    },
    Own {
        prefix: usize,
        on: bool,
    },
    Clear {
        peer: u8,
    },
    Restart {
        peer: u8,
    },
    Flush {
        peer: u8,
    },
    Reach {
        hop: u8,
        cost: Option<u32>,
    },
    Policy {
        reject: u8,
    },
    Export,
    Write {
        member: u8,
    },
    Rejoin {
        member: u8,
    },
    Refresh {
        member: u8,
    },
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let peer = 0..PEERS;
    let place = 0..PREFIXES.len();
    let step = prop_oneof![
        6 => (peer.clone(), place.clone(), 0_u32..2, 0_u8..12)
            .prop_map(|(peer, prefix, path_id, shape)| Step::Announce { peer, prefix, path_id, shape }),
        3 => (peer.clone(), place.clone(), 0_u32..2)
            .prop_map(|(peer, prefix, path_id)| Step::Withdraw { peer, prefix, path_id }),
        1 => (place, any::<bool>()).prop_map(|(prefix, on)| Step::Own { prefix, on }),
        1 => peer.clone().prop_map(|peer| Step::Clear { peer }),
        1 => peer.clone().prop_map(|peer| Step::Restart { peer }),
        1 => peer.clone().prop_map(|peer| Step::Flush { peer }),
        1 => (20_u8..23, prop::option::of(0_u32..3)).prop_map(|(hop, cost)| Step::Reach { hop, cost }),
        1 => (0_u8..4).prop_map(|reject| Step::Policy { reject }),
        3 => Just(Step::Export),
        3 => peer.clone().prop_map(|member| Step::Write { member }),
        1 => peer.clone().prop_map(|member| Step::Rejoin { member }),
        1 => peer.prop_map(|member| Step::Refresh { member }),
    ];
    prop::collection::vec(step, 1..80)
}

fn shape(n: u8) -> Route {
    let attributes = Attributes {
        multi_exit_disc: Some(u32::from(n % 2)),
        local_pref: n.is_multiple_of(3).then_some(90),
        ..path_of(&[65000 + u32::from(n % 2), 65100])
    };
    Route::learned(NextHop::V4(Ipv4Addr::new(10, 0, 0, 20 + n % 3)), attributes)
}

fn peer_facts(n: u8) -> PeerFacts {
    if n < 2 {
        facts(30 + n, PeerKind::External)
    } else {
        client(30 + n)
    }
}

/// Rejects the prefixes of one length.
fn policy(reject: u8, prefix: &Prefix) -> Filter<'static> {
    if prefix.prefix_len() == [255, 24, 0, 48][usize::from(reject)] {
        Filter::Reject
    } else {
        Filter::Accept
    }
}

struct World {
    rib: Rib,
    peers: Vec<PeerId>,
    out: AdjRibOut,
    exporter: Exporter,
    builder: BestPathsBuilder,
    listeners: Vec<Listener>,
    reject: u8,
    /// What should be there: by peer, path identifier and prefix; and whether it is stale.
    model: BTreeMap<(u8, u32, usize), (u8, bool)>,
    own: BTreeSet<usize>,
    reach: BTreeMap<u8, Option<u32>>,
}

impl World {
    fn new() -> Self {
        let mut rib = Rib::new(reflector(), Selection::default(), 7);
        let peers: Vec<PeerId> = (0..PEERS).map(|n| add(&mut rib, peer_facts(n))).collect();
        let mut out = AdjRibOut::new(&rib);
        for n in 0..PEERS {
            for family in Family::ALL {
                out.join(peers[usize::from(n)], peer_facts(n).address, family);
            }
        }
        Self {
            peers,
            out,
            exporter: Exporter::new(Target {
                is_client: true,
                ipv6_next_hop: true,
                ..target(PeerKind::Internal)
            }),
            builder: BestPathsBuilder::new(&rib),
            listeners: (0..PEERS).map(|_| Listener::default()).collect(),
            rib,
            reject: 0,
            model: BTreeMap::new(),
            own: BTreeSet::new(),
            reach: BTreeMap::new(),
        }
    }

    fn id(&self, peer: u8) -> PeerId {
        self.peers[usize::from(peer)]
    }

    fn put(&mut self, peer: u8, place: usize, path_id: u32, n: u8) {
        let route = self.rib.intern(shape(n));
        let nlri = Nlri {
            prefix: prefix(PREFIXES[place]),
            path_id,
        };
        let reject = self.reject;
        let id = self.id(peer);
        self.rib
            .announce(id, &route, [nlri], |prefix, _| policy(reject, prefix));
    }

    fn step(&mut self, step: &Step) {
        match *step {
            Step::Announce {
                peer,
                prefix,
                path_id,
                shape,
            } => {
                self.put(peer, prefix, path_id, shape);
                self.model.insert((peer, path_id, prefix), (shape, false));
            }
            Step::Withdraw {
                peer,
                prefix: place,
                path_id,
            } => {
                let prefix = prefix(PREFIXES[place]);
                self.rib.withdraw(self.id(peer), [Nlri { prefix, path_id }]);
                self.model.remove(&(peer, path_id, place));
            }
            Step::Own { prefix: place, on } => self.own(place, on),
            Step::Clear { peer } => {
                Family::ALL
                    .into_iter()
                    .for_each(|family| self.rib.clear(self.id(peer), family));
                self.model.retain(|key, _| key.0 != peer);
            }
            Step::Restart { peer } => {
                Family::ALL
                    .into_iter()
                    .for_each(|family| self.rib.mark_stale(self.id(peer), family));
                let mine = self.model.iter_mut().filter(|(key, _)| key.0 == peer);
                mine.for_each(|(_, it)| it.1 = true);
            }
            Step::Flush { peer } => {
                Family::ALL
                    .into_iter()
                    .for_each(|family| self.rib.flush_stale(self.id(peer), family));
                self.model.retain(|key, it| key.0 != peer || !it.1);
            }
            Step::Reach { hop, cost } => self.reach(hop, cost),
            Step::Policy { reject } => {
                self.reject = reject;
                for peer in self.peers.clone() {
                    for family in Family::ALL {
                        let again = |prefix: &Prefix, _: &Route| policy(reject, prefix);
                        self.rib.import_again(peer, family, again);
                    }
                }
            }
            Step::Export => self.export(),
            Step::Write { member } => self.write(member, 2),
            Step::Rejoin { member } => {
                let peer = self.id(member);
                self.out.leave(peer);
                self.listeners[usize::from(member)] = Listener::default();
                for family in Family::ALL {
                    self.out.join(peer, peer_facts(member).address, family);
                }
            }
            Step::Refresh { member } => {
                let peer = self.id(member);
                Family::ALL
                    .into_iter()
                    .for_each(|family| self.out.refresh(peer, family, true));
            }
        }
    }

    fn own(&mut self, place: usize, on: bool) {
        let prefix = prefix(PREFIXES[place]);
        if on {
            let route = Route::originated(RouteKind::Other, hop("10.0.0.1"));
            self.rib.originate(prefix, route);
            self.own.insert(place);
        } else {
            self.rib.withdraw_own(prefix);
            self.own.remove(&place);
        }
    }

    fn reach(&mut self, hop: u8, cost: Option<u32>) {
        let reachability = cost.map_or(Reachability::Unreachable, Reachability::Cost);
        let address = Ipv4Addr::new(10, 0, 0, hop).into();
        self.rib.set_next_hop(address, reachability);
        self.reach.insert(hop, cost);
    }

    fn export(&mut self) {
        let Self {
            rib,
            out,
            exporter,
            builder,
            ..
        } = self;
        rib.drain_changes(|view, routes| {
            builder.update(view, routes);
            let told = view.best().and_then(|best| {
                let family = view.id.family;
                let route = exporter.export(family, best, routes, |_, _| Filter::Accept);
                Some(Told {
                    route: route.ok()?,
                    source: best.peer(),
                })
            });
            out.set(view.id, view.prefix, told);
        });
    }

    fn write(&mut self, member: u8, limit: usize) {
        let peer = self.id(member);
        let written = self.out.drain(peer, &self.rib, limit);
        self.listeners[usize::from(member)].hear(written);
    }

    fn settle(&mut self) {
        self.export();
        for member in 0..PEERS {
            while self.out.has_pending(self.id(member)) {
                self.write(member, 3);
            }
        }
    }

    /// The same state, entered in the order of the model and at once.
    fn fresh(&self) -> Self {
        let mut fresh = Self::new();
        fresh.reject = self.reject;
        for place in &self.own {
            fresh.own(*place, true);
        }
        for (hop, cost) in &self.reach {
            fresh.reach(*hop, *cost);
        }
        for ((peer, path_id, place), (shape, _)) in self.model.iter().rev() {
            fresh.put(*peer, *place, *path_id, *shape);
        }
        fresh
    }

    /// All that anybody can see.
    fn seen(&mut self) -> Vec<String> {
        let mut seen = Vec::new();
        for text in PREFIXES {
            for (path, standing) in self.rib.explain(&prefix(text)) {
                let (peer, id, route) = (path.peer(), path.path_id(), path.route());
                let used = path.is_used();
                let attributes = &route.attributes;
                seen.push(format!(
                    "{text} {peer} {id} {used} {standing:?} {attributes:?}"
                ));
            }
        }
        for (prefix, hops) in self.builder.publish().iter() {
            seen.push(format!("{prefix} {:?}", hops.hops()));
        }
        for listener in &self.listeners {
            for (prefix, route) in &listener.has {
                seen.push(format!(
                    "{prefix} {} {:?}",
                    route.next_hop, route.attributes
                ));
            }
            seen.push("--".to_owned());
        }
        for peer in &self.peers {
            for family in Family::ALL {
                let counters = self.rib.counters(*peer, family);
                seen.push(format!(
                    "{peer} {} {}",
                    counters.received, counters.accepted
                ));
            }
        }
        seen
    }
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(300))]
    #[test]
    fn any_history_ends_as_a_fresh_start_would(steps in steps()) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.settle();
        let mut fresh = world.fresh();
        fresh.settle();
        prop_assert_eq!(world.seen(), fresh.seen());
        for peer in 0..PEERS {
            let stale = |family| world.rib.counters(world.id(peer), family).stale;
            let expected = world.model.iter().filter(|(key, it)| key.0 == peer && it.1).count();
            prop_assert_eq!(stale(Family::V4) + stale(Family::V6), expected);
        }
    }
}
