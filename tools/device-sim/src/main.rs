//! A simulator of a device at a door.

mod device;
mod embeddings;
mod firmware;
mod light;
mod limits;
mod reset;
mod simulator;

use std::fs;
use std::path::PathBuf;
use std::process::ExitCode;
use std::time::Duration;

use cardea_wire::CommissioningCode;
use cardea_wire::limits::CAPTURE_EMBEDDINGS_MAX;
use clap::Parser;

use device::Device;
use simulator::{Orders, Simulator};

/// A device at a door: commissions itself with a code, sends heartbeats and access requests, shows
/// its light ring, obeys the server's commands.
#[derive(Debug, Parser)]
#[command(version, about)]
struct Arguments {
    /// The device's identity; made by commissioning where the file does not exist.
    #[arg(long)]
    identity: PathBuf,
    /// A commissioning code, or a file that holds one.
    #[arg(long)]
    code: Option<String>,
    /// A file in which codes appear that somebody shows the device: of a health check, of a reset.
    #[arg(long)]
    camera: Option<PathBuf>,
    /// Who comes to the door: a probes file, or a NumPy array of f32 with 512 columns.
    #[arg(long)]
    embeddings: Option<PathBuf>,
    /// A file in which the code appears that somebody shows who is to be enrolled: six digits, or
    /// the address of their invitation.
    #[arg(long, requires = "enrol_face")]
    enrol_code: Option<PathBuf>,
    /// The face of who is to be enrolled: a file as for --embeddings, with one to four.
    #[arg(long)]
    enrol_face: Option<PathBuf>,
    /// Seconds between two who come.
    #[arg(long, default_value_t = 5)]
    access_every: u32,
    /// Seconds between heartbeats, until the server says otherwise.
    #[arg(long, default_value_t = 30)]
    heartbeat_every: u32,
    /// The face model as 32 hexadecimal digits; without it, the one that the file names.
    #[arg(long)]
    model: Option<String>,
    /// End after so many messages to the server.
    #[arg(long)]
    messages: Option<u64>,
}

fn main() -> ExitCode {
    match work(Arguments::parse()) {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("cardea-device-sim: {why}");
            ExitCode::FAILURE
        }
    }
}

fn work(arguments: Arguments) -> Result<(), String> {
    let (mut model, mut rows) = (None, Vec::new());
    if let Some(path) = &arguments.embeddings {
        let read = embeddings::read(path)?;
        (model, rows) = (read.model, read.rows);
    }
    if let Some(text) = &arguments.model {
        model = Some(parse_model(text).ok_or("a model is 32 hexadecimal digits")?);
    }
    let mut enrol_face = Vec::new();
    if let Some(path) = &arguments.enrol_face {
        let read = embeddings::read(path)?;
        model = model.or(read.model);
        enrol_face = read.rows;
        if enrol_face.len() > CAPTURE_EMBEDDINGS_MAX {
            return Err(format!("{}: more than four faces", path.display()));
        }
    }
    let code = match &arguments.code {
        Some(text) => Some(read_code(text)?),
        None => None,
    };
    let mut device = Device::new(model.unwrap_or_default());
    device.set_heartbeat_s(arguments.heartbeat_every);
    if let Some(version) = firmware::installed(&arguments.identity) {
        device.set_firmware(version);
    }
    let orders = Orders {
        identity: arguments.identity,
        code,
        camera: arguments.camera,
        enrol_code: arguments.enrol_code,
        enrol_face,
        embeddings: rows,
        access_every: Duration::from_secs(arguments.access_every.into()),
        messages: arguments.messages,
    };
    Simulator::new(orders, device, std::io::stdout()).work()
}

fn read_code(text: &str) -> Result<CommissioningCode, String> {
    if let Ok(code) = CommissioningCode::parse(text) {
        return Ok(code);
    }
    let file = fs::read_to_string(text).map_err(|_| "neither a commissioning code nor a file")?;
    let word = file.split_whitespace().next_back().unwrap_or_default();
    CommissioningCode::parse(word).map_err(|error| error.to_string())
}

fn parse_model(text: &str) -> Option<[u8; 16]> {
    let number = u128::from_str_radix(text, 16).ok();
    number.filter(|_| text.len() == 32).map(u128::to_be_bytes)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_model_is_sixteen_bytes_in_hexadecimal() {
        let model = parse_model(
            "636172646561 2d73796e746865746963"
                .replace(' ', "")
                .as_str(),
        );
        assert_eq!(
            model.as_ref().map(|m| m.as_slice()),
            Some(b"cardea-synthetic".as_slice())
        );
        assert_eq!(parse_model("63"), None);
        assert_eq!(parse_model(&"zz".repeat(16)), None);
    }
}
