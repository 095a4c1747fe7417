//! A bulk import makes way for doors that are being opened, by counts.

use std::sync::atomic::{AtomicBool, Ordering};

use cardea_loadtest::tls;
use cardea_tests::admin::person;
use cardea_tests::raw::Raw;
use cardea_tests::{Admin, Device, Site, face};
use cardea_wire::Decision;
use serde_json::json;

const BATCHES: u64 = 12;

fn import(admin: &mut Admin, name: &str, batches: u64) {
    let mut done = |request| {
        let reply = admin.ask(&request).expect("answered");
        assert!(reply["is"] == "done" || reply["is"] == "staged", "{reply}");
    };
    done(json!({"do": "import_begin"}));
    for batch in 0..batches {
        let people: Vec<_> = (0..8)
            .map(|number| {
                person(
                    &format!("{name}{batch}-{number}"),
                    &face(100 + 8 * batch + number),
                )
            })
            .collect();
        done(json!({"do": "import_add", "people": people}));
    }
    done(json!({"do": "import_commit"}));
}

/// The value of a metric once the text is of a site with so many people: it is made each second.
fn metric(device: &Device, name: &str, people: u64) -> u64 {
    let begun = std::time::Instant::now();
    loop {
        let text = metrics(device);
        let value = |name: &str| {
            let line = text
                .lines()
                .find_map(|line| line.strip_prefix(&format!("cardea_{name} ")));
            line.and_then(|value| value.parse::<f64>().ok())
                .map(|value| value as u64)
        };
        if value("people") == Some(people) {
            return value(name).unwrap_or_else(|| panic!("no {name} in {text}"));
        }
        assert!(begun.elapsed().as_secs() < 60, "{text}");
    }
}

fn metrics(device: &Device) -> String {
    let config = tls::commissioned(&device.identity, false).expect("key and certificate");
    let mut raw = Raw::connect(config, device.identity.server);
    raw.send(b"GET /metrics HTTP/1.1\r\nhost: a\r\nconnection: close\r\n\r\n")
        .expect("sent");
    String::from_utf8_lossy(&raw.read_to_end().expect("answered")).into_owned()
}

/// Fails if an import rests on a quiet site, or does not while attempts are recorded, or keeps
/// them from being answered.
#[test]
fn an_import_rests_between_batches_while_doors_are_opened() {
    let site = Site::new();
    let server = site.serve();
    let mut admin = server.admin();
    admin.enrol("Anna", &face(1)).expect("enrolled");
    let mut device = site.device("front");
    import(&mut admin, "quiet", 3);
    assert_eq!(metric(&device, "import_pauses_total", 1 + 3 * 8), 0);

    let (stop, granted) = (AtomicBool::new(false), std::sync::atomic::AtomicU64::new(0));
    std::thread::scope(|scope| {
        let asking = scope.spawn(|| {
            while !stop.load(Ordering::SeqCst) {
                assert_eq!(device.access(&face(1)).decision, Decision::Granted);
                granted.fetch_add(1, Ordering::SeqCst);
            }
        });
        while granted.load(Ordering::SeqCst) == 0 && !asking.is_finished() {
            std::thread::yield_now();
        }
        import(&mut admin, "busy", BATCHES);
        stop.store(true, Ordering::SeqCst);
        asking.join().expect("every request was granted");
    });
    let people = 1 + 3 * 8 + BATCHES * 8;
    // A batch goes on where an attempt took longer than attempts are waited for.
    let pauses = metric(&device, "import_pauses_total", people);
    assert!((BATCHES / 2..=BATCHES).contains(&pauses), "{pauses}");
    assert!(granted.load(Ordering::SeqCst) > BATCHES / 2);
    server.stop();
}
