//! What is taken for an authority, and what is shown of its words.

use std::io::Write as _;
use std::net::{SocketAddr, TcpListener};
use std::thread;

use socket2::{Domain, Socket, Type};

use super::*;
use crate::join::Joined;

/// The answer was quoted whole where it was no JSON of this protocol, and what turns a text
/// around was shown. Fails with `error.to_string()` in `parsed`, or without either part of
/// `shown`.
#[test]
fn only_a_printable_line_of_the_authority_is_shown() {
    assert_eq!(shown("no: \u{7}é\u{202e}1/2 “x”\nsecond"), "no: é1/2 x");
    let long = "é".repeat(WORDS_BYTES_MAX);
    assert_eq!(shown(&long).len(), WORDS_BYTES_MAX);
    let error = parsed::<Joined>(br#""what another service said""#);
    let error = error.expect_err("it is a text").to_string();
    let begins = "the authority's answer: not as asked for: line 1, column ";
    assert!(error.starts_with(begins), "{error}");
    assert!(error.len() < begins.len() + 4, "{error}");
}

const SOON: Duration = Duration::from_millis(300);
const LATE: Duration = Duration::from_secs(20);

/// How long it takes to find that no authority is there.
fn tried(port: u16) -> Duration {
    let begun = Instant::now();
    let outcome = root_within(&format!("https://127.0.0.1:{port}"), [0; 32], SOON);
    let error = outcome.expect_err("there is no authority");
    assert!(matches!(error, AuthorityError::Unreachable(_)), "{error}");
    begun.elapsed()
}

/// A try to join went on for as long as the system waits for a connection, or for as long as a
/// byte came now and then. `TcpStream::connect`, or one timeout for each read, fails this.
#[test]
fn who_does_not_answer_or_only_dribbles_ends_a_try() {
    let full = Socket::new(Domain::IPV4, Type::STREAM, None).expect("a socket");
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    full.bind(&any.into()).expect("a port");
    full.listen(0).expect("it listens");
    let address = full.local_addr().expect("bound").as_socket();
    let address = address.expect("of IPv4");
    // Nobody accepts them: when its queue is full, the system answers no further one.
    let queue = std::iter::from_fn(|| TcpStream::connect_timeout(&address, SOON).ok());
    let queue: Vec<_> = queue.take(16).collect();
    assert!(queue.len() < 16, "the queue is full");
    assert!(tried(address.port()) < LATE);

    let listener = TcpListener::bind(any).expect("a port");
    let port = listener.local_addr().expect("bound").port();
    let peer = thread::spawn(move || {
        let (mut socket, _) = listener.accept().expect("it comes");
        // A record of 512 bytes begins, and goes on so slowly that it takes 26 s.
        let mut sent = socket.write_all(&[22, 3, 3, 2, 0, 2]);
        while sent.is_ok() {
            thread::park_timeout(SOON / 6);
            sent = socket.write_all(&[0]);
        }
    });
    assert!(tried(port) < LATE);
    peer.join().expect("it ends");
}

#[test]
fn only_https_with_a_host_is_an_address() {
    let split = |url| host_and_port(url).ok();
    assert_eq!(split("https://a.example"), Some(("a.example".into(), 443)));
    assert_eq!(
        split("https://127.0.0.1:8443/"),
        Some(("127.0.0.1".into(), 8443))
    );
    assert_eq!(split("https://[::1]:9"), Some(("::1".into(), 9)));
    for bad in [
        "http://a",
        "a",
        "https://",
        "https://a/b",
        "https://a:x",
        "https://u@a",
    ] {
        assert_eq!(split(bad), None, "{bad}");
    }
}
