// Pictures as cards: samples, hits, and galleries of any size. Runs inside gr.HTML (`element`, `props`, `watch`).
// The value is JSON: { gallery, kind, lead, items: [{ id, v, label, domain, path, score, chance }] }, or with `total` instead
// of `items`, the part of a gallery that `view` names: what is in sight is asked for as one scrolls, and only that is in
// the page. With `groups` beside `items`: see groups.js. `id`: the gallery's, which it keeps under another name.

import { afterAWhile } from './answering.js';
import { cardSize, chooseSize, drawCard, isChosen, markChosen, newCard, roomOfNames, writeName } from './cards.js';
import makeChoosing from './choosing.js';
import { allIds, someItems } from './gallery-items.js';
import makeHits from './hits.js';
import later from './later.js';
import refocusing from './refocus.js';

export default ({ element, props, watch }) => {
  const GAP = 12, TEXT = 66, PAGE = 240, TALLEST = 3e7, PAGES_KEPT = 40, REST_MS = 60;
  const place = (name) => element.querySelector(`.${name}`), grouping = later('groups');
  let data = null, pages = new Map(), drawn = new Map(), size = cardSize(), shape = null, resting = 0, order = null, room = null;
  let retrying = null;  // what could not be fetched is asked for once more
  let awaited = null;  // the item that has the keyboard before its card shows it: { id, card }

  const galleryOf = (told) => told?.id ?? told?.gallery;
  const isWhole = (told) => Boolean(told) && told.total !== undefined;
  const itemAt = (index) => data.items ? data.items[index] : pages.get(Math.floor(index / PAGE))?.[index % PAGE];
  const leaves = (told) => {  // what a view leaves of a gallery, in whatever order
    const { order, grouped, ...filters } = JSON.parse(told?.view || '{}');
    return JSON.stringify(filters);
  };
  const count = () => data ? data.total ?? data.items.length : 0;
  const fill = (node, item, index) => {
    drawCard(node, data, item, index, room ||= roomOfNames(place('grid'), size));
    markChosen(node, Boolean(item) && choosing.has(item));
    return node;
  };

  // --- drawing ---------------------------------------------------------------------------------------------------------
  const draw = () => {
    const refocus = refocusing(element), had = holder();
    const before = data, first = data?.items?.[0]?.id, top = place('frame').scrollTop;
    data = props.value ? JSON.parse(props.value) : null;
    if (galleryOf(data) !== galleryOf(before) || data?.kind !== before?.kind || isWhole(data) !== isWhole(before)) choosing.clear();
    else if (leaves(data) !== leaves(before)) choosing.endAll();
    pages = new Map();
    order = null;
    drawn = new Map();
    const whole = isWhole(data);
    place('frame').className = whole && count() ? 'frame whole' : 'frame';
    place('frame').dataset.gallery = data?.gallery ?? '';
    place('lead').textContent = data?.lead ?? '';
    place('lead').hidden = !data?.lead;
    const grid = place('grid');
    if (data?.kind !== 'hits') grid.replaceChildren();
    grid.removeAttribute('style');
    place('size').hidden = !data || !count();
    place('tall').removeAttribute('style');
    grid.dataset.kind = data?.kind ?? '';
    shape = null;
    if (whole) {
      const same = data.gallery === before?.gallery && data.view === before?.view;
      if (!same) place('frame').scrollTop = 0;
      show();
      if (same && top) {  // what is drawn anew begins without its height
        place('frame').scrollTop = top;
        show();  // now, since one of these cards may have had the keyboard
      }
    } else if (data?.kind === 'hits') hits.draw();
    else if (data) grid.append(...data.items.map((item, index) => fill(newCard(), item, index)));
    if (data?.kind !== 'hits') place('more-hits').hidden = true;
    if (data?.groups) drawGroups(data, first === data.items[0]?.id ? top : 0);
    choosing.look();
    if (data?.gallery !== before?.gallery || data?.kind !== before?.kind) return;
    if (whole && had) holdAt(Math.min(had.index, count() - 1), had.id, { preventScroll: true });
    else refocus();
  };
  const drawGroups = async (wanted, top) => {
    const groups = await grouping();
    if (data !== wanted) return;
    groups.drawGroups(place('grid'), data);
    place('frame').scrollTop = top;
  };
  const measure = () => {  // columns, size of a row, height of all of it and of the part that is shown
    const frame = place('frame'), width = frame.clientWidth - 2 * GAP;
    const columns = Math.max(1, Math.floor((width + GAP) / (size + GAP)));
    const row = (width - GAP * (columns - 1)) / columns + TEXT + GAP, rows = Math.ceil(count() / columns);
    const tall = Math.min(rows * row + GAP, TALLEST), room = frame.clientHeight;
    place('tall').style.height = `${tall}px`;
    place('grid').style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
    return { columns, row, rows, tall, room, scale: Math.max(1, (rows * row + GAP - room) / Math.max(1, tall - room)) };
  };
  const show = () => {  // only rows that are in view, and two beside them, are in the page
    if (!data || data.total === undefined || !element.offsetParent) return;
    shape ||= measure();
    const { columns, row, rows, scale, room } = shape, frame = place('frame'), grid = place('grid');
    const at = frame.scrollTop * scale, first = Math.max(0, Math.floor(at / row) - 2);
    const last = Math.min(rows, Math.ceil((at + room) / row) + 2);
    const from = first * columns, to = Math.min(count(), last * columns);
    const spare = [...drawn.keys()].filter((index) => index < from || index >= to);
    for (let index = from; index < to; index += 1) {
      let node = drawn.get(index);
      if (!node) {
        const reused = spare.pop();
        node = reused === undefined ? newCard() : drawn.get(reused);
        drawn.delete(reused);
        drawn.set(index, node);
        fill(node, itemAt(index), index);
      }
      node.style.order = index - from;
      if (node.parentNode !== grid) grid.append(node);
    }
    for (const index of spare) {
      drawn.get(index).remove();
      drawn.delete(index);
    }
    grid.style.transform = `translateY(${first * row - at + frame.scrollTop}px)`;
    clearTimeout(resting);
    resting = setTimeout(() => load(from, to), REST_MS);
  };
  const ids = () => {  // of all that is shown of a whole gallery, in its order, or null; asked for once
    const mine = order ||= allIds(data);
    mine.then((told) => { if (!told && order === mine) order = null; });
    return mine;
  };
  const load = async (from, to) => {
    const wanted = data;
    let lost = false;
    for (let page = Math.floor(from / PAGE); page <= Math.floor((to - 1) / PAGE); page += 1) {
      if (pages.has(page)) continue;
      pages.set(page, []);
      const items = await someItems(data, page * PAGE, PAGE);
      if (data !== wanted) return;
      if (!items) {
        pages.delete(page);
        lost = true;
        continue;
      }
      pages.set(page, items);
      if (pages.size > PAGES_KEPT) pages.delete(pages.keys().next().value);
    }
    for (const [index, node] of drawn) if (!node.dataset.item || !itemAt(index)) fill(node, itemAt(index), index);
    find();
    if (lost) retrying ||= afterAWhile().then(() => {
      retrying = null;
      show();
    });
  };

  // --- the keyboard ----------------------------------------------------------------------------------------------------
  const holder = () => {  // the card that has it: { id, index }; what it shows may not have been told yet
    const card = element.contains(document.activeElement) && document.activeElement.closest('.card');
    const id = card && (awaited?.card === card ? awaited.id : Number(card.dataset.item) || null);
    return card ? { id, index: Number(card.dataset.index) } : null;
  };
  const holdAt = (index, id, how) => {
    const card = element.querySelector(`.card[data-index="${index}"]`);
    awaited = card && id ? { id, card } : null;
    card?.focus(how);
  };
  const find = () => {  // what stood at a place may stand beside it by now
    if (!awaited?.card.dataset.item) return;
    const { id, card } = awaited, now = element.querySelector(`.card[data-item="${id}"]`);
    awaited = null;
    if (document.activeElement === card) now?.focus({ preventScroll: true });
  };
  const focusOn = (index, id = null) => {
    if (index < 0 || index >= count() || !element.offsetParent) return;
    if (data.total !== undefined) {
      const { columns, row, scale, room } = shape, frame = place('frame'), top = Math.floor(index / columns) * row;
      const at = frame.scrollTop * scale;
      if (top < at) frame.scrollTop = top / scale;
      else if (top + row > at + room) frame.scrollTop = (top + row - room) / scale;
      show();
    }
    holdAt(index, id);
    find();
  };

  // --- size ------------------------------------------------------------------------------------------------------------
  const fitNames = () => {  // to cards that are wider or narrower than when they were drawn
    const before = room?.width;
    room = null;
    if (!data || !count() || !element.offsetParent) return;
    room = roomOfNames(place('grid'), size);
    if (room.width !== before) for (const node of place('grid').querySelectorAll('.card[data-item]')) writeName(node, room);
  };
  const resize = () => {
    shape = null;
    show();
    fitNames();
  };
  const slider = place('size').querySelector('input');
  const setSize = () => {
    size = cardSize();
    slider.value = size;
    if (isChosen()) element.style.setProperty('--chosen-card', `${size}px`);
    room = null;
    const cards = data?.groups ? [] : element.querySelectorAll('.card');
    for (const node of cards) fill(node, itemAt(Number(node.dataset.index)), Number(node.dataset.index));
    resize();
  };
  slider.addEventListener('input', () => {
    chooseSize(slider.value);
    dispatchEvent(new Event('unifex-card-size'));  // every grid has the same
  });
  addEventListener('unifex-card-size', setSize);
  element.addEventListener('scroll', (event) => { if (event.target === place('frame')) requestAnimationFrame(show); }, true);
  new ResizeObserver(resize).observe(place('frame'));
  const grid = { element, place, get data() { return data; }, itemAt, count, ids, focusOn };
  place('frame').grid = grid;  // the large view goes through it: item-list.js
  const choosing = makeChoosing(grid);
  setSize();
  const put = (item, index) => fill(newCard(), item, index);
  const hits = makeHits({ element, place, get data() { return data; }, put, drawn: choosing.look });
  watch('value', draw);
  draw();
};
