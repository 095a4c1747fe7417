//! What a server's `/metrics` shows.

use std::fs;
use std::net::SocketAddr;
use std::path::Path;

use cardea_loadtest::tls;

use crate::raw::{Raw, status};

/// The text of `/metrics` of the server over this data directory.
///
/// # Panics
/// If there is no site, or the server does not answer.
#[must_use]
pub fn metrics(data: &Path, server: SocketAddr) -> String {
    let ca = fs::read(data.join("pki/site-ca.der")).expect("init made it");
    let config = tls::uncommissioned(tls::sha256(&ca)).expect("a hash");
    let mut stranger = Raw::connect(config, server);
    let question = b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n";
    stranger.send(question).expect("the server reads");
    let answer = stranger.read_to_end().expect("the server answers");
    assert_eq!(status(&answer), Some(200));
    String::from_utf8_lossy(&answer).into_owned()
}

/// The value of a metric's line.
///
/// # Panics
/// If there is none.
#[must_use]
pub fn value(metrics: &str, name: &str) -> f64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name));
    let value = line.and_then(|value| value.trim().parse().ok());
    value.unwrap_or_else(|| panic!("no {name} in\n{metrics}"))
}
