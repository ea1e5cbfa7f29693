// Binds the map to the app. Runs inside gr.HTML (`element`, `props`, `watch`, `trigger`, `server`).
import { plotly } from './load-plotly.js';
import { drawMap } from './map.js';

export default ({ element, props, watch, server }) => {
  const blank = element.querySelector('.map').outerHTML;
  let view = null;
  const show = async () => {
    if (!props.value) return;
    const data = JSON.parse(props.value);
    await plotly();
    const old = element.querySelector('.map');
    if (old.dataset.drawn) Plotly.purge(old.querySelector('.map-plot'));
    old.outerHTML = blank;
    const root = element.querySelector('.map');
    view = drawMap(root, data, {
      pick: (id) => unifex.openFrom(null, [data.gallery, id]),
      choose: (ids) => unifex.lasso(ids),
      card: (id) => server.card([data.gallery, id]),
    });
    if (window.unifexStar) view.query(window.unifexStar);
  };
  watch('value', show);
  window.addEventListener('unifex-star', () => view && view.query(window.unifexStar));
  show();
};
