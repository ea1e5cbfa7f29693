// Boxes on a picture, drawn, moved and resized by mouse, finger and keys: the query's, and the large view's.
//
//   import { drawBoxes } from './draw-boxes.js';     // or, when first needed: later.js
//   const boxes = drawBoxes(element, image, onChange);
//
// element   holds the image and is positioned (`position: relative`); the boxes' layer is appended to it, over the image.
// image     an <img> of the upright picture (browsers turn EXIF); `object-fit: contain` and `scale-down` are understood.
//           Zoom and pan by transforms of the element or one around it; after a transform of the image alone call `boxes.place()`.
// onChange  called with all boxes when somebody has drawn, moved, resized or removed one: when the pointer is lifted, and
//           a moment after the last key. A box is [x, y, width, height], each 0 to 1 of the picture.
//
// boxes.get()           the boxes as they were told last; boxes.set(list) shows these, and does not call onChange, nor
//                       anything while somebody is changing them
// boxes.settle()       what the last key did is told at once
// boxes.add()           one more in the middle, focused: how the keyboard begins; false where there are MOST already
// boxes.focus(index)    keys are for this one, once the picture is there
// boxes.clear()         none (calls onChange, if there was any)
// boxes.outline(list)   thin lines around parts that are only proposed; boxes.point(index) makes one stand out, -1 none
// boxes.place()         puts the layer over the image again
// boxes.end()           takes everything away
// Arrows move a focused box, Shift and arrows resize it, Delete removes it; these keys do not reach what is around.

import { say } from './say.js';

export const MOST = 16;  // of a query
const LEAST = 0.02, STEP = 0.01, CLICK_PX = 5, REST_MS = 150;
const EDGES = ['nw', 'n', 'e', 'se', 's', 'sw', 'w'];  // the corner that is missing has the button that removes

const percent = (part) => `${Math.round(100 * part)} %`;
const round = (value) => Math.round(value * 1e4) / 1e4;
const within = (value, least, most) => Math.min(Math.max(value, least), most);
const tidy = ([x, y, w, h]) => {  // whole ten-thousandths that never reach over the picture
  const left = round(x), top = round(y);
  return [left, top, round(Math.min(w, 1 - left)), round(Math.min(h, 1 - top))];
};
const between = (a, b) => [Math.min(a[0], b[0]), Math.min(a[1], b[1]), Math.abs(a[0] - b[0]), Math.abs(a[1] - b[1])];
const moved = ([x, y, w, h], dx, dy) => [within(x + dx, 0, 1 - w), within(y + dy, 0, 1 - h), w, h];
const resized = ([x, y, w, h], edges, dx, dy) => {
  let left = x, top = y, right = x + w, bottom = y + h;
  if (edges.includes('w')) left = within(left + dx, 0, right - LEAST);
  if (edges.includes('e')) right = within(right + dx, left + LEAST, 1);
  if (edges.includes('n')) top = within(top + dy, 0, bottom - LEAST);
  if (edges.includes('s')) bottom = within(bottom + dy, top + LEAST, 1);
  return [left, top, right - left, bottom - top];
};
const part = (kind, name, parent) => {
  const node = document.createElement(kind);
  node.className = name;
  parent.append(node);
  return node;
};

let shades = 0;
const shadeIn = (layer) => {  // over all that is in no box
  const mask = `boxes-${shades += 1}`;
  layer.insertAdjacentHTML('beforeend', `<svg class="shade" viewBox="0 0 1 1" preserveAspectRatio="none" aria-hidden="true"><mask id="${mask}">`
    + `<path fill="#fff" d="M0 0h1v1h-1z"/><path class="holes"/></mask><path d="M0 0h1v1h-1z" mask="url(#${mask})"/></svg>`);
  return layer.lastChild;
};

