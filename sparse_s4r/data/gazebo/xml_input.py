"""XML from strangers: parsed without document types, so without entities, and only up to a stated size."""

from __future__ import annotations

from pathlib import Path
from xml.etree import ElementTree
from xml.parsers import expat

from sparse_s4r.structures.errors import DataError


class _RootReachedError(Exception):
    """The root element was reached: no document type can follow."""


def read_xml_bytes(path: Path, limit: int) -> bytes:
    """Content of an XML file after a look at its head.

    Args:
        path: The file.
        limit: Largest size accepted, bytes.

    Raises:
        DataError: Missing, larger than ``limit``, no XML, or with a document type: that is where entities are
            declared which grow without bound or name other files.
    """
    try:
        size = path.stat().st_size
        if size > limit:
            raise DataError(f"{path}: expected an XML file of at most {limit:,} bytes, got {size:,}")
        content = path.read_bytes()
    except OSError as error:
        raise DataError(f"{path}: expected a readable XML file, got none ({error.strerror})") from error
    _refuse_document_type(path, content)
    return content


def parse_xml(path: Path, limit: int) -> ElementTree.Element:
    """Root element of an XML file.

    Raises:
        DataError: As ``read_xml_bytes``, or a file that is not well-formed.
    """
    content = read_xml_bytes(path, limit)
    try:
        return ElementTree.fromstring(content)
    except (ElementTree.ParseError, ValueError, LookupError) as error:
        raise DataError(f"{path}: expected well-formed XML, got an error at its parsing ({error})") from error


def _refuse_document_type(path: Path, content: bytes) -> None:
    parser = expat.ParserCreate()

    def start_doctype(*_: object) -> None:
        raise DataError(
            f"{path}: expected XML without a document type, got <!DOCTYPE>; entities are not read, remove it"
        )

    def start_element(*_: object) -> None:
        raise _RootReachedError

    parser.StartDoctypeDeclHandler = start_doctype
    parser.StartElementHandler = start_element
    try:
        parser.Parse(content, True)
    except _RootReachedError:
        return
    except (expat.ExpatError, ValueError, LookupError) as error:
        raise DataError(f"{path}: expected XML, got something else ({error})") from error
