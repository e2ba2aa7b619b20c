//! The form for the configuration.

use std::fmt::Write;
use std::fs;

use cheaproute::config::options::Kind;
use serde_json::{Value, json};

use super::browser::Browser;
use super::pages::{DISMISS, Router, TOOLS, pictures};
use super::rights::ADMIN;
use crate::support::eventually;

/// The form refuses nothing that the daemon takes, and what it lets pass of the rest, it does not know.
pub fn fields(router: &Router, browser: &mut Browser) {
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
    assert_eq!(judged.len(), Kind::ALL.into_iter().flat_map(Kind::options).count());
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

pub fn editing(router: &Router, browser: &mut Browser) {
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

/// A key is made on the router, and its public part told; what is not saved is nowhere.
pub fn keys(router: &Router, browser: &mut Browser) {
    browser.value("click('tr[data-sid=vps] .cbi-button-edit')");
    browser.until("dialog()");
    let shown = "document.querySelector(field('vps', 'private_key') + ' input').value";
    let before = browser.value(shown);
    browser.value("click(field('vps', '_genkey') + ' button')");
    browser.until(&format!("{shown}.length == 44 && {shown} != '{}'", before.as_str().unwrap()));
    browser.until("/public key: [A-Za-z0-9+/]{43}=$/.test(text('.cr-key'))");
    browser.until("!document.querySelector(field('vps', 'private_key') + ' .cbi-input-invalid')");
    browser.value(DISMISS);
    browser.until("!dialog()");
    assert!(fs::read_to_string(&router.file).unwrap().contains(before.as_str().unwrap()));
}

/// Sections come and go.
pub fn sections(router: &Router, browser: &mut Browser) {
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
    // No peer is a choice, and the first of all peers is not taken unasked.
    browser.until("document.querySelector(field('calm', 'peer') + ' select').value == ''");
    browser.value("fill(field('calm', 'peer') + ' select', 'vps')");
    browser.value("fill(field('calm', 'peer') + ' select', '')");
    browser.until("!document.querySelector('.modal .cbi-input-invalid')");
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
    // A policy that is gone is said to be, and not another one taken.
    let policy =
        |name: &str| format!("(async () => (await L.require('uci')).set('cheaproute', 'web', 'policy', '{name}'))()");
    browser.value(&policy("gone"));
    browser.value("click('tr[data-sid=web] .cbi-button-edit')");
    browser.until("dialog() && document.querySelector(field('web', 'policy') + ' select').value == 'gone'");
    browser.value("click('.modal .cbi-button-positive')");
    browser.until("dialog() && document.querySelector('.modal .cbi-input-invalid')");
    browser.value("fill(field('web', 'policy') + ' select', 'calm')");
    browser.value("click('.modal .cbi-button-positive')");
    browser.until("!dialog() && text('tr[data-sid=web] [data-name=policy]') == 'calm'");
    apply(router, browser);
    eventually("the daemon has the policy", || router.json("policies")["policies"][1]["name"] == "calm");
    let applied = fs::read_to_string(&router.file).unwrap();
    assert!(applied.contains("config rule 'web'") && !applied.contains("option peer 'vps'"), "{applied}");

    browser.value("click('tr[data-sid=web] .cbi-button-remove')");
    browser.until("!document.querySelector('tr[data-sid=web]')");
    browser.value("click('tr[data-sid=calm] .cbi-button-remove')");
    browser.until("!document.querySelector('tr[data-sid=calm]')");
    apply(router, browser);
    eventually("the policy is gone", || router.json("policies")["policies"][1].is_null());
}
