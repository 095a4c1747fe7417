//! The administration socket, spoken as the command line speaks it.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

use crate::face::Face;

/// A connection of its own to the running server.
pub struct Admin {
    stream: BufReader<UnixStream>,
}

impl Admin {
    /// Connects to the server of a data directory.
    ///
    /// # Errors
    /// If none answers.
    pub fn connect(data: &Path) -> io::Result<Self> {
        let stream = UnixStream::connect(data.join("cardea.sock"))?;
        Ok(Self {
            stream: BufReader::new(stream),
        })
    }

    /// Sends a request and waits for its reply.
    ///
    /// # Errors
    /// If the server goes away before it has answered.
    pub fn ask(&mut self, request: &Value) -> io::Result<Value> {
        self.stream
            .get_mut()
            .write_all(format!("{request}\n").as_bytes())?;
        let mut reply = String::new();
        if self.stream.read_line(&mut reply)? == 0 || !reply.ends_with('\n') {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        Ok(serde_json::from_str(&reply)?)
    }

    /// Enrols a person with a right at every door; durable and in force on return.
    ///
    /// # Errors
    /// If the server goes away before it has said so.
    ///
    /// # Panics
    /// If it refuses.
    pub fn enrol(&mut self, external_id: &str, face: &Face) -> io::Result<()> {
        self.expect_done(&json!({"do": "import_begin"}))?;
        let add = json!({"do": "import_add", "people": [person(external_id, face)]});
        let staged = self.ask(&add)?;
        assert_eq!(staged, json!({"is": "staged", "refused": []}));
        self.expect_done(&json!({"do": "import_commit"}))
    }

    /// Withdraws a person; out of force on return.
    ///
    /// # Errors
    /// As [`Self::enrol`].
    pub fn withdraw(&mut self, external_id: &str) -> io::Result<()> {
        self.expect_done(&json!({"do": "person_withdraw", "external_id": external_id}))
    }

    fn expect_done(&mut self, request: &Value) -> io::Result<()> {
        let reply = self.ask(request)?;
        assert_eq!(reply["is"], "done", "{request} {reply}");
        Ok(())
    }
}

/// A person as an import names them.
#[must_use]
pub fn person(external_id: &str, face: &Face) -> Value {
    json!({
        "external_id": external_id,
        "name": format!("Name of {external_id}"),
        "doors": "*",
        "policy_version": "1",
        "consented_at": "2026-01-01T00:00:00Z",
        "references": [STANDARD.encode(face)],
    })
}
