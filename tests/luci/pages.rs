//! What people see and do on the pages.

use std::path::PathBuf;
use std::process::Command;

use serde_json::{Value, json};

use super::bridge::{Bridge, HOSTILE};
use super::browser::{Browser, chromium};
use super::forms;
use super::judge;
use super::rights::{ADMIN, READER, WATCHER};
use super::stage::Stage;
use super::troubles;
use crate::need_lab;
use crate::support::bus::{Running, broker, bus_socket};
use crate::support::{Bed, Daemon, SERVERS, bond, config};

/// Short for what a person does on a page.
pub const TOOLS: &str = "window.click = (selector) => document.querySelector(selector).click();
    window.text = (selector) => document.querySelector(selector).textContent;
    window.all = (selector) => [ ...document.querySelectorAll(selector) ];
    window.fill = (selector, value) => {
        const node = document.querySelector(selector);
        node.value = value;
        for (const event of [ 'input', 'keyup', 'change', 'blur' ])
            node.dispatchEvent(new Event(event, { bubbles: true }));
    };
    window.pick = (selector, value) => {
        const node = document.querySelector(selector + ' .cbi-dropdown');
        return node ? L.dom.callClassMethod(node, 'setValue', value) : window.fill(selector + ' input', value);
    };
    window.empty = (selector) => L.dom
        ? L.dom.callClassMethod(document.querySelector(selector + ' .cbi-dynlist'), 'setValue', [])
        : all(selector + ' .item').forEach((item) => item.click());
    window.field = (section, option) => '[data-field=\"cbid.cheaproute.' + section + '.' + option + '\"]';
    window.dialog = () => all('.modal [data-field]').some((node) => node.checkVisibility({ visibilityProperty: true }));
    true";

/// Leaves a dialogue.
pub const DISMISS: &str = "click('.modal .cbi-button:not(.cbi-button-positive):not([data-field] *)')";

pub struct Router {
    /// The other end of the bond `vps`, somewhere in the Internet. Dropped first.
    _far: Daemon,
    pub bed: Bed,
    bridge: Bridge,
    pub file: PathBuf,
    _broker: Running,
}

impl Router {
    fn start() -> Self {
        let socket = bus_socket("luci");
        let broker = broker(&socket);
        let lab = Bed::builder(&[2, 60]).build();
        let probes = |link| {
            format!("list probe 'icmp:{}'\n option interval '200ms'\n option timeout '500ms'", lab::gateway4(link))
        };
        // A client of one server, which is there, and a server of one client, which is not.
        let vps = bond::client_section(1, "");
        let (own, theirs) = (bond::secret(2).written(), bond::secret(3).public());
        let more = format!(
            "config policy 'fastest'\n option mode 'race'\n list link 'wan1'\n list link 'wan2'\n{vps}\
             config peer 'home'\n option role 'server'\n option private_key '{own}'\n option listen_port '7421'\n \
             list address '10.75.0.1/24'\n\
             config client 'laptop'\n option peer 'home'\n option public_key '{theirs}'\n list allowed_ips '10.75.0.2'\n"
        );
        let config = config(&[&probes(1), &probes(2)], &more);
        let far = bond::start_server(lab.internet(), &bond::server_text(&[""], ""));
        let daemon = Daemon::launch(lab.router(), &config, |command| _ = command.arg("--ubus").arg(&socket));
        daemon.says(0, "racing over");
        daemon.await_heartbeat(lab.router());
        let (file, id) = (daemon.file(), daemon.process.id());
        let reload = move || {
            assert!(Command::new("kill").args(["-HUP", &id.to_string()]).status().unwrap().success());
        };
        let bridge = Bridge::start(socket, Stage::new(file.clone(), reload));
        Router { _far: far, bed: Bed { daemon, lab }, bridge, file, _broker: broker }
    }

