//! How often memory is asked for while requests come, after warm-up: never in the front end (`net`,
//! `http`) and the state machine of an attempt; what TLS, a search and the queues take is printed,
//! and bounded.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::time::{Duration, Instant};

use allocation_counter::measure;
use arc_swap::ArcSwap;
use cardea::access::{Action, Attempt, Moment, SearchEnd};
use cardea::audit::Recorded;
use cardea::authorise::{Authoriser, Authority};
use cardea::completions::Completions;
use cardea::directory::{Device, Directory, Doors, Person};
use cardea::http::Connection;
use cardea::net::{
    Bounds, Counters, EventLoop, ExchangeId, Peer, Replies, Request, Response, Service, listener,
};
use cardea::tls::{Session, Sessions, provider, server_config};
use cardea_engine::gallery::Writer;
use cardea_engine::synthetic::{Shape, Synthetic};
use cardea_engine::{
    DIM, Embedding, Gallery, Kernel, ModelId, PersonId, ReferenceId, Row, Searcher, Threshold, View,
};
use cardea_results::record;
use cardea_wire::{CONTENT_TYPE, Decision, RequestId, path};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::{ClientConfig, ClientConnection, RootCertStore, ServerConfig, StreamOwned, version};
use rustls_pki_types::{PrivatePkcs8KeyDer, ServerName};

/// Requests before anything is counted.
const WARM: u64 = 200;
const COUNTED: u64 = 2_000;
/// The front end's tables grow by doubling: so few allocations over all requests are none of any.
const TABLES: u64 = 20;
/// Allocations of TLS for one request and its answer.
const TLS_MAX: u64 = 8;
const REPLY_BYTES: usize = 64;

/// A request as a device sends it: 64 bytes and an embedding.
fn message() -> Vec<u8> {
    let length = 64 + 4 * DIM;
    let head = format!(
        "POST {} HTTP/1.1\r\nhost: door\r\ncontent-type: {CONTENT_TYPE}\r\n\
         content-length: {length}\r\n\r\n",
        path::ACCESS
    );
    let mut message = head.into_bytes();
    message.resize(message.len() + length, 7);
    message
}

/// Answers as the real service does: in a buffer of the loop's, giving the request's back.
struct Answers;

impl Service for Answers {
    fn request(
        &mut self,
        id: ExchangeId,
        _peer: &Peer,
        request: Request,
        _now: Instant,
        replies: &mut Replies,
    ) {
        let mut body = replies.buffer();
        body.extend_from_slice(&request.body[..REPLY_BYTES]);
        replies.give_back(request.body);
        replies.push(id, Response::new(200, CONTENT_TYPE, body));
    }

    fn wake(&mut self, _now: Instant, _replies: &mut Replies) {}

    fn next_deadline(&self) -> Option<Instant> {
        None
    }

    fn expire(&mut self, _now: Instant, _replies: &mut Replies) {}

    fn sent(&mut self, _id: ExchangeId, _now: Instant) {}

    fn gone(&mut self, _id: ExchangeId) {}
}

/// A server's configuration, and that of a peer that trusts it.
fn configurations() -> (Arc<ServerConfig>, Arc<ClientConfig>) {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca_key = KeyPair::generate().expect("randomness");
    let root = params.self_signed(&ca_key).expect("a key of ours signs");
    let root = root.der().clone();
    let issuer = Issuer::new(params, ca_key);
    let key = KeyPair::generate().expect("randomness");
    let params = CertificateParams::new(vec!["localhost".to_owned()]).expect("a name");
    let chain = params.signed_by(&key, &issuer).expect("our own issuer");
    let key = PrivatePkcs8KeyDer::from(key.serialize_der()).into();
    let sessions = Arc::new(Sessions::new(16));
    let roots = std::slice::from_ref(&root);
    let server = server_config(vec![chain.der().clone()], key, roots, sessions);
    let mut trusted = RootCertStore::empty();
    trusted.add(root.clone()).expect("our own root");
    let client = ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&version::TLS13])
        .expect("the provider has TLS 1.3")
        .with_root_certificates(trusted)
        .with_no_client_auth();
    (server.expect("they belong together"), Arc::new(client))
}

fn client(config: &Arc<ClientConfig>) -> ClientConnection {
    let name = ServerName::try_from("localhost").expect("a name");
    ClientConnection::new(Arc::clone(config), name).expect("a configuration of ours")
}

