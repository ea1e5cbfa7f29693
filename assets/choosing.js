// Which cards of a grid are chosen, by mouse and by keys, and the bar of what can be done with them.
// `grid` is of grid.js: { element, place, data, itemAt, count, focusOn }.

export default (grid) => {
  const { element, place } = grid;
  let chosen = new Map(), anchor = 0;  // chosen: id -> item

  const bar = () => {
    const tools = place('tools');
    tools.hidden = !chosen.size;
    for (const node of tools.querySelectorAll('.change')) node.hidden = !grid.data?.editable;
    for (const node of tools.querySelectorAll('.mark')) node.hidden = grid.data?.kind !== 'hits';
    tools.querySelector('b').textContent = `${chosen.size.toLocaleString('en')} chosen`;
    for (const node of element.querySelectorAll('.card')) node.classList.toggle('chosen', chosen.has(Number(node.dataset.item)));
  };
  const clear = () => {
    chosen.clear();
    bar();
  };
  const toggle = (index, on) => {
    const item = grid.itemAt(index);
    if (!item || grid.data.kind === 'samples') return;
    if (on ?? !chosen.has(item.id)) chosen.set(item.id, item);
    else chosen.delete(item.id);
  };
  const upTo = (index) => {
    for (let at = Math.min(anchor, index); at <= Math.max(anchor, index); at += 1) toggle(at, true);
  };

  // --- what can be done with them --------------------------------------------------------------------------------------
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
    clear();
    unifex[signal]([action, grid.data.gallery, ids, text]);
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
      if (window.confirm(`Leave ${images()} out of '${grid.data.gallery}'? The files stay, and the Evaluate tab can undo it.`)) tell('leave');
    },
    csv: download,
    none: clear,
  };
  element.addEventListener('click', (event) => {
    const act = event.target.closest('[data-do]');
    if (act) return ACTIONS[act.dataset.do]();
    const node = event.target.closest('.card');
    if (!node || grid.data?.kind === 'samples') return;
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
  element.addEventListener('keydown', (event) => {
    const node = event.target.closest('.card');
    if (!node) return;
    const { data } = grid, index = Number(node.dataset.index);
    const columns = getComputedStyle(place('grid')).gridTemplateColumns.split(' ').length;
    const step = { ArrowLeft: -1, ArrowRight: 1, ArrowUp: -columns, ArrowDown: columns }[event.key];
    const all = event.key === 'a' && (event.ctrlKey || event.metaKey) && data.items;
    if (step) {
      if (event.shiftKey) {
        upTo(index);
        toggle(index + step, true);
      } else anchor = index + step;
      grid.focusOn(index + step);
    } else if (event.key === ' ' && data.kind !== 'samples') toggle(anchor = index);
    else if (all) data.items.forEach((_, at) => toggle(at, true));
    else if (event.key === 'Escape' && chosen.size) chosen.clear();
    else return;
    event.preventDefault();
    bar();
  });
  element.addEventListener('keyup', (event) => {  // a button would be pressed by it
    if (event.key === ' ' && event.target.closest('.card') && grid.data?.kind !== 'samples') event.preventDefault();
  });

  return { has: (item) => chosen.has(item.id), bar, clear };
};
