/*
 * The Assent sign-up widget.
 *
 *   <script src="https://ASSENT/widget.js" data-form="FORM" async></script>
 *   <a href="https://ASSENT/f/FORM" data-assent-link>Subscribe by e-mail</a>
 *
 * It draws the form where the script stands, inside a shadow root, and then
 * hides the ordinary link. When anything is missing or fails before that, the
 * page stays as it was: nothing is thrown, nothing is logged, the link works.
 * It sets no cookie, uses no markup strings, and needs no more of a strict
 * Content-Security-Policy than its origin in script-src and connect-src.
 * README.md beside this file tells the attributes, variables and events.
 */
(() => {
  'use strict';

  const LOAD_MS = 8_000;                    // then the link stays
  const SEND_MS = 20_000;                   // then the visitor may try again
  const STALE_MS = 30 * 60_000;             // a page left open asks for a fresh token
  const REST_MS = 30 * 24 * 3600_000;       // a closed dialog stays quiet for so long
  const MARK = Symbol.for('assent.widget'); // a script or link that has been taken
  const INPUTS = ['email', 'text', 'tel', 'url', 'number', 'date'];
  const ABLE = [                      // without any of these, the link serves better
    'adoptedStyleSheets' in Document.prototype,
    'attachShadow' in Element.prototype,
    'timeout' in (window.AbortSignal || {}),
    'showModal' in (window.HTMLDialogElement || { prototype: {} }).prototype,
  ].every(Boolean);

  // ---- small tools ---------------------------------------------------------

  /** Makes an element. Strings become text, never markup; null and false are left out. */
  function el(tag, attributes, ...children) {
    const node = document.createElement(tag);
    for (const [name, value] of Object.entries(attributes || {})) {
      if (value === null || value === undefined || value === false) continue;
      node.setAttribute(name, value === true ? '' : value);
    }
    node.append(...children.filter((child) => child !== null && child !== undefined && child !== ''));
    return node;
  }

  /** An absolute http(s) address, or null: no other scheme becomes a link or a redirect. */
  function web(address, base) {
    try {
      const url = new URL(address, base);
      return /^https?:$/.test(url.protocol) ? url.href : null;
    } catch {
      return null;
    }
  }

  /** The visitor's "not now", kept in this browser only; a blocked store forgets it. */
  const memory = {
    key: (form) => `assent:${form}:closed`,
    resting(form) {
      try {
        return Date.now() - Number(localStorage.getItem(this.key(form)) || 0) < REST_MS;
      } catch {
        return false;
      }
    },
    rest(form) {
      try {
        localStorage.setItem(this.key(form), String(Date.now()));
      } catch { /* private windows may have no store */ }
    },
  };

  function languageOf(element, given) {
    const near = element.closest('[lang]') || document.documentElement;
    return (given || near.lang || '').toLowerCase().split(/[-_]/)[0];
  }

  async function load(base, form, lang) {
    const url = new URL(`f/${encodeURIComponent(form)}.json`, base);
    if (lang) url.searchParams.set('lang', lang);
    const answer = await fetch(url, {
      mode: 'cors', credentials: 'omit', cache: 'no-store', signal: AbortSignal.timeout(LOAD_MS),
    });
    if (!answer.ok) throw new Error('no form');
    const spec = await answer.json();
    if (typeof spec.token !== 'string' || typeof spec.button !== 'string' || !Array.isArray(spec.fields)) {
      throw new Error('not a form');
    }
    return { boxes: [], texts: {}, ...spec, asked: Date.now() };
  }

  // ---- the form ------------------------------------------------------------

  /** A wrong answer can be shown at a part: its message, and the controls it speaks of. */
  function part(name, controls, message, describedBy) {
    const hint = describedBy || null;
    return {
      name,
      controls,
      show(text) {
        message.textContent = text || '';
        message.hidden = !text;
        for (const control of controls) {
          const ids = [hint && hint(control), text && message.id].filter(Boolean).join(' ');
          ids ? control.setAttribute('aria-describedby', ids) : control.removeAttribute('aria-describedby');
          text ? control.setAttribute('aria-invalid', 'true') : control.removeAttribute('aria-invalid');
        }
      },
    };
  }

  function control(field, id) {
    const same = { id, name: field.name, required: !!field.required, autocomplete: field.autocomplete };
    if (field.type === 'select') {
      const options = Array.isArray(field.options) ? field.options : [];
      const empty = options.some((option) => option.value === '') ? [] : [el('option', { value: '' })];
      return el('select', same, ...empty, ...options.map((option) => el('option', { value: option.value }, option.label)));
    }
    const type = INPUTS.includes(field.type) ? field.type : 'text';
    const address = type === 'email' || type === 'url' || type === 'tel';
    return el('input', {
      ...same,
      type,
      maxlength: field.maxlength > 0 ? field.maxlength : null,
      dir: address ? 'ltr' : 'auto',
      autocapitalize: address ? 'off' : null,
      spellcheck: address ? 'false' : null,
    });
  }

  function drawField(field, index, marked) {
    const id = `field-${index}`;
    const input = control(field, id);
    const message = el('p', { id: `${id}-error`, class: 'wrong', hidden: true });
    const star = marked && field.required ? el('span', { class: 'star', 'aria-hidden': 'true' }, ' *') : null;
    const node = el('div', { class: 'field' }, el('label', { for: id }, el('bdi', null, field.label || field.name), star), input, message);
    return { node, part: part(field.name, [input], message) };
  }

  /** One group of boxes, none of them ticked, each with its exact words and its promise. */
  function drawBoxes(boxes, legend, kind) {
    if (!boxes.length) return null;
    const message = el('p', { id: `${kind}-error`, class: 'wrong', hidden: true });
    const inputs = [];
    const rows = boxes.map((box, index) => {
      const id = `${kind}-${index}`;
      const note = box.note ? `${id}-note` : null;
      const input = el('input', { type: 'checkbox', id, name: box.name, 'aria-describedby': note });
      inputs.push(input);
      return el('div', { class: 'box' }, input,
        el('label', { for: id }, box.label), note ? el('p', { id: note, class: 'note' }, box.note) : null);
    });
    const node = el('fieldset', { class: kind },
      legend ? el('legend', null, legend) : null, el('div', { class: 'rows' }, ...rows), message);
    const hint = (input) => (boxes[inputs.indexOf(input)].note ? `${input.id}-note` : null);
    return { node, part: part(kind, inputs, message, hint) };
  }

  function drawFoot(spec, base) {
    const policy = spec.privacy && web(spec.privacy.url, base);
    const link = policy ? el('a', { href: policy, target: '_blank', rel: 'noopener' }, spec.privacy.label) : null;
    return el('div', { class: 'foot' },
      el('button', { type: 'submit', class: 'act' }, spec.button),
      el('p', { class: 'fine' }, spec.brand, spec.brand && link ? ' · ' : null, link));
  }

  /** Draws the whole form; `parts` are the places where an answer can be wrong. */
  function drawForm(spec, base) {
    const marked = spec.fields.some((field) => !field.required);
    const fields = spec.fields.map((field, index) => drawField(field, index, marked));
    const tracking = spec.boxes.filter((box) => box.kind === 'tracking');
    const topics = spec.boxes.filter((box) => box.kind !== 'tracking');
    const groups = [
      drawBoxes(topics, spec.boxes_legend, 'topics'),
      drawBoxes(tracking, spec.tracking_legend, 'tracking'),
    ].filter(Boolean);
    const bait = spec.honeypot ? el('div', { class: 'bait', 'aria-hidden': 'true' },
      el('input', { type: 'text', name: spec.honeypot, tabindex: '-1', autocomplete: 'off' })) : null;
    const notice = el('p', { class: 'wrong', role: 'alert' });
    const node = el('form', { novalidate: true, 'aria-labelledby': 'title' },
      el('div', { class: 'head' }, el('h2', { id: 'title' }, spec.title), spec.intro ? el('p', null, spec.intro) : null),
      el('div', { class: 'fields' }, ...fields.map((field) => field.node)),
      ...groups.map((group) => group.node), bait, notice, drawFoot(spec, base));
    return { node, notice, button: node.querySelector('.act'), parts: [...fields, ...groups].map((drawn) => drawn.part) };
  }

  // ---- answering -----------------------------------------------------------

  /** What can be seen to be wrong without asking the server, as [{field, message}]. */
  function check(spec, parts) {
    const wrong = [];
    for (const { name, controls } of parts) {
      const first = controls[0];
      if (name === 'topics' && !controls.some((box) => box.checked)) {
        wrong.push({ field: name, message: spec.texts.choose_one });
      } else if (first.required && !first.value.trim()) {
        wrong.push({ field: name, message: spec.texts.required });
      } else if (first.type === 'email' && first.value && !/.@./.test(first.value)) {
        wrong.push({ field: name, message: spec.texts.invalid_email });
      }
    }
    return wrong;
  }

  /** Shows each message at its own part, the rest above the button, and moves to the first. */
  function showWrong(form, errors, title) {
    const about = (part, { field }) => part.name === field || part.controls.some((c) => c.name === field)
      || (part.name === 'topics' && /^(boxes|topics?)\b/.test(field));
    let first = null;
    for (const part of form.parts) {
      const mine = errors.filter((error) => about(part, error));
      part.show(mine.map(({ message }) => message).join(' '));
      if (mine.length && !first) {
        first = part.controls.find((c) => mine.some(({ field }) => field === c.name)) || part.controls[0];
      }
    }
    const rest = errors.filter((error) => !form.parts.some((part) => about(part, error)));
    form.notice.textContent = rest.map(({ message }) => message).join(' ') || (first ? '' : title || '');
    (first || form.button).focus();
  }

  function clearWrong(form) {
    for (const part of form.parts) part.show('');
    form.notice.textContent = '';
  }

  async function send(widget, form) {
    const { spec } = widget;
    const body = new URLSearchParams(new FormData(form.node));
    body.set('token', spec.token);
    body.set('lang', spec.lang || '');
    body.set('page', location.origin + location.pathname);
    body.set('widget', '1');
    const answer = await fetch(new URL(`f/${encodeURIComponent(widget.form)}`, widget.base), {
      method: 'POST', mode: 'cors', credentials: 'omit', body,
      headers: { Accept: 'application/json' }, signal: AbortSignal.timeout(SEND_MS),
    });
    const said = await answer.json().catch(() => null) || {};
    return { ok: answer.ok && said.ok === true, status: answer.status, said };
  }

  /** Shows the form as it is now, when its words have changed: what was typed stays, no box is ticked. */
  async function redraw(widget, old) {
    const spec = await load(widget.base, widget.form, widget.spec.lang).catch(() => null);
    if (!spec) return old;
    widget.spec = spec;
    const form = listen(widget);
    for (const control of form.node.elements) {
      const before = control.name && control.type !== 'checkbox' && old.node.elements.namedItem(control.name);
      if (before) control.value = before.value;
    }
    old.node.replaceWith(form.node);
    return form;
  }

  async function submit(widget, form) {
    const { spec } = widget;
    if (widget.sending) return;
    const wrong = check(spec, form.parts);
    if (wrong.length) return showWrong(form, wrong);
    if (!widget.emit('submit', true)) return;

    widget.sending = true;
    clearWrong(form);
    form.node.setAttribute('aria-busy', 'true');
    form.button.disabled = true;
    form.button.textContent = widget.status.textContent = spec.texts.sending || spec.button;
    const { ok, status, said } = await send(widget, form).catch(() => ({ ok: false, status: 0, said: {} }));
    if (ok) return thank(widget, form, said);

    form.button.textContent = spec.button;
    form.button.disabled = false;
    form.node.removeAttribute('aria-busy');
    if (typeof said.token === 'string') spec.token = said.token;
    if (said.stale === true) form = await redraw(widget, form);
    widget.sending = false;
    widget.status.textContent = '';
    const open = said.open && web(said.open, widget.base);
    if (open) return leadOn(widget, form, said.title, open);
    const errors = Array.isArray(said.errors) ? said.errors.filter((error) => error && error.message) : [];
    showWrong(form, errors, (status >= 400 && status < 500 && said.title) || spec.texts.error);
    widget.emit('error');
  }

  /** The server would rather see this visitor on its own page: what was typed waits there. */
  function leadOn(widget, form, title, open) {
    const link = el('a', { class: 'act', href: open, rel: 'noreferrer' }, title || widget.spec.button);
    form.notice.textContent = '';
    form.button.replaceWith(link);
    link.focus();
    widget.emit('error');
  }

  function thank(widget, form, said) {
    widget.done = true;
    form.node.remove();
    widget.status.className = 'done';
    widget.status.textContent = said.message || widget.spec.title;
    widget.status.focus();
    memory.rest(widget.form);
    widget.emit('success');
    const next = said.redirect && web(said.redirect, widget.base);
    if (next) location.assign(next);
  }

  // ---- the widget on its page ----------------------------------------------

  /** Keeps the token young: a form found again after a long while asks for a new one. */
  async function freshen(widget) {
    const { spec } = widget;
    if (widget.done || Date.now() - spec.asked < STALE_MS) return;
    spec.asked = Date.now();
    const next = await load(widget.base, widget.form, spec.lang).catch(() => null);
    const words = ({ version, boxes }) => JSON.stringify([version, boxes]);
    if (next && words(next) === words(spec)) spec.token = next.token;
  }

  /** Draws the form and does what the visitor does with it. */
  function listen(widget) {
    const form = drawForm(widget.spec, widget.base);
    form.node.addEventListener('submit', (event) => {
      event.preventDefault();
      submit(widget, form);
    });
    form.node.addEventListener('focusin', () => freshen(widget));
    form.node.addEventListener('input', ({ target }) => {
      const touched = form.parts.find(({ controls }) => controls.includes(target));
      if (touched) touched.show('');
    });
    return form;
  }

  function drawDialog(widget, content) {
    const { spec, form } = widget;
    const close = el('button', { type: 'button', class: 'close', 'aria-label': spec.texts.close || '×' }, '×');
    const dialog = el('dialog', { class: 'card', 'aria-label': spec.title }, close, ...content);
    const opener = el('button', { type: 'button', class: memory.resting(form) ? 'act quiet' : 'act', 'aria-haspopup': 'dialog' },
      spec.texts.open || spec.title);
    opener.addEventListener('click', () => dialog.showModal());
    close.addEventListener('click', () => dialog.close());
    dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });
    dialog.addEventListener('close', () => {
      opener.classList.add('quiet');
      memory.rest(form);
      if (!widget.done) widget.emit('dismiss');
    });
    return { opener, dialog };
  }

  /** Opens a dialog by itself, once, if the page asks for it and the visitor never closed it. */
  function openLater({ dialog }, form, seconds) {
    if (!(seconds > 0) || memory.resting(form)) return;
    setTimeout(() => {
      const free = dialog.isConnected && !dialog.open && !memory.resting(form);
      if (free && document.visibilityState === 'visible') dialog.showModal();
    }, seconds * 1000);
  }

  /** Fills `host` with the form; it rejects before anything is visible, or not at all. */
  async function furnish(host, base, form, { lang, mode, openAfter }) {
    const spec = await load(base, form, lang);
    const widget = { spec, base, form, sending: false, done: false };
    widget.emit = (name, cancelable = false) => host.dispatchEvent(new CustomEvent(`assent:${name}`, {
      bubbles: true, composed: true, cancelable, detail: { form, version: widget.spec.version },
    }));
    widget.status = el('div', { role: 'status', tabindex: '-1', class: 'unseen' });
    const drawn = listen(widget);

    const root = el('div', { class: 'assent', lang: spec.lang, dir: spec.dir === 'rtl' ? 'rtl' : 'ltr' });
    if (mode === 'button') {
      const dialog = drawDialog(widget, [drawn.node, widget.status]);
      root.append(dialog.opener, dialog.dialog);
      openLater(dialog, form, openAfter);
    } else {
      root.append(el('div', { class: 'card' }, drawn.node, widget.status));
    }
    const shadow = host.attachShadow({ mode: 'open' });
    shadow.adoptedStyleSheets = [sheet()];
    shadow.append(root);
    host.hidden = false;
    return widget;
  }

  /** The ordinary link that belongs to `host`: directly after it, or marked within the same parent. */
  function linkOf(host, form) {
    let next = host.nextElementSibling;
    if (next && next.localName === 'noscript') next = next.nextElementSibling;
    if (next && next.matches('[data-assent-link]') && !next[MARK]) return next;
    const near = next ? [next, next.firstElementChild] : [];
    const marked = host.parentElement ? host.parentElement.querySelectorAll('a[data-assent-link]') : [];
    const ours = (a) => a && a.localName === 'a' && !a[MARK]
      && (a.dataset.assentLink === form || a.href.includes(`/f/${form}`));
    return [...near, ...marked].find(ours) || null;
  }

  /** Takes the link out of sight; false when there is none (yet). */
  function hideLink(host, form) {
    const link = linkOf(host, form);
    if (!link) return false;
    link[MARK] = true;
    link.style.setProperty('display', 'none', 'important');
    return true;
  }

  /** Shows a form in `host`, which already stands in the page; the promise never rejects. */
  async function show(host, base, form, options) {
    try {
      return await furnish(host, base, form, options);
    } catch {
      host.remove();
      return null;
    }
  }

  async function embed(script, base) {
    const { form, lang, mode, openAfter } = script.dataset;
    if (!form || script[MARK] || !document.body || !document.body.contains(script)) return;
    script[MARK] = true;
    const host = el('assent-form', { hidden: true });
    script.after(host);
    const widget = await show(host, base, form, { lang: languageOf(script, lang), mode, openAfter: Number(openAfter) });
    if (!widget) return;
    if (!hideLink(host, form) && document.readyState === 'loading') {
      document.addEventListener('DOMContentLoaded', () => hideLink(host, form), { once: true });
    }
    widget.emit('ready');
  }

  /** window.Assent.mount: shows a form at the end of `element`; resolves to its host element or null. */
  async function mount(base, element, { form, lang, mode } = {}) {
    if (!ABLE || !(element instanceof Element) || !form) return null;
    const host = el('assent-form', { hidden: true });
    element.append(host);
    const widget = await show(host, base, String(form), { lang: languageOf(element, lang), mode });
    if (!widget) return null;
    widget.emit('ready');
    return host;
  }

  // ---- its looks -----------------------------------------------------------
  /** The tokens: each can be set from the page as --assent-NAME; [light, dark] otherwise. */
  const TONES = {
    card: ['#ffffff', '#1b1f26'],        // the ground of the form
    field: ['#ffffff', '#14171c'],       // inside inputs
    line: ['#e4e0d6', '#2c323c'],        // quiet borders
    edge: ['#8b8778', '#6f7a89'],        // borders of inputs, 3:1 on both grounds
    ink: ['#1f2630', '#e8e6e0'],
    soft: ['#5d6673', '#9ba4b0'],
    accent: ['#0e7a5f', '#3cc39b'],      // permission given
    'on-accent': ['#ffffff', '#06251c'],
    wait: ['#9a6200', '#e0ac4a'],        // asked, waiting for the confirmation
    error: ['#a63a2b', '#ef8a78'],
    focus: ['#1c5fd4', '#7fb0ff'],
    shadow: ['#1f26301f', '#00000080'],
  };

  const STYLE = `
    :host { display: block !important; visibility: visible !important; }
    :host([hidden]) { display: none !important; }
    .assent, .assent *, .assent ::before { box-sizing: border-box; }
    .assent {
      all: initial; display: block; color-scheme: inherit; color: var(--ink);
      font-family: var(--assent-font, inherit); font-size: var(--assent-size, max(1rem, 15px)); line-height: 1.5;
      --radius: var(--assent-radius, 10px); --space: var(--assent-space, 1.125em); --width: var(--assent-width, 32rem);
      --tint: color-mix(in srgb, var(--accent) 9%, transparent);
    }
    .assent:lang(fa) { line-height: 1.8; }
    [hidden] { display: none !important; }
    :focus-visible { outline: 2px solid var(--focus); outline-offset: 2px; }
    h2, p, fieldset, legend { margin: 0; padding: 0; border: 0; min-inline-size: 0; }
    button, input, select { font: inherit; letter-spacing: inherit; color: inherit; }

    .card {
      max-inline-size: var(--width); padding: clamp(1.25em, 5%, 2em); color: var(--ink); background: var(--card);
      border: 1px solid var(--line); border-radius: calc(var(--radius) + 4px); box-shadow: 0 10px 30px -22px var(--shadow);
    }
    form { display: grid; gap: var(--space); }
    .head { display: grid; gap: .35em; }
    h2 { font-size: 1.3em; font-weight: 650; line-height: 1.3; letter-spacing: -.01em; text-wrap: balance; }
    :lang(fa) h2 { letter-spacing: 0; line-height: 1.6; }
    .head p, legend, .note, .fine { color: var(--soft); }

    .fields { display: grid; gap: var(--space) .875em; grid-template-columns: repeat(auto-fit, minmax(min(100%, 12em), 1fr)); align-items: start; }
    .field { display: grid; gap: .3em; }
    .field label { font-weight: 600; font-size: .9375em; }
    .star { color: var(--soft); }
    .field :is(input, select) {
      inline-size: 100%; min-block-size: max(2.875em, 44px); padding: .5em .8em; margin: 0; font-size: max(1em, 16px);
      background: var(--field); border: 1px solid var(--edge); border-radius: var(--radius);
    }
    [dir=ltr] > .card input { text-align: left; }
    [dir=rtl] > .card input { text-align: right; }
    .field :is(input, select):focus-visible { outline-offset: -1px; border-color: var(--focus); }
    .field [aria-invalid] { border-color: var(--error); box-shadow: inset 0 0 0 1px var(--error); }
    .wrong { color: var(--error); font-size: .9375em; }
    .wrong:empty { display: none; }

    legend { font-size: .9375em; margin-block-end: .5em; }
    .topics legend { color: var(--ink); font-weight: 600; }
    .rows { display: grid; }
    .box { position: relative; display: grid; grid-template-columns: auto 1fr; gap: 0 .75em; align-items: start; min-block-size: 44px; padding: .65em .875em; }
    .topics .rows { border: 1px solid var(--line); border-radius: var(--radius); overflow: clip; }
    .topics .box + .box { border-block-start: 1px solid var(--line); }
    .topics .box:has(:checked) { background: var(--tint); }
    .tracking label { font-size: .9375em; }
    .tracking .box { padding-inline: calc(.875em + 1px); padding-block: .5em; }
    .box label { cursor: pointer; align-self: center; }
    .box label::after { content: ""; position: absolute; inset: 0; border-radius: inherit; }
    .note { grid-column: 2; font-size: .875em; line-height: 1.4; }
    .box input {
      appearance: none; display: grid; place-content: center; inline-size: 1.3em; block-size: 1.3em; margin: .1em 0 0; cursor: pointer;
      background: var(--field); border: 1.5px solid var(--edge); border-radius: .35em;
    }
    .assent:lang(fa) .box input { margin-block-start: .25em; }
    .box input::before {
      content: ""; inline-size: .8em; block-size: .8em; background: var(--on-accent); opacity: 0;
      clip-path: polygon(15% 45%, 3% 58%, 40% 92%, 98% 21%, 86% 9%, 39% 65%);
    }
    .box input:checked { background: var(--accent); border-color: var(--accent); }
    .box input:checked::before { opacity: 1; }
    .box [aria-invalid] { border-color: var(--error); }
    .topics .rows + .wrong { margin-block-start: .5em; }
    .bait { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); }

    .foot { display: flex; flex-wrap: wrap; gap: .75em 1.25em; align-items: center; }
    .act {
      flex: 0 1 auto; min-block-size: max(2.875em, 44px); padding: .5em 1.6em; font-weight: 600; cursor: pointer;
      color: var(--on-accent); background: var(--accent); border: 1px solid transparent; border-radius: var(--radius);
    }
    .act:hover { background: color-mix(in srgb, var(--accent) 90%, var(--ink)); }
    .act:disabled { opacity: .7; cursor: progress; }
    .act.quiet { color: var(--ink); background: transparent; border-color: var(--edge); }
    .act.quiet:hover { background: var(--tint); }
    .fine { flex: 1 1 10em; font-size: .875em; }
    .fine a { display: inline-flex; align-items: center; min-block-size: 44px; margin-block: -.75em; color: inherit; text-underline-offset: .2em; }

    .unseen { position: absolute; inline-size: 1px; block-size: 1px; overflow: hidden; clip-path: inset(50%); }
    .done { display: grid; grid-template-columns: auto 1fr; gap: .8em; font-size: 1.0625em; border-radius: var(--radius); }
    .done::before { content: ""; inline-size: .8em; block-size: .8em; margin-block-start: .35em; border: .2em solid var(--wait); border-radius: 50%; }
    .assent:lang(fa) .done::before { margin-block-start: .5em; }
    .done:focus { outline: none; }
    .done:focus-visible { outline: 2px solid var(--focus); outline-offset: .6em; }

    dialog.card { position: fixed; inline-size: calc(100% - 2em); max-block-size: calc(100% - 2em); margin: auto; overflow: auto; overscroll-behavior: contain; }
    dialog::backdrop { background: rgb(20 23 28 / .5); }
    dialog h2, dialog .done { padding-inline-end: 1.75em; }
    .close {
      position: absolute; inset-block-start: .6rem; inset-inline-end: .6rem; inline-size: 44px; block-size: 44px; padding: 0; font-size: 1.75em; line-height: 1;
      color: var(--soft); background: none; border: 0; border-radius: var(--radius); cursor: pointer;
    }
    .close:hover { color: var(--ink); }
    @media (max-width: 30rem) { .act { inline-size: 100%; } .fine { text-align: center; } .assent > .act { inline-size: auto; } }
    @media (prefers-reduced-motion: no-preference) { .act, .box, .box input { transition: background-color .15s, border-color .15s; } }
    @media (forced-colors: active) { .box input { appearance: auto; } .box input::before { display: none; } }`;

  let shared;

  /** One style sheet for all widgets of the page; built through the CSSOM, which a strict policy allows. */
  function sheet() {
    if (shared) return shared;
    const both = CSS.supports('color', 'light-dark(#000, #fff)');
    const tones = Object.entries(TONES).map(([name, [light, dark]]) =>
      `--${name}: var(--assent-${name}, ${both ? `light-dark(${light}, ${dark})` : light});`).join(' ');
    const made = new CSSStyleSheet();
    made.replaceSync(`${STYLE}\n.assent { ${tones} }`);
    shared = made;
    return made;
  }

  // ---- start ---------------------------------------------------------------

  try {
    const here = document.currentScript;
    const scripts = here ? [here] : [...document.querySelectorAll('script[data-form][src*="/widget.js"]')];
    if (ABLE && scripts.length) {
      const base = new URL('.', scripts[0].src).href;
      if (!window.Assent) {
        window.Assent = Object.freeze({ mount: (element, options) => mount(base, element, options).catch(() => null) });
      }
      for (const script of scripts) embed(script, new URL('.', script.src).href).catch(() => {});
    }
  } catch { /* the link serves */ }
})();
