// Which cards of a grid are chosen: by mouse, by a box, by keys. `grid` is of grid.js: { element, place, data, itemAt,
// count, ids, focusOn }. Of a whole gallery all that a view shows can be chosen without being in the page: then what is
// not is kept, and with the view that ends. What was chosen one by one stays, and the bar says how much of it is not shown.

import boxing from './boxing.js';
import { markChosen } from './cards.js';
import { namedItems } from './gallery-items.js';
import later from './later.js';
import { say, thousands } from './say.js';
import toast from './toast.js';

const MOST = 10000;  // items that are named one by one (unifex/ui/components/chosen.py)
const LONG_MS = 300;

export default (grid) => {
  const { element, place } = grid;
  let chosen = new Map(), all = false, anchor = { at: 0 };  // id -> item as far as it is known; where all are, those that are not
  let away = [], looks = 0, looked = null, coming = 0;  // ids of those that are not shown here; how many waits are long

  const has = (item) => chosen.has(item.id) !== all;
  const count = () => all ? grid.count() - chosen.size : chosen.size;
  const unseen = () => all ? [] : away.filter((id) => chosen.has(id));
  const closed = () => !grid.data || grid.data.kind === 'samples';  // nothing is chosen there
  const sentence = () => {
    const hidden = unseen().length, told = { count: thousands(count()), hidden: thousands(hidden) };
    if (coming) return say('Choosing…');
    if (all && !chosen.size) return say('all {count} chosen', told);
    if (!hidden) return say('{count} chosen', told);
    if (hidden < count()) return say('{count} chosen, {hidden} of them not shown here', told);
    return hidden === 1 ? say('1 chosen, not shown here') : say('{count} chosen, none of them shown here', told);
  };
  const redraw = () => {
    const tools = place('tools'), list = place('collected');
    tools.hidden = !count() && !coming;
    tools.inert = Boolean(coming);
    for (const node of tools.querySelectorAll('.change')) node.hidden = !grid.data?.editable;
    for (const node of tools.querySelectorAll('.files')) node.hidden = !grid.data?.files;
    for (const node of tools.querySelectorAll('.mark')) node.hidden = grid.data?.kind !== 'hits';
    tools.querySelector('b').textContent = sentence();
    list.hidden ||= !count();
    tools.querySelector('[data-do=seen]').hidden = list.hidden && !unseen().length;
    tools.querySelector('[data-do=seen]').setAttribute('aria-expanded', !list.hidden);
    if (tools.hidden) tools.querySelector('.further').open = false;
    for (const node of element.querySelectorAll('.card')) {
      markChosen(node, Boolean(node.dataset.item) && chosen.has(Number(node.dataset.item)) !== all);
    }
    choice.changed?.();
  };
  const clear = () => {
    chosen.clear();
    all = false;
    redraw();
  };
  const endAll = () => {  // other items would be chosen than those that were meant
    if (!all) return;
    clear();
    toast(say('“All” was meant for what was shown before: nothing is chosen now.'), 'alert');
  };
  const put = (id, item, on) => {
    if (on !== all) chosen.set(id, item);
    else chosen.delete(id);
  };
  const set = (index, on) => {
    const item = grid.itemAt(index);
    if (item && !closed()) put(item.id, item, on ?? !has(item));
  };
  const setAll = () => {
    if (grid.data.items) grid.data.items.forEach((_, at) => set(at, true));
    else {
      const hidden = unseen().length;
      chosen.clear();
      all = true;
      if (hidden) toast(say('All that is shown is chosen now; what was not shown is not any more.'), 'alert');
    }
  };

  // --- what is not in the page -----------------------------------------------------------------------------------------
  const fetched = async () => {  // with a sign where it takes long
    let long = 0;
    const sign = setTimeout(() => {
      coming += long = 1;
      redraw();
    }, LONG_MS);
    const ids = await grid.ids();
    clearTimeout(sign);
    coming -= long;
    return ids;
  };
  const refused = (ids, index, clicked, added) => {
    if (!ids) return say('The server does not answer; try it again.');
    if (clicked !== undefined && ids[index] !== clicked) return say('The gallery has changed meanwhile: choose once more.');
    const most = thousands(MOST);
    return !all && chosen.size + added > MOST ? say('At most {most} images are chosen one by one; Ctrl+A chooses all.', { most }) : '';
  };
  const setFar = async (start, index) => {
    const before = anchor;
    const wanted = grid.data, clicked = grid.itemAt(index)?.id, from = Math.min(start, index), to = Math.max(start, index);
    const ids = await fetched();
    if (grid.data !== wanted) return redraw();  // what is shown now is other than what was clicked at
    const range = ids?.slice(from, to + 1) ?? [], why = refused(ids, index, clicked, range.filter((id) => !chosen.has(id)).length);
    if (why) {
      toast(why, 'alert');
      anchor = before;
    } else range.forEach((id, at) => put(id, grid.itemAt(from + at), true));
    redraw();
  };
  const mark = (at) => { anchor = { at, id: grid.itemAt(at)?.id, data: grid.data }; };  // where Shift begins
  const upTo = (index) => {
    const isThere = grid.data === anchor.data || (anchor.id && grid.itemAt(anchor.at)?.id === anchor.id);
    const start = isThere ? anchor.at : index, from = Math.min(start, index), to = Math.max(start, index);
    let at = from;
    while (at <= to && grid.itemAt(at)) at += 1;
    if (at <= to) return setFar(start, index);
    for (at = from; at <= to; at += 1) set(at, true);
  };
  // After every drawing: which of the chosen are not shown here; those that are no more are not chosen any more.
  const look = () => {
    looks += 1;
    looked = lookFor(looks);
  };
  const lookFor = async (mine) => {
    if (!chosen.size) away = [];
    redraw();
    if (!chosen.size) return;
    const { gallery, items } = grid.data, ids = items ? items.map(({ id }) => id) : await grid.ids();
    if (!ids || mine !== looks) return;
    const shown = new Set(ids);
    away = [...chosen.keys()].filter((id) => !shown.has(id));
    if (all) away.forEach((id) => chosen.delete(id));
    redraw();
    const there = unseen().length ? await namedItems(gallery, away) : null;
    if (!there || mine !== looks) return;
    const known = new Map(there.map((item) => [item.id, item]));
    for (const id of unseen()) {
      if (known.has(id)) chosen.set(id, known.get(id));
      else chosen.delete(id);
    }
    redraw();
  };

  element.addEventListener('click', (event) => {
    const node = event.target.closest('.card');
    if (!node || closed()) return;
    const index = Number(node.dataset.index);
    if (event.shiftKey) upTo(index);
    else if (event.target.closest('.pick') || event.ctrlKey || event.metaKey) set(index);
    else return;  // it is opened
    mark(index);
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
      if (event.shiftKey && !count()) mark(index);
      if (event.shiftKey) upTo(grid.itemAt(index + step) ? index + step : index);  // with all that lies on the way
      else mark(index + step);
      grid.focusOn(index + step);
    } else if (event.key === ' ' && !closed()) {
      mark(index);
      set(index);
    }
    else if (event.key === 'a' && (event.ctrlKey || event.metaKey) && !closed()) {
      mark(index);
      setAll();
    }
    else if (event.key === 'Escape' && count()) clear();
    else return;
    event.preventDefault();
    redraw();
  });
  element.addEventListener('keyup', (event) => {  // a button would be pressed by it
    if (event.key === ' ' && event.target.closest('.card') && !closed()) event.preventDefault();
  });

  const told = () => all ? { but: [...chosen.keys()], view: grid.data.view || '', count: count() } : [...chosen.keys()];
  const howManyUnseen = async () => {
    await looked;
    return unseen().length;
  };
  const choice = {
    has, count, put, set, mark, redraw, look, clear, endAll, closed,
    holds: (id) => chosen.has(id) !== all,
    ids: () => [...new Set([...unseen(), ...chosen.keys()])],  // what is not shown first
    // What is chosen now: an action is of this, whatever is chosen or shown by the time that its script or an answer is there.
    meant: () => ({
      gallery: grid.data.gallery, count: count(), items: all ? [] : [...chosen.values()].filter(Boolean), ids: told(), unseen: howManyUnseen(),
    }),
    told,
    goBack: () => grid.focusOn(Math.min(anchor.at, grid.count() - 1)),
  };
  const acting = later('acting'), ready = later('acting', (module) => module.default(grid, choice));
  element.addEventListener('click', async (event) => {
    const act = event.target.closest('[data-do]');
    if (!act) return;
    const meant = choice.meant();
    (await ready())[act.dataset.do](meant, act);
  });
  element.addEventListener('toggle', ready, true);  // of the menu, which has its keys from there
  boxing(grid, choice);
  unifex.askToKeep = async () => (await acting()).askToKeep();
  return choice;
};
