"""Seeded ways to harm bytes, text and names."""

from collections.abc import Sequence
from typing import TypeVar

import numpy as np

from checkpoint_damage import mutate

T = TypeVar("T")
_CHARACTERS = "aZ_-.=:,#'\"\\{}[]()&*!|>%@`~ \t\r\n\0\x1b\x7f\x85\u00e9\u0660\u2028\u202e\ufeff\ufffe\U0001f600"


def mutate_bytes(data: bytes, rng: np.random.Generator, tokens: Sequence[bytes] = ()) -> bytes:
    """Return `data` with one to three harms: those of `mutate`, and tokens put in place of something or between."""
    for _ in range(rng.integers(1, 4)):
        if tokens and rng.random() < 0.5:
            start = int(rng.integers(len(data) + 1))
            token = pick(tokens, rng)
            data = data[:start] + token + data[start + int(rng.integers(2)) * len(token) :]
        elif data:
            data = mutate(data, rng)
    return data


def mutate_text(text: str, rng: np.random.Generator, tokens: Sequence[str] = ()) -> str:
    """Return `text` with one or two harms, each a token or odd character instead of something, or a line moved."""
    for _ in range(rng.integers(1, 3)):
        lines = text.split("\n")
        first, second = rng.integers(len(lines), size=2)
        start, stop = sorted(int(i) for i in rng.integers(len(text) + 1, size=2))
        match rng.integers(9):
            case 0:
                lines[first] = lines[second]
                text = "\n".join(lines)
            case 1 | 6 | 7:  # a value, or all of a line, becomes a token
                head, sign, _ = lines[first].partition(":")
                lines[first] = head + sign + " " + pick(tokens, rng) if tokens else odd_text(rng)
                text = "\n".join(lines)
            case 2:
                text = text[:start] + odd_text(rng) + text[start:]
            case 3:
                text = text[:start] + text[min(stop, start + 8) :]
            case 4:
                text = text[:start] + (pick(tokens, rng) if tokens else "") + text[start:]
            case 8:
                lines.insert(first, pick(tokens, rng) if tokens else odd_text(rng))
                text = "\n".join(lines)
            case 5:
                lines[first] = " " * int(rng.integers(5)) + lines[first].lstrip()
                text = "\n".join(lines)
    return text


def odd_text(rng: np.random.Generator, longest: int = 6) -> str:
    """Return a few characters, most of them with a meaning to some parser."""
    return "".join(pick(_CHARACTERS, rng) for _ in range(rng.integers(1, longest + 1)))


def pick(items: Sequence[T], rng: np.random.Generator) -> T:
    """Return one of the items."""
    return items[int(rng.integers(len(items)))]
