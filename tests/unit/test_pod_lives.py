"""The judge of two pods at once: what the audit log says of the lives of pods."""

from tests.cluster.box.audit import Call
from tests.cluster.pod_lives import Life, lives, overlaps


def call(verb: str, name: str, asked: int, *, code: int = 200, resource: str = "pods") -> Call:
    """A call that came at a second and was answered half a second later."""
    return Call("somebody", verb, resource, "a", name, code, f"{asked:02d}.5", f"{asked:02d}.0")


def test_a_pod_lives_from_the_answer_to_its_creation_to_the_last_call_that_removes_it() -> None:
    """What was refused, or is of something else, counts for nothing."""
    calls = [
        call("create", "acc-x-1", 1, code=201),
        call("create", "acc-x-1", 2, code=409),
        call("delete", "acc-x-1", 3),
        call("delete", "acc-x-1", 5),
        call("delete", "acc-x-1", 6, code=404),
        call("create", "acc-x-1", 7, code=201, resource="secrets"),
        call("create", "acc-y-9", 4, code=201),
    ]
    assert {"a/acc-x": [Life("acc-x-1", "01.5", "05.0")], "a/acc-y": [Life("acc-y-9", "04.5")]} == lives(calls)


def test_a_successor_that_comes_before_the_end_is_found() -> None:
    """Of another account it is none of its business."""
    first, ended = call("create", "acc-x-1", 1, code=201), call("delete", "acc-x-1", 5)
    assert [("acc-x-1", "acc-x-2")] == overlaps([first, ended, call("create", "acc-x-2", 4, code=201)])
    assert [("acc-x-1", "acc-x-2")] == overlaps([first, call("create", "acc-x-2", 4, code=201)])
    assert [] == overlaps([first, ended, call("create", "acc-x-2", 5, code=201)])
    assert [] == overlaps([first, call("create", "acc-y-2", 4, code=201)])


def test_the_end_is_the_nodes_word_and_not_the_wish() -> None:
    """Between the two the pod still runs."""
    calls = [call("create", "acc-x-1", 1), call("delete", "acc-x-1", 3), call("create", "acc-x-2", 4)]
    assert [] == overlaps(calls)
    assert [("acc-x-1", "acc-x-2")] == overlaps([*calls, call("delete", "acc-x-1", 5)])
