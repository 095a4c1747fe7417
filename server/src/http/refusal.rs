//! Why a request is refused before any route sees it, and what the peer is told.

use super::response::{phrase, push_decimal};

/// Why the front end refused. Every one closes the connection but `Overloaded`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[repr(u8)]
pub enum Refusal {
    /// A line of the head is not one that RFC 9112 allows.
    MalformedHead,
    /// A line ends in LF without CR.
    BareLineFeed,
    /// The target is not a path of visible ASCII.
    MalformedTarget,
    /// No `Host`.
    HostMissing,
    /// Two `Host`.
    HostRepeated,
    /// A header that we read comes twice.
    FieldRepeated,
    /// `Content-Length` comes twice.
    LengthRepeated,
    /// `Content-Length` is not a plain decimal number.
    LengthMalformed,
    /// `Transfer-Encoding` and `Content-Length` together.
    LengthAndCoding,
    /// GET or HEAD with a body.
    BodyUnexpected,
    /// Bytes after the request and before its answer.
    Pipelined,
    /// The head was not whole in time.
    HeadLate,
    /// The body was not whole in time.
    BodyLate,
    /// A body may follow and nothing says how long it is.
    LengthMissing,
    /// `Transfer-Encoding`.
    Coding,
    /// The body is longer than the limit.
    BodyTooLong,
    /// The target is longer than the limit.
    TargetTooLong,
    /// `Expect`.
    Expectation,
    /// The head is longer than the limit.
    HeadTooLong,
    /// The head has too many lines.
    TooManyFields,
    /// The method is none of ours.
    UnknownMethod,
    /// `Upgrade`.
    Upgrade,
    /// A cap on what is in flight is reached; the connection stays.
    Overloaded,
    /// A cap on the bytes held for peers is reached.
    OutOfBuffers,
    /// The service did not answer in time.
    AnswerLate,
    /// Not HTTP/1.1.
    Version,
}

impl Refusal {
    /// All, in the order of their numbers: for counters.
    pub const ALL: [Refusal; 26] = [
        Refusal::MalformedHead,
        Refusal::BareLineFeed,
        Refusal::MalformedTarget,
        Refusal::HostMissing,
        Refusal::HostRepeated,
        Refusal::FieldRepeated,
        Refusal::LengthRepeated,
        Refusal::LengthMalformed,
        Refusal::LengthAndCoding,
        Refusal::BodyUnexpected,
        Refusal::Pipelined,
        Refusal::HeadLate,
        Refusal::BodyLate,
        Refusal::LengthMissing,
        Refusal::Coding,
        Refusal::BodyTooLong,
        Refusal::TargetTooLong,
        Refusal::Expectation,
        Refusal::HeadTooLong,
        Refusal::TooManyFields,
        Refusal::UnknownMethod,
        Refusal::Upgrade,
        Refusal::Overloaded,
        Refusal::OutOfBuffers,
        Refusal::AnswerLate,
        Refusal::Version,
    ];

    /// Status, name for counters, and the sentence for whoever reads the answer.
    const fn parts(self) -> (u16, &'static str, &'static str) {
        match self {
            Refusal::MalformedHead => (400, "malformed_head", "the head is malformed"),
            Refusal::BareLineFeed => (400, "bare_line_feed", "a line ends in LF without CR"),
            Refusal::MalformedTarget => (400, "malformed_target", "the target is not a path"),
            Refusal::HostMissing => (400, "host_missing", "Host is missing"),
            Refusal::HostRepeated => (400, "host_repeated", "Host is repeated"),
            Refusal::FieldRepeated => (400, "field_repeated", "a header is repeated"),
            Refusal::LengthRepeated => (400, "length_repeated", "Content-Length is repeated"),
            Refusal::LengthMalformed => (
                400,
                "length_malformed",
                "Content-Length is not a plain decimal number",
            ),
            Refusal::LengthAndCoding => (
                400,
                "length_and_coding",
                "Content-Length and Transfer-Encoding together",
            ),
            Refusal::BodyUnexpected => (400, "body_unexpected", "GET and HEAD have no body"),
            Refusal::Pipelined => (
                400,
                "pipelined",
                "bytes followed the request before it was answered",
            ),
            Refusal::HeadLate => (408, "head_late", "the head took too long"),
            Refusal::BodyLate => (408, "body_late", "the body took too long"),
            Refusal::LengthMissing => (411, "length_missing", "Content-Length is required"),
            Refusal::Coding => (411, "coding", "Content-Length only, no Transfer-Encoding"),
            Refusal::BodyTooLong => (413, "body_too_long", "the body is too long"),
            Refusal::TargetTooLong => (414, "target_too_long", "the target is too long"),
            Refusal::Expectation => (417, "expectation", "Expect is not understood"),
            Refusal::HeadTooLong => (431, "head_too_long", "the head is too long"),
            Refusal::TooManyFields => (431, "too_many_fields", "the head has too many lines"),
            Refusal::UnknownMethod => (501, "unknown_method", "the method is unknown"),
            Refusal::Upgrade => (501, "upgrade", "no protocol to upgrade to"),
            Refusal::Overloaded => (503, "overloaded", "too many requests are in flight"),
            Refusal::OutOfBuffers => (503, "out_of_buffers", "too many bytes are in flight"),
            Refusal::AnswerLate => (503, "answer_late", "no answer in time"),
            Refusal::Version => (505, "version", "HTTP/1.1 only"),
        }
    }

