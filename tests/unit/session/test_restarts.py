"""A failed engine is started again a few times, each time later, and then no more for a while."""

from gemma_backend.session.restarts import DELAYS, Restarts


def test_three_in_ten_minutes_each_later_than_the_one_before() -> None:
    restarts = Restarts()
    assert [restarts.ask(now) for now in (0.0, 60.0, 120.0)] == list(DELAYS)
    assert restarts.ask(180.0) is None
    assert restarts.wait(180.0) == 420.0
    # A refused one does not count, and the oldest is forgotten after ten minutes.
    assert restarts.ask(599.0) is None
    assert restarts.ask(600.0) == DELAYS[2]
    assert restarts.ask(601.0) is None
    assert restarts.ask(10_000.0) == 0.0
