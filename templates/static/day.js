/* Lets a day be chosen from a month, in the calendar of the page's language:
   Jalali in Persian, weeks from Saturday; Gregorian else, weeks from Monday. It
   writes what could have been typed. Without scripts the field is typed into. */
(() => {
  'use strict';
  const buttons = document.querySelectorAll('button[data-day-of]');
  if (!buttons.length) return;
  const persian = document.documentElement.lang === 'fa';
  const rtl = document.documentElement.dir === 'rtl';
  const locale = persian ? 'fa-IR-u-ca-persian' : 'en-GB';
  const day = 86400000;
  const speak = (options) => new Intl.DateTimeFormat(locale, { timeZone: 'UTC', ...options });
  const numeric = new Intl.DateTimeFormat(locale + (persian ? '-nu-latn' : ''), { timeZone: 'UTC', year: 'numeric', month: 'numeric', day: 'numeric' });
  const [whole, monthName, weekday, digits] = [speak({ weekday: 'long', day: 'numeric', month: 'long', year: 'numeric' }), speak({ month: 'long' }), speak({ weekday: 'narrow' }),
    new Intl.NumberFormat(persian ? 'fa-IR' : 'en-GB', { useGrouping: false, minimumIntegerDigits: 1 })];

  /* year, month and day of the calendar; t is a day's midnight, UTC */
  function parts(t) {
    const p = Object.fromEntries(numeric.formatToParts(t).map((x) => [x.type, Number.parseInt(x.value, 10)]));
    return [p.year, p.month, p.day];
  }
  const firstOf = (t) => t - (parts(t)[2] - 1) * day;
  const nextMonth = (t) => firstOf(firstOf(t) + 32 * day);
  const lastMonth = (t) => firstOf(firstOf(t) - day);
  const column = (t) => (new Date(t).getUTCDay() + (persian ? 1 : 6)) % 7;
  const today = () => { const n = new Date(); return Date.UTC(n.getFullYear(), n.getMonth(), n.getDate()); };

  function write(t) {
    const [y, m, d] = parts(t);
    const two = (n) => String(n).padStart(2, '0');
    const text = persian ? `${y}/${two(m)}/${two(d)}` : `${y}-${two(m)}-${two(d)}`;
    return persian ? text.replace(/\d/g, (c) => '۰۱۲۳۴۵۶۷۸۹'[c]) : text;
  }

  /* the day that is typed; NaN where none is */
  function read(text) {
    const latin = text.replace(/[۰-۹]/g, (c) => c.charCodeAt(0) - 0x6f0).replace(/[٠-٩]/g, (c) => c.charCodeAt(0) - 0x660);
    const [y, m, d] = latin.split(/[-/.]/).map(Number);
    if (!(y > 0 && m >= 1 && m <= 12 && d >= 1 && d <= 31)) return NaN;
    if (!persian || y >= 1700) return Date.UTC(y, m - 1, d);
    let t = Date.UTC(y + 621, 2, 21) + Math.round((m - 1) * 30.6 + d - 1) * day; // a few days off at most
    for (let n = 0; n < 12; n++, t += day) {
      const back = t - 6 * day;
      const [a, b, c] = parts(back);
      if (a === y && b === m && c === d) return back;
    }
    return NaN;
  }

  const dialog = document.createElement('dialog');
  dialog.className = 'card days';
  document.body.append(dialog);
  let field = null;
  let shown = 0;

  function button(text, label, act) {
    const b = document.createElement('button');
    b.type = 'button';
    b.className = 'btn quiet';
    b.textContent = text;
    if (label) b.setAttribute('aria-label', label);
    b.addEventListener('click', act);
    return b;
  }

  function draw(words, at, chosen) {
    shown = at;
    const head = document.createElement('div');
    head.className = 'days-head';
    const title = document.createElement('h2');
    title.id = 'days-title';
    title.setAttribute('aria-live', 'polite');
    title.textContent = `${monthName.format(at)} ${digits.format(parts(at)[0])}`;
    head.append(button(rtl ? '›' : '‹', words.before, () => draw(words, lastMonth(shown), chosen)), title, button(rtl ? '‹' : '›', words.after, () => draw(words, nextMonth(shown), chosen)));
    const grid = document.createElement('div');
    grid.className = 'days-grid';
    const first = firstOf(at);
    for (let i = 0; i < 7; i++) {
      const name = document.createElement('span');
      name.setAttribute('aria-hidden', 'true');
      name.textContent = weekday.format(first - column(first) * day + i * day);
      grid.append(name);
    }
    for (let t = first, end = nextMonth(at); t < end; t += day) {
      const b = button(digits.format(parts(t)[2]), whole.format(t), () => choose(t));
      b.dataset.t = String(t);
      b.tabIndex = t === at ? 0 : -1;
      if (t === first) b.style.setProperty('grid-column-start', String(column(t) + 1));
      if (t === today()) b.setAttribute('aria-current', 'date');
      if (t === chosen) b.setAttribute('aria-pressed', 'true');
      grid.append(b);
    }
    grid.addEventListener('keydown', (e) => {
      const on = rtl ? -1 : 1;
      const to = { ArrowRight: shown + on * day, ArrowLeft: shown - on * day, ArrowDown: shown + 7 * day, ArrowUp: shown - 7 * day, PageDown: nextMonth(shown), PageUp: lastMonth(shown),
        Home: firstOf(shown), End: nextMonth(shown) - day }[e.key];
      if (to === undefined) return;
      e.preventDefault();
      draw(words, to, chosen);
      dialog.querySelector(`[data-t="${to}"]`).focus();
    });
    dialog.replaceChildren(head, grid, button(words.close, '', () => dialog.close()));
    dialog.setAttribute('aria-labelledby', title.id);
  }

  function choose(t) {
    field.value = write(t);
    field.dispatchEvent(new Event('input', { bubbles: true }));
    dialog.close();
  }
  dialog.addEventListener('close', () => field?.focus());

  for (const b of buttons) {
    b.hidden = false;
    b.addEventListener('click', () => {
      field = document.getElementById(b.dataset.dayOf);
      const chosen = read(field.value);
      const at = Number.isNaN(chosen) ? today() : chosen;
      draw(b.dataset, at, chosen);
      dialog.showModal();
      dialog.querySelector(`[data-t="${at}"]`).focus();
    });
  }
})();
