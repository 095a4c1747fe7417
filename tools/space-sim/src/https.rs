//! SHIP over HTTPS: one connection, one thread.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::sync::Arc;
use std::time::Duration;

use rustls::{ServerConnection, StreamOwned};
use socket2::SockRef;

use crate::answer::{Answer, Delivery, answer};
use crate::world::World;

const HEAD_BYTES_MAX: usize = 16 << 10;
const BODY_BYTES_MAX: usize = 1 << 20;

type Stream = StreamOwned<ServerConnection, TcpStream>;

/// Serves until the connection ends.
pub(crate) fn serve(world: &Arc<World>, socket: TcpStream) {
    let number = world.register(&socket);
    // How a connection ends is the client's affair, or a fault that was ordered.
    let _ = converse(world, number, socket);
    world.unregister(number);
}

fn converse(world: &World, number: u64, socket: TcpStream) -> std::io::Result<()> {
    socket.set_nodelay(true)?;
    let tls = ServerConnection::new(Arc::clone(&world.identity().config));
    let mut stream = StreamOwned::new(tls.map_err(std::io::Error::other)?, socket);
    while stream.conn.is_handshaking() {
        if stream.conn.complete_io(&mut stream.sock)?.0 == 0 {
            return Ok(());
        }
    }
    world.count_handshake();
    let mut is_first = true;
    loop {
        if !is_first && stream.sock.peek(&mut [0])? > 0 && world.faults.take_stale() {
            return reset(&stream.sock);
        }
        is_first = false;
        let Some(request) = read_request(&mut stream)? else {
            return Ok(());
        };
        let answer = match &request {
            Request::Ship { key, body } => answer(world, number, Some(key), body),
            Request::Bad(status) => {
                head(
                    &mut stream,
                    *status,
                    "Content-Length: 0\r\nConnection: close\r\n",
                )?;
                return stream.flush();
            }
        };
        if !deliver(world, &mut stream, &answer)? {
            return Ok(());
        }
    }
}

enum Request {
    Ship { key: String, body: Vec<u8> },
    Bad(u16),
}

/// `None` when the client is done.
fn read_request(stream: &mut Stream) -> std::io::Result<Option<Request>> {
    let mut input = Vec::new();
    let mut buffer = [0; 16 << 10];
    loop {
        let mut headers = [httparse::EMPTY_HEADER; 32];
        let mut head = httparse::Request::new(&mut headers);
        match head.parse(&input) {
            Ok(httparse::Status::Complete(length)) => {
                let value = |name: &str| {
                    let found = head
                        .headers
                        .iter()
                        .find(|h| h.name.eq_ignore_ascii_case(name));
                    found.and_then(|header| std::str::from_utf8(header.value).ok())
                };
                if head.method != Some("POST") || head.path != Some("/") {
                    return Ok(Some(Request::Bad(404)));
                }
                if value("content-type") != Some("application/vnd.saltosystems.ship.v1+xml") {
                    return Ok(Some(Request::Bad(415)));
                }
                let expected = value("content-length").and_then(|length| length.parse().ok());
                let Some(expected) = expected.filter(|length| *length <= BODY_BYTES_MAX) else {
                    return Ok(Some(Request::Bad(411)));
                };
                let key = value("salto-ship-key").unwrap_or_default().to_owned();
                let mut body = input.split_off(length);
                while body.len() < expected {
                    let count = stream.read(&mut buffer)?;
                    if count == 0 {
                        return Ok(None);
                    }
                    body.extend_from_slice(&buffer[..count]);
                }
                let is_exact = body.len() == expected;
                let request = Request::Ship { key, body };
                return Ok(Some(if is_exact { request } else { Request::Bad(400) }));
            }
            Ok(httparse::Status::Partial) if input.len() < HEAD_BYTES_MAX => {}
            Ok(httparse::Status::Partial) | Err(_) => return Ok(Some(Request::Bad(400))),
        }
        let count = stream.read(&mut buffer)?;
        if count == 0 {
            return Ok(None);
        }
        input.extend_from_slice(&buffer[..count]);
    }
}

/// False when the connection is over.
fn deliver(world: &World, stream: &mut Stream, answer: &Answer) -> std::io::Result<bool> {
    let body = &answer.body;
    let length = |length: usize| format!("Content-Length: {length}\r\n");
    match answer.delivery {
        Delivery::Whole | Delivery::ThenClose => {
            let mut whole = rendered_head(200, &length(body.len())).into_bytes();
            whole.extend_from_slice(body);
            answer.delivered(world);
            stream.write_all(&whole)?;
            stream.flush()?;
            Ok(answer.delivery == Delivery::Whole)
        }
        Delivery::Trickle(gap) => {
            head(stream, 200, &length(body.len()))?;
            trickle(world, stream, body, gap)?;
            answer.delivered(world);
            Ok(true)
        }
        Delivery::Chunked => {
            head(stream, 200, "Transfer-Encoding: chunked\r\n")?;
            for chunk in body.chunks(100) {
                write!(stream, "{:x}\r\n", chunk.len())?;
                stream.write_all(chunk)?;
                stream.write_all(b"\r\n")?;
            }
            answer.delivered(world);
            stream.write_all(b"0\r\n\r\n")?;
            stream.flush()?;
            Ok(true)
        }
        Delivery::WrongLength => {
            head(stream, 200, &length(body.len() + 100))?;
            stream.write_all(body)?;
            stream.flush()?;
            Ok(false)
        }
        Delivery::Status(status) => {
            head(stream, status, &length(0))?;
            stream.flush()?;
            Ok(true)
        }
        Delivery::Close => Ok(false),
        Delivery::Reset => reset(&stream.sock).map(|()| false),
    }
}

fn trickle(world: &World, stream: &mut Stream, body: &[u8], gap: Duration) -> std::io::Result<()> {
    for byte in body {
        stream.write_all(&[*byte])?;
        stream.flush()?;
        world.faults.pause(gap);
    }
    Ok(())
}

fn head(stream: &mut Stream, status: u16, headers: &str) -> std::io::Result<()> {
    stream.write_all(rendered_head(status, headers).as_bytes())
}

fn rendered_head(status: u16, headers: &str) -> String {
    format!("HTTP/1.1 {status} Simulated\r\nServer: space-sim\r\n{headers}\r\n")
}

/// Closing with a linger time of zero sends a reset instead of a farewell.
pub(crate) fn reset(socket: &TcpStream) -> std::io::Result<()> {
    SockRef::from(socket).set_linger(Some(Duration::ZERO))
}
