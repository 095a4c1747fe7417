//! The certificate of the site's choice for browsers: by its name, beside the one for devices,
//! and read anew at SIGHUP without dropping a connection.

use std::path::Path;
use std::process::{Command, Stdio};

use cardea_tests::space::until;
use cardea_tests::{Server, Site, face};
use cardea_wire::Reason;

const NAME: &str = "console.example";

/// Makes a certificate for the name; gives its SHA-256.
fn make(chain: &Path, key: &Path) -> String {
    let made = Command::new("openssl")
        .args(["req", "-x509", "-newkey", "ec", "-pkeyopt"])
        .args(["ec_paramgen_curve:P-256", "-nodes", "-days", "2"])
        .args(["-subj", &format!("/CN={NAME}")])
        .args(["-addext", &format!("subjectAltName=DNS:{NAME}")])
        .arg("-keyout")
        .arg(key)
        .arg("-out")
        .arg(chain)
        .stderr(Stdio::null())
        .status();
    assert!(made.expect("openssl").success());
    let output = Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256", "-in"])
        .arg(chain)
        .output();
    String::from_utf8(output.expect("openssl").stdout).expect("text")
}

/// SHA-256 of the certificate that the server shows to who asks for this name, or for none.
fn shown(server: &Server, name: Option<&str>) -> String {
    let address = server.address.to_string();
    let mut client = Command::new("openssl");
    client.args(["s_client", "-connect", &address]);
    match name {
        Some(name) => client.args(["-servername", name]),
        None => client.arg("-noservername"),
    };
    let output = client.stdin(Stdio::null()).output().expect("openssl");
    let text = String::from_utf8_lossy(&output.stdout).into_owned();
    let mut reader = Command::new("openssl")
        .args(["x509", "-noout", "-fingerprint", "-sha256"])
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("openssl");
    let mut stdin = reader.stdin.take().expect("it is piped");
    std::io::Write::write_all(&mut stdin, text.as_bytes()).expect("it reads");
    drop(stdin);
    let output = reader.wait_with_output().expect("it ends");
    String::from_utf8(output.stdout).expect("text")
}

/// Leaving `browsers_reload` out of `Writer::reload`, or showing one certificate to all, fails
/// this.
#[test]
fn sighup_shows_browsers_the_renewed_certificate() {
    let site = Site::new();
    let (chain, key) = (site.file("console.pem"), site.file("console.key"));
    let first = make(&chain, &key);
    let files = format!(
        "{{ chain = \"{}\", key = \"{}\" }}",
        chain.display(),
        key.display()
    );
    site.configure(&[("console_certificate", &files)]);
    let server = site.serve();
    let mut device = site.device("front");
    assert_eq!(device.access(&face(1)).reason, Reason::NoMatch);
    let for_devices = shown(&server, None);
    assert!(for_devices.contains("Fingerprint"), "{for_devices}");
    assert_eq!(shown(&server, Some(NAME)), first);
    assert_ne!(for_devices, first);
    assert_eq!(shown(&server, Some("other.example")), for_devices);

    // Renewed: nobody restarts anything, and the device's connection stays.
    let second = make(&chain, &key);
    assert_ne!(first, second);
    assert_eq!(shown(&server, Some(NAME)), first, "not before it is told");
    server.process.hang_up();
    until("the renewed one", || shown(&server, Some(NAME)) == second);
    let session = device.session().expect("the connection is open");
    let response = session.exchange(
        cardea_wire::path::HEARTBEAT,
        &cardea_tests::device::heartbeat(cardea_tests::device::new_id()),
    );
    assert_eq!(response.expect("on the same connection").status, 200);
    assert_eq!(shown(&server, None), for_devices);

    // A file that is none leaves what was in force, and the log says so.
    std::fs::write(&chain, "no certificate").expect("written");
    server.process.hang_up();
    until("said", || {
        server
            .process
            .log()
            .contains("the certificate for browsers stays as it was")
    });
    assert_eq!(shown(&server, Some(NAME)), second);
    assert_eq!(device.access(&face(1)).reason, Reason::NoMatch);
}
