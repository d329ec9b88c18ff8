//! kube-router for hosts: one daemon that keeps four reconcilers true on its node.
//!
//! ```text
//!    edges (async)                     pure                              edges (blocking, one thread each)
//!
//!  API server ─┐                                       ┌─ proxy::plan ───► changes ─► apply ─► ipvs rtnl ipset iptables conntrack sysctl
//!  manifests  ─┴► watch ─► convert ─► store ─► Snapshot ┼─ netpol::plan ──► changes ─► apply ─► nft | ipset + iptables
//!                                              (Arc)   ├─ routing::plan ─► changes ─► apply ─► rtnl fou ipset iptables sysctl,
//!  kernel links, addresses ─► watch::node ─► NodeFacts ─┤                                       CNI file, and Desired ─► bgp, bfd
//!  peers ◄─ TCP ─► bgp::speaker(fsm, rib, policy) ─► BestPaths ◄──────────────────────────────────────────────┘
//!                                                      └─ (lballoc comes in a later version)
//! ```
//!
//! The rooms and the law of their imports (checked by `tests/layering.rs`):
//!
//! ```text
//! L6 app
//! L5 http   cli
//! L4 proxy   netpol   routing   control
//! L3 watch   reconcile
//! L2 model   config   firewall
//! L1 kernel::{netlink ◄ genl ◄ {ipvs, fou};  netlink ◄ {rtnl, ipset, conntrack, nft, nflog};  iptables;  sysctl}
//!    bgp::{wire ◄ fsm;  wire ◄ rib ◄ policy;  all ◄ speaker}   bfd
//! L0 net   delta   metrics
//! ```

pub mod app;
pub mod bfd;
pub mod bgp;
pub mod cli;
pub mod config;
pub mod control;
pub mod delta;
pub mod firewall;
pub mod http;
pub mod kernel;
pub mod metrics;
pub mod model;
pub mod net;
pub mod netpol;
pub mod proxy;
pub mod reconcile;
pub mod routing;
pub mod watch;
