"""Builds programs from pinned Go modules, once: safe to interrupt, safe to run twice at the same time."""

import json
import os
import re
import shutil
import subprocess
from collections.abc import Mapping
from pathlib import Path

from hack.cluster.errors import BuildError, PrerequisiteError
from hack.cluster.files import exclusive
from hack.cluster.packages import ensure_packages
from hack.cluster.progress import say, step
from hack.cluster.recipes import Binary, ModuleFile, Recipe

_GO_FALLBACK = Path("/usr/local/go/bin/go")
_LAST_LINES = 15


def built(programs: Path, recipe: Recipe) -> Path:
    """Name the folder that holds the recipe's programs; it exists only when all of them do."""
    return programs / f"{recipe.name}-{recipe.key}"


def ensure(programs: Path, recipe: Recipe) -> Path:
    """Give the folder with the recipe's programs, and build them first when the cache has none."""
    folder = built(programs, recipe)
    if folder.is_dir():
        return folder
    lock = programs / f"{recipe.name}.lock"
    with exclusive(lock, lambda: say(f"another run is building {recipe.name}; waiting for it …")):
        if not folder.is_dir():
            _build(programs, recipe, folder)
    return folder


def parse_go_version(text: str) -> tuple[int, ...]:
    """Read `go version go1.26.8 linux/amd64`, or the number of a `go` line in go.mod."""
    match = re.search(r"\bgo ?(\d+(?:\.\d+)*)", text)
    if match is None:
        raise PrerequisiteError(
            f"`go version` answered {text.strip()!r}, which names no version: reinstall Go"
        )
    return tuple(int(part) for part in match.group(1).split("."))


def check_go(answer: str, module_file: str, program: str) -> None:
    """Raise when the toolchain that answered is older than the module asks for."""
    directive = re.search(r"^go \S+$", module_file, re.MULTILINE)
    needed = parse_go_version(directive.group(0)) if directive else (0,)
    found = parse_go_version(answer)
    if found < needed:
        raise PrerequisiteError(
            f"{program} is Go {_dotted(found)}, but Go {_dotted(needed)} or later is needed to build Kubernetes: "
            "install a newer Go and put it first on PATH, or use kind with a Docker engine"
        )


def _dotted(version: tuple[int, ...]) -> str:
    return ".".join(str(part) for part in version)


def find_go() -> str:
    """Find the Go toolchain on PATH or where its own installer puts it."""
    if found := shutil.which("go"):
        return found
    if _GO_FALLBACK.exists():
        return str(_GO_FALLBACK)
    raise PrerequisiteError(
        f"no Go toolchain on PATH nor at {_GO_FALLBACK}: install Go to build Kubernetes from its modules, "
        "or install kind and a Docker engine, or give a cluster of your own with --kubeconfig"
    )


def environment(binary: Binary, outer: Mapping[str, str] = os.environ) -> dict[str, str]:
    """Give the environment of one build: what the machine sets for modules stays, what would change the result goes."""
    fixed = {
        "CGO_ENABLED": "1" if binary.cgo else "0",
        # Every flag that changes the result is given on the command line; an empty value would let `go env -w` in.
        "GOFLAGS": "-mod=readonly",
        "GOWORK": "off",
        # A newer toolchain must not be fetched behind the person's back; check_go says what to install.
        "GOTOOLCHAIN": "local",
    }
    return {**outer, **fixed}


def command(go: str, binary: Binary, output: Path) -> list[str]:
    """Give the command that builds one program."""
    tags = [f"-tags={binary.tags}"] if binary.tags else []
    flags = ["-mod=readonly", "-trimpath", "-buildvcs=false", *tags, f"-ldflags={binary.linker_flags}"]
    return [go, "build", *flags, "-o", str(output), binary.package]


def _build(programs: Path, recipe: Recipe, folder: Path) -> None:
    go = find_go()
    answer = subprocess.run([go, "version"], capture_output=True, text=True, check=False).stdout
    check_go(answer, (recipe.folder / "go.mod").read_text(), go)
    ensure_packages(recipe.packages, why=f"to build {recipe.name}")
    draft = programs / f".{recipe.name}-{recipe.key}.draft"
    shutil.rmtree(draft, ignore_errors=True)
    draft.mkdir(parents=True)
    for number, binary in enumerate(recipe.binaries, start=1):
        names = f" ({', '.join(binary.aliases)})" if binary.aliases else ""
        with step(f"building {binary.name}{names}, {number} of {len(recipe.binaries)} in {recipe.name}"):
            _run(command(go, binary, draft / binary.name), recipe, environment(binary))
        for alias in binary.aliases:
            (draft / alias).symlink_to(binary.name)
    for wanted in recipe.files:
        _copy(go, recipe, wanted, draft)
    draft.rename(folder)


def _run(arguments: list[str], recipe: Recipe, env: Mapping[str, str]) -> str:
    finished = subprocess.run(
        arguments, cwd=recipe.folder, env=dict(env), capture_output=True, text=True, check=False
    )
    if finished.returncode != 0:
        lines = "\n".join(finished.stderr.strip().splitlines()[-_LAST_LINES:])
        raise BuildError(
            f"`{' '.join(arguments[:3])}` failed for {recipe.name} in {recipe.folder}:\n{lines}\n"
            "A second run goes on from what is built; if modules cannot be fetched, check GOPROXY."
        )
    return finished.stdout


def _copy(go: str, recipe: Recipe, wanted: ModuleFile, draft: Path) -> None:
    found = _run([go, "list", "-m", "-json", wanted.module], recipe, environment(recipe.binaries[0]))
    source = Path(json.loads(found)["Dir"]) / wanted.path
    target = draft / wanted.name
    target.parent.mkdir(parents=True, exist_ok=True)
    # The module cache is read-only; only the content is taken along, not the mode.
    shutil.copyfile(source, target)
