//! The requests and replies of the administration socket.

use std::net::IpAddr;

use clap::ValueEnum;
use serde::{Deserialize, Serialize};

use super::devices::DeviceAsk;
use super::enrol::EnrolAsk;
use crate::calibrate::CalibrationAsk;
use crate::connect::ConnectSetup;
use crate::enrol::EnrolmentSetup;
use crate::install::event::HostEvent;
use crate::space::SpaceSetup;
use crate::store::Role;

/// A request: one line. An import is the requests `import_begin`, `import_add`.., `import_commit`
/// on one connection; a connection that ends before the commit takes it all back.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "do", rename_all = "snake_case")]
pub enum Request {
    /// Begins an import.
    ImportBegin,
    /// Stages people; nothing is visible yet.
    ImportAdd {
        /// At most `ADMIN_PEOPLE_MAX`.
        people: Vec<NewPerson>,
    },
    /// Makes the import durable and in force.
    ImportCommit,
    /// A page of people, by external id.
    PeopleList {
        /// Begin after this external id.
        after: Option<String>,
        /// Only names and external ids that begin so.
        search: Option<String>,
        /// At most this many.
        limit: u32,
    },
    /// One person.
    PersonShow {
        /// The site's own name for the person.
        external_id: String,
    },
    /// Withdraws a person: out of force and deleted from the store; erased within the period.
    PersonWithdraw {
        /// The site's own name for the person.
        external_id: String,
    },
    /// Adds devices, each with a one-time commissioning code.
    DeviceAdd {
        /// Names and doors.
        devices: Vec<NewDevice>,
    },
    /// All devices.
    DeviceList,
    /// Removes a device: its certificate is refused from here on.
    DeviceRemove {
        /// The device's name.
        name: String,
    },
    /// Adds doors.
    DoorAdd {
        /// Their names.
        names: Vec<String>,
        /// Space's name for a single one.
        space_door: Option<String>,
    },
    /// All doors.
    DoorList,
    /// Gives a person a right.
    RightGrant {
        /// The site's own name for the person.
        external_id: String,
        /// The door's name; none means every door.
        door: Option<String>,
    },
    /// Takes a right from a person.
    RightRevoke {
        /// The site's own name for the person.
        external_id: String,
        /// The door's name; none means the right at every door.
        door: Option<String>,
    },
    /// Sets Space up; a key that is left empty is kept, or made.
    SpaceSet {
        /// How it is reached.
        setup: SpaceSetup,
    },
    /// Takes Space's set-up away.
    SpaceRemove,
    /// How Space is.
    SpaceStatus,
    /// Begins a sync.
    SpaceSync,
    /// Space's doors.
    SpaceDoors,
    /// Makes one of the two keys anew.
    SpaceRotateKey {
        /// Which.
        key: SpaceKey,
    },
    /// Agrees that people who are gone from Space may be erased.
    SpaceRelease,
    /// The gallery in force, and why it is searched as it is.
    GalleryShow,
    /// Searches the gallery by itself, for the choice of a threshold. Answered when done; the text
    /// is a `CalibrationReport` as JSON.
    Calibrate {
        /// How.
        ask: CalibrationAsk,
    },
    /// Puts a decision threshold into force.
    ThresholdSet {
        /// A comparison score.
        threshold: f32,
        /// The number of people it is for.
        people: u64,
        /// The FPIR it is for.
        fpir: f32,
    },
    /// Both keys between this server and Space.
    SpaceKeys,
    /// The script for Space's machine.
    SpaceInstallScript,
    /// A backup is about to be taken.
    BackupBegin {
        /// Where to.
        target: String,
    },
    /// A backup is at its place.
    BackupEnd {
        /// When it was taken, Unix seconds.
        taken_unix_s: i64,
    },
    /// The server gets another address.
    AddressChange {
        /// Which.
        to: IpAddr,
    },
    /// Which devices have followed.
    AddressStatus,
    /// The new address is the only one.
    AddressFinish {
        /// Also if devices have not followed.
        leave_behind: bool,
    },
    /// The site's own certificates.
    PkiShow,
    /// Gives the server a new key and certificate.
    PkiRenewServer,
    /// Makes a new site CA; the one before is trusted as long as a device needs it.
    PkiRollCa,
    /// Enrolment: set up, invite, follow.
    Enrol {
        /// What.
        ask: EnrolAsk,
    },
    /// Hosts and ports of the integrations that are set up.
    Integrations,
    /// Something happens to the machine.
    HostEvent {
        /// What.
        event: HostEvent,
        /// More about it, for people.
        detail: String,
    },
    /// Joins Connect, or changes how it is reached.
    ConnectSet {
        /// How.
        setup: Box<ConnectSetup>,
    },
    /// Leaves Connect.
    ConnectLeave,
    /// How Connect is.
    ConnectStatus,
    /// What waits for the broker.
    ConnectPending {
        /// At most this many.
        limit: u32,
    },
    /// What only the server can say, for a bundle of diagnostics.
    Diagnostics,
    /// Firmware, and how far devices are with it.
    UpdateStatus,
    /// The newest records of the audit, oldest first.
    AuditTail {
        /// At most this many; 1,000 at most.
        count: u32,
        /// Those before this number; the newest of all without it.
        #[serde(default)]
        before: Option<u64>,
    },
    /// The console's team.
    TeamList,
    /// Adds a member; the password must be changed at the first sign-in.
    TeamAdd {
        /// The name to sign in with.
        name: String,
        /// What they may do.
        role: Role,
        /// The password's hash, PHC form: a password never comes here.
        password_hash: String,
    },
    /// Another password for a member; it must be changed at the next sign-in.
    TeamPassword {
        /// The name.
        name: String,
        /// The password's hash, PHC form.
        password_hash: String,
    },
    /// Another role for a member.
    TeamRole {
        /// The name.
        name: String,
        /// What they may do.
        role: Role,
    },
    /// Removes a member.
    TeamRemove {
        /// The name.
        name: String,
    },
    /// Adds a token of the API.
    TokenAdd {
        /// The token.
        token: NewToken,
    },
    /// Removes a token of the API.
    TokenRemove {
        /// Its name.
        name: String,
    },
    /// Sets the Enrolment Service up.
    EnrolmentServiceSet {
        /// The company in charge of the site.
        company: String,
        /// The address of its privacy policy.
        policy_address: String,
        /// What came of looking at it, JSON.
        check: String,
        /// The rest, set with it or not at all.
        more: EnrolmentSetup,
    },
    /// Which integrations were added in the console.
    IntegrationsAdded {
        /// All of them.
        names: Vec<String>,
    },
    /// Devices and doors: codes, decommissioning, resets, changes.
    Devices {
        /// What.
        ask: DeviceAsk,
    },
}

