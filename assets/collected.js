// All that is chosen, also what the grid does not show: a strip in the bar, in which each can be taken out and put back.

import { sayLost } from './answering.js';
import { nameOf } from './cards.js';
import { namedItems } from './gallery-items.js';

const STEP = 100, NEAR = 400;  // pictures that come at once, as one scrolls; pixels before the end

export default (grid, choice) => {
  const strip = grid.place('collected'), nodes = new Map();  // id -> its button
  let asking = false;

  const nodeOf = (item) => {
    const node = document.createElement('button');
    Object.assign(node, { type: 'button', title: item.path });
    node.setAttribute('aria-label', nameOf(item));
    node.append(Object.assign(new Image(), { alt: '', src: `thumb/${encodeURIComponent(grid.data.gallery)}/${item.id}?v=${item.v}` }));
    node.addEventListener('click', () => {
      choice.put(item.id, item, !choice.holds(item.id));
      choice.redraw();
    });
    return node;
  };
  const mark = () => { for (const [id, node] of nodes) node.setAttribute('aria-pressed', choice.holds(id)); };
  const fill = async () => {
    mark();
    const further = choice.ids().filter((id) => !nodes.has(id)).slice(0, STEP);
    const isFull = strip.scrollWidth - strip.scrollLeft - strip.clientWidth > NEAR;
    if (strip.hidden || asking || isFull || !further.length) return;
    asking = true;
    const items = await namedItems(grid.data.gallery, further);
    asking = false;
    if (!items) return sayLost();
    for (const item of items) nodes.set(item.id, nodeOf(item));
    strip.append(...items.map(({ id }) => nodes.get(id)));
    mark();
  };
  const show = (on) => {
    strip.hidden = !on;
    nodes.clear();
    strip.replaceChildren();
    choice.changed = on ? fill : null;
    choice.redraw();
  };
  strip.addEventListener('scroll', fill);
  strip.addEventListener('keydown', (event) => {
    if (event.key !== 'Escape') return;
    show(false);
    grid.place('seen').focus();
  });
  return () => show(strip.hidden);
};
