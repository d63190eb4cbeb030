"""The official Python SDK against the proxy, the simulator behind it, by OpenAI and AsyncOpenAI:

- create(), streams, the stream() helper and its events, with_raw_response, with_streaming_response;
- parse() by pydantic, pydantic_function_tool, streamed and not; truncated and refused answers;
- tools in a loop of several turns, parallel calls, put together from streams;
- images, PDF files; n;
- reasoning_effort; reasoning_content, reasoning_details and usage on the model objects, sent back;
- models; every error class, errors within streams, timeouts, retries, an aborted stream.
"""
import asyncio
import json
from typing import Literal

import openai
import pydantic
import pytest
from proxy import KEY, MODEL, PDF, PNG, THINKING_MODEL, data_url, quoted, user

TEXT = 'Grüße, 世界 👋 one two three four five six'


def settings(port, **more):
    return {'base_url': f'http://127.0.0.1:{port}/v1', 'api_key': KEY, 'max_retries': 0, **more}


@pytest.fixture
def client(port):
    with openai.OpenAI(**settings(port)) as client:
        yield client


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


SILENT = '[[sim: text=late lull=1500ms]]'


def test_comments_in_a_silent_stream(client):
    asked = {'model': MODEL, 'messages': user(SILENT), 'stream': True}
    with client.chat.completions.with_streaming_response.create(**asked) as raw:
        assert ': ping' in list(raw.iter_lines())
    assert ''.join(chunk.choices[0].delta.content or '' for chunk in client.chat.completions.create(**asked)) == 'late'
    with client.chat.completions.stream(model=MODEL, messages=user(SILENT)) as stream:
        assert stream.get_final_completion().choices[0].message.content == 'late'


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


# --- both clients, streamed and not -------------------------------------------------------------

async def through(client, request, is_streamed):
    """The completion, by whichever client, whole or put together by the stream() helper."""
    completions = client.chat.completions
    is_async = isinstance(client, openai.AsyncOpenAI)
    if not is_streamed:
        completion = completions.parse(**request)
        return await completion if is_async else completion
    if is_async:
        async with completions.stream(**request) as stream:
            return await stream.get_final_completion()
    with completions.stream(**request) as stream:
        return stream.get_final_completion()


@pytest.fixture(params=['sync', 'async', 'sync streamed', 'async streamed'])
def ask(request, port):
    """A completion of a prompt, in each way that the SDK has."""
    is_streamed = request.param.endswith('streamed')

    def run(content, **more):
        async def inner():
            messages = content if isinstance(content, list) and 'role' in content[0] else user(content)
            arguments = {'model': MODEL, 'messages': messages, **more}
            if request.param.startswith('async'):
                async with openai.AsyncOpenAI(**settings(port)) as client:
                    return await through(client, arguments, is_streamed)
            with openai.OpenAI(**settings(port)) as client:
                return await through(client, arguments, is_streamed)
        return asyncio.run(inner())
    return run


class Author(pydantic.BaseModel):
    name: str
    born: int | None


class Report(pydantic.BaseModel):
    title: str
    kind: Literal['news', 'essay']
    pages: int
    authors: list[Author]


REPORT = {'title': 'Grüße 👋', 'kind': 'essay', 'pages': 3, 'authors': [{'name': 'A', 'born': None}, {'name': 'B', 'born': 1900}]}


class GetWeather(pydantic.BaseModel):
    """Asks for the weather."""
    city: str
    unit: Literal['C', 'F']


WEATHER = {'city': 'Zürich "漢字"', 'unit': 'C'}


def test_parse_by_pydantic(ask, upstream):
    completion = ask(f'A report. [[sim: piece=4 text={quoted(REPORT)}]]', response_format=Report)
    assert completion.choices[0].message.parsed == Report(**REPORT)
    assert upstream.last['output_config']['format']['type'] == 'json_schema'
    assert isinstance(ask('A report.', response_format=Report).choices[0].message.parsed, Report)


