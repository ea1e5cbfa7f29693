"""Long work: its steps, the time that is left, its result."""

import pytest

from unifex.core import progress
from unifex.core.progress import Stage, Step, finish


@pytest.fixture
def clock(monkeypatch):
    """The time, which a test sets."""
    now = [0.0]
    monkeypatch.setattr(progress.time, "monotonic", lambda: now[0])
    return now


def test_work_gives_its_result_after_its_steps():
    kept, steps = [], []

    def work():
        try:
            yield Step("first", 1, 2)
            yield Step("second")
        finally:
            kept.append(True)
        return "result"

    assert finish(work(), steps.append) == finish(work()) == "result"
    assert [step.share for step in steps] == [0.5, None]

    def stop(step):
        raise KeyboardInterrupt

    kept.clear()
    with pytest.raises(KeyboardInterrupt):
        finish(work(), stop)
    assert kept  # whatever ends it, what is done is kept


def test_time_left_follows_the_pace(clock):
    stage = Stage("reading", 1000, "files", done=100)
    assert stage.at(100).seconds_left is None  # nothing can be told yet
    clock[0] = 10
    assert stage.at(200) == Step("reading", 200, 1000, "files", 80)  # 10 a second; what was there before is no pace
    for second in range(11, 100):
        clock[0] = second
        step = stage.at(200 + (second - 10))
    assert step.seconds_left == pytest.approx(1000 - step.done)  # 1 a second by now
    assert stage.at(1000).seconds_left == 0


def test_what_takes_no_work_is_no_pace(clock):
    stage = Stage("indexing", 1000, "images")
    clock[0] = 1
    assert stage.at(300, free=300).seconds_left is None  # the rest is another matter
    clock[0] = 10
    assert stage.at(400, free=300).seconds_left == 60  # 100 by work in 10 s, as each of the 600 will be
    assert stage.at(400, free=300, free_left=500).seconds_left == 10
    assert stage.at(400, free=300, free_left=600).seconds_left == 15  # none of which takes work


def test_time_left_where_it_cannot_be_told(clock):
    assert Stage("counting").at(5).seconds_left is None
    clock[0] = 100
    assert Stage("nothing new", 3, done=3).at(3).seconds_left == 0
