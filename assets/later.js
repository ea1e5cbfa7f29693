// Modules that only some need. They come once the page is quiet, or when somebody needs them before; where the connection
// is gone that is said, and they are asked for again the next time.

import { sayLost } from './answering.js';

const QUIET_MS = 3000;

const whenQuiet = (then) => setTimeout(() => (window.requestIdleCallback ?? setTimeout)(then), QUIET_MS);

// -> a function that answers a promise of the module, or of what `make` makes of it, which it does once
export default (name, make = (module) => module) => {
  const load = () => import(`./${name}.js`);
  let made = null;
  const get = () => made ||= load().then(make).catch((error) => {
    made = null;
    sayLost();
    throw error;
  });
  if (!navigator.connection?.saveData) whenQuiet(() => load().catch(() => {}));  // who needs it hears of what is wrong
  return get;
};
