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

// Whose an address is; null if it is none.
const sort4 = (text) => {
	const parts = ipv4(text);
	if (parts == null)
		return null;
	if (parts.every((part) => part == 0))
		return 'unspecified';
	if (parts.every((part) => part == 255))
		return 'broadcast';
	if (parts[0] == 127)
		return 'loopback';
	if (parts[0] == 169 && parts[1] == 254)
		return 'linklocal';
	return parts[0] >= 224 && parts[0] <= 239 ? 'multicast' : 'host';
};

const sort6 = (text) => {
	const address = ipv6(text);
	if (address == null)
		return null;
	if (/^ff[0-9a-f]{2}:/.test(address))
		return 'multicast';
	if (/^fe[89ab][0-9a-f]:/.test(address))
		return 'linklocal';
	return ({ '::': 'unspecified', '::1': 'loopback' })[address] || 'host';
};

// An address that a host elsewhere can have.
const ELSEWHERE = [ 'host', 'linklocal' ];
const host4 = (text) => ELSEWHERE.includes(sort4(text));
const host6 = (text) => ELSEWHERE.includes(sort6(text));

// An address and a port, as { sort, host, port }, with IPv6 in brackets; null if it is none.
const socket = (text) => {
	const [ , six, four, digits ] = text.match(/^(?:\[(.*)\]|([^:]*)):(\d+)$/) || [];
	const sort = digits == null ? null : six != null ? sort6(six) : sort4(four);
	return sort && count(digits, 65535) > 0 ? { sort, host: six ?? four, port: +digits } : null;
};

const prefix = (text, families, least) => {
	const [ address, length, more ] = text.split('/');
	const bits = families.includes(4) && ipv4(address) ? 32 : families.includes(6) && ipv6(address) ? 128 : null;
	return more == null && bits != null && (length == null || (count(length, bits) ?? -1) >= least);
};

// The bits of a prefix that count, after its family: one prefix holds another if the other one's begin with its own. Null if
// it is none.
const bits = (text) => {
	if (!prefix(text, [ 4, 6 ], 0))
		return null;
	const [ address, length ] = text.split('/');
	const digits = (numbers, width) => numbers.map((number) => number.toString(2).padStart(width, '0')).join('');
	const four = ipv4(address);
	if (four)
		return '4:' + digits(four, 8).slice(0, length);
	const [ head, tail ] = ipv6(address).split('::').map((part) => part ? part.split(':') : []);
	const zeros = tail ? Array(8 - head.length - tail.length).fill('0') : [];
	return '6:' + digits([ ...head, ...zeros, ...(tail || []) ].map((group) => parseInt(group, 16)), 16).slice(0, length);
};

// A name that can be looked up.
const named = (text) => text.length <= 253 && !/(^|\.)\d*$/.test(text)
	&& text.split('.').every((label) => /^[a-z0-9_][a-z0-9_-]{0,62}$/i.test(label));

const server = (text) => host4(text) || host6(text.replace(/^\[(.*)\]$/, '$1')) || ELSEWHERE.includes((socket(text) || {}).sort);

const page = (text) => {
	const [ , authority, path ] = text.match(/^(?:\/\/)?([^/]*)(.*)$/);
	const [ , name, port ] = authority.match(/^([^:]*)(?::(\d+))?$/) || [];
	// No comma, which parts the items of a list. \x22 is a quote. LuCI's minifier takes one for a string's beginning here: it sees no regular expression after a word.
	return /^(\/[!\x22$-+.-~-]{0,255})?$/.test(path)
		&& (server(authority) || (name != null && named(name) && (port == null || count(port, 65535) > 0)));
};

const targets = {
	icmp: (text) => host4(text) || host6(text.replace(/^\[(.*)\]$/, '$1')),
	tcp: (text) => ELSEWHERE.includes((socket(text) || {}).sort),
	dns: (text) => {
		const [ , address, name ] = text.match(/^([^/]*)(?:\/(.*))?$/);
		return server(address) && (!name || named(name));
	},
	http: page
};

const UNITS = { '': 1000, ms: 1, s: 1000, m: 60000, h: 3600000, d: 86400000 };
const RATES = { kbit: 1e3, mbit: 1e6, gbit: 1e9 };