def test_pydantic_function_tool(ask, upstream):
    completion = ask(f'GetWeather, please [[sim: piece=3 args={quoted(WEATHER)}]]', tools=[openai.pydantic_function_tool(GetWeather)])
    function = completion.choices[0].message.tool_calls[0].function
    assert function.parsed_arguments == GetWeather(**WEATHER)
    assert upstream.last['tools'][0]['strict'] is True
    assert completion.choices[0].finish_reason == 'tool_calls'


def test_refused_and_truncated(ask):
    with pytest.raises(openai.LengthFinishReasonError):
        ask('[[sim: text="{" stop=max_tokens]]', response_format=Report)
    with pytest.raises(openai.ContentFilterFinishReasonError):
        ask('[[sim: text="{" stop=refusal]]', response_format=Report)


def test_tools_in_a_loop(ask, upstream):
    tools = [openai.pydantic_function_tool(GetWeather), openai.pydantic_function_tool(Author)]
    messages = user('Go on. [[sim: loop=4]]')
    for turn in range(5):
        choice = ask(messages, tools=tools).choices[0]
        if choice.finish_reason == 'stop':
            break
        messages.append(choice.message.model_dump(exclude_none=True))
        for call in choice.message.tool_calls:
            messages.append({'role': 'tool', 'tool_call_id': call.id, 'content': f'{call.function.name}: fine'})
    assert turn == 4 and 'fine' in choice.message.content
    assert [block['name'] for block in upstream.blocks('tool_use')] == ['GetWeather', 'Author', 'GetWeather', 'Author']
    ids = [block['id'] for block in upstream.blocks('tool_use')]
    assert [block['tool_use_id'] for block in upstream.blocks('tool_result')] == ids and len(set(ids)) == 4


def test_parallel_calls(ask):
    tools = [openai.pydantic_function_tool(GetWeather), openai.pydantic_function_tool(Author)]
    calls = ask('GetWeather and Author, please', tools=tools).choices[0].message.tool_calls
    assert [call.function.name for call in calls] == ['GetWeather', 'Author']
    assert isinstance(calls[0].function.parsed_arguments, GetWeather) and isinstance(calls[1].function.parsed_arguments, Author)
    calls = ask('GetWeather and Author, please', tools=tools, parallel_tool_calls=False).choices[0].message.tool_calls
    assert len(calls) == 1


def test_images_and_files(ask, upstream):
    completion = ask([
        {'type': 'text', 'text': 'Look. [[sim: text="I see."]]'},
        {'type': 'image_url', 'image_url': {'url': data_url('image/png', PNG)}},
        {'type': 'image_url', 'image_url': {'url': 'https://example.com/cat.jpg'}},
        {'type': 'file', 'file': {'filename': 'a.pdf', 'file_data': data_url('application/pdf', PDF)}},
    ])
    assert completion.choices[0].message.content == 'I see.'
    sources = [block['source'] for kind in ('image', 'document') for block in upstream.blocks(kind)]
    assert [source.get('url', source.get('media_type')) for source in sources] == ['image/png', 'https://example.com/cat.jpg', 'application/pdf']


def test_several_choices(ask):
    completion = ask('[[sim: text="alpha beta" piece=3]]', n=3)
    assert [(choice.index, choice.message.content) for choice in completion.choices] == [(i, 'alpha beta') for i in range(3)]


def test_reasoning(ask, upstream):
    completion = ask('[[sim: think=text text="the answer"]]', model=THINKING_MODEL, reasoning_effort='high')
    message = completion.choices[0].message
    assert message.content == 'the answer'
    assert len(message.reasoning_content) > 0
    assert message.model_extra['reasoning_details'][0]['signature']
    assert upstream.last['output_config'] == {'effort': 'high'}
    messages = [*user('Why?'), message.model_dump(exclude_none=True), *user('And? [[sim: text="so"]]')]
    again = ask(messages, model=THINKING_MODEL, reasoning_effort='high')
    assert again.choices[0].message.content == 'so'


