"""Texts as sequences of tokens, characters or words, in which each token is to be known from those before it.

The text at hand without a download is that of Python's own help, `pydoc_data.topics`: 79 topics and 464,970 characters
in Python 3.11.7, under the PSF licence. Other versions of Python have other texts.
"""

import codecs
import os
import re
from collections import Counter
from collections.abc import Sequence
from itertools import chain
from pathlib import Path
from pydoc_data.topics import topics
from typing import Annotated, Literal, NamedTuple

import numpy as np
from annotated_types import Ge

from workbench.core.axes import PositiveInt
from workbench.core.errors import DataError
from workbench.core.memory import require_memory
from workbench.data.datasets import NO_TARGET, Array, Dataset
from workbench.data.delimited import HEAD_BYTES, refuse_binary, unpacked, wrong_encoding
from workbench.data.option_types import Encoding, Name
from workbench.data.sources import opening, regular_file, shown

Level = Literal["characters", "words"]
WORD = re.compile(r"\w+|[^\w\s]")
UNKNOWN = "\N{REPLACEMENT CHARACTER}"  # name of token 0
NEEDED = 100  # bytes for a byte of text, about: as characters, as numbers, and in blocks
LEAST_DOCUMENTS = 3  # to train, to validate and to test with
LEAST_BLOCKS = 3  # of a document, for the same
RULE = "must be text"
OTHER = "take it out, or save it as text"


class Blocks(NamedTuple):
    """Tokens x [N, T] and the token y [N, T] that follows each, `NO_TARGET` where another block has it as target."""

    x: Array
    y: Array


def text(
    level: Level = "characters",
    length: PositiveInt = 64,
    min_count: PositiveInt = 10,
    path: Name | None = None,
    separator: str | None = None,
    encoding: Encoding = "utf-8",
) -> Dataset:
    """Blocks of `length` tokens of a text, the target at each position the next token; documents are held out whole.

    Without a `path`, the documents are the topics of Python's help. Else they are a file, or all files of a folder and
    those in it, but hidden ones; packed ones are unpacked. A file is one document, or as many as lines equal to
    `separator` part. Tokens are characters, or words: runs of letters, digits and _, and each other sign
    alone, without blanks.

    The vocabulary is that of all documents, those held out as well: a net is told which tokens there are. Tokens that
    occur fewer than `min_count` times become one, number 0; the others are numbered in sorted order from 1. `classes`
    are their names. Each token but a document's first is a target once: the last block of a document ends with it, and
    has no targets where the block before it has them. Documents of `length` tokens or fewer are left out. No block
    contains tokens of two documents, and `groups` has the number of the document of each.

    Raises DataError where a file cannot be read or is no text, for fewer than three documents, no frequent tokens, and
    where the text does not fit into memory.
    """
    tokens, names = _tokens(level, min_count, path, separator, encoding)
    groups, blocks = _blocks_of(tokens, length)
    return Dataset(
        _name(path, "text"),
        np.concatenate([block.x for block in blocks]),
        np.concatenate([block.y for block in blocks]),
        len(names),
        classes=names,
        tokens=names,
        vocabulary=len(names),
        groups=np.repeat(groups, [len(block.x) for block in blocks]),
    )


