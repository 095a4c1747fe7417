//! The bodies of answers, as XML.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::ops::Bound;

use crate::message::Call;
use crate::site::{Group, Permission, Site, Style, User};

/// The answer to a call other than `OnlineDoor.Open`.
pub(crate) fn answer(site: &Site, call: &Call, local_time: &str) -> String {
    let params = match call.name.as_str() {
        "GetInfo" => format!(
            "<ProtocolID>SHIP</ProtocolID><ProtocolVersion>1.0</ProtocolVersion>\
             <DateTime>{local_time}</DateTime><DefaultLanguage>en</DefaultLanguage>"
        ),
        "SaltoDBUserList.Read" => {
            let write = |id: &str, one: &User, xml: &mut String| user(site, call, id, one, xml);
            list(&site.users, call, "User", write)
        }
        "SaltoDBDoorList.Read" => list(&site.doors, call, "Door", |id, door, xml| {
            let _ = write!(xml, "<ExtDoorID>{id}</ExtDoorID>");
            element("Name", &door.name, xml);
            xml.push_str("<OpenTime>6</OpenTime><BatteryStatus>-1</BatteryStatus>");
            if call.flag("ReturnMembership_Door_Zone") {
                let zones = door.zones.iter().map(|zone| (id, zone.as_str()));
                memberships("Door_Zone", "ExtDoorID", "ExtZoneID", zones, xml);
            }
        }),
        "SaltoDBZoneList.Read" => {
            let zones = site.zones.iter().map(|zone| (zone.clone(), ())).collect();
            list(&zones, call, "Zone", |id, (), xml| {
                let _ = write!(xml, "<ExtZoneID>{id}</ExtZoneID><Name>{id}</Name>");
                if call.flag("ReturnMembership_Door_Zone") {
                    let doors = site.doors.iter();
                    let doors = doors.filter(|(_, door)| door.zones.iter().any(|zone| zone == id));
                    let doors = doors.map(|(door, _)| (door.as_str(), id));
                    memberships("Door_Zone", "ExtDoorID", "ExtZoneID", doors, xml);
                }
            })
        }
        "SaltoDBGroupList.Read" => list(&site.groups, call, "Group", |id, group, xml| {
            write_group(call, id, group, xml);
        }),
        _ => return exception(&call.name, 502, "unknown command"),
    };
    response(&call.name, &params)
}

/// The answer to `OnlineDoor.Open`: a result for each door.
pub(crate) fn opened<'a>(results: impl Iterator<Item = (&'a str, i32)>) -> String {
    let mut params = String::from("<OnlineDoorActionResultList>");
    for (door, code) in results {
        params.push_str("<OnlineDoorActionResult>");
        element("DoorID", door, &mut params);
        let message = if code == 0 { "" } else { "simulated" };
        let _ = write!(
            params,
            "<ErrorCode>{code}</ErrorCode><ErrorMessage>{message}</ErrorMessage>"
        );
        params.push_str("</OnlineDoorActionResult>");
    }
    params.push_str("</OnlineDoorActionResultList>");
    response("OnlineDoor.Open", &params)
}

pub(crate) fn exception(name: &str, code: i32, message: &str) -> String {
    let mut xml = String::from("<RequestResponse>");
    element("RequestName", name, &mut xml);
    let _ = write!(
        xml,
        "<Exception><Code>{code}</Code><Message>{message}</Message></Exception>"
    );
    xml.push_str("</RequestResponse>");
    xml
}

/// The whole document, as the site writes it.
pub(crate) fn document(style: Style, root: &str) -> String {
    match style {
        Style::Plain => format!("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\r\n{root}"),
        Style::Odd => {
            // Padding goes between a tag and the text that follows it.
            let padded = root.replace("><", ">\r\n  <").replace("</", "\n </");
            format!("<?xml version='1.0' encoding='ISO-8859-1'?>\r\n{padded}\r\n")
        }
    }
}

/// A document in the encoding that it declares.
pub(crate) fn encode(document: String) -> Vec<u8> {
    let declaration = document.split('>').next().unwrap_or_default();
    if !declaration.contains("ISO-8859-1") {
        return document.into_bytes();
    }
    let latin1 = |character: char| u8::try_from(u32::from(character)).unwrap_or(b'?');
    document.chars().map(latin1).collect()
}

fn response(name: &str, params: &str) -> String {
    format!(
        "<RequestResponse><RequestName>{name}</RequestName><Params>{params}</Params>\
         </RequestResponse>"
    )
}

