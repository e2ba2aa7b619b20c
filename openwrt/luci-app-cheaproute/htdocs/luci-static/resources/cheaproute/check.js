'use strict';
'require baseclass';

// Whether a text fits an option of the daemon's table (options.js). The daemon has the last word: nothing that it accepts
// may be refused here.

const count = (text, most) => /^\d+$/.test(text) && +text <= most ? +text : null;

// What the browser makes of an IPv6 address, without brackets; null if it is none.
const ipv6 = (text) => {
	if (!/^[0-9a-f:.]+$/i.test(text) || !text.includes(':'))
		return null;
	try {
		return new URL('http://[' + text + ']/').hostname.slice(1, -1);
	}
	catch (e) {
		return null;
	}
};

const ipv4 = (text) => {
	const parts = text.split('.');
	const fits = (part) => /^(0|[1-9]\d{0,2})$/.test(part) && +part <= 255;
	return parts.length == 4 && parts.every(fits) ? parts.map(Number) : null;
};

// An address that a host elsewhere can have.
const host4 = (text) => {
	const parts = ipv4(text);
	const none = parts && (parts.every((part) => part == 0) || parts.every((part) => part == 255));
	return parts != null && !none && parts[0] != 127 && (parts[0] < 224 || parts[0] > 239);
};

const host6 = (text) => {
	const address = ipv6(text);
	return address != null && address != '::' && address != '::1' && !/^ff[0-9a-f]{2}:/.test(address);
};

const prefix = (text, families, least) => {
	const [ address, length, more ] = text.split('/');
	const bits = families.includes(4) && ipv4(address) ? 32 : families.includes(6) && ipv6(address) ? 128 : null;
	return more == null && bits != null && (length == null || (count(length, bits) ?? -1) >= least);
};

const UNITS = { '': 1000, ms: 1, s: 1000, m: 60000, h: 3600000, d: 86400000 };

const shapes = {
	bool: (text) => /^([01]|on|off|yes|no|true|false|enabled|disabled)$/.test(text),
	integer: (text, { min, max }) => (count(text, max) ?? -1) >= min,
	time: (text, { min, max }) => {
		const [ , digits, unit ] = text.match(/^(\d+)(ms|s|m|h|d)?$/) || [];
		const time = digits == null ? NaN : digits * UNITS[unit || ''];
		return time >= min && time <= max;
	},
	choice: (text, { words }) => words.includes(text),
	name: (text) => /^[a-z0-9_-]{1,255}$/i.test(text),
	device: (text) => /^[a-z0-9_.@+~-]{1,15}$/i.test(text) && text != '.' && text != '..',
	ipv4: host4,
	ipv6: host6,
	prefix: (text) => prefix(text, [ 4, 6 ], 0),
	prefix6: (text) => prefix(text, [ 6 ], 1),
	ports: (text) => {
		const [ first, last, more ] = text.split('-').map((port) => count(port, 65535));
		return more === undefined && first > 0 && (last === undefined || last >= first);
	},
	protocol: (text) => /^(all|tcp|udp|icmp)$/i.test(text) || count(text, 255) > 0,
	target: (text) => {
		const [ , scheme, rest ] = text.match(/^([a-z]+):(\S+)$/) || [];
		switch (scheme) {
		case 'icmp':
			return host4(rest) || host6(rest.replace(/^\[(.*)\]$/, '$1'));
		case 'tcp':
			const [ , six, four, port ] = rest.match(/^(?:\[(.*)\]|([^:]*)):(\d+)$/) || [];
			return count(port || '', 65535) > 0 && (six != null ? host6(six) : host4(four));
		}
		return scheme == 'dns' || scheme == 'http';
	},
	nftset: (text) => /^[a-z_][a-z0-9_.-]{0,254}$/i.test(text),
	mask: (text) => {
		let bits = /^0x[0-9a-f]{1,8}$/i.test(text) ? +text : 0;
		while (bits > 0 && bits % 2 == 0)
			bits /= 2;
		return bits == 0x3F;
	},
	path: (text) => text.startsWith('/')
};

return baseclass.extend({
	fits(option, text) {
		const shape = shapes[option.shape];
		return shape ? !!shape(text, option) : true;
	}
});
