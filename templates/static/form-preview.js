/* For the page on which the team looks at a form's widget: what it would fetch is
   given to it here, and nothing that it does reaches anyone. The page's policy
   forbids both as well. */
(() => {
  'use strict';
  const { spec } = document.currentScript.dataset;
  window.fetch = async () => new Response(spec, { headers: { 'Content-Type': 'application/json' } });
  Object.defineProperty(window, 'localStorage', { get() { throw new Error('a preview remembers nothing'); } });
  document.addEventListener('assent:submit', (e) => e.preventDefault());
  // The dialog is shown open, and takes the focus from nobody who is typing.
  document.addEventListener('assent:ready', ({ target }) => {
    const dialog = target.shadowRoot.querySelector('dialog');
    if (!dialog) return;
    dialog.inert = true;
    dialog.showModal();
    dialog.inert = false;
  });
})();
