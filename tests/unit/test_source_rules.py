"""The rules about the C sources that no compiler holds: who may include whom, which folder owns a
third-party header, banned functions, comments."""
import glob
import os
import re
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# folder -> the folders it may include besides itself. base/ knows nobody.
MAY_INCLUDE = {
    'base': set(),
    'json': {'base'},
    'limits': {'base'},
    'http': {'base'},
    'translate': {'json', 'base'},
    'config': {'base'},
    'net': {'base'},
    'observe': {'base'},
    'sandbox': {'base'},
    'upstream': {'net', 'http', 'base'},
    'sim': {'net', 'http', 'json', 'base'},
    'server': {'upstream', 'observe', 'config', 'translate', 'http', 'limits', 'net', 'json',
               'base'},
    'cli': {'server', 'sim', 'sandbox', 'upstream', 'observe', 'config', 'translate', 'http',
            'limits', 'net', 'json', 'base'},
    'main.c': {'cli', 'base'},
}

# A third-party header, by its first words -> the one folder that may include it.
OWNER = {
    'yyjson.h': 'json',
    'llhttp.h': 'http',
    'nghttp2/': 'http',
    'event2/': 'net',
    'event.h': 'net',
    'openssl/': 'net',
    'seccomp.h': 'sandbox',
    'linux/landlock.h': 'sandbox',
}

BANNED = ['strcpy', 'strcat', 'sprintf', 'vsprintf', 'strtok', 'atoi', 'atol', 'atof', 'gets',
          'alloca', 'strncpy', 'strncat']

FILE_LINES_MAX = 700

INCLUDE = re.compile(r'^\s*#\s*include\s+([<"])([^>"]+)[>"]', re.M)
TOKEN = re.compile(r'"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'|/\*.*?\*/|//[^\n]*', re.S)


def sources():
    """(path from the root, its folder under src/ or the file's name, text) of every C file."""
    found = []
    for path in sorted(glob.glob(os.path.join(ROOT, 'src', '**', '*.[ch]'), recursive=True)):
        with open(path) as file:
            text = file.read()
        folder = os.path.relpath(path, os.path.join(ROOT, 'src')).split(os.sep)[0]
        found.append((os.path.relpath(path, ROOT), folder, text))
    return found


def line_of(text, position):
    return text.count('\n', 0, position) + 1


def code_only(text):
    """The text without comments and literals, line numbers kept."""
    return TOKEN.sub(lambda match: '\n' * match.group().count('\n') or ' ', text)


class SourceRules(unittest.TestCase):
    def check(self, complaints):
        self.assertFalse(complaints, '\n' + '\n'.join(complaints))

    def test_there_are_sources(self):
        self.assertGreater(len(sources()), 20)

    def test_every_folder_has_a_row_in_the_table(self):
        folders = {folder for _, folder, _ in sources()}
        self.assertEqual(folders, set(MAY_INCLUDE))

    def test_includes_between_folders_follow_the_table(self):
        complaints = []
        for path, folder, text in sources():
            for match in INCLUDE.finditer(text):
                quote, name = match.groups()
                other = name.split('/')[0]
                if quote == '"' and other in MAY_INCLUDE and other != folder \
                        and other not in MAY_INCLUDE[folder]:
                    complaints.append(f'{path}:{line_of(text, match.start())}: {folder}/ may not '
                                      f'include {name}')
        self.check(complaints)

    def test_own_headers_are_included_from_the_root_of_src(self):
        complaints = []
        for path, _, text in sources():
            for match in INCLUDE.finditer(text):
                quote, name = match.groups()
                if quote == '"' and not os.path.exists(os.path.join(ROOT, 'src', name)):
                    complaints.append(f'{path}:{line_of(text, match.start())}: no src/{name}')
        self.check(complaints)

    def test_each_third_party_header_has_one_owner(self):
        """Tests are free: a peer that breaks the rules of a protocol needs its bare library."""
        complaints = []
        for path, folder, text in sources():
            if os.path.basename(path).startswith('test_'):
                continue
            for match in INCLUDE.finditer(text):
                for header, owner in OWNER.items():
                    if match.group(2).startswith(header) and folder != owner:
                        complaints.append(f'{path}:{line_of(text, match.start())}: only {owner}/ '
                                          f'includes {match.group(2)}')
        self.check(complaints)

    def test_banned_functions_are_not_called(self):
        call = re.compile(r'(?<![\w.>])(' + '|'.join(BANNED) + r')\s*\(')
        self.check([f'{path}:{line_of(code_only(text), match.start())}: {match.group(1)} is banned'
                    for path, _, text in sources() for match in call.finditer(code_only(text))])

    def test_comments_are_block_comments(self):
        self.check([f'{path}:{line_of(text, match.start())}: // comment'
                    for path, _, text in sources() for match in TOKEN.finditer(text)
                    if match.group().startswith('//')])

    def test_every_file_begins_with_what_it_is_for(self):
        self.check([f'{path}: no comment at the top' for path, _, text in sources()
                    if not text.startswith('/*')])

    def test_no_file_of_the_program_is_longer_than_one_concept_takes(self):
        lines = {path: text.count('\n') for path, _, text in sources()
                 if not os.path.basename(path).startswith('test_')}
        self.check([f'{path}: {count} lines, at most {FILE_LINES_MAX}'
                    for path, count in lines.items() if count > FILE_LINES_MAX])

    def test_every_source_and_unit_test_is_built(self):
        complaints = []
        for path, folder, _ in sources():
            name = os.path.basename(path)
            if folder == 'main.c' or not name.endswith('.c'):
                continue
            with open(os.path.join(ROOT, 'src', folder, 'meson.build')) as file:
                listed = file.read()
            # By its file name, or as one of <folder>_tests, which hold the middle of it.
            if f"'{name}'" not in listed and f"'{name[len('test_'):-2]}'" not in listed:
                complaints.append(f'{path}: not listed in src/{folder}/meson.build')
        self.check(complaints)


if __name__ == '__main__':
    unittest.main()
