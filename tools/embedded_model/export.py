"""Writes the trained model as a GGUF file and as a Hugging Face folder, from the same numbers.

    python export.py --state STATE --gguf weir-tiny.gguf --folder weir-tiny

Every weight is rounded to float16 first; matrices are stored so in both forms, norms (float32 in
GGUF by custom) hold the same values. The only other difference is the order of the rows of q and
k, see `permuted`. Both files are read back and compared before the script says that it is done.
"""

import argparse
import json
import struct
from pathlib import Path

import numpy as np
import torch
from tokenizers import Tokenizer, processors

from data import BOS, SPECIAL_TOKENS, TURN_END
from gguf_file import read_gguf, write_gguf
from model import Llama, ModelConfig
from tokenizer import PRE_TOKENIZER

NAME = "weir-tiny"
LICENCE = "apache-2.0"
NORMAL_TOKEN, CONTROL_TOKEN = 1, 3
MOSTLY_F16 = 1

# The same text as data.render, for texts without white space around them.
CHAT_TEMPLATE = (
    "{{- bos_token }}"
    "{%- for message in messages %}"
    "{{- '<|im_start|>' ~ message['role'] ~ '\\n' }}"
    "{{- message['content'] | trim }}"
    "{{- '<|im_end|>\\n' }}"
    "{%- endfor %}"
    "{%- if add_generation_prompt %}"
    "{{- '<|im_start|>assistant\\n' }}"
    "{%- endif %}"
)

# Our name, GGUF's, Hugging Face's.
BLOCK_TENSORS = [
    ("attn_norm", "attn_norm", "input_layernorm"),
    ("q", "attn_q", "self_attn.q_proj"),
    ("k", "attn_k", "self_attn.k_proj"),
    ("v", "attn_v", "self_attn.v_proj"),
    ("o", "attn_output", "self_attn.o_proj"),
    ("ffn_norm", "ffn_norm", "post_attention_layernorm"),
    ("gate", "ffn_gate", "mlp.gate_proj"),
    ("up", "ffn_up", "mlp.up_proj"),
    ("down", "ffn_down", "mlp.down_proj"),
]


def tensor_names(layers: int) -> list[tuple[str, str, str]]:
    names = [("embedding.weight", "token_embd.weight", "model.embed_tokens.weight")]
    for n in range(layers):
        names += [(f"blocks.{n}.{own}.weight", f"blk.{n}.{gguf}.weight",
                   f"model.layers.{n}.{hf}.weight") for own, gguf, hf in BLOCK_TENSORS]  # fmt: skip
    return names + [("norm.weight", "output_norm.weight", "model.norm.weight")]


def permuted(rows: np.ndarray, heads: int) -> np.ndarray:
    """Rows of q or k, [heads * width, columns]: pairs (i, i + width/2) become (2i, 2i + 1)."""
    columns = rows.shape[1]
    return rows.reshape(heads, 2, -1, columns).swapaxes(1, 2).reshape(-1, columns)


def load_state(state: Path) -> tuple[ModelConfig, dict[str, np.ndarray], Tokenizer]:
    parts = torch.load(state / "checkpoint.pt")
    weights = {name: value.numpy().astype(np.float16) for name, value in parts["ema"].items()}
    assert all(np.isfinite(value).all() for value in weights.values())
    return (
        ModelConfig(**parts["config"]),
        weights,
        Tokenizer.from_file(str(state / "tokenizer.json")),
    )


