//! The messages against texts in the forms that real servers send (SPACE.md, sections 4 and 5).

use super::*;
use crate::datetime::LocalDateTime;
use crate::ext_id::ExtId;
use crate::limits::WHY_BYTES_MAX;
use crate::xml::XmlError;

fn id(text: &str) -> ExtId {
    ExtId::parse(text).unwrap()
}

fn users(body: &str) -> Page<User> {
    let request = Request::ReadUsers {
        count: 10,
        after: None,
    };
    match reply::read(&request, body.as_bytes()) {
        Ok(Reply::Users(page)) => page,
        other => panic!("{other:?}"),
    }
}

fn open(body: &str) -> Result<Reply, ReplyError> {
    reply::read(&Request::OpenDoor(id("20001")), body.as_bytes())
}

fn user_reply(fields: &str) -> String {
    format!(
        "<?xml version='1.0' encoding='utf-8'?>\n<RequestResponse>\n  <RequestName> \
         SaltoDBUserList.Read </RequestName><Params><SaltoDBUserList><SaltoDBUser><ExtUserID> 7 \
         </ExtUserID>{fields}</SaltoDBUser></SaltoDBUserList></Params></RequestResponse>"
    )
}

#[test]
fn requests_are_those_of_public_clients() {
    assert_eq!(
        Request::GetInfo.to_xml(),
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<RequestCall><RequestName>GetInfo\
         </RequestName><Params/></RequestCall>"
    );
    assert!(Request::OpenDoor(id("20001")).to_xml().ends_with(
        "<RequestName>OnlineDoor.Open</RequestName><Params><ExtDoorIDList><ExtDoorID>20001\
         </ExtDoorID></ExtDoorIDList></Params></RequestCall>"
    ));
    let page = Request::ReadUsers {
        count: 2,
        after: Some(id("a&b")),
    }
    .to_xml();
    assert!(page.contains(
        "<MaxCount>2</MaxCount><StartingFromExtUserID>a&amp;b</StartingFromExtUserID>\
         <ReturnMembership_User_Group>1</ReturnMembership_User_Group>"
    ));
    assert!(!Request::OpenDoor(id("1")).is_read_only());
    assert!(
        Request::ReadGroups {
            count: 1,
            after: None
        }
        .is_read_only()
    );
}

#[test]
fn info_is_read_whatever_is_absent() {
    let body = "<RequestResponse><RequestName>GetInfo</RequestName><Params><ProtocolID>SHIP\
                </ProtocolID><Later/><DateTime>2004-9-2T12:30:20</DateTime></Params>\
                </RequestResponse>";
    let Ok(Reply::Info(info)) = reply::read(&Request::GetInfo, body.as_bytes()) else {
        panic!()
    };
    assert_eq!(info.protocol_id, "SHIP");
    assert_eq!(info.date_time, LocalDateTime::parse("2004-09-02T12:30:20"));
    assert_eq!(info.default_language, "");
}

