"""The scripts around the program: which subcommand `make run` picks, what the lock file names."""
import json
import os
import re
import shutil
import subprocess
import tempfile
import unittest

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))


class Run(unittest.TestCase):
    """scripts/run against a program that prints its arguments."""

    def setUp(self):
        self.tree = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.tree)
        for folder in ('scripts', 'build'):
            os.mkdir(os.path.join(self.tree, folder))
        shutil.copy(os.path.join(ROOT, 'scripts', 'run'), os.path.join(self.tree, 'scripts'))
        program = os.path.join(self.tree, 'build', 'claude-proxy')
        with open(program, 'w') as file:
            file.write('#!/bin/sh\necho "$@"\n')
        os.chmod(program, 0o755)

    def picked(self, env_file=None, **environment):
        if env_file is not None:
            with open(os.path.join(self.tree, '.env'), 'w') as file:
                file.write(env_file)
        result = subprocess.run([os.path.join(self.tree, 'scripts', 'run'), '--port', '8080'],
                                env={'PATH': os.environ['PATH'], **environment},
                                capture_output=True, text=True, check=True)
        return result.stdout.strip()

    def test_without_a_key_it_is_the_demo(self):
        self.assertEqual(self.picked(), 'demo --port 8080')

    def test_a_key_in_the_environment_serves(self):
        self.assertEqual(self.picked(ANTHROPIC_API_KEY='k'), 'serve --port 8080')

    def test_a_key_in_the_env_file_serves(self):
        for line in ('ANTHROPIC_API_KEY=k', 'export ANTHROPIC_API_KEY="k"',
                     '# mine\n  ANTHROPIC_API_KEY = k\n', "ANTHROPIC_API_KEY='k'\r\n"):
            with self.subTest(line):
                self.assertEqual(self.picked(line), 'serve --port 8080')

    def test_an_empty_key_is_no_key(self):
        for line in ('ANTHROPIC_API_KEY=', 'ANTHROPIC_API_KEY=""', 'ANTHROPIC_API_KEY= # later',
                     '# ANTHROPIC_API_KEY=k', 'OTHER_ANTHROPIC_API_KEY=k'):
            with self.subTest(line):
                self.assertEqual(self.picked(line, ANTHROPIC_API_KEY=''), 'demo --port 8080')


class Sbom(unittest.TestCase):
    def test_it_names_every_library_with_its_package(self):
        program = os.path.join(ROOT, 'build', 'claude-proxy')
        bill = json.loads(subprocess.run([os.path.join(ROOT, 'deploy', 'sbom'), program],
                                         capture_output=True, text=True, check=True).stdout)
        self.assertEqual((bill['bomFormat'], bill['specVersion']), ('CycloneDX', '1.5'))
        named = {entry['name'].removeprefix('sha256:') for component in bill['components']
                 for entry in component['properties'] if entry['name'].startswith('sha256:')}
        linked = subprocess.run(['ldd', program], capture_output=True, text=True, check=True).stdout
        self.assertEqual(named, set(re.findall(r'(/\S+) \(0x', linked)))
        names = {component['name'] for component in bill['components']}
        for library in ('libc6', 'libnghttp2', 'libseccomp2', 'libssl3'):
            self.assertTrue(any(name.startswith(library) for name in names), library)
        self.assertEqual(sorted(bill['dependencies'][0]['dependsOn']),
                         sorted(component['bom-ref'] for component in bill['components']))


class LockFile(unittest.TestCase):
    def test_it_names_no_registry(self):
        for folder in ('tests', os.path.join('bench', 'rivals')):
            with open(os.path.join(ROOT, folder, 'package-lock.json')) as file:
                packages = json.load(file)['packages']
            self.assertEqual([name for name, entry in packages.items() if 'resolved' in entry], [])


class PinnedPackages(unittest.TestCase):
    def test_every_python_package_of_the_benchmark_has_one_version(self):
        with open(os.path.join(ROOT, 'bench', 'rivals', 'requirements.txt')) as file:
            lines = [line.strip() for line in file if line.strip() and not line.startswith('#')]
        self.assertEqual([line for line in lines if not re.fullmatch(r'[\w.\[\]-]+==[\w.]+', line)], [])


