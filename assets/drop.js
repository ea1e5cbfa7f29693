// The drop zone: walks dropped folders, so that every file keeps its path; uploads six at a time; then tells Python
// what lies where. One upload at a time, and whatever comes of it is said. Runs inside gr.HTML, which provides
// `element` and `trigger`.

import { plural, say, thousands } from './say.js';
import { duration, sendFile, size, whileUploading } from './uploading.js';

export default ({ element, trigger }) => {
  const PARALLEL = 6;
  const GIVE_UP = 12;  // so many failures with no success, and the server is gone or takes none of it
  const NAMED = 3;
  const TELL_MS = 1000, FORECAST_MS = 3000;  // a screen reader hears of it, too; before, nobody knows how long it takes
  const find = (selector) => element.querySelector(selector);
  const files = (count) => plural(count, 'file', 'files');
  let busy = false, stopping = new AbortController(), aside = '';
  const stopped = () => stopping.signal.aborted;
  const tellPython = (on) => { if (element.closest('#drop')) unifex.uploading?.(on); };  // Start waits for these
  const state = (text, share) => {
    find('.state').textContent = text + aside;
    const bar = find('progress');
    bar.hidden = share === undefined;
    bar.value = share || 0;
    find('.stop').hidden = !busy;
  };

  const promised = (call) => new Promise((done, fail) => call(done, fail));
  const walk = async (entry, path, found, lost) => {
    if (stopped()) return;
    try {
      if (entry.isFile) {
        found.push({ file: await promised((done, fail) => entry.file(done, fail)), name: path + entry.name });
        if (found.length % 100 === 0) state(say('Reading: {files} so far', { files: files(found.length) }));
        return;
      }
      const reader = entry.createReader();
      for (;;) {  // a browser hands out a hundred at a time
        const entries = await promised((done, fail) => reader.readEntries(done, fail));
        if (!entries.length) return;
        for (const child of entries) await walk(child, path + entry.name + '/', found, lost);
      }
    } catch (error) {
      lost.push({ name: path + entry.name, why: say('your browser cannot read it') });
    }
  };

  const failures = (lost) => {
    if (!lost.length) return '';
    const names = lost.slice(0, NAMED).map((one) => one.name).join(', ') + (lost.length > NAMED ? ', …' : '');
    const told = { files: files(lost.length), why: lost[0].why, names };
    return ' ' + say('{files} could not be uploaded ({why}): {names}.', told);
  };
  const teller = (found) => {  // says how far it is, of bytes, since one file can be all of it
    const total = found.reduce((sum, { file }) => sum + file.size, 0), begun = performance.now();
    let last = 0;
    return (done, gone) => {
      const now = performance.now(), passed = now - begun;
      if (stopped() || (last && now - last < TELL_MS)) return;
      last = now;
      const told = { done: thousands(done), files: files(found.length), sent: size(gone), total: size(total) };
      const far = gone && passed > FORECAST_MS, left = far && duration((total - gone) * passed / gone / 1000);
      const text = left ? say('Uploading {done} of {files}, {sent} of {total}; about {left} to go.', { ...told, left })
        : say('Uploading {done} of {files}, {sent} of {total}.', told);
      state(text, total ? gone / total : done / found.length);
    };
  };
  const send = async (found, lost) => {
    const sent = [], tell = teller(found);
    let next = 0, done = 0, gone = 0;
    const hopeless = () => !done && lost.length >= GIVE_UP;
    const one = async (place) => {
      const { file, name } = found[place];
      let before = 0;
      const upTo = (bytes) => {
        gone += bytes - before;
        before = bytes;
        tell(done, gone);
      };
      try {
        sent[place] = [await sendFile(file, stopping.signal, upTo), name];
        done += 1;
      } catch (error) {
        lost.push({ name, why: error.message });
      }
      upTo(file.size);
    };
    const worker = async () => {
      while (next < found.length && !stopped() && !hopeless()) await one(next++);
    };
    tell(0, 0);
    await Promise.all(Array.from({ length: PARALLEL }, worker));
    return sent.filter(Boolean);
  };

  const outcome = async (gather) => {
    const found = [], lost = [];
    await gather(found, lost);
    if (!found.length && !lost.length && !stopped()) return [say('Nothing to upload there: drop images, a folder or an archive, no link or text.')];
    const sent = stopped() ? [] : await send(found, lost);
    if (stopped()) aside = '';
    if (stopped()) return [say('Stopped; nothing was taken.')];
    if (!sent.length) return [say('Nothing was uploaded.') + failures(lost)];
    return [say('{files} uploaded.', { files: files(sent.length) }) + failures(lost), sent];
  };
  const take = async (gather) => {
    if (busy) {
      aside = ' ' + say('What you added meanwhile was not taken; add it when this one is done.');
      return;
    }
    busy = true;
    tellPython(true);
    stopping = new AbortController();
    aside = '';
    state(say('Reading what was dropped'));
    let text = say('Nothing was uploaded; do it again.'), sent = null;
    try {
      [text, sent] = await whileUploading(() => outcome(gather));
    } finally {
      busy = false;
      tellPython(false);
      state(text);
    }
    if (sent) trigger('upload', { files: sent });
  };

  const ofInput = (input) => {
    const files = [...input.files];
    input.value = '';  // so that the same choice counts again
    if (files.length) take((found) => { for (const file of files) found.push({ file, name: file.webkitRelativePath || file.name }); });
  };
  const ofDrop = (transfer) => {  // what lies in it is gone when this returns
    const entries = [...transfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry()).filter(Boolean);
    const files = [...transfer.files];
    take(async (found, lost) => {
      for (const entry of entries) await walk(entry, '', found, lost);
      if (!entries.length) for (const file of files) found.push({ file, name: file.name });
    });
  };
  element.addEventListener('dragover', (event) => { event.preventDefault(); find('.drop').classList.add('over'); });
  element.addEventListener('dragleave', () => find('.drop').classList.remove('over'));
  element.addEventListener('drop', (event) => {
    event.preventDefault();
    find('.drop').classList.remove('over');
    ofDrop(event.dataTransfer);
  });
  element.addEventListener('change', (event) => { if (event.target.matches('input[type=file]')) ofInput(event.target); });
  element.addEventListener('click', (event) => {
    if (event.target.matches('input[type=file]')) return;
    const pick = event.target.closest('[data-pick]');
    if (pick) find('input.' + pick.dataset.pick).click();
    if (event.target.closest('.stop')) stopping.abort();
  });
  find('.drop').removeAttribute('aria-busy');  // whatever comes is heard
};
