#!/usr/bin/env python3
"""Random small models of every family, by Hugging Face transformers and by Weir, compared.

usage: check_families.py WEIR [--only FAMILY,...] [--seeds FIRST:END] [--keep FOLDER] [--gguf]
Needs torch and transformers (any machine; no GPU). Each seed draws a configuration, with the
switches that published models of the family have, and weights; transformers computes float32
logits (a pooled vector for encoders) with eager attention and saves the folder; Weir reads it, all
at once, token by token and in sevens; with --gguf also after `weir convert`. The error is in units of the reference's standard deviation;
1e-3 is allowed. A configuration that Weir refuses is counted and its reason printed: a refusal
is honest, but each is a model that somebody may have.
"""

import argparse
import array
import base64
import importlib
import json
import os
import random
import shutil
import subprocess
import sys
import tempfile

import torch
import transformers

BOUND = 1e-3
VOCABULARY = 256


def one_of(*choices):
    return lambda rng: rng.choice(choices)


def rope(**kinds):
    """A choice among kinds of position scaling, by name; `plain` is none."""
    return lambda rng: kinds[rng.choice(sorted(kinds))]


def plain(theta=10000.0):
    return {"rope_type": "default", "rope_theta": theta}


LINEAR = {"rope_type": "linear", "rope_theta": 10000.0, "factor": 4.0}
DYNAMIC = {"rope_type": "dynamic", "rope_theta": 10000.0, "factor": 4.0}
LLAMA3 = {
    "rope_type": "llama3",
    "rope_theta": 500000.0,
    "factor": 8.0,
    "low_freq_factor": 1.0,
    "high_freq_factor": 4.0,
    "original_max_position_embeddings": 32,
}
YARN = {
    "rope_type": "yarn",
    "rope_theta": 10000.0,
    "factor": 4.0,
    "original_max_position_embeddings": 32,
}
YARN_DEEPSEEK = YARN | {
    "factor": 40.0,
    "beta_fast": 32,
    "beta_slow": 1,
    "mscale": 0.707,
    "mscale_all_dim": 0.707,
}
YARN_V3 = YARN | {"factor": 40.0, "beta_fast": 32, "beta_slow": 1, "mscale": 1.0, "mscale_all_dim": 1.0}
YARN_GPT_OSS = YARN | {"rope_theta": 150000.0, "factor": 32.0, "beta_fast": 32.0, "beta_slow": 1.0, "truncate": False}
ATTENTION_FACTOR = YARN | {"attention_factor": 1.2}


def longrope(dims):
    return {
        "rope_type": "longrope",
        "rope_theta": 10000.0,
        "original_max_position_embeddings": 64,
        "short_factor": [1.0 + 0.05 * i for i in range(dims)],
        "long_factor": [1.0 + 0.5 * i for i in range(dims)],
    }


COMMON = {
    "vocab_size": VOCABULARY,
    "hidden_size": 64,
    "intermediate_size": 96,
    "num_hidden_layers": 4,
    "num_attention_heads": 4,
    "num_key_value_heads": one_of(1, 2, 4),
    "max_position_embeddings": 512,
    "bos_token_id": 1,
    "eos_token_id": 2,
    "pad_token_id": 0,
}
ROPES = rope(plain=plain(), linear=LINEAR, yarn=YARN, llama3=LLAMA3, big=plain(1e6), factor=ATTENTION_FACTOR)
TIED = one_of(True, False)
EXPERTS = {"moe_intermediate_size": 32, "num_experts_per_tok": one_of(1, 2, 3)}
DEEPSEEK = {
    "num_key_value_heads": 4,
    "q_lora_rank": one_of(None, 24),
    "kv_lora_rank": 32,
    "qk_nope_head_dim": 16,
    "qk_rope_head_dim": 8,
    "v_head_dim": one_of(16, 24),
    "n_routed_experts": 8,
    "n_shared_experts": one_of(1, 2),
    "num_experts_per_tok": one_of(2, 3),
    "moe_intermediate_size": 32,
}

