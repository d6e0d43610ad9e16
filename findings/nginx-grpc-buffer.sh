#!/usr/bin/env bash
# nginx's grpc_pass turns a valid gRPC answer into a 502 (the client sees UNAVAILABLE) when its first header block does
# not fit grpc_buffer_size. What counts is the block as HPACK packed it, not how long its headers are: 6000 zeros pass a
# buffer of 4 KiB and 3801 characters of JSON do not, as Huffman coding takes 5 bits for a zero and up to 15 for JSON's
# punctuation. 7001 characters pass as trailers after a message. But the trailers of an error without a message are its
# first header block, so its code is lost: a NOT_FOUND becomes an UNAVAILABLE, which clients may take for a reason to
# retry. Those are hit who send rich errors (grpc-status-details-bin, JSON in metadata) through nginx.
#
# Seen with nginx 1.22.1 (Debian 1.22.1-9+deb12u7), grpclib 0.4.9 with h2 4.4.1, grpcio 1.85.3. Needs apt on Debian 12
# with fresh package lists (apt-get update), python3.
set -euo pipefail
umask 022
package=1.22.1-9+deb12u7

tmp=$(mktemp -d)
pid=
# shellcheck disable=SC2317,SC2329 # called by the trap
clean() {
  [[ -z $pid ]] || { kill "$pid" 2>/dev/null && wait "$pid"; } || true
  rm -rf "$tmp"
}
trap clean EXIT
chmod 755 "$tmp" && cd "$tmp"
apt-get -q -o APT::Sandbox::User=root download "nginx=$package" >log 2>&1 || { cat log >&2 && exit 2; }
dpkg-deb -x nginx_*.deb nginx
python3 -m venv venv
venv/bin/pip install -q grpclib==0.4.9 h2==4.4.1 hpack==4.2.0 grpcio==1.85.3

# Everything talks over sockets in this folder; 4k is nginx's default where a memory page has 4 KiB.
cat >nginx.conf <<CONF
daemon off; master_process off; pid $tmp/pid; error_log $tmp/error.log;
events {}
http {
  access_log off;
  client_body_temp_path $tmp/t; proxy_temp_path $tmp/t; fastcgi_temp_path $tmp/t; uwsgi_temp_path $tmp/t; scgi_temp_path $tmp/t;
  server {
    listen unix:$tmp/front http2;
    grpc_buffer_size 4k;
    location / { grpc_pass grpc://unix:$tmp/back; }
  }
}
CONF
nginx/usr/sbin/nginx -v
nginx/usr/sbin/nginx -p "$tmp" -c "$tmp/nginx.conf" 2>log &
pid=$!
until [[ -S front ]]; do
  kill -0 "$pid" 2>/dev/null || { cat log error.log >&2 && exit 2; }
  sleep 0.1
done

venv/bin/python - <<'PY'
import asyncio, grpc, json, sys
from importlib.metadata import version
from grpclib import Status
from grpclib.const import Cardinality, Handler
from grpclib.server import Server
from hpack import Encoder

class Raw:
    __content_subtype__ = "proto"
    encode = decode = lambda self, value, _: value

class Service:  # gives the text that it gets back as metadata, at the place that the method names
    async def header(self, stream):
        note = (await stream.recv_message()).decode()
        await stream.send_initial_metadata(metadata={"note": note})
        await stream.send_message(b"ok")
    async def trailer(self, stream):
        note = (await stream.recv_message()).decode()
        await stream.send_message(b"ok")
        await stream.send_trailing_metadata(metadata={"note": note})
    async def error(self, stream):
        note = (await stream.recv_message()).decode()
        await stream.send_trailing_metadata(status=Status.NOT_FOUND, status_message="gone", metadata={"note": note})
    def __mapping__(self):
        return {f"/t.T/{name}": Handler(getattr(self, name), Cardinality.UNARY_UNARY, bytes, bytes)
                for name in ("header", "trailer", "error")}

async def call(socket, method, note):
    async with grpc.aio.insecure_channel(f"unix:{socket}") as channel:
        try:
            await channel.unary_unary(f"/t.T/{method}")(note.encode(), timeout=30)
            return "OK"
        except grpc.RpcError as error:
            return error.code().name

async def main():
    server = Server([Service()], codec=Raw())
    await server.start(path="back")
    def text(lines):
        return json.dumps([{"q": 1}] * lines, separators=(",", ":"))
    zeros, short, long = "0" * 6000, text(475), text(875)
    assert (len(short), len(long)) == (3801, 7001)
    print(*(f"{package} {version(package)}" for package in ("grpclib", "h2", "hpack", "grpcio")))
    print("expected: through nginx as without it, or at least that the longest fail first")
    surprised = True
    for method, what, note, wanted in (
        ("header", "6000 zeros", zeros, "OK"), ("header", "JSON of 3801 characters", short, "UNAVAILABLE"),
        ("trailer", "JSON of 3801 characters", short, "OK"), ("trailer", "JSON of 7001 characters", long, "OK"),
        ("error", "6000 zeros", zeros, "NOT_FOUND"), ("error", "JSON of 3801 characters", short, "UNAVAILABLE"),
    ):
        direct, proxied = await call("back", method, note), await call("front", method, note)
        packed = len(Encoder().encode([("note", note)]))
        print(f"  {method:8} {what:24} packed: {packed:5} bytes   direct: {direct:10} through nginx: {proxied}")
        surprised &= proxied == wanted and direct == ("NOT_FOUND" if method == "error" else "OK")
    refused = open("error.log").read().count("upstream sent too big header")
    print(f"nginx says 'upstream sent too big header' {refused} times")
    surprised &= refused == 2
    server.close()
    await server.wait_closed()
    print("as described" if surprised else "NOT as described any more")
    return not surprised

sys.exit(asyncio.run(main()))
PY
