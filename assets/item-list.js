// The items that an opened one stands among, from first to last: those of the grid, the cards or the strip that it was
// opened from. A list is { gallery, kind, index, count(), at(index), remove(index), insert(index, item), focus(index) };
// `at` gives a promise of { id, v, label, domain, path, score, chance }, or of nothing. `listFrom` gives the list and the
// item that was opened, as far as the page knows it: a view that waited for the first would be open with none, or with the
// one before.

import { allIds, namedItems } from './gallery-items.js';

const PAGE = 60;

export const fixed = (gallery, kind, items, index, focus) => ({
  gallery, kind, index, focus,
  count: () => items.length,
  at: async (at) => items[at],
  remove: (at) => { items.splice(at, 1); },
  insert: (at, item) => { items.splice(at, 0, item); },
});

// The ids are those of when it was opened: what is corrected on the way may leave what is shown, or go elsewhere in it, and
// pages that are asked for by their place would pass others by.
const whole = (grid, index, opened) => {
  const shown = grid.data, items = new Map([[opened.id, opened]]), coming = new Map();
  let total = grid.count(), ready = null;
  const begin = async () => {
    const told = await (grid.data === shown ? grid.ids() : allIds(shown));
    if (!told) return ready = null;
    const ids = [...told];
    if (!ids.includes(opened.id)) ids.splice(index, 0, opened.id);  // gone meanwhile
    if (list.index === index) list.index = ids.indexOf(opened.id);
    total = ids.length;
    return ids;
  };
  const allOf = () => ready ||= begin();
  const change = (by, how) => {
    total += by;
    ready = allOf().then((ids) => {
      if (ids) how(ids);
      return ids;
    });
  };
  const fetchPage = async (ids, start) => {
    const told = await namedItems(shown.gallery, ids.slice(start, start + PAGE).filter((id) => !items.has(id)));
    for (const item of told ?? []) items.set(item.id, item);
    coming.delete(start);
    return Boolean(told);
  };
  const list = {
    gallery: shown.gallery, kind: 'items', index,
    count: () => total,
    at: async (at) => {
      const ids = await allOf(), id = ids?.[at], start = Math.floor(at / PAGE) * PAGE;
      if (id === undefined || items.has(id)) return items.get(id);
      if (!coming.has(start)) coming.set(start, fetchPage(ids, start));
      const answered = await coming.get(start);
      return items.get(id) ?? (answered ? { id, v: '', label: '', path: '' } : undefined);  // it was removed since
    },
    remove: (at) => change(-1, (ids) => ids.splice(at, 1)),
    insert: (at, item) => {
      items.set(item.id, item);
      change(1, (ids) => ids.splice(at, 0, item.id));
    },
    focus: async (at, item) => {
      if (grid.data === shown) return grid.focusOn(at, item?.id);
      const ids = await allOf();
      let drawn, now;
      do {  // it may be drawn anew while it is asked what it shows
        drawn = grid.data;
        now = drawn?.gallery === shown.gallery && await grid.ids();
      } while (grid.data !== drawn);
      if (!ids || !now) return;
      const places = new Map(now.map((id, place) => [id, place]));
      const next = [...ids.slice(at), ...ids.slice(0, at).reverse()].find((id) => places.has(id));  // it, or what is beside it
      grid.focusOn(places.get(next), next);
    },
  };
  allOf();
  return list;
};

const seen = (cards) => cards.find((card) => card?.offsetParent);
const inPage = (id) => [...document.querySelectorAll(`.card[data-item="${id}"]`)];
const ofCard = (card) => ({
  id: Number(card.dataset.item),
  v: card.querySelector('img')?.src.split('?v=')[1] ?? '',
  label: card.querySelector('.name')?.textContent ?? '',
  path: card.title,
});

export const listFrom = (card, [gallery, id]) => {
  const grid = card?.closest('.frame')?.grid;
  const at = Number(card?.dataset.index), shown = grid?.itemAt(at) ?? (card && ofCard(card));
  if (grid?.data.total !== undefined) return [whole(grid, at, shown), shown];
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