# Of each family: the configuration's class, what it is drawn from, and what depends on what.
FAMILIES = {
    "llama": (
        "LlamaConfig",
        {
            "head_dim": one_of(16, 32),
            "attention_bias": one_of(False, True),
            "mlp_bias": one_of(False, True),
            "tie_word_embeddings": TIED,
            "rope_parameters": rope(
                plain=plain(), linear=LINEAR, llama3=LLAMA3, yarn=YARN, big=plain(1e6), factor=ATTENTION_FACTOR
            ),
            "rms_norm_eps": one_of(1e-5, 1e-6),
        },
    ),
    "mistral": (
        "MistralConfig",
        {
            "sliding_window": one_of(None, 24),
            "head_dim": one_of(16, 32, None),
            "rope_parameters": ROPES,
            "tie_word_embeddings": TIED,
        },
    ),
    "ministral3": (
        "Ministral3Config",
        {
            "head_dim": one_of(16, 32),
            "tie_word_embeddings": TIED,
            "rope_parameters": one_of(
                YARN
                | {
                    "rope_theta": 1e6,
                    "factor": 16.0,
                    "beta_fast": 32.0,
                    "beta_slow": 1.0,
                    "mscale": 1.0,
                    "mscale_all_dim": 1.0,
                    "llama_4_scaling_beta": 0.1,
                }
            ),
        },
    ),
    "mixtral": (
        "MixtralConfig",
        {
            "num_local_experts": 4,
            "num_experts_per_tok": one_of(1, 2),
            "sliding_window": one_of(None, 24),
            "rope_parameters": rope(plain=plain(), big=plain(1e6)),
            "tie_word_embeddings": TIED,
        },
    ),
    "qwen2": (
        "Qwen2Config",
        {
            "use_sliding_window": one_of(False, True),
            "sliding_window": 24,
            "max_window_layers": one_of(0, 2, 4),
            "rope_parameters": ROPES,
            "tie_word_embeddings": TIED,
        },
    ),
    "qwen2_moe": (
        "Qwen2MoeConfig",
        EXPERTS
        | {
            "num_experts": 6,
            "shared_expert_intermediate_size": one_of(32, 64),
            "decoder_sparse_step": one_of(1, 2),
            "mlp_only_layers": one_of([], [1]),
            "norm_topk_prob": one_of(True, False),
            "qkv_bias": one_of(True, False),
            "use_sliding_window": one_of(False, True),
            "sliding_window": 24,
            "max_window_layers": one_of(0, 2),
            "tie_word_embeddings": TIED,
        },
    ),
    "qwen3": (
        "Qwen3Config",
        {
            "head_dim": one_of(16, 32),
            "attention_bias": one_of(False, True),
            "use_sliding_window": one_of(False, True),
            "sliding_window": 24,
            "max_window_layers": one_of(0, 2),
            "rope_parameters": ROPES,
            "tie_word_embeddings": TIED,
        },
    ),
    "qwen3_moe": (
        "Qwen3MoeConfig",
        EXPERTS
        | {
            "num_experts": 6,
            "head_dim": 16,
            "decoder_sparse_step": one_of(1, 2),
            "mlp_only_layers": one_of([], [2]),
            "norm_topk_prob": one_of(True, False),
            "rope_parameters": ROPES,
            "tie_word_embeddings": TIED,
        },
    ),
    "deepseek_v2": (
        "DeepseekV2Config",
        DEEPSEEK
        | {
            "first_k_dense_replace": one_of(0, 1, 4),
            "topk_method": one_of("greedy", "group_limited_greedy"),
            "n_group": 4,
            "topk_group": 2,
            "routed_scaling_factor": one_of(1.0, 16.0),
            "rope_parameters": rope(plain=plain(), yarn=YARN_DEEPSEEK, v3=YARN_V3),
        },
    ),
    "deepseek_v3": (
        "DeepseekV3Config",
        DEEPSEEK
        | {
            "first_k_dense_replace": one_of(0, 1, 3),
            "n_group": one_of(1, 2, 4),
            "topk_group": 1,
            "norm_topk_prob": one_of(True, False),
            "routed_scaling_factor": one_of(1.0, 2.5),
            "rope_parameters": rope(plain=plain(), v3=YARN_V3),
            "rope_interleave": one_of(True, True, False),
        },
    ),
    "gemma2": (
        "Gemma2Config",
        {
            "head_dim": one_of(16, 32),
            "query_pre_attn_scalar": one_of(16, 24),
            "sliding_window": one_of(20, 32),
            "final_logit_softcapping": one_of(30.0, None),
            "attn_logit_softcapping": one_of(50.0, 2.0, None),
        },
    ),
    "gemma3": (
        "Gemma3TextConfig",
        {
            "num_hidden_layers": 7,
            "head_dim": one_of(16, 32),
            "query_pre_attn_scalar": one_of(16, 24),
            "sliding_window": one_of(20, 32),
            "rope_parameters": one_of(
                {
                    "full_attention": plain(1e6),
                    "sliding_attention": plain(),
                },
                {
                    "full_attention": {"rope_type": "linear", "factor": 8.0, "rope_theta": 1e6},
                    "sliding_attention": plain(),
                },
            ),
        },
    ),
    "gemma4": (
        "Gemma4TextConfig",
        {
            "num_hidden_layers": 6,
            "head_dim": 16,
            "global_head_dim": one_of(16, 32),
            "num_global_key_value_heads": one_of(None, 1),
            "attention_k_eq_v": one_of(False, True),
            "hidden_size_per_layer_input": one_of(0, 16),
            "vocab_size_per_layer_input": VOCABULARY,
            "layer_types": one_of(
                ["sliding_attention", "full_attention"] * 3,
                ["sliding_attention"] * 2 + ["full_attention"] + ["sliding_attention"] * 2 + ["full_attention"],
            ),
            "num_kv_shared_layers": one_of(0, 2),
            "use_double_wide_mlp": one_of(False, True),
            "sliding_window": one_of(20, 32),
            "final_logit_softcapping": one_of(30.0, None),
            "enable_moe_block": one_of(False, True),
            "num_experts": 4,
            "top_k_experts": 2,
            "moe_intermediate_size": 32,
        },
    ),
    "phi3": (
        "Phi3Config",
        {
            "partial_rotary_factor": one_of(1.0, 0.75),
            "sliding_window": one_of(None, 24),
            "tie_word_embeddings": TIED,
        },
    ),
    "cohere": (
        "CohereConfig",
        {
            "use_qk_norm": one_of(False, True),
            "logit_scale": one_of(0.0625, 0.8),
            "attention_bias": one_of(False, True),
        },
    ),
    "cohere2": (
        "Cohere2Config",
        {
            "num_hidden_layers": 5,
            "sliding_window": 24,
            "logit_scale": one_of(0.25, 1.0),
            "attention_bias": one_of(False, True),
        },
    ),
    "gpt_oss": (
        "GptOssConfig",
        {
            "head_dim": one_of(16, 32),
            "num_local_experts": 6,
            "num_experts_per_tok": one_of(2, 4),
            "sliding_window": 24,
            "rope_parameters": rope(yarn=YARN_GPT_OSS, plain=plain(150000.0)),
            "swiglu_limit": 7.0,
        },
    ),
    "granite": (
        "GraniteConfig",
        {
            "attention_bias": one_of(False, True),
            "mlp_bias": one_of(False, True),
            "embedding_multiplier": one_of(1.0, 12.0),
            "residual_multiplier": one_of(1.0, 0.22),
            "attention_multiplier": one_of(0.25, 0.0625),
            "logits_scaling": one_of(1.0, 8.0),
            "rope_parameters": ROPES,
            "tie_word_embeddings": TIED,
        },
    ),
    "llama4": (
        "Llama4TextConfig",
        {
            "head_dim": 16,
            "intermediate_size_mlp": 128,
            "num_local_experts": 4,
            "num_experts_per_tok": one_of(1, 2),
            "interleave_moe_layer_step": one_of(1, 2),
            "no_rope_layers": one_of([1, 1, 1, 0], [1, 0, 1, 0]),
            "attention_chunk_size": one_of(24, 128),
            "use_qk_norm": one_of(True, False),
            "attn_temperature_tuning": one_of(True, False),
            "floor_scale": 16,
            "attn_scale": 0.1,
            "rope_parameters": rope(plain=plain(500000.0), llama3=LLAMA3),
        },
    ),
    "qwen3_next": (
        "Qwen3NextConfig",
        EXPERTS
        | {
            "num_hidden_layers": one_of(4, 5),
            "head_dim": one_of(16, 32),
            "num_experts": 6,
            "shared_expert_intermediate_size": 32,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": one_of(2, 4),
            "linear_key_head_dim": one_of(16, 32),
            "linear_value_head_dim": one_of(16, 32),
            "linear_conv_kernel_dim": 4,
            "decoder_sparse_step": one_of(1, 2),
            "mlp_only_layers": one_of([], [1]),
            "norm_topk_prob": one_of(True, False),
            "partial_rotary_factor": one_of(0.25, 0.5),
            "tie_word_embeddings": TIED,
        },
    ),
    "qwen3_5": (
        "Qwen3_5TextConfig",
        {
            "num_hidden_layers": one_of(4, 8),
            "head_dim": one_of(16, 32),
            "linear_num_key_heads": 2,
            "linear_num_value_heads": one_of(2, 4, 6),
            "linear_key_head_dim": one_of(16, 32),
            "linear_value_head_dim": one_of(16, 32),
            "linear_conv_kernel_dim": 4,
            "tie_word_embeddings": TIED,
        },
    ),
    "qwen3_5_moe": (
        "Qwen3_5MoeTextConfig",
        EXPERTS
        | {
            "head_dim": one_of(16, 32),
            "num_experts": 6,
            "shared_expert_intermediate_size": 32,
            "linear_num_key_heads": 2,
            "linear_num_value_heads": one_of(2, 4),
            "linear_key_head_dim": 16,
            "linear_value_head_dim": one_of(16, 32),
            "tie_word_embeddings": TIED,
        },
    ),
    "stablelm": (
        "StableLmConfig",
        {
            "use_qkv_bias": one_of(False, True),
            "qk_layernorm": one_of(False, True),
            "use_parallel_residual": one_of(False, True),
            "partial_rotary_factor": one_of(0.25, 0.5),
            "tie_word_embeddings": TIED,
        },
    ),
    "starcoder2": (
        "Starcoder2Config",
        {
            "use_bias": one_of(True, False),
            "sliding_window": one_of(None, 24),
            "tie_word_embeddings": TIED,
        },
    ),
    "bert": ("BertConfig", {"type_vocab_size": 2, "hidden_act": one_of("gelu", "gelu_new", "relu")}),
    "roberta": ("RobertaConfig", {"type_vocab_size": 1, "pad_token_id": 1}),
    "xlm_roberta": ("XLMRobertaConfig", {"type_vocab_size": 1, "pad_token_id": 1}),
}
# Of each multimodal folder: its text's family, the class of the whole, its tower of vision.
TOWER = {"hidden_size": 32, "intermediate_size": 32, "num_hidden_layers": 1, "num_attention_heads": 2}
IMAGE = {"image_size": 28, "patch_size": 14}
QWEN_TOWER = {
    "depth": 1,
    "hidden_size": 32,
    "intermediate_size": 32,
    "num_heads": 2,
    "out_hidden_size": 64,
    "num_position_embeddings": 16,
}
LLAMA4_TOWER = TOWER | IMAGE | {"vision_output_dim": 32, "projector_input_dim": 32, "projector_output_dim": 32}
PIXTRAL = TOWER | IMAGE | {"model_type": "pixtral"}
WRAPPED = {
    "mistral3": ("mistral", "Mistral3", PIXTRAL),
    "mistral3-ministral3": ("ministral3", "Mistral3", PIXTRAL),
    "gemma3-wrapped": ("gemma3", "Gemma3", TOWER | IMAGE | {"model_type": "siglip_vision_model"}),
    "gemma4-wrapped": ("gemma4", "Gemma4", TOWER | {"head_dim": 16, "num_key_value_heads": 2}),
    "llama4-wrapped": ("llama4", "Llama4", LLAMA4_TOWER),
    "qwen3_5-wrapped": ("qwen3_5", "Qwen3_5", QWEN_TOWER),
    "qwen3_5_moe-wrapped": ("qwen3_5_moe", "Qwen3_5Moe", QWEN_TOWER),
}
ENCODERS = {"bert": "BertModel", "roberta": "RobertaModel", "xlm_roberta": "XLMRobertaModel"}


