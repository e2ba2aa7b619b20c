//! Where a client's server is: one of several places, by address or by name.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use crate::config::Endpoint;
use crate::linux::resolve::resolve;
use crate::linux::thread::Thread;
use crate::time::{Span, Time};

use super::Shared;

/// A name that nobody knows is asked for again after this.
const AGAIN: Span = Span::from_secs(3);
/// How long a link may take to get an address of the family that is wanted: as long as a silent server has.
const PATIENCE: Span = Span::from_secs(2);
/// Of the thread that asks: a message of a name server, and /etc/hosts.
const STACK: usize = 128 * 1024;

/// What became of a name.
pub struct Found {
    pub section: String,
    pub name: String,
    pub addresses: Result<Vec<IpAddr>, String>,
}

/// The places, and the one in use.
pub struct Endpoints {
    list: Vec<Endpoint>,
    at: usize,
    found: Vec<SocketAddr>,
    /// Some link has both families.
    dual: bool,
    /// Of what was found, the other family's turn has come.
    turned: bool,
    asked: bool,
    /// Since when there are links, and none has the family of any address.
    unfit: Option<Time>,
    /// Why there is no address.
    pub trouble: Option<String>,
    /// When to ask again.
    pub again: Option<Time>,
}

impl Endpoints {
    pub fn new(list: Vec<Endpoint>, now: Time) -> Self {
        let (found, again) = (Vec::new(), Some(now));
        let (dual, turned, asked) = (false, false, false);
        Endpoints { list, at: 0, found, dual, turned, asked, unfit: None, trouble: None, again }
    }

    /// Where it is, for a link that has these families.
    pub fn address(&self, ipv4: bool, ipv6: bool) -> Option<SocketAddr> {
        self.found.iter().copied().find(|address| if address.is_ipv4() { ipv4 } else { ipv6 })
    }

    /// Takes in which families the links have that there are.
    pub fn see(&mut self, families: &[(bool, bool)], now: Time) {
        self.dual = families.contains(&(true, true));
        let fits = families.iter().any(|(ipv4, ipv6)| self.address(*ipv4, *ipv6).is_some());
        let unfit = !fits && !families.is_empty() && !self.found.is_empty();
        self.unfit = unfit.then(|| self.unfit.unwrap_or(now));
    }

    /// When to go on to the next one, since no link can call this one.
    pub fn leave(&self) -> Option<Time> {
        self.unfit.map(|since| since + PATIENCE)
    }

    /// Why no link can call it.
    pub fn lack(&self) -> Option<String> {
        let endpoint = self.unfit.and(self.current())?;
        let family = if self.found.iter().any(SocketAddr::is_ipv6) { "IPv6" } else { "IPv4" };
        Some(format!("no link has {family} for {endpoint}"))
    }

    /// The one in use, as the configuration has it.
    pub fn current(&self) -> Option<&Endpoint> {
        self.list.get(self.at)
    }

    pub fn several(&self) -> bool {
        self.list.len() > 1
    }

    /// The one in use does not answer: its address of the other family, if a link has both; then the next, with its address found
    /// out anew. Whether there is another address already.
    pub fn advance(&mut self, now: Time) -> bool {
        self.unfit = None;
        if self.asked {
            return false;
        }
        if self.dual && !self.turned && self.turn_over() {
            self.turned = true;
            return true;
        }
        self.at = (self.at + 1).checked_rem(self.list.len()).unwrap_or(0);
        self.again = Some(now);
        if self.several() {
            self.found.clear();
        }
        false
    }

    /// Puts an address of the family that is not first before all others, if there is one.
    fn turn_over(&mut self) -> bool {
        let first = self.found.first().map(SocketAddr::is_ipv4);
        let Some(other) = self.found.iter().position(|address| Some(address.is_ipv4()) != first) else { return false };
        let address = self.found.remove(other);
        self.found.insert(0, address);
        true
    }

    /// Does what is due. Whether there is an address now that was not there before.
    pub fn turn(&mut self, section: &str, shared: &Arc<Shared>, now: Time) -> bool {
        if self.again.take_if(|at| *at <= now).is_none() {
            return false;
        }
        match self.list.get(self.at) {
            None => false,
            Some(Endpoint::Address(address)) => {
                (self.found, self.turned) = (vec![*address], false);
                self.trouble = None;
                true
            }
            Some(Endpoint::Name(name, _)) => {
                let (section, name, shared) = (section.to_owned(), name.clone(), shared.clone());
                let body = move || {
                    let addresses = resolve(&name);
                    shared.letters().found.push(Found { section, name, addresses });
                    shared.waker.wake();
                };
                match Thread::start(c"resolve", STACK, Box::new(body)) {
                    // It ends by itself.
                    Ok(thread) => {
                        drop(thread);
                        self.asked = true;
                    }
                    Err(error) => {
                        self.trouble = Some(format!("cannot resolve names: {error}"));
                        self.again = Some(now + AGAIN);
                    }
                }
                false
            }
        }
    }

