//! `/proc/net/ip_vs`.
#![no_main]

use kube_router::kernel::ipvs::parse_proc;
use libfuzzer_sys::fuzz_target;

fuzz_target!(|text: &str| {
    let _either = parse_proc(text);
});
