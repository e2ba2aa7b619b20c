//! What people do to a link: they take it out and back, and have it probed.

use crate::control::desk::Request;
use crate::control::{Code, Exit, Value};
use crate::link::LinkId;
use crate::linux::clock::now;
use crate::text::commas;
use crate::time::{Span, Time};

use super::Daemon;

/// A request that waits for a round of probes.
pub struct Asked {
    request: Request,
    link: LinkId,
    since: Time,
    /// When it is answered with what is known by then.
    pub until: Time,
    /// Which targets answered, as seen last: the round itself does not stay.
    seen: Vec<Option<bool>>,
}

/// At once: as many as people have terminals open.
const MAX_ASKED: usize = 8;

/// The longest wait for answers, below the [`PATIENCE`](crate::control::desk::PATIENCE) of those who ask.
const LONGEST: Span = Span::from_secs(3);

/// More of an unknown name is not repeated.
const MAX_NAME: usize = 32;

impl Daemon {
    /// Takes a link out, or back, until told otherwise or restarted.
    pub(super) fn set_link(&mut self, name: &str, up: bool) -> Result<Value, Exit> {
        self.known(name)?;
        self.taken_out.retain(|known| known != name);
        if !up {
            self.taken_out.push(name.to_owned());
        }
        // At once, so that the next connection after the answer goes the right way.
        self.in_force()?;
        Ok(Value::Text(match up {
            true => format!("link {name} is used again, as soon as its probes allow"),
            false => format!("link {name} is taken out until 'cheaproute link {name} up' or a restart"),
        }))
    }

    /// The number of the link of that name, or which names there are.
    fn known(&self, name: &str) -> Result<LinkId, Exit> {
        let links = || self.names.iter().filter(|(name, _)| self.config.link(name).is_some());
        links().find(|(known, _)| known == name).map(|(_, id)| *id).ok_or_else(|| {
            let names: Vec<&str> = links().map(|(name, _)| name.as_str()).collect();
            let name: String = name.chars().take(MAX_NAME).collect();
            Exit::said(Code::Usage, format_args!("there is no link {name:?}; there is: {}", commas(&names)))
        })
    }

    /// Has the link of that name probed now, or says why there is nothing to wait for.
    pub(super) fn ask(&mut self, request: Request, name: &str) {
        let link = match self.known(name) {
            Ok(link) => link,
            Err(exit) => return request.answer(Err(exit)),
        };
        if self.asked.len() >= MAX_ASKED {
            let busy = "enough probes wait for their answers; try again in a moment";
            return request.answer(Err(Exit::new(Code::Failed, busy)));
        }
        let Some(probes) = self.probes.iter_mut().find(|probes| probes.id == link) else {
            return request.answer(Err(gone()));
        };
        if !probes.prober.ask() {
            return request.answer(self.probed(link, &[]));
        }
        let settings = probes.prober.settings();
        let since = now();
        let until = since + LONGEST.min(settings.burst() + settings.timeout);
        self.asked.push(Asked { request, link, since, until, seen: Vec::new() });
    }

    /// Answers those whose round is decided, or late.
    pub(super) fn answer_asked(&mut self) {
        let at = now();
        for mut asked in core::mem::take(&mut self.asked) {
            let probes = self.probes.iter().find(|probes| probes.id == asked.link);
            let round: Vec<_> = probes.into_iter().flat_map(|probes| probes.prober.round_since(asked.since)).collect();
            let over = round.is_empty() && !asked.seen.is_empty();
            if !over {
                asked.seen = round;
            }
            let decided = !asked.seen.is_empty() && asked.seen.iter().all(Option::is_some);
            if probes.is_none() || over || decided || at >= asked.until {
                let answer = self.probed(asked.link, &asked.seen);
                asked.request.answer(answer);
            } else {
                self.asked.push(asked);
            }
        }
    }

    /// What a link's probes say; `seen` as in [`Asked`].
    fn probed(&self, link: LinkId, seen: &[Option<bool>]) -> Result<Value, Exit> {
        // Looked up one by one: right after a reload the two lists may differ.
        let attached = self.attached.iter().find(|attached| attached.link.id == link).ok_or_else(gone)?;
        let probes = self.probes.iter().find(|probes| probes.id == link).ok_or_else(gone)?;
        let status = probes.prober.status();
        let targets = status.targets.iter().enumerate().map(|(index, (target, figures))| {
            let answered = seen.get(index).map(|answered| *answered == Some(true));
            Value::Map(vec![
                ("target", target.to_string().into()),
                ("answered", answered.into()),
                ("rtt_us", figures.last.filter(|_| answered == Some(true)).map(Span::as_micros).into()),
                ("loss_permille", figures.loss.into()),
            ])
        });
        let (state, reason) = super::report::state(attached, &status);
        Ok(Value::Map(vec![
            ("link", attached.link.name.as_str().into()),
            ("device", attached.link.device.as_str().into()),
            ("state", state.into()),
            ("reason", reason.into()),
            ("rtt_us", status.link.smoothed.map(Span::as_micros).into()),
            ("jitter_us", status.link.jitter.as_micros().into()),
            ("loss_permille", status.link.loss.into()),
            ("targets", targets.collect::<Vec<_>>().into()),
        ]))
    }
}

fn gone() -> Exit {
    Exit::new(Code::Failed, "the link is no longer in the configuration")
}
