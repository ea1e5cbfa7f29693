// What the large view is made of, before an item is in it.

import { say } from './say.js';

const TEXTS = {  // beside the markup, whose quotes would hide them from what makes the catalogs
  sideBySide: say('Side by side (C)'),
  compare: say('Compare'),
  zoom: say('Zoom'),
  smallerKey: say('Smaller (-)'),
  smaller: say('Smaller'),
  fitKey: say("Fit, or the image's own pixels (0, double click)"),
  fit: say('Fit'),
  largerKey: say('Larger (+)'),
  larger: say('Larger'),
  closeKey: say('Close (Escape)'),
  close: say('Close'),
  beforeKey: say('Previous (←)'),
  before: say('Previous'),
  afterKey: say('Next (→)'),
  after: say('Next'),
  search: say('Search with this one'),
  regionKey: say('Search with a part of it (R)'),
  region: say('Select a region'),
  more: say('More like this'),
  less: say('Less like this'),
  map: say('Show on the map'),
  searchRegion: say('Search with this region'),
  add: say('Add a region'),
  leaveKey: say('Back to looking (Escape)'),
  leave: say('Cancel'),
};
const MARKUP = `<div id="detail-card">
  <header class="view-bar">
    <button type="button" class="act" data-do="back" data-part="back" hidden></button>
    <h2 id="detail-title" data-part="title"></h2>
    <span class="position" data-part="position" role="status"></span>
    <button type="button" class="act" data-do="compare" data-part="compare" aria-pressed="false" title="${TEXTS.sideBySide}" hidden>${TEXTS.compare}</button>
    <span class="zooming" role="group" aria-label="${TEXTS.zoom}">
      <button type="button" class="act" data-do="smaller" aria-label="${TEXTS.smaller}" title="${TEXTS.smallerKey}">−</button>
      <button type="button" class="act" data-do="fit" data-part="percent" title="${TEXTS.fitKey}">${TEXTS.fit}</button>
      <button type="button" class="act" data-do="larger" aria-label="${TEXTS.larger}" title="${TEXTS.largerKey}">+</button></span>
    <button type="button" class="act" id="close-detail" data-do="close" data-part="close" title="${TEXTS.closeKey}">${TEXTS.close}</button>
  </header>
  <div class="stage">
    <figure class="beside" data-part="beside" hidden></figure>
    <div class="shown"><div class="pane" data-part="pane"><img alt="" draggable="false" data-part="image"></div>
      <button type="button" class="turn before" data-do="before" data-part="before" aria-label="${TEXTS.before}" title="${TEXTS.beforeKey}">‹</button>
      <button type="button" class="turn after" data-do="after" data-part="after" aria-label="${TEXTS.after}" title="${TEXTS.afterKey}">›</button></div>
  </div>
  <div class="side">
    <div class="said" data-part="said" role="status"></div>
    <p class="match" data-part="match"></p>
    <div class="acts" data-part="acts">
      <button type="button" class="act first" id="search-with-this" data-do="search">${TEXTS.search}</button>
      <button type="button" class="act" data-do="region" data-part="region" title="${TEXTS.regionKey}">${TEXTS.region}</button>
      <button type="button" class="act mark" data-do="more" hidden>${TEXTS.more}</button>
      <button type="button" class="act mark" data-do="less" hidden>${TEXTS.less}</button>
      <button type="button" class="act" data-do="map">${TEXTS.map}</button>
    </div>
    <div class="acts drawn" data-part="regions">
      <button type="button" class="act first" data-do="searchRegions" data-part="with">${TEXTS.searchRegion}</button>
      <button type="button" class="act" data-do="another" data-part="another">${TEXTS.add}</button>
      <button type="button" class="act" data-do="leaveRegions" title="${TEXTS.leaveKey}">${TEXTS.leave}</button>
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
