/* What the team's forms do beside being forms: what is typed is kept as it is
   typed, what cannot be taken back asks first, a second click sends nothing.
   Without scripts every form still works; it is then kept when it is sent. */
(() => {
  'use strict';
  const pause = 700; // ms after the last key
  const user = document.querySelector('.app')?.dataset.user || '';

  // What could not be kept at the server, because the session had ended or the
  // network was away, waits in this tab for its form and its user to come back.
  const place = (form) => `draft ${user} ${form.elements.page?.value}`;
  if (user) {
    const done = new URLSearchParams(location.search).has('did'); // a form was taken
    const sent = done && sessionStorage.getItem('sent');
    sessionStorage.removeItem('sent');
    for (const key of Object.keys(sessionStorage)) {
      if (key.startsWith('draft ') && (key === sent || !key.startsWith(`draft ${user} `))) sessionStorage.removeItem(key);
    }
  }
  async function bringBack(form) {
    const waiting = sessionStorage.getItem(place(form));
    if (!waiting || document.getElementById('faults')) return false;
    const answer = await fetch(form.dataset.draft, { method: 'POST', body: new URLSearchParams(waiting), credentials: 'same-origin', redirect: 'error' });
    if (!answer.ok) return false;
    sessionStorage.removeItem(place(form));
    location.reload();
    return true;
  }

  // typed is what there is to keep of a form: not how somebody looks at it.
  function typed(form) {
    const all = new FormData(form);
    for (const [name, value] of [...all]) if (name.startsWith('look.') || value instanceof File) all.delete(name); // a file is no draft
    return new URLSearchParams(all).toString();
  }

  function keep(form) {
    form.dataset.kept = 'yes';
    const saved = form.querySelector('.saved');
    let timer = 0;
    let under = null; // what is being sent
    let kept = typed(form);
    async function send() {
      timer = 0;
      const now = typed(form);
      if (now === kept) return;
      if (under) { timer = setTimeout(send, pause); return; } // one after the other: the last typed is the last kept
      try {
        const answer = await fetch(form.dataset.draft, { method: 'POST', body: new URLSearchParams(now), credentials: 'same-origin', keepalive: now.length < 60000, redirect: 'error', signal: (under = new AbortController()).signal });
        if (!answer.ok) throw new Error(String(answer.status));
        kept = now;
        sessionStorage.removeItem(place(form));
        if (saved) { saved.textContent = await answer.text(); saved.classList.remove('no'); }
        form.dispatchEvent(new CustomEvent('kept'));
      } catch (e) {
        if (e.name === 'AbortError') return;
        sessionStorage.setItem(place(form), now);
        if (saved) { saved.textContent = saved.dataset.lost || ''; saved.classList.add('no'); }
        timer = setTimeout(send, 5 * pause); // the network is away: again, until it is back
      } finally {
        under = null;
      }
    }
    bringBack(form).catch(() => { /* the network is away; it waits on */ });
    form.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(send, pause); });
    form.addEventListener('submit', (e) => { // what is sent is no draft any more; what the server does not get waits here
      if (e.defaultPrevented || e.submitter?.formTarget) return;
      const now = typed(form);
      sessionStorage.setItem('sent', place(form));
      if (e.submitter?.name === 'drop') sessionStorage.removeItem(place(form));
      else if (now !== kept) sessionStorage.setItem(place(form), now);
      clearTimeout(timer);
      timer = 0;
      under?.abort(); // or the draft would outlive what is saved
      kept = now;
    });
    document.addEventListener('visibilitychange', () => { if (document.hidden && timer) { clearTimeout(timer); send(); } });
  }

  const dialog = document.getElementById('ask');
  function ask(button) {
    dialog.querySelector('#ask-text').textContent = button.dataset.ask;
    const yes = dialog.querySelector('[value=yes]');
    yes.textContent = button.textContent;
    dialog.returnValue = '';
    asked = button;
    dialog.showModal();
  }
  let asked = null;
  dialog?.addEventListener('close', () => {
    if (dialog.open || !asked) return; // asked again since: this tells of the time before
    const now = asked.isConnected ? asked : document.getElementById(asked.id); // the page may have moved on behind the question
    asked = null;
    if (dialog.returnValue !== 'yes' || !now) return now?.focus();
    delete now.dataset.ask;
    now.form.requestSubmit(now);
  });

  document.addEventListener('click', (e) => {
    const button = e.target.closest?.('button[data-ask]');
    if (button && dialog) { e.preventDefault(); ask(button); }
  });
  document.addEventListener('submit', (e) => {
    if (e.defaultPrevented || e.target.method === 'dialog' || e.submitter?.formTarget) return;
    if (e.target.hasAttribute('data-file')) return; // it may answer with a file, and the page stays
    if (e.target.dataset.sent) return e.preventDefault();
    e.target.dataset.sent = 'yes';
    e.target.setAttribute('aria-busy', 'true');
  });
  // What is to be put down elsewhere is copied by a button; where the browser
  // keeps the clipboard to itself, it is selected, and the keyboard copies it.
  async function copy(button) {
    const from = document.getElementById(button.dataset.copy);
    if (from.select) from.select(); else getSelection().selectAllChildren(from);
    try {
      await navigator.clipboard.writeText(from.value ?? from.textContent);
    } catch {
      if (!document.execCommand('copy')) return;
    }
    const told = button.nextElementSibling?.role === 'status' ? button.nextElementSibling : button;
    const before = told.textContent;
    told.textContent = button.dataset.copied;
    if (told === button) setTimeout(() => { told.textContent = before; }, 2000);
  }
  for (const button of document.querySelectorAll('button[data-copy]')) {
    button.hidden = false;
    button.addEventListener('click', () => copy(button));
  }
  for (const button of document.querySelectorAll('button[data-print]')) {
    button.hidden = false;
    button.addEventListener('click', () => print());
  }
  addEventListener('pageshow', () => { for (const f of document.querySelectorAll('form[data-sent]')) { delete f.dataset.sent; f.removeAttribute('aria-busy'); } });
  for (const form of document.querySelectorAll('form[data-draft]')) keep(form);
  document.getElementById('faults')?.focus();
  for (const zone of document.querySelectorAll('input[data-zone]')) zone.value ||= Intl.DateTimeFormat().resolvedOptions().timeZone || '';

  // A part of a page that comes from elsewhere than it was asked for is another
  // page: the session has ended, and the way leads to signing in.
  document.addEventListener('htmx:beforeSwap', (e) => {
    const { xhr, pathInfo } = e.detail;
    if (xhr.responseURL && new URL(xhr.responseURL).pathname !== new URL(pathInfo.finalRequestPath, location).pathname) {
      e.detail.shouldSwap = false;
      location.assign(location.href);
    }
  });
  // What a button of a form put in or took away is typed too: the draft keeps it.
  document.addEventListener('htmx:afterSettle', (e) => e.target.closest?.('form[data-draft]')?.dispatchEvent(new Event('input')));
  document.addEventListener('htmx:load', (e) => {
    for (const form of e.target.querySelectorAll?.('form[data-draft]') ?? []) if (!form.dataset.kept) keep(form);
  });
})();
