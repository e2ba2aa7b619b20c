'use strict';
'require view';
'require dom';
'require poll';
'require ui';
'require cheaproute.client as client';
'require cheaproute.format as format';
'require cheaproute.card as card';
'require cheaproute.meter as meter';

// Seconds between two looks at links and races, and how many of those pass from one look at the rest to the next.
const INTERVAL = 2;
const SELDOM = 5;

// In milliseconds.
const APART = 5000;

const RACES = 20;
const MEMORY = 50;

const table = (name, titles, rows, empty) => rows.length
	? E('table', { 'class': 'table cr-table', 'data-table': name }, [
		E('tr', { 'class': 'tr table-titles' }, titles.map((title) => E('th', { 'class': 'th' }, [ title ])))
	].concat(rows.map((row) => E('tr', { 'class': 'tr' }, row.map((cell, index) =>
		E('td', { 'class': 'td', 'data-title': titles[index] }, Array.isArray(cell) ? cell : [ cell ]))))))
	: E('p', { 'class': 'cr-empty' }, [ empty ]);

const ago = (seconds) => _('%s ago').format(format.span(seconds));

const outcome = (race) => {
	switch (race.outcome) {
	case 'won': return _('won by %s').format(race.link);
	case 'refused': return _('refused over %s').format(race.link);
	case 'running': return _('running');
	case 'fell back': return _('given to the best link');
	case 'no answer': return _('no answer');
	}
	return race.outcome;
};

// The first with its time, the others with how much later they were.
const answers = (race) => L.toArray(race.answers).map((answer, index, all) => index
	? '%s +%s'.format(answer.link, format.time(answer.us - all[0].us))
	: '%s %s'.format(answer.link, format.time(answer.us))).join(', ');

const shares = (policy, family) => {
	const links = L.toArray(policy[family]);
	if (links.length)
		return links.map((link) => link.percent == null ? link.link : '%s %d %%'.format(link.link, link.percent)).join(', ');
	const none = policy.ipv4.length || policy.ipv6.length ? _('no %s').format(family == 'ipv4' ? 'IPv4' : 'IPv6') : _('none up');
	return '%s: %s'.format(none, policy.last_resort == 'default' ? _('default route') : policy.last_resort);
};

const happened = (event) => {
	switch (event.event) {
	case 'link.up': return _('%s is up').format(event.link);
	case 'link.down': return _('%s is down').format(event.link);
	case 'peer.up': return _('peer %s is up').format(event.peer || event.link);
	case 'peer.down': return _('peer %s is down').format(event.peer || event.link);
	case 'reload': return _('configuration taken anew');
	case 'reload.failed': return _('configuration refused: the old one stays');
	}
	return event.event;
};

// A blank that does not break keeps an arrow with its figure.
const both = (down, up) => '↓\u00a0%s ↑\u00a0%s'.format(down, up);
const rates = ({ down, up }) => both(format.rate(down), format.rate(up));

// What a path was seen to carry, in bits a second.
const capacity = (path) => path.down_bps == null && path.up_bps == null ? null
	: _('at most %s').format(rates({ down: path.down_bps == null ? null : path.down_bps / 8, up: path.up_bps == null ? null : path.up_bps / 8 }));

// How much the day's clock shows more than the page's.
const ahead = () => Date.now() - performance.now();

const ways = {
	local: _('stays on the router'),
	main: _('goes by the main routing table'),
	drop: _('is dropped'),
	reject: _('is refused'),
	link: _('takes one link'),
	share: _('takes one of several links'),
	race: _('is raced')
};

