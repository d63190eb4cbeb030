"""The benchmark: its statistics, and its load generator against the simulator for a second."""
import json
import os
import re
import subprocess
import sys
import tempfile
import unittest
import xml.etree.ElementTree as ElementTree

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
sys.path.insert(0, os.path.join(ROOT, 'bench'))
from suite import bodies, check, contenders, measure, plot, report, stats, workloads  # noqa: E402

LOAD = os.path.join(ROOT, 'build', 'bench', 'load', 'bench-load')
BINARY = os.path.join(ROOT, 'build', 'claude-proxy')


def rounds(*values):
    return [{'cpu_us': value} for value in values]


class Statistics(unittest.TestCase):
    RESULTS = {'w': {'nginx': {'None': rounds(10, 20, 40)}, 'claude-proxy': {'None': rounds(15, 20, 80)},
                     'direct': {'None': rounds(None, None, None)}}}

    def test_a_figure_is_the_median_and_the_range(self):
        figure = stats.figure(self.RESULTS, 'w', 'nginx', None, 'cpu_us')
        self.assertEqual((figure.median, figure.low, figure.high), (20, 10, 40))

    def test_what_was_not_measured_is_no_figure(self):
        for where in (('w', 'direct', None), ('w', 'nginx', 7), ('w', 'other', None), ('v', 'nginx', None)):
            self.assertIsNone(stats.figure(self.RESULTS, *where, 'cpu_us'))

    def test_a_ratio_is_taken_round_by_round(self):
        ratio = stats.ratio(self.RESULTS, 'w', 'cpu_us', 'claude-proxy', 'nginx')
        self.assertEqual(ratio.values, [1.0, 1.5, 2.0])
        self.assertIsNone(stats.ratio(self.RESULTS, 'w', 'cpu_us', 'direct', 'nginx'))


class Tables(unittest.TestCase):
    def test_names_are_those_of_the_tables(self):
        for name, workload in workloads.WORKLOADS.items():
            self.assertIn(workload.main, workload.metrics)
            self.assertTrue(set(workload.without) <= set(contenders.CONTENDERS), name)
        for one in contenders.CONTENDERS.values():
            self.assertTrue(set(one.skips) <= set(workloads.WORKLOADS), one.name)

    def test_targets_name_what_is_measured(self):
        for target in report.TARGETS:
            self.assertIsNone(target.value({}), target.what)

    def test_a_body_has_its_size(self):
        for size in (130, 1000, 100000):
            self.assertEqual(len(json.dumps(bodies.sized(size), separators=(',', ':'))), size)


class Report(unittest.TestCase):
    """Results of every workload become a document with a drawing each."""

    def setUp(self):
        self.folder = tempfile.mkdtemp()
        runs = {}
        for name, workload in workloads.WORKLOADS.items():
            results = {one: {str(point): [self.figures(workload, value), self.figures(workload, 7)]
                             for point in workload.points}
                       for value, one in enumerate(contenders.CONTENDERS, 3)
                       if one not in workload.without}
            runs[name] = {'date': '', 'commit': '', 'rounds': 2, 'load': '', 'results': results}
        with open(os.path.join(self.folder, 'results.json'), 'w') as file:
            json.dump({'runs': runs, 'machine': {'memory': '1 GB'}, 'cores': 2}, file)
        report.write(self.folder)
        with open(os.path.join(self.folder, 'README.md')) as file:
            self.document = file.read()

    @staticmethod
    def figures(workload, value):
        return {metric.key: value for metric in workload.metrics}

    def test_every_workload_has_its_section_and_drawing(self):
        for name, workload in workloads.WORKLOADS.items():
            self.assertIn(f'## {workload.title}\n', self.document)
            ElementTree.parse(os.path.join(self.folder, f'{name}.svg'))
        self.assertEqual(len(re.findall(r'!\[', self.document)), len(workloads.WORKLOADS))

    def test_targets_are_judged(self):
        for row in ('| CPU a small request, × nginx | ≤ 1.2 | 1.12 | held |',
                    '| CPU an event at 25,000 events/s, × nginx | ≤ 1.0 | 1.12 | **missed** |'):
            self.assertIn(row, self.document)

    def test_no_row_has_another_number_of_cells_than_its_heading(self):
        for block in re.findall(r'(?:^\|.*\n)+', self.document, re.M):
            self.assertEqual(len({line.count('|') for line in block.splitlines()}), 1, block)

    def test_a_growth_over_several_powers_of_ten_is_drawn(self):
        curve = [(10 ** n, stats.Figure([10.0 ** n])) for n in range(5)]
        ElementTree.fromstring(plot.lines('<growth>', 'bytes', [('nginx', curve)]))


