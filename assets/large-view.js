// The large view: a dialog of the browser's own that shows one item of a list, beside what it was found with, and goes
// on to the next. `item` is what the list says of it, `told` what the server says (rendering/item.py, Told) a moment later.

import makeAlike from './alike.js';
import { afterAWhile, answers, isConnected } from './answering.js';
import makeBeside from './beside.js';
import { nameOf, sentence } from './cards.js';
import { fixed } from './item-list.js';
import later from './later.js';
import { makeDialog } from './view-parts.js';
import makePicture from './view-picture.js';
import { say, thousands } from './say.js';

export default ({ props, watch }) => {
  const { dialog, place } = makeDialog();
  let list = null, item = null, told = null, trail = [], pending = null;  // trail: the lists that led here, with their items
  let regions = null;

  const view = {
    dialog, place,
    get list() { return list; },
    get item() { return item; },
    get told() { return told; },
    say: (html) => { place('said').innerHTML = html; },
    words: (text) => { place('said').textContent = text; },
    go: (at) => go(at),
    removed: (from, at) => {  // who still looks at it goes on to the next
      const to = from === list ? pending ?? list.index : null;
      if (from.index > at) from.index -= 1;
      if (to === null) return frame();
      if (!list.count()) {
        place('facts').replaceChildren();
        place('acts').hidden = true;
      } else if (pending === null && to !== at) frame();
      else go(Math.min(to > at ? to - 1 : to, list.count() - 1));
    },
    into: (items, at) => {  // what looks like it
      trail.push({ list, item });
      view.words('');
      list = fixed(list.gallery, 'alike', items, at);
      go(at);
    },
  };
  const picture = makePicture(view, (step) => turn(step), () => regions?.place());
  const beside = makeBeside(view), alike = makeAlike(view);
  const correcting = later('correcting', (module) => module.default(view));
  const drawing = later('view-regions', (module) => regions = module.default(view));

  // --- what is shown ---------------------------------------------------------------------------------------------------
  const isHit = () => (trail[0]?.list ?? list).kind === 'hits';
  const among = (of) => ({ number: thousands(of.index + 1), count: thousands(of.count()) });
  const where = () => (list.kind === 'alike' ? say('{number} of {count} that look like it', among(list)) : say('{number} of {count}', among(list)));
  const frame = () => {
    const several = list.count() > 1, at = trail.at(-1)?.list;
    place('title').textContent = told?.name || nameOf(item);
    place('position').textContent = several ? where() : '';
    place('back').hidden = !at;
    place('back').textContent = at ? say('‹ Back to {number} of {count}', among(at)) : '';
    for (const [name, at, end] of [['before', -1, 0], ['after', 1, list.count() - 1]]) {
      place(name).hidden = !several;
      place(name).disabled = list.index === end;
    }
    const alikeness = sentence(item);
    const found = list.kind === 'alike' ? say('Like the one before: ') : list.ranked ? say('Hit {number}: ', { number: list.index + 1 }) : '';
    place('match').textContent = alikeness && found + alikeness;
    for (const button of dialog.querySelectorAll('.acts .mark')) button.hidden = !isHit();
  };
  const show = (wanted, connected = isConnected()) => {
    regions?.leave();
    [item, told, pending] = [wanted, null, null];
    frame();
    place('facts').setAttribute('aria-busy', 'true');
    picture.show();
    beside.draw(list, trail);
    alike.soon();
    if (connected) unifex.open([list.gallery, item.id]);
    else waitForServer(wanted);
  };
  // It is asked whether it answers until it does: what a browser takes for a connection may come before anything does.
  const waitForServer = async (wanted) => {
    let said = null;
    const isWanted = () => item === wanted && dialog.open, isSaid = () => place('said').textContent === said;
    const lost = () => {
      if (!isWanted() || (said && !isSaid())) return;  // something was said since, of what was pressed meanwhile
      said = say('What is known of it cannot be fetched: the server does not answer.');
      view.words(said);
    };
    while (!await answers(lost)) {
      await afterAWhile();
      if (!isWanted()) return;
    }
    if (!isWanted()) return;
    if (isSaid()) view.words('');
    show(wanted, true);
  };
  // What was typed and not sent: it stays when what is known of the same item comes once more.
  const isTyped = (field) => ![field.defaultValue, field.dataset.sent].includes(field.value);
  const tellFacts = (html, same) => {  // opened and focused as they were: one corrects one item after the other
    const facts = place('facts'), open = facts.querySelector('details')?.open;
    const focused = facts.contains(document.activeElement) && (document.activeElement.id || document.activeElement.name);
    const typed = same ? [...facts.querySelectorAll('input')].filter(isTyped) : [];
    facts.innerHTML = html;
    for (const { name, value } of typed) Object.assign(facts.querySelector(`input[name="${name}"]`) ?? {}, { value });
    facts.removeAttribute('aria-busy');
    if (open) facts.querySelector('details')?.setAttribute('open', '');
    const bars = [...document.querySelectorAll('.filters')].filter((bar) => bar.offsetParent).map((bar) => bar.dataset.gallery);
    for (const only of facts.querySelectorAll('[data-only]')) only.hidden = !bars.includes(list.gallery);  // nothing to filter
    if (focused) (document.getElementById(focused) ?? facts.querySelector(`input[name="${focused}"]`))?.focus();
  };
  const know = (news) => {
    const same = Boolean(told);
    told = news;
    item = { ...item, v: told.v || item.v, label: told.v ? told.name : item.label };
    frame();
    tellFacts(told.html, same);
    place('acts').hidden = !told.v;
    place('region').hidden = !told.width;  // of what is not there no part can be searched with
    picture.know();
  };

  // --- going on --------------------------------------------------------------------------------------------------------
  const go = async (at) => {
    const from = list, end = list.count() - 1;
    pending = Math.max(0, Math.min(end, at));
    const goal = pending, wanted = await list.at(goal);
    if (list !== from || pending !== goal || !dialog.open) return;  // somebody went on meanwhile
    if (!wanted) {
      pending = null;
      return view.words(say('The next one cannot be fetched: the server does not answer.'));
    }
    list.step = Math.sign(goal - list.index) || 1;
    list.index = goal;
    show(wanted);
  };
  const turn = (step) => {
    const at = (pending ?? list.index) + step;
    if (at < 0 || at >= list.count()) return;
    view.words('');
    go(at);
  };
  const back = () => {
    const last = trail.pop();
    list = last.list;
    view.words('');
    show(last.item);
  };
  const open = (card, found) => {
    const [, shown] = found;
    trail = [];
    [list] = found;
    card?.focus();  // where the browser returns to
    if (!dialog.open) dialog.showModal();
    place('close').focus();
    view.words('');
    beside.begin(list);
    show(shown);
  };
  dialog.addEventListener('close', () => {
    alike.stop();
    picture.stop();
    for (const video of dialog.querySelectorAll('video')) video.pause();
    regions?.leave();
    const first = trail[0] ?? { list, item };
    first.list.focus?.(first.list.index, first.item);
  });
  watch('value', () => {
    const news = props.value && JSON.parse(props.value);
    if (!news || !dialog.open) return;
    if (news.state !== 'there') correcting().then((made) => made.done(news));
    else if (news.gallery === list.gallery && news.item === item?.id) know(news);
  });

  // --- by mouse, finger and keys ---------------------------------------------------------------------------------------
  const mark = async (kind, said) => {
    const told = [kind, list.gallery, [item.id], ''];
    if (!await answers(() => view.words(say('Not marked: the server does not answer. Try it again when it does.')))) return;
    unifex.marked(told);
    view.words(said);
  };
  const opened = () => ({ list, item, index: list.index });  // what is pressed is of this, though one goes on before its script is there
  const leave = () => {
    if (!regions?.leave()) return false;
    place('region').focus();
    return true;
  };
  const leaveFor = async (next) => {  // it stays where nothing would come of that
    const lost = () => view.words(say('The server does not answer; try it again.'));
    if (!isConnected() && (!await answers(lost) || !dialog.open)) return;
    dialog.close();
    next();
  };
  const elsewhere = (signal, ...values) => leaveFor(() => unifex[signal](...values));
  const filterBy = ({ only, name, gallery }) =>
    leaveFor(() => document.dispatchEvent(new CustomEvent('unifex-only', { detail: { only, name, gallery } })));  // filters.js
  const ACTIONS = {
    close: () => dialog.close(),
    before: () => turn(-1),
    after: () => turn(1),
    back,
    compare: () => beside.toggle(list, trail),
    larger: () => picture.zoom('by', 1.5),
    smaller: () => picture.zoom('by', 1 / 1.5),
    fit: () => picture.zoom('toggle'),
    search: () => elsewhere('searchWith', list.gallery, [item.id]),
    map: () => elsewhere('chosen', ['map', list.gallery, [item.id], '']),
    region: async (button, byKeys) => {
      const of = item.id, made = await drawing();
      if (byKeys) await picture.zoom('fit');  // the region of who draws none stands in the middle
      if (dialog.open && item.id === of) made.begin(byKeys);
    },
    another: async () => {
      await picture.zoom('fit');
      regions.add();
    },
    leaveRegions: leave,
    searchRegions: () => {
      const text = regions?.text();
      if (text) elsewhere('searchWith', list.gallery, [item.id], text);
    },
    more: () => mark('more', say('Marked as more like this: the hits follow.')),
    less: () => mark('less', say('Marked as less like this: the hits follow.')),
    ...Object.fromEntries(['copy', 'leave', 'undo'].map((name) => [name, async (button) => {
      const pressed = opened();
      (await correcting())[name](pressed, button);
    }])),
  };
  for (const kind of ['input', 'focusin']) {
    place('facts').addEventListener(kind, async ({ target }) => {
      if (target.name === 'label') (await correcting()).suggest(target);
    });
  }
  place('facts').addEventListener('submit', async (event) => {
    event.preventDefault();
    const pressed = opened(), { label, domain } = event.target.elements, sent = [label.value, domain.value];
    [label.dataset.sent, domain.dataset.sent] = sent;
    (await correcting()).save(pressed, ...sent);
  });
  for (const kind of ['click', 'submit']) {  // until its own facts are there, those of the item before do nothing
    place('facts').addEventListener(kind, (event) => {
      if (!place('facts').hasAttribute('aria-busy')) return;
      event.preventDefault();
      event.stopImmediatePropagation();
    }, true);
  }
  let pressedOn = null;
  dialog.addEventListener('pointerdown', (event) => { pressedOn = event.target; }, true);
  dialog.addEventListener('click', (event) => {
    const act = event.target.closest('[data-do]'), only = event.target.closest('[data-only]');
    if (act) ACTIONS[act.dataset.do](act, event.detail === 0);
    else if (only) filterBy(only.dataset);
    else if (event.target === dialog && pressedOn === dialog) dialog.close();
  });
  dialog.addEventListener('cancel', (event) => { if (leave()) event.preventDefault(); });  // Escape, or Back on a phone
  const TURNS = { ArrowLeft: () => turn(-1), ArrowRight: () => turn(1), Home: () => go(0), End: () => go(list.count() - 1) };
  const KEYS = {
    '+': ACTIONS.larger, '=': ACTIONS.larger, '-': ACTIONS.smaller, 0: () => picture.zoom('fit'), c: ACTIONS.compare,
    r: () => { if (place('region').offsetParent) ACTIONS.region(null, true); },
  };
  const MOVES = { ArrowLeft: [-80, 0], ArrowRight: [80, 0], ArrowUp: [0, -80], ArrowDown: [0, 80] };
  dialog.addEventListener('keydown', (event) => {
    if (event.target.matches('input, textarea, select') || event.ctrlKey || event.metaKey || event.altKey) return;
    const move = event.shiftKey && picture.zoomed && MOVES[event.key];
    if (move) picture.zoom('move', ...move);
    else if (TURNS[event.key] && !regions?.drawing) TURNS[event.key]();  // else what was drawn would be lost
    else if (event.key === 'Enter' && event.target.matches('.box')) ACTIONS.searchRegions();
    else if (KEYS[event.key]) KEYS[event.key]();
    else return;
    event.preventDefault();
  });
  return { open };
};
