// The keys of the page: `/` goes to the query, `?` opens a list of them all. Asked for at the first of these presses.

const KEYS = [
  ['Anywhere', [
    ['/', 'to the query'], ['?', 'this list'], ['Ctrl V', 'search with a copied picture, or its address'],
  ]],
  ['Among pictures', [
    ['← → ↑ ↓', 'to the next one'], ['Enter', 'open it'], ['Space', 'choose it'], ['Shift ← → ↑ ↓', 'choose along the way'],
    ['Ctrl A', 'choose all of them'], ['Esc', 'choose none'],
  ]],
  ['One picture, large', [
    ['← →', 'the one before, the next'], ['+ - 0', 'closer, further, all of it'], ['R', 'a region of it, to search with'], ['Esc', 'close it'],
  ]],
  ['A region of a picture', [
    ['← → ↑ ↓', 'move it'], ['Shift ← → ↑ ↓', 'make it larger or smaller'], ['Delete', 'remove it'], ['Enter', 'in the large view: search with it'],
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
    const close = made('button', 'Close');
    close.className = 'act';
    close.addEventListener('click', () => dialog.close());
    dialog = made('dialog', '', made('h2', 'Keys'), ...KEYS.flatMap(([where, keys]) => [made('h3', where), made('dl', '', ...keys.map(row))]), close);
    Object.assign(dialog, { id: 'keys' });
    dialog.firstChild.id = 'keys-title';
    dialog.setAttribute('aria-labelledby', 'keys-title');
    dialog.addEventListener('click', (event) => { if (event.target === dialog) dialog.close(); });
    document.querySelector('.gradio-container').append(dialog);
  }
  if (!dialog.open) dialog.showModal();
};

export const toQuery = (frames = FRAMES) => {
  if (document.querySelector('dialog[open]')) return;
  const column = document.querySelector('#search-query');
  if (!column.offsetParent) {
    if (frames === FRAMES) [...document.querySelectorAll('[role=tab]')].find((tab) => tab.textContent.trim() === 'Search')?.click();
    if (frames) requestAnimationFrame(() => toQuery(frames - 1));
    return;
  }
  const place = QUERY.map((selector) => document.querySelector(selector)).find((node) => node?.offsetParent);
  column.scrollIntoView({ block: 'nearest' });
  place?.focus();
};
