//! Users, doors, zones and groups as Space describes them. Elements that are not read are passed
//! by; what is absent is `None` or empty.
//!
//! A record with something unreadable in it is kept and says so ([`User::unreadable`]): one odd
//! record must neither stop the sync of all others nor be granted anything.

use crate::datetime::LocalDateTime;
use crate::ext_id::ExtId;
use crate::xml::{Cursor, XmlError};

/// The number of `GPF` fields of a user.
pub const GPF_FIELDS: usize = 5;

/// The right to open a door or the doors of a zone.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Permission {
    /// The door's or the zone's identifier.
    pub target: ExtId,
    /// 0 means always; any other number names a table of Space.
    pub timezone_table: u32,
    /// Only from the first instant until before the second. `None` without a period.
    pub period: Option<(LocalDateTime, LocalDateTime)>,
}

/// A `SaltoDBUser`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct User {
    /// `ExtUserID`.
    pub id: ExtId,
    /// `Title`, `FirstName` and `LastName`; any may be empty.
    pub title: String,
    /// `FirstName`.
    pub first_name: String,
    /// `LastName`.
    pub last_name: String,
    /// `GPF1` to `GPF5`; one of them may hold the e-mail address, the site knows which.
    pub gpf: [String; GPF_FIELDS],
    /// `PhoneNumber`.
    pub phone_number: String,
    /// `IsBanned`.
    pub is_banned: bool,
    /// `UserActivation`: no right before.
    pub activation: Option<LocalDateTime>,
    /// `UserExpiration`, where `UserExpiration.Enabled` is 1: no right from then on.
    pub expiration: Option<LocalDateTime>,
    /// `User_Door` permissions.
    pub doors: Vec<Permission>,
    /// `User_Zone` permissions.
    pub zones: Vec<Permission>,
    /// `User_Group` memberships.
    pub groups: Vec<ExtId>,
    /// The name of the first field that could not be read; such a user has no rights.
    pub unreadable: Option<&'static str>,
}

/// A `SaltoDBDoor`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Door {
    /// `ExtDoorID`.
    pub id: ExtId,
    /// `Name`.
    pub name: String,
    /// `Description`.
    pub description: String,
    /// `BatteryStatus`; `None` when unknown (-1) or absent.
    pub battery: Option<u32>,
    /// The zones that the door is in.
    pub zones: Vec<ExtId>,
}

/// A `SaltoDBZone`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Zone {
    /// `ExtZoneID`.
    pub id: ExtId,
    /// `Name`.
    pub name: String,
    /// The doors in the zone.
    pub doors: Vec<ExtId>,
}

/// A `SaltoDBGroup`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// `ExtGroupID`.
    pub id: ExtId,
    /// `Name`.
    pub name: String,
    /// `Group_Door` permissions.
    pub doors: Vec<Permission>,
    /// `Group_Zone` permissions.
    pub zones: Vec<Permission>,
}

/// Reads the children of a `SaltoDBUser`. `None` when it has no usable `ExtUserID`.
pub(crate) fn user(cursor: &mut Cursor<'_>) -> Result<Option<User>, XmlError> {
    let mut id = None;
    let mut user = User {
        id: placeholder(),
        title: String::new(),
        first_name: String::new(),
        last_name: String::new(),
        gpf: Default::default(),
        phone_number: String::new(),
        is_banned: false,
        activation: None,
        expiration: None,
        doors: Vec::new(),
        zones: Vec::new(),
        groups: Vec::new(),
        unreadable: None,
    };
    let mut expires = false;
    let mut expiration = None;
    while let Some(name) = cursor.child()? {
        match name.as_str() {
            "ExtUserID" => id = ExtId::parse(&cursor.text()?),
            "Title" => user.title = cursor.text()?,
            "FirstName" => user.first_name = cursor.text()?,
            "LastName" => user.last_name = cursor.text()?,
            "GPF1" => user.gpf[0] = cursor.text()?,
            "GPF2" => user.gpf[1] = cursor.text()?,
            "GPF3" => user.gpf[2] = cursor.text()?,
            "GPF4" => user.gpf[3] = cursor.text()?,
            "GPF5" => user.gpf[4] = cursor.text()?,
            "PhoneNumber" => user.phone_number = cursor.text()?,
            "IsBanned" => match boolean(&cursor.text()?) {
                Some(is_banned) => user.is_banned = is_banned,
                None => user.unreadable = Some("IsBanned"),
            },
            "UserActivation" => match optional_date(&cursor.text()?) {
                Some(activation) => user.activation = activation,
                None => user.unreadable = Some("UserActivation"),
            },
            "UserExpiration.Enabled" => match boolean(&cursor.text()?) {
                Some(enabled) => expires = enabled,
                None => user.unreadable = Some("UserExpiration.Enabled"),
            },
            "UserExpiration" => expiration = optional_date(&cursor.text()?),
            "SaltoDB.AccessPermissionList.User_Door" => {
                user.doors = permissions(cursor, "ExtDoorID")?;
            }
            "SaltoDB.AccessPermissionList.User_Zone" => {
                user.zones = permissions(cursor, "ExtZoneID")?;
            }
            "SaltoDB.MembershipList.User_Group" => user.groups = members(cursor, "ExtGroupID")?,
            _ => cursor.skip()?,
        }
    }
    if expires {
        // Enabled without a date that can be read: nobody knows until when, so not at all.
        match expiration.flatten() {
            Some(instant) => user.expiration = Some(instant),
            None => user.unreadable = Some("UserExpiration"),
        }
    }
    let Some(id) = id else { return Ok(None) };
    user.id = id;
    Ok(Some(user))
}

