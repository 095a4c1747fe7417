//! A real browser: Debian's chromium, headless, driven through chromedriver by the WebDriver
//! protocol's JSON over plain HTTP on this machine.
//!
//! Whoever waits for the page asks the browser, which answers when its own timers say so: nothing
//! here sleeps.

use std::fs;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::TcpStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde_json::{Value, json};

/// The longest that the browser takes for anything.
const TIMEOUT: Duration = Duration::from_secs(60);
/// Pages that may follow each other by themselves while a text is waited for.
const PAGES_MAX: usize = 5;
/// The key Tab.
pub const TAB: &str = "\u{e004}";
/// The key Enter.
pub const ENTER: &str = "\u{e007}";
/// The key Escape.
pub const ESCAPE: &str = "\u{e00c}";
/// The key under which the protocol names an element.
const ELEMENT: &str = "element-6066-11e4-a52e-4f735466cecf";

/// A browser with one window. It ends with the value.
pub struct Chromium {
    driver: Child,
    port: u16,
    session: String,
    /// The address before every path.
    pub base: String,
}

/// How the window is.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Width of the window, CSS pixels.
    pub width: u32,
    /// Its height.
    pub height: u32,
    /// Whether the system asks for dark pages.
    pub dark: bool,
}

/// A desktop's window.
pub const DESKTOP: Look = Look {
    width: 1_280,
    height: 900,
    dark: false,
};

impl Chromium {
    /// A browser for pages below `base`; none where chromium or chromedriver is missing.
    ///
    /// # Panics
    /// If they are there and do not start.
    #[must_use]
    pub fn start(base: &str) -> Option<Self> {
        let mut command = Command::new("chromedriver");
        command
            .arg("--port=0")
            .stdout(Stdio::piped())
            .stderr(Stdio::null());
        let Ok(mut driver) = command.spawn() else {
            println!("no chromedriver: tools/test console installs it");
            return None;
        };
        let out = driver.stdout.take().expect("it is piped");
        let mut lines = BufReader::new(out).lines().map_while(Result::ok);
        let port = lines.find_map(|line| {
            let (_, port) = line.split_once("successfully on port ")?;
            port.trim_end_matches('.').parse().ok()
        });
        let mut chromium = Self {
            driver,
            port: port.expect("chromedriver says where it listens"),
            session: String::new(),
            base: base.to_owned(),
        };
        chromium.open();
        Some(chromium)
    }

    fn open(&mut self) {
        // As root there is no sandbox; the site's certificate is of its own CA.
        let arguments = [
            "--headless=new",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-dev-shm-usage",
            "--ignore-certificate-errors",
            "--hide-scrollbars",
            "--lang=en",
        ];
        let wanted = json!({"capabilities": {"alwaysMatch": {
            "acceptInsecureCerts": true,
            "goog:chromeOptions": {"args": arguments},
        }}});
        let answer = self.ask("POST", "/session", Some(&wanted));
        let session = answer["sessionId"].as_str().expect("a session");
        self.session = format!("/session/{session}");
        let timeouts = json!({"implicit": 20_000, "pageLoad": 60_000, "script": 60_000});
        self.post("/timeouts", &timeouts);
        self.look(DESKTOP);
    }

    /// Takes another shape.
    pub fn look(&self, look: Look) {
        let metrics = json!({"cmd": "Emulation.setDeviceMetricsOverride", "params": {
            "width": look.width, "height": look.height, "deviceScaleFactor": 1, "mobile": false,
        }});
        self.post("/goog/cdp/execute", &metrics);
        let scheme = if look.dark { "dark" } else { "light" };
        let features = json!([{"name": "prefers-color-scheme", "value": scheme}]);
        let media = json!({"cmd": "Emulation.setEmulatedMedia", "params": {"features": features}});
        self.post("/goog/cdp/execute", &media);
    }

    /// Goes to a path below the base.
    pub fn go(&self, path: &str) {
        self.post("/url", &json!({"url": format!("{}{path}", self.base)}));
    }

    /// The path that the window shows.
    ///
    /// # Panics
    /// If it shows nothing.
    #[must_use]
    pub fn path(&self) -> String {
        let url = self.ask("GET", &format!("{}/url", self.session), None);
        let url = url.as_str().expect("an address");
        url.strip_prefix(&self.base).unwrap_or(url).to_owned()
    }

    /// The first element of a selector; waits for it up to 20 s.
    #[must_use]
    pub fn find(&self, selector: &str) -> String {
        let by = json!({"using": "css selector", "value": selector});
        let found = self.post("/element", &by);
        let found = found[ELEMENT].as_str();
        found.unwrap_or_else(|| panic!("no {selector}")).to_owned()
    }

    /// Clicks the first element of a selector.
    pub fn click(&self, selector: &str) {
        let element = self.find(selector);
        self.post(&format!("/element/{element}/click"), &json!({}));
    }

    /// Presses a key of the keyboard, as the protocol names it: [`TAB`], [`ENTER`], [`ESCAPE`].
    pub fn press(&self, key: &str) {
        let down = json!({"type": "keyDown", "value": key});
        let up = json!({"type": "keyUp", "value": key});
        let keys = json!({"type": "key", "id": "keyboard", "actions": [down, up]});
        self.post("/actions", &json!({"actions": [keys]}));
    }

