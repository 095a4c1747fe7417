//! Texts as real servers write them, through the whole server: each trap of what is known of
//! SHIP's texts is set by rewriting the simulator's answers, and a door shows whether it was read.

use cardea_tests::admin::person;
use cardea_tests::space::{GRANTED, SpaceSite, denied, until, verdict};
use cardea_tests::{Device, face};
use cardea_wire::Reason;
use serde_json::json;

fn site() -> (SpaceSite, Device) {
    let mut site = SpaceSite::start(5, &[], &["--users", "50", "--doors", "5"]);
    let mut device = site.device(20_001);
    assert_eq!(verdict(&device.access(&face(1))), GRANTED);
    (site, device)
}

fn rewrite(site: &SpaceSite, rewrites: &[(&str, &str)]) {
    for (from, to) in rewrites {
        site.space.rewrite(from, to);
    }
}

/// What is written so from the first answer on is read: Space is connected, synced, and opens.
fn is_read(rewrites: &[(&str, &str)]) {
    let mut site = SpaceSite::unconnected(5, &[], &["--users", "50", "--doors", "5"]);
    rewrite(&site, rewrites);
    let fingerprint = site.space.fingerprint();
    site.space.connect(&site.site, &fingerprint);
    site.await_syncs(1);
    let mut device = site.device(20_001);
    assert_eq!(verdict(&device.access(&face(1))), GRANTED, "{rewrites:?}");
    assert_eq!(site.status("status"), "Connected");
    site.space.write_plainly();
    site.compare();
}

/// What is written so is refused: the sync fails, and what was read before stays in force.
fn is_refused(rewrites: &[(&str, &str)], why: &str) {
    let (mut site, mut device) = site();
    rewrite(&site, rewrites);
    site.ask(&json!({"do": "space_sync"}));
    until("the sync has failed", || {
        site.status("why it failed").contains(why)
    });
    assert_eq!(verdict(&device.access(&face(1))), GRANTED);
    site.space.write_plainly();
    site.sync();
    assert_eq!(verdict(&device.access(&face(1))), GRANTED);
}

/// Person 1 is denied for this reason once Space writes so, and nothing is sent.
fn denies(rewrites: &[(&str, &str)], reason: Reason) {
    let (mut site, mut device) = site();
    rewrite(&site, rewrites);
    site.sync();
    site.space.write_plainly();
    assert_eq!(verdict(&device.access(&face(1))), denied(reason));
    assert_eq!(site.space.ledger().len(), 1, "only the one before");
}

/// Fails if `Decoder` of `xml.rs` takes only double quotes in the declaration.
#[test]
fn a_declaration_in_single_quotes() {
    is_read(&[(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>",
        "<?xml version='1.0' encoding='UTF-8'?>",
    )]);
}

/// Fails if the text is decoded as UTF-8 whatever the declaration says.
#[test]
fn iso_8859_1_by_declaration() {
    let (mut site, mut device) = site();
    site.space.rewrite("\"UTF-8\"", "\"ISO-8859-1\"");
    site.space.rewrite("Door 1 ", "T\u{fc}r \u{e9} ");
    site.sync();
    assert_eq!(verdict(&device.access(&face(1))), GRANTED);
    let doors = site.rows("space_doors");
    let is_there = doors
        .iter()
        .any(|row| row[0].starts_with("T\u{fc}r \u{e9} "));
    assert!(is_there, "{doors:?}");
    site.space.write_plainly();
}

/// The same letters in UTF-8. Fails if UTF-8 is read byte by byte.
#[test]
fn utf_8_by_declaration() {
    let (mut site, _device) = site();
    site.space.rewrite("Door 1 ", "T\u{fc}r \u{e9} ");
    site.sync();
    let doors = site.rows("space_doors");
    let is_there = doors
        .iter()
        .any(|row| row[0].starts_with("T\u{fc}r \u{e9} "));
    assert!(is_there, "{doors:?}");
    site.space.write_plainly();
}

/// Fails if the text of an element is not trimmed: ids, numbers and flags alike.
#[test]
fn blanks_and_newlines_around_every_text() {
    is_read(&[("><", ">\r\n   <"), ("</", " \t\r\n </"), (">P", "> \n P")]);
}

/// Fails if a flag is read as anything but 0 and 1.
#[test]
fn booleans_are_0_and_1() {
    let banned = ("<IsBanned>0</IsBanned>", "<IsBanned>\n 1 </IsBanned>");
    denies(&[banned], Reason::Banned);
}

/// Fails if ids of 32 hex digits are compared with their case.
#[test]
fn hex_in_upper_case_is_the_person_enrolled_in_lower_case() {
    let id = "4597bba325a95dc1228008dbbe7ba912";
    let mut site = SpaceSite::start(0, &[], &["--users", "5", "--doors", "5"]);
    let mut device = site.device(20_001);
    site.ask(&json!({"do": "import_begin"}));
    site.ask(&json!({"do": "import_add", "people": [person(id, &face(1))]}));
    site.ask(&json!({"do": "import_commit"}));
    let upper = format!(">{}<", id.to_ascii_uppercase());
    site.space.rewrite(">P1<", &upper);
    site.sync();
    assert_eq!(verdict(&device.access(&face(1))), GRANTED);
    site.space.write_plainly();
}

/// Fails if an element without content ends the reading, or is missing from it.
#[test]
fn an_empty_element_is_empty() {
    is_read(&[
        ("<CalendarID>1</CalendarID>", "<GPF1/><GPF3/><CalendarID />"),
        ("<LastName>", "<WiegandCode></WiegandCode><LastName>"),
    ]);
}

