"""Sentences in place of errors: the guard, and the alert with its ways out."""

import pytest

from studio.errors import StructureError
from widgets.alerts import Alert, Guard, WayOut


def test_the_guard_turns_errors_into_sentences_and_lets_the_end_pass(caplog):
    said = []
    guard = Guard(said.append)
    with guard:
        raise StructureError("No atoms.")
    with guard:
        raise ZeroDivisionError("oops")
    assert said[0] == "No atoms."
    assert "ZeroDivisionError" in said[1]
    assert "unexpected failure" in caplog.text
    with pytest.raises(KeyboardInterrupt), guard:
        raise KeyboardInterrupt


def test_an_alert_has_a_way_out_and_can_be_dismissed():
    alert, went = Alert([]), []
    alert.say("<b>The worker</b> is gone.", WayOut("Recover", lambda: went.append(1)))
    assert "&lt;b&gt;" in alert[0].object
    recover, dismiss, *unused = alert[1]
    assert (recover.label, dismiss.label) == ("Recover", "Dismiss")
    assert not any(button.visible for button in unused)
    recover.clicks += 1
    assert went == [1]
    assert not alert.visible
    alert.say("Again.")
    assert alert.visible
    recover.clicks += 1
    assert went == [1]
    assert not alert.visible
