// Progress of the jobs of some kinds, where they were asked for; tells Python when one of them has come further. Runs
// inside gr.HTML (`element`, `trigger`); assets/jobs.js asks the server.

const MOST_MS = 20_000;  // an answer that takes longer may never come

export default ({ element, trigger }) => {
  const panel = element.querySelector('[data-job-kinds]');
  let seen = '';
  window.addEventListener('unifex-jobs', ({ detail: { jobs: all, asked } }) => {
    const jobs = all.filter((job) => panel.dataset.jobKinds.split(' ').includes(job.kind));
    window.unifexJobs.list(panel, jobs.filter(window.unifexJobs.active));
    // Who sees what came of it may press something else at once: by then its gallery must be the chosen one.
    if (Date.now() - (window.unifex?.unanswered ?? 0) < MOST_MS) return;  // the answer is followed by a look
    const now = jobs.map((job) => `${job.id} ${job.state} ${job.stage}`).join();
    if (now === seen && !(asked && panel.offsetParent)) return;
    seen = now;
    trigger('input', {});
  });
  window.unifexJobs?.poll();  // of a tab that has just been opened: what came of the last one stands there at once
};
