/*
 * Gives the ALTCHA widget its challenge, its words and its worker, and lets the
 * form wait for it. Nothing of what a visitor does on the page is gathered.
 */
const widget = document.querySelector('altcha-widget[data-challenge]');

if (widget) {
  const { challenge, settings, worker } = widget.dataset;
  const { strings, language } = JSON.parse(settings);
  await customElements.whenDefined('altcha-widget');
  const { algorithms, i18n } = globalThis.$altcha;
  algorithms.set('PBKDF2/SHA-256', () => new Worker(worker));
  i18n.set(language, { ...i18n.get('en'), ...strings });
  widget.configure({
    challenge: JSON.parse(challenge), language, auto: 'onload', hideFooter: true, hideLogo: true,
    humanInteractionSignature: false, minDuration: 0,
  });
}
