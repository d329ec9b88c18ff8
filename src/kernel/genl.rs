//! Generic netlink: a family by its name.