class Run(unittest.TestCase):
    def test_a_quick_run_measures_and_reports(self):
        """With what needs no tool beside the tree."""
        with tempfile.TemporaryDirectory() as folder:
            subprocess.run([os.path.join(ROOT, 'bench', 'run'), '--quick', '--out', folder, '--only',
                            'fixed,stream-500', '--contenders', 'direct,claude-proxy'],
                           check=True, capture_output=True, timeout=60)
            with open(os.path.join(folder, 'results.json')) as file:
                runs = json.load(file)['runs']
        for name, count in (('fixed', 'per_s'), ('stream-500', 'lag_p50_us')):
            for contender in ('direct', 'claude-proxy'):
                [figures] = runs[name]['results'][contender]['None']
                self.assertEqual(figures['bad'], 0, (name, contender))
                self.assertGreater(figures[count], 0)
        [figures] = runs['fixed']['results']['claude-proxy']['None']
        self.assertGreater(figures['cpu_us'], 1)


class Check(unittest.TestCase):
    """What a contender answers is compared before it is measured."""

    @classmethod
    def setUpClass(cls):
        cls.folder = tempfile.TemporaryDirectory()
        cls.upstream = contenders.Upstream(cls.folder.name)
        cls.direct = contenders.Direct(cls.upstream)
        cls.direct.start()
        cls.proxy = contenders.ClaudeProxy(cls.upstream)
        cls.proxy.start()

    @classmethod
    def tearDownClass(cls):
        for one in (cls.proxy, cls.direct, cls.upstream):
            one.stop()
        cls.folder.cleanup()

    def test_what_answers_rightly_passes(self):
        check.check(self.direct)
        check.check(self.proxy)

    def test_a_stream_without_its_end_has_no_reason(self):
        for api, whole, end in (
                ('openai', b'data: {"choices":[{"delta":{"content":"a"}}]}\n\n'
                 b'data: {"choices":[{"delta":{},"finish_reason":"stop"}]}\n\n', b'data: [DONE]\n\n'),
                ('anthropic', b'data: {"type":"content_block_delta","delta":{"text":"a"}}\n\n'
                 b'data: {"type":"message_delta","delta":{"stop_reason":"end_turn"}}\n\n',
                 b'data: {"type":"message_stop"}\n\n')):
            self.assertEqual(check.STREAMED[api](whole + end), ('a', 'stop'))
            self.assertIsNone(check.STREAMED[api](whole)[1], api)

    def test_a_stream_that_is_cut_is_named(self):
        with self.assertRaisesRegex(measure.BenchError, 'direct answers what cannot be read'):
            check.ask(self.direct, '[[sim: words=9 cut=3]]', stream=True)

    def test_what_answers_wrongly_is_named(self):
        class Deaf(contenders.Direct):
            name = 'deaf'

            def post(self, body):
                status, answer = super().post(body)
                return status, answer.replace(b'river', b'rover')

        with self.assertRaisesRegex(measure.BenchError, 'deaf: its answer is .*rover.*not .*river'):
            check.check(Deaf(self.upstream))

    def test_what_refuses_is_named(self):
        with self.assertRaisesRegex(measure.BenchError, 'direct answers 529'):
            check.ask(self.direct, '[[sim: status=529]]')