    pub fn json(&self, command: &str) -> Value {
        let output = self.bed.daemon.command(self.bed.lab.router(), &[command, "--json"]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    #[track_caller]
    pub fn open(&self, browser: &mut Browser, view: &str, user: &str) {
        browser.open(&format!("http://{}/page/{view}?{user}", self.bridge.address));
        browser.value(TOOLS);
    }

    /// A call as a page of this user would make it, past the page.
    fn call(&self, browser: &mut Browser, user: &str, method: &str) -> Value {
        let body = json!({ "jsonrpc": "2.0", "id": 1, "method": "call", "params": [user, "cheaproute", method, {}] });
        browser
            .value(&format!("fetch('/ubus', {{ method: 'POST', body: JSON.stringify({body}) }}).then((r) => r.json())"))
    }

    #[track_caller]
    fn state(&self, browser: &mut Browser, link: &str, state: &str) {
        browser.until(&format!("document.querySelector('[data-link={link}]').dataset.state == '{state}'"));
    }
}

#[test]
fn people_see_and_change_links() {
    need_lab!();
    let Some(program) = chromium() else {
        eprintln!("skipped: the pages of LuCI need chromium");
        return;
    };
    let mut router = Router::start();
    let mut browser = Browser::start(program);
    browser.width(1000);
    status(&router, &mut browser);
    troubles::unanswered(&mut browser);
    troubles::asleep(&mut browser);
    links_change(&router, &mut browser);
    watcher(&router, &mut browser);
    overview(&router, &mut browser);
    judge::values(&router, &mut browser);
    judge::together(&mut browser);
    forms::editing(&router, &mut browser);
    forms::keys(&router, &mut browser);
    forms::sections(&router, &mut browser);
    forms::together(&router, &mut browser);
    forms::refused(&router, &mut browser);
    hostile(&router, &mut browser);
    reader(&router, &mut browser);
    troubles::faults(&mut router, &mut browser);
    assert!(browser.errors.is_empty(), "{:#?}", browser.errors);
}

/// Pictures of a page in its three guises; on a phone nothing sticks out.
#[track_caller]
pub fn pictures(browser: &mut Browser, name: &str) {
    browser.picture(&format!("{name}-light"));
    browser.dark(true);
    browser.picture(&format!("{name}-dark"));
    browser.dark(false);
    browser.width(360);
    browser.until("innerWidth == 360");
    let wide = "[ document.documentElement.scrollWidth, all('body *').filter((n) => n.getBoundingClientRect().right > 361 \
                && n.checkVisibility()).map((n) => n.tagName + '.' + n.className + ' ' + n.textContent.slice(0, 40)) ]";
    let wide = browser.value(wide);
    assert!(wide[0].as_u64().is_some_and(|width| width <= 360), "{name} is too wide for a phone: {wide}");
    browser.picture(&format!("{name}-phone"));
    browser.width(1000);
}

fn status(router: &Router, browser: &mut Browser) {
    let server = router.bed.server(SERVERS[0], 80);
    let _streams: Vec<_> = (0..3).map(|_| router.bed.connect(&server)).collect();
    router.open(browser, "cheaproute/status", ADMIN);
    browser.until("all('.cr-card').length == 2");
    router.state(browser, "wan1", "up");
    router.state(browser, "wan2", "up");
    browser.until("text('[data-link=wan1] .cr-where').includes('10.77.1.2')");
    for (name, figure) in [("Races won", "[1-9]\\d* ?%"), ("Loss", "\\d ?%")] {
        browser.until(&format!(
            "all('[data-link=wan1] .cr-figure').some((n) => n.textContent.includes('{name}') && /{figure}/.test(n.textContent))"
        ));
    }
    browser.until("all('[data-table=races] .td').filter((n) => n.textContent.includes('10.77.0.2')).length >= 3");
    browser.until("text('[data-table=races]').includes('won by wan1')");
    browser.until(
        "text('[data-table=policies]').includes('fastest') && /wan1 \\d+ %/.test(text('[data-table=policies]'))",
    );
    browser.until("text('[data-table=memory]').includes('/24')");
    browser.until("text('[data-table=events]').includes('wan1 is up')");
    peers(router, browser);
    // At the second look there are rates, and lines to draw.
    browser.until("/bit.s/.test(text('[data-link=wan1]'))");
    browser
        .until("/ms/.test(text('[data-link=wan1] .cr-figure')) && /L/.test(all('.cr-line-rtt')[0].getAttribute('d'))");
    browser.until("/L/.test(all('.cr-line-down')[0].getAttribute('d'))");
    let why = browser.value("all('[data-section=why]').length == 1");
    let answer = router.call(browser, ADMIN, "why");
    assert_eq!(why, answer["result"][0] != 3, "the box is there if the daemon has an answer: {answer}");
    if why == true {
        browser.value(&format!("fill('[data-section=why] input', '{}')", SERVERS[0]));
        browser.value("click('[data-section=why] button')");
        browser.until(&format!("text('.cr-why').includes('{}')", SERVERS[0]));
        // What the daemon refuses, with its reason.
        browser.value("fill('[data-section=why] input', 'example.net')");
        browser.value("click('[data-section=why] button')");
        browser.until("text('.cr-why').startsWith('Enter an IP address')");
        browser.value("fill('[data-section=why] input', '192.0.2')");
        browser.value("click('[data-section=why] button')");
        browser.until("text('.cr-why').includes('must be an IP address')");
    }
    pictures(browser, "status");
    // Beside a long name, the state stays on its line.
    let long = "wan_starlink_roof_north_backup".repeat(2);
    browser.value(&format!("all('.cr-name').forEach((name) => name.textContent = '{long}')"));
    browser.width(360);
    browser.until("innerWidth == 360");
    browser.until("all('.cr-state').every((state) => state.getClientRects()[0].height < 25)");
    browser.width(1000);
}

/// A bond that carries something, and one that nobody calls.
fn peers(router: &Router, browser: &mut Browser) {
    bond::await_paths(&router.bed.daemon, router.bed.lab.router(), 2);
    let row = |name: &str, column: &str| {
        format!(
            "all('[data-table=peers] tr').find((row) => row.textContent.startsWith('{name}'))\
             .querySelector('[data-title=\"{column}\"]').textContent"
        )
    };
    browser.until(&format!("{}.startsWith('up, for')", row("vps (bond0)", "State")));
    browser.until(&format!("{} == '{}:{}'", row("vps (bond0)", "Other end"), SERVERS[0], bond::PORT));
    bond::fetch(router.bed.lab.router(), router.bed.lab.internet(), bond::THERE, bond::MEGABYTE);
    // Rates of the whole and of each path, and what is counted.
    let rate = r"↓\s[\d.]+\s[kM]bit.s ↑\s[\d.]+\s[kM]?bit.s";
    browser.until(&format!("/^{rate}/.test({})", row("vps (bond0)", "Traffic")));
    browser.until(&format!(r"/↓\s[\d.]+\s[kM]B ↑\s[\d.]+\s[kM]B in all/.test({})", row("vps (bond0)", "Traffic")));
    let paths = row("vps (bond0)", "Paths");
    browser.until(&format!(r"/wan1: [\d.]+\sms · queue [\d.]+\sms · 0 % · {rate}.*wan2: [\d.]+\sms · queue [\d.]+\sms · 0 % · ↓/.test({paths})"));
    // What it carries at most is not what it carries.
    browser.until(&format!("/at most ↓/.test({paths})"));
    let peers = router.json("peers");
    let silent = &peers["peers"][1]["clients"][0];
    let (state, reason) = (silent["state"].as_str().unwrap(), silent["reason"].as_str().unwrap());
    assert!(!reason.is_empty() && state != "up", "{silent}");
    let laptop = row("home / laptop", "State");
    browser.until(&format!("{laptop}.startsWith('{state}, for') && {laptop}.endsWith({})", json!(reason)));
    browser.until(&format!("{}.startsWith('up, for')", row("home (bond1)", "State")));
    // What the clients need to be told, and where from.
    let key = peers["peers"][1]["public_key"].as_str().unwrap();
    assert_eq!(key, bond::secret(2).public().to_string());
    browser.until(&format!("{}.endsWith('public key of this end: {key}')", row("home (bond1)", "Peer")));
    // Of many clients, not all are told of.
    browser.value(
        "L.require('cheaproute.client').then((client) => {
            const all = client.peers;
            client.peers = () => all().then((answer) => (answer.peers[1].clients_total += 7, answer));
        })",
    );
    browser.until(&format!("{} == '7 more clients, not shown'", row("home / …", "State")));
    browser.value("L.require('cheaproute.client').then((client) => { delete client.peers; })");
    // Nothing passes there, and that is known once it was looked at twice.
    browser.until(&format!("/^↓\\s0\\sbit.s ↑\\s0\\sbit.s/.test({})", row("home (bond1)", "Traffic")));
}

