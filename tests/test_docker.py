"""The images' files, read and not built (`make docker` builds them): what they copy is there, pinned, not root's."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import pytest

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"
FILES = sorted(DOCKER.glob("*Dockerfile"))
WORDS = {"ARG", "FROM", "ENV", "WORKDIR", "COPY", "RUN", "LABEL", "USER", "CMD", "ENTRYPOINT"}
PIN = re.compile(r"[A-Za-z0-9._-]+==[0-9][0-9A-Za-z.]*")
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
each_file = pytest.mark.parametrize("path", FILES, ids=lambda path: path.name)


def instructions(path: Path) -> list[tuple[str, str]]:
    """(word, the rest) of each instruction; comments are dropped and continued lines joined, as Docker does."""
    lines = [line for line in path.read_text().splitlines() if line.strip() and not line.lstrip().startswith("#")]
    joined = re.sub(r"\\\n", " ", "\n".join(lines))
    return [tuple(line.split(maxsplit=1)) for line in joined.splitlines()]


def stages(path: Path) -> list[list[tuple[str, str]]]:
    found = []
    for word, rest in instructions(path):
        if word == "FROM":
            found.append([])
        if found:
            found[-1].append((word, rest))
    return found


def pinned(name: str) -> list[str]:
    lines = (ROOT / "requirements" / name).read_text().splitlines()
    return [line for line in lines if line and not line.startswith("#")]


def names(lines: list[str]) -> set[str]:
    return {re.split(r"[=<>;\[ ]", line)[0].lower().replace("_", "-") for line in lines}


def test_both_are_here():
    assert [path.name for path in FILES] == ["Dockerfile", "loihi.Dockerfile"]


@each_file
def test_only_instructions_that_buildah_knows_too(path):
    assert {word for word, _ in instructions(path)} <= WORDS
    assert not re.search(r"<<|--link|--network|--mount", path.read_text())


@each_file
def test_what_is_copied_is_in_the_repository_and_not_ignored(path):
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    for word, rest in instructions(path):
        if word == "COPY" and "--from" not in rest:
            for source in [part for part in rest.split() if not part.startswith("--")][:-1]:
                assert (ROOT / source).exists(), source
                assert source not in ignored


def test_no_image_is_for_root():
    """A stage that changes the user changes back; the stages that are built on a base say who runs them."""
    for path in FILES:
        users = {stage[0][1]: [rest for word, rest in stage if word == "USER"] for stage in stages(path)}
        assert all(said[-1:] in ([], ["10001"]) for said in users.values())
        final = {name for name, said in users.items() if said}
        assert final == ({"${SPIKEPORT}"} if "loihi" in path.name else {"${BASE} AS runtime", "runtime AS test"})


def test_requirements_are_the_projects_own_and_pinned():
    named = set(re.findall(r"[\w-]+\.txt", "".join(rest for word, rest in instructions(FILES[0]) if word == "COPY")))
    assert named == {"build.txt", "python310.txt", "python310-extras.txt", "python310-test.txt"}
    for name in [*named, "docker.txt"]:
        lines = pinned(name)
        assert lines
        assert all(PIN.fullmatch(line) for line in lines), name


def test_every_dependency_and_extra_has_a_version():
    extras = PROJECT["optional-dependencies"]
    installed = names(pinned("python310.txt"))
    assert names(PROJECT["dependencies"] + extras["lava"] + extras["events"]) <= installed
    wanted = [line for extra in ("norse", "snntorch", "spikingjelly", "torch", "dask") for line in extras[extra]]
    assert names(wanted) <= names(pinned("python310-extras.txt"))
    assert not installed & names(pinned("python310-test.txt") + pinned("python310-extras.txt"))


def test_every_package_of_the_wheel_is_copied():
    copied = " ".join(rest for word, rest in instructions(FILES[0]) if word == "COPY").split()
    assert {".src", "sim", "hw_targets", "export", "pipeline", "pyproject.toml", "README.md", "LICENSE"} <= set(copied)


def test_packages_are_installed_before_any_source_is_copied():
    packages, wheel, *_ = stages(FILES[0])
    assert all("requirements/" in rest for word, rest in packages if word == "COPY")
    assert wheel[0] == ("FROM", "packages AS wheel")


@pytest.mark.parametrize("path", [*FILES, DOCKER / "build-without-docker"], ids=lambda path: path.name)
def test_there_is_no_address_to_download_from(path):
    assert not re.search(r"https?://|ftp://|\bcurl\b|\bwget\b|git\+", path.read_text())


def test_a_wheel_of_intels_cannot_slip_in():
    assert (DOCKER / "loihi" / ".gitignore").read_text().splitlines()[-2:] == ["*", "!.gitignore"]
    ignored = (ROOT / ".dockerignore").read_text().splitlines()
    assert {"docker/loihi/*", "**/*.whl"} <= set(ignored)


def test_what_git_ignores_stays_out_of_the_image():
    ignored = {line.removeprefix("**/") for line in (ROOT / ".dockerignore").read_text().splitlines()}
    for line in (ROOT / ".gitignore").read_text().splitlines():
        assert line.rstrip("/") in ignored


def test_the_loihi_image_stands_on_this_version():
    assert ("ARG", f"SPIKEPORT=spikeport:{PROJECT['version']}") in instructions(DOCKER / "loihi.Dockerfile")