impl Request {
    /// What the audit notes of this request, if it changes something: what, and to whom.
    #[must_use]
    pub fn change(&self) -> Option<(&'static str, String)> {
        let names = |names: &mut dyn Iterator<Item = &String>| {
            names.map(String::as_str).collect::<Vec<_>>().join(", ")
        };
        Some(match self {
            Self::ImportCommit => ("people.import", String::new()),
            Self::PersonWithdraw { external_id } => ("person.withdraw", external_id.clone()),
            Self::DeviceAdd { devices } => (
                "device.add",
                names(&mut devices.iter().map(|device| &device.name)),
            ),
            Self::DeviceRemove { name } => ("device.remove", name.clone()),
            Self::DoorAdd { names: doors, .. } => ("door.add", names(&mut doors.iter())),
            Self::RightGrant { .. } | Self::RightRevoke { .. } => return self.change_of_right(),
            Self::SpaceSet { setup } => ("space.set", setup.host.clone()),
            Self::SpaceRemove => ("space.remove", String::new()),
            Self::SpaceRotateKey { key } => ("space.rotate-key", format!("{key:?}").to_lowercase()),
            Self::SpaceRelease => ("space.release", String::new()),
            Self::ThresholdSet {
                threshold,
                people,
                fpir,
            } => (
                "threshold.set",
                format!("{threshold:.3} for {people} people, FPIR {fpir}"),
            ),
            Self::BackupBegin { target } => ("backup.begin", target.clone()),
            Self::BackupEnd { .. } => ("backup.end", String::new()),
            Self::AddressChange { to } => ("address.change", to.to_string()),
            Self::AddressFinish { .. } => ("address.finish", String::new()),
            Self::PkiRenewServer => ("pki.renew-server", String::new()),
            Self::PkiRollCa => ("pki.roll-ca", String::new()),
            Self::Enrol { ask } => return ask.change(),
            Self::ConnectSet { setup } => ("connect.join", setup.site.clone()),
            Self::ConnectLeave => ("connect.leave", String::new()),
            Self::TeamAdd { .. }
            | Self::TeamPassword { .. }
            | Self::TeamRole { .. }
            | Self::TeamRemove { .. }
            | Self::TokenAdd { .. }
            | Self::TokenRemove { .. }
            | Self::EnrolmentServiceSet { .. }
            | Self::IntegrationsAdded { .. } => return self.change_of_console(),
            Self::Devices { ask } => ask.change(),
            Self::HostEvent { event, detail } => (event.action(), detail.clone()),
            Self::ImportBegin
            | Self::AddressStatus
            | Self::ImportAdd { .. }
            | Self::PeopleList { .. }
            | Self::PersonShow { .. }
            | Self::DeviceList
            | Self::DoorList
            | Self::SpaceStatus
            | Self::SpaceSync
            | Self::SpaceDoors
            | Self::GalleryShow
            | Self::Calibrate { .. }
            | Self::SpaceKeys
            | Self::ConnectStatus
            | Self::ConnectPending { .. }
            | Self::Diagnostics
            | Self::UpdateStatus
            | Self::SpaceInstallScript
            | Self::PkiShow
            | Self::TeamList
            | Self::Integrations
            | Self::AuditTail { .. } => return None,
        })
    }

