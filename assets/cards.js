// One item as a card: picture, label, domain, similarity.

const VERBS = { samples: 'Search with' };
const TEXTS = ['.name', '.domain'];
const card = document.createElement('template');
card.innerHTML = '<button type="button" class="card"><img alt=""><span class="pick" aria-hidden="true"></span>'
  + '<span class="score" hidden><i></i></span><span class="name"></span><span class="domain"></span></button>';

export const newCard = () => card.content.firstChild.cloneNode(true);
export const nameOf = (item) => item.label || item.path.split('/').pop();
const sentence = (item) => item.score === undefined ? '' : `similarity ${item.score.toFixed(2)}`
  + (item.chance === undefined ? '' : `; of such hits ${Math.round(100 * item.chance)} % are right here`);

export const drawCard = (node, { gallery, kind }, item, index) => {  // without an item: one that is still on its way
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
  const spoken = [nameOf(item), item.domain || 'no domain', sentence(item)].filter(Boolean).join(', ');
  node.setAttribute('aria-label', `${VERBS[kind] || 'Open'} ${spoken}`);
  node.querySelector('img').src = `thumb/${encodeURIComponent(gallery)}/${item.id}?v=${item.v}`;
  node.querySelector('.name').textContent = nameOf(item);
  node.querySelector('.domain').textContent = item.domain || '\u00a0';
  const score = node.querySelector('.score');
  score.hidden = item.score === undefined;
  if (!score.hidden) {
    score.title = sentence(item);
    score.firstChild.style.width = `${Math.max(2, 100 * item.score)}%`;
  }
  return node;
};