def gguf_metadata(config: ModelConfig, tokenizer: Tokenizer) -> dict:
    tokens = [tokenizer.id_to_token(i) for i in range(config.vocabulary)]
    merges = json.loads(tokenizer.to_str())["model"]["merges"]
    bos, eos = tokenizer.token_to_id(BOS), tokenizer.token_to_id(TURN_END)
    kinds = [CONTROL_TOKEN if token in SPECIAL_TOKENS else NORMAL_TOKEN for token in tokens]
    return {
        "general.architecture": "llama",
        "general.type": "model",
        "general.name": NAME,
        "general.license": LICENCE,
        "general.file_type": MOSTLY_F16,
        "llama.block_count": config.layers,
        "llama.context_length": config.context,
        "llama.embedding_length": config.width,
        "llama.feed_forward_length": config.ffn_width,
        "llama.attention.head_count": config.heads,
        "llama.attention.head_count_kv": config.kv_heads,
        "llama.attention.key_length": config.head_width,
        "llama.attention.value_length": config.head_width,
        "llama.attention.layer_norm_rms_epsilon": config.norm_epsilon,
        "llama.rope.dimension_count": config.head_width,
        "llama.rope.freq_base": config.rope_base,
        "llama.vocab_size": config.vocabulary,
        "tokenizer.ggml.model": "gpt2",
        "tokenizer.ggml.pre": PRE_TOKENIZER,
        "tokenizer.ggml.tokens": tokens,
        "tokenizer.ggml.token_type": kinds,
        "tokenizer.ggml.merges": [" ".join(pair) for pair in merges],
        "tokenizer.ggml.bos_token_id": bos,
        "tokenizer.ggml.eos_token_id": eos,
        "tokenizer.ggml.eot_token_id": eos,
        "tokenizer.ggml.padding_token_id": bos,
        "tokenizer.ggml.add_bos_token": True,
        "tokenizer.ggml.add_eos_token": False,
        "tokenizer.chat_template": CHAT_TEMPLATE,
    }


