// A rectangle that is drawn over a grid with the mouse chooses what it touches. It begins beside the pictures (a picture
// itself is dragged elsewhere), or anywhere with Shift or Ctrl.

export default (grid, choice) => {
  const { element, place } = grid;
  const LEAST = 6, EDGE = 32, STEP = 14;
  let start = null, box = null, was = null, pointer = null, frame = 0, first = null;  // first: place of the first in it that is in the page

  const swallow = (event) => event.stopPropagation();
  const scrolled = () => [window.scrollX, window.scrollY + place('frame').scrollTop];
  const bounds = () => {  // in the window, though what is below has moved
    const [x, y] = scrolled(), from = [start[0] - x, start[1] - y];
    return [0, 1].map((axis) => [Math.min(from[axis], pointer[axis]), Math.max(from[axis], pointer[axis])]);
  };
  const draw = () => {
    const [[left, right], [top, bottom]] = bounds(), clip = place('frame').getBoundingClientRect();
    const upper = Math.max(top, clip.top), lower = Math.min(bottom, clip.bottom);
    Object.assign(box.style, {
      left: `${left}px`, top: `${upper}px`, width: `${right - left}px`, height: `${Math.max(0, lower - upper)}px`,
    });
    first = null;
    for (const node of element.querySelectorAll('.card[data-item]')) {
      const at = node.getBoundingClientRect(), index = Number(node.dataset.index);
      const touched = at.left < right && at.right > left && at.top < bottom && at.bottom > top;
      const item = grid.itemAt(index);
      if (!item) continue;
      if (!was.has(index)) was.set(index, choice.has(item));
      choice.set(index, touched || was.get(index));
      if (touched) first = Math.min(first ?? index, index);
    }
    choice.redraw();
  };
  const follow = () => {  // what is scrolled comes under the box
    if (!box) return;
    const clip = place('frame').getBoundingClientRect();
    if (pointer[1] > clip.bottom - EDGE) place('frame').scrollTop += STEP;
    else if (pointer[1] < clip.top + EDGE) place('frame').scrollTop -= STEP;
    draw();
    frame = requestAnimationFrame(follow);
  };
  const end = () => {
    cancelAnimationFrame(frame);
    if (box) setTimeout(() => removeEventListener('click', swallow, true));  // the press that ends the box is no click
    if (box && first !== null) choice.mark(first);
    box?.remove();
    start = box = null;
    removeEventListener('pointermove', move);
    removeEventListener('pointerup', end);
    removeEventListener('pointercancel', end);
  };
  const move = (event) => {
    pointer = [event.clientX, event.clientY];
    if (box) return;
    const [x, y] = scrolled();
    if (Math.hypot(pointer[0] + x - start[0], pointer[1] + y - start[1]) < LEAST) return;
    was = new Map();
    first = null;
    box = document.body.appendChild(Object.assign(document.createElement('div'), { className: 'choosing-box' }));
    getSelection().removeAllRanges();
    addEventListener('click', swallow, true);
    setTimeout(follow);
  };
  element.addEventListener('pointerdown', (event) => {
    const within = event.target.closest('.frame');
    const held = event.shiftKey || event.ctrlKey || event.metaKey;
    const scrollbar = within && event.offsetX > within.clientWidth && event.target === within;
    if (event.pointerType !== 'mouse' || event.button || !within || scrollbar || choice.closed()) return;
    if (event.target.closest('img, .pick') && !held) return;
    const [x, y] = scrolled();
    start = [event.clientX + x, event.clientY + y];
    pointer = [event.clientX, event.clientY];
    addEventListener('pointermove', move);
    addEventListener('pointerup', end);
    addEventListener('pointercancel', end);
  });
  element.addEventListener('dragstart', (event) => { if (start) event.preventDefault(); });
};
