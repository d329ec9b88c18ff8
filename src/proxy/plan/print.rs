//! The plan as an administrator's tools would show it.
