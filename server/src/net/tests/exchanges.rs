use super::*;
use crate::tls::PeerCertificate;

/// Fails if `Connection::open` does not keep the certificate, or `handshake_us` is not taken with
/// the first request; without `config.session_storage` nothing is resumed.
#[test]
fn a_device_is_answered_kept_and_resumed() {
    let server = Server::start();
    let identity = server.site.device();
    let first = PeerCertificate::new(identity.certificate.clone()).fingerprint[0];
    let peer = server.site.peer(Some(&identity));
    for round in 0..3 {
        let mut device = Client::connect(server.address, &peer);
        let resumed = round > 0;
        let who = device.ask("/who", b"").body;
        assert_eq!(
            String::from_utf8_lossy(&who),
            format!("true {first} {resumed} true")
        );
        let who = device.ask("/who", b"").body;
        assert_eq!(
            String::from_utf8_lossy(&who),
            format!("true {first} {resumed} false")
        );
        for length in [0, 1, 2_112, 16_384] {
            let body = vec![b'a' + round; length];
            let answer = device.ask("/echo", &body);
            assert_eq!((answer.status, answer.body), (200, body));
            assert!(!answer.head.contains("close"));
        }
    }
    let counters = server.counters.clone();
    server.stop();
    assert_eq!(counters.value(Counter::HandshakesFull), 1);
    assert_eq!(counters.value(Counter::HandshakesResumed), 2);
    assert_eq!(counters.value(Counter::Requests), 18);
    assert_eq!(counters.value(Counter::Answers), 18);
    assert_eq!(counters.value(Counter::PeerLeft), 0);
}

/// Fails if `Connection::take` sends the ticket alone, or `transmit` does not put it first.
#[test]
fn the_ticket_comes_with_the_first_answer() {
    let server = Server::start();
    let peer = server.site.peer(Some(&server.site.device()));
    let mut device = Client::connect(server.address, &peer).greeted();
    server.wait_for(Counter::HandshakesFull, 1);
    let socket = &device.stream.sock;
    socket.set_nonblocking(true).expect("a socket");
    let early = socket.peek(&mut [0]).map_err(|error| error.kind());
    assert_eq!(early, Err(io::ErrorKind::WouldBlock));
    socket.set_nonblocking(false).expect("a socket");
    // What the server owes for this was sealed after the ticket.
    let changed = device.stream.conn.refresh_traffic_keys();
    changed.expect("TLS 1.3 changes keys");
    assert_eq!(device.ask("/echo", b"a").body, b"a");
    let mut again = Client::connect(server.address, &peer);
    assert_eq!(again.ask("/echo", b"b").body, b"b");
    let counters = server.counters.clone();
    server.stop();
    assert_eq!(counters.value(Counter::HandshakesResumed), 1);
}

/// Fails if `asked` does not compare the exchange's number: the answer to what is over then goes to
/// the next request of the connection.
#[test]
fn answers_come_from_other_threads_in_any_order() {
    let server = Server::start();
    let mut clients: Vec<Client> = (0..8).map(|_| server.stranger()).collect();
    let mut ids = Vec::new();
    for client in &mut clients {
        client.send(&post("/later", b""));
        ids.push(server.asked());
    }
    for (number, &id) in ids.iter().enumerate().rev() {
        server.answer(id, Response::new(200, "", vec![number as u8]));
        assert_eq!(clients[number].answer().body, [number as u8]);
        assert_eq!(server.told(), Told::Sent(id));
    }
    // An answer to what is over is dropped, and goes to nobody else.
    server.answer(ids[0], Response::text(200, "again"));
    assert_eq!(clients[0].ask("/echo", b"next").body, b"next");
    let counters = server.counters.clone();
    server.wait_for(Counter::AnswersLate, 1);
    server.told.try_iter().for_each(drop);
    drop(clients);
    server.waker.stop();
    assert_eq!(counters.value(Counter::AnswersLate), 1);
}

/// Fails if `EventLoop::serve_queues` serves strangers before devices.
#[test]
fn devices_come_before_strangers() {
    let server = Server::start();
    let mut strangers: Vec<Client> = (0..6).map(|_| server.stranger().greeted()).collect();
    let mut device = server.device().greeted();
    server.wait_for(Counter::Handshakes, 0);
    let mut blocker = server.stranger().greeted();
    blocker.send(&post("/block", b""));
    server.asked();
    // All of these wait when the next turn begins, and the device came last.
    for stranger in &mut strangers {
        stranger.send(&post("/echo", b""));
    }
    device.send(&post("/device", b""));
    server.gate.send(()).expect("the service waits");
    let told = std::iter::repeat_with(|| server.told());
    let next = told.filter_map(|told| match told {
        Told::Asked(_, target) => Some(target),
        Told::Sent(_) | Told::Gone(_) => None,
    });
    let order: Vec<String> = next.take(7).collect();
    assert_eq!(order[0], "/device");
    assert!(order[1..].iter().all(|target| target == "/echo"));
    drop((strangers, device, blocker));
    server.stop();
}

/// Fails without `earlier.extend_from_slice(bytes)` in `Connection::feed_head`.
#[test]
fn a_request_split_at_every_byte_is_one_request() {
    let server = Server::start();
    let mut client = server.stranger().greeted();
    let message = post("/echo", b"hello");
    for split in 1..message.len() {
        client.send(&message[..split]);
        client.send(&message[split..]);
        assert_eq!(client.answer().body, b"hello");
    }
    for byte in &message {
        client.send(&[*byte]);
    }
    assert_eq!(client.answer().body, b"hello");
    let asked = server.stop().len() / 2;
    assert_eq!(asked, message.len());
}