fn links_change(router: &Router, browser: &mut Browser) {
    browser.value("click('[data-link=wan1] .cr-probe')");
    browser.until("text('[data-link=wan1] .cr-result').includes('1 of 1')");
    browser.value("click('[data-link=wan2] .cr-toggle')");
    router.state(browser, "wan2", "down");
    assert_eq!(router.json("links")["links"][1]["reason"], "taken out by the administrator");
    browser.until("text('[data-link=wan2] .cr-toggle') == 'Put back'");
    browser.value("click('[data-link=wan2] .cr-toggle')");
    router.state(browser, "wan2", "up");
    browser.until("text('[data-link=wan2] .cr-toggle') == 'Take out'");
    // Nobody touches the page; the link dies, and comes back.
    router.bed.lab.wire(2).blackhole(true);
    router.state(browser, "wan2", "down");
    browser.until("text('[data-link=wan2] .cr-reason').includes('stopped answering')");
    browser.picture("status-link-down");
    router.bed.lab.wire(2).blackhole(false);
    router.state(browser, "wan2", "up");
}

/// A user of the status alone sees links, and nothing of who connects where.
fn watcher(router: &Router, browser: &mut Browser) {
    router.open(browser, "cheaproute/status", WATCHER);
    browser.until("all('.cr-card').length == 2 && text('[data-table=policies]').includes('fastest')");
    router.state(browser, "wan1", "up");
    let seen = browser.value("document.body.innerText");
    assert!(!seen.as_str().unwrap().contains("10.77.0.2"), "{seen}");
    assert_eq!(
        browser.value("all('[data-section=races], [data-section=memory], [data-section=why], .cr-card button').length"),
        0
    );
    let calls = router.bridge.calls(WATCHER);
    assert!(calls.iter().any(|method| method == "links"), "{calls:?}");
    for method in ["races", "memory", "why", "probe", "set_link", "reload"] {
        assert!(!calls.iter().any(|call| call == method), "{method}");
        assert_eq!(router.call(browser, WATCHER, method)["error"]["code"], -32002, "{method}");
    }
    for method in ["status", "links", "policies", "peers", "events"] {
        let answer = router.call(browser, WATCHER, method);
        assert_eq!(answer["result"][0], 0, "{method}: {answer}");
        // Where the bond's other end is, is no destination of a client.
        let said = answer.to_string().replace(&format!("{}:{}", SERVERS[0], bond::PORT), "");
        assert!(!said.contains("10.77.0.") && !said.contains(&SERVERS[0].to_string()), "{method}: {said}");
    }
}

