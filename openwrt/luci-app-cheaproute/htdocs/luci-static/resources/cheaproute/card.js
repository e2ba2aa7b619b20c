'use strict';
'require baseclass';
'require ui';
'require cheaproute.client as client';
'require cheaproute.format as format';
'require cheaproute.graph as graph';

// A link on the status page. It is built once and then updated in place, so that a button stays under the finger.

// In milliseconds.
const SPAN = 300000;
const SAMPLES = 300;
const CLOSE = 1000;
const TAKEN_OUT = 'taken out by the administrator';

const value = () => E('span', { 'class': 'cr-value' });
const figure = (label, node, line) => E('div', { 'class': line ? 'cr-figure cr-figure-' + line : 'cr-figure' }, [ E('span', { 'class': 'cr-label' }, [ label ]), node ]);

class Card {
	constructor(name, may, refresh) {
		this.name = name;
		this.refresh = refresh;
		this.samples = [];
		this.state = E('span', { 'class': 'cr-state' });
		this.reason = E('div', { 'class': 'cr-reason' });
		this.where = E('div', { 'class': 'cr-where' });
		this.result = E('div', { 'class': 'cr-result', 'role': 'status' });
		this.figures = { rtt: value(), jitter: value(), loss: value(), won: value(), down: value(), up: value() };
		this.rtt = new graph.Graph([ 'rtt' ], SPAN);
		this.rates = new graph.Graph([ 'down', 'up' ], SPAN);

		const buttons = [];
		if (may.probe)
			buttons.push(E('button', {
				'class': 'btn cbi-button cbi-button-action cr-probe',
				'click': ui.createHandlerFn(this, 'probe')
			}, [ _('Probe') ]));
		if (may.set_link)
			buttons.push(this.toggle = E('button', {
				'class': 'btn cbi-button cbi-button-neutral cr-toggle',
				'click': ui.createHandlerFn(this, 'setLink')
			}, [ _('Take out') ]));

		this.node = E('section', { 'class': 'cr-card', 'data-link': name }, [
			E('div', { 'class': 'cr-head' }, [ E('strong', { 'class': 'cr-name' }, [ name ]), this.state ]),
			this.reason,
			this.where,
			E('div', { 'class': 'cr-figures' }, [
				figure(_('Round trip'), this.figures.rtt, 'rtt'),
				figure(_('Jitter'), this.figures.jitter),
				figure(_('Loss'), this.figures.loss),
				figure(_('Races won'), this.figures.won)
			]),
			this.rtt.node,
			E('div', { 'class': 'cr-figures' }, [
				figure(_('Download'), this.figures.down, 'down'),
				figure(_('Upload'), this.figures.up, 'up')
			]),
			this.rates.node,
			buttons.length ? E('div', { 'class': 'cr-buttons' }, buttons) : '',
			this.result
		]);
	}

	update(link, now) {
		const sample = this.look(link, now);
		while (this.samples.length > SAMPLES || now - this.samples[0].at > SPAN)
			this.samples.shift();

		this.out = link.reason == TAKEN_OUT;
		const state = link.state == 'up' && !link.used ? 'unused' : link.state;
		// What was said of the last one is over.
		if (this.node.dataset.state != state)
			this.say('');
		this.node.dataset.state = state;
		this.state.textContent = state == 'unused' ? _('up, not used') : format.state(link.state);
		this.reason.textContent = _('%s, for %s').format(link.reason, format.span(link.since_s));
		const where = [ link.device, link.ipv4, link.ipv6, link.metered ? _('metered') : null ].filter((text) => text).join(' · ');
		// Somebody may be about to copy an address.
		if (this.where.textContent != where)
			this.where.textContent = where;
		this.figures.rtt.textContent = format.time(link.rtt_us);
		this.figures.jitter.textContent = format.time(link.rtt_us == null ? null : link.jitter_us);
		this.figures.loss.textContent = format.loss(link.loss_permille);
		this.figures.won.textContent = format.share(link.races.won, link.races.copies);
		this.figures.won.title = _('%d of %d races').format(link.races.won, link.races.copies);
		this.figures.down.textContent = format.rate(sample.down);
		this.figures.up.textContent = format.rate(sample.up);
		this.rtt.update(this.samples, [ 'rtt' ], now, format.time,
			_('Round trip of %s in the last five minutes, now %s').format(this.name, format.time(sample.rtt)));
		this.rates.update(this.samples, [ 'down', 'up' ], now, format.rate,
			_('Throughput of %s in the last five minutes, now %s down and %s up')
				.format(this.name, format.rate(sample.down), format.rate(sample.up)));
		if (this.toggle)
			this.toggle.firstChild.data = this.out ? _('Put back') : _('Take out');
	}

	// The newest sample. One that comes right after another, because a button was pressed, says nothing of a rate.
	look(link, now) {
		const previous = this.samples[this.samples.length - 1];
		if (previous && now - previous.at < CLOSE)
			return previous;
		const sample = { at: now, rtt: link.state == 'up' ? link.rtt_us : null, rx: link.rx_bytes, tx: link.tx_bytes };
		const per = (key) => {
			const more = previous && sample[key] != null && previous[key] != null ? sample[key] - previous[key] : -1;
			// A counter that went backwards is that of a new device.
			return more >= 0 ? more * 1000 / (now - previous.at) : null;
		};
		sample.down = per('rx');
		sample.up = per('tx');
		this.samples.push(sample);
		return sample;
	}

	forget() {
		this.samples = [];
	}

	say(text) {
		this.result.textContent = text;
	}

	probe() {
		return client.probe(this.name).then((answer) => {
			const targets = L.toArray(answer.targets);
			const answered = targets.filter((target) => target.answered).length;
			return this.refresh().then(() => this.say(targets.length
				? _('%d of %d hosts answered; round trip %s').format(answered, targets.length, format.time(answer.rtt_us))
				: _('This link has no hosts to probe: add some under Network.')));
		}).catch((error) => this.say(format.failure(error)));
	}

	setLink() {
		const up = this.out;
		return client.setLink(this.name, up).then(() => this.refresh()).then(() => {
			this.say(up ? _('In use again, as soon as its probes allow.') : _('New connections leave it out until it is put back or the daemon restarts.'));
		}).catch((error) => this.say(format.failure(error)));
	}
}

return baseclass.extend({ Card });
