//! What the help says.

use core::fmt::Write;

use crate::control::Code;

/// A command: the table that the parser and the help share.
#[derive(PartialEq, Eq, Debug)]
pub struct Command {
    pub name: &'static str,
    /// What stands behind it, each a word: a name, or what to choose from.
    pub words: &'static [&'static str],
    /// One line for the list.
    short: &'static str,
    /// The options that it takes, by their letters in [`OPTIONS`].
    pub takes: &'static str,
    /// What more there is to say.
    long: &'static str,
    examples: &'static str,
}

pub const COMMANDS: [Command; 23] = [
    Command {
        name: "run",
        words: &[],
        short: "run the daemon, in the foreground",
        takes: "csdlu",
        long: "Messages go to stderr, with --syslog to the system log.\n\
               SIGHUP reloads the configuration; SIGTERM and SIGINT stop the daemon and take\n\
               its rules out of the kernel.\n",
        examples: "cheaproute run -c ./test.conf   try a configuration\n\
                   cheaproute run --dry-run        see the nft rules that it would load\n",
    },
    Command {
        name: "check",
        words: &[],
        short: "look for faults in the configuration",
        takes: "c",
        long: "Prints every fault with its file and line, and needs no daemon.\n",
        examples: "cheaproute check && cheaproute reload\n",
    },
    Command {
        name: "status",
        words: &[],
        short: "show the daemon at a glance",
        takes: "sjC",
        long: "",
        examples: "cheaproute status --json | jsonfilter -e @.links_up\n",
    },
    Command {
        name: "links",
        words: &[],
        short: "show each link's health, addresses and share of the races",
        takes: "sjC",
        long: "RTT, JITTER and LOSS come from probes and races. WON is the share of the races that\n\
               the link took part in and won.\n",
        examples: "cheaproute links\n",
    },
    Command {
        name: "races",
        words: &[],
        short: "show the last races: who raced, who answered when, who won",
        takes: "sjnC",
        long: "The winner's time counts from the first packet to its answer; the others' times are\n\
               how much later they came.\n",
        examples: "cheaproute races -n 50\n",
    },
    Command {
        name: "why",
        words: &["ADDRESS"],
        short: "say which link a connection would take now, and why",
        takes: "sjCFPTD",
        long: "Its argument is an address or a name, with a port behind a colon if wanted. Without\n\
               more it is about a client's connection by TCP to port 443. An address of the router\n\
               itself behind --from asks about the router's own connections.\n",
        examples: "cheaproute why example.net\n\
                   cheaproute why 192.0.2.53:53 --proto udp --from 192.168.1.7\n",
    },
    Command {
        name: "live",
        words: &[],
        short: "watch links, events and races",
        takes: "sjniC",
        long: "On a terminal, a screen until q or Ctrl-C: each link's last round trips (the lowest\n\
               mark is its fastest, x is down), its share of the races that it took part in, and\n\
               its traffic; the last events; the last races. Where the locale is not of UTF-8, in\n\
               plain characters. Elsewhere each view follows the last; with --json each is one line.\n",
        examples: "cheaproute live -i 1\n\
                   cheaproute live -n 60 --json > minutes.json\n",
    },
    Command {
        name: "memory",
        words: &[],
        short: "show which link was the fastest to where",
        takes: "sjnC",
        long: "Connections to a destination that was raced lately take its fastest link without a\n\
               race, if the policy's option remember says so. The newest come first.\n",
        examples: "cheaproute memory -n 50\n",
    },
    Command {
        name: "policies",
        words: &[],
        short: "show which links each policy uses now, and in what shares",
        takes: "sjC",
        long: "In mode race, the percentages are the links' shares of the races won so far.\n",
        examples: "cheaproute policies\n",
    },
    Command {
        name: "peers",
        words: &[],
        short: "show peers, and each link's part in reaching them",
        takes: "sjC",
        long: "DOWN and UP are what a link is found to carry. A server shows its clients, each with\n\
               the ways that it comes by.\n",
        examples: "cheaproute peers\n",
    },
    Command {
        name: "events",
        words: &[],
        short: "show when links and peers went up and down, and reloads",
        takes: "sjC",
        long: "The last 64, the newest first. Programs need not ask: they can subscribe to the\n\
               object cheaproute on ubus.\n",
        examples: "cheaproute events\n",
    },
    Command {
        name: "probe",
        words: &["LINK"],
        short: "probe a link now, and say who answered",
        takes: "sjC",
        long: "Takes as long as the answers do, at most three seconds. A link that is down comes back\n\
               when enough probes in a row were answered, asked for or not.\n",
        examples: "cheaproute probe wan\n",
    },
    Command {
        name: "link",
        words: &["LINK", "up|down"],
        short: "take a link out, or back",
        takes: "sjC",
        long: "New connections leave out a link that is taken out, until it is taken back or the\n\
               daemon restarts; a reload changes nothing about it.\n",
        examples: "cheaproute link wan down   before you unplug it\n\
                   cheaproute link wan up\n",
    },
    Command {
        name: "metrics",
        words: &[],
        short: "print figures for Prometheus and the like",
        takes: "s",
        long: "OpenMetrics 1.0, for a CGI script to serve as\n\
               application/openmetrics-text; version=1.0.0; charset=utf-8\n",
        examples: "cheaproute metrics | grep link_up\n",
    },
    Command {
        name: "reload",
        words: &[],
        short: "make the daemon read its configuration again",
        takes: "sjC",
        long: "What did not change keeps running: no connection is lost. If the new configuration\n\
               has faults, the old one stays in use. If it has enabled '0', the daemon ends.\n",
        examples: "cheaproute reload\n",
    },
    Command {
        name: "cleanup",
        words: &[],
        short: "take away what a killed daemon left",
        takes: "s",
        long: "That is its nft table, ip rules and routes, its settings in /proc/sys, and its socket.\n\
               Nothing is changed while a daemon runs: it takes all of that away when it stops. One\n\
               that starts after a kill needs no cleanup either.\n",
        examples: "cheaproute cleanup\n",
    },
    Command {
        name: "import-mwan3",
        words: &["[FILE]"],
        short: "make a configuration of mwan3's",
        takes: "o",
        long: "Reads /etc/config/mwan3, or the file named after it, and the file network beside it.\n\
               The configuration goes to stdout; what was left out or changed, and why, to stderr and\n\
               into comments.\n",
        examples: "cheaproute import-mwan3                            look at it first\n\
                   cheaproute import-mwan3 -o /etc/config/cheaproute  take it\n\
                   cheaproute import-mwan3 ./backup/mwan3\n",
    },
    Command {
        name: "genkey",
        words: &[],
        short: "make a private key for a bond",
        takes: "",
        long: "One for each end, which never leaves it; the other end gets what pubkey makes of it.\n\
               Keys are written as WireGuard's are.\n",
        examples: "umask 077; cheaproute genkey > bond.key\n\
                   cheaproute pubkey < bond.key\n",
    },
    Command {
        name: "pubkey",
        words: &[],
        short: "print the public key of a private one, which it reads from stdin",
        takes: "",
        long: "",
        examples: "cheaproute pubkey < bond.key\n",
    },
    Command {
        name: "genpsk",
        words: &[],
        short: "make a pre-shared key, the same for both ends of a bond",
        takes: "",
        long: "Not needed; with one, what is recorded today stays secret even if X25519 is broken.\n",
        examples: "umask 077; cheaproute genpsk > bond.psk\n",
    },
    Command {
        name: "support",
        words: &[],
        short: "print what a bug report needs",
        takes: "csa",
        long: "Configuration, links, last races and events, log, rules and routes; also without the\n\
               daemon. Keys and passwords never appear, public addresses only with --addresses.\n",
        examples: "cheaproute support > /tmp/support.txt\n",
    },
    Command {
        name: "split",
        words: &[],
        short: "spread TCP connections over two addresses of a host, or join them",
        takes: "",
        long: "The sender rewrites the destination of some packets from the primary address to the\n\
               secondary one, the receiver does it back: both ends need it, and the same MTU on\n\
               both paths. It needs no daemon, and makes rules only. The daemon's section split\n\
               also sets up routing, rp_filter, ARP and forwarding, and looks after the second path.\n\n  \
               -A, --append SIDE     adds a split; SIDE is sender or receiver\n  \
               -P, --primary TO      ADDRESS:PORT that clients connect to\n  \
               -S, --secondary TO    ADDRESS:PORT of the second path\n  \
               -R, --ratio A:B       packets on the first and on the second path; default 1:1\n  \
               -F, --flush SIDE      takes away all splits of this side\n  \
               -L, --list            shows them, the daemon's too\n",
        examples: "cheaproute split -A sender -P 10.0.0.11:1234 -S 10.0.0.12:1234 -R 7500:2500\n\
                   cheaproute split -A receiver -P 10.0.0.11:1234 -S 10.0.0.12:1234\n\
                   cheaproute split -P [fd00::11]:80 -S [fd00::12]:80 -A sender\n",
    },
    Command {
        name: "help",
        words: &["[COMMAND]"],
        short: "show this, or the help of a command",
        takes: "",
        long: "",
        examples: "",
    },
];

