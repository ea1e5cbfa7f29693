"""What a person does in a browser: drop files, open a tab, choose, index."""

from __future__ import annotations

import base64
import contextlib
import os
import shutil
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Literal

from playwright.sync_api import Locator, Page, expect

ARGUMENTS = (
    "--no-sandbox --disable-gpu --disable-quic --disable-background-networking --disable-component-update "
    "--disable-sync --no-first-run --renderer-process-limit=1"  # a profile's pages share what is compiled
).split()

NAMES = ("chromium-headless-shell", "chromium", "chromium-browser", "google-chrome")  # the first takes half the time

PHONE = {"viewport": {"width": 390, "height": 844}, "has_touch": True, "is_mobile": True}


def chromium_path() -> str | None:
    """The machine's own Chromium; None where Playwright's is to be used."""
    return os.environ.get("UNIFEX_CHROMIUM") or next(filter(None, map(shutil.which, NAMES)), None)


DROP_JS = """([selector, files]) => {
  const transfer = new DataTransfer();
  for (const [name, type, data] of files)
    transfer.items.add(new File([Uint8Array.from(atob(data), (c) => c.charCodeAt(0))], name, { type }));
  const target = document.querySelector(selector);
  for (const kind of ['dragenter', 'dragover', 'drop'])
    target.dispatchEvent(new DragEvent(kind, { dataTransfer: transfer, bubbles: true, cancelable: true }));
}"""


def wait_until_it_listens(page: Page, zone: str) -> None:
    """What is given to a zone for files before is lost."""
    page.wait_for_selector(f"{zone}:not([aria-busy=true])", state="attached")


def drop(page: Page, selector: str, files: dict[str, bytes], kind: str = "image/png") -> None:
    """Drop files on an element, once it listens, as a file manager does."""
    wait_until_it_listens(page, selector)
    encoded_files = [[name, kind, base64.b64encode(data).decode()] for name, data in files.items()]
    page.evaluate(DROP_JS, [selector, encoded_files])


def leave(page: Page) -> None:
    """Somebody turns to another window."""
    page.evaluate("dispatchEvent(new Event('blur'))")


def come_back(page: Page) -> None:
    """And is back."""
    page.evaluate("dispatchEvent(new Event('focus'))")


def first_hit(page: Page):
    return page.locator("#hits .grid[data-kind=hits] .card").first


_LOOKS, _LOOKS_AT_A_JOB = 5, 50
# What the page waits for, but the jobs, of which it asks again and again.
WATCH_JS = r"""(() => {
  const real = window.fetch, answered = new Set(), told = /"msg":"process_completed","event_id":"(\w+)"/g;
  const calls = window.calls = new Set(), asked = window.asked = [];  // every question: when, and which handler
  let begun = 0;
  Object.assign(window, { jobs: [], looks: 0 });  // as they were looked at last; how often because of a press
  addEventListener('unifex-jobs', ({ detail: { jobs, asked } }) => {
    Object.assign(window, { jobs, looks: window.looks + Boolean(asked) });
  });
  const watched = () => new TransformStream({ transform(chunk, out) {
    for (const [, id] of new TextDecoder().decode(chunk).matchAll(told)) { answered.add(id); calls.delete(id); }
    out.enqueue(chunk);
  } });
  window.fetch = async (place, options) => {
    const url = place.url ?? String(place), joins = url.includes('/queue/join');
    const mark = `${url.split('/').at(-1).split('?')[0]} ${begun += 1}`;
    if (!/"fn_name":"jobs"/.test(options?.body)) calls.add(mark);
    if (joins) asked.push(`${Math.round(performance.now())} ${JSON.parse(options.body).fn_index}`);
    try {
      const answer = await real(place, options);
      if (url.includes('/queue/data')) return new Response(answer.body.pipeThrough(watched()), answer);
      if (joins && answer.ok) {
        const { event_id: id } = await answer.clone().json();
        if (!answered.has(id)) calls.add(id);
      }
      return answer;
    } finally { calls.delete(mark); }
  };
})();"""


# Gradio's sign of loading counts its seconds in every frame, and the page's first one goes on when it is gone: 8 % of a
# core for every page that is open. Nothing that a test looks at.
REST_JS = r"""(() => {
  const real = window.requestAnimationFrame.bind(window), counts = /performance\.now\(\).*1e3/;
  window.requestAnimationFrame = (draw) => (counts.test(draw) ? 0 : real(draw));
})()"""


LATE_JS = r"""(() => {
  const real = window.fetch;
  let answers = 0;
  const transform = async (chunk, out) => {
    const mark = `late ${answers += 1}`;
    if (window.late) {
      calls.add(mark);
      await late();
      calls.delete(mark);
    }
    out.enqueue(chunk);
  };
  window.fetch = async (place, options) => {
    const answer = await real(place, options);
    if (!(place.url ?? String(place)).includes('/queue/data')) return answer;
    return new Response(answer.body.pipeThrough(new TransformStream({ transform })), answer);
  };
})();"""


def watch_calls(page: Page) -> None:
    """From its next document on, :func:`settle` knows what the page has asked the server, and answers can be held."""
    page.add_init_script(WATCH_JS + LATE_JS + REST_JS)


def answer_late(page: Page, milliseconds: int) -> None:
    """Whatever a handler tells this document comes so much later."""
    page.evaluate(f"() => {{ window.late = () => new Promise((done) => setTimeout(done, {milliseconds})); }}")


