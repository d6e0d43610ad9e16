#!/usr/bin/env bash
# Connect's client for Node writes `timeoutMs` into the header grpc-timeout as it is. The time that is left until a
# deadline, `until - performance.now()`, is a fraction, and gRPC has whole numbers of at most 8 digits there: 30000.5 becomes
# `30000.5m`, and 28 hours become 9 digits. Servers differ: Connect's own refuses the call as INVALID_ARGUMENT, gRPC's for
# Python as INTERNAL, and that for Node reads `5m` out of it: of 30 seconds 5 ms are left. Nothing says that it is the client's
# header. Those are hit who hand on the deadline of their own caller, as one should, and as gRPC's own client for Node does
# in whole milliseconds, or seconds where there are many.
#
# Seen with @connectrpc/connect and connect-node 2.3.0, @grpc/grpc-js 1.14.7, grpcio 1.85.3. Needs node 20 or newer, python3.
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
venv/bin/pip install -q grpcio==1.85.3
npm install --silent --no-fund --no-audit --prefix . @connectrpc/connect@2.3.0 @connectrpc/connect-node@2.3.0 \
  @bufbuild/protobuf@2.17.0 @grpc/grpc-js@1.14.7

# Three servers; each answers every call with NOT_FOUND and what it makes of the deadline.
cat >server.py <<'PY'
import grpc, sys
from concurrent.futures import ThreadPoolExecutor
def say(_, context):
    left = context.time_remaining()
    context.abort(grpc.StatusCode.NOT_FOUND, "no deadline" if left is None or left > 1e6 else "a deadline")
class All(grpc.GenericRpcHandler):
    def service(self, _):
        return grpc.unary_unary_rpc_method_handler(say)
server = grpc.server(ThreadPoolExecutor(1), handlers=[All()])
assert server.add_insecure_port(f"127.0.0.1:{sys.argv[1]}")
server.start()
server.wait_for_termination()
PY
cat >common.mjs <<'JS'
import { create, createFileRegistry } from '@bufbuild/protobuf'
import { EmptySchema, FileDescriptorProtoSchema, file_google_protobuf_empty } from '@bufbuild/protobuf/wkt'
const file = create(FileDescriptorProtoSchema, { name: 't.proto', package: 't', syntax: 'proto3', dependency: ['google/protobuf/empty.proto'],
  service: [{ name: 'T', method: [{ name: 'Say', inputType: '.google.protobuf.Empty', outputType: '.google.protobuf.Empty' }] }] })
export const T = createFileRegistry(file, name => name === 'google/protobuf/empty.proto' ? file_google_protobuf_empty.proto : undefined).getService('t.T')
JS
cat >servers.mjs <<'JS'
import * as http2 from 'node:http2'
import { Code, ConnectError } from '@connectrpc/connect'
import { connectNodeAdapter } from '@connectrpc/connect-node'
import grpc from '@grpc/grpc-js'
import { T } from './common.mjs'
const [own, js] = process.argv.slice(2), same = bytes => bytes
const say = (_, context) => { throw new ConnectError(context.timeoutMs() === undefined ? 'no deadline' : 'a deadline', Code.NotFound) }
http2.createServer(connectNodeAdapter({ routes: router => router.service(T, { say }) })).listen(own, '127.0.0.1')
const server = new grpc.Server(), type = { path: '/t.T/Say', requestStream: false, responseStream: false,
  requestSerialize: same, requestDeserialize: same, responseSerialize: same, responseDeserialize: same }
server.addService({ Say: type }, { Say: (call, done) =>
  done({ code: grpc.status.NOT_FOUND, details: call.getDeadline() - Date.now() > 100 ? 'a deadline' : 'a deadline of milliseconds' }) })
server.bindAsync(`127.0.0.1:${js}`, grpc.ServerCredentials.createInsecure(), failed => { if (failed) throw failed })
JS
cat >client.mjs <<'JS'
import * as net from 'node:net'
import * as http2 from 'node:http2'
import { Code, ConnectError, createClient } from '@connectrpc/connect'
import { createGrpcTransport } from '@connectrpc/connect-node'
import grpc from '@grpc/grpc-js'
import { T } from './common.mjs'

for (const port of process.argv.slice(2)) {
  const opens = () => new Promise(done => { const s = net.connect(port, '127.0.0.1', () => done(s.end())).on('error', () => done()) })
  for (let i = 0; i < 300 && !await opens(); i++) await new Promise(done => setTimeout(done, 100))
}
// What is sent: a server that shows the header.
const shown = http2.createServer(), headers = []
shown.on('stream', (stream, head) => { headers.push(head['grpc-timeout']); stream.respond({ ':status': 200, 'content-type': 'application/grpc', 'grpc-status': '5' }, { endStream: true }) })
await new Promise(done => shown.listen(0, '127.0.0.1', done))

const connect = async (port, timeoutMs) => {
  try { await createClient(T, createGrpcTransport({ baseUrl: `http://127.0.0.1:${port}` })).say({}, { timeoutMs }) }
  catch (error) { const e = ConnectError.from(error); return `${Code[e.code]} ${e.rawMessage}` }
}
const grpcJs = (port, timeoutMs) => new Promise(done => {
  const same = bytes => bytes, client = new grpc.Client(`127.0.0.1:${port}`, grpc.credentials.createInsecure())
  client.makeUnaryRequest('/t.T/Say', same, same, Buffer.alloc(0), { deadline: new Date(Date.now() + timeoutMs) }, () => done(client.close()))
})
const day = 28 * 3600 * 1000
for (const timeout of [1500, 1500.5, day]) await connect(shown.address().port, timeout)
for (const timeout of [1500, 1500.5, day]) await grpcJs(shown.address().port, timeout)
const sent = { connect: headers.slice(0, 3), 'grpc-js': headers.slice(3) }
console.log('expected: in grpc-timeout at most 8 digits and a unit, and from each server: NotFound a deadline')
for (const [client, of] of Object.entries(sent)) console.log(`  ${client.padEnd(8)} sends for 1500, 1500.5 and ${day} ms:`, of.join('  '))
const valid = value => /^\d{1,8}[HMSmun]$/.test(value)
let surprised = sent.connect.map(valid).join() === 'true,false,false' && sent['grpc-js'].every(valid)
const [own, js, python] = process.argv.slice(2)
for (const [server, port] of Object.entries({ connect: own, 'grpc-js': js, grpcio: python })) {
  for (const timeout of [30_000, 30_000.5]) {
    const seen = await connect(port, timeout)
    console.log(`  connect calls ${server.padEnd(8)} with ${String(timeout).padEnd(7)} ms: ${seen}`)
    surprised &&= timeout === 30_000 ? seen === 'NotFound a deadline'
      : { connect: /^InvalidArgument .*30000\.5m/, grpcio: /^Internal .*grpc-timeout/,
          'grpc-js': /^NotFound a deadline of milliseconds|^DeadlineExceeded/ }[server].test(seen)
  }
}
console.log(surprised ? 'as described' : 'NOT as described any more')
process.exit(surprised ? 0 : 1)
JS
mapfile -t ports < <(python3 -c '
import socket
held = [socket.create_server(("127.0.0.1", 0)) for _ in range(3)]
for s in held: print(s.getsockname()[1])')
node servers.mjs "${ports[0]}" "${ports[1]}" & pids+=($!)
GRPC_VERBOSITY=NONE venv/bin/python server.py "${ports[2]}" & pids+=($!)
echo "node $(node --version) @connectrpc/connect 2.3.0 @grpc/grpc-js 1.14.7 grpcio 1.85.3"
node client.mjs "${ports[@]}"
