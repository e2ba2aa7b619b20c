'use strict';
// A small stand-in for LuCI's luci.js, rpc.js and uci.js: what the pages under test use of them, with the same names and
// the same markup. It is stricter in one point: the app may not give E() a text that is not in a list, which is HTML.

String.prototype.format = function(...values) {
	let next = 0;
	return this.replace(/%([%sdh])/g, (all, kind) => {
		if (kind == '%')
			return '%';
		const value = values[next++];
		if (kind == 'd')
			return String(Math.floor(+value || 0));
		const text = value == null ? '' : String(value);
		return kind == 'h' ? text.replace(/&/g, '&#38;').replace(/</g, '&#60;') : text;
	});
};

const _ = (text) => text;

// Classes as LuCI has them: extend() takes an object of members, and __init__ constructs.
class Base {
	constructor(...args) {
		if (this.__init__)
			this.__init__(...args);
	}

	static extend(members) {
		const derived = class extends this {};
		Object.assign(derived.prototype, members);
		return derived;
	}
}

const dom = {
	instances: new WeakMap(),

	// As LuCI does it: what is in a list is text, what is not is HTML.
	append(node, children) {
		if (Array.isArray(children))
			children.forEach((child) => node.append(child instanceof Node ? child : String(child)));
		else if (children instanceof Node)
			node.append(children);
		else if (children != null)
			node.innerHTML = String(children);
	},

	content(node, children) {
		node.replaceChildren();
		dom.append(node, children);
	}
};

const E = (tag, attributes, children) => {
	if (Array.isArray(tag)) {
		const fragment = document.createDocumentFragment();
		dom.append(fragment, tag);
		return fragment;
	}
	const node = document.createElement(tag);
	if (Array.isArray(attributes) || attributes instanceof Node)
		return dom.append(node, attributes), node;
	for (const [ key, value ] of Object.entries(attributes || {})) {
		if (typeof(value) == 'function')
			node.addEventListener(key, value);
		else if (value != null)
			node.setAttribute(key, value);
	}
	dom.append(node, children);
	return node;
};

// E() for the app.
const strict = (tag, attributes, children) => {
	for (const content of [ attributes, children ])
		if (typeof(content) == 'string')
			throw new Error('LuCI would parse this as HTML: ' + content);
	return E(tag, attributes, children);
};

const poll = {
	add(work, interval) {
		setInterval(work, (interval || 5) * 1000);
	}
};

let number = 0;

// One question to the bridge: the result as uhttpd gives it.
const post = (method, params) => fetch('/ubus', {
	method: 'POST',
	body: JSON.stringify({ jsonrpc: '2.0', id: ++number, method, params })
}).catch(() => {
	throw new Error('XHR request aborted by browser');
}).then((response) => response.json()).then((message) => {
	// LuCI says where in itself it was.
	if (message.error)
		throw new Error('RPC call to %s failed with error %d: %s\n  at handleCallReply'.format(params[2] || method, message.error.code, message.error.message));
	return message.result;
});

const rpc = {
	list: (...names) => post('list', names),

	declare: ({ object, method, params, expect, reject }) => (...args) => {
		const given = Object.fromEntries((params || []).map((name, index) => [ name, args[index] ]));
		return post('call', [ L.env.sessionid, object, method, given ]).then(([ code, data ]) => {
			if (reject && code !== 0)
				throw new Error('RPC call to %s/%s failed with ubus code %d: ?'.format(object, method, code));
			let answer = data === undefined ? code : data;
			for (const key in expect || {}) {
				answer = key && answer != null ? answer[key] : answer;
				if (answer == null || Object.prototype.toString.call(answer) != Object.prototype.toString.call(expect[key]))
					answer = expect[key];
			}
			return answer;
		});
	}
};

