use std::time::{Duration, Instant};

use proptest::prelude::*;

use super::*;
use crate::limits::{
    BODY_BYTES_MAX, HEAD_BYTES_MAX, HEADERS_MAX, LARGE_BODY_BYTES_MAX, TARGET_BYTES_MAX,
};

/// What became of some bytes: the requests, the refusal that ended them, and the last phase.
#[derive(Debug, PartialEq)]
struct Outcome {
    requests: Vec<(Method, String, Vec<u8>)>,
    refusal: Option<Refusal>,
    phase: Phase,
    /// Bytes sent if the last request is answered, or the refusal's.
    sent: String,
}

/// Feeds `messages` in pieces; each message but the last is answered before the next begins.
fn outcome(messages: &[Vec<u8>], mut piece: impl FnMut() -> usize) -> Outcome {
    let now = Instant::now();
    let mut connection = Connection::new(now);
    let (mut requests, mut refusal, mut sent) = (Vec::new(), None, Vec::new());
    for message in messages {
        let mut rest = &message[..];
        while !rest.is_empty() && refusal.is_none() {
            let (part, after) = rest.split_at(piece().clamp(1, rest.len()));
            rest = after;
            match connection.feed(part, now) {
                Ok(None) => {}
                Ok(Some(request)) => {
                    let target = request.target.to_string();
                    requests.push((request.method, target, request.body));
                }
                Err(reason) => refusal = Some(reason),
            }
        }
        sent.clear();
        match refusal {
            Some(refusal) => connection.refuse(refusal, now, &mut sent),
            None => {
                let second = connection.answer(&Response::text(200, "yes"), now, &mut sent);
                refusal = refusal.or(second);
            }
        }
    }
    Outcome {
        requests,
        refusal,
        phase: connection.phase(),
        sent: String::from_utf8(sent).expect("text"),
    }
}

fn whole(message: &[u8]) -> Outcome {
    outcome(&[message.to_vec()], || usize::MAX)
}

/// Whole messages, by what refuses them.
const MESSAGES: [(Refusal, &[&str]); 5] = [
    (
        Refusal::BareLineFeed,
        &[
            "GET / HTTP/1.1\nHost: a\n\n",
            "GET / HTTP/1.1\r\nHost: a\n\r\n",
            "GET / HTTP/1.1\r\nHost: a\r\n\n",
            "\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
        ],
    ),
    (
        Refusal::MalformedHead,
        &[
            "\r\nGET / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.1\r\n Host: a\r\n\r\n",
            "GET  / HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /\r\nHost: a\r\n\r\n",
            "{\"a\":1}\r\n\r\n",
        ],
    ),
    (
        Refusal::UnknownMethod,
        &[
            "BREW / HTTP/1.1\r\nHost: a\r\n\r\n",
            "get / HTTP/1.1\r\nHost: a\r\n\r\n",
            "TRACE / HTTP/1.1\r\nHost: a\r\n\r\n",
        ],
    ),
    (
        Refusal::MalformedTarget,
        &[
            "CONNECT a:443 HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET http://a/ HTTP/1.1\r\nHost: a\r\n\r\n",
            "OPTIONS * HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /#x HTTP/1.1\r\nHost: a\r\n\r\n",
            "GET /\u{e9} HTTP/1.1\r\nHost: a\r\n\r\n",
        ],
    ),
    (
        Refusal::Version,
        &[
            "GET / HTTP/1.0\r\nHost: a\r\n\r\n",
            "GET / HTTP/1.2\r\nHost: a\r\n\r\n",
            "GET / \r\nHost: a\r\n\r\n",
            "PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n",
        ],
    ),
];