fn overview(router: &Router, browser: &mut Browser) {
    router.open(browser, "overview", WATCHER);
    browser.until("document.body.dataset.shown == 'true' && all('tr[data-link]').length == 2");
    browser.until("text('tr[data-link=wan1]').includes('up, for')");
    pictures(browser, "overview");
    // A daemon that is gone leaves no link up.
    browser.value(
        "L.require('cheaproute.client').then((client) => { client.links = () => Promise.reject(new Error()); })",
    );
    browser.until("text('#view').includes('does not answer') && all('tr[data-link]').length == 0");
    browser.value("L.require('cheaproute.client').then((client) => { delete client.links; })");
    browser.until("all('tr[data-link]').length == 2");
    router.open(browser, "overview", "nobody");
    browser.until("document.body.dataset.shown == 'false'");
}

/// Markup in a value of UCI, or in an answer of the daemon or of netifd, is shown and does nothing.
fn hostile(router: &Router, browser: &mut Browser) {
    let harmless = |browser: &mut Browser| {
        assert_eq!(browser.value("[ all('img').length, window.alive ]"), json!([0, null]));
    };
    router.bridge.infect(true);
    router.open(browser, "cheaproute/status", ADMIN);
    browser.until("all('.cr-card').length == 2 && text('[data-table=policies]').includes('<img')");
    for table in ["races", "memory", "events", "peers"] {
        browser.until(&format!("text('[data-section={table}]').includes('<img')"));
    }
    browser.value("fill('[data-section=why] input', '192.0.2.1')");
    browser.value("click('[data-section=why] button')");
    browser.until("text('.cr-why').includes('<img')");
    browser.value("click('.cr-probe')");
    browser.until("text('.cr-result').length > 0");
    harmless(browser);
    router.open(browser, "overview", WATCHER);
    browser.until("document.body.textContent.includes('<img')");
    harmless(browser);
    router.open(browser, "cheaproute/config", ADMIN);
    browser.until("all('.cbi-map tr[data-sid]').length >= 3");
    browser.until("text('tr[data-sid=wan1]').includes('<img')");
    harmless(browser);
    let sections = browser.value("all('.cbi-map tr[data-sid]').map((row) => row.dataset.sid)");
    for section in sections.as_array().unwrap().iter().filter_map(Value::as_str) {
        browser.value(&format!("click('tr[data-sid={section}] .cbi-button-edit')"));
        browser.until("dialog()");
        harmless(browser);
        browser.value(DISMISS);
        browser.until("!dialog()");
    }
    router.bridge.infect(false);
    assert!(HOSTILE.contains("window.alive"));
}

/// Who may read the configuration and not write it sees it, and nothing that would fail.
fn reader(router: &Router, browser: &mut Browser) {
    router.open(browser, "cheaproute/config", READER);
    browser.until("all('.cbi-map tr[data-sid]').length >= 3");
    browser.until("all('.cbi-page-actions button').every((button) => button.disabled)");
    assert_eq!(
        browser.value("all('button.cbi-button-add, button.cbi-button-remove').every((button) => button.disabled)"),
        true
    );
    browser.value("click('tr[data-sid=vps] .cbi-button-edit')");
    browser.until("dialog()");
    assert_eq!(browser.value("all('.modal .cbi-button-positive, .modal [data-field] button:not(.cbi-button-neutral), .modal input, .modal select').every((node) => node.disabled || node.type == 'hidden' || node.closest('[disabled]') || !node.checkVisibility())"), true);
    assert_eq!(browser.value("all('.alert-message').length"), 0);
    router.open(browser, "cheaproute/status", READER);
    browser.until("all('.cr-card').length == 2 && text('[data-section=races]').includes('10.77.0.2')");
    assert_eq!(browser.value("all('.cr-card button').length"), 0);
    for method in ["reload", "probe", "set_link", "genkey"] {
        assert!(!router.bridge.calls(READER).iter().any(|call| call == method), "{method}");
    }
}
