"""What is compared: how each is started, addressed and stopped.

A new contender is a class here with a row in CONTENDERS: `command` says how to run it on a port in
front of an upstream, the rest is inherited.
"""
import glob
import http.client
import json
import os
import shutil
import signal
import socket
import ssl
import subprocess
import tempfile
import time
import urllib.parse

from suite import measure

ROOT = measure.ROOT
BINARY = os.environ.get('CLAUDE_PROXY_BIN', os.path.join(ROOT, 'build', 'claude-proxy'))
KEY = 'bench'
START_SECONDS_MAX = 120
MODEL = 'claude-haiku-4-5'


def free_port():
    with socket.socket() as s:
        s.bind(('127.0.0.1', 0))
        return s.getsockname()[1]


class Process:
    """A server in a process of its own, with a folder for its files."""

    def __init__(self, command, core, folder, env=None):
        self.log_path = os.path.join(folder, 'log')
        clean = {name: os.environ[name] for name in ('PATH', 'HOME') if name in os.environ}
        with open(self.log_path, 'ab') as log:
            self.process = measure.spawn(command, core, env=dict(clean, **(env or {})), stdout=log,
                                         stderr=log, stdin=subprocess.DEVNULL, cwd=folder,
                                         start_new_session=True)

    def stop(self):
        try:
            os.killpg(self.process.pid, signal.SIGKILL)
        except ProcessLookupError:
            pass
        self.process.wait()

    def tail(self):
        with open(self.log_path, errors='replace') as log:
            return log.read()[-2000:]


class Certificate:
    """A certificate for 127.0.0.1 that signs itself."""

    def __init__(self, folder):
        self.cert, self.key = os.path.join(folder, 'cert.pem'), os.path.join(folder, 'key.pem')
        subprocess.run(['openssl', 'req', '-x509', '-newkey', 'ec', '-pkeyopt',
                        'ec_paramgen_curve:P-256', '-nodes', '-keyout', self.key, '-out', self.cert,
                        '-days', '2', '-subj', '/CN=127.0.0.1', '-addext',
                        'subjectAltName=IP:127.0.0.1'], check=True, capture_output=True)


class Upstream:
    """The simulator, plain or with TLS (and then HTTP/2 for whoever asks for it)."""

    def __init__(self, folder, certificate=None):
        self.port = free_port()
        self.ca = certificate.cert if certificate else None
        self.url = f'{"https" if certificate else "http"}://127.0.0.1:{self.port}'
        command = [BINARY, 'sim', '--port', str(self.port), '--workers', '1']
        if certificate:
            command += ['--cert', certificate.cert, '--key', certificate.key]
        self.server = Process(command, measure.cores()[2], folder)
        self.stop = self.server.stop


class Contender:
    name = None
    api = 'openai'  # what it is asked in
    path = '/v1/chat/completions'
    skips = ()  # workloads in which it takes no part
    model_prefix = ''  # in front of the model's name, where it wants one
    is_slow = False  # so few requests a second that each has to be counted to its end
    ca = None  # for clients, where it is asked with TLS

    def __init__(self, upstream, workers=1):
        self.folder = None  # for its files, while it runs
        self.upstream, self.workers = upstream, workers
        self.port = free_port()
        self.url = f'http://127.0.0.1:{self.port}{self.path}'
        self.server = None

    # --- to be said by each ---------------------------------------------------------------------

    @classmethod
    def is_there(cls):
        """Why it cannot take part here, or None."""
        return None

    @classmethod
    def version(cls):
        return ''

    def command(self):
        """(the command, its environment)."""
        raise NotImplementedError

    def headers(self):
        return [f'Authorization: Bearer {KEY}']

    @classmethod
    def program_bytes(cls):
        """What of it lies on the disk, without what the system has anyway; None = not known."""
        return None

    @classmethod
    def image_bytes(cls):
        """What a container image of it holds, unpacked; None = none is built here."""
        return None

    # --- the same for all -----------------------------------------------------------------------

    def start(self):
        """Runs it and waits until it answers; returns the seconds that took."""
        self.folder = tempfile.mkdtemp(prefix='bench-')
        began = time.monotonic()
        command, env = self.command()
        pinned = set(measure.cores()[:2]) if self.workers > 1 else measure.cores()[0]
        self.server = Process(command, pinned, self.folder, env)
        body = json.dumps({'model': self.model_prefix + MODEL, 'max_tokens': 16,
                           'messages': [{'role': 'user', 'content': 'Hello'}]})
        while not self.answers(body):
            if self.server.process.poll() is not None or \
                    time.monotonic() - began > START_SECONDS_MAX:
                why = self.server.tail()
                self.stop()
                raise measure.StartError(f'does not answer: {why}')
            time.sleep(0.001)
        return time.monotonic() - began

    def post(self, body):
        """(status, what is answered)"""
        connection = self.connect()
        try:
            headers = dict(line.split(': ', 1) for line in self.headers())
            connection.request('POST', self.path, body,
                               dict(headers, **{'Content-Type': 'application/json'}))
            response = connection.getresponse()
            return response.status, response.read()
        finally:
            connection.close()

    def answers(self, body):
        try:
            return self.post(body)[0] == 200
        except (OSError, http.client.HTTPException):
            return False

    def connect(self):
        return http.client.HTTPConnection('127.0.0.1', self.port, timeout=10)

    def pids(self):
        return measure.with_children(self.server.process.pid)

    def stop(self):
        if self.server:
            self.server.stop()
            shutil.rmtree(self.folder, ignore_errors=True)


