//! Everything about a person, for them to keep: JSON, their templates' bytes included.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use super::enrol::{Visitor, unknown, visitor};
use crate::audit::{AuditFilter, Entry};
use crate::console::call::Call;
use crate::console::desk::Desk;
use crate::console::frame::moment;
use crate::console::reply::{Failure, file};
use crate::net::Response;
use crate::store::{ConsentHow, Person};
use cardea_wire::{Decision, Reason};

/// Pages of the audit that are looked through: each looks at up to 100,000 records.
const AUDIT_PAGES_MAX: usize = 10;

/// The download.
pub(super) fn download(desk: &mut Desk, call: &Call) -> Result<Response, Failure> {
    let Some(visitor) = visitor(desk, call)? else {
        return unknown(desk, call);
    };
    let everything = json!({
        "person": person(desk, &visitor)?,
        "invitation": visitor.standing.invitation.as_ref().map(|invitation| json!({
            "made": moment(invitation.created_unix_s),
            "expires": moment(invitation.expires_unix_s),
            "sent": invitation.sent_unix_s.map(moment),
            "language": invitation.language,
            "last_outcome": invitation.outcome.words(),
        })),
        "references": references(desk, &visitor.person)?,
        "access_attempts": attempts(desk, &visitor.person)?,
    });
    let text = serde_json::to_vec_pretty(&everything);
    let text = text.map_err(|error| Failure::Broken(error.to_string()))?;
    Ok(file("my-data.json", "application/json", text))
}

fn person(desk: &Desk, visitor: &Visitor) -> Result<Value, Failure> {
    let person = &visitor.person;
    let doors = desk.read.store.doors()?;
    let doors = person.doors.iter().filter_map(|id| {
        let door = doors.iter().find(|door| door.id == *id)?;
        Some(door.name.clone())
    });
    Ok(json!({
        "external_id": person.external_id,
        "name": person.name,
        "email": person.email,
        "stage": visitor.standing.stage.word(),
        "known_since": moment(person.created_unix_s),
        "every_door": person.every_door,
        "doors": doors.collect::<Vec<_>>(),
        "consent": person.consent.as_ref().map(|consent| json!({
            "policy_version": consent.policy_version,
            "at": moment(consent.at_unix_s),
            "how": match consent.how {
                ConsentHow::InPerson => "in person",
                ConsentHow::Online => "online",
                ConsentHow::Imported => "imported",
            },
        })),
    }))
}

fn references(desk: &Desk, person: &Person) -> Result<Vec<Value>, Failure> {
    let model = hexadecimal(&desk.parts().site.model.0);
    let mut references = Vec::with_capacity(person.references.len());
    for summary in &person.references {
        let Some(stored) = desk.read.store.reference(summary.id)? else {
            continue;
        };
        references.push(json!({
            "number": summary.id.0,
            "made": moment(summary.created_unix_s),
            "quality": summary.quality,
            "face_model": model,
            "format": "512 little-endian f32, base64",
            "template": STANDARD.encode(stored.embedding.as_slice()),
        }));
    }
    Ok(references)
}

fn attempts(desk: &Desk, person: &Person) -> Result<Vec<Value>, Failure> {
    let doors = desk.read.store.doors()?;
    let filter = AuditFilter {
        person: Some(person.id.0),
        ..AuditFilter::default()
    };
    let (mut attempts, mut before) = (Vec::new(), None);
    for _ in 0..AUDIT_PAGES_MAX {
        let page = desk.read.audit.page(filter, before, 1_000)?;
        for entry in page.entries {
            let Entry::Attempt(record, _) = entry.entry else {
                continue;
            };
            let door = doors.iter().find(|door| door.id.0 == record.door);
            attempts.push(json!({
                "at": moment(record.at_unix_us / 1_000_000),
                "door": door.map(|door| door.name.clone()),
                "granted": record.decision == Decision::Granted as u8,
                "reason": Reason::from_code(record.reason).map_or("", Reason::text),
                "score": record.matched.map(|matched| matched.score),
            }));
        }
        before = page.next;
        if before.is_none() {
            break;
        }
    }
    Ok(attempts)
}

fn hexadecimal(bytes: &[u8; 16]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}
