#include <fmt/format.h>

#include <algorithm>

#include "model/testing/gguf_writer.h"
#include "model/testing/mixture_stacks.h"

namespace weir::model::testing {

namespace {

std::string architecture(const TinyMixture& model) {
    using enum MixtureFamily;
    switch (model.family) {
        case Mixtral:
            return "llama";
        case Qwen2Moe:
            return "qwen2moe";
        case Qwen3Moe:
            return "qwen3moe";
        case GptOss:
            return "gpt-oss";
        case Llama4:
            return "llama4";
        default:
            return "deepseek2";
    }
}

void add_common_keys(const TinyMixture& model, GgufWriter& out) {
    const std::string a = architecture(model) + ".";
    out.add_text("general.architecture", architecture(model));
    out.add_u32(a + "block_count", model.layers).add_u32(a + "context_length", model.context);
    out.add_u32(a + "embedding_length", model.hidden);
    out.add_u32(a + "attention.head_count", model.heads);
    out.add_f32(a + "attention.layer_norm_rms_epsilon", static_cast<float>(kMixtureEpsilon));
    out.add_f32(a + "rope.freq_base", static_cast<float>(kMixtureTheta));
    out.add_u32(a + "vocab_size", model.vocabulary);
    out.add_u32(a + "expert_count", model.experts);
    out.add_u32(a + "expert_used_count", model.chosen);
    const bool mixtral = model.family == MixtureFamily::Mixtral;
    out.add_u32(a + "feed_forward_length", mixtral ? model.width : model.dense_width);
    if (!mixtral) {
        out.add_u32(a + "expert_feed_forward_length", model.width);
    }
}

void add_latent_keys(const TinyMixture& model, LatentForm form, GgufWriter& out) {
    const std::string a = "deepseek2.";
    const uint32_t key = model.nope_dim + model.rope_dim;
    const bool split = form == LatentForm::Split;
    out.add_u32(a + "attention.head_count_kv", split ? 1 : model.heads);
    out.add_u32(a + "attention.key_length", split ? model.kv_rank + model.rope_dim : key);
    out.add_u32(a + "attention.value_length", split ? model.kv_rank : model.value_dim);
    if (split) {
        out.add_u32(a + "attention.key_length_mla", key);
        out.add_u32(a + "attention.value_length_mla", model.value_dim);
    }
    if (model.query_rank > 0) {
        out.add_u32(a + "attention.q_lora_rank", model.query_rank);
    }
    out.add_u32(a + "attention.kv_lora_rank", model.kv_rank);
    out.add_u32(a + "rope.dimension_count", model.rope_dim);
    out.add_u32(a + "leading_dense_block_count", 1).add_u32(a + "expert_shared_count", 1);
    out.add_f32(a + "expert_weights_scale", static_cast<float>(kMixtureWeightScale));
    const bool v3 = model.family == MixtureFamily::DeepseekV3;
    out.add_u32(a + "expert_gating_func", v3 ? 2 : 1).add_bool(a + "expert_weights_norm", v3);
    if (model.family == MixtureFamily::DeepseekV2Lite) {
        return;
    }
    out.add_u32(a + "expert_group_count", 4).add_u32(a + "expert_group_used_count", 2);
    out.add_text(a + "rope.scaling.type", "yarn");
    out.add_f32(a + "rope.scaling.factor", static_cast<float>(kMixtureYarnFactor));
    out.add_u32(a + "rope.scaling.original_context_length", kMixtureYarnOriginal);
    out.add_f32(a + "rope.scaling.yarn_log_multiplier",
                static_cast<float>(0.1 * (v3 ? 1 : kMixtureMscale)));
}

void add_family_keys(const TinyMixture& model, LatentForm latent, GgufWriter& out) {
    const std::string a = architecture(model) + ".";
    if (model.is_latent()) {
        return add_latent_keys(model, latent, out);
    }
    out.add_u32(a + "attention.head_count_kv", model.kv_heads);
    out.add_u32(a + "attention.key_length", model.head_dim);
    out.add_u32(a + "attention.value_length", model.head_dim);
    out.add_u32(a + "rope.dimension_count", model.head_dim);
    if (model.family == MixtureFamily::Qwen2Moe) {
        out.add_u32(a + "expert_shared_feed_forward_length", model.shared_width);
    }
    if (model.family == MixtureFamily::Llama4) {
        out.add_u32(a + "interleave_moe_layer_step", 2);
    }
    if (model.family == MixtureFamily::GptOss) {
        out.add_u32(a + "attention.sliding_window", model.window);
        out.add_text(a + "rope.scaling.type", "yarn");
        out.add_f32(a + "rope.scaling.factor", static_cast<float>(kMixtureYarnFactor));
        out.add_u32(a + "rope.scaling.original_context_length", kMixtureYarnOriginal);
    }
}

// Rows (0, d/2, 1, d/2 + 1, …) of every head.
void permute_rows(MixtureTensor& tensor, uint64_t head_dim) {
    const uint64_t columns = tensor.shape[1];
    const std::vector<float> from = tensor.values;
    for (uint64_t row = 0; row < tensor.shape[0]; ++row) {
        const uint64_t in_head = row % head_dim;
        const uint64_t source = row - in_head + in_head / 2 + in_head % 2 * (head_dim / 2);
        std::copy_n(from.begin() + static_cast<std::ptrdiff_t>(source * columns), columns,
                    tensor.values.begin() + static_cast<std::ptrdiff_t>(row * columns));
    }
}

// attn_kv_b as attn_k_b, transposed in every head, and attn_v_b.
void split_latent(const TinyMixture& model, const MixtureTensor& whole, MixtureTensor& k_b,
                  MixtureTensor& v_b) {
    const uint64_t rows = model.nope_dim + model.value_dim;
    k_b = {{model.heads, model.kv_rank, model.nope_dim}, {}};
    v_b = {{model.heads, model.value_dim, model.kv_rank}, {}};
    for (uint64_t h = 0; h < model.heads; ++h) {
        const auto at = [&](uint64_t row, uint64_t column) {
            return whole.values[(h * rows + row) * model.kv_rank + column];
        };
        for (uint64_t c = 0; c < model.kv_rank; ++c) {
            for (uint64_t r = 0; r < model.nope_dim; ++r) {
                k_b.values.push_back(at(r, c));
            }
        }
        for (uint64_t r = 0; r < model.value_dim; ++r) {
            for (uint64_t c = 0; c < model.kv_rank; ++c) {
                v_b.values.push_back(at(model.nope_dim + r, c));
            }
        }
    }
}

// The tensors as a GGUF has them.
MixtureTensors gguf_tensors(const TinyMixture& model, ExpertsForm form, LatentForm latent) {
    MixtureTensors out;
    for (auto& [full_name, tensor] : mixture_tensors(model)) {
        std::string name = full_name;
        if (is_expert(name) && form == ExpertsForm::Stacked) {
            continue;
        }
        const bool rotated = name.ends_with("attn_q.weight") || name.ends_with("attn_k.weight");
        if (model.family == MixtureFamily::Mixtral && rotated) {
            permute_rows(tensor, model.head_dim);
        }
        if (const size_t at = name.find("ffn_norm");
            model.family == MixtureFamily::GptOss && at != std::string::npos) {
            name.replace(at, 8, "post_attention_norm");
        }
        if (const size_t at = name.find("attn_kv_b");
            at != std::string::npos && latent == LatentForm::Split) {
            split_latent(model, tensor, out[name.substr(0, at) + "attn_k_b.weight"],
                         out[name.substr(0, at) + "attn_v_b.weight"]);
            continue;
        }
        out[name] = tensor;
    }
    const MixtureTensors all = mixture_tensors(model);
    for (uint32_t layer = 0; form == ExpertsForm::Stacked && layer < model.layers; ++layer) {
        const std::string blk = fmt::format("blk.{}.", layer);
        for (const char* part : {"ffn_gate", "ffn_up", "ffn_down"}) {
            if (!model.has_experts(layer)) {
                continue;
            }
            out[fmt::format("{}{}_exps.weight", blk, part)] =
                stacked(model, all, blk + part, ".weight");
            if (model.family == MixtureFamily::GptOss) {
                out[fmt::format("{}{}_exps.bias", blk, part)] =
                    stacked(model, all, blk + part, ".bias");
            }
        }
    }
    return out;
}

}  // namespace

std::vector<std::byte> mixture_gguf(const TinyMixture& model, ExpertsForm form, LatentForm latent) {
    GgufWriter file;
    add_common_keys(model, file);
    add_family_keys(model, latent, file);
    for (const auto& [name, tensor] : gguf_tensors(model, form, latent)) {
        file.add_tensor(name, tensor.shape, 0, float_bytes(tensor.values));
    }
    return file.finish();
}

}  // namespace weir::model::testing