#[test]
fn a_user_is_read_with_padding_dots_and_unknown_elements() {
    let page = users(&user_reply(
        "<FirstName>\r\n Marry </FirstName><LastName/><GPF1/><GPF2> m@example.org </GPF2>\
         <Office>0</Office><IsBanned> 1 </IsBanned>\
         <UserActivation>2004-9-2T12:30:20</UserActivation>\
         <UserExpiration.Enabled>1</UserExpiration.Enabled>\
         <UserExpiration>2023-10-29T24:00:00</UserExpiration>\
         <SaltoDB.AccessPermissionList.User_Door>\
         <SaltoDB.AccessPermission.User_Door><ExtUserID>7</ExtUserID><ExtDoorID>20001</ExtDoorID>\
         <TimezoneTableID>3</TimezoneTableID><UsePeriod>1</UsePeriod><Period>\
         <StartDate>2023-10-05T10:00:00</StartDate><EndDate>2023-10-05T14:00:00</EndDate></Period>\
         </SaltoDB.AccessPermission.User_Door></SaltoDB.AccessPermissionList.User_Door>\
         <SaltoDB.AccessPermissionList.User_Zone><SaltoDB.AccessPermission.User_Zone>\
         <ExtZoneID>Z1</ExtZoneID></SaltoDB.AccessPermission.User_Zone>\
         </SaltoDB.AccessPermissionList.User_Zone>\
         <SaltoDB.MembershipList.User_Group><SaltoDB.Membership.User_Group><ExtUserID>7</ExtUserID>\
         <ExtGroupID>G1</ExtGroupID></SaltoDB.Membership.User_Group>\
         </SaltoDB.MembershipList.User_Group>",
    ));
    let [user] = page.items.as_slice() else {
        panic!()
    };
    assert_eq!((user.id.as_str(), user.first_name.as_str()), ("7", "Marry"));
    assert_eq!(user.gpf[1], "m@example.org");
    assert!(user.is_banned && user.unreadable.is_none());
    assert_eq!(user.expiration, LocalDateTime::parse("2023-10-30T00:00:00"));
    let [door] = user.doors.as_slice() else {
        panic!()
    };
    assert_eq!((door.target.as_str(), door.timezone_table), ("20001", 3));
    assert_eq!(
        door.period.unwrap().1,
        LocalDateTime::parse("2023-10-05T14:00:00").unwrap()
    );
    assert_eq!(user.zones[0].target, id("Z1"));
    assert_eq!(user.zones[0].timezone_table, 0);
    assert_eq!(user.groups, [id("G1")]);
}

#[test]
fn the_page_is_the_last_one_when_eof_is_missing() {
    assert!(users(&user_reply("")).is_last);
    let more = user_reply("").replace("<Params>", "<Params><EOF> 0 </EOF>");
    assert!(!users(&more).is_last);
    assert!(users(&more.replace(" 0 ", "1")).is_last);
    let odd = more.replace(" 0 ", "maybe");
    let request = Request::ReadUsers {
        count: 1,
        after: None,
    };
    assert!(matches!(
        reply::read(&request, odd.as_bytes()),
        Err(ReplyError::Unexpected(_))
    ));
}

#[test]
fn unreadable_fields_take_rights_away_and_stop_nothing() {
    let banned = users(&user_reply("<IsBanned>yes</IsBanned>"));
    assert_eq!(banned.items[0].unreadable, Some("IsBanned"));
    let expiring = users(&user_reply(
        "<UserExpiration.Enabled>1</UserExpiration.Enabled>",
    ));
    assert_eq!(expiring.items[0].unreadable, Some("UserExpiration"));
    let disabled = users(&user_reply(
        "<UserExpiration.Enabled>0</UserExpiration.Enabled><UserExpiration>x</UserExpiration>",
    ));
    assert_eq!(disabled.items[0].unreadable, None);
    let permission = users(&user_reply(
        "<SaltoDB.AccessPermissionList.User_Door><SaltoDB.AccessPermission.User_Door>\
         <ExtDoorID>1</ExtDoorID><UsePeriod>1</UsePeriod><Period><StartDate>soon</StartDate>\
         </Period></SaltoDB.AccessPermission.User_Door><SaltoDB.AccessPermission.User_Door>\
         <ExtDoorID>2</ExtDoorID><TimezoneTableID>always</TimezoneTableID>\
         </SaltoDB.AccessPermission.User_Door></SaltoDB.AccessPermissionList.User_Door>",
    ));
    assert!(permission.items[0].doors.is_empty());
    let nameless = user_reply("").replace("<ExtUserID> 7 </ExtUserID>", "<ExtUserID/>");
    let page = users(&nameless.replace("ExtUserID> 7 \n", "ExtUserID>"));
    assert_eq!((page.items.len(), page.nameless), (0, 1));
}