const uci = {
	values: {},
	added: new Set(),
	changed: {},
	gone: new Set(),
	order: false,

	load(config) {
		if (this.values[config])
			return Promise.resolve();
		return rpc.declare({ object: 'uci', method: 'get', params: [ 'config' ], reject: true })(config).then((answer) => {
			this.values[config] = new Map(Object.values(answer.values).sort((a, b) => a['.index'] - b['.index'])
				.map((section) => [ section['.name'], section ]));
		});
	},

	sections(config, kind) {
		return [ ...(this.values[config] || new Map()).values() ].filter((section) => !kind || section['.type'] == kind);
	},

	get(config, section, option) {
		const found = this.values[config] && this.values[config].get(section);
		return !found ? null : option == null ? found : found[option] ?? null;
	},

	set(config, section, option, value) {
		this.values[config].get(section)[option] = value;
		(this.changed[section] ||= {})[option] = value;
	},

	unset(config, section, option) {
		if (this.get(config, section, option) != null) {
			delete this.values[config].get(section)[option];
			(this.changed[section] ||= {})[option] = null;
		}
	},

	add(config, kind, name) {
		const id = name || 'new%s'.format((++number).toString(16).padStart(6, '0'));
		this.values[config].set(id, { '.name': id, '.type': kind, '.anonymous': !name });
		this.added.add(id);
		return id;
	},

	remove(config, section) {
		this.values[config].delete(section);
		delete this.changed[section];
		if (!this.added.delete(section))
			this.gone.add(section);
	},

	// To the session's stage: apply puts it in force.
	async save() {
		const config = 'cheaproute';
		const call = (method, rest) => rpc.declare({ object: 'uci', method, params: [ 'config', ...Object.keys(rest) ], reject: true })(config, ...Object.values(rest));
		for (const section of this.gone)
			await call('delete', { section });
		for (const id of this.added) {
			const { '.name': name, '.type': type, '.anonymous': anonymous, ...values } = this.values[config].get(id);
			await call('add', { type, name: anonymous ? undefined : name, values });
			delete this.changed[id];
		}
		for (const section in this.changed) {
			const entries = Object.entries(this.changed[section]);
			const values = Object.fromEntries(entries.filter(([ , value ]) => value != null));
			const options = entries.filter(([ , value ]) => value == null).map(([ option ]) => option);
			if (Object.keys(values).length)
				await call('set', { section, values });
			if (options.length)
				await call('delete', { section, options });
		}
		this.added.clear();
		this.gone.clear();
		this.changed = {};
		delete this.values[config];
		return this.load(config);
	},

	apply() {
		const call = (method, params, ...args) => rpc.declare({ object: 'uci', method, params, reject: true })(...args);
		return call('apply', [ 'rollback', 'timeout' ], true, 10).then(() => call('confirm'));
	}
};

const view = Base.extend({
	handleSave() {
		return Promise.all([ ...document.querySelectorAll('.cbi-map') ].map((node) => dom.instances.get(node).save()));
	},

	handleSaveApply() {
		return this.handleSave().then(() => uci.apply()).then(() => location.reload());
	},

	handleReset() {
		location.reload();
	},

	__init__() {
		const target = document.getElementById('view');
		Promise.resolve(this.load ? this.load() : null).then((data) => this.render(data)).then((nodes) => {
			dom.content(target, [ nodes ]);
			// The buttons are there for all, and of no use to those who may only look.
			const readonly = [ ...document.querySelectorAll('.cbi-map') ].some((node) => dom.instances.get(node).readonly);
			const buttons = [
				[ 'handleSaveApply', 'cbi-button-apply important', _('Save & Apply') ],
				[ 'handleSave', 'cbi-button-save', _('Save') ],
				[ 'handleReset', 'cbi-button-reset', _('Reset') ]
			].filter(([ handler ]) => this[handler]).map(([ handler, style, title ]) =>
				E('button', { 'class': 'btn cbi-button ' + style, 'disabled': readonly ? '' : null, 'click': () => this[handler]().catch(() => null) }, [ title ]));
			if (buttons.length)
				target.append(E('div', { 'class': 'cbi-page-actions' }, buttons));
		}).catch((error) => {
			console.error(error);
			dom.content(target, [ String(error) ]);
		});
	}
});

const L = {
	env: window.env,
	modules: { baseclass: Base, view, dom, poll, rpc, uci },
	isObject: (value) => value != null && typeof(value) == 'object',
	toArray: (value) => value == null ? [] : Array.isArray(value) ? value
		: typeof(value) == 'object' ? [ value ] : String(value).trim() == '' ? [] : String(value).trim().split(/\s+/),
	resolveDefault: (promise, fallback) => Promise.resolve(promise).catch(() => fallback),
	resource: (path) => '/luci-static/resources/' + path,

	// A module is a function body that returns a class, whose one instance it is; its first lines say what it wants.
	require(name) {
		return this.modules[name] ||= fetch(this.resource(name.replace(/\./g, '/') + '.js')).then(async (response) => {
			if (!response.ok)
				throw new Error('there is no module ' + name);
			const source = await response.text();
			const wanted = [ ...source.matchAll(/^'require (\S+?)(?: as (\w+))?';$/gm) ];
			const modules = await Promise.all(wanted.map(([ , module ]) => this.require(module)));
			const names = wanted.map(([ , module, alias ]) => alias || module.split('.').pop());
			const factory = new Function('_', 'E', 'L', ...names, source + '\n//# sourceURL=' + name);
			return new (factory(_, /^(cheaproute|view)\./.test(name) ? strict : E, this, ...modules))();
		});
	}
};
