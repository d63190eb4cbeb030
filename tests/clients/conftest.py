"""A proxy in front of a simulator, for every suite of a client."""
import os

import proxy
import pytest

# Nothing of a client's own leaves this machine.
os.environ.update(LITELLM_LOCAL_MODEL_COST_MAP='True', LANGSMITH_TRACING='false', DO_NOT_TRACK='1')


@pytest.fixture(scope='module')
def servers():
    sim = proxy.Server('sim', '--port', '0')
    try:
        server = proxy.Server('serve', ANTHROPIC_API_KEY='upstream-key', CLAUDE_PROXY_API_KEY=proxy.KEY, HOST='127.0.0.1', PORT='0',
                              ANTHROPIC_BASE_URL=f'http://127.0.0.1:{sim.port}', REQUESTS_PER_MINUTE='0', TOKENS_PER_MINUTE='0',
                              RETRIES='0', CIRCUIT_BREAKER='off',  # a client's own retries are to be seen
                              REQUEST_TIMEOUT='2', KEEP_ALIVE='1')
        try:
            yield server, sim
        finally:
            server.stop()
    finally:
        sim.stop()


@pytest.fixture(scope='module')
def port(servers):
    return servers[0].port


@pytest.fixture(scope='module')
def upstream(servers):
    return proxy.Upstream(servers[1].port)
