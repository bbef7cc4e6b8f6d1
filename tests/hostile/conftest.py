"""One house for all hostile suites, and at the end how many vectors there were of each class."""

from __future__ import annotations

from collections.abc import Iterator

import pytest
from hostile.house import House, open_house

_TALLIES: list[House] = []


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """The house that is attacked."""
    with open_house(tmp_path_factory.mktemp("house")) as opened:
        _TALLIES.append(opened)
        yield opened


@pytest.fixture
def kind(request: pytest.FixtureRequest) -> str:
    """The class of a vector: its module's name."""
    return request.module.__name__.rpartition("test_")[2]


def pytest_terminal_summary(terminalreporter: pytest.TerminalReporter) -> None:
    """The counts."""
    for house in _TALLIES:
        kinds = sorted({kind for kind, _ in house.tally})
        terminalreporter.section("hostile vectors")
        for kind in kinds:
            alive, refused = house.tally[kind, "alive"], house.tally[kind, "bare MLflow refuses"]
            terminalreporter.write_line(f"{kind:20} {alive:4} that do harm where nobody stands in front, {refused:3} that are refused there, too")
        terminalreporter.write_line(f"{'all':20} {house.tally.total():4}, with {len(house.twins)} legitimate twins")
