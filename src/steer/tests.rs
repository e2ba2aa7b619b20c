use super::*;
use crate::config;
use crate::link::Side;
use crate::time::Span;

const SAMPLE: &str = "
config cheaproute 'main'
config link 'wan'
	option device 'wan1'
	list prefix '2001:db8:1::/56'
config link 'wanb'
	option device 'wan2'
	option weight '3'
config link 'lte'
	option device 'wan3'
	option metered '1'
config policy 'fastest'
config policy 'spread'
	option mode 'weighted'
config policy 'no'
	option mode 'unreachable'
config rule 'voip'
	option policy 'spread'
	list proto udp
	list dest_port '5060'
	list dest_port '10000-20000'
	list dest_ip '192.0.2.0/24'
	list dest_ip '2001:db8:9::/48'
	option src_device 'br-lan'
config rule 'films'
	option policy 'no'
	option nftset 'films'
	list src_ip '192.168.1.0/24'
";

pub(crate) fn links(config: &config::Config) -> Vec<Link> {
    config
        .links
        .iter()
        .zip(1..)
        .map(|(link, number)| Link {
            id: LinkId::new(number).unwrap(),
            name: link.name.clone(),
            device: format!("wan{number}"),
            ifindex: u32::from(number) + 10,
            ipv4: Some(Side { address: [203, 0, 113, number].into(), gateway: None }),
            ipv6: (number != 2).then_some(Side { address: "2001:db8::1".parse().unwrap(), gateway: None }),
            mtu: 1500,
            weight: link.weight,
            metric: link.metric,
            metered: link.metered,
            handicap: Span::ZERO,
            delegated: Vec::new(),
            up: true,
        })
        .collect()
}

#[test]
fn dump() {
    let (config, _) = config::read(SAMPLE).unwrap();
    let links = links(&config);
    let direct = ["10.0.0.0/8".parse().unwrap(), "10.1.0.0/16".parse().unwrap(), "fe80::/64".parse().unwrap()];
    for queueing in [Queueing::Xtables, Queueing::Nft] {
        let plan = Plan { config: &config, links: &links, queueing, direct: &direct, races: 1000 };
        let rules = ruleset(&plan);
        std::fs::write(format!("/tmp/probe/{queueing:?}.nft"), rules.fresh()).unwrap();
        std::fs::write(format!("/tmp/probe/{queueing:?}.after.nft"), rules.after(&rules)).unwrap();
    }
    std::fs::write("/tmp/probe/xt", xtables(Default::default(), 1).0.join("\n")).unwrap();
}
