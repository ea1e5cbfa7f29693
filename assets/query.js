// What is searched with: boxes on it, parts that are proposed, and what is dropped or pasted in its place.
// Runs inside gr.HTML (`element`, `props`, `watch`, `server`). The value is JSON, what the last answer was for:
// { about, gallery, items: [{ id, v, path }], boxes, look }. `about` names the picture that boxes belong to: an item of a
// gallery, or the folder of an upload. What is drawn is told by `unifex.regions([about, 'x,y,w,h;...'])`.

import { answerOf, answers, isConnected, sayLost } from './answering.js';
import later from './later.js';
import { present } from './present.js';
import { takeIn } from './query-drop.js';
import { say } from './say.js';
import { refuseInWords } from './uploading.js';

export default async ({ element, props, watch, server }) => {
  const column = await present('#search-query'), upload = await present('#query-image');
  const find = (selector) => element.querySelector(selector), drawing = later('draw-boxes'), keys = later('keys');
  let data = {}, about = '', image = null, boxes = null, pending = null, parts = [], asking = 0;

  // --- boxes -----------------------------------------------------------------------------------------------------------
  const write = (list) => list.map((box) => box.join(',')).join(';');
  const tools = () => {
    const count = boxes?.get().length || 0;
    find('.region-tools').hidden = !image;  // its place is there before the picture, or what is below would be moved by it
    find('.region-tools').inert = !boxes || !image?.naturalWidth;
    find('[data-do=clear]').hidden = !count;
    find('[data-do=add]').textContent = count ? say('Another region') : say('Select a region');
    find('[data-do=suggest]').hidden = parts.length > 0;
    for (const chip of element.querySelectorAll('.part')) {
      chip.setAttribute('aria-pressed', String(write(boxes?.get() || []) === write([parts[chip.dataset.part].box])));
    }
  };
  const changed = (list) => {
    pending = write(list);  // older answers are on their way, which are of other boxes
    tools();
    unifex.regions([about, pending]);
  };
  const fileOf = (img) => img.dataset.file && img.src.startsWith('data:') ? img.dataset.file : decodeURIComponent(img.src.split('/file=')[1] ?? '');
  const aboutUpload = (img) => fileOf(img).split('/').at(-2) || '';
  const draw = async () => {  // on the picture that is the query now
    const sent = upload.querySelector('.image-frame img'), shown = sent || (data.items?.length === 1 ? find('.pictures img') : null);
    const key = sent ? aboutUpload(sent) : shown ? data.about : '';
    if (shown === image && key === about) return;
    const kept = key === about ? boxes?.get() : null;
    boxes?.end();
    [image, boxes] = [shown, null];
    if (key !== about) {
      [about, pending] = [key, null];
      propose([]);
      remark('');
    }
    tools();
    if (!shown) return;
    const { drawBoxes } = await drawing();
    if (image !== shown) return;
    boxes = drawBoxes(shown.parentElement, shown, changed);
    boxes.set(kept || []);
    shown.addEventListener('load', () => {
      chips();
      tools();
    });
    adopt();
    outline();
    tools();
  };
  const adopt = () => {  // boxes that came with the query, or with an earlier one that is looked at again
    if (!boxes || data.about !== about) return;
    if (pending === null && write(boxes.get()) !== write(data.boxes)) boxes.set(data.boxes);
    if (pending === write(data.boxes)) pending = null;
  };

  // --- parts that are proposed -----------------------------------------------------------------------------------------
  const outline = () => boxes?.outline(parts.map((one) => one.box));
  const chip = (one, index) => {
    const node = document.createElement('button'), canvas = document.createElement('canvas');
    Object.assign(node, { type: 'button', className: 'part act', title: one.reason });
    node.dataset.part = index;
    const [x, y, w, h] = one.box, { naturalWidth, naturalHeight } = image, [across, down] = [w * naturalWidth, h * naturalHeight];
    const scale = 28 / Math.max(across, down);
    [canvas.width, canvas.height] = [Math.max(1, across * scale), Math.max(1, down * scale)];
    canvas.getContext('2d').drawImage(image, x * naturalWidth, y * naturalHeight, across, down, 0, 0, canvas.width, canvas.height);
    node.append(canvas, one.name);
    return node;
  };
  const chips = () => {
    for (const node of element.querySelectorAll('.part')) node.remove();
    if (parts.length && image?.naturalWidth) find('.parts').append(...parts.map(chip));
  };
  const propose = (found, best = null) => {
    parts = found;
    find('.parts').hidden = !parts.length;
    chips();
    outline();
    const advice = document.querySelector('#search-advice');
    if (advice) advise(advice, best);
    tools();
  };
  const advise = (place, best) => {
    place.replaceChildren();
    if (!best) return;
    const note = document.createElement('div'), text = document.createElement('span'), button = document.createElement('button');
    note.className = 'note';
    const score = best.score.toFixed(2);
    text.textContent = say('A part of the picture is found here rather than the whole (similarity {score}).', { score });
    Object.assign(button, { type: 'button', className: 'act', textContent: say('Search with that part') });
    button.addEventListener('click', () => take(best.box));
    note.append(text, button);
    place.append(note);
  };
  const take = (box) => {
    if (!boxes) return;
    const taken = write(boxes.get()) === write([box]) ? [] : [box];  // pressed again: the whole
    boxes.set(taken);
    changed(taken);
    document.querySelector('#search-advice')?.replaceChildren();
  };
  const look = async () => {  // after the answer, which it must not delay
    if (data.look && data.about === about && !boxes?.get().length) await ask(data.look);
  };
  const ask = async (what) => {
    const wanted = ++asking, key = about, sent = upload.querySelector('.image-frame img');
    const picture = sent ? { path: fileOf(sent) } : data.items[0].id;
    const found = await answerOf(server.parts([data.gallery, picture, what])).catch(() => what === 'parts' && sayLost());  // else it is only an offer
    if (!found || wanted !== asking || key !== about) return null;
    propose(found.parts, boxes?.get().length ? null : found.best);
    return found.parts.length;
  };

  // --- an upload that the browser cannot show (HEIC, TIFF ...): the server can -------------------------------------------
  const show = async (img) => {
    const file = fileOf(img);
    if (!file || img.src.startsWith('data:')) return;
    const shown = await server.shown(file).catch(() => '');
    if (!shown || fileOf(img) !== file) return;
    img.dataset.file = file;
    img.src = shown;
  };
  upload.addEventListener('error', (event) => { if (event.target.matches('.image-frame img')) show(event.target); }, true);
  const early = upload.querySelector('.image-frame img');
  if (early?.complete && !early.naturalWidth) show(early);

  // --- an item that is the query ---------------------------------------------------------------------------------------
  const picture = (item, index, { length }) => {  // a thumbnail, which is mostly there; the image must not delay the hits'
    const frame = document.createElement('img'), at = `${encodeURIComponent(data.gallery)}/${item.id}?v=${item.v}`;
    Object.assign(frame, { src: `thumb/${at}`, alt: item.path, title: item.path, draggable: false });
    if (length > 1) return frame;
    const large = Object.assign(new Image(), { fetchPriority: 'low' }), begin = () => { large.src = `picture/${at}`; };
    for (const kind of ['load', 'error']) frame.addEventListener(kind, begin, { once: true });
    large.addEventListener('load', () => { frame.src = large.src; });
    return frame;
  };
  const answered = () => {
    const before = JSON.stringify([data.gallery, data.items]);
    data = props.value ? JSON.parse(props.value) : {};
    const items = data.items || [];
    if (JSON.stringify([data.gallery, data.items]) !== before) find('.pictures').replaceChildren(...items.map(picture));
    find('.asked').hidden = !items.length;
    column.classList.toggle('with-item', items.length > 0);
    draw();
    adopt();
    tools();
    look();
  };

  // --- what people do --------------------------------------------------------------------------------------------------
  const remark = (text) => {
    find('.said').textContent = text;
    find('.said').hidden = !text;
  };
  element.addEventListener('click', (event) => {
    const act = event.target.closest('button'), chosen = act?.dataset.part;
    if (chosen) take(parts[chosen].box);
    else if (act?.dataset.do === 'add') boxes.add() || remark(say('That is as many regions as a query has.'));
    else if (act?.dataset.do === 'clear') boxes.clear();
    else if (act?.dataset.do === 'suggest') ask('parts').then((count) => remark(count === 0 ? say('No part stands out; draw a region yourself.') : ''));
    else if (act?.matches('.none')) unifex.searchWith('', []);
  });
  for (const [kind, on] of [['pointerover', true], ['focusin', true], ['pointerout', false], ['focusout', false]]) {
    element.addEventListener(kind, (event) => {
      const over = event.target.closest('.part');
      if (over) boxes?.point(on ? Number(over.dataset.part) : -1);
    });
  }
  takeIn({ column, upload, remark });
  refuseInWords();
  let sent = false;
  const sends = ({ key, isComposing, shiftKey, repeat }) => key === 'Enter' && !isComposing && !shiftKey && !repeat;
  const ASKS = { click: ({ target }) => target.closest('#search-button'), keydown: (event) => sends(event) && event.target.closest('#search-words') };
  for (const [kind, asks] of Object.entries(ASKS)) {  // what cannot be answered is not asked: Gradio would say so, and load the page anew
    document.addEventListener(kind, async (event) => {
      if (sent || !asks(event) || isConnected()) return;
      event.preventDefault();
      event.stopImmediatePropagation();
      if (!await answers()) return;
      sent = true;
      document.querySelector('#search-button').click();
      sent = false;
    }, true);
  }
  upload.style.setProperty('--no-preview', JSON.stringify(say('Your browser shows no preview of this format')));
  document.addEventListener('keydown', (event) => {
    const typing = event.target.closest('input, textarea, select, [contenteditable]');
    if (typing || event.ctrlKey || event.metaKey || event.altKey || !['/', '?'].includes(event.key)) return;
    event.preventDefault();
    if (event.key === '/' && document.querySelector('dialog[open]')) return;  // what is behind it is not reached, also where it closes meanwhile
    keys().then(({ list, toQuery }) => (event.key === '?' ? list : toQuery)());
  });
  new MutationObserver(draw).observe(upload, { childList: true, subtree: true, attributes: true, attributeFilter: ['src'] });
  watch('value', answered);
  answered();
};
