//! kernel/ipset
