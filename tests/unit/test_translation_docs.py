"""docs/translation.md names what the sources know: every request field in a table of its own row,
every model, every error code, and every header that an answer may carry."""
import glob
import os
import re
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


def read(*path):
    with open(os.path.join(ROOT, *path)) as file:
        return file.read()


def names_in(text):
    """What stands between backquotes."""
    return set(re.findall(r'`([^`\n]+)`', text))


def without_comments(source):
    return re.sub(r'/\*.*?\*/', ' ', source, flags=re.S)


class TranslationDocs(unittest.TestCase):
    @classmethod
    def setUpClass(cls):
        cls.docs = read('docs', 'translation.md')
        cls.names = names_in(cls.docs)

    def check(self, wanted, documented, at_least):
        self.assertGreaterEqual(len(wanted), at_least, 'the sources are not read as they are')
        missing = [name for name in wanted if name not in documented]
        self.assertFalse(missing, 'not in docs/translation.md: ' + ', '.join(missing))

    def field_rows(self):
        """The names in the first cells of the tables whose first column is `field`."""
        found, is_field_table = set(), False
        for line in self.docs.splitlines():
            if not line.startswith('|'):
                is_field_table = False
            elif line.startswith('| field |'):
                is_field_table = True
            elif is_field_table:
                found |= names_in(line.split('|')[1])
        return found

    def test_every_field_has_a_row(self):
        source = without_comments(read('src', 'translate', 'fields.def'))
        fields = re.findall(r'^FIELD\((\w+),', source, re.M)
        self.check(fields, self.field_rows(), 40)

    def test_every_row_is_a_field(self):
        source = without_comments(read('src', 'translate', 'fields.def'))
        fields = set(re.findall(r'^FIELD\((\w+),', source, re.M))
        self.assertFalse(self.field_rows() - fields, 'documented, but no field')

    def test_every_model_is_named(self):
        source = without_comments(read('src', 'translate', 'model_table.def'))
        self.check(re.findall(r'^MODEL\("([^"]+)"', source, re.M), self.names, 25)

    def test_every_error_code_is_named(self):
        ends = without_comments(read('src', 'server', 'end_reasons.def'))
        codes = re.findall(r'^END\(\w+, \d+, "[^"]*", "([^"]+)"', ends, re.M)
        for path in glob.glob(os.path.join(ROOT, 'src', 'translate', '*.c')):
            if not os.path.basename(path).startswith('test_'):
                codes += re.findall(r'\brefuse\(t,\s*"([^"]+)"', without_comments(read(path)))
        self.check(sorted(set(codes)), self.names, 20)

    def test_every_header_is_named(self):
        # Those that scripts in browsers may read, and what the sources write besides.
        exposed = re.search(r'exposed_headers\[\] =(.*?);', read('src', 'server', 'cors.c'), re.S)
        headers = set(re.findall(r'[a-z][a-z-]+', exposed.group(1)))
        for path in glob.glob(os.path.join(ROOT, 'src', 'server', '*.c')) + \
                [os.path.join(ROOT, 'src', 'translate', 'response_header.c')]:
            if not os.path.basename(path).startswith('test_'):
                source = without_comments(read(path))
                headers |= set(re.findall(r'"((?:x|openai)-[a-z-]*[a-z])[:"]', source))
        headers -= {'x-accel-buffering', 'x-api-key', 'x-ratelimit'}  # for servers between; upstream
        self.check(sorted(headers), self.names, 15)


if __name__ == '__main__':
    unittest.main()
