'use strict';
'require baseclass';
'require cheaproute.client as client';
'require cheaproute.format as format';

// The links in a few lines, for the overview. Without a daemon, or the right to ask it, there is nothing to show.
// Once there was something, LuCI keeps it until there is something else.
return baseclass.extend({
	title: _('WAN links (cheaproute)'),

	load() {
		return L.resolveDefault(client.links(), null);
	},

	render(answer) {
		if (!L.isObject(answer))
			return this.shown ? E('em', {}, [ _('The daemon does not answer.') ]) : null;
		this.shown = true;
		const links = L.toArray(answer.links);
		const titles = [ _('Link'), _('State'), _('Round trip'), _('Loss'), _('Races won') ];
		const cell = (index, text) => E('td', { 'class': 'td', 'data-title': titles[index] }, [ text ]);
		return E('table', { 'class': 'table' }, [
			E('tr', { 'class': 'tr table-titles' }, titles.map((title) => E('th', { 'class': 'th' }, [ title ])))
		].concat(links.map((link) => E('tr', { 'class': 'tr', 'data-link': link.name }, [
			cell(0, link.name),
			cell(1, link.state == 'up' ? _('up, for %s').format(format.span(link.since_s)) : '%s: %s'.format(format.state(link.state), link.reason)),
			cell(2, format.time(link.rtt_us)),
			cell(3, format.loss(link.loss_permille)),
			cell(4, format.share(link.races.won, link.races.copies))
		]))));
	}
});