def phi3_rope(rng, values):
    rotary = int(16 * values["partial_rotary_factor"])
    kind = rng.choice(["plain", "longrope"])
    values["rope_parameters"] = (plain() if kind == "plain" else longrope(rotary // 2)) | {
        "partial_rotary_factor": values["partial_rotary_factor"]
    }
    values["original_max_position_embeddings"] = 64


def draw(family, rng):
    class_name, own = FAMILIES[family]
    values = {}
    for name, value in (COMMON | own).items():
        values[name] = value(rng) if callable(value) else value
    if family == "phi3":
        phi3_rope(rng, values)
    if family in ENCODERS:
        values.pop("num_key_value_heads")
    if values.get("head_dim", 0) is None:
        values.pop("head_dim")
    config = getattr(transformers, class_name)(**values)
    config._attn_implementation = "eager"
    return config


def make_model(family, rng):
    if family in WRAPPED:
        text, whole, tower = WRAPPED[family]
        config = getattr(transformers, whole + "Config")(text_config=draw(text, rng).to_dict(), vision_config=tower)
        for name in vars(config):
            if name.endswith(("_token_id", "_token_index")) and not name.startswith(("bos", "eos", "pad")):
                setattr(config, name, VOCABULARY - 1)
        kind = getattr(transformers, whole + "ForConditionalGeneration")
        return kind._from_config(config, attn_implementation="eager").eval()
    config = draw(family, rng)
    if family in ENCODERS:
        return getattr(transformers, ENCODERS[family])(config, add_pooling_layer=False).eval()
    return transformers.AutoModelForCausalLM.from_config(config, attn_implementation="eager").eval()


def fill(model, seed):
    """Weights with which every part of the formulas matters: matrices keep the size of what they
    read, vectors differ from their neutral value."""
    generator = torch.Generator().manual_seed(seed)
    with torch.no_grad():
        for name, tensor in list(model.named_parameters()) + list(model.named_buffers()):
            if not tensor.is_floating_point() or "inv_freq" in name or "embed_scale" in name:
                continue
            noise = torch.randn(tensor.shape, generator=generator)
            if "embed" in name and tensor.ndim == 2:
                tensor.copy_(noise)
            elif tensor.ndim >= 2:
                tensor.copy_(noise * tensor.shape[-1] ** -0.5)
            elif tensor.numel() > 1:
                tensor.add_(0.2 * noise)


def use_recurrent_delta_rule():
    """The reference's chunked form subtracts sums of log decays that reach hundreds, and so errs by
    1e-3 units itself; its form token by token does not."""
    for name in ("qwen3_next", "qwen3_5", "qwen3_5_moe"):
        module = importlib.import_module(f"transformers.models.{name}.modeling_{name}")
        module.torch_chunk_gated_delta_rule = module.torch_recurrent_gated_delta_rule


class Broken(Exception):
    """Weir's fault, whatever the reference does."""


class Weir:
    def __init__(self, program, folder):
        self.program = program
        self.folder = folder

    def ask(self, verb, questions):
        lines = "".join(json.dumps(question) + "\n" for question in questions)
        run = subprocess.run(
            [self.program, verb, "--model", self.folder], input=lines, capture_output=True, text=True, timeout=120
        )
        answers = [json.loads(line) for line in run.stdout.splitlines()]
        if run.returncode < 0:
            raise Broken(f"weir {verb} was killed by signal {-run.returncode}")
        if len(answers) < len(questions):
            return None, run.stderr.strip().splitlines()[-1] if run.stderr.strip() else f"status {run.returncode}"
        return answers, ""


def worst_of(got, reference):
    got = torch.frombuffer(bytearray(base64.b64decode(got)), dtype=torch.float32)
    expected = reference.flatten()
    if got.shape != expected.shape:
        return float("inf")
    return float(((got - expected).abs().max() / expected.std()).nan_to_num(float("inf")))


def errors(weir, family, ids, reference):
    """The worst error, or None and what was said."""
    if family in ENCODERS:
        answers, why = weir.ask("embed", [{"ids": ids, "pooling": "mean", "normalize": True}])
        got = [answer.get("embedding") for answer in answers or []]
    else:
        answers, why = weir.ask("logits", [{"ids": ids}, {"ids": ids, "chunk": 1}, {"ids": ids, "chunk": 7}])
        got = [answer.get("logits") for answer in answers or []]
    if answers is None or None in got:
        return None, why or str(answers)
    return max(worst_of(one, reference) for one in got), ""


def check(family, seed, program, folder, gguf):
    """The worst error, or None and why there is none."""
    rng = random.Random(f"{family} {seed}")
    model = make_model(family, rng)
    ids = [rng.randrange(3, VOCABULARY - 1) for _ in range(rng.choice([40, 100, 130]))]
    fill(model, seed)
    model.save_pretrained(folder)
    with torch.no_grad():
        if family in ENCODERS:
            hidden = model(torch.tensor([ids])).last_hidden_state[0]
            reference = torch.nn.functional.normalize(hidden.mean(0), dim=0)
        else:
            reference = model(input_ids=torch.tensor([ids]), use_cache=False).logits[0]
    error, why = errors(Weir(program, folder), family, ids, reference)
    if error is None or not gguf:
        return error, why
    file = os.path.join(folder, "converted.gguf")
    run = subprocess.run([program, "convert", folder, file], capture_output=True, text=True)
    if run.returncode < 0:
        raise Broken(f"weir convert was killed by signal {-run.returncode}")
    if run.returncode != 0:
        return None, "convert: " + run.stderr.strip()
    converted, why = errors(Weir(program, file), family, ids, reference)
    return (None, "after convert: " + why) if converted is None else (max(error, converted), "")


def switches(folder):
    config = json.load(open(os.path.join(folder, "config.json")))
    dull = {"architectures", "transformers_version", "dtype", "vocab_size", "model_type", "use_cache", "layer_types"}
    return json.dumps({name: value for name, value in config.items() if name not in dull and name not in COMMON})


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("weir")
    parser.add_argument("--only", default="")
    parser.add_argument("--seeds", default="0:8")
    parser.add_argument("--keep", default="")
    parser.add_argument("--gguf", action="store_true")
    args = parser.parse_args()
    torch.set_num_threads(1)
    use_recurrent_delta_rule()
    transformers.utils.logging.set_verbosity_error()
    transformers.utils.logging.disable_progress_bar()
    first, end = map(int, args.seeds.split(":"))
    wrong = 0
    for family in args.only.split(",") if args.only else [*FAMILIES, *WRAPPED]:
        worst, passed, refused = 0.0, 0, {}
        for seed in range(first, end):
            with tempfile.TemporaryDirectory() as temporary:
                folder = os.path.join(temporary, family)
                try:
                    error, why = check(family, seed, args.weir, folder, args.gguf)
                except Broken as problem:
                    wrong += 1
                    print(f"WRONG {family} seed {seed}: {problem}")
                    continue
                except Exception as problem:  # the reference's own refusal of a drawn configuration
                    refused[f"reference: {type(problem).__name__}: {str(problem)[:160]}"] = seed
                    continue
                if error is None:
                    refused[why[:300]] = seed
                    continue
                if error <= BOUND:
                    worst, passed = max(worst, error), passed + 1
                else:
                    wrong += 1
                    print(f"WRONG {family} seed {seed}: {error:.2e} units; {switches(folder)}")
                if args.keep and error > BOUND:
                    shutil.copytree(folder, os.path.join(args.keep, f"{family}-{seed}"), dirs_exist_ok=True)
        wrong += 0 if passed else 1  # nothing was compared
        print(f"{family:20} {passed} of {end - first} agree, worst {worst:.1e}", flush=True)
        for why, seed in refused.items():
            print(f"                     refused, seed {seed}: {why}", flush=True)
    sys.exit(1 if wrong else 0)


if __name__ == "__main__":
    main()
