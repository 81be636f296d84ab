"""The small languages inside of the fields: names, durations, versions, cron; and the operator's gates."""

from __future__ import annotations

import re
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cluster.kube.rules import Gates, cron, durations, names, read_gates, versions

UNITS = {"h": 3600 * 10**9, "m": 60 * 10**9, "s": 10**9, "ms": 10**6, "us": 10**3, "µs": 10**3, "ns": 1}


@given(
    st.sampled_from(["", "+", "-"]),
    st.lists(
        st.tuples(st.integers(0, 10**4), st.integers(0, 999), st.sampled_from(sorted(UNITS))), min_size=1, max_size=4
    ),
)
def test_a_duration_is_the_sum_of_its_parts(sign: str, parts: list[tuple[int, int, str]]) -> None:
    text = sign + "".join(f"{whole}.{fraction:03d}{unit}" for whole, fraction, unit in parts)
    expected = sum(
        whole * UNITS[unit] + int(Fraction(fraction, 1000) * UNITS[unit]) for whole, fraction, unit in parts
    )
    assert durations.nanoseconds(text) == (-expected if sign == "-" else expected)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("0", 0),
        ("-0", 0),
        (".5s", 5 * 10**8),
        ("1.s", 10**9),
        ("1h2m3s", 3723 * 10**9),
        ("0.9ns", 0),
        ("-9223372036854775808ns", -(2**63)),
        ("9223372036854775807ns", 2**63 - 1),
    ],
)
def test_durations_at_the_edge(text: str, expected: int) -> None:
    assert durations.nanoseconds(text) == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "+",
        "5",
        "s",
        ".s",
        ".",
        "1d",
        "1 s",
        " 1s",
        "1S",
        "--1s",
        "+-1s",
        "1h-2m",
        "1s5",
        "9223372036854775808ns",
        "3000000h",
    ],
)
def test_no_durations(text: str) -> None:
    with pytest.raises(ValueError, match="no duration"):
        durations.nanoseconds(text)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("2.56.0", (2, 56)),
        ("v2.56", (2, 56)),
        (" 2.56.1", (2, 56, 1)),
        ("2.56.0rc1", (2, 56)),
        ("3.0.0.dev0", (3,)),
        ("2.56.1-abc123", (2, 56, 1)),
        ("2.05", (2, 5)),
        ("0.0", ()),
    ],
)
def test_versions(text: str, expected: tuple[int, ...]) -> None:
    assert versions.parse(text) == expected


@pytest.mark.parametrize(
    "text", ["", "2", "nightly", "latest", "a1b2c3d", "7f3e9c1", "2.", "02.56", "2.x", "2.56\n.0", f"2.{2**64}"]
)
def test_no_versions(text: str) -> None:
    with pytest.raises(ValueError, match="no version"):
        versions.parse(text)


@given(st.lists(st.integers(0, 99), min_size=3, max_size=3), st.lists(st.integers(0, 99), min_size=3, max_size=3))
def test_versions_are_ordered_by_their_numbers(one: list[int], other: list[int]) -> None:
    def written(numbers: list[int]) -> str:
        return ".".join(map(str, numbers))

    short = versions.shortfall(written(one), written(other))
    assert (short is None) == (one >= other)


@pytest.mark.parametrize(
    ("key", "fits"),
    [
        ("a", True),
        ("A.b-c_d", True),
        ("ray.io/group", True),
        ("a" * 63, True),
        ("a" * 253 + "/b", True),
        ("", False),
        ("a" * 64, False),
        ("-a", False),
        ("a-", False),
        ("a/b/c", False),
        ("/b", False),
        ("a/", False),
        ("A.io/b", False),
        ("a..b/c", False),
        ("a" * 254 + "/b", False),
        ("ä", False),
        ("a\n", False),
    ],
)
def test_label_keys(key: str, fits: bool) -> None:
    assert names.is_label_key(key) is fits


@given(st.text(st.sampled_from("aZ9-_. é\n"), max_size=5))
def test_label_values_against_the_syntax_in_words(value: str) -> None:
    letters = re.sub("[^aZ9]", "", value[:1] + value[-1:])
    expected = value == "" or (set(value) <= set("aZ9-_.") and len(letters) == len(value[:1] + value[-1:]))
    assert names.is_label_value(value) is expected
    assert names.is_label_value("a" * 63)
    assert not names.is_label_value("a" * 64)


