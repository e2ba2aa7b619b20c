'use strict';
'require baseclass';
'require dom';
'require ui';
'require uci';
'require rpc';

// What the pages use of LuCI's form.js: the same classes, calls and markup.

const access = rpc.declare({ object: 'session', method: 'access', params: [ 'scope', 'object', 'function' ], expect: { access: false } });

const same = (a, b) => JSON.stringify(a ?? null) == JSON.stringify(b ?? null);

const Value = baseclass.extend({
	__init__(section, name, title, description) {
		Object.assign(this, { section, option: name, title, description, rmempty: true, data: {} });
	},

	value(key, text) {
		(this.keylist ||= []).push(key);
		(this.vallist ||= []).push(text ?? key);
	},

	load(section_id) {
		return uci.get('cheaproute', section_id, this.option);
	},

	cfgvalue(section_id, ...set) {
		if (set.length)
			this.data[section_id] = set[0];
		return this.data[section_id];
	},

	cbid(section_id) {
		return 'cbid.cheaproute.%s.%s'.format(section_id, this.option);
	},

	validate: () => true,

	mayBeEmpty() {
		return this.optional || this.rmempty;
	},

	// The widget of this field, with its value and whether that is valid.
	element(section_id) {
		const node = document.querySelector('[data-field="%s"]'.format(this.cbid(section_id)));
		return node && dom.instances.get(node);
	},

	isActive: () => true,

	isValid(section_id) {
		const element = this.element(section_id);
		if (element)
			element.triggerValidation();
		return !element || !element.error;
	},

	formvalue(section_id) {
		const element = this.element(section_id);
		return element ? element.getValue() : null;
	},

	render(section_id) {
		const value = this.cfgvalue(section_id);
		const widget = this.widget(section_id, value);
		const input = widget.input;
		input.disabled = this.section.map.readonly;
		widget.triggerValidation = () => {
			// A list is checked as a whole, without a value, and so is what is about to be added to it.
			const texts = widget.getText ? [ widget.getText(), '' ] : [ widget.getValue() ];
			const fault = texts.map((text) => this.validate(section_id, text)).find((fault) => fault !== true) ?? true;
			// A list may always be empty, as far as this goes.
			const empty = !widget.getText && !this.mayBeEmpty() && !widget.getValue();
			widget.error = empty ? _('must not be empty') : fault === true ? null : fault;
			input.classList.toggle('cbi-input-invalid', widget.error != null);
			input.title = widget.error || '';
		};
		const changed = (event) => {
			this.section.checkDepends(section_id);
			if (this.onchange)
				this.onchange(event, section_id, widget.getValue());
		};
		input.addEventListener('input', changed);
		input.addEventListener('change', changed);
		const node = E('div', { 'class': 'cbi-value', 'data-field': this.cbid(section_id), 'data-name': this.option }, [
			E('label', { 'class': 'cbi-value-title' }, [ this.title ]),
			E('div', { 'class': 'cbi-value-field' }, [
				widget.node || input,
				E('div', { 'class': 'cbi-value-description' }, this.description)
			])
		]);
		dom.instances.set(node, widget);
		return node;
	},

	widget(section_id, value) {
		const input = E('input', { 'type': 'text', 'class': 'cbi-input-text', 'placeholder': this.placeholder });
		input.value = value ?? this.default ?? '';
		return { input, getValue: () => input.value, setValue: (text) => { input.value = text; } };
	},

	parse(section_id) {
		const element = this.element(section_id);
		if (!element)
			return;
		element.triggerValidation();
		if (element.error)
			throw new TypeError(_('Option "%s" contains an invalid input value.').format(this.title) + ' ' + element.error);
		const value = element.getValue();
		if ((value == null || value == '') && !this.mayBeEmpty())
			throw new TypeError(_('Option "%s" must not be empty.').format(this.title));
		else if (value == null || value == '')
			this.remove(section_id);
		else if (!same(value, this.cfgvalue(section_id)))
			this.write(section_id, value);
	},

	write(section_id, value) {
		uci.set('cheaproute', section_id, this.option, value);
	},

	remove(section_id) {
		uci.unset('cheaproute', section_id, this.option);
	}
});

const Button = Value.extend({
	widget(section_id) {
		const input = E('button', { 'class': 'cbi-button', 'click': (event) => this.onclick(event, section_id) }, [ this.inputtitle ]);
		return { input, getValue: () => null };
	},

	parse() {}
});

