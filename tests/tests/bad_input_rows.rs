//! PROTOCOL.md's tables of framing (section 1) and of bad input (section 8) against the tests: each
//! row has a test that is there, and the line of code without which that test fails.

use std::fs;
use std::path::{Path, PathBuf};

/// A test (file and name), and the line that it guards (file and a part of the line that no other
/// line of the file has).
struct Proof {
    test: (&'static str, &'static str),
    guard: (&'static str, &'static str),
}

const fn by(test: (&'static str, &'static str), file: &'static str, line: &'static str) -> Proof {
    Proof {
        test,
        guard: (file, line),
    }
}

const HEAD: &str = "server/src/http/head.rs";
const CONNECTION: &str = "server/src/http/connection.rs";
const LIFETIME: &str = "server/src/net/lifetime.rs";
const ROUTE: &str = "server/src/api/route.rs";
const API: &str = "server/src/api/mod.rs";
const API_ACCESS: &str = "server/src/api/access.rs";
const WIRE_HEAD: &str = "server/wire/src/head.rs";
const WIRE_ACCESS: &str = "server/wire/src/access.rs";
const WIRE_ENROL: &str = "server/wire/src/enrol.rs";
const EMBEDDING: &str = "engine/src/embedding.rs";

const FRAMING: (&str, &str) = (
    "server/src/http/tests.rs",
    "every_row_of_the_framing_table_is_refused_and_closes",
);
const LATE: (&str, &str) = (
    "server/src/net/tests/lifetime.rs",
    "a_head_and_a_body_that_take_too_long_are_told_so",
);
const PATHS: (&str, &str) = (
    "tests/tests/refusals.rs",
    "a_path_or_method_that_is_none_is_told_which_is",
);
const MESSAGES: (&str, &str) = (
    "tests/tests/bad_input.rs",
    "each_bad_message_has_its_answer_and_the_connection_stays_sound",
);
const LENGTHS: (&str, &str) = (
    "tests/tests/bad_input.rs",
    "a_body_of_another_length_than_announced_is_refused_and_the_connection_closed",
);
const DEVICES: (&str, &str) = (
    "tests/tests/bad_input.rs",
    "only_a_device_of_this_site_is_served",
);
const EXPIRED: (&str, &str) = (
    "tests/tests/bad_input.rs",
    "an_expired_certificate_is_refused_on_old_connections_and_new_ones",
);
const ENROLMENTS: (&str, &str) = (
    "tests/tests/enrol_device.rs",
    "what_is_no_enrolment_is_refused",
);

/// The rows of `### Framing`, by their first cell.
const OF_FRAMING: [(&str, &[Proof]); 11] = [
    (
        "`POST`, path as in section 2",
        &[
            by(PATHS, ROUTE, "return Err(Response::empty(404));"),
            by(PATHS, ROUTE, "with_field(\"Allow\", allow)"),
            by(FRAMING, HEAD, "method.ok_or(Refusal::UnknownMethod)?"),
        ],
    ),
    (
        "`HTTP/1.1`",
        &[by(FRAMING, HEAD, "if parsed.version != Some(1) {")],
    ),
    (
        "exactly one `Host`, exactly one `Content-Length`, a plain decimal number",
        &[
            by(FRAMING, HEAD, "false => Err(Refusal::HostMissing),"),
            by(FRAMING, HEAD, "return Err(Refusal::HostRepeated);"),
            by(FRAMING, HEAD, "return Err(Refusal::LengthRepeated);"),
            by(FRAMING, HEAD, "ok_or(Refusal::LengthMalformed)?"),
            by(FRAMING, HEAD, "return Err(Refusal::LengthMissing),"),
        ],
    ),
    (
        "no `Transfer-Encoding`",
        &[
            by(FRAMING, HEAD, "return Err(Refusal::Coding),"),
            by(FRAMING, HEAD, "return Err(Refusal::LengthAndCoding),"),
        ],
    ),
    (
        "lines end in CR LF, no folded lines, head well-formed",
        &[
            by(FRAMING, HEAD, "return Err(Refusal::BareLineFeed);"),
            by(
                FRAMING,
                HEAD,
                "Err(_) => return Err(Refusal::MalformedHead),",
            ),
        ],
    ),
    (
        "no `Expect`, no `Upgrade`",
        &[
            by(FRAMING, HEAD, "return Err(Refusal::Expectation);"),
            by(FRAMING, HEAD, "return Err(Refusal::Upgrade);"),
        ],
    ),
    (
        "head at most 8,192 bytes and 48 lines, target at most 2,048 bytes",
        &[
            by(FRAMING, HEAD, "if self.seen == HEAD_BYTES_MAX {"),
            by(FRAMING, HEAD, "return Err(Refusal::TooManyFields),"),
            by(FRAMING, HEAD, "if target.len() > TARGET_BYTES_MAX {"),
        ],
    ),
    (
        "body at most 16,384 bytes; 8 MiB for `/console/`, `/api/v1/` and `/enrol/`, which are for \
         browsers and scripts",
        &[by(
            (
                "server/src/http/tests.rs",
                "long_bodies_are_taken_for_the_console_only",
            ),
            HEAD,
            "Ok(length) if length <= most => Ok(length),",
        )],
    ),
    (
        "head whole within 5 s of its first byte, body within 5 s of the head",
        &[
            by(LATE, LIFETIME, "self.refuse(key, Refusal::HeadLate, now),"),
            by(LATE, LIFETIME, "self.refuse(key, Refusal::BodyLate, now),"),
        ],
    ),
    (
        "nothing after the request before its response has come",
        &[
            by(LENGTHS, CONNECTION, "pipelined: !after.is_empty(),"),
            by(
                (
                    "server/src/net/tests/exchanges.rs",
                    "pipelined_requests_get_one_answer_and_a_refusal",
                ),
                CONNECTION,
                "(answering.pipelined && !close).then_some(Refusal::Pipelined);",
            ),
        ],
    ),
    (
        "not too many requests in flight",
        &[by(
            (
                "server/src/net/tests/caps.rs",
                "requests_past_the_cap_are_refused_at_once_and_the_connection_stays",
            ),
            "server/src/net/exchange.rs",
            "if self.requests >= self.bounds.requests {",
        )],
    ),
];

