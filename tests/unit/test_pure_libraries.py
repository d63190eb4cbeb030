"""The pure libraries import nothing but memory, text, numbers and the parser they stand on: no
sockets, files, clock, environment, log or threads. Read from the symbols of the built archives."""
import os
import re
import subprocess
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

LIBC = {
    # memory
    'malloc', 'calloc', 'realloc', 'free', 'memcpy', 'memmove', 'memset', 'memcmp', 'memchr',
    'memrchr', 'memmem', 'explicit_bzero',
    # text
    'strlen', 'strnlen', 'strcmp', 'strncmp', 'strcasecmp', 'strncasecmp', 'strchr', 'strrchr',
    'strstr', 'strspn', 'strcspn', 'tolower', 'toupper', '__ctype_b_loc', '__ctype_tolower_loc',
    'snprintf', 'vsnprintf',
    # numbers and order
    'strtod', 'strtol', 'strtoll', 'strtoul', 'strtoull', '__isoc23_strtol', '__isoc23_strtoll',
    '__isoc23_strtoul', '__isoc23_strtoull', 'qsort', 'bsearch', 'floor', 'ceil', 'trunc', 'round',
    'llround', 'fmod', 'pow', 'isnan', 'isinf',
    # the compiler's own
    '__assert_fail', '__stack_chk_fail', '_GLOBAL_OFFSET_TABLE_', '__memcpy_chk', '__memmove_chk',
    '__memset_chk', '__snprintf_chk', '__vsnprintf_chk', '__explicit_bzero_chk',
    '__divti3', '__udivti3', '__modti3', '__umodti3',
}

# What base/ offers without a clock, a log or randomness.
BASE = ('buf_', 'arena_', 'str_', 'spliced_', 'utf8_', 'list_', 'siphash_')

# library -> the prefixes it may import besides LIBC, BASE and its own symbols
PURE = {
    'json': ('yyjson_', 'unsafe_yyjson_'),
    'translate': ('json_', 'conform_'),
    'http': ('llhttp_', 'nghttp2_'),
    'limits': (),
}
# config/ reads files and the environment elsewhere; its .env parser does not.
PURE_OBJECTS = {'config': ['dotenv.c.o']}


def table(archive):
    """objdump, as nm reads of such an object what link-time optimisation left, not machine code."""
    return subprocess.run(['objdump', '-t', archive], capture_output=True, text=True,
                          check=True).stdout


def symbols(archive, members=None):
    """(imported, defined) symbols of the objects in a static library."""
    imported, defined, member = set(), set(), ''
    for line in table(archive).splitlines():
        heading = re.match(r'(\S+\.o): +file format', line)
        if heading:
            member = heading.group(1)
            continue
        match = re.match(r'[0-9a-f]+ .{7} (\S+)\t[0-9a-f]+ +(?:\.hidden )?(\S+)$', line)
        if not match or (members and not any(member.endswith(name) for name in members)):
            continue
        section, name = match.groups()
        (imported if section == '*UND*' else defined).add(name)
    return imported - defined, defined


class PureLibraries(unittest.TestCase):
    def check(self, folder, prefixes, members=None):
        archive = os.path.join(ROOT, 'build', 'src', folder, f'lib{folder}.a')
        if not os.path.exists(archive):
            self.fail(f'{archive} is not built')
        imported, defined = symbols(archive, members)
        self.assertTrue(defined, f'{archive} defines nothing')
        foreign = sorted(name for name in imported
                         if name not in LIBC and not name.startswith(BASE + prefixes))
        self.assertEqual(foreign, [], f'{folder}/ is pure, but imports {", ".join(foreign)}')

    def test_pure_libraries_import_only_what_is_pure(self):
        for folder, prefixes in PURE.items():
            with self.subTest(folder):
                self.check(folder, prefixes)

    def test_pure_objects_import_only_what_is_pure(self):
        for folder, members in PURE_OBJECTS.items():
            with self.subTest(folder):
                self.check(folder, (), members)

    def test_pure_libraries_have_no_writable_globals(self):
        # Constant tables of pointers are in .data.rel.ro, which is not writable when they are used.
        variable = re.compile(r' O (?:\.(?:data|bss)(?!\.rel\.ro)\S*|\*COM\*)\s+\S+ +(\S+)$', re.M)
        for folder in PURE:
            archive = os.path.join(ROOT, 'build', 'src', folder, f'lib{folder}.a')
            with self.subTest(folder):
                self.assertEqual(variable.findall(table(archive)), [])


if __name__ == '__main__':
    unittest.main()
