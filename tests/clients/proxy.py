"""What every client's suite stands on: the binary, what it is asked, and what the upstream got."""
import base64
import json
import os
import re
import signal
import subprocess
import tempfile
import time
import urllib.request

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.path.abspath(os.environ.get('CLAUDE_PROXY_BIN', os.path.join(ROOT, 'build', 'claude-proxy')))
MODEL = 'claude-haiku-5-5'
THINKING_MODEL = 'claude-opus-5-5'
KEY = 'python-client-key'

# An image of one pixel, and a document of one empty page.
PNG = base64.b64decode('iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==')
PDF = (b'%PDF-1.4\n1 0 obj<</Type/Catalog/Pages 2 0 R>>endobj\n2 0 obj<</Type/Pages/Kids[3 0 R]/Count 1>>endobj\n'
       b'3 0 obj<</Type/Page/Parent 2 0 R/MediaBox[0 0 9 9]>>endobj\ntrailer<</Root 1 0 R>>\n%%EOF\n')


class Server:
    """The binary, listening on a port of its own; its end must be clean."""

    def __init__(self, *args, **env):
        self.log = tempfile.TemporaryFile('w+')
        passed_on = {name: value for name, value in os.environ.items()
                     if name in ('PATH', 'HOME') or name.endswith('SAN_OPTIONS')}
        self.process = subprocess.Popen([BINARY, *args], env={**passed_on, **env}, stdin=subprocess.DEVNULL,
                                        stdout=self.log, stderr=self.log, cwd=tempfile.gettempdir())
        self.port = self._wait_for_port()

    def _output(self):
        self.log.seek(0)
        return self.log.read()

    def _wait_for_port(self):
        end = time.monotonic() + 20
        while time.monotonic() < end and self.process.poll() is None:
            for line in self._output().splitlines():
                match = re.search(r'\bport"?[=:]\s*"?(\d+)|://\S+:(\d+)$', line)
                if 'listening' in line and match:
                    return int(match.group(1) or match.group(2))
            time.sleep(0.02)
        self.process.kill()
        raise AssertionError(f'it does not listen: {self._output()}')

    def stop(self):
        self.process.send_signal(signal.SIGTERM)
        try:
            code = self.process.wait(timeout=45)
        finally:
            self.process.kill()
        output = self._output()
        assert code == 0, output
        assert not re.search(r'Sanitizer|runtime error:', output), output


class Upstream:
    """What the simulator saw."""

    def __init__(self, port):
        self.port = port

    def bodies(self):
        """The Messages requests, oldest first."""
        with urllib.request.urlopen(f'http://127.0.0.1:{self.port}/__sim/stats') as answer:
            recent = json.load(answer)['recent']
        recent = [call for call in recent if call['request'].startswith('POST') and '/v1/messages' in call['request']]
        return [call['body'] for call in sorted(recent, key=lambda call: call['at_us'])]

    @property
    def last(self):
        return self.bodies()[-1]

    def blocks(self, kind):
        """The blocks of one type in the last request."""
        contents = [message['content'] for message in self.last['messages']]
        return [block for content in contents if isinstance(content, list) for block in content if block['type'] == kind]


def user(content):
    return [{'role': 'user', 'content': content}]


def quoted(value):
    """A value of a directive that is JSON itself."""
    return json.dumps(json.dumps(value, ensure_ascii=False), ensure_ascii=False)


def data_url(kind, data):
    return f'data:{kind};base64,{base64.b64encode(data).decode()}'
