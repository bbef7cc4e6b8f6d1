"""Twins and time: names that move, versions that go and come, and two requests at once."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor

import pytest
from harness.rest import Answer, send_raw
from hostile.deeds import ON_VICTIM
from hostile.house import PEOPLE, House, as_json, token_of
from hostile.vector import BINARY_TYPE, COPY, FILES, MARKER, VICTIM, Request, call, get, post

FIRST = f"{FILES}/~e~/models/~l1~/artifacts/MLmodel"
SPARE = f"{FILES}/~e~/~spare~/artifacts/model/MLmodel"
REFUSED = range(400, 405)
CUT_OFF = 409  # an upload that was begun in time and is ended by the registration

Ask = Callable[[str, Request], Answer]


@pytest.fixture
def ask(house: House) -> Iterator[Ask]:
    """Asks through sekisho as somebody; at the end all is as before."""
    role, _ = PEOPLE["owner"]
    tokens = house.tokens | {"mover": token_of(house.gated.gate, "owner", role, [VICTIM, "moved_model"])}
    yield lambda who, request: send_raw(house.gated.url, request.message(house.words, tokens[who]))
    house.gated.send([], None)


def put(text: bytes, target: str = FIRST) -> Request:
    """An upload over a file."""
    return Request("PUT", target, text, (BINARY_TYPE,))


def done(answer: Answer) -> Answer:
    """It must have worked."""
    assert answer.status == 200, answer
    return answer


def refused(answer: Answer) -> None:
    """It must not, and nothing of the hidden is told."""
    assert answer.status in REFUSED, answer
    assert MARKER.encode() not in answer.body


def test_a_renamed_model_keeps_its_files(ask: Ask) -> None:
    """The claim names a name: under the new one, old claims are worth nothing, and the files are not nobody's."""
    done(ask("mover", post("registered-models/rename", name=VICTIM, new_name="moved_model")))
    for request in (Request("GET", FIRST), put(b"taken"), Request("DELETE", FIRST)):
        refused(ask("engineer", request))
    for request in (get("registered-models/get", name="moved_model"), get("registered-models/get", name=VICTIM), ON_VICTIM["tag"].request):
        refused(ask("engineer", request))
    refused(ask("owner", get("registered-models/get", name="moved_model")))
    refused(ask("owner", put(b"taken")))
    done(ask("mover", put(b"mine")))


def test_a_name_that_is_free_again_gives_nothing_of_the_old(ask: Ask) -> None:
    """Deleted and made anew: no version, no alias, no tag, no file of the one before."""
    done(ask("owner", get("registered-models/get", name=VICTIM)))
    done(ask("owner", ON_VICTIM["delete"].request))
    for request in (get("registered-models/get", name=VICTIM), ON_VICTIM["file"].request, ON_VICTIM["get by alias"].request):
        refused(ask("engineer", request))
    done(ask("owner", post("registered-models/create", name=VICTIM)))
    model = as_json(done(ask("owner", get("registered-models/get", name=VICTIM))))["registered_model"]
    assert set(model) <= {"name", "creation_timestamp", "last_updated_timestamp", "user_id"}, model
    assert ask("owner", ON_VICTIM["get version"].request).status == 404
    assert ask("owner", ON_VICTIM["get by alias"].request).status in REFUSED
    refused(ask("engineer", get("registered-models/get", name=VICTIM)))


def test_files_pass_on_to_the_next_version_that_lives(ask: Ask) -> None:
    """With the first version gone they are the copy's; with the copy gone, the experiment's."""
    refused(ask("third", put(b"taken")))
    done(ask("owner", ON_VICTIM["delete"].request))
    refused(ask("engineer", Request("GET", FIRST)))
    refused(ask("engineer", put(b"taken")))
    done(ask("third", put(b"now mine")))
    done(ask("third", call("DELETE", "registered-models/delete", name=COPY)))
    done(ask("engineer", Request("GET", FIRST)))
    done(ask("engineer", put(b"anybody's")))


