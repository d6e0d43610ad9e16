"""A receiver of `belay deliver` over https, written from the README alone, with what Python brings.

    receiver.py CERTIFICATE KEY SECRET

Prints its port, and then a line for each event that it takes: id, type and subject. It answers 401 to
what is not signed by the secret, and takes what it has already without printing it again.
"""

import base64
import hashlib
import hmac
import http.server
import json
import ssl
import sys
import time

certificate, key, secret = sys.argv[1:]
secret = base64.b64decode(secret.removeprefix("whsec_"))
# The longest that a message may have been under way.
TOLERANCE = 300
seen = set()


class Receiver(http.server.BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"

    def do_POST(self):
        body = self.rfile.read(int(self.headers["content-length"]))
        self.send_response(204 if self.is_signed(body) else 401)
        self.send_header("content-length", "0")
        self.end_headers()

    def is_signed(self, body):
        name, sent = self.headers["webhook-id"], self.headers["webhook-timestamp"]
        signed = f"{name}.{sent}.".encode() + body
        digest = hmac.new(secret, signed, hashlib.sha256).digest()
        expected = "v1," + base64.b64encode(digest).decode()
        given = self.headers["webhook-signature"].split(" ")
        if not any(hmac.compare_digest(one, expected) for one in given):
            return False
        if abs(time.time() - int(sent)) > TOLERANCE:
            return False
        event = json.loads(body)
        if name not in seen:
            print(name, event["type"], event["subject"], flush=True)
        seen.add(name)
        return True

    def log_message(self, *_):
        pass


server = http.server.ThreadingHTTPServer(("127.0.0.1", 0), Receiver)
context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
context.load_cert_chain(certificate, key)
server.socket = context.wrap_socket(server.socket, server_side=True)
print("port", server.server_address[1], flush=True)
server.serve_forever()