#[test]
fn a_reply_without_the_list_is_not_an_empty_site() {
    let body = "<RequestResponse><RequestName>SaltoDBUserList.Read</RequestName><Params/>\
                </RequestResponse>";
    let request = Request::ReadUsers {
        count: 1,
        after: None,
    };
    assert!(matches!(
        reply::read(&request, body.as_bytes()),
        Err(ReplyError::Unexpected(_))
    ));
    let empty = body.replace("<Params/>", "<Params><SaltoDBUserList/></Params>");
    assert!(matches!(
        reply::read(&request, empty.as_bytes()),
        Ok(Reply::Users(_))
    ));
}

#[test]
fn the_result_of_an_open_is_read() {
    let body = "<RequestResponse><RequestName>OnlineDoor.Open</RequestName><Params>\
                <OnlineDoorActionResultList><OnlineDoorActionResult><DoorID>20001</DoorID>\
                <ErrorCode> 401 </ErrorCode><ErrorMessage>no comm</ErrorMessage>\
                </OnlineDoorActionResult></OnlineDoorActionResultList></Params></RequestResponse>";
    let Ok(Reply::Opened(results)) = open(body) else {
        panic!()
    };
    assert_eq!(results[0].code, Some(401));
    assert!(results[0].is_about(&id("20001"), None));
    assert!(!results[0].is_about(&id("20002"), None));
    let Ok(Reply::Opened(results)) = open(&body.replace("20001", "Front Door")) else {
        panic!()
    };
    assert!(results[0].is_about(&id("20001"), Some("Front Door")));
    assert!(!results[0].is_about(&id("20001"), Some("Back Door")));
}

#[test]
fn exceptions_and_answers_to_something_else_are_no_results() {
    let exception = "<RequestResponse><RequestName>OnlineDoor.Open</RequestName><Exception>\
                     <Code>502</Code><Message>what?</Message></Exception></RequestResponse>";
    let error = open(exception).unwrap_err();
    assert!(error.is_unknown_command());
    assert_eq!(
        error.to_string(),
        "Space's exception 502 (unknown command): what?"
    );
    let both = exception.replace("<Exception>", "<Params/><Exception>");
    assert!(matches!(
        open(&both),
        Err(ReplyError::Exception { code: 502, .. })
    ));
    let other = exception.replace("OnlineDoor.Open", "GetInfo");
    assert!(matches!(open(&other), Err(ReplyError::Unexpected(_))));
    assert!(matches!(
        open("<html><body>500</body></html>"),
        Err(ReplyError::Unexpected(_))
    ));
    assert!(matches!(
        open("<RequestResponse/>"),
        Err(ReplyError::Unexpected(_))
    ));
    assert!(matches!(
        open("\u{7f}ELF"),
        Err(ReplyError::Xml(XmlError::Truncated))
    ));
}

#[test]
fn words_from_space_are_bounded() {
    let long = "x".repeat(WHY_BYTES_MAX + 50);
    let body = format!(
        "<RequestResponse><RequestName>OnlineDoor.Open</RequestName><Exception><Code>7</Code>\
         <Message>{long}\u{85}</Message></Exception></RequestResponse>"
    );
    let Err(ReplyError::Exception { message, .. }) = open(&body) else {
        panic!()
    };
    assert_eq!(message.len(), WHY_BYTES_MAX);
    assert_eq!(
        reply::exception_words(403),
        "the door did not answer in time"
    );
}

proptest::proptest! {
    #[test]
    fn no_bytes_panic(body in proptest::collection::vec(0u8..=255, 0..300)) {
        for request in [Request::GetInfo, Request::ReadUsers { count: 1, after: None }] {
            let _ = reply::read(&request, &body);
        }
    }

    #[test]
    fn no_damage_to_a_reply_panics(at in 0usize..400, byte in 0u8..=255) {
        let mut body = user_reply("<GPF1/><IsBanned>1</IsBanned>").into_bytes();
        let at = at % body.len();
        body[at] = byte;
        let _ = reply::read(&Request::ReadUsers { count: 1, after: None }, &body);
    }
}
