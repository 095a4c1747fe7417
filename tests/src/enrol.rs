//! A site whose Enrolment Service is set up, and a person's way through it.

use std::fs;
use std::path::PathBuf;
use std::process::Command;

use crate::browser::{Browser, Page};
use crate::device::Device;
use crate::face::Face;
use crate::files::write_csv;
use crate::mail::path_of;
use crate::process::Process;
use crate::programs::program;
use crate::site::{Server, Site};

/// The company of these sites.
pub const COMPANY: &str = "Acme & Sons";
/// Where its policy is.
pub const POLICY: &str = "https://acme.example/privacy";

/// A site with a device `reader` and the Enrolment Service set up.
pub struct EnrolSite {
    /// The site.
    pub site: Site,
    /// Its server.
    pub server: Server,
    /// The device at which people enrol.
    pub reader: Device,
    /// Another one.
    pub other: Device,
}

impl EnrolSite {
    /// A running one.
    #[must_use]
    pub fn start(configuration: &[(&str, &str)]) -> Self {
        let site = Site::with(configuration);
        let server = site.serve();
        let reader = site.device("reader");
        let other = site.device("other");
        let set = ["enrol", "set", "--company", COMPANY, "--policy-url", POLICY];
        site.done(&[&set[..], &["--policy-version", "1"]].concat());
        Self {
            site,
            server,
            reader,
            other,
        }
    }

    /// One with the extractor for tests.
    #[must_use]
    pub fn with_extractor() -> Self {
        let extractor = program("cardea-test-extractor");
        let value = format!("{{ command = [\"{}\"] }}", extractor.display());
        Self::start(&[("extractor", value.as_str()), ("erasure_period_s", "1")])
    }

    /// Has mail go to a relay without TLS.
    pub fn set_mail(&self, port: u16) {
        let port = port.to_string();
        let host = ["--host", "127.0.0.1", "--port", port.as_str()];
        let rest = ["--tls", "none", "--from", "doors@acme.example"];
        self.site
            .done(&[&["enrol", "set-mail"][..], &host, &rest].concat());
    }

    /// Invites somebody on paper, with a right at every door; gives the path of their page.
    ///
    /// # Panics
    /// If that is refused.
    pub fn invite(&self, external_id: &str, more: &[&str]) -> String {
        let folder = self.site.file("paper");
        let paper = folder.to_str().expect("a plain path");
        let name = format!("Name of {external_id}");
        let fixed = ["enrol", "invite", external_id, "--name", name.as_str()];
        let rest = ["--doors", "*", "--paper", paper];
        self.site.done(&[&fixed[..], &rest, more].concat());
        let sheet = fs::read_to_string(folder.join(format!("{external_id}.svg")));
        let sheet = sheet.expect("a sheet was made");
        let at = sheet.find("https://").expect("the address in letters");
        path_of(sheet[at..].split('<').next().expect("it ends"))
    }

    /// A browser that knows nothing yet.
    #[must_use]
    pub fn browser(&self) -> Browser {
        Browser::new(&self.site, &self.server)
    }

    /// Consents on the person's page; gives the page after it.
    pub fn consent(&self, browser: &mut Browser, path: &str) -> Page {
        let page = browser.get(path);
        let version = page.field("version");
        let fields = [("consent", "yes"), ("version", version.as_str())];
        let sent = browser.post(&format!("{path}/consent"), &fields);
        assert_eq!((sent.status, sent.location()), (303, path), "{sent:?}");
        browser.get(path)
    }

    /// Has the device wait, and gives the code on the page.
    ///
    /// # Panics
    /// If the page shows none.
    pub fn code(&self, browser: &mut Browser, path: &str) -> String {
        browser.get(path);
        let sent = browser.post(&format!("{path}/capture"), &[]);
        assert_eq!(sent.status, 303, "{sent:?}");
        let page = browser.get(path);
        let after = page.body.split("id=\"code\"><strong>").nth(1);
        let code = after.and_then(|after| after.split('<').next());
        code.unwrap_or_else(|| panic!("no code: {page:?}"))
            .to_owned()
    }

    /// Sends a photo from the person's page.
    pub fn photo(&self, browser: &mut Browser, path: &str, photo: &[u8]) -> Page {
        let page = browser.get(path);
        // The token is in the form's address, as the photo is in its body.
        let after = page.body.split("/photo?csrf=").nth(1);
        let csrf = after.and_then(|after| after.split('"').next());
        let csrf = csrf.unwrap_or(&browser.csrf).to_owned();
        let head = "--XX\r\ncontent-disposition: form-data; name=\"photo\"; \
                    filename=\"me.jpg\"\r\ncontent-type: image/jpeg\r\n\r\n";
        let body = [head.as_bytes(), photo, b"\r\n--XX--\r\n"].concat();
        let to = format!("{path}/photo?csrf={csrf}");
        browser.ask("POST", &to, &[], "multipart/form-data; boundary=XX", &body)
    }

    /// A device simulator that captures this face for whoever shows a code in a file.
    ///
    /// # Panics
    /// If it cannot be started.
    #[must_use]
    pub fn capturing(&self, name: &str, face: &Face) -> (Process, PathBuf) {
        let npy = self.site.file(&format!("{name}.npy"));
        write_csv(&self.site.file("unused.csv"), &npy, &[("x", *face)]);
        let shown = self.site.file(&format!("{name}.code"));
        let mut command = Command::new(program("cardea-device-sim"));
        command
            .arg("--identity")
            .arg(self.site.file(&format!("{name}.identity")))
            .args(["--code", &self.site.code(name), "--heartbeat-every", "1"])
            .args(["--model", "00000000000000000000000000000001"])
            .arg("--enrol-code")
            .arg(&shown)
            .arg("--enrol-face")
            .arg(&npy);
        (Process::start(&mut command), shown)
    }
}

/// The bytes of something that the test extractor takes for a photo; another number, another face.
#[must_use]
pub fn photo(number: u8) -> Vec<u8> {
    [b"\xff\xd8\xff".as_slice(), &[number; 2_000]].concat()
}
