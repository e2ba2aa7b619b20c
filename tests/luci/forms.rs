//! The form for the configuration.

use std::fs;

use serde_json::json;

use super::browser::Browser;
use super::pages::{DISMISS, Router, TOOLS, pictures};
use super::rights::ADMIN;
use crate::support::eventually;

const APPLY: &str = "(document.querySelector('.cbi-page-actions .cbi-dropdown li[display], .cbi-page-actions .cbi-dropdown li') \
                     || document.querySelector('.cbi-page-actions .cbi-button-apply')).click()";

/// Applies what the form says, and waits until the daemon has said this of it and the page is back.
fn submit(router: &Router, browser: &mut Browser, said: &str) {
    let mark = router.bed.daemon.process.lines_so_far();
    browser.value("window.old = true");
    browser.value(APPLY);
    router.bed.daemon.says(mark, said);
    browser.until("!window.old && document.readyState == 'complete'");
    browser.value(TOOLS);
}

/// ... where it takes it.
fn apply(router: &Router, browser: &mut Browser) {
    submit(router, browser, ": reloaded");
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
    browser.value("pick(field('wan2', 'interface'), 'wan9')");
    browser.until("document.querySelector(field('wan2', 'device') + ' .cbi-input-invalid')");
    browser.value("pick(field('wan2', 'interface'), '')");
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
    // Long names leave the buttons where they are.
    let long = "wan_starlink_roof_north_backup".repeat(2);
    browser.value("all('.cbi-tabmenu [data-tab=link] a').forEach((tab) => tab.click())");
    browser.value(&format!("all('tr[data-sid] .td[data-name]').forEach((cell) => cell.textContent = '{long}')"));
    browser.until("document.documentElement.scrollWidth <= innerWidth");
}

