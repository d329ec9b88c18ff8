//! kernel/iptables