export const drawBoxes = (element, image, onChange) => {
  const layer = part('div', 'boxes', element), shade = shadeIn(layer), told = part('span', 'unseen', layer);
  layer.setAttribute('role', 'group');
  layer.setAttribute('aria-label', say('Regions of the picture'));
  told.setAttribute('role', 'status');
  let list = [], known = [], nodes = [], outlines = [], drag = null, resting = 0;  // known: what was told last
  let begun = null;  // the box that keys are for, where the picture under it is not there yet

  // --- showing ---------------------------------------------------------------------------------------------------------
  const spoken = (index) => {
    const [x, y, w, h] = list[index];
    const place = { number: index + 1, count: list.length, left: percent(x), top: percent(y), width: percent(w), height: percent(h) };
    return say('Region {number} of {count}, left {left}, top {top}, width {width}, height {height}', place);
  };
  const put = (node, [x, y, w, h]) => {
    Object.assign(node.style, { left: `${100 * x}%`, top: `${100 * y}%`, width: `${100 * w}%`, height: `${100 * h}%` });
  };
  const made = () => {
    const node = part('div', 'box', layer);
    node.tabIndex = 0;
    node.setAttribute('role', 'application');  // so that a screen reader lets the arrows through
    node.setAttribute('aria-roledescription', say('region'));
    node.setAttribute('aria-keyshortcuts', 'ArrowLeft ArrowRight ArrowUp ArrowDown Shift+ArrowRight Shift+ArrowDown Delete');
    for (const edges of EDGES) part('i', `edge ${edges}`, node).dataset.edges = edges;
    const remove = part('button', 'remove', node);
    Object.assign(remove, { type: 'button', textContent: '×' });
    return node;
  };
  const show = () => {
    while (nodes.length > list.length) nodes.pop().remove();
    while (nodes.length < list.length) nodes.push(made());
    list.forEach((box, index) => {
      put(nodes[index], box);
      nodes[index].setAttribute('aria-label', spoken(index));
      const remove = say('Remove region {number}', { number: index + 1 });
      Object.assign(nodes[index].lastChild, { title: remove, ariaLabel: remove });
    });
    shade.style.display = list.length ? '' : 'none';
    shade.querySelector('.holes').setAttribute('d', list.map(([x, y, w, h]) => `M${x} ${y}h${w}v${h}h${-w}z`).join(''));
  };
  const place = () => {  // over the picture as it is drawn, which may be less than the <img>
    const { naturalWidth, naturalHeight } = image, around = element.getBoundingClientRect(), shown = image.getBoundingClientRect();
    layer.hidden = !(naturalWidth && shown.width);
    if (layer.hidden) return;
    const scale = around.width / element.offsetWidth || 1, fitting = getComputedStyle(image).objectFit;
    const most = { contain: Infinity, 'scale-down': shown.width / image.offsetWidth }[fitting] ?? 0;  // scale-down enlarges nothing
    const fit = Math.min(most, shown.width / naturalWidth, shown.height / naturalHeight);
    const width = fit ? fit * naturalWidth : shown.width, height = fit ? fit * naturalHeight : shown.height;
    const left = shown.left + (shown.width - width) / 2 - around.left, top = shown.top + (shown.height - height) / 2 - around.top;
    Object.assign(layer.style, {
      left: `${left / scale - element.clientLeft + element.scrollLeft}px`, width: `${width / scale}px`,
      top: `${top / scale - element.clientTop + element.scrollTop}px`, height: `${height / scale}px`,
    });
    if (begun && [begun.from, document.body].includes(document.activeElement)) begun.node.focus();
    begun = null;
  };

  // --- changing --------------------------------------------------------------------------------------------------------
  const copied = (boxes) => boxes.map((box) => [...box]);
  const tell = () => {
    clearTimeout(resting);
    resting = 0;
    known = copied(list);
    onChange(copied(list));
  };
  const replace = (index, box) => {
    list[index] = tidy(box);
    show();
  };
  const remove = (index) => {
    list.splice(index, 1);
    show();
    nodes[Math.min(index, nodes.length - 1)]?.focus();
    told.textContent = list.length ? say('{count} left', { count: list.length }) : say('No region; the whole picture is searched with');
    tell();
  };

  const focusOn = (node) => {
    if (layer.hidden) begun = { node, from: document.activeElement };  // which may be hidden then; who goes elsewhere stays there
    else node.focus();
  };

  // --- by pointer ------------------------------------------------------------------------------------------------------
  const pointAt = (event) => {
    const { left, top, width, height } = layer.getBoundingClientRect();
    return [within((event.clientX - left) / width, 0, 1), within((event.clientY - top) / height, 0, 1)];
  };
  const begin = (event) => {
    if (event.button || !event.isPrimary || drag || event.target.closest('.remove')) return;
    event.preventDefault();
    event.stopPropagation();
    const node = event.target.closest('.box'), from = pointAt(event), edges = event.target.dataset.edges;
    if (!node && list.length >= MOST) return void (told.textContent = say('There are {count} regions already', { count: MOST }));
    drag = { from, edges, at: [event.clientX, event.clientY], index: node ? nodes.indexOf(node) : list.length, before: node && list[nodes.indexOf(node)] };
    layer.setPointerCapture(event.pointerId);
    node?.focus({ preventScroll: true });
  };
  const go = (event) => {
    if (!drag) return;
    const to = pointAt(event), [dx, dy] = [to[0] - drag.from[0], to[1] - drag.from[1]];
    drag.far ||= Math.hypot(event.clientX - drag.at[0], event.clientY - drag.at[1]) >= CLICK_PX;
    if (!drag.far) return;
    if (!drag.before) replace(drag.index, between(drag.from, to));
    else replace(drag.index, drag.edges ? resized(drag.before, drag.edges, dx, dy) : moved(drag.before, dx, dy));
  };
  const stop = () => {  // as it was
    if (drag?.far) {
      if (drag.before) list[drag.index] = drag.before;
      else list.splice(drag.index, 1);
      show();
    }
    drag = null;
  };
  const finish = (event) => {
    if (!drag) return;
    go(event);
    const [, , w, h] = list[drag.index] || [0, 0, 0, 0], counts = drag.far && w >= LEAST && h >= LEAST;
    if (!counts) return stop();
    nodes[drag.index].focus({ preventScroll: true });
    drag = null;
    tell();
  };
  layer.addEventListener('pointerdown', begin);
  layer.addEventListener('pointermove', go);
  layer.addEventListener('pointerup', finish);
  layer.addEventListener('pointercancel', stop);
  layer.addEventListener('click', (event) => {
    event.stopPropagation();
    if (event.target.closest('.remove')) remove(nodes.indexOf(event.target.closest('.box')));
  });
  layer.addEventListener('dragstart', (event) => event.preventDefault());

  // --- by keys ---------------------------------------------------------------------------------------------------------
  layer.addEventListener('keydown', (event) => {
    if (event.key === 'Escape' && drag) stop();
    else if (event.target.matches('.box') && !event.ctrlKey && !event.metaKey && !event.altKey) {
      const index = nodes.indexOf(event.target);
      const step = { ArrowLeft: [-STEP, 0], ArrowRight: [STEP, 0], ArrowUp: [0, -STEP], ArrowDown: [0, STEP] }[event.key];
      if (step) {
        replace(index, event.shiftKey ? resized(list[index], 'se', ...step) : moved(list[index], ...step));
        clearTimeout(resting);
        resting = setTimeout(() => {
          told.textContent = spoken(Math.min(index, list.length - 1));
          tell();
        }, REST_MS);
      } else if (event.key === 'Delete' || event.key === 'Backspace') remove(index);
      else return;
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });

  image.addEventListener('load', place);
  const sizes = new ResizeObserver(place);
  sizes.observe(image);
  sizes.observe(element);
  place();
  show();

  return {
    place,
    get: () => copied(known),
    set: (boxes) => {
      if (drag || resting) return;
      list = boxes.slice(0, MOST).map(tidy);
      known = copied(list);
      show();
    },
    settle: () => { if (resting) tell(); },
    add: () => {
      if (list.length >= MOST) return false;
      const aside = 0.03 * (list.length % 8);
      list.push(tidy([0.25 + aside, 0.25 + aside, 0.5, 0.5]));
      show();
      focusOn(nodes.at(-1));
      tell();
      return true;
    },
    focus: (index) => focusOn(nodes[index]),
    clear: () => {
      if (!list.length) return;
      list = [];
      show();
      tell();
    },
    outline: (boxes) => {
      for (const node of outlines) node.remove();
      outlines = boxes.map((box) => {
        const node = part('div', 'outline', layer);
        put(node, box);
        return node;
      });
    },
    point: (index) => outlines.forEach((node, at) => node.classList.toggle('pointed', at === index)),
    end: () => {
      clearTimeout(resting);
      sizes.disconnect();
      image.removeEventListener('load', place);
      layer.remove();
    },
  };
};
