//! A web server as a router has it: uhttpd's JSON-RPC over a real bus, rpcd's sessions by the app's own ACL file, a UCI
//! with a stage, and the pages' files.

use std::io::{BufRead, BufReader, Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::thread;
use std::time::Duration;

use serde_json::{Map, Value, json};
use ubus::json::blobmsg_to_json;

use super::rights::Rights;
use super::stage::Stage;
use crate::support::bus;

/// `UBUS_STATUS_NO_DATA`, and what uhttpd says to those who may not, or of objects that are not there.
const NO_DATA: u32 = 5;
const DENIED: (i64, &str) = (-32002, "Access denied");
const MISSING: (i64, &str) = (-32000, "Object not found");

/// What makes itself heard where it is taken for HTML.
pub const HOSTILE: &str = "<img src=/none onerror='window.alive = true'>";

pub struct Bridge {
    pub address: SocketAddr,
    shared: Arc<Shared>,
}

struct Shared {
    socket: PathBuf,
    rights: Rights,
    stage: Mutex<Stage>,
    /// Calls of the object `cheaproute`, as user and method.
    calls: Mutex<Vec<(String, String)>>,
    /// Whether every text of an answer ends with [`HOSTILE`].
    hostile: AtomicBool,
}

impl Bridge {
    /// Serves until the test ends. `socket`: the bus.
    pub fn start(socket: PathBuf, stage: Stage) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").unwrap();
        let address = listener.local_addr().unwrap();
        let shared = Arc::new(Shared {
            socket,
            rights: Rights::read(),
            stage: Mutex::new(stage),
            calls: Mutex::default(),
            hostile: AtomicBool::new(false),
        });
        let served = shared.clone();
        thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let served = served.clone();
                // A browser that hangs up early is none of our business.
                thread::spawn(move || _ = served.serve(&stream));
            }
        });
        Bridge { address, shared }
    }

    /// Which methods of `cheaproute` this user called and was let.
    pub fn calls(&self, user: &str) -> Vec<String> {
        let calls = self.shared.calls.lock().unwrap();
        calls.iter().filter(|(by, _)| by == user).map(|(_, method)| method.clone()).collect()
    }

    /// From now on, all values of UCI and all texts of the daemon and of netifd are hostile, or no longer.
    pub fn infect(&self, on: bool) {
        self.shared.hostile.store(on, Ordering::Relaxed);
    }
}

impl Shared {
    fn serve(&self, mut stream: &TcpStream) -> std::io::Result<()> {
        stream.set_read_timeout(Some(Duration::from_secs(10)))?;
        let mut reader = BufReader::new(stream);
        let (mut line, mut length) = (String::new(), 0);
        reader.read_line(&mut line)?;
        loop {
            let mut header = String::new();
            if reader.read_line(&mut header)? == 0 || header.trim().is_empty() {
                break;
            }
            if let Some((name, value)) = header.split_once(':')
                && name.eq_ignore_ascii_case("content-length")
            {
                length = value.trim().parse().unwrap_or(0);
            }
        }
        let mut body = vec![0; length];
        reader.read_exact(&mut body)?;
        let path = line.split(' ').nth(1).unwrap_or_default();
        let (status, kind, content) = self.answer(path, &body);
        let head = format!(
            "HTTP/1.1 {status}\r\nContent-Type: {kind}\r\nContent-Length: {}\r\nCache-Control: no-store\r\nConnection: close\r\n\r\n",
            content.len()
        );
        stream.write_all(head.as_bytes())?;
        stream.write_all(&content)
    }

    fn answer(&self, path: &str, body: &[u8]) -> (&'static str, &'static str, Vec<u8>) {
        let (path, query) = path.split_once('?').unwrap_or((path, ""));
        let html = "text/html; charset=utf-8";
        if path.starts_with("/ubus") || path.starts_with("/cgi-bin/luci/admin/ubus") {
            let request: Value = serde_json::from_slice(body).unwrap_or_default();
            let answer = match request {
                Value::Array(requests) => requests.iter().map(|request| self.rpc(request)).collect(),
                request => self.rpc(&request),
            };
            return ("200 OK", "application/json", answer.to_string().into_bytes());
        }
        if let Some(answer) = super::page::serve(path, query) {
            return ("200 OK", html, answer.into_bytes());
        }
        if path.ends_with("/admin/uci/apply_rollback") {
            self.stage.lock().unwrap().apply();
            return ("200 OK", "application/json", b"{\"token\":\"1\"}".to_vec());
        }
        // Only LuCI's own scripts come here, the last for the addresses of those who are logged in.
        if path.ends_with("/admin/uci/confirm") || path == "/cgi-bin/cgi-exec" {
            return ("200 OK", "text/plain", Vec::new());
        }
        match super::page::file(path) {
            Some(content) => ("200 OK", kind(Path::new(path)), content),
            None => ("404 Not Found", "text/plain", Vec::new()),
        }
    }

