// A login that is gone, as after a restart of the server: nothing that is pressed is done any more, and the page says so,
// once for each press. The browser tells of every answer, whoever asked: these scripts, Gradio, a picture.

import { say } from './say.js';

const WAIT_MS = 5000;
let told = -1;  // the press that it was said for
const tell = async () => {
  if (told === unifex.pressed) return;
  told = unifex.pressed;
  const { ask } = await import('./asking.js');
  const answer = await ask({
    title: say('You are no longer logged in'),
    text: say('The server was started anew, or your login has run out. Nothing that you press is done until you log in again.'),
    answers: { login: say('Log in again') },
  });
  told = unifex.pressed;
  if (answer) location.reload();
};

export const watchLogin = () => {
  const refused = ({ name, responseStatus }) => responseStatus === 401 && name.startsWith(new URL('.', document.baseURI));
  new PerformanceObserver((list) => { if (list.getEntries().some(refused)) tell(); }).observe({ type: 'resource' });
};

export const isLoggedOut = async () => {  // says so, too, in browsers that tell no status
  const answer = await fetch('gradio_api/login_check', { signal: AbortSignal.timeout(WAIT_MS) }).catch(() => null);
  if (answer?.status === 401) tell();
  return answer?.status === 401;
};
