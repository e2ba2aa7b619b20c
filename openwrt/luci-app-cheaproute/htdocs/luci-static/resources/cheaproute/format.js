'use strict';
'require baseclass';

// The daemon's figures as text. A blank that does not break keeps a number and its unit on one line.

const number = (value, unit) => '%s\u00a0%s'.format(value < 10 ? value.toFixed(1) : Math.round(value), unit);

const scaled = (value, units) => {
	let index = 0;
	while (value >= 1000 && index < units.length - 1) {
		value /= 1000;
		index++;
	}
	return index == 0 ? '%d\u00a0%s'.format(value, units[0]) : number(value, units[index]);
};

const said = (error) => String(error && error.message || error);
const code = (error) => +(said(error).match(/failed with (?:ubus code|error) (-?\d+)/) || [])[1];

// UBUS_STATUS_NOT_FOUND, and what uhttpd says of an object that is not there.
const GONE = [ 4, -32000 ];

return baseclass.extend({
	time(us) {
		if (us == null)
			return '–';
		return us < 999500 ? number(us / 1000, _('ms')) : number(us / 1000000, _('s'));
	},

	loss(permille) {
		return permille == null ? '–' : '%s %%'.format(permille % 10 ? (permille / 10).toFixed(1) : permille / 10);
	},

	rate(bytesPerSecond) {
		if (bytesPerSecond == null)
			return '–';
		return scaled(bytesPerSecond * 8, [ _('bit/s'), _('kbit/s'), _('Mbit/s'), _('Gbit/s') ]);
	},

	bytes(count) {
		return count == null ? '–' : scaled(count, [ _('B'), _('kB'), _('MB'), _('GB'), _('TB') ]);
	},

	span(seconds) {
		if (seconds == null)
			return '–';
		if (seconds < 120)
			return _('%d s').format(seconds);
		if (seconds < 7200)
			return _('%d min').format(seconds / 60);
		return seconds < 172800 ? _('%d h').format(seconds / 3600) : _('%d d').format(seconds / 86400);
	},

	// In whole percent; null where there is nothing to share.
	share(part, whole) {
		return whole > 0 ? '%d %%'.format(Math.round(part * 100 / whole)) : '–';
	},

	// The states are words of the daemon.
	state(word) {
		return ({ up: _('up'), down: _('down'), absent: _('absent'), unknown: _('unknown'), connecting: _('connecting') })[word] || word;
	},

	// Whether a request failed for want of a daemon.
	gone: (error) => GONE.includes(code(error)),

	// Why a request failed: LuCI's texts name its own innards before they come to the point, and where it failed after it.
	failure(error) {
		const [ text ] = said(error).split('\n');
		if (text.startsWith('XHR request'))
			return _('The router does not answer.');
		if (this.gone(error))
			return _('The daemon does not run.');
		switch (code(error)) {
		case 6: case -32002: return _('You may not do this.');
		case 2: return _('The daemon did not accept this: what was asked for may be gone.');
		case 7: return _('The daemon did not answer in time.');
		case 9: return _('The daemon could not do this. The system log says why.');
		}
		return text;
	}
});
