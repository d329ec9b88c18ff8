//! IPVS by generic netlink: virtual servers, real servers, timeouts, statistics.

pub mod object;
