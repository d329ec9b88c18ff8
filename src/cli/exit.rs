//! Exit codes, as `kube-router(8)` lists them.

use std::process::ExitCode;

/// How a command ended. 64 and above are those of `sysexits.h`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Exit {
    Success,
    /// It was tried and went wrong; standard error says what. Also: `check-config` found faults.
    Failure,
    /// The command line makes no sense.
    Usage,
    /// The kernel has no IPVS (`EX_UNAVAILABLE`); a restart can't help, so the unit must not try.
    /// Of commands that ask the daemon: it can't be asked.
    Unavailable,
    /// The configuration is refused (`EX_CONFIG`); a restart can't help.
    BadConfig,
}

// === impl Exit ===

impl Exit {
    /// The codes with what they mean, in the words of the manual.
    pub const ALL: [(Self, &'static str); 5] = [
        (Self::Success, "Success."),
        (
            Self::Failure,
            "Failure; standard error or the journal says what failed. For check-config: the configuration has faults. For bgp: there is no such peer or prefix.",
        ),
        (Self::Usage, "The command line is wrong."),
        (
            Self::Unavailable,
            "The kernel has no IPVS (module ip_vs). Restarting does not help. For bgp: the daemon can't be asked, or routing is switched off.",
        ),
        (
            Self::BadConfig,
            "The configuration is refused. Restarting does not help; see check-config.",
        ),
    ];

    #[must_use]
    pub fn code(self) -> u8 {
        match self {
            Self::Success => 0,
            Self::Failure => 1,
            Self::Usage => 2,
            Self::Unavailable => 69,
            Self::BadConfig => 78,
        }
    }
}

impl From<Exit> for ExitCode {
    fn from(exit: Exit) -> Self {
        Self::from(exit.code())
    }
}
