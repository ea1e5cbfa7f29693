// Binds the map to the app. Runs inside gr.HTML (`element`, `props`, `watch`, `trigger`, `server`).
import { answerOf } from './answering.js';
import { plotly } from './load-plotly.js';
import { mapLayer } from './map-layer.js';
import { drawMap } from './map.js';
import { plural, say, thousands } from './say.js';

export default ({ element, props, watch, server }) => {
  const blank = element.querySelector('.map').outerHTML;
  let view = null, shown = '';  // shown: the gallery of the map
  const stays = ({ bits }) => {  // of each id a bit, the highest of a byte first
    const bytes = Uint8Array.from(atob(bits), (letter) => letter.charCodeAt(0));
    return (id) => Boolean(bytes[id >> 3] & (128 >> (id & 7)));
  };
  // What Python says is searched with, chosen, and left by filters: by the script of its own part of the page.
  const TOLD = {
    star: (star) => view.query(star),
    picked: (ids) => view.pick(ids || []),
    left: (left) => view.leave(left?.gallery === shown ? stays(left) : null),
  };
  const tell = (what) => view && window.unifexMap?.[what] !== undefined && TOLD[what](window.unifexMap[what]);
  const show = async () => {
    if (!props.value) return;
    const data = JSON.parse(props.value);
    await plotly();
    const old = element.querySelector('.map'), before = data.gallery === shown ? view?.look() : null;
    if (old.dataset.drawn) Plotly.purge(old.querySelector('.map-plot'));
    old.outerHTML = blank;
    const root = element.querySelector('.map');
    shown = data.gallery;
    view = drawMap(root, data, {
      pick: (id) => unifex.openFrom(null, [data.gallery, id]),
      choose: (ids) => unifex.lasso([data.gallery, ids]),
      cards: (ids) => answerOf(server.cards([data.gallery, ids])).catch(() => []),
    }, mapLayer, { plural, say, thousands }, before);
    for (const what of Object.keys(TOLD)) tell(what);
  };
  watch('value', show);
  window.addEventListener('unifex-map', (event) => tell(event.detail));
  window.addEventListener('unifex-address', () => { if (element.offsetParent) unifex.searchedBeside(1); });  // as by Back
  show();
};
