"""Texts: blocks of each document, targets that follow, a vocabulary by count, and files that are refused."""

import gzip
from dataclasses import replace
from pathlib import Path
from pydoc_data.topics import topics
from typing import Any

import numpy as np
import pytest

from tests.data.advice import done, refused, ways_out
from tests.reference import build
from workbench.core.errors import DataError
from workbench.data.datasets import NO_TARGET, Dataset


def written(folder: Path, *documents: str, encoding: str = "utf-8") -> str:
    """Write a folder of documents and return its path."""
    folder.mkdir(exist_ok=True)
    for number, document in enumerate(documents):
        (folder / f"{number}.txt").write_bytes(document.encode(encoding))
    return str(folder)


def spelled(dataset: Dataset, row: int) -> str:
    """Spell the tokens of a block."""
    return "".join(dataset.classes[token] for token in dataset.x[row])


def test_a_text_by_hand(tmp_path: Path) -> None:
    """Blocks of three of "abcabca", "cab" (too short), "bbab" and "acca"; the second block begins where one ends."""
    path = written(tmp_path / "own", "abcabca", "cab", "bbab", "acca")
    dataset: Dataset = build("data", "text", path=path, length=3, min_count=1).checked()
    assert (dataset.name, dataset.classes[1:], dataset.n_classes, dataset.vocabulary) == ("own", ("a", "b", "c"), 4, 4)
    assert dataset.x.tolist() == [[1, 2, 3], [1, 2, 3], [2, 2, 1], [1, 3, 3]]
    assert dataset.y.tolist() == [[2, 3, 1], [2, 3, 1], [2, 1, 2], [3, 3, 1]]
    assert dataset.groups is not None
    assert dataset.groups.tolist() == [0, 0, 2, 3]
    longer: Dataset = build("data", "text", path=path, length=2, min_count=1)
    assert longer.y[longer.groups == 2].tolist() == [[2, 1], [NO_TARGET, 2]]
    assert longer.x[longer.groups == 2].tolist() == [[2, 2], [2, 1]]


def test_rare_tokens_become_one(tmp_path: Path) -> None:
    """Tokens below the count are number 0, as targets too; the counts are those of all documents."""
    path = written(tmp_path / "own", "xaya", "aaza", "ayaa")
    dataset: Dataset = build("data", "text", path=path, length=3, min_count=2)
    assert dataset.classes[1:] == ("a", "y")
    assert dataset.x.tolist() == [[0, 1, 2], [1, 1, 0], [1, 2, 1]]
    assert dataset.y.tolist() == [[1, 2, 1], [1, 0, 1], [2, 1, 1]]


def test_words_are_runs_of_letters_and_single_signs(tmp_path: Path) -> None:
    """Digits and _ are parts of words, signs stand alone, blanks are none; capitals stay."""
    path = written(tmp_path / "own", "The x_1, the\tcafé!\n", "a b.", "c d.")
    dataset: Dataset = build("data", "text", path=path, level="words", length=1, min_count=1)
    assert dataset.groups is not None
    words = [dataset.classes[token] for token in dataset.x[dataset.groups == 0, 0]]
    assert [*words, dataset.classes[dataset.y[4, 0]]] == ["The", "x_1", ",", "the", "café", "!"]


@pytest.mark.parametrize(("level", "length"), [("characters", 64), ("characters", 1000), ("words", 64)])
def test_each_token_but_the_first_is_a_target_once(level: str, length: int) -> None:
    """Targets of a document's blocks, one after the other, are the document; each follows its input."""
    dataset: Dataset = build("data", "text", level=level, length=length, min_count=1)
    assert dataset.groups is not None
    names = sorted(topics)
    for group in np.unique(dataset.groups):
        x, y = dataset.x[dataset.groups == group], dataset.y[dataset.groups == group]
        targets = y[y != NO_TARGET]
        assert np.array_equal(np.where(y == NO_TARGET, x[:, [*range(1, length), 0]], y)[:, :-1], x[:, 1:])
        if level == "characters":
            document = topics[names[group]]
            assert "".join(dataset.classes[token] for token in [x[0, 0], *targets]) == document
    assert len(np.unique(dataset.groups)) > 20