/// Header lines of a GET, by what refuses them.
const GETS: [(Refusal, &[&str]); 8] = [
    (
        Refusal::MalformedHead,
        &[
            "Host: a\r\n b",
            "Host: a\r\nx: y\r\n\tz",
            "Host : a",
            "Host: a\r\n: b",
            "Host: a\r\nx",
            "Host: a\r\nx: a\0b",
            "Host: a\r\nx: a\rb",
            "Host: a\r\nx\u{e9}: b",
            "Host: a\r\nauthorization: \u{0}",
        ],
    ),
    (Refusal::HostMissing, &["x: y"]),
    (Refusal::HostRepeated, &["Host: a\r\nhOST: a"]),
    (
        Refusal::FieldRepeated,
        &["Host: a\r\ncookie: a\r\nCookie: b"],
    ),
    (Refusal::Expectation, &["Host: a\r\nExpect: 100-continue"]),
    (
        Refusal::Upgrade,
        &["Host: a\r\nConnection: upgrade\r\nUpgrade: h2c"],
    ),
    (Refusal::BodyUnexpected, &["Host: a\r\nContent-Length: 5"]),
    (Refusal::Coding, &["Host: a\r\nTransfer-Encoding: chunked"]),
];

/// Header lines of a POST whose body has five bytes, by what refuses them.
const POSTS: [(Refusal, &[&str]); 7] = [
    (Refusal::LengthMissing, &["x: y"]),
    (
        Refusal::LengthRepeated,
        &[
            "Content-Length: 5\r\nContent-Length: 5",
            "Content-Length: 5\r\nContent-Length: 6",
        ],
    ),
    (
        Refusal::LengthMalformed,
        &[
            "Content-Length: 5, 5",
            "Content-Length: +5",
            "Content-Length: -5",
            "Content-Length: 05",
            "Content-Length: 0x5",
            "Content-Length: 5 5",
            "Content-Length: 5;",
            "Content-Length:",
            "Content-Length: \u{665}",
        ],
    ),
    (
        Refusal::BodyTooLong,
        &[
            "Content-Length: 16385",
            "Content-Length: 18446744073709551615",
            "Content-Length: 18446744073709551616",
            "Content-Length: 99999999999999999999999999",
        ],
    ),
    (
        Refusal::Coding,
        &["Transfer-Encoding: chunked", "Transfer-Encoding: identity"],
    ),
    (Refusal::MalformedHead, &["Transfer-Encoding : chunked"]),
    (
        Refusal::LengthAndCoding,
        &[
            "Content-Length: 5\r\nTransfer-Encoding: chunked",
            "Transfer-Encoding: xchunked\r\nContent-Length: 5",
        ],
    ),
];

/// The framing table: messages and what refuses them.
fn framing_table() -> Vec<(Vec<u8>, Refusal)> {
    let get = |fields: &str| format!("GET / HTTP/1.1\r\n{fields}\r\n\r\n");
    let post = |fields: &str| format!("POST / HTTP/1.1\r\nHost: a\r\n{fields}\r\n\r\nhello");
    let long = "x".repeat(TARGET_BYTES_MAX);
    let endless = "x".repeat(HEAD_BYTES_MAX);
    let lines = "\r\nx: y".repeat(HEADERS_MAX);
    let mut rows = vec![
        (
            format!("GET /{long} HTTP/1.1\r\nHost: a\r\n\r\n"),
            Refusal::TargetTooLong,
        ),
        (format!("GET /{endless}"), Refusal::TargetTooLong),
        (
            get(&format!("Host: a\r\nx: {endless}")),
            Refusal::HeadTooLong,
        ),
        (get(&format!("Host: a{lines}")), Refusal::TooManyFields),
    ];
    let mut add = |table: &[(Refusal, &[&str])], message: &dyn Fn(&str) -> String| {
        for &(refusal, texts) in table {
            rows.extend(texts.iter().map(|text| (message(text), refusal)));
        }
    };
    add(&MESSAGES, &str::to_owned);
    add(&GETS, &get);
    add(&POSTS, &post);
    let bytes = rows
        .into_iter()
        .map(|(message, refusal)| (message.into_bytes(), refusal));
    bytes.collect()
}

