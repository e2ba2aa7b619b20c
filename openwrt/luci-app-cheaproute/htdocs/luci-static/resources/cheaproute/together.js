'use strict';
'require baseclass';
'require cheaproute.check as check';

// What only shows when options are seen together, or sections beside each other, and makes the daemon refuse the whole file.
// As in check.js, nothing that it accepts may be refused here; what it takes sums of, such as how many links there are, it
// alone tells.

const words = (value) => (Array.isArray(value) ? value : [ value ?? '' ]).flatMap((item) => String(item).split(/[\s,]+/)).filter((item) => item);

// A section as the rules below see it.
class Section {
	constructor(kind, name, get, sections) {
		Object.assign(this, { kind, name, get, sections });
	}

	text(option) {
		return String(this.get(option) ?? '');
	}

	list(option) {
		return words(this.get(option));
	}

	is(option, word, usual) {
		return (this.text(option) || usual) == word;
	}

	get used() {
		return check.truth(this.text('enabled')) !== false;
	}

	// All other sections of a kind.
	others(kind) {
		return this.sections(kind).filter((other) => kind != this.kind || other['.name'] != this.name)
			.map((other) => new Section(kind, other['.name'], (option) => other[option], this.sections));
	}

	// Another section of its own kind that is used beside this one.
	beside(holds) {
		return this.used ? this.others(this.kind).find((other) => other.used && holds(other)) : null;
	}
}

const CLIENT = [ 'role', 'client', 'client' ];
const SERVER = [ 'role', 'server', 'client' ];
const UDP = [ 'transport', 'udp', 'udp' ];
const ETHERNET = [ 'transport', 'ethernet', 'udp' ];
const AGGREGATE = [ 'mode', 'aggregate', 'race' ];

const MAX_TARGETS = 8;

const taken = (other, text) => other ? text.format(other.name) : null;
const byLink = (other) => taken(other, _('Link %s has this already.'));
const byPeer = (other) => taken(other, _('Peer %s has this already.'));
const byClient = (other) => taken(other, _('Client %s has this already.'));

const within = (a, b) => a != null && b != null && (a.startsWith(b) || b.startsWith(a));
const overlap = (some, others) => some.some((one) => others.some((other) => within(check.bits(one), check.bits(other))));
const twice = (list) => list.some((item, index) => list.indexOf(item) != index) ? _('The same one is here twice.') : null;

const four = (prefix) => (check.bits(prefix) || '')[0] == '4';

// The port that a link is.
const port = (link) => link.text('device') ? 'device ' + link.text('device') : link.text('interface') || link.name;
const samePort = (link) => byLink(link.beside((other) => port(other) == port(link)));

const gateway = (link) => link.text('device') ? null : _('Only a link that is given by its device has one: netifd knows those of interfaces.');

const ported = (rule) => rule.list('proto').length && rule.list('proto').every((name) => /^(tcp|udp|6|17)$/i.test(name)) ? null
	: _('Only TCP and UDP have ports: name one of them or both under Protocols.');

const strange = (rule, option) => {
	const family = rule.text('family') || 'any';
	return family != 'any' && rule.list(option).some((prefix) => four(prefix) != (family == 'ipv4')) ? _('An address is not of the rule\'s family.') : null;
};

const apart = (rule) => {
	const has = (option, wanted) => !rule.list(option).length || rule.list(option).some((prefix) => four(prefix) == wanted);
	return [ true, false ].some((wanted) => has('src_ip', wanted) && has('dest_ip', wanted)) ? null
		: _('Clients\' and servers\' addresses are of different families.');
};

const socket = (split, option) => check.socket(split.text(option));
const sameSocket = (a, b) => a != null && b != null && a.port == b.port && check.bits(a.host) == check.bits(b.host);
const collides = (split, side, option) => split.is('side', side) ? taken(
	split.beside((other) => other.is('side', side) && sameSocket(socket(other, option), socket(split, option))),
	_('Split %s has this already.')) : null;

