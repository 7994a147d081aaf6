import json

from command_line import Run


def test_every_kind_is_listed_with_why_it_cannot_be_used(chita_edge: Run) -> None:
    done = chita_edge("devices", "--json")
    assert done.returncode == 0
    rows = {row["device"]: row for row in json.loads(done.stdout)}
    assert rows["local"]["reachable"] is True
    assert {"emulated:cortex-a53", "ssh:…", "adb:…"} <= set(rows)
    assert all(row["detail"] for row in rows.values())


def test_without_an_emulator_the_table_says_how_to_get_one(chita_edge: Run) -> None:
    done = chita_edge("devices", PATH="/nowhere")
    assert done.returncode == 0
    assert "local" in done.stdout
    assert "apt-get install" in " ".join(done.stdout.split())


def test_an_option_that_there_is_not(chita_edge: Run) -> None:
    assert chita_edge("devices", "--all").returncode == 2