return view.extend({
	load() {
		return client.may([ 'races', 'memory', 'why', 'probe', 'set_link' ]);
	},

	render(may) {
		this.may = may;
		this.cards = new Map();
		this.meters = new Map();
		this.turn = 0;
		this.ahead = ahead();
		this.notes = E('div', { 'class': 'cr-notes' });
		this.summary = E('p', { 'class': 'cr-summary' });
		this.links = E('div', { 'class': 'cr-cards' });
		this.boxes = {};

		const section = (name, title) => E('div', { 'class': 'cbi-section cr-section', 'data-section': name }, [
			E('h3', {}, [ title ]), this.boxes[name] = E('div', {})
		]);

		const page = E('div', { 'class': 'cr-page' }, [
			E('link', { 'rel': 'stylesheet', 'href': L.resource('cheaproute/cheaproute.css') }),
			E('h2', {}, [ _('Cheaproute') ]),
			this.notes,
			this.summary,
			this.links,
			may.why ? this.renderWhy() : '',
			may.races ? section('races', _('Last races')) : '',
			section('policies', _('Policies')),
			section('peers', _('Peers')),
			may.memory ? section('memory', _('Race memory')) : '',
			section('events', _('Events')),
			may.races ? '' : E('p', { 'class': 'cr-empty' }, [
				_('Which client connects where is shown to users who may configure cheaproute.')
			])
		]);

		poll.add(() => this.refresh(), INTERVAL);
		return this.refresh().then(() => page);
	},

	// Never fails: what is missing is said on the page.
	refresh() {
		const seldom = this.turn++ % SELDOM == 0;
		const ask = (wanted, method, ...args) => wanted ? L.resolveDefault(client[method](...args), null) : null;
		const failed = (error) => ({ error });
		return Promise.all([
			client.status().catch(failed),
			client.links().catch(failed),
			ask(this.may.races, 'races', RACES),
			ask(seldom, 'policies'),
			ask(true, 'peers'),
			ask(seldom, 'events'),
			ask(seldom && this.may.memory, 'memory', MEMORY)
		]).then(([ status, links, races, policies, peers, events, memory ]) => {
			// The page's clock stands still while the computer sleeps: nobody knows how long ago this was asked, or what was
			// known before.
			const parted = Math.abs(ahead() - this.ahead) > APART;
			this.ahead = ahead();
			if (parted) {
				this.meters.clear();
				this.cards.forEach((card) => card.forget());
				this.turn = 0;
				return;
			}
			// A daemon that comes back is looked at whole.
			if (status.error)
				this.turn = 0;
			this.showStatus(status, links.error);
			// What could not be asked for stays as it was; of a daemon that is gone, nothing does.
			if (status.error && format.gone(status.error)) {
				this.showLinks([]);
				Object.values(this.boxes).forEach((box) => dom.content(box, []));
				return;
			}
			if (!links.error)
				this.showLinks(L.toArray(links.links));
			this.show('races', races, (list) => this.renderRaces(list));
			this.show('policies', policies, (list) => this.renderPolicies(list));
			this.show('peers', peers, (list) => this.renderPeers(list));
			this.show('events', events, (list) => this.renderEvents(list));
			this.show('memory', memory, (list) => this.renderMemory(list));
		});
	},

	show(name, answer, render) {
		// What somebody marks stays until it is copied.
		const { anchorNode, focusNode, isCollapsed } = getSelection();
		const marked = !isCollapsed && [ anchorNode, focusNode ].some((node) => this.boxes[name].contains(node));
		if (L.isObject(answer) && !marked)
			dom.content(this.boxes[name], [ render(L.toArray(answer[name])) ]);
	},

	// `lacking`: why nothing is known of the links, if so.
	showStatus(status, lacking) {
		const notes = [];
		const note = (...parts) => notes.push(E('div', { 'class': 'alert-message warning' }, parts));
		if (status.error) {
			note(E('p', {}, [ format.failure(status.error) ]), format.gone(status.error) ? E('p', {}, [
				_('It starts with its service, under System, Startup. The system log says why it ended. Connections take the default route meanwhile.')
			]) : '');
			this.summary.textContent = '';
		}
		else {
			if (L.toArray(status.config_error).length)
				note(E('p', {}, [ _('The new configuration has faults: the old one stays in use.') ]), E('pre', {}, [ status.config_error.join('\n') ]));
			if (lacking)
				note(E('p', {}, [ _('Of its links, the daemon said nothing: %s').format(format.failure(lacking)) ]));
			this.summary.textContent = [
				_('%d of %d links up').format(status.links_up, status.links_total),
				_('%d races, %d won').format(status.races.started, status.races.won),
				_('%d in flight').format(status.races.in_flight),
				_('running for %s').format(format.span(status.uptime_s)),
				_('%s of memory').format(format.bytes(status.resident_bytes)),
				_('version %s').format(status.version)
			].join(' · ');
		}
		// What has not changed stays, and so does what somebody marked in it.
		const said = notes.map((one) => one.textContent).join('\n');
		if (said != this.said)
			dom.content(this.notes, notes);
		this.said = said;
	},

	showLinks(links) {
		const now = performance.now();
		const nodes = links.map((link) => {
			if (!this.cards.has(link.name))
				this.cards.set(link.name, new card.Card(link.name, this.may, () => this.refresh()));
			this.cards.get(link.name).update(link, now);
			return this.cards.get(link.name).node;
		});
		// Moving a node takes away its focus: only where the set of links or their order changed.
		if (nodes.length != this.links.childNodes.length || nodes.some((node, index) => node !== this.links.childNodes[index]))
			dom.content(this.links, nodes);
		for (const name of [ ...this.cards.keys() ])
			if (!links.some((link) => link.name == name))
				this.cards.delete(name);
		// Where a link came or went, the rest is not what it was.
		const states = links.map((link) => '%s %s'.format(link.name, link.state)).join();
		if (states != this.states)
			this.turn = 0;
		this.states = states;
	},

	renderRaces(races) {
		return table('races', [ _('When'), _('Client'), _('Server'), _('Answers'), _('Outcome') ], races.map((race) => [
			ago(race.age_ms / 1000), '%s %s'.format(race.protocol, race.client), race.server, answers(race) || '–', outcome(race)
		]), _('No connection was raced yet.'));
	},

	renderPolicies(policies) {
		const usesLinks = (policy) => policy.mode != 'blackhole' && policy.mode != 'unreachable';
		return table('policies', [ _('Policy'), _('Mode'), _('IPv4'), _('IPv6') ], policies.map((policy) => [
			policy.name,
			L.toArray(policy.reserve).reduce((cell, { link }) => cell.concat(E('div', {}, [ _('%s: metered, left out').format(link) ])), [ policy.mode ]),
			usesLinks(policy) ? shares(policy, 'ipv4') : '–', usesLinks(policy) ? shares(policy, 'ipv6') : '–'
		]), _('There is no policy.'));
	},

	renderPeers(peers) {
		const now = performance.now();
		const meters = new Map();
		const rate = (key, counted) => {
			const one = this.meters.get(key) || new meter.Meter();
			meters.set(key, one);
			return rates(one.look(now, counted.rx_bytes, counted.tx_bytes));
		};
		// A line for each path: its state or round trip, queue, loss and rates; what was lost or mixed, where anything was.
		const path = (name, path) => E('div', { 'class': 'cr-path', 'data-path': path.name }, [
			path.name + ': ' + (path.state == 'up' ? [
				format.time(path.rtt_us),
				_('queue %s').format(format.time(path.queue_us)),
				format.loss(path.loss_permille),
				rate(name + '/' + path.name, path),
				capacity(path),
				path.retransmitted ? _('%d sent again').format(path.retransmitted) : null,
				path.reordered ? _('%d reordered').format(path.reordered) : null
			].filter((text) => text).join(' · ') : format.state(path.state))
		]);
		const row = (remote, name, more = '') => [
			[ name, more ],
			[
				'%s, %s'.format(format.state(remote.state), _('for %s').format(format.span(remote.since_s))),
				remote.state != 'up' && remote.reason ? E('div', { 'class': 'cr-reason' }, [ remote.reason ]) : ''
			],
			remote.endpoint || '–',
			[
				rate(name, remote),
				E('div', { 'class': 'cr-reason' }, [ _('%s in all').format(both(format.bytes(remote.rx_bytes), format.bytes(remote.tx_bytes))) ])
			],
			_('%d repaired, %d reordered, %d given up').format(remote.repaired, remote.reordered, remote.given_up),
			L.toArray(remote.paths).map((one) => path(name, one))
		];
		// Of very many clients, the daemon tells of some.
		const left = (peer) => {
			const count = peer.clients_total - L.toArray(peer.clients).length;
			return count > 0 ? [ [ '%s / …'.format(peer.name), _('%d more clients, not shown').format(count), '–', '–', '–', '–' ] ] : [];
		};
		const rows = peers.flatMap((peer) => [
			row(peer, '%s (%s)'.format(peer.name, peer.device), peer.public_key ? E('div', { 'class': 'cr-reason cr-own' }, [
				_('public key of this end:'), ' ', peer.public_key
			]) : '')
		].concat(L.toArray(peer.clients).map((client) => row(client, '%s / %s'.format(peer.name, client.name))), left(peer)));
		this.meters = meters;
		return table('peers', [ _('Peer'), _('State'), _('Other end'), _('Traffic'), _('Packets'), _('Paths') ], rows, _('No peer is configured.'));
	},

	renderEvents(events) {
		return table('events', [ _('When'), _('What'), _('Why') ], events.slice(0, RACES).map((event) => [
			ago(event.age_s), happened(event), event.reason || '–'
		]), _('Nothing happened yet.'));
	},

	renderMemory(memory) {
		return table('memory', [ _('Destination'), _('Service'), _('Fastest'), _('Round trips'), _('Raced') ], memory.map((entry) => [
			entry.destination, entry.port ? '%s %d'.format(entry.protocol, entry.port) : entry.protocol, entry.link || '–',
			L.toArray(entry.links).map((link) => '%s %s'.format(link.link, format.time(link.rtt_us))).join(', ') || '–',
			entry.age_s == null ? '–' : ago(entry.age_s)
		]), _('Nothing is remembered yet.'));
	},

	renderWhy() {
		const address = E('input', { 'class': 'cbi-input-text', 'type': 'text', 'aria-label': _('Address'), 'placeholder': '198.51.100.7' });
		const port = E('input', { 'class': 'cbi-input-text cr-port', 'type': 'number', 'min': 1, 'max': 65535, 'aria-label': _('Port'), 'value': '443' });
		const protocol = E('select', { 'class': 'cbi-input-select', 'aria-label': _('Protocol') },
			[ 'tcp', 'udp', 'icmp' ].map((name) => E('option', { 'value': name }, [ name ])));
		const result = E('div', { 'class': 'cr-why', 'role': 'status' });
		const ask = (to) => client.why(to, protocol.value, protocol.value == 'icmp' ? undefined : +port.value)
			.then((answer) => dom.content(result, L.toArray(answer.answers).map((found) => this.renderAnswer(found))))
			.catch((error) => dom.content(result, [ format.failure(error) ]));
		// A name may mean other addresses to the device that asked for it.
		const submit = (event) => {
			const to = address.value.trim();
			event.preventDefault();
			if (/^[\d.]+$/.test(to) || to.includes(':'))
				return ask(to);
			return dom.content(result, [ _('Enter an IP address. Names are not looked up here: they may mean other addresses to other devices.') ]);
		};

		return E('div', { 'class': 'cbi-section cr-section', 'data-section': 'why' }, [
			E('h3', {}, [ _('Why this link?') ]),
			E('p', {}, [ _('Which link a new connection to an address would take now, and why.') ]),
			E('form', { 'class': 'cr-ask', submit }, [ address, port, protocol, E('button', { 'class': 'btn cbi-button cbi-button-action', 'type': 'submit' }, [ _('Ask') ]) ]),
			result
		]);
	},

	renderAnswer(found) {
		const links = L.toArray(found.links).map((link) =>
			link.percent == null ? link.name : '%s %d %%'.format(link.name, link.percent)).join(', ');
		return E('div', {}, [
			E('p', {}, [ E('strong', {}, [ [ found.to, ways[found.way] || found.way, links || found.route ].filter((text) => text).join(' · ') ]) ]),
			E('ul', {}, L.toArray(found.reasons).map((reason) => E('li', {}, [ reason ])))
		]);
	},

	handleSave: null,
	handleSaveApply: null,
	handleReset: null
});
