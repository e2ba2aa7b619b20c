//! What people see and do on the pages.

use std::fmt::Write;
use std::fs;
use std::path::PathBuf;
use std::process::Command;

use cheaproute::config::options::{Kind, OPTIONS};
use serde_json::{Value, json};

use super::bridge::Bridge;
use super::browser::{Browser, chromium};
use super::rights::{ADMIN, WATCHER};
use super::stage::Stage;
use crate::need_lab;
use crate::support::bus::{Running, broker, bus_socket};
use crate::support::{Bed, Daemon, SERVERS, config, eventually};

/// Short for what a person does on a page.
const TOOLS: &str = "window.click = (selector) => document.querySelector(selector).click();
    window.text = (selector) => document.querySelector(selector).textContent;
    window.all = (selector) => [ ...document.querySelectorAll(selector) ];
    window.fill = (selector, value) => {
        const node = document.querySelector(selector);
        node.value = value;
        for (const event of [ 'input', 'keyup', 'change', 'blur' ])
            node.dispatchEvent(new Event(event, { bubbles: true }));
    };
    window.field = (section, option) => '[data-field=\"cbid.cheaproute.' + section + '.' + option + '\"]';
    window.dialog = () => all('.modal [data-field]').some((node) => node.checkVisibility({ visibilityProperty: true }));
    true";

struct Router {
    bed: Bed,
    bridge: Bridge,
    file: PathBuf,
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
        let policy = "config policy 'fastest'\n option mode 'race'\n list link 'wan1'\n list link 'wan2'\n";
        let config = config(&[&probes(1), &probes(2)], policy);
        let daemon = Daemon::launch(lab.router(), &config, |command| _ = command.arg("--ubus").arg(&socket));
        daemon.says(0, "racing over");
        daemon.await_heartbeat(lab.router());
        let (file, id) = (daemon.file(), daemon.process.id());
        let reload = move || {
            assert!(Command::new("kill").args(["-HUP", &id.to_string()]).status().unwrap().success());
        };
        let bridge = Bridge::start(socket, Stage::new(file.clone(), reload));
        Router { bed: Bed { daemon, lab }, bridge, file, _broker: broker }
    }

    fn json(&self, command: &str) -> Value {
        let output = self.bed.daemon.command(self.bed.lab.router(), &[command, "--json"]).output().unwrap();
        serde_json::from_slice(&output.stdout).unwrap_or_default()
    }

    #[track_caller]
    fn open(&self, browser: &mut Browser, view: &str, user: &str) {
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
    links_change(&router, &mut browser);
    watcher(&router, &mut browser);
    overview(&router, &mut browser);
    fields(&router, &mut browser);
    editing(&router, &mut browser);
    sections(&router, &mut browser);
    faults(&mut router, &mut browser);
    assert!(browser.errors.is_empty(), "{:#?}", browser.errors);
}

/// Pictures of a page in its three guises; on a phone nothing sticks out.
#[track_caller]
fn pictures(browser: &mut Browser, name: &str) {
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
    browser.until("all('[data-table=races] .td').filter((n) => n.textContent.includes('10.77.0.2')).length >= 3");
    browser.until("text('[data-table=races]').includes('won by wan1')");
    browser.until(
        "text('[data-table=policies]').includes('fastest') && /wan1 \\d+ %/.test(text('[data-table=policies]'))",
    );
    browser.until("text('[data-table=memory]').includes('/24')");
    browser.until("text('[data-table=events]').includes('wan1 is up')");
    browser.until("text('[data-section=peers]').includes('No peer')");
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
    }
    pictures(browser, "status");
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
        let said = answer.to_string();
        assert!(!said.contains("10.77.0.") && !said.contains(&SERVERS[0].to_string()), "{method}: {said}");
    }
}

fn overview(router: &Router, browser: &mut Browser) {
    router.open(browser, "overview", WATCHER);
    browser.until("document.body.dataset.shown == 'true' && all('tr[data-link]').length == 2");
    browser.until("text('tr[data-link=wan1]').includes('up, for')");
    pictures(browser, "overview");
    router.open(browser, "overview", "nobody");
    browser.until("document.body.dataset.shown == 'false'");
}

