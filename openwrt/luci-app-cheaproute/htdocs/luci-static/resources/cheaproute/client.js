'use strict';
'require baseclass';
'require rpc';

// The daemon's object on ubus. Its documents are those of `cheaproute status --json` and the like.

// With a status other than 0 comes the daemon's reason; LuCI's own rejection would have the status alone.
const declare = (method, params) => {
	const call = rpc.declare({ object: 'cheaproute', method, params });
	return (...args) => call(...args).then((answer) => {
		if (!L.isObject(answer))
			throw new Error('failed with ubus code %d'.format(answer));
		if (typeof(answer.error) == 'string')
			throw new Error(answer.error);
		return answer;
	});
};

const access = rpc.declare({
	object: 'session',
	method: 'access',
	params: [ 'scope', 'object', 'function' ],
	expect: { access: false }
});

return baseclass.extend({
	status: declare('status'),
	links: declare('links'),
	policies: declare('policies'),
	peers: declare('peers'),
	events: declare('events'),
	races: declare('races', [ 'count' ]),
	memory: declare('memory', [ 'count' ]),
	why: declare('why', [ 'to', 'proto', 'port' ]),
	genkey: declare('genkey'),
	reload: declare('reload'),
	probe: declare('probe', [ 'link' ]),
	setLink: declare('set_link', [ 'link', 'up' ]),

	// Which of these methods the daemon has and the user may call: { method: true or false }. Asked, not tried: LuCI takes
	// a refusal for the end of the session.
	may(methods) {
		return Promise.all([
			L.resolveDefault(rpc.list('cheaproute'), {}),
			Promise.all(methods.map((method) => L.resolveDefault(access('ubus', 'cheaproute', method), false)))
		]).then(([ known, allowed ]) => {
			// Where no daemon runs, or the list says nothing, only the user's rights are known.
			const signatures = L.isObject(known) ? known.cheaproute : null;
			return Object.fromEntries(methods.map((method, index) =>
				[ method, allowed[index] && (!L.isObject(signatures) || method in signatures) ]));
		});
	}
});
