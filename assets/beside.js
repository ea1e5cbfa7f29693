// What an item was found with, beside it: the query's pictures and words, or the item that it looks like.

import { say } from './say.js';

const KEPT = 'unifex-compare';

const queryShown = () => {
  const uploaded = document.querySelector('#query-image img')?.src;
  const small = [...document.querySelectorAll('#search-status .queries img')].map((image) => image.getAttribute('src'));
  const large = (source, at) => (uploaded && !at ? uploaded : source.replace(/^thumb\//, 'picture/'));
  return {
    title: say('The query'),
    pictures: small.map((source, at) => ({ small: source, large: large(source, at) })),
    words: document.querySelector('#search-status q')?.textContent ?? '',
  };
};

const picture = ({ small, large }, title) => {
  const image = Object.assign(new Image(), { alt: title, draggable: false });
  image.addEventListener('error', () => { image.src = small; }, { once: true });  // a format that this browser does not show
  image.src = large;
  return image;
};

export default (view) => {
  const figure = view.place('beside'), button = view.place('compare');
  const wide = matchMedia('(min-width: 900px)');
  let query = null, drawn = null;

  const wanted = () => (localStorage.getItem(KEPT) ?? (wide.matches ? 'on' : 'off')) === 'on';
  const shownFor = (list, trail) => {
    if (list.kind === 'hits') return query;
    if (list.kind !== 'alike') return null;
    const { id, v, path } = trail.at(-1).item, name = encodeURIComponent(list.gallery);
    const [small, large] = ['thumb', 'picture'].map((kind) => `${kind}/${name}/${id}?v=${v}`);
    return { title: say('The one before'), pictures: [{ small, large }], words: '', path };
  };
  const draw = (list, trail) => {
    const shown = shownFor(list, trail);
    const there = Boolean(shown && (shown.pictures.length || shown.words));
    button.hidden = !there;
    button.setAttribute('aria-pressed', String(there && wanted()));
    figure.hidden = !there || !wanted();
    if (figure.hidden || shown === drawn) return;
    drawn = shown;
    const words = Object.assign(document.createElement('q'), { textContent: shown.words, hidden: !shown.words });
    const pictures = Object.assign(document.createElement('div'), { className: 'pictures' });
    pictures.append(...shown.pictures.map((one) => picture(one, shown.title)));
    const caption = Object.assign(document.createElement('figcaption'), { textContent: shown.title });
    figure.replaceChildren(caption, words, pictures);
  };
  return {
    draw,
    begin: (list) => {
      query = list.kind === 'hits' ? queryShown() : null;
      drawn = null;
    },
    toggle: (list, trail) => {
      if (button.hidden) return;
      localStorage.setItem(KEPT, wanted() ? 'off' : 'on');
      drawn = null;
      draw(list, trail);
    },
  };
};