/// Each row falls with the one line that returns its `Refusal`: in `Scan::advance`
/// (`BareLineFeed`, `HeadTooLong`, `TargetTooLong`, an empty first line), `check_target`
/// (`MalformedTarget`), `Lines::read` (`HostMissing`), `Lines::take` (`HostRepeated`,
/// `LengthRepeated`, `Expectation`, `Upgrade`, `FieldRepeated`), `Lines::body_length`
/// (`LengthAndCoding`, `Coding`, `LengthMissing`, `BodyUnexpected`, `BodyTooLong`),
/// `plain_decimal` (`let padded`, `let digits`), `Method::from_name` and `Head::parse` (the
/// rest).
#[test]
fn every_row_of_the_framing_table_is_refused_and_closes() {
    for (message, refusal) in framing_table() {
        let text = String::from_utf8_lossy(&message[..message.len().min(120)]);
        let outcome = whole(&message);
        assert_eq!(outcome.refusal, Some(refusal), "{text:?}");
        assert_eq!(outcome.requests, [], "{text:?}");
        assert_eq!(outcome.phase, Phase::Closed, "{text:?}");
        let status = format!("HTTP/1.1 {} ", refusal.status());
        assert!(outcome.sent.starts_with(&status), "{}", outcome.sent);
        assert!(outcome.sent.contains("\r\nconnection: close\r\n"));
    }
}

/// Fails without `earlier.extend_from_slice(rest_of_head)` in `Connection::feed_head`, or if
/// `Scan` forgets `carriage_return` between pieces.
#[test]
fn a_byte_at_a_time_is_refused_for_the_same_reason() {
    for (message, _) in framing_table() {
        let slow = outcome(std::slice::from_ref(&message), || 1);
        assert_eq!(slow, whole(&message));
    }
}

/// Fails when a `Refusal` is added and no row for it.
#[test]
fn every_refusal_that_framing_can_give_is_in_the_table() {
    let table = framing_table();
    let elsewhere = [
        Refusal::Pipelined,
        Refusal::HeadLate,
        Refusal::BodyLate,
        Refusal::Overloaded,
        Refusal::OutOfBuffers,
        Refusal::AnswerLate,
    ];
    for refusal in Refusal::ALL {
        let tested = table.iter().any(|(_, expected)| *expected == refusal);
        assert_ne!(tested, elsewhere.contains(&refusal), "{refusal:?}");
    }
}

fn post(target: &str, body: &[u8]) -> Vec<u8> {
    let length = body.len();
    let mut message =
        format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n")
            .into_bytes();
    message.extend_from_slice(body);
    message
}

/// Fails if a prefix is added to `head::body_bytes_max`, or its bound is off by one.
#[test]
fn long_bodies_are_taken_for_the_console_only() {
    let refused = |target: &str, length: usize| {
        let head = format!("POST {target} HTTP/1.1\r\nHost: a\r\nContent-Length: {length}\r\n\r\n");
        whole(head.as_bytes()).refusal == Some(Refusal::BodyTooLong)
    };
    for target in ["/console/people", "/api/v1/people", "/enrol/token"] {
        assert!(!refused(target, LARGE_BODY_BYTES_MAX), "{target}");
        assert!(refused(target, LARGE_BODY_BYTES_MAX + 1), "{target}");
    }
    for target in [
        "/v1/access",
        "/",
        "/console",
        "/api/space/v1/people/P1",
        "/enrolx",
    ] {
        assert!(refused(target, BODY_BYTES_MAX + 1), "{target}");
    }
}

/// Fails if `<= most` in `Lines::body_length`, `> TARGET_BYTES_MAX` in `check_target`
/// or `== HEAD_BYTES_MAX` in `Scan::advance` is off by one.
#[test]
fn what_is_just_within_the_limits_is_taken() {
    let target = format!("/{}", "x".repeat(TARGET_BYTES_MAX - 1));
    let outcome = whole(&post(&target, &vec![7; BODY_BYTES_MAX]));
    assert_eq!(outcome.refusal, None);
    assert_eq!(outcome.requests[0].1, target);
    assert_eq!(outcome.requests[0].2.len(), BODY_BYTES_MAX);

    let lines = "\r\nx: y".repeat(HEADERS_MAX - 1);
    let head = format!("GET / HTTP/1.1\r\nHost: a{lines}\r\n\r\n");
    assert_eq!(whole(head.as_bytes()).requests.len(), 1);

    let head = |room: usize| {
        format!(
            "GET / HTTP/1.1\r\nHost: a\r\nx: {}\r\n\r\n",
            "y".repeat(room)
        )
    };
    let room = HEAD_BYTES_MAX - head(0).len();
    assert_eq!(whole(head(room).as_bytes()).requests.len(), 1);
    assert_eq!(
        whole(head(room + 1).as_bytes()).refusal,
        Some(Refusal::HeadTooLong)
    );
}

