//! What is asked of the daemon, and reloading.

use crate::control::desk::Request;
use crate::control::{Code, Exit, Value};
use crate::kernel::Control;
use crate::linux::clock::now;
use crate::linux::sysctl;
use crate::logging;

use super::events::{Event, Kind};
use super::{Daemon, cannot, load, peers};

const OFF: &str = "switched off by the configuration";

impl Daemon {
    pub(super) fn take(&mut self, request: Request) {
        let words: Vec<&str> = request.words.iter().map(String::as_str).collect();
        if let ["probe", link] = words[..] {
            let link = link.to_owned();
            return self.ask(request, &link);
        }
        let answer = self.answer(&request.words);
        request.answer(answer);
    }

    pub(super) fn answer(&mut self, words: &[String]) -> Result<Value, Exit> {
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        match words[..] {
            ["status"] => Ok(self.status(now(), sysctl::resident())),
            ["links"] => {
                let kernel = self.installation.kernel.snapshot().map_err(cannot)?;
                Ok(self.links(now(), &kernel))
            }
            // What a monitoring system wants, at one instant.
            ["metrics"] => {
                let (status, links) = (self.answer(&["status".into()])?, self.answer(&["links".into()])?);
                Ok(Value::Map(vec![("status", status), ("links", links), ("peers", self.peers.document(now()))]))
            }
            ["races", most] => Ok(self.races(now(), amount(most))),
            ["live", most] => self.live(now(), amount(most)),
            ["why", ref question @ ..] => self.why(question),
            ["memory", most] => Ok(self.memory(now(), amount(most))),
            ["policies"] => Ok(self.policies()),
            ["peers"] => Ok(self.peers.document(now())),
            ["genkey"] => peers::key_pair(),
            ["link", name, "up"] => self.set_link(name, true),
            ["link", name, "down"] => self.set_link(name, false),
            ["events"] => Ok(self.events.document(now())),
            ["reload"] => self.reload().map(|done| Value::Text(done.into())),
            _ => Err(Exit::new(Code::Usage, "the daemon does not know this request: are both of one version?")),
        }
    }

    /// Takes the configuration anew. With faults the old one stays; they are logged and returned. Without, it is in force by now, or
    /// the error says why the kernel does not take it yet. One that switches us off ends us, as SIGTERM does. Says what was done.
    pub(super) fn reload(&mut self) -> Result<&'static str, Exit> {
        let read = load(&self.path).and_then(|config| {
            if !config.main.enabled || config.main.mark_mask == self.marks {
                return Ok(config);
            }
            Err(vec!["option mark_mask changes at a restart only: restart the service, or set it back".into()])
        });
        let config = read.map_err(|faults| {
            faults.iter().for_each(|fault| logging::error!("{fault}"));
            logging::error!("not reloaded: the old configuration stays");
            let more = faults.len().saturating_sub(1);
            let reason = faults.first().cloned().unwrap_or_default();
            let reason = if more > 0 { format!("{reason}; and {more} more: cheaproute check") } else { reason };
            self.config_error = Some(faults);
            self.happened(Event::of(Kind::ReloadFailed, now(), reason.clone()));
            Exit::new(Code::Config, reason)
        })?;
        self.config_error = None;
        self.off = !config.main.enabled;
        if self.off {
            logging::info!("{OFF}");
            return Ok(OFF);
        }
        logging::set_level(config.main.log_level);
        self.config = config;
        self.adopt();
        self.happened(Event::of(Kind::Reload, now(), String::new()));
        self.in_force()?;
        logging::info!("reloaded");
        Ok("reloaded")
    }

    /// Has what was asked for take effect before the answer.
    pub(super) fn in_force(&mut self) -> Result<(), Exit> {
        let done = self.settle();
        let again = format_args!("trying again in {}", self.pause);
        done.map_err(|why| Exit::said(Code::Failed, format_args!("noted, but not in force yet: {why}; {again}")))
    }
}

/// What was asked for; all, if that is no number that there could be.
fn amount(text: &str) -> usize {
    text.parse::<u32>().map_or(usize::MAX, |most| most as usize)
}
