use super::*;
use crate::config::{self, Config};
use crate::kernel::fake::Fake;

fn config(a: &str, policies: &str) -> Config {
    let text = format!(
        "config link 'a'\n option device 'wan1'\n {a}\nconfig link 'b'\n option device 'wan2'\nconfig link 'c'\n option device 'wan3'\n{policies}"
    );
    config::read(text).unwrap().0
}

fn links() -> Vec<Link> {
    [(1, "a"), (2, "b"), (3, "c")].map(|(number, name)| Link { name: name.into(), ..Link::example(number) }).into()
}

fn mark(number: u8) -> u32 {
    Marks::default().link(LinkId::new(number).unwrap())
}

/// A client's connection over link `number`, whose mark has `bits` too.
fn flow(number: u8, bits: u32, protocol: u8, replied: bool) -> (u32, Flow) {
    let (source, destination) = ([10, 0, 0, 2].into(), [192, 0, 2, 1].into());
    let answered = [203, 0, 113, number].into();
    (0xC000_0005 | mark(number) | bits, Flow { protocol, source, destination, answered, replied, offloaded: false })
}

fn offloaded((mark, flow): (u32, Flow)) -> (u32, Flow) {
    (mark, Flow { offloaded: true, ..flow })
}

/// One that began outside.
fn inbound(number: u8) -> (u32, Flow) {
    let (mark, flow) = flow(number, 0, 17, true);
    let source = flow.destination;
    (mark, Flow { source, destination: flow.answered, answered: source, ..flow })
}

fn ipv6(text: &str) -> IpAddr {
    text.parse().unwrap()
}

struct Bench {
    flows: Flows,
    installation: Installation<Fake>,
    /// All was done the last time.
    done: bool,
}

impl Bench {
    fn new(config: &Config) -> Self {
        let installation = Installation::survey(Fake::default(), Marks::default()).unwrap();
        let mut bench = Bench { flows: Flows::default(), installation, done: false };
        bench.refresh(config, &links());
        bench
    }

    /// What the daemon does when something changed; how many of the kernel's connections are left.
    fn refresh(&mut self, config: &Config, links: &[Link]) -> usize {
        self.flows.note(links);
        let plan = Plan { lost: self.flows.lost(), ..Plan::example(config, links) };
        self.installation.apply(&plan).unwrap();
        self.done = !self.flows.settle(&mut self.installation, &plan);
        self.flows().len()
    }

    fn flows(&mut self) -> &mut Vec<(u32, Flow)> {
        &mut self.installation.kernel.flows
    }

    fn rules(&self) -> &str {
        self.installation.kernel.loaded.last().unwrap()
    }
}

#[test]
fn on_down_decides_what_is_forgotten() {
    let all = [flow(1, 0, 6, true), flow(1, 0, 6, false), flow(1, 0, 17, true), inbound(1), flow(2, 0, 17, false)];
    for (on_down, left, reset) in [
        ("reset", vec![all[0], all[3], all[4]], true),
        ("flush", vec![all[4]], false),
        ("keep", vec![all[0], all[2], all[3], all[4]], false),
    ] {
        let config = config(&format!("option on_down '{on_down}'"), "");
        let mut bench = Bench::new(&config);
        *bench.flows() = all.to_vec();
        let mut links = links();
        links[0].up = false;
        bench.refresh(&config, &links);
        assert_eq!(*bench.flows(), left, "{on_down}");
        assert_eq!(bench.rules().contains("chain moved_1 {\n\t\ttcp"), reset, "{on_down}");
        // Once is enough: what begins from outside meanwhile is kept.
        *bench.flows() = all.to_vec();
        assert_eq!(bench.refresh(&config, &links), all.len());
        links[0].up = true;
        assert_eq!(bench.refresh(&config, &links), all.len());
        assert!(!bench.rules().contains("chain moved_1 {"));
    }
}

/// What goes to a bridge's port, or is in the hardware, comes by no rule as long as conntrack knows it.
#[test]
fn what_a_flowtable_holds_is_forgotten_and_its_next_packet_reset() {
    let config = config("", "");
    let mut bench = Bench::new(&config);
    let rule = "tcp flags & (syn | rst) == 0 meta nfproto @fallen reject with tcp reset";
    assert!(!bench.rules().contains(rule));
    let (mark, outside) = inbound(1);
    let outside = offloaded((mark, Flow { protocol: 6, ..outside }));
    *bench.flows() = vec![offloaded(flow(1, 0, 6, true)), flow(1, 0, 6, true), outside, offloaded(flow(2, 0, 6, true))];
    let left = bench.flows()[1..].to_vec();
    let mut links = links();
    links[0].up = false;
    bench.refresh(&config, &links);
    assert_eq!(*bench.flows(), left);
    assert!(bench.rules().contains(rule));
}

