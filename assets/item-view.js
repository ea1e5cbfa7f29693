// The large view is a dialog of the browser's own: it keeps the focus, is left by Escape, and nothing behind it moves.
// Runs inside the gr.HTML that shows the picture (`element`, `props`, `watch`); the whole card moves into the dialog.

export default ({ props, watch }) => {
  const dialog = document.createElement('dialog');
  Object.assign(dialog, { id: 'detail' });
  dialog.setAttribute('role', 'dialog');
  dialog.setAttribute('aria-modal', 'true');
  dialog.setAttribute('aria-labelledby', 'detail-title');
  let opener = null, item = null;

  const open = (card, wanted) => {
    opener = card;
    item = wanted;
    unifex.open(wanted);
  };
  const show = () => {
    if (!props.value || dialog.open) return;
    opener?.focus();  // where the browser returns to
    dialog.showModal();
    dialog.scrollTop = 0;
    dialog.querySelector('#close-detail').focus();
  };
  const turn = (step) => {
    const cards = opener?.isConnected ? [...opener.closest('[data-gallery]').querySelectorAll('.card[data-item]')] : [];
    const next = cards[cards.indexOf(opener) + step];
    if (next) open(next, [item[0], Number(next.dataset.item)]);
  };
  const returnTo = () => {
    const again = opener?.isConnected ? opener : item && document.querySelector(`.card[data-item="${item[1]}"]`);
    const place = [again, document.querySelector('#hits .card')].find((one) => one?.offsetParent);
    place?.focus();
  };
  unifex.openFrom = open;
  dialog.addEventListener('close', returnTo);
  let pressedOn = null;
  dialog.addEventListener('pointerdown', (event) => { pressedOn = event.target; });
  dialog.addEventListener('click', (event) => {
    const outside = event.target === dialog && pressedOn === dialog;
    if (outside || event.target.closest('#close-detail, #search-with-this')) dialog.close();
  });
  dialog.addEventListener('keydown', (event) => {
    if (event.target.matches('input, textarea')) return;
    const step = { ArrowLeft: -1, ArrowRight: 1 }[event.key];
    if (step) turn(step);
  });
  watch('value', show);
  requestAnimationFrame(() => {
    const card = document.querySelector('#detail-card');
    card.replaceWith(dialog);
    dialog.append(card);
  });
};
