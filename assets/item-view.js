// Opens the large view (large-view.js). Runs inside the gr.HTML whose value is what the server tells of the open item
// (`props`, `watch`).

import later from './later.js';

export default (part) => {
  const view = later('large-view', (module) => module.default(part));
  unifex.openFrom = async (card, item) => (await view()).open(card, item);
};