/// Fails without `Err(End::Left)` for a read of nothing in `Connection::read`, or if `remove` does
/// not withdraw the request.
#[test]
fn a_peer_that_leaves_at_any_byte_leaves_nothing_behind() {
    let server = Server::start();
    let peer = server.site.peer(None);
    // Leave inside the handshake,
    let mut hello = Vec::new();
    client(&peer).write_tls(&mut hello).expect("memory");
    for end in 0..hello.len() {
        server
            .raw()
            .write_all(&hello[..end])
            .expect("the loop reads");
    }
    // and inside a request, with its records cut anywhere.
    let mut clients = 0;
    let mut end = 0;
    loop {
        let mut client = Client::connect(server.address, &peer).greeted();
        let mut records = Vec::new();
        let request = post("/later", b"hello");
        client
            .stream
            .conn
            .writer()
            .write_all(&request)
            .expect("memory");
        client.stream.conn.write_tls(&mut records).expect("memory");
        clients += 1;
        if end > records.len() {
            break;
        }
        client
            .stream
            .sock
            .write_all(&records[..end])
            .expect("the loop reads");
        end += 1;
    }
    let accepted = (hello.len() + clients) as u64;
    server.wait_for(Counter::Accepted, accepted);
    server.wait_for(Counter::Connections, 0);
    assert_eq!(
        server.stranger().ask("/echo", b"still here").body,
        b"still here"
    );
    let told = server.stop();
    // Only the last but one sent a whole request, which was then given up.
    assert!(
        matches!(&told[..], [Told::Asked(a, _), Told::Gone(b), Told::Asked(..), Told::Sent(_)]
        if a == b),
        "{told:?}"
    );
}

/// Fails if `finish_closing` does not linger: the connection is reset under the answer.
#[test]
fn what_framing_refuses_is_told_though_more_is_sent() {
    let server = Server::start();
    // Far more than the loop ever reads of it: closing at once would reset the connection.
    let head = b"POST / HTTP/1.1\r\nhost: a\r\ncontent-length: 400000\r\n\r\n";
    let message = [&head[..], &[7; 400_000]].concat();
    for _ in 0..10 {
        let mut client = server.stranger();
        client.send(&message);
        let answer = client.answer();
        assert_eq!(answer.status, 413);
        assert!(answer.head.contains("connection: close"));
        assert!(client.is_closed_politely());
    }
    let counters = server.counters.clone();
    assert_eq!(server.stop(), []);
    assert_eq!(counters.refused(Refusal::BodyTooLong), 10);
}

/// Fails without `refusal.render(out)` in `http::Connection::answer`.
#[test]
fn pipelined_requests_get_one_answer_and_a_refusal() {
    let server = Server::start();
    let mut client = server.stranger();
    client.send(&[post("/later", b""), post("/later", b"")].concat());
    let id = server.asked();
    client.send(&post("/later", &[7; 16_000]));
    server.answer(id, Response::text(200, "first"));
    assert_eq!(client.answer().body, b"first");
    assert_eq!(client.answer().status, 400);
    assert!(client.is_closed_politely());
    let counters = server.counters.clone();
    assert_eq!(
        server.stop(),
        [Told::Sent(id)].into_iter().collect::<Vec<_>>()
    );
    assert_eq!(counters.refused(Refusal::Pipelined), 1);
}

/// Fails if `Session::receive` drops the alert of a handshake that broke, or the verifier of
/// `server_config` takes any certificate.
#[test]
fn plain_http_and_old_tls_are_turned_away() {
    let server = Server::start();
    let old = [22, 3, 1, 0, 5, 1, 0, 0, 1, 0];
    for bytes in [
        &b"GET / HTTP/1.1\r\nhost: a\r\n\r\n"[..],
        &old,
        &[0; 64],
        &[0xff; 64],
    ] {
        let mut socket = server.raw();
        socket.write_all(bytes).expect("the loop reads");
        let mut told = Vec::new();
        // A reset may follow the alert; the alert is what counts.
        let _ = socket.read_to_end(&mut told);
        assert_eq!(told[..2], [21, 3], "an alert for {bytes:?}");
    }
    let foreign = Site::named("another").device();
    let mut client = Client::connect(server.address, &server.site.peer(Some(&foreign)));
    assert!(client.is_closed());
    let counters = server.counters.clone();
    server.wait_for(Counter::Connections, 0);
    assert_eq!(server.stop(), []);
    assert_eq!(counters.value(Counter::HandshakeBroken), 4);
    assert_eq!(counters.value(Counter::CertificateRefused), 1);
}

/// Fails without `socket.set_reuse_port(true)` in `listener`: the second loop gets no port.
#[test]
fn two_loops_share_a_port_and_sessions() {
    let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
    let listeners = listener::bind_all(loopback, 2).expect("a free port");
    let site = Site::new();
    let tls = Arc::new(ArcSwap::new(site.server(&Arc::new(Sessions::new(64)))));
    let peer = site.peer(Some(&site.device()));
    let servers: Vec<Server> = listeners
        .into_iter()
        .map(|listener| Server::on(listener, Site::new(), tls.clone(), Bounds::default()))
        .collect();
    let mut rounds = 0u64;
    // The kernel spreads by port: go on until both loops had a resumed connection.
    let both = || {
        let resumed = |s: &Server| s.counters.value(Counter::HandshakesResumed) > 0;
        servers.iter().all(resumed)
    };
    while !both() {
        let mut device = Client::connect(servers[0].address, &peer);
        assert_eq!(device.ask("/echo", b"hello").body, b"hello");
        rounds += 1;
        assert!(rounds < 200, "one loop gets all connections");
    }
    let full: u64 = servers
        .iter()
        .map(|server| server.counters.value(Counter::HandshakesFull))
        .sum();
    assert_eq!(full, 1);
    servers.into_iter().for_each(|server| drop(server.stop()));
}