/// Fails without `self.fields.insert` in `Lines::take`.
#[test]
fn what_the_service_needs_of_a_head_is_kept() {
    let (first, last) = (Instant::now(), Instant::now() + Duration::from_millis(7));
    let mut connection = Connection::new(first);
    let message = b"PUT /a?b=c?d HTTP/1.1\r\nhost: a\r\ncontent-type:  text/plain \r\n\
        AUTHORIZATION: Bearer x\r\nx-other: y\r\ncontent-length: 2\r\n\r\nhi";
    assert_eq!(connection.feed(&message[..30], first), Ok(None));
    assert_eq!(connection.phase(), Phase::Head);
    let request = connection.feed(&message[30..], last).expect("well-formed");
    let request = request.expect("whole");
    assert_eq!((request.path(), request.query()), ("/a", Some("b=c?d")));
    assert_eq!(request.fields.value(Field::ContentType), Some("text/plain"));
    assert_eq!(request.fields.value(Field::Authorization), Some("Bearer x"));
    assert_eq!(request.fields.value(Field::Cookie), None);
    assert_eq!(
        (request.times.first_byte, request.times.complete),
        (first, last)
    );
}

/// Fails without `self.close |=` in `Lines::take`.
#[test]
fn the_connection_stays_unless_somebody_asked_to_close() {
    let now = Instant::now();
    for (fields, close, phase) in [
        ("", false, Phase::Idle),
        ("\r\nconnection: keep-alive", false, Phase::Idle),
        ("\r\nconnection: keep-alive, Close", false, Phase::Closed),
        ("", true, Phase::Closed),
    ] {
        let mut connection = Connection::new(now);
        let head = format!("GET / HTTP/1.1\r\nhost: a{fields}\r\n\r\n");
        let request = connection.feed(head.as_bytes(), now).expect("well-formed");
        assert!(request.is_some());
        let mut response = Response::text(200, "yes");
        response.close = close;
        let mut sent = Vec::new();
        assert_eq!(connection.answer(&response, now, &mut sent), None);
        assert_eq!(connection.phase(), phase);
        let told = String::from_utf8_lossy(&sent).contains("connection: close");
        assert_eq!(told, phase == Phase::Closed);
        // An answer to nothing changes nothing.
        sent.clear();
        assert_eq!(connection.answer(&response, now, &mut sent), None);
        assert_eq!((sent.len(), connection.phase()), (0, phase));
    }
}

/// Fails without `pipelined: !after.is_empty()` in `feed_body`, or `pipelined: true` in `feed`.
#[test]
fn excess_is_refused_after_the_answer_and_whatever_it_is() {
    for excess in [&b"G"[..], b"\r\n", &post("/second", b"x"), &[0xff; 5_000]] {
        let mut message = post("/first", b"hello");
        message.extend_from_slice(excess);
        let outcome = whole(&message);
        assert_eq!(outcome.requests.len(), 1);
        assert_eq!(outcome.refusal, Some(Refusal::Pipelined));
        assert!(outcome.sent.starts_with("HTTP/1.1 200 OK\r\n"));
        assert!(
            outcome
                .sent
                .contains("\r\n\r\nyesHTTP/1.1 400 Bad Request\r\n")
        );
        assert_eq!(outcome.phase, Phase::Closed);
    }
}

