"""LangChain's ChatOpenAI (Python) against the proxy, the simulator behind it:

- invoke, ainvoke, stream, astream, batch; usage_metadata equal in all of them;
- bind_tools with every tool_choice, strict, parallel calls, calls put together from streams;
- create_agent: several turns, streamed, async, a thinking model, a structured answer;
- with_structured_output by json_schema, function_calling and json_mode;
- images, PDF files; errors, errors within a stream.
"""
import asyncio
import functools
from typing import Literal

import openai
import pydantic
import pytest
from langchain.agents import create_agent
from langchain.agents.structured_output import ProviderStrategy, ToolStrategy
from langchain_core.messages import AIMessage, HumanMessage, SystemMessage
from langchain_core.tools import tool
from langchain_openai import ChatOpenAI
from proxy import KEY, MODEL, PDF, PNG, THINKING_MODEL, data_url, quoted

RUNNER = asyncio.Runner()  # LangChain keeps its connections: they belong to one loop
ARGS = {'city': 'Zürich "漢字"'}


@tool
def get_weather(city: str) -> str:
    """Asks for the weather."""
    return f'weather of {city}: fine'


@tool
def get_time(city: str) -> str:
    """Asks for the time."""
    return f'time of {city}: fine'


TOOLS = [get_weather, get_time]


@pytest.fixture
def chat(port):
    def make(**more):
        return ChatOpenAI(**{'model': MODEL, 'base_url': f'http://127.0.0.1:{port}/v1', 'api_key': KEY, 'max_retries': 0, 'stream_usage': True, **more})
    return make


def together(chunks):
    return functools.reduce(lambda a, b: a + b, chunks)


async def gather(stream):
    return [chunk async for chunk in stream]


CALLS = {
    'invoke': lambda model, prompt: model.invoke(prompt),
    'ainvoke': lambda model, prompt: RUNNER.run(model.ainvoke(prompt)),
    'stream': lambda model, prompt: together(list(model.stream(prompt))),
    'astream': lambda model, prompt: together(RUNNER.run(gather(model.astream(prompt)))),
}


@pytest.fixture(params=CALLS)
def call(request):
    return CALLS[request.param]


def test_a_conversation(chat, call, upstream):
    answer = call(chat(), [SystemMessage('Be brief.'), HumanMessage('Say one'), AIMessage('One'), HumanMessage('[[sim: text="two three" piece=2 input=10 cached=1000 output=5]]')])
    assert answer.content == 'two three'
    assert answer.response_metadata['finish_reason'] == 'stop'
    assert (answer.usage_metadata['input_tokens'], answer.usage_metadata['output_tokens']) == (1010, 5)
    assert answer.usage_metadata['input_token_details']['cache_read'] == 1000
    assert [message['role'] for message in upstream.last['messages']] == ['user', 'assistant', 'user']


def test_batch(chat):
    assert [answer.content for answer in chat().batch(['Say one', 'Say two', 'Say three'])] == ['One', 'Two', 'Three']


def test_reasoning_tokens(chat, call, upstream):
    answer = call(chat(model=THINKING_MODEL, reasoning_effort='high'), '[[sim: think=text text="the answer"]]')
    assert answer.content == 'the answer'
    assert answer.usage_metadata['output_token_details']['reasoning'] > 0
    assert upstream.last['output_config'] == {'effort': 'high'}


def test_parallel_calls(chat, call):
    answer = call(chat().bind_tools(TOOLS), f'get_weather and get_time, please [[sim: piece=3 args={quoted(ARGS)}]]')
    assert [(found['name'], found['args']) for found in answer.tool_calls] == [('get_weather', ARGS), ('get_time', ARGS)]
    assert len({found['id'] for found in answer.tool_calls}) == 2


@pytest.mark.parametrize('choice, sent, names', [
    ('auto', {'type': 'auto'}, []),
    ('any', {'type': 'any'}, ['get_weather']),
    ('get_time', {'type': 'tool', 'name': 'get_time'}, ['get_time']),
    ('none', {'type': 'none'}, []),
])
def test_tool_choice(chat, upstream, choice, sent, names):
    answer = chat().bind_tools(TOOLS, tool_choice=choice).invoke('Hello')
    assert upstream.last.get('tool_choice', {'type': 'auto'}) == sent
    assert [found['name'] for found in answer.tool_calls] == names


def test_strict_tools_one_at_a_time(chat, upstream):
    answer = chat().bind_tools(TOOLS, strict=True, parallel_tool_calls=False).invoke('get_weather and get_time, please')
    assert len(answer.tool_calls) == 1
    assert all(found['strict'] for found in upstream.last['tools'])


AGENT = {'messages': [HumanMessage('Go on. [[sim: loop=4]]')]}


