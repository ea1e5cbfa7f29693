// A short message at the bottom of the window, whatever part of the page one is at; the next one takes its place.

const SAID_MS = 6000;

export default (text, role) => {
  const told = Object.assign(document.createElement('p'), { className: 'toast', textContent: text });
  if (role) told.setAttribute('role', role);
  document.querySelector('.toast')?.remove();
  (document.querySelector('dialog[open]') ?? document.querySelector('.gradio-container') ?? document.body).append(told);
  setTimeout(() => told.remove(), SAID_MS);
};
