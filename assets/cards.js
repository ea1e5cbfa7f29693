// One item as a card: picture, label, domain, similarity.

import { say } from './say.js';
import { roomIn, shortName } from './short-names.js';

const SIZE = 'unifex-card-size';
const TEXTS = ['.name', '.domain'];
const card = document.createElement('template');
card.innerHTML = '<button type="button" class="card"><img alt=""><span class="pick" aria-hidden="true"></span>'
  + '<span class="score" hidden><i></i></span><span class="name"></span><span class="domain"></span></button>';

export const isChosen = () => Boolean(Number(localStorage.getItem(SIZE)));
export const cardSize = () => Number(localStorage.getItem(SIZE)) || (matchMedia('(max-width: 640px)').matches ? 104 : 132);
export const chooseSize = (size) => localStorage.setItem(SIZE, size);

export const newCard = () => card.content.firstChild.cloneNode(true);
export const roomOfNames = (parent, size) => roomIn(parent, newCard(), size);
export const writeName = (node, room) => {
  const name = node.querySelector('.name'), [parts, broken] = shortName(name.title, room);
  name.replaceChildren(...parts.flatMap((part, number) => (number ? [document.createElement('wbr'), part] : [part])));
  name.classList.toggle('broken', broken);
};
export const nameOf = (item) => item.label || item.path.split('/').pop();
const below = (item) => [item.domain, ...(item.tags || []).map((tag) => `#${tag}`)].filter(Boolean).join(' · ');
export const sentence = (item) => item.score === undefined ? '' : say('similarity {score}', { score: item.score.toFixed(2) })
  + (item.chance === undefined ? '' : say('; of such hits {share} % are right here', { share: Math.round(100 * item.chance) }));

export const markChosen = (node, on) => {
  node.classList.toggle('chosen', on);
  if (on) node.setAttribute('aria-description', say('chosen'));
  else node.removeAttribute('aria-description');
};

export const drawCard = (node, { gallery, kind }, item, index, room) => {  // without an item: one that is still on its way
  node.dataset.index = index;
  node.classList.toggle('coming', !item);
  if (!item) {
    node.removeAttribute('data-item');
    node.querySelector('img').removeAttribute('src');
    for (const part of TEXTS) node.querySelector(part).textContent = '';
    return node;
  }
  node.dataset.item = item.id;
  node.title = item.path;
  const spoken = [nameOf(item), item.domain || say('no domain'), item.tags?.length && say('tags {tags}', { tags: item.tags.join(', ') }), sentence(item)].filter(Boolean).join(', ');
  node.setAttribute('aria-label', kind === 'samples' ? say('Search with {item}', { item: spoken }) : say('Open: {item}', { item: spoken }));
  node.querySelector('img').src = `thumb/${encodeURIComponent(gallery)}/${item.id}?v=${item.v}`;
  const name = node.querySelector('.name'), more = node.querySelector('.domain');
  name.title = nameOf(item);
  writeName(node, room);
  more.textContent = below(item) || '\u00a0';
  more.title = below(item);
  const score = node.querySelector('.score');
  score.hidden = item.score === undefined;
  if (!score.hidden) {
    score.title = sentence(item);
    score.firstChild.style.width = `${Math.max(2, 100 * item.score)}%`;
  }
  return node;
};
