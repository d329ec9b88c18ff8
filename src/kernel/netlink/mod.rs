//! kernel/netlink