    /// The HTTP status.
    pub const fn status(self) -> u16 {
        self.parts().0
    }

    /// A name in snake case, for counters.
    pub const fn name(self) -> &'static str {
        self.parts().1
    }

    /// What the peer is told.
    pub const fn sentence(self) -> &'static str {
        self.parts().2
    }

    /// Whether the connection can carry another request afterwards.
    pub const fn keeps_connection(self) -> bool {
        matches!(self, Refusal::Overloaded)
    }

    /// Appends the whole answer to `out`, made of constants alone.
    pub fn render(self, out: &mut Vec<u8>) {
        let (status, _, sentence) = self.parts();
        out.extend_from_slice(b"HTTP/1.1 ");
        push_decimal(out, u64::from(status));
        out.push(b' ');
        out.extend_from_slice(phrase(status).as_bytes());
        out.extend_from_slice(b"\r\ncontent-type: text/plain\r\ncontent-length: ");
        push_decimal(out, sentence.len() as u64 + 1);
        if !self.keeps_connection() {
            out.extend_from_slice(b"\r\nconnection: close");
        }
        if status == 503 {
            out.extend_from_slice(b"\r\nretry-after: 1");
        }
        out.extend_from_slice(b"\r\n\r\n");
        out.extend_from_slice(sentence.as_bytes());
        out.push(b'\n');
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_follow_the_order_of_all() {
        for (i, refusal) in Refusal::ALL.iter().enumerate() {
            assert_eq!(*refusal as usize, i, "{refusal:?}");
        }
    }

    #[test]
    fn an_answer_is_framed_by_its_own_length() {
        for refusal in Refusal::ALL {
            let mut out = Vec::new();
            refusal.render(&mut out);
            let text = String::from_utf8(out).expect("made of ASCII constants");
            let (head, body) = text.split_once("\r\n\r\n").expect("a head ends");
            let length = format!("content-length: {}", body.len());
            assert!(head.lines().any(|line| line == length), "{text}");
            assert_eq!(
                head.contains("connection: close"),
                !refusal.keeps_connection()
            );
            assert!(!phrase(refusal.status()).is_empty());
        }
    }

    /// The statuses of PROTOCOL.md's framing table, row by row. Each row falls with the number of
    /// its `Refusal` in `Refusal::parts`, or with the table's.
    #[test]
    fn every_status_is_the_protocols() {
        use Refusal::*;
        let rows: [(&str, &[Refusal], &[u16]); 12] = [
            ("path as in section 2", &[UnknownMethod], &[501]),
            ("`HTTP/1.1`", &[Version], &[505]),
            (
                "exactly one `Host`",
                &[HostMissing, HostRepeated, LengthRepeated, LengthMalformed],
                &[400],
            ),
            ("exactly one `Content-Length`", &[LengthMissing], &[411]),
            (
                "no `Transfer-Encoding`",
                &[Coding, LengthAndCoding],
                &[411, 400],
            ),
            (
                "lines end in CR LF",
                &[BareLineFeed, MalformedHead, MalformedTarget, FieldRepeated],
                &[400],
            ),
            ("no `Expect`", &[Expectation, Upgrade], &[417, 501]),
            (
                "head at most 8,192 bytes and 48 lines",
                &[HeadTooLong, TooManyFields, TargetTooLong],
                &[431, 414],
            ),
            ("body at most 16,384 bytes", &[BodyTooLong], &[413]),
            ("head whole within 5 s", &[HeadLate, BodyLate], &[408]),
            ("nothing after the request", &[Pipelined], &[400]),
            (
                "not too many requests in flight",
                &[Overloaded, OutOfBuffers, AnswerLate],
                &[503],
            ),
        ];
        let protocol = include_str!("../../../PROTOCOL.md");
        for (rule, refusals, due) in rows {
            let row = protocol
                .lines()
                .find(|line| line.starts_with('|') && line.contains(rule));
            let row = row.unwrap_or_else(|| panic!("no row {rule}"));
            let statuses = row.rsplit('|').nth(1).unwrap_or_default();
            for status in due {
                assert!(statuses.contains(&status.to_string()), "{rule}: {statuses}");
            }
            for refusal in refusals {
                assert!(due.contains(&refusal.status()), "{rule}: {refusal:?}");
            }
        }
    }
}
