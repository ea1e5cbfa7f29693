// The items that an opened one stands among, from first to last: those of the grid, the cards or the strip that it was
// opened from. A list is { gallery, kind, index, count(), at(index), remove(index), insert(index, item), focus(index) };
// `at` gives a promise of { id, v, label, domain, path, score, chance }, or of nothing. `listFrom` gives the list and the
// item that was opened, as far as the page knows it: a view that waited for the first would be open with none, or with the
// one before.

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
  const at = Number(card?.dataset.index), shown = grid?.itemAt(at) ?? (card && ofCard(card));
  if (grid?.data.total !== undefined) return [whole(grid, at), shown];
  if (grid) {
    const items = Array.from({ length: grid.count() }, (_, index) => grid.itemAt(index)), cardAt = (one) => grid.element.querySelector(`.card${one}`);
    const focus = (index, item) => {  // an item may be there more than once, and elsewhere than before
      const there = [`[data-index="${index}"][data-item="${item?.id}"]`, `[data-item="${item?.id}"]`, `[data-index="${index}"]`, ''];
      seen(there.map(cardAt))?.focus();
    };
    const ranked = grid.data.kind === 'hits' && !grid.data.order && !grid.data.grouped;
    return [Object.assign(fixed(gallery, grid.data.kind, items, at, focus), { ranked }), shown];
  }
  const cards = card ? [...card.closest('[data-gallery]').querySelectorAll('.card[data-item]')] : [];
  const items = card ? cards.map(ofCard) : [{ id, v: '', label: '', path: '' }], index = Math.max(0, cards.indexOf(card));
  const focus = (to, item) => seen([cards[to], ...inPage(item?.id), document.querySelector('#hits .card')])?.focus();
  return [fixed(gallery, '', items, index, focus), items[index]];
};
