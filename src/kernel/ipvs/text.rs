//! The text form: what `ipvsadm -S -n` prints and `ipvsadm -R` reads.
//!
//! Invariants: printing and parsing (`parse.rs`) round-trip; a table prints byte for byte as
//! `ipvsadm` 1.31 does, but for what that loses: connection thresholds (`-x`, `-y`) are printed
//! where they are set, `flag-3` also with `sh` and `mh`, marks above 2³¹ as they are typed, and
//! the forwarding methods that cannot be typed as `--local` and `--bypass`.

use std::fmt::{self, Write as _};
use std::net::{IpAddr, Ipv4Addr};

use super::object::{
    Command, ForwardMethod, Persistence, RealKey, RealServer, Scheduler, ServiceFlags, Timeouts,
    VirtualKey, VirtualServer, VirtualTable,
};
use crate::net::{Family, Protocol};

impl fmt::Display for VirtualKey {
    /// `-t 10.96.0.10:80`, `-u [fd00::1]:53`, `--sctp-service …`, `-f 7`, `-f 7 -6`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match *self {
            Self::Address {
                address,
                protocol,
                port,
            } => {
                let option = match protocol {
                    Protocol::Tcp => "-t",
                    Protocol::Udp => "-u",
                    Protocol::Sctp => "--sctp-service",
                };
                write!(f, "{option} {}", RealKey { address, port })
            }
            Self::FwMark {
                mark,
                family: Family::V4,
            } => write!(f, "-f {mark}"),
            Self::FwMark {
                mark,
                family: Family::V6,
            } => write!(f, "-f {mark} -6"),
        }
    }
}

impl fmt::Display for RealKey {
    /// `10.0.0.1:80`, `[fd00::1]:80`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.address {
            IpAddr::V4(address) => write!(f, "{address}:{}", self.port),
            IpAddr::V6(address) => write!(f, "[{address}]:{}", self.port),
        }
    }
}

impl fmt::Display for VirtualServer {
    /// `-t 10.96.0.10:80 -s rr -p 60 -M 255.255.255.0 -o -b flag-1,flag-2`; a mask of the whole
    /// address is not printed.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} -s {}", self.key, self.scheduler)?;
        if let Some(Persistence {
            timeout,
            prefix_length,
        }) = self.persistence
        {
            write!(f, " -p {timeout}")?;
            let family = self.key.family();
            match family {
                _ if prefix_length == family.host_bits() => {}
                Family::V4 => write!(f, " -M {}", Ipv4Addr::from_bits(mask(prefix_length)))?,
                Family::V6 => write!(f, " -M {prefix_length}")?,
            }
        }
        if self.flags.contains(ServiceFlags::ONE_PACKET) {
            f.write_str(" -o")?;
        }
        let mut separator = " -b ";
        for (flag, name) in flag_names(self.scheduler) {
            if self.flags.contains(flag) {
                write!(f, "{separator}{name}")?;
                separator = ",";
            }
        }
        Ok(())
    }
}

impl fmt::Display for RealServer {
    /// `-r 10.0.0.1:8080 -m -w 1`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let method = match self.forward {
            ForwardMethod::Masquerade => "-m",
            ForwardMethod::Local => "--local",
            ForwardMethod::Tunnel => "-i",
            ForwardMethod::Direct => "-g",
            ForwardMethod::Bypass => "--bypass",
        };
        write!(f, "-r {} {method} -w {}", self.key, self.weight)?;
        if self.forward == ForwardMethod::Tunnel {
            f.write_str(" --tun-type ipip")?;
        }
        if self.upper_threshold != 0 {
            write!(f, " -x {}", self.upper_threshold)?;
        }
        if self.lower_threshold != 0 {
            write!(f, " -y {}", self.lower_threshold)?;
        }
        Ok(())
    }
}

impl fmt::Display for Command {
    /// The arguments of `ipvsadm`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::AddVirtual(server) => write!(f, "-A {server}"),
            Self::SetVirtual(server) => write!(f, "-E {server}"),
            Self::DelVirtual(key) => write!(f, "-D {key}"),
            Self::AddReal(key, real) => write!(f, "-a {key} {real}"),
            Self::SetReal(key, real) => write!(f, "-e {key} {real}"),
            Self::DelReal(key, real) => write!(f, "-d {key} -r {real}"),
        }
    }
}

impl fmt::Display for VirtualTable {
    /// One line for the virtual server and one for each real server, each with its line end.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.commands()
            .try_for_each(|command| writeln!(f, "{command}"))
    }
}

impl fmt::Display for Timeouts {
    /// `--set 900 120 300`.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "--set {} {} {}", self.tcp, self.tcp_fin, self.udp)
    }
}

/// A saved table as text, in the order given.
#[must_use]
pub fn print_table(tables: &[VirtualTable]) -> String {
    tables.iter().fold(String::new(), |mut text, table| {
        // Writing to a String has no error.
        let _infallible = write!(text, "{table}");
        text
    })
}

/// An IPv4 address mask with this many leading ones.
pub(super) fn mask(prefix_length: u8) -> u32 {
    u32::MAX
        .checked_shl(32 - u32::from(prefix_length.min(32)))
        .unwrap_or(0)
}

fn flag_names(scheduler: Scheduler) -> [(ServiceFlags, &'static str); 3] {
    let (first, second) = match scheduler {
        Scheduler::Sh => ("sh-fallback", "sh-port"),
        Scheduler::Mh => ("mh-fallback", "mh-port"),
        _ => ("flag-1", "flag-2"),
    };
    [
        (ServiceFlags::SCHED_1, first),
        (ServiceFlags::SCHED_2, second),
        (ServiceFlags::SCHED_3, "flag-3"),
    ]
}
