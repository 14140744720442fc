/*
 * Tells with the answer how long the page was open, and whether a pointer or a
 * key was used on it: programs that read mail press buttons, too. Nothing is
 * sent before a button is pressed, and without this the page works the same.
 */
const begun = performance.now();
let touched = '';
for (const kind of ['pointermove', 'pointerdown', 'keydown', 'touchstart']) {
  addEventListener(kind, (event) => { if (event.isTrusted) touched = '1'; }, { passive: true, capture: true });
}
for (const form of document.querySelectorAll('form[data-person]')) {
  form.addEventListener('formdata', ({ formData }) => {
    formData.set('dwell', String(Math.round(performance.now() - begun)));
    formData.set('touched', touched);
  });
}
