//! Each reason for which Space's records deny reaches the device and the audit as itself.

use std::time::SystemTime;

use cardea_tests::Device;
use cardea_tests::face;
use cardea_tests::space::{GRANTED, SpaceSite, denied, until, verdict};
use cardea_wire::Reason;
use serde_json::json;

/// Person 1 asks once Space writes these texts instead of those: denied for `reason`, in the reply
/// and in the audit.
fn denies(site: &mut SpaceSite, device: &mut Device, rewrites: &[(&str, &str)], reason: Reason) {
    site.space.command("rewrite");
    for (from, to) in rewrites {
        let pair = json!([from, to]);
        site.space.command(&format!("rewrite {pair}"));
    }
    site.sync();
    let reply = device.access(&face(1));
    assert_eq!(verdict(&reply), denied(reason), "{rewrites:?}");
    let audit = site.audit();
    let told = format!("denied: {}", reason.text());
    assert_eq!(audit.last().expect("an attempt").decision, told);
}

/// What could not be read was told as a ban, and a door that Space has not as a right that is
/// missing. Fails if any line of `authorise::reason` says another's reason.
#[test]
fn each_denial_has_its_own_reason() {
    let mut site = SpaceSite::start(5, &[], &["--users", "50", "--doors", "5"]);
    let mut device = site.device(20_001);
    let activation = "<UserActivation>2004-09-02T12:30:20<";
    let (enabled, rights) = (
        "UserExpiration.Enabled>",
        "AccessPermissionList.Group_Zone>",
    );
    let expires = [format!("<{enabled}0<"), format!("<{enabled}1<")];
    for (from, to, reason) in [
        (">P1<", ">Q1<", Reason::NotInSpace),
        (
            "<SaltoDBDoor><ExtDoorID>20001<",
            "<SaltoDBDoor><ExtDoorID>29999<",
            Reason::DoorNotInSpace,
        ),
        (
            activation,
            "<UserActivation>some day<",
            Reason::RecordUnreadable,
        ),
        ("<IsBanned>0<", "<IsBanned>1<", Reason::Banned),
        (
            activation,
            "<UserActivation>2099-09-02T12:30:20<",
            Reason::NotYetActive,
        ),
        (&expires[0], &expires[1], Reason::Expired),
        (rights, "Unknown>", Reason::NoRight),
        ("<UsePeriod>0<", "<UsePeriod>1<", Reason::OutsidePeriod),
        (
            "<TimezoneTableID>0<",
            "<TimezoneTableID>3<",
            Reason::TimezoneNotDescribed,
        ),
    ] {
        denies(&mut site, &mut device, &[(from, to)], reason);
    }
    assert!(site.space.ledger().is_empty(), "nobody was let in");
    site.space.command("rewrite");
    site.sync();
    assert_eq!(verdict(&device.access(&face(1))), GRANTED);
    site.compare();
}

/// The day after the day after tomorrow: now is not on it, in whatever time zone.
fn day_to_come() -> &'static str {
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH);
    let days = now.expect("after 1970").as_secs() / 86_400;
    // The first of 1970 was a Thursday.
    ["thu", "fri", "sat", "sun", "mon", "tue", "wed"][(days as usize + 3) % 7]
}

/// Fails if `[timetables]` grants or denies nothing, or if SIGHUP does not bring it into force.
#[test]
fn a_described_table_grants_in_its_hours_and_denies_outside_of_them() {
    let mut site = SpaceSite::start(5, &[], &["--users", "50", "--doors", "5"]);
    let mut device = site.device(20_001);
    let by_table_3 = ("<TimezoneTableID>0<", "<TimezoneTableID>3<");
    let reason = Reason::TimezoneNotDescribed;
    denies(&mut site, &mut device, &[by_table_3], reason);

    let describe = |site: &SpaceSite, days: &str| {
        let table = format!("{{ 3 = [\"{days} 00:00-24:00\"] }}");
        site.site.configure(&[("timetables", &table)]);
        site.server.process.hang_up();
    };
    describe(&site, day_to_come());
    until("outside of its hours", || {
        verdict(&device.access(&face(1))) == denied(Reason::OutsideTimezone)
    });
    let audit = site.audit();
    let told = format!("denied: {}", Reason::OutsideTimezone.text());
    assert_eq!(audit.last().expect("an attempt").decision, told);
    assert!(site.space.ledger().is_empty(), "nobody was let in");

    describe(&site, "mon-sun");
    until("within its hours", || {
        verdict(&device.access(&face(1))) == GRANTED
    });
    assert!(site.syncs() >= 3, "the link is the same");
    site.compare();
}