/// One page: what follows `StartingFromExt..ID`, up to `MaxCount`.
fn list<T>(
    all: &BTreeMap<String, T>,
    call: &Call,
    kind: &str,
    mut write: impl FnMut(&str, &T, &mut String),
) -> String {
    let start = match call.first(&format!("StartingFromExt{kind}ID")) {
        Some(last) => Bound::Excluded(last),
        None => Bound::Unbounded,
    };
    let mut xml = format!("<SaltoDB{kind}List>");
    let mut following = all.range::<str, _>((start, Bound::Unbounded));
    for (id, item) in following.by_ref().take(call.count()) {
        let _ = write!(xml, "<SaltoDB{kind}>");
        write(id, item, &mut xml);
        let _ = write!(xml, "</SaltoDB{kind}>");
    }
    let _ = write!(
        xml,
        "</SaltoDB{kind}List><EOF>{}</EOF>",
        u8::from(following.next().is_none())
    );
    xml
}

fn user(site: &Site, call: &Call, id: &str, user: &User, xml: &mut String) {
    let odd = site.style() == Style::Odd;
    let _ = write!(xml, "<ExtUserID>{id}</ExtUserID><Title/>");
    element("FirstName", &user.first_name, xml);
    element("LastName", &user.last_name, xml);
    let _ = write!(xml, "<GPF1>{}</GPF1><GPF2/><Office>0</Office>", user.email);
    let activation = if odd {
        "2004-9-2T12:30:20"
    } else {
        "2004-09-02T12:30:20"
    };
    let _ = write!(xml, "<UserActivation>{activation}</UserActivation>");
    let otherwise = if odd {
        "2023-10-29T24:00:00"
    } else {
        "2023-10-30T00:00:00"
    };
    let _ = write!(
        xml,
        "<UserExpiration.Enabled>{}</UserExpiration.Enabled><UserExpiration>{}</UserExpiration>\
         <IsBanned>{}</IsBanned><CalendarID>1</CalendarID>",
        u8::from(user.expiration.is_some()),
        user.expiration.unwrap_or(otherwise),
        u8::from(user.is_banned)
    );
    if call.flag("ReturnAccessPermissions_User_Door") {
        permissions("User_Door", "ExtUserID", id, "ExtDoorID", &user.doors, xml);
    }
    if call.flag("ReturnAccessPermissions_User_Zone") {
        permissions("User_Zone", "ExtUserID", id, "ExtZoneID", &user.zones, xml);
    }
    if call.flag("ReturnMembership_User_Group") {
        let groups = user.groups.iter().map(|group| (id, group.as_str()));
        memberships("User_Group", "ExtUserID", "ExtGroupID", groups, xml);
    }
}

fn write_group(call: &Call, id: &str, group: &Group, xml: &mut String) {
    let _ = write!(xml, "<ExtGroupID>{id}</ExtGroupID><Name>{id}</Name>");
    if call.flag("ReturnAccessPermissions_Group_Door") {
        permissions(
            "Group_Door",
            "ExtGroupID",
            id,
            "ExtDoorID",
            &group.doors,
            xml,
        );
    }
    if call.flag("ReturnAccessPermissions_Group_Zone") {
        permissions(
            "Group_Zone",
            "ExtGroupID",
            id,
            "ExtZoneID",
            &group.zones,
            xml,
        );
    }
}

fn permissions(
    kind: &str,
    holder: &str,
    id: &str,
    target: &str,
    all: &[Permission],
    xml: &mut String,
) {
    let _ = write!(xml, "<SaltoDB.AccessPermissionList.{kind}>");
    for permission in all {
        let (start, end) = permission
            .period
            .unwrap_or(("1900-01-01T00:00:00", "1900-01-01T00:00:00"));
        let _ = write!(
            xml,
            "<SaltoDB.AccessPermission.{kind}><{holder}>{id}</{holder}><{target}>{}</{target}>\
             <TimezoneTableID>{}</TimezoneTableID><UsePeriod>{}</UsePeriod><Period>\
             <StartDate>{start}</StartDate><EndDate>{end}</EndDate></Period>\
             </SaltoDB.AccessPermission.{kind}>",
            permission.target,
            permission.timezone,
            u8::from(permission.period.is_some())
        );
    }
    let _ = write!(xml, "</SaltoDB.AccessPermissionList.{kind}>");
}

fn memberships<'a>(
    kind: &str,
    one: &str,
    other: &str,
    pairs: impl Iterator<Item = (&'a str, &'a str)>,
    xml: &mut String,
) {
    let _ = write!(xml, "<SaltoDB.MembershipList.{kind}>");
    for (first, second) in pairs {
        let _ = write!(
            xml,
            "<SaltoDB.Membership.{kind}><{one}>{first}</{one}><{other}>{second}</{other}>\
             </SaltoDB.Membership.{kind}>"
        );
    }
    let _ = write!(xml, "</SaltoDB.MembershipList.{kind}>");
}

fn element(name: &str, text: &str, xml: &mut String) {
    let text = text
        .replace('&', "&amp;")
        .replace('<', "&lt;")
        .replace('>', "&gt;");
    let _ = write!(xml, "<{name}>{text}</{name}>");
}
