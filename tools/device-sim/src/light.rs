//! The light ring, as people at the door see it.

use std::fmt;

/// What the ring shows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Light {
    /// Solid white.
    Idle,
    /// Flashing white.
    RequestingAccess,
    /// Solid green.
    Granted,
    /// Solid green.
    SelfTestPassed,
    /// Flashing green.
    Commissioned,
    /// Flashing green.
    Enrolled,
    /// Solid red.
    Denied,
    /// Solid red.
    WrongCode,
    /// Flashing red.
    Error,
    /// Flashing blue.
    Connecting,
    /// Flashing yellow.
    WaitingForCommissioning,
    /// All colours, then those that were drawn.
    Rainbow,
    /// Dark.
    Off,
}

impl fmt::Display for Light {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Idle => "solid white (idle)",
            Self::RequestingAccess => "flashing white (requesting access)",
            Self::Granted => "solid green (granted)",
            Self::SelfTestPassed => "solid green (self-test passed)",
            Self::Commissioned => "flashing green (commissioned)",
            Self::Enrolled => "flashing green (enrolled)",
            Self::Denied => "solid red (denied)",
            Self::WrongCode => "solid red (wrong code)",
            Self::Error => "flashing red (error)",
            Self::Connecting => "flashing blue (connecting to the server)",
            Self::WaitingForCommissioning => "flashing yellow (waiting to be commissioned)",
            Self::Rainbow => "rainbow (reset)",
            Self::Off => "off",
        })
    }
}
