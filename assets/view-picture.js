// The picture of the large view: the thumbnail at once, then the preview, and all pixels when somebody looks that close.

import later from './later.js';
import { say, thousands } from './say.js';

const BLANK = 'data:image/gif;base64,R0lGODlhAQABAIAAAAAAAP///yH5BAEAAAAALAAAAAABAAEAAAIBRAA7';
const SWIPE = 45;  // pixels
const GESTURES = ['wheel', 'dblclick', 'pointerdown', 'pointermove', 'pointerup', 'pointercancel'];

export default (view, turn, moved) => {
  const pane = view.place('pane'), image = view.place('image');
  let preview = null, asked = null, shown = 0;  // shown: pixels of the width of what is shown

  // --- what is shown ---------------------------------------------------------------------------------------------------
  const address = (kind, item) => `${kind}/${encodeURIComponent(view.list.gallery)}/${item.id}?v=${item.v}`;
  const put = (source) => {
    image.src = source;
    image.alt = view.place('title').textContent;
  };
  const stop = () => {
    asked?.abort();
    asked = null;
  };
  const closer = async () => {
    const { item, told } = view, mine = asked = new AbortController();
    view.words(say('Fetching all pixels …'));
    const answer = await fetch(address('pixels', item), { signal: mine.signal }).catch(() => null);
    if (mine.signal.aborted) return;
    if (!answer?.ok) {
      const why = (await answer?.json().catch(() => null))?.detail;
      return view.words(why ? say('Not all pixels can be shown: {why}.', { why }) : say('Not all pixels can be shown.'));
    }
    const source = URL.createObjectURL(await answer.blob());
    if (mine.signal.aborted) return URL.revokeObjectURL(source);
    put(source);
    shown = told.width;
    image.addEventListener('load', () => URL.revokeObjectURL(source), { once: true });
    view.words('');
  };
  const ahead = async () => {  // the next one is there before it is asked for
    const { list } = view, next = await list.at(list.index + (list.step || 1));
    if (next?.v && list === view.list) new Image().src = address('picture', next);
  };
  const load = async () => {
    const { item } = view, mine = preview = new Image();
    mine.src = address('picture', item);
    const there = await mine.decode().then(() => true, () => false);
    if (preview !== mine) return;
    if (there) {
      shown = mine.naturalWidth;
      put(mine.src);
    }
    ahead();
  };
  const show = () => {
    const { item } = view;
    stop();
    preview = null;
    shown = 0;
    put(item.v ? address('thumb', item) : BLANK);
    zoom?.fit();
    if (item.v) load();
  };

  // --- closer, which few look: it comes with the first gesture, and gets what was done until it was there ----------------
  let zoom = null, early = [];
  const changed = ({ percent, wanted }) => {
    moved();
    view.place('percent').textContent = percent ? `${thousands(percent)} %` : say('Fit');
    if (percent && !asked && shown && view.told?.width > shown && wanted > 1.1 * shown) closer();
  };
  const sizeOf = () => (view.told?.width ? view.told : null);
  const hold = (event) => {
    const first = event.type === 'wheel' || event.type === 'dblclick' || (event.type === 'pointerdown' && event.pointerType === 'touch');
    if (event.type === 'wheel') event.preventDefault();
    if (first || early.length) early.push(event);
    if (first) zooming();
  };
  const zooming = later('zoom', (module) => {
    for (const kind of GESTURES) pane.removeEventListener(kind, hold);
    zoom = module.default(pane, sizeOf, changed);
    for (const event of early) pane.dispatchEvent(new event.constructor(event.type, event));
    early = [];
  });
  for (const kind of GESTURES) pane.addEventListener(kind, hold, { passive: false });

  // --- swiped ----------------------------------------------------------------------------------------------------------
  let from = null, fingers = 0;
  pane.addEventListener('pointerdown', (event) => {
    if (!event.isTrusted) return;  // was seen before
    fingers += 1;
    from = fingers === 1 && event.pointerType === 'touch' && !zoom?.zoomed ? [event.clientX, event.clientY] : null;
  });
  const end = (event) => {
    if (!event.isTrusted) return;
    const across = from ? event.clientX - from[0] : 0, down = from ? event.clientY - from[1] : 0;
    fingers = Math.max(0, fingers - 1);
    from = null;
    if (event.type === 'pointerup' && Math.abs(across) > SWIPE && Math.abs(across) > 1.5 * Math.abs(down)) turn(across < 0 ? 1 : -1);
  };
  for (const kind of ['pointerup', 'pointercancel']) pane.addEventListener(kind, end);

  return {
    show, stop,
    know: () => {
      if (!preview && view.told.v) show();  // whoever opened it did not know its picture's address
      image.alt = view.told.name;
    },
    zoom: async (name, ...given) => {
      await zooming();
      zoom[name](...given);
    },
    get zoomed() { return Boolean(zoom?.zoomed); },
  };
};
