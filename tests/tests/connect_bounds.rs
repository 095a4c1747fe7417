//! Connect at its bounds: a broker that goes silent, and one that never stops sending nonsense.

use std::net::SocketAddr;
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use cardea_tests::Site;
use cardea_tests::broker::{Broker, command, done, fact, status, why};
use cardea_tests::relay::Relay;
use cardea_tests::space::until;
use serde_json::json;

/// `ACK_TIMEOUT` of cardea-connect.
const ACK_TIMEOUT: Duration = Duration::from_secs(20);
/// `CONNECT_REFUSED_PER_MINUTE_MAX` of the server.
const ANSWERED_PER_MINUTE: usize = 60;

/// Fails without the watchdog: the library itself would wait for its keep-alive, twice as long, or
/// for ever while anything comes.
#[test]
fn a_broker_that_acknowledges_nothing_is_given_up_and_found_again() {
    let broker = Broker::new();
    let site = Site::new();
    let server = site.serve();
    let mut listener = broker.listen();
    broker.issue("client", "w1", "site", 86_400);
    let relay = Relay::start(SocketAddr::from(([127, 0, 0, 1], broker.port)), u64::MAX);
    let mut setup = broker.setup("w1", "site");
    setup["setup"]["broker_port"] = json!(relay.address.port());
    let mut admin = server.admin();
    done(&mut admin, &setup);
    until("connected", || status(&site) == "Connected");
    until("nothing waits", || {
        fact(&site.done(&["connect", "status"]), "messages that wait") == "0"
    });

    relay.silence(true);
    let begun = Instant::now();
    site.done(&["device", "add", "d1", "--door", "main"]);
    until("the broker is given up", || status(&site) == "Disconnected");
    let took = begun.elapsed();
    assert_eq!(why(&site), "the broker acknowledges nothing");
    let most = ACK_TIMEOUT + Duration::from_secs(15);
    assert!(took >= ACK_TIMEOUT && took < most, "{took:?}");

    relay.silence(false);
    let added = listener.hear_of("event", |event| event["event"] == "device.added");
    assert!(added["device"].as_u64().is_some(), "{added}");
    until("connected again", || status(&site) == "Connected");
    until("nothing waits any more", || {
        fact(&site.done(&["connect", "status"]), "messages that wait") == "0"
    });
    server.stop();
}

fn minute() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH);
    since.expect("after 1970").as_secs() / 60
}

/// Fails without the bound, or if what is refused is not counted past it, or keeps a good command
/// from being carried out.
#[test]
fn so_many_refusals_are_told_in_a_minute_and_the_rest_is_counted() {
    let broker = Broker::new();
    let site = Site::new();
    let server = site.serve();
    broker.join(&site, "w2");
    let mut listener = broker.listen();
    let nonsense = ANSWERED_PER_MINUTE + 10;
    let begun = minute();
    broker.publish_lines("cardea/v1/w2/command", &"nonsense\n".repeat(nonsense));
    broker.command("w2", &command("good", "sync", json!({})));
    // It has no Space to sync with: carried out all the same.
    assert_eq!(listener.end_of("good")["state"], "failed");
    let refused = listener.heard.iter();
    let refused = refused.filter(|(_, message)| message["event"] == "command.refused");
    // A minute that ended meanwhile had its own.
    let most = match minute() == begun {
        true => ANSWERED_PER_MINUTE,
        false => nonsense,
    };
    let told = refused.count();
    assert!((ANSWERED_PER_MINUTE..=most).contains(&told), "{told}");
    let counted = fact(&site.done(&["connect", "status"]), "commands refused");
    assert_eq!(counted, nonsense.to_string());
    server.stop();
}
