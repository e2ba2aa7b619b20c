//! The socket: what clients can and cannot do to it.

use std::io::{Read, Write};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::{UnixDatagram, UnixListener, UnixStream};
use std::path::PathBuf;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, mpsc};
use std::time::{Duration, Instant};
use std::{env, fs, process, thread};

use super::client::ask;
use super::desk::Desk;
use super::server::{MAX_REQUEST, Server};
use super::{Code, Exit, Form, Value};

const TEXT: Form = Form { json: false, width: 80, color: false };

fn path(name: &str) -> PathBuf {
    env::temp_dir().join("cheaproute-tests").join(format!("{}-{name}.sock", process::id()))
}

/// A daemon whose answer to any words is those words; `fail` fails and `drop` is not answered.
fn daemon(name: &str) -> (Server, PathBuf, Arc<AtomicUsize>) {
    let path = path(name);
    let server = Server::bind(&path).unwrap();
    let wakes = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&wakes);
    let (desk, requests) = Desk::new(move || _ = counter.fetch_add(1, Ordering::Relaxed));
    server.start(desk).unwrap();
    thread::spawn(move || {
        while let Ok(request) = requests.recv_timeout(Duration::from_secs(60)) {
            match request.words.join(" ").as_str() {
                "fail" => request.answer(Err(Exit::new(Code::Config, "line 1: no\nline 2: no"))),
                "drop" => drop(request),
                words => request.answer(Ok(words.into())),
            }
        }
    });
    (server, path, wakes)
}

#[test]
fn questions_and_answers() {
    let (server, path, wakes) = daemon("answers");
    assert_eq!(ask(&path, &["races", "20"], TEXT), Ok("races 20\n".into()));
    assert_eq!(ask(&path, &["a"], Form { json: true, ..TEXT }), Ok("\"a\"\n".into()));
    assert_eq!(ask(&path, &["fail"], TEXT), Err(Exit::new(Code::Config, "line 1: no line 2: no")));
    assert_eq!(ask(&path, &["drop"], TEXT), Err(Exit::new(Code::Failed, "the daemon dropped the request")));
    assert_eq!(wakes.load(Ordering::Relaxed), 4);
    assert_eq!(ask(&path, &["a b"], TEXT).unwrap_err().code, Code::Usage);
    assert_eq!(fs::metadata(&path).unwrap().permissions().mode() & 0o777, 0o600);
    drop(server);
    let gone = ask(&path, &["a"], TEXT).unwrap_err();
    assert_eq!(gone, Exit::said(Code::NotRunning, format_args!("cheaproute is not running (no {})", path.display())));
}

#[test]
fn one_daemon_at_a_path() {
    let path = path("bind");
    let first = Server::bind(&path).unwrap();
    assert_eq!(Server::bind(&path).unwrap_err().code, Code::Running);
    drop(first);
    // What a killed daemon leaves behind.
    drop(UnixListener::bind(&path).unwrap());
    assert_eq!(ask(&path, &["a"], TEXT).unwrap_err().code, Code::NotRunning);
    // Of two that found such a thing at once, the one that goes leaves the other's.
    let first = Server::bind(&path).unwrap();
    fs::remove_file(&path).unwrap();
    let other = Server::bind(&path).unwrap();
    drop(first);
    assert!(path.exists());
    drop(other);
    assert!(!path.exists());
    // One lives there that speaks otherwise.
    let socket = UnixDatagram::bind(&path).unwrap();
    assert_eq!(Server::bind(&path).unwrap_err().code, Code::System);
    drop(socket);
    fs::remove_file(&path).unwrap();
    // Not ours to remove.
    fs::write(&path, "precious").unwrap();
    assert_eq!(Server::bind(&path).unwrap_err().code, Code::Failed);
    assert_eq!(fs::read_to_string(&path).unwrap(), "precious");
    fs::remove_file(&path).unwrap();
}

#[test]
fn malformed_requests_are_refused() {
    let (_server, path, wakes) = daemon("malformed");
    let long = format!("text 80 {}\n", "x".repeat(MAX_REQUEST));
    for request in [b"\n" as &[u8], b"text\n", b"text 80\n", b"html 80 a\n", b"text -1 a\n", b"\xff 80 a\n"]
        .into_iter()
        .chain([long.as_bytes()])
    {
        let mut client = UnixStream::connect(&path).unwrap();
        let _ = client.write_all(request);
        let mut answer = String::new();
        let _ = client.read_to_string(&mut answer);
        assert!(answer.starts_with("error 2 a request "), "{answer}");
    }
    assert_eq!(wakes.load(Ordering::Relaxed), 0);
    assert_eq!(ask(&path, &["still", "here"], TEXT), Ok("still here\n".into()));
}

#[test]
fn a_stuck_client_delays_the_next_by_a_second_at_most() {
    let (_server, path, _) = daemon("stuck");
    // One that drips is no better than one that says nothing.
    let mut stuck = UnixStream::connect(&path).unwrap();
    let drip = thread::spawn(move || {
        while stuck.write_all(b"x").is_ok() {
            thread::sleep(Duration::from_millis(50));
        }
    });
    thread::sleep(Duration::from_millis(50));
    let start = Instant::now();
    assert_eq!(ask(&path, &["next"], TEXT), Ok("next\n".into()));
    assert!(start.elapsed() < Duration::from_secs(10), "{:?}", start.elapsed());
    drip.join().unwrap();
}

#[test]
fn a_client_that_does_not_read_is_left() {
    let path = path("deaf");
    let server = Server::bind(&path).unwrap();
    let (desk, requests) = Desk::new(|| {});
    server.start(desk).unwrap();
    thread::spawn(move || {
        while let Ok(request) = requests.recv_timeout(Duration::from_secs(60)) {
            let much = if request.words == ["much"] { "x".repeat(4_000_000) } else { "little".into() };
            request.answer(Ok(Value::Text(much)));
        }
    });
    let mut deaf = UnixStream::connect(&path).unwrap();
    deaf.write_all(b"text 0 much\n").unwrap();
    thread::sleep(Duration::from_millis(50));
    assert_eq!(ask(&path, &["a"], TEXT), Ok("little\n".into()));
}

#[test]
fn clients_at_the_same_time_all_get_their_own() {
    let (_server, path, _) = daemon("many");
    let (sender, receiver) = mpsc::channel();
    for number in 0..8 {
        let (path, sender) = (path.clone(), sender.clone());
        thread::spawn(move || {
            let word = number.to_string();
            sender.send(ask(&path, &[&word], TEXT) == Ok(format!("{word}\n"))).unwrap();
        });
    }
    drop(sender);
    assert!(receiver.iter().all(|own| own));
}
