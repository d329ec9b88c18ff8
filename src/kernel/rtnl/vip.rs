//! Puts VIPs on a link so that the host itself talks to them from an address of the node.
//!
//! ```text
//! address VIP (scope link) ──► local route VIP src NODE ──► IPv6: the kernel's own routes away
//! ```
//!
//! The kernel makes its own local route for every IPv6 address, with a better metric than ours
//! and without a source, some time after the address was added. Until it is deleted the host
//! talks to the VIP from the VIP. For IPv4 ours takes the place of the kernel's; but ours outlives
//! an address that somebody removes, and then the kernel's new one stands beside it and goes too.

use std::net::IpAddr;

use rustc_hash::FxHashSet;

use super::object::{Address, Change, Route, stray_routes};
use super::{Error, Interfaces, Outcome, RouteQuery};
use crate::net::{ByFamily, Family};

/// Bound on the rounds of listing that find no late route; other changes may wake us.
const IDLE_ROUNDS: usize = 16;

/// Adds VIPs (with the source address for each) to a link; one verdict per VIP.
///
/// `wait` returns when routes have changed, `false` if they don't any more.
pub(super) fn add<I: Interfaces>(
    interfaces: &mut I,
    link: u32,
    vips: &[(IpAddr, IpAddr)],
    mut wait: impl FnMut(&mut I) -> bool,
) -> Vec<Result<Outcome, Error>> {
    let mut verdicts: Vec<Result<Outcome, Error>> = Vec::with_capacity(vips.len());
    let valid = |pair: &(IpAddr, IpAddr)| Family::of(pair.0) == Family::of(pair.1);
    let changes: Vec<Change> = vips
        .iter()
        .filter(|pair| valid(pair))
        .flat_map(|(vip, source)| {
            [
                Change::AddAddress(Address::vip(link, *vip)),
                Change::ReplaceRoute(Route::vip(link, *vip, *source)),
            ]
        })
        .collect();
    let mut outcomes = interfaces.change(&changes).into_iter();
    let mut fresh = FxHashSet::default();
    let mut present: ByFamily<Vec<(IpAddr, IpAddr)>> = ByFamily::default();
    for pair in vips {
        if !valid(pair) {
            let (vip, node) = *pair;
            verdicts.push(Err(Error::MixedFamilies { vip, node }));
            continue;
        }
        let verdict = match (outcomes.next(), outcomes.next()) {
            (Some(Ok(address)), Some(route)) => {
                present.get_mut(Family::of(pair.0)).push(*pair);
                // IPv4's own route is there at once, IPv6's comes later.
                if pair.0.is_ipv6() && address == Outcome::Changed {
                    fresh.insert(pair.0);
                }
                route
            }
            (Some(Err(error)), _) => Err(error),
            (Some(Ok(_)) | None, _) => Err(Error::NoVerdict),
        };
        verdicts.push(verdict);
    }
    for family in Family::ALL {
        let late = match family {
            Family::V4 => FxHashSet::default(),
            Family::V6 => std::mem::take(&mut fresh),
        };
        let of_family = (family, present.get(family).as_slice());
        let cleared = clear_strays(interfaces, link, of_family, late, &mut wait);
        let Err(error) = cleared else { continue };
        let pairs = verdicts.iter_mut().zip(vips);
        for (verdict, _) in pairs.filter(|(_, pair)| Family::of(pair.0) == family) {
            if verdict.is_ok() {
                *verdict = Err(error.clone());
            }
        }
    }
    verdicts
}

/// Deletes routes to the VIPs that have another source, until the one that the kernel makes
/// for each `fresh` address has been seen and deleted.
fn clear_strays<I: Interfaces>(
    interfaces: &mut I,
    link: u32,
    (family, vips): (Family, &[(IpAddr, IpAddr)]),
    mut fresh: FxHashSet<IpAddr>,
    mut wait: impl FnMut(&mut I) -> bool,
) -> Result<(), Error> {
    if vips.is_empty() {
        return Ok(());
    }
    let query = RouteQuery {
        family: Some(family),
        table: None,
        link: Some(link),
    };
    for _ in 0..IDLE_ROUNDS + fresh.len() {
        let strays = stray_routes(link, vips, &interfaces.routes(query)?);
        let changes: Vec<Change> = strays.iter().copied().map(Change::DelRoute).collect();
        for (stray, outcome) in strays.iter().zip(interfaces.change(&changes)) {
            outcome?;
            fresh.remove(&stray.destination.addr());
        }
        if fresh.is_empty() || !wait(interfaces) {
            break;
        }
    }
    Ok(())
}

/// Removes VIPs from a link, with all routes to them on it; one verdict per VIP.
pub(super) fn remove(
    interfaces: &mut (impl Interfaces + ?Sized),
    link: u32,
    vips: &[IpAddr],
) -> Vec<Result<Outcome, Error>> {
    let changes: Vec<Change> = vips
        .iter()
        .flat_map(|vip| {
            // Any source: the node's address may have been another one when the route was made.
            let route = Route {
                source: None,
                ..Route::vip(link, *vip, *vip)
            };
            [
                Change::DelAddress(Address::vip(link, *vip)),
                Change::DelRoute(route),
            ]
        })
        .collect();
    let mut outcomes = interfaces.change(&changes).into_iter();
    let verdicts = vips
        .iter()
        .map(|_| match (outcomes.next(), outcomes.next()) {
            (Some(Ok(Outcome::Unchanged)), Some(route)) => route,
            (Some(Ok(Outcome::Changed)), Some(Ok(_))) => Ok(Outcome::Changed),
            (Some(Ok(Outcome::Changed)), Some(Err(error))) | (Some(Err(error)), _) => Err(error),
            (Some(Ok(_)) | None, None) | (None, Some(_)) => Err(Error::NoVerdict),
        });
    verdicts.collect()
}
