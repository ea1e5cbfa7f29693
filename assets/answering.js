// Asked before something is told to Python: does the server answer? Gradio takes a call that fails for the end of the page,
// says so beneath whatever dialog is open, and loads the page anew when the server is back: what was typed is lost then.

import { say } from './say.js';
import toast from './toast.js';

const WAIT_MS = 5000;

// -> whether it does; where it does not, `lost` says so near what was pressed
export const answers = async (lost = () => toast(say('The server does not answer; try it again.'), 'alert')) => {
  const asked = navigator.onLine && fetch(import.meta.url, { cache: 'no-store', signal: AbortSignal.timeout(WAIT_MS) });
  const there = Boolean(await Promise.resolve(asked).catch(() => null));
  if (!there) lost();
  return there;
};
