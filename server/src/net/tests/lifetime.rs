use super::*;
use crate::limits::TARGET_BYTES_MAX;
use crate::tls::PeerCertificate;

/// A server where one timeout is short.
fn hasty(shorten: impl FnOnce(&mut Timeouts)) -> Server {
    let mut bounds = patient();
    shorten(&mut bounds.timeouts);
    Server::bounded(bounds)
}

/// Fails without the `Stage::Greeting` deadline.
#[test]
fn an_unfinished_handshake_ends() {
    let server = hasty(|timeouts| timeouts.handshake = SOON);
    let peer = server.site.peer(None);
    let mut hello = Vec::new();
    client(&peer).write_tls(&mut hello).expect("memory");
    for sent in [0, 1, hello.len() / 2, hello.len()] {
        let mut socket = server.raw();
        socket.write_all(&hello[..sent]).expect("the loop reads");
        let _ = socket.read_to_end(&mut Vec::new());
    }
    let counters = server.counters.clone();
    server.stop();
    assert_eq!(counters.value(Counter::HandshakeLate), 4);
}

/// Fails without `Refusal::HeadLate` or `Refusal::BodyLate` in `expire_connection`.
#[test]
fn a_head_and_a_body_that_take_too_long_are_told_so() {
    let message = post("/later", b"hello");
    for (sent, refusal) in [
        (1, Refusal::HeadLate),
        (message.len() - 6, Refusal::HeadLate),
        (message.len() - 5, Refusal::BodyLate),
        (message.len() - 1, Refusal::BodyLate),
    ] {
        let server = hasty(|timeouts| (timeouts.head, timeouts.body) = (SOON, SOON));
        let mut client = server.stranger().greeted();
        client.send(&message[..sent]);
        assert_eq!(client.answer().status, 408);
        assert!(client.is_closed_politely());
        drop(client);
        let counters = server.counters.clone();
        assert_eq!(server.stop(), []);
        assert_eq!(counters.refused(refusal), 1, "{sent}");
    }
}

/// Fails if `Connection::feed_into` sets `since` in `State::Head` as well.
#[test]
fn a_head_that_trickles_does_not_move_its_deadline() {
    let deadline = 10 * SOON;
    let server = hasty(|timeouts| timeouts.head = deadline);
    let mut client = server.stranger().greeted();
    client.send(b"POST /");
    // A byte each time that no answer has come for a moment: so many moments are several
    // deadlines, and so few bytes are a target.
    let patience = |client: &Client, patience| {
        let socket = &client.stream.sock;
        socket.set_read_timeout(Some(patience)).expect("a timeout");
    };
    let moment = Duration::from_millis(1);
    patience(&client, moment);
    let bytes_max = TARGET_BYTES_MAX as u32 - 10;
    assert!(moment * bytes_max > 5 * deadline);
    let answered = (0..bytes_max).any(|_| {
        client.send(b"x");
        client.more().is_ok()
    });
    assert!(
        answered,
        "the deadline moved with each of {bytes_max} bytes"
    );
    patience(&client, PATIENCE);
    assert_eq!(client.answer().status, 408);
    drop(client);
    let counters = server.counters.clone();
    assert_eq!(server.stop(), []);
    assert_eq!(counters.refused(Refusal::HeadLate), 1);
}

/// Fails without `Refusal::AnswerLate` in `expire_connection`.
#[test]
fn a_service_that_does_not_answer_is_answered_for() {
    let server = hasty(|timeouts| timeouts.answer = SOON);
    let mut client = server.stranger();
    let answer = client.ask("/later", b"");
    assert_eq!(answer.status, 503);
    let id = server.asked();
    assert_eq!(server.told(), Told::Gone(id));
    assert!(client.is_closed_politely());
    server.answer(id, Response::text(200, "late"));
    server.wait_for(Counter::AnswersLate, 1);
    drop(client);
    let counters = server.counters.clone();
    assert_eq!(server.stop(), []);
    assert_eq!(counters.refused(Refusal::AnswerLate), 1);
}

