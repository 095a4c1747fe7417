//! The control port: plain HTTP on the simulator's own address. `POST /` with a command as the
//! body, or `GET /ledger` and the like for commands of one word; answers are JSON.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use crate::command::execute;
use crate::world::World;

const INPUT_BYTES_MAX: usize = 64 << 10;
const IDLE_MAX: Duration = Duration::from_secs(5);

/// Serves one request.
pub(crate) fn serve(world: &Arc<World>, socket: TcpStream) {
    // Whoever commands sees for himself that no answer came.
    let _ = converse(world, socket);
}

fn converse(world: &World, mut socket: TcpStream) -> std::io::Result<()> {
    socket.set_read_timeout(Some(IDLE_MAX))?;
    let mut input = Vec::new();
    let mut buffer = [0; 4_096];
    let command = loop {
        if let Some(command) = parse(&input) {
            break command;
        }
        let count = socket.read(&mut buffer)?;
        if count == 0 || input.len() > INPUT_BYTES_MAX {
            return Ok(());
        }
        input.extend_from_slice(&buffer[..count]);
    };
    let (status, value) = match command.and_then(|command| execute(world, &command)) {
        Ok(value) => (200, value),
        Err(why) => (400, serde_json::json!({ "error": why })),
    };
    let body = value.to_string();
    write!(
        socket,
        "HTTP/1.1 {status} Simulated\r\nContent-Type: application/json\r\nContent-Length: {}\r\n\
         Connection: close\r\n\r\n{body}",
        body.len()
    )
}

/// The command, or what is wrong with the request; `None` when more must come.
fn parse(input: &[u8]) -> Option<Result<String, String>> {
    let mut headers = [httparse::EMPTY_HEADER; 32];
    let mut head = httparse::Request::new(&mut headers);
    let length = match head.parse(input) {
        Ok(httparse::Status::Complete(length)) => length,
        Ok(httparse::Status::Partial) => return None,
        Err(error) => return Some(Err(error.to_string())),
    };
    let path = head.path.unwrap_or_default().trim_matches('/');
    match head.method {
        Some("GET") => Some(Ok(path.replace('/', " "))),
        Some("POST") => {
            let expected = head.headers.iter();
            let expected = expected.filter(|h| h.name.eq_ignore_ascii_case("content-length"));
            let expected = expected.filter_map(|h| std::str::from_utf8(h.value).ok());
            let expected: usize = expected.filter_map(|text| text.parse().ok()).next()?;
            let body = input[length..].get(..expected)?;
            Some(String::from_utf8(body.to_vec()).map_err(|error| error.to_string()))
        }
        _ => Some(Err("GET or POST".into())),
    }
}
