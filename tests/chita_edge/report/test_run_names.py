from __future__ import annotations

from hypothesis import example, given, settings
from hypothesis import strategies as st

from chita_edge.bundle.paths import INDEX, first_collision, path_problem
from chita_edge.report.run_names import run_path


def test_a_name_is_kept_where_it_can_be() -> None:
    taken: list[str] = [INDEX]
    for stem, path in (
        ("phone", "phone"),
        ("phone", "phone-2"),
        ("Phone", "Phone-3"),
        ("phone-2", "phone-2-2"),
        ("index", "index-2"),
        ("ssh:pi@board", "ssh-pi@board"),
        ("adb:1/2?", "adb-1-2-"),
        ("", "run"),
        ("...", "run-2"),
    ):
        taken.append(run_path(stem, taken))
        assert taken[-1] == f"bench/{path}.json"


@settings(max_examples=50)
@given(stems=st.lists(st.text(max_size=300), max_size=5))
@example(stems=["e\u0301", "\u00e9", "\u0301", "\ud800", "\0", "\u00df", "SS", "a.", "a "])
@example(stems=["\U0001f600" * 100] * 3)
def test_any_name_becomes_a_good_path_of_its_own(stems: list[str]) -> None:
    taken = ["model.onnx", INDEX]
    for stem in stems:
        path = run_path(stem, taken)
        assert path_problem(path) is None
        assert path.startswith("bench/")
        assert path.endswith(".json")
        taken.append(path)
    assert first_collision(taken) is None
