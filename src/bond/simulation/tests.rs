//! The world by itself: with trivial ends it does what networks do.

use super::bulk::Bulk;
use super::congestion::Control;
use super::ends::Dealer;
use super::link::percent;
use super::report::Report;
use super::streams::{Ping, Voice};
use super::world::{Plan, World};
use super::{CLIENT, SERVER};

fn measured(plan: &Plan, paths: &[(u8, i64)], control: Control) -> Report {
    let bare = paths.len() == 1;
    let mut world = World::new(plan, &|side, _| {
        Box::new(if bare { Dealer::bare(side, paths[0].0) } else { Dealer::new(side, paths) })
    });
    world.add(|app| Bulk::new(app, SERVER, control));
    world.add(Ping::new);
    world.run_ms(2_000);
    world.mark();
    world.run_ms(8_000);
    world.report()
}

#[test]
fn a_link_alone_is_filled() {
    for control in [Control::Cubic, Control::Bbr] {
        let plan = Plan::new(&[(75, 10)]);
        let report = measured(&plan, &[(0, 1)], control);
        println!("{control:?} {} {report:?}", report.share(75_000_000));
    }
}

#[test]
fn naive_spreading() {
    for (name, plan) in [
        ("75@20+25@60", Plan::new(&[(75, 10), (25, 30)])),
        ("lossy", Plan::new(&[(75, 10), (25, 30)]).both(1, |way| way.loss = percent(1.0))),
        ("tbf", Plan::new(&[(75, 0), (25, 0)])),
    ] {
        for control in [Control::Cubic, Control::Bbr] {
            let report = measured(&plan, &[(0, 3), (1, 1)], control);
            println!("{name} {control:?} {} {report:?}", report.share(100_000_000));
        }
    }
}

#[test]
fn a_voice_is_heard() {
    let plan = Plan::new(&[(10, 10)]).both(0, |way| way.loss = percent(2.0));
    let mut world = World::new(&plan, &|side, _| Box::new(Dealer::bare(side, 0)));
    world.add(|app| Voice::new(app, CLIENT));
    world.run_ms(10_000);
    world.stop();
    world.run_ms(1_000);
    println!("{:?}", world.report());
}
