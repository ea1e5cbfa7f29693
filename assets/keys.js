// The keys of the page: `/` goes to the query, `?` opens a list of them all. Asked for at the first of these presses.

import { say } from './say.js';

const KEYS = [
  [say('Anywhere'), [
    ['/', say('to the query')], ['?', say('this list')], [say('Ctrl V'), say('search with a copied picture, or its address')],
  ]],
  [say('Among pictures'), [
    ['← → ↑ ↓', say('to the next one')], ['Enter', say('open it')], [say('Space'), say('choose it')], [say('Shift ← → ↑ ↓'), say('choose along the way')],
    [say('Ctrl A'), say('choose all of them')], ['Esc', say('choose none')],
    ['K', say('among duplicates: keep this one')],
  ]],
  [say('One picture, large'), [
    ['← →', say('the one before, the next')], [say('Home End'), say('the first, the last')], ['+ - 0', say('closer, further, all of it')],
    [say('Shift ← → ↑ ↓'), say('zoomed in: move it')], ['C', say('side by side with what it was found with')],
    ['R', say('a region of it, to search with')], ['Esc', say('close it')],
  ]],
  [say('A region of a picture'), [
    ['← → ↑ ↓', say('move it')], [say('Shift ← → ↑ ↓'), say('make it larger or smaller')], [say('Delete'), say('remove it')], ['Enter', say('in the large view: search with it')],
  ]],
];
const QUERY = ['#search-words textarea, #search-words input', '#query-image button[aria-dropeffect]', '#query .region-tools [data-do=add]', '#query .none'];
const FRAMES = 20;  // that a tab may take to appear

const made = (kind, text, ...inside) => {
  const node = document.createElement(kind);
  if (text) node.textContent = text;
  node.append(...inside);
  return node;
};
const row = ([keys, does]) => made('div', '', made('dt', '', ...keys.split(' ').map((key) => made('kbd', key))), made('dd', does));
let dialog = null;

export const list = () => {
  if (!dialog) {
    const close = made('button', say('Close'));
    close.className = 'act';
    close.addEventListener('click', () => dialog.close());
    dialog = made('dialog', '', made('h2', say('Keys')), ...KEYS.flatMap(([where, keys]) => [made('h3', where), made('dl', '', ...keys.map(row))]), close);
    Object.assign(dialog, { id: 'keys' });
    Object.assign(dialog.firstChild, { id: 'keys-title', tabIndex: -1, autofocus: true });  // else Close has it, at the end of the list
    dialog.setAttribute('aria-labelledby', 'keys-title');
    dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });
    document.querySelector('.gradio-container').append(dialog);
  }
  if (!dialog.open) dialog.showModal();
};

export const toQuery = (frames = FRAMES) => {
  const column = document.querySelector('#search-query');
  if (!column.offsetParent) {
    if (frames === FRAMES) document.querySelector('[role=tab][data-tab-id=search]')?.click();
    if (frames) requestAnimationFrame(() => toQuery(frames - 1));
    return;
  }
  const place = QUERY.map((selector) => document.querySelector(selector)).find((node) => node?.offsetParent);
  column.scrollIntoView({ block: 'nearest' });
  place?.focus();
};