    /// One message of JSON-RPC.
    fn rpc(&self, request: &Value) -> Value {
        let answer = match (request["method"].as_str(), request["params"].as_array().map(Vec::as_slice)) {
            (Some("list"), Some([name, ..])) => Ok(self.list(name.as_str().unwrap_or_default())),
            (Some("list"), _) => Ok(json!(["cheaproute", "uci"])),
            (Some("call"), Some([session, object, method, arguments])) => {
                let text = |value: &Value| value.as_str().unwrap_or_default().to_owned();
                self.call(&text(session), &text(object), &text(method), arguments)
            }
            _ => Err((-32600, "Invalid request")),
        };
        let mut reply = json!({ "jsonrpc": "2.0", "id": request["id"] });
        match answer {
            Ok(result) => reply["result"] = result,
            Err((code, message)) => reply["error"] = json!({ "code": code, "message": message }),
        }
        reply
    }

    fn list(&self, name: &str) -> Value {
        let objects = bus::client(&self.socket).lookup_objects(Some(name)).unwrap_or_default();
        let known = objects.iter().map(|o| (o.path.clone(), blobmsg_to_json(&o.signature).unwrap_or_default()));
        Value::Object(known.collect::<Map<_, _>>())
    }

    fn call(&self, user: &str, object: &str, method: &str, arguments: &Value) -> Result<Value, (i64, &'static str)> {
        let field = |name: &str| arguments[name].as_str().unwrap_or_default();
        if (object, method) == ("session", "access") {
            let granted = self.rights.allow(user, field("scope"), field("object"), field("function"));
            return Ok(json!([0, { "access": granted }]));
        }
        // LuCI's own pages ask these on behalf of everybody.
        match (object, method) {
            ("luci", "getFeatures") => return Ok(json!([0, {}])),
            ("uci", "changes") => return Ok(json!([0, { "changes": {} }])),
            ("uci", "get") if field("config") == "luci" => return Ok(json!([0, { "values": {} }])),
            _ => {}
        }
        if !self.rights.allow(user, "ubus", object, method) {
            return Err(DENIED);
        }
        let mut answer = match object {
            "uci" => {
                let config = field("config");
                let need = if matches!(method, "get" | "changes") { "read" } else { "write" };
                if !config.is_empty() && !self.rights.allow(user, "uci", config, need) {
                    return Ok(json!([6]));
                }
                self.stage.lock().unwrap().call(method, arguments)
            }
            "network.interface" => {
                let interface =
                    |link: usize| json!({ "interface": format!("wan{link}"), "l3_device": format!("wan{link}") });
                json!([0, { "interface": [interface(1), interface(2)] }])
            }
            "cheaproute" => self.daemon(user, method, arguments)?,
            _ => return Err(MISSING),
        };
        if self.hostile.load(Ordering::Relaxed) {
            infect(&mut answer);
        }
        Ok(answer)
    }

    fn daemon(&self, user: &str, method: &str, arguments: &Value) -> Result<Value, (i64, &'static str)> {
        if bus::client(&self.socket).lookup("cheaproute").is_err() {
            return Err(MISSING);
        }
        self.calls.lock().unwrap().push((user.to_owned(), method.to_owned()));
        let mut arguments = arguments.clone();
        arguments["ubus_rpc_session"] = user.into();
        let (data, status) = bus::call(&self.socket, method, &arguments.to_string());
        Ok(match (serde_json::from_str::<Value>(&data), status) {
            (Ok(data), 0) => json!([0, data]),
            (Err(_), 0) => json!([NO_DATA]),
            // With the reason, as uhttpd hands it on.
            (Ok(data), status) => json!([status, data]),
            (Err(_), status) => json!([status]),
        })
    }
}

/// Names of UCI's sections and types, which it keeps to letters, digits and underscores, stay as they are.
fn infect(value: &mut Value) {
    match value {
        Value::String(text) => *text += HOSTILE,
        Value::Array(items) => items.iter_mut().for_each(infect),
        Value::Object(fields) => {
            fields.iter_mut().filter(|(name, _)| !name.starts_with('.')).for_each(|(_, value)| infect(value));
        }
        _ => {}
    }
}

fn kind(path: &Path) -> &'static str {
    match path.extension().and_then(|extension| extension.to_str()) {
        Some("js") => "text/javascript; charset=utf-8",
        Some("css") => "text/css; charset=utf-8",
        Some("svg") => "image/svg+xml",
        _ => "application/octet-stream",
    }
}
