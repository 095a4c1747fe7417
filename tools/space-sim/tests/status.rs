//! Keys, certificates, TLS versions and host names against the simulated Space.
#![allow(clippy::unwrap_used)]

mod common;

use std::time::Instant;

use cardea_space::client::Outcome;
use cardea_space::status::Connection;
use cardea_space::transport::{Endpoint, Fault, Fingerprint, Trust, fingerprint};
use cardea_space_sim::{SimConfig, Simulator};
use common::{LONG, config, https, https_with, ready, simulator, start};

#[test]
fn a_wrong_key_is_unauthorized_until_it_is_right() {
    let simulator = simulator();
    let endpoint = https_with(&simulator, "WRONG");
    let site = start(simulator, config(endpoint));
    let status = site.status();
    assert_eq!(status.connection, Connection::Unauthorized);
    assert!(status.why.contains("401"), "{}", status.why);
    site.execute("key WRONG");
    assert_eq!(site.status().connection, Connection::Connected);
    assert_eq!(site.open("20001", LONG), Outcome::Opened);
    site.execute("key OTHER");
    let outcome = site.open("20001", LONG);
    assert!(
        matches!(outcome, Outcome::Refused { code: 401, .. }),
        "{outcome:?}"
    );
    assert_eq!(site.status().connection, Connection::Unauthorized);
    assert_eq!(site.simulator.ledger().len(), 1);
}

#[test]
fn another_certificate_is_not_trusted_and_both_fingerprints_are_named() {
    let simulator = simulator();
    let pinned = Fingerprint::parse(&simulator.fingerprint()).unwrap();
    let endpoint = https(&simulator);
    let (site, _) = ready(simulator, config(endpoint));
    site.execute("certificate");
    assert!(matches!(site.open("20001", LONG), Outcome::NotSent(_)));
    let status = site.until(Connection::Disconnected);
    let shown = Fingerprint::parse(&site.simulator.fingerprint()).unwrap();
    assert_ne!(shown, pinned);
    assert!(status.why.contains(&pinned.to_string()), "{}", status.why);
    assert!(status.why.contains(&shown.to_string()), "{}", status.why);
    assert!(site.simulator.ledger().is_empty());
}

#[test]
fn a_ca_file_is_trusted_by_address_and_by_name_and_another_ca_is_not() {
    let simulator = simulator();
    let port = simulator.https_address().port();
    let key = SimConfig::default().key;
    let trust = Trust::Roots(simulator.ca_pem().into_bytes());
    let endpoint = |host: &str| Endpoint::https(host, port, &key, &trust).unwrap();
    let by_address = endpoint("127.0.0.1");
    let by_name = endpoint("localhost");
    let other_address = std::net::Ipv4Addr::new(127, 0, 0, 2).into();
    let other = Simulator::start(SimConfig {
        address: other_address,
        ..SimConfig::default()
    });
    let other = other.unwrap();
    let foreign_port = other.https_address().port();
    let foreign = Endpoint::https("127.0.0.2", foreign_port, &key, &trust).unwrap();

    let (site, _) = ready(simulator, config(by_address));
    assert_eq!(site.open("20001", LONG), Outcome::Opened);
    let (site, _) = ready(site.simulator, config(by_name));
    assert_eq!(site.open("20001", LONG), Outcome::Opened);
    let site = start(other, config(foreign));
    let status = site.status();
    assert_eq!(status.connection, Connection::Disconnected);
    assert!(status.why.contains("certificate"), "{}", status.why);
}

#[test]
fn a_certificate_of_the_ca_for_another_name_is_refused() {
    let address = std::net::Ipv4Addr::new(127, 0, 0, 3).into();
    let simulator = Simulator::start(SimConfig {
        address,
        ..SimConfig::default()
    })
    .unwrap();
    let trust = Trust::Roots(simulator.ca_pem().into_bytes());
    let port = simulator.https_address().port();
    let endpoint = Endpoint::https("127.0.0.3", port, "k", &trust).unwrap();
    let site = start(simulator, config(endpoint));
    let status = site.status();
    assert_eq!(status.connection, Connection::Disconnected);
    assert!(status.why.contains("certificate"), "{}", status.why);
}

#[test]
fn tls_1_2_is_spoken_where_space_knows_nothing_newer() {
    let simulator = Simulator::start(SimConfig {
        tls12_only: true,
        ..SimConfig::default()
    });
    let simulator = simulator.unwrap();
    let endpoint = https(&simulator);
    let (site, _) = ready(simulator, config(endpoint));
    assert_eq!(site.open("20001", LONG), Outcome::Opened);
    assert_eq!(site.open("20001", LONG), Outcome::Opened);
}

#[test]
fn the_fingerprint_is_shown_without_trusting_or_asking_anything() {
    for tls12_only in [false, true] {
        let simulator = Simulator::start(SimConfig {
            tls12_only,
            ..SimConfig::default()
        });
        let simulator = simulator.unwrap();
        let address = simulator.https_address();
        let shown = fingerprint(
            &address.ip().to_string(),
            address.port(),
            Instant::now() + LONG,
        );
        let expected = Fingerprint::parse(&simulator.fingerprint()).unwrap();
        assert_eq!(shown, Ok(expected));
        let status = simulator.execute("status").unwrap();
        assert_eq!(
            (&status["requests"], &status["handshakes"]),
            (&0.into(), &0.into())
        );
    }
    let simulator = simulator();
    let tcp = simulator.tcp_address();
    // A port that does not speak TLS shows none.
    let shown = fingerprint(&tcp.ip().to_string(), tcp.port(), Instant::now() + LONG);
    assert!(
        matches!(shown, Err(Fault::Closed | Fault::Tls(_) | Fault::Socket(_))),
        "{shown:?}"
    );
}

#[test]
fn the_zone_of_space_is_learnt_from_its_clock() {
    let simulator = simulator();
    let endpoint = https(&simulator);
    let site = start(simulator, config(endpoint));
    let status = site.status();
    // The simulated site lives on UTC.
    assert_eq!(status.offset_s, Some(0));
    assert!(status.round_trip.is_some());
}