// There is no empty choice unless `optional` says so: what has no value, or one that is no choice, gets the first.
const ListValue = Value.extend({
	mayBeEmpty() {
		return this.optional;
	},

	widget(section_id, value) {
		const keys = (this.optional ? [ '' ] : []).concat(this.keylist || []);
		const words = (this.optional ? [ this.placeholder ?? _('-- Please choose --') ] : []).concat(this.vallist || []);
		const input = E('select', { 'class': 'cbi-input-select' }, keys.map((key, index) => E('option', { 'value': key }, [ words[index] ])));
		if (keys.includes(value ?? this.default))
			input.value = value ?? this.default;
		return { input, getValue: () => input.value };
	}
});

const Flag = Value.extend({
	widget(section_id, value) {
		const input = E('input', { 'type': 'checkbox' });
		input.checked = (value ?? this.default) == '1';
		return { input, getValue: () => input.checked ? '1' : '0' };
	},

	parse(section_id) {
		const element = this.element(section_id);
		if (!element)
			return;
		element.triggerValidation();
		if (element.error)
			throw new TypeError(this.title + ': ' + element.error);
		const value = element.getValue();
		if (value == this.default)
			this.remove(section_id);
		else
			this.write(section_id, value);
	}
});

const DynamicList = Value.extend({
	widget(section_id, value) {
		const input = E('input', { 'type': 'text', 'class': 'cbi-input-text', 'placeholder': this.placeholder });
		const list = E('div', { 'class': 'cbi-dynlist' });
		const items = L.toArray(value).slice();
		const draw = () => dom.content(list, items.map((item, index) => E('div', { 'class': 'item', 'data-value': item, 'click': () => {
			items.splice(index, 1);
			draw();
			input.dispatchEvent(new Event('change'));
		} }, [ item ])).concat([ E('div', { 'class': 'add-item' }, [ input ]) ]));
		input.addEventListener('keydown', (event) => {
			if (event.key != 'Enter' || !input.value || input.classList.contains('cbi-input-invalid'))
				return;
			items.push(input.value);
			input.value = '';
			draw();
			input.dispatchEvent(new Event('change'));
		});
		draw();
		return { input, node: list, getValue: () => items.slice(), getText: () => input.value };
	}
});

const Section = baseclass.extend({
	__init__(map, kind, title, description) {
		Object.assign(this, { map, sectiontype: kind, title, description, children: [], tabs: [] });
	},

	option(widget, ...args) {
		const option = new widget(this, ...args);
		this.children.push(option);
		return option;
	},

	tab(name, title) {
		this.tabs.push([ name, title ]);
	},

	taboption(tab, ...args) {
		return Object.assign(this.option(...args), { tab });
	},

	cfgsections() {
		return uci.sections('cheaproute', this.sectiontype).map((section) => section['.name']);
	},

	async load() {
		for (const section_id of this.cfgsections())
			for (const option of this.children)
				option.cfgvalue(section_id, await option.load(section_id));
	},

	formvalue(section_id, name) {
		return this.children.find((option) => option.option == name).formvalue(section_id);
	},

	getUIElement(section_id, name) {
		return this.children.find((option) => option.option == name).element(section_id);
	},

	fields(section_id) {
		const tabs = this.tabs.length ? this.tabs : [ [ undefined, null ] ];
		return tabs.flatMap(([ tab, title ]) => (title ? [ E('h5', {}, [ title ]) ] : []).concat(
			this.children.filter((option) => option.tab == tab && option.modalonly !== false).map((option) => option.render(section_id))));
	},

	// Whatever changes, all fields of its section are checked again, and so they are at first.
	checkDepends(section_id) {
		this.children.forEach((option) => {
			const element = option.element(section_id);
			if (element)
				element.triggerValidation();
		});
	},

	handleAdd(event, name) {
		uci.add('cheaproute', this.sectiontype, name);
		return this.map.save();
	},

	handleRemove(section_id) {
		uci.remove('cheaproute', section_id);
		return this.map.save();
	},

	frame(nodes) {
		return E('div', { 'class': 'cbi-section', 'id': 'cbi-cheaproute-' + this.sectiontype }, [
			E('h3', {}, this.title), E('div', { 'class': 'cbi-section-descr' }, this.description)
		].concat(nodes));
	}
});

const TypedSection = Section.extend({
	render() {
		const add = this.addremove ? [ E('button', { 'class': 'cbi-button cbi-button-add', 'disabled': this.map.readonly ? '' : null, 'click': () => this.handleAdd() }, [ _('Add') ]) ] : [];
		return this.frame(this.cfgsections().map((section_id) =>
			E('div', { 'class': 'cbi-section-node' }, this.fields(section_id))).concat(add));
	},

	parse() {
		this.cfgsections().forEach((section_id) => this.children.forEach((option) => option.parse(section_id)));
	}
});

