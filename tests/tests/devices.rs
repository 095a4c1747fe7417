//! A device's life: from a code to a certificate, signs of life, renewal, removal.

use cardea_loadtest::commission::{self, CommissionError};
use cardea_loadtest::identity::Identity;
use cardea_tests::device::{self, access, new_id, tag};
use cardea_tests::programs::program;
use cardea_tests::{Device, Process, Server, Site, face};
use cardea_wire::{CommissioningCode, Decision, Reason, path};
use std::process::Command;

fn refusal(code: &str) -> (u16, Option<Reason>) {
    match device::commission(code) {
        Err(CommissionError::Refused { status, reason }) => (status, reason),
        Err(other) => panic!("{other}"),
        Ok(_) => panic!("commissioned"),
    }
}

/// Fails if `Store::device_commission` leaves the token, or `token_owner` takes any token.
#[test]
fn a_token_is_good_once_and_only_this_sites() {
    let site = Site::new();
    let server = site.serve();
    let code = site.code("front");
    let mut forged = CommissioningCode::parse(&code).expect("a code");
    forged.token[0] ^= 1;
    let refused = (403, Some(Reason::TokenRefused));
    assert_eq!(refusal(&forged.to_text()), refused, "a token of nobody");
    let mut device = Device::commission(&code);
    assert_eq!(refusal(&code), refused, "used");
    assert_eq!(
        device.heartbeat().0,
        200,
        "the first is none the worse for it"
    );
    server.stop();

    // Nor does a restart forget that it is used.
    let server = site.serve();
    let mut again = CommissioningCode::parse(&code).expect("a code");
    again.server = server.address;
    assert_eq!(refusal(&again.to_text()), refused, "after a restart");
    // A code holds over a restart as long as it is not used.
    device.follow(server.address);
    assert_eq!(device.heartbeat().0, 200);
    server.stop();
}

/// Fails if the device does not pin the site CA, or commissioning codes carry another one.
#[test]
fn a_device_gives_its_token_to_no_other_site() {
    let (site, other) = (Site::new(), Site::new());
    let (server, stranger) = (site.serve(), other.serve());
    let code = site.code("front");
    let mut astray = CommissioningCode::parse(&code).expect("a code");
    astray.server = stranger.address;
    match device::commission(&astray.to_text()) {
        Err(CommissionError::Exchange(failure)) => {
            assert_eq!(failure.stage.name(), "handshake", "{failure}");
        }
        other => panic!("{other:?}"),
    }
    assert_eq!(
        Device::commission(&code).heartbeat().0,
        200,
        "the token is as good as new"
    );
    server.stop();
    stranger.stop();
}

/// Fails if `Api::heartbeat` does not note signs of life, or sends no time.
#[test]
fn a_heartbeat_tells_the_time_and_shows_in_the_list_of_devices() {
    let site = Site::new();
    let server = site.serve();
    let code = site.code("front");
    let listed = |what: &str| {
        let list = site.done(&["device", "list"]);
        assert!(
            list.lines()
                .any(|line| line.starts_with("front\tmain\t") && line.contains(what))
        );
    };
    listed("\tnever\t");
    let mut device = Device::commission(&code);
    let (status, reply) = device.heartbeat();
    assert_eq!((status, reply.decision), (200, Decision::Served));
    let (from, to) = device.identity.life().expect("a certificate");
    let now = i64::try_from(reply.person / 1_000).expect("a time");
    assert!(
        (from..to).contains(&now),
        "the server's time lies in the certificate's life"
    );
    // What a loop has gathered it gives to the writer before the server ends.
    server.stop();
    listed("127.0.0.1");
    listed("commissioned");
}

/// Fails if `Writer::issue_again` does not follow, or `Renewal::shown` is the newest certificate
/// instead of the one that the device shows.
#[test]
fn renewal_over_the_wire_keeps_the_certificate_that_the_device_has() {
    let site = Site::new();
    let server = site.serve();
    server.admin().enrol("Anna", &face(1)).expect("enrolled");
    let mut device = site.device("front");
    let renew = |device: &mut Device| -> Device {
        let identity = copy_of(&device.identity);
        let session = device.session().expect("connected");
        Device::of(commission::renew(&identity, session).unwrap_or_else(|error| panic!("{error}")))
    };
    let granted = |device: &mut Device, whose: &str| {
        assert_eq!(
            device.access(&face(1)).decision,
            Decision::Granted,
            "{whose}"
        );
        device.disconnect();
        assert_eq!(
            device.access(&face(1)).decision,
            Decision::Granted,
            "{whose}, anew"
        );
    };
    granted(&mut device, "the first certificate");
    // Two replies that the device never sees: it still has only its first certificate.
    let mut lost = [renew(&mut device), renew(&mut device)];
    granted(&mut device, "the certificate that the device has");
    let mut renewed = renew(&mut device);
    assert_ne!(renewed.identity.certificate, device.identity.certificate);
    granted(&mut renewed, "the new certificate");
    granted(&mut device, "the one before, during the overlap");
    for lost in &mut lost {
        let (status, reply) = lost.send(path::ACCESS, &access(new_id(), &face(1)));
        assert_eq!(
            (status, reply.reason),
            (403, Reason::UnknownDevice),
            "never used"
        );
    }
    // The overlap ends with the next renewal, and holds over a restart until then.
    server.stop();
    let server = site.serve();
    device.follow(server.address);
    renewed.follow(server.address);
    granted(&mut device, "the one before, after a restart");
    let mut newest = renew(&mut renewed);
    granted(&mut newest, "the newest");
    let message = access(new_id(), &face(1));
    device.disconnect();
    assert_eq!(device.send(path::ACCESS, &message).0, 403, "two before");
    server.stop();
}

