//! What the process may do: CAP_NET_ADMIN and CAP_NET_RAW, CAP_NET_BIND_SERVICE where it speaks BGP,
//! and nothing else it was started with.
//!
//! Capabilities belong to threads, and a thread hands its own to those it starts. So they are
//! dropped on the only thread there is, before the runtime and the controllers start theirs.
//! The ambient and inheritable sets keep the two where they were given: without them the
//! iptables that an unprivileged daemon starts could do nothing.

use caps::errors::CapsError;
use caps::{CapSet, Capability, CapsHashSet};

/// CAP_NET_RAW is for iptables' `-m set`.
const NEEDED: [Capability; 2] = [Capability::CAP_NET_ADMIN, Capability::CAP_NET_RAW];

/// For BGP's port. It is kept, since an address to listen at may come late; who has not got it is
/// told when the port is refused.
const TO_LISTEN: Capability = Capability::CAP_NET_BIND_SERVICE;

/// Why the process cannot do its work, or cannot give away what it does not need.
#[derive(Debug, thiserror::Error)]
pub(super) enum PrivilegeError {
    #[error(
        "the capability {0} is missing; run as root, or have systemd grant it \
         (AmbientCapabilities={0})"
    )]
    Missing(Capability),
    #[error("capability set {set}: {what}")]
    System { set: &'static str, what: CapsError },
}

/// Reduces every set of the calling thread to what is needed. `listens`: peers connect to it.
///
/// # Errors
/// Where what is needed is not there, or the system refuses.
pub(super) fn drop(listens: bool) -> Result<(), PrivilegeError> {
    let permitted = read(CapSet::Permitted, "permitted")?;
    if let Some(missing) = NEEDED
        .into_iter()
        .find(|needed| !permitted.contains(needed))
    {
        return Err(PrivilegeError::Missing(missing));
    }
    let mut needed = CapsHashSet::from(NEEDED);
    if listens && permitted.contains(&TO_LISTEN) {
        needed.insert(TO_LISTEN);
    }
    bound(&needed)?;
    reduce(CapSet::Ambient, "ambient", &needed)?;
    reduce(CapSet::Inheritable, "inheritable", &needed)?;
    // The effective set first: it may not exceed the permitted one.
    set(CapSet::Effective, "effective", &needed)?;
    set(CapSet::Permitted, "permitted", &needed)
}

/// The bounding set limits what a program started by root gets back. Only CAP_SETPCAP may shrink
/// it; who has not got that is not root, and gets nothing back either.
fn bound(needed: &CapsHashSet) -> Result<(), PrivilegeError> {
    let effective = read(CapSet::Effective, "effective")?;
    if !effective.contains(&Capability::CAP_SETPCAP) {
        return Ok(());
    }
    for extra in surplus(CapSet::Bounding, "bounding", needed)? {
        caps::drop(None, CapSet::Bounding, extra).map_err(|what| PrivilegeError::System {
            set: "bounding",
            what,
        })?;
    }
    Ok(())
}

fn reduce(which: CapSet, name: &'static str, needed: &CapsHashSet) -> Result<(), PrivilegeError> {
    for extra in surplus(which, name, needed)? {
        caps::drop(None, which, extra)
            .map_err(|what| PrivilegeError::System { set: name, what })?;
    }
    Ok(())
}

fn surplus(
    which: CapSet,
    name: &'static str,
    needed: &CapsHashSet,
) -> Result<Vec<Capability>, PrivilegeError> {
    let held = read(which, name)?;
    Ok(held.difference(needed).copied().collect())
}

fn read(which: CapSet, set: &'static str) -> Result<CapsHashSet, PrivilegeError> {
    caps::read(None, which).map_err(|what| PrivilegeError::System { set, what })
}

fn set(which: CapSet, name: &'static str, to: &CapsHashSet) -> Result<(), PrivilegeError> {
    caps::set(None, which, to).map_err(|what| PrivilegeError::System { set: name, what })
}