// In milliseconds; NaN if it is none.
const time = (text) => {
	const [ , digits, unit ] = text.match(/^(\d+)(ms|s|m|h|d)?$/) || [];
	return digits == null ? NaN : digits * UNITS[unit || ''];
};

const YES = [ '1', 'on', 'yes', 'true', 'enabled' ];
const NO = [ '0', 'off', 'no', 'false', 'disabled' ];

// Null if it is neither.
const truth = (text) => YES.includes(text) ? true : NO.includes(text) ? false : null;

const shapes = {
	bool: (text) => truth(text) != null,
	integer: (text, { min, max }) => (count(text, max) ?? -1) >= min,
	time: (text, { min, max }) => time(text) >= min && time(text) <= max,
	choice: (text, { words }) => words.includes(text),
	name: (text) => /^[a-z0-9_-]{1,255}$/i.test(text),
	device: (text) => /^[a-z0-9_.@+~-]{1,15}$/i.test(text) && text != '.' && text != '..',
	local: (text) => shapes.name(text) || shapes.device(text),
	ipv4: host4,
	ipv6: host6,
	prefix: (text) => prefix(text, [ 4, 6 ], 0),
	prefix6: (text) => prefix(text, [ 6 ], 1),
	own: (text) => {
		const [ address ] = text.split('/');
		const sort = sort4(address) || sort6(address);
		return prefix(text, [ 4, 6 ], 1) && ![ 'unspecified', 'multicast', 'loopback' ].includes(sort);
	},
	ports: (text) => {
		const [ first, last, more ] = text.split('-').map((port) => count(port, 65535));
		return more === undefined && first > 0 && (last === undefined || last >= first);
	},
	protocol: (text) => /^(all|tcp|udp|icmp)$/i.test(text) || count(text, 255) > 0,
	target: (text) => {
		const [ , scheme, rest ] = text.match(/^(icmp|tcp|dns|http):(\S+)$/) || [];
		return scheme != null && targets[scheme](rest);
	},
	nftset: (text) => /^[a-z_][a-z0-9_.-]{0,253}$/i.test(text) && !/^(ip|icmpv|sticky_.*)$/.test(text),
	mask: (text) => {
		let bits = /^0x[0-9a-f]{1,8}$/i.test(text) ? +text : 0;
		while (bits > 0 && bits % 2 == 0)
			bits /= 2;
		return bits == 0x3F;
	},
	path: (text) => /^\/([^\x00-\x1f\x7f-\x9f]*[^\x00-\x1f\x7f-\x9f/])$/.test(text) && new Blob([ text ]).size < 4096,
	endpoint: (text) => (socket(text) || {}).sort == 'host',
	ratio: (text) => {
		const [ first, second, more ] = text.split(':').map((part) => count(part, 65535));
		return more === undefined && first > 0 && second > 0;
	},
	// 32 bytes: of the last but one character, two bits are left over.
	key: (text) => /^[A-Za-z0-9+\/]{42}[AEIMQUYcgkosw048]=$/.test(text),
	host: (text) => {
		const [ , name, port ] = text.match(/^(.*):(\d+)$/) || [];
		if (!(count(port || '', 65535) > 0))
			return false;
		const sort = name.startsWith('[') ? sort6(name.replace(/^\[(.*)\]$/, '$1')) : sort4(name);
		return sort ? sort != 'unspecified' && sort != 'multicast' : named(name.replace(/\.$/, ''));
	},
	// A group's address is no station's.
	mac: (text) => /^[0-9a-f][02468ace](:[0-9a-f]{2}){5}$/i.test(text) && /[1-9a-f]/i.test(text),
	rate: (text) => {
		const [ , digits, unit ] = text.match(/^(\d+)(kbit|mbit|gbit)$/) || [];
		const rate = digits == null ? 0 : digits * RATES[unit];
		return rate >= 64e3 && rate <= 100e9;
	}
};

return baseclass.extend({
	time,
	bits,
	socket,
	truth,

	fits(option, text) {
		return !!shapes[option.shape](text, option);
	}
});
