// One facet of the filters' panel: its names with counts, to be ticked, or the two ends of its numbers or dates.

import { renew } from './refocus.js';
import { say, thousands } from './say.js';

const REST_MS = 200;  // between two keys of somebody who types
const DATE_REST_MS = 700;  // a date that is typed is whole at each digit of its year: 0002, 0020, 0202, 2021
const SEARCHED = 8, LISTED_NUMBERS = 12;  // from how many names on they are searched; up to how many numbers or dates are names, too
const TITLES = { label: say('Label'), domain: say('Domain'), folder: say('Folder'), split: say('Split'), tag: say('Tags') };
export const titleOf = (facet) => TITLES[facet] || facet.replace(/^column /, '');

const dayOf = (end, last) => {  // of an end that is a date, as a field has it: the first or the last that it means
  const [, beyond, year, month, day] = /^([<>]?)(\d{4})(?:-(\d\d))?(?:-(\d\d))?/.exec(end) || [];
  if (day || !year) return end.slice(0, 10);
  const whole = Number(year) + ({ '>': 1, '<': -1 }[beyond] || 0), [from, to] = month ? [month - 1, month] : [0, 12];
  return new Date(Date.UTC(whole, last ? to : from, last ? 0 : 1)).toISOString().slice(0, 10);
};

const made = (tag, properties, ...children) => {
  const node = Object.assign(document.createElement(tag), properties);
  node.append(...children);
  return node;
};

export default (name, choose, limit, facetsWith) => {  // a fieldset; `show(facet, view)` and `mark(view)` renew it
  const title = titleOf(name), list = made('ul', { className: 'names' });
  const find = made('input', { type: 'search', className: 'find', hidden: true });
  const ends = [say('{title}: from', { title }), say('{title}: to', { title })].map((end) => {
    const input = made('input', {});
    input.setAttribute('aria-label', end);
    return input;
  });
  const range = made('div', { className: 'range', hidden: true }, ends[0], made('span', { textContent: '–' }), ends[1]);
  const span = made('p', { className: 'span hint', hidden: true });
  const rest = made('p', { className: 'rest hint', hidden: true });
  const node = made('fieldset', { className: 'facet' }, made('legend', { textContent: title }), range, span, find, list, rest);
  node.dataset.facet = name;
  let facet = null, view = {}, turn = 0, typed = 0, rows = new Map();  // name -> its row, while it is listed

  const newRow = (text) => {
    const box = made('input', { type: 'checkbox', checked: (view.chosen?.[name] || []).includes(text) });
    box.dataset.name = text;
    const what = made('span', { className: 'what', textContent: text, title: text });
    return made('li', {}, made('label', {}, box, what, made('span', { className: 'count' })));
  };
  const listRows = (shown) => {  // counts come while the next name is being pressed
    rows = new Map(shown.map(([text]) => [text, rows.get(text) ?? newRow(text)]));
    for (const [text, count] of shown) rows.get(text).querySelector('.count').textContent = thousands(count);
    renew(list, [...rows.values()]);
  };
  const lookedUp = async (wanted) => {  // of very many names the most frequent are here, and the server knows the others
    const mine = turn += 1;
    await new Promise((rest) => { setTimeout(rest, REST_MS); });
    const found = mine === turn && (await facetsWith(wanted))?.find((one) => one.name === name);
    if (found && mine === turn) fillList(found.counts, found.names, wanted);
  };
  const draw = () => {
    const wanted = find.value.trim().toLocaleLowerCase();
    if (wanted && facet.names > facet.counts.length) lookedUp(wanted);
    else {
      turn += 1;
      fillList(facet.counts, facet.names, wanted);
    }
  };
  const fillList = (counts, names, wanted) => {
    const listed = new Set(counts.map(([text]) => text));
    const gone = (view.chosen?.[name] || []).filter((text) => !listed.has(text)).map((text) => [text, 0]);
    const shown = [...gone, ...counts].filter(([text]) => text.toLocaleLowerCase().includes(wanted));
    const focused = list.contains(document.activeElement) ? document.activeElement.dataset.name : null, top = list.scrollTop;
    listRows(shown);
    list.scrollTop = top;
    if (focused !== null) [...list.querySelectorAll('input')].find((box) => box.dataset.name === focused)?.focus();
    const more = names - counts.length;
    rest.hidden = shown.length > 0 && more <= 0;
    rest.textContent = shown.length ? say('and {count} more', { count: thousands(more) }) : say('None is called so');
  };
  node.mark = (said) => {
    view = said;
    for (const box of list.querySelectorAll('input')) box.checked = (view.chosen?.[name] || []).includes(box.dataset.name);
    ends.forEach((input, at) => {
      const end = view.between?.[name]?.[at] ?? '';
      input.dataset.shown = input.type === 'date' ? dayOf(String(end), at) : String(end).replace(/^[<>]/, '');
      if (input !== document.activeElement) input.value = input.dataset.shown;
    });
  };
  node.show = (told, said) => {
    facet = told;
    view = said;
    const one = facet.low ?? view.between?.[name]?.find((end) => end !== null), ranged = one !== undefined;
    const dates = typeof one === 'string' && !/^[<>]/.test(one);
    range.hidden = !ranged;
    range.classList.toggle('dates', dates);
    if (ranged) ends.forEach((input) => Object.assign(input, { type: dates ? 'date' : 'number', step: 'any' }));
    if (facet.low !== undefined && !dates) ends.forEach((input, at) => { input.placeholder = [facet.low, facet.high][at]; });
    span.hidden = !dates || facet.low === undefined;  // a field of a date shows no placeholder
    span.textContent = facet.low === facet.high ? facet.low : say('{low} to {high}', { low: facet.low, high: facet.high });
    list.hidden = ranged && facet.names > LISTED_NUMBERS && !view.chosen?.[name];
    find.hidden = list.hidden || facet.names <= SEARCHED;
    find.placeholder = say('Find among {count}', { count: thousands(facet.names) });
    find.setAttribute('aria-label', say('Find in {title}', { title }));
    draw();
    if (list.hidden) rest.hidden = true;
    node.mark(view);
  };
  list.addEventListener('change', (event) => choose(name, event.target.dataset.name, event.target.checked));
  find.addEventListener('input', draw);
  const told = (input, at) => {
    if (input.value === '') return null;
    if (input.value === input.dataset.shown) return view.between?.[name]?.[at] ?? null;  // which may say more
    return input.type === 'date' ? input.value : input.valueAsNumber;
  };
  const tell = () => {
    clearTimeout(typed);
    typed = 0;
    limit(name, ends.map(told));
  };
  range.addEventListener('change', ({ target }) => {
    if (target.type !== 'date') return tell();
    clearTimeout(typed);
    typed = setTimeout(tell, DATE_REST_MS);
  });
  for (const event of ['focusout', 'keydown']) {
    range.addEventListener(event, ({ key = 'Enter' }) => { if (typed && key === 'Enter') tell(); });
  }
  return node;
};
