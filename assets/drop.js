// The drop zone: walks dropped folders, so that every file keeps its path; uploads six at a time; then tells Python
// what lies where. Runs inside gr.HTML, which provides `element`, `upload` and `trigger`.
const PARALLEL = 6;
const find = (selector) => element.querySelector(selector);
const say = (text, share) => {
  find('.state').textContent = text;
  const bar = find('progress');
  bar.hidden = share === undefined;
  bar.value = share || 0;
};
const walk = async (entry, path, found) => {
  if (entry.isFile) {
    found.push({ file: await new Promise((done, fail) => entry.file(done, fail)), name: path + entry.name });
    return;
  }
  const reader = entry.createReader();
  for (;;) {
    const entries = await new Promise((done, fail) => reader.readEntries(done, fail));
    if (!entries.length) return;
    for (const child of entries) await walk(child, path + entry.name + '/', found);
  }
};
let busy = false;
const send = async (found) => {
  if (busy || !found.length) return;
  busy = true;
  const sent = [];
  let next = 0, failed = 0;
  const worker = async () => {
    while (next < found.length) {
      const one = found[next++];
      try { sent.push([(await upload(one.file)).path, one.name]); } catch (error) { failed += 1; }
      say(`Uploading ${sent.length} of ${found.length}`, sent.length / found.length);
    }
  };
  await Promise.all(Array.from({ length: PARALLEL }, worker));
  busy = false;
  say(`${sent.length} files uploaded` + (failed ? `, ${failed} failed (too large, or the connection broke)` : ''));
  trigger('upload', { files: sent });
};
const fromInput = (input) =>
  send([...input.files].map((file) => ({ file, name: file.webkitRelativePath || file.name }))).finally(() => {
    input.value = '';
  });
element.addEventListener('dragover', (event) => { event.preventDefault(); find('.drop').classList.add('over'); });
element.addEventListener('dragleave', () => find('.drop').classList.remove('over'));
element.addEventListener('drop', async (event) => {
  event.preventDefault();
  find('.drop').classList.remove('over');
  const entries = [...event.dataTransfer.items].map((item) => item.webkitGetAsEntry && item.webkitGetAsEntry()).filter(Boolean);
  const found = [];
  say('Reading the folder');
  if (entries.length) for (const entry of entries) await walk(entry, '', found);
  else for (const file of event.dataTransfer.files) found.push({ file, name: file.name });
  send(found);
});
element.addEventListener('change', (event) => { if (event.target.matches('input[type=file]')) fromInput(event.target); });
element.addEventListener('click', (event) => {
  if (event.target.matches('input[type=file]')) return;
  const pick = event.target.closest('[data-pick]');
  if (pick) find('input.' + pick.dataset.pick).click();
});
element.addEventListener('keydown', (event) => {
  if (!event.target.matches('.drop') || !['Enter', ' '].includes(event.key)) return;
  event.preventDefault();
  find('input.folder').click();
});
