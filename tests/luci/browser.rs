//! A headless Chromium, driven over the DevTools protocol through a pair of pipes.

use std::fs::{self, File, OpenOptions};
use std::io::{BufRead, BufReader, Write};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::mpsc::{Receiver, channel};
use std::thread;
use std::time::{Duration, Instant};

use lab::Process;
use serde_json::{Value, json};

/// A loaded machine takes its time to start one.
const LIMIT: Duration = Duration::from_secs(30);

/// For something on a page to come true: a link that flaps must work for up to ten seconds before it is used again.
const PATIENCE: u32 = 30_000;

pub struct Browser {
    commands: File,
    messages: Receiver<Value>,
    number: u64,
    session: String,
    /// What pages complained of.
    pub errors: Vec<String>,
    directory: PathBuf,
    /// `None` when it is to end.
    process: Option<Process>,
}

/// Where there is one.
pub fn chromium() -> Option<&'static str> {
    let paths: Vec<_> = std::env::split_paths(&std::env::var_os("PATH")?).collect();
    ["chromium", "chromium-browser", "google-chrome"]
        .into_iter()
        .find(|name| paths.iter().any(|path| path.join(name).is_file()))
}

impl Browser {
    pub fn start(program: &str) -> Self {
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("browser-{}", std::process::id()));
        fs::create_dir_all(&directory).unwrap();
        let pipe = |name: &str| {
            let path = directory.join(name);
            assert!(Command::new("mkfifo").arg(&path).status().unwrap().success());
            path
        };
        let (input, output) = (pipe("in"), pipe("out"));
        let profile = directory.join("profile");
        let mut command = Command::new("sh");
        command.args(["-c", "exec \"$0\" \"$@\" 3<\"$IN\" 4>\"$OUT\"", program]).env("IN", &input).env("OUT", &output);
        command.env("HOME", &directory).env("TMPDIR", &directory).args([
            "--headless",
            "--no-sandbox",
            "--disable-gpu",
            "--disable-quic",
            "--no-first-run",
            "--disable-background-networking",
            "--disable-component-update",
            "--disable-sync",
            "--disable-extensions",
            "--disable-dev-shm-usage",
            "--hide-scrollbars",
            "--log-level=3",
            "--remote-debugging-pipe",
        ]);
        command.arg(format!("--user-data-dir={}", profile.display())).arg("about:blank");
        let process = Process::spawn(command);
        let commands = OpenOptions::new().write(true).open(input).unwrap();
        let output = BufReader::new(File::open(output).unwrap());
        let (sender, messages) = channel();
        thread::spawn(move || {
            let parts = output.split(0).map_while(Result::ok);
            for message in parts.filter_map(|part| serde_json::from_slice(&part).ok()) {
                if sender.send(message).is_err() {
                    return;
                }
            }
        });
        let mut browser = Browser {
            commands,
            messages,
            number: 0,
            session: String::new(),
            errors: Vec::new(),
            directory,
            process: Some(process),
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attached =
            browser.call("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }));
        browser.session = attached["sessionId"].as_str().unwrap().to_owned();
        for domain in ["Page", "Runtime", "Log"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// A command and its result.
    #[track_caller]
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.number += 1;
        let number = self.number;
        let mut command = json!({ "id": number, "method": method, "params": parameters });
        if !self.session.is_empty() {
            command["sessionId"] = self.session.clone().into();
        }
        self.commands.write_all(format!("{command}\0").as_bytes()).unwrap();
        let limit = Instant::now() + LIMIT;
        loop {
            let left = limit.saturating_duration_since(Instant::now());
            let mut message = self.messages.recv_timeout(left).unwrap_or_else(|_| panic!("no answer to {method}"));
            if message["id"] == number {
                assert!(message["error"].is_null(), "{method}: {}", message["error"]);
                return message["result"].take();
            }
            self.note(&message);
        }
    }

    fn note(&mut self, message: &Value) {
        let event = &message["params"];
        let bad = match message["method"].as_str() {
            Some("Runtime.exceptionThrown") => true,
            Some("Runtime.consoleAPICalled") => matches!(event["type"].as_str(), Some("error" | "assert")),
            Some("Log.entryAdded") => event["entry"]["level"] == "error",
            _ => false,
        };
        if bad {
            self.errors.push(event.to_string());
        }
    }

    #[track_caller]
    pub fn open(&mut self, url: &str) {
        self.call("Page.navigate", json!({ "url": url }));
        self.until("document.readyState == 'complete' && location.href != 'about:blank'");
    }

    /// The value of an expression, a promise's when it is kept.
    #[track_caller]
    pub fn value(&mut self, expression: &str) -> Value {
        let parameters = json!({ "expression": expression, "awaitPromise": true, "returnByValue": true });
        let mut answer = self.call("Runtime.evaluate", parameters);
        assert!(answer["exceptionDetails"].is_null(), "{expression}: {}", answer["exceptionDetails"]);
        answer["result"]["value"].take()
    }

    /// Waits until the expression is true.
    #[track_caller]
    pub fn until(&mut self, expression: &str) {
        let limit = Instant::now() + Duration::from_millis(PATIENCE.into());
        let look = format!("(() => {{ try {{ return !!({expression}) }} catch (e) {{ return false }} }})()");
        // A page that is left takes its expressions along: asked anew each time.
        while self.value(&look) != true {
            if Instant::now() > limit {
                let text = self.value("document.body.innerText");
                panic!(
                    "not in time: {expression}\nerrors: {:?}\nthe page: {}",
                    self.errors,
                    text.as_str().unwrap_or_default()
                );
            }
            thread::sleep(Duration::from_millis(30));
        }
    }

    pub fn width(&mut self, width: u32) {
        let mobile = width < 600;
        self.call(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": width, "height": 800, "deviceScaleFactor": 1, "mobile": mobile }),
        );
    }

    pub fn dark(&mut self, on: bool) {
        let value = if on { "dark" } else { "light" };
        let features = json!([{ "name": "prefers-color-scheme", "value": value }]);
        self.call("Emulation.setEmulatedMedia", json!({ "features": features }));
    }

    /// The whole page as a picture, for people: target/tmp/luci/NAME.png.
    pub fn picture(&mut self, name: &str) {
        let answer = self.call("Page.captureScreenshot", json!({ "format": "png", "captureBeyondViewport": true }));
        let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join("luci");
        fs::create_dir_all(&directory).unwrap();
        fs::write(directory.join(format!("{name}.png")), base64(answer["data"].as_str().unwrap())).unwrap();
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        self.process = None;
        // Its children end a moment later, and may still write.
        for _ in 0..100 {
            if fs::remove_dir_all(&self.directory).is_ok() || !self.directory.exists() {
                return;
            }
            thread::sleep(Duration::from_millis(20));
        }
    }
}

/// RFC 4648, section 4.
fn base64(text: &str) -> Vec<u8> {
    let digit = |c: u8| match c {
        b'A'..=b'Z' => c - b'A',
        b'a'..=b'z' => c - b'a' + 26,
        b'0'..=b'9' => c - b'0' + 52,
        b'+' => 62,
        _ => 63,
    };
    let digits: Vec<u32> = text.bytes().filter(|c| *c != b'=').map(|c| digit(c).into()).collect();
    let mut out = Vec::with_capacity(digits.len());
    for group in digits.chunks(4) {
        let bits = group.iter().fold(0, |bits, digit| bits << 6 | digit) << (6 * (4 - group.len()));
        out.extend_from_slice(&bits.to_be_bytes()[1..group.len()]);
    }
    out
}
