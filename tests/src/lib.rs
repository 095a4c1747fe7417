//! What the acceptance tests share: a site in a temporary folder, run by the built programs.
//!
//! - `programs`: where the programs are
//! - `process`: one of them running; it ends with the value that holds it
//! - `site`: a data directory, commands on it, a server over it
//! - `badges`: certificates of devices, in force and not
//! - `admin`: the administration socket, for tests that change much
//! - `browser`: the console's pages and its API, as a browser without scripts sees them
//! - `device`: a commissioned device and its requests
//! - `enrol`: a site whose Enrolment Service is set up
//! - `raw`: a TLS connection over which anything can be sent
//! - `face`: embeddings of people who do not exist
//! - `faulty`: a disk that fails when a test says so
//! - `load`: people, devices and probes for a load test
//! - `python`: public libraries that read our files
//! - `files`: files to import; `mail`: a mail relay
//! - `metrics`: what `/metrics` shows
//! - `gallery`: the sections of its file; `forms`: the forms in which an embedding may lie in a
//!   file
//! - `netns`: network namespaces; `machine`: a Debian that runs in one, with systemd; `package`:
//!   our package on it
//! - `space`: the simulator of Space, and a site whose doors it opens
//! - `throttle`: a slow disk
//! - `webdriver`: chromium, headless, for the pages with their scripts
//! - `broker`: an MQTT broker with client certificates, and the test authority; `updates`: what it
//!   offers; `relay`: a network that breaks
//! - `results`: what a test tried and how often, for `tests/RESULTS.md`
//!
//! Nothing here waits by the clock: whoever waits reads a line or a reply.

pub mod admin;
pub mod badges;
pub mod broker;
pub mod browser;
pub mod device;
pub mod enrol;
pub mod face;
pub mod faulty;
pub mod files;
pub mod forms;
pub mod gallery;
pub mod load;
pub mod machine;
pub mod mail;
pub mod metrics;
pub mod netns;
pub mod package;
pub mod process;
pub mod programs;
pub mod python;
pub mod raw;
pub mod relay;
pub mod site;
pub mod space;
pub mod throttle;
pub mod updates;
pub mod webdriver;

pub use admin::Admin;
pub use browser::Browser;
pub use cardea_results as results;
pub use device::Device;
pub use face::{Face, face};
pub use process::Process;
pub use site::{Server, Site};
