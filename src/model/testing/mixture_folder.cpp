#include <fmt/format.h>

#include <algorithm>
#include <fstream>
#include <map>

#include "model/testing/mixture_stacks.h"
#include "model/testing/safetensors_writer.h"

namespace weir::model::testing {

namespace {

// Gate and up of all experts in one: the gate's rows first, or by turns.
MixtureTensor joined(const MixtureTensor& gate, const MixtureTensor& up, bool by_turns) {
    const uint64_t experts = gate.shape[0];
    const uint64_t rows = gate.shape[1];
    const uint64_t columns = gate.shape.size() == 3 ? gate.shape[2] : 1;
    MixtureTensor out{gate.shape, {}};
    out.shape[1] = 2 * rows;
    for (uint64_t e = 0; e < experts; ++e) {
        for (uint64_t r = 0; r < 2 * rows; ++r) {
            const bool is_up = by_turns ? r % 2 == 1 : r >= rows;
            const uint64_t row = e * rows + (by_turns ? r / 2 : r % rows);
            const auto& from = (is_up ? up : gate).values;
            const auto begin = from.begin() + static_cast<std::ptrdiff_t>(row * columns);
            out.values.insert(out.values.end(), begin,
                              begin + static_cast<std::ptrdiff_t>(columns));
        }
    }
    return out;
}

// [experts, rows, columns] as [experts, columns, rows].
MixtureTensor turned(const MixtureTensor& tensor) {
    const uint64_t rows = tensor.shape[1];
    const uint64_t columns = tensor.shape[2];
    MixtureTensor out{{tensor.shape[0], columns, rows}, std::vector<float>(tensor.values.size())};
    for (uint64_t i = 0; i < tensor.values.size(); ++i) {
        const uint64_t expert = i / (rows * columns);
        const uint64_t row = i / columns % rows;
        out.values[expert * rows * columns + i % columns * rows + row] = tensor.values[i];
    }
    return out;
}

// What published files call the parts of a layer, by the names that the tensors have here.
std::string published_part(const TinyMixture& model, const std::string& part) {
    using enum MixtureFamily;
    const bool mixtral = model.family == Mixtral;
    const std::string mlp = model.family == Llama4 ? "feed_forward" : "mlp";
    const std::string block = mixtral ? "block_sparse_moe" : mlp;
    const std::string router = model.family == GptOss || model.family == Llama4 ? "router" : "gate";
    const std::string shared = model.is_latent() ? "shared_experts" : "shared_expert";
    const std::map<std::string, std::string> names = {
        {"attn_norm", "input_layernorm"},
        {"ffn_norm", "post_attention_layernorm"},
        {"attn_q", "self_attn.q_proj"},
        {"attn_k", "self_attn.k_proj"},
        {"attn_v", "self_attn.v_proj"},
        {"attn_output", "self_attn.o_proj"},
        {"attn_q_norm", "self_attn.q_norm"},
        {"attn_k_norm", "self_attn.k_norm"},
        {"attn_q_a", "self_attn.q_a_proj"},
        {"attn_q_a_norm", "self_attn.q_a_layernorm"},
        {"attn_q_b", "self_attn.q_b_proj"},
        {"attn_kv_a_mqa", "self_attn.kv_a_proj_with_mqa"},
        {"attn_kv_a_norm", "self_attn.kv_a_layernorm"},
        {"attn_kv_b", "self_attn.kv_b_proj"},
        {"ffn_gate_inp", block + "." + router},
        {"ffn_gate", mlp + ".gate_proj"},
        {"ffn_up", mlp + ".up_proj"},
        {"ffn_down", mlp + ".down_proj"},
        {"ffn_gate_shexp", mlp + "." + shared + ".gate_proj"},
        {"ffn_up_shexp", mlp + "." + shared + ".up_proj"},
        {"ffn_down_shexp", mlp + "." + shared + ".down_proj"},
        {"ffn_gate_inp_shexp", mlp + ".shared_expert_gate"},
    };
    if (const auto found = names.find(part); found != names.end()) {
        return found->second;
    }
    const size_t dot = part.find('.');  // "ffn_gate.3"
    const std::string which = part.substr(0, dot);
    const std::string matrix = mixtral ? (which == "ffn_gate" ? "w1"
                                          : which == "ffn_up" ? "w3"
                                                              : "w2")
                                       : names.at(which).substr(mlp.size() + 1);
    return fmt::format("{}.experts.{}.{}", block, part.substr(dot + 1), matrix);
}

std::string published_name(const TinyMixture& model, const std::string& name) {
    const std::string stem = name.substr(0, name.rfind('.'));
    const std::string ending = name.substr(name.rfind('.'));
    if (!name.starts_with("blk.")) {
        return (stem == "token_embd"    ? "model.embed_tokens"
                : stem == "output_norm" ? "model.norm"
                                        : "lm_head") +
               ending;
    }
    const size_t after = stem.find('.', 4);
    const std::string part = stem.substr(after + 1);
    const std::string prefix = fmt::format("model.layers.{}.", stem.substr(4, after - 4));
    if (part == "attn_sinks") {
        return prefix + "self_attn.sinks";
    }
    if (part == "exp_probs_b") {
        return prefix + "mlp.gate.e_score_correction_bias";
    }
    return prefix + published_part(model, part) + ending;
}

void write_text(const std::filesystem::path& path, std::string_view text) {
    std::ofstream(path, std::ios::binary) << text;
}

std::string yarn_json(const TinyMixture& model) {
    const std::string common =
        fmt::format(R"("factor": {}, "original_max_position_embeddings": {}, "beta_fast": 32,
        "beta_slow": 1)",
                    kMixtureYarnFactor, kMixtureYarnOriginal);
    switch (model.family) {
        case MixtureFamily::GptOss:
            return fmt::format(R"({{"rope_type": "yarn", {}, "truncate": false}})", common);
        case MixtureFamily::DeepseekV2:
            return fmt::format(R"({{"type": "yarn", {}, "mscale": {}, "mscale_all_dim": {}}})",
                               common, kMixtureMscale, kMixtureMscale);
        case MixtureFamily::DeepseekV3:
            return fmt::format(R"({{"type": "yarn", {}, "mscale": 1, "mscale_all_dim": 1}})",
                               common);
        default:
            return "null";
    }
}

std::string family_json(const TinyMixture& model) {
    switch (model.family) {
        case MixtureFamily::Mixtral:
            return fmt::format(R"("num_local_experts": {}, "intermediate_size": {},
            "sliding_window": null)",
                               model.experts, model.width);
        case MixtureFamily::Qwen2Moe:
            return fmt::format(R"("num_experts": {}, "moe_intermediate_size": {},
            "shared_expert_intermediate_size": {}, "intermediate_size": 5, "norm_topk_prob": false,
            "decoder_sparse_step": 1, "mlp_only_layers": [])",
                               model.experts, model.width, model.shared_width);
        case MixtureFamily::Qwen3Moe:
            return fmt::format(R"("num_experts": {}, "moe_intermediate_size": {},
            "intermediate_size": {}, "norm_topk_prob": true, "decoder_sparse_step": 1,
            "mlp_only_layers": [{}])",
                               model.experts, model.width, model.dense_width,
                               model.dense_layer ? std::to_string(*model.dense_layer) : "");
        case MixtureFamily::GptOss:
            return fmt::format(R"("num_local_experts": {}, "intermediate_size": {},
            "sliding_window": {}, "swiglu_limit": {}, "swiglu_alpha": {}, "layer_types":
            ["sliding_attention", "full_attention", "sliding_attention", "full_attention"])",
                               model.experts, model.width, model.window, model.swiglu_limit,
                               kSwigluAlpha);
        case MixtureFamily::Llama4:
            return fmt::format(R"("num_local_experts": {}, "intermediate_size": {},
            "intermediate_size_mlp": {}, "interleave_moe_layer_step": 2, "attention_chunk_size": {},
            "use_qk_norm": true, "attn_temperature_tuning": true, "floor_scale": {},
            "attn_scale": {}, "no_rope_layers": [1, 1, 1, 0])",
                               model.experts, model.width, model.dense_width, model.chunk,
                               model.temperature_floor, model.temperature_scale);
        default:
            break;
    }
    const bool v3 = model.family == MixtureFamily::DeepseekV3;
    const bool lite = model.family == MixtureFamily::DeepseekV2Lite;
    return fmt::format(
        R"("q_lora_rank": {}, "kv_lora_rank": {}, "qk_nope_head_dim": {}, "qk_rope_head_dim": {},
        "v_head_dim": {}, "n_routed_experts": {}, "n_shared_experts": 1, "intermediate_size": {},
        "moe_intermediate_size": {}, "first_k_dense_replace": 1, "moe_layer_freq": 1,
        "n_group": {}, "topk_group": {}, "topk_method": "{}", "scoring_func": "{}",
        "norm_topk_prob": {}, "routed_scaling_factor": {})",
        model.query_rank == 0 ? "null" : std::to_string(model.query_rank), model.kv_rank,
        model.nope_dim, model.rope_dim, model.value_dim, model.experts, model.dense_width,
        model.width, lite ? 1 : 4, lite ? 1 : 2,
        v3     ? "noaux_tc"
        : lite ? "greedy"
               : "group_limited_greedy",
        v3 ? "sigmoid" : "softmax", v3, kMixtureWeightScale);
}

