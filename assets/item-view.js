// Opens the large view (large-view.js). Runs inside the gr.HTML whose value is what the server tells of the open item
// (`props`, `watch`).

import { listFrom } from './item-list.js';
import later from './later.js';

export default (part) => {
  const view = later('large-view', (module) => module.default(part));
  unifex.openFrom = async (card, item) => {
    const found = listFrom(card, item);  // now: as one scrolls on, the card is used again for another
    (await view()).open(card, found);
  };
};