/// What a loop allocates in its life, in which one connection sends so many requests.
fn loop_with(requests: u64) -> u64 {
    let (server, config) = configurations();
    let any = SocketAddr::from(([127, 0, 0, 1], 0));
    let listener = listener::bind(any, false).expect("a port");
    let address = listener.local_addr().expect("bound");
    let (tls, counters) = (
        Arc::new(ArcSwap::new(server)),
        Arc::new(Counters::default()),
    );
    let made = EventLoop::new(listener, tls, Bounds::default(), counters, |_| Answers);
    let (event_loop, waker) = made.expect("an event queue");
    let thread = std::thread::spawn(move || {
        measure(move || {
            event_loop.run().expect("it waits for events");
        })
        .count_total
    });
    let socket = TcpStream::connect(address).expect("it listens");
    socket.set_nodelay(true).expect("a socket");
    let mut stream = StreamOwned::new(client(&config), socket);
    let (message, mut answer) = (message(), [0; 1_024]);
    for _ in 0..requests {
        stream.write_all(&message).expect("it reads");
        let mut filled = 0;
        while !is_whole(&answer[..filled]) {
            filled += stream.read(&mut answer[filled..]).expect("it answers");
        }
    }
    waker.stop();
    drop(stream);
    thread.join().expect("the loop ends")
}

fn is_whole(answer: &[u8]) -> bool {
    let end = answer.windows(4).position(|four| four == b"\r\n\r\n");
    end.is_some_and(|end| answer.len() == end + 4 + REPLY_BYTES)
}

/// What TLS allocates for so many requests and answers, without any socket.
fn tls_with(requests: u64) -> u64 {
    let (server, config) = configurations();
    let mut client = client(&config);
    let mut session = Session::new(server).expect("a configuration of ours");
    let (mut inbox, mut plaintext, mut outgoing) = (vec![0; 65_536], Vec::new(), Vec::new());
    let (message, answer) = (message(), [9; 160]);
    let mut counted = 0;
    for number in 0..requests + 8 {
        if !client.is_handshaking() {
            client
                .writer()
                .write_all(&message)
                .expect("memory takes all");
        }
        let mut sent = Vec::new();
        while client.wants_write() {
            client.write_tls(&mut sent).expect("memory takes all");
        }
        let kept = session.restore(&mut inbox);
        inbox[kept..kept + sent.len()].copy_from_slice(&sent);
        let info = measure(|| {
            plaintext.clear();
            outgoing.clear();
            let inbox = &mut inbox[..kept + sent.len()];
            let received = session.receive(inbox, &mut plaintext, &mut outgoing);
            received.expect("well-formed");
            if !plaintext.is_empty() {
                session.send(&answer, &mut outgoing).expect("it sends");
            }
        });
        if number >= 8 {
            counted += info.count_total;
        }
        let mut bytes = &outgoing[..];
        while !bytes.is_empty() {
            client.read_tls(&mut bytes).expect("memory has all");
            client.process_new_packets().expect("well-formed");
        }
        // Read and dropped: what was answered is not the question.
        let _ = client.reader().read(&mut [0; 1_024]);
    }
    counted
}

/// Fails if `feed_head` copies the target, boxes a whole request or makes a new body, if `Fields`
/// keeps a copy of the usual content type, or if `answer` drops the answer's buffer.
#[test]
fn the_front_end_allocates_nothing_for_a_request_but_what_tls_does() {
    let whole = loop_with(WARM + COUNTED) - loop_with(WARM);
    let tls = tls_with(WARM + COUNTED) - tls_with(WARM);
    let each = |count: u64| count as f64 / COUNTED as f64;
    println!(
        "allocations a request: {:.3} of the loop, of these {:.3} of TLS",
        each(whole),
        each(tls)
    );
    let ours = whole.saturating_sub(tls + TABLES);
    record(
        "Memory",
        "requests for which the front end allocates nothing",
        COUNTED,
        ours,
    );
    assert!(whole <= tls + TABLES, "{whole} in all, {tls} of TLS");
    assert!(tls <= TLS_MAX * COUNTED, "{tls}");
}

/// Fails if `Connection::feed_into` does not take the spare buffer.
#[test]
fn http_allocates_nothing_for_a_request() {
    let (message, now) = (message(), Instant::now());
    let mut connection = Connection::new(now);
    let (mut spare, mut out) = (Vec::with_capacity(8_192), Vec::with_capacity(8_192));
    let mut answer = Vec::with_capacity(8_192);
    let info = measure(|| {
        for _ in 0..COUNTED {
            let fed = connection.feed_into(&message, now, &mut spare);
            let request = fed.expect("well-formed").expect("whole");
            answer.clear();
            answer.extend_from_slice(&request.body[..REPLY_BYTES]);
            spare = request.body;
            let mut response = Response::new(200, CONTENT_TYPE, std::mem::take(&mut answer));
            out.clear();
            connection.answer(&response, now, &mut out);
            answer = std::mem::take(&mut response.body).into_owned();
        }
    });
    assert_eq!(info.count_total, 0);
}

fn one_hot(component: usize) -> Embedding {
    let mut numbers = [0.0; DIM];
    numbers[component] = 1.0;
    Embedding::new(&numbers).expect("of unit length")
}

