//! SIGTERM and SIGINT stop: nothing new is taken, what is in flight is answered. SIGHUP reads
//! certificates and configuration again.

use std::io;
use std::sync::Arc;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::reload::TlsReload;
use crate::net::Waker;
use crate::site::Site;
use crate::writer::{Command, WriterHandle};

/// Listens on a thread of its own.
pub(super) fn listen(
    site: Arc<Site>,
    wakers: Vec<Arc<Waker>>,
    tls: Arc<TlsReload>,
    writer: WriterHandle,
) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                if signal == SIGHUP {
                    reload(&tls, &writer);
                    continue;
                }
                tracing::info!("stopping");
                site.set_stopping();
                wakers.iter().for_each(|waker| waker.stop());
                return;
            }
        })?;
    Ok(())
}

fn reload(tls: &TlsReload, writer: &WriterHandle) {
    match tls.reload() {
        Ok(()) => tracing::info!("certificates read again"),
        Err(error) => tracing::error!(%error, "certificates stay as they were"),
    }
    // A writer that has ended means that the server is stopping.
    let _ = writer.send(Command::Reload);
}