@given(st.text(st.sampled_from("a9-.A"), max_size=4))
def test_a_dns_1035_label_is_a_1123_label_that_starts_with_a_letter(name: str) -> None:
    assert names.is_dns_1035_label(name) is (names.is_dns_1123_label(name) and name[0].isalpha())


FIELD_VALUES = ((0, 59), (0, 23), (1, 31), (1, 12), (0, 6))


@given(st.data())
def test_a_schedule_has_the_values_that_it_spells(data: st.DataObject) -> None:
    words, expected = [], []
    for least, most in FIELD_VALUES:
        start = data.draw(st.integers(least, most))
        end = data.draw(st.integers(start, most))
        step = data.draw(st.integers(1, 5))
        word, values = data.draw(
            st.sampled_from(
                [
                    (f"{start}-{end}/{step}", range(start, end + 1, step)),
                    (f"{start}/{step}", range(start, most + 1, step)),
                    (f"*/{step}", range(least, most + 1, step)),
                    (f"{start},{end}", {start, end}),
                    ("?", range(least, most + 1)),
                ]
            )
        )
        words.append(word)
        expected.append(frozenset(values))
    found = cron.parse(" ".join(words))
    assert found is not None
    assert [found.minutes, found.hours, found.days, found.months, found.weekdays] == expected


@pytest.mark.parametrize(
    "text",
    [
        "",
        "every day",
        "* * * *",
        "* * * * * *",
        "-1 * * * *",
        "60 * * * *",
        "* 24 * * *",
        "* * 0 * *",
        "* * 32 * *",
        "* * * 13 * ",
        "* * * * 7",
        "5-1 * * * *",
        "1-2-3 * * * *",
        "*/0 * * * *",
        "1/2/3 * * * *",
        "*/ * * * *",
        "1- * * * *",
        "x * * * *",
        "* * * mon *",
        "* * * * jan",
        "@Daily",
        "@every",
        "@every day",
        "1_0 * * * *",
    ],
)
def test_no_schedules(text: str) -> None:
    with pytest.raises(ValueError):
        cron.parse(text)


@pytest.mark.parametrize("text", ["@daily", "@midnight", "@every 1h30m", "@every -1s"])
def test_descriptors_have_no_fields(text: str) -> None:
    assert cron.parse(text) is None


@pytest.mark.parametrize(
    ("text", "happens"),
    [
        ("0 0 29 2 *", True),
        ("0 0 30 2 *", False),
        ("0 0 31 4,6,9,11 *", False),
        ("0 0 31 4,5 *", True),
        ("0 0 30 2 mon", True),  # either will do where neither is a star
        ("0 0 30 2 */2", True),
        ("0 0 30 2 */1", False),
        (", 0 * * *", False),
        ("0 0 , * *", False),
        ("0 0 , * mon", True),
        ("*-9 0 * jan-DEC sun,,sat", True),
        ("+5 0 * * *", True),
    ],
)
def test_schedules_that_never_come(text: str, happens: bool) -> None:
    found = cron.parse(text)
    assert found is not None
    assert found.happens is happens


@pytest.mark.parametrize(
    ("arguments", "expected"),
    [
        ([], Gates()),
        (["--enable-leader-election", "--feature-gates=RayCronJob=true"], Gates(cron_job=True)),
        (
            ["--feature-gates", "RayCronJob=true, RayJobDeletionPolicy=false"],
            Gates(cron_job=True, deletion_policy=False),
        ),
        (["-feature-gates=RayClusterMTLS=T"], Gates(mtls=True)),
        (["--feature-gates=RayCronJob=true", "--feature-gates=RayClusterMTLS=1"], Gates(mtls=True)),
        (["--feature-gates=AllBeta=false,RayMultiHostIndexing=true"], Gates(False, False, True, False)),
        (
            ["--feature-gates=RayCronJob=false,AllAlpha=true"],
            Gates(
                sidecar_restart=True,
                network_policy=True,
                embedded_storage=True,
                mtls=True,
                history_server=True,
                workload_scheduling=True,
            ),
        ),
        (["--feature-gates="], Gates()),
        (["feature-gates=RayCronJob=true"], Gates()),  # no flag
        (["--feature-gates"], Gates()),
    ],
)
def test_an_operators_gates(arguments: list[str], expected: Gates) -> None:
    assert read_gates(arguments) == (expected, ())


def test_gates_of_a_later_operator_are_named() -> None:
    assert read_gates(["--feature-gates=RayTeleport=true,RayCronJob=true"]) == (
        Gates(cron_job=True),
        ("RayTeleport",),
    )
