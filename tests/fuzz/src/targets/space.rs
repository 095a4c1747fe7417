//! Texts and events of Space.

use cardea_space::events::EventStream;
use cardea_space::ext_id::ExtId;
use cardea_space::limits::EVENT_BYTES_MAX;
use cardea_space::message::Request;
use cardea_space::message::reply::read;

pub(crate) fn ship_seeds() -> Vec<Vec<u8>> {
    let reply = |name: &str, params: &str| {
        format!(
            "<?xml version='1.0' encoding='ISO-8859-1'?>\r\n<RequestResponse>\
             <RequestName>{name}</RequestName><Params>{params}</Params></RequestResponse>"
        )
        .into_bytes()
    };
    let user = "<SaltoDBUser><ExtUserID> P1\n</ExtUserID><FirstName>A&amp;B</FirstName>\
        <UserActivation>2004-9-2T12:30:20</UserActivation>\
        <UserExpiration.Enabled>1</UserExpiration.Enabled>\
        <UserExpiration>2023-10-29T24:00:00</UserExpiration><IsBanned>0</IsBanned>\
        <SaltoDB.AccessPermissionList.User_Door><SaltoDB.AccessPermission.User_Door>\
        <ExtUserID>P1</ExtUserID><ExtDoorID>20001</ExtDoorID><TimezoneTableID>0</TimezoneTableID>\
        <UsePeriod>1</UsePeriod><Period><StartDate>2004-09-02T00:00:00</StartDate>\
        <EndDate>2099-09-02T00:00:00</EndDate></Period></SaltoDB.AccessPermission.User_Door>\
        </SaltoDB.AccessPermissionList.User_Door></SaltoDBUser>";
    let users = format!("<SaltoDBUserList>{user}</SaltoDBUserList><EOF>1</EOF>");
    let opened = "<OnlineDoorActionResultList><OnlineDoorActionResult><DoorID>20001</DoorID>\
        <ErrorCode>0</ErrorCode><ErrorMessage/></OnlineDoorActionResult>\
        </OnlineDoorActionResultList>";
    let exception = b"<RequestResponse><RequestName>GetInfo</RequestName><Exception>\
        <Code>502</Code><Message>unknown</Message></Exception></RequestResponse>";
    vec![
        reply("GetInfo", "<DateTime>2026-11-22T05:00:00</DateTime>"),
        reply("SaltoDBUserList.Read", &users),
        reply("OnlineDoor.Open", opened),
        exception.to_vec(),
    ]
}

/// Reads the bytes as the answer to everything that could have been asked.
pub(crate) fn ship(bytes: &[u8]) {
    let Some(door) = ExtId::parse("20001") else {
        return;
    };
    let (count, after) = (10, None);
    let asked = [
        Request::GetInfo,
        Request::OpenDoor(door),
        Request::ReadUsers {
            count,
            after: after.clone(),
        },
        Request::ReadDoors {
            count,
            after: after.clone(),
        },
        Request::ReadZones {
            count,
            after: after.clone(),
        },
        Request::ReadGroups { count, after },
    ];
    for request in &asked {
        if let Err(error) = read(request, bytes) {
            // Words about what came are bounded, whatever came.
            assert!(error.to_string().len() < 2_000);
        }
    }
}

pub(crate) fn event_seeds() -> Vec<Vec<u8>> {
    [
        "[{\"EventID\":\"00000000000000000001\",\"EventDateTime\":\"2026-11-22T05:00:00\",\
         \"OperationID\":60,\"OperationDescription\":\"Intrusion\",\"IsExit\":false,\
         \"UserType\":0,\"UserName\":\"A\",\"DoorName\":\"B\",\"DoorExtID\":\"20001\"}]",
        "\u{feff}[]\r\n[{\"OperationID\":\"62\"},{\"OperationID\":63, \"x\":[{\"]\":\"}\"}]}]",
    ]
    .map(|text| text.as_bytes().to_vec())
    .to_vec()
}

/// The same events and the same end, however the stream is split.
pub(crate) fn events(bytes: &[u8]) {
    let follow = |piece: usize| {
        let mut stream = EventStream::default();
        let mut found = Vec::new();
        let mut ended = None;
        for piece in bytes.chunks(piece) {
            let fed = stream.feed(piece, |event| found.push(format!("{event:?}")));
            if let Err(error) = fed {
                ended = Some(error.to_string());
                break;
            }
        }
        (found, ended)
    };
    let whole = follow(bytes.len().max(1));
    assert_eq!(whole, follow(1));
    assert!(
        whole
            .0
            .iter()
            .all(|event| event.len() < 16 * EVENT_BYTES_MAX)
    );
}
