//! `genkey`, `pubkey`, `genpsk`: no daemon, no root, no network.

use std::fs::{self, File, Permissions};
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::process::{Command, Output, Stdio};

const BINARY: &str = env!("CARGO_BIN_EXE_cheaproute");

fn run(command: &str, stdin: &[u8]) -> (Option<i32>, String, String) {
    let mut child = Command::new(BINARY)
        .arg(command)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    // It may have read enough already.
    let _ = child.stdin.take().unwrap().write_all(stdin);
    let Output { status, stdout, stderr } = child.wait_with_output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn a_pair_is_made_as_wireguard_makes_it() {
    let (code, private, complaint) = run("genkey", b"");
    assert_eq!((code, private.len(), complaint.as_str()), (Some(0), 45, ""));
    let (code, public, _) = run("pubkey", private.as_bytes());
    assert_eq!((code, public.len()), (Some(0), 45));
    assert!(public != private && private != run("genkey", b"").1);
    let (code, shared, _) = run("genpsk", b"");
    assert!(code == Some(0) && shared.len() == 45 && shared != run("genpsk", b"").1);
    // RFC 7748, 6.1: Alice's, with and without a line's end.
    for private in
        ["dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=", "\r\n dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo=\r\n"]
    {
        let (code, public, _) = run("pubkey", private.as_bytes());
        assert_eq!((code, public.as_str()), (Some(0), "hSDwCYkwp1R0i33ctD73Wg2/Og0mOBr066SpjqqbTmo=\n"));
    }
}

#[test]
fn what_is_no_key_is_told_and_not_repeated() {
    let spoilt = "dwdtCnMYpX08FsFyUbJmRd9ML4frwJkqsXf7pR25LCo";
    for stdin in [&b""[..], b"\n", spoilt.as_bytes(), &[0xFF; 44], &[b'A'; 100_000]] {
        let (code, public, complaint) = run("pubkey", stdin);
        assert_eq!((code, public.as_str()), (Some(1), ""));
        assert!(complaint.contains("44 characters") && complaint.lines().count() == 1, "{complaint}");
        assert!(!complaint.contains(spoilt), "{complaint}");
    }
}

#[test]
fn a_file_that_all_may_read_is_warned_of() {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("keys-{}", std::process::id()));
    for (mode, warned) in [(0o644, true), (0o600, false)] {
        let place = File::create(&file).unwrap();
        place.set_permissions(Permissions::from_mode(mode)).unwrap();
        let Output { status, stderr, .. } = Command::new(BINARY).arg("genkey").stdout(place).output().unwrap();
        assert!(status.success() && String::from_utf8(stderr).unwrap().contains("umask 077") == warned);
        assert_eq!(fs::read(&file).unwrap().len(), 45);
    }
    fs::remove_file(&file).unwrap();
}

/// A shared key is as secret as a private one, which may be in a file of its own.
#[test]
fn a_configuration_with_a_shared_key_that_all_may_read_is_warned_of() {
    let file = std::path::Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("config-{}", std::process::id()));
    let (public, shared) = (run("genpsk", b"").1, run("genpsk", b"").1);
    let config = |more: &str| {
        format!(
            "config cheaproute 'main'\nconfig peer 'home'\n option role 'server'\n option listen_port '7420'
             option private_key_file '/dev/full/none'\n option public_key '{}'\n list address '10.74.20.1/24'\n{more}\n",
            public.trim()
        )
    };
    let with = format!("option preshared_key '{}'", shared.trim());
    for (more, mode, warned) in [(&*with, 0o644, true), (&with, 0o640, false), ("", 0o644, false)] {
        fs::write(&file, config(more)).unwrap();
        fs::set_permissions(&file, Permissions::from_mode(mode)).unwrap();
        let Output { status, stderr, .. } = Command::new(BINARY).arg("check").arg("-c").arg(&file).output().unwrap();
        let said = String::from_utf8(stderr).unwrap();
        assert!(status.success() && said.contains("secret key") == warned, "{more} {mode:o}: {said}");
    }
    fs::remove_file(&file).unwrap();
}
