"""instructor against the proxy, the simulator behind it, by OpenAI's Python SDK, sync and async:

- modes TOOLS, TOOLS_STRICT (which sends no `strict` any more), PARALLEL_TOOLS, JSON, JSON_SCHEMA,
  MD_JSON;
- validation that fails: asked again with the error, up to max_retries, then the error;
- streams: create_partial, create_iterable; create_with_completion (usage, the raw completion);
- a thinking model, an image, an upstream error.
"""
import asyncio
import json
from collections.abc import Iterable
from typing import Annotated, Literal

import instructor
import openai
import pydantic
import pytest
from instructor import Mode
from instructor.core import InstructorRetryException
from instructor.processing.multimodal import Image
from proxy import KEY, MODEL, PNG, THINKING_MODEL, data_url, quoted, user


class Author(pydantic.BaseModel):
    name: str
    born: int | None


class Report(pydantic.BaseModel):
    """A report."""
    title: str
    kind: Literal['news', 'essay']
    pages: int
    authors: list[Author]


REPORT = {'title': 'Grüße 👋', 'kind': 'essay', 'pages': 3, 'authors': [{'name': 'A', 'born': None}, {'name': 'B', 'born': 1900}]}

TOOL_MODES = [Mode.TOOLS, Mode.TOOLS_STRICT]
TEXT_MODES = [Mode.JSON, Mode.JSON_SCHEMA, Mode.MD_JSON]
MODES = TOOL_MODES + TEXT_MODES


def make(port, mode, kind=openai.OpenAI):
    return instructor.from_openai(kind(base_url=f'http://127.0.0.1:{port}/v1', api_key=KEY, max_retries=0), mode=mode)


def answer_of(mode, value):
    """A prompt that is answered with `value` in the form of the mode."""
    if mode in TOOL_MODES:
        return f'A report. [[sim: piece=4 args={quoted(value)}]]'
    fence = 'fence' if mode == Mode.MD_JSON else ''
    return f'A report. [[sim: piece=4 {fence} text={quoted(value)}]]'


@pytest.mark.parametrize('mode', MODES)
def test_create(port, upstream, mode):
    report, completion = make(port, mode).chat.completions.create_with_completion(
        model=MODEL, messages=user(answer_of(mode, REPORT)), response_model=Report, max_retries=0)
    assert report.model_dump() == REPORT
    assert completion.usage.total_tokens > 0
    body = upstream.last
    if mode in TOOL_MODES:
        assert body['tool_choice']['name'] == 'Report'
    if mode == Mode.JSON_SCHEMA:
        assert body['output_config']['format']['type'] == 'json_schema'


@pytest.mark.parametrize('mode', TOOL_MODES + [Mode.JSON_SCHEMA])
def test_create_from_the_schema_alone(port, mode):
    report = make(port, mode).chat.completions.create(model=MODEL, messages=user('A report.'), response_model=Report, max_retries=0)
    assert isinstance(report, Report)


@pytest.mark.parametrize('mode', MODES)
def test_create_async(port, mode):
    async def run():
        client = make(port, mode, openai.AsyncOpenAI)
        return await client.chat.completions.create(model=MODEL, messages=user(answer_of(mode, REPORT)), response_model=Report, max_retries=0)
    assert asyncio.run(run()).model_dump() == REPORT


@pytest.mark.parametrize('mode', MODES)
def test_partial(port, mode):
    parts = list(make(port, mode).chat.completions.create_partial(model=MODEL, messages=user(answer_of(mode, REPORT)), response_model=Report))
    assert parts[-1].model_dump() == REPORT
    assert any(part.title == REPORT['title'] and not part.authors for part in parts)


@pytest.mark.parametrize('mode', [Mode.TOOLS, Mode.JSON, Mode.JSON_SCHEMA, Mode.MD_JSON])
def test_iterable(port, mode):
    prompt = answer_of(mode, {'tasks': REPORT['authors']})
    authors = list(make(port, mode).chat.completions.create_iterable(model=MODEL, messages=user(prompt), response_model=Author))
    assert [author.model_dump() for author in authors] == REPORT['authors']


