//! What administrators ask of the Enrolment Service.

use serde::{Deserialize, Serialize};

use crate::enrol::{EnrolmentSetup, MailSetup};

/// A request about enrolment.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "enrol", rename_all = "snake_case")]
pub enum EnrolAsk {
    /// How it is set up.
    Show,
    /// Sets up what people are told; what is absent stays as it is.
    Set {
        /// The company, the policy, the other way in.
        setup: EnrolmentSetup,
    },
    /// Sets up how mail is sent; none sends no more.
    SetMail {
        /// The relay.
        mail: Option<MailSetup>,
    },
    /// Invites people; who is known and not enrolled gets a new link.
    Invite {
        /// At most `INVITEES_MAX`.
        people: Vec<Invitee>,
        /// Answers with the links instead of mailing them.
        #[serde(default)]
        paper: bool,
    },
    /// Who is to enrol, and how far they are.
    List {
        /// Begin after this external id.
        after: Option<String>,
        /// At most this many.
        limit: u32,
    },
    /// Disenrols, and invites again as before.
    Resend {
        /// The site's own name for the person.
        external_id: String,
        /// Answers with the link instead of mailing it.
        #[serde(default)]
        paper: bool,
    },
    /// Takes an invitation back.
    Cancel {
        /// The site's own name for the person.
        external_id: String,
    },
    /// Says that a likely duplicate is somebody else: the next capture is enrolled.
    Allow {
        /// The site's own name for the person.
        external_id: String,
    },
    /// Records that a person consented on paper, and has their device capture.
    Consent {
        /// The site's own name for the person.
        external_id: String,
    },
    /// Has the device of a person who consented capture; answers with the code to be shown.
    Capture {
        /// The site's own name for the person.
        external_id: String,
    },
}

/// A person to invite.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Invitee {
    /// The site's own name for the person.
    pub external_id: String,
    /// Their name; may be empty for who is known.
    pub name: String,
    /// Their e-mail address; may be empty for who is known, or on paper.
    pub email: String,
    /// The name of the device that captures; empty for none.
    pub device: String,
    /// `*` or door names separated by `;`; empty leaves their rights as they are.
    pub doors: String,
    /// Two letters; empty is English.
    pub language: String,
    /// How many days the invitation holds; 0 takes the usual 14.
    #[serde(deserialize_with = "crate::whole::whole")]
    pub days: u32,
}

impl EnrolAsk {
    /// What the audit notes of it, if it changes something: what, and to whom.
    #[must_use]
    pub fn change(&self) -> Option<(&'static str, String)> {
        Some(match self {
            Self::Set { setup } => {
                let version = setup.policy_version.clone().unwrap_or_default();
                ("enrol.set", version)
            }
            Self::SetMail { mail } => {
                let host = mail.as_ref().map(|mail| mail.host.clone());
                ("enrol.set-mail", host.unwrap_or_default())
            }
            Self::Invite { people, .. } => {
                let names: Vec<_> = people.iter().map(|one| one.external_id.as_str()).collect();
                ("enrol.invite", names.join(", "))
            }
            Self::Resend { external_id, .. } => ("enrol.resend", external_id.clone()),
            Self::Cancel { external_id } => ("enrol.cancel", external_id.clone()),
            Self::Allow { external_id } => ("enrol.allow", external_id.clone()),
            Self::Consent { external_id } => ("enrol.consent", external_id.clone()),
            Self::Capture { external_id } => ("enrol.capture", external_id.clone()),
            Self::Show | Self::List { .. } => return None,
        })
    }
}
