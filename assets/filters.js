// Filters in sight: what is chosen as chips, what there is to choose in a panel with counts, the order of what is shown.
// Runs inside gr.HTML. The value is JSON, as unifex/ui/view.py has it: { gallery, chosen: { FACET: [NAME] },
// between: { FACET: [LEAST, MOST] }, order, grouped }, of numbers or dates. What there is to choose is asked for when the
// panel opens.

import { answers, isConnected } from './answering.js';
import facetNode, { titleOf } from './facet.js';
import { renew } from './refocus.js';
import { say } from './say.js';

const WAIT_MS = 250;  // after the last of several quick choices
const isDate = (end) => typeof end === 'string';
const isBeyond = (end) => isDate(end) && /^[<>]/.test(end);  // a year that is left out: >2020
const between = (low, high) => {
  if (isBeyond(low) || isBeyond(high)) {
    const from = low === null ? [] : [isBeyond(low) ? say('after {end}', { end: low.slice(1) }) : say('from {end}', { end: low })];
    const to = high === null ? [] : [isBeyond(high) ? say('before {end}', { end: high.slice(1) }) : say('up to {end}', { end: high })];
    return [...from, ...to].join(', ');
  }
  if (low === null) return isDate(high) ? say('until {end}', { end: high }) : say('up to {end}', { end: high });
  if (high === null) return isDate(low) ? say('since {end}', { end: low }) : say('{end} and more', { end: low });
  return low === high ? `${low}` : say('{low} to {high}', { low, high });
};

