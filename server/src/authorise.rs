//! May this person pass this door, as things stand now? Asked twice for each attempt: before it
//! is recorded, and again at the last moment before the door opens.

use std::sync::Arc;

use cardea_space::client::SpaceClient;
use cardea_space::datetime::LocalDateTime;
use cardea_space::ext_id::ExtId;
use cardea_space::rights::{Decision, DenyReason, Rights, Timetables};
use cardea_wire::Reason;

use crate::directory::{Device, Directory, Person};

/// Who decides.
#[derive(Default)]
pub enum Authoriser {
    /// No access control system is configured: the store's own rights decide, default deny, and
    /// the device's door opens by our answer.
    #[default]
    Standalone,
    /// Salto Space: its synced rights decide, and it opens.
    Space(SpaceAuthoriser),
}

/// What is known of Space.
pub struct SpaceAuthoriser {
    /// The connection; none if it could not be started.
    pub client: Option<Arc<SpaceClient>>,
    /// Rights as of the last sync; none before the first one.
    pub rights: Option<Arc<Rights>>,
    /// What the site says of Space's timezone tables.
    pub timetables: Arc<Timetables>,
}

/// How a permitted door opens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Way {
    /// By our answer.
    ByReply,
    /// By Space, under its own name for the door.
    BySpace(ExtId),
}

/// Everything that a decision looks at, for the moment of a decision.
pub struct Authority<'a> {
    /// People, rights and devices.
    pub directory: &'a Directory,
    /// Who decides.
    pub authoriser: &'a Authoriser,
}

impl Authority<'_> {
    /// May this person pass the device's door at this moment?
    ///
    /// # Errors
    /// The reason of the denial; [`Reason::Withdrawn`] for a person no longer in force.
    pub fn permit(&self, person: u64, device: &Device, unix_s: i64) -> Result<Way, Reason> {
        match self.authoriser {
            Authoriser::Standalone => self
                .directory
                .authorise(person, device.door)
                .map(|_| Way::ByReply),
            Authoriser::Space(space) => {
                let person = self.directory.person(person).ok_or(Reason::Withdrawn)?;
                space.permit(person, device, unix_s).map(Way::BySpace)
            }
        }
    }
}

impl SpaceAuthoriser {
    fn permit(&self, person: &Person, device: &Device, unix_s: i64) -> Result<ExtId, Reason> {
        let unavailable = Reason::SpaceUnavailable;
        let rights = self.rights.as_ref().ok_or(unavailable)?;
        let client = self.client.as_ref().ok_or(unavailable)?;
        let offset_s = client.status().offset_s.ok_or(unavailable)?;
        let user = ExtId::parse(&person.external_id).ok_or(Reason::NotInSpace)?;
        let door = device
            .space_door
            .as_deref()
            .and_then(ExtId::parse)
            .ok_or(Reason::DoorNotInSpace)?;
        match rights.decide(
            &user,
            &door,
            LocalDateTime::at(unix_s, offset_s),
            &self.timetables,
        ) {
            Decision::Permit => Ok(door),
            Decision::Deny(why) => Err(reason(why)),
        }
    }
}

fn reason(why: DenyReason) -> Reason {
    match why {
        DenyReason::UnknownPerson => Reason::NotInSpace,
        DenyReason::UnknownDoor => Reason::DoorNotInSpace,
        DenyReason::UnreadableRecord => Reason::RecordUnreadable,
        DenyReason::Banned => Reason::Banned,
        DenyReason::NotYetActive => Reason::NotYetActive,
        DenyReason::Expired => Reason::Expired,
        DenyReason::NoRight => Reason::NoRight,
        DenyReason::OutsidePeriod => Reason::OutsidePeriod,
        DenyReason::OutsideTimetable { .. } => Reason::OutsideTimezone,
        DenyReason::TimetableNotDescribed { .. } => Reason::TimezoneNotDescribed,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Two denials once had another's code, so the log said "banned" of who was not. Exchanging
    /// any two lines of `reason` fails this.
    #[test]
    fn each_denial_has_its_own_code() {
        for (why, code) in [
            (DenyReason::UnknownPerson, 110),
            (DenyReason::UnknownDoor, 118),
            (DenyReason::UnreadableRecord, 119),
            (DenyReason::Banned, 104),
            (DenyReason::NotYetActive, 105),
            (DenyReason::Expired, 106),
            (DenyReason::NoRight, 101),
            (DenyReason::OutsidePeriod, 107),
            (DenyReason::OutsideTimetable { table: 3 }, 108),
            (DenyReason::TimetableNotDescribed { table: 3 }, 109),
        ] {
            assert_eq!(reason(why).code(), code, "{why:?}");
        }
    }
}
