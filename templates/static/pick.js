/* Finds people as their name or address is typed: a combobox (WAI-ARIA 1.2,
   list autocomplete) over a plain field. What is chosen is written into the
   field, as it could have been typed. Without scripts the field is typed into. */
(() => {
  'use strict';
  const pause = 180; // ms after the last key
  let count = 0;

  function pick(input) {
    input.dataset.picking = 'yes';
    const id = `picks-${count++}`;
    const list = document.createElement('ul');
    list.id = id;
    list.className = 'picks';
    list.hidden = true;
    list.setAttribute('role', 'listbox');
    list.setAttribute('aria-label', input.labels[0]?.textContent.trim() || '');
    const none = document.createElement('p');
    none.className = 'picks none';
    none.setAttribute('role', 'status');
    none.hidden = true;
    input.after(list, none);
    input.removeAttribute('list'); // the browser's own list would lie over it
    for (const [name, value] of [['role', 'combobox'], ['aria-autocomplete', 'list'], ['aria-expanded', 'false'], ['aria-controls', id]]) input.setAttribute(name, value);

    let timer = 0;
    let under = null;
    const options = () => [...list.children];
    const current = () => options().findIndex((o) => o.getAttribute('aria-selected') === 'true');

    function mark(at) {
      for (const [i, o] of options().entries()) o.setAttribute('aria-selected', String(i === at));
      const now = options()[at];
      if (!now) return input.removeAttribute('aria-activedescendant');
      input.setAttribute('aria-activedescendant', now.id);
      now.scrollIntoView({ block: 'nearest' });
    }
    function close() {
      clearTimeout(timer);
      under?.abort();
      list.hidden = true;
      none.hidden = true;
      input.setAttribute('aria-expanded', 'false');
      input.removeAttribute('aria-activedescendant');
    }
    function choose(option) {
      input.value = option.dataset.value;
      close();
      input.dispatchEvent(new Event('change', { bubbles: true }));
    }
    function draw(found) {
      list.replaceChildren(...found.map((one, i) => {
        const o = document.createElement('li');
        o.id = `${id}-${i}`;
        o.dataset.value = one.value;
        o.setAttribute('role', 'option');
        o.setAttribute('aria-selected', 'false');
        const name = document.createElement('bdi');
        name.textContent = one.label;
        o.append(name);
        if (one.more) {
          const more = document.createElement('small');
          more.dir = 'ltr';
          more.textContent = one.more;
          o.append(' ', more);
        }
        return o;
      }));
      list.hidden = !found.length;
      none.hidden = found.length > 0 || !input.value.trim();
      none.textContent = none.hidden ? '' : input.dataset.none;
      input.setAttribute('aria-expanded', String(found.length > 0));
      input.removeAttribute('aria-activedescendant');
    }
    async function find() {
      under?.abort();
      under = new AbortController();
      const to = new URL(input.dataset.pick, location.href);
      to.searchParams.set('q', input.value.trim());
      try {
        const answer = await fetch(to, { credentials: 'same-origin', redirect: 'error', signal: under.signal });
        if (answer.ok && document.activeElement === input) draw(await answer.json());
      } catch { /* the network is away, or more was typed: it stays a field */ }
    }

    input.addEventListener('input', () => { clearTimeout(timer); timer = setTimeout(find, pause); });
    input.addEventListener('click', () => { if (list.hidden) find(); });
    input.addEventListener('blur', close);
    // Some keyboards send the character of a key whose press was taken: it would
    // send the form.
    let chose = false;
    input.addEventListener('keypress', (e) => { if (chose && e.key === 'Enter') e.preventDefault(); });
    input.addEventListener('keyup', () => { chose = false; });
    input.addEventListener('blur', () => { chose = false; });
    input.addEventListener('keydown', (e) => {
      chose &&= e.repeat;
      const all = options();
      const at = current();
      if (e.key === 'ArrowDown' || e.key === 'ArrowUp') {
        e.preventDefault();
        if (list.hidden) return find();
        const step = e.key === 'ArrowDown' ? 1 : -1;
        mark(at < 0 && step < 0 ? all.length - 1 : (at + step + all.length) % all.length);
      } else if (e.key === 'Enter' && !list.hidden && at >= 0) {
        e.preventDefault();
        chose = true;
        choose(all[at]);
      } else if (e.key === 'Escape' && !(list.hidden && none.hidden)) {
        e.preventDefault();
        close();
      }
    });
    list.addEventListener('pointerdown', (e) => e.preventDefault()); // the field keeps the focus
    list.addEventListener('click', (e) => { const o = e.target.closest('[role=option]'); if (o) choose(o); });
  }

  const all = (within) => { for (const input of within.querySelectorAll?.('input[data-pick]:not([data-picking])') ?? []) pick(input); };
  all(document);
  document.addEventListener('htmx:load', (e) => all(e.target));
})();
