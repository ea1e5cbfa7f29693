// Parts of the page are drawn as their own code arrives, in any order: a script that needs another part waits for it.

export const present = (selector) => new Promise((done) => {
  const look = () => {
    const found = document.querySelector(selector);
    if (!found) return;
    observer.disconnect();
    done(found);
  };
  const observer = new MutationObserver(look);
  observer.observe(document.documentElement, { childList: true, subtree: true });
  look();
});
