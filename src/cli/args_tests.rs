use super::*;
use crate::split::Side;

fn parsed(line: &str) -> Result<Action, String> {
    parse(line.split_whitespace().map(OsString::from).collect()).map_err(|exit| {
        assert_eq!(exit.code, Code::Usage);
        exit.text.replace(" (see cheaproute --help)", "")
    })
}

fn common() -> Common {
    Common { socket: SOCKET.into(), json: false, no_color: false }
}

fn ask(words: &[&str], common: Common) -> Action {
    Action::Ask { words: words.iter().map(|word| word.to_string()).collect(), common }
}

fn options(config: &str, socket: &str) -> Options {
    Options {
        config: config.into(),
        socket: socket.into(),
        syslog: false,
        ubus: PATHS.iter().map(Into::into).collect(),
    }
}

#[test]
fn lines_and_their_actions() {
    let help = |name: &str| Action::Help(COMMANDS.iter().find(|command| command.name == name));
    let live = |seconds, count, common| Action::Live { interval: Duration::from_secs(seconds), count, common };
    let why = |to: &str, from: Option<&str>, port, proto: Option<&str>, device: Option<&str>| {
        let [from, proto, device] = [from, proto, device].map(|text| text.map(str::to_owned));
        Action::Why { asked: Asked { to: to.into(), from, port, proto, device }, common: common() }
    };
    for (line, action) in [
        ("run", Action::Run(options(CONFIG, SOCKET))),
        ("run -c a -s b", Action::Run(options("a", "b"))),
        ("--config=a run --dry-run", Action::DryRun(options("a", SOCKET))),
        ("run -dc a", Action::DryRun(options("a", SOCKET))),
        ("check -ca", Action::Check { config: "a".into() }),
        ("cleanup -s x", Action::Cleanup { socket: "x".into() }),
        ("status", ask(&["status"], common())),
        ("links -j", ask(&["links"], Common { json: true, ..common() })),
        ("--json --no-color -s x links", ask(&["links"], Common { socket: "x".into(), json: true, no_color: true })),
        ("races", ask(&["races", "20"], common())),
        ("races -n5", ask(&["races", "5"], common())),
        ("races --count 5", ask(&["races", "5"], common())),
        ("live", live(2, None, common())),
        ("live -i 5 -n 3 -j", live(5, Some(3), Common { json: true, ..common() })),
        ("reload", ask(&["reload"], common())),
        ("why a.example:53 --proto udp", why("a.example:53", None, None, Some("udp"), None)),
        (
            "why --from 10.0.0.2 192.0.2.1 --port 53 --device lan0",
            why("192.0.2.1", Some("10.0.0.2"), Some(53), None, Some("lan0")),
        ),
        ("memory -n 7", ask(&["memory", "7"], common())),
        ("policies", ask(&["policies"], common())),
        ("events", ask(&["events"], common())),
        ("probe wan -j", ask(&["probe", "wan"], Common { json: true, ..common() })),
        ("link wan down", ask(&["link", "wan", "down"], common())),
        ("import-mwan3", Action::ImportMwan3 { file: MWAN3.into(), output: None }),
        ("import-mwan3 -o b a", Action::ImportMwan3 { file: "a".into(), output: Some("b".into()) }),
        ("support -a -s x", Action::Support { config: CONFIG.into(), socket: "x".into(), addresses: true }),
        ("genkey", Action::Keys(Wanted::Private)),
        ("pubkey", Action::Keys(Wanted::Public)),
        ("genpsk", Action::Keys(Wanted::Shared)),
        ("split -L", Action::Split(Request::List)),
        ("split --flush receiver", Action::Split(Request::Flush(Side::Receiver))),
        (
            "split -R 7500:2500 -S 10.0.0.12:1 -P 10.0.0.11:1 -A sender",
            Action::Split(Request::Append("sender 10.0.0.11:1 10.0.0.12:1 7500:2500".parse().unwrap())),
        ),
        ("split --help", help("split")),
        ("split -V", Action::Version),
        ("split --version", Action::Version),
        ("help", Action::Help(None)),
        ("help run", help("run")),
        ("--help", Action::Help(None)),
        ("-h", Action::Help(None)),
        ("races -h", help("races")),
        ("--help races", help("races")),
        ("--version", Action::Version),
        ("-V", Action::Version),
        ("status --version", Action::Version),
    ] {
        assert_eq!(parsed(line), Ok(action), "{line}");
    }
}

#[test]
fn wrong_lines_are_explained() {
    for (line, error) in [
        ("", "which command? The commonest are run, status, links and races"),
        ("stauts", "there is no command 'stauts'; did you mean 'status'?"),
        ("lins", "there is no command 'lins'; did you mean 'links'?"),
        ("link", "it takes: cheaproute link LINK up|down"),
        ("link wan", "it takes: cheaproute link LINK up|down"),
        ("link wan off", "it takes: cheaproute link LINK up|down"),
        ("link wan up now", "it takes: cheaproute link LINK up|down"),
        ("probe", "it takes: cheaproute probe LINK"),
        ("memory wan", "memory takes no argument, but there is 'wan'"),
        ("realod", "there is no command 'realod'; did you mean 'reload'?"),
        ("stat", "there is no command 'stat'; did you mean 'status'?"),
        ("xyz", "there is no command 'xyz'"),
        ("help stauts", "there is no command 'stauts'; did you mean 'status'?"),
        ("links --jsno", "there is no option --jsno; did you mean --json?"),
        ("links --frobnicate", "there is no option --frobnicate"),
        ("links -x", "there is no option -x"),
        ("links -C", "there is no option -C"),
        ("links -n 3", "links takes no option --count"),
        ("status -d", "status takes no option --dry-run"),
        ("pubkey bond.key", "pubkey takes no argument, but there is 'bond.key'"),
        ("genkey -o a", "genkey takes no option --output"),
        ("status wan", "status takes no argument, but there is 'wan'"),
        ("import-mwan3 a b", "it takes: cheaproute import-mwan3 [FILE]"),
        ("races -n 0", "--count takes a whole number from 1 to 100000, not '0'"),
        ("live -i x", "--interval takes a whole number from 1 to 3600, not 'x'"),
        ("why", "it takes: cheaproute why ADDRESS"),
        ("why a b", "it takes: cheaproute why ADDRESS"),
        ("why a --port 65536", "--port takes a whole number from 1 to 65535, not '65536'"),
        ("races --from a", "races takes no option --from"),
        ("split", "split takes one of -A, -F and -L"),
        ("split -L -L", "split does one thing at a time, with each option once"),
        ("split -A receiver", "-A needs both addresses: -P ADDRESS:PORT -S ADDRESS:PORT"),
        ("run -c", "missing argument for option '-c'"),
        ("run --dry-run=yes", "unexpected argument for option '--dry-run': \"yes\""),
    ] {
        assert_eq!(parsed(line), Err(error.into()), "{line}");
    }
}