@pytest.mark.parametrize('mode', [Mode.TOOLS, Mode.JSON_SCHEMA])
def test_streams_async(port, mode):
    async def run():
        client = make(port, mode, openai.AsyncOpenAI)
        parts = [part async for part in client.chat.completions.create_partial(model=MODEL, messages=user(answer_of(mode, REPORT)), response_model=Report)]
        tasks = answer_of(mode, {'tasks': REPORT['authors']})
        authors = [author async for author in client.chat.completions.create_iterable(model=MODEL, messages=user(tasks), response_model=Author)]
        return parts[-1].model_dump(), [author.model_dump() for author in authors]
    assert asyncio.run(run()) == (REPORT, REPORT['authors'])


class Weather(pydantic.BaseModel):
    """The weather."""
    city: str


class Time(pydantic.BaseModel):
    """The time."""
    zone: str


def test_parallel_tools(port, upstream):
    found = make(port, Mode.PARALLEL_TOOLS).chat.completions.create(
        model=MODEL, messages=user('Weather and Time, please'), response_model=Iterable[Weather | Time])
    assert [type(value) for value in found] == [Weather, Time]
    assert len(upstream.last['tools']) == 2


def not_short(name):
    if len(name) < 3:
        raise ValueError('a name has three letters at least')
    return name


class Named(pydantic.BaseModel):
    name: Annotated[str, pydantic.AfterValidator(not_short)]


@pytest.mark.parametrize('mode', [Mode.TOOLS, Mode.TOOLS_STRICT, Mode.JSON, Mode.MD_JSON])
def test_asked_again_until_the_retries_are_used_up(port, upstream, mode):
    with pytest.raises(InstructorRetryException) as raised:
        make(port, mode).chat.completions.create(model=MODEL, messages=user(answer_of(mode, {'name': 'ab'})), response_model=Named, max_retries=2)
    assert raised.value.n_attempts == 3
    messages = upstream.last['messages']
    assert [message['role'] for message in messages] == ['user', 'assistant', 'user', 'assistant', 'user']
    assert 'three letters' in json.dumps(messages)
    assert len(upstream.blocks('tool_result')) == (2 if mode in TOOL_MODES else 0)


@pytest.mark.parametrize('mode', [Mode.TOOLS, Mode.JSON_SCHEMA])
def test_mended_in_the_second_attempt(port, upstream, mode):
    """Only the first prompt asks for the wrong answer; then the simulator makes one from the schema."""
    author, completion = make(port, mode).chat.completions.create_with_completion(
        model=MODEL, messages=user(answer_of(mode, {'name': 7})), response_model=Author, max_retries=1)
    assert isinstance(author, Author)
    assert len(upstream.last['messages']) == 3
    assert completion.usage.total_tokens > 0


def test_a_thinking_model(port):
    report = make(port, Mode.JSON_SCHEMA).chat.completions.create(
        model=THINKING_MODEL, reasoning_effort='high', messages=user(f'[[sim: think=text text={quoted(REPORT)}]]'), response_model=Report)
    assert report.model_dump() == REPORT


def test_a_thinking_model_that_cannot_be_forced(port, upstream):
    report = make(port, Mode.TOOLS).chat.completions.create(
        model=THINKING_MODEL, messages=user(f'[[sim: tool=Report args={quoted(REPORT)}]]'), response_model=Report, max_retries=0)
    assert report.model_dump() == REPORT
    assert upstream.last.get('tool_choice', {'type': 'auto'}) == {'type': 'auto'}


def test_an_image(port, upstream):
    image = Image.from_base64(data_url('image/png', PNG))
    make(port, Mode.TOOLS).chat.completions.create(model=MODEL, messages=user(['What is it?', image]), response_model=Author)
    assert upstream.blocks('image')[0]['source']['media_type'] == 'image/png'


def test_an_upstream_error(port):
    with pytest.raises((openai.BadRequestError, InstructorRetryException)) as raised:
        make(port, Mode.TOOLS).chat.completions.create(model=MODEL, messages=user('[[sim: status=400 message="too wide"]]'), response_model=Author, max_retries=0)
    assert 'too wide' in str(raised.value)
