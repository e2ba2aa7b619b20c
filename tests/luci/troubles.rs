//! What the pages make of a router that does not answer, a daemon that does not run, and a computer that slept.

use std::fs;

use super::browser::Browser;
use super::pages::{Router, pictures};
use super::rights::ADMIN;

/// What could not be asked for, or is marked, stays; and nothing is said of the daemon that is not known.
pub fn unanswered(browser: &mut Browser) {
    let note = "all('.cr-notes').map((node) => node.textContent).join()";
    let fail = |browser: &mut Browser, methods: &str, why: &str| {
        let reject = format!("() => Promise.reject(new Error('{why}\\n  at innards'))");
        browser.value(&format!(
            "L.require('cheaproute.client').then((client) => {{ for (const name of {methods}) client[name] = {reject}; }})"
        ));
    };
    browser.value("window.kept = all('.cr-card, .cr-table')");
    for (why, said) in [
        ("XHR request timed out", "The router does not answer."),
        ("RPC call to cheaproute/status failed with error -32002: Access denied", "You may not do this."),
    ] {
        fail(browser, "[ 'status', 'links', 'races', 'policies', 'peers', 'events', 'memory' ]", why);
        browser.until(&format!("{note} == '{said}'"));
        browser.value("window.note = document.querySelector('.cr-notes').firstChild; window.since = Date.now()");
        browser.until("Date.now() - since > 2500");
        assert_eq!(browser.value("kept.concat(note).every((node) => node.isConnected)"), true, "{said}");
    }
    fail(browser, "[ 'status', 'links' ]", "");
    browser.value("L.require('cheaproute.client').then((client) => { delete client.status; })");
    browser.until(&format!("{note}.startsWith('Of its links, the daemon said nothing')"));
    browser.value(
        "L.require('cheaproute.client').then((client) => Object.keys(client).forEach((name) => delete client[name]))",
    );
    browser.until(&format!("{note} == ''"));
    assert_eq!(browser.value("kept.every((node) => node.isConnected || !node.matches('.cr-card'))"), true);

    browser.value("getSelection().selectAllChildren(document.querySelector('[data-table=races] .td'))");
    browser.value("window.marked = String(getSelection()); window.since = Date.now()");
    browser.until("Date.now() - since > 4500");
    assert_eq!(browser.value("marked.length > 0 && String(getSelection()) == marked"), true);
    browser.value("getSelection().removeAllRanges()");
    browser.until("!text('[data-table=races]').includes(marked)");
}

/// While a computer sleeps, the page's clock stands still, and the router counts on.
pub fn asleep(browser: &mut Browser) {
    let down = "text('[data-link=wan1] .cr-figure-down .cr-value')";
    browser.until(&format!("/bit/.test({down}) && /bit/.test(text('[data-table=peers]'))"));
    browser.value(
        "L.require('cheaproute.client').then((client) => {
            const now = Date.now, counted = client.links;
            client.links = () => counted().then((answer) => (answer.links.forEach((link) => link.rx_bytes += 1e12), answer));
            Date.now = () => now() + 8 * 3600000;
            window.peak = 0;
            new MutationObserver(() => peak += /[GT]bit/.test(text('[data-link=wan1]'))).observe(
                document.querySelector('[data-link=wan1]'), { subtree: true, childList: true, characterData: true });
        })",
    );
    browser.until(&format!("{down} == '–'"));
    browser.until(&format!("/bit/.test({down})"));
    assert_eq!(browser.value("peak"), 0);
    browser.value("L.require('cheaproute.client').then((client) => { delete client.links; })");
    browser.until(&format!("{down} == '–'"));
}

/// What is wrong is said on the pages: a configuration with faults, and then no daemon at all.
pub fn faults(router: &mut Router, browser: &mut Browser) {
    let good = fs::read_to_string(&router.file).unwrap();
    let note = "text('.alert-message')";
    router.open(browser, "cheaproute/config", ADMIN);
    browser.until("all('.cbi-map tr[data-sid]').length >= 3");
    assert_eq!(browser.value("all('.alert-message').length"), 0);
    // The page is open while it happens.
    router.bed.daemon.reload(&good.replace("'3'", "'<img src=/none>'"), "not reloaded");
    browser.until(&format!("{note}.includes('weight') && {note}.includes('<img src=/none>')"));
    assert_eq!(browser.value("all('img').length"), 0);
    router.open(browser, "cheaproute/status", ADMIN);
    browser.until(&format!("{note}.includes('weight') && text('[data-table=events]').includes('<img')"));
    browser.until("all('.cr-card').length == 2");
    assert_eq!(browser.value("all('img').length"), 0);

    router.bed.daemon.stop();
    browser.until(&format!("{note}.includes('does not run')"));
    browser.until("all('.cr-card, .cr-table').length == 0");
    assert_eq!(browser.value(&format!("{note}.includes('System, Startup')")), true);
    router.open(browser, "cheaproute/config", ADMIN);
    browser.until(&format!("{note}.includes('does not run') && {note}.includes('system log')"));
    pictures(browser, "config-stopped");
    // Keys are the daemon's work: said where it was asked for, in front of the dialogue.
    browser.value("click('tr[data-sid=vps] .cbi-button-edit')");
    browser.until("dialog()");
    browser.value("click(field('vps', '_private_key') + ' button')");
    let said = "text('.modal .cr-key')";
    browser.until(&format!("{said}.includes('does not run') && {said}.includes('enable it under General')"));
    assert_eq!(browser.value(&format!("/RPC| at /.test({said})")), false);
}
