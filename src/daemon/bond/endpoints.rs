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
        Endpoints { list, at: 0, found: Vec::new(), asked: false, unfit: None, trouble: None, again: Some(now) }
    }

    /// Where it is, for a link that has these families.
    pub fn address(&self, ipv4: bool, ipv6: bool) -> Option<SocketAddr> {
        self.found.iter().copied().find(|address| if address.is_ipv4() { ipv4 } else { ipv6 })
    }

    /// Takes in which families the links have that there are.
    pub fn see(&mut self, families: &[(bool, bool)], now: Time) {
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

    /// The one in use does not answer: the next, with its address found out anew.
    pub fn advance(&mut self, now: Time) {
        self.unfit = None;
        if self.asked {
            return;
        }
        self.at = (self.at + 1).checked_rem(self.list.len()).unwrap_or(0);
        self.again = Some(now);
        if self.several() {
            self.found.clear();
        }
    }

    /// Does what is due. Whether there is an address now that was not there before.
    pub fn turn(&mut self, section: &str, shared: &Arc<Shared>, now: Time) -> bool {
        if self.again.take_if(|at| *at <= now).is_none() {
            return false;
        }
        match self.list.get(self.at) {
            None => false,
            Some(Endpoint::Address(address)) => {
                self.found = vec![*address];
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
