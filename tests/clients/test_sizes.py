"""What lists carry has an end: else one model's owner could keep everybody's lists, and the index of files, from being read."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

from conftest import Gate
from harness.rest import send

API = "/api/2.0/mlflow/"
LARGE = "x" * 90_000
MOST = 2**20


def test_tags_have_room_and_no_more(fresh_gate: Gate) -> None:
    """Of a version and of a model, one by one and all at once; what is there can be replaced and deleted."""
    gate, name = fresh_gate, "large"
    ann = gate.sekisho.token("ann@example.com", "ml_engineer", [name])

    def write(method: str, path: str, **body: str) -> int:
        return send(gate.url, method, API + path, ann, {"name": name, **body}).status

    assert write("POST", "registered-models/create") == 200
    past = {"name": name, "source": "s3://x/y"}
    assert send(gate.mlflow.url, "POST", API + "model-versions/create", None, past).status == 200
    for path, more in (("model-versions", {"version": "1"}), ("registered-models", {})):
        with ThreadPoolExecutor(16) as pool:
            said = list(pool.map(lambda n: write("POST", f"{path}/set-tag", key=f"k{n}", value=LARGE, **more), range(16)))
        assert sorted(set(said)) == [200, 400], said
        kept = [n for n, status in enumerate(said) if status == 200]
        assert len(kept) == MOST // len(LARGE)
        assert write("POST", f"{path}/set-tag", key=f"k{kept[0]}", value=LARGE[1:], **more) == 200
        assert write("POST", f"{path}/set-tag", key="one more", value=LARGE, **more) == 400
        assert write("DELETE", f"{path}/delete-tag", key=f"k{kept[0]}", **more) == 200
        assert write("POST", f"{path}/set-tag", key="one more", value=LARGE, **more) == 200
    assert write("PATCH", "registered-models/update", description="x" * (256 * 1024 + 1)) == 400
    assert write("PATCH", "registered-models/update", description="x" * (256 * 1024)) == 200
