//! `split`: NetAgg's tool. Splits are kept by the kernel alone, in an nft table of the command's own.

use lexopt::{Arg, Parser, ValueExt};

use super::args::usage;
use super::print;
use crate::control::{Code, Exit};
use crate::linux::program;
use crate::linux::route::Routing;
use crate::linux::sysctl;
use crate::split::{self, MAX_SPLITS, Ratio, Side, Split, TABLE, Used, listed};
use crate::steer;

#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Request {
    Append(Split),
    Flush(Side),
    List,
}

/// The rest of the command line. Nothing is asked for where help is, or the version.
pub fn read(
    parser: &mut Parser,
    request: &mut Option<Request>,
    (help, version): (&mut bool, &mut bool),
) -> Result<(), Exit> {
    let (mut append, mut primary, mut secondary, mut ratio) = (None, None, None, None);
    let wrong = |error: lexopt::Error| usage(format_args!("{error}"));
    while let Some(argument) = parser.next().map_err(wrong)? {
        let (letter, name) = match argument {
            Arg::Short('h') | Arg::Long("help") => {
                *help = true;
                return Ok(());
            }
            Arg::Short('V') | Arg::Long("version") => {
                *version = true;
                return Ok(());
            }
            Arg::Short('L') | Arg::Long("list") => {
                set(request, Request::List)?;
                continue;
            }
            Arg::Short('A') | Arg::Long("append") => ('A', "-A"),
            Arg::Short('F') | Arg::Long("flush") => ('F', "-F"),
            Arg::Short('P') | Arg::Long("primary") => ('P', "-P"),
            Arg::Short('S') | Arg::Long("secondary") => ('S', "-S"),
            Arg::Short('R') | Arg::Long("ratio") => ('R', "-R"),
            other => return Err(usage(format_args!("{}", other.unexpected()))),
        };
        let text = parser.value().and_then(ValueExt::string).map_err(wrong)?;
        let side = || text.parse::<Side>().map_err(|_| bad(name, "sender or receiver", &text));
        let address = || split::endpoint(&text).ok_or_else(|| bad(name, ADDRESS, &text));
        match letter {
            'A' => set(&mut append, side()?)?,
            'F' => set(request, Request::Flush(side()?))?,
            'P' => set(&mut primary, address()?)?,
            'S' => set(&mut secondary, address()?)?,
            _ => set(&mut ratio, text.parse::<Ratio>().map_err(|_| bad(name, RATIO, &text))?)?,
        }
    }
    let Some(side) = append else {
        let lone = primary.is_none() && secondary.is_none() && ratio.is_none();
        return if lone { Ok(()) } else { Err(usage(format_args!("-P, -S and -R go with -A sender or -A receiver"))) };
    };
    let (Some(primary), Some(secondary)) = (primary, secondary) else {
        return Err(usage(format_args!("-A needs both addresses: -P ADDRESS:PORT -S ADDRESS:PORT")));
    };
    if side == Side::Receiver && ratio.is_some() {
        return Err(usage(format_args!("a receiver takes no ratio: the sender's counts")));
    }
    let split = Split { side, primary, secondary, ratio: ratio.unwrap_or(Ratio { primary: 1, secondary: 1 }) };
    split.check().map_err(|why| usage(format_args!("{why}")))?;
    set(request, Request::Append(split))
}

const ADDRESS: &str = "a host's address and a port, such as 10.0.0.11:1234 or [fd00::11]:1234";
const RATIO: &str = "two whole numbers from 1 to 65535, such as 7500:2500";

fn bad(option: &str, wanted: &str, text: &str) -> Exit {
    usage(format_args!("{option} takes {wanted}, not '{text}'"))
}

fn failed(text: String) -> Exit {
    Exit::new(Code::Failed, text)
}

fn set<T>(place: &mut Option<T>, value: T) -> Result<(), Exit> {
    match place.replace(value) {
        None => Ok(()),
        Some(_) => Err(usage(format_args!("split does one thing at a time, with each option once"))),
    }
}

pub fn act(request: Request) -> Result<(), Exit> {
    sysctl::may_rule_networks().map_err(|why| Exit::new(Code::System, why))?;
    let (mut own, daemons) = known()?;
    match request {
        Request::List => {
            let line = |(split, both): &Used| {
                let ratio = if split.side == Side::Sender { format!(" -R {}", split.ratio) } else { String::new() };
                let down = if *both { "" } else { "  # the second path is down" };
                format!("-A {} -P {} -S {}{ratio}{down}\n", split.side, split.primary, split.secondary)
            };
            let daemons = daemons.iter().map(|used| format!("# the daemon's: {}", line(used)));
            return print(&own.iter().map(line).chain(daemons).collect::<String>());
        }
        Request::Flush(side) => own.retain(|(split, _)| split.side != side),
        Request::Append(split) => {
            if let Some((other, _)) = own.iter().chain(&daemons).find(|(other, _)| other.collides(&split)) {
                return Err(failed(format!("there is a split of these packets already: {other}")));
            }
            if own.len() >= MAX_SPLITS {
                return Err(failed(format!("there are {MAX_SPLITS} splits already: take some away with -F")));
            }
            if split.side == Side::Receiver {
                owned(&split)?;
            }
            own.push((split, true));
        }
    }
    let splits: Vec<Split> = own.into_iter().map(|(split, _)| split).collect();
    program::run(&["nft", "-f", "-"], &split::table(&splits)).map(drop).map_err(|why| Exit::new(Code::System, why))
}

/// The command's splits, and the daemon's.
fn known() -> Result<(Vec<Used>, Vec<Used>), Exit> {
    let list = |command: &[&str]| program::run(command, "").map_err(|why| Exit::new(Code::System, why));
    let tables = list(&["nft", "list", "tables"])?;
    let has = |table: &str| tables.lines().any(|line| line.strip_prefix("table inet ") == Some(table));
    let mut own = Vec::new();
    if has(TABLE) {
        own = listed(&list(&["nft", "list", "table", "inet", TABLE])?);
    }
    let mut daemons = Vec::new();
    for chain in ["split_local", "split_join"].iter().filter(|_| has(steer::TABLE)) {
        // Chains without rules are not there.
        let text = program::run(&["nft", "list", "chain", "inet", steer::TABLE, chain], "").unwrap_or_default();
        daemons.extend(listed(&text));
    }
    Ok((own, daemons))
}

/// A receiver must have both addresses.
fn owned(split: &Split) -> Result<(), Exit> {
    let cannot = |error| Exit::said(Code::System, format_args!("cannot read this host's addresses: {error}"));
    let now = Routing::open().and_then(|mut routing| routing.snapshot()).map_err(cannot)?;
    let missing = [split.primary.ip(), split.secondary.ip()]
        .into_iter()
        .find(|address| now.addresses.iter().all(|known| known.address != *address));
    match missing {
        Some(address) => Err(failed(format!("this host does not have the address {address}: a receiver needs both"))),
        None => Ok(()),
    }
}