std::string config_json(const TinyMixture& model) {
    const std::string type =
        model.family == MixtureFamily::DeepseekV2Lite ? "deepseek_v2" : name(model.family);
    return fmt::format(
        R"({{"model_type": "{}", "hidden_act": "silu", "num_hidden_layers": {}, "hidden_size": {},
        "num_attention_heads": {}, "num_key_value_heads": {}, "head_dim": {}, "vocab_size": {},
        "max_position_embeddings": {}, "rms_norm_eps": {}, "rope_theta": {}, "rope_scaling": {},
        "tie_word_embeddings": false, "num_experts_per_tok": {}, {}}})",
        type, model.layers, model.hidden, model.heads,
        model.is_latent() ? model.heads : model.kv_heads,
        model.is_latent() ? model.rope_dim : model.head_dim, model.vocabulary, model.context,
        kMixtureEpsilon, kMixtureTheta, yarn_json(model), model.chosen, family_json(model));
}

SafetensorsItem item(const std::string& name, const MixtureTensor& tensor) {
    return {name, "F32", tensor.shape, float_bytes(tensor.values)};
}

// The experts of a layer as published in one tensor for all.
void add_stacked(const TinyMixture& model, const MixtureTensors& tensors, uint32_t layer,
                 std::vector<SafetensorsItem>& out) {
    const std::string blk = fmt::format("blk.{}.", layer);
    const bool oss = model.family == MixtureFamily::GptOss;
    const bool input_first = oss || model.family == MixtureFamily::Llama4;
    const std::string prefix = published_name(model, blk + "ffn_gate.0.weight");
    const std::string experts = prefix.substr(0, prefix.find("experts.") + 8);
    const auto stack = [&](const std::string& part, const std::string& ending) {
        return stacked(model, tensors, blk + part, ending);
    };
    MixtureTensor gate_up = joined(stack("ffn_gate", ".weight"), stack("ffn_up", ".weight"), oss);
    MixtureTensor down = stack("ffn_down", ".weight");
    out.push_back(item(experts + "gate_up_proj", input_first ? turned(gate_up) : gate_up));
    out.push_back(item(experts + "down_proj", input_first ? turned(down) : down));
    if (oss) {
        out.push_back(item(experts + "gate_up_proj_bias",
                           joined(stack("ffn_gate", ".bias"), stack("ffn_up", ".bias"), true)));
        out.push_back(item(experts + "down_proj_bias", stack("ffn_down", ".bias")));
    }
}