@pytest.mark.parametrize('more', [{}, {'model': THINKING_MODEL, 'reasoning_effort': 'high'}, {'streaming': True}], ids=['plain', 'thinking', 'streaming'])
@pytest.mark.parametrize('is_async', [False, True], ids=['invoke', 'ainvoke'])
def test_an_agent(chat, upstream, more, is_async):
    agent = create_agent(chat(**more), tools=TOOLS, system_prompt='Use tools.')
    messages = (RUNNER.run(agent.ainvoke(AGENT)) if is_async else agent.invoke(AGENT))['messages']
    assert 'fine' in messages[-1].text
    uses = upstream.blocks('tool_use')
    assert [block['name'] for block in uses] == ['get_weather', 'get_time', 'get_weather', 'get_time']
    assert [block['tool_use_id'] for block in upstream.blocks('tool_result')] == [block['id'] for block in uses]


def test_an_agent_streamed(chat):
    steps = []
    text = ''
    for mode, piece in create_agent(chat(), tools=TOOLS).stream(AGENT, stream_mode=['updates', 'messages']):
        if mode == 'updates':
            steps += list(piece)
        elif isinstance(piece[0], AIMessage):
            text += piece[0].text
    assert steps == ['model', 'tools'] * 4 + ['model']
    assert 'fine' in text


class Author(pydantic.BaseModel):
    name: str
    born: int | None


class Report(pydantic.BaseModel):
    """A report."""
    title: str
    kind: Literal['news', 'essay']
    authors: list[Author]


REPORT = {'title': 'Grüße 👋', 'kind': 'essay', 'authors': [{'name': 'A', 'born': None}, {'name': 'B', 'born': 1900}]}


@pytest.mark.parametrize('strategy, prompt', [(ToolStrategy, 'Go on. [[sim: loop=2]]'), (ProviderStrategy, 'get_weather, please')])
def test_an_agent_with_a_structured_answer(chat, strategy, prompt):
    agent = create_agent(chat(), tools=TOOLS[:1], response_format=strategy(Report))
    assert isinstance(agent.invoke({'messages': [HumanMessage(prompt)]})['structured_response'], Report)


@pytest.mark.parametrize('method', ['json_schema', 'function_calling', 'json_mode'])
@pytest.mark.parametrize('include_raw', [False, True])
def test_structured_output(chat, method, include_raw):
    word = 'args' if method == 'function_calling' else 'text'
    prompt = f'A report, in JSON. [[sim: piece=4 {word}={quoted(REPORT)}]]'
    model = chat().with_structured_output(Report, method=method, include_raw=include_raw)
    values = [model.invoke(prompt), RUNNER.run(model.ainvoke(prompt))]
    if include_raw:
        values = [value['parsed'] for value in values]
    else:
        values.append(list(model.stream(prompt))[-1])
    assert all(value == Report(**REPORT) for value in values)


@pytest.mark.parametrize('method', ['json_schema', 'function_calling'])
def test_structured_output_from_the_schema_alone(chat, upstream, method):
    assert isinstance(chat().with_structured_output(Report, method=method, strict=True).invoke('A report.'), Report)
    if method == 'json_schema':
        assert upstream.last['output_config']['format']['type'] == 'json_schema'
    else:
        assert upstream.last['tools'][0]['strict'] is True


def test_images_and_files(chat, upstream):
    parts = [
        {'type': 'text', 'text': 'Look. [[sim: text="I see."]]'},
        {'type': 'image_url', 'image_url': {'url': data_url('image/png', PNG)}},
        {'type': 'image', 'url': 'https://example.com/cat.jpg'},
        {'type': 'file', 'base64': data_url('', PDF).partition(',')[2], 'mime_type': 'application/pdf', 'filename': 'a.pdf'},
    ]
    assert chat().invoke([HumanMessage(parts)]).content == 'I see.'
    sources = [block['source'] for kind in ('image', 'document') for block in upstream.blocks(kind)]
    assert [source.get('url', source.get('media_type')) for source in sources] == ['image/png', 'https://example.com/cat.jpg', 'application/pdf']


@pytest.mark.parametrize('directives, cls', [
    ('status=400', openai.BadRequestError),
    ('status=401', openai.AuthenticationError),
    ('status=429 retry_after=3', openai.RateLimitError),
    ('status=529', openai.InternalServerError),
])
def test_error(chat, call, directives, cls):
    with pytest.raises(cls):
        call(chat(), f'[[sim: {directives}]]')


def test_an_error_within_a_stream(chat):
    content = ''
    with pytest.raises(openai.APIError):
        for chunk in chat().stream('[[sim: words=50 gap=2ms error=overloaded_error after=3]]'):
            content += chunk.content
    assert content
