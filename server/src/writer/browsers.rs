//! The certificate for browsers, as the configuration names it.

use std::fs;
use std::sync::Arc;

use super::Writer;
use super::error::WriterError;
use crate::tls::BrowserIdentity;

impl Writer {
    /// Reads it anew and puts it into force. What cannot be read leaves what was in force: doors
    /// do not wait for browsers.
    pub fn browsers_reload(&self) {
        let Some(tls) = &self.tls else {
            return;
        };
        let read = self.browser_identity();
        let put = read.and_then(|identity| {
            tls.set_browsers(identity);
            Ok(tls.put(&self.pki)?)
        });
        if let Err(error) = put {
            tracing::error!(%error, "the certificate for browsers stays as it was");
        }
    }

    fn browser_identity(&self) -> Result<Option<Arc<BrowserIdentity>>, WriterError> {
        let Some(files) = &self.config.console_certificate else {
            return Ok(None);
        };
        let folder = self.directory.path();
        let chain = fs::read(folder.join(&files.chain)).map_err(WriterError::Io)?;
        let key = fs::read(folder.join(&files.key)).map_err(WriterError::Io)?;
        let identity = BrowserIdentity::read(&chain, &key)?;
        Ok(Some(Arc::new(identity)))
    }
}
