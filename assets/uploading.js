// Files on their way to the server: how far each is is told as it goes, and it can be stopped at any time. While one is on
// its way the browser asks before the page is left.

import { say } from './say.js';

let running = 0;
const ask = (event) => event.preventDefault();
const count = (by) => {
  running += by;
  if (running) addEventListener('beforeunload', ask);
  else removeEventListener('beforeunload', ask);  // where there is one, browsers keep no page for Back
};

export const isUploading = () => running > 0;

export const whileUploading = async (work) => {
  count(1);
  try {
    return await work();
  } finally {
    count(-1);
  }
};

export const size = (bytes) => {  // 512 B, 3.4 MB, 120 GB (powers of 1000), as Python says it
  const step = Math.min(3, Math.max(0, Math.floor(Math.log10(Math.max(1, bytes) * 1.0005) / 3))), amount = bytes / 1000 ** step;
  return `${amount.toFixed(step && amount < 10 ? 1 : 0)} ${['B', 'kB', 'MB', 'GB'][step]}`;
};
export const duration = (seconds) => {  // no more of it than a forecast knows
  const minutes = Math.round(seconds / 60);
  if (seconds < 60) return `${Math.max(1, Math.round(seconds))} s`;
  return minutes < 60 ? `${minutes} min` : `${Math.floor(minutes / 60)} h ${minutes % 60} min`;
};

const parsed = (text) => {
  try { return JSON.parse(text); } catch { return null; }
};
// Why nothing was taken: a problem of ours says so; what stands before the server has a text, or a page, of its own.
const why = (status, text) => {
  const problem = parsed(text);
  if (problem?.detail) return problem.detail;
  if (status === 413) return say('the server, or a proxy before it, takes no file as large as that');
  return problem || !text || text.trim().startsWith('<') ? `HTTP ${status}` : text.slice(0, 200);
};

const UPLOAD = 'gradio_api/upload';

// Gradio sends the query's picture itself, and shows whatever is answered as it came.
export const refuseInWords = () => {
  const { fetch } = globalThis;
  globalThis.fetch = async (...asked) => {
    const answer = await fetch(...asked);
    if (answer.ok || !`${asked[0]?.url ?? asked[0]}`.split('?')[0].endsWith(UPLOAD)) return answer;
    const { status, headers } = answer;
    return new Response(why(status, await answer.text()), { status, headers });
  };
};

// -> where it lies on the server. `sent(bytes)` is told as it goes; `stop` is the signal of an AbortController.
export const sendFile = (file, stop, sent) => new Promise((done, fail) => {
  const most = globalThis.gradio_config?.max_file_size;
  if (most && file.size > most) throw new Error(say('larger than {most}', { most: size(most) }));
  const request = new XMLHttpRequest(), form = new FormData();  // fetch tells nobody how far it is
  const abort = () => request.abort(), lost = () => fail(new Error(say('the server does not answer')));
  form.append('files', file);
  request.upload.onprogress = ({ loaded }) => sent(Math.min(loaded, file.size));  // with what a form adds
  request.onload = () => {
    const { status, responseText } = request, paths = parsed(responseText);
    if (Array.isArray(paths)) done(paths[0]);
    else fail(new Error(why(status, responseText)));
  };
  request.onerror = request.onabort = lost;
  request.onloadend = () => stop.removeEventListener('abort', abort);
  stop.addEventListener('abort', abort);
  request.open('POST', new URL(UPLOAD, document.baseURI));
  request.send(form);
});
