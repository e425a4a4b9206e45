"""Bytes of a text file as text and back, without the loss of a byte."""

from __future__ import annotations

import codecs
from dataclasses import dataclass

BOMS = (
    (codecs.BOM_UTF8, "utf-8"),
    (codecs.BOM_UTF32_LE, "utf-32-le"),
    (codecs.BOM_UTF32_BE, "utf-32-be"),
    (codecs.BOM_UTF16_LE, "utf-16-le"),
    (codecs.BOM_UTF16_BE, "utf-16-be"),
)
GUESSES = ("utf-8", "cp1252", "latin-1")


@dataclass(frozen=True)
class Encoded:
    """Text of a file with what is needed to write it back.

    Attributes
    ----------
    text : str
        Without the byte order mark.
    encoding : str
        Name of the codec.
    bom : bytes
        Byte order mark of the file, or empty.
    """

    text: str
    encoding: str
    bom: bytes = b""

    def to_bytes(self, text: str) -> bytes:
        """Another text in the form of this file.

        Raises
        ------
        ValueError
            If the encoding has no such character.
        """
        try:
            return self.bom + text.encode(self.encoding)
        except UnicodeEncodeError as error:
            character = text[error.start : error.end]
            raise ValueError(f"{character!r} cannot be written in {self.encoding}, the encoding of the file") from error


def decode(data: bytes, encoding: str | None = None) -> Encoded:
    """Text of a file; the encoding is that of its byte order mark, else UTF-8, else Windows' Western one.

    Parameters
    ----------
    data : bytes
    encoding : str, optional
        Name of a codec instead of the guess.

    Raises
    ------
    ValueError
        For an unknown codec, or bytes that it cannot give back as they are.
    """
    bom, marked = next(((mark, name) for mark, name in BOMS if data.startswith(mark)), (b"", ""))
    body = data[len(bom) :]
    if encoding is not None:
        names: tuple[str, ...] = (_named(encoding, marked),)
    elif marked:
        names = (marked,)
    else:
        names = (*_wide(body), *GUESSES)
    for name in names:
        text = _exact(body, name)
        if text is not None:
            return Encoded(text, name, bom)
    raise ValueError(f"the bytes are not text in {' or '.join(names)}; name the encoding")


def _named(encoding: str, marked: str) -> str:
    """Codec of a name given by the user; the mark decides the order of bytes."""
    try:
        name = codecs.lookup(encoding).name
    except LookupError as error:
        raise ValueError(f"unknown encoding {encoding!r}") from error
    if marked and (name == "utf-8-sig" or marked.startswith(name)):
        return marked
    return {"utf-8-sig": "utf-8", "utf-16": "utf-16-le", "utf-32": "utf-32-le"}.get(name, name)


def _wide(body: bytes) -> tuple[str, ...]:
    """UTF-16 without a mark: every second byte of Western text is zero."""
    head = body[:400]
    for start, name in ((1, "utf-16-le"), (0, "utf-16-be")):
        half = head[start::2]
        if len(half) > 3 and half.count(0) > 0.5 * len(half):
            return (name,)
    return ()


def _exact(body: bytes, name: str) -> str | None:
    """Text that encodes to the same bytes, or None."""
    try:
        text = body.decode(name)
        return text if text.encode(name) == body else None
    except UnicodeError:
        return None
