// Asked before something is told to Python: does the server answer? Gradio takes a call that fails for the end of the page,
// says so beneath whatever dialog is open, and loads the page anew when the server is back: what was typed is lost then.

import { say } from './say.js';
import toast from './toast.js';

const WAIT_MS = 5000, AGAIN_MS = 4000;

export const sayLost = () => toast(say('The server does not answer; try it again.'), 'alert');

// As far as is known without asking: who presses what is quick need not wait for `answers`.
export const isConnected = () => navigator.onLine && !document.querySelector('#top[data-unanswered]');

// -> whether it does; where it does not, `lost` says so near what was pressed
export const answers = async (lost = sayLost) => {
  const asked = fetch(import.meta.url, { cache: 'no-store', signal: AbortSignal.timeout(WAIT_MS) });  // this computer's own answers without any network
  const there = Boolean((await asked.catch(() => null))?.ok);  // what stands before it may answer in its place
  if (!there) lost();
  return there;
};

// What a function of the server's answers, which as Gradio has it comes to nothing where there is no answer: that is an
// error here, and so is one that is not there after `most` milliseconds.
export const answerOf = async (call, most = Infinity) => {
  const late = new Promise((done) => { if (most < Infinity) setTimeout(done, most); });
  const answer = await Promise.race([call, late]);
  if (answer === undefined) throw new Error('the server does not answer');
  return answer;
};

// When what was asked in vain may be asked again by itself.
export const afterAWhile = () => new Promise((done) => {
  setTimeout(done, AGAIN_MS);
  addEventListener('online', done, { once: true });
});
