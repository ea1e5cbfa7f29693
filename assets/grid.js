// Pictures as cards: samples, hits, and galleries of any size. Runs inside gr.HTML (`element`, `props`, `watch`).
// The value is JSON: { gallery, kind, lead, items: [{ id, v, label, domain, path, score, chance }] }, or with `total` instead
// of `items`, a whole gallery: what is in view is asked for as one scrolls, and only that is in the page.

export default ({ element, props, watch }) => {
  const GAP = 12, TEXT = 66, PAGE = 240, TALLEST = 3e7, PAGES_KEPT = 40, REST_MS = 60;
  const card = document.createElement('template');
  card.innerHTML = '<button type="button" class="card"><img alt=""><span class="pick" aria-hidden="true"></span>'
    + '<span class="score" hidden><i></i></span><span class="name"></span><span class="domain"></span></button>';
  const VERBS = { samples: 'Search with' };
  const place = (name) => element.querySelector(`.${name}`);
  let data = null, chosen = new Map(), anchor = 0;  // chosen: id -> item
  let pages = new Map(), drawn = new Map(), size = 132, shape = null, resting = 0;

  const nameOf = (item) => item.label || item.path.split('/').pop();
  const sentence = (item) => item.score === undefined ? '' : `similarity ${item.score.toFixed(2)}`
    + (item.chance === undefined ? '' : `; of such hits ${Math.round(100 * item.chance)} % are right here`);
  const fill = (node, item, index) => {
    node.dataset.index = index;
    if (!item) {
      node.removeAttribute('data-item');
      node.classList.add('coming');
      node.querySelector('img').removeAttribute('src');
      for (const part of ['.name', '.domain']) node.querySelector(part).textContent = '';
      return node;
    }
    node.classList.remove('coming');
    node.dataset.item = item.id;
    node.title = item.path;
    const spoken = [nameOf(item), item.domain || 'no domain', sentence(item)].filter(Boolean).join(', ');
    node.setAttribute('aria-label', `${VERBS[data.kind] || 'Open'} ${spoken}`);
    node.querySelector('img').src = `thumb/${encodeURIComponent(data.gallery)}/${item.id}?v=${item.v}`;
    node.querySelector('.name').textContent = nameOf(item);
    node.querySelector('.domain').textContent = item.domain || '\u00a0';
    const score = node.querySelector('.score');
    score.hidden = item.score === undefined;
    if (!score.hidden) {
      score.title = sentence(item);
      score.firstChild.style.width = `${Math.max(2, 100 * item.score)}%`;
    }
    node.classList.toggle('chosen', chosen.has(item.id));
    return node;
  };
  const itemAt = (index) => data.items ? data.items[index] : pages.get(Math.floor(index / PAGE))?.[index % PAGE];
  const count = () => data ? data.total ?? data.items.length : 0;

  // --- drawing ---------------------------------------------------------------------------------------------------------
  const draw = () => {
    const before = data?.gallery;
    data = props.value ? JSON.parse(props.value) : null;
    if (data?.gallery !== before || data?.kind === 'samples') chosen.clear();
    pages = new Map();
    drawn = new Map();
    const whole = data && data.total !== undefined;
    place('frame').className = whole ? 'frame whole' : 'frame';
    place('frame').dataset.gallery = data?.gallery ?? '';
    place('lead').textContent = data?.lead ?? '';
    place('lead').hidden = !data?.lead;
    const grid = place('grid');
    grid.replaceChildren();
    grid.removeAttribute('style');
    place('tall').removeAttribute('style');
    grid.dataset.kind = data?.kind ?? '';
    shape = null;
    if (whole) {
      if (data.gallery !== before) place('frame').scrollTop = 0;
      show();
    } else if (data) grid.append(...data.items.map((item, index) => fill(card.content.firstChild.cloneNode(true), item, index)));
    bar();
  };
  const measure = () => {  // columns, size of a row, height of all of it and of the part that is shown
    const frame = place('frame'), width = frame.clientWidth - 2 * GAP;
    const columns = Math.max(1, Math.floor((width + GAP) / (size + GAP)));
    const row = (width - GAP * (columns - 1)) / columns + TEXT + GAP, rows = Math.ceil(count() / columns);
    const tall = Math.min(rows * row + GAP, TALLEST), room = frame.clientHeight;
    place('tall').style.height = `${tall}px`;
    place('grid').style.gridTemplateColumns = `repeat(${columns}, minmax(0, 1fr))`;
    return { columns, row, rows, tall, room, scale: Math.max(1, (rows * row + GAP - room) / Math.max(1, tall - room)) };
  };
  const show = () => {  // only rows that are in view, and two beside them, are in the page
    if (!data || data.total === undefined || !element.offsetParent) return;
    shape ||= measure();
    const { columns, row, rows, scale, room } = shape, frame = place('frame'), grid = place('grid');
    const at = frame.scrollTop * scale, first = Math.max(0, Math.floor(at / row) - 2);
    const last = Math.min(rows, Math.ceil((at + room) / row) + 2);
    const from = first * columns, to = Math.min(count(), last * columns);
    const spare = [...drawn.keys()].filter((index) => index < from || index >= to);
    for (let index = from; index < to; index += 1) {
      let node = drawn.get(index);
      if (!node) {
        const reused = spare.pop();
        node = reused === undefined ? card.content.firstChild.cloneNode(true) : drawn.get(reused);
        drawn.delete(reused);
        drawn.set(index, node);
        fill(node, itemAt(index), index);
      }
      node.style.order = index - from;
      if (node.parentNode !== grid) grid.append(node);
    }
    for (const index of spare) {
      drawn.get(index).remove();
      drawn.delete(index);
    }
    grid.style.transform = `translateY(${first * row - at + frame.scrollTop}px)`;
    clearTimeout(resting);
    resting = setTimeout(() => load(from, to), REST_MS);
  };
  const load = async (from, to) => {
    const wanted = data;
    for (let page = Math.floor(from / PAGE); page <= Math.floor((to - 1) / PAGE); page += 1) {
      if (pages.has(page)) continue;
      pages.set(page, []);
      const answer = await fetch(`items/${encodeURIComponent(data.gallery)}?start=${page * PAGE}&count=${PAGE}`).catch(() => null);
      if (data !== wanted) return;
      if (!answer?.ok) {
        pages.delete(page);
        continue;
      }
      pages.set(page, (await answer.json()).items);
      if (pages.size > PAGES_KEPT) pages.delete(pages.keys().next().value);
    }
    for (const [index, node] of drawn) if (!node.dataset.item || !itemAt(index)) fill(node, itemAt(index), index);
  };

  // --- choosing --------------------------------------------------------------------------------------------------------
  const bar = () => {
    const tools = place('tools');
    tools.hidden = !chosen.size;
    for (const node of tools.querySelectorAll('.change')) node.hidden = !data?.editable;
    for (const node of tools.querySelectorAll('.mark')) node.hidden = data?.kind !== 'hits';
    tools.querySelector('b').textContent = `${chosen.size.toLocaleString('en')} chosen`;
    for (const node of element.querySelectorAll('.card')) node.classList.toggle('chosen', chosen.has(Number(node.dataset.item)));
  };
  const toggle = (index, on) => {
    const item = itemAt(index);
    if (!item || data.kind === 'samples') return;
    if (on ?? !chosen.has(item.id)) chosen.set(item.id, item);
    else chosen.delete(item.id);
  };
  const upTo = (index) => {
    for (let at = Math.min(anchor, index); at <= Math.max(anchor, index); at += 1) toggle(at, true);
  };
  const cell = (text) => `"${(/^[=+\-@\t\r]/.test(text) ? `'${text}` : text).replaceAll('"', '""')}"`;  // never a formula
  const download = () => {
    const rows = [...chosen.values()].map((item) => [item.path, item.label, item.domain].map(cell).join());
    const link = document.createElement('a');
    link.href = URL.createObjectURL(new Blob(['\ufeff', ['path,label,domain', ...rows, ''].join('\r\n')], { type: 'text/csv' }));
    link.download = 'chosen.csv';
    link.click();
    URL.revokeObjectURL(link.href);
  };
  const tell = (action, text = '', signal = 'chosen') => {
    const ids = [...chosen.keys()];
    chosen.clear();
    bar();
    unifex[signal]([action, data.gallery, ids, text]);
  };
  const images = () => `${chosen.size.toLocaleString('en')} image${chosen.size === 1 ? '' : 's'}`;
  const ACTIONS = {
    search: () => tell('search'),
    more: () => tell('more', '', 'marked'),
    less: () => tell('less', '', 'marked'),
    label: () => {
      const label = window.prompt(`Label for ${images()}`, [...chosen.values()][0].label);
      if (label !== null) tell('label', label);
    },
    leave: () => {
      if (window.confirm(`Leave ${images()} out of '${data.gallery}'? The files stay, and the Evaluate tab can undo it.`)) tell('leave');
    },
    csv: download,
    none: () => {
      chosen.clear();
      bar();
    },
  };
  element.addEventListener('click', (event) => {
    const act = event.target.closest('[data-do]');
    if (act) return ACTIONS[act.dataset.do]();
    const node = event.target.closest('.card');
    if (!node || data?.kind === 'samples') return;
    const index = Number(node.dataset.index);
    const choosing = event.target.closest('.pick') || event.ctrlKey || event.metaKey;
    if (event.shiftKey) upTo(index);
    else if (choosing) toggle(index);
    else return;  // it is opened
    anchor = index;
    event.stopPropagation();
    bar();
  });

  // --- keys ------------------------------------------------------------------------------------------------------------
  const focusOn = (index) => {
    if (index < 0 || index >= count()) return;
    if (data.total !== undefined) {
      const { columns, row, scale, room } = shape, frame = place('frame'), top = Math.floor(index / columns) * row;
      const at = frame.scrollTop * scale;
      if (top < at) frame.scrollTop = top / scale;
      else if (top + row > at + room) frame.scrollTop = (top + row - room) / scale;
      show();
    }
    element.querySelector(`.card[data-index="${index}"]`)?.focus();
  };
  element.addEventListener('keydown', (event) => {
    const node = event.target.closest('.card');
    if (!node) return;
    const index = Number(node.dataset.index);
    const columns = getComputedStyle(place('grid')).gridTemplateColumns.split(' ').length;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    const all = event.key === 'a' && (event.ctrlKey || event.metaKey) && data.items;
    if (step) {
      if (event.shiftKey) {
        upTo(index);
        toggle(index + step, true);
      } else anchor = index + step;
      focusOn(index + step);
    } else if (event.key === ' ' && data.kind !== 'samples') toggle(anchor = index);
    else if (all) data.items.forEach((_, at) => toggle(at, true));
    else if (event.key === 'Escape' && chosen.size) chosen.clear();
    else return;
    event.preventDefault();
    bar();
  });
  element.addEventListener('keyup', (event) => {  // a button would be pressed by it
    if (event.key === ' ' && event.target.closest('.card') && data?.kind !== 'samples') event.preventDefault();
  });

  // --- size ------------------------------------------------------------------------------------------------------------
  const resize = () => {
    shape = null;
    show();
  };
  element.addEventListener('scroll', (event) => { if (event.target === place('frame')) requestAnimationFrame(show); }, true);
  new ResizeObserver(resize).observe(place('frame'));
  watch('value', draw);
  draw();
};
