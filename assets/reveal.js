// An outcome comes into view, once for every press: who scrolls away afterwards is left alone. Runs inside gr.HTML.

export default ({ element, props, watch }) => {
  let revealed = window.unifex?.pressed || 0;  // what is there when a tab is opened came of an earlier press
  watch('value', () => {
    const { pressed = 0, scrolled } = window.unifex || {};
    if (!props.value || revealed === pressed || scrolled === pressed || !element.offsetParent) return;
    revealed = pressed;
    const { top, bottom } = element.getBoundingClientRect();
    if (top >= 0 && Math.min(bottom, top + 200) <= window.innerHeight) return;
    element.scrollIntoView({ block: bottom - top > window.innerHeight / 2 ? 'start' : 'nearest' });
  });
};