/// Fails if a dot ends an element's name: the expiry would be taken for off, and 1 let in.
#[test]
fn dots_in_the_names_of_elements() {
    let on = (
        "<UserExpiration.Enabled>0</UserExpiration.Enabled>",
        "<UserExpiration.Enabled>1</UserExpiration.Enabled>",
    );
    denies(&[on], Reason::Expired);
}

const EXPIRES: (&str, &str) = ("<UserExpiration.Enabled>0<", "<UserExpiration.Enabled>1<");

/// Fails if hour 24 is not read: the date would be unknown, which denies.
#[test]
fn hour_24_of_a_day_to_come() {
    is_read(&[EXPIRES, (">2023-10-30T00:00:00<", ">2099-10-29T24:00:00<")]);
}

/// Fails if hour 24 is taken for a date without end.
#[test]
fn hour_24_of_a_day_that_has_passed() {
    let passed = (">2023-10-30T00:00:00<", ">2023-10-29T24:00:00<");
    denies(&[EXPIRES, passed], Reason::Expired);
}

/// Fails if numbers without a leading zero are not read.
#[test]
fn dates_without_leading_zeros() {
    is_read(&[
        EXPIRES,
        (">2023-10-30T00:00:00<", ">2099-1-2T1:2:3<"),
        (">2004-09-02T12:30:20<", ">2004-9-2T12:30:20<"),
    ]);
}

/// Fails if they are read as another date.
#[test]
fn a_date_to_come_without_leading_zeros() {
    let later = (">2004-09-02T12:30:20<", ">2099-9-2T1:30:20<");
    denies(&[later], Reason::NotYetActive);
}

/// Fails if something optional is demanded.
#[test]
fn optional_elements_are_absent() {
    is_read(&[
        ("<UserExpiration.Enabled>0</UserExpiration.Enabled>", ""),
        ("<UserExpiration>2023-10-30T00:00:00</UserExpiration>", ""),
        ("<UserActivation>2004-09-02T12:30:20</UserActivation>", ""),
        ("<CalendarID>1</CalendarID>", ""),
        ("<Title/>", ""),
        ("<OpenTime>6</OpenTime>", ""),
        ("<DefaultLanguage>en</DefaultLanguage>", ""),
    ]);
}

/// Fails if an unknown element is refused, or what is in it taken for something known.
#[test]
fn unknown_elements_are_present() {
    let unknown = "<New kind=\"x\"><IsBanned>1</IsBanned><EOF>1</EOF></New><CalendarID>";
    is_read(&[("<CalendarID>", unknown)]);
}

/// Fails if a page without `EOF` is not the last one, or an error.
#[test]
fn the_last_page_has_no_eof() {
    is_read(&[("<EOF>1</EOF>", "")]);
}

/// Fails if `xml.rs` takes a document type.
#[test]
fn a_document_type_is_refused() {
    // Of lists alone: a status that is not Connected would keep the sync from beginning.
    let list = "<RequestResponse><RequestName>SaltoDB";
    let with_type = format!("<!DOCTYPE a>{list}");
    is_refused(&[(list, &with_type)], "document type");
}

/// Fails if an entity that is not built in is dropped, or resolved.
#[test]
fn other_entities_are_refused() {
    is_refused(&[("<FirstName>", "<FirstName>&eacute;")], "entity");
}

/// Fails if the five that are built in are not.
#[test]
fn built_in_entities_are_read() {
    let (mut site, _device) = site();
    site.space
        .rewrite("Door 1 ", "&lt;&#65;&amp;&quot;&apos;&gt;");
    site.sync();
    let doors = site.rows("space_doors");
    let is_there = doors.iter().any(|row| row[0].starts_with("<A&\"'>"));
    assert!(is_there, "{doors:?}");
    site.space.write_plainly();
}

/// Fails if `XML_DEPTH_MAX` is not held.
#[test]
fn depth_beyond_the_limit_is_refused() {
    let deep = format!("{}{}<CalendarID>", "<a>".repeat(40), "</a>".repeat(40));
    is_refused(&[("<CalendarID>", &deep)], "deep");
}

/// Fails if `XML_TEXT_BYTES_MAX` is not held.
#[test]
fn a_text_beyond_the_limit_is_refused() {
    let (begin, long) = (format!("<FirstName>{}", "#".repeat(700)), "x".repeat(100));
    is_refused(
        &[("<FirstName>", &begin), ("#", &long)],
        "bytes in one element",
    );
}

/// Space answers a list at more length than the limit, in a shape that is no error otherwise. Fails
/// if `PAGE_BYTES_MAX` is not held.
#[test]
fn a_page_beyond_the_limit_is_refused() {
    let list = "<SaltoDBUserList>";
    // 70 MB of blanks, by a command of 64 KiB at most.
    let (begin, more, long) = (
        format!("{list}{}", "#".repeat(700)),
        "~".repeat(100),
        " ".repeat(1_000),
    );
    let rewrites = [(list, begin.as_str()), ("#", &more), ("~", &long)];
    is_refused(&rewrites, "longer than 67108864 bytes");
}

/// The same of an answer that is no list. Fails if `REPLY_BYTES_MAX` is not held: Space is taken
/// for connected.
#[test]
fn an_answer_beyond_the_limit_is_refused() {
    let mut site = SpaceSite::unconnected(0, &[], &["--users", "5", "--doors", "5"]);
    let (info, long) = ("<ProtocolID>", " ".repeat(1_000));
    let begin = format!("{}{info}", "#".repeat(1_100));
    rewrite(&site, &[(info, begin.as_str()), ("#", &long)]);
    let fingerprint = site.space.fingerprint();
    site.space.connect(&site.site, &fingerprint);
    site.await_status("Disconnected");
    let why = site.status("why");
    assert!(why.contains("longer than 1048576 bytes"), "{why}");
    site.space.write_plainly();
    site.await_status("Connected");
}
