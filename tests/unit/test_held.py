"""tests/traps.md and docs/faults.md say which test holds what: it must be so, and none may be missing."""
import importlib.machinery
import importlib.util
import json
import os
import re
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
SHARED = os.environ.get('SHARED_DIR', os.path.join(ROOT, '..', 'shared'))
NUMBERS = set(range(1, 95)) | set(range(100, 125))
OTHER_API = set(range(95, 100))
SECTIONS = {'U': 'The upstream', 'C': 'Clients', 'S': 'The system'}


def load():
    loader = importlib.machinery.SourceFileLoader('held', os.path.join(ROOT, 'tests', 'held'))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader('held', loader))
    loader.exec_module(module)
    return module


TOOL = load()


class Tables(unittest.TestCase):
    """What holds of each table."""

    def test_they_name_the_tests_that_there_are(self):
        for table in TOOL.TABLES:
            text = TOOL.read(table.path)
            self.assertEqual(text, TOOL.written(table, text), 'run tests/held --write')

    def test_every_row_is_held_and_what_is_named_has_a_row(self):
        for table in TOOL.TABLES:
            ids = [ident for ident, _ in TOOL.rows(table, TOOL.read(table.path))]
            held = set(TOOL.holders(table))
            self.assertFalse(set(ids) - held, f'{table.path}: no test holds these')
            self.assertFalse(held - set(ids), f'{table.path}: no such {table.word}')

    def test_every_line_of_a_table_is_a_row(self):
        for table in TOOL.TABLES:
            text = TOOL.read(table.path)
            lines = re.findall(r'^\| (?!---|cell|trap).*', text, re.M)
            self.assertEqual(len(lines), len(TOOL.rows(table, text)), table.path)


class Traps(unittest.TestCase):
    def test_every_number_has_a_row(self):
        rows = TOOL.rows(TOOL.TRAPS, TOOL.read(TOOL.TRAPS.path))
        self.assertEqual([int(ident) for ident, _ in rows], sorted(NUMBERS))
        for ident, (what,) in rows:
            self.assertGreater(len(what), 10, ident)

    def test_a_case_has_the_number_of_its_name(self):
        for path in TOOL.find('tests/golden/request/*.json'):
            for case in json.loads(TOOL.read(path)):
                named = TOOL.TRAPS.name.findall(case['name'])
                self.assertEqual('trap' in case, bool(named), case['name'])
                if named:
                    self.assertIn(str(case['trap']), named, case['name'])

    def test_the_reference_has_no_other(self):
        path = os.path.join(SHARED, 'reference', 'mapping.md')
        if not os.path.exists(path):
            self.skipTest('no reference at hand')
        with open(path) as file:
            section = re.search(r'^# L\. .*?(?=^# )', file.read(), re.M | re.S).group(0)
        numbers = {int(n) for n in re.findall(r'^\| (\d+) \|', section, re.M)}
        self.assertEqual(numbers, NUMBERS | OTHER_API)


class Faults(unittest.TestCase):
    def test_each_section_counts_from_one_and_says_what_is_promised(self):
        text = TOOL.read(TOOL.FAULTS.path)
        for letter, title in SECTIONS.items():
            section = re.search(rf'^## {title}$(.*?)(?=^## |\Z)', text, re.M | re.S).group(1)
            rows = TOOL.rows(TOOL.FAULTS, section)
            self.assertEqual([ident for ident, _ in rows],
                             [f'{letter}{i + 1}' for i in range(len(rows))])
            for ident, columns in rows:
                for column in columns:
                    self.assertTrue(column.strip(), ident)


if __name__ == '__main__':
    unittest.main()