def test_the_usual_text_is_all_of_the_help() -> None:
    """Topics in the order of their names, each longer than a block; few characters are rare."""
    dataset: Dataset = build("data", "text")
    assert dataset.groups is not None
    assert np.unique(dataset.groups).tolist() == list(range(len(topics)))
    assert (dataset.y != NO_TARGET).sum() == sum(map(len, topics.values())) - len(topics)
    assert spelled(dataset, 0) == topics["assert"][:64]
    assert 0 < (dataset.y == 0).mean() < 1e-3


def test_files_are_documents_and_lines_part_them(tmp_path: Path) -> None:
    """Lines part a file into documents as files are; packed files and those in folders count, hidden ones do not."""
    path = written(tmp_path / "own", "one\ntwo\n", "three\n", "four\n")
    (tmp_path / "own" / ".hidden").write_bytes(b"\0")
    first: Dataset = build("data", "text", path=path, length=2, min_count=1)
    for separator in ("", "* * *"):
        file = tmp_path / "parted.txt"
        file.write_text(f"{separator}\none\ntwo\n{separator}\nthree\n{separator}\n{separator}\nfour\n{separator}")
        assert build("data", "text", path=str(file), separator=separator, length=2, min_count=1).digest == first.digest
    inner = tmp_path / "own" / "2"
    inner.mkdir()
    (tmp_path / "own" / "2.txt").unlink()
    (inner / "a.txt.gz").write_bytes(gzip.compress(b"four\r\n"))
    moved: Dataset = build("data", "text", path=path, length=2, min_count=1)
    assert sorted(map(tuple, moved.x.tolist())) == sorted(map(tuple, first.x.tolist()))


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (b"", "must be text, but is empty; take it out"),
        (b" \n\t\n", "must be text, but is empty; take it out"),
        (b"abc\0def", "must be text, but holds zeros; take it out"),
        (b"%PDF-1.7 abc", "must be text, but is a PDF; take it out"),
        (b"PK\x03\x04abc", "must be text, but is a zip archive"),
    ],
)
def test_files_that_are_no_text_are_refused(tmp_path: Path, content: bytes, said: str) -> None:
    """Empty and binary files are refused by name, in a folder and alone."""
    path = written(tmp_path / "own", "abc", "def", "ghi")
    (tmp_path / "own" / "bad.txt").write_bytes(content)
    for place in (path, f"{path}/bad.txt"):
        message = refused("text", path=place)
        assert message.startswith(f"data.path: {path}/bad.txt ")
        assert said in message


def test_places_without_text_are_refused(tmp_path: Path) -> None:
    """A missing file, an empty folder, a broken archive, and a text larger than memory are refused."""
    assert "there is no file" in refused("text", path=str(tmp_path / "none"))
    assert "must hold text files, got none" in refused("text", path=str(tmp_path))
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"abc" * 100)[:-20])
    assert "must be text, but: " in refused("text", path=str(tmp_path))


