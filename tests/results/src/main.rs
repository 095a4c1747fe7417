//! `results FILE > tests/RESULTS.md`: the page of the lines in a file.

use std::fs;
use std::process::{Command, ExitCode};

use cardea_results::page::{self, Head};
use time::OffsetDateTime;
use time::macros::format_description;

fn main() -> ExitCode {
    let Some(path) = std::env::args_os().nth(1) else {
        eprintln!("usage: results FILE > tests/RESULTS.md");
        return ExitCode::from(2);
    };
    let lines = fs::read_to_string(&path).map_err(|error| error.to_string());
    match lines.and_then(|text| page::read(&text)) {
        Ok(lines) => {
            print!("{}", page::write(&head(), &lines));
            ExitCode::SUCCESS
        }
        Err(why) => {
            eprintln!("{}: {why}", path.display());
            ExitCode::FAILURE
        }
    }
}

fn head() -> Head {
    let date = OffsetDateTime::now_utc().format(format_description!("[year]-[month]-[day]"));
    Head {
        date: date.unwrap_or_default(),
        commit: git(&["describe", "--always", "--abbrev=10", "--dirty=-changed"]),
        machine: machine(),
    }
}

fn git(arguments: &[&str]) -> String {
    let output = Command::new("git").args(arguments).output();
    let text = output.ok().filter(|output| output.status.success());
    text.map_or_else(
        || "unknown".to_owned(),
        |output| String::from_utf8_lossy(&output.stdout).trim().to_owned(),
    )
}

/// Processor, processors, memory and kernel.
fn machine() -> String {
    let read = |path| fs::read_to_string(path).unwrap_or_default();
    let (cpu, memory, kernel) = (
        read("/proc/cpuinfo"),
        read("/proc/meminfo"),
        read("/proc/sys/kernel/osrelease"),
    );
    let value = |text: &str, name: &str| {
        let line = text.lines().find(|line| line.starts_with(name));
        let value = line.and_then(|line| line.split_once(':'));
        value.map_or_else(String::new, |(_, value)| value.trim().to_owned())
    };
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    let kib = value(&memory, "MemTotal");
    let kib: u64 = kib
        .split(' ')
        .next()
        .and_then(|kib| kib.parse().ok())
        .unwrap_or(0);
    format!(
        "{} with {cores} processors and {} GiB, Linux {}",
        value(&cpu, "model name"),
        kib >> 20,
        kernel.trim()
    )
}
