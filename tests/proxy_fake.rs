//! The proxy end to end on a kernel made of the rooms' fakes: what it programs, what it leaves
//! alone, what it repairs, and what it withholds.
#![allow(clippy::unwrap_used, clippy::expect_used, reason = "a test")]

mod common;

use std::collections::BTreeMap;
use std::net::IpAddr;

use common::{World, service, slice};
use kube_router::firewall::{Member, set_entry};
use kube_router::kernel::conntrack::FakeConntrack;
use kube_router::kernel::ipset::{FakeIpset, SetName};
use kube_router::kernel::iptables::{self, FakeIptables, RuleTables, Saved, Table, TableEdits};
use kube_router::kernel::ipvs::object::{Command, RealServer, VirtualKey, VirtualTable};
use kube_router::kernel::ipvs::{FakeIpvs, Table as _, parse_table, print_table};
use kube_router::kernel::rtnl::{FakeRtnl, Interfaces, LinkKind};
use kube_router::kernel::sysctl::{FakeSysctl, Key};
use kube_router::net::{ByFamily, Family, Protocol};
use kube_router::proxy::change::Observed;
use kube_router::proxy::{Proxy, RoomKernel};
use kube_router::reconcile::{Controller, Report, Scope};

/// Tables that can be told to refuse everything.
#[derive(Debug, Clone)]
struct Tables {
    inner: FakeIptables,
    refuses: bool,
}

impl RuleTables for Tables {
    fn restore(&mut self, tables: &[TableEdits]) -> Result<(), iptables::Error> {
        if self.refuses {
            return Err(iptables::Error::Locked {
                program: "iptables-restore".into(),
            });
        }
        self.inner.restore(tables)
    }

    fn save(&mut self, table: Table) -> Result<Saved, iptables::Error> {
        self.inner.save(table)
    }
}

type Fake = RoomKernel<FakeIpvs, FakeRtnl, FakeIpset, Tables, FakeSysctl, FakeConntrack>;

fn kernel() -> Fake {
    let tables = || {
        Some(Tables {
            inner: FakeIptables::new(),
            refuses: false,
        })
    };
    let keys = [
        ("net/ipv4/vs/conntrack", "0"),
        ("net/ipv4/vs/expire_nodest_conn", "0"),
        ("net/ipv4/vs/expire_quiescent_template", "0"),
        ("net/ipv4/vs/conn_reuse_mode", "1"),
        ("net/ipv4/conf/all/arp_ignore", "0"),
        ("net/ipv4/conf/all/arp_announce", "0"),
        ("net/ipv4/conf/all/rp_filter", "1"),
        ("net/ipv4/conf/eth0/rp_filter", "2"),
        ("net/ipv4/conf/kube-dummy-if/rp_filter", "0"),
    ];
    let values: BTreeMap<Key, String> = keys
        .iter()
        .map(|(key, value)| (Key::new(*key).unwrap(), (*value).to_owned()))
        .collect();
    RoomKernel {
        ipvs: FakeIpvs::default(),
        rtnl: FakeRtnl::new(),
        ipset: FakeIpset::new(),
        iptables: ByFamily {
            v4: tables(),
            v6: tables(),
        },
        sysctl: FakeSysctl {
            values,
            ..FakeSysctl::default()
        },
        conntrack: FakeConntrack::default(),
    }
}

/// One pass with a read-back, as at a start.
fn start(
    proxy: &mut Proxy<Fake>,
    world: &World,
) -> (Observed, Report<kube_router::proxy::change::Change>) {
    proxy.plan(&world.input());
    let mut seen = proxy.observe().unwrap();
    let steps = proxy.changes(&seen, Scope::Everything);
    let report = proxy.apply(steps, &mut seen, &|| {});
    (seen, report)
}

fn world() -> World {
    let mut world = World::default();
    for (number, name) in [(1, "kubernetes"), (10, "web"), (11, "db")] {
        let namespace = if number == 1 { "default" } else { "shop" };
        world.apply_service(service(namespace, name, number));
        for family in Family::ALL {
            world.apply_slice(slice(namespace, name, family, &[number, number + 100]));
        }
    }
    world
}

fn key(address: &str) -> VirtualKey {
    VirtualKey::Address {
        address: address.parse().unwrap(),
        protocol: Protocol::Tcp,
        port: 80,
    }
}

fn vips(kernel: &mut Fake) -> Vec<IpAddr> {
    let Some(link) = kernel.rtnl.link("kube-dummy-if").unwrap() else {
        return Vec::new();
    };
    let addresses = kernel.rtnl.addresses(Some(link.index)).unwrap();
    addresses
        .iter()
        .map(|address| address.prefix.addr())
        .collect()
}

