// The strip of items that look most like the open one; a press goes into them. Empty until they are known: those of the
// item before would be pressed for those of this one.

import { drawCard, newCard, roomOfNames } from './cards.js';
import { say } from './say.js';

const WIDTH = 88;  // pixels of a card
const REST_MS = 250;  // whoever goes through items quickly asks for none

export default (view) => {
  const strip = view.place('strip'), title = view.place('alike-title');
  let asked = null, resting = 0, items = [], of = '';

  const head = (text) => {
    title.textContent = say('Looks most like these in {gallery}', { gallery: view.list.gallery }) + text;
  };
  const stop = () => {
    clearTimeout(resting);
    asked?.abort();
  };
  const ask = async () => {
    const { gallery } = view.list, mine = asked = new AbortController();
    const address = `alike/${encodeURIComponent(gallery)}/${view.item.id}`;
    const answer = await fetch(address, { signal: mine.signal }).catch(() => null);
    const found = answer?.ok ? (await answer.json().catch(() => null))?.items : null;
    if (mine.signal.aborted) return;
    strip.removeAttribute('aria-busy');
    items = found ?? [];
    head(found ? (found.length ? '' : say(': nothing else is there')) : say(': that cannot be told now'));
    const room = roomOfNames(strip, WIDTH);
    strip.replaceChildren(...items.map((item, index) => drawCard(newCard(), { gallery, kind: '' }, item, index, room)));
  };
  strip.addEventListener('click', (event) => {
    const card = event.target.closest('.card');
    if (card) view.into([...items], Number(card.dataset.index));
  });
  return {
    stop,
    soon: () => {
      const wanted = `${view.list.gallery} ${view.item.id}`;
      if (wanted === of && items.length) return;
      of = wanted;
      stop();
      items = [];
      head('');
      if (strip.contains(document.activeElement)) view.dialog.focus();  // where keys are heard
      strip.replaceChildren();
      strip.setAttribute('aria-busy', 'true');
      resting = setTimeout(ask, REST_MS);
    },
  };
};