fn searched(view: &View, probe: &Embedding) -> SearchEnd {
    let searcher = Searcher::new(Kernel::best().expect("AVX2"), 1).expect("one thread");
    let threshold = Threshold::new(0.5).expect("a score");
    let lists = searcher.search(view, std::slice::from_ref(probe), threshold);
    let list = lists.expect("no file to be damaged").pop();
    SearchEnd::Candidates(list.expect("a list for each probe"))
}

/// Fails if `Attempt::searched` or `Attempt::record` copies the person's name.
#[test]
fn an_attempt_allocates_nothing() {
    let mut directory = Directory::default();
    let every = Doors {
        every: true,
        some: Vec::new(),
    };
    directory.put_person(1, Person::new("one", every));
    let authoriser = Authoriser::Standalone;
    let authority = Authority {
        directory: &directory,
        authoriser: &authoriser,
    };
    let device = Arc::new(Device {
        id: 4,
        door: 7,
        not_after_unix_s: i64::MAX,
        space_door: None,
        command: None,
    });
    let row = Row {
        reference: ReferenceId(1),
        person: PersonId(1),
        embedding: one_hot(0),
    };
    let view = View::empty(ModelId([0; 16])).with_enrolled(&[row], 1);
    let view = view.expect("a view");
    let now = Instant::now();
    let moment = Moment {
        now,
        unix_us: 1_800_000_000_000_000,
    };
    for (face, due) in [(0, Decision::Granted), (1, Decision::Denied)] {
        let end = searched(&view, &one_hot(face));
        let info = measure(|| {
            let id = RequestId([9; 16]);
            let (mut attempt, action) = Attempt::begin(Arc::clone(&device), id, false, now, moment);
            assert_eq!(action, Action::Search);
            let action = attempt.searched(&end, 100, 200, &authority, moment);
            assert!(matches!(action, Action::Record(_)));
            let recorded = Recorded::New { sequence: 3 };
            match attempt.recorded(&recorded, &authority, moment) {
                Action::Reply { reply, .. } => assert_eq!(reply.decision, due),
                Action::Search | Action::Record(_) | Action::Open { .. } => panic!("no reply"),
            }
        });
        assert_eq!(info.count_total, 0, "{due:?}");
    }
}

/// One probe and 64, strangers and people, over int8 alone, over the lone plane, over the batch
/// plane and with people enrolled since. Fails if a pass allocates for its probes, rows or threads.
#[test]
fn a_search_allocates_nothing() {
    let people = Synthetic::new(1, Shape::Realistic);
    let folder = tempfile::tempdir().expect("a temporary folder");
    let kernel = Kernel::best().expect("AVX2");
    let searcher = Searcher::new(kernel, 1).expect("one thread");
    let threshold = Threshold::new(0.6).expect("a score");
    let probes: Vec<_> = (0..64)
        .map(|number| match number % 2 {
            0 => people.stranger(number),
            _ => people.mated_probe(number, number),
        })
        .collect();
    let mut lists = Vec::new();
    for rows in [500, 2_000, 20_000] {
        let file = folder.path().join(format!("{rows}.cgal"));
        let snapshot = View::of_snapshot(Arc::new(gallery(&people, &file, rows)));
        let since = snapshot.with_enrolled(&[people.row(rows)], 2);
        for view in [snapshot, since.expect("room for one")] {
            for count in [1, 2, 7, 64] {
                let mut search = || {
                    let done = searcher.search_into(&view, &probes[..count], threshold, &mut lists);
                    done.expect("sound");
                    assert_eq!(lists.len(), count);
                    assert!(count == 1 || !lists[1].is_empty(), "somebody is found");
                };
                search();
                let info = measure(search);
                assert_eq!(info.count_total, 0, "{rows} rows, {count} probes");
            }
        }
    }
    let what = "searches of 1 to 64 probes that allocate nothing";
    record("Memory", what, 3 * 2 * 4, 0);
}

fn gallery(people: &Synthetic, file: &std::path::Path, rows: u64) -> Gallery {
    let mut writer = Writer::create(file, ModelId([0; 16]), 1, rows).expect("a new file");
    (0..rows).for_each(|person| writer.push(&people.row(person)).expect("room for it"));
    writer.finish().expect("written");
    Gallery::open(file).expect("sound")
}

/// Handing results to a loop costs a block of the queue for every 31 of them. Fails if a message is
/// boxed.
#[test]
fn completions_allocate_a_block_for_many() {
    let completions = Completions::new(|| {});
    let sender = completions.sender();
    let info = measure(|| {
        for number in 0..COUNTED {
            sender.send((number, Duration::ZERO));
            assert_eq!(completions.drain().count(), 1);
        }
    });
    println!("{} allocations for {COUNTED} completions", info.count_total);
    assert!(info.count_total <= COUNTED / 31 + 2);
}