def gguf_tensors(config: ModelConfig, weights: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    tensors = {}
    for own, name, _ in tensor_names(config.layers):
        value = weights[own]
        if name.endswith("attn_q.weight"):
            value = permuted(value, config.heads)
        elif name.endswith("attn_k.weight"):
            value = permuted(value, config.kv_heads)
        tensors[name] = value.astype(np.float32) if value.ndim == 1 else value
    return tensors


def folder_config(config: ModelConfig, tokenizer: Tokenizer) -> dict:
    return {
        "architectures": ["LlamaForCausalLM"],
        "model_type": "llama",
        "torch_dtype": "float16",
        "vocab_size": config.vocabulary,
        "hidden_size": config.width,
        "intermediate_size": config.ffn_width,
        "num_hidden_layers": config.layers,
        "num_attention_heads": config.heads,
        "num_key_value_heads": config.kv_heads,
        "head_dim": config.head_width,
        "hidden_act": "silu",
        "max_position_embeddings": config.context,
        "rms_norm_eps": config.norm_epsilon,
        "rope_theta": config.rope_base,
        "rope_scaling": None,
        "attention_bias": False,
        "mlp_bias": False,
        "tie_word_embeddings": True,
        "bos_token_id": tokenizer.token_to_id(BOS),
        "eos_token_id": tokenizer.token_to_id(TURN_END),
    }


def write_safetensors(path: Path, tensors: dict[str, np.ndarray]) -> None:
    header, body = {"__metadata__": {"format": "pt"}}, b""
    for name, value in tensors.items():
        data = value.tobytes()
        header[name] = {"dtype": "F16", "shape": list(value.shape),
                        "data_offsets": [len(body), len(body) + len(data)]}  # fmt: skip
        body += data
    text = json.dumps(header, separators=(",", ":")).encode()
    text += b" " * (-len(text) % 8)
    path.write_bytes(struct.pack("<Q", len(text)) + text + body)


def read_safetensors(path: Path) -> dict[str, np.ndarray]:
    data = path.read_bytes()
    start = 8 + struct.unpack_from("<Q", data)[0]
    tensors = {}
    for name, info in json.loads(data[8:start]).items():
        if name != "__metadata__":
            begin, end = info["data_offsets"]
            flat = np.frombuffer(data[start + begin : start + end], np.float16)
            tensors[name] = flat.reshape(info["shape"])
    return tensors


def write_json(path: Path, value: dict) -> None:
    path.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def write_folder(
    folder: Path, config: ModelConfig, weights: dict[str, np.ndarray], tokenizer: Tokenizer
) -> None:
    folder.mkdir(parents=True, exist_ok=True)
    names = tensor_names(config.layers)
    write_safetensors(folder / "model.safetensors", {hf: weights[own] for own, _, hf in names})
    write_json(folder / "config.json", folder_config(config, tokenizer))
    write_json(folder / "tokenizer_config.json", {
        "tokenizer_class": "PreTrainedTokenizerFast",
        "bos_token": BOS,
        "eos_token": TURN_END,
        "pad_token": BOS,
        "add_bos_token": True,
        "clean_up_tokenization_spaces": False,
        "model_max_length": config.context,
        "chat_template": CHAT_TEMPLATE,
    })  # fmt: skip
    tokenizer.post_processor = processors.TemplateProcessing(
        single=f"{BOS} $A", special_tokens=[(BOS, tokenizer.token_to_id(BOS))]
    )
    tokenizer.save(str(folder / "tokenizer.json"))


def load_folder(folder: Path) -> tuple[Llama, Tokenizer]:
    """The model of a folder that write_folder wrote, computing in float32."""
    raw = json.loads((folder / "config.json").read_text(encoding="utf-8"))
    config = ModelConfig(
        vocabulary=raw["vocab_size"], width=raw["hidden_size"], layers=raw["num_hidden_layers"],
        heads=raw["num_attention_heads"], kv_heads=raw["num_key_value_heads"],
        head_width=raw["head_dim"], ffn_width=raw["intermediate_size"],
        context=raw["max_position_embeddings"], rope_base=raw["rope_theta"],
        norm_epsilon=raw["rms_norm_eps"],
    )  # fmt: skip
    stored = read_safetensors(folder / "model.safetensors")
    model = Llama(config)
    model.load_state_dict({own: torch.from_numpy(stored[hf].astype(np.float32))
                           for own, _, hf in tensor_names(config.layers)})  # fmt: skip
    return model, Tokenizer.from_file(str(folder / "tokenizer.json"))


def check_same(gguf: Path, folder: Path) -> None:
    """Both files hold the same numbers, bit by bit, and the same vocabulary."""
    metadata, tensors = read_gguf(gguf)
    stored = read_safetensors(folder / "model.safetensors")
    heads = {"attn_q": metadata["llama.attention.head_count"],
             "attn_k": metadata["llama.attention.head_count_kv"]}  # fmt: skip
    names = tensor_names(metadata["llama.block_count"])
    assert {name for _, name, _ in names} == set(tensors)
    for _, name, hf in names:
        part = name.split(".")[-2]
        expected = permuted(stored[hf], heads[part]) if part in heads else stored[hf]
        assert np.array_equal(tensors[name].astype(np.float32), expected.astype(np.float32)), name
    vocabulary = Tokenizer.from_file(str(folder / "tokenizer.json")).get_vocab()
    assert {t: i for i, t in enumerate(metadata["tokenizer.ggml.tokens"])} == vocabulary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--state", required=True, type=Path, help="folder that train.py filled")
    parser.add_argument("--gguf", required=True, type=Path, help="file to write")
    parser.add_argument("--folder", required=True, type=Path, help="folder to write")
    arguments = parser.parse_args()

    config, weights, tokenizer = load_state(arguments.state)
    metadata = gguf_metadata(config, tokenizer)
    write_gguf(arguments.gguf, metadata, gguf_tensors(config, weights))
    write_folder(arguments.folder, config, weights, tokenizer)
    check_same(arguments.gguf, arguments.folder)
    parameters = sum(value.size for value in weights.values())
    print(f"{arguments.gguf}: {arguments.gguf.stat().st_size} bytes, {parameters} parameters")


if __name__ == "__main__":
    main()