class Load(unittest.TestCase):
    """bench-load against the simulator, whose directives order what is to be noticed."""

    @classmethod
    def setUpClass(cls):
        cls.simulator = subprocess.Popen([BINARY, 'sim', '--port', '0'], stdout=subprocess.PIPE, text=True)
        cls.url = cls.simulator.stdout.readline().split()[-1]

    @classmethod
    def tearDownClass(cls):
        cls.simulator.terminate()
        cls.simulator.wait()
        cls.simulator.stdout.close()

    def load(self, directives, *flags, path='/v1/messages', stream=True):
        body = {'model': contenders.MODEL, 'max_tokens': 1000, 'stream': stream,
                'messages': [{'role': 'user', 'content': f'[[sim: {directives}]]'}]}
        with tempfile.NamedTemporaryFile('w', suffix='.json') as file:
            json.dump(body, file)
            file.flush()
            result = subprocess.run(
                [LOAD, '--url', self.url + path, '--body', file.name, '--form', 'anthropic',
                 '--header', 'x-api-key: k', '--header', 'anthropic-version: 2023-06-01',
                 '--pid', str(self.simulator.pid), *flags],
                capture_output=True, text=True, check=True, timeout=30)
        return json.loads(result.stdout)

    def test_streams_are_counted_and_timed(self):
        report = self.load('words=40 stamp gap=20ms', '--tokens', '40', '--requests', '20',
                           '--connections', '20', '--rate', '200')
        self.assertEqual((report['ok'], report['begun'], report['end']['tokens']), (20, 20, 800))
        self.assertEqual(report['lag_us']['n'], 800)
        self.assertEqual(report['first_us']['n'], 20)
        self.assertGreater(report['answer_us']['p50'], 39 * 20000 - 2000)
        self.assertLess(report['lag_us']['p50'], 100_000)
        self.assertEqual([part['tokens'] >= 80 * (i + 1) for i, part in enumerate(report['parts'])],
                         [True] * 10)
        self.assertGreater(report['first_over']['cpu_us'], report['all_begun']['cpu_us'])

    def test_what_is_wrong_with_a_stream_is_named(self):
        cases = {
            'words=5 stamp': 'ok',
            'words=4 stamp': 'content',
            'words=6 stamp': 'content',
            'words=5': 'content',
            'words=5 stamp stop=max_tokens': 'finish',
            'words=5 stamp end=3': 'content',
            'words=5 stamp cut=3': 'cut',
            'words=5 stamp error=overloaded_error after=5': 'finish',
            'status=529': 'status',
            'words=5 stamp stall=3': 'timeout',
        }
        for directives, name in cases.items():
            with self.subTest(directives):
                report = self.load(directives, '--tokens', '5', '--timeout', '1')
                self.assertEqual(report[name], 1, report)
                self.assertEqual(report['ok'], int(name == 'ok'))

    def test_a_closed_loop_sends_all(self):
        report = self.load('words=3', '--requests', '50', '--connections', '5', stream=False)
        self.assertEqual((report['ok'], report['answer_us']['n']), (50, 50))

    def test_an_open_loop_keeps_to_its_rate(self):
        report = self.load('words=3', '--requests', '200', '--connections', '50', '--rate', '400',
                           stream=False)
        self.assertEqual(report['ok'], 200)
        self.assertGreater(report['end']['us'], 190 * 2500)

    def test_nobody_there_is_a_fault(self):
        port = contenders.free_port()
        with tempfile.NamedTemporaryFile('w') as file:
            file.write('{}')
            file.flush()
            result = subprocess.run([LOAD, '--url', f'http://127.0.0.1:{port}/', '--body', file.name,
                                     '--requests', '3'], capture_output=True, text=True, check=True)
        self.assertEqual(json.loads(result.stdout)['connection'], 3)


if __name__ == '__main__':
    unittest.main()
