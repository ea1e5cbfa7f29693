// What is drawn anew keeps the keyboard: the same item's card, its opener of near-copies or its heading's button has it
// again, wherever it stands now. And what stays keeps a press that has begun, and what is being typed.

const FORMS = {  // by what the element that had it knows of itself
  item: (value) => `.card[data-item="${value}"]`,
  of: (value) => `.copies[data-of="${value}"]`,
  name: (value) => `.only[data-name="${value}"]`,
  index: (value) => `.card[data-index="${value}"]`,  // where the item is gone
};

// `nodes` in `parent`, and nothing else: those that are there stay where they are, since one that is taken out, if only for
// a moment, loses the press and the focus.
export const renew = (parent, nodes) => {
  const wanted = new Set(nodes);
  for (const node of [...parent.children]) if (!wanted.has(node)) node.remove();
  let next = parent.firstElementChild;
  for (const node of nodes) {
    if (node === next) next = next.nextElementSibling;
    else parent.insertBefore(node, next);
  }
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
