// What lies over and under the points of a map: names of clusters, thumbnails when few items are in view, density when
// many are. Nothing here takes a press; what is below does.
//   data   clusters [[name, row, items, level], ...], ids; x(row), y(row) are where a row is drawn; isLeft(row): no filter has
//          left it out; isPicked(row): it is chosen, and comes before the others
//   cards  (ids) -> Promise of [{ id, image }, ...], or missing
const NAMES = 40, NAME_HEIGHT = 19, NAME_LETTER = 7.2;
const THUMBS = 90, THUMB = 46, CELL = 6, FEW = 400, MANY = 4000;

const overlaps = (box, others) => others.some(([l, t, r, b]) => box[0] < r && l < box[2] && box[1] < b && t < box[3]);

export const mapLayer = (root, plot, { clusters, ids, x, y, isLeft, isPicked, cards }) => {
  const over = root.querySelector('.map-over'), under = root.querySelector('.map-density');
  const known = new Map();
  let drawing = 0;

  const view = () => {  // null while nothing is drawn; else how coordinates become pixels, and what of them is in view
    const { xaxis, yaxis } = plot._fullLayout || {};
    if (!xaxis?._length || !plot.offsetWidth) return null;
    const [left, right] = xaxis.range, [low, high] = yaxis.range;
    return {
      left: xaxis._offset, top: yaxis._offset, width: xaxis._length, height: yaxis._length,
      px: (value) => ((value - left) / (right - left)) * xaxis._length,
      py: (value) => (1 - (value - low) / (high - low)) * yaxis._length,
      holds: (row) => x(row) >= left && x(row) <= right && y(row) >= low && y(row) <= high,
    };
  };
  const named = (seen) => {
    const inView = clusters.filter(([, row]) => seen.holds(row));
    const near = inView.filter(([, , , level]) => level === 1), far = inView.filter(([, , , level]) => level === 0);
    const wanted = near.length <= NAMES || !far.length ? near : far;
    const taken = [];
    return wanted.sort((a, b) => b[2] - a[2]).slice(0, 4 * NAMES).flatMap(([name, row, items]) => {
      const half = (NAME_LETTER * Math.min(30, [...name].length)) / 2, at = [seen.px(x(row)), seen.py(y(row))];
      const box = [at[0] - half, at[1] - NAME_HEIGHT / 2, at[0] + half, at[1] + NAME_HEIGHT / 2];
      if (taken.length === NAMES || box[0] < 0 || box[2] > seen.width || overlaps(box, taken)) return [];
      taken.push(box);
      const node = Object.assign(document.createElement('span'), { className: isLeft(row) ? 'map-name' : 'map-name faded', textContent: name });
      node.style.cssText = `left:${at[0]}px;top:${at[1]}px`;
      node.dataset.items = items;
      return [node];
    });
  };
  const thumbs = async (seen, rows, turn) => {
    const missing = rows.map((row) => ids[row]).filter((id) => !known.has(id));
    if (missing.length) for (const card of await cards(missing)) known.set(card.id, card.image);
    if (turn !== drawing) return;
    const taken = [], half = THUMB / 2;
    const chosenFirst = [...rows].sort((a, b) => isPicked(b) - isPicked(a));
    over.prepend(...chosenFirst.flatMap((row) => {
      const at = [seen.px(x(row)), seen.py(y(row))];
      const box = [at[0] - half, at[1] - half, at[0] + half, at[1] + half];
      if (!known.get(ids[row]) || overlaps(box, taken)) return [];
      taken.push(box);
      const node = Object.assign(new Image(THUMB, THUMB), { className: isPicked(row) ? 'map-thumb picked' : 'map-thumb', alt: '', src: known.get(ids[row]) });
      node.style.cssText = `left:${at[0]}px;top:${at[1]}px`;
      return [node];
    }));
  };
  const density = (seen, rows) => {
    const columns = Math.ceil(seen.width / CELL), lines = Math.ceil(seen.height / CELL);
    Object.assign(under, { width: columns, height: lines });
    const strength = Math.min(1, (rows.length - FEW) / (MANY - FEW));
    if (strength <= 0) return;
    const counts = new Float32Array(columns * lines);
    for (const row of rows) {
      const column = Math.floor(seen.px(x(row)) / CELL), line = Math.floor(seen.py(y(row)) / CELL);
      if (column >= 0 && line >= 0 && column < columns && line < lines) counts[line * columns + column] += 1;
    }
    const most = Math.log1p(counts.reduce((a, b) => Math.max(a, b), 0));
    const ink = getComputedStyle(root).getPropertyValue('--map-density').trim().split(' ').map(Number);
    const image = new ImageData(columns, lines);
    counts.forEach((count, cell) => image.data.set([...ink, 255 * 0.55 * strength * (Math.log1p(count) / most)], 4 * cell));
    under.getContext('2d').putImageData(image, 0, 0);
  };
  const draw = () => {
    const turn = (drawing += 1), seen = view();
    over.replaceChildren();
    if (!seen) return;
    for (const part of [over, under]) {
      part.style.cssText = `left:${seen.left}px;top:${plot.offsetTop + seen.top}px;width:${seen.width}px;height:${seen.height}px`;
    }
    const rows = [];
    for (let row = 0; row < ids.length; row += 1) if (seen.holds(row) && isLeft(row)) rows.push(row);
    density(seen, rows);
    over.append(...named(seen));
    if (cards && rows.length <= THUMBS) thumbs(seen, rows, turn);
  };
  let waiting = 0;
  return () => {
    cancelAnimationFrame(waiting);
    waiting = requestAnimationFrame(draw);
  };
};
