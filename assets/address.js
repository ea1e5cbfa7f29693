// The page's address: what is on screen, after #. Python writes what of a search stands in it (`props.value`: { text,
// files, missing, said, put_off, opened: the address that was asked for, if any }) and reads it (`unifex.visit`); the tab, the
// browser's history and links are this script's.
// Runs inside a gr.HTML (`props`: also `minor`, names of what is no step back, and `most`, characters; `watch`).

import { isOpening, opens, settled } from './opening.js';
import { present } from './present.js';
import { say } from './say.js';

export default ({ props, watch }) => {
  const START = 'search', PATIENCE_MS = 10000;
  let told = props.value ? JSON.parse(props.value) : { text: '', files: [], missing: '' };
  let following = false;  // an address is being opened: what is told meanwhile is of before it
  let isNew = false;  // a notice came by itself
  let given = 0, again = 0, acted = false;  // somebody did something since the history was written last: what changes then is a step
  for (const kind of ['pointerdown', 'keydown', 'click', 'drop', 'paste', 'change']) {
    document.addEventListener(kind, () => { acted = true; }, true);
  }

  // --- tabs ------------------------------------------------------------------------------------------------------------
  const tabs = () => [...document.querySelectorAll('#tabs > .tab-wrapper [role=tab]')];
  const name = (tab) => tab.dataset.tabId;
  const tabNow = () => name(tabs().find((tab) => tab.ariaSelected === 'true') ?? { dataset: { tabId: START } });
  const open = (wanted) => {  // whether there was anything to open
    const tab = tabs().find((one) => name(one) === wanted && one.ariaSelected !== 'true');
    tab?.click();
    return Boolean(tab);
  };

  // --- address -> page -------------------------------------------------------------------------------------------------
  const here = () => location.hash.slice(1);
  const TAB = /^tab=([a-z]+)&?/;
  const at = (tab, text) => [tab === START ? '' : `tab=${tab}`, text].filter(Boolean).join('&');
  const put = (address, state = history.state, how = 'replaceState') =>
    history[how](state, '', `${location.pathname}${location.search}#${address}`);
  const searchOf = (address) => address.replace(TAB, ''), tabOf = (address) => TAB.exec(address)?.[1] ?? START;
  const galleryOf = (text) => new URLSearchParams(text).get('gallery');
  const part = (text) => text.slice(0, props.most + 1);  // of one that is too long, enough to tell
  const there = async (files) => {  // an upload is kept for a day
    const found = await Promise.all(files.map((path) => fetch(`gradio_api/file=${path}`, { method: 'HEAD' }).catch(() => null)));
    return found.every((answer) => answer?.ok) ? files : [];
  };
  const follow = async () => {
    const address = here(), files = history.state?.files ?? [];
    if (searchOf(address) === told.text && files.join() === told.files.join()) {
      arrive();
      return;
    }
    acted = false;
    wait(true);
    past(false);
    const asked = told = { text: searchOf(address), files, missing: '' };  // as far as anybody knows yet
    const left = await there(files);
    if (told === asked) unifex.visit(part(asked.text), left);
  };
  const arrive = () => {  // a tab opens with what the address says, and not before that is here: it shows that gallery
    wait(false);
    const opened = open(tabOf(here()));
    acted = false;  // whoever opened the address pressed nothing of the page's
    return opened;
  };
  const past = (on) => present('#address-notice').then((notice) => { notice.hidden = on; });  // what it says of is left behind
  present('#address-notice').then((notice) => new MutationObserver(() => {  // what it says of came by itself: that is no step
    acted = false;
    isNew = Boolean(notice.textContent.trim());  // until the address is told that comes with it, whatever is pressed meanwhile
    notice.hidden = false;
  }).observe(notice, { childList: true, subtree: true, characterData: true }));
  const hide = () => document.querySelector('#tabs')?.classList.toggle('following', following && tabNow() !== tabOf(here()));
  const wait = (on) => {
    following = on;
    (on ? opens : settled)();
    document.querySelector('#hits')?.classList.toggle('following', on);  // samples of before cannot be pressed
    hide();
    clearTimeout(given);
    if (on) given = setTimeout(arrive, PATIENCE_MS);
  };

  // --- page -> address -------------------------------------------------------------------------------------------------
  const arranged = (text, { order, grouped }) => {  // by order and groups, which a page changes by itself, as Python writes them
    const others = text.split('&').filter((said) => said && !/^(order|grouped|image)=/.test(said));
    const said = [order && `order=${encodeURIComponent(order).replace(/%20/g, '+')}`, grouped && 'grouped=True'];
    return [...others, ...said, ...text.match(/\bimage=1$/) ?? []].filter(Boolean).join('&');
  };
  document.addEventListener('unifex-arrange', ({ detail }) => {
    if (detail.of !== 'hits' || following) return;
    unifex.told = told = { ...told, text: arranged(told.text, detail) };
    write();
    window.dispatchEvent(new Event('unifex-address'));
  });
  const steps = (address) => {  // without what is no step
    const params = new URLSearchParams(address);
    for (const minor of props.minor) params.delete(minor);
    return params.toString();
  };
  const write = () => {
    const address = at(tabNow(), told.text);
    const same = address === here() && told.files.join() === (history.state?.files ?? []).join();
    if (same || (!here() && !acted)) return;  // who has just come sees a bare address
    const step = acted && !isNew && (steps(address) !== steps(here()) || told.files.join() !== (history.state?.files ?? []).join());
    put(address, { files: told.files }, step ? 'pushState' : 'replaceState');
    acted = false;
    hide();  // a tab that was pressed while an address is opened is what that says now
    if (step) past(true);
  };
  watch('value', () => {
    const news = JSON.parse(props.value), before = unifex.told;
    if (following && news.opened !== part(told.text)) return;  // of before, or of an address that was left at once
    if (!following && unifex.arrangement) news.text = arranged(news.text, unifex.arrangement());
    unifex.told = told = news;
    const opened = following && arrive();
    if (!opened && news.opened !== null && galleryOf(news.text) !== galleryOf(before?.text)) unifex[`again_${tabNow()}`]?.(again += 1);
    if (!opened) write();
    isNew = false;
    document.querySelector('#hits')?.classList.add('answered');  // until then tiles stand for what is to come
    window.dispatchEvent(new Event('unifex-address'));
  });
  present('#tabs > .tab-wrapper').then((bar) => new MutationObserver(write).observe(bar, { subtree: true, attributeFilter: ['aria-selected'] }));
  document.addEventListener('click', ({ target }) => {  // one that is open already changes nothing of itself
    if (following && target.closest('#tabs > .tab-wrapper [role=tab]')?.ariaSelected === 'true') write();
  });
  window.addEventListener('popstate', follow);
  unifex.openTab = open;
  unifex.isOpening = isOpening;
  unifex.go = (address, files = []) => {  // as a link that is pressed
    put(address, { files }, 'pushState');
    follow();
  };
  if (here()) {
    if (unifex.tab) put(at(unifex.tab, searchOf(here())));  // pressed before this script was there
    follow();
  }

  // --- links -----------------------------------------------------------------------------------------------------------
  const copy = async (text) => {
    if (navigator.clipboard) return navigator.clipboard.writeText(text);
    const box = Object.assign(document.createElement('textarea'), { value: text });  // where the page came without https
    document.body.append(box);
    box.select();
    document.execCommand('copy');
    box.remove();
  };
  document.addEventListener('click', async (event) => {
    const button = event.target.closest('.copy-link');
    if (!button) return;
    const url = new URL(location.href);
    url.hash = told.text;
    const said = await copy(url.href).then(() => say('Link copied.'), () => say('The browser does not let a page copy: {address}', { address: url.href }));
    const line = button.closest('.status').querySelector('.told');
    line.textContent = [said, told.missing].filter(Boolean).join(' ');
  });
};
