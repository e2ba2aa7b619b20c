//! What the daemon tells of itself: one document a question, the same for the command line, JSON and ubus.

use std::net::IpAddr;

use crate::control::{Exit, Value};
use crate::kernel::{Control, Snapshot};
use crate::link::LinkId;
use crate::probe::Status;
use crate::race::record::{Outcome, Record};
use crate::steer::Queueing;
use crate::time::{Span, Time};

use super::attach::{Attached, Lack};
use super::probes::Probes;
use super::{Daemon, cannot};

impl Daemon {
    /// The daemon as a whole.
    pub(super) fn status(&self, now: Time, resident: Option<u64>) -> Value {
        let field = self.racing.field();
        let counters = field.racer.log().counters;
        let used = self.attached.iter().filter(|attached| attached.link.up).count();
        let races = Value::Map(vec![
            ("in_flight", field.racer.in_flight().into()),
            ("capacity", self.races.into()),
            ("started", counters.races.into()),
            ("repeats", counters.repeats.into()),
            ("won", counters.won.into()),
            ("refused", counters.refused.into()),
            ("silent", counters.silent.into()),
            ("fell_back", counters.fell_back.into()),
            ("passed_full", counters.passed_full.into()),
            ("passed_fast_open", counters.passed_fast_open.into()),
            ("passed_no_link", counters.passed_no_link.into()),
            ("passed_other", counters.passed_other.into()),
            ("resets", counters.resets.into()),
        ]);
        Value::Map(vec![
            ("version", env!("CARGO_PKG_VERSION").into()),
            ("pid", std::process::id().into()),
            ("uptime_s", seconds(now.since(self.started))),
            ("config", self.path.display().to_string().into()),
            (
                "config_error",
                self.config_error.clone().map(|lines| lines.into_iter().map(Value::from).collect::<Vec<_>>()).into(),
            ),
            ("queueing", if self.installation.queueing() == Queueing::Nft { "nft" } else { "xtables" }.into()),
            ("local_traffic", self.config.main.local_traffic.into()),
            ("mark_mask", format!("{:#010x}", self.marks.mask()).into()),
            ("resident_bytes", resident.into()),
            ("links_up", used.into()),
            ("links_total", self.attached.len().into()),
            ("peers_up", self.peers.status().iter().filter(|peer| peer.is_up()).count().into()),
            ("peers_total", self.peers.status().len().into()),
            ("races", races),
            ("memory_entries", field.racer.memory().entries().len().into()),
        ])
    }

    /// Every link, in the configuration's order. `kernel`: for the devices' counters.
    pub(super) fn links(&self, now: Time, kernel: &Snapshot) -> Value {
        let links =
            self.attached.iter().zip(&self.probes).map(|(attached, probes)| self.link(now, attached, probes, kernel));
        Value::Map(vec![("links", links.collect::<Vec<_>>().into())])
    }

    fn link(&self, now: Time, attached: &Attached, probes: &Probes, kernel: &Snapshot) -> Value {
        let link = &attached.link;
        let status = probes.prober.status();
        let tally = *self.racing.field().racer.log().tally(link.id);
        let device = kernel.device(link.ifindex);
        let (state, reason) = state(attached, &status);
        let races = Value::Map(vec![
            ("copies", tally.copies.into()),
            ("answers", tally.answers.into()),
            ("won", tally.won.into()),
            ("silent", tally.silent.into()),
        ]);
        let address = |address: Option<IpAddr>| Value::from(address.map(|address| address.to_string()));
        let turns = self.events.transitions(&link.name);
        let transitions = Value::Map(vec![("up", turns.up.into()), ("down", turns.down.into())]);
        let answered = (tally.last_answer > Time(0)).then(|| seconds(now.since(tally.last_answer)));
        Value::Map(vec![
            ("name", link.name.as_str().into()),
            ("device", link.device.as_str().into()),
            ("state", state.into()),
            ("reason", reason.into()),
            ("since_s", seconds(now.since(status.since))),
            ("transitions", transitions),
            ("used", link.up.into()),
            ("ipv4", address(link.ipv4.map(|side| side.address.into()))),
            ("gateway", address(link.ipv4.and_then(|side| side.gateway).map(Into::into))),
            ("ipv6", address(link.ipv6.map(|side| side.address.into()))),
            ("gateway6", address(link.ipv6.and_then(|side| side.gateway).map(Into::into))),
            ("mtu", link.mtu.into()),
            ("weight", link.weight.into()),
            ("metric", link.metric.into()),
            ("metered", link.metered.into()),
            ("handicap_us", link.handicap.as_micros().into()),
            ("rtt_us", status.link.smoothed.map(Span::as_micros).into()),
            ("jitter_us", status.link.smoothed.map(|_| status.link.jitter.as_micros()).into()),
            ("loss_permille", status.link.loss.into()),
            ("last_answer_s", answered.into()),
            ("races", races),
            ("rx_bytes", device.map(|device| device.received).into()),
            ("tx_bytes", device.map(|device| device.sent).into()),
        ])
    }

    /// The last races, the newest first, at most `most`.
    pub(super) fn races(&self, now: Time, most: usize) -> Value {
        let field = self.racing.field();
        let races = field.racer.log().newest().take(most).map(|record| self.race(now, record));
        Value::Map(vec![("races", races.collect::<Vec<_>>().into())])
    }

    /// All of it for one look of a view that comes again and again. `most`: races.
    pub(super) fn live(&mut self, now: Time, most: usize) -> Result<Value, Exit> {
        let kernel = self.installation.kernel.snapshot().map_err(cannot)?;
        let mut all = vec![("status", self.status(now, None))];
        let parts =
            [self.links(now, &kernel), self.peers.document(now), self.races(now, most), self.events.document(now)];
        for part in parts {
            if let Value::Map(entries) = part {
                all.extend(entries);
            }
        }
        Ok(Value::Map(all))
    }

    fn race(&self, now: Time, record: &Record) -> Value {
        let (outcome, link) = match record.outcome {
            Outcome::Running => ("running", None),
            Outcome::Won(link) => ("won", Some(link)),
            Outcome::Refused(link) => ("refused", Some(link)),
            Outcome::FellBack => ("fell back", None),
            Outcome::Silent => ("no answer", None),
        };
        let answers = record
            .answers
            .iter()
            .map(|(link, after)| Value::Map(vec![("link", self.name(*link).into()), ("us", after.as_micros().into())]));
        Value::Map(vec![
            ("age_ms", now.since(record.at).as_millis().into()),
            ("protocol", record.protocol.name().into()),
            ("client", record.client.to_string().into()),
            ("server", record.server.to_string().into()),
            ("outcome", outcome.into()),
            ("link", link.map(|link| self.name(link)).into()),
            ("copies", record.links.into()),
            ("answers", answers.collect::<Vec<_>>().into()),
        ])
    }

    pub(super) fn name(&self, id: LinkId) -> &str {
        self.names.iter().find(|(_, known)| *known == id).map_or("?", |(name, _)| name)
    }
}

/// A link's state, and why it is that.
pub(super) fn state(attached: &Attached, status: &Status) -> (String, String) {
    match &attached.lacks {
        Some(lack @ Lack::Admin) => ("down".to_owned(), lack.to_string()),
        Some(lack) => ("absent".to_owned(), lack.to_string()),
        None => (status.state.to_string(), status.reason.to_string()),
    }
}

fn seconds(span: Span) -> Value {
    span.as_secs().into()
}
