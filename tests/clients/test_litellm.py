"""litellm as a client of the proxy, the simulator behind it, by its `openai/` provider:

- completion() and acompletion(), streamed and not, stream_chunk_builder, usage equal in both modes;
- tools in a loop, parallel calls, tool_choice; response_format by pydantic and json_object;
- reasoning_effort, reasoning_content in answers and streams, sent back in the next turn;
- images, PDF files; errors as litellm's classes, errors within a stream, retries.
"""
import asyncio
import json

import litellm
import pydantic
import pytest
from proxy import KEY, MODEL, PDF, PNG, THINKING_MODEL, data_url, quoted, user

TEXT = 'Grüße, 世界 👋 one two three four five six'
TOOLS = [{'type': 'function', 'function': {'name': name, 'parameters': {
    'type': 'object', 'properties': {'city': {'type': 'string'}}, 'required': ['city']}}} for name in ('get_weather', 'get_time')]
ARGS = {'city': 'Zürich "漢字"'}


async def complete(request, is_async, is_streamed):
    """One answer, whole or put together from its chunks by litellm."""
    if not is_streamed:
        return await litellm.acompletion(**request) if is_async else litellm.completion(**request)
    request = {**request, 'stream': True, 'stream_options': {'include_usage': True}}
    if is_async:
        chunks = [chunk async for chunk in await litellm.acompletion(**request)]
    else:
        chunks = list(litellm.completion(**request))
    return litellm.stream_chunk_builder(chunks, messages=request['messages'])


@pytest.fixture(params=['sync', 'async', 'sync streamed', 'async streamed'])
def ask(request, port):
    def run(content, model=MODEL, **more):
        messages = content if isinstance(content, list) and 'role' in content[0] else user(content)
        arguments = {'model': f'openai/{model}', 'api_base': f'http://127.0.0.1:{port}/v1', 'api_key': KEY, 'num_retries': 0, 'max_retries': 0,
                     'messages': messages, **more}
        return asyncio.run(complete(arguments, request.param.startswith('async'), request.param.endswith('streamed')))
    return run


def test_text(ask):
    answer = ask(f'[[sim: text={json.dumps(TEXT, ensure_ascii=False)} piece=4 input=10 cached=1000 output=5]]')
    assert answer.choices[0].message.content == TEXT
    assert answer.choices[0].finish_reason == 'stop'
    assert (answer.usage.prompt_tokens, answer.usage.completion_tokens) == (1010, 5)
    assert answer.usage.prompt_tokens_details.cached_tokens == 1000


def test_a_conversation_and_its_limits(ask, upstream):
    answer = ask([{'role': 'system', 'content': 'Be brief.'}, *user('Say one'), {'role': 'assistant', 'content': 'One'},
                  *user('Say one two three four five six seven eight nine ten')], max_tokens=5, temperature=0.3, stop=['END'])
    assert answer.choices[0].finish_reason == 'length'
    assert upstream.last['max_tokens'] == 5 and upstream.last['stop_sequences'] == ['END']


def test_tools_in_a_loop(ask, upstream):
    messages = user('Go on. [[sim: loop=3]]')
    for _ in range(4):
        choice = ask(messages, tools=TOOLS).choices[0]
        if choice.finish_reason == 'stop':
            break
        messages.append(choice.message.model_dump())
        messages += [{'role': 'tool', 'tool_call_id': call.id, 'name': call.function.name, 'content': f'{call.function.name}: fine'}
                     for call in choice.message.tool_calls]
    assert 'fine' in choice.message.content
    uses = upstream.blocks('tool_use')
    assert [block['name'] for block in uses] == ['get_weather', 'get_time', 'get_weather']
    assert [block['tool_use_id'] for block in upstream.blocks('tool_result')] == [block['id'] for block in uses]


def test_parallel_calls(ask):
    choice = ask(f'get_weather and get_time, please [[sim: piece=3 args={quoted(ARGS)}]]', tools=TOOLS).choices[0]
    assert choice.finish_reason == 'tool_calls'
    assert [(call.function.name, json.loads(call.function.arguments)) for call in choice.message.tool_calls] == [('get_weather', ARGS), ('get_time', ARGS)]


