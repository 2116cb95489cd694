"""Size, precision and sign declared by a compressed frame, which may differ from those of the DICOM header.

JPEG, JPEG-LS and lossless JPEG (ISO 10918-1, 14495-1), JPEG 2000 and HTJ2K (ISO 15444-1) say it in their first markers; the
PackBits runs of DICOM's RLE (PS3.5 G) are counted where they could grow too long.
"""

_START_OF_FRAME = {0xC0, 0xC1, 0xC2, 0xC3, 0xC5, 0xC6, 0xC7, 0xC9, 0xCA, 0xCB, 0xCD, 0xCE, 0xCF, 0xF7}
_WITHOUT_LENGTH = {0x01, *range(0xD0, 0xD8)}
_START_OF_CODESTREAM = b"\xff\x4f\xff\x51"
_END = b"\xff\xd9"
_LONGEST_REMAINS = 64
"""Bytes that some leave behind the end marker."""
_LONGEST_HEADER = 2**20
_RUN_BYTES = 64
"""What one byte of RLE can become: two make a run of 128."""


def samples(encoded: bytes) -> int | None:
    """Samples of all components that a JPEG or JPEG 2000 frame decodes to; None if it is neither, or says no size."""
    if (start := _jpeg2000_at(encoded)) is not None:
        right, bottom, left, top = (_number(encoded, start + at, 4) for at in (8, 12, 16, 20))
        return max(0, right - left) * max(0, bottom - top) * _number(encoded, start + 40, 2)
    if (start := _start_of_frame(encoded)) is not None:
        return _number(encoded, start + 5, 2) * _number(encoded, start + 7, 2) * encoded[start + 9]
    return None


def precision(encoded: bytes) -> tuple[int, bool] | None:
    """Bits of a sample of the first component, and whether it is signed; None as for ``samples``."""
    if (start := _jpeg2000_at(encoded)) is not None:
        depth = _number(encoded, start + 42, 1)
        return (depth & 0x7F) + 1, bool(depth & 0x80)
    if (start := _start_of_frame(encoded)) is not None:
        return encoded[start + 4], False
    return None


def is_complete(encoded: bytes) -> bool:
    """Whether a JPEG or JPEG 2000 frame has its end marker: decoders make up the rest of one cut short.  True for others."""
    is_known = _jpeg2000_at(encoded) is not None or encoded[:2] == b"\xff\xd8"
    return not is_known or encoded.rfind(_END) >= len(encoded) - _LONGEST_REMAINS


def rle_bytes(encoded: bytes, limit: int) -> int:
    """Bytes that a frame of DICOM's RLE decodes to; counted, or else more than that where this cannot exceed ``limit``."""
    if len(encoded) * _RUN_BYTES <= limit:
        return len(encoded) * _RUN_BYTES
    n_segments = min(_number(encoded, 0, 4, "little"), 15)
    offsets = [_number(encoded, 4 * (k + 1), 4, "little") for k in range(n_segments)]
    n_bytes = 0
    for start, end in zip(offsets, [*offsets[1:], len(encoded)], strict=True):
        at = start
        while at < min(end, len(encoded)) and n_bytes <= limit:
            length = encoded[at]
            at += length + 2 if length < 128 else 1 if length == 128 else 2
            n_bytes += length + 1 if length < 128 else 0 if length == 128 else 257 - length
    return n_bytes


def _jpeg2000_at(encoded: bytes) -> int | None:
    """Where the codestream of a JPEG 2000 frame begins; None if it is none."""
    if encoded[:4] == _START_OF_CODESTREAM:
        return 0
    if encoded[4:8] != b"jP  ":
        return None
    start = encoded.find(_START_OF_CODESTREAM, 0, _LONGEST_HEADER)  # in boxes, JP2
    return None if start < 0 else start


def _start_of_frame(encoded: bytes) -> int | None:
    """Where the marker of a JPEG frame with its size is; None if it is no JPEG, or has none."""
    if encoded[:2] != b"\xff\xd8":
        return None
    at = 2
    while at + 9 < len(encoded):
        if encoded[at] != 0xFF:
            return None
        marker = encoded[at + 1]
        if marker in _START_OF_FRAME:
            return at
        if marker == 0xFF:  # fill
            at += 1
        elif marker in _WITHOUT_LENGTH:
            at += 2
        else:
            at += 2 + _number(encoded, at + 2, 2)
    return None


def _number(encoded: bytes, at: int, n_bytes: int, order: str = "big") -> int:
    return int.from_bytes(encoded[at : at + n_bytes], "little" if order == "little" else "big")