fn has_member(kernel: &Fake, set: &str, member: &Member) -> bool {
    let entries = kernel.ipset.entries(&SetName::new(set).unwrap());
    entries.is_some_and(|entries| entries.contains(&set_entry(member)))
}

#[test]
fn an_empty_kernel_is_filled_and_then_nothing_is_left_to_do() {
    let mut proxy = Proxy::new(kernel());
    let (seen, report) = start(&mut proxy, &world());
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
    assert!(proxy.changes(&seen, Scope::Touched).is_empty());
    let seen = proxy.observe().unwrap();
    let left: Vec<String> = proxy
        .changes(&seen, Scope::Everything)
        .iter()
        .map(ToString::to_string)
        .collect();
    assert!(left.is_empty(), "{left:#?}");
    assert_eq!(proxy.kernel_mut().ipvs.observe().unwrap().len(), 6);
    assert_eq!(vips(proxy.kernel_mut()).len(), 6);
}

#[test]
fn a_restart_with_an_unchanged_cluster_changes_nothing() {
    let mut first = Proxy::new(kernel());
    let _ = start(&mut first, &world());
    let mut held = std::mem::replace(first.kernel_mut(), kernel());
    held.ipvs.clear_applied();
    held.sysctl.writes.clear();
    held.rtnl.log.clear();
    let calls = held.ipset.calls;
    let mut second = Proxy::new(held);
    let (_, report) = start(&mut second, &world());
    assert_eq!(report.applied, 0);
    let kernel = second.kernel_mut();
    assert!(kernel.ipvs.applied().is_empty());
    assert!(kernel.sysctl.writes.is_empty());
    assert!(kernel.rtnl.log.is_empty());
    assert_eq!(kernel.ipset.calls, calls);
}

#[test]
fn the_api_servers_own_service_comes_first() {
    let mut proxy = Proxy::new(kernel());
    let _ = start(&mut proxy, &world());
    let first = proxy.kernel_mut().ipvs.applied()[0];
    assert_eq!(first.key(), key("10.96.0.1"));
}

#[test]
fn one_endpoint_changed_costs_at_most_four_requests_and_no_reading() {
    let mut world = world();
    let mut proxy = Proxy::new(kernel());
    let (mut seen, _) = start(&mut proxy, &world);
    proxy.kernel_mut().ipvs.clear_applied();
    world.apply_slice(slice("shop", "web", Family::V4, &[10, 77]));
    proxy.plan(&world.input());
    let steps = proxy.changes(&seen, Scope::Touched);
    let report = proxy.apply(steps, &mut seen, &|| {});
    assert!(report.failures.is_empty());
    let applied = proxy.kernel_mut().ipvs.applied();
    assert_eq!(applied.len(), 2, "{applied:?}");
    assert!(
        matches!(applied[0], Command::AddReal(..)),
        "the new one comes before the old one goes"
    );
    assert!(matches!(applied[1], Command::DelReal(..)));
    assert!(proxy.changes(&seen, Scope::Touched).is_empty());
}

#[test]
fn what_belongs_to_others_stays_and_what_is_stale_of_ours_goes() {
    let mut kernel = kernel();
    let foreign = parse_table(
        "-A -t 192.0.2.7:443 -s wlc\n-a -t 192.0.2.7:443 -r 192.0.2.8:443 -m -w 3\n-A -f 99 -s rr\n",
    )
    .unwrap();
    let stale = parse_table("-A -t 10.96.0.99:80 -s rr\n-A -t 10.1.1.1:30999 -s rr\n").unwrap();
    let commands: Vec<Command> = foreign
        .iter()
        .chain(&stale)
        .flat_map(VirtualTable::commands)
        .collect();
    assert!(kernel.ipvs.apply(&commands).iter().all(Result::is_ok));
    let link = kernel
        .rtnl
        .ensure_link("kube-dummy-if", &LinkKind::Dummy)
        .unwrap();
    let source = "10.1.1.1".parse().unwrap();
    let _ = kernel
        .rtnl
        .add_vips(link.index, &[("10.96.0.99".parse().unwrap(), source)]);
    let mut proxy = Proxy::new(kernel);
    let (seen, report) = start(&mut proxy, &world());
    assert!(report.failures.is_empty());
    assert_eq!(seen.foreign, 2);
    let left = proxy.kernel_mut().ipvs.observe().unwrap();
    for table in &foreign {
        assert!(
            left.contains(table),
            "{}",
            print_table(std::slice::from_ref(table))
        );
    }
    for table in &stale {
        assert!(!left.iter().any(|held| held.server.key == table.server.key));
    }
    assert!(!vips(proxy.kernel_mut()).contains(&"10.96.0.99".parse().unwrap()));
}

