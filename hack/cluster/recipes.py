"""What is built from Go modules: which programs, from which package, with which flags. Versions stand in the modules."""

import hashlib
import platform
import re
from dataclasses import dataclass
from pathlib import Path

from hack.cluster.errors import BuildError

MODULES = Path(__file__).parent / "modules"

_KUBE_VERSION_PACKAGE = "k8s.io/component-base/version"
_CONTAINERD = "github.com/containerd/containerd/v2"
_PLUGINS = "github.com/containernetworking/plugins/plugins"
_CALICO = "github.com/projectcalico/calico"
_CALICO_VERSION = "v3.28.5"
_FELIX_RESOURCES = (
    "bgpconfigurations",
    "blockaffinities",
    "clusterinformations",
    "felixconfigurations",
    "globalnetworkpolicies",
    "globalnetworksets",
    "hostendpoints",
    "ipamblocks",
    "ippools",
    "networkpolicies",
    "networksets",
)


@dataclass(frozen=True)
class Binary:
    """One program: `go build -o NAME PACKAGE` with these flags; `aliases` are further names it is called by."""

    name: str
    package: str = "."
    linker_flags: str = "-s -w"
    tags: str = ""
    cgo: bool = False
    aliases: tuple[str, ...] = ()


@dataclass(frozen=True)
class ModuleFile:
    """A file that a dependency ships and the cluster needs, copied beside the programs."""

    module: str
    path: str
    name: str


@dataclass(frozen=True)
class Recipe:
    """Programs that are built, cached and replaced together, from one module under `modules/`."""

    name: str
    module: str
    binaries: tuple[Binary, ...]
    files: tuple[ModuleFile, ...] = ()
    packages: tuple[str, ...] = ()

    @property
    def folder(self) -> Path:
        """The module's source."""
        return MODULES / self.module

    @property
    def key(self) -> str:
        """Names everything the result depends on; a changed pin, source or flag gives another key."""
        digest = hashlib.sha256(f"{self!r} {platform.machine()}".encode())
        for source in sorted(self.folder.iterdir()):
            digest.update(f"\0{source.name}\0".encode() + source.read_bytes())
        return digest.hexdigest()[:16]

    @property
    def names(self) -> tuple[str, ...]:
        """Every name under which a program of this recipe can be called."""
        return tuple(name for binary in self.binaries for name in (binary.name, *binary.aliases))


def pinned_version(module_file: str, dependency: str) -> str:
    """Read the version of a dependency from the text of a go.mod."""
    match = re.search(rf"^\s*(?:require\s+)?{re.escape(dependency)} (v\S+)", module_file, re.MULTILINE)
    if match is None:
        raise BuildError(f"go.mod does not require {dependency}: restore hack/cluster/modules from git")
    return match.group(1)


def _version_of(module: str, dependency: str) -> str:
    return pinned_version((MODULES / module / "go.mod").read_text(), dependency)


def kubernetes_version() -> str:
    """The version of Kubernetes that the modules pin, such as `v1.37.2`."""
    return _version_of("kube", "k8s.io/kubernetes")


def kube() -> Recipe:
    """Every Kubernetes program and etcd, as one binary with seven names."""
    version = kubernetes_version()
    major, minor, _ = version.removeprefix("v").split(".", 2)
    # Without these the API server calls itself v0.0.0 and clients refuse it.
    stamped = {
        "gitVersion": version,
        "gitMajor": major,
        "gitMinor": minor,
        "gitTreeState": "clean",
        "gitCommit": "0" * 40,
        "buildDate": "2026-01-01T00:00:00Z",
    }
    stamps = " ".join(f"-X {_KUBE_VERSION_PACKAGE}.{name}={value}" for name, value in stamped.items())
    aliases = (
        "etcd",
        "kubectl",
        "kubelet",
        "kube-apiserver",
        "kube-controller-manager",
        "kube-proxy",
        "kube-scheduler",
    )
    return Recipe("kube", "kube", (Binary("kube", linker_flags=f"-s -w {stamps}", aliases=aliases),))


def containerd() -> Recipe:
    """The container runtime and the CNI plugin that is not Calico's."""
    version = _version_of("node", _CONTAINERD)
    packages = {
        "containerd": f"{_CONTAINERD}/cmd/containerd",
        "containerd-shim-runc-v2": f"{_CONTAINERD}/cmd/containerd-shim-runc-v2",
        "ctr": f"{_CONTAINERD}/cmd/ctr",
        "host-local": f"{_PLUGINS}/ipam/host-local",
    }
    flags = f"-s -w -X {_CONTAINERD}/version.Version={version}"
    tags = "no_btrfs no_devmapper no_zfs"
    return Recipe(
        "containerd", "node", tuple(Binary(name, package, flags, tags) for name, package in packages.items())
    )


def runc() -> Recipe:
    """What starts containers; the one program that needs a C compiler, for libseccomp."""
    package = "github.com/opencontainers/runc"
    version = _version_of("node", package).removeprefix("v")
    binary = Binary("runc", package, f"-s -w -X main.version={version}", tags="seccomp", cgo=True)
    return Recipe("runc", "node", (binary,), packages=("gcc", "libc6-dev", "pkg-config", "libseccomp-dev"))


def calico() -> Recipe:
    """Felix, which enforces NetworkPolicy, its CNI plugin, and the resource definitions both need."""
    felix = (
        f"-s -w -X {_CALICO}/felix/buildinfo.GitVersion={_CALICO_VERSION} -X main.VERSION={_CALICO_VERSION}"
    )
    return Recipe(
        "calico",
        "calico",
        (
            Binary("calico-felix", f"{_CALICO}/felix/cmd/calico-felix", felix),
            Binary("calico", f"{_CALICO}/cni-plugin/cmd/calico", felix),
        ),
        files=tuple(
            ModuleFile(
                _CALICO,
                f"libcalico-go/config/crd/crd.projectcalico.org_{resource}.yaml",
                f"crd/{resource}.yaml",
            )
            for resource in _FELIX_RESOURCES
        ),
    )


def node_recipes() -> tuple[Recipe, ...]:
    """All that a node needs beside the `kube` recipe."""
    return (containerd(), runc(), calico(), *image_recipes())


def image_recipes() -> tuple[Recipe, ...]:
    """The programs that stand in images of their own."""
    return tuple(
        Recipe(name, module, (Binary(name),))
        for name, module in (("pause", "pause"), ("probe", "probe"), ("coredns", "dns"))
    )


def helm() -> Recipe:
    """The package manager that installs the chart."""
    package = "helm.sh/helm/v4"
    version = _version_of("helm", package)
    flags = f"-s -w -X {package}/internal/version.version={version}"
    return Recipe("helm", "helm", (Binary("helm", f"{package}/cmd/helm", flags),))
