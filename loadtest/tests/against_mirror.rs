//! The whole load test over TLS on loopback, against the mirror: it must count what the server
//! does, right and wrong.

use std::net::{Ipv4Addr, SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;

use cardea_loadtest::blocking::Session;
use cardea_loadtest::client::{Client, Failure, Stage};
use cardea_loadtest::commission::{self, CommissionError};
use cardea_loadtest::identity::Identity;
use cardea_loadtest::limits::WAITING_PER_DEVICE_MAX;
use cardea_loadtest::mirror::{Answers, Mirror, true_answers};
use cardea_loadtest::plan::{Lane, Plan, Segment, Shape};
use cardea_loadtest::probes::{Known, Match, Origin, Person, ProbeKind, Probes};
use cardea_loadtest::run::{self, Setup};
use cardea_loadtest::summary::Summary;
use cardea_loadtest::tls;
use cardea_wire::{Decision, Kind, Reason, Reply};

const TIMEOUT: Duration = Duration::from_secs(10);

/// Twenty probes; every fourth matches nobody.
fn probes() -> Probes {
    let person = |number: u8| Person {
        tag: 1_000 + u64::from(number),
        external_id: format!("p-{number}"),
    };
    let known = |number: u8| {
        let mated = !number.is_multiple_of(4);
        Known {
            kind: if mated {
                ProbeKind::Mated
            } else {
                ProbeKind::NonMated
            },
            answer: mated.then(|| Match {
                person: person(number),
                score_bits: (0.5 + f32::from(number) / 100.0).to_bits(),
            }),
            truth: mated.then(|| person(number)),
            granted: Some(mated),
        }
    };
    let origin = Origin {
        seed: 1,
        people: 20,
        threshold: 0.41,
        model: [1; 16],
    };
    let rows = (0..20)
        .map(|number| ([number; 2_048], known(number)))
        .collect();
    Probes::new(origin, rows).expect("twenty probes")
}

fn segment(lane: Lane, requests: usize, devices: usize) -> Segment {
    Segment {
        shape: Shape::Window,
        requests,
        from_s: 0.0,
        window_s: 0.3,
        devices,
        lane,
        heartbeat_s: 0.0,
    }
}

/// Commissions the devices and carries out the plan.
fn load(answers: Box<Answers>, segments: &[Segment], timeout: Duration) -> Summary {
    let mirror = Mirror::start(answers).expect("a mirror");
    let probes = probes();
    let plan = Plan::new(segments, probes.count(), 1).expect("a plan");
    let folder = tempfile::tempdir().expect("a folder");
    let codes: Vec<_> = (0..plan.lanes().len())
        .map(|number| mirror.code(&format!("door {number}")))
        .collect();
    commission::commission_all(&codes, folder.path(), TIMEOUT, &|_| {}).expect("commissioned");
    let identities = Identity::load_folder(folder.path(), usize::MAX).expect("identities");
    assert_eq!(identities.len(), codes.len());
    let devices: Vec<_> = identities
        .iter()
        .zip(plan.lanes())
        .map(|(identity, lane)| {
            tls::commissioned(identity, *lane != Lane::Cold).expect("a configuration")
        })
        .collect();
    let setup = Setup {
        server: mirror.address(),
        devices: &devices,
        plan: &plan,
        probes: &probes,
        timeout,
        nonce: [5; 8],
    };
    let run = run::run(&setup, &mut |_| {}).expect("a run");
    assert_eq!(run.samples.len(), plan.starts().len());
    Summary::new(&run, &probes)
}

/// Fails if `Generator::prepared` or `answered` leaves a connection open that its lane closes, if
/// `tls::commissioned` resumes for a cold lane, or if `Answer::judge` calls a right answer wrong.
#[test]
fn true_answers_in_every_lane_count_as_right_and_lanes_are_what_they_say() {
    let segments = [
        segment(Lane::KeptAlive, 60, 6),
        segment(Lane::Resumed, 20, 4),
        segment(Lane::Cold, 20, 4),
    ];
    let summary = load(true_answers(&probes()), &segments, TIMEOUT);
    assert_eq!(summary.all.errors, 0, "{:?}", summary.failures);
    assert_eq!((summary.all.granted, summary.all.denied), (75, 25));
    assert_eq!((summary.judged.wrong, summary.judged.unexpected), (0, 0));
    assert_eq!((summary.judged.mated, summary.judged.non_mated), (75, 25));

    let lane = |lane| &summary.lanes[&lane];
    assert_eq!(lane(Lane::KeptAlive).handshake.count(), 0);
    assert_eq!(lane(Lane::Resumed).handshake.count(), 20);
    assert_eq!(lane(Lane::Resumed).resumed, 20);
    assert_eq!(lane(Lane::Cold).handshake.count(), 20);
    assert_eq!(lane(Lane::Cold).resumed, 0);
    assert_eq!(summary.worst.len(), 10);
    assert!(
        summary
            .worst
            .is_sorted_by_key(|sample| u64::MAX - sample.response_us())
    );
}

/// Fails if `Summary::new` counts heartbeats among the requests.
#[test]
fn heartbeats_beside_the_requests_count_apart() {
    let with_heartbeats = Segment {
        heartbeat_s: 0.1,
        ..segment(Lane::KeptAlive, 40, 4)
    };
    let summary = load(true_answers(&probes()), &[with_heartbeats], TIMEOUT);
    assert_eq!((summary.all.requests, summary.all.errors), (40, 0));
    assert_eq!(summary.heartbeats.requests, 12);
    let refused_or_failed = (summary.heartbeats.refused, summary.heartbeats.errors);
    assert_eq!(refused_or_failed, (0, 0));
    assert_eq!(summary.heartbeats.response.count(), 12);
}

/// Fails if `burst_spread_us` looks at no burst: the spread of twenty would be 0.
#[test]
fn a_burst_starts_within_its_spread() {
    let burst = Segment {
        shape: Shape::Burst,
        window_s: 0.0,
        ..segment(Lane::KeptAlive, 20, 20)
    };
    let summary = load(true_answers(&probes()), &[burst], TIMEOUT);
    assert_eq!(summary.all.errors, 0, "{:?}", summary.failures);
    assert!(summary.burst_spread_us > 0);
}

/// Fails if `Answer::judge` compares scores as numbers with a tolerance instead of their bits.
#[test]
fn a_score_off_by_one_bit_is_counted_as_wrong() {
    let right = true_answers(&probes());
    let answers: Box<Answers> = Box::new(move |request| {
        let mut reply = right(request);
        if reply.decision == Decision::Granted {
            reply.score = f32::from_bits(reply.score.to_bits() + 1);
        }
        reply
    });
    let summary = load(answers, &[segment(Lane::KeptAlive, 40, 4)], TIMEOUT);
    assert_eq!(summary.judged.wrong, 30);
    assert_eq!(summary.judged.wrong_person, 0);
    assert_eq!(summary.all.errors, 0);
}

/// Fails if `Outcome::of` does not compare the reply's request id with the request's, or takes a
/// refusal for an error.
#[test]
fn refusals_and_other_peoples_replies_are_counted_where_they_belong() {
    let right = true_answers(&probes());
    let count = AtomicU32::new(0);
    let answers: Box<Answers> = Box::new(move |request| {
        let mut reply = right(request);
        match count.fetch_add(1, Ordering::Relaxed) % 4 {
            0 => {
                let (refused, full) = (Decision::Refused, Reason::Overloaded);
                reply = Reply::new(Kind::Access, request.request_id, refused, full);
            }
            1 => reply.request_id.0[0] ^= 1,
            _ => {}
        }
        reply
    });
    let summary = load(answers, &[segment(Lane::KeptAlive, 40, 4)], TIMEOUT);
    assert_eq!((summary.all.refused, summary.all.errors), (10, 10));
    assert_eq!(summary.errors.get(&Stage::Parse), Some(&10));
    assert_eq!(summary.reasons.get("refused 503: overloaded"), Some(&10));
    assert_eq!(summary.judged.wrong, 0);
}

/// Fails without `self.expire()` in `Generator::run`: it never ends.
#[test]
fn a_server_that_never_answers_costs_each_request_its_timeout_and_no_more() {
    let gate = Arc::new(std::sync::Barrier::new(2));
    let waiting = Arc::clone(&gate);
    let answers: Box<Answers> = Box::new(move |request| {
        // Nobody else ever comes to this barrier.
        waiting.wait();
        Reply::new(
            Kind::Access,
            request.request_id,
            Decision::Denied,
            Reason::NoMatch,
        )
    });
    let timeout = Duration::from_millis(300);
    let segments = [segment(Lane::KeptAlive, 1, 1), segment(Lane::Cold, 0, 1)];
    let summary = load(answers, &segments, timeout);
    assert_eq!(summary.errors.get(&Stage::Timeout), Some(&1));
    assert!(summary.all.response.percentile_us(100.0) >= 300_000);
}

/// Fails without `self.waiting.len() >= WAITING_PER_DEVICE_MAX` in `Device::wait`.
#[test]
fn a_device_holds_so_many_waiting_requests_and_no_more() {
    let first = AtomicU32::new(0);
    let answers: Box<Answers> = Box::new(move |request| {
        if first.fetch_add(1, Ordering::Relaxed) == 0 {
            // Long enough for the generator to see that all the others are due.
            std::thread::park_timeout(Duration::from_secs(1));
        }
        let (denied, no_match) = (Decision::Denied, Reason::NoMatch);
        Reply::new(Kind::Access, request.request_id, denied, no_match)
    });
    let all_at_once = Segment {
        shape: Shape::Burst,
        window_s: 0.0,
        ..segment(Lane::KeptAlive, WAITING_PER_DEVICE_MAX + 1 + 5, 1)
    };
    let summary = load(answers, &[all_at_once], TIMEOUT);
    assert_eq!(summary.errors.get(&Stage::Backlog), Some(&5));
    assert_eq!(summary.all.errors, 5);
}

/// Fails if `Sample::response_us` counts from `began_us`, that is if the load is closed.
#[test]
fn requests_that_wait_behind_a_slow_one_count_from_their_own_intended_start() {
    let slow = Duration::from_millis(50);
    let answers: Box<Answers> = Box::new(move |request| {
        std::thread::park_timeout(slow);
        Reply::new(
            Kind::Access,
            request.request_id,
            Decision::Denied,
            Reason::NoMatch,
        )
    });
    let all_at_once = Segment {
        shape: Shape::Burst,
        window_s: 0.0,
        ..segment(Lane::KeptAlive, 4, 1)
    };
    let summary = load(answers, &[all_at_once], TIMEOUT);
    // Four requests of one device one after the other: the last waits for three.
    assert!(summary.all.response.percentile_us(100.0) >= 190_000);
    assert_eq!(summary.all.errors, 0);
}

/// Fails if `commission::renew` sends the old key's request, or keeps the CA twice.
#[test]
fn a_device_renews_its_certificate_over_the_wire() {
    let mirror = Mirror::start(true_answers(&probes())).expect("a mirror");
    let first = commission::commission(&mirror.code("door"), TIMEOUT).expect("commissioned");
    let config = tls::commissioned(&first, true).expect("a configuration");
    let mut session = Session::connect(config, first.server, TIMEOUT).expect("connected");
    let second = commission::renew(&first, &mut session).expect("renewed");
    assert_ne!(second.certificate, first.certificate);
    assert_ne!(second.key, first.key);
    assert_eq!(second.site_cas, first.site_cas);
}

/// Fails if the verifier of `tls::uncommissioned` takes a chain without the code's certificate.
#[test]
fn a_server_of_another_site_ca_gets_no_token() {
    let mirror = Mirror::start(true_answers(&probes())).expect("a mirror");
    let other = Mirror::start(true_answers(&probes())).expect("another mirror");
    let mut code = mirror.code("door");
    code.site_ca_sha256 = other.code("door").site_ca_sha256;
    let refused = commission::commission(&code, TIMEOUT);
    assert!(matches!(
        refused,
        Err(CommissionError::Exchange(failure)) if failure.stage == Stage::Handshake
    ));
}

/// Fails if the verifier does not look at the name, or `Client::new` names another address.
#[test]
fn a_certificate_for_another_address_is_refused() {
    let mirror = Mirror::start(true_answers(&probes())).expect("a mirror");
    let config = tls::uncommissioned(mirror.code("door").site_ca_sha256).expect("a configuration");
    let handshake = |named: SocketAddr| -> Result<(), Failure> {
        let mut socket = TcpStream::connect(mirror.address()).expect("connected");
        let mut client = Client::new(Arc::clone(&config), named).expect("a client");
        while client.is_handshaking() {
            client.send(&mut socket)?;
            client.receive(&mut socket)?;
        }
        Ok(())
    };
    assert_eq!(handshake(mirror.address()), Ok(()));
    let mut other = mirror.address();
    other.set_ip(Ipv4Addr::new(127, 0, 0, 2).into());
    let refused = handshake(other).err().map(|failure| failure.stage);
    assert_eq!(refused, Some(Stage::Handshake));
}