#[test]
fn nothing_inside_the_excluded_ranges_is_touched() {
    let mut world = world();
    let mut settings = common::settings();
    settings.proxy.excluded_cidrs = vec!["10.96.0.10/32".parse().unwrap()];
    world.settings = std::sync::Arc::new(settings);
    let mut kernel = kernel();
    let held = parse_table("-A -t 10.96.0.10:80 -s wlc\n").unwrap();
    let commands: Vec<Command> = held.iter().flat_map(VirtualTable::commands).collect();
    let _ = kernel.ipvs.apply(&commands);
    let mut proxy = Proxy::new(kernel);
    let (seen, _) = start(&mut proxy, &world);
    assert_eq!(seen.foreign, 1);
    assert!(
        proxy
            .kernel_mut()
            .ipvs
            .observe()
            .unwrap()
            .contains(&held[0])
    );
}

#[test]
fn a_flushed_table_is_noticed_at_the_next_glance_and_filled_again() {
    let mut proxy = Proxy::new(kernel());
    let (mut seen, _) = start(&mut proxy, &world());
    assert!(!proxy.glance(&seen));
    proxy.kernel_mut().ipvs = FakeIpvs::default();
    assert!(proxy.glance(&seen));
    seen = proxy.observe().unwrap();
    let steps = proxy.changes(&seen, Scope::Everything);
    let report = proxy.apply(steps, &mut seen, &|| {});
    assert!(report.failures.is_empty());
    assert_eq!(proxy.kernel_mut().ipvs.observe().unwrap().len(), 6);
}

#[test]
fn a_deleted_link_comes_back_with_all_its_addresses() {
    let mut proxy = Proxy::new(kernel());
    let _ = start(&mut proxy, &world());
    let link = proxy
        .kernel_mut()
        .rtnl
        .link("kube-dummy-if")
        .unwrap()
        .unwrap();
    let _ = proxy.kernel_mut().rtnl.delete_link(link.index);
    let (_, report) = start(&mut proxy, &world());
    assert!(report.failures.is_empty());
    assert_eq!(vips(proxy.kernel_mut()).len(), 6);
}

#[test]
fn without_its_firewall_no_address_appears() {
    let mut broken = kernel();
    for family in Family::ALL {
        if let Some(tables) = broken.iptables.get_mut(family) {
            tables.refuses = true;
        }
    }
    let mut proxy = Proxy::new(broken);
    let (mut seen, report) = start(&mut proxy, &world());
    assert!(!report.failures.is_empty());
    assert!(
        vips(proxy.kernel_mut()).is_empty(),
        "an address stands unguarded"
    );
    // It comes back by itself when the firewall does.
    for family in Family::ALL {
        if let Some(tables) = proxy.kernel_mut().iptables.get_mut(family) {
            tables.refuses = false;
        }
    }
    let steps = proxy.changes(&seen, Scope::Touched);
    let report = proxy.apply(steps, &mut seen, &|| {});
    assert!(report.failures.is_empty());
    assert_eq!(vips(proxy.kernel_mut()).len(), 6);
}

#[test]
fn datagrams_of_an_endpoint_that_went_are_forgotten_and_no_others() {
    let mut world = world();
    let mut dns = service("kube-system", "dns", 53);
    dns.ports[0].protocol = Protocol::Udp;
    world.apply_service(dns);
    world.apply_slice(slice("kube-system", "dns", Family::V4, &[1, 2]));
    let mut proxy = Proxy::new(kernel());
    let (mut seen, _) = start(&mut proxy, &world);
    assert!(proxy.kernel_mut().conntrack.asked.is_empty());
    world.apply_slice(slice("kube-system", "dns", Family::V4, &[2]));
    proxy.plan(&world.input());
    let steps = proxy.changes(&seen, Scope::Touched);
    let _ = proxy.apply(steps, &mut seen, &|| {});
    let asked = &proxy.kernel_mut().conntrack.asked;
    assert_eq!(asked.len(), 1);
    assert_eq!(asked[0].orig_dst, "10.96.0.53".parse::<IpAddr>().unwrap());
    assert_eq!(
        asked[0].reply_src,
        Some(("10.244.2.1".parse().unwrap(), 8080))
    );
}

#[test]
fn the_last_endpoint_leaving_refuses_and_the_first_one_opens() {
    let mut world = world();
    let mut proxy = Proxy::new(kernel());
    let (mut seen, _) = start(&mut proxy, &world);
    let member = Member::AddressPort("10.96.0.10".parse().unwrap(), Protocol::Tcp, 80);
    for (hosts, refused) in [(&[][..], true), (&[5][..], false)] {
        world.apply_slice(slice("shop", "web", Family::V4, hosts));
        proxy.plan(&world.input());
        let steps = proxy.changes(&seen, Scope::Touched);
        let report = proxy.apply(steps, &mut seen, &|| {});
        assert!(report.failures.is_empty());
        assert_eq!(
            has_member(proxy.kernel_mut(), "kube-router-svip-refuse", &member),
            refused
        );
        assert_eq!(
            has_member(proxy.kernel_mut(), "kube-router-svip-prt", &member),
            !refused
        );
    }
}

