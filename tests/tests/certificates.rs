//! The life of the site's own certificates, in seconds: the server's renews itself, the site CA
//! rolls over, and devices, some without a clock, go on.

use std::process::Command;
use std::time::Instant;

use cardea_loadtest::commission;
use cardea_loadtest::identity::Identity;
use cardea_tests::device::{access, new_id};
use cardea_tests::programs::program;
use cardea_tests::{Device, Process, Server, Site, face};
use cardea_wire::{CommissioningCode, Decision, path};

/// Nothing here takes so long, seconds.
const TOO_LONG_S: u64 = 60;

/// The rows of `cardea pki show` by their first cell.
fn shown(site: &Site, what: &str) -> Option<(String, String)> {
    let table = site.done(&["pki", "show"]);
    let row = table
        .lines()
        .find(|row| row.split('\t').next() == Some(what))?;
    let cells: Vec<&str> = row.split('\t').collect();
    Some((cells[2].to_owned(), cells[3].to_owned()))
}

fn granted(device: &mut Device, when: &str) {
    let reply = device.access(&face(1));
    assert_eq!(reply.decision, Decision::Granted, "{when}");
}

/// Over the connection that is open, which must not have been closed.
fn served_on_the_open_connection(device: &mut Device, when: &str) {
    let session = device.session().expect("open");
    let response = session.exchange(path::ACCESS, &access(new_id(), &face(1)));
    let response = response.unwrap_or_else(|failure| panic!("{when}: {failure}"));
    assert_eq!(response.status, 200, "{when}");
}

fn renewed(device: &mut Device) -> Device {
    let identity = copy_of(&device.identity);
    let session = device.session().expect("connected");
    Device::of(commission::renew(&identity, session).unwrap_or_else(|error| panic!("{error}")))
}

fn copy_of(identity: &Identity) -> Identity {
    Identity {
        server: identity.server,
        door: identity.door.clone(),
        key: identity.key.clone_key(),
        certificate: identity.certificate.clone(),
        site_cas: identity.site_cas.clone(),
    }
}

/// Waits for an end that the clock brings, with work meanwhile.
fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let begun = Instant::now();
    while !is_so() {
        assert!(begun.elapsed().as_secs() < TOO_LONG_S, "never: {what}");
    }
}

/// Fails if `Writer::pki_upkeep` does not renew, if `put_certificates` does not put into force, or
/// if new certificates close connections.
#[test]
fn the_servers_certificate_renews_itself_and_no_connection_is_dropped() {
    let site = Site::with(&[("server_certificate_life_s", "6")]);
    let server = site.serve();
    server.admin().enrol("Anna", &face(1)).expect("enrolled");
    let mut device = site.device("front");
    granted(&mut device, "before");
    site.done(&["pki", "renew-server"]);
    let mut seen = vec![shown(&site, "server").expect("a row").1];
    until("two more certificates", || {
        served_on_the_open_connection(&mut device, "while certificates come and go");
        let (ends, sha256) = shown(&site, "server").expect("a row");
        // RFC 3339 in UTC sorts by time.
        let now = site.done(&["audit", "tail", "-n", "1"]);
        let now = now.lines().nth(1).and_then(|row| row.split('\t').nth(1));
        assert!(ends.as_str() > now.expect("a time"), "past its end");
        if seen.last() != Some(&sha256) {
            seen.push(sha256);
            // New connections are shown the new one, which is in force.
            let mut other = Device::of(copy_of(&device.identity));
            granted(&mut other, "a new connection");
        }
        seen.len() == 3
    });
    served_on_the_open_connection(&mut device, "at the end");
    let audit = site.done(&["audit", "tail", "-n", "1000"]);
    assert!(audit.contains("upkeep\tpki.renew-server"), "{audit}");
    // What is on the disk is what is in force: a start takes the same.
    let last = shown(&site, "server").expect("a row").1;
    site.configure(&[("server_certificate_life_s", "86400")]);
    server.stop();
    let offline = shown(&site, "server").expect("a row").1;
    assert_eq!(last, offline);
}

