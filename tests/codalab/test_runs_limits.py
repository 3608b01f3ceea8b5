"""Sizes and durations as texts, limits, and the environment of commands: without a server."""

from __future__ import annotations

import pytest

from cosphere_jupyter.bundles.durations import parse_bytes, parse_seconds, show_bytes, show_seconds
from cosphere_jupyter.bundles.run_limits import Ceilings, Limits, clean_environment, limits_of, read_ceilings


@pytest.mark.parametrize(
    ("text", "size"),
    [
        ("0", 0),
        ("165", 165),
        ("2k", 2048),
        ("2g", 2 * 1024**3),
        ("1.5M", 1572864),
        (" 1t ", 1024**4),
        ("10mb", 10 << 20),
    ],
)
def test_sizes_are_read(text, size):
    assert parse_bytes(text) == size


@pytest.mark.parametrize(
    ("text", "seconds"), [("90", 90), ("10s", 10), ("1.5h", 5400), ("3d", 259200), ("1y", 31536000), ("2M", 120)]
)
def test_durations_are_read(text, seconds):
    assert parse_seconds(text) == seconds


@pytest.mark.parametrize("text", ["", "g", "-1g", "1 x", "1e3", "nan", "inf", "1gg", "٣g", "9" * 40, "1.2.3"])
def test_other_texts_are_neither(text):
    with pytest.raises(ValueError, match="is no size"):
        parse_bytes(text)
    with pytest.raises(ValueError, match="is no duration"):
        parse_seconds(text)


def test_sizes_and_durations_are_shown():
    sizes = [(0, "0"), (165, "165"), (1536, "1.5k"), (5000, "4.9k"), (200 * 1024, "200k"), (2 * 1024**3, "2g")]
    assert [(size, show_bytes(size)) for size, _ in sizes] == sizes
    assert show_bytes(3 * 1024**4) == "3t"
    times = [(0.04, "0.0s"), (3.25, "3.2s"), (300, "5m0s"), (5400, "1h30m"), (187200, "2d4h"), (40_000_000, "1y97d")]
    assert [(seconds, show_seconds(seconds)) for seconds, _ in times] == times


def test_a_run_has_the_least_of_what_it_asks_for_and_what_there_is():
    ceilings = read_ceilings("1h", "", "10g")
    asked = {"request_time": "2h", "request_memory": "2g", "request_disk": "1g"}
    assert limits_of(asked, ceilings, 50.0, 7) == Limits(3600, 2 * 1024**3, 1024**3, 50.0, 7)
    assert limits_of({"request_time": "", "request_memory": "0"}, Ceilings(), None, None) == Limits()
    with pytest.raises(ValueError, match="request_disk: 'lots' is no size"):
        limits_of({"request_disk": "lots"}, ceilings, None, None)


@pytest.mark.parametrize(
    ("limits", "used", "said"),
    [
        (Limits(), (10**9, 10**15, 10**15), None),
        (Limits(time=3600), (3600, 0, 0), None),
        (Limits(time=3600), (3661, 0, 0), "Time limit exceeded. (Container uptime 1h1m > time limit 1h0m)"),
        (Limits(memory=2 * 1024**3), (0, 2 * 1024**3 + 1, 0), "Memory limit 2g exceeded."),
        (Limits(disk=1024**2), (0, 0, 1024**2 + 1), "Disk limit 1mb exceeded."),
        (Limits(time_quota=5), (5.1, 0, 0), "Kill requested: User time quota exceeded."),
        (Limits(disk_quota=0), (0, 0, 1), "Kill requested: User disk quota exceeded."),
    ],
)
def test_limits_say_which_of_them_is_broken(limits, used, said):
    assert limits.broken_by(*used) == said
    assert Limits(**limits.as_params()) == limits


def test_the_environment_of_a_command_is_an_allow_list():
    server = {
        "PATH": "/bin",
        "LC_ALL": "C",
        "JUPYTER_TOKEN": "s",
        "AWS_ACCESS_KEY_ID": "s",
        "SSH_AUTH_SOCK": "s",
        "X": "s",
    }
    given = clean_environment({**server, "PYTHONPATH": "s", "HOME": "/root"}, "/work", "/tmp/own", ("MARK", "m"))
    assert given == {
        "PATH": "/bin",
        "LC_ALL": "C",
        "HOME": "/work",
        "PWD": "/work",
        "TMPDIR": "/tmp/own",
        "CODALAB": "true",
        "MARK": "m",
    }