/// Fails if a connection's unsent bytes are written until they are gone.
#[test]
fn a_peer_that_does_not_read_does_not_stop_the_others() {
    let server = hasty(|timeouts| timeouts.write = 4 * SOON);
    let mut deaf = Client::over(narrow(server.address), &server.site.peer(None)).greeted();
    deaf.send(&post("/big", b""));
    let mut other = server.stranger();
    assert_eq!(other.ask("/echo", b"hello").body, b"hello");
    server.wait_for(Counter::WriteLate, 1);
    assert_eq!(other.ask("/echo", b"hello").body, b"hello");
    drop(other);
    let told = server.stop();
    let gone = told.iter().filter(|told| matches!(told, Told::Gone(_)));
    assert_eq!(gone.count(), 1);
}

/// Fails if `Connection::flush` forgets the outbox once the kernel took a part of it, or
/// `Connection::transmit` keeps more than what the kernel did not take.
#[test]
fn a_large_response_arrives_whole_at_a_slow_reader() {
    let server = Server::bounded(patient());
    let mut slow = Client::over(narrow(server.address), &server.site.peer(None)).greeted();
    let mut other = server.stranger();
    for _ in 0..3 {
        slow.send(&post("/big", b""));
        // It is not read before the kernel has taken all that it takes.
        let give_up = Instant::now() + PATIENCE;
        while server.counters.value(Counter::BytesInFlight) < 1 << 18 {
            assert!(Instant::now() < give_up, "the kernel takes it all at once");
            std::thread::yield_now();
        }
        // Between two reads somebody else is answered, and the loop sees the room anew.
        while slow.read.len() < 1 << 20 {
            slow.more().expect("more comes");
            assert_eq!(other.ask("/echo", b"hello").body, b"hello");
        }
        let answer = slow.answer();
        assert_eq!(answer.body.len(), 1 << 20);
        assert!(answer.body.iter().all(|&byte| byte == b'x'));
        server.wait_for(Counter::BytesInFlight, 0);
    }
    drop((slow, other));
    server.stop();
}

/// A connection whose kernel keeps little of what comes.
fn narrow(address: SocketAddr) -> TcpStream {
    let socket = socket2::Socket::new(socket2::Domain::IPV4, socket2::Type::STREAM, None);
    let socket = socket.expect("a socket");
    socket.set_recv_buffer_size(4_096).expect("a small buffer");
    socket.connect(&address.into()).expect("the loop listens");
    socket.into()
}

/// Fails if `idle_device` counts for peers without a certificate.
#[test]
fn quiet_strangers_are_let_go_before_quiet_devices() {
    let server = hasty(|timeouts| timeouts.idle_stranger = SOON);
    let mut device = server.device().greeted();
    let mut stranger = server.stranger();
    assert_eq!(stranger.ask("/echo", b"hello").body, b"hello");
    assert!(stranger.is_closed_politely());
    assert_eq!(device.ask("/echo", b"hello").body, b"hello");
    drop((device, stranger));
    let counters = server.counters.clone();
    server.stop();
    assert_eq!(counters.value(Counter::IdleClosed), 1);
}

/// Fails without `Phase::Idle` in `expire_connection`.
#[test]
fn a_quiet_device_is_let_go_in_the_end() {
    let server = hasty(|timeouts| timeouts.idle_device = SOON);
    let mut device = server.device().greeted();
    assert!(device.is_closed_politely());
    drop(device);
    server.stop();
}

/// Fails without `Stage::Lingering` in `expire_connection`.
#[test]
fn a_peer_that_stays_after_the_end_is_dropped() {
    let server = hasty(|timeouts| timeouts.linger = SOON);
    let mut client = server.stranger();
    client.send(b"GET / HTTP/1.0\r\n\r\n");
    assert_eq!(client.answer().status, 505);
    assert!(client.is_closed_politely());
    // It has not closed its own side, and need not for the loop to be rid of it.
    server.wait_for(Counter::Connections, 0);
    drop(client);
    server.stop();
}

