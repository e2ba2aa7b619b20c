'use strict';
'require baseclass';
'require form';
'require uci';
'require cheaproute.check as check';
'require cheaproute.together as together';

// Fields of LuCI's forms for options of the daemon's table.

// An option that has no title yet goes by its own name.
const titles = {
	enabled: _('Enabled'),
	log_level: _('Log level'),
	mark_mask: _('Mark mask'),
	local_traffic: _('The router\'s own connections'),
	translate_ipv6: _('Global IPv6 addresses are translated'),
	lan_device: _('LAN devices'),
	race_ports_udp: _('Raced UDP ports'),
	hook: _('Script'),
	interface: _('Interface'),
	device: _('Device'),
	gateway: _('IPv4 gateway'),
	gateway6: _('IPv6 gateway'),
	prefix: _('IPv6 prefixes'),
	weight: _('Weight'),
	metric: _('Metric'),
	metered: _('Metered'),
	handicap: _('Handicap'),
	probe: _('Hosts to probe'),
	interval: _('Probe interval'),
	timeout: _('Probe timeout'),
	down: _('Rounds until down'),
	up: _('Rounds until up'),
	reliability: _('Answers needed'),
	loss_down: _('Loss until down'),
	loss_up: _('Loss until up'),
	latency_down: _('Latency until down'),
	latency_up: _('Latency until up'),
	on_down: _('Connections when it goes down'),
	on_up: _('Connections when it comes back'),
	mode: _('Mode'),
	link: _('Links'),
	remember: _('Remember winners'),
	tie: _('Tie'),
	sticky: _('Sticky clients'),
	last_resort: _('Last resort'),
	policy: _('Policy'),
	family: _('Address family'),
	proto: _('Protocols'),
	src_ip: _('Client addresses'),
	dest_ip: _('Server addresses'),
	src_port: _('Client ports'),
	dest_port: _('Server ports'),
	src_device: _('Incoming device'),
	nftset: _('nft set'),
	side: _('Side'),
	primary: _('First path'),
	secondary: _('Second path'),
	ratio: _('Ratio'),
	role: _('Role'),
	peer: _('Peer'),
	private_key: _('Private key'),
	private_key_file: _('Private key\'s file'),
	public_key: _('Public key of the other end'),
	preshared_key: _('Preshared key'),
	endpoint: _('Server'),
	listen_port: _('Port of this end'),
	transport: _('Transport'),
	remote_mac: _('Remote hardware addresses'),
	address: _('Addresses'),
	route: _('Routes'),
	allowed_ips: _('Addresses of the client'),
	mtu: _('MTU'),
	scheduler: _('Scheduler'),
	latency_limit: _('Latency limit'),
	repair: _('Repair losses'),
	keepalive: _('Keepalive'),
	metered_limit: _('Rate on metered links'),
	masquerade: _('Masquerade')
};

// LuCI takes descriptions for HTML; the table's are text.
const escaped = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');

return baseclass.extend({
	escaped,

	title(option) {
		return titles[option.name] || option.name;
	},

	// Adds a field to a section, on `tab` if there is one. `choices` tells the values to offer; `only` those will do, and
	// `select` shows no others. Whether it has a `column` in the table of sections.
	add(section, option, { tab, choices, only, select, column }) {
		const kind = section.sectiontype;
		const widget = option.shape == 'bool' ? form.Flag
			: option.list ? form.DynamicList
			: option.shape == 'choice' || only || select ? form.ListValue : form.Value;
		const words = option.shape == 'choice' ? () => option.words : choices;
		// Help texts name options as the configuration's file does.
		const help = '%s (%s)'.format(option.doc, _('option %s').format(option.name));
		const given = [ widget, option.name, this.title(option), escaped(help) ];
		const field = tab ? section.taboption(tab, ...given) : section.option(...given);

		// False would keep it out of the dialogue.
		field.modalonly = column ? null : true;
		field.rmempty = !option.required;
		if (widget === form.Flag || widget === form.ListValue)
			field.default = option.usual ? option.usual[0] : null;
		// A list of choices has an empty one, and may stay there, only by this.
		if (widget === form.ListValue && !option.required && !option.usual) {
			field.optional = true;
			field.placeholder = option.otherwise;
		}
		if (widget !== form.Flag && widget !== form.ListValue)
			field.placeholder = option.usual ? option.usual.join(' ') : option.otherwise || option.example[0];

		field.load = function(section_id) {
			// Sections come and go between two looks.
			this.keylist = this.vallist = null;
			(words ? words() : []).forEach((word) => this.value(word));
			return Promise.resolve(widget.prototype.load.call(this, section_id)).then((value) => {
				// What is none of the choices is shown and refused, rather than taken for the first of them.
				if (widget === form.ListValue && value && !(this.keylist || []).includes(value))
					this.value(value);
				if (option.shape == 'bool')
					return ({ true: '1', false: '0' })[check.truth(value)] || value;
				// A list may be one option, with blanks or commas.
				return option.list && value != null ? together.words(value) : value;
			});
		};

		// What is as usual need not be written down.
		if (widget === form.ListValue && option.usual)
			field.write = function(section_id, value) {
				return value == option.usual[0] ? this.remove(section_id) : widget.prototype.write.call(this, section_id, value);
			};

		// In the table of sections, where LuCI would take a text for HTML.
		field.textvalue = function(section_id) {
			const value = this.cfgvalue(section_id);
			if (option.shape == 'bool')
				return E('span', {}, [ (value ?? field.default) == '1' ? _('Yes') : _('No') ]);
			const values = L.toArray(value == null || value === '' ? option.usual : value);
			return values.length ? E('span', {}, [ values.join(', ') ]) : E('em', {}, [ option.otherwise || _('none') ]);
		};

		// `this` is not the field but its clone, where a dialogue shows it. LuCI checks all fields of a section whenever one
		// changes; a list as a whole, without a value, and what is about to be added to it.
		field.validate = function(section_id, value) {
			const get = (name) => this.section.formvalue(section_id, name);
			const items = value ? [ value ] : option.list ? L.toArray(get(option.name)) : [];
			// LuCI would refuse to save the list, and say nothing.
			if (option.required && option.list && !value && !items.length)
				return _('There must be one.');
			for (const item of items) {
				if (!check.fits(option, item))
					return (value ? '' : item + ': ') + _('Must be %s.').format(option.must);
				if (only && !words().includes(item))
					return _('There is no %s.').format(item);
			}
			const fault = option.list && value ? null
				: together.fault(kind, option.name, section_id, get, (kind) => uci.sections('cheaproute', kind));
			return fault || true;
		};

		// LuCI would take what is sound beside what is not, and save it with whatever is saved next, though the dialogue was
		// dismissed.
		field.parse = function(section_id) {
			const sound = (field) => !field.isActive(section_id) || field.isValid(section_id);
			return this.section.children.every(sound) || !sound(this) ? widget.prototype.parse.call(this, section_id) : Promise.resolve();
		};
		return field;
	}
});