class Direct(Contender):
    """The simulator itself: what load generator and upstream cost, and how late they are alone."""
    name = 'direct'
    api = 'anthropic'
    path = '/v1/messages'

    def __init__(self, upstream, workers=1):
        super().__init__(upstream, workers)
        self.port, self.ca = upstream.port, upstream.ca
        self.url = upstream.url + self.path

    def headers(self):
        return ['x-api-key: bench', 'anthropic-version: 2023-06-01']

    def start(self):
        began = time.monotonic()
        body = json.dumps({'model': MODEL, 'max_tokens': 16,
                           'messages': [{'role': 'user', 'content': 'Hello'}]})
        while not self.answers(body):
            if time.monotonic() - began > START_SECONDS_MAX:
                raise measure.BenchError('the simulator does not answer')
            time.sleep(0.001)
        return time.monotonic() - began

    def connect(self):
        if not self.ca:
            return super().connect()
        context = ssl.create_default_context(cafile=self.ca)
        return http.client.HTTPSConnection('127.0.0.1', self.port, timeout=10, context=context)

    def pids(self):
        return []


class Nginx(Contender):
    """proxy_pass, unbuffered both ways, connections kept; no log.

    It closes connections that wait for a request when it has few left of worker_connections, and
    has memory for all of them from its start: so there is a quarter more than is needed.
    """
    name = 'nginx'
    api = 'anthropic'
    path = '/v1/messages'
    headers = Direct.headers

    @classmethod
    def is_there(cls):
        return None if shutil.which('nginx') else 'nginx is not installed (scripts/install-deps --bench)'

    @classmethod
    def version(cls):
        return subprocess.run(['nginx', '-v'], capture_output=True, text=True).stderr.strip() \
            .removeprefix('nginx version: nginx/')

    @classmethod
    def program_bytes(cls):
        return os.path.getsize(os.path.realpath(shutil.which('nginx')))

    def command(self):
        at = urllib.parse.urlsplit(self.upstream.url)
        verify = f'proxy_ssl_trusted_certificate {self.upstream.ca}; proxy_ssl_verify on; ' \
                 'proxy_ssl_name 127.0.0.1;' if self.upstream.ca else ''
        master = 'on' if self.workers > 1 else 'off'
        with open(os.path.join(self.folder, 'nginx.conf'), 'w') as file:
            file.write(f'''
daemon off; master_process {master}; worker_processes {self.workers};
pid {self.folder}/nginx.pid; error_log stderr;
events {{ worker_connections {measure.streams_max() * 5 // 2}; }}
http {{
  access_log off; keepalive_requests 1000000000; client_max_body_size 64m;
  upstream simulator {{
    server {at.netloc}; keepalive 1024; keepalive_requests 1000000000;
  }}
  server {{
    listen 127.0.0.1:{self.port} reuseport backlog=4096;
    location / {{
      proxy_pass {at.scheme}://simulator; proxy_http_version 1.1; proxy_set_header Connection "";
      proxy_buffering off; proxy_request_buffering off; proxy_read_timeout 300s; {verify}
    }}
  }}
}}
''')
        return ['nginx', '-p', self.folder, '-c', 'nginx.conf', '-e', 'stderr'], {}


def strip_to(path):
    subprocess.run(['strip', '-o', path, BINARY], check=True)


def bytes_below(folder):
    return sum(os.lstat(os.path.join(below, name)).st_size
               for below, _, names in os.walk(folder) for name in names)


