// Hits as a grid shows them: in an order, under the labels they have, with their near-copies in place, and more as one
// scrolls. `grid` is of grid.js: { element, place, data, put, drawn }; what is found stays in the order in which it was found.

import { nameOf } from './cards.js';
import { namedItems } from './gallery-items.js';
import refocusing, { renew } from './refocus.js';
import { plural, say, thousands } from './say.js';

const COPY = 'near-copy';

export default (grid) => {
  const { element, place } = grid, further = place('more-hits');
  let found = [], foundIn = '', asking = false, scrolled = false;  // foundIn: the gallery
  let question = '', fresh = 0;  // how many are of the answer that is shown: those behind them are of the one before
  let opened = new Map();  // id of a hit -> its near-copies
  let nodes = new Map();  // all that is drawn of a hit -> its node

  const without = (items, others) => {
    const known = new Set(others.map(({ id }) => id));
    return items.filter(({ id }) => !known.has(id));
  };
  const byText = (a, b) => a.localeCompare(b, undefined, { numeric: true });
  const byValue = (a, b) => typeof a === 'number' && typeof b === 'number' ? a - b : byText(String(a), String(b));
  const last = (value) => value === '' || value === undefined;  // what says nothing comes last, either way
  const sorted = (value, compare, turn = 1) => [...found].sort((a, b) => (
    last(value(a)) - last(value(b)) || (last(value(a)) ? 0 : turn * compare(value(a), value(b)))));
  const ORDERS = {
    '': () => found,
    label: () => sorted((item) => item.label, byText),
    path: () => sorted((item) => item.path, byText),
    '+': () => sorted((item) => item.by, byValue),
    '-': () => sorted((item) => item.by, byValue, -1),
  };
  const arranged = () => {  // [label, items] of each group; one without where nothing is grouped
    const { order = '', grouped } = grid.data;
    const items = (ORDERS[order] || ORDERS[order[0]] || ORDERS[''])();
    if (!grouped) return [[null, items]];
    const groups = new Map();
    for (const item of items) groups.set(item.label, [...(groups.get(item.label) || []), item]);
    return [...groups];
  };

  const headingNode = (label, count) => {
    const node = document.createElement('h2');
    node.className = 'group';
    node.append(label || say('Without a label'), Object.assign(document.createElement('small'), { textContent: thousands(count) }));
    if (label) {
      const only = Object.assign(document.createElement('button'), { type: 'button', className: 'only', textContent: say('Only this') });
      Object.assign(only.dataset, { only: 'label', name: label });
      only.setAttribute('aria-label', say('Only the label {label}', { label }));
      node.append(only);
    }
    return node;
  };
  const withCopies = (card, item) => {  // a card is a button already, so that this one stands below it
    if (!item.copied) return card;
    const node = document.createElement('div'), button = document.createElement('button'), isOpen = opened.has(item.id);
    node.className = 'folded';
    Object.assign(button, { type: 'button', className: 'copies' });
    button.dataset.of = item.id;
    const one = item.copied === 1, of = { copies: plural(item.copied, 'near-copy', 'near-copies'), item: nameOf(item) };
    button.textContent = isOpen ? (one ? say('Hide copy') : say('Hide copies')) : `+${plural(item.copied, 'copy', 'copies')}`;
    button.setAttribute('aria-expanded', isOpen);
    button.setAttribute('aria-label', isOpen ? say('Hide {copies} of {item}', of) : say('Show {copies} of {item}', of));
    node.append(card, button);
    return node;
  };
  const nodeOf = (item, index) => {
    const card = grid.put(item, index);
    card.classList.toggle('near-copy', item.kind === COPY);
    return withCopies(card, item);
  };
  const draw = () => {
    const refocus = refocusing(element);
    const groups = arranged().map(([heading, items]) => (
      [heading, items.length, items.flatMap((item) => [item, ...(opened.get(item.id) || [])])]));
    grid.data.items = groups.flatMap(([, , items]) => items);
    const before = nodes, wanted = [];
    nodes = new Map();
    for (const [heading, count, items] of groups) {
      if (heading !== null) wanted.push(headingNode(heading, count));
      for (const item of items) {
        const index = nodes.size, all = JSON.stringify([grid.data.gallery, opened.has(item.id), item]);
        const key = nodes.has(all) ? `${all} ${index}` : all, there = before.get(key);
        const stays = there?.isConnected && !there.querySelector('img.no-picture');  // one that did not come is asked for again
        const node = stays ? there : nodeOf(item, index);
        (node.querySelector('.card') ?? node).dataset.index = index;
        nodes.set(key, node);
        wanted.push(node);
      }
    }
    renew(place('grid'), wanted);
    grid.drawn();
    refocus();
    tell();
  };
  const tell = () => {
    const { more } = grid.data;
    further.hidden = !more;
    further.textContent = asking ? say('Looking for more') : say('Show more hits');
    const count = plural(found.length, 'hit', 'hits');
    place('heard').textContent = count + (more ? say(', more come as you scroll') : '');
    const status = document.querySelector('#search-status [data-hits]');
    if (status) status.textContent = count;
  };

  // --- copies ----------------------------------------------------------------------------------------------------------
  const toggle = async (item) => {
    if (opened.delete(item.id)) return draw();
    const { gallery } = grid.data;
    const items = await namedItems(gallery, item.copies);
    if (!items || grid.data?.gallery !== gallery || !found.some(({ id }) => id === item.id)) return;
    opened.set(item.id, items.map((copy) => ({ ...copy, kind: COPY })));
    draw();
  };
  element.addEventListener('click', (event) => {
    const button = event.target.closest('.copies');
    if (button) toggle(found.find((item) => item.id === Number(button.dataset.of)));
  });

  // --- more ------------------------------------------------------------------------------------------------------------
  const follow = () => {
    if (asking || grid.data?.kind !== 'hits' || !grid.data.more) return;
    asking = true;
    tell();
    unifex.followed = (told) => {
      if (told.answer !== grid.data?.answer) return;
      asking = false;
      if (told.failed) return tell();  // what is in the way is said; who wants more asks again
      const first = found.slice(0, fresh), came = without(told.items, first);
      const rest = told.more ? without(found.slice(fresh + came.length), came) : [];
      fresh += came.length;
      found = [...first, ...came, ...rest];
      grid.data.more = told.more;
      draw();
      if (rest.length) follow();
      else watchEnd();
    };
    unifex.follow([grid.data.answer, fresh]);
  };
  const isAsFound = () => !grid.data?.order && !grid.data?.grouped;  // else what comes would move what is looked at
  const reached = ([seen]) => { if (seen.isIntersecting && scrolled && isAsFound()) follow(); };
  const eye = new IntersectionObserver(reached, { rootMargin: '600px' });
  const watchEnd = () => {  // it is told of anew, also where the end stayed in view
    eye.disconnect();
    eye.observe(further);
  };
  further.addEventListener('click', follow);
  // As its tab is opened the page jumps to where it can be: the event of that comes before this frame's.
  let seen = false;
  new ResizeObserver(([{ contentRect }]) => {
    seen &&= contentRect.height > 0;
    if (contentRect.height > 0) requestAnimationFrame(() => { seen = Boolean(element.offsetParent); });
  }).observe(element);
  window.addEventListener('scroll', () => {  // whoever has not scrolled yet is given what was asked for
    if (scrolled || !seen) return;
    scrolled = true;
    watchEnd();
  }, { passive: true });
  document.addEventListener('unifex-arrange', ({ detail: { of, order, grouped } }) => {
    if (!element.closest(`#${of}`) || grid.data?.kind !== 'hits') return;
    Object.assign(grid.data, { order, grouped });
    draw();
  });

  return {
    draw: () => {  // a new answer, often of hits that were there: as when pictures have been compared meanwhile
      Object.assign(grid.data, unifex.arrangement?.());  // as the page says now, which may have changed since it asked
      const { items, gallery } = grid.data, known = new Map(found.map((item) => [item.id, item]));
      // The same question again, as after a correction: as many stay as there were, or one would be elsewhere on the page.
      const again = grid.data.question === question && grid.data.more;
      found = again ? [...items, ...without(found.slice(items.length), items)] : items;
      const isOpen = ({ id, copies }) => gallery === foundIn && opened.has(id) && String(known.get(id)?.copies) === String(copies);
      opened = new Map(found.filter(isOpen).map(({ id }) => [id, opened.get(id)]));
      [foundIn, question, fresh, asking] = [gallery, grid.data.question, items.length, false];
      scrolled &&= again;
      draw();
      if (fresh < found.length) follow();
      else watchEnd();
    },
  };
};
