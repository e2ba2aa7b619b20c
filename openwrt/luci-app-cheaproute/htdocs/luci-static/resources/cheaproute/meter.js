'use strict';
'require baseclass';

// How fast counters of bytes grow.

// In milliseconds. What is read right after another time, because a button was pressed, says nothing of a rate; and the
// daemon's own figures of peers are up to a second old, so that a longer time shows them evenly.
const CLOSE = 1000;
const SPAN = 7000;

class Meter {
	constructor() {
		this.samples = [];
	}

	// Takes what was counted by `now`, and tells both rates in bytes a second; null while they are unknown.
	look(now, rx, tx) {
		const last = this.samples[this.samples.length - 1];
		if (last && now - last.at < CLOSE)
			return this.rates;
		// A counter that went backwards is that of a new device, or of another beginning.
		if (last && (rx == null || tx == null || rx < last.rx || tx < last.tx))
			this.samples = [];
		while (this.samples.length && now - this.samples[0].at > SPAN)
			this.samples.shift();
		const [ first ] = this.samples;
		const per = (gained) => first ? gained * 1000 / (now - first.at) : null;
		this.rates = { down: per(rx - (first || {}).rx), up: per(tx - (first || {}).tx) };
		if (rx != null && tx != null)
			this.samples.push({ at: now, rx, tx });
		return this.rates;
	}
}

return baseclass.extend({ Meter });
