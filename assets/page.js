// What the page does by itself. Everything is delegated to the document, so that it works whenever a part is drawn anew.
() => {
  window.unifex ||= {};
  unifex.pressed = 0;  // counts what people do: an outcome comes into view once for each (reveal.js)
  for (const kind of ['click', 'drop', 'paste', 'change']) {
    document.addEventListener(kind, () => { unifex.pressed += 1; }, true);
  }

  for (const kind of ['wheel', 'touchmove']) {  // who scrolls is looking elsewhere
    document.addEventListener(kind, () => { unifex.scrolled = unifex.pressed; }, { capture: true, passive: true });
  }

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
    if (card.closest('[data-kind=samples]')) unifex.sample(item);
    else unifex.openFrom(card, item);
  });

  // Gradio's sliders tell that they were let go when a pointer is lifted; keys let go of them, too.
  const letGo = (slider) => slider.dispatchEvent(new PointerEvent('pointerup', { bubbles: true }));
  document.addEventListener('keyup', (event) => {
    const moved = /^(Arrow|Page|Home$|End$)/.test(event.key);
    if (event.target.matches('input[type=range]') && moved) letGo(event.target);
    if (event.target.matches('[data-testid=number-input]') && (moved || event.key === 'Enter')) letGo(event.target);
  });

  // The query's box. Gradio takes only what the browser calls an image, and is silent about all else; not every browser
  // knows HEIC. Here every file is called one, and the server says what it is.
  const asImages = (files) => {
    const transfer = new DataTransfer();
    for (const file of files) transfer.items.add(new File([file], file.name || 'pasted', { type: 'image/unknown' }));
    return transfer;
  };
  const known = (files) => [...files].every((file) => file.type.startsWith('image/'));
  const dropOn = (target, files) =>
    target.dispatchEvent(new DragEvent('drop', { dataTransfer: asImages(files), bubbles: true, cancelable: true }));
  document.addEventListener('drop', (event) => {
    const files = event.dataTransfer.files;
    if (!event.target.closest('#query-image') || (files.length && known(files))) return;
    event.preventDefault();
    event.stopImmediatePropagation();  // a link or words leave the picture that is there
    if (files.length) dropOn(event.target, files);
  }, true);
  document.addEventListener('change', (event) => {
    if (event.target.matches('#query-image input[type=file]') && !known(event.target.files)) {
      event.target.files = asImages(event.target.files).files;
    }
  }, true);
  document.addEventListener('paste', (event) => {  // anywhere but into words
    const files = [...event.clipboardData.files].slice(0, 1);
    const box = document.querySelector('#query-image');
    if (!files.length || !box?.offsetParent || event.target.closest('input, textarea, [contenteditable]')) return;
    event.preventDefault();
    dropOn(box.querySelector('.image-frame') || box.querySelector('button'), files);
  });
  for (const kind of ['error', 'load']) {  // a format that is searched with but not shown by this browser
    document.addEventListener(kind, (event) => {
      if (event.target.matches?.('#query-image img')) event.target.classList.toggle('no-preview', kind === 'error');
    }, true);
  }

  // What is dropped beside a box would leave the page for the picture.
  for (const kind of ['dragover', 'drop']) document.addEventListener(kind, (event) => event.preventDefault());
}