/// A dump that has no memory is tried again; UDP stayed on a dead link.
#[test]
fn what_the_kernel_refused_is_done_the_next_time() {
    let config = config("", "");
    let (mut down, mut moved) = (links(), links());
    down[0].up = false;
    moved[0].ipv4 = moved[0].ipv4.map(|side| crate::link::Side { address: [203, 0, 113, 99].into(), ..side });
    for after in [&down[..], &links()[1..], &moved] {
        let mut bench = Bench::new(&config);
        bench.flows().push(flow(1, 0, 17, true));
        bench.installation.kernel.forgets_not = 1;
        assert_eq!((bench.refresh(&config, after), bench.done), (1, false));
        assert_eq!((bench.refresh(&config, after), bench.done), (0, true));
        // A kernel that never does it is not asked for ever.
        let mut bench = Bench::new(&config);
        bench.installation.kernel.forgets_not = u32::MAX;
        let again = (0..10).take_while(|_| (bench.refresh(&config, after), bench.done).1).count();
        assert_eq!(again, 0);
        let again = (0..10).take_while(|_| (bench.refresh(&config, after), !bench.done).1).count();
        assert_eq!(again, usize::from(FAILURES) - 1);
    }
}

/// The rules and conntrack both: what lost its family was left on a link that is up with the other.
#[test]
fn a_link_that_loses_one_family_loses_its_connections_only() {
    let config = config("", "");
    let [four, udp] = [flow(1, 0, 6, true), flow(1, 0, 17, true)];
    let (source, destination) = (ipv6("fd00::2"), ipv6("2001:db8::1"));
    let six = (udp.0, Flow { source, destination, answered: ipv6("2001:db8:1:1::1"), ..udp.1 });
    for (lost, left) in [(true, [four, six]), (false, [four, udp])] {
        let mut bench = Bench::new(&config);
        *bench.flows() = vec![four, udp, six];
        let mut links = links();
        let (first, family) = (&mut links[0], if lost { "ipv4" } else { "ipv6" });
        if lost {
            first.ipv4 = None
        } else {
            first.ipv6 = None
        }
        bench.refresh(&config, &links);
        assert_eq!(*bench.flows(), left, "{family}");
        let (rules, other) = (bench.rules(), if lost { "ipv6" } else { "ipv4" });
        assert!(rules.contains(&format!("chain moved_1 {{\n\t\tmeta nfproto {family} tcp flags")), "{rules}");
        // What leaves by its device is not the link's, but for the family that it has.
        assert!(rules.contains(&format!("meta nfproto {other} oifname \"eth1\" jump save_1")), "{rules}");
        links[0] = self::links()[0].clone();
        bench.refresh(&config, &links);
        assert_eq!(*bench.flows(), left);
        assert!(!bench.rules().contains("chain moved_1 {"));
    }
}

#[test]
fn who_has_no_other_link_of_a_family_waits_for_it_as_long_as_the_link_is_up() {
    let config = config("", "");
    let mut bench = Bench::new(&config);
    bench.flows().push(flow(1, 0, 17, true));
    let mut links = links();
    links.iter_mut().for_each(|link| link.ipv4 = None);
    assert_eq!(bench.refresh(&config, &links), 1);
    assert!(!bench.rules().contains("chain moved_"));
    // A client whose link is down as a whole goes over to IPv6.
    links[0].up = false;
    assert_eq!(bench.refresh(&config, &links), 0);
    assert!(bench.rules().contains("chain moved_1 {"));
}

/// A delegated prefix without an address of the router's own, as PPP often has it.
#[test]
fn clients_addresses_fall_with_a_link_that_has_none_of_their_family() {
    let config = config("", "");
    let mut bench = Bench { flows: Flows::default(), ..Bench::new(&config) };
    let mut links = links();
    links[0].ipv6 = None;
    bench.refresh(&config, &links);
    links[0].up = false;
    bench.refresh(&config, &links);
    assert!(bench.rules().contains("chain moved_1 {\n\t\ttcp flags"));
}

#[test]
fn a_better_link_gets_its_connections_back_when_its_ipv6_comes_later() {
    let policies = "config policy 'p'\n option mode 'failover'\n list link 'a'\n list link 'b'";
    let config = config("option on_up 'return'", policies);
    let mut bench = Bench { flows: Flows::default(), ..Bench::new(&config) };
    let mut links = links();
    links[0].ipv6 = None;
    bench.refresh(&config, &links);
    let (mark, four) = flow(2, Marks::default().displaced(), 17, true);
    let (source, destination) = (ipv6("fd00::2"), ipv6("2001:db8::1"));
    *bench.flows() = vec![(mark, four), (mark, Flow { source, destination, ..four })];
    links[0].ipv6 = self::links()[0].ipv6;
    assert_eq!(bench.refresh(&config, &links), 0);
    assert!(bench.rules().contains("chain moved_2 {\n\t\tct mark"));
}

