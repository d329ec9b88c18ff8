//! kernel/conntrack