/// The rows of `## 8. Bad input`.
const OF_BAD_INPUT: [(&str, &[Proof]); 20] = [
    (
        "body shorter or longer than its head says",
        &[by(MESSAGES, WIRE_HEAD, "if message.len() != expected {")],
    ),
    (
        "body shorter or longer than `Content-Length`",
        &[
            by(
                LENGTHS,
                LIFETIME,
                "self.refuse(key, Refusal::BodyLate, now),",
            ),
            by(LENGTHS, CONNECTION, "pipelined: !after.is_empty(),"),
        ],
    ),
    (
        "not beginning with `CRDA`; a kind that is not the path's; a field with an undefined \
         number; a code of -128",
        &[
            by(MESSAGES, WIRE_HEAD, "if head[..4] != MAGIC {"),
            by(MESSAGES, WIRE_ACCESS, "if head.kind != Kind::Access {"),
            by(
                MESSAGES,
                WIRE_HEAD,
                "_ => Err(WireError::BadField { field: \"pad\" }),",
            ),
            by(MESSAGES, WIRE_ACCESS, "if codes.contains(&0x80) {"),
        ],
    ),
    (
        "another version",
        &[by(MESSAGES, WIRE_HEAD, "if version != VERSION {")],
    ),
    (
        "another model",
        &[by(
            MESSAGES,
            API_ACCESS,
            "if message.model != self.site.model.0 {",
        )],
    ),
    (
        "another dimension",
        &[by(
            MESSAGES,
            WIRE_ACCESS,
            "if head.dimension != DIMENSION {",
        )],
    ),
    (
        "a number that is not finite",
        &[by(
            MESSAGES,
            EMBEDDING,
            "components.iter().position(|x| !x.is_finite())",
        )],
    ),
    (
        "norm 0, or further than 0.001 from 1",
        &[by(
            MESSAGES,
            EMBEDDING,
            "if (norm - 1.0).abs() > NORM_TOLERANCE {",
        )],
    ),
    (
        "an encoding that does not exist",
        &[by(
            MESSAGES,
            WIRE_ACCESS,
            "Err(WireError::UnknownEncoding { found }),",
        )],
    ),
    (
        "no client certificate",
        &[by(DEVICES, API, "ok_or(Reason::NoCertificate)?;")],
    ),
    (
        "a certificate of another CA, or past its end",
        &[
            by(
                DEVICES,
                "server/src/tls/config.rs",
                "with_client_cert_verifier(verifier)",
            ),
            by(
                EXPIRED,
                "server/src/tls/config.rs",
                "with_client_cert_verifier(verifier)",
            ),
        ],
    ),
    (
        "a certificate that ends while its connection or session goes on",
        &[by(EXPIRED, API, "now_unix_s <= device.not_after_unix_s")],
    ),
    (
        "a certificate of no device of this site, or of a removed one",
        &[by(
            DEVICES,
            API,
            "in_force.cloned().ok_or(Reason::UnknownDevice)",
        )],
    ),
    (
        "a repeated request id, also after a restart",
        &[by(
            (
                "tests/tests/bad_input.rs",
                "a_repeated_request_id_gets_the_first_answer_and_is_one_attempt",
            ),
            "server/src/audit/writer.rs",
            "if let Some(sequence) = self.repeats.find(hash) {",
        )],
    ),
    (
        "an enrolment with no or more than four embeddings, or a code that is none",
        &[
            by(
                ENROLMENTS,
                WIRE_ENROL,
                "if !(1..=CAPTURE_EMBEDDINGS_MAX).contains(&count) {",
            ),
            by(
                ENROLMENTS,
                WIRE_ENROL,
                "if text.is_empty() || !printable || !zeros {",
            ),
        ],
    ),
    (
        "an enrolment for a capture that has ended, or of another device",
        &[by(
            (
                "tests/tests/enrol_device.rs",
                "the_device_that_was_asked_and_the_code_that_was_shown",
            ),
            "server/src/writer/faces.rs",
            "wanted.device.0 == captured.device && wanted.expires_unix_s > now",
        )],
    ),
    (
        "a fifth access request in flight of one device",
        &[by(
            (
                "tests/tests/refusals.rs",
                "a_device_with_four_attempts_in_flight_is_told_so_and_no_other",
            ),
            API_ACCESS,
            "self.attempts.admit(",
        )],
    ),
    (
        "an access request that cannot be recorded: the server's disk is full, or fails",
        &[by(
            (
                "tests/tests/disk_faults.rs",
                "a_disk_that_is_full_after_any_byte",
            ),
            "server/src/access.rs",
            "self.refuse(Reason::NotRecorded, moment.now)",
        )],
    ),
    (
        "an access request while the gallery's file is found damaged, until it is made anew",
        &[by(
            (
                "tests/tests/gallery_faults.rs",
                "a_file_overwritten_while_it_serves_is_noticed_and_rebuilt",
            ),
            "server/src/access.rs",
            "SearchEnd::Failed => return self.refuse(Reason::GalleryUnavailable, moment.now),",
        )],
    ),
    (
        "a commissioning, renewal or enrolment that cannot be stored: the same disk",
        &[by(
            (
                "tests/tests/disk_faults.rs",
                "a_certificate_that_cannot_be_stored_is_not_given_out",
            ),
            "server/src/writer/devices.rs",
            "| WriterError::Ended => Reason::NotStored,",
        )],
    ),
];