void write_folder(const std::filesystem::path& folder, std::string_view config,
                  const std::vector<SafetensorsItem>& items) {
    std::filesystem::create_directories(folder);
    write_text(folder / "config.json", config);
    const std::vector<std::byte> file = safetensors_file(items);
    write_text(folder / "model.safetensors",
               {reinterpret_cast<const char*>(file.data()), file.size()});
}

}  // namespace

void write_mixture_folder(const TinyMixture& model, const std::filesystem::path& folder,
                          ExpertsForm form) {
    const MixtureTensors tensors = mixture_tensors(model);
    const bool stack = form == ExpertsForm::Stacked || model.family == MixtureFamily::GptOss ||
                       model.family == MixtureFamily::Llama4;
    std::vector<SafetensorsItem> items;
    for (const auto& [name, tensor] : tensors) {
        if (!stack || !is_expert(name)) {
            items.push_back(item(published_name(model, name), tensor));
        }
    }
    for (uint32_t layer = 0; stack && layer < model.layers; ++layer) {
        if (model.has_experts(layer)) {
            add_stacked(model, tensors, layer, items);
        }
    }
    write_folder(folder, config_json(model), items);
}

namespace {

// "…_blocks" and "…_scales" of one matrix of all experts, row by row from `element`.
template <typename Element>
void add_blocks(const std::string& name, uint64_t experts, uint64_t rows, uint64_t columns,
                const Element& code_of, std::vector<SafetensorsItem>& out) {
    std::vector<std::byte> blocks;
    for (uint64_t at = 0; at < experts * rows * columns; at += 2) {
        const unsigned low = code_of(at / (rows * columns), at / columns % rows, at % columns);
        const unsigned high = code_of(at / (rows * columns), at / columns % rows, at % columns + 1);
        blocks.push_back(static_cast<std::byte>(low | high << 4));
    }
    const std::vector<std::byte> scales(experts * rows * columns / 32,
                                        static_cast<std::byte>(127 + kMxfp4Exponent));
    out.push_back({name + "_blocks", "U8", {experts, rows, columns / 32, 16}, blocks});
    out.push_back({name + "_scales", "U8", {experts, rows, columns / 32}, scales});
}

}  // namespace

