//! What is asked of Space.

use crate::ext_id::ExtId;
use crate::xml::escape;

/// One call. Names and parameters are those of public clients, but for
/// [`Request::ReadGroups`], which follows their pattern and has been seen nowhere.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Request {
    /// `GetInfo`: who answers, and what time it is there.
    GetInfo,
    /// `OnlineDoor.Open` for one door.
    OpenDoor(ExtId),
    /// `SaltoDBUserList.Read` with memberships and permissions.
    ReadUsers {
        /// Most users in the page.
        count: u32,
        /// The last user of the page before; `None` for the first.
        after: Option<ExtId>,
    },
    /// `SaltoDBDoorList.Read` with the zones that doors are in.
    ReadDoors {
        /// Most doors in the page.
        count: u32,
        /// The last door of the page before; `None` for the first.
        after: Option<ExtId>,
    },
    /// `SaltoDBZoneList.Read` with the doors in zones.
    ReadZones {
        /// Most zones in the page.
        count: u32,
        /// The last zone of the page before; `None` for the first.
        after: Option<ExtId>,
    },
    /// `SaltoDBGroupList.Read` with permissions.
    ReadGroups {
        /// Most groups in the page.
        count: u32,
        /// The last group of the page before; `None` for the first.
        after: Option<ExtId>,
    },
}

impl Request {
    /// The name that stands in `RequestName`, in the request and in its answer.
    #[must_use]
    pub fn name(&self) -> &'static str {
        match self {
            Self::GetInfo => "GetInfo",
            Self::OpenDoor(_) => "OnlineDoor.Open",
            Self::ReadUsers { .. } => "SaltoDBUserList.Read",
            Self::ReadDoors { .. } => "SaltoDBDoorList.Read",
            Self::ReadZones { .. } => "SaltoDBZoneList.Read",
            Self::ReadGroups { .. } => "SaltoDBGroupList.Read",
        }
    }

    /// Whether asking twice does what asking once does.
    #[must_use]
    pub fn is_read_only(&self) -> bool {
        match self {
            Self::OpenDoor(_) => false,
            Self::GetInfo
            | Self::ReadUsers { .. }
            | Self::ReadDoors { .. }
            | Self::ReadZones { .. }
            | Self::ReadGroups { .. } => true,
        }
    }

    /// The message as XML in UTF-8.
    #[must_use]
    pub fn to_xml(&self) -> String {
        let mut xml = String::with_capacity(512);
        xml.push_str("<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<RequestCall><RequestName>");
        xml.push_str(self.name());
        xml.push_str("</RequestName>");
        match self {
            Self::GetInfo => xml.push_str("<Params/>"),
            Self::OpenDoor(door) => {
                xml.push_str("<Params><ExtDoorIDList>");
                element("ExtDoorID", door.as_str(), &mut xml);
                xml.push_str("</ExtDoorIDList></Params>");
            }
            Self::ReadUsers { count, after } => {
                let flags = [
                    "ReturnMembership_User_Group",
                    "ReturnAccessPermissions_User_Door",
                    "ReturnAccessPermissions_User_Zone",
                ];
                list(
                    *count,
                    "StartingFromExtUserID",
                    after.as_ref(),
                    &flags,
                    &mut xml,
                );
            }
            Self::ReadDoors { count, after } => {
                let flags = ["ReturnMembership_Door_Zone"];
                list(
                    *count,
                    "StartingFromExtDoorID",
                    after.as_ref(),
                    &flags,
                    &mut xml,
                );
            }
            Self::ReadZones { count, after } => {
                let flags = ["ReturnMembership_Door_Zone"];
                list(
                    *count,
                    "StartingFromExtZoneID",
                    after.as_ref(),
                    &flags,
                    &mut xml,
                );
            }
            Self::ReadGroups { count, after } => {
                let flags = [
                    "ReturnAccessPermissions_Group_Door",
                    "ReturnAccessPermissions_Group_Zone",
                ];
                list(
                    *count,
                    "StartingFromExtGroupID",
                    after.as_ref(),
                    &flags,
                    &mut xml,
                );
            }
        }
        xml.push_str("</RequestCall>");
        xml
    }
}

fn list(count: u32, start: &str, after: Option<&ExtId>, flags: &[&str], xml: &mut String) {
    xml.push_str("<Params>");
    element("MaxCount", &count.to_string(), xml);
    if let Some(after) = after {
        element(start, after.as_str(), xml);
    }
    for flag in flags {
        element(flag, "1", xml);
    }
    xml.push_str("</Params>");
}

fn element(name: &str, text: &str, xml: &mut String) {
    xml.push('<');
    xml.push_str(name);
    xml.push('>');
    escape(text, xml);
    xml.push_str("</");
    xml.push_str(name);
    xml.push('>');
}
