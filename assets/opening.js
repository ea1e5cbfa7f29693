// Whether an address is being opened, by assets/address.js. What is given to the query meanwhile waits for it: the
// answer, which says what the whole page is to be, would wipe it away.

let release = null, opened = Promise.resolve();

export const isOpening = () => Boolean(release);
export const whenOpened = () => opened;
export const opens = () => {
  if (!release) opened = new Promise((done) => { release = done; });
};
export const settled = () => {
  release?.();
  release = null;
};

if (location.hash.length > 1) opens();
