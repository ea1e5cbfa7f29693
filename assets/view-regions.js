// Regions of the picture in the large view, to search with. While they are drawn pointers neither move the picture nor
// turn to the next one; wheel, + and - still bring it closer. What was drawn is kept for who leaves and comes back.

import { MOST, drawBoxes } from './draw-boxes.js';
import { say } from './say.js';

const BY_POINTER = say('Draw around what you look for; once more for another region. Escape leaves it.');
const BY_FINGER = say('Draw with a finger around what you look for; once more for another region.');
const BY_KEYS = say('Arrows move the region, Shift and arrows resize it, Enter searches with it. Escape leaves it.');

export default (view) => {
  const { dialog, place } = view;
  let boxes = null, of = '', kept = [];  // kept: those on the picture `of`

  const tools = (list) => {
    place('with').disabled = !list.length;
    place('with').textContent = list.length > 1 ? say('Search with these {count} regions', { count: list.length }) : say('Search with this region');
    place('another').textContent = list.length ? say('Another region') : say('Add a region');
  };
  const add = () => {
    if (!boxes.add()) view.words(say('That is as many regions as a query has: {most}.', { most: MOST }));
  };
  const begin = (byKeys) => {
    const picture = `${view.list.gallery}/${view.item.id}`;
    if (boxes) return;
    if (of !== picture) [of, kept] = [picture, []];
    boxes = drawBoxes(place('pane'), place('image'), tools);
    const layer = place('pane').querySelector('.boxes');
    for (const kind of ['pointerdown', 'dblclick']) layer.addEventListener(kind, (event) => event.stopPropagation());
    boxes.set(kept);
    tools(kept);
    dialog.classList.add('drawing');
    view.words(byKeys ? BY_KEYS : matchMedia('(pointer: coarse)').matches ? BY_FINGER : BY_POINTER);
    if (!byKeys) dialog.focus();  // the button that was pressed is hidden now
    else if (!kept.length) add();
    else boxes.focus(0);
  };
  const leave = () => {
    if (!boxes) return false;
    boxes.settle();
    kept = boxes.get();
    const focused = place('pane').contains(document.activeElement) || place('regions').contains(document.activeElement);
    boxes.end();
    boxes = null;
    dialog.classList.remove('drawing');
    view.words('');
    if (focused) dialog.focus();  // where keys are heard
    return true;
  };
  return {
    begin, add, leave,
    place: () => boxes?.place(),
    get drawing() { return Boolean(boxes); },
    text: () => {
      boxes?.settle();
      return (boxes?.get() ?? []).map((box) => box.join(',')).join(';');
    },
  };
};