def test_reasoning_deltas(client):
    stream = client.chat.completions.create(model=THINKING_MODEL, messages=user('[[sim: think=text text="the answer"]]'),
                                            reasoning_effort='high', stream=True, stream_options={'include_usage': True})
    chunks = list(stream)
    reasoning = ''.join(getattr(chunk.choices[0].delta, 'reasoning_content', None) or '' for chunk in chunks if chunk.choices)
    assert reasoning
    assert chunks[-1].usage.completion_tokens_details.reasoning_tokens > 0


def test_usage(client):
    request = {'model': MODEL, 'messages': user('[[sim: text="x" input=10 cached=1000 cache_write=100 output=5]]')}
    whole = client.chat.completions.create(**request).usage
    assert (whole.prompt_tokens, whole.completion_tokens, whole.prompt_tokens_details.cached_tokens) == (1110, 5, 1000)
    assert whole.prompt_tokens_details.cache_write_tokens == 100
    *_, last = client.chat.completions.create(**request, stream=True, stream_options={'include_usage': True})
    assert last.usage == whole


def test_the_events_of_a_stream_of_calls(client):
    with client.chat.completions.stream(model=MODEL, messages=user(f'GetWeather, please [[sim: piece=3 args={quoted(WEATHER)}]]'),
                                        tools=[openai.pydantic_function_tool(GetWeather)]) as stream:
        events = list(stream)
    deltas = [event for event in events if event.type == 'tool_calls.function.arguments.delta']
    assert json.loads(''.join(event.arguments_delta for event in deltas)) == WEATHER
    done = [event for event in events if event.type == 'tool_calls.function.arguments.done']
    assert [(event.index, event.name, event.parsed_arguments) for event in done] == [(0, 'GetWeather', GetWeather(**WEATHER))]


def test_the_events_of_a_refusal(client):
    with client.chat.completions.stream(model=MODEL, messages=user('[[sim: blocks=none stop=refusal explanation="Not this."]]')) as stream:
        events = list(stream)
    assert [event.refusal for event in events if event.type == 'refusal.done'] == ['Not this.']


def test_raw_and_streaming_responses(client):
    raw = client.chat.completions.with_raw_response.create(model=MODEL, messages=user(answer_of(TEXT)), seed=7)
    assert raw.headers['x-ignored-params'] == 'seed'
    assert raw.headers['x-request-id'] == raw.parse()._request_id
    assert raw.parse().choices[0].message.content == TEXT
    with client.chat.completions.with_streaming_response.create(model=MODEL, messages=user(answer_of(TEXT)), stream=True) as answer:
        lines = [line for line in answer.iter_lines() if line.startswith('data: ')]
    assert lines[-1] == 'data: [DONE]'


def test_raw_and_streaming_responses_async(port):
    async def run():
        async with openai.AsyncOpenAI(**settings(port)) as client:
            raw = await client.chat.completions.with_raw_response.create(model=MODEL, messages=user(answer_of(TEXT)), stream=True)
            assert ''.join([chunk.choices[0].delta.content or '' async for chunk in raw.parse()]) == TEXT
            async with client.chat.completions.with_streaming_response.create(model=MODEL, messages=user(answer_of(TEXT))) as answer:
                assert (await answer.json())['choices'][0]['message']['content'] == TEXT
    asyncio.run(run())


def test_a_stream_that_is_left(client, upstream):
    with client.chat.completions.create(model=MODEL, messages=user('[[sim: words=5000 gap=20ms]]'), stream=True) as stream:
        next(iter(stream))
    completion = client.chat.completions.create(model=MODEL, messages=user(answer_of('on')))
    assert completion.choices[0].message.content == 'on'


def test_a_timeout_of_the_client(client):
    with pytest.raises(openai.APITimeoutError):
        client.chat.completions.create(model=MODEL, messages=user('[[sim: first=30s text=x]]'), timeout=0.3)


def test_retries(port, upstream):
    with openai.OpenAI(**settings(port, max_retries=1)) as client, pytest.raises(openai.RateLimitError):
        client.chat.completions.create(model=MODEL, messages=user('python-retry [[sim: status=429 retry_after=0]]'))
    assert sum('python-retry' in json.dumps(body) for body in upstream.bodies()) == 2