class ClaudeProxy(Contender):
    """With authentication, limits, metrics, the log of requests and the sandbox."""
    name = 'claude-proxy'

    @classmethod
    def version(cls):
        words = subprocess.run([BINARY, '--version'], capture_output=True, text=True, check=True)
        return words.stdout.split()[-1]

    @classmethod
    def program_bytes(cls):
        with tempfile.TemporaryDirectory() as folder:
            stripped = os.path.join(folder, 'stripped')
            strip_to(stripped)
            return os.path.getsize(stripped)

    @classmethod
    def image_bytes(cls):
        """Of the Dockerfile's image, but for its list of parts, with this machine's libraries."""
        with tempfile.TemporaryDirectory() as root:
            program = 'usr/local/bin/claude-proxy'
            os.makedirs(os.path.dirname(os.path.join(root, program)))
            strip_to(os.path.join(root, program))
            subprocess.run([os.path.join(ROOT, 'deploy', 'image-root.sh'), root, program], check=True)
            return bytes_below(root)

    def command(self):
        env = {
            'ANTHROPIC_API_KEY': KEY,
            'CLAUDE_PROXY_API_KEY': KEY,
            'METRICS_KEY': 'metrics',
            'ANTHROPIC_BASE_URL': self.upstream.url,
            'REQUESTS_PER_MINUTE': '1000000000',
            'TOKENS_PER_MINUTE': '1000000000000',
            'MAX_CONNECTIONS': '30000',
            'UPSTREAM_CONNECTIONS': '30000',
            'LOG_FORMAT': 'json',
            'WORKERS': str(self.workers),
        }
        if self.upstream.ca:
            env['UPSTREAM_CA_FILE'] = self.upstream.ca
        return [BINARY, 'serve', '--host', '127.0.0.1', '--port', str(self.port),
                '--env-file', '/dev/null'], env


# --- other gateways -----------------------------------------------------------------------------

class Rival(Contender):
    """A gateway from npm or PyPI, which scripts/install-deps --bench puts into bench/rivals."""
    installed = None  # the folder, below bench/rivals
    program = None  # what of it is run
    is_slow = True
    # More than it can do, or no more than other workloads say of it.
    skips = ('small-2', 'stream-2000', 'stream-500-tls', 'image-tls', 'idle-tls', 'open',
             'growth-streams', 'growth-bytes', 'long')

    @classmethod
    def at(cls, *parts):
        return os.path.join(ROOT, 'bench', 'rivals', cls.installed, *parts)

    @classmethod
    def is_there(cls):
        return None if os.path.exists(cls.at(cls.program)) else \
            'it is not installed (scripts/install-deps --bench says why)'

    @classmethod
    def program_bytes(cls):
        return bytes_below(cls.at())


class Portkey(Rival):
    """As its documentation runs it on a server: Node.js, without its user interface. Who the
    provider is, and where, comes with each request."""
    name = 'portkey'
    installed = 'node_modules'
    program = '@portkey-ai/gateway/build/start-server.js'

    @classmethod
    def is_there(cls):
        return super().is_there() if shutil.which('node') else 'Node.js is not installed'

    @classmethod
    def version(cls):
        with open(cls.at('@portkey-ai', 'gateway', 'package.json')) as file:
            version = json.load(file)['version']
        node = subprocess.run(['node', '--version'], capture_output=True, text=True, check=True).stdout
        return f'{version}, Node.js {node.strip().removeprefix("v")}'

    def headers(self):
        return super().headers() + ['x-portkey-provider: anthropic',
                                    f'x-portkey-custom-host: {self.upstream.url}/v1']

    def command(self):
        env = {'NODE_ENV': 'production'}
        if self.upstream.ca:
            env['NODE_EXTRA_CA_CERTS'] = self.upstream.ca
        return ['node', self.at(self.program), '--headless', f'--port={self.port}'], env


class LiteLLM(Rival):
    """As its documentation says for production: one uvicorn worker a core, a master key, no log but
    of errors, no callbacks, no database. It takes its table of prices from its own package."""
    name = 'litellm'
    installed = '.venv'
    program = 'bin/litellm'
    KEY = f'sk-{KEY}'  # it wants that beginning

    @classmethod
    def version(cls):
        [described] = glob.glob(cls.at('lib', '*', 'site-packages', 'litellm-*.dist-info'))
        python = os.path.basename(os.path.dirname(os.path.dirname(described)))
        return f'{os.path.basename(described).split("-")[1].removesuffix(".dist")}, ' \
               f'Python {python.removeprefix("python")}'

    def headers(self):
        return [f'Authorization: Bearer {self.KEY}']

    def command(self):
        config = os.path.join(self.folder, 'config.yaml')
        with open(config, 'w') as file:  # JSON is YAML
            json.dump({
                'model_list': [{'model_name': MODEL, 'litellm_params': {
                    'model': f'anthropic/{MODEL}', 'api_base': self.upstream.url, 'api_key': KEY}}],
                'general_settings': {'master_key': self.KEY},
                'litellm_settings': {'request_timeout': 600, 'set_verbose': False},
            }, file)
        env = {'LITELLM_MODE': 'PRODUCTION', 'LITELLM_LOG': 'ERROR',
               'LITELLM_LOCAL_MODEL_COST_MAP': 'True'}
        if self.upstream.ca:
            env['SSL_CERT_FILE'] = self.upstream.ca
        return [self.at(self.program), '--config', config, '--host', '127.0.0.1', '--port',
                str(self.port), '--num_workers', str(self.workers), '--telemetry', 'False'], env


CONTENDERS = {one.name: one for one in (Direct, Nginx, ClaudeProxy, Portkey, LiteLLM)}
