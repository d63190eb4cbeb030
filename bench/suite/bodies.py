"""The requests of the workloads: written as an OpenAI client sends them. What contenders without
translation are sent is what claude-proxy makes of the same request."""
import base64
import json
import os
import random
import subprocess

from suite.contenders import BINARY, MODEL
from suite.measure import BenchError

IMAGE_BYTES = 5_000_000
WORDS = 'the river runs down to a quiet harbour where boats wait for wind and people talk'.split()


def prose(size):
    """So many bytes of text, the same in every run."""
    dice = random.Random(size)
    text = ''
    while len(text) < size:
        text += ' '.join(dice.choice(WORDS) for _ in range(1000)) + ' '
    return text[:size]


def chat(text, **more):
    return {'model': MODEL, 'max_tokens': 64, 'messages': [{'role': 'user', 'content': text}], **more}


def small():
    return chat('Is Santa real?')


def streamed(tokens, gap):
    """A stream of stamped tokens (docs/simulator.md)."""
    return chat(f'[[sim: words={tokens} gap={gap} stamp]]', max_tokens=tokens + 100, stream=True)


def sized(size):
    """A body of exactly that many bytes."""
    empty = len(json.dumps(chat(''), separators=(',', ':')))
    return chat(prose(size - empty))


def agent():
    """Half way through a coding session: 40 tools, 200 KB of calls and results."""
    tools = [{'type': 'function', 'function': {
        'name': f'tool_{i}', 'description': prose(300),
        'parameters': {'type': 'object', 'required': ['path'], 'properties': {
            'path': {'type': 'string', 'description': 'Where to look'},
            'pattern': {'type': 'string', 'description': prose(60)},
            'limit': {'type': 'integer', 'minimum': 1, 'maximum': 1000},
            'mode': {'type': 'string', 'enum': ['read', 'write', 'list']}}}}} for i in range(40)]
    messages = [{'role': 'system', 'content': prose(4000)},
                {'role': 'user', 'content': 'Find the fault and mend it.'}]
    size = 0
    while size < 180_000:
        call = f'call_{len(messages)}'
        result = json.dumps({'lines': [prose(90) + '"\n' for _ in range(40)]})
        messages += [
            {'role': 'assistant', 'content': prose(200), 'tool_calls': [
                {'id': call, 'type': 'function', 'function': {
                    'name': f'tool_{len(messages) % 40}',
                    'arguments': json.dumps({'path': f'src/{call}.c', 'pattern': prose(40)})}}]},
            {'role': 'tool', 'tool_call_id': call, 'content': result}]
        size += len(result) + 400
    messages.append({'role': 'user', 'content': 'Go on.'})
    return {'model': MODEL, 'max_tokens': 64, 'tools': tools, 'messages': messages}


# The signature of a PNG and its header: 2000 by 2000, 8 bits, RGB.
PNG = b'\x89PNG\r\n\x1a\n\0\0\0\rIHDR\0\0\x07\xd0\0\0\x07\xd0\x08\x02\0\0\0'


def pictures(*sizes):
    """One image of each size, in bytes of its base64: a PNG's header with noise behind it."""
    parts = [{'type': 'text', 'text': 'What is this?'}]
    for size in sizes:
        data = PNG + random.Random(5).randbytes(max(0, size // 4 * 3 - len(PNG)))
        url = 'data:image/png;base64,' + base64.b64encode(data).decode()
        parts.append({'type': 'image_url', 'image_url': {'url': url}})
    return chat(parts)


def pictured(size):
    """A body of about that many bytes, most of them images of no more than 5 MB."""
    return pictures(*([IMAGE_BYTES] * (size // IMAGE_BYTES) or [max(100, size - 300)]))


class Bodies:
    """Writes each body once, in the form in which a contender is asked."""

    def __init__(self, folder):
        self.folder, self.paths = folder, {}

    def path(self, contender, make, *parts):
        prefix = contender.model_prefix
        key = (contender.api, prefix, make.__name__, parts)
        if key not in self.paths:
            body = make(*parts)
            body['model'] = prefix + body['model']
            data = json.dumps(body, separators=(',', ':')).encode()
            path = os.path.join(self.folder, f'{len(self.paths)}.json')
            with open(path, 'wb') as file:
                file.write(self.translated(data) if contender.api == 'anthropic' else data)
            self.paths[key] = path
        return self.paths[key]

    @staticmethod
    def translated(data):
        result = subprocess.run([BINARY, 'translate', 'request'], input=data, capture_output=True)
        if result.returncode != 0:
            raise BenchError(f'translate: {result.stdout.decode()}')
        return result.stdout.rstrip(b'\n')
