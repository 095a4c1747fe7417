//! The console's threads, with what they read through.

use std::error::Error;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::Arc;

use crate::audit::Audit;
use crate::connect::firmware::Firmware;
use crate::console::{self, ConsoleHandle, Parts, Readers, Shared};
use crate::secrets::Sealer;
use crate::site::Site;
use crate::writer::{Writer, WriterHandle};

/// Starts the console of a site that is loaded.
pub(super) fn start(
    data: &Path,
    site: &Arc<Site>,
    writer: &Writer,
    audit: &Audit,
    handle: &WriterHandle,
    firmware: &Firmware,
    listening: SocketAddr,
) -> Result<ConsoleHandle, Box<dyn Error>> {
    let config = writer.config();
    let shared = Arc::new(Shared::new(Parts {
        site: Arc::clone(site),
        writer: handle.clone(),
        sealer: Sealer::open(data)?,
        site_name: config.site.clone(),
        address_at_start: config.address,
        port: listening.port(),
        has_extractor: config.extractor.is_some(),
        data: data.to_owned(),
        firmware: firmware.clone(),
    }));
    console::start(&shared, || {
        Ok(Readers {
            store: writer.open_reader()?,
            audit: audit.open_reader()?,
        })
    })
}
