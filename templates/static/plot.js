/* Draws the pictures marked data-plot from the tables that stand in them, with
   uPlot. Every text is the server's: the names on the axes, and what is said of
   the point that is pointed at. Time runs from left to right in every language,
   as Persian papers print it; the digits and the calendar are the reader's.
   Without scripts the table is there. */
(() => {
  'use strict';
  const drawn = new Map(); // room → { plot, watch }

  // What the sheet makes of a look: uPlot wants plain colours, and light-dark()
  // is none until it is used.
  function look(mark) {
    const s = getComputedStyle(mark.querySelector('path'));
    return { stroke: s.stroke, dash: s.strokeDasharray === 'none' ? [] : s.strokeDasharray.split(/[ ,]+/).map(parseFloat) };
  }

  function read(figure) {
    const rows = [...figure.querySelectorAll('tbody tr')];
    return {
      short: rows.map((r) => r.dataset.short),
      long: rows.map((r) => r.querySelector('th').textContent),
      said: rows.map((r) => [...r.querySelectorAll('td')].map((c) => c.dataset.label + ' ' + c.textContent)),
      data: [rows.map((_, i) => i), ...[...figure.querySelectorAll('thead th')].slice(1).map((_, n) => rows.map((r) => +r.cells[n + 1].dataset.n))],
      ticks: figure.dataset.ticks.split(';').map((t) => t.split('|')),
    };
  }

  // so many names that none runs into the next
  function some(n, width, longest) {
    const step = Math.max(1, Math.ceil(n / Math.max(1, Math.floor(width / (longest * 7.5 + 18)))));
    return Array.from({ length: n }, (_, i) => i).filter((i) => (n - 1 - i) % step === 0);
  }

  function draw(figure) {
    const room = figure.querySelector('.plot-room');
    if (!room || typeof uPlot === 'undefined') return;
    const says = figure.querySelector('.plot-says');
    const { short, long, said, data, ticks } = read(figure);
    if (!short.length) return;
    const sheet = getComputedStyle(figure);
    const probe = getComputedStyle(room);
    const soft = getComputedStyle(says).color;
    const line = probe.borderBlockEndColor;
    const font = '12px ' + sheet.fontFamily;
    const text = new Map(ticks.map(([n, t]) => [+n, t]));
    const longest = Math.max(...short.map((s) => s.length));
    const wide = Math.max(...ticks.map(([, t]) => t.length));
    const turn = (s) => (sheet.direction === 'rtl' ? '\u2067' + s + '\u2069' : s); // a canvas that runs from the left would draw the day after its month
    const axis = { font, stroke: soft, grid: { stroke: line, width: 1 }, ticks: { show: false } };
    const plot = new uPlot({
      width: room.clientWidth, height: 220, legend: { show: false }, padding: [10, Math.max(18, longest * 4), 0, 4],
      cursor: { y: false, drag: { x: false, y: false }, points: { size: 7 } },
      scales: { x: { time: false, range: [0, Math.max(1, short.length - 1)] }, y: { range: [0, +ticks[ticks.length - 1][0]] } },
      axes: [
        { ...axis, grid: { show: false }, size: 36, gap: 10, splits: (u) => some(short.length, u.width, longest), values: (_, at) => at.map((i) => short[i] ? turn(short[i]) : '') },
        { ...axis, size: wide * 7.5 + 16, splits: () => [...text.keys()], values: (_, at) => at.map((n) => text.get(n) ?? '') },
      ],
      series: [{}, ...[...figure.querySelectorAll('.plot-mark')].map((m) => {
        const l = look(m);
        return { stroke: l.stroke, dash: l.dash, width: 2, points: { show: short.length < 15, size: 5, fill: l.stroke, stroke: l.stroke } };
      }).map((s, i) => ({ ...s, show: data[i + 1].some((n) => n > 0) }))],
      hooks: { setCursor: [(u) => {
        const i = u.cursor.idx;
        says.textContent = i == null ? says.dataset.rest : long[i] + ': ' + said[i].join(' · ');
      }] },
    }, data, room);
    const watch = new ResizeObserver(() => { if (room.clientWidth && room.clientWidth !== plot.width) plot.setSize({ width: room.clientWidth, height: 220 }); });
    watch.observe(room);
    drawn.set(room, { plot, watch });
  }

  function forget(room) {
    const { plot, watch } = drawn.get(room);
    watch.disconnect();
    plot.destroy();
    drawn.delete(room);
  }

  function all() {
    for (const room of [...drawn.keys()]) if (!room.isConnected) forget(room);
    for (const figure of document.querySelectorAll('[data-plot]')) {
      const room = figure.querySelector('.plot-room');
      if (room && !drawn.has(room)) draw(figure);
    }
  }

  function anew() {
    for (const room of [...drawn.keys()]) forget(room);
    all();
  }

  all();
  document.fonts?.ready.then(anew);
  matchMedia('(prefers-color-scheme: dark)').addEventListener('change', () => requestAnimationFrame(anew));
  document.addEventListener('live', all); // live.js has swapped a region
})();
