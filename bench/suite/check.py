"""Whether a contender answers what the simulator said, before it is measured: one whole answer and
one stream, each compared with what the simulator itself answers."""
import http.client
import json

from suite.contenders import MODEL, Direct
from suite.measure import BenchError

ASKED = '[[sim: words=20]]'
REASONS = {'end_turn': 'stop'}


def whole(api, answer):
    """(its text, why it ended)"""
    answer = json.loads(answer)
    if api == 'anthropic':
        return ''.join(block['text'] for block in answer['content']), REASONS[answer['stop_reason']]
    [choice] = answer['choices']
    return choice['message']['content'], choice['finish_reason']


def events(answer):
    return [line[len('data: '):] for line in answer.decode().splitlines() if line.startswith('data: ')]


def streamed_anthropic(answer):
    text, reason, ended = '', None, False
    for event in map(json.loads, events(answer)):
        delta = event.get('delta', {})
        text += delta.get('text', '')
        reason = delta.get('stop_reason') or reason
        ended = event['type'] == 'message_stop'
    return text, REASONS[reason] if ended else None


def streamed_openai(answer):
    text, reason = '', None
    said = events(answer)
    for chunk in map(json.loads, said[:-1]):
        for choice in chunk['choices']:
            text += choice['delta'].get('content') or ''
            reason = choice.get('finish_reason') or reason
    return text, reason if said and said[-1] == '[DONE]' else None


STREAMED = {'anthropic': streamed_anthropic, 'openai': streamed_openai}


def ask(contender, text=ASKED, stream=False):
    """(the text of the answer, why it ended); the reason is None where the end is missing."""
    body = json.dumps({'model': contender.model_prefix + MODEL, 'max_tokens': 100, 'stream': stream,
                       'messages': [{'role': 'user', 'content': text}]})
    try:
        status, answer = contender.post(body)
        if status != 200:
            raise BenchError(f'{contender.name} answers {status}: {answer[:500].decode()}')
        return STREAMED[contender.api](answer) if stream else whole(contender.api, answer)
    except (OSError, http.client.HTTPException, ValueError, KeyError, TypeError) as why:
        raise BenchError(f'{contender.name} answers what cannot be read: {why!r}') from why


def check(contender):
    """Raises BenchError unless both answers are right."""
    direct = Direct(contender.upstream)
    try:
        for stream in (False, True):
            expected, got = ask(direct, stream=stream), ask(contender, stream=stream)
            if got != expected:
                kind = 'stream' if stream else 'answer'
                raise BenchError(f'{contender.name}: its {kind} is {got}, not {expected}')
    finally:
        direct.stop()