const GridSection = Section.extend({
	render() {
		const columns = this.children.filter((option) => !option.modalonly);
		const button = (style, title, work) => E('button', {
			'class': 'cbi-button ' + style, 'click': work, 'disabled': this.map.readonly && style != 'cbi-button-edit' ? '' : null
		}, [ title ]);
		const rows = this.cfgsections().map((section_id) => E('tr', { 'class': 'tr cbi-section-table-row', 'data-sid': section_id, 'data-title': this.sectiontitle(section_id) },
			columns.map((option) => E('td', { 'class': 'td', 'data-name': option.option, 'data-title': option.title }, option.textvalue(section_id) ?? E('em', {}, _('none'))))
				.concat([ E('td', { 'class': 'td cbi-section-actions' }, [ E('div', {}, [
					button('drag-handle', '☰', () => null),
					button('cbi-button-edit', _('Edit'), () => this.edit(section_id)),
					button('cbi-button-remove', _('Delete'), (event) => this.handleRemove(section_id, event))
				]) ]) ])));
		const name = E('input', { 'type': 'text', 'class': 'cbi-section-create-name' });
		return this.frame([
			E('table', { 'class': 'table cbi-section-table' }, [
				E('tr', { 'class': 'tr cbi-section-table-titles', 'data-title': _('Name') }, columns.map((option) => E('th', { 'class': 'th' }, [ option.title ])).concat([ E('th', { 'class': 'th' }) ]))
			].concat(rows)),
			E('div', { 'class': 'cbi-section-create' }, [ name, button('cbi-button-add', _('Add'), (event) => this.handleAdd(event, name.value)) ])
		]);
	},

	handleAdd(event, name) {
		const section_id = uci.add('cheaproute', this.sectiontype, name);
		return this.edit(section_id, true);
	},

	edit(section_id, fresh) {
		return this.load().then(() => this.show(section_id, fresh));
	},

	show(section_id, fresh) {
		ui.showModal(this.modaltitle(section_id), [
			E('div', { 'class': 'cbi-map' }, this.fields(section_id)),
			E('div', { 'class': 'right' }, [
				E('button', { 'class': 'cbi-button', 'click': () => {
					if (fresh)
						uci.remove('cheaproute', section_id);
					ui.hideModal();
				} }, [ _('Dismiss') ]),
				E('button', { 'class': 'cbi-button cbi-button-positive important', 'disabled': this.map.readonly ? '' : null, 'click': async () => {
					// All are parsed, and nothing is said of those that could not be.
					const parsed = await Promise.allSettled(this.children.map(async (option) => option.parse(section_id)));
					if (parsed.some(({ reason }) => reason))
						return;
					ui.hideModal();
					await this.map.save();
				} }, [ _('Save') ])
			])
		]);
		// The modal's map is not one of the page.
		document.querySelector('.modal .cbi-map').classList.remove('cbi-map');
		this.checkDepends(section_id);
	},

	// Its fields are parsed where they are edited.
	parse() {}
});

const CBIMap = baseclass.extend({
	__init__(config, title, description) {
		Object.assign(this, { config, title, description, children: [] });
	},

	section(kind, ...args) {
		const section = new kind(this, ...args);
		this.children.push(section);
		return section;
	},

	async load() {
		await uci.load(this.config);
		this.readonly = !await access('uci', this.config, 'write');
		for (const section of this.children)
			await section.load();
	},

	async render() {
		await this.load();
		this.root = E('div', { 'class': 'cbi-map', 'id': 'cbi-' + this.config });
		dom.instances.set(this.root, this);
		this.draw();
		return this.root;
	},

	draw() {
		dom.content(this.root, [ E('h2', {}, this.title), E('div', { 'class': 'cbi-map-descr' }, this.description) ]
			.concat(this.children.map((section) => section.render())));
		this.children.forEach((section) => section.cfgsections().forEach((section_id) => section.checkDepends(section_id)));
	},

	async save() {
		try {
			this.children.forEach((section) => section.parse());
		}
		catch (error) {
			ui.showModal(_('Save error'), [ E('p', {}, [ error.message ]), E('button', { 'class': 'cbi-button', 'click': () => ui.hideModal() }, [ _('Dismiss') ]) ]);
			throw error;
		}
		await uci.save();
		await this.load();
		this.draw();
	}
});

return baseclass.extend({ Map: CBIMap, Value, Button, ListValue, Flag, DynamicList, TypedSection, GridSection });