const OPTIONS: [(char, &str); 15] = [
    ('c', "-c, --config FILE    the configuration; default /etc/config/cheaproute"),
    ('s', "-s, --socket PATH    the daemon's socket; default /var/run/cheaproute/control.sock"),
    ('d', "-d, --dry-run        print the nft rules instead of doing anything"),
    ('u', "-u, --ubus PATH      ubusd's socket; default: ubus/ubus.sock or ubus.sock in /var/run"),
    ('a', "-a, --addresses      shows public addresses, which are numbered otherwise"),
    ('o', "-o, --output FILE    writes there instead of to stdout"),
    ('l', "-l, --syslog         messages go to the system log, not to stderr"),
    ('j', "-j, --json           JSON instead of text; one line unless on a terminal"),
    ('n', "-n, --count N        how many: entries shown (default 20), or views until the end"),
    ('i', "-i, --interval S     seconds between two views; default 2"),
    ('C', "    --no-color       no colours; nor with NO_COLOR set, nor off a terminal"),
    ('F', "    --from ADDRESS   the client's address, or ADDRESS:PORT"),
    ('P', "    --port N         the server's port; default 443"),
    ('T', "    --proto P        tcp (default), udp, icmp, or a protocol's number"),
    ('D', "    --device DEVICE  the device that it comes in by; default: the one --from is behind"),
];