    /// The same of a right: whose, and where.
    fn change_of_right(&self) -> Option<(&'static str, String)> {
        let (what, external_id, door) = match self {
            Self::RightGrant { external_id, door } => ("right.grant", external_id, door),
            Self::RightRevoke { external_id, door } => ("right.revoke", external_id, door),
            _ => return None,
        };
        let door = door.as_deref().unwrap_or("every door");
        Some((what, format!("{external_id}, {door}")))
    }

    /// The same of what only the console asks.
    fn change_of_console(&self) -> Option<(&'static str, String)> {
        Some(match self {
            Self::TeamAdd { name, role, .. } => ("team.add", format!("{name}, {}", role.name())),
            Self::TeamPassword { name, .. } => ("team.password", name.clone()),
            Self::TeamRole { name, role } => ("team.role", format!("{name}, {}", role.name())),
            Self::TeamRemove { name } => ("team.remove", name.clone()),
            Self::TokenAdd { token } => (
                "token.add",
                format!("{}: {}", token.name, token.scopes.join(", ")),
            ),
            Self::TokenRemove { name } => ("token.remove", name.clone()),
            Self::EnrolmentServiceSet { company, more, .. } => {
                let version = more.policy_version.iter();
                let version: String = version.map(|text| format!(", version {text}")).collect();
                ("enrolment.set", format!("{company}{version}"))
            }
            Self::IntegrationsAdded { names } => ("integrations.add", names.join(", ")),
            _ => return None,
        })
    }
}

/// One of the two keys between this server and Space.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, ValueEnum)]
#[serde(rename_all = "snake_case")]
pub enum SpaceKey {
    /// This server's key to Space.
    Ship,
    /// Space's key to this server.
    Face,
}

/// A person to enrol.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct NewPerson {
    /// The site's own name for the person.
    pub external_id: String,
    /// The person's name.
    pub name: String,
    /// `*` or door names separated by `;`; empty for none.
    #[serde(default)]
    pub doors: String,
    /// Version of the privacy policy that the person consented to.
    pub policy_version: String,
    /// When, RFC 3339.
    pub consented_at: String,
    /// References: base64 of 512 little-endian f32 each.
    pub references: Vec<String>,
}

/// A device to add.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewDevice {
    /// Its name.
    pub name: String,
    /// Its door's name.
    pub door: String,
}

/// A token of the API to add.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct NewToken {
    /// What it is called.
    pub name: String,
    /// What it may do, by the names of scopes.
    pub scopes: Vec<String>,
    /// The hash of its secret, 32 bytes.
    pub hash: Vec<u8>,
    /// For how long it holds, days; for ever if none.
    pub days: Option<u16>,
}

/// A reply: one line.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "is", rename_all = "snake_case")]
pub enum Response {
    /// Done, durable and in force.
    Done {
        /// In words, for the operator.
        text: String,
    },
    /// Not done.
    Error {
        /// Why, in words.
        text: String,
    },
    /// People staged by an `import_add`, but for these.
    Staged {
        /// People that were refused.
        refused: Vec<Refused>,
    },
    /// Rows to show: a table.
    Table {
        /// Column heads.
        columns: Vec<String>,
        /// Cells, as many a row as there are columns.
        rows: Vec<Vec<String>>,
    },
}

/// A person that an import cannot take.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Refused {
    /// Place in the request's list.
    pub index: usize,
    /// Why, in words.
    pub why: String,
}
