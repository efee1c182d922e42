"""Curves over a training's epochs."""

from studies.questions.curves import quiet_seconds


def test_a_busy_machine_is_no_slow_method():
    """The fastest epoch of any seed counts for each stage."""
    kinds = ("close-ups", "close-ups", "pictures", "pictures")
    calm, busy = (
        [{"stage": kind, "seconds_so_far": float(at)} for kind, at in zip(kinds, times, strict=True)]
        for times in ((3, 5, 15, 25), (9, 18, 26, 60))
    )
    assert quiet_seconds([calm, busy]) == {"close-ups": 2.0, "pictures": 8.0}
