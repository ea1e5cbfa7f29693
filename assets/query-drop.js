// What is dropped or pasted becomes the query: files, hits of any grid, pictures of other pages by their address. What
// was given last counts, whatever comes in between.

import { isOpening, whenOpened } from './opening.js';
import { say } from './say.js';
import toast from './toast.js';

const ITEM = 'application/x-unifex-item';
const FETCHED_BYTES = 64e6;
const KEPT_FROM_US = say('That page does not let others read its picture. Copy the picture itself (right-click, Copy image) and paste it here, or save it and drop the file.');
const NO_PICTURE = say('That address is no picture. Copy the picture itself (right-click, Copy image) and paste it here, or save it and drop the file.');

// Gradio takes only what the browser calls an image, and is silent about all else; not every browser knows HEIC. Here
// every file is called one, and the server says what it is.
const asImages = (files) => {
  const transfer = new DataTransfer();
  for (const file of files) transfer.items.add(new File([file], file.name || 'pasted', { type: 'image/unknown' }));
  return transfer;
};
const known = (files) => [...files].every((file) => file.type.startsWith('image/'));

const pictureIn = (html) => {  // a document that loads and runs nothing
  const found = html && new DOMParser().parseFromString(html, 'text/html').querySelector('img[src]');
  return found ? found.getAttribute('src') : '';
};
const web = (text) => (/^(https?:\/\/\S+|data:image\/\S+)$/.test(text.trim()) ? text.trim() : '');
const addressIn = (transfer) => {  // of a picture: what stands in the page comes before where it leads to
  const lines = transfer.getData('text/uri-list').split(/\r?\n/).filter((line) => line && !line.startsWith('#'));
  return [pictureIn(transfer.getData('text/html')), ...lines, transfer.getData('text/plain')].map(web).find(Boolean) || '';
};
const fetched = async (address) => {
  const answer = await fetch(address, { referrerPolicy: 'no-referrer' }).catch(() => null);
  if (!answer) throw new Error(KEPT_FROM_US);
  const blob = answer.ok ? await answer.blob() : null;
  if (!blob?.type.startsWith('image/') || blob.size > FETCHED_BYTES) throw new Error(NO_PICTURE);
  const name = address.startsWith('data:') ? '' : new URL(address).pathname.split('/').pop();
  return new File([blob], name || 'picture', { type: blob.type });
};

export const takeIn = ({ column, upload, remark }) => {
  const place = () => upload.querySelector('.image-frame') || upload.querySelector('button[aria-dropeffect], button');
  let given = 0;
  const once = async (then) => {  // no address is being opened, unless something else was given meanwhile
    const wanted = ++given;
    remark(isOpening() ? say('Once the link is open…') : '');
    await whenOpened();
    await new Promise(requestAnimationFrame);  // what it brings is on the page
    if (wanted !== given) return;
    remark('');
    then();
  };
  const give = (files) => once(() =>
    place().dispatchEvent(new DragEvent('drop', { dataTransfer: asImages(files), bubbles: true, cancelable: true })));
  const giveAddress = async (address) => {
    const wanted = ++given;
    remark(say('Getting the picture…'));
    try {
      const file = await fetched(address);
      if (wanted === given) give([file]);
    } catch (error) {
      if (wanted === given) remark(error.message);
    }
  };
  const searchWith = ([gallery, item]) => once(() => unifex.searchWith(gallery, [item]));
  const tellOfOthers = ({ length }) => {
    if (length > 1) toast(say('Only the first of {count} files is searched with. Put further pictures of the same thing into More images of the same thing.', { count: length }), 'status');
  };
  const take = (transfer) => {  // true where there was something to search with
    const item = transfer.getData(ITEM), files = [...transfer.files], address = item || files.length ? '' : addressIn(transfer);
    if (item) searchWith(JSON.parse(item));
    else if (files.length) give(files.slice(0, 1));
    else if (address) giveAddress(address);
    else return false;
    if (!item) tellOfOthers(files);
    return true;
  };

  // --- dragged ---------------------------------------------------------------------------------------------------------
  const target = Object.assign(document.createElement('div'), { id: 'drop-to-search', textContent: say('Drop it here to search with it') });
  const over = (event) => event.target.closest?.('#search-query, #drop-to-search');
  const rest = () => {
    target.remove();
    column.classList.remove('over');
  };
  document.addEventListener('pointerdown', (event) => {  // buttons are not dragged by themselves
    const card = event.target.closest('.card[data-item]');
    if (card) card.draggable = !(event.shiftKey || event.ctrlKey || event.metaKey);  // with these a box of them is drawn
  }, true);
  document.addEventListener('dragstart', (event) => {
    const card = event.target.closest?.('.card[data-item]'), gallery = card?.closest('[data-gallery]')?.dataset.gallery;
    if (!gallery) return;
    const picture = card.querySelector('img');
    event.dataTransfer.clearData();
    event.dataTransfer.setData(ITEM, JSON.stringify([gallery, Number(card.dataset.item)]));
    event.dataTransfer.effectAllowed = 'copy';
    if (picture) event.dataTransfer.setDragImage(picture, 20, 20);
    const { top, bottom } = column.getBoundingClientRect();
    if (!column.offsetParent || bottom < 120 || top > window.innerHeight - 120) document.body.append(target);
  });
  document.addEventListener('dragend', rest);
  document.addEventListener('dragover', (event) => {
    column.classList.toggle('over', Boolean(over(event)));
    if (over(event)) event.dataTransfer.dropEffect = 'copy';
  });
  document.addEventListener('drop', (event) => {
    rest();
    if (!over(event)) return;
    const { files } = event.dataTransfer;
    if (event.target.closest('#query-image') && files.length && known(files) && !isOpening()) {  // Gradio takes it
      given += 1;
      tellOfOthers(files);
      return;
    }
    if (!files.length && event.target.closest('input, textarea')) return;  // words
    event.preventDefault();
    event.stopImmediatePropagation();  // a link or words leave the picture that is there
    if (!take(event.dataTransfer)) remark(say('That is no picture: drop an image file, a picture of a page, or a hit.'));
  }, true);
  upload.addEventListener('change', (event) => {
    const input = event.target;
    if (!input.matches('input[type=file]') || !input.files.length) return;
    if (isOpening()) {
      give([...input.files]);
      input.value = '';
      event.stopImmediatePropagation();
      return;
    }
    given += 1;
    if (!known(input.files)) input.files = asImages(input.files).files;
  }, true);

  // --- pasted ----------------------------------------------------------------------------------------------------------
  document.addEventListener('paste', (event) => {  // anywhere but into words
    if (!column.offsetParent || document.querySelector('dialog[open]')) return;  // behind a dialog nothing is changed
    if (event.target.closest('input, textarea, [contenteditable]')) return;
    if (take(event.clipboardData)) event.preventDefault();
  });
};
