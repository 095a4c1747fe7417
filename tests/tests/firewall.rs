//! The firewall, with packets: who is let through, who finds nothing, and that it is taken back.

use std::path::{Path, PathBuf};

use cardea_tests::netns::Netns;
use cardea_tests::programs::program;
use cardea_tests::space::until;
use cardea_tests::{Process, Site};

/// Everything that listens behind the firewall.
const LISTENING: [&str; 7] = [
    "tcp:22", "tcp:80", "tcp:443", "tcp:8200", "tcp:8883", "udp:123", "udp:5353",
];
/// What integrations and others offer to the server.
const OFFERED: [&str; 9] = [
    "tcp:25", "tcp:53", "tcp:80", "tcp:443", "tcp:2525", "tcp:8100", "tcp:8883", "udp:53",
    "udp:123",
];

/// The server, and one machine that is everybody else: from network N it has the address
/// 10.77.N.2, and the server 10.77.N.1.
struct Network {
    site: Site,
    server: Netns,
    world: Netns,
    _listening: [Process; 2],
}

const DEVICES: u8 = 1;
const ADMINS: u8 = 2;
const PEOPLE: u8 = 3;
const SPACE: u8 = 4;
const SSH: u8 = 5;
const STRANGERS: u8 = 9;

fn packets() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("net/packets.py")
}

impl Network {
    fn new(network: &str) -> Self {
        let (server, world) = (Netns::new("server"), Netns::new("world"));
        let addresses = |end: u8| {
            [DEVICES, ADMINS, PEOPLE, SPACE, SSH, STRANGERS].map(|n| format!("10.77.{n}.{end}/24"))
        };
        let (ours, theirs) = (addresses(1), addresses(2));
        Netns::wire(
            &server,
            &ours.each_ref().map(String::as_str),
            &world,
            &theirs.each_ref().map(String::as_str),
        );
        let listen = |netns: &Netns, what: &[&str]| {
            let mut command = netns.command("python3");
            let mut process = Process::start(command.arg(packets()).arg("listen").args(what));
            process.line(|line| line == "listening");
            process
        };
        let events = "{ listen = \"0.0.0.0:8200\", from = \"10.77.4.2\" }";
        let site = Site::with(&[("listen", "\"0.0.0.0:443\""), ("space_events", events)]);
        site.done(&[
            "space",
            "set",
            "--host",
            "10.77.4.2",
            "--port",
            "8100",
            "--tcp",
        ]);
        std::fs::create_dir(site.file("etc")).expect("a folder");
        std::fs::write(site.file("etc/network.toml"), network).expect("written");
        Self {
            _listening: [listen(&server, &LISTENING), listen(&world, &OFFERED)],
            site,
            server,
            world,
        }
    }

    fn firewall(&self, arguments: &[&str]) -> std::process::Output {
        let cardea = program("cardea");
        let mut command = self.server.command(cardea.to_str().expect("UTF-8"));
        command
            .arg("--data")
            .arg(self.site.data())
            .arg("firewall")
            .args(arguments)
            .arg("--settings")
            .arg(self.site.file("etc"))
            .arg("--run")
            .arg(self.site.file("run"));
        command.output().expect("it runs")
    }

    fn firewall_done(&self, arguments: &[&str]) -> String {
        let output = self.firewall(arguments);
        let error = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success(), "{arguments:?}: {error}");
        String::from_utf8_lossy(&output.stdout).into_owned()
    }

    /// What becomes of packets to the server from networks.
    fn inward(&self, what: &[(u8, &str, u16)]) -> Vec<String> {
        probe(&self.world, what, 1)
    }

    /// What becomes of packets of the server to networks.
    fn outward(&self, what: &[(u8, &str, u16)]) -> Vec<String> {
        probe(&self.server, what, 2)
    }

    fn is_loaded(&self) -> bool {
        let table = ["list", "table", "inet", "cardea"];
        self.server.output("nft", &table).status.success()
    }
}

fn probe(netns: &Netns, what: &[(u8, &str, u16)], end: u8) -> Vec<String> {
    let packets = packets();
    let mut arguments = vec![
        packets.to_str().expect("UTF-8").to_owned(),
        "probe".to_owned(),
    ];
    arguments.extend(
        what.iter()
            .map(|(network, kind, port)| format!("{kind}:10.77.{network}.{end}:{port}")),
    );
    let arguments: Vec<_> = arguments.iter().map(String::as_str).collect();
    let said = netns.done("python3", &arguments);
    said.lines().map(str::to_owned).collect()
}