    /// Types into the first element of a selector, in place of what is there.
    pub fn fill(&self, selector: &str, text: &str) {
        let element = self.find(selector);
        self.post(&format!("/element/{element}/clear"), &json!({}));
        let keys = json!({"text": text});
        self.post(&format!("/element/{element}/value"), &keys);
    }

    /// Chooses a file in the first element of a selector.
    ///
    /// # Panics
    /// If the path is not UTF-8.
    pub fn choose_file(&self, selector: &str, path: &Path) {
        let element = self.find(selector);
        let keys = json!({"text": path.to_str().expect("UTF-8")});
        self.post(&format!("/element/{element}/value"), &keys);
    }

    /// The text of the first element of a selector.
    #[must_use]
    pub fn text(&self, selector: &str) -> String {
        let element = self.find(selector);
        let path = format!("{}/element/{element}/text", self.session);
        let text = self.ask("GET", &path, None);
        text.as_str().unwrap_or_default().to_owned()
    }

    /// Waits until an element of this selector has this text in it, up to 50 s.
    ///
    /// # Panics
    /// If none ever has.
    pub fn wait_for(&self, selector: &str, text: &str) {
        let script = "const [selector, text, done] = arguments; const end = Date.now() + 50000;\
            (function look() { const all = [...document.querySelectorAll(selector)];\
            if (all.some((one) => one.textContent.includes(text))) { done(true); }\
            else if (Date.now() > end) { done(false); } else { setTimeout(look, 50); } })();";
        let asked = json!({"script": script, "args": [selector, text]});
        let path = format!("{}/execute/async", self.session);
        // A page that goes on to the next meanwhile takes the script with it: ask that one.
        let seen = (0..PAGES_MAX)
            .find_map(|_| self.try_ask("POST", &path, Some(&asked)).ok())
            .unwrap_or_default();
        assert_eq!(
            seen,
            json!(true),
            "{selector} never said {text}: {}",
            self.text("body")
        );
    }

    /// What a script returns.
    pub fn run(&self, script: &str, arguments: &Value) -> Value {
        self.post(
            "/execute/sync",
            &json!({"script": script, "args": arguments}),
        )
    }

    /// What a script gives to its last argument.
    pub fn run_async(&self, script: &str, arguments: &Value) -> Value {
        self.post(
            "/execute/async",
            &json!({"script": script, "args": arguments}),
        )
    }

    /// The whole page as a PNG, to this file.
    ///
    /// # Panics
    /// If it cannot be written.
    pub fn screenshot(&self, file: &Path) {
        let shot = json!({"cmd": "Page.captureScreenshot", "params": {
            "format": "png", "captureBeyondViewport": true,
        }});
        let answer = self.post("/goog/cdp/execute", &shot);
        let data = answer["data"].as_str().expect("a picture");
        fs::write(file, STANDARD.decode(data).expect("base64")).expect("written");
    }

    fn post(&self, path: &str, body: &Value) -> Value {
        self.ask("POST", &format!("{}{path}", self.session), Some(body))
    }

    fn ask(&self, method: &str, path: &str, body: Option<&Value>) -> Value {
        self.try_ask(method, path, body)
            .unwrap_or_else(|error| panic!("{method} {path} {body:?}: {error}"))
    }

    /// The error is the browser's own.
    fn try_ask(&self, method: &str, path: &str, body: Option<&Value>) -> Result<Value, Value> {
        let body = body.map_or_else(String::new, Value::to_string);
        let mut stream = TcpStream::connect(("127.0.0.1", self.port)).expect("chromedriver");
        stream.set_read_timeout(Some(TIMEOUT)).expect("a timeout");
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: 127.0.0.1:{}\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {}\r\n\r\n",
            self.port,
            body.len()
        );
        stream.write_all(head.as_bytes()).expect("sent");
        stream.write_all(body.as_bytes()).expect("sent");
        let content = content_of(BufReader::new(stream)).expect("an answer");
        let value: Value = serde_json::from_slice(&content)
            .unwrap_or_else(|error| panic!("{method} {path}: {error}"));
        let value = &value["value"];
        if value["error"].is_null() {
            return Ok(value.clone());
        }
        Err(value.clone())
    }
}

/// The body of an answer. Chromedriver keeps the connection open, whatever it was asked.
fn content_of(mut answer: BufReader<TcpStream>) -> std::io::Result<Vec<u8>> {
    let mut length = 0;
    loop {
        let mut line = String::new();
        answer.read_line(&mut line)?;
        if line.trim_end().is_empty() {
            break;
        }
        if let Some((name, value)) = line.split_once(':')
            && name.eq_ignore_ascii_case("content-length")
        {
            length = value.trim().parse().unwrap_or(0);
        }
    }
    let mut content = vec![0; length];
    answer.read_exact(&mut content)?;
    Ok(content)
}

impl Drop for Chromium {
    fn drop(&mut self) {
        if !self.session.is_empty() && !std::thread::panicking() {
            let _ = self.ask("DELETE", &self.session, None);
        }
        let _ = self.driver.kill();
        let _ = self.driver.wait();
    }
}

/// The folder for pictures of a test, named to whoever runs it.
///
/// # Panics
/// If it cannot be made.
#[must_use]
pub fn pictures(test: &str) -> PathBuf {
    let program = std::env::current_exe().expect("a test is a program");
    let target = program.ancestors().nth(3).expect("target/release/deps");
    let folder = target.join("pictures").join(test);
    fs::create_dir_all(&folder).expect("a folder");
    println!("pictures in {}", folder.display());
    folder
}
