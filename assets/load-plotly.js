// Loads Plotly once for the whole page, however often that takes.
import { afterAWhile, sayLost } from './answering.js';

const load = () => new Promise((done) => {
  const script = document.createElement('script');
  script.src = 'plotly.js';
  script.onload = () => done(true);
  script.onerror = () => done(false);
  document.head.append(script);
});
const loadAtLast = async () => {
  if (await load()) return;
  sayLost();
  do await afterAWhile();
  while (!await load());
};
let loading = null;
export const plotly = () => loading ||= loadAtLast();
