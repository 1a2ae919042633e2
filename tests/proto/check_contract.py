#!/usr/bin/env python3
"""Holds our wire contract against the one that Envoy publishes.

    .tools/venv/bin/python tests/proto/check_contract.py DESCRIPTORS

DESCRIPTORS is a serialised google.protobuf.FileDescriptorSet: what build.rs makes of proto/, and what the service offers by
gRPC reflection. Ours is a part of Envoy's: every message, field, enum value, service and method of ours must be in Envoy's
published descriptors (PyPI: xds-protos, googleapis-common-protos), the same in name, number, type, label and oneof. What Envoy
has and we leave out is no difference. Prints what was compared; exit code 0: no difference, 1: differences, one on each line.
"""

import importlib
import sys
from pathlib import Path

try:
    from google.protobuf import descriptor_pb2, descriptor_pool
    from google.protobuf.message import DecodeError
except ImportError:
    sys.exit("the published descriptors are not installed: run `scripts/setup.py protos`")

FIELD = descriptor_pb2.FieldDescriptorProto
# Not Envoy's: protobuf's own types, which every implementation brings along.
OWN = "google/protobuf/"


def published(file):
    """The published statement of a file of the same name."""
    module = file.name.removesuffix(".proto").replace("/", ".") + "_pb2"
    try:
        importlib.import_module(module)
    except ImportError:
        return None
    theirs = descriptor_pb2.FileDescriptorProto()
    descriptor_pool.Default().FindFileByName(file.name).CopyToProto(theirs)
    return theirs


def by_name(items):
    return {item.name: item for item in items}


class Comparison:
    def __init__(self):
        self.compared = []
        self.differences = []

    def differs(self, name, what):
        self.differences.append(f"{name}: {what}")

    def pairs(self, scope, kind, ours, theirs):
        """Ours beside theirs of the same name; the missing ones are differences."""
        theirs = by_name(theirs)
        for item in ours:
            name = f"{scope}.{item.name}"
            if item.name in theirs:
                yield name, item, theirs[item.name]
            else:
                self.differs(name, f"Envoy has no such {kind}")

    def file(self, ours):
        theirs = published(ours)
        if theirs is None:
            self.differs(ours.name, "Envoy publishes no such file")
            return
        for what in ("package", "syntax"):
            if getattr(ours, what) != getattr(theirs, what):
                self.differs(ours.name, f"{what} is {getattr(ours, what)!r}, Envoy's is {getattr(theirs, what)!r}")
        for name, our, their in self.pairs(ours.package, "message", ours.message_type, theirs.message_type):
            self.message(name, our, their)
        for name, our, their in self.pairs(ours.package, "enum", ours.enum_type, theirs.enum_type):
            self.enum(name, our, their)
        for name, our, their in self.pairs(ours.package, "service", ours.service, theirs.service):
            self.service(name, our, their)

    def message(self, name, ours, theirs):
        # Map entries are nested messages, so maps are compared like everything else.
        if ours.options.map_entry != theirs.options.map_entry:
            self.differs(name, "only one of the two is the entry of a map")
        fields = list(self.pairs(name, "field", ours.field, theirs.field))
        for field, our, their in fields:
            self.field(field, our, their, ours, theirs)
        self.compared.append(f"{name} ({len(ours.field)} of {len(theirs.field)} fields)")
        for nested, our, their in self.pairs(name, "message", ours.nested_type, theirs.nested_type):
            self.message(nested, our, their)
        for nested, our, their in self.pairs(name, "enum", ours.enum_type, theirs.enum_type):
            self.enum(nested, our, their)

    def field(self, name, ours, theirs, our_message, their_message):
        facts = {
            "number": lambda field, _: field.number,
            "type": lambda field, _: FIELD.Type.Name(field.type),
            "message or enum": lambda field, _: field.type_name,
            "label": lambda field, _: FIELD.Label.Name(field.label),
            "oneof": lambda field, message: message.oneof_decl[field.oneof_index].name if field.HasField("oneof_index") else None,
            "presence": lambda field, _: field.proto3_optional,
        }
        for fact, of in facts.items():
            our, their = of(ours, our_message), of(theirs, their_message)
            if our != their:
                self.differs(name, f"{fact} is {our}, Envoy's is {their}")

    def enum(self, name, ours, theirs):
        for value, our, their in self.pairs(name, "value", ours.value, theirs.value):
            if our.number != their.number:
                self.differs(value, f"number is {our.number}, Envoy's is {their.number}")
        self.compared.append(f"{name} ({len(ours.value)} of {len(theirs.value)} values)")

    def service(self, name, ours, theirs):
        for method, our, their in self.pairs(name, "method", ours.method, theirs.method):
            for what in ("input_type", "output_type", "client_streaming", "server_streaming"):
                if getattr(our, what) != getattr(their, what):
                    self.differs(method, f"{what} is {getattr(our, what)}, Envoy's is {getattr(their, what)}")
            self.compared.append(f"{method} ({our.input_type.lstrip('.')} -> {our.output_type.lstrip('.')})")


def main():
    if len(sys.argv) != 2:
        sys.exit(__doc__)
    descriptors = descriptor_pb2.FileDescriptorSet()
    try:
        descriptors.ParseFromString(Path(sys.argv[1]).read_bytes())
    except DecodeError as error:
        sys.exit(f"{sys.argv[1]}: {error}")
    comparison = Comparison()
    for file in descriptors.file:
        if not file.name.startswith(OWN):
            comparison.file(file)
    print("\n".join(comparison.compared))
    if not comparison.compared:
        comparison.differs(sys.argv[1], "there is nothing to compare")
    if comparison.differences:
        print("\n".join(comparison.differences), file=sys.stderr)
        sys.exit(1)


if __name__ == "__main__":
    main()
