/* What the team's forms do beside being forms: what is typed is kept as it is
   typed, what cannot be taken back asks first, a second click sends nothing.
   Without scripts every form still works; it is then kept when it is sent. */
(() => {
  'use strict';
  const pause = 700; // ms after the last key

  function keep(form) {
    form.dataset.kept = 'yes';
    const saved = form.querySelector('.saved');
    let timer = 0;
    let under = null; // what is being sent
    let kept = new URLSearchParams(new FormData(form)).toString();
    async function send() {
      timer = 0;
      const now = new URLSearchParams(new FormData(form)).toString();
      if (now === kept) return;
      try {
        const answer = await fetch(form.dataset.draft, { method: 'POST', body: new URLSearchParams(now), credentials: 'same-origin', keepalive: now.length < 60000, redirect: 'error', signal: (under = new AbortController()).signal });
        if (!answer.ok) throw new Error(String(answer.status));
        kept = now;
        if (saved) { saved.textContent = await answer.text(); saved.classList.remove('no'); }
      } catch (e) {
        if (e.name === 'AbortError') return;
        if (saved) { saved.textContent = saved.dataset.lost || ''; saved.classList.add('no'); }
        timer = setTimeout(send, 5 * pause); // the network is away: again, until it is back
      }
    }
    form.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(send, pause); });
    form.addEventListener('submit', (e) => { if (!e.defaultPrevented) { clearTimeout(timer); timer = 0; under?.abort(); } }); // or the draft would outlive what is saved
    document.addEventListener('visibilitychange', () => { if (document.hidden && timer) { clearTimeout(timer); send(); } });
  }

  const dialog = document.getElementById('ask');
  function ask(button) {
    dialog.querySelector('#ask-text').textContent = button.dataset.ask;
    const yes = dialog.querySelector('[value=yes]');
    yes.textContent = button.textContent;
    dialog.returnValue = '';
    dialog.showModal();
    dialog.addEventListener('close', () => {
      const now = button.isConnected ? button : document.getElementById(button.id); // the page may have moved on behind the question
      if (dialog.returnValue !== 'yes' || !now) return now?.focus();
      delete now.dataset.ask;
      now.form.requestSubmit(now);
    }, { once: true });
  }

  document.addEventListener('click', (e) => {
    const button = e.target.closest?.('button[data-ask]');
    if (button && dialog) { e.preventDefault(); ask(button); }
  });
  document.addEventListener('submit', (e) => {
    if (e.defaultPrevented || e.target.method === 'dialog') return;
    if (e.target.dataset.sent) return e.preventDefault();
    e.target.dataset.sent = 'yes';
    e.target.setAttribute('aria-busy', 'true');
  });
  addEventListener('pageshow', () => { for (const f of document.querySelectorAll('form[data-sent]')) { delete f.dataset.sent; f.removeAttribute('aria-busy'); } });
  for (const form of document.querySelectorAll('form[data-draft]')) keep(form);
  document.getElementById('faults')?.focus();

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
