"""A service of one model: `python examples/service.py runs/NAME/final 8000`, then POST {"texts": ["a text"]} to it."""

import json
import sys
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import compress
from compress.errors import InputError


class Service(BaseHTTPRequestHandler):
    """Answers {"texts": […]} with [{"label": …, "probability": …}, …]; a pair of texts is a list of two."""

    def do_POST(self) -> None:
        """Ask the model; 400 for what is no such question."""
        try:
            asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["texts"]
            answers = classifier([text if isinstance(text, str) else tuple(text) for text in asked])
            self.reply(200, [vars(answer) for answer in answers])
        except (KeyError, TypeError, ValueError, InputError) as error:
            self.reply(400, {"error": str(error)})

    def reply(self, status: int, content: object) -> None:
        """Send JSON."""
        body = json.dumps(content).encode()
        self.send_response(status)
        self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)


if __name__ == "__main__":
    folder, port = sys.argv[1], int(sys.argv[2])
    classifier = compress.Classifier(folder)
    with ThreadingHTTPServer(("127.0.0.1", port), Service) as server:
        print(f"http://127.0.0.1:{server.server_address[1]} answers by {classifier}", flush=True)
        server.serve_forever()
