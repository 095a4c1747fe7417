//! The server's end of the administration socket: a few connections, a thread each, every line
//! bounded. The socket's file is for its owner alone; that is all the authentication it has.

use std::fs;
use std::io::{self, BufRead as _, BufReader, Read as _, Write as _};
use std::os::unix::fs::PermissionsExt as _;
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::thread;
use std::time::Instant;

use crossbeam_channel::bounded;

use super::message::{Request, Response};
use crate::background;
use crate::limits::{ADMIN_CONNECTIONS_MAX, ADMIN_LINE_BYTES_MAX};
use crate::pace::Pace;
use crate::writer::{Command, Session, WriterHandle};

/// The socket's name in the data directory.
pub const FILE: &str = "cardea.sock";

/// Listens in `data`; the thread lives as long as the process.
///
/// # Errors
/// If the socket cannot be made. One that a dead server left is replaced: the caller holds the
/// data directory's lock, so no other server can be behind it.
pub fn listen(data: &Path, writer: WriterHandle, pace: Arc<Pace>) -> io::Result<()> {
    let path = data.join(FILE);
    match fs::remove_file(&path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
        Ok(()) | Err(_) => {}
    }
    let listener = UnixListener::bind(&path)?;
    fs::set_permissions(&path, fs::Permissions::from_mode(0o600))?;
    thread::Builder::new()
        .name("admin".to_owned())
        .spawn(move || accept(&listener, &writer, &pace))?;
    Ok(())
}

fn accept(listener: &UnixListener, writer: &WriterHandle, pace: &Arc<Pace>) {
    let open = Arc::new(AtomicUsize::new(0));
    for (stream, number) in listener.incoming().zip(1_u64..) {
        let Ok(stream) = stream else {
            continue;
        };
        if open.fetch_add(1, Ordering::SeqCst) >= ADMIN_CONNECTIONS_MAX {
            open.fetch_sub(1, Ordering::SeqCst);
            refuse(stream);
            continue;
        }
        let (writer, counted) = (writer.clone(), Arc::clone(&open));
        let pace = Arc::clone(pace);
        let spawned = thread::Builder::new()
            .name("admin".to_owned())
            .spawn(move || {
                let session = Session(number);
                if let Err(error) = serve(stream, session, &writer, &pace) {
                    tracing::debug!(%error, "administration socket");
                }
                let _ = writer.send(Command::SessionEnded(session));
                counted.fetch_sub(1, Ordering::SeqCst);
            });
        if spawned.is_err() {
            open.fetch_sub(1, Ordering::SeqCst);
        }
    }
}

fn refuse(mut stream: UnixStream) {
    let text = "too many administration connections; try again".to_owned();
    // Best effort: who does not listen learns nothing.
    let _ = write_response(&mut stream, &Response::Error { text });
}

fn serve(
    stream: UnixStream,
    session: Session,
    writer: &WriterHandle,
    pace: &Pace,
) -> io::Result<()> {
    let mut reader = BufReader::new(stream);
    let mut line = Vec::new();
    loop {
        line.clear();
        let limit = ADMIN_LINE_BYTES_MAX as u64;
        let read = reader.by_ref().take(limit).read_until(b'\n', &mut line)?;
        if read == 0 {
            return Ok(());
        }
        let response = match serde_json::from_slice::<Request>(&line) {
            Ok(request) => {
                if matches!(request, Request::ImportBegin) {
                    background::enter();
                }
                // Here, where nobody but the import itself waits.
                if matches!(request, Request::ImportAdd { .. })
                    && let Some(rest) = pace.rest(Instant::now())
                {
                    thread::sleep(rest);
                }
                ask(session, request, writer)
            }
            Err(error) => Response::Error {
                text: format!("no such request: {error}"),
            },
        };
        write_response(reader.get_mut(), &response)?;
        if line.last() != Some(&b'\n') {
            return Err(io::Error::new(
                io::ErrorKind::InvalidData,
                "line too long or cut short",
            ));
        }
    }
}

fn ask(session: Session, request: Request, writer: &WriterHandle) -> Response {
    let (reply, answer) = bounded(1);
    let stopped = || Response::Error {
        text: "the server is stopping".to_owned(),
    };
    if writer
        .send(Command::Administer {
            session,
            request,
            reply,
        })
        .is_err()
    {
        return stopped();
    }
    answer.recv().unwrap_or_else(|_| stopped())
}

fn write_response(stream: &mut UnixStream, response: &Response) -> io::Result<()> {
    let mut line = serde_json::to_vec(response)?;
    line.push(b'\n');
    stream.write_all(&line)
}