/// Fails without `&& !answering.head_only` in `Connection::refuse`.
#[test]
fn an_overloaded_server_keeps_the_connection_but_not_for_head() {
    let now = Instant::now();
    for (method, phase) in [("GET", Phase::Idle), ("HEAD", Phase::Closed)] {
        let mut connection = Connection::new(now);
        let head = format!("{method} / HTTP/1.1\r\nhost: a\r\n\r\n");
        let request = connection.feed(head.as_bytes(), now).expect("well-formed");
        assert!(request.is_some());
        connection.refuse(Refusal::Overloaded, now, &mut Vec::new());
        assert_eq!(connection.phase(), phase);
    }
}

/// Fails if `feed_body` reserves `unfinished.length`.
#[test]
fn a_promise_of_a_body_costs_no_memory() {
    let mut connection = Connection::new(Instant::now());
    let head = format!("POST / HTTP/1.1\r\nhost: a\r\ncontent-length: {BODY_BYTES_MAX}\r\n\r\n");
    let fed = connection.feed(head.as_bytes(), Instant::now());
    assert_eq!(fed, Ok(None));
    assert_eq!(connection.phase(), Phase::Body);
    assert_eq!(connection.buffered(), 0);
}

/// A message that is nearly a request: well-formed parts and broken ones, mixed.
fn message() -> impl Strategy<Value = Vec<u8>> {
    let method = prop_oneof![
        Just("GET"),
        Just("POST"),
        Just("PUT"),
        Just("DELETE"),
        Just("X")
    ];
    let field = prop_oneof![
        8 => Just("x-a: b\r\n"),
        4 => Just("content-type: c\r\n"),
        1 => Just("connection: close\r\n"),
        1 => Just("transfer-encoding: chunked\r\n"),
        1 => Just(" folded\r\n"),
        1 => Just("bare\n"),
        1 => Just("content-length: 3\r\n"),
    ];
    let body = prop::collection::vec(any::<u8>(), 0..300);
    let excess = prop_oneof![4 => Just(0usize), 1 => 1usize..50];
    (method, prop::collection::vec(field, 0..5), body, excess).prop_map(
        |(method, fields, body, excess)| {
            let length = body.len();
            let fields = fields.concat();
            let head = format!(
                "{method} /t HTTP/1.1\r\nhost: a\r\n{fields}content-length: {length}\r\n\r\n"
            );
            let mut message = head.into_bytes();
            message.extend_from_slice(&body);
            message.extend(std::iter::repeat_n(b'G', excess));
            message
        },
    )
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(512))]

    #[test]
    fn any_split_gives_the_same(
        messages in prop::collection::vec(message(), 1..4),
        pieces in prop::collection::vec(1usize..200, 1..40),
    ) {
        let mut next = pieces.iter().copied().cycle();
        let split = outcome(&messages, || next.next().expect("it repeats"));
        let bytes = outcome(&messages, || 1);
        prop_assert_eq!(&split, &bytes);
        prop_assert_eq!(&split, &outcome(&messages, || usize::MAX));
    }

    #[test]
    fn no_bytes_panic(
        bytes in prop::collection::vec(any::<u8>(), 0..2_000),
        piece in 1usize..300,
    ) {
        let _ = outcome(&[bytes], || piece);
    }
}

/// Fails if `feed_head` takes the spare buffer, which nobody gives back, for a body of no bytes.
#[test]
fn only_a_body_takes_the_spare_buffer() {
    let now = Instant::now();
    let mut spare = Vec::with_capacity(64);
    let mut feed = |message: &str| {
        let fed = Connection::new(now).feed_into(message.as_bytes(), now, &mut spare);
        let request = fed.expect("well-formed").expect("whole");
        (request.body.capacity(), spare.capacity())
    };
    let without = [
        "GET / HTTP/1.1\r\nHost: a\r\n\r\n",
        "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 0\r\n\r\n",
    ];
    for message in without {
        assert_eq!(feed(message), (0, 64), "{message}");
    }
    let with = "POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 1\r\n\r\nx";
    assert_eq!(feed(with), (64, 0));
}
