"""gRPC's generator for Python as a plugin that buf can run: grpcio-tools has it only within its own protoc."""

import pathlib
import sys
import tempfile

from google.protobuf import descriptor_pb2
from google.protobuf.compiler import plugin_pb2
from grpc_tools import protoc


def main() -> None:
    request = plugin_pb2.CodeGeneratorRequest.FromString(sys.stdin.buffer.read())
    response = plugin_pb2.CodeGeneratorResponse()
    response.supported_features = response.FEATURE_PROTO3_OPTIONAL
    with tempfile.TemporaryDirectory() as folder:
        files = pathlib.Path(folder, "files.binpb")
        files.write_bytes(descriptor_pb2.FileDescriptorSet(file=request.proto_file).SerializeToString())
        out = pathlib.Path(folder, "out")
        out.mkdir()
        arguments = [f"--descriptor_set_in={files}", f"--grpc_python_out={request.parameter}:{out}"]
        # Of files without a service it makes empty modules, which nothing imports.
        with_services = [file.name for file in request.proto_file if file.service]
        names = [name for name in with_services if name in request.file_to_generate]
        if names and protoc.main(["protoc", *arguments, *names]) != 0:
            response.error = "grpc_tools.protoc failed: see above"
        for path in sorted(out.rglob("*.py")):
            response.file.add(name=path.relative_to(out).as_posix(), content=path.read_text())
    sys.stdout.buffer.write(response.SerializeToString())


main()
