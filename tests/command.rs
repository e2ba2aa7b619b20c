//! The command line against a running daemon, as a user or a script has it.

mod support;

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::process::Output;

use support::{Bed, Daemon, SERVERS, config, link, ms};

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
    let (_, status, _) = run(&bed, &["status"]);
    assert!(status.contains("1 of 1 up"), "in force by then: {status}");
    let server = bed.server(SERVERS[0], 80);
    assert_eq!(bed.link_taken(&server), 2);
}

#[test]
fn a_reload_that_the_kernel_refuses_says_so_and_comes_later() {
    need_lab!();
    let lab = lab::Dual::new();
    let directory = Path::new(env!("CARGO_TARGET_TMPDIR")).join(format!("nft-{}", std::process::id()));
    let (nft, refuse) = (directory.join("nft"), directory.join("refuse"));
    fs::create_dir_all(&directory).unwrap();
    let path = std::env::var("PATH").unwrap();
    let text = format!(
        "#!/bin/sh\n[ ! -e {} ] || {{ echo 'not today' >&2; exit 1; }}\nPATH='{path}' exec nft \"$@\"\n",
        refuse.display()
    );
    fs::write(&nft, text).unwrap();
    fs::set_permissions(&nft, fs::Permissions::from_mode(0o755)).unwrap();
    let mut daemon = Daemon::launch(lab.router(), &config(&["", ""], ""), |command| {
        command.env("PATH", format!("{}:{path}", directory.display()));
    });
    daemon.says(0, "racing over");
    let rules = || lab.router().sh("nft -s -t list table inet cheaproute");
    let before = rules();
    daemon.write(&config(&["", "option metered '1'"], "config policy 'p'\n option mode 'failover'"));
    fs::write(&refuse, "").unwrap();
    let output = daemon.command(lab.router(), &["reload"]).output().unwrap();
    let complaint = String::from_utf8_lossy(&output.stderr);
    assert_eq!(output.status.code(), Some(1), "{complaint}");
    assert!(complaint.contains("not in force yet") && complaint.contains("not today"), "{complaint}");
    assert_eq!(rules(), before);
    fs::remove_file(&refuse).unwrap();
    support::eventually("other rules", || rules() != before);
    daemon.says(0, "all that was noted is in force");
    daemon.stop();
    fs::remove_dir_all(&directory).unwrap();
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

#[test]
fn a_link_is_taken_out_and_back() {
    need_lab!();
    let mut bed = Bed::new(&[2, 20]);
    let server = bed.server(SERVERS[0], 80);
    assert_eq!(bed.link_taken(&server), 1);
    let (code, said, _) = run(&bed, &["link", "wan1", "down"]);
    assert!(code == Some(0) && said.contains("until 'cheaproute link wan1 up'"), "{said}");
    // At once, with no need to wait.
    assert_eq!(bed.links_taken(&server, 3), [2; 3]);
    let (_, links, _) = run(&bed, &["links"]);
    let row = links.lines().find(|line| line.starts_with("wan1")).unwrap();
    assert!(row.contains(" down ") && links.contains("taken out by the administrator"), "{links}");
    bed.daemon.reload(&config(&["option weight '3'", ""], ""), "reloaded");
    assert_eq!(bed.links_taken(&server, 3), [2; 3], "a reload changes nothing about it");
    // Nor does what happens to its device.
    bed.lab.router().sh("ip link set wan1 down; ip link set wan1 up");
    support::eventually("its default route again", || {
        bed.lab.router().sh("ip route replace default via 10.77.1.1 dev wan1 && ip route").contains("default")
    });
    assert_eq!(bed.links_taken(&server, 3), [2; 3]);
    assert_eq!(run(&bed, &["link", "wan1", "up"]).0, Some(0));
    support::eventually("it is used again", || bed.link_taken(&server) == 1);
    let (_, events, _) = run(&bed, &["events"]);
    let kinds: Vec<&str> = events.lines().filter_map(|line| line.split_whitespace().nth(3)).collect();
    assert_eq!(kinds[..3], ["link.up", "reload", "link.down"], "{events}");
    let (code, _, complaint) = run(&bed, &["link", "dsl", "down"]);
    assert!(code == Some(2) && complaint.contains("there is: wan1, wan2"), "{complaint}");
}

#[test]
fn a_probe_answers_for_every_target() {
    need_lab!();
    // The gateway answers, the other address is nobody's.
    let probes = "list probe 'icmp:10.77.1.1'\n list probe 'icmp:10.77.1.77'\n option interval '10s'";
    let bed = Bed::with(&[2, 20], &[probes, ""], "");
    support::eventually("the link is up", || run(&bed, &["links"]).1.contains("answers came"));
    let (code, said, complaint) = run(&bed, &["probe", "wan1"]);
    assert_eq!(code, Some(0), "{complaint}");
    assert!(said.starts_with("wan1 is up: "), "{said}");
    let line = |target: &str| said.lines().find(|line| line.contains(target)).unwrap();
    assert!(line("icmp:10.77.1.1 ").contains(" ms"), "{said}");
    assert!(line("icmp:10.77.1.77").contains("no answer"), "{said}");
    // Nothing to wait for.
    let (code, said, _) = run(&bed, &["probe", "wan2"]);
    assert!(code == Some(0) && said.contains("no targets to probe"), "{said}");
    run(&bed, &["link", "wan1", "down"]);
    let (_, said, _) = run(&bed, &["probe", "wan1"]);
    assert!(said.contains("wan1 is down: taken out by the administrator") && said.contains("not probed"), "{said}");
    let (code, _, complaint) = run(&bed, &["probe", "dsl"]);
    assert!(code == Some(2) && complaint.contains("there is no link"), "{complaint}");
}

#[test]
fn policies_and_memory_are_shown() {
    need_lab!();
    let more = "config policy 'fastest'\n list link 'wan1'\n list link 'wan2'
config policy 'bulk'\n option mode 'weighted'\n list link 'wan1'\n list link 'wan2'
config policy 'never'\n option mode 'blackhole'";
    let bed = Bed::with(&[2, 20], &["option weight '3'", ""], more);
    let (_, policies, _) = run(&bed, &["policies"]);
    let expected = "fastest  race
         IPv4  wan1, wan2
         IPv6  wan1, wan2
bulk     weighted
         IPv4  wan1 75 %, wan2 25 %
         IPv6  wan1 75 %, wan2 25 %
never    blackhole, drops all
";
    assert_eq!(policies, expected);
    assert!(run(&bed, &["memory"]).1.contains("nothing remembered yet"));
    let server = bed.server(SERVERS[0], 80);
    bed.link_taken(&server);
    support::eventually("both answers", || run(&bed, &["memory"]).1.contains(", wan2 +"));
    let (_, memory, _) = run(&bed, &["memory"]);
    let row = memory.lines().nth(1).unwrap();
    assert!(row.starts_with("198.51.100.0/24 tcp/80 ") && row.contains(" wan1 "), "{memory}");
    run(&bed, &["link", "wan2", "down"]);
    assert!(run(&bed, &["policies"]).1.contains("IPv4  wan1 100 %"));
}
