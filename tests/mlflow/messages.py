"""Prints the request messages of the installed MLflow as `src/route/table/messages.txt` holds them.

Run it with the Python that has MLflow: `python tests/mlflow/messages.py > src/route/table/messages.txt`.
`tests/mlflow/test_messages.py` fails when the file and the package differ.
"""

from google.protobuf import descriptor

from mlflow.server.handlers import (
    MlflowArtifactsService,
    MlflowService,
    ModelRegistryService,
    WebhookService,
)
from mlflow.version import VERSION

SERVICES = (MlflowService, ModelRegistryService, MlflowArtifactsService, WebhookService)

SCALARS = {
    descriptor.FieldDescriptor.TYPE_DOUBLE: "double",
    descriptor.FieldDescriptor.TYPE_FLOAT: "float",
    descriptor.FieldDescriptor.TYPE_INT64: "int64",
    descriptor.FieldDescriptor.TYPE_INT32: "int32",
    descriptor.FieldDescriptor.TYPE_UINT64: "uint64",
    descriptor.FieldDescriptor.TYPE_FIXED64: "uint64",
    descriptor.FieldDescriptor.TYPE_UINT32: "uint32",
    descriptor.FieldDescriptor.TYPE_FIXED32: "uint32",
    descriptor.FieldDescriptor.TYPE_BOOL: "bool",
    descriptor.FieldDescriptor.TYPE_STRING: "string",
    descriptor.FieldDescriptor.TYPE_BYTES: "bytes",
}
WELL_KNOWN = {
    "google.protobuf.Timestamp": "timestamp",
    "google.protobuf.Duration": "duration",
    "google.protobuf.FieldMask": "fieldmask",
    "google.protobuf.Value": "any",
}


PACKAGES = ("mlflow.artifacts.", "mlflow.issues.", "mlflow.label_schemas.", "mlflow.review_queues.", "mlflow.")


def short(full_name: str) -> str:
    if full_name == "mlflow.artifacts.ListArtifacts":
        return "artifacts.ListArtifacts"
    for package in PACKAGES:
        if full_name.startswith(package):
            return full_name.removeprefix(package)
    return full_name


def type_of(field) -> str:
    if field.message_type is None:
        if field.enum_type is not None:
            return "enum:" + short(field.enum_type.full_name)
        return SCALARS[field.type]
    message = field.message_type
    if message.GetOptions().map_entry:
        key, value = message.fields_by_name["key"], message.fields_by_name["value"]
        assert key.type == value.type == descriptor.FieldDescriptor.TYPE_STRING, message.full_name
        return "map"
    return WELL_KNOWN.get(message.full_name) or short(message.full_name)


def camel(name: str) -> str:
    head, *rest = name.split("_")
    return head + "".join(part[:1].upper() + part[1:] for part in rest)


def line(field) -> str:
    kind = type_of(field)
    many = "*" if field.is_repeated and kind != "map" else ""
    assert field.json_name == camel(field.name), (field.full_name, field.json_name)
    group = field.containing_oneof
    one_of = f" one-of:{group.name}" if group is not None and len(group.fields) > 1 else ""
    return f"  {field.name} {kind}{many}{one_of}"


def main() -> None:
    messages, enums = {}, {}

    def visit(message) -> None:
        if message.full_name in messages or message.full_name.startswith("google.protobuf."):
            return
        assert short(message.full_name) not in map(short, messages), message.full_name
        messages[message.full_name] = message
        for field in message.fields:
            if field.enum_type is not None:
                enums[field.enum_type.full_name] = field.enum_type
            elif field.message_type is not None and not field.message_type.GetOptions().map_entry:
                visit(field.message_type)

    for service in SERVICES:
        for method in service.DESCRIPTOR.methods:
            visit(method.input_type)

    print(f"# Request messages of MLflow {VERSION}: made by tests/mlflow/messages.py, not by hand.")
    for name in sorted(enums):
        values = " ".join(f"{value.name}={value.number}" for value in enums[name].values)
        print(f"enum {short(name)} {values}")
    for name in sorted(messages):
        print(f"message {short(name)}")
        for field in messages[name].fields:
            print(line(field))


if __name__ == "__main__":
    main()
