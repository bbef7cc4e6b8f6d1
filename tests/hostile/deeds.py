"""Everything that can be done to a registered model through the registry, once, in its plain form."""

from __future__ import annotations

from dataclasses import dataclass

from hostile.vector import API, FILES, VICTIM, Request, Twin, call, get, post


@dataclass(frozen=True)
class Deed:
    """A request and the permission that it takes."""

    name: str
    permission: str
    request: Request

    @property
    def reads(self) -> bool:
        """Whether it changes nothing."""
        return self.permission.endswith("_read")

    def twin(self, who: str = "owner") -> Twin:
        """The same by somebody who may."""
        return Twin("tester" if self.permission == "evidence_write" and who == "owner" else who, self.request)


def deeds(name: str) -> list[Deed]:
    """All of them, on the model `name`."""
    version = {"name": name, "version": "1"}
    rows: list[tuple[str, str, Request]] = [
        ("get", "metadata_read", get("registered-models/get", name=name)),
        ("get version", "metadata_read", get("model-versions/get", **version)),
        ("get by alias", "metadata_read", get("registered-models/alias", name=name, alias="champion")),
        ("latest by POST", "metadata_read", post("registered-models/get-latest-versions", name=name)),
        ("latest by GET", "metadata_read", get("registered-models/get-latest-versions", name=name)),
        ("download uri", "model_read", get("model-versions/get-download-uri", **version)),
        ("file", "model_read", get("/model-versions/get-artifact", **version, path="MLmodel")),
        ("describe", "metadata_write", call("PATCH", "registered-models/update", name=name, description="changed")),
        ("tag", "metadata_write", post("registered-models/set-tag", name=name, key="k", value="v")),
        ("untag", "metadata_write", call("DELETE", "registered-models/delete-tag", name=name, key="note")),
        ("describe version", "metadata_write", call("PATCH", "model-versions/update", **version, description="changed")),
        ("tag version", "metadata_write", post("model-versions/set-tag", **version, key="k", value="v")),
        ("untag version", "metadata_write", call("DELETE", "model-versions/delete-tag", **version, key="note")),
        ("evidence", "evidence_write", post("model-versions/set-tag", **version, key="evidence.unit_test", value="passed")),
        ("new version", "model_write", post("model-versions/create", name=name, source="runs:/~spare~/model", run_id="~spare~")),
        ("delete version", "model_delete", call("DELETE", "model-versions/delete", **version)),
        ("delete", "model_delete", call("DELETE", "registered-models/delete", name=name)),
        ("alias", "model_deploy", post("registered-models/alias", **version, alias="taken")),
        ("move alias", "model_deploy", post("registered-models/alias", name=name, version="2", alias="champion")),
        ("unalias", "model_deploy", call("DELETE", "registered-models/alias", name=name, alias="champion")),
        ("archive", "stage_transition", post("model-versions/transition-stage", **version, stage="Archived")),
    ]
    return [Deed(*row) for row in rows]


ON_VICTIM = {deed.name: deed for deed in deeds(VICTIM)}
ON_MINE = {deed.name: deed for deed in deeds("mine_a")}

FREE_FILE = Twin("engineer", Request("GET", f"{FILES}/~e~/~spare~/artifacts/plot.txt"))
OWN_SEARCH = Twin("engineer", get("model-versions/search", filter="name = 'mine_a'"))
PLAIN_PATH = API + "registered-models/get"
