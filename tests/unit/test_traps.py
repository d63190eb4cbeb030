"""tests/traps.md says which test holds each trap: what it says must be so, and none may be missing."""
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
OPEN = set()


def load():
    loader = importlib.machinery.SourceFileLoader('traps', os.path.join(ROOT, 'tests', 'traps'))
    module = importlib.util.module_from_spec(importlib.util.spec_from_loader('traps', loader))
    loader.exec_module(module)
    return module


class Traps(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.tool = load()
        cls.text = cls.tool.read('tests/traps.md')
        cls.rows = cls.tool.rows(cls.text)

    def test_every_number_has_a_row(self):
        self.assertEqual([n for n, _ in self.rows], sorted(NUMBERS))
        for number, what in self.rows:
            self.assertGreater(len(what), 10, number)

    def test_the_table_names_the_tests_that_there_are(self):
        self.assertEqual(self.text, self.tool.table(self.text), 'run tests/traps --write')

    def test_every_trap_is_held(self):
        held = set(self.tool.holders())
        self.assertEqual(NUMBERS - held, OPEN)
        self.assertFalse(held - NUMBERS, 'no such trap')

    def test_a_case_has_the_number_of_its_name(self):
        for path in self.tool.find('tests/golden/request/*.json'):
            for case in json.loads(self.tool.read(path)):
                named = self.tool.TRAP.findall(case['name'])
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


if __name__ == '__main__':
    unittest.main()