#[test]
fn clean_up_removes_exactly_what_is_ours() {
    let mut kernel = kernel();
    let foreign = parse_table("-A -t 192.0.2.7:443 -s wlc\n").unwrap();
    let commands: Vec<Command> = foreign.iter().flat_map(VirtualTable::commands).collect();
    let _ = kernel.ipvs.apply(&commands);
    if let Some(tables) = &mut kernel.iptables.v4 {
        tables
            .inner
            .insert_foreign(Table::Filter, "INPUT", 1, "-p tcp --dport 22 -j ACCEPT");
    }
    let before = kernel.iptables.v4.clone().unwrap().inner.tables;
    let mut proxy = Proxy::new(kernel);
    let world = world();
    let _ = start(&mut proxy, &world);
    let held = std::mem::replace(proxy.kernel_mut(), self::kernel());
    let mut cleaner = Proxy::new(held);
    let (_, report) = cleaner
        .cleanup(&world.settings, &world.facts, false)
        .unwrap();
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
    let kernel = cleaner.kernel_mut();
    assert_eq!(kernel.ipvs.observe().unwrap(), foreign);
    assert!(kernel.rtnl.link("kube-dummy-if").unwrap().is_none());
    assert!(
        kernel
            .ipset
            .entries(&SetName::new("kube-router-svip").unwrap())
            .is_none()
    );
    assert_eq!(kernel.iptables.v4.clone().unwrap().inner.tables, before);
}

#[test]
fn a_weight_somebody_changed_is_set_right() {
    let mut proxy = Proxy::new(kernel());
    let _ = start(&mut proxy, &world());
    let held = proxy.kernel_mut().ipvs.observe().unwrap();
    let table = held
        .iter()
        .find(|table| table.server.key == key("10.96.0.10"))
        .unwrap();
    let real = RealServer {
        weight: 50,
        ..table.reals[0]
    };
    let _ = proxy
        .kernel_mut()
        .ipvs
        .apply(&[Command::SetReal(table.server.key, real)]);
    let (_, report) = start(&mut proxy, &world());
    assert_eq!(report.applied, 1);
    assert_eq!(proxy.kernel_mut().ipvs.observe().unwrap(), held);
}

#[test]
fn a_family_switched_off_leaves_nothing_behind() {
    let mut world = world();
    let mut proxy = Proxy::new(kernel());
    let _ = start(&mut proxy, &world);
    world.facts = std::sync::Arc::new(common::facts(false, &["10.244.1.0/24"]));
    let (_, report) = start(&mut proxy, &world);
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
    let kernel = proxy.kernel_mut();
    assert!(vips(kernel).iter().all(IpAddr::is_ipv4));
    assert!(
        kernel
            .ipset
            .entries(&SetName::new("inet6:kube-router-svip").unwrap())
            .is_none()
    );
    let tables = &kernel.iptables.v6.as_ref().unwrap().inner.tables;
    assert_eq!(tables, &FakeIptables::new().tables);
}

#[test]
fn a_new_link_asks_for_a_read_back() {
    let mut world = world();
    let mut proxy = Proxy::new(kernel());
    let (seen, _) = start(&mut proxy, &world);
    let mut facts = common::facts(true, &["10.244.1.0/24", "fd02:1::/64"]);
    facts.links.push("kube-bridge".into());
    world.facts = std::sync::Arc::new(facts);
    proxy.plan(&world.input());
    assert!(proxy.glance(&seen));
}

#[test]
fn a_long_list_of_changes_shows_progress_batch_by_batch() {
    let mut world = world();
    for number in 20..60 {
        world.apply_service(service("shop", &format!("many-{number}"), number));
        let endpoints: Vec<u8> = (1..=100).collect();
        world.apply_slice(slice(
            "shop",
            &format!("many-{number}"),
            Family::V4,
            &endpoints,
        ));
    }
    let mut proxy = Proxy::new(kernel());
    proxy.plan(&world.input());
    let mut seen = proxy.observe().unwrap();
    let steps = proxy.changes(&seen, Scope::Everything);
    let (number, beats) = (steps.len(), std::cell::Cell::new(0));
    assert!(number > 4000, "{number}");
    let report = proxy.apply(steps, &mut seen, &|| beats.set(beats.get() + 1));
    assert!(report.failures.is_empty(), "{:#?}", report.failures);
    assert!(beats.get() >= number / 1024, "{} beats", beats.get());
}
