"""The times at which messages are published."""

import time

from streams.cli.demonstration import Playback
from streams.contract.events import Millis
from streams.intake.publisher import at_speed
from streams.intake.reading import Arrived, Ignored

DAY_MS = 86_400_000
JULY = Millis(1_782_000_000_000)


def test_message_without_a_time_does_not_begin_the_story_in_1970():
    pace = at_speed(DAY_MS / 1000)

    assert pace(Millis(0)) == 0.0
    assert abs(pace(JULY) - time.time()) < 1
    assert 0.5 < pace(Millis(JULY + DAY_MS)) - time.time() <= 1


def test_course_begins_with_the_first_message_that_has_a_time():
    arrivals = [Arrived(Ignored("format-unknown", "", "x", ""), Millis(at), "x:1") for at in (0, JULY, JULY + 1)]
    assert (Playback(arrivals, 1.0, "UTC").first, Playback(arrivals, 1.0, "UTC").last) == (JULY, JULY + 1)
