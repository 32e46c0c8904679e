"""A kubeconfig that can't be used is told in plain words: what is wrong, and what there is instead."""

from pathlib import Path

import pytest

from aos.kube.kubeconfig import Context, KubeconfigError, read_context

GOOD = """
current-context: one
contexts:
- {name: one, context: {cluster: c, user: u, namespace: sales}}
- {name: two, context: {cluster: c, user: u}}
- {name: nobody, context: {cluster: plain}}
- {name: lost, context: {cluster: gone, user: u}}
- {name: stranger, context: {cluster: c, user: gone}}
- {name: anonymous, context: {cluster: c}}
- {name: nowhere, context: {cluster: bare, user: u}}
- {name: garbled, context: {cluster: garbled, user: u}}
- {name: empty, context: {cluster: c, user: empty}}
clusters:
- {name: c, cluster: {server: "https://10.0.0.1:6443", certificate-authority-data: YWJj}}
- {name: plain, cluster: {server: "http://127.0.0.1:8001"}}
- {name: bare, cluster: {}}
- {name: garbled, cluster: {server: "https://10.0.0.1", certificate-authority-data: a}}
users:
- {name: u, user: {token: made-up}}
- {name: empty}
"""


@pytest.fixture
def good(tmp_path: Path) -> Path:
    path = tmp_path / "good"
    path.write_text(GOOD)
    return path


def test_the_current_context_counts_unless_another_is_named(good: Path) -> None:
    assert read_context(str(good)) == Context("one", "sales")
    assert read_context(str(good), "two") == Context("two", "")


def test_nobody_needs_to_be_named_where_there_is_no_tls(good: Path) -> None:
    assert read_context(str(good), "nobody") == Context("nobody", "")


def test_several_files_are_read_as_one_and_those_that_are_not_there_count_for_nothing(
    good: Path, tmp_path: Path
) -> None:
    second = tmp_path / "second"
    second.write_text(
        "contexts: [{name: three, context: {cluster: c, user: u, namespace: finance}},"
        " {name: two, context: {cluster: c, user: u, namespace: other}}]"
    )
    files = f"{tmp_path / 'none'}:{good}:{second}"
    assert read_context(files, "three").namespace == "finance"
    assert read_context(files, "two").namespace == ""
    assert read_context(files).name == "one"
    second.write_text("a: [")
    with pytest.raises(KubeconfigError, match=f"^{second} is not YAML"):
        read_context(files)


@pytest.mark.parametrize(
    ("context", "said"),
    [
        ("three", "it has no context three; its contexts are anonymous, empty, garbled, lost, nobody, "),
        ("lost", "context lost names the cluster gone, which is not there; its clusters are bare, c, "),
        ("stranger", "context stranger names the user gone, which is not there; its users are empty, u"),
        ("anonymous", "context anonymous names no user"),
        ("nowhere", "cluster bare has no server that begins with https://"),
        ("garbled", "certificate-authority-data of cluster garbled is not base64"),
        ("empty", "user empty says nothing: there is no `user:` in it"),
    ],
)
def test_what_a_context_lacks_is_named(good: Path, context: str, said: str) -> None:
    with pytest.raises(KubeconfigError) as caught:
        read_context(str(good), context)
    assert str(caught.value).startswith(said)


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "it is empty"),
        (b"just a text", "is no kubeconfig: it has no clusters, contexts and users"),
        (b"- a list", "is no kubeconfig"),
        (b"a: [", "is not YAML: see line 1"),
        (b"\xff\xfe", "is not UTF-8 text"),
        (b"contexts: one", "it has contexts that are no list"),
        (b"users: [one]", "it has an entry of users without a name"),
        (b"clusters: []", "it sets no current context; it has no contexts"),
    ],
)
def test_a_file_that_is_no_kubeconfig_is_told_on_one_line(tmp_path: Path, content: bytes, said: str) -> None:
    path = tmp_path / "config"
    path.write_bytes(content)
    with pytest.raises(KubeconfigError) as caught:
        read_context(str(path))
    assert said in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_file_that_is_not_there_or_no_file_is_told(tmp_path: Path) -> None:
    with pytest.raises(KubeconfigError, match="there is no such file"):
        read_context(str(tmp_path / "none"))
    with pytest.raises(KubeconfigError, match="is a directory"):
        read_context(str(tmp_path))