class Rivals(unittest.TestCase):
    """scripts/install-deps --bench with an npm and a pip that cannot reach their registries."""

    def setUp(self):
        self.tree = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, self.tree)
        for folder in ('scripts', 'bench/rivals', 'bin'):
            os.makedirs(os.path.join(self.tree, folder))
        shutil.copy(os.path.join(ROOT, 'scripts', 'install-deps'), os.path.join(self.tree, 'scripts'))
        for name in ('package-lock.json', 'requirements.txt'):
            with open(os.path.join(self.tree, 'bench', 'rivals', name), 'w') as file:
                file.write('{}')

    def program(self, name, script):
        path = os.path.join(self.tree, 'bin', name)
        with open(path, 'w') as file:
            file.write('#!/bin/sh\n' + script)
        os.chmod(path, 0o755)

    def fetched(self):
        """What fetch_rivals says; the packages before it are another matter."""
        with open(os.path.join(self.tree, 'scripts', 'install-deps')) as file:
            script = file.read()
        functions = script[:script.index('groups=\n')]
        path = os.path.join(self.tree, 'scripts', 'fetch')
        with open(path, 'w') as file:
            file.write(functions + 'fetch_rivals\n')
        result = subprocess.run(['sh', path], capture_output=True, text=True, check=True, env={
            'PATH': os.path.join(self.tree, 'bin') + ':' + os.environ['PATH']})
        return result.stdout, result.stderr

    def test_what_cannot_be_fetched_is_left_out_with_a_reason(self):
        self.program('npm', 'mkdir node_modules; echo first; echo no way there; exit 1')
        self.program('python3', 'echo no venv; exit 1')
        _, said = self.fetched()
        self.assertIn('without Portkey (npm): no way there\n', said)
        self.assertIn('without LiteLLM (PyPI): no venv\n', said)
        self.assertFalse(os.path.exists(os.path.join(self.tree, 'bench', 'rivals', 'node_modules')))

    def test_what_is_there_is_not_fetched_again_until_the_list_changes(self):
        self.program('npm', 'mkdir node_modules')
        self.program('python3', 'mkdir -p .venv/bin; printf "#!/bin/sh\\n" > .venv/bin/python; '
                     'chmod +x .venv/bin/python')
        self.assertIn('Portkey (npm), into', self.fetched()[0])
        self.assertEqual(self.fetched(), ('', ''))
        with open(os.path.join(self.tree, 'bench', 'rivals', 'package-lock.json'), 'a') as file:
            file.write(' ')
        said = self.fetched()[0]
        self.assertIn('Portkey', said)
        self.assertNotIn('LiteLLM', said)


class BuildImage(unittest.TestCase):
    """build.sh against a docker that prints its arguments."""

    def build(self, registry=None):
        tools = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, tools)
        docker = os.path.join(tools, 'docker')
        with open(docker, 'w') as file:
            file.write('#!/bin/sh\necho "docker $@"\n')
        os.chmod(docker, 0o755)
        env = {'PATH': f'{tools}:/usr/bin:/bin'}
        if registry is not None:
            env['CLAUDE_PROXY_API_DOCKER_REGISTRY_URI'] = registry
        return subprocess.run([os.path.join(ROOT, 'build.sh')], env=env, capture_output=True,
                              text=True)

    def test_without_a_registry_it_says_what_to_set(self):
        for registry in (None, '', 'https://'):
            with self.subTest(registry):
                result = self.build(registry)
                self.assertEqual(result.returncode, 2)
                self.assertIn('CLAUDE_PROXY_API_DOCKER_REGISTRY_URI', result.stderr)
                self.assertEqual(result.stdout, '')

    def test_it_builds_both_architectures_and_pushes_version_and_latest(self):
        for registry in ('https://registry.example.com/team', 'registry.example.com/team/',
                         'http://registry.example.com/team//'):
            with self.subTest(registry):
                result = self.build(registry)
                self.assertEqual(result.returncode, 0, result.stderr)
                command = result.stdout.splitlines()[0].split()
                self.assertEqual(command[:3], ['docker', 'buildx', 'build'])
                self.assertIn('linux/amd64,linux/arm64', command)
                self.assertIn('--push', command)
                tags = [command[i + 1] for i, word in enumerate(command) if word == '--tag']
                with open(os.path.join(ROOT, 'meson.build')) as file:
                    version = re.search(r"version: '([^']+)'", file.read()).group(1)
                image = 'registry.example.com/team/claude-proxy-api'
                self.assertEqual(tags, [f'{image}:{version}', f'{image}:latest'])


class ImageContext(unittest.TestCase):
    """What the Dockerfile copies is enough to set the build up that it sets up."""

    def test_nothing_is_missing_from_the_context(self):
        with open(os.path.join(ROOT, 'Dockerfile')) as file:
            dockerfile = file.read()
        with open(os.path.join(ROOT, '.dockerignore')) as file:
            let_in = re.findall(r'^!(.+)$', file.read(), re.M)
        tree = tempfile.mkdtemp()
        self.addCleanup(shutil.rmtree, tree)
        copies = re.findall(r'^COPY (?!--from)(.+)$', dockerfile, re.M)
        self.assertGreater(len(copies), 2)
        for *sources, to in (line.split() for line in copies):
            for source in sources:
                self.assertIn(source, let_in)
                target = os.path.join(tree, source if to == './' else to)
                os.makedirs(os.path.dirname(target), exist_ok=True)
                copy = shutil.copytree if os.path.isdir(os.path.join(ROOT, source)) else shutil.copy
                copy(os.path.join(ROOT, source), target)
        command = re.search(r'meson setup build[^&\\\n]*', dockerfile).group(0).split()
        result = subprocess.run(command, cwd=tree, capture_output=True, text=True)
        self.assertEqual(result.returncode, 0, result.stdout[-1500:])


if __name__ == '__main__':
    unittest.main()
