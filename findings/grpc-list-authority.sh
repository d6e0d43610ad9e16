#!/usr/bin/env bash
# gRPC's Python client sends the whole list of a target such as `ipv4:10.0.0.1:50051,10.0.0.2:50051` as the :authority
# of each call. That is no valid authority (a port is digits, and there is one), and servers differ: grpcio, grpc-js and
# grpclib take it, while servers on Rust's hyper reset the stream, so each call ends as INTERNAL before any handler runs.
# The same client reaches the same server by a single address, and by the list once grpc.default_authority is set.
# gRPC for Node sends the list's first address only. Those are hit who balance over fixed addresses without DNS, and only
# when a server, or what is behind their proxy, is replaced by one in Rust.
#
# Seen with grpcio 1.85.3, grpclib 0.4.9, granian 2.8.9 (a server on hyper), @grpc/grpc-js 1.14.7. Needs python3, node.
set -euo pipefail

tmp=$(mktemp -d)
pids=()
# shellcheck disable=SC2317,SC2329 # called by the trap
clean() {
  local pid
  for pid in "${pids[@]}"; do kill "$pid" 2>/dev/null && wait "$pid" || true; done
  rm -rf "$tmp"
}
trap clean EXIT
cd "$tmp"
python3 -m venv venv
venv/bin/pip install -q grpcio==1.85.3 grpclib==0.4.9 granian==2.8.9
npm install --silent --no-fund --no-audit --prefix . @grpc/grpc-js@1.14.7

# Four servers; each answers every call with NOT_FOUND and the text "reached".
cat >grpcio_server.py <<'PY'
import grpc, sys
from concurrent.futures import ThreadPoolExecutor
class All(grpc.GenericRpcHandler):
    def service(self, _):
        return grpc.unary_unary_rpc_method_handler(lambda _, context: context.abort(grpc.StatusCode.NOT_FOUND, "reached"))
server = grpc.server(ThreadPoolExecutor(1), handlers=[All()])
assert server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
server.start()
server.wait_for_termination()
PY
cat >grpclib_server.py <<'PY'
import asyncio, sys
from grpclib import GRPCError, Status
from grpclib.const import Cardinality, Handler
from grpclib.server import Server
class Service:
    async def say(self, stream):
        raise GRPCError(Status.NOT_FOUND, "reached")
    def __mapping__(self):
        return {"/t.T/Say": Handler(self.say, Cardinality.UNARY_UNARY, bytes, bytes)}
class Raw:
    __content_subtype__ = "proto"
async def main():
    server = Server([Service()], codec=Raw())
    await server.start("127.0.0.1", int(sys.argv[1]))
    await server.wait_closed()
asyncio.run(main())
PY
cat >granian_app.py <<'PY'
async def app(scope, receive, send):
    if scope["type"] == "http":
        headers = [(b"content-type", b"application/grpc"), (b"grpc-status", b"5"), (b"grpc-message", b"reached")]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": b""})
PY
cat >node.cjs <<'JS'
const grpc = require('@grpc/grpc-js'), same = bytes => bytes, [role, ...rest] = process.argv.slice(2)
if (role === 'server') {
  const server = new grpc.Server(), type = { path: '/t.T/Say', requestStream: false, responseStream: false,
    requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same }
  server.addService({ Say: type }, { Say: (_, done) => done({ code: grpc.status.NOT_FOUND, details: 'reached' }) })
  server.bindAsync(`127.0.0.1:${rest[0]}`, grpc.ServerCredentials.createInsecure(), failed => { if (failed) throw failed })
} else {
  const client = new grpc.Client(rest[0], grpc.credentials.createInsecure())
  client.makeUnaryRequest('/t.T/Say', same, same, Buffer.from('x'), { deadline: Date.now() + 30000 }, error => {
    console.log(grpc.status[error.code], error.details)
    client.close()
  })
}
JS
mapfile -t ports < <(python3 -c '
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(4)]
for s in held: print(s.getsockname()[1])')
venv/bin/python grpcio_server.py "${ports[0]}" & pids+=($!)
venv/bin/python grpclib_server.py "${ports[1]}" & pids+=($!)
node node.cjs server "${ports[2]}" & pids+=($!)
venv/bin/granian --interface asgi --http 2 --no-ws --port "${ports[3]}" granian_app:app >granian.log 2>&1 & pids+=($!)

venv/bin/python - "${ports[@]}" <<'PY'
import grpc, socket, subprocess, sys, time
from importlib.metadata import version

def python(target, *options):
    with grpc.insecure_channel(target, options=options) as channel:
        try:
            channel.unary_unary("/t.T/Say")(b"x", timeout=30)
        except grpc.RpcError as error:
            return f"{error.code().name} {error.details()}"
def node(target):
    return subprocess.run(["node", "node.cjs", "client", target], capture_output=True, text=True, check=True).stdout.strip()

print("grpcio", version("grpcio"), "grpclib", version("grpclib"), "granian", version("granian"), "@grpc/grpc-js 1.14.7")
print("expected: NOT_FOUND reached, from each server by each target")
surprised = True
for name, port in zip(["grpcio", "grpclib", "grpc-js", "granian (hyper)"], sys.argv[1:]):
    for _ in range(300):
        if socket.socket().connect_ex(("127.0.0.1", int(port))) == 0:
            break
        time.sleep(0.1)
    one, many = f"ipv4:127.0.0.1:{port}", f"ipv4:127.0.0.1:{port},127.0.0.1:{port}"
    rows = {"Python, one address": python(one), "Python, list": python(many),
            "Python, list, grpc.default_authority": python(many, ("grpc.default_authority", "localhost")),
            "Node, one address": node(one), "Node, list": node(many)}
    for client, seen in rows.items():
        print(f"  {name:16} {client:37} {seen}")
        refused = name.startswith("granian") and client == "Python, list"
        surprised &= seen.startswith("INTERNAL") and "RST_STREAM" in seen if refused else seen == "NOT_FOUND reached"
print("as described" if surprised else "NOT as described any more")
sys.exit(not surprised)
PY
