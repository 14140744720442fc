/* Keeps the regions marked data-live="STREAM" as the server has them: after an
   event of the stream the page is fetched again and the regions, found by id,
   are swapped, with the focus, the scroll and what was typed kept. While the stream is away the
   page says so, and tries again. Without scripts the page is as it was loaded. */
(() => {
  'use strict';
  const wait = 300; // ms; a burst of events is one refresh
  // What the server sent: a picture drawn into a region, or a table opened there, is no news.
  const shown = new WeakMap();
  const regions = () => [...document.querySelectorAll('[data-live][id]')];

  function swap(old, fresh) {
    const focused = old.contains(document.activeElement) && document.activeElement !== old ? document.activeElement : null;
    const scrolled = new Map([...old.querySelectorAll('[id]')].filter((e) => e.scrollTop || e.scrollLeft)
      .map((e) => [e.id, [e.scrollLeft, e.scrollTop]]));
    const opened = [...old.querySelectorAll('details[id][open]')].map((e) => e.id);
    const typed = new Map([...old.querySelectorAll('input[id]:not([type=checkbox], [type=radio], [type=hidden]), textarea[id]')]
      .filter((e) => e.value !== e.defaultValue).map((e) => [e.id, e.value]));
    const top = old.scrollTop;
    old.replaceChildren(...fresh.childNodes);
    old.scrollTop = top;
    for (const [id, value] of typed) {
      const field = document.getElementById(id);
      if (field) field.value = value;
    }
    for (const id of opened) document.getElementById(id)?.setAttribute('open', '');
    for (const [id, [x, y]] of scrolled) document.getElementById(id)?.scrollTo(x, y);
    if (focused) refocus(old, focused);
  }

  /* What had the focus has it again; where it is gone, the region it was in has,
     so that Tab goes on from there and not from the top of the page. */
  function refocus(region, was) {
    const href = was.getAttribute('href');
    const same = was.id ? document.getElementById(was.id) : href ? [...region.querySelectorAll('a[href]')].find((a) => a.getAttribute('href') === href) : null;
    if (!same && !region.hasAttribute('tabindex')) region.tabIndex = -1;
    (same || region).focus({ preventScroll: true });
  }

  async function refresh() {
    const answer = await fetch(location.href, { headers: { Accept: 'text/html' }, credentials: 'same-origin' });
    if (!answer.ok || answer.redirected) return; // signed out, or restarting: keep what is shown
    const page = new DOMParser().parseFromString(await answer.text(), 'text/html');
    for (const old of regions()) {
      const fresh = page.getElementById(old.id);
      if (fresh && fresh.innerHTML !== shown.get(old)) {
        shown.set(old, fresh.innerHTML);
        swap(old, fresh);
      }
    }
    document.dispatchEvent(new Event('live'));
  }

  for (const region of regions()) shown.set(region, region.innerHTML); // before anything is drawn

  let timer = 0;
  let busy = false;
  function soon() {
    timer ||= setTimeout(async () => {
      timer = 0;
      if (document.hidden) return; // looked at again, it is fetched then
      if (busy) return soon();
      busy = true;
      try { await refresh(); } catch { /* the next event tries again */ } finally { busy = false; }
    }, wait);
  }

  // A browser opens a stream again that broke off, but none that was refused, as
  // a restarting server or the proxy before it does.
  const away = document.getElementById('live-away');
  const lost = new Set();
  function tell(url, there) {
    if (there) lost.delete(url); else lost.add(url);
    const text = lost.size && away ? away.dataset.text : '';
    if (away && away.textContent !== text) {
      away.textContent = text;
      away.classList.toggle('told', text !== '');
    }
  }
  function listen(url) {
    let source, again, patience;
    let pause = 1000; // ms, doubled to half a minute
    function open() {
      source = new EventSource(url);
      source.addEventListener('open', () => {
        pause = 1000;
        clearTimeout(patience);
        patience = 0;
        tell(url, true);
      });
      source.addEventListener('error', () => {
        patience ||= setTimeout(tell, 5000, url, false);
        if (source.readyState !== EventSource.CLOSED) return;
        again = setTimeout(open, pause);
        pause = Math.min(2 * pause, 30000);
      });
      for (const kind of ['message', 'change', 'mail']) source.addEventListener(kind, soon);
    }
    open();
    addEventListener('pagehide', () => { source.close(); clearTimeout(again); clearTimeout(patience); });
  }
  for (const url of new Set(regions().map((r) => r.dataset.live))) listen(url);
  addEventListener('pageshow', (e) => { if (e.persisted && regions().length) location.reload(); });
  document.addEventListener('visibilitychange', () => { if (!document.hidden && regions().length) soon(); });
})();