void write_mxfp4_folder(const TinyMixture& model, const std::filesystem::path& folder) {
    const MixtureTensors tensors = mxfp4_tensors(model);
    std::vector<SafetensorsItem> items;
    for (const auto& [name, tensor] : tensors) {
        if (!is_expert(name)) {
            items.push_back(item(published_name(model, name), tensor));
        }
    }
    for (uint32_t layer = 0; layer < model.layers; ++layer) {
        const std::string blk = fmt::format("blk.{}.", layer);
        const std::string prefix = fmt::format("model.layers.{}.mlp.experts.", layer);
        const auto code_of = [&](const char* part, uint64_t expert, uint64_t index) {
            return mxfp4_code(fmt::format("{}{}.{}.weight", blk, part, expert), index);
        };
        add_blocks(
            prefix + "gate_up_proj", model.experts, 2 * model.width, model.hidden,
            [&](uint64_t e, uint64_t r, uint64_t c) {
                return code_of(r % 2 == 0 ? "ffn_gate" : "ffn_up", e, r / 2 * model.hidden + c);
            },
            items);
        add_blocks(
            prefix + "down_proj", model.experts, model.hidden, model.width,
            [&](uint64_t e, uint64_t r, uint64_t c) {
                return code_of("ffn_down", e, r * model.width + c);
            },
            items);
        std::vector<SafetensorsItem> stacks;
        add_stacked(model, tensors, layer, stacks);
        std::erase_if(stacks,
                      [](const SafetensorsItem& one) { return !one.name.ends_with("bias"); });
        items.insert(items.end(), stacks.begin(), stacks.end());
    }
    std::string config = config_json(model);
    config.insert(1, R"("quantization_config": {"quant_method": "mxfp4",
        "modules_to_not_convert": ["model.layers.*.self_attn"]}, )");
    write_folder(folder, config, items);
}

}  // namespace weir::model::testing
