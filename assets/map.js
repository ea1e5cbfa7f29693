// The map of a gallery, in the app and in the page that can be mailed. `drawMap(root, data, actions)` fills `root`:
//   data     what unifex/maps/page.py makes: ids, places (and a second map's), and the columns to colour by
//   actions  pick(id), choose(ids), cards(ids) -> Promise of [{ id, image, label, path }, ...]; each may be missing
//   layer    assets/map-layer.js
//   words    assets/say.js: { say, plural, thousands }, given since this file stands in the mailed page, too, where nothing is imported
//   before   what `look()` told of the map that this one takes the place of: its colours, and where it was closer up if places
//            are the same
// It returns { query(star), pick(ids), leave(stays), look() }: to show what is being searched with, { place: [x, y], hits: [id, ...] }
// or null; to have these items chosen and seen, which nobody is told of; to let what filters leave out fade, which cannot
// be chosen then: stays(id), or null for all.
const MAP_COLOURS = ['#4f46e5', '#f97316', '#0d9488', '#db2777', '#65a30d', '#0284c7', '#ca8a04', '#9333ea', '#dc2626',
  '#0891b2', '#7c2d12', '#16a34a', '#be185d', '#475569', '#d946ef', '#a16207', '#2563eb', '#e11d48', '#059669'];
const MAP_SYMBOLS = ['circle', 'diamond', 'square', 'cross', 'triangle-up'];
// Right and wrong differ by shape as well, and by a pair of colours that nobody confuses (Okabe, Ito 2008).
const MAP_VERDICTS = { right: ['#0072b2', 'circle'], wrong: ['#d55e00', 'x'], 'no label': ['#94a3b8', 'circle-open'] };
const MAP_OTHERS = '#94a3b8';
const MAP_RINGED = 200;  // chosen items that are ringed: of more the rings would hide the map
const MAP_HOVER_MS = 60;
const MAP_SUGGESTED = 500;  // labels
const MAP_LONGEST = 32;  // characters of a name in the legend, and in its column on a phone still readable

