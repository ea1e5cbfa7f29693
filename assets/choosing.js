// Which cards of a grid are chosen: by mouse, by a box, by keys. `grid` is of grid.js: { element, place, data, itemAt,
// count, focusOn }. Of a whole gallery all can be chosen without being in the page: then what is not is kept.

import boxing from './boxing.js';
import later from './later.js';
import { say, thousands } from './say.js';

export default (grid) => {
  const { element, place } = grid;
  let chosen = new Map(), all = false, anchor = 0;  // id -> item; where all are, those that are not

  const has = (item) => chosen.has(item.id) !== all;
  const count = () => all ? grid.count() - chosen.size : chosen.size;
  const closed = () => !grid.data || grid.data.kind === 'samples';  // nothing is chosen there
  const redraw = () => {
    const tools = place('tools');
    tools.hidden = !count();
    for (const node of tools.querySelectorAll('.change')) node.hidden = !grid.data?.editable;
    for (const node of tools.querySelectorAll('.files')) node.hidden = !grid.data?.files;
    for (const node of tools.querySelectorAll('.mark')) node.hidden = grid.data?.kind !== 'hits';
    tools.querySelector('b').textContent = all && !chosen.size ? say('all {count} chosen', { count: thousands(count()) }) : say('{count} chosen', { count: thousands(count()) });
    if (tools.hidden) tools.querySelector('.further').open = false;
    for (const node of element.querySelectorAll('.card')) {
      node.classList.toggle('chosen', Boolean(node.dataset.item) && chosen.has(Number(node.dataset.item)) !== all);
    }
  };
  const clear = () => {
    chosen.clear();
    all = false;
    redraw();
  };
  const set = (index, on) => {
    const item = grid.itemAt(index);
    if (!item || closed()) return;
    if ((on ?? !has(item)) !== all) chosen.set(item.id, item);
    else chosen.delete(item.id);
  };
  const upTo = (index) => {
    for (let at = Math.min(anchor, index); at <= Math.max(anchor, index); at += 1) set(at, true);
  };
  const setAll = () => {
    if (grid.data.items) grid.data.items.forEach((_, at) => set(at, true));
    else {
      chosen.clear();
      all = true;
    }
  };

  element.addEventListener('click', (event) => {
    const node = event.target.closest('.card');
    if (!node || closed()) return;
    const index = Number(node.dataset.index);
    if (event.shiftKey) upTo(index);
    else if (event.target.closest('.pick') || event.ctrlKey || event.metaKey) set(index);
    else return;  // it is opened
    anchor = index;
    event.stopPropagation();
    redraw();
  });
  element.addEventListener('keydown', (event) => {
    const node = event.target.closest('.card');
    if (!node) return;
    const index = Number(node.dataset.index);
    const columns = getComputedStyle(place('grid')).gridTemplateColumns.split(' ').length;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    if (step) {
      if (event.shiftKey) upTo(grid.itemAt(index + step) ? index + step : index);  // with all that lies on the way
      else anchor = index + step;
      grid.focusOn(index + step);
    } else if (event.key === ' ' && !closed()) set(anchor = index);
    else if (event.key === 'a' && (event.ctrlKey || event.metaKey) && !closed()) setAll();
    else if (event.key === 'Escape' && count()) clear();
    else return;
    event.preventDefault();
    redraw();
  });
  element.addEventListener('keyup', (event) => {  // a button would be pressed by it
    if (event.key === ' ' && event.target.closest('.card') && !closed()) event.preventDefault();
  });

  const choice = {
    has, count, set, redraw, clear, closed,
    told: () => all ? { but: [...chosen.keys()], view: grid.data.view || '' } : [...chosen.keys()],
    items: () => all ? [] : [...chosen.values()],
    goBack: () => grid.focusOn(Math.min(anchor, grid.count() - 1)),
  };
  const acting = later('acting'), ready = later('acting', (module) => module.default(grid, choice));
  element.addEventListener('click', async (event) => {
    const act = event.target.closest('[data-do]');
    if (act) (await ready())[act.dataset.do](act);
  });
  element.addEventListener('toggle', ready, true);  // of the menu, which has its keys from there
  boxing(grid, choice);
  unifex.askToKeep = async () => (await acting()).askToKeep();
  return choice;
};