fn root() -> PathBuf {
    let tests = Path::new(env!("CARGO_MANIFEST_DIR"));
    tests.parent().expect("it lies in the project").to_owned()
}

fn text_of(file: &str) -> String {
    fs::read_to_string(root().join(file)).unwrap_or_else(|error| panic!("{file}: {error}"))
}

/// The first cells of the table under a heading.
fn rows_under(page: &str, heading: &str) -> Vec<String> {
    let (_, section) = page.split_once(heading).expect("the heading");
    let lines = section.lines().skip_while(|line| !line.starts_with("| "));
    let table = lines.take_while(|line| line.starts_with("| "));
    let cells = table.map(|line| {
        line.trim_matches('|')
            .split(" | ")
            .next()
            .unwrap_or_default()
    });
    // The table's own head, and the line under it.
    cells.skip(2).map(|cell| cell.trim().to_owned()).collect()
}

/// Why a proof is none.
fn complaint(proof: &Proof) -> Option<String> {
    let (file, name) = proof.test;
    if !text_of(file).contains(&format!("#[test]\nfn {name}() {{")) {
        return Some(format!("{file} has no test {name}"));
    }
    let (file, part) = proof.guard;
    let text = text_of(file);
    let code = text.split("#[cfg(test)]\nmod tests {").next();
    let lines = code.unwrap_or_default().lines();
    let found = lines.filter(|line| line.contains(part)).count();
    (found != 1).then(|| format!("{found} lines of {file} have `{part}`"))
}

/// Fails if a row comes, goes or changes, or its test or the line that it guards does.
#[test]
fn every_row_of_bad_input_has_its_test_and_the_line_that_it_guards() {
    let page = text_of("PROTOCOL.md");
    for (heading, table) in [
        ("### Framing", &OF_FRAMING[..]),
        ("## 8. Bad input", &OF_BAD_INPUT[..]),
    ] {
        let rows = rows_under(&page, heading);
        let proved: Vec<&str> = table.iter().map(|(row, _)| *row).collect();
        assert_eq!(rows, proved, "{heading}");
        let proofs = table.iter().flat_map(|(_, proofs)| proofs.iter());
        let complaints: Vec<String> = proofs.filter_map(complaint).collect();
        assert!(complaints.is_empty(), "{heading}: {complaints:#?}");
        assert!(table.iter().all(|(_, proofs)| !proofs.is_empty()));
    }
}