#[test]
fn without_another_link_connections_wait() {
    let config = config("", "");
    let mut bench = Bench::new(&config);
    bench.flows().push(flow(1, 0, 17, true));
    let mut links = links();
    links.iter_mut().for_each(|link| link.up = false);
    assert_eq!(bench.refresh(&config, &links), 1);
    assert!(!bench.rules().contains("chain moved_"));
    links[1].up = true;
    assert_eq!(bench.refresh(&config, &links), 0, "it has somewhere to go now");
    assert!(bench.rules().contains("chain moved_1 {") && bench.rules().contains("chain moved_3 {"));
}

#[test]
fn a_link_that_was_never_up_loses_nothing() {
    let config = config("", "");
    let mut bench = Bench { flows: Flows::default(), ..Bench::new(&config) };
    bench.flows().push(flow(1, 0, 17, true));
    let mut links = links();
    links[0].up = false;
    assert_eq!(bench.refresh(&config, &links), 1, "from before this daemon's time");
    assert!(!bench.rules().contains("chain moved_1 {"));
}

#[test]
fn a_link_that_left_takes_its_connections_along() {
    let full = config("", "");
    let mut bench = Bench::new(&full);
    *bench.flows() = vec![flow(1, 0, 6, true), flow(2, 0, 6, true)];
    assert_eq!(bench.refresh(&full, &links()[1..]), 1);
    // Its number may be given to another at once.
    let mut renamed = links();
    renamed[1].name = "d".into();
    assert_eq!(bench.refresh(&full, &renamed[1..]), 0);
}

#[test]
fn an_old_address_is_forgotten_when_there_is_a_new_one() {
    let config = config("option on_down 'keep'", "");
    let mut bench = Bench::new(&config);
    *bench.flows() = vec![flow(1, 0, 6, true), inbound(1), flow(2, 0, 6, true)];
    let mut links = links();
    let side = links[0].ipv4.take();
    links[0].up = false;
    assert_eq!(bench.refresh(&config, &links), 3, "it may come back");
    (links[0].ipv4, links[0].up) = (side, true);
    assert_eq!(bench.refresh(&config, &links), 3);
    links[0].ipv4 = side.map(|side| crate::link::Side { address: [203, 0, 113, 99].into(), ..side });
    assert_eq!(bench.refresh(&config, &links), 1);
}

#[test]
fn a_link_that_wants_its_connections_back_gets_them() {
    let displaced = Marks::default().displaced();
    let policies = "config policy 'p'\n option mode 'failover'\n list link 'a'\n list link 'b'";
    for (on_up, left) in [("return", 3), ("keep", 5)] {
        let config = config(&format!("option on_up '{on_up}'"), policies);
        let mut bench = Bench::new(&config);
        let mut links = links();
        links[0].up = false;
        bench.refresh(&config, &links);
        let sets = format!("ct mark set ct mark & {:#010x} | {displaced:#010x}", !displaced);
        assert_eq!(bench.rules().contains(&sets), on_up == "return");
        *bench.flows() = vec![
            flow(2, displaced, 6, true),
            offloaded(flow(2, displaced, 6, true)),
            flow(2, displaced, 17, true),
            flow(2, 0, 17, true),
            flow(3, displaced, 17, true),
        ];
        assert_eq!(bench.refresh(&config, &links), 5);
        links[0].up = true;
        assert_eq!(bench.refresh(&config, &links), left, "{on_up}");
        assert!(!bench.rules().contains(&sets));
        assert_eq!(bench.rules().contains("chain moved_2 {"), on_up == "return");
    }
}

#[test]
fn a_policy_that_still_makes_do_with_a_link_keeps_all_there() {
    let policies = "config policy 'p'\n option mode 'failover'\n list link 'a'\n list link 'c'
config policy 'q'\n option mode 'failover'\n list link 'b'\n list link 'c'";
    let text = |on_up| format!("option on_up '{on_up}'");
    let mut config = config(&text("return"), policies);
    config.links[1].on_up = crate::config::OnUp::Return;
    let mut bench = Bench::new(&config);
    let mut links = links();
    (links[0].up, links[1].up) = (false, false);
    bench.refresh(&config, &links);
    bench.flows().push(flow(3, Marks::default().displaced(), 17, true));
    links[0].up = true;
    assert_eq!(bench.refresh(&config, &links), 1, "it would only come again, by q");
    assert!(!bench.rules().contains("chain moved_3 {"));
    links[1].up = true;
    assert_eq!(bench.refresh(&config, &links), 0);
    assert!(bench.rules().contains("chain moved_3 {"));
}