def documents(
    count: Annotated[int, Ge(2)] = 8,
    level: Level = "words",
    length: PositiveInt = 16,
    min_count: PositiveInt = 100,
    path: Name | None = None,
    separator: str | None = None,
    encoding: Encoding = "utf-8",
) -> Dataset:
    """Blocks of `length` tokens of the `count` longest documents of a text; the target is which of them a block is of.

    Blocks do not overlap, and each is in one part alone: what is learned is to know a document again, by blocks of it
    that were seen. Classes are numbered from the longest document on. All else is as for `text`.

    Raises DataError as `text`, and where fewer documents are so long.
    """
    tokens, names = _tokens(level, min_count, path, separator, encoding)
    longest = sorted(tokens, key=len, reverse=True)[:count]
    if len(longest) < count or len(longest[-1]) < LEAST_BLOCKS * length:
        enough = sum(len(one) >= LEAST_BLOCKS * length for one in tokens)
        raise DataError(
            f"data.count: so many documents must have {LEAST_BLOCKS} blocks of {length} tokens or more, got {count} "
            f"where {enough} have; write data.count={max(2, enough)}" + " data.length=1" * (enough < 2)
        )
    blocks = [one[: len(one) // length * length].reshape(-1, length) for one in longest]
    return Dataset(
        _name(path, "documents"),
        np.concatenate(blocks),
        np.repeat(np.arange(count), [len(one) for one in blocks]),
        count,
        tokens=names,
        vocabulary=len(names),
    )


def _name(path: str | None, usual: str) -> str:
    return usual if path is None else Path(os.path.expanduser(path)).resolve().stem


def _tokens(
    level: Level, min_count: int, path: str | None, separator: str | None, encoding: str
) -> tuple[list[Array], tuple[str, ...]]:
    """Number the tokens of all documents, and name them; raises DataError as `text`."""
    file = None if path is None else Path(os.path.expanduser(path))
    texts = [topic for _, topic in sorted(topics.items())] if file is None else _read(file, separator, encoding)
    parts = [list(one) if level == "characters" else WORD.findall(one) for one in texts]
    return _numbered(_enough(parts), min_count)


def _read(place: Path, separator: str | None, encoding: str) -> list[str]:
    """Read the documents of a file or folder; raises DataError where one cannot be read, is no text, or is empty."""
    if os.path.isdir(place):
        inside = sorted(file for file in place.rglob("*") if file.is_file())
        files = [file for file in inside if not any(part.startswith(".") for part in file.relative_to(place).parts)]
    else:
        files = [regular_file(place, "name a text file, or a folder of such files")]
    if not files:
        raise DataError(f"data.path: {shown(place)} must hold text files, got none; put one for each document there")
    _require(place, sum(regular_file(file, OTHER).stat().st_size for file in files))
    texts = [_decoded(file, encoding) for file in files]
    _require(place, sum(map(len, texts)))  # of packed files
    return texts if separator is None else [part for one in texts for part in _parted(one, separator)]


def _require(place: Path, size: int) -> None:
    """Raise DataError where a text of so many bytes does not fit into memory."""
    require_memory(f"data.path: {shown(place)}", NEEDED * size, "take a part of the text")


def _decoded(file: Path, encoding: str) -> str:
    """Read a text, with line ends as Python has them; raises DataError for other files, and blank ones."""
    with opening(file, OTHER, RULE), unpacked(file) as stream:
        content = stream.read()
        refuse_binary(file, content[:HEAD_BYTES], encoding, RULE, OTHER)
        try:
            decoded = content.decode("utf-8-sig" if codecs.lookup(encoding).name == "utf-8" else encoding)
        except UnicodeError as error:
            raise wrong_encoding(file, encoding, error) from error
    if "\0" in decoded or not decoded.strip():
        state = "holds zeros" if "\0" in decoded else "is empty"
        raise DataError(f"data.path: {shown(file)} {RULE}, but {state}; {OTHER}")
    return re.sub("\r\n?", "\n", decoded)


def _parted(whole: str, separator: str) -> list[str]:
    """Part a text at lines equal to the separator, blank parts left out."""
    parts = re.split(rf"^{re.escape(separator)}(?:\n|\Z)", whole, flags=re.MULTILINE)
    return [part for part in parts if part.strip()]


def _enough(documents: Sequence[Sequence[str]]) -> Sequence[Sequence[str]]:
    """Return the documents themselves; raises DataError where fewer than three have two tokens or more."""
    usable = sum(len(one) > 1 for one in documents)
    if usable < LEAST_DOCUMENTS:
        raise DataError(
            f"data.path: must hold {LEAST_DOCUMENTS} documents or more of two tokens or more, as they are held out "
            f"whole, got {usable}; add files, or name the lines between documents by data.separator"
        )
    return documents


def _numbered(documents: Sequence[Sequence[str]], min_count: int) -> tuple[list[Array], tuple[str, ...]]:
    """Number the tokens of documents by their names, which come too; raises DataError where all are rare."""
    counts = Counter(chain.from_iterable(documents))
    names = (UNKNOWN, *sorted(name for name, count in counts.items() if count >= min_count))
    if len(names) == 1:
        most = max(counts.values())
        raise DataError(
            f"data.min_count: some token must occur so often, got {min_count} where the most frequent occurs {most} "
            f"times; write data.min_count={most}"
        )
    numbers = {name: number for number, name in enumerate(names)}
    return [np.array([numbers.get(token, 0) for token in one], np.int64) for one in documents], names


def _blocks_of(documents: Sequence[Array], length: int) -> tuple[list[int], list[Blocks]]:
    """Cut documents into blocks, and tell which are long enough; raises DataError where fewer than three are."""
    long = [number for number, one in enumerate(documents) if len(one) > length]
    if len(long) < LEAST_DOCUMENTS:
        third = sorted(map(len, documents))[-LEAST_DOCUMENTS]
        raise DataError(
            f"data.length: {LEAST_DOCUMENTS} documents must have more tokens, got {length} where the third longest "
            f"has {third}; write data.length={third - 1}"
        )
    return long, [_blocks(documents[number], length) for number in long]


def _blocks(tokens: Array, length: int) -> Blocks:
    """Cut a document [L], L > `length`, into blocks, the last of which ends with it."""
    last = len(tokens) - 1 - length
    starts = np.append(np.arange(0, last, length), last)
    windows = np.lib.stride_tricks.sliding_window_view(tokens, length)
    x, y = windows[starts], windows[starts + 1]
    if len(starts) > 1:
        y[-1, : starts[-2] + length - last] = NO_TARGET
    return Blocks(x, y)
