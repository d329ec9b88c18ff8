//! kernel/ipvs
