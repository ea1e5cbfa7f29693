// Groups of items in the grid: a sentence above each and what can be done with it, marks on the cards. grid.js calls it.
// data: { gallery, signal, prefer, groups: [{ at, title, acts: [{ kind, item, other, text, title }] }],
//   items: [{ ..., mark, tone, line, subject }] }; `prefer`: the first of a group is kept, and another can be instead.

import { answers } from './answering.js';
import { say } from './say.js';

const make = (tag, kind, text = '') => Object.assign(document.createElement(tag), { className: kind, textContent: text });
const bound = new WeakMap();  // grid -> { data, pressed }
const isDone = (subject) => Boolean(window.unifex?.corrected?.has(subject));
const isLeftOut = (subject) => isDone(`drop ${subject}`);  // nothing else can be said of it then

const markCard = (card, { mark, tone, line, subject }, canPrefer) => {
  if (tone) card.classList.add(tone);
  if (line) Object.assign(card.querySelector('.domain'), { textContent: line, title: line });
  if (mark) card.append(make('span', 'badge', mark));
  if (canPrefer) {
    card.append(Object.assign(make('span', 'prefer', say('Keep this')), { ariaHidden: 'true' }));
    card.setAttribute('aria-keyshortcuts', 'k');
  }
  const spoken = [card.getAttribute('aria-label'), mark, line, canPrefer ? say('press K to keep this one') : ''];
  card.setAttribute('aria-label', spoken.filter(Boolean).join(', '));
  card.dataset.subject = subject;
  card.classList.toggle('done', isDone(subject));
};

const headOf = (group, subject, number, once) => {
  const head = make('div', 'group-head');
  head.append(make('span', '', group.title));
  head.firstChild.dataset.done = say('corrected');
  for (const act of group.acts) {
    const button = Object.assign(make('button', 'act', act.text), { type: 'button', title: act.title });
    Object.assign(button.dataset, { act: act.kind, item: act.item, other: act.other, group: number });
    button.disabled = once && isLeftOut(subject);
    head.append(button);
  }
  head.dataset.subject = subject;
  head.classList.toggle('done', isDone(subject));
  return head;
};

// Rows are of any length here: up and down go to what is nearest in the row above or below.
const inNextRow = (grid, card, down) => {
  const from = card.getBoundingClientRect();
  const others = [...grid.querySelectorAll('.card')].map((other) => ({ other, box: other.getBoundingClientRect() }))
    .filter(({ box }) => (down ? box.top > from.top + 5 : box.top < from.top - 5));
  const aside = ({ box }) => Math.abs(box.top - from.top) * 1000 + Math.abs(box.left - from.left);
  return others.sort((a, b) => aside(a) - aside(b))[0]?.other;
};

const bind = (grid) => {
  const known = { data: null, pressed: null };
  bound.set(grid, known);
  const tell = async (act, item, other = 0) => {
    const { signal, gallery } = known.data;
    if (await answers()) unifex[signal]([act, gallery, Number(item), Number(other)]);
  };
  const prefers = (card) => known.data.prefer && card?.querySelector('.prefer');
  grid.addEventListener('click', (event) => {
    const act = event.target.closest('[data-act]');
    if (act) {
      known.pressed = Number(act.dataset.group);
      tell(act.dataset.act, act.dataset.item, act.dataset.other);
    } else if (event.target.closest('.prefer')) tell('prefer', event.target.closest('.card').dataset.item);
    else return;
    event.stopPropagation();
  });
  grid.addEventListener('keydown', (event) => {
    const card = event.target.closest('.card'), down = event.key === 'ArrowDown';
    if (!card || event.shiftKey || event.ctrlKey || event.metaKey || event.altKey) return;
    if (event.key === 'k' && prefers(card)) {
      known.focus = card.dataset.item;
      tell('prefer', card.dataset.item);
    } else if (down || event.key === 'ArrowUp') inNextRow(grid, card, down)?.focus();
    else return;
    event.preventDefault();
    event.stopPropagation();
  });
  return known;
};

// A group that is dealt with goes: the keyboard goes on with the one in its place.
const goOn = (grid, known) => {
  const lost = document.activeElement === document.body;
  const card = known.focus && grid.querySelector(`.card[data-item="${known.focus}"]`);
  const heads = grid.querySelectorAll('.group-head');
  const head = known.pressed !== null && heads[Math.min(known.pressed, heads.length - 1)];
  if (lost) (card || head?.querySelector?.('button'))?.focus();
  known.focus = known.pressed = null;
};

export const drawGroups = (grid, data) => {
  const known = bound.get(grid) || bind(grid), cards = [...grid.children];
  known.data = data;
  const firsts = new Set(data.groups.map((group) => group.at));
  cards.forEach((card, at) => markCard(card, data.items[at], data.prefer && !firsts.has(at)));
  const once = Boolean(grid.closest('#failures'));  // duplicates that are dealt with go
  data.groups.forEach((group, number) => cards[group.at].before(headOf(group, data.items[group.at].subject, number, once)));
  goOn(grid, known);
};
