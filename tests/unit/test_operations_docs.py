"""docs/operations.md names what an operator sees: every metric with its labels, every field of the
access log, every reason a request can end for; and nothing that there is not."""
import glob
import os
import re
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def read(*path):
    with open(os.path.join(ROOT, *path)) as file:
        return file.read()


def without_comments(source):
    return re.sub(r'/\*.*?\*/', ' ', source, flags=re.S)


def names_in(docs):
    """What stands between backquotes, outside of blocks of code."""
    return re.findall(r'`([^`\n]+)`', re.sub(r'```.*?```', '', docs, flags=re.S))


def rows(docs, heading):
    """The names in the first cells of the tables whose first column is `heading`."""
    found, is_in = [], False
    for line in docs.splitlines():
        if not line.startswith('|'):
            is_in = False
        elif line.startswith('| %s |' % heading):
            is_in = True
        elif is_in and not line.startswith('|---'):
            found += re.findall(r'`([^`]+)`', line.split('|')[1])
    return found


class OperationsDocs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.docs = read('docs', 'operations.md')

    def check(self, wanted, documented, at_least):
        self.assertGreaterEqual(len(wanted), at_least, 'the sources are not read as they are')
        self.assertEqual(len(wanted), len(set(wanted)))
        self.assertEqual(len(documented), len(set(documented)), 'a row comes twice')
        self.assertEqual(sorted(wanted), sorted(documented))

    def test_every_metric_has_a_row(self):
        table = without_comments(read('src', 'server', 'metrics.def'))
        self.check(re.findall(r'METRIC\(\w+, "([^"]+)"', table), rows(self.docs, 'metric'), 20)

    def test_every_label_is_named(self):
        source = without_comments(read('src', 'server', 'metrics_write.c'))
        labels = set(re.findall(r'\{"([a-z_]+)", (?:STR|str_of|model|route)', source))
        labels |= set(re.findall(r'"(gen_ai_token_type|error_type|outcome|how)"', source))
        self.assertGreaterEqual(len(labels), 12)
        named = set(names_in(self.docs))
        self.assertFalse(labels - named, 'labels that are not in docs/operations.md')

    def test_every_field_of_the_log_has_a_row(self):
        source = without_comments(read('src', 'observe', 'record.c'))
        fields = re.findall(r'\badd_\w+\(&l, STR\("(\w+)"\)', source)
        self.check(fields, rows(self.docs, 'field'), 25)
        most = int(re.search(r'FIELDS_MAX\s+(\d+)', source).group(1))
        self.assertLessEqual(len(fields), most, 'a line may hold more fields than there is room for')

    def test_every_end_has_a_row(self):
        table = without_comments(read('src', 'server', 'end_reasons.def'))
        ends = re.findall(r'^END\(\w+, \d+, "[^"]*", "[^"]*", "([^"]+)"', table, re.M)
        self.check(ends, rows(self.docs, 'end'), 25)

    def test_queries_use_metrics_that_there_are(self):
        names = set(rows(self.docs, 'metric'))
        queries = '\n'.join(re.findall(r'```promql\n(.*?)```', self.docs, re.S))
        used = set(re.findall(r'\b((?:claude_proxy|gen_ai_(?:client|server))_[a-z_]+)\b', queries))
        self.assertGreaterEqual(len(used), 8)
        for name in used:
            self.assertIn(re.sub(r'_(bucket|sum|count)$', '', name), names)

    def test_words_of_the_sources_that_labels_hold(self):
        named = set(names_in(self.docs))
        words = set()
        for path in glob.glob(os.path.join(ROOT, 'src', 'server', '*.c')):
            source = without_comments(read(path))
            words |= set(re.findall(r'metrics_saw_retry\([^,;]+,\s*"(\w+)"', source))
            words |= set(re.findall(r'\bwait\(leg, "(\w+)"', source))
        self.assertEqual(words - named, set())
        self.assertGreaterEqual(len(words), 4)


if __name__ == '__main__':
    unittest.main()
