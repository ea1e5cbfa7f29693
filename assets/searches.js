// Searches to come back to: saved ones of the gallery that is searched, and this browser's last ones. Runs inside gr.HTML
// (`element`, `server`); assets/address.js tells of what is searched and opens an address.

import { answerOf, sayLost } from './answering.js';
import { say } from './say.js';

export default ({ element, server }) => {
  const KEPT = 'unifex-recent', MOST = 12, DRAWN_MS = 300;
  const make = (tag, kind, text) => Object.assign(document.createElement(tag), { className: kind || '', textContent: text || '' });
  const button = (kind, text, label, act) => {
    const made = make('button', kind, text);
    Object.assign(made, { type: 'button', title: label });
    made.setAttribute('aria-label', label);
    made.addEventListener('click', act);
    return made;
  };
  const own = (picture) => /^(thumb\/|data:image\/)/.test(picture ?? '');  // nothing is fetched from elsewhere
  const line = (entry, name, open) => {
    const item = make('li');
    item.dataset.key = entry.id ?? entry.text;
    const main = button('open', '', say('Search again: {name}', { name }), open);
    if (own(entry.picture)) main.append(Object.assign(make('img'), { src: entry.picture, alt: '' }));
    main.append(make('span', 'name', name));
    item.append(main);
    return item;
  };
  // The keyboard stays on the button that had it, else with the entry that is in its place, else with another.
  const refocusing = (box) => {
    const button = document.activeElement, entry = button?.closest('li');
    if (!button || !box.contains(button)) return () => {};
    const entries = () => [...box.querySelectorAll('li')], at = entries().indexOf(entry), tool = [...entry?.children ?? []].indexOf(button);
    return () => {
      const now = entries(), same = now.find(({ dataset }) => dataset.key === entry?.dataset.key);
      const next = same?.children[tool] ?? (now[at] ?? now.at(-1))?.firstChild ?? element.querySelector('.open');
      (next ?? document.querySelector('.save-search'))?.focus({ preventScroll: true });
    };
  };
  const draw = (place, title, lines, ...tools) => {
    const head = make('h2', '', title), list = make('ul'), box = element.querySelector(place), refocus = refocusing(box);
    list.append(...lines);
    head.append(...tools);
    box.replaceChildren(...(lines.length ? [head, list] : []));
    refocus();
  };

  // --- saved -----------------------------------------------------------------------------------------------------------
  let gallery = null, isKnown = false, drawn = '';
  const change = async (what, saved, name = '') => {
    const problem = await answerOf(server.change([what, gallery, saved.id, name])).catch(() => null);
    if (problem === null) return what !== 'see' && sayLost();
    if (problem && what !== 'see') window.alert(problem);
    load(true);
  };
  const savedLine = (saved) => {
    const item = line(saved, saved.name, () => {
      if (!saved.address) return;  // its line says why
      unifex.go(saved.address);
      if (saved.new && saved.keeps) change('see', saved);
    });
    if (saved.new) item.firstChild.append(make('b', 'new', say('{count} new', { count: saved.new })));
    if (saved.problem) item.firstChild.append(make('small', '', saved.problem));
    if (!saved.keeps) return item;  // nothing is changed on this server
    item.append(
      button('tool', '✎', say('Rename {name}', { name: saved.name }), () => {
        const name = window.prompt(say('Name of the search'), saved.name);
        if (name) change('rename', saved, name);
      }),
      button('tool', '✕', say('Delete {name}', { name: saved.name }), () => {
        if (window.confirm(say("Delete the saved search '{name}'?", { name: saved.name }))) change('delete', saved);
      }));
    return item;
  };
  const load = async (again) => {
    const wanted = new URLSearchParams(unifex.told?.text ?? '').get('gallery');
    if (!wanted || (wanted === gallery && isKnown && !again)) return;
    if (gallery !== wanted) {  // those of the gallery before go
      draw('.saved', '', []);
      drawn = '';
    }
    [gallery, isKnown] = [wanted, true];
    const found = await answerOf(server.saved(wanted)).catch(() => null);
    if (gallery !== wanted) return;
    isKnown = Boolean(found);  // else it is asked again with the next search
    const said = JSON.stringify(found);
    if (!found || said === drawn) return;  // a list that is drawn anew loses the press that has begun
    draw('.saved', say('Saved searches'), found.map(savedLine));
    drawn = said;
  };
  unifex.searches = load;
  document.addEventListener('click', (event) => {
    if (!event.target.closest('.save-search')) return;
    const name = window.prompt(say('Name of the search'), unifex.told?.said || say('My search'));
    if (name) unifex.saveSearch(name);
  });

  // --- recent ----------------------------------------------------------------------------------------------------------
  const recent = () => {
    try {
      const kept = JSON.parse(localStorage.getItem(KEPT) || '[]');
      return Array.isArray(kept) ? kept.filter((one) => typeof one?.text === 'string') : [];
    } catch {
      return [];
    }
  };
  const keep = (entries) => {
    try {
      localStorage.setItem(KEPT, JSON.stringify(entries.slice(0, MOST)));
    } catch { /* a browser that keeps nothing */ }
    if (JSON.stringify(recent()) !== listed) showRecent();  // a list that is drawn anew loses the press that has begun
  };
  let listed = '';  // those that are drawn
  const showRecent = () => {
    const entries = recent();
    listed = JSON.stringify(entries);
    draw('.recent', say('Recent in this browser'),
      entries.map((entry) => line(entry, entry.said, () => unifex.go(entry.text, entry.files))),
      button('tool', say('Clear'), say('Clear the recent searches'), () => keep([])));
  };
  const note = () => {
    const { text, files, said } = unifex.told;
    if (!said || !element.offsetParent) return;  // another tab chose a gallery, in which nobody looked for anything
    const picture = document.querySelector('#search-status .queries img')?.getAttribute('src') ?? '';
    const where = new URLSearchParams(text).get('gallery');
    const entry = { text, files, said: say('{said} in {gallery}', { said, gallery: where }), picture: picture.length < 20000 ? picture : '' };
    const reads = (one) => one.said === entry.said && one.picture === entry.picture;  // two that read alike are one, the last
    const same = (one) => `${one.files}` === `${files}` && (one.text === text || reads(one));
    keep([entry, ...recent().filter((one) => !same(one))]);
  };
  let timer = 0;
  const follow = () => {
    load();
    clearTimeout(timer);
    timer = setTimeout(note, DRAWN_MS);  // when the query's picture is there, and the slider at rest
  };
  window.addEventListener('unifex-address', follow);
  showRecent();
  if (unifex.told) follow();
};
