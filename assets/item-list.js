// The items that an opened one stands among, from first to last: those of the grid, the cards or the strip that it was
// opened from. A list is { gallery, kind, index, count(), at(index), remove(index), insert(index, item), focus(index) };
// `at` gives a promise of { id, v, label, domain, path, score, chance }, or of nothing.

const PAGE = 60;

export const fixed = (gallery, kind, items, index, focus) => ({
  gallery, kind, index, focus,
  count: () => items.length,
  at: async (at) => items[at],
  remove: (at) => { items.splice(at, 1); },
  insert: (at, item) => { items.splice(at, 0, item); },
});

const whole = (grid, index) => {  // asked for part by part, and anew whenever the gallery changes
  let pages = new Map(), total = grid.count();
  const change = (by) => {
    total += by;
    pages = new Map();
  };
  return {
    gallery: grid.data.gallery, kind: 'items', index,
    count: () => total,
    at: async (at) => {
      const page = Math.floor(at / PAGE);
      if (!pages.has(page)) pages.set(page, grid.ask(page * PAGE, PAGE));
      const items = await pages.get(page);
      if (!items) pages.delete(page);
      return items?.[at % PAGE];
    },
    remove: () => change(-1),
    insert: () => change(1),
    focus: (at) => grid.focusOn(at),
  };
};

const seen = (cards) => cards.find((card) => card?.offsetParent);
const inPage = (id) => [...document.querySelectorAll(`.card[data-item="${id}"]`)];
const ofCard = (card) => ({
  id: Number(card.dataset.item),
  v: card.querySelector('img')?.src.split('?v=')[1] ?? '',
  label: card.querySelector('.name')?.textContent ?? '',
  path: card.title,
});

export const listFrom = (pressed, [gallery, id]) => {
  const card = !pressed || pressed.isConnected ? pressed : seen(inPage(id));  // drawn anew since
  const grid = card?.closest('.frame')?.grid;
  if (grid?.data.total !== undefined) return whole(grid, Number(card.dataset.index));
  if (grid) {
    const items = Array.from({ length: grid.count() }, (_, at) => grid.itemAt(at)), cardAt = (one) => grid.element.querySelector(`.card${one}`);
    const focus = (at, item) => {  // an item may be there more than once, and elsewhere than before
      const there = [`[data-index="${at}"][data-item="${item?.id}"]`, `[data-item="${item?.id}"]`, `[data-index="${at}"]`, ''];
      seen(there.map(cardAt))?.focus();
    };
    const ranked = grid.data.kind === 'hits' && !grid.data.order && !grid.data.grouped;
    return Object.assign(fixed(gallery, grid.data.kind, items, Number(card.dataset.index), focus), { ranked });
  }
  const cards = card ? [...card.closest('[data-gallery]').querySelectorAll('.card[data-item]')] : [];
  const items = card ? cards.map(ofCard) : [{ id, v: '', label: '', path: '' }];
  const focus = (at, item) => seen([cards[at], ...inPage(item?.id), document.querySelector('#hits .card')])?.focus();
  return fixed(gallery, '', items, Math.max(0, cards.indexOf(card)), focus);
};
