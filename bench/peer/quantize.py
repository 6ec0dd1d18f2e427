#!/usr/bin/env python3
"""Quantize an F16 GGUF file with the peer's own quantizer, through the libllama of npm node-llama-cpp.

usage: quantize.py PEER_FOLDER IN.gguf OUT.gguf q8_0|q4_k|q4_k_m

q4_k is Q4_K for every matrix (llama.cpp's --pure); q4_k_m is its usual mixture.
"""
import ctypes
import pathlib
import platform
import struct
import sys

# (llama_ftype, pure)
TYPES = {"q8_0": (7, False), "q4_k": (15, True), "q4_k_m": (15, False)}


class Parameters(ctypes.Structure):
    """llama_model_quantize_params; only its head is read, its size is a safe upper bound."""
    _fields_ = [("bytes", ctypes.c_ubyte * 256)]


def main():
    if len(sys.argv) != 5 or sys.argv[4] not in TYPES:
        sys.exit(__doc__)
    peer, source, target, kind = sys.argv[1:]
    machine = {"x86_64": "linux-x64", "aarch64": "linux-arm64"}[platform.machine()]
    folder = pathlib.Path(peer).resolve() / "node_modules/@node-llama-cpp" / machine / "bins" / machine

    def load(pattern):
        found = sorted(folder.glob(pattern))
        if not found:
            sys.exit(f"no {pattern} in {folder}")
        return ctypes.CDLL(str(found[0]), mode=ctypes.RTLD_GLOBAL)

    load("libggml-base.so")
    ggml = load("libggml.*so")
    llama = load("libllama.*so")
    ggml.ggml_backend_load_all_from_path.argtypes = [ctypes.c_char_p]
    ggml.ggml_backend_load_all_from_path(str(folder).encode())
    llama.llama_backend_init()

    # int32 nthread, ftype; two ggml_type; bool allow_requantize, quantize_output_tensor, only_copy, pure.
    llama.llama_model_quantize_default_params.restype = Parameters
    parameters = llama.llama_model_quantize_default_params()
    threads, default_type = struct.unpack_from("<2i", parameters.bytes, 0)
    if threads != 0 or not 0 < default_type < 64:
        sys.exit("this libllama's llama_model_quantize_params looks different; quantize with another tool")
    file_type, pure = TYPES[kind]
    struct.pack_into("<2i", parameters.bytes, 0, threads, file_type)
    parameters.bytes[19] = pure
    llama.llama_model_quantize.argtypes = [ctypes.c_char_p, ctypes.c_char_p, ctypes.c_void_p]
    status = llama.llama_model_quantize(source.encode(), target.encode(), ctypes.byref(parameters))
    sys.exit(1 if status else 0)


if __name__ == "__main__":
    main()
