//! Network policy by example: the scenarios that upstream's end-to-end suite walks through, the
//! defects that must not come back, and clusters that nobody means well with.
//!
//! Every answer is asked of the rules and of the oracle.
#![allow(clippy::unwrap_used, reason = "a test")]

#[path = "common/policy_cluster.rs"]
mod policy_cluster;
#[path = "common/policy_oracle.rs"]
mod policy_oracle;

#[path = "netpol_cases/ask.rs"]
mod ask;
#[path = "netpol_cases/defects.rs"]
mod defects;
#[path = "netpol_cases/hostile.rs"]
mod hostile;
#[path = "netpol_cases/scenarios.rs"]
mod scenarios;
