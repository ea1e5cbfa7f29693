// The bar of what can be done with the chosen items of a grid. What is asked first is asked by asking.js. Each action is
// given what was chosen as it was pressed (`meant` of choosing.js): { gallery, count, items, ids, unseen }.

import { answers } from './answering.js';
import later from './later.js';
import { plural, say } from './say.js';

const asking = later('asking');
const STAYS = ['label', 'tag', 'untag', 'leave', 'remove'];  // who did that to pictures goes on with those beside them
const stay = () => { unifex.scrolled = unifex.pressed; };

export default (grid, choice) => {
  const { element, place } = grid;
  const collected = later('collected', (module) => module.default(grid, choice));
  const images = ({ count }) => plural(count, 'image', 'images');
  const unseen = async (meant) => {  // who acts on what is not shown is told of it
    const count = await meant.unseen;
    return count ? say('Not shown here: {images}.', { images: plural(count, 'image', 'images') }) : '';
  };
  const isWithin = (now, ids) => {  // nothing else is chosen now, though what is no more may be gone
    const all = ({ but, view }) => JSON.stringify([but, view]);
    if (!Array.isArray(now) || !Array.isArray(ids)) return all(now) === all(ids);
    const known = new Set(ids);
    return now.every((id) => known.has(id));
  };
  // What may be refused leaves the choice as it is until Python says that it was done (unifex.acted): then it is emptied,
  // unless others were chosen meanwhile.
  const tell = async (action, { gallery, ids }, text = '', signal = 'chosen') => {
    const told = [action, gallery, ids, text];
    if (!await answers()) return;
    if (signal === 'chosen') unifex.acted = () => { if (isWithin(choice.told(), ids)) empty(); };
    else if (isWithin(choice.told(), ids)) choice.clear();
    choice.goBack();
    if (STAYS.includes(action)) stay();
    unifex[signal](told);
  };
  const empty = () => {
    const focused = place('tools').contains(document.activeElement);
    choice.clear();
    if (focused) choice.goBack();
  };
  const sure = (title, text, yes, action) => async (meant) => {
    const { ask } = await asking(), hidden = await unseen(meant);
    if (await ask({ title: title(meant), text: [hidden, text].filter(Boolean).join(' '), answers: { yes }, grave: true })) tell(action, meant);
  };
  const named = (title, text, action) => async (meant) => {
    const { ask } = await asking();
    const value = say('{gallery} chosen', { gallery: meant.gallery }).slice(0, 60);
    const field = { label: say('Name of the new gallery'), value, most: 80 };
    const answer = await ask({ title: title(meant), text, field, answers: { make: say('Make it') } });
    if (answer) tell(action, meant, answer.text);
  };
  const tag = async (meant) => {
    const known = fetch(`tags/${encodeURIComponent(meant.gallery)}`).then((got) => got.json()).catch(() => ({}));
    const { ask } = await asking(), text = await unseen(meant);
    const own = meant.items.flatMap((item) => item.tags || []);
    const suggested = known.then(({ tags = {} }) =>
      [...new Set([...own, ...Object.keys(tags).sort((one, other) => tags[other] - tags[one])])]);
    const field = { label: say('Tags, with commas between'), suggested, most: 200 };
    const answer = await ask({ title: say('Tag {images}', { images: images(meant) }), text, field, answers: { tag: say('Add'), untag: say('Take away') } });
    if (answer) tell(answer.pressed, meant, answer.text);
  };
  const label = async (meant) => {
    const { ask } = await asking(), text = await unseen(meant);
    const { items } = meant, suggested = [...new Set(items.map((item) => item.label).filter(Boolean))];
    const field = { label: say('Label'), value: items[0]?.label, suggested, single: true, most: 200 };
    const answer = await ask({ title: say('Label of {images}', { images: images(meant) }), text, field, answers: { save: say('Save') } });
    if (answer) tell('label', meant, answer.text);
  };
  const download = ({ gallery, ids }, { dataset }) => {  // a form, since what it answers goes to the disk as it comes
    const name = 'unifex-download';
    const frame = document.getElementById(name) || document.body.appendChild(
      Object.assign(document.createElement('iframe'), { id: name, name, hidden: true, title: say('Downloads') }));
    frame.onload = async () => {  // only an answer that is no file is shown in it
      const said = frame.contentDocument?.body?.textContent;
      if (!said) return;
      const { ask } = await asking();
      let text = say('The server does not answer; try it again.');
      try { text = JSON.parse(said).detail; } catch { /* no answer of its own */ }
      ask({ title: say('Not downloaded'), text, answers: {} });
    };
    const form = Object.assign(document.createElement('form'), {
      method: 'post', action: new URL(`chosen/${encodeURIComponent(gallery)}`, document.baseURI), target: name, hidden: true,
    });
    for (const [key, value] of Object.entries({ what: dataset.format, items: JSON.stringify(ids) })) {
      form.append(Object.assign(document.createElement('input'), { name: key, value }));
    }
    document.body.append(form);
    form.submit();
    form.remove();
  };
  const search = async ({ gallery, ids }) => {
    if (!Array.isArray(ids)) {
      const { ask } = await asking();
      await ask({ title: say('All together are no query'), text: say('Choose some of them.'), answers: {} });
      return;
    }
    if (isWithin(choice.told(), ids)) choice.clear();
    choice.goBack();
    unifex.searchWith(gallery, ids);
  };
  const ACTIONS = {
    seen: async () => (await collected())(),
    search,
    more: (meant) => tell('more', meant, '', 'marked'),
    less: (meant) => tell('less', meant, '', 'marked'),
    map: (meant) => tell('map', meant),
    without: (meant) => tell('without', meant, '', 'without'),
    tag,
    label,
    gallery: named(
      (meant) => say('A gallery of {images}', { images: images(meant) }),
      say('Copied with what is known of them; nothing is embedded again.'), 'gallery'),
    train: named(
      (meant) => say('Train on {images}', { images: images(meant) }), say('They become a gallery of their own, which the Train tab opens.'), 'train'),
    download,
    leave: sure((meant) => say("Leave {images} out of '{gallery}'?", { images: images(meant), gallery: meant.gallery }),
      say('They are not found any more. The files stay, and the Evaluate tab can undo it.'), say('Leave out'), 'leave'),
    remove: sure((meant) => say("Remove {images} from '{gallery}'?", { images: images(meant), gallery: meant.gallery }),
      say('The image files stay where they are, and can be indexed again.'), say('Remove'), 'remove'),
    none: () => {
      choice.clear();
      choice.goBack();
    },
  };
  const menu = place('further');
  menu.addEventListener('click', (event) => {
    if (!event.target.closest('[data-do]')) return;
    const focused = menu.contains(document.activeElement);
    menu.open = false;
    if (focused) menu.querySelector('summary').focus();  // what is hidden loses the keyboard
  });
  document.addEventListener('pointerdown', (event) => { if (!menu.contains(event.target)) menu.open = false; });
  const fit = () => {  // it opens to where there is more room, and no further than that
    const { top, bottom, right } = menu.getBoundingClientRect(), under = innerHeight - bottom, list = menu.querySelector('div');
    menu.classList.toggle('down', under > top);
    menu.classList.toggle('rightward', right < list.offsetWidth + 8);
    list.style.maxHeight = `${Math.max(top, under) - 16}px`;
  };
  menu.addEventListener('toggle', fit);
  fit();  // it is open already
  menu.addEventListener('keydown', (event) => {
    const items = [...menu.querySelectorAll('button, .formats > summary')].filter((node) => node.offsetParent);
    const step = { ArrowDown: 1, ArrowUp: -1 }[event.key];
    if (event.key === 'Escape' && menu.open) {
      menu.open = false;
      menu.querySelector('summary').focus();
    } else if (step) {
      menu.open = true;
      items.at((items.indexOf(document.activeElement) + step) % items.length).focus();
    } else return;
    event.preventDefault();
    event.stopPropagation();
  });
  return ACTIONS;
};

export const askToKeep = async () => {
  const { ask } = await asking();
  const answer = await ask({
    title: say('Keep what I taught'),
    text: say('What is marked as more like it gets this name; what is marked as less gets “not”, and then the name.'),
    field: { label: say('Name'), most: 60 },
    answers: { tags: say('As tags'), labels: say('As labels'), train: say('As a training set') },
  });
  if (!answer || !await answers()) return;
  if (answer.pressed !== 'train') stay();
  unifex.kept([answer.pressed, answer.text]);
};
