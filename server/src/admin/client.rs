//! The command line's end of the administration socket.

use std::io::{self, BufRead as _, BufReader, Write as _};
use std::os::unix::net::UnixStream;
use std::path::Path;

use super::message::{Request, Response};
use super::socket::FILE;
use crate::install::owner;
use crate::writer::{Session, Writer};

/// Who carries out a command: the running server, or this process under the directory's lock.
pub enum Desk {
    /// The running server.
    Server(Client),
    /// No server runs: this process holds the data directory.
    Here(Box<Writer>),
}

impl Desk {
    /// Finds the server of this data directory, or takes its place: root as the directory's owner,
    /// in a process of its own with which this one ends.
    ///
    /// # Errors
    /// If the directory is no site's, or something else holds it.
    pub fn open(data: &Path) -> io::Result<Self> {
        if let Some(client) = Client::connect(data)? {
            return Ok(Self::Server(client));
        }
        if let Some(status) = owner::go_on_as_owner(data)? {
            std::process::exit(status.code().unwrap_or(1));
        }
        Ok(Self::Here(Box::new(
            Writer::offline(data).map_err(io::Error::other)?,
        )))
    }

    /// Has a request carried out.
    ///
    /// # Errors
    /// If the connection breaks.
    pub fn ask(&mut self, request: &Request) -> io::Result<Response> {
        match self {
            Self::Server(client) => client.ask(request),
            Self::Here(writer) => Ok(writer.carry_out(Session::COMMAND_LINE, request.clone())),
        }
    }
}

/// A connection to the running server.
pub struct Client {
    reader: BufReader<UnixStream>,
}

impl Client {
    /// Connects to the server of this data directory; `None` if none is running.
    ///
    /// # Errors
    /// If there is a server and it cannot be reached.
    pub fn connect(data: &Path) -> io::Result<Option<Self>> {
        match UnixStream::connect(data.join(FILE)) {
            Ok(stream) => Ok(Some(Self {
                reader: BufReader::new(stream),
            })),
            Err(error)
                if matches!(
                    error.kind(),
                    io::ErrorKind::NotFound | io::ErrorKind::ConnectionRefused
                ) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Sends a request and waits for its reply.
    ///
    /// # Errors
    /// If the connection breaks: whether the request was carried out is then not known.
    pub fn ask(&mut self, request: &Request) -> io::Result<Response> {
        let mut line = serde_json::to_vec(request)?;
        line.push(b'\n');
        self.reader.get_mut().write_all(&line)?;
        let mut reply = String::new();
        if self.reader.read_line(&mut reply)? == 0 {
            return Err(io::Error::new(
                io::ErrorKind::UnexpectedEof,
                "the server went away before it answered; what was asked may or may not be done",
            ));
        }
        Ok(serde_json::from_str(&reply)?)
    }
}
