/* Keeps the regions marked data-live="STREAM" as the server has them: after an
   event of the stream the page is fetched again and the regions, found by id,
   are swapped, with the focus and the scroll kept. Without scripts, or with the
   stream away, the page is as it was loaded. */
(() => {
  'use strict';
  const wait = 300; // ms; a burst of events is one refresh
  // What the server sent: a picture drawn into a region, or a table opened there, is no news.
  const shown = new WeakMap();
  const regions = () => [...document.querySelectorAll('[data-live][id]')];

  function swap(old, fresh) {
    const focused = old.contains(document.activeElement) ? document.activeElement.id : '';
    const scrolled = new Map([...old.querySelectorAll('[id]')].filter((e) => e.scrollTop || e.scrollLeft)
      .map((e) => [e.id, [e.scrollLeft, e.scrollTop]]));
    const opened = [...old.querySelectorAll('details[id][open]')].map((e) => e.id);
    const top = old.scrollTop;
    old.replaceChildren(...fresh.childNodes);
    old.scrollTop = top;
    for (const id of opened) document.getElementById(id)?.setAttribute('open', '');
    for (const [id, [x, y]] of scrolled) document.getElementById(id)?.scrollTo(x, y);
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
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

  for (const url of new Set(regions().map((r) => r.dataset.live))) {
    const source = new EventSource(url);
    for (const kind of ['message', 'change', 'mail']) source.addEventListener(kind, soon);
    addEventListener('pagehide', () => source.close());
    addEventListener('pageshow', (e) => { if (e.persisted) location.reload(); });
  }
  document.addEventListener('visibilitychange', () => { if (!document.hidden && regions().length) soon(); });
})();
