//! Stands in until the command line is there: `cheaproute run -c FILE -s SOCKET`.
use cheaproute::daemon;

struct Log;

impl log::Log for Log {
    fn enabled(&self, _: &log::Metadata) -> bool {
        true
    }
    fn log(&self, record: &log::Record) {
        eprintln!("{} {}", record.level(), record.args());
    }
    fn flush(&self) {}
}

fn main() {
    let _ = log::set_logger(&Log);
    log::set_max_level(log::LevelFilter::Info);
    let arguments: Vec<String> = std::env::args().collect();
    let after = |name: &str| arguments.iter().position(|argument| argument == name).map(|at| arguments[at + 1].clone());
    let (config, socket) = (after("-c").unwrap_or_default(), after("-s").unwrap_or_default());
    if let Err(why) = daemon::run(&daemon::Options { config: config.into(), socket: socket.into() }) {
        eprintln!("{why}");
        std::process::exit(1);
    }
}
