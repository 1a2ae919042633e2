#!/usr/bin/env python3
"""A stand-in for Jira that believes X-Remote-User, as Jira does, and answers every request with what it received.

    stand_in.py [--port 0] [--exit-with-parent]

Loopback only. `--port 0` lets the kernel choose; the one line on standard output, `ready {"port": N}`, tells the result.
The answer is JSON: method, path, headers (ordered pairs: duplicates and case as they came), body_bytes, user.
"""

import argparse
import json
import os
import sys
import threading
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer


class StandIn(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True
    wbufsize = -1  # one write per answer

    def __getattr__(self, name):
        if name.startswith("do_"):  # every method, PROPFIND and the like included
            return self.answer
        raise AttributeError(name)

    def answer(self):
        users = self.headers.get_all("X-Remote-User", [])
        body = json.dumps(
            {
                "method": self.command,
                # Not self.path: http.server turns a leading // into /.
                "path": self.requestline.split(" ")[1],
                "headers": self.headers.items(),
                "body_bytes": self.body_bytes(),
                "user": ",".join(users) if users else None,
            }
        ).encode()
        self.send_response(200)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        # Jira starts a session for whoever the header names; the gateway must not hand that session to the client.
        self.send_header("Set-Cookie", "JSESSIONID=a-session-that-outlives-the-token; Path=/; HttpOnly")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def body_bytes(self):
        """Reads the body to its end: a rest would be taken for the next request of the connection."""
        if self.headers.get("Transfer-Encoding", "").lower() != "chunked":
            return len(self.rfile.read(int(self.headers.get("Content-Length", 0))))
        total = 0
        while size := int(self.rfile.readline().split(b";")[0], 16):
            total += len(self.rfile.read(size))
            self.rfile.readline()
        while self.rfile.readline().strip():  # trailers
            pass
        return total

    def log_message(self, *_):
        pass


class Server(ThreadingHTTPServer):
    daemon_threads = True
    request_queue_size = 128


def exit_at_end_of_stdin():
    sys.stdin.buffer.read()
    os._exit(0)


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--port", type=int, default=0)
    parser.add_argument("--exit-with-parent", action="store_true", help="exit when standard input ends")
    args = parser.parse_args()
    if args.exit_with_parent:
        threading.Thread(target=exit_at_end_of_stdin, daemon=True).start()
    server = Server(("127.0.0.1", args.port), StandIn)
    print("ready", json.dumps({"port": server.server_port}), flush=True)
    server.serve_forever()


if __name__ == "__main__":
    try:
        main()
    except KeyboardInterrupt:
        pass
