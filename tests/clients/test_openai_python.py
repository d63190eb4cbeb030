"""The official Python SDK against the proxy, the simulator behind it."""
import asyncio
import json
import os
import re
import signal
import subprocess
import tempfile
import time

import openai
import pydantic
import pytest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
BINARY = os.path.abspath(os.environ.get('CLAUDE_PROXY_BIN', os.path.join(ROOT, 'build', 'claude-proxy')))
MODEL = 'claude-haiku-5-5'
KEY = 'python-client-key'
TEXT = 'Grüße, 世界 👋 one two three four five six'


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


@pytest.fixture(scope='module')
def port():
    sim = Server('sim', '--port', '0')
    try:
        proxy = Server('serve', ANTHROPIC_API_KEY='upstream-key', CLAUDE_PROXY_API_KEY=KEY, HOST='127.0.0.1', PORT='0',
                       ANTHROPIC_BASE_URL=f'http://127.0.0.1:{sim.port}', REQUESTS_PER_MINUTE='0', TOKENS_PER_MINUTE='0',
                       REQUEST_TIMEOUT='2')
        try:
            yield proxy.port
        finally:
            proxy.stop()
    finally:
        sim.stop()


def settings(port, **more):
    return {'base_url': f'http://127.0.0.1:{port}/v1', 'api_key': KEY, 'max_retries': 0, **more}


@pytest.fixture
def client(port):
    with openai.OpenAI(**settings(port)) as client:
        yield client


def user(content):
    return [{'role': 'user', 'content': content}]


def answer_of(text, more=''):
    return f'[[sim: text={json.dumps(text, ensure_ascii=False)} piece=4 gap=2ms {more}]]'


def test_create(client):
    completion = client.chat.completions.create(model=MODEL, messages=user("What's the capital of France?"))
    assert 'Paris' in completion.choices[0].message.content
    assert completion.choices[0].finish_reason == 'stop'
    assert completion.usage.total_tokens == completion.usage.prompt_tokens + completion.usage.completion_tokens
    assert completion._request_id.startswith('req_')


def test_stream(client):
    stream = client.chat.completions.create(model=MODEL, messages=user(answer_of(TEXT)), stream=True,
                                            stream_options={'include_usage': True})
    chunks = list(stream)
    assert ''.join(chunk.choices[0].delta.content or '' for chunk in chunks if chunk.choices) == TEXT
    assert chunks[-1].usage.total_tokens > 0


def test_stream_helper(client):
    with client.chat.completions.stream(model=MODEL, messages=user(answer_of(TEXT))) as stream:
        kinds = [event.type for event in stream]
        final = stream.get_final_completion()
    assert final.choices[0].message.content == TEXT
    assert kinds.count('content.delta') > 5 and kinds.count('content.done') == 1


def test_async(port):
    async def run():
        async with openai.AsyncOpenAI(**settings(port)) as client:
            calls = [client.chat.completions.create(model=MODEL, messages=user(answer_of(f'answer {i}'))) for i in range(20)]
            contents = [completion.choices[0].message.content for completion in await asyncio.gather(*calls)]
            assert contents == [f'answer {i}' for i in range(20)]
            stream = await client.chat.completions.create(model=MODEL, messages=user(answer_of(TEXT)), stream=True)
            assert ''.join([chunk.choices[0].delta.content or '' async for chunk in stream]) == TEXT
    asyncio.run(run())


class Book(pydantic.BaseModel):
    title: str
    year: int
    tags: list[str]


def test_parse(client):
    completion = client.chat.completions.parse(model=MODEL, messages=user('A book.'), response_format=Book)
    assert isinstance(completion.choices[0].message.parsed, Book)


def test_parse_of_a_truncated_answer(client):
    with pytest.raises(openai.LengthFinishReasonError):
        client.chat.completions.parse(model=MODEL, messages=user('[[sim: text="{" stop=max_tokens]]'), response_format=Book)


def test_models(client):
    models = list(client.models.list())
    assert MODEL in [model.id for model in models]
    assert client.models.retrieve(MODEL).owned_by == 'anthropic'


@pytest.mark.parametrize('directives, cls, code', [
    ('status=400', openai.BadRequestError, None),
    ('status=401', openai.AuthenticationError, 'invalid_api_key'),
    ('status=403', openai.PermissionDeniedError, 'permission_denied'),
    ('status=404 message="model: x"', openai.NotFoundError, 'model_not_found'),
    ('status=409', openai.ConflictError, 'conflict'),
    ('status=429 retry_after=3', openai.RateLimitError, 'rate_limit_exceeded'),
    ('status=500', openai.InternalServerError, None),
    ('status=529', openai.InternalServerError, 'overloaded'),
    ('stall=head', openai.InternalServerError, 'timeout'),
])
@pytest.mark.parametrize('stream', [False, True])
def test_error(client, directives, cls, code, stream):
    with pytest.raises(cls) as raised:
        client.chat.completions.create(model=MODEL, messages=user(f'[[sim: {directives}]]'), stream=stream)
    assert raised.value.code == code
    assert raised.value.request_id


def test_a_wrong_key(port):
    with openai.OpenAI(**settings(port, api_key='wrong')) as client, pytest.raises(openai.AuthenticationError):
        client.models.list()


@pytest.mark.parametrize('directives', ['error=overloaded_error after=3', 'cut=3', 'end=3', 'stall=3'])
def test_an_error_within_a_stream(client, directives):
    content = ''
    with pytest.raises(openai.APIError):
        for chunk in client.chat.completions.create(model=MODEL, messages=user(answer_of(TEXT, directives)), stream=True):
            content += chunk.choices[0].delta.content or ''
    assert content and TEXT.startswith(content)
