// Binds the map to the app. Runs inside gr.HTML after plotly.js and map.js (`element`, `props`, `watch`, `trigger`, `server`).
const blank = element.querySelector('.map').outerHTML;
let view = null;
const show = async () => {
  if (!props.value) return;
  const data = JSON.parse(props.value);
  await library();
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
