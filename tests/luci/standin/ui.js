'use strict';
'require baseclass';
'require dom';

// What the pages use of LuCI's ui.js.

return baseclass.extend({
	createHandlerFn: (context, method, ...args) => (event) => {
		const button = event.currentTarget;
		const work = typeof(method) == 'string' ? context[method] : method;
		button.disabled = true;
		return Promise.resolve(work.call(context, ...args, event)).finally(() => button.disabled = false);
	},

	showModal(title, children) {
		this.hideModal();
		document.body.append(E('div', { 'id': 'modal_overlay' }, [
			E('div', { 'class': 'modal cbi-modal', 'role': 'dialog' }, [ E('h4', {}, title) ].concat(children))
		]));
	},

	hideModal() {
		const overlay = document.getElementById('modal_overlay');
		if (overlay)
			overlay.remove();
	},

	addNotification(title, children, style) {
		document.getElementById('maincontent').prepend(
			E('div', { 'class': 'alert-message ' + style }, title == null ? [] : [ E('h4', {}, title) ]));
		dom.append(document.getElementById('maincontent').firstElementChild, children);
	}
});
