//! The Enrolment Service, beside the writer that carries its changes out: how the site has set it
//! up, links and their QR codes, the letters that invite, the mail that brings them, and the
//! extractor that makes embeddings of photos.
//!
//! - `setup`: what the site decides, checked
//! - `link`: tokens, addresses of people's own pages, QR codes
//! - `letter`: the invitation as a mail
//! - `mail`: the thread that sends it
//! - `extractor`: the process that looks at a photo; `photo`: the thread that starts it

pub mod extractor;
pub mod letter;
pub mod link;
pub mod mail;
pub mod photo;
pub mod setup;

pub use link::Link;
pub use setup::{EnrolmentSetup, MailSetup, MailTls};
