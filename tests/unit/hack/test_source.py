"""Which Kubernetes is taken, as a table: a row is a machine."""

import stat
from pathlib import Path

import pytest

from hack.cluster.paths import Paths
from hack.cluster.source import CONTROL_PLANE_PROGRAMS, Facts, Source, absent_from, choose, gather

ASSETS = Path("/assets")


@pytest.mark.parametrize(
    ("facts", "expected"),
    [
        # What a person names wins over everything.
        (
            Facts(control_plane=False, kubeconfig=Path("k"), kind="/bin/kind", docker_answers=True),
            Source.GIVEN,
        ),
        # A Docker engine with kind is the first choice for a whole cluster,
        (Facts(control_plane=False, kind="/bin/kind", docker_answers=True, cached=True), Source.KIND),
        # but not kind without an engine,
        (Facts(control_plane=False, kind="/bin/kind", cached=True), Source.CACHE),
        # nor for a control plane alone.
        (Facts(control_plane=True, kind="/bin/kind", docker_answers=True, cached=True), Source.CACHE),
        # Assets hold a control plane and no node,
        (Facts(control_plane=True, assets=ASSETS, cached=True), Source.ASSETS),
        (Facts(control_plane=False, assets=ASSETS, cached=True), Source.CACHE),
        # and serve only when they are complete.
        (Facts(control_plane=True, assets=ASSETS, assets_missing=("kubectl",), cached=True), Source.CACHE),
        # The official release has everything but etcd.
        (Facts(control_plane=True, etcd="/bin/etcd"), Source.RELEASE),
        (Facts(control_plane=False, etcd="/bin/etcd"), Source.RELEASE),
        # A bare machine builds.
        (Facts(control_plane=True), Source.MODULES),
        (Facts(control_plane=False), Source.MODULES),
    ],
)
def test_the_first_source_that_can_serve_is_chosen(facts: Facts, expected: Source) -> None:
    assert choose(facts).source is expected


def test_a_choice_tells_why_the_others_were_passed_over() -> None:
    choice = choose(Facts(control_plane=True, assets=ASSETS, assets_missing=("etcd", "kubectl")))
    assert "the programs in KUBEBUILDER_ASSETS: /assets lacks etcd, kubectl" in choice.passed_over
    assert len(choice.passed_over) == 5


def test_a_machine_is_looked_at_through_its_environment(tmp_path: Path) -> None:
    (tmp_path / "etcd").touch()
    (tmp_path / "etcd").chmod(stat.S_IRWXU)
    paths = Paths(state=tmp_path / "state", cache=tmp_path / "cache")
    facts = gather(paths, control_plane=True, environment={"KUBEBUILDER_ASSETS": str(tmp_path)})
    assert facts.assets == tmp_path
    assert facts.assets_missing == CONTROL_PLANE_PROGRAMS[1:]
    assert not facts.cached


def test_a_file_that_cannot_be_run_is_no_program(tmp_path: Path) -> None:
    (tmp_path / "etcd").touch()
    assert absent_from(tmp_path, ("etcd",)) == ("etcd",)