const needsLinks = (peer) => peer.is(...CLIENT) && peer.is(...UDP);

// Other clients of the same server, and the one that its own section may tell of.
const fellows = (client) => [
	...client.others('client').filter((other) => other.used && other.text('peer') == client.text('peer')),
	...client.others('peer').filter((peer) => peer.name == client.text('peer') && peer.used && peer.is(...SERVER) && peer.text('public_key'))
];

const allowed = (other) => other.kind == 'peer' && !other.list('allowed_ips').length ? other.list('address') : other.list('allowed_ips');

// By kind of section, and by the option that a fault is told at; nothing if there is none.
const rules = {
	cheaproute: {
		lan_device: (main) => byLink(main.others('link').find((link) => link.used && main.list('lan_device').includes(link.text('device'))))
	},
	link: {
		enabled: (link) => {
			const peers = link.others('peer').filter((peer) => peer.used);
			const idle = link.others('cheaproute').some((main) => !main.used) || (peers.length && !peers.some(needsLinks));
			return link.used || idle || link.others('link').some((other) => other.used) ? null : _('One link must be enabled.');
		},
		interface: (link) => link.text('device') ? null : samePort(link),
		device: (link) => !link.text('device') ? null
			: link.text('interface') ? _('Give either an interface or a device, not both.')
			: link.used && link.others('cheaproute').some((main) => main.list('lan_device').includes(link.text('device'))) ? _('This is a LAN device, under General.')
			: samePort(link),
		gateway: (link) => link.text('gateway') ? gateway(link) : null,
		gateway6: (link) => link.text('gateway6') ? gateway(link) : null,
		prefix: (link) => byLink(link.beside((other) => overlap(link.list('prefix'), other.list('prefix')))),
		probe: (link) => link.list('probe').length > MAX_TARGETS ? _('There may be %d.').format(MAX_TARGETS) : null,
		reliability: (link) => link.list('probe').length && +link.text('reliability') > link.list('probe').length ? _('There are fewer hosts to probe.') : null,
		loss_up: (link) => link.text('loss_down') && +link.text('loss_up') > +link.text('loss_down') ? _('More than what takes the link down.') : null,
		latency_up: (link) => check.time(link.text('latency_up')) > check.time(link.text('latency_down')) ? _('More than what takes the link down.') : null
	},
	policy: {
		link: (policy) => twice(policy.list('link')),
		peer: (policy) => !policy.is(...AGGREGATE) ? null
			: !policy.text('peer') ? _('Mode aggregate needs the peer that connections go to.')
			: policy.others('peer').some((peer) => peer.name == policy.text('peer') && peer.is(...CLIENT)) ? null
			: _('There is no peer %s of role client.').format(policy.text('peer')),
		sticky: (policy) => policy.is('mode', 'race', 'race') && check.time(policy.text('sticky')) > 0
			? _('A race decides each connection anew: take mode weighted or failover.') : null
	},
	rule: {
		proto: (rule) => rule.list('proto').length > 1 && rule.list('proto').some((name) => /^all$/i.test(name)) ? _('All stands alone.') : null,
		src_port: (rule) => rule.list('src_port').length ? ported(rule) : null,
		dest_port: (rule) => rule.list('dest_port').length ? ported(rule) : null,
		src_ip: (rule) => strange(rule, 'src_ip'),
		dest_ip: (rule) => strange(rule, 'dest_ip') || apart(rule)
	},
	split: {
		primary: (split) => collides(split, 'sender', 'primary'),
		secondary: (split) => {
			const [ first, second ] = [ socket(split, 'primary'), socket(split, 'secondary') ];
			if (!split.used || !first || !second)
				return null;
			return four(first.host) != four(second.host) ? _('Both must be IPv4, or both IPv6.')
				: check.bits(first.host) == check.bits(second.host) ? _('Each path needs its own address.')
				: collides(split, 'receiver', 'secondary');
		}
	},
	peer: {
		role: (peer) => {
			const named = (kind, ...holds) => peer.others(kind).find((other) => other.text('peer') == peer.name && (!holds.length || other.is(...holds)));
			return peer.is(...SERVER) ? taken(named('policy', ...AGGREGATE), _('Policy %s needs it as a client.'))
				: taken(named('client'), _('Client %s needs it as a server.'));
		},
		private_key: (peer) => peer.text('private_key') || peer.text('private_key_file') ? null : _('It needs one: generate it, or name its file.'),
		private_key_file: (peer) => peer.text('private_key') && peer.text('private_key_file') ? _('Give either a key or its file, not both.') : null,
		public_key: (peer) => !peer.text('public_key') ? (peer.is(...CLIENT) ? _('It needs the server\'s.') : null)
			: peer.text('public_key') == peer.text('private_key') ? _('This is the private key of this end.') : null,
		preshared_key: (peer) => !peer.text('preshared_key') ? null
			: [ 'private_key', 'public_key' ].some((option) => peer.text(option) == peer.text('preshared_key')) ? _('It must be a key of its own.')
			: peer.is(...SERVER) && !peer.text('public_key') ? _('It needs the public key of the other end; other clients\' belong into their sections.') : null,
		allowed_ips: (peer) => peer.is(...SERVER) && peer.list('allowed_ips').length && !peer.text('public_key')
			? _('It needs the public key of the other end; other clients\' belong into their sections.') : null,
		endpoint: (peer) => needsLinks(peer) && !peer.list('endpoint').length ? _('Where the server is must be said.') : null,
		listen_port: (peer) => !peer.text('listen_port') ? (peer.is(...SERVER) && peer.is(...UDP) ? _('A server needs one.') : null)
			: byPeer(peer.beside((other) => +other.text('listen_port') == +peer.text('listen_port'))),
		link: (peer) => {
			const named = peer.list('link');
			const missing = needsLinks(peer) ? named.find((name) => !peer.others('link').some((link) => link.name == name)) : null;
			return peer.is(...ETHERNET) && !named.length ? _('Transport ethernet needs the local devices.')
				: missing ? _('There is no %s.').format(missing) : twice(named);
		},
		remote_mac: (peer) => {
			const [ macs, links ] = [ peer.list('remote_mac').length, peer.list('link').length ];
			if (!peer.is(...ETHERNET) || !links)
				return null;
			return macs ? (macs != links ? _('There must be one for each of the links.') : null)
				: peer.is(...CLIENT) ? _('A client needs the server\'s, one for each of the links.') : null;
		},
		device: (peer) => peer.text('device') ? byPeer(peer.beside((other) => other.text('device') == peer.text('device'))) : null,
		address: (peer) => byPeer(peer.beside((other) => overlap(peer.list('address'), other.list('address'))))
	},
	client: {
		peer: (client) => client.others('peer').some((peer) => peer.name == client.text('peer') && peer.is(...SERVER)) ? null
			: _('There is no peer %s of role server.').format(client.text('peer')),
		public_key: (client) => client.used ? byClient(fellows(client).find((other) => other.text('public_key') == client.text('public_key'))) : null,
		allowed_ips: (client) => {
			const own = client.list('allowed_ips').map(check.bits);
			const has = (other) => allowed(other).some((prefix) => own.includes(check.bits(prefix)));
			return client.used ? twice(own) || byClient(fellows(client).find(has)) : null;
		}
	}
};

return baseclass.extend({
	words,

	// What is wrong with an option of the section `name`, whose values `get` tells; null if nothing is. `sections` tells UCI's
	// sections of a kind.
	fault(kind, option, name, get, sections) {
		const rule = (rules[kind] || {})[option];
		return rule ? rule(new Section(kind, name, get, sections)) || null : null;
	}
});
