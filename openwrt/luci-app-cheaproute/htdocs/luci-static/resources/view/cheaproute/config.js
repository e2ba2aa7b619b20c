'use strict';
'require view';
'require dom';
'require form';
'require poll';
'require rpc';
'require ui';
'require uci';
'require cheaproute.check as check';
'require cheaproute.client as client';
'require cheaproute.fields as fields';
'require cheaproute.format as format';
'require cheaproute.options as options';
'require cheaproute.together as together';

const interfaces = rpc.declare({ object: 'network.interface', method: 'dump', expect: { 'interface': [] } });

// Sections that the daemon does not know yet are not shown; those without columns here show their first options.
const kinds = {
	cheaproute: { title: _('General') },
	link: { title: _('Links'), columns: [ 'enabled', 'interface', 'probe', 'weight' ] },
	policy: { title: _('Policies'), columns: [ 'mode', 'link', 'last_resort' ] },
	rule: { title: _('Rules'), columns: [ 'enabled', 'proto', 'src_ip', 'dest_ip', 'dest_port', 'policy' ] },
	peer: { title: _('Peers'), columns: [ 'enabled', 'role', 'endpoint', 'device', 'scheduler' ] },
	client: { title: _('Clients'), columns: [ 'enabled', 'peer', 'allowed_ips' ] },
	split: { title: _('Splits') }
};

// A link has more options than a page is long.
const tabs = {
	general: [ _('General'), [ 'enabled', 'interface', 'device', 'gateway', 'gateway6', 'weight', 'metric', 'metered' ] ],
	health: [ _('Health'), [ 'probe', 'interval', 'timeout', 'down', 'up', 'reliability', 'loss_down', 'loss_up', 'latency_down', 'latency_up' ] ],
	more: [ _('More'), [] ]
};

const names = (kind) => uci.sections('cheaproute', kind).map((section) => section['.name']);

const peers = (role) => uci.sections('cheaproute', 'peer').filter((peer) => (peer.role || 'client') == role).map((peer) => peer['.name']);

// Seconds between two looks at what the daemon makes of the configuration: it takes it a moment after it was applied.
const INTERVAL = 5;

// Sections without a name have one of UCI's making.
const called = (section_id) => /^(cfg[0-9a-f]{6}|new[0-9a-f]{6})$/.test(section_id) ? _('(unnamed)') : section_id;

const refuse = (text) => {
	ui.addNotification(null, E('p', {}, [ text ]), 'warning');
};

// Options that name sections: whose they are, and what they name.
const references = [
	[ 'policy', 'link', 'link' ], [ 'peer', 'link', 'link' ], [ 'rule', 'policy', 'policy' ], [ 'policy', 'peer', 'peer' ], [ 'client', 'peer', 'peer' ]
];

// Which sections name this one.
const users = (kind, name) => references.filter(([ , , named ]) => named == kind).flatMap(([ by, option ]) =>
	uci.sections('cheaproute', by).filter((section) => together.words(section[option]).includes(name)));

// What the other end must have.
const shared = {
	private_key: (keys) => _('The other end needs this public key: %s').format(keys.public_key),
	preshared_key: () => _('The other end needs the same key: show it, and copy it there.')
};

// Secret keys are not shown; a button makes one. The key comes from the router, over the session that will save it.
const addKeys = (section, field, option) => {
	const say = shared[option.name];
	if (!say)
		return;
	field.password = true;
	const button = section.option(form.Button, '_' + option.name, _('New key'));
	button.modalonly = true;
	button.inputtitle = _('Generate');
	button.onclick = function(event, section_id) {
		const place = event.target.closest('.cbi-value-field');
		return client.genkey().then((keys) => {
			const element = this.section.getUIElement(section_id, option.name);
			element.setValue(keys.private_key);
			element.triggerValidation();
			return say(keys);
		}).catch((error) => [
			_('No key was made: %s').format(format.failure(error)),
			format.gone(error) ? _('Keys are made by the daemon: enable it under General, and apply, first.') : ''
		].join(' ')).then((text) => {
			// Beside the button: a notification is behind the dialogue.
			const said = place.querySelector('.cr-key') || place.appendChild(E('p', { 'class': 'cr-key', 'role': 'status' }));
			said.textContent = text;
		});
	};
};