/// Fails if `SitePki::server_chain` leaves out the cross certificate or the CA before, if
/// `client_roots` has only one CA, if `roll_over_begin` notes nothing, or if `roll_over_sweep`
/// ends the roll-over too early or never.
#[test]
fn the_site_ca_rolls_over_while_devices_go_on() {
    let site = Site::with(&[("device_certificate_life_s", "12")]);
    let server = site.serve();
    server.admin().enrol("Anna", &face(1)).expect("enrolled");
    let (mut first, mut second) = (site.device("first"), site.device("second"));
    let old_code = site.code("commissioned late");
    let old_ca = first.identity.site_cas[0].clone();
    granted(&mut first, "before");

    site.done(&["pki", "roll-ca"]);
    served_on_the_open_connection(&mut first, "a connection from before");
    for device in [&mut first, &mut second] {
        device.disconnect();
        granted(device, "a device that trusts the CA before alone");
    }
    assert!(site.refused(&["pki", "roll-ca"]).contains("under way"));
    let needed = "the site CA before is needed by 2 devices and 1 commissioning codes";
    assert!(
        shown(&site, needed).is_some(),
        "{}",
        site.done(&["pki", "show"])
    );

    // A code from before still commissions, and so does one that names the new CA.
    let mut late = Device::commission(&old_code);
    let new_ca = late.identity.site_cas[0].clone();
    assert_ne!(new_ca, old_ca);
    granted(&mut late, "commissioned with a code from before");
    let new_code = site.code("new");
    let pin = CommissioningCode::parse(&new_code)
        .expect("a code")
        .site_ca_sha256;
    assert_eq!(pin, cardea_loadtest::tls::sha256(&new_ca));
    let mut new = Device::commission(&new_code);
    granted(&mut new, "commissioned with a new code");

    // Renewal brings the new CA; a device that trusts it alone is at home too.
    let mut first_again = renewed(&mut first);
    assert_eq!(
        first_again.identity.site_cas,
        [new_ca.clone(), old_ca.clone()]
    );
    first_again.identity.site_cas.truncate(1);
    granted(&mut first_again, "a device that trusts the new CA alone");

    // It is on the disk: a start in the middle changes nothing.
    server.stop();
    let server = site.serve();
    let mut devices = [first, first_again, second, late, new];
    for device in &mut devices {
        device.follow(server.address);
        granted(device, "after a start in the middle");
    }
    let [mut first, mut first_again, mut second, mut late, mut new] = devices;
    let mut second_again = renewed(&mut second);
    late = renewed(&mut late);
    new = renewed(&mut new);

    // The last certificates of the CA before reach their ends, and with them the roll-over.
    until("the roll-over's end", || {
        for device in [&mut first_again, &mut second_again] {
            let now = now_of(device);
            if device.identity.is_due_for_renewal(now) {
                *device = renewed(device);
            }
        }
        shown(&site, "site CA before").is_none()
    });
    granted(&mut second_again, "after the roll-over");
    first.disconnect();
    let failure = first.exchange(path::ACCESS, &access(new_id(), &face(1)));
    let failure = failure.expect_err("it trusts the CA before alone");
    assert_eq!(failure.stage.name(), "handshake", "{failure}");
    // Trusting the new one is not enough with a certificate of the one before.
    first.identity.site_cas = vec![new_ca];
    let mut astray = Device::of(copy_of(&first.identity));
    let failure = astray.exchange(path::ACCESS, &access(new_id(), &face(1)));
    let failure = failure.expect_err("its certificate is of the CA before");
    assert!(failure.text.contains("alert"), "{failure}");
    let audit = site.done(&["audit", "tail", "-n", "1000"]);
    for action in ["command line\tpki.roll-ca", "upkeep\tpki.end-roll"] {
        assert!(audit.contains(action), "no {action} in {audit}");
    }
    assert_eq!(late.heartbeat().0, 200);
    assert_eq!(new.heartbeat().0, 200);
    server.stop();
}

fn now_of(device: &mut Device) -> i64 {
    i64::try_from(device.heartbeat().1.person / 1_000).expect("a time")
}

/// A simulated device with 1 s between heartbeats, until so many are sent.
fn simulated(site: &Site, name: &str, messages: u32) -> Command {
    let mut command = Command::new(program("cardea-device-sim"));
    command
        .arg("--identity")
        .arg(site.file(&format!("{name}.identity")))
        .args(["--heartbeat-every", "1"])
        .args(["--messages", &messages.to_string()])
        .args(["--code", &site.code(name)]);
    command
}

/// Fails if the device renews at a half or at the end of the certificate's life, or not by the
/// server's time.
#[test]
fn a_device_renews_from_two_thirds_of_its_certificates_life() {
    let site = Site::with(&[("device_certificate_life_s", "9")]);
    let server = site.serve();
    let (status, lines, log) = Process::start(&mut simulated(&site, "front", 11)).finish();
    assert!(status.success(), "{log}");
    let renewals = lines
        .iter()
        .filter(|line| line.contains("certificate renewed"));
    // Ten seconds: at 6 s, and not again before 12 s.
    assert_eq!(renewals.count(), 1, "{lines:#?}");
    assert!(
        !lines.iter().any(|line| line.contains("not renewed")),
        "{lines:#?}"
    );
    server.stop();
}

/// Fails if a device holds certificates against its own clock, or tells renewal by it. `faketime`
/// sets the clock of one process.
#[test]
fn devices_without_a_clock_are_commissioned_served_and_renewed() {
    let site = Site::with(&[("device_certificate_life_s", "3")]);
    let server: Server = site.serve();
    for (name, date) in [
        ("early", "1980-01-01 00:00:00"),
        ("late", "2099-01-01 00:00:00"),
    ] {
        let simulated = simulated(&site, name, 5);
        let mut command = Command::new("faketime");
        command
            .arg(date)
            .arg(simulated.get_program())
            .args(simulated.get_args())
            // Waiting is by the steady clock, which runs as it should.
            .env("FAKETIME_DONT_FAKE_MONOTONIC", "1");
        let (status, lines, log) = Process::start(&mut command).finish();
        assert!(status.success(), "{log}");
        let is = |what: &str| lines.iter().any(|line| line.contains(what));
        assert!(is("flashing green (commissioned)"), "{date}: {lines:#?}");
        assert!(is("certificate renewed"), "{date}: {lines:#?}");
        assert!(!is("not renewed") && !is("refused"), "{date}: {lines:#?}");
    }
    server.stop();
}
