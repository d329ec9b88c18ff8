//! A fresh network namespace with IPVS in it, for one thread.
#![expect(unsafe_code, reason = "unshare has no wrapper in std")]

use std::io::Write;
use std::sync::{Mutex, PoisonError};
use std::thread::{self, JoinHandle};
use std::{env, io, panic};

use kube_router::kernel::ipvs::{Ipvs, IpvsError};
use kube_router::kernel::netlink::{Request, Socket};

/// All namespaces share the kernel's table, and a list that is read while another namespace
/// changes it can be wrong; `ipvsadm`, our witness, does not mind that.
static ONE_AT_A_TIME: Mutex<()> = Mutex::new(());

/// Runs `body` in a namespace as [`spawn`] does, while no other test does, and waits for it.
pub(crate) fn with_ipvs<T: Send + 'static>(
    body: impl FnOnce(Ipvs) -> T + Send + 'static,
) -> Option<T> {
    let _turn = ONE_AT_A_TIME.lock().unwrap_or_else(PoisonError::into_inner);
    spawn(body)
        .join()
        .unwrap_or_else(|reason| panic::resume_unwind(reason))
}

/// Runs `body` on a thread of its own in a new, empty network namespace.
///
/// Without root or without IPVS it says loudly that nothing was proved, and fails where
/// `KUBE_ROUTER_REQUIRE_KERNEL=1` says that both must be there.
pub(crate) fn spawn<T: Send + 'static>(
    body: impl FnOnce(Ipvs) -> T + Send + 'static,
) -> JoinHandle<Option<T>> {
    thread::spawn(move || {
        // SAFETY: no pointers are passed; only this thread is affected.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } != 0 {
            let error = io::Error::last_os_error();
            not_run(&format!("no network namespace: {error}"));
            return None;
        }
        match Ipvs::open() {
            Ok(ipvs) => {
                raise_loopback();
                Some(body(ipvs))
            }
            Err(IpvsError::Unsupported) => {
                not_run(&IpvsError::Unsupported.to_string());
                None
            }
            Err(error) => panic!("{error}"),
        }
    })
}

/// A namespace without any address refuses every IPv4 real server.
fn raise_loopback() {
    const LOOPBACK: i32 = 1;
    let up = u32::try_from(libc::IFF_UP).unwrap();
    let mut header = vec![0; 4];
    header.extend(LOOPBACK.to_ne_bytes());
    header.extend(up.to_ne_bytes());
    header.extend(up.to_ne_bytes());
    let mut socket = Socket::open(libc::NETLINK_ROUTE).unwrap();
    socket
        .request(&Request::new(libc::RTM_NEWLINK, 0).payload(&header))
        .unwrap();
}

fn not_run(reason: &str) {
    let required = env::var("KUBE_ROUTER_REQUIRE_KERNEL").is_ok_and(|value| value == "1");
    assert!(!required, "the kernel is required here: {reason}");
    // Past the test harness, which would keep the output of a passing test to itself.
    let _unheard = writeln!(io::stderr(), "NOT RUN, NOTHING PROVED: {reason}");
}
