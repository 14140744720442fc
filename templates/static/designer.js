/* What is typed into a form's designer, drawn as a visitor would see it: each time
   that the draft was kept (desk.js), and each time that another way to look at
   it is chosen, the frame is loaded anew, behind the one that is seen. Without
   scripts a button does the same. */
(() => {
  'use strict';
  const form = document.querySelector('form[data-look]');
  const place = document.getElementById('look');
  if (!form || !place) return;
  const ways = () => [...form.querySelectorAll('select[name^="look."]')];

  function address() {
    const at = new URL(form.dataset.look, location.href);
    for (const way of ways()) at.searchParams.set(way.name, way.value);
    return at.href;
  }

  function draw() {
    const width = ways().find((way) => way.name === 'look.width');
    place.classList.toggle('phone', width.value !== 'desk');
    place.classList.toggle('desk', width.value === 'desk');
    place.querySelector('.coming')?.remove();
    const seen = place.querySelector('iframe');
    const coming = seen.cloneNode();
    coming.classList.add('coming');
    coming.removeAttribute('name');
    coming.src = address();
    coming.addEventListener('load', () => {
      let top = 0;
      try { top = seen.contentWindow.scrollY; } catch { /* it shows something else */ }
      try { coming.contentWindow.scrollTo({ top, behavior: 'instant' }); } catch { /* so does this */ }
      coming.classList.remove('coming');
      coming.name = 'look';
      seen.remove();
    }, { once: true });
    place.append(coming);
  }

  form.addEventListener('change', (e) => { if (ways().includes(e.target)) draw(); });
  form.addEventListener('kept', draw);
  document.addEventListener('htmx:afterSettle', (e) => { if (form.contains(e.target)) form.dispatchEvent(new Event('input')); });
  for (const plain of form.querySelectorAll('[data-without-script]')) plain.hidden = true;
})();
