//! The thread that starts the extractor, one photo at a time.

use std::io;
use std::thread;

use cardea_engine::Embedding;
use crossbeam_channel::{Receiver, Sender, bounded};
use zeroize::Zeroizing;

use super::extractor::{ExtractorError, extract};
use crate::config::Extractor;
use crate::limits::PHOTOS_QUEUED_MAX;
use crate::metrics::events::PHOTO_REFUSED;

/// A photo, and who waits for what is in it.
pub struct PhotoJob {
    /// The photo; zeroed when this is dropped.
    pub photo: Zeroizing<Vec<u8>>,
    /// Told what became of it.
    pub done: Box<dyn FnOnce(Result<Vec<Embedding>, ExtractorError>) + Send>,
}

/// The thread's entrance; it ends when this is dropped.
pub struct Photos {
    jobs: Sender<PhotoJob>,
}

impl Photos {
    /// Starts the thread, for embeddings of this model.
    ///
    /// # Errors
    /// If the system gives no thread.
    pub fn start(extractor: Extractor, model: [u8; 16]) -> io::Result<Self> {
        let (jobs, receiver) = bounded(PHOTOS_QUEUED_MAX);
        thread::Builder::new()
            .name("photos".to_owned())
            .spawn(move || work(&receiver, &extractor, model))?;
        Ok(Self { jobs })
    }

    /// Gives it a photo; `false` when too many wait. A photo that is not taken is zeroed.
    pub fn give(&self, job: PhotoJob) -> bool {
        self.jobs.try_send(job).is_ok()
    }
}

fn work(jobs: &Receiver<PhotoJob>, extractor: &Extractor, model: [u8; 16]) {
    for PhotoJob { photo, done } in jobs {
        let faces = extract(extractor, model, &photo);
        drop(photo);
        if let Err(error) = &faces
            && PHOTO_REFUSED.is_logged()
        {
            tracing::info!(%error, "a photo was not taken");
        }
        done(faces);
    }
}