/// A key is made on the router, and its public part told; what is not saved is nowhere.
pub fn keys(router: &Router, browser: &mut Browser) {
    browser.value("click('tr[data-sid=vps] .cbi-button-edit')");
    browser.until("dialog()");
    let shown = "document.querySelector(field('vps', 'private_key') + ' input').value";
    let before = browser.value(shown);
    browser.value("click(field('vps', '_private_key') + ' button')");
    browser.until(&format!("{shown}.length == 44 && {shown} != '{}'", before.as_str().unwrap()));
    browser.until("/public key: [A-Za-z0-9+/]{43}=$/.test(text('.cr-key'))");
    browser.until("!document.querySelector(field('vps', 'private_key') + ' .cbi-input-invalid')");
    // A second one, which both ends have.
    browser.value("click(field('vps', '_preshared_key') + ' button')");
    browser.until("document.querySelector(field('vps', 'preshared_key') + ' input').value.length == 44");
    browser.until("all('.cr-key').some((said) => said.textContent.includes('the same key'))");
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
    // A server has clients; connections do not go there.
    let choices =
        "[ ...document.querySelector(field('calm', 'peer') + ' select').options ].map((one) => one.value).join()";
    assert_eq!(browser.value(choices), ",vps");
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

/// What does not go together is told before it is saved, by the field that it is told of.
pub fn together(router: &Router, browser: &mut Browser) {
    let wrong = |section: &str, fields: &[&str]| {
        let names = fields.join(",");
        format!(
            "all('.modal .cbi-input-invalid').map((node) => node.closest('[data-field]').dataset.field).join() == \
             '{names}'.split(',').filter((name) => name).map((name) => 'cbid.cheaproute.{section}.' + name).join()"
        )
    };
    router.open(browser, "cheaproute/config", ADMIN);
    browser.until("all('.cbi-map tr[data-sid]').length >= 3");
    browser.value("click('tr[data-sid=fastest] .cbi-button-edit')");
    browser.until("dialog()");
    browser.value("fill(field('fastest', 'sticky') + ' input', '1h')");
    browser.until(&wrong("fastest", &["sticky"]));
    browser.value("fill(field('fastest', 'mode') + ' select', 'aggregate')");
    browser.until(&wrong("fastest", &["peer"]));
    browser.value("click('.modal .cbi-button-positive')");
    browser.until("dialog() && !document.querySelector('.modal .spinning')");
    browser.value("fill(field('fastest', 'mode') + ' select', 'failover')");
    browser.until(&wrong("fastest", &[]));
    browser.value(DISMISS);
    browser.until("!dialog()");
    // What was not saved as a whole is not saved in part.
    let kept = "(async () => { const uci = await L.require('uci'); return [ 'mode', 'sticky' ].map((name) => uci.get('cheaproute', 'fastest', name)); })()";
    assert_eq!(browser.value(kept), json!(["race", null]));

    browser.value("fill('#cbi-cheaproute-peer .cbi-section-create-name', 'spare')");
    browser.value("click('#cbi-cheaproute-peer .cbi-section-create .cbi-button-add')");
    browser.until("dialog()");
    browser.until(&wrong("spare", &["private_key", "public_key", "endpoint"]));
    browser.value("click('.modal .cbi-button-positive')");
    browser.until("dialog() && !document.querySelector('.modal .spinning')");
    browser.value("fill(field('spare', 'private_key_file') + ' input', '/etc/key')");
    browser.value("fill(field('spare', 'role') + ' select', 'server')");
    browser.until(&wrong("spare", &["listen_port"]));
    browser.value("fill(field('spare', 'listen_port') + ' input', '7421')");
    browser
        .until(&format!("{} && document.querySelector('.modal .cbi-input-invalid')", wrong("spare", &["listen_port"])));
    browser.value("fill(field('spare', 'listen_port') + ' input', '7422')");
    browser.until(&wrong("spare", &[]));
    browser.value(DISMISS);
    browser.until("!dialog()");
    // A list that must not be empty says so.
    browser.value("click('tr[data-sid=laptop] .cbi-button-edit')");
    browser.until("dialog()");
    browser.until(&wrong("laptop", &[]));
    browser.value("empty(field('laptop', 'allowed_ips'))");
    browser.value("click(field('laptop', 'enabled') + ' input[type=checkbox]')");
    browser.until("document.querySelector(field('laptop', 'allowed_ips') + ' .cbi-input-invalid')");
    browser.value("click('.modal .cbi-button-positive')");
    browser.until("dialog() && !document.querySelector('.modal .spinning')");
    browser.value(DISMISS);
    browser.until("!dialog()");
    let kept = "(async () => (await L.require('uci')).get('cheaproute', 'laptop', 'enabled'))()";
    assert_eq!(browser.value(kept), json!(null));
    // Those whose clients there are do not go.
    browser.value("click('tr[data-sid=home] .cbi-button-remove')");
    browser.until("text('.alert-message').includes('home is still used by laptop')");
    // Nor does the last link that is on.
    browser.value(
        "(async () => { const uci = await L.require('uci'); uci.set('cheaproute', 'wan1', 'enabled', '0'); \
         uci.set('cheaproute', 'fastest', 'link', [ 'wan1' ]); })()",
    );
    browser.value("click('tr[data-sid=wan2] .cbi-button-remove')");
    browser.until("all('.alert-message').some((said) => said.textContent.includes('One link must be enabled'))");
    router.open(browser, "cheaproute/config", ADMIN);
    browser.until("all('.cbi-map tr[data-sid]').length >= 3");
}

/// What the daemon alone can tell is told once it was applied; and a main section that is made has its name.
pub fn refused(router: &Router, browser: &mut Browser) {
    browser.value(
        "(async () => { const uci = await L.require('uci'); uci.remove('cheaproute', 'main'); await uci.save(); })()",
    );
    router.open(browser, "cheaproute/config", ADMIN);
    browser.until("all('.cbi-map tr[data-sid]').length >= 3");
    browser.value("click('#cbi-cheaproute-cheaproute .cbi-button-add')");
    let mask = "field('main', 'mark_mask') + ' input'";
    browser.until(&format!("document.querySelector({mask})"));
    assert_eq!(browser.value("all('#cbi-cheaproute-cheaproute button.cbi-button-add').length"), 0, "there is but one");
    browser.value(&format!("fill({mask}, '0x00003F00')"));
    submit(router, browser, "not reloaded");
    browser.until("text('.alert-message').includes('mark_mask changes at a restart only')");
    pictures(browser, "config-refused");
    browser.value(&format!("fill({mask}, '')"));
    apply(router, browser);
    browser.until("all('.alert-message').length == 0");
}
