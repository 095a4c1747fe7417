//! What the console and its API ask beside what administrators ask for: sessions; and the
//! requests about the team, tokens and the integrations' settings.

use crossbeam_channel::Sender;

use super::Writer;
use super::carry_out::{Refusal, date, done, table, unix_s, words};
use super::error::WriterError;
use crate::admin::message::{NewToken, Request, Response};
use crate::enrol::EnrolmentSetup;
use crate::limits::{COMPANY_BYTES_MAX, PASSWORD_BYTES_MAX};
use crate::metrics::events::WRITER_FAILED;
use crate::store::{NewApiToken, Reader, Role, Scope, Scopes, SecretHash, SettingKey, StoreError};

/// A change of the console's own.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConsoleChange {
    /// A member has signed in.
    SessionOpen {
        /// The session's secret, hashed.
        session: SecretHash,
        /// Whose.
        member: u64,
        /// The name, for the audit.
        name: String,
        /// The browser, if it was not known before.
        browser: Option<SecretHash>,
    },
    /// A session is in use.
    SessionSeen(SecretHash),
    /// A member has signed out.
    SessionEnd(SecretHash),
    /// A token of the API is in use.
    TokenSeen(u64),
    /// A member has changed the own password.
    Password {
        /// Who.
        name: String,
        /// Its hash, PHC form.
        hash: String,
    },
}

/// A change of the console's own, and where the answer goes if anybody waits for it.
#[derive(Debug)]
pub struct ConsoleAsk {
    /// What.
    pub change: ConsoleChange,
    /// Where the answer goes.
    pub reply: Option<Sender<Result<(), StoreError>>>,
}

impl Writer {
    /// A reader of the store, for another thread.
    ///
    /// # Errors
    /// If it cannot be opened.
    pub fn open_reader(&self) -> Result<Reader, WriterError> {
        Ok(self.store.open_reader()?)
    }

    /// What is asked of the console's team and settings.
    pub(super) fn console_request(&mut self, request: Request) -> Result<Response, Refusal> {
        match request {
            Request::TeamList => self.team_list(),
            Request::TeamAdd {
                name,
                role,
                password_hash,
            } => self.team_add(&name, role, &password_hash),
            Request::TeamPassword {
                name,
                password_hash,
            } => self.team_password(&name, &password_hash),
            Request::TeamRole { name, role } => self.team_role(&name, role),
            Request::TeamRemove { name } => self.team_remove(&name),
            Request::TokenAdd { token } => self.token_add(&token),
            Request::TokenRemove { name } => self.token_remove(&name),
            Request::EnrolmentServiceSet {
                company,
                policy_address,
                check,
                more,
            } => self.enrolment_service_set(&company, &policy_address, &check, &more),
            Request::IntegrationsAdded { names } => self.integrations_added(&names),
            _ => unreachable!("the caller passes on nothing else"),
        }
    }

    pub(super) fn console(&mut self, ask: ConsoleAsk) {
        let outcome = self.console_change(ask.change);
        if let Err(error) = &outcome
            && WRITER_FAILED.is_logged()
        {
            tracing::warn!(%error, "a change of the console's");
        }
        if let Some(reply) = ask.reply {
            // Who does not wait any more has lost only the answer.
            let _ = reply.send(outcome);
        }
    }

    fn console_change(&mut self, change: ConsoleChange) -> Result<(), StoreError> {
        let now = unix_s();
        match change {
            ConsoleChange::SessionOpen {
                session,
                member,
                name,
                browser,
            } => {
                self.store.session_open(session, member, now)?;
                if let Some(browser) = browser {
                    self.store.browser_add(browser, member, now)?;
                }
                self.note(&name, "team.sign-in", name.clone());
                Ok(())
            }
            ConsoleChange::SessionSeen(session) => self.store.session_seen(session, now),
            ConsoleChange::SessionEnd(session) => self.store.session_end(session),
            ConsoleChange::TokenSeen(token) => self.store.api_token_seen(token, now),
            ConsoleChange::Password { name, hash } => {
                self.store.team_password(&name, &hash, false)?;
                self.note(&name, "team.password", name.clone());
                Ok(())
            }
        }
    }

    fn team_list(&self) -> Result<Response, Refusal> {
        let members = self.store.read().team()?;
        let rows = members.into_iter().map(|member| {
            vec![
                member.name,
                member.role.name().to_owned(),
                date(member.created_unix_s),
            ]
        });
        Ok(table(&["name", "role", "since"], rows.collect()))
    }

    fn team_add(
        &mut self,
        name: &str,
        role: Role,
        password_hash: &str,
    ) -> Result<Response, Refusal> {
        checked_hash(password_hash)?;
        self.store.team_add(name, role, password_hash, unix_s())?;
        Ok(done("added"))
    }

    fn team_password(&mut self, name: &str, password_hash: &str) -> Result<Response, Refusal> {
        checked_hash(password_hash)?;
        self.store.team_password(name, password_hash, true)?;
        Ok(done(
            "the password is another one now; all sessions of the name have ended",
        ))
    }

    fn team_role(&mut self, name: &str, role: Role) -> Result<Response, Refusal> {
        self.store.team_role(name, role)?;
        Ok(done("the role is another one now"))
    }

    fn team_remove(&mut self, name: &str) -> Result<Response, Refusal> {
        self.store.team_remove(name)?;
        Ok(done("removed, and signed out"))
    }

    fn token_add(&mut self, token: &NewToken) -> Result<Response, Refusal> {
        let hash: [u8; 32] = <[u8; 32]>::try_from(token.hash.as_slice())
            .map_err(|_| words("the hash is not 32 bytes"))?;
        let scopes: Option<Vec<Scope>> =
            token.scopes.iter().map(|name| Scope::named(name)).collect();
        let scopes = scopes.filter(|scopes| !scopes.is_empty());
        let scopes = scopes.ok_or_else(|| words("no such scope"))?;
        let expires = token.days.map(|days| unix_s() + i64::from(days) * 86_400);
        let new = NewApiToken {
            name: token.name.clone(),
            scopes: Scopes::of(&scopes),
            hash: SecretHash(hash),
            expires_unix_s: expires,
        };
        self.store.api_token_add(&new, unix_s())?;
        Ok(done("added"))
    }

    fn token_remove(&mut self, name: &str) -> Result<Response, Refusal> {
        self.store.api_token_remove(name)?;
        Ok(done("removed: it is refused from now on"))
    }

    fn enrolment_service_set(
        &mut self,
        company: &str,
        policy_address: &str,
        check: &str,
        more: &EnrolmentSetup,
    ) -> Result<Response, Refusal> {
        if company.trim().is_empty() || company.len() > COMPANY_BYTES_MAX {
            return Err(words("the company's name is missing or too long"));
        }
        let first = vec![
            (SettingKey::COMPANY, company.trim().as_bytes()),
            (SettingKey::POLICY_ADDRESS, policy_address.as_bytes()),
            (SettingKey::POLICY_CHECK, check.as_bytes()),
        ];
        self.enrol_store(first, more)
    }

    fn integrations_added(&mut self, names: &[String]) -> Result<Response, Refusal> {
        let text = names.join(" ");
        self.store
            .setting_set(SettingKey::INTEGRATIONS_ADDED, text.as_bytes())?;
        Ok(done("stored"))
    }
}

/// Refuses what cannot be a password's hash: nobody could sign in with it.
fn checked_hash(text: &str) -> Result<(), Refusal> {
    match text.starts_with("$argon2id$") && text.len() <= PASSWORD_BYTES_MAX {
        true => Ok(()),
        false => Err(words("this is no hash of a password")),
    }
}