/// Fails if `Writer::issue_again` lets the old certificate outlive its own end, or renewal issues
/// for the life of the old one.
#[test]
fn certificates_of_seconds_are_renewed_again_and_again() {
    let site = Site::with(&[("device_certificate_life_s", "3")]);
    let server = site.serve();
    let mut device = site.device("front");
    for _ in 0..2 {
        let (_, first_end) = device.identity.life().expect("a certificate");
        // Each heartbeat takes a moment; some day the server's clock is near the end.
        loop {
            let (status, reply) = device.heartbeat();
            assert_eq!(status, 200);
            let now = i64::try_from(reply.person / 1_000).expect("a time");
            if now + 1 >= first_end {
                break;
            }
        }
        let identity = copy_of(&device.identity);
        let renewed = commission::renew(&identity, device.session().expect("connected"));
        device = Device::of(renewed.unwrap_or_else(|error| panic!("{error}")));
        assert!(device.identity.life().expect("a certificate").1 > first_end);
    }
    assert_eq!(device.heartbeat().0, 200);
    server.stop();
}

/// Fails if `Published::follow_directory` does not close the connections of a removed device.
#[test]
fn removal_closes_the_connection_and_refuses_from_then_on() {
    let site = Site::with(&[("loops", "2")]);
    let server = site.serve();
    server.admin().enrol("Anna", &face(1)).expect("enrolled");
    // Several connections of one device, so that both loops have one.
    let mut device = site.device("front");
    let mut others: Vec<_> = (0..3)
        .map(|_| Device::of(copy_of(&device.identity)))
        .collect();
    let mut kept = site.device("back");
    others
        .iter_mut()
        .for_each(|device| assert_eq!(device.heartbeat().0, 200));
    assert_eq!(device.access(&face(1)).decision, Decision::Granted);
    assert_eq!(kept.access(&face(1)).decision, Decision::Granted);

    assert!(
        site.done(&["device", "remove", "front"])
            .contains("removed")
    );
    for device in others.iter_mut().chain([&mut device]) {
        let failure = device
            .exchange(path::ACCESS, &access(new_id(), &face(1)))
            .expect_err("the connection is closed");
        assert!(failure.text.contains("closed"), "{failure}");
        let (status, reply) = device.send(path::ACCESS, &access(new_id(), &face(1)));
        assert_eq!((status, reply.reason), (403, Reason::UnknownDevice));
    }
    assert_eq!(kept.access(&face(1)).decision, Decision::Granted);
    assert!(!site.done(&["device", "list"]).contains("front"));
    server.stop();
}

/// Fails if, for example, the simulator does not store its identity, or shows green for a denial.
#[test]
fn the_simulated_device_goes_from_a_code_to_an_open_door() {
    let site = Site::new();
    let server: Server = site.serve();
    server.admin().enrol("Anna", &face(1)).expect("enrolled");
    let faces = site.file("faces.npy");
    cardea_tests::files::write_csv(
        &site.file("unused.csv"),
        &faces,
        &[("Anna", face(1)), ("nobody", face(2))],
    );
    let identity = site.file("front.identity");
    let mut command = Command::new(program("cardea-device-sim"));
    command
        .arg("--identity")
        .arg(&identity)
        .arg("--embeddings")
        .arg(&faces);
    command.args([
        "--access-every",
        "1",
        "--heartbeat-every",
        "3600",
        "--messages",
        "3",
    ]);
    command.args(["--model", "00000000000000000000000000000001"]);
    command.args(["--code", &site.code("front")]);
    let (status, lines, log) = Process::start(&mut command).finish();
    assert!(status.success(), "{log}");
    let granted = format!("  person {:016x}, score 1.0000", tag("Anna"));
    let in_order = [
        "light: flashing yellow (waiting to be commissioned)",
        "light: flashing blue (connecting to the server)",
        "light: flashing green (commissioned)",
        "  paired with door \"main\"",
        "light: solid green (granted)",
        &granted,
        "light: solid red (denied)",
        "  denied: no match",
    ];
    let mut rest = lines.iter();
    for wanted in in_order {
        assert!(
            rest.any(|line| line == wanted),
            "{wanted} is missing: {lines:#?}"
        );
    }
    let audit = site.done(&["audit", "tail"]);
    assert!(audit.contains("main\tfront\tgranted\tAnna"), "{audit}");
    assert!(
        audit.contains("main\tfront\tdenied: no match\t\n"),
        "{audit}"
    );
    // The identity is stored: it works without the code.
    let mut device = Device::of(Identity::load(&identity).unwrap_or_else(|why| panic!("{why}")));
    assert_eq!(device.heartbeat().0, 200);
    server.stop();
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
