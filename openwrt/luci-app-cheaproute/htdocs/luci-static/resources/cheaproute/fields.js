'use strict';
'require baseclass';
'require form';
'require cheaproute.check as check';

// Fields of LuCI's forms for options of the daemon's table.

// An option that has no title yet goes by its own name.
const titles = {
	enabled: _('Enabled'),
	log_level: _('Log level'),
	mark_mask: _('Mark mask'),
	local_traffic: _('The router\'s own connections'),
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

const YES = [ '1', 'on', 'yes', 'true', 'enabled' ];
const NO = [ '0', 'off', 'no', 'false', 'disabled' ];

// LuCI takes descriptions for HTML; the table's are text.
const escaped = (text) => text.replace(/&/g, '&amp;').replace(/</g, '&lt;');

// What only shows when two options are seen together; keyed by what is checked: what it depends on, and the fault, if any.
const together = {
	device: [ [ 'interface' ], (other) => other.interface ? _('Give either an interface or a device, not both.') : null ],
	gateway: [ [ 'device' ], (other) => other.device ? null : _('Only a link that is given by its device has one: netifd knows those of interfaces.') ],
	gateway6: [ [ 'device' ], (other) => other.device ? null : _('Only a link that is given by its device has one: netifd knows those of interfaces.') ],
	reliability: [ [ 'probe' ], (other, value) => L.toArray(other.probe).length && +value > L.toArray(other.probe).length ? _('There are fewer hosts to probe.') : null ],
	src_port: [ [ 'proto' ], (other) => ported(other.proto) ],
	dest_port: [ [ 'proto' ], (other) => ported(other.proto) ]
};

const ported = (protocols) => {
	const list = L.toArray(protocols);
	return list.length && list.every((name) => /^(tcp|udp|6|17)$/i.test(name)) ? null : _('Only TCP and UDP have ports: name one of them or both under Protocols.');
};

return baseclass.extend({
	title(option) {
		return titles[option.name] || option.name;
	},

	// Adds a field to a section, on `tab` if there is one. `choices` tells the values to offer; `only` those will do. Whether
	// it has a `column` in the table of sections.
	add(section, option, { tab, choices, only, column }) {
		const widget = option.shape == 'bool' ? form.Flag
			: option.list ? form.DynamicList
			: option.shape == 'choice' || only ? form.ListValue : form.Value;
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
					return YES.includes(value) ? '1' : NO.includes(value) ? '0' : value;
				// A list may be one option, with blanks or commas.
				return option.list && typeof(value) == 'string' ? value.split(/[\s,]+/).filter((item) => item) : value;
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

		// `this` is not the field but its clone, where a dialogue shows it.
		field.validate = function(section_id, value) {
			if (value == null || value === '')
				return true;
			if (!check.fits(option, value))
				return _('Must be %s.').format(option.must);
			if (only && !words().includes(value))
				return _('There is no %s.').format(value);
			const [ others, fault ] = together[option.name] || [ [], () => null ];
			return fault(Object.fromEntries(others.map((name) => [ name, this.section.formvalue(section_id, name) ])), value) || true;
		};

		const dependents = Object.keys(together).filter((name) => together[name][0].includes(option.name));
		if (dependents.length)
			field.onchange = function(event, section_id) {
				dependents.forEach((name) => {
					const element = this.section.getUIElement(section_id, name);
					if (element)
						element.triggerValidation();
				});
			};
		return field;
	}
});
