// What the large view is made of, before an item is in it.

const MARKUP = `<div id="detail-card">
  <header class="view-bar">
    <button type="button" class="act" data-do="back" data-part="back" hidden></button>
    <h2 id="detail-title" data-part="title"></h2>
    <span class="position" data-part="position" role="status"></span>
    <button type="button" class="act" data-do="compare" data-part="compare" aria-pressed="false" title="Side by side (C)" hidden>Compare</button>
    <span class="zooming" role="group" aria-label="Zoom">
      <button type="button" class="act" data-do="smaller" aria-label="Smaller" title="Smaller (-)">−</button>
      <button type="button" class="act" data-do="fit" data-part="percent" title="Fit, or the image's own pixels (0, double click)">Fit</button>
      <button type="button" class="act" data-do="larger" aria-label="Larger" title="Larger (+)">+</button></span>
    <button type="button" class="act" id="close-detail" data-do="close" data-part="close" title="Close (Escape)">Close</button>
  </header>
  <div class="stage">
    <figure class="beside" data-part="beside" hidden></figure>
    <div class="shown"><div class="pane" data-part="pane"><img alt="" draggable="false" data-part="image"></div>
      <button type="button" class="turn before" data-do="before" data-part="before" aria-label="Previous" title="Previous (←)">‹</button>
      <button type="button" class="turn after" data-do="after" data-part="after" aria-label="Next" title="Next (→)">›</button></div>
  </div>
  <div class="side">
    <div class="said" data-part="said" role="status"></div>
    <p class="match" data-part="match"></p>
    <div class="acts" data-part="acts">
      <button type="button" class="act first" id="search-with-this" data-do="search">Search with this one</button>
      <button type="button" class="act" data-do="region" data-part="region" title="Search with a part of it (R)">Select a region</button>
      <button type="button" class="act mark" data-do="more" hidden>More like this</button>
      <button type="button" class="act mark" data-do="less" hidden>Less like this</button>
      <button type="button" class="act" data-do="map">Show on the map</button>
    </div>
    <div class="acts drawn" data-part="regions">
      <button type="button" class="act first" data-do="searchRegions" data-part="with">Search with this region</button>
      <button type="button" class="act" data-do="another" data-part="another">Add a region</button>
      <button type="button" class="act" data-do="leaveRegions" title="Back to looking (Escape)">Cancel</button>
    </div>
    <div class="told" data-part="facts"></div>
  </div>
  <section class="alike" data-part="alike" aria-labelledby="alike-title"><h3 id="alike-title" data-part="alike-title"></h3>
    <div class="strip-of" data-part="strip"></div></section>
</div>`;

export const makeDialog = () => {
  const dialog = document.createElement('dialog');
  Object.assign(dialog, { id: 'detail', tabIndex: -1, innerHTML: MARKUP });
  dialog.setAttribute('role', 'dialog');
  dialog.setAttribute('aria-modal', 'true');
  dialog.setAttribute('aria-labelledby', 'detail-title');
  (document.querySelector('.gradio-container .contain') ?? document.body).append(dialog);
  const parts = Object.fromEntries([...dialog.querySelectorAll('[data-part]')].map((part) => [part.dataset.part, part]));
  return { dialog, place: (name) => parts[name] };
};
