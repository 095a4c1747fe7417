//! `cardea latency`, as people use it: files merged, a span chosen, the worst request named.

use std::fs;
use std::path::PathBuf;

use cardea_tests::device::{access, new_id};
use cardea_tests::{Device, Server, Site, face};
use cardea_wire::{Reply, path};

/// What `cardea latency` says of the stage `total`, and of the worst requests.
struct Said {
    intervals: usize,
    total: usize,
    worst: Vec<String>,
}

fn latency(site: &Site, arguments: &[&str]) -> Said {
    let text = site.done(&[&["latency"], arguments].concat());
    let (table, worst) = text.split_once("\nworst requests\n").unwrap_or((&text, ""));
    let number = |line: Option<&str>, at: usize| -> usize {
        let word = line.and_then(|line| line.split_whitespace().nth(at));
        word.and_then(|word| word.parse().ok())
            .unwrap_or_else(|| panic!("no number in {text}"))
    };
    let total = table.lines().find(|line| line.starts_with("total "));
    Said {
        intervals: number(table.lines().next(), 0),
        total: number(total, 1),
        worst: worst.lines().map(str::to_owned).collect(),
    }
}

/// So many requests to a server that begins a log of its own; the replies.
fn asked(site: &Site, device: &mut Device, count: usize) -> Vec<Reply> {
    let server: Server = site.serve();
    device.follow(server.address);
    let replies = (0..count).map(|_| {
        let (_, reply) = device.send(path::ACCESS, &access(new_id(), &face(1)));
        reply
    });
    let replies = replies.collect();
    server.stop();
    replies
}

/// The site's logs, oldest first, each with the time at which its first interval began.
fn logs(site: &Site) -> Vec<(PathBuf, String)> {
    let folder = fs::read_dir(site.data().join("latency")).expect("a folder");
    let mut files: Vec<PathBuf> = folder
        .map(|entry| entry.expect("an entry").path())
        .collect();
    files.sort();
    let begun = files.into_iter().map(|file| {
        let name = file.file_stem().and_then(|name| name.to_str());
        let ms = name.and_then(|name| name.strip_prefix("latency-"));
        let ms: u64 = ms.expect("a name with a time").parse().expect("a time");
        (file, format!("{}.{:03}", ms / 1_000, ms % 1_000))
    });
    begun.collect()
}

/// Fails if `log::read` takes only the first path, or one twice; if `--from` takes the interval
/// before it or leaves out its own, or `--to` takes its own; or if a worst line names another
/// request, device or time than the reply did.
#[test]
fn latency_merges_files_chooses_a_span_and_names_the_worst() {
    let site = Site::new();
    let server = site.serve();
    server.admin().enrol("Anna", &face(1)).expect("enrolled");
    let mut device = site.device("front");
    server.stop();
    let mut replies = asked(&site, &mut device, 4);
    replies.extend(asked(&site, &mut device, 3));
    let logs = logs(&site);
    let [(first, _), (second, begun)] = &logs[..] else {
        panic!("each server begins a log: {logs:?}");
    };
    let [first, second] = [first, second].map(|file| file.to_str().expect("ASCII"));

    assert_eq!(latency(&site, &[first]).total, 4);
    assert_eq!(latency(&site, &[second]).total, 3);
    let both = latency(&site, &[second, first]);
    assert_eq!(both.total, 7);
    let own = latency(&site, &[]);
    assert_eq!((own.total, own.intervals), (7, both.intervals));
    let folder = site.data().join("latency");
    let twice = latency(&site, &[first, folder.to_str().expect("ASCII"), first]);
    assert_eq!(twice.total, 7, "each file counts once");

    assert_eq!(latency(&site, &["--to", begun]).total, 4);
    assert_eq!(latency(&site, &["--from", begun]).total, 3);
    let none = latency(&site, &["--from", begun, "--to", begun]);
    assert_eq!((none.total, none.worst.len()), (0, 0));

    // Few requests are all among the worst; what the device was told of its own stands there.
    assert_eq!(both.worst.len(), 7);
    for reply in &replies {
        let begins = format!("{} device ", reply.request_id);
        let line = both.worst.iter().find(|line| line.starts_with(&begins));
        let line = line.unwrap_or_else(|| panic!("no {begins} in {:#?}", both.worst));
        for (stage, us) in [
            ("queue", reply.times.queue_us),
            ("search", reply.times.search_us),
            ("record", reply.times.record_us),
        ] {
            let told = format!(" {stage} {:.3}", f64::from(us) / 1e3);
            assert!(line.contains(&told), "{told}: {line}");
        }
    }
    let totals: Vec<f64> = both
        .worst
        .iter()
        .map(|line| {
            let ms = line.split(" total ").nth(1).expect("a total");
            ms.trim().parse().expect("a time")
        })
        .collect();
    assert!(totals.is_sorted_by(|one, next| one >= next), "{totals:?}");
    let missing = site.refused(&["latency", first, "absent.hlog"]);
    assert!(!missing.is_empty(), "silence");
}
