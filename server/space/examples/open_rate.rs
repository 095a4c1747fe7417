//! Opens doors of a running `space-sim` at a steady rate, each open intended for its own instant,
//! and prints how they ended:
//!
//! ```text
//! space-sim --https 8100 --doors 700 --latency 20,5
//! cargo run --release -p cardea-space --example open_rate -- 127.0.0.1 8100 KEY FINGERPRINT 700 10
//! ```

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::{Duration, Instant};

use cardea_space::client::{ClientConfig, Event, OpenRequest, Outcome, SpaceClient};
use cardea_space::ext_id::ExtId;
use cardea_space::status::Connection;
use cardea_space::transport::{Endpoint, Fingerprint, Trust};
use crossbeam_channel::Receiver;

const TIMEOUT: Duration = Duration::from_secs(2);
const DOORS: u64 = 100;

fn main() -> Result<(), String> {
    let arguments: Vec<_> = std::env::args().skip(1).collect();
    let [host, port, key, fingerprint, rate, seconds] = arguments.as_slice() else {
        return Err("HOST PORT KEY FINGERPRINT RATE SECONDS".into());
    };
    let number = |text: &String| {
        text.parse::<u64>()
            .map_err(|error| format!("{text}: {error}"))
    };
    let (rate, seconds) = (number(rate)?, number(seconds)?);
    let port = u16::try_from(number(port)?).map_err(|error| error.to_string())?;
    let fingerprint = Fingerprint::parse(fingerprint).ok_or("that is no fingerprint")?;
    let endpoint = Endpoint::https(host, port, key, &Trust::Pinned(fingerprint));
    let endpoint = endpoint.map_err(|error| error.to_string())?;

    let (sender, events) = crossbeam_channel::unbounded();
    let notify = Arc::new(move |event| drop(sender.send((Instant::now(), event))));
    let client = SpaceClient::start(ClientConfig::new(endpoint, 1), notify);
    let client = client.map_err(|error| error.to_string())?;
    wait_until_connected(&events)?;

    let began = Instant::now();
    let intended = |ticket: u64| began + Duration::from_secs_f64(ticket as f64 / rate as f64);
    let total = rate * seconds;
    let mut ends: BTreeMap<String, u64> = BTreeMap::new();
    let mut taken = 0;
    for ticket in 0..total {
        std::thread::sleep(intended(ticket).saturating_duration_since(Instant::now()));
        let door = ExtId::parse(&(20_001 + ticket % DOORS).to_string()).ok_or("no door")?;
        let deadline = intended(ticket) + TIMEOUT;
        let may_send = Box::new(|| true);
        let open = OpenRequest {
            ticket,
            door,
            door_name: None,
            deadline,
            may_send,
        };
        match client.open(open) {
            Ok(()) => taken += 1,
            Err(refused) => *ends.entry(refused.to_string()).or_default() += 1,
        }
    }
    let mut response_times = Vec::new();
    while taken > 0 {
        let (at, event) = events.recv().map_err(|error| error.to_string())?;
        if let Event::Opened(completion) = event {
            taken -= 1;
            if completion.outcome == Outcome::Opened {
                response_times.push(at - intended(completion.ticket));
            }
            *ends.entry(completion.outcome.to_string()).or_default() += 1;
        }
    }
    response_times.sort_unstable();
    let at = |share: f64| response_times.get((response_times.len() as f64 * share) as usize);
    println!("{ends:?}");
    println!(
        "p50 {:?} p99 {:?} p100 {:?}",
        at(0.5),
        at(0.99),
        response_times.last()
    );
    client.stop();
    Ok(())
}

fn wait_until_connected(events: &Receiver<(Instant, Event)>) -> Result<(), String> {
    loop {
        match events.recv_timeout(Duration::from_secs(10)) {
            Ok((_, Event::StatusChanged(status))) if status.connection == Connection::Connected => {
                return Ok(());
            }
            Ok((_, Event::StatusChanged(status))) => return Err(status.why),
            Ok(_) => {}
            Err(_) => return Err("no answer".into()),
        }
    }
}
