//! The HTTP status of each reason, and replies as responses.

use cardea_wire::{CONTENT_TYPE, Decision, Kind, Reason, Reply, RequestId};

use crate::metrics::events;
use crate::net::Response;

/// A reply as a response: 200 for whatever was served, else the reason's status. Refusals are
/// counted.
pub(crate) fn response(reply: &Reply) -> Response {
    response_in(reply, Vec::new())
}

/// The same, with this buffer as its body.
pub(super) fn response_in(reply: &Reply, mut body: Vec<u8>) -> Response {
    reply.write(&mut body);
    let status = match reply.decision {
        Decision::Denied | Decision::Granted | Decision::Served => 200,
        Decision::Refused => {
            events::refused(reply.kind, reply.reason);
            status(reply.reason)
        }
    };
    Response::new(status, CONTENT_TYPE, body)
}

/// A refusal.
pub(crate) fn refuse((kind, request_id): (Kind, RequestId), reason: Reason) -> Response {
    response(&Reply::new(kind, request_id, Decision::Refused, reason))
}

/// The status that a refusal for this reason carries; PROTOCOL.md has the same table.
fn status(reason: Reason) -> u16 {
    match reason {
        Reason::Malformed
        | Reason::UnknownVersion
        | Reason::BadDimension
        | Reason::BadLength
        | Reason::UnknownEncoding => 400,
        Reason::NoCertificate => 401,
        Reason::UnknownDevice | Reason::TokenRefused => 403,
        Reason::UnknownModel | Reason::CaptureRefused => 409,
        Reason::NotFinite | Reason::NotUnit | Reason::BadCertificateRequest => 422,
        Reason::DeviceBudget => 429,
        Reason::Overloaded
        | Reason::NotRecorded
        | Reason::GalleryUnavailable
        | Reason::Stopping
        | Reason::NotStored => 503,
        Reason::DeadlinePassed => 504,
        // Denials are answers, not refusals.
        Reason::None
        | Reason::NoMatch
        | Reason::NoRight
        | Reason::PadFailed
        | Reason::Withdrawn
        | Reason::Banned
        | Reason::NotYetActive
        | Reason::Expired
        | Reason::OutsidePeriod
        | Reason::OutsideTimezone
        | Reason::TimezoneNotDescribed
        | Reason::NotInSpace
        | Reason::SpaceUnavailable
        | Reason::SpaceRefused
        | Reason::OutcomeUnknown
        | Reason::NoConsent
        | Reason::EnrolmentHeld
        | Reason::WrongCode
        | Reason::CapturesDiffer
        | Reason::DoorNotInSpace
        | Reason::RecordUnreadable
        | Reason::Interrupted => 200,
    }
}

#[cfg(test)]
mod tests {
    use cardea_wire::reason::ALL;

    use super::*;

    const PROTOCOL: &str = include_str!("../../../PROTOCOL.md");

    /// Fails if any line of `status`, a number or a sentence of `Reason` differs from the table of
    /// PROTOCOL.md, section 3, or is not in it.
    #[test]
    fn every_reason_has_its_row_in_the_protocol() {
        let section = PROTOCOL
            .split("\n## ")
            .find(|section| section.starts_with("3. "));
        let rows = section.unwrap_or_default().lines();
        let rows: Vec<Vec<&str>> = rows
            .filter(|line| line.starts_with("| ") && line.as_bytes()[2].is_ascii_digit())
            .map(|line| line.split('|').map(str::trim).collect())
            .collect();
        assert_eq!(rows.len(), ALL.len(), "rows and reasons");
        for (reason, row) in ALL.iter().zip(&rows) {
            assert_eq!(row[1], reason.code().to_string(), "{reason:?}");
            assert_eq!(row[2], status(*reason).to_string(), "{reason:?}");
            if *reason != Reason::None {
                assert_eq!(row[3], reason.text(), "{reason:?}");
            }
        }
    }
}