def test_one_version_gone_leaves_the_others_theirs(ask: Ask) -> None:
    """The third version is a copy of the first: its files stay the model's."""
    done(ask("owner", call("DELETE", "model-versions/delete", name=VICTIM, version="1")))
    refused(ask("engineer", Request("GET", FIRST)))
    refused(ask("engineer", put(b"taken")))
    refused(ask("third", put(b"taken")))
    done(ask("owner", put(b"still mine")))


def test_an_alias_that_moves_opens_nothing(ask: Ask) -> None:
    """Neither the version that it left nor the one that it came to."""
    by_alias = post("model-versions/create", name="mine_a", source=f"models:/{VICTIM}@champion")
    refused(ask("engineer", by_alias))
    done(ask("owner", ON_VICTIM["move alias"].request))
    refused(ask("engineer", by_alias))
    done(ask("owner", ON_VICTIM["unalias"].request))
    refused(ask("engineer", by_alias))


def test_registering_closes_files_at_once(ask: Ask) -> None:
    """From the answer to the registration on, for everybody else."""
    done(ask("engineer", put(b"free", SPARE)))
    done(ask("owner", ON_VICTIM["new version"].request))
    refused(ask("engineer", put(b"taken", SPARE)))
    refused(ask("engineer", Request("GET", SPARE)))
    done(ask("owner", put(b"mine", SPARE)))


def test_uploads_that_race_with_the_registration(ask: Ask, house: House) -> None:
    """None that begins after the registration was answered is carried out."""
    began_and_status: list[tuple[float, int]] = []
    uploaded = threading.Semaphore(0)
    stop = threading.Event()

    def uploads() -> None:
        while not stop.is_set():
            began = time.monotonic()
            began_and_status.append((began, ask("engineer", put(b"racing", SPARE)).status))
            uploaded.release()

    def wait_for(count: int) -> None:
        for _ in range(count):
            assert uploaded.acquire(timeout=30)

    with ThreadPoolExecutor(3) as pool:
        running = [pool.submit(uploads) for _ in range(3)]
        try:
            wait_for(6)
            done(ask("owner", ON_VICTIM["new version"].request))
            registered = time.monotonic()
            done(ask("owner", put(b"the owner's", SPARE)))
            wait_for(9)
        finally:
            stop.set()
        for upload in running:
            upload.result()
    assert not [status for began, status in began_and_status if began > registered and status == 200]
    assert {status for _, status in began_and_status} <= {200, *REFUSED, CUT_OFF}
    words = house.words
    path = house.gated.mlflow.artifacts / words["e"] / words["spare"] / "artifacts/model/MLmodel"
    assert path.read_bytes() == b"the owner's"


def test_two_who_register_the_same_files(ask: Ask, house: House) -> None:
    """Whoever is told that it is done has it; nobody gets a version of files that were another's already."""
    mine = post("model-versions/create", name="mine_a", source="runs:/~spare~/model", run_id="~spare~")
    for _ in range(4):
        with ThreadPoolExecutor(2) as pool:
            theirs, ours = pool.map(ask, ("owner", "engineer"), (ON_VICTIM["new version"].request, mine))
        statuses = {theirs.status, ours.status}
        assert 200 in statuses
        assert statuses <= {200, *REFUSED}, (theirs, ours)
        refused(ask("engineer", post("model-versions/create", name="mine_a", source="runs:/~r2~/model", run_id="~r2~")))
        house.gated.send([], None)


def test_a_model_that_is_deleted_while_it_is_read(ask: Ask) -> None:
    """One or the other, never a failure, and never another's."""
    reads = [ON_VICTIM[name].request for name in ("get", "get version", "file", "get by alias")] * 6
    with ThreadPoolExecutor(4) as pool:
        coming = [pool.submit(ask, who, request) for request in reads for who in ("owner", "engineer")]
        gone = pool.submit(ask, "owner", ON_VICTIM["delete"].request)
        answers = [each.result() for each in coming]
        done(gone.result())
    for number, answer in enumerate(answers):
        if number % 2:
            refused(answer)
        else:
            assert answer.status in (200, 400, 403, 404), answer