/// Fails without `self.remove(key)` in `close_device`.
#[test]
fn a_removed_device_is_cut_off_everywhere() {
    let server = Server::start();
    let identity = server.site.device();
    let fingerprint = PeerCertificate::new(identity.certificate.clone()).fingerprint;
    let peer = server.site.peer(Some(&identity));
    let mut asking = Client::connect(server.address, &peer);
    asking.send(&post("/later", b""));
    let id = server.asked();
    let mut idle = Client::connect(server.address, &peer).greeted();
    let mut other = server.device().greeted();
    server.wait_for(Counter::Handshakes, 0);
    lock(&server.removed).push(fingerprint);
    server.waker.wake();
    assert_eq!(server.told(), Told::Gone(id));
    assert!(asking.is_closed() && idle.is_closed());
    assert_eq!(other.ask("/echo", b"hello").body, b"hello");
    let counters = server.counters.clone();
    server.told.try_iter().for_each(drop);
    assert_eq!(counters.value(Counter::DeviceClosed), 2);
}

/// Fails without `self.remove` in `close_exchange`.
#[test]
fn the_service_can_hang_up() {
    let server = Server::start();
    let mut client = server.stranger().greeted();
    client.send(&post("/close", b""));
    assert!(client.is_closed());
    let told = server.stop();
    assert!(matches!(told[..], [Told::Asked(..), Told::Gone(_)]));
}

/// Fails if `begin_stop` removes connections that owe an answer.
#[test]
fn stopping_answers_what_is_in_flight() {
    let server = Server::start();
    let mut waiting = server.stranger();
    waiting.send(&post("/later", b""));
    let id = server.asked();
    let mut halfway = server.stranger().greeted();
    let message = post("/echo", b"hello");
    halfway.send(&message[..20]);
    let mut idle = server.stranger().greeted();
    server.wait_for(Counter::HandshakesFull, 3);
    // The half request has arrived before the stop: a later connection was answered.
    assert_eq!(server.stranger().ask("/echo", b"x").status, 200);
    assert!(matches!(
        (server.told(), server.told()),
        (Told::Asked(..), Told::Sent(_))
    ));
    server.waker.stop();
    assert!(idle.is_closed_politely());
    assert!(TcpStream::connect(server.address).is_err());
    halfway.send(&message[20..]);
    server.answer(id, Response::text(200, "done"));
    for client in [&mut halfway, &mut waiting] {
        let answer = client.answer();
        assert_eq!(answer.status, 200);
        assert!(answer.head.contains("connection: close"));
        assert!(client.is_closed_politely());
    }
    drop((halfway, waiting, idle));
    server.stop();
}

/// Fails without `drop_all`.
#[test]
fn stopping_does_not_wait_for_ever() {
    let server = hasty(|timeouts| timeouts.stop = SOON);
    let mut waiting = server.stranger();
    waiting.send(&post("/later", b""));
    let id = server.asked();
    let mut halfway = server.stranger().greeted();
    halfway.send(b"POST");
    assert_eq!(server.stop(), [Told::Gone(id)]);
    assert!(waiting.is_closed() && halfway.is_closed());
}

/// Fails if `admit` keeps the configuration of the start.
#[test]
fn certificates_are_reloaded_without_dropping_anybody() {
    let server = Server::start();
    let mut before = server.stranger();
    assert_eq!(before.ask("/echo", b"1").body, b"1");
    let renewed = Site::named("renewed");
    let config = renewed.server(&Arc::new(Sessions::new(64)));
    server.tls.store(config);
    let mut after = Client::connect(server.address, &renewed.peer(None));
    assert_eq!(after.ask("/echo", b"2").body, b"2");
    assert_eq!(before.ask("/echo", b"3").body, b"3");
    drop((before, after));
    server.stop();
}
