//! Fresh network namespaces for unit tests against the real kernel.
#![expect(unsafe_code, reason = "unshare has no wrapper in std")]

use std::io::Write;
use std::{env, io, thread};

/// Runs `test` on a thread of its own inside a new, empty network namespace.
///
/// Where namespaces are refused (no root) it says so and does nothing, unless
/// `KUBE_ROUTER_REQUIRE_NETNS=1` turns that into a failure.
pub(crate) fn in_new_namespace(test: impl FnOnce() + Send + 'static) {
    let body = move || {
        // SAFETY: no pointers are passed; only this thread is affected.
        if unsafe { libc::unshare(libc::CLONE_NEWNET) } == 0 {
            test();
            return;
        }
        let error = io::Error::last_os_error();
        let required = env::var("KUBE_ROUTER_REQUIRE_NETNS").is_ok_and(|value| value == "1");
        assert!(!required, "network namespaces are required here: {error}");
        // Past the test harness, which would keep the output of a passing test to itself.
        let reason = "NOT RUN: this test needs a network namespace of its own";
        let _unheard = writeln!(io::stderr(), "{reason}: {error}");
    };
    if let Err(panic) = thread::spawn(body).join() {
        std::panic::resume_unwind(panic);
    }
}