return view.extend({
	load() {
		return Promise.all([ L.resolveDefault(interfaces(), []), uci.load('cheaproute') ]);
	},

	render([ known ]) {
		const map = new form.Map('cheaproute', _('Cheaproute'),
			_('New connections race over all links, and the link that answers first carries them.'));
		map.tabbed = true;

		const used = known.filter((entry) => entry.interface != 'loopback');
		this.interfaces = used.map((entry) => entry.interface);
		this.devices = [ ...new Set(used.map((entry) => entry.l3_device).filter((device) => device)) ];

		options.kinds.forEach((kind) => kind.name == 'cheaproute' ? this.addMain(map, kind) : this.addGrid(map, kind));

		this.notes = E('div', { 'class': 'cr-notes' });
		poll.add(() => this.refresh(), INTERVAL);
		return Promise.all([ map.render(), this.refresh() ]).then(([ nodes ]) => E('div', { 'class': 'cr-form' }, [
			E('link', { 'rel': 'stylesheet', 'href': L.resource('cheaproute/cheaproute.css') }),
			this.notes,
			nodes
		]));
	},

	// Never fails: says what the daemon makes of the configuration, where that is not all well.
	refresh() {
		const off = uci.sections('cheaproute', 'cheaproute').some((main) => check.truth(main.enabled) === false);
		return client.status().then((status) => {
			const faults = L.toArray(status.config_error);
			return faults.length ? [ 'pre', _('The daemon refused what was applied last, and goes on with what it had:'), faults.join('\n') ] : [];
		}, (error) => [ 'p', format.failure(error), !format.gone(error) ? '' : off ? _('It is not enabled: see General.')
			: _('The system log says why. It does not start while the configuration has faults.') ]
		).then(([ tag, text, more ]) => {
			// What has not changed stays, and so does what somebody marked in it.
			if (this.said == text + more)
				return;
			this.said = text + more;
			dom.content(this.notes, tag ? [ E('div', { 'class': 'alert-message warning' }, [ E('p', {}, [ text ]), E(tag, {}, [ more ]) ]) ] : []);
		});
	},

	addMain(map, kind) {
		const section = map.section(form.TypedSection, kind.name, kinds[kind.name].title, fields.escaped(kind.doc));
		section.anonymous = true;
		section.addremove = names(kind.name).length == 0;
		// The daemon knows it by this name alone, and only one.
		section.handleAdd = function(event) {
			this.addremove = false;
			return form.TypedSection.prototype.handleAdd.call(this, event, 'main');
		};
		kind.options.forEach((option) => fields.add(section, option, this.choices(kind, option)));
	},

	addGrid(map, kind) {
		const { title = kind.name, columns = kind.options.slice(0, 3).map((option) => option.name) } = kinds[kind.name] || {};
		const section = map.section(form.GridSection, kind.name, title, fields.escaped(kind.doc));
		section.addremove = true;
		section.sortable = true;
		section.nodescriptions = true;
		section.sectiontitle = called;
		// LuCI takes it for HTML.
		section.modaltitle = (section_id) => '%s: %h'.format(title, called(section_id));

		// Sections of all kinds share their names.
		section.handleAdd = function(event, name) {
			if (uci.get('cheaproute', name))
				return refuse(_('There is a section called %s already; choose another name.').format(name));
			return form.GridSection.prototype.handleAdd.call(this, event, name);
		};
		section.handleRemove = function(section_id, event) {
			const by = users(kind.name, section_id);
			if (by.length)
				return refuse(_('%s is still used by %s: change that first.').format(section_id, by.map((user) => called(user['.name'])).join(', ')));
			// What may not be disabled may not go either.
			const get = (option) => option == 'enabled' ? '0' : uci.get('cheaproute', section_id, option);
			const fault = together.fault(kind.name, 'enabled', section_id, get, (kind) => uci.sections('cheaproute', kind));
			if (fault && check.truth(uci.get('cheaproute', section_id, 'enabled')) !== false)
				return refuse(fault);
			return form.GridSection.prototype.handleRemove.call(this, section_id, event);
		};

		const tabbed = kind.name == 'link';
		if (tabbed)
			Object.keys(tabs).forEach((tab) => section.tab(tab, tabs[tab][0]));
		kind.options.forEach((option) => {
			const tab = tabbed ? Object.keys(tabs).find((tab) => tabs[tab][1].includes(option.name)) || 'more' : null;
			const field = fields.add(section, option, { ...this.choices(kind, option), tab, column: columns.includes(option.name) });
			addKeys(section, field, option);
			// A link stands for an interface, if need be that of its own name, or for a device.
			if (tabbed && option.name == 'interface')
				field.textvalue = (section_id) => E('span', {}, [ uci.get('cheaproute', section_id, 'interface')
					|| uci.get('cheaproute', section_id, 'device') || section_id ]);
		});
	},

	choices(kind, option) {
		switch (option.name) {
		case 'interface':
			return { choices: () => this.interfaces };
		case 'link':
			// With transport ethernet a peer's are devices.
			return { choices: () => option.shape == 'name' ? names('link') : [ ...names('link'), ...this.devices ], only: option.shape == 'name' };
		case 'peer':
			return { choices: () => peers(kind.name == 'client' ? 'server' : 'client'), select: true };
		case 'policy':
			// Without any, the daemon has one of this name.
			return { choices: () => names('policy').length ? names('policy') : [ 'fastest' ], only: true };
		}
		return option.shape == 'device' ? { choices: () => this.devices } : {};
	}
});