@contextlib.contextmanager
def before_any_answer(page: Page) -> Iterator[None]:
    """Of a handler none comes before the block is left, however long it takes."""
    page.evaluate("() => { window.late = () => new Promise((done) => { (window.waiting ??= []).push(done); }); }")
    yield
    page.evaluate("() => { window.late = null; (window.waiting ?? []).splice(0).forEach((done) => done()); }")


SETTLED_JS = """([looks, looksAtAJob]) => new Promise((done, fail) => {
  let before = '', alike = 0;
  const look = () => setTimeout(() => requestAnimationFrame(() => {
    if (!window.calls) return fail(new Error('nobody watches this page: WATCH_JS'));
    const calls = [...window.calls].join();
    alike = calls === before ? alike + 1 : 0;
    before = calls;
    if (alike < (calls ? looksAtAJob : looks)) look(); else done();
  }), 30);
  look();
})"""


def settle(page: Page) -> None:
    """Wait until the page has every answer, and what it asked upon them: only then do fields keep what is typed, and
    nothing that is pressed is drawn anew under the pointer.

    A call that goes on as long as what it tells of is not waited for: then nothing else may have come for a while.
    """
    page.evaluate(SETTLED_JS, [_LOOKS, _LOOKS_AT_A_JOB])  # the next question comes within a turn of the page, or two


def press_for_job(page: Page, button: str) -> None:
    """Press what asks for a job, and wait until none runs and what came of it is shown: what an earlier one found may
    stand there until then."""
    settle(page)
    looks = page.evaluate("looks")
    page.locator(button).click()
    page.wait_for_function("(before) => looks > before && !jobs.some(unifexJobs.active)", arg=looks, timeout=120_000)
    settle(page)


STILL_JS = """() => new Promise((done) => {
  let last = NaN, same = 0;
  const look = () => {
    same = scrollY === last ? same + 1 : 0;
    last = scrollY;
    if (same > 15) done(); else requestAnimationFrame(look);
  };
  look();
})"""


def stand_still(page: Page) -> None:
    """Wait until the page has what it asked for, and scrolls no more."""
    settle(page)
    page.evaluate(STILL_JS)


AT_REST_JS = """(node) => new Promise((done) => {
  let last = '', same = 0;
  const look = () => {
    const { x, y, width, height } = node.getBoundingClientRect(), now = [x, y, width, height].join();
    same = width && now === last ? same + 1 : 0;
    last = now;
    if (!node.isConnected) done(null);
    else if (same > 5) done({ x, y, width, height });
    else requestAnimationFrame(look);
  };
  look();
})"""


def place_of(part: Locator) -> dict[str, float]:
    """Where a part of the page is in the window, once it is seen and moves no more."""
    expect(part).to_be_visible()
    while (place := part.evaluate(AT_REST_JS)) is None:  # it was drawn anew
        pass
    return place


def wait_until(page: Page, holds: Callable[[], bool]) -> None:
    """Of what no page shows: what it has asked, what is on the disk."""
    for _ in range(600):
        if holds():
            return
        page.wait_for_timeout(50)
    raise AssertionError("it did not come")


def reload(page: Page, until: Literal["load", "commit"] = "load") -> None:
    """Reload a page that is at rest: Gradio reports a call that a reload cuts off as an error on the console.

    And wait until it answers again. ``until``: as Playwright has it, where pictures are held.
    """
    page.wait_for_selector("#hits .card", state="attached")
    settle(page)
    page.reload(wait_until=until)
    page.wait_for_selector("#header .ready")


def slow_line(page: Page, milliseconds: int = 0, upload: int = -1) -> None:
    """From now on every request takes so long on its way, and so many bytes a second are sent."""
    line = {"offline": False, "latency": milliseconds, "downloadThroughput": -1, "uploadThroughput": upload}
    page.context.new_cdp_session(page).send("Network.emulateNetworkConditions", line)


def open_all(page: Page) -> None:
    """Every part of the tab that is closed, but what is in one of them: it appears, and is not meant."""
    for head in page.locator("[role=tabpanel] button.label-wrap:visible").element_handles():
        head.click()


def go_to(page: Page, tab: str) -> None:
    page.get_by_role("tab", name=tab).click()


def start_indexing(page: Page, source: Path, name: str) -> None:
    """In the Gallery tab."""
    go_to(page, "Gallery")
    settle(page)  # fields that have just appeared take their first value once more
    page.locator("#source-path textarea, #source-path input").fill(str(source))
    page.locator("#gallery-name textarea, #gallery-name input").fill(name)
    page.locator("#start-button").click()


def wait_for_share(page: Page, percent: int, place: str = "#index-progress") -> None:
    """Until a job has come so far."""
    bar = f"document.querySelector('{place} .progress')?.getAttribute('aria-valuenow')"
    page.wait_for_function(f"+{bar} >= {percent}")


def choose(page: Page, box: str, option: str) -> None:
    """From a list, which opens where its box is then: what still moves on the page would leave it behind."""
    stand_still(page)
    page.locator(f"{box} input").click()
    page.get_by_role("option", name=option, exact=True).click()


def upload(page: Page, name: str, files: dict[str, bytes]) -> None:
    go_to(page, "Gallery")
    settle(page)  # fields that have just appeared take their first value once more
    page.locator("#gallery-name input, #gallery-name textarea").fill(name)
    drop(page, "#drop .drop", files)
    expect(page.locator("#index-outcome")).to_contain_text("About", timeout=90_000)
    page.locator("#start-button").click()
    expect(page.locator("#index-outcome")).to_contain_text("added to", timeout=90_000)
