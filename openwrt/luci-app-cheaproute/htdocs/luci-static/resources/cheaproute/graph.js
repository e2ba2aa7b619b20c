'use strict';
'require baseclass';
'require cheaproute.format as format';

// A small line graph of the last minutes. E() makes no SVG, so this does; like E(), it never parses markup.

const svg = (name, attributes) => {
	const node = document.createElementNS('http://www.w3.org/2000/svg', name);
	for (const key in attributes)
		node.setAttribute(key, attributes[key]);
	return node;
};

const WIDTH = 300, HEIGHT = 40;

// The time that a graph covers grows with what it has to show, up to all that is kept.
const LEAST = 60000;

class Graph {
	constructor(names, most) {
		this.most = most;
		this.lines = names.map((name) => svg('path', { 'class': 'cr-line cr-line-' + name }));
		this.picture = svg('svg', {
			'class': 'cr-graph',
			'viewBox': '0 0 %d %d'.format(WIDTH, HEIGHT),
			'preserveAspectRatio': 'none',
			'role': 'img'
		});
		this.lines.forEach((line) => this.picture.appendChild(line));
		this.caption = E('div', { 'class': 'cr-caption' });
		this.node = E('div', {}, [ this.picture, this.caption ]);
	}

	// Samples, the oldest first: { at: milliseconds, [name]: number or null }, where null leaves a gap. `text` says a value.
	update(samples, names, now, text, label) {
		const span = Math.min(this.most, Math.max(LEAST, samples.length ? now - samples[0].at : 0));
		let top = 1;
		for (const sample of samples)
			for (const name of names)
				top = Math.max(top, sample[name] || 0);

		names.forEach((name, index) => {
			let path = '', open = false;
			for (const sample of samples) {
				const value = sample[name];
				if (value == null) {
					open = false;
					continue;
				}
				const x = WIDTH * (1 - (now - sample.at) / span);
				const y = HEIGHT - 1 - (HEIGHT - 3) * value / top;
				path += '%s%s %s'.format(open ? 'L' : 'M', x.toFixed(1), y.toFixed(1));
				open = true;
			}
			this.lines[index].setAttribute('d', path);
		});
		this.picture.setAttribute('aria-label', label);
		this.caption.textContent = _('up to %s in the last %s').format(text(top), format.span(span / 1000));
	}
}

return baseclass.extend({ Graph });
