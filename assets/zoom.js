// A picture that is zoomed and moved within its pane: wheel, pinch, drag, double click, and by `by`, `fit`, `move`.
// `sizeOf()` is the image's size in its own pixels, where that is known. `changed({ percent, wanted })` is told after each
// change: of these pixels, and how many pixels of its width would be seen sharply.

const MOST = 8;  // screen pixels of one of the image, or times the pane, whichever is more

export default (pane, sizeOf, changed) => {
  const image = pane.querySelector('img');
  let scale = 1, x = 0, y = 0;
  let pressed = new Map(), apart = 0;

  const fitted = () => {  // the picture's place in the pane while it fits
    const { clientWidth: width, clientHeight: height } = pane;
    const size = sizeOf() ?? { width: image.naturalWidth || 1, height: image.naturalHeight || 1 }, ratio = size.width / size.height;
    const across = Math.min(width, height * ratio);
    return { width, height, across, down: across / ratio };
  };
  const own = () => (sizeOf() ? sizeOf().width / fitted().across : 1);  // the scale at which a pixel is a pixel
  const kept = (at, room, length, times) => {  // no further than its edges
    const before = times * (room - length) / 2;
    return length * times <= room ? (room - room * times) / 2 : Math.min(-before, Math.max(room - length * times - before, at));
  };
  const draw = () => {
    const { width, height, across, down } = fitted();
    x = kept(x, width, across, scale);
    y = kept(y, height, down, scale);
    image.style.transform = scale === 1 ? '' : `translate(${x}px, ${y}px) scale(${scale})`;
    pane.classList.toggle('zoomed', scale > 1);
    changed({ percent: scale > 1 && sizeOf() ? Math.round(100 * scale / own()) : 0, wanted: across * scale * devicePixelRatio });
  };
  const to = (wanted, at) => {
    const next = Math.min(Math.max(MOST, MOST * own()), Math.max(1, wanted));
    const [left, top] = at ?? [pane.clientWidth / 2, pane.clientHeight / 2];
    x = left - (left - x) * next / scale;
    y = top - (top - y) * next / scale;
    scale = next;
    draw();
  };
  const place = (event) => {
    const box = pane.getBoundingClientRect();
    return [event.clientX - box.left, event.clientY - box.top];
  };
  const toggle = (at) => to(scale > 1 ? 1 : Math.max(own(), 2), at);

  pane.addEventListener('wheel', (event) => {
    event.preventDefault();
    to(scale * Math.exp(-Math.sign(event.deltaY) * Math.min(60, Math.abs(event.deltaY)) / 250), place(event));
  }, { passive: false });
  pane.addEventListener('dblclick', (event) => toggle(place(event)));
  pane.addEventListener('pointerdown', (event) => {
    pressed.set(event.pointerId, place(event));
    if (event.isTrusted && (scale > 1 || pressed.size > 1)) pane.setPointerCapture(event.pointerId);
  });
  pane.addEventListener('pointermove', (event) => {
    const before = pressed.get(event.pointerId);
    if (!before) return;
    const now = place(event);
    pressed.set(event.pointerId, now);
    if (pressed.size === 2) {
      const [[ax, ay], [bx, by]] = pressed.values(), distance = Math.hypot(ax - bx, ay - by);
      if (apart) to(scale * distance / apart, [(ax + bx) / 2, (ay + by) / 2]);
      apart = distance;
    } else if (scale > 1) {
      x += now[0] - before[0];
      y += now[1] - before[1];
      draw();
    }
  });
  for (const end of ['pointerup', 'pointercancel', 'lostpointercapture']) {
    pane.addEventListener(end, (event) => {
      pressed.delete(event.pointerId);
      apart = 0;
    });
  }
  new ResizeObserver(draw).observe(pane);

  return {
    by: (factor) => to(scale * factor),
    fit: () => to(1),
    toggle: () => toggle(),
    move: (across, down) => {
      x -= across;
      y -= down;
      draw();
    },
    get zoomed() { return scale > 1; },
  };
};
