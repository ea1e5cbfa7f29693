// Correcting an item: another label, out of the gallery, and back. Comes when somebody is about to; what was open as they
// pressed is given with it: { list, item, index }.

import { answers } from './answering.js';
import { say } from './say.js';

const SUGGEST_MS = 120, TWICE_MS = 500;

export default (view) => {
  let last = '';  // what was asked for a moment ago: a double click is done once
  const left = [];  // what was left out since the page was opened, with its list and place
  let leaving = [];  // the same of what is about to be, while one may go on
  let resting = 0;

  const notSaved = () => {
    view.words(say('Not saved: the server does not answer. Try it again when it does.'));
    view.place('said').scrollIntoView({ block: 'nearest' });  // on a phone it may be above what was pressed
  };
  const correct = async (action, { gallery }, item, label = '', domain = '') => {
    const told = [action, gallery, item, label, domain];
    if (last === `${told}`) return;
    last = `${told}`;
    const there = await answers(notSaved);
    if (there) unifex.correct(told);
    setTimeout(() => { last = ''; }, there ? TWICE_MS : 0);
  };
  const ask = async (field) => {
    const address = `labels/${encodeURIComponent(view.list.gallery)}?like=${encodeURIComponent(field.value)}`;
    const answer = await fetch(address).catch(() => null);
    const labels = answer?.ok ? (await answer.json().catch(() => null))?.labels ?? [] : [];
    field.list?.replaceChildren(...labels.map((value) => Object.assign(document.createElement('option'), { value })));
  };
  const leave = (opened) => {
    const { list, item } = opened;
    leaving = [...leaving.filter((one) => one.item.id !== item.id), opened];
    return correct('leave', list, item.id);
  };
  const gone = (news) => {
    const one = leaving.find(({ list, item }) => list.gallery === news.gallery && item.id === news.item);
    if (!one) return;
    leaving = leaving.filter(({ item }) => item.id !== news.item);
    for (const other of leaving) if (other.list === one.list && other.index > one.index) other.index -= 1;
    left.push(one);
    one.list.remove(one.index);
    view.say(news.html);
    view.removed(one.list, one.index);
  };
  const back = (news) => {
    const last = left.pop();
    view.say(news.html);
    if (last?.list !== view.list) return;
    last.list.insert(last.index, last.item);
    view.go(last.index);
  };

  return {
    suggest: (field) => {
      clearTimeout(resting);
      resting = setTimeout(() => ask(field), SUGGEST_MS);
    },
    save: ({ list, item }, label, domain) => correct('relabel', list, item.id, label, domain),
    leave,
    undo: ({ list }, button) => correct('back', list, Number(button.dataset.number)),
    done: (news) => ({ left: gone, back, refused: () => view.say(news.html) })[news.state]?.(news),
    copy: async (_, { dataset: { text } }) => {
      const copied = await navigator.clipboard?.writeText(text).then(() => true, () => false);
      view.words(copied ? say('Copied: {text}', { text }) : say('Not copied by this browser; here it is: {text}', { text }));
    },
  };
};