const mapArray = (encoded, Type) => new Type(Uint8Array.from(atob(encoded), (c) => c.charCodeAt(0)).buffer);
const mapShort = (text, most = MAP_LONGEST) => ([...text].length > most ? `${[...text].slice(0, most - 1).join('').trimEnd()}…` : text);
const mapEscape = (text) => text.replace(/[&<>"']/g, (c) => `&#${c.charCodeAt(0)};`);

export const drawMap = (root, data, actions, layer, { say, plural, thousands }, before = null) => {
  const TITLES = { domain: say('domain'), label: say('label'), split: say('split'), 'first hit': say('first hit') };
  const VERDICTS = { right: say('right'), wrong: say('wrong'), 'no label': say('no label') };
  const TOOLS = {  // Plotly's own words
    'Lasso Select': say('Lasso Select'), Pan: say('Pan'), 'Zoom in': say('Zoom in'), 'Zoom out': say('Zoom out'), 'Reset axes': say('Reset axes'),
    'Double-click on legend to isolate one trace': say('Double-click on legend to isolate one trace'),
  };
  const find = (selector) => root.querySelector(selector);
  const ids = mapArray(data.ids, Int32Array);
  const places = mapArray(data.places, Float32Array);
  const other = data.other && mapArray(data.other.places, Float32Array);
  const at = new Map(Array.from(ids, (id, index) => [id, index]));
  const columns = data.columns.map((column) => ({ ...column, codes: mapArray(column.codes, Int32Array) }));
  const plot = find('.map-plot'), tip = find('.map-tip'), colour = find('.map-colour'), blend = find('.map-blend');
  const phone = window.innerWidth < 640;
  let share = 0, star = null, picked = null, ringed = [], sought = false, stays = null, quiet = false, waiting = false, drawings = 0;

  const isLeft = (row) => !stays || stays(ids[row]);
  const x = (index) => places[2 * index] * (1 - share) + (other ? other[2 * index] * share : 0);
  const y = (index) => places[2 * index + 1] * (1 - share) + (other ? other[2 * index + 1] * share : 0);
  const place = (index) => `${places[2 * index]} ${places[2 * index + 1]}`;
  const crowds = new Map();  // how many items lie in one place: copies of an image
  ids.forEach((id, index) => crowds.set(place(index), (crowds.get(place(index)) || 0) + 1));
  const theme = () => {
    const style = getComputedStyle(root);
    return { text: style.getPropertyValue('--map-text').trim(), line: style.getPropertyValue('--map-line').trim() };
  };

  const group = (column) => {
    const members = new Map();
    column.codes.forEach((code, index) => {
      if (!members.has(code)) members.set(code, []);
      members.get(code).push(index);
    });
    const ordered = [...members].sort((a, b) => b[1].length - a[1].length || a[0] - b[0]);
    const most = MAP_COLOURS.length;
    const shown = ordered.slice(0, most).map(([code, rows]) => [column.names[code] || say('no {column}', { column: TITLES[column.title] }), rows]);
    const rest = ordered.slice(most).flatMap(([, rows]) => rows);
    if (rest.length) shown.push([say('{count} others', { count: ordered.length - most }), rest]);
    return shown;
  };
  const size = ids.length > 30000 ? 3 : ids.length > 5000 ? 5 : ids.length > 800 ? 7 : 10;
  let names = [];  // whole, in the order of the legend
  const makeTraces = () => {
    const column = columns[Number(colour.value)];
    const groups = group(column).map(([name, rows], order) => [name, rows.filter(isLeft), order]).filter(([, rows]) => rows.length);
    names = groups.map(([name]) => name);
    return [...fadedTraces(), ...groups.map((entry) => makeTrace(entry, column.title === 'first hit'))];
  };
  const fadedTraces = () => {
    const rows = stays ? Array.from(ids.keys()).filter((row) => !isLeft(row)) : [];
    const marker = { size, opacity: 0.12, color: MAP_OTHERS, line: { width: 0 } };
    return rows.length ? [{ type: 'scattergl', mode: 'markers', name: say('left out'), x: rows.map(x), y: rows.map(y), hoverinfo: 'skip', showlegend: false,
      marker, selected: { marker }, unselected: { marker } }] : [];
  };
  const ringTraces = () => {
    const rows = ringed.map((id) => at.get(id)), { text } = theme();
    return rows.length ? [{ type: 'scattergl', mode: 'markers', name: say('chosen'), x: rows.map(x), y: rows.map(y), hoverinfo: 'skip', showlegend: false,
      marker: { symbol: 'circle-open', size: size + 9, color: text, line: { width: 2 } } }] : [];
  };
  const makeTrace = ([name, rows, order], judged) => ({
    type: 'scattergl', mode: 'markers', name: `${mapEscape(mapShort((judged && VERDICTS[name]) || name))} (${thousands(rows.length)})`, hoverinfo: 'none',
    x: rows.map(x), y: rows.map(y), customdata: rows.map((row) => ids[row]),
    marker: { size, opacity: 0.85, line: { width: 0 },
      symbol: judged ? MAP_VERDICTS[name][1] : MAP_SYMBOLS[Math.floor(order / 4) % MAP_SYMBOLS.length],
      color: judged ? MAP_VERDICTS[name][0] : MAP_COLOURS[order] || MAP_OTHERS },
    selectedpoints: picked && rows.flatMap((row, index) => (picked.has(ids[row]) ? [index] : [])),
    selected: { marker: { opacity: 1 } }, unselected: { marker: { opacity: stays ? 0.3 : 0.15 } },
  });
  const starTraces = () => {
    if (!star) return [];
    const lines = { x: [], y: [] };
    star.hits.filter((id) => at.has(id)).forEach((id) => {
      lines.x.push(star.place[0], x(at.get(id)), null);
      lines.y.push(star.place[1], y(at.get(id)), null);
    });
    const { text } = theme();
    return [
      { type: 'scattergl', mode: 'lines', ...lines, line: { color: text, width: 1 }, opacity: 0.6, hoverinfo: 'skip', showlegend: false },
      { type: 'scattergl', mode: 'markers', x: [star.place[0]], y: [star.place[1]], name: say('your query'), hoverinfo: 'skip',
        marker: { symbol: 'star', size: 20, color: '#facc15', line: { color: text, width: 1.5 } } },
    ];
  };
  const layout = () => {
    const { text, line } = theme();
    const axis = { showgrid: false, zeroline: false, showticklabels: false, ticks: '', showline: true, linecolor: line, mirror: true };
    return {
      autosize: true, margin: { l: 4, r: 4, t: 30, b: 4 }, hovermode: 'closest', dragmode: phone ? 'pan' : 'lasso',
      paper_bgcolor: 'rgba(0,0,0,0)', plot_bgcolor: 'rgba(0,0,0,0)', font: { color: text, size: 12 },
      xaxis: axis, yaxis: { ...axis, scaleanchor: 'x' }, uirevision: 'map', modebar: { bgcolor: 'rgba(0,0,0,0)', color: text, activecolor: '#6366f1' },
      legend: phone ? { orientation: 'h', y: -0.02, yanchor: 'top', itemsizing: 'constant' } : { itemsizing: 'constant' },
    };
  };
  const nameLegend = () => plot.querySelectorAll('.legend .traces').forEach((entry, order) => {
    entry.querySelector('title')?.remove();  // Plotly uses the entry again
    if (!names[order] || mapShort(names[order]) === names[order]) return;
    const title = document.createElementNS('http://www.w3.org/2000/svg', 'title');
    title.textContent = names[order];
    entry.append(title);
  });
  const draw = async () => {
    waiting = !plot.offsetWidth;  // hidden, as in another tab: a plot has no size there
    if (waiting) return;
    quiet = true;  // the outline of a lasso would catch the clicks on what is inside: it goes, what is chosen stays
    await Plotly.react(plot, [...makeTraces(), ...ringTraces(), ...starTraces()], { ...layout(), selections: [], selectionrevision: (drawings += 1) }, {
      responsive: true, displaylogo: false, scrollZoom: true,
      modeBarButtons: [['lasso2d', 'pan2d', 'zoomIn2d', 'zoomOut2d', 'resetScale2d']], locale: 'spoken', locales: { spoken: { dictionary: TOOLS } },
    });
    quiet = false;
    nameLegend();
    beside();
    if (!root.dataset.drawn) listen();
    root.dataset.drawn = String(ids.length);
    if (before) await goBack();
    if (sought) seek();
  };
  const goBack = async () => {
    const known = ids.find((id) => before.place(id)), { ranges } = before;
    const isSame = known !== undefined && before.place(known) === place(at.get(known));
    before = null;
    if (isSame && ranges) await Plotly.relayout(plot, { 'xaxis.range': ranges[0], 'yaxis.range': ranges[1] });
  };
  const seek = () => {  // what is to be seen may lie outside of what is shown
    const { xaxis, yaxis } = plot._fullLayout, rows = [...(picked || [])].map((id) => at.get(id));
    const isIn = ({ range: [low, high] }, value) => value >= low && value <= high;
    sought = false;
    plot.scrollIntoView({ block: 'nearest' });
    if (rows.some((row) => !isIn(xaxis, x(row)) || !isIn(yaxis, y(row)))) goTo(rows);
  };

  const beside = layer(root, plot, { clusters: data.clusters, ids, x, y, isLeft, isPicked: (row) => Boolean(picked?.has(ids[row])), cards: actions.cards });
  colour.innerHTML = columns.map((column, number) => `<option value="${number}">${mapEscape(TITLES[column.title])}</option>`).join('');
  colour.value = Math.max(0, columns.findIndex(({ title }) => title === before?.colour));
  colour.addEventListener('change', draw);
  const compare = find('.map-compare');
  compare.hidden = !other;
  if (other) {
    find('.map-before').textContent = data.model;
    find('.map-after').textContent = data.other.model;
    blend.value = 0;
    blend.addEventListener('input', () => {
      share = blend.value / 100;
      draw();
    });
  }

  let hovered = 0;
  const cards = new Map();
  const showTip = async (event) => {
    const point = event.points[0];
    const id = point && point.customdata;
    if (id === undefined || !actions.cards) return;
    hovered = id;
    const { clientX, clientY } = event.event;
    await new Promise((done) => setTimeout(done, MAP_HOVER_MS));
    if (hovered !== id) return;
    const card = cards.get(id) ?? (await actions.cards([id]))[0], crowd = crowds.get(place(at.get(id)));
    if (hovered !== id || !card) return;
    cards.set(id, card);
    tip.innerHTML = (card.image ? `<img src="${card.image}" alt="">` : '') +
      `<b>${mapEscape(mapShort(card.label || say('no label'), 200))}</b><small>${mapEscape(mapShort(card.path, 200))}</small>` +
      (crowd > 1 ? '<small>' + say('{items} in this place', { items: plural(crowd, 'item', 'items') }) + '</small>' : '');
    tip.hidden = false;
    const box = root.getBoundingClientRect();
    tip.style.left = `${Math.min(clientX - box.left + 14, box.width - tip.offsetWidth - 6)}px`;
    tip.style.top = `${Math.min(clientY - box.top + 14, box.height - tip.offsetHeight - 6)}px`;
  };
  const hideTip = () => {
    hovered = 0;
    tip.hidden = true;
  };
  const choose = (chosen) => {
    if (quiet || !actions.choose) return;
    ringed = [];
    picked = chosen.length ? new Set(chosen) : null;
    actions.choose(chosen);
    setTimeout(draw);
  };
  // Labels that are called so, else all that have it in their names; they are chosen, and the view goes to them.
  const named = (wanted) => {
    for (const fits of [(name) => name === wanted, (name) => name.includes(wanted)]) {
      for (const column of columns.filter(({ title }) => ['label', 'domain'].includes(title))) {
        const codes = new Set(column.names.flatMap((name, code) => (fits(name.toLowerCase()) ? [code] : [])));
        const rows = codes.size ? Array.from(ids.keys()).filter((row) => codes.has(column.codes[row])) : [];
        if (rows.length) return rows;
      }
    }
    return [];
  };
  const goTo = (rows) => {
    const ends = (at) => rows.reduce(([low, high], row) => [Math.min(low, at(row)), Math.max(high, at(row))], [Infinity, -Infinity]);
    const [left, right] = ends(x), [low, high] = ends(y), room = 0.15 * Math.max(right - left, high - low) + 0.4;
    Plotly.relayout(plot, { 'xaxis.range': [left - room, right + room], 'yaxis.range': [low - room, high + room] });
  };
  const lookFor = () => {
    const wanted = find('.map-find').value.trim().toLowerCase(), rows = wanted ? named(wanted).filter(isLeft) : [];
    find('.map-found').textContent = wanted ? (rows.length ? plural(rows.length, 'item', 'items') : say('nothing is called so')) : '';
    choose(rows.map((row) => ids[row]));
    if (rows.length) goTo(rows);
    else if (!wanted) Plotly.relayout(plot, { 'xaxis.autorange': true, 'yaxis.autorange': true });
  };
  find('.map-find').addEventListener('change', lookFor);
  const labels = columns.find(({ title }) => title === 'label') || { names: [] };
  find('.map-labels').append(...labels.names.filter(Boolean).slice(0, MAP_SUGGESTED).map((name) => new Option(name)));

  const listen = () => {
    plot.on('plotly_relayouting', beside);
    plot.on('plotly_relayout', beside);
    plot.on('plotly_hover', showTip);
    plot.on('plotly_unhover', hideTip);
    plot.on('plotly_click', (event) => {
      const id = event.points.map((point) => point.customdata).find((value) => value !== undefined);
      if (id !== undefined && actions.pick) actions.pick(id);
    });
    plot.on('plotly_selected', (event) => {
      if (event) choose(event.points.map((point) => point.customdata).filter((id) => id !== undefined));
    });
    plot.on('plotly_deselect', () => choose([]));
  };
  delete root.dataset.drawn;
  draw();
  new ResizeObserver(() => (waiting ? draw() : plot.offsetWidth && plot.layout && Plotly.Plots.resize(plot).then(beside))).observe(plot);
  new MutationObserver(() => plot.isConnected && draw()).observe(document.body, { attributes: true, attributeFilter: ['class'] });
  return {
    query: (now) => {
      if (!now && !star) return;
      star = now;
      draw();
    },
    pick: (chosen) => {
      if (chosen.length === (picked?.size || 0) && chosen.every((id) => picked.has(id))) return;
      const there = chosen.filter((id) => at.has(id));
      picked = there.length ? new Set(there) : null;
      ringed = there.length <= MAP_RINGED ? there : [];
      sought = there.length > 0;
      draw();
    },
    leave: (wanted) => {
      if (!wanted && !stays) return;
      stays = wanted;
      draw();
    },
    look: () => {
      if (before) return { ...before, colour: columns[Number(colour.value)]?.title };  // it was never drawn
      const { xaxis, yaxis } = plot._fullLayout ?? {}, closer = xaxis && !xaxis.autorange;
      return {
        colour: columns[Number(colour.value)]?.title, ranges: closer && [[...xaxis.range], [...yaxis.range]],
        place: (id) => (at.has(id) ? place(at.get(id)) : null),
      };
    },
  };
};
