// What the page does by itself. Everything is delegated to the document, so that it works whenever a part is drawn anew.
() => {
  window.unifex ||= {};
  // The second press of a double click is meant for what the first was: where that made way for something else, as the next
  // row of a list that gets shorter, or was moved, it is nobody's.
  const TWICE_MS = 500, NEAR = 8;
  let press = { at: -Infinity }, isStray = false;
  document.addEventListener('pointerdown', ({ target, clientX: x, clientY: y }) => {
    const on = target.closest('button, a, input, label, summary, [role]') ?? target, last = press;
    press = { at: performance.now(), x, y, on, of: JSON.stringify(on.dataset) };  // rows are changed in their places
    const isNear = press.at - last.at < TWICE_MS && Math.hypot(x - last.x, y - last.y) < NEAR;
    isStray = isNear && (on !== last.on || press.of !== last.of);
  }, true);
  document.addEventListener('click', (event) => {
    if (!isStray || !event.isTrusted || !event.detail) return;
    event.preventDefault();
    event.stopImmediatePropagation();
  }, true);

  unifex.pressed = 0;  // counts what people do: an outcome comes into view once for each (reveal.js)
  const drawing = (target) => Boolean(target.closest?.('.boxes, .region-tools [data-do=add]'));  // on the picture one looks at
  for (const kind of ['click', 'drop', 'paste', 'change']) {
    document.addEventListener(kind, ({ target }) => { unifex.pressed += !drawing(target); }, true);
  }
  document.addEventListener('keydown', ({ key }) => { unifex.pressed += key === 'Enter'; }, true);  // sends words

  for (const kind of ['wheel', 'touchmove']) {  // who scrolls is looking elsewhere
    document.addEventListener(kind, () => { unifex.scrolled = unifex.pressed; }, { capture: true, passive: true });
  }

  document.addEventListener('click', ({ target }) => {  // for address.js, which comes later
    unifex.tab = target.closest('#tabs > .tab-wrapper [role=tab]')?.dataset.tabId ?? unifex.tab;
  }, true);

  const remembered = localStorage.getItem('unifex-theme');
  if (remembered) document.body.classList.toggle('dark', remembered === 'dark');
  document.addEventListener('click', (event) => {
    if (!event.target.closest('.theme')) return;
    const dark = document.body.classList.toggle('dark');
    localStorage.setItem('unifex-theme', dark ? 'dark' : 'light');
  });

  document.addEventListener('click', (event) => {  // a sample is searched with, every other item is opened
    const card = event.target.closest('.card[data-item]');
    const gallery = card && card.closest('[data-gallery]');
    if (!gallery) return;
    const item = [gallery.dataset.gallery, Number(card.dataset.item)];
    if (card.closest('[data-kind=samples]')) unifex.searchWith(item[0], [item[1]]);
    else unifex.openFrom(card, item);
  });

  // What is searched with is the page's own: late answers do not bring back what Clear, an image or another item took the
  // place of. Each choice has a number: an event that was put off comes again with those before it, and counts once.
  let choices = 0, placed = 0;
  unifex.searchWith = (gallery, ids, boxes = '') => {
    unifex.openTab?.('search');
    unifex.pick([gallery, ids, boxes, choices += 1]);
  };
  unifex.takesPlace = (told, shown) => {  // -> the gallery, no images, boxes; nothing for what Python has told
    const [gallery, ids, boxes, choice = 0] = JSON.parse(told || '[]');
    if (choice <= placed) return [];
    placed = choice;
    return [gallery || shown, null, null, boxes ? JSON.stringify([`${gallery}/${ids[0]}`, boxes]) : ''];
  };

  // These go when they have done what they are pressed for, and the keyboard would go with them.
  document.addEventListener('click', ({ target }) => {
    if (!target.closest('#search-everywhere, #search-with-all')) return;
    window.addEventListener('unifex-address', () => setTimeout(() => {
      if (document.activeElement === document.body) document.querySelector('#search-button')?.focus({ preventScroll: true });
    }, 100), { once: true });
  });

  // Gradio's sliders tell that they were let go when a pointer is lifted; keys let go of them, too.
  const letGo = (slider) => slider.dispatchEvent(new PointerEvent('pointerup', { bubbles: true }));
  document.addEventListener('keyup', (event) => {
    const moved = /^(Arrow|Page|Home$|End$)/.test(event.key);
    if (event.target.matches('input[type=range]') && moved) letGo(event.target);
    if (event.target.matches('[data-testid=number-input]') && (moved || event.key === 'Enter')) letGo(event.target);
  });

  const unshown = {
    'no-preview': '#query-image img',  // a format that is searched with but not shown by this browser
    'no-picture': '.card img, .asked img, .queries img, .collected img, #searches .open img, #detail img',  // of an item of which there is none
  };
  for (const kind of ['error', 'load']) {
    document.addEventListener(kind, ({ target }) => {
      for (const [name, which] of Object.entries(unshown)) if (target.matches?.(which)) target.classList.toggle(name, kind === 'error');
    }, true);
  }

  // What is dropped beside a box would leave the page for the picture.
  for (const kind of ['dragover', 'drop']) document.addEventListener(kind, (event) => event.preventDefault());
}
