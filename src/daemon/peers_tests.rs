use super::*;
use crate::bond::status::PathStatus;
use crate::config::read;
use crate::daemon::attach::{number, number_peers};
use crate::family::Family;

const KEY: &str = "AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8=";
const OTHER: &str = "yAnz5TF+lXXJte14tji3zlMNq+hd2rYUIgJBgB3fBmk=";

fn config(names: &[&str], more: &str) -> Config {
    let peer = |(number, name): (usize, &&str)| {
        format!(
            "config peer {name}\noption private_key {KEY}\noption public_key {OTHER}\noption endpoint a:1\nlist address 10.{number}.0.2/24\n"
        )
    };
    let peers: String = names.iter().enumerate().map(peer).collect();
    read(format!("config link wan\nconfig link wanb\n{peers}{more}")).unwrap_or_else(|faults| panic!("{faults:#?}")).0
}

fn peers(config: &Config) -> Peers {
    let mut peers = Peers::default();
    let ids = number_peers(config, &number(config, &[]), &[]);
    peers.adopt(config, ids, Time(0));
    peers
}

/// As the data thread would post it.
fn up(peers: &Peers, name: &str, index: u32, state: State) {
    let mut posted: Vec<PeerStatus> = peers.status().to_vec();
    for peer in posted.iter_mut().filter(|peer| peer.name() == name) {
        peer.index = index;
        peer.all.state = state;
        peer.all.reason = "asked".into();
    }
    peers.board.post(posted);
}

#[test]
fn peers_come_and_go_as_the_board_says() {
    let mut peers = peers(&config(&["vps", "two"], ""));
    assert!(peers.learn().is_empty() && peers.ways().all(|way| !way.up));
    up(&peers, "vps", 7, State::Connecting);
    assert!(peers.learn().is_empty());
    assert_eq!(peers.state_of(LinkId::new(15).unwrap()).as_deref(), Some("connecting: asked"));
    up(&peers, "vps", 7, State::Up);
    let turn = |up| Turn { name: "vps".into(), device: "bond0".into(), up, reason: "asked".into() };
    assert_eq!(peers.learn(), [turn(true)]);
    assert!(peers.learn().is_empty(), "told once");
    let ways: Vec<Link> = peers.ways().collect();
    assert_eq!((ways.len(), &*ways[0].device, ways[0].ifindex, ways[0].up), (2, "bond0", 7, true));
    assert!(ways[0].usable(Family::Ipv4) && !ways[0].usable(Family::Ipv6) && !ways[1].up);
    up(&peers, "vps", 0, State::Up);
    assert_eq!(peers.learn(), [turn(false)], "without its device it carries nothing");
    assert_eq!(peers.state_of(LinkId::new(1).unwrap()), None);
}

#[test]
fn a_reload_keeps_what_is_known_of_those_that_stay() {
    let mut peers = peers(&config(&["vps", "two"], ""));
    up(&peers, "vps", 7, State::Up);
    up(&peers, "vps", 7, State::Up);
    peers.learn();
    let fewer = config(&["vps", "three", "two"], "");
    let ids = number_peers(&fewer, &number(&fewer, &[]), &peers.ids);
    assert_eq!(peers.adopt(&fewer, ids, Time(9)), []);
    let names: Vec<(&str, bool)> = peers.status().iter().map(|peer| (peer.name(), peer.is_up())).collect();
    assert_eq!(names, [("vps", true), ("three", false), ("two", false)]);
    // The board still tells of others.
    peers.board.post(vec![unknown(&config(&["gone"], "").peers[0], Time(0))]);
    assert!(peers.learn().is_empty());
}

fn down(name: &str, device: &str, reason: &str) -> Turn {
    Turn { name: name.into(), device: device.into(), up: false, reason: reason.into() }
}

#[test]
fn peers_that_swap_devices_are_down_until_they_have_them() {
    let mut peers = peers(&config(&["vps", "two"], ""));
    up(&peers, "vps", 7, State::Up);
    peers.learn();
    let stale = peers.status().to_vec();
    let swapped = config(&["two", "vps"], "");
    let turns = peers.adopt(&swapped, peers.ids.clone(), Time(9));
    assert_eq!(turns, [down("vps", "bond0", "its device is another one")]);
    let ways = |peers: &Peers| -> Vec<_> { peers.ways().map(|way| (way.name, way.device, way.ifindex)).collect() };
    let waits = [("vps".to_owned(), "bond1".to_owned(), 0), ("two".to_owned(), "bond0".to_owned(), 0)];
    assert_eq!(ways(&peers), waits);
    // Posted before the data thread heard of it.
    peers.board.post(stale);
    assert!(peers.learn().is_empty() && ways(&peers) == waits);
    up(&peers, "vps", 8, State::Up);
    assert!(matches!(&peers.learn()[..], [Turn { up: true, device, .. }] if device == "bond1"));
}

