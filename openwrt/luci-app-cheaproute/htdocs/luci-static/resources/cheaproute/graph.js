'use strict';
'require baseclass';

// A small line graph of the last minutes. E() makes no SVG, so this does; like E(), it never parses markup.

const svg = (name, attributes) => {
	const node = document.createElementNS('http://www.w3.org/2000/svg', name);
	for (const key in attributes)
		node.setAttribute(key, attributes[key]);
	return node;
};

const WIDTH = 300, HEIGHT = 40;

class Graph {
	constructor(names, span) {
		this.span = span;
		this.lines = names.map((name) => svg('path', { 'class': 'cr-line cr-line-' + name }));
		this.node = svg('svg', {
			'class': 'cr-graph',
			'viewBox': '0 0 %d %d'.format(WIDTH, HEIGHT),
			'preserveAspectRatio': 'none',
			'role': 'img'
		});
		this.lines.forEach((line) => this.node.appendChild(line));
	}

	// Samples, the oldest first: { at: milliseconds, [name]: number or null }, where null leaves a gap. `least`: the
	// smallest top of the scale.
	update(samples, names, now, least, label) {
		let top = least;
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
				const x = WIDTH * (1 - (now - sample.at) / this.span);
				const y = HEIGHT - 1 - (HEIGHT - 3) * value / top;
				path += '%s%s %s'.format(open ? 'L' : 'M', x.toFixed(1), y.toFixed(1));
				open = true;
			}
			this.lines[index].setAttribute('d', path);
		});
		this.node.setAttribute('aria-label', label);
	}
}

return baseclass.extend({ Graph });