const NETWORK: &str = "devices = [\"10.77.1.0/24\"]
admins = [\"10.77.2.2\"]
people = [\"10.77.3.0/24\"]
space = []
ssh = [\"10.77.5.0/24\"]
out = [\"10.77.9.2:2525\"]
";

fn skipped() -> bool {
    if let Some(why) = Netns::impossible() {
        println!("SKIPPED: no network namespaces here: {why}");
        return true;
    }
    false
}

/// Fails without the line of the port in `rules::input`, or with a policy that accepts.
#[test]
fn each_allowed_port_passes_and_a_scan_of_the_others_finds_nothing() {
    if skipped() {
        return;
    }
    let network = Network::new(NETWORK);
    // The test sees something: before, everything is open.
    let all = [
        (STRANGERS, "tcp", 22),
        (STRANGERS, "tcp", 80),
        (STRANGERS, "udp", 5353),
    ];
    assert_eq!(network.inward(&all), ["open"; 3]);
    assert!(
        network
            .firewall_done(&["check"])
            .contains("takes these rules")
    );
    assert!(!network.is_loaded(), "a check loads nothing");
    network.firewall_done(&["apply", "--now"]);

    let allowed = [
        (DEVICES, "tcp", 443),
        (DEVICES, "udp", 123),
        (ADMINS, "tcp", 443),
        (PEOPLE, "tcp", 443),
        (SPACE, "tcp", 443),
        (SPACE, "tcp", 8200),
        (SSH, "tcp", 22),
    ];
    assert_eq!(network.inward(&allowed), ["open"; 7], "{allowed:?}");
    let others = [
        (DEVICES, "tcp", 22),
        (DEVICES, "tcp", 8200),
        (DEVICES, "udp", 5353),
        (ADMINS, "udp", 123),
        (ADMINS, "tcp", 22),
        (PEOPLE, "tcp", 8200),
        (SPACE, "tcp", 80),
        (SSH, "tcp", 443),
        (STRANGERS, "tcp", 443),
        (STRANGERS, "udp", 123),
    ];
    assert_eq!(network.inward(&others), ["silent"; 10], "{others:?}");
    for (network_number, found) in [(STRANGERS, ""), (DEVICES, "443 open\n")] {
        let address = format!("10.77.{network_number}.1");
        let path = packets();
        let scan = [path.to_str().expect("UTF-8"), "scan", &address, "1", "9000"];
        let answers = network.world.done("python3", &scan);
        assert_eq!(answers, found, "network {network_number}");
    }
    let counter = ["list", "counter", "inet", "cardea", "dropped_in"];
    let counted = network.server.done("nft", &counter);
    let mut packets = counted
        .split_whitespace()
        .skip_while(|word| *word != "packets");
    let packets: u64 = packets
        .nth(1)
        .and_then(|n| n.parse().ok())
        .expect("a count");
    assert!(packets >= 18_000, "{counted}");

    let integrations = [
        (STRANGERS, "tcp", 443),
        (STRANGERS, "tcp", 8883),
        (STRANGERS, "tcp", 53),
        (STRANGERS, "udp", 53),
        (STRANGERS, "udp", 123),
        (STRANGERS, "tcp", 2525),
        (SPACE, "tcp", 8100),
    ];
    assert_eq!(
        network.outward(&integrations),
        ["open"; 7],
        "{integrations:?}"
    );
    let elsewhere = [
        (STRANGERS, "tcp", 8100),
        (STRANGERS, "tcp", 25),
        (STRANGERS, "tcp", 80),
        (SPACE, "tcp", 2525),
    ];
    assert_eq!(network.outward(&elsewhere), ["silent"; 4], "{elsewhere:?}");
    network.firewall_done(&["off"]);
    assert_eq!(network.inward(&all), ["open"; 3]);
}

/// Fails if nobody takes a rule set back, if what was before is not restored, or if a rule set
/// that was confirmed is taken back.
#[test]
fn rules_that_nobody_confirms_are_taken_back() {
    if skipped() {
        return;
    }
    let network = Network::new(NETWORK);
    network.firewall_done(&["apply", "--within", "1"]);
    until("the rules are taken back", || !network.is_loaded());
    let late = network.firewall(&["confirm"]);
    assert!(
        !late.status.success(),
        "there is nothing to confirm any more"
    );

    let said = network.firewall_done(&["apply", "--within", "600"]);
    assert!(said.contains("taken back in 600 s unless"), "{said}");
    network.firewall_done(&["confirm"]);
    let again = network.firewall_done(&["apply"]);
    assert!(again.contains("in force already"), "{again}");

    // A slip that would lock everybody out.
    std::fs::write(network.site.file("etc/network.toml"), "devices = []\n").expect("written");
    network.firewall_done(&["apply", "--within", "2"]);
    assert_eq!(network.inward(&[(SSH, "tcp", 22)]), ["silent"]);
    let another = network.firewall(&["apply"]);
    assert!(!another.status.success(), "one at a time");
    until("the rules of before are back", || {
        network.inward(&[(SSH, "tcp", 22)]) == ["open"]
    });
    assert_eq!(network.inward(&[(STRANGERS, "tcp", 443)]), ["silent"]);
    let confirmed = std::fs::read_to_string(network.site.file("etc/firewall.nft"));
    assert!(
        confirmed
            .expect("confirmed")
            .contains("ssh4 tcp dport 22 accept")
    );
}

/// Fails if the refresh does not follow the server's integrations, or empties the sets.
#[test]
fn a_new_integration_is_let_through_without_loading_the_rules_anew() {
    if skipped() {
        return;
    }
    let network = Network::new(NETWORK);
    network.firewall_done(&["apply", "--now"]);
    let cardea = program("cardea");
    let mut serve = network.server.command(cardea.to_str().expect("UTF-8"));
    network.site.configure(&[("listen", "\"127.0.0.1:0\"")]);
    let server = network
        .site
        .serve_command(serve.arg("--data").arg(network.site.data()).arg("serve"));
    assert_eq!(network.outward(&[(STRANGERS, "tcp", 25)]), ["silent"]);
    network.site.done(&[
        "space",
        "set",
        "--host",
        "10.77.9.2",
        "--port",
        "25",
        "--tcp",
    ]);
    network.firewall_done(&["refresh"]);
    let now = [
        (STRANGERS, "tcp", 25),
        (STRANGERS, "tcp", 2525),
        (SPACE, "tcp", 8100),
    ];
    assert_eq!(network.outward(&now), ["open", "open", "silent"]);
    server.stop();
}
