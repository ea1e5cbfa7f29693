// An outcome comes into view, once for every press: who scrolls away afterwards is left alone, and so is who pressed
// something else since a job was asked for. What came of pictures that one is still at is told there. Runs inside gr.HTML.

import toast from './toast.js';

export default ({ element, props, watch }) => {
  const WITH_A_HIT = 400;
  let revealed = window.unifex?.pressed || 0;  // what is there when a tab is opened came of an earlier press
  const whenDrawn = (then) => requestAnimationFrame(() => requestAnimationFrame(then));
  const reveal = () => {
    const { pressed = 0, scrolled, asked } = window.unifex || {};
    if (!props.value || revealed === pressed || !element.offsetParent) return;
    const { top, bottom } = element.getBoundingClientRect();
    if (scrolled === pressed || (element.closest('.of-job') && asked !== pressed)) {
      if (element.closest('#chosen-notice, #chosen-outcome') && top < 0) toast(element.innerText.trim().replace(/\n+/g, '\n'));
      return;
    }
    revealed = pressed;
    const above = Boolean(element.closest('#search-status'));  // what was found stands below it, and the first of it is to be seen
    const end = above ? top + WITH_A_HIT : Math.min(bottom, top + 200);
    if (top >= 0 && end <= window.innerHeight) return;
    element.scrollIntoView({ block: above || bottom - top > window.innerHeight / 2 ? 'start' : 'nearest' });
  };
  watch('value', () => whenDrawn(reveal));  // what comes with it takes its room, too
};
