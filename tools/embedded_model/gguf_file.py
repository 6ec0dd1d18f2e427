"""Writes and reads GGUF version 3, as far as the embedded model needs it."""

import struct
from pathlib import Path

import numpy as np

ALIGNMENT = 32
TENSOR_TYPES = {0: np.dtype("<f4"), 1: np.dtype("<f2")}
SCALARS = {4: "<I", 5: "<i", 6: "<f", 7: "<?"}
STRING, ARRAY = 8, 9


def u32(value: int) -> bytes:
    return struct.pack("<I", value)


def string(text: str) -> bytes:
    data = text.encode("utf-8")
    return struct.pack("<Q", len(data)) + data


def typed(value) -> bytes:
    """A value behind its type: bool, int (as u32), float, str, or a list of ints or strings."""
    if isinstance(value, bool):
        return u32(7) + struct.pack("<?", value)
    if isinstance(value, int):
        return u32(4) + u32(value)
    if isinstance(value, float):
        return u32(6) + struct.pack("<f", value)
    if isinstance(value, str):
        return u32(STRING) + string(value)
    count = struct.pack("<Q", len(value))
    if isinstance(value[0], str):
        return u32(ARRAY) + u32(STRING) + count + b"".join(map(string, value))
    return u32(ARRAY) + u32(5) + count + struct.pack(f"<{len(value)}i", *value)


def padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % ALIGNMENT)


def write_gguf(path: Path, metadata: dict, tensors: dict[str, np.ndarray]) -> None:
    """tensors: float32 or float16, [rows, columns] or [columns], in the file's order."""
    head = b"GGUF" + u32(3) + struct.pack("<QQ", len(tensors), len(metadata))
    head += b"".join(string(key) + typed(value) for key, value in metadata.items())
    body = b""
    for name, tensor in tensors.items():
        kind = next(k for k, dtype in TENSOR_TYPES.items() if dtype == tensor.dtype)
        sizes = tensor.shape[::-1]  # the contiguous one first
        head += string(name) + u32(len(sizes)) + struct.pack(f"<{len(sizes)}Q", *sizes)
        head += u32(kind) + struct.pack("<Q", len(body))
        body += padded(tensor.tobytes())
    path.write_bytes(padded(head) + body)


class Reader:
    def __init__(self, data: bytes):
        self.data, self.at = data, 0

    def take(self, form: str):
        values = struct.unpack_from(form, self.data, self.at)
        self.at += struct.calcsize(form)
        return values[0]

    def string(self) -> str:
        length = self.take("<Q")
        self.at += length
        return self.data[self.at - length : self.at].decode("utf-8")

    def value(self, kind: int):
        if kind == STRING:
            return self.string()
        if kind == ARRAY:
            kind, count = self.take("<I"), self.take("<Q")
            return [self.value(kind) for _ in range(count)]
        return self.take(SCALARS[kind])


def read_gguf(path: Path) -> tuple[dict, dict[str, np.ndarray]]:
    """Reads what write_gguf wrote. For files from elsewhere use a reader that trusts nothing."""
    reader = Reader(path.read_bytes())
    assert reader.take("<4s") == b"GGUF" and reader.take("<I") == 3
    tensor_count, key_count = reader.take("<Q"), reader.take("<Q")
    metadata = {}
    for _ in range(key_count):
        key = reader.string()
        metadata[key] = reader.value(reader.take("<I"))
    infos = []
    for _ in range(tensor_count):
        name = reader.string()
        sizes = [reader.take("<Q") for _ in range(reader.take("<I"))]
        infos.append((name, sizes[::-1], TENSOR_TYPES[reader.take("<I")], reader.take("<Q")))
    start = -(-reader.at // ALIGNMENT) * ALIGNMENT
    tensors = {}
    for name, shape, dtype, offset in infos:
        count = int(np.prod(shape))
        flat = np.frombuffer(reader.data, dtype, count, start + offset)
        tensors[name] = flat.reshape(shape)
    return metadata, tensors