    /// A name was looked up. Whether that is of use.
    pub fn found(&mut self, name: &str, addresses: Result<Vec<IpAddr>, String>, now: Time) -> bool {
        let Some(Endpoint::Name(wanted, port)) = self.list.get(self.at) else { return false };
        if wanted != name {
            return false;
        }
        self.asked = false;
        match addresses {
            Ok(addresses) if !addresses.is_empty() => {
                self.found = addresses.into_iter().map(|ip| SocketAddr::new(ip, *port)).collect();
                self.turned = false;
                self.trouble = None;
                true
            }
            addresses => {
                let why = addresses.err().unwrap_or_else(|| "it has no address".into());
                self.trouble = Some(format!("cannot resolve {name}: {why}"));
                // Others may have an address by now; what was known of this one may still be right.
                self.at = (self.at + 1).checked_rem(self.list.len()).unwrap_or(0);
                self.again = Some(now + AGAIN);
                false
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn endpoints(list: &[&str]) -> (Endpoints, Arc<Shared>) {
        let waker = crate::linux::poll::Waker::new().unwrap();
        let list = list.iter().map(|text| text.parse().unwrap()).collect();
        (Endpoints::new(list, Time(0)), Arc::new(Shared { letters: Default::default(), waker }))
    }

    fn port(endpoints: &Endpoints) -> Option<u16> {
        endpoints.address(true, false).map(|address| address.port())
    }

    #[test]
    fn one_after_the_other() {
        let (mut own, shared) = endpoints(&["192.0.2.1:1", "192.0.2.1:2"]);
        assert!(own.address(true, true).is_none() && own.turn("a", &shared, Time(0)));
        assert_eq!((port(&own), own.address(false, true)), (Some(1), None));
        for expected in [2, 1] {
            own.advance(Time(5));
            assert!(port(&own).is_none(), "the last one is left");
            assert!(own.turn("a", &shared, Time(5)) && !own.turn("a", &shared, Time(5)));
            assert_eq!(port(&own), Some(expected));
        }
    }

    #[test]
    fn one_that_no_link_can_call_is_left() {
        let (mut own, shared) = endpoints(&["[2001:db8::1]:1", "192.0.2.1:2"]);
        own.see(&[(true, false)], Time(0));
        assert_eq!(own.leave(), None, "nobody knows yet");
        assert!(own.turn("a", &shared, Time(1)));
        own.see(&[], Time(1));
        assert_eq!(own.leave(), None, "no link is up");
        own.see(&[(true, false), (true, false)], Time(5));
        own.see(&[(true, false)], Time(9));
        assert_eq!(own.leave(), Some(Time(5) + PATIENCE));
        assert_eq!(own.lack().as_deref(), Some("no link has IPv6 for [2001:db8::1]:1"));
        own.see(&[(true, false), (true, true)], Time(10));
        assert_eq!((own.leave(), own.lack()), (None, None), "one has an address now");
        own.see(&[(true, false)], Time(11));
        own.advance(Time(12));
        assert_eq!((own.leave(), own.lack()), (None, None));
        assert!(own.turn("a", &shared, Time(12)));
        own.see(&[(true, false)], Time(12));
        assert_eq!((port(&own), own.leave()), (Some(2), None));
        own.see(&[(false, true)], Time(13));
        assert_eq!(own.lack().as_deref(), Some("no link has IPv4 for 192.0.2.1:2"));
    }

    #[test]
    fn the_other_family_is_tried_before_the_next_one() {
        let name = "both.example";
        let found: Vec<IpAddr> = ["2001:db8::1", "2001:db8::2", "192.0.2.1"].map(|text| text.parse().unwrap()).into();
        for (list, at) in [(&["both.example:1"][..], 0), (&["both.example:1", "192.0.2.9:2"], 1)] {
            let (mut own, _) = endpoints(list);
            own.again = None;
            for _ in 0..2 {
                own.at = 0;
                assert!(own.found(name, Ok(found.clone()), Time(1)));
                own.see(&[(true, false)], Time(1));
                assert_eq!(own.address(true, true), Some(SocketAddr::new(found[0], 1)));
                own.see(&[(true, false), (true, true)], Time(1));
                assert!(own.advance(Time(2)));
                assert_eq!((own.at, own.again), (0, None), "the same one, without another look");
                assert_eq!(own.address(true, true), Some(SocketAddr::new(found[2], 1)));
                assert_eq!(own.address(false, true), Some(SocketAddr::new(found[0], 1)));
                assert!(!own.advance(Time(3)));
                assert_eq!((own.at, own.again.take()), (at, Some(Time(3))));
            }
        }
        // Where no link has both, each calls the one family that it has, all along.
        let (mut own, _) = endpoints(&["both.example:1", "192.0.2.9:2"]);
        assert!(own.found(name, Ok(found), Time(1)));
        own.see(&[(true, false), (false, true)], Time(1));
        assert!(!own.advance(Time(2)));
        assert_eq!(own.at, 1);
    }

    #[test]
    fn a_name_is_looked_up_and_again() {
        let (mut own, shared) = endpoints(&["localhost:9"]);
        assert!(!own.turn("a", &shared, Time(0)), "not here");
        let limit = std::time::Instant::now() + std::time::Duration::from_secs(10);
        while shared.letters().found.is_empty() {
            assert!(std::time::Instant::now() < limit, "nobody looked");
            std::thread::sleep(std::time::Duration::from_millis(1));
        }
        let Found { section, name, addresses } = shared.letters().found.remove(0);
        assert_eq!((&*section, &*name), ("a", "localhost"));
        assert!(!own.found("other", Ok(vec![]), Time(1)), "a late answer");
        assert!(own.found(&name, addresses, Time(1)));
        assert_eq!(port(&own), Some(9));
        // What was known stays until there is better.
        own.advance(Time(2));
        assert_eq!((port(&own), own.again), (Some(9), Some(Time(2))));
        for nothing in [Err("nobody answers".into()), Ok(vec![])] {
            assert!(!own.found("localhost", nothing, Time(3)));
            assert!(own.trouble.as_ref().is_some_and(|why| why.starts_with("cannot resolve localhost: ")));
            assert_eq!((port(&own), own.again), (Some(9), Some(Time(3) + AGAIN)));
        }
    }
}
