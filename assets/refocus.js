// What is drawn anew keeps the keyboard: the same item's card, its opener of near-copies or its heading's button has it
// again, wherever it stands now.

const FORMS = {  // by what the element that had it knows of itself
  item: (value) => `.card[data-item="${value}"]`,
  of: (value) => `.copies[data-of="${value}"]`,
  name: (value) => `.only[data-name="${value}"]`,
  index: (value) => `.card[data-index="${value}"]`,  // where the item is gone
};

// Called before `element` is drawn; what it gives back is called afterwards.
export default (element) => {
  const known = element.contains(document.activeElement) ? { ...document.activeElement.dataset } : {};
  const kept = Object.keys(FORMS).filter((name) => known[name]).map((name) => FORMS[name](CSS.escape(known[name])));
  return () => {
    const again = kept.map((selector) => element.querySelector(selector)).find(Boolean);
    again?.focus({ preventScroll: true });  // what is looked at may be far from it
  };
};
