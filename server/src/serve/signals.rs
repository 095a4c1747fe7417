//! SIGTERM and SIGINT stop: nothing new is taken, what is in flight is answered. SIGHUP reads
//! certificates and configuration again.

use std::io;
use std::sync::Arc;
use std::thread;

use signal_hook::consts::{SIGHUP, SIGINT, SIGTERM};
use signal_hook::iterator::Signals;

use super::watchdog;
use crate::net::Waker;
use crate::site::Site;
use crate::writer::{Command, WriterHandle};

/// Listens on a thread of its own.
pub(super) fn listen(
    site: Arc<Site>,
    wakers: Vec<Arc<Waker>>,
    writer: WriterHandle,
) -> io::Result<()> {
    let mut signals = Signals::new([SIGTERM, SIGINT, SIGHUP])?;
    thread::Builder::new()
        .name("signals".to_owned())
        .spawn(move || {
            for signal in signals.forever() {
                if signal == SIGHUP {
                    // A writer that has ended means that the server is stopping.
                    let _ = writer.send(Command::Reload);
                    continue;
                }
                tracing::info!("stopping");
                watchdog::stopping();
                site.set_stopping();
                wakers.iter().for_each(|waker| waker.stop());
                return;
            }
        })?;
    Ok(())
}