def test_a_text_must_fit_into_memory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file is refused before it is read, a packed one before it is numbered."""
    monkeypatch.setattr("workbench.core.memory.available", lambda: 50_000)
    (tmp_path / "a.txt").write_text("ab" * 500)
    assert "must fit into memory" in refused("text", path=str(tmp_path))
    (tmp_path / "a.txt").unlink()
    (tmp_path / "a.txt.gz").write_bytes(gzip.compress(b"ab" * 500))
    assert "must fit into memory" in refused("text", path=str(tmp_path))


def test_an_unreadable_file_is_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """A file that its reader may not open is named."""
    path = written(tmp_path / "own", "abc", "def", "ghi")

    def refuse(*_: Any) -> Any:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(Path, "open", refuse)
    assert "own/0.txt may not be read by you; chmod u+r it" in refused("text", path=path)


@pytest.mark.parametrize("encoding", ["latin-1", "utf-16"])
def test_another_encoding_is_told(tmp_path: Path, encoding: str) -> None:
    """Texts in another encoding are refused with one that reads them."""
    path = written(tmp_path / "own", *["déjà vu"] * 3, encoding=encoding)
    (way,) = ways_out(refused("text", path=path, length=3, min_count=1))
    assert "é" in done(way, "text", path=path, length=3, min_count=1).classes


def test_few_documents_are_refused(tmp_path: Path) -> None:
    """Two documents of two tokens or more cannot be held out whole."""
    path = written(tmp_path / "own", "abc", "def", "g")
    message = refused("text", path=path, min_count=1)
    assert "must hold 3 documents or more of two tokens or more, as they are held out whole, got 2; add" in message


@pytest.mark.parametrize(
    ("given", "begin", "advised"),
    [
        ({"length": 4}, "data.length: 3 documents must have more tokens, got ", {"data.length": 3}),
        ({"length": 2, "min_count": 9}, "data.min_count: some token must occur so often", {"data.min_count": 4}),
    ],
)
def test_sizes_that_fit_the_text_are_told(
    tmp_path: Path, given: dict[str, int], begin: str, advised: dict[str, int]
) -> None:
    """Blocks longer than documents, and a count that no token reaches, are refused with the largest that will do."""
    path = written(tmp_path / "own", "abcda", "aefg", "ahij", "k")
    usual = {"path": path, "min_count": 1, **given}
    said = refused("text", **usual)
    assert said.startswith(begin)
    assert ways_out(said) == [advised]
    assert len(done(advised, "text", **usual).x) >= 3
    with pytest.raises(DataError):
        done({key: value + 1 for key, value in advised.items()}, "text", **usual)


def test_documents_by_hand(tmp_path: Path) -> None:
    """Blocks of two of the two longest documents, without overlap, each with its document's place by length."""
    path = written(tmp_path / "own", "abcabca", "ca", "bbabccab")
    dataset: Dataset = build(
        "data", "documents", path=path, count=2, level="characters", length=2, min_count=1
    ).checked()
    assert (dataset.n_classes, dataset.vocabulary, dataset.at_positions) == (2, 4, False)
    assert [spelled(replace(dataset, classes=dataset.tokens), row) for row in range(7)] == [
        *("bb", "ab", "cc", "ab"),
        *("ab", "ca", "bc"),
    ]
    assert dataset.y.tolist() == [0] * 4 + [1] * 3


def test_pythons_longest_topics() -> None:
    """Eight topics have 4,000 blocks of 16 words, about; the longest one a fifth of them."""
    dataset: Dataset = build("data", "documents").checked()
    shares = np.bincount(dataset.y) / len(dataset.y)
    assert dataset.x.shape[1] == 16
    assert 2000 < len(dataset.y) < 8000
    assert sorted(shares, reverse=True) == shares.tolist()
    assert 0.1 < shares[0] < 0.4


def test_few_long_documents_are_refused(tmp_path: Path) -> None:
    """More documents than have three blocks are refused with the largest number that will do."""
    usual = {"path": written(tmp_path / "own", "abcabca", "ca", "bbabcc"), "level": "characters", "min_count": 1}
    said = refused("documents", **usual, count=3, length=2)
    assert said.startswith("data.count: so many documents must have 3 blocks of 2 tokens or more, got 3 where 2 have")
    assert ways_out(said) == [{"data.count": 2}]
    assert done({"data.count": 2}, "documents", **usual, length=2).n_classes == 2
    assert ways_out(refused("documents", **usual, length=3)) == [{"data.count": 2, "data.length": 1}]
