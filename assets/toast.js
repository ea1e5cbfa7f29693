// A short message at the bottom of the window, whatever part of the page one is at; the next one takes its place. Where the
// bar of what is chosen (choosing.js) is in its way, it stands above that: the bar comes and goes, and moves as one scrolls.

const SAID_MS = 6000, APART = 8;

const placeAboveBar = (told) => {
  if (!told.isConnected) return;
  const bar = [...document.querySelectorAll('.tools')].find((node) => node.offsetParent)?.getBoundingClientRect();
  told.style.bottom = '';
  const { top, bottom } = told.getBoundingClientRect();
  const covers = bar && !told.closest('dialog') && bar.top - APART < bottom && bar.bottom > top;
  if (covers) told.style.bottom = `${innerHeight - bar.top + APART}px`;
  requestAnimationFrame(() => placeAboveBar(told));
};

export default (text, role) => {
  const told = Object.assign(document.createElement('p'), { className: 'toast', textContent: text });
  if (role) told.setAttribute('role', role);
  document.querySelector('.toast')?.remove();
  (document.querySelector('dialog[open]') ?? document.querySelector('.gradio-container') ?? document.body).append(told);
  placeAboveBar(told);
  setTimeout(() => told.remove(), SAID_MS);
};
