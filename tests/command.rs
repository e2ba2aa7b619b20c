//! The command line against a running daemon, as a user or a script has it.

mod support;

use std::process::Output;

use support::{Bed, SERVERS, config, link, ms};

fn run(bed: &Bed, arguments: &[&str]) -> (Option<i32>, String, String) {
    let Output { status, stdout, stderr } = bed.daemon.command(bed.lab.router(), arguments).output().unwrap();
    (status.code(), String::from_utf8(stdout).unwrap(), String::from_utf8(stderr).unwrap())
}

#[test]
fn three_commands_tell_who_won() {
    need_lab!();
    let bed = Bed::new(&[2, 20]);
    let server = bed.server(SERVERS[0], 80);
    assert_eq!(bed.link_taken(&server), 1);
    std::thread::sleep(ms(100)); // the loser's answer
    let (code, races, _) = run(&bed, &["races"]);
    assert_eq!(code, Some(0));
    let line = races.lines().next().unwrap();
    let told = ["tcp 10.77.0.2:", "198.51.100.1:80", "wan1 ", ", wan2 +", "won by wan1"];
    assert!(told.iter().all(|word| line.contains(word)), "{races}");
    let (_, links, _) = run(&bed, &["links"]);
    assert!(links.contains("won 1 of 1 race") && links.contains("10.77.2.2 via 10.77.2.1"), "{links}");
    let (_, status, _) = run(&bed, &["status"]);
    assert!(status.contains("2 of 2 up") && status.contains("1 started, 1 won"), "{status}");
}

#[test]
fn json_is_for_programs() {
    need_lab!();
    let bed = Bed::new(&[2, 20]);
    let server = bed.server(SERVERS[1], 80);
    bed.link_taken(&server);
    for (command, word) in
        [("status", r#""links_up":2"#), ("links", r#""name":"wan2""#), ("races", r#""outcome":"won""#)]
    {
        let (code, text, _) = run(&bed, &[command, "--json"]);
        assert!(code == Some(0) && text.contains(word) && text.lines().count() == 1, "{text}");
    }
    let (code, text, _) = run(&bed, &["live", "-n", "2", "-i", "1", "--json"]);
    assert!(code == Some(0) && text.lines().count() >= 2, "{text}");
}

#[test]
fn a_reload_answers_for_itself() {
    need_lab!();
    let bed = Bed::new(&[2, 20]);
    bed.daemon.write(&(config(&[""], "") + "config link 'wan2'\n option device 'wan2'\n option weihgt '3'\n"));
    let (code, _, complaint) = run(&bed, &["reload"]);
    assert_eq!(code, Some(3));
    assert!(complaint.contains("weihgt") && complaint.contains("did you mean 'weight'"), "{complaint}");
    let (_, status, _) = run(&bed, &["status"]);
    assert!(status.contains("2 of 2 up") && status.contains("not in use"), "{status}");
    bed.daemon.write(&(config(&[], "") + &link(2, "")));
    assert_eq!(run(&bed, &["reload"]).0, Some(0));
    support::eventually("one link", || run(&bed, &["status"]).1.contains("1 of 1 up"));
    let server = bed.server(SERVERS[0], 80);
    assert_eq!(bed.link_taken(&server), 2);
}

#[test]
fn nobody_answers_where_no_daemon_runs() {
    need_lab!();
    let mut bed = Bed::new(&[2]);
    bed.daemon.stop();
    let (code, _, complaint) = run(&bed, &["status"]);
    assert_eq!(code, Some(6));
    assert!(complaint.contains("not running"), "{complaint}");
}

#[test]
fn a_dry_run_changes_nothing() {
    need_lab!();
    let lab = Bed::builder(&[2, 2]).build();
    let before = support::settled(lab.router());
    let daemon = support::Daemon::launch(lab.router(), &config(&["", ""], ""), |command| _ = command.arg("--dry-run"));
    daemon.process.wait_for_line("table inet cheaproute {", ms(5000));
    daemon.process.wait_for_line("fwmark 0x1000000/0xf000000 lookup 4001", ms(5000));
    assert_eq!(support::settled(lab.router()), before);
}
