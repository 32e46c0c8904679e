"""The two ways from the Dockerfile to an image: a Docker engine, or buildah in a change-root."""

import os
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from tempfile import TemporaryDirectory

from hack.cluster import oci, packages
from hack.cluster.errors import BuildError
from hack.cluster.files import exclusive
from hack.cluster.paths import Paths
from hack.cluster.progress import say, step
from hack.image import base, inputs, network

_LABEL = "aos.inputs"
_BUILT = "localhost/aos:built"
_LAST_LINES = 20
# The first copies only what changes and is ten times as fast; the second needs nothing of the kernel.
_DRIVERS = ("overlay", "vfs")


@dataclass(frozen=True)
class Request:
    """What to build: the image's name, a file to put its archive into, and the Dockerfile within the repository."""

    tag: str
    out: Path | None
    dockerfile: str = inputs.DOCKERFILE

    def digest(self, seed: str) -> str:
        """Name what it is made from; ``seed`` says with what and on which base."""
        return inputs.digest(seed, dockerfile=self.dockerfile)


def with_docker(request: Request, paths: Paths) -> None:
    """Build with a Docker engine; the image stays there."""
    # An archive from a time without Docker would be taken for the image of this name.
    paths.named_image(request.tag).unlink(missing_ok=True)
    wanted = request.digest("docker")
    shown = [
        "docker",
        "image",
        "inspect",
        request.tag,
        "--format",
        f'{{{{index .Config.Labels "{_LABEL}"}}}}',
    ]
    present = subprocess.run(shown, capture_output=True, text=True, check=False)
    if present.stdout.strip() == wanted:
        say(f"{request.tag} is up to date")
    else:
        with secrets() as given, step(f"building {request.tag} with Docker"):
            names = [f"--file={inputs.REPOSITORY / request.dockerfile}", f"--tag={request.tag}"]
            names.append(f"--label={_LABEL}={wanted}")
            _run(
                ["docker", "build", "--quiet", *names, *given, str(inputs.REPOSITORY)],
                {"DOCKER_BUILDKIT": "1"},
            )
    if request.out is not None:
        _run(["docker", "save", f"--output={request.out}", request.tag], {})


def without_docker(request: Request, paths: Paths) -> Path:
    """Build with buildah, and give the archive, which stays in the cache under the image's name."""
    packages.ensure_packages(packages.BUILD_IMAGES, why="to build images without a Docker engine")
    store = paths.images
    root = base.ensure(store)
    wanted = request.digest(f"{root.name} {request.tag}")
    archive = store / f"aos-{wanted}.tar"
    with exclusive(store / "build.lock", lambda: say("another run is building an image; waiting for it …")):
        if archive.exists():
            say(f"{request.tag} is up to date")
        else:
            _build(store, root, request, archive)
        named = paths.named_image(request.tag)
        named.parent.mkdir(parents=True, exist_ok=True)
        _replace_link(named, archive)
        _forget_unnamed(store, named.parent)
    if request.out is not None:
        shutil.copyfile(archive, request.out)
    return archive


@contextmanager
def secrets() -> Iterator[list[str]]:
    """Give the options that lend this machine's pip settings to a build; nothing of them stays in the image."""
    settings = network.pip_settings()
    with TemporaryDirectory(prefix="aos-image-") as folder:
        config = Path(folder) / "pip.conf"
        config.write_text(settings.config)
        options = [f"--secret=id=pip,src={config}"]
        if settings.authorities is not None:
            options.append(f"--secret=id=ca,src={settings.authorities}")
        yield options


def _build(store: Path, root: Path, request: Request, archive: Path) -> None:
    buildah = _buildah(store)
    if subprocess.run(
        [*buildah, "inspect", "--type=image", base.NAME], capture_output=True, check=False
    ).returncode:
        with step("importing the base image"):
            _import_base(buildah, root)
    with secrets() as given, step("building the image with buildah"):
        options = ["--isolation=chroot", "--layers", "--pull-never", f"--build-arg=BASE={base.NAME}"]
        options.append(f"--file={inputs.REPOSITORY / request.dockerfile}")
        _run([*buildah, "build", *options, *given, f"--tag={_BUILT}", str(inputs.REPOSITORY)], {})
    with step("writing the image archive"), TemporaryDirectory(prefix=".layout-", dir=store) as layout:
        _run(
            [
                *buildah,
                "push",
                "--quiet",
                "--compression-format=zstd",
                "--compression-level=1",
                _BUILT,
                f"oci:{layout}:image",
            ],
            {},
        )
        oci.pack(Path(layout), request.tag, archive)


def _buildah(store: Path) -> list[str]:
    """Give buildah with a store of its own, so that nobody's images are touched."""
    for driver in _DRIVERS:
        options = [
            f"--root={store / driver}",
            f"--runroot={store / driver}-run",
            f"--storage-driver={driver}",
        ]
        command = ["buildah", *options]
        if subprocess.run([*command, "info"], capture_output=True, check=False).returncode == 0:
            return command
    raise BuildError(
        f"buildah cannot keep images in {store} with any of {', '.join(_DRIVERS)}: see `buildah info`"
    )


def _import_base(buildah: Sequence[str], root: Path) -> None:
    container = _run([*buildah, "from", "scratch"], {}).strip()
    try:
        _run([*buildah, "add", "--quiet", container, str(root), "/"], {})
        _run([*buildah, "commit", "--quiet", container, base.NAME], {})
    finally:
        subprocess.run([*buildah, "rm", container], capture_output=True, check=False)


def _replace_link(link: Path, target: Path) -> None:
    draft = link.with_name(f".{link.name}")
    draft.unlink(missing_ok=True)
    draft.symlink_to(target)
    draft.replace(link)


def _forget_unnamed(store: Path, names: Path) -> None:
    kept = {link.readlink() for link in names.iterdir() if link.is_symlink()}
    for archive in store.glob("aos-*.tar"):
        if archive not in kept:
            archive.unlink()


def _run(arguments: Sequence[str], extra: dict[str, str]) -> str:
    done = subprocess.run(arguments, capture_output=True, text=True, check=False, env={**os.environ, **extra})
    if done.returncode != 0:
        lines = "\n".join((done.stdout + done.stderr).strip().splitlines()[-_LAST_LINES:])
        raise BuildError(f"`{' '.join(arguments[:2])}` failed while building the image:\n{lines}")
    return done.stdout
