// The jobs of whoever looks at this page: a line in the header, which opens the list of those whose own panel is not in
// view. Asks the server about them and tells the panels (assets/job-panel.js). Runs inside gr.HTML (`element`, `server`,
// `trigger`).

import { answerOf, sayLost } from './answering.js';
import { isLoggedOut, watchLogin } from './login.js';
import { say } from './say.js';
import { isUploading } from './uploading.js';

export default ({ element, server, trigger }) => {
  const BUSY_MS = 800, IDLE_MS = 4000, ENDED_MS = 12000, LOAD_MS = 5000, MOST_MS = 10000;
  const begun = performance.now();
  const active = (job) => ['waiting', 'running', 'stopping'].includes(job.state);
  const make = (tag, kind, text) => Object.assign(document.createElement(tag), { className: kind || '', textContent: text || '' });
  const button = (kind, text, act) => {
    const made = make('button', kind, text);
    made.type = 'button';
    made.addEventListener('click', act);
    return made;
  };

  // A job's element is made once and then changed, so that a button under the pointer stays the same button.
  const drawn = (job) => {
    const root = make('div', 'job');
    root.innerHTML = '<div class="progress" role="progressbar" aria-valuemin="0" aria-valuemax="100"><div class="bar"><div></div></div>' +
      '<p><strong></strong><span></span><small></small></p></div>';
    root.append(button('cancel', say('Cancel'), async ({ target }) => {
      target.disabled = true;
      try {
        await answerOf(server.cancel(job.id));
        poll();
      } catch {
        target.disabled = false;
        sayLost();
      }
    }));
    root.dataset.id = job.id;
    return root;
  };
  const update = (root, job) => {
    const bar = root.querySelector('.progress'), known = job.share !== null;
    root.dataset.state = job.state;
    bar.setAttribute('aria-label', job.title);
    if (known) bar.setAttribute('aria-valuenow', Math.round(100 * job.share));
    else bar.removeAttribute('aria-valuenow');
    root.querySelector('.bar').classList.toggle('endless', !known && job.state !== 'waiting');
    root.querySelector('.bar > div').style.width = `${100 * (job.share || 0)}%`;
    root.querySelector('strong').textContent = job.title;
    root.querySelector('span').textContent = ` · ${job.detail}`;
    root.querySelector('small').textContent = job.note;
    root.querySelector('.cancel').hidden = !['waiting', 'running'].includes(job.state);
  };
  const list = (place, jobs) => {
    const known = Object.fromEntries([...place.querySelectorAll('.job')].map((root) => [root.dataset.id, root]));
    for (const job of jobs) {
      const root = known[job.id] || place.appendChild(drawn(job));
      delete known[job.id];
      update(root, job);
    }
    for (const gone of Object.values(known)) gone.remove();
  };
  window.unifexJobs = { list, active, poll: (asked) => poll(asked) };

  const inView = (kind) => [...document.querySelectorAll('[data-job-kinds]')].some(
    (panel) => panel.offsetParent && panel.dataset.jobKinds.split(' ').includes(kind));
  const show = (job) => {
    const gallery = job.gallery || job.made;
    if (isOfShown({ gallery })) openTab(job.tab);
    else location.hash = new URLSearchParams({ tab: job.tab, gallery });
  };
  const openTab = (name) => document.querySelector(`[role=tab][data-tab-id="${name}"]`)?.click();

  // The header's line says what matters most: what runs, what has just ended, what was cut off.
  const badge = element.querySelector('.jobs-now'), box = element.querySelector('#jobs-list');
  let running = [];
  const tell = () => {
    const line = box.querySelector('.ended'), cut = box.querySelector('.cut');
    const [job] = running, more = running.length > 1 ? ` (+${running.length - 1})` : '';
    const { title = '', brief = '' } = job ? { ...job, title: `${job.title}${more}` } : (line ?? cut)?.dataset ?? {};
    badge.dataset.state = job ? job.state : line ? line.dataset.state : cut ? 'cut' : '';
    badge.hidden = !title;
    badge.querySelector('.what').textContent = title;
    badge.querySelector('.how').textContent = brief;
    badge.style.setProperty('--share', job?.share ?? 0);
    if (badge.hidden) box.hidePopover?.();
  };

  // What ended while its panel was out of view is said here for a moment.
  const wasActive = new Set(), told = new Set();
  const isOfShown = ({ gallery }) => !gallery || shownGallery() === gallery;
  const tellEnded = (job) => {
    told.add(job.id);
    const line = make('p', `ended ${job.state}`);
    const leave = () => { line.remove(); tell(); };
    line.setAttribute('role', 'status');
    Object.assign(line.dataset, { state: job.state, title: job.title, brief: job.brief });
    line.append(make('strong', '', job.title), ` · ${job.detail} `, button('', say('Show'), () => { show(job); leave(); }));
    box.querySelector('.ended-jobs').append(line);
    setTimeout(() => {  // who reads it, reads on
      if (box.matches(':popover-open')) box.addEventListener('toggle', leave, { once: true });
      else leave();
    }, ENDED_MS);
  };

  // What was cut off, by Cancel or by the end of the server, is offered wherever one lands.
  const LATER = 'unifex-later';
  const later = () => JSON.parse(sessionStorage.getItem(LATER) || '[]');
  const offer = async () => {
    const place = box.querySelector('.interrupted'), offers = await answerOf(server.interrupted(0));
    place.replaceChildren(...offers.filter(({ key }) => !later().includes(key)).map((cut) => {
      const line = make('p', 'cut'), said = make('span', '', cut.text);
      const leave = () => { line.remove(); tell(); };
      line.dataset.title = cut.text.split(';')[0];
      const answered = async (call, then = poll) => {
        const problem = await answerOf(call).catch(() => say('The server does not answer; try it again.'));
        if (problem) said.textContent = problem;
        else { leave(); then(); }
      };
      const notNow = () => {
        sessionStorage.setItem(LATER, JSON.stringify([...later(), cut.key]));
        leave();
      };
      line.append(said, button('primary', cut.action, () => answered(server.resume([cut.kind, cut.name]), () => {
        openTab(cut.tab);
        poll();
      })));
      // What was made for it and is empty is nothing that anybody wants to keep: it goes with the offer.
      line.append(cut.empty ? button('', say('Remove it'), () => answered(server.give_up(cut.name))) : button('', say('Not now'), notNow));
      return line;
    }));
    tell();
  };

  // What others changed in the gallery that is shown, in another tab or program, is there when somebody returns to the
  // page, who goes on where they were; words that are not sent yet wait for that. What comes of presses here is known.
  const shownGallery = () => document.querySelector('#search-gallery input')?.value ?? '';
  const asksForWords = () => new URLSearchParams(location.hash.slice(1)).get('words') ?? '';
  const words = () => (document.querySelector('#search-words :is(textarea, input)')?.value ?? '').trim();
  const isTyping = () => words() !== asksForWords().trim();
  const isPutOff = () => words() === unifex.told?.put_off;  // until somebody asks this gallery, too
  let known = {}, away = false, returned = false, pressed = 0;
  const compare = ({ jobs, written, gallery }, back) => {  // back: it was asked since somebody came back
    const own = pressed !== unifex.pressed || jobs.some(active) || known.gallery !== gallery;
    pressed = unifex.pressed;
    if (away) return;
    if (own && !returned) known = { gallery, written };
    if (!back || (isTyping() && !isPutOff())) return;
    returned = false;
    if (known.gallery !== gallery || known.written !== written) {  // or it was not looked at before they went
      unifex.scrolled = unifex.pressed;
      unifex.changed?.(written);
    }
    known = { gallery, written };
  };
  let counted = {};  // saved searches tell what is new of a gallery that rests
  const count = ({ jobs, written, gallery }) => {
    if (jobs.some(active)) return;
    if (counted.gallery === gallery && counted.written !== written) unifex.searches?.(true);
    counted = { gallery, written };
  };
  const goAway = () => { away = true; };
  const comeBack = () => {
    if (document.hidden) return;
    if (away) unifex.searches?.(true);  // saved, renamed or deleted in another tab
    returned ||= away;
    away = false;
    poll();
  };
  window.addEventListener('blur', goAway);
  window.addEventListener('focus', comeBack);

  // A page that hears no answers any more, or is of a server that was started anew, begins anew where it is, as Gradio has
  // it when it hears of that: with the words that are typed, and not while somebody writes or looks at something.
  const ANEW = 'unifex-anew', LATELY_MS = 60000;  // what stands before the server may cut every stream off
  const isLately = () => Date.now() - Number(sessionStorage.getItem(ANEW)) < LATELY_MS;
  const beginAnew = () => {
    sessionStorage.setItem(ANEW, Date.now());
    if (isTyping()) {
      const said = new URLSearchParams(location.hash.slice(1));
      said.set('gallery', shownGallery());
      said.set('words', document.querySelector('#search-words :is(textarea, input)').value.trim());
      history.replaceState(history.state, '', `#${said}`);
    }
    location.reload();
  };
  const written = new Set();  // fields that somebody filled: what stands there would be lost
  document.addEventListener('input', ({ target, isTrusted }) => {
    if (isTrusted && target.matches('textarea, input:not([type=checkbox], [type=radio], [type=range])')) written.add(target);
  }, true);
  const isBusy = () => isTyping() || document.querySelector('dialog[open], .card.chosen') ||
    [...document.querySelectorAll('.drop .state')].some((state) => state.textContent) ||  // files that wait for Start
    [...written].some((field) => field.isConnected && field.value && !field.closest('#search-words'));
  let ofServer = null;
  const isLost = ({ server: now, hearing }) => {
    ofServer ??= now;
    return hearing === 'unheard' || ((hearing || now !== ofServer) && !isBusy() && !isLately());
  };

  let ended = null, timer = 0, asking = false, again = false;
  let asked = false; // something was asked for since the last look: the panels tell Python, whatever they knew
  const saidByHeader = () => document.querySelector('#header .model')?.dataset.news;
  const loading = () => !saidByHeader() && performance.now() - begun < LOAD_MS;  // the page's own question is on its way
  const take = (answer, asked, back) => {
    // Told until the header says it: an event that comes while the page is still drawn may be lost.
    if (!loading() && saidByHeader() !== answer.news) trigger('input', {});
    for (const job of answer.jobs) {
      if (active(job)) wasActive.add(job.id);
      else if (wasActive.has(job.id) && !told.has(job.id) && !(inView(job.kind) && isOfShown(job))) tellEnded(job);
    }
    compare(answer, back);
    count(answer);
    running = answer.jobs.filter((job) => active(job) && !inView(job.kind));
    list(box.querySelector('.active-jobs'), running);
    tell();
    const now = answer.jobs.filter((job) => !active(job)).map((job) => job.id).join() + answer.jobs.some(active) + answer.ready;
    if (now !== ended) {
      ended = now;
      offer().catch(() => { ended = null; });  // it is asked again with the next look
    }
    window.dispatchEvent(new CustomEvent('unifex-jobs', { detail: { jobs: answer.jobs, asked } }));
  };
  const poll = async (pressed = false) => {
    clearTimeout(timer);
    asked ||= pressed;
    if (asking) { again = true; return; }
    asking = true;
    again = false;
    const told = asked, back = returned;
    asked = false;
    let wait = IDLE_MS, silent = false;
    try {
      const answer = await answerOf(server.jobs(shownGallery()), MOST_MS);
      if (isLost(answer) && !isUploading()) return beginAnew();
      take(answer, told, back);
      if (!answer.ready || answer.jobs.some(active) || loading()) wait = BUSY_MS;
    } catch (error) {
      console.info('the server did not answer; it is asked again', error); // it may be starting anew
      silent = true;
      if (await isLoggedOut()) wait = Infinity;  // until somebody comes back, who may have logged in elsewhere
    } finally {
      asking = false;
      element.closest('#top').toggleAttribute('data-unanswered', silent);
      if (again) poll();
      else if (!document.hidden && wait < Infinity) timer = setTimeout(poll, wait);
    }
  };
  document.addEventListener('visibilitychange', () => (document.hidden ? goAway() : comeBack()));
  watchLogin();
  poll();
};
