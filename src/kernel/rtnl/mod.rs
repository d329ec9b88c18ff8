//! kernel/rtnl
