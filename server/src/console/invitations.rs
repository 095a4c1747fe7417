//! What pages and API do with invitations: the same operations for both.

use super::call::Call;
use super::desk::Desk;
use super::reply::Failure;
use crate::admin::enrol::{EnrolAsk, Invitee};
use crate::admin::message::{Request, Response};

/// What becomes of one person's invitation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// Disenrol, and invite again by mail.
    Resend,
    /// Disenrol, and invite again on paper.
    Reprint,
    /// Take it back.
    Cancel,
    /// A likely duplicate is somebody else.
    Allow,
    /// They consented on paper.
    Consent,
}

impl Step {
    /// By its name in paths.
    pub fn named(name: &str) -> Option<Self> {
        Some(match name {
            "resend" => Self::Resend,
            "reprint" => Self::Reprint,
            "cancel" => Self::Cancel,
            "allow" => Self::Allow,
            "consent" => Self::Consent,
            _ => return None,
        })
    }
}

/// Invites somebody; gives the link of an invitation on paper.
///
/// # Errors
/// The writer's words.
pub fn invite(
    desk: &Desk,
    call: &Call,
    invitee: Invitee,
    paper: bool,
) -> Result<Option<String>, Failure> {
    let people = vec![invitee];
    let ask = EnrolAsk::Invite { people, paper };
    Ok(link(&desk.ask(call, Request::Enrol { ask })?))
}

/// Takes a step with somebody's invitation; gives the link of one on paper.
///
/// # Errors
/// The writer's words.
pub fn step(
    desk: &Desk,
    call: &Call,
    external_id: &str,
    step: Step,
) -> Result<Option<String>, Failure> {
    let external_id = external_id.to_owned();
    let ask = match step {
        Step::Resend | Step::Reprint => EnrolAsk::Resend {
            external_id,
            paper: step == Step::Reprint,
        },
        Step::Cancel => EnrolAsk::Cancel { external_id },
        Step::Allow => EnrolAsk::Allow { external_id },
        Step::Consent => EnrolAsk::Consent { external_id },
    };
    Ok(link(&desk.ask(call, Request::Enrol { ask })?))
}

/// The link in the writer's answer, if it carries one.
fn link(answer: &Response) -> Option<String> {
    let Response::Table { rows, .. } = answer else {
        return None;
    };
    let last = rows.first()?.last()?;
    last.starts_with("https://").then(|| last.clone())
}