/// Reads the children of a `SaltoDBDoor`.
pub(crate) fn door(cursor: &mut Cursor<'_>) -> Result<Option<Door>, XmlError> {
    let mut id = None;
    let (mut name, mut description, mut battery) = (String::new(), String::new(), None);
    let mut zones = Vec::new();
    while let Some(element) = cursor.child()? {
        match element.as_str() {
            "ExtDoorID" => id = ExtId::parse(&cursor.text()?),
            "Name" => name = cursor.text()?,
            "Description" => description = cursor.text()?,
            "BatteryStatus" => battery = cursor.text()?.parse().ok(),
            "SaltoDB.MembershipList.Door_Zone" => zones = members(cursor, "ExtZoneID")?,
            _ => cursor.skip()?,
        }
    }
    Ok(id.map(|id| Door {
        id,
        name,
        description,
        battery,
        zones,
    }))
}

/// Reads the children of a `SaltoDBZone`.
pub(crate) fn zone(cursor: &mut Cursor<'_>) -> Result<Option<Zone>, XmlError> {
    let (mut id, mut name, mut doors) = (None, String::new(), Vec::new());
    while let Some(element) = cursor.child()? {
        match element.as_str() {
            "ExtZoneID" => id = ExtId::parse(&cursor.text()?),
            "Name" => name = cursor.text()?,
            "SaltoDB.MembershipList.Door_Zone" => doors = members(cursor, "ExtDoorID")?,
            _ => cursor.skip()?,
        }
    }
    Ok(id.map(|id| Zone { id, name, doors }))
}

/// Reads the children of a `SaltoDBGroup`.
pub(crate) fn group(cursor: &mut Cursor<'_>) -> Result<Option<Group>, XmlError> {
    let (mut id, mut name) = (None, String::new());
    let (mut doors, mut zones) = (Vec::new(), Vec::new());
    while let Some(element) = cursor.child()? {
        match element.as_str() {
            "ExtGroupID" => id = ExtId::parse(&cursor.text()?),
            "Name" => name = cursor.text()?,
            "SaltoDB.AccessPermissionList.Group_Door" => {
                doors = permissions(cursor, "ExtDoorID")?;
            }
            "SaltoDB.AccessPermissionList.Group_Zone" => {
                zones = permissions(cursor, "ExtZoneID")?;
            }
            _ => cursor.skip()?,
        }
    }
    Ok(id.map(|id| Group {
        id,
        name,
        doors,
        zones,
    }))
}

/// The `SaltoDB.AccessPermission.*` in a list. One that cannot be read grants nothing, so it is
/// left out.
fn permissions(cursor: &mut Cursor<'_>, target: &str) -> Result<Vec<Permission>, XmlError> {
    let mut permissions = Vec::new();
    while let Some(element) = cursor.child()? {
        if element.starts_with("SaltoDB.AccessPermission.") {
            permissions.extend(permission(cursor, target)?);
        } else {
            cursor.skip()?;
        }
    }
    Ok(permissions)
}

fn permission(cursor: &mut Cursor<'_>, target: &str) -> Result<Option<Permission>, XmlError> {
    let mut id = None;
    let mut timezone_table = Some(0);
    let mut use_period = Some(false);
    let mut period = None;
    while let Some(element) = cursor.child()? {
        match element.as_str() {
            name if name == target => id = ExtId::parse(&cursor.text()?),
            "TimezoneTableID" => timezone_table = cursor.text()?.parse().ok(),
            "UsePeriod" => use_period = boolean(&cursor.text()?),
            "Period" => period = self::period(cursor)?,
            _ => cursor.skip()?,
        }
    }
    let (Some(target), Some(timezone_table)) = (id, timezone_table) else {
        return Ok(None);
    };
    Ok(match (use_period, period) {
        (Some(false), _) => Some(Permission {
            target,
            timezone_table,
            period: None,
        }),
        (Some(true), Some(period)) => Some(Permission {
            target,
            timezone_table,
            period: Some(period),
        }),
        (Some(true), None) | (None, _) => None,
    })
}

fn period(cursor: &mut Cursor<'_>) -> Result<Option<(LocalDateTime, LocalDateTime)>, XmlError> {
    let (mut start, mut end) = (None, None);
    while let Some(element) = cursor.child()? {
        match element.as_str() {
            "StartDate" => start = LocalDateTime::parse(&cursor.text()?),
            "EndDate" => end = LocalDateTime::parse(&cursor.text()?),
            _ => cursor.skip()?,
        }
    }
    Ok(start.zip(end))
}

/// The identifiers in a list of `SaltoDB.Membership.*`.
fn members(cursor: &mut Cursor<'_>, target: &str) -> Result<Vec<ExtId>, XmlError> {
    let mut members = Vec::new();
    while let Some(element) = cursor.child()? {
        if !element.starts_with("SaltoDB.Membership.") {
            cursor.skip()?;
            continue;
        }
        while let Some(element) = cursor.child()? {
            if element == target {
                members.extend(ExtId::parse(&cursor.text()?));
            } else {
                cursor.skip()?;
            }
        }
    }
    Ok(members)
}

/// 0 or 1; absent text is 0, as in an element that is there but empty.
pub(crate) fn boolean(text: &str) -> Option<bool> {
    match text {
        "" | "0" => Some(false),
        "1" => Some(true),
        _ => None,
    }
}

/// Outer `None` when unreadable, inner `None` when empty.
fn optional_date(text: &str) -> Option<Option<LocalDateTime>> {
    if text.is_empty() {
        Some(None)
    } else {
        LocalDateTime::parse(text).map(Some)
    }
}

fn placeholder() -> ExtId {
    ExtId::parse("-").expect("a hyphen is an identifier")
}