/// The form refuses nothing that the daemon takes, and what it lets pass of the rest, it does not know.
fn fields(router: &Router, browser: &mut Browser) {
    let texts = [
        "",
        "0",
        "1",
        "2",
        "7",
        "-1",
        "+1",
        "1.5",
        "100",
        "101",
        "1000",
        "1001",
        "65535",
        "65536",
        "007",
        "on",
        "off",
        "ON",
        "true",
        "0x3F000000",
        "0x3f",
        "0xfc000000",
        "0x7F",
        "63",
        "0x3E000001",
        "0x",
        "1s",
        "2s",
        "99ms",
        "100ms",
        "61s",
        "1h",
        "1d",
        "25h",
        "24h",
        "60m",
        "1 s",
        "ms",
        "1us",
        "forever",
        "race",
        "Race",
        "failover",
        "info",
        "any",
        "ipv4",
        "wan",
        "a b",
        "a-b_c",
        "a.b",
        "br-lan",
        "eth0.2",
        "eth*",
        ".",
        "..",
        "pppoe-wan",
        "0123456789abcdef",
        "@x~+",
        "192.0.2.1",
        "192.0.2.1/24",
        "192.0.2.0/33",
        "192.0.2.0/",
        "0.0.0.0",
        "0.0.0.0/0",
        "127.0.0.1",
        "224.0.0.1",
        "255.255.255.255",
        "01.2.3.4",
        "1.2.3",
        "1.2.3.4.5",
        "256.1.1.1",
        "2001:db8::1",
        "2001:db8::/56",
        "2001:DB8::1",
        "::",
        "::1",
        "::/0",
        "::ffff:192.0.2.1",
        "fe80::1",
        "fe80::1%eth0",
        "ff02::1",
        "1:2:3:4:5:6:7:8",
        "1:2:3:4:5:6:7::",
        "1::2::3",
        "12345::",
        "2001:db8::/129",
        "[2001:db8::1]",
        "53",
        "80-90",
        "90-80",
        "0-5",
        "80-",
        "-80",
        "1-2-3",
        "tcp",
        "UDP",
        "icmp",
        "all",
        "6",
        "255",
        "256",
        "sctp",
        "icmp:1.1.1.1",
        "icmp:2001:db8::1",
        "icmp:[2001:db8::1]",
        "icmp:[1.1.1.1]",
        "icmp:0.0.0.0",
        "icmp:",
        "tcp:9.9.9.9:443",
        "tcp:9.9.9.9",
        "tcp:9.9.9.9:0",
        "tcp:9.9.9.9:65536",
        "tcp:[2001:db8::1]:443",
        "tcp:2001:db8::1:443",
        "tcp:[fe80::1%1]:1",
        "video",
        "_v.4",
        "4video",
        "video!",
        "/etc/x",
        "x/y",
        "é",
    ];
    router.open(browser, "cheaproute/config", ADMIN);
    browser.until("all('.cbi-map tr[data-sid]').length >= 3");
    let judge = format!(
        "(async () => {{ const check = await L.require('cheaproute.check'), options = await L.require('cheaproute.options'); \
         return options.kinds.flatMap((kind) => kind.options.map((option) => [ kind.name, option.name, option.shape, \
         {}.filter((text) => check.fits(option, text)) ])) }})()",
        json!(&texts[..])
    );
    let judged = browser.value(&judge);
    let judged = judged.as_array().unwrap();
    assert_eq!(judged.len(), OPTIONS.len());
    let mut wrong = String::new();
    for answer in judged {
        let kind = Kind::from_name(answer[0].as_str().unwrap()).unwrap();
        let spec = kind.option(answer[1].as_str().unwrap()).unwrap();
        let accepted: Vec<&str> = answer[3].as_array().unwrap().iter().filter_map(Value::as_str).collect();
        for text in texts {
            let (form, daemon) = (accepted.contains(&text), spec.shape.parse(text).is_some());
            // Of these the form knows only how they begin.
            let unknown = matches!(answer[2].as_str(), Some("path" | "text"));
            if form != daemon && !(form && unknown) {
                let _ = writeln!(wrong, "{} {text:?}: the form says {form}, the daemon {daemon}", spec.name);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
}

const APPLY: &str = "(document.querySelector('.cbi-page-actions .cbi-dropdown li[display], .cbi-page-actions .cbi-dropdown li') \
                     || document.querySelector('.cbi-page-actions .cbi-button-apply')).click()";

/// Applies what the form says, and waits until the daemon has it and the page is back.
fn apply(router: &Router, browser: &mut Browser) {
    let mark = router.bed.daemon.process.lines_so_far();
    browser.value("window.old = true");
    browser.value(APPLY);
    router.bed.daemon.says(mark, "reloaded");
    browser.until("!window.old && document.readyState == 'complete'");
    browser.value(TOOLS);
    browser.until("all('.cbi-map tr[data-sid]').length >= 3");
}

fn editing(router: &Router, browser: &mut Browser) {
    assert_eq!(router.json("links")["links"][1]["weight"], 1);
    browser.value("click('tr[data-sid=wan2] .cbi-button-edit')");
    browser.until("dialog()");
    browser.until("all('.modal .item').some((node) => node.textContent.includes('icmp:10.77.2'))");
    browser.picture("config-link");
    for bad in ["0", "1001", "much"] {
        browser.value(&format!("fill(field('wan2', 'weight') + ' input', '{bad}')"));
        browser.until("document.querySelector('.modal .cbi-input-invalid')");
        browser.value("click('.modal .cbi-button-positive')");
        browser.until("dialog() && !document.querySelector('.modal .spinning')");
        browser.until("document.querySelector('.modal .cbi-input-invalid')");
    }
    // Two options that do not go together: the lab's links are given by device.
    browser.value("fill(field('wan2', 'weight') + ' input', '3')");
    browser.until("!document.querySelector('.modal .cbi-input-invalid')");
    browser.value("click('.modal .cbi-button-positive')");
    browser.until("!dialog()");
    browser.until("text('tr[data-sid=wan2] [data-name=weight]') == '3'");
    let before = fs::read_to_string(&router.file).unwrap();
    assert!(!before.contains("weight"), "saved is not applied: {before}");
    apply(router, browser);
    let after = fs::read_to_string(&router.file).unwrap();
    assert!(after.contains("option weight '3'"), "{after}");
    // What was not touched stays; what is as usual is not written down.
    assert!(after.contains("option interval '200ms'") && after.contains("list probe"), "{after}");
    assert!(!after.contains("metered") && !after.contains("last_resort") && !after.contains("family"), "{after}");
    eventually("the daemon has it", || router.json("links")["links"][1]["weight"] == 3);
    // LuCI shows one sort of section at a time, the stand-in all.
    for tab in ["link", "policy", "rule"] {
        browser.value(&format!("all('.cbi-tabmenu [data-tab={tab}] a').forEach((tab) => tab.click())"));
        pictures(browser, &format!("config-{tab}s"));
    }
}

/// Sections come and go.
fn sections(router: &Router, browser: &mut Browser) {
    let add = |browser: &mut Browser, kind: &str, name: &str| {
        let create = format!("#cbi-cheaproute-{kind} .cbi-section-create");
        browser.value(&format!("fill('{create} .cbi-section-create-name', '{name}')"));
        browser.value(&format!("click('{create} .cbi-button-add')"));
    };
    let notes = "all('.alert-message').map((node) => node.textContent).join()";
    add(browser, "policy", "wan1");
    browser.until(&format!("{notes}.includes('a section called wan1')"));
    browser.value("click('tr[data-sid=wan2] .cbi-button-remove')");
    browser.until(&format!("{notes}.includes('wan2 is still used by fastest')"));

    add(browser, "policy", "calm");
    browser.until("dialog()");
    browser.value("fill(field('calm', 'mode') + ' select', 'weighted')");
    browser.value("click('.modal .cbi-button-positive')");
    browser.until("!dialog() && text('tr[data-sid=calm] [data-name=mode]') == 'weighted'");
    add(browser, "rule", "web");
    browser.until("dialog()");
    browser.value("fill(field('web', 'policy') + ' select', 'calm')");
    browser.width(360);
    browser.until("innerWidth == 360");
    browser.picture("config-rule-phone");
    assert_eq!(
        browser.value("document.querySelector('.modal').scrollWidth - document.querySelector('.modal').clientWidth"),
        0
    );
    browser.width(1000);
    browser.picture("config-rule");
    browser.value("click('.modal .cbi-button-positive')");
    browser.until("!dialog() && text('tr[data-sid=web] [data-name=policy]') == 'calm'");
    apply(router, browser);
    eventually("the daemon has the policy", || router.json("policies")["policies"][1]["name"] == "calm");
    assert!(fs::read_to_string(&router.file).unwrap().contains("config rule 'web'"));

    browser.value("click('tr[data-sid=web] .cbi-button-remove')");
    browser.until("!document.querySelector('tr[data-sid=web]')");
    browser.value("click('tr[data-sid=calm] .cbi-button-remove')");
    browser.until("!document.querySelector('tr[data-sid=calm]')");
    apply(router, browser);
    eventually("the policy is gone", || router.json("policies")["policies"][1].is_null());
}

/// What is wrong is said on the pages: a configuration with faults, and then no daemon at all.
fn faults(router: &mut Router, browser: &mut Browser) {
    let good = fs::read_to_string(&router.file).unwrap();
    router.bed.daemon.reload(&good.replace("'3'", "'much'"), "not reloaded");
    for view in ["status", "config"] {
        router.open(browser, &format!("cheaproute/{view}"), ADMIN);
        browser.until("text('.alert-message').includes('weight')");
    }
    router.open(browser, "cheaproute/status", ADMIN);
    browser.until("all('.cr-card').length == 2");
    router.bed.daemon.stop();
    browser.until("text('.alert-message').includes('does not run')");
    browser.until("all('.cr-card').length == 0");
}