export default ({ element, props, watch, trigger }) => {
  const place = (name) => element.querySelector(`.${name}`);
  const { of } = place('filters').dataset, hits = of === 'hits', select = place('order').querySelector('select');
  const orders = [...select.options].map(({ value }) => value);  // besides those of columns
  let view = {}, gallery = '', known = [], asked = 0, waiting = 0;
  const isOpen = () => !place('panel').hidden;

  // --- what is chosen --------------------------------------------------------------------------------------------------
  const chips = () => [
    ...Object.entries(view.chosen || {}).flatMap(([facet, names]) => names.map((name) => ({ facet, name, text: name }))),
    ...Object.entries(view.between || {}).map(([facet, ends]) => ({ facet, text: between(...ends) })),
  ];
  const change = (changes) => {  // leaves out what says nothing
    const next = { ...view, gallery, ...changes };
    for (const part of ['chosen', 'between']) {
      const said = Object.entries(next[part] || {}).filter(([, what]) => what.some((one) => one !== null));
      if (said.length) next[part] = Object.fromEntries(said);
      else delete next[part];
    }
    view = next;
    draw();
    props.value = JSON.stringify(view);
  };
  const tell = async (changes) => {  // what cannot be answered is not asked: Gradio would say so, and load the page anew
    if (!isConnected() && !await answers()) return draw();  // as it was
    change(changes);
    trigger('input');
    if (isOpen()) askSoon();
  };
  const choose = (facet, name, on) => {
    const others = (view.chosen?.[facet] || []).filter((one) => one !== name);
    tell({ chosen: { ...view.chosen, [facet]: on ? [...others, name] : others } });
  };
  const limit = (facet, ends) => tell({ between: { ...view.between, [facet]: ends } });
  const chipNode = ({ facet, name, text }) => {
    const node = document.createElement('li'), button = document.createElement('button');
    button.type = 'button';
    button.append(Object.assign(document.createElement('span'), { textContent: `${titleOf(facet)}: ` }), text);
    button.title = `${titleOf(facet)}: ${text}`;
    button.setAttribute('aria-label', say('Remove the filter {filter}', { filter: `${titleOf(facet)}: ${text}` }));
    button.addEventListener('click', () => {
      const at = [...place('chips').children].indexOf(node);
      if (name === undefined) limit(facet, []);
      else choose(facet, name, false);
      (place('chips').children[at]?.querySelector('button') || place('toggle')).focus();
    });
    node.append(button);
    return node;
  };

  // --- what is shown ---------------------------------------------------------------------------------------------------
  const draw = () => {
    const active = chips();
    place('filters').hidden = !gallery;
    place('filters').dataset.gallery = gallery;
    const number = place('number');
    number.hidden = !active.length;
    number.textContent = active.length;
    place('toggle').setAttribute('aria-label', active.length ? say('Filters, {count} in use', { count: active.length }) : say('Filters'));
    place('chips').replaceChildren(...active.map(chipNode));
    if (active.length) {
      const all = document.createElement('li'), button = document.createElement('button');
      Object.assign(button, { type: 'button', className: 'clear', textContent: say('Clear all') });
      button.addEventListener('click', () => {
        tell({ chosen: {}, between: {} });
        place('toggle').focus();
      });
      all.append(button);
      place('chips').append(all);
    }
    if (hits) place('grouped').querySelector('input').checked = Boolean(view.grouped);
    drawOrders();
    for (const node of place('facets').children) node.mark(view);
  };
  const ordersBy = (column) => {
    const isTaken = column === 'taken', title = isTaken ? say('By date taken') : column;  // which cameras tell
    const dated = isTaken || isDate(known.find(({ name }) => name === `column ${column}`)?.low);
    const least = [`+${column}`, dated ? say('{title}, oldest first', { title }) : say('{title}, least first', { title })];
    const most = [`-${column}`, dated ? say('{title}, newest first', { title }) : say('{title}, most first', { title })];
    return dated ? [most, least] : [least, most];
  };
  const drawOrders = () => {
    const columns = known.filter((facet) => facet.name.startsWith('column ')).map((facet) => titleOf(facet.name));
    const now = view.order || '', there = [...select.options].map(({ value }) => value);
    if (!orders.includes(now)) columns.push(now.slice(1));
    const wanted = [...new Set(columns)].flatMap(ordersBy);
    for (const [order, title] of wanted) if (!there.includes(order)) select.append(new Option(title, order));
    for (const order of there) {
      if (!orders.includes(order) && !wanted.some(([one]) => one === order)) [...select.options].find(({ value }) => value === order).remove();
    }
    select.value = now;
  };
  const facetsWith = async (part) => {  // null where they cannot be told
    const said = new URLSearchParams({ view: JSON.stringify(view), part });
    const answer = await fetch(`facets/${encodeURIComponent(gallery)}?${said}`).catch(() => null);
    return answer?.ok ? (await answer.json()).facets : null;
  };
  const ask = async () => {
    const turn = asked += 1, facets = await facetsWith('');
    if (turn !== asked) return;
    if (!facets) {
      place('told').textContent = say('What there is to filter by cannot be told just now.');
      return;
    }
    known = facets;
    const there = new Map([...place('facets').children].map((node) => [node.dataset.facet, node]));
    const nodes = facets.filter((facet) => facet.names || view.chosen?.[facet.name] || view.between?.[facet.name]).map((facet) => {
      const node = there.get(facet.name) || facetNode(facet.name, choose, limit, facetsWith);
      node.show(facet, view);
      return node;
    });
    renew(place('facets'), nodes);
    place('told').textContent = nodes.length ? '' : say('There are no labels, folders or columns to filter by.');
    drawOrders();
  };
  const askSoon = () => {
    clearTimeout(waiting);
    waiting = setTimeout(ask, WAIT_MS);
  };
  const open = (on) => {
    place('panel').hidden = !on;
    place('toggle').setAttribute('aria-expanded', on);
    if (on) ask();
  };

  // --- what people do --------------------------------------------------------------------------------------------------
  const arrange = (changes) => {  // a column's values are the server's to know, all else the grid does by itself
    const byColumn = [changes.order, view.order].some((order) => /^[+-]/.test(order || ''));
    if (!hits || (changes.order !== undefined && byColumn)) return tell(changes);
    change(changes);
    const { order = '', grouped = false } = view;
    document.dispatchEvent(new CustomEvent('unifex-arrange', { detail: { of, order, grouped } }));
  };
  const knowColumns = () => { if (gallery && !known.length) ask(); };
  place('toggle').addEventListener('click', () => open(!isOpen()));
  place('order').addEventListener('pointerenter', knowColumns);
  place('order').addEventListener('focusin', knowColumns);
  place('order').addEventListener('change', (event) => arrange({ order: event.target.value }));
  place('grouped')?.addEventListener('change', (event) => arrange({ grouped: event.target.checked }));
  place('filters').addEventListener('keydown', (event) => {
    if (event.key !== 'Escape' || !isOpen()) return;
    open(false);
    place('toggle').focus();
  });
  const onlyThese = ({ only, name }, of) => {  // a facet, and its name
    if (element.offsetParent && of === gallery) tell({ chosen: { ...view.chosen, [only]: [name] } });
  };
  document.addEventListener('unifex-only', ({ detail }) => onlyThese(detail, detail.gallery));  // the large view has closed
  document.addEventListener('click', ({ target }) => {  // of a group, or of what is shown beside a grid
    const only = target.closest('[data-only]');
    if (only && !only.closest('dialog')) onlyThese(only.dataset, only.closest('[data-gallery]')?.dataset.gallery);
  });
  const read = () => {
    view = props.value ? JSON.parse(props.value) : {};
    if (view.gallery && view.gallery !== gallery) {
      gallery = view.gallery;
      known = [];
      asked += 1;
      place('facets').replaceChildren();
    }
    draw();
    if (isOpen()) askSoon();
  };
  watch('value', read);
  read();
  if (hits) unifex.arrangement = () => ({ order: view.order || '', grouped: Boolean(view.grouped) });
};