def test_tool_choice(ask, upstream):
    answer = ask('Hello', tools=TOOLS, tool_choice={'type': 'function', 'function': {'name': 'get_time'}})
    assert [call.function.name for call in answer.choices[0].message.tool_calls] == ['get_time']
    assert upstream.last['tool_choice']['name'] == 'get_time'


class Book(pydantic.BaseModel):
    title: str
    year: int
    author: str | None


BOOK = {'title': 'Grüße 👋', 'year': 1999, 'author': None}


def test_response_format_by_pydantic(ask, upstream):
    answer = ask(f'A book. [[sim: piece=4 text={quoted(BOOK)}]]', response_format=Book)
    assert json.loads(answer.choices[0].message.content) == BOOK
    assert upstream.last['output_config']['format']['type'] == 'json_schema'
    Book.model_validate_json(ask('A book.', response_format=Book).choices[0].message.content)


def test_json_object(ask):
    answer = ask(f'A book, in JSON. [[sim: piece=4 fence text={quoted(BOOK)}]]', response_format={'type': 'json_object'})
    assert json.loads(answer.choices[0].message.content) == BOOK


def test_reasoning(ask, upstream):
    more = {'model': THINKING_MODEL, 'reasoning_effort': 'high'}
    message = ask('[[sim: think=text text="the answer"]]', **more).choices[0].message
    assert message.content == 'the answer'
    assert message.reasoning_content
    assert upstream.last['output_config'] == {'effort': 'high'}
    again = ask([*user('Why?'), message.model_dump(), *user('And? [[sim: text="so"]]')], **more)
    assert again.choices[0].message.content == 'so'


def test_reasoning_tokens(ask):
    usage = ask('[[sim: think=text text="the answer"]]', model=THINKING_MODEL, reasoning_effort='high').usage
    assert usage.completion_tokens_details.reasoning_tokens > 0


def test_images_and_files(ask, upstream):
    answer = ask([
        {'type': 'text', 'text': 'Look. [[sim: text="I see."]]'},
        {'type': 'image_url', 'image_url': {'url': data_url('image/png', PNG)}},
        {'type': 'image_url', 'image_url': 'https://example.com/cat.jpg'},
        {'type': 'file', 'file': {'filename': 'a.pdf', 'file_data': data_url('application/pdf', PDF)}},
    ])
    assert answer.choices[0].message.content == 'I see.'
    sources = [block['source'] for kind in ('image', 'document') for block in upstream.blocks(kind)]
    assert [source.get('url', source.get('media_type')) for source in sources] == ['image/png', 'https://example.com/cat.jpg', 'application/pdf']


@pytest.mark.parametrize('directives, cls', [
    ('status=400', litellm.BadRequestError),
    ('status=401', litellm.AuthenticationError),
    ('status=404 message="model: x"', litellm.NotFoundError),
    ('status=429 retry_after=3', litellm.RateLimitError),
    ('status=500', litellm.InternalServerError),
    ('status=529', litellm.ServiceUnavailableError),
    ('status=400 message="prompt is too long: 200001 tokens > 200000 maximum"', litellm.ContextWindowExceededError),
])
def test_error(ask, directives, cls):
    with pytest.raises(cls):
        ask(f'[[sim: {directives}]]')


@pytest.mark.parametrize('directives', ['error=overloaded_error after=3', 'cut=3', 'end=3'])
def test_an_error_within_a_stream(port, directives):
    content = ''
    with pytest.raises(litellm.exceptions.MidStreamFallbackError) as raised:
        for chunk in litellm.completion(model=f'openai/{MODEL}', api_base=f'http://127.0.0.1:{port}/v1', api_key=KEY, stream=True,
                                        messages=user(f'[[sim: words=50 gap=2ms {directives}]]'), max_retries=0):
            content += chunk.choices[0].delta.content or ''
    assert content, raised.value