#[test]
fn those_that_leave_the_configuration_are_told_of() {
    let server = format!(
        "config peer s\noption role server\noption listen_port 1\noption private_key {KEY}\nlist address 10.9.0.1/24\n"
    );
    let client = |number: usize| {
        let key = OTHER.replace("yAnz", &format!("{number:04}"));
        format!("config client c{number}\noption peer s\noption public_key {key}\noption allowed_ips 10.9.0.{number}\n")
    };
    let mut peers = peers(&config(&["vps"], &format!("{server}{}{}{}", client(2), client(3), client(4))));
    let mut posted = peers.status().to_vec();
    for peer in &mut posted {
        (peer.index, peer.all.state) = (7, State::Up);
        peer.clients.iter_mut().take(2).for_each(|client| client.state = State::Up);
    }
    peers.board.post(posted.clone());
    assert_eq!(peers.learn().len(), 4);
    // One that is up, and one that is not: as soon as the data thread has let go of them.
    let fewer = config(&["vps"], &format!("{server}{}", client(3)));
    assert_eq!(peers.adopt(&fewer, peers.ids.clone(), Time(9)), []);
    posted[1].clients.retain(|client| client.name == "c3");
    peers.board.post(posted);
    assert_eq!(peers.learn(), [down("s/c2", "bond1", LEFT)]);
    let turns = peers.adopt(&config(&[], ""), Vec::new(), Time(9));
    let gone = [down("vps", "bond0", LEFT), down("s/c3", "bond1", LEFT), down("s", "bond1", LEFT)];
    assert!(turns.len() == gone.len() && gone.iter().all(|turn| turns.contains(turn)), "{turns:?}");
}

#[test]
fn peers_keep_their_numbers_and_leave_links_theirs() {
    let number_of = |config: &Config, old: &[(String, LinkId)]| -> Vec<(String, u8)> {
        let numbers = number_peers(config, &number(config, &[]), old);
        numbers.into_iter().map(|(name, id)| (name, id.number())).collect()
    };
    let first = config(&["a", "b"], "");
    assert_eq!(number_of(&first, &[]), [("a".to_owned(), 15), ("b".to_owned(), 14)]);
    let old: Vec<(String, LinkId)> =
        number_peers(&first, &number(&first, &[]), &[]).into_iter().filter(|(name, _)| name == "b").collect();
    assert_eq!(number_of(&config(&["c", "b"], ""), &old), [("c".to_owned(), 15), ("b".to_owned(), 14)]);
    // A link has it now.
    let taken = vec![("b".to_owned(), LinkId::new(2).unwrap())];
    assert_eq!(number_of(&config(&["b"], ""), &taken), [("b".to_owned(), 15)]);
    let server = format!(
        "config peer s\noption role server\noption listen_port 1\noption private_key {KEY}\noption public_key {OTHER}"
    );
    assert_eq!(number_of(&config(&[], &server), &[]), [], "a server is no way");
}

#[test]
fn keys_are_new_each_time_and_fit_together() {
    let (one, two) = (key_pair().unwrap(), key_pair().unwrap());
    assert_ne!(one, two);
    let private = Secret::read(one.text("private_key")).unwrap();
    assert_eq!(private.public().to_string(), one.text("public_key"));
}

#[test]
fn documents_tell_all() {
    let server = format!(
        "config peer s\noption role server\noption listen_port 1\noption private_key {KEY}\nlist address 10.9.0.1/24\n"
    );
    let clients: String = (0..MAX_TOLD + 5)
        .map(|number| {
            let key = OTHER.replace("yAnz", &format!("{number:04}"));
            format!(
                "config client c{number}\noption peer s\noption public_key {key}\noption allowed_ips 10.9.{}.{}\n",
                number / 200,
                number % 200
            )
        })
        .collect();
    let mut peers = peers(&config(&["vps"], &(server + &clients)));
    let mut posted = peers.status().to_vec();
    posted[1].clients[MAX_TOLD + 2].state = State::Up;
    posted[0].all.paths.push(PathStatus {
        name: "wan".into(),
        state: State::Up,
        remote: "192.0.2.1:7420".parse().ok(),
        rtt_us: Some(21_300),
        loss_permille: 4,
        down_bps: Some(43_000_000),
        up_bps: None,
        received_bytes: 1,
        sent_bytes: 2,
        retransmitted: 3,
        reordered: 5,
        queue_us: Some(4_200),
        mtu: 1400,
    });
    peers.board.post(posted);
    let turns = peers.learn();
    assert_eq!(turns.iter().map(|turn| (&*turn.name, turn.up)).collect::<Vec<_>>(), [("s/c202", true)]);
    let key = Secret::read(KEY).unwrap().public();
    peers.public_keys.push(("s".into(), key));
    let document = peers.document(Time(5_000_000));
    let [vps, s] = document.list("peers") else { panic!("{document:?}") };
    assert_eq!((vps.text("public_key"), s.text("public_key")), ("", &*key.to_string()));
    assert_eq!((vps.text("role"), vps.text("scheduler"), vps.count("since_s")), ("client", "adaptive", 5));
    assert_eq!((vps.list("paths")[0].text("remote"), vps.list("paths")[0].int("up_bps")), ("192.0.2.1:7420", None));
    let counts = ["queue_us", "retransmitted", "reordered", "mtu"].map(|key| vps.list("paths")[0].count(key));
    assert_eq!(counts, [4_200, 3, 5, 1_400]);
    assert_eq!((s.count("clients_total"), s.count("clients_up")), (MAX_TOLD as i64 + 5, 1));
    assert_eq!((s.list("clients").len(), s.list("clients")[0].text("name")), (MAX_TOLD, "c202"));
}

/// Its own datagrams to the client would be led into the tunnel that they carry.
#[test]
fn a_server_is_led_to_its_clients_networks_and_not_to_all() {
    let server = format!(
        "config peer home\noption role server\noption private_key {KEY}\noption public_key {OTHER}\noption listen_port 7\n\
         list address 10.9.0.1/24\nlist allowed_ips 10.9.0.2\nlist allowed_ips 0.0.0.0/0\nlist allowed_ips ::/0\nlist route 0.0.0.0/0\n"
    );
    let config = config(&["vps"], &server);
    let tunnels = peers(&config).tunnels(&config);
    let routes: Vec<String> = tunnels[1].routes.iter().map(ToString::to_string).collect();
    assert_eq!(routes, ["10.9.0.2/32"]);
}
