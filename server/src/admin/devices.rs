//! What administrators ask about devices and doors beyond adding and removing them.

use serde::{Deserialize, Serialize};

/// A request about a device or a door, by name.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "devices", rename_all = "snake_case")]
pub enum DeviceAsk {
    /// Another one-time commissioning code, in place of any before.
    Code {
        /// The device.
        name: String,
    },
    /// Has a device forget its key at its next contact; then it is removed.
    Decommission {
        /// The device.
        name: String,
    },
    /// Signs the last code of a reset for the colours that the device shows.
    Reset {
        /// The device.
        name: String,
        /// Its colours, a letter each.
        colours: String,
    },
    /// Gives a door another name, and another door of Space's.
    DoorEdit {
        /// The door.
        name: String,
        /// Its new name.
        new_name: String,
        /// Space's name for it; none pairs it with no door.
        space_door: Option<String>,
    },
    /// Removes a door at which there is no device, and every right at it.
    DoorRemove {
        /// The door.
        name: String,
    },
}

impl DeviceAsk {
    /// What the audit notes of it: what, and to whom.
    #[must_use]
    pub fn change(&self) -> (&'static str, String) {
        match self {
            Self::Code { name } => ("device.code", name.clone()),
            Self::Decommission { name } => ("device.decommission", name.clone()),
            Self::Reset { name, .. } => ("device.reset", name.clone()),
            Self::DoorEdit { name, new_name, .. } => ("door.edit", format!("{name}, {new_name}")),
            Self::DoorRemove { name } => ("door.remove", name.clone()),
        }
    }
}