/// The help for a command, or for all.
pub fn text(command: Option<&Command>) -> String {
    match command {
        Some(command) if command.name != "help" => one(command),
        _ => all(),
    }
}

fn one(command: &Command) -> String {
    let mut out = String::new();
    let _ = write!(out, "cheaproute {}: {}\n\n{}", command.name, command.short, command.long);
    if !command.long.is_empty() {
        out.push('\n');
    }
    let words: String = command.words.iter().map(|word| format!(" {word}")).collect();
    let _ = write!(out, "Usage: cheaproute {}{words} [OPTION]..\n\n", command.name);
    options(&mut out, |letter| command.takes.contains(letter));
    out.push_str("\nExamples:\n");
    for line in command.examples.lines() {
        let _ = writeln!(out, "  {line}");
    }
    out
}

fn all() -> String {
    let mut out = String::from(
        "cheaproute: races each new connection over every WAN link, keeps the fastest answer\n\n\
         Usage: cheaproute COMMAND [OPTION]..\n\nCommands:\n",
    );
    for command in &COMMANDS {
        let _ = writeln!(out, "  {:<14}{}", command.name, command.short);
    }
    out.push('\n');
    options(&mut out, |_| true);
    out.push_str(
        "\nFiles:\n  \
         /etc/config/cheaproute                     links, policies and rules, in UCI's form\n  \
         /var/run/cheaproute/control.sock           where it answers root and its own user\n  \
         /var/run/cheaproute/control.sock.settings  what it changed in /proc/sys: for a kill\n\n\
         Exit codes:\n",
    );
    for code in Code::ALL {
        let _ = writeln!(out, "  {}  {}", code.number(), code.meaning());
    }
    out.push_str(
        "\nExamples:\n  \
         cheaproute check                   is the configuration right?\n  \
         cheaproute links                   is every link up, and how fast is it?\n  \
         cheaproute races -n 5              who won the last five races?\n  \
         cheaproute live                    watch\n\n\
         More on a command: cheaproute COMMAND --help\n",
    );
    out
}

fn options(out: &mut String, takes: impl Fn(char) -> bool) {
    out.push_str("Options:\n");
    for (letter, line) in OPTIONS {
        if takes(letter) {
            let _ = writeln!(out, "  {line}");
        }
    }
    out.push_str("  -h, --help           show this\n  -V, --version        show the version\n");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn help_names_everything_and_fits() {
        let every = all();
        for command in &COMMANDS {
            assert!(every.contains(&format!("\n  {}", command.name)), "{}", command.name);
            let all_known = command.takes.chars().all(|letter| OPTIONS.iter().any(|(known, _)| *known == letter));
            assert!(all_known, "{}", command.takes);
        }
        for text in COMMANDS.iter().map(|command| text(Some(command))).chain([every]) {
            for line in text.lines() {
                assert!(line.len() <= 90, "{line}");
            }
        }
    }
}
