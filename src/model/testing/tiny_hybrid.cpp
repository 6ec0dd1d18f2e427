#include "model/testing/tiny_hybrid.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <random>
#include <span>

#include "base/check.h"
#include "model/testing/gguf_writer.h"
#include "model/testing/safetensors_writer.h"

namespace weir::model::testing {

namespace {

class Maker {
  public:
    explicit Maker(const TinyHybrid& model) : model_(model), random_(model.seed) {}

    HybridTensors make() {
        const uint32_t hidden = model_.hidden;
        matrix("embed_tokens", model_.vocabulary, hidden);
        for (uint32_t i = 0; i < model_.layers; ++i) {
            prefix_ = fmt::format("layers.{}.", i);
            norm("input_layernorm", hidden, 0);
            norm("post_attention_layernorm", hidden, 0);
            model_.is_recurrent(i) ? recurrence() : attention();
            model_.has_experts(i) ? experts() : mlp("mlp.", model_.feed_forward);
        }
        prefix_.clear();
        norm("norm", hidden, 0);
        return std::move(out_);
    }

  private:
    void mlp(const std::string& stem, uint32_t width) {
        matrix(stem + "gate_proj", width, model_.hidden);
        matrix(stem + "up_proj", width, model_.hidden);
        matrix(stem + "down_proj", model_.hidden, width);
    }
    void experts() {
        matrix("mlp.gate", model_.experts, model_.hidden);
        for (uint32_t e = 0; e < model_.experts; ++e) {
            mlp(fmt::format("mlp.experts.{}.", e), model_.expert_width);
        }
        mlp("mlp.shared_expert.", model_.shared_width);
        matrix("mlp.shared_expert_gate", 1, model_.hidden);
    }
    void recurrence() {
        const uint32_t hidden = model_.hidden;
        matrix("linear_attn.in_proj_qkv", model_.channels(), hidden);
        matrix("linear_attn.in_proj_z", model_.values(), hidden);
        matrix("linear_attn.in_proj_b", model_.value_heads, hidden);
        matrix("linear_attn.in_proj_a", model_.value_heads, hidden);
        add("linear_attn.conv1d.weight", {model_.channels(), 1, model_.taps}, 0, 0.5f);
        add("linear_attn.A_log", {model_.value_heads}, 0.5f, 1.0f);
        add("linear_attn.dt_bias", {model_.value_heads}, -2.0f, 1.0f);
        norm("linear_attn.norm", model_.value_dim, 1);
        matrix("linear_attn.out_proj", hidden, model_.values());
    }
    void attention() {
        const uint32_t q = model_.heads * model_.head_dim;
        const uint32_t kv = model_.kv_heads * model_.head_dim;
        matrix("self_attn.q_proj", 2 * q, model_.hidden);
        matrix("self_attn.k_proj", kv, model_.hidden);
        matrix("self_attn.v_proj", kv, model_.hidden);
        matrix("self_attn.o_proj", model_.hidden, q);
        norm("self_attn.q_norm", model_.head_dim, 0);
        norm("self_attn.k_norm", model_.head_dim, 0);
    }
    void matrix(const std::string& name, uint64_t rows, uint64_t columns) {
        const float spread = 1.7f / std::sqrt(static_cast<float>(columns));
        add(name + ".weight", {rows, columns}, 0, spread);
    }
    void norm(const std::string& name, uint64_t length, float offset) {
        add(name + ".weight", {length}, offset, 0.4f);
    }
    void add(const std::string& name, std::vector<uint64_t> shape, float offset, float spread) {
        std::uniform_real_distribution<float> number(offset - spread, offset + spread);
        uint64_t count = 1;
        for (const uint64_t extent : shape) {
            count *= extent;
        }
        HybridTensor tensor{std::move(shape), std::vector<float>(count)};
        std::ranges::generate(tensor.values, [&] { return number(random_); });
        out_.emplace(prefix_ + name, std::move(tensor));
    }

    const TinyHybrid& model_;
    std::mt19937_64 random_;
    std::string prefix_;
    HybridTensors out_;
};

// Rows of several tensors, one after the other, as one.
class Rows {
  public:
    explicit Rows(uint64_t columns) : out_{{0, columns}, {}} {}
    void take(const HybridTensor& from, uint64_t first, uint64_t count) {
        const uint64_t columns = out_.shape[1];
        const auto begin = from.values.begin() + static_cast<std::ptrdiff_t>(first * columns);
        out_.values.insert(out_.values.end(), begin,
                           begin + static_cast<std::ptrdiff_t>(count * columns));
        out_.shape[0] += count;
    }
    HybridTensor finish() { return std::move(out_); }

  private:
    HybridTensor out_;
};

// Qwen3-Next's in_proj_ba: of every key head its b, then its a.
HybridTensor grouped_gates(const TinyHybrid& model, const HybridTensors& all,
                           const std::string& prefix) {
    const uint32_t shared = model.value_heads / model.key_heads;
    Rows rows(model.hidden);
    for (uint32_t h = 0; h < model.key_heads; ++h) {
        rows.take(all.at(prefix + "in_proj_b.weight"), h * shared, shared);
        rows.take(all.at(prefix + "in_proj_a.weight"), h * shared, shared);
    }
    return rows.finish();
}

// Qwen3-Next's in_proj_qkvz: of every key head its q, k, v and z.
HybridTensor grouped_inputs(const TinyHybrid& model, const HybridTensors& all,
                            const std::string& prefix) {
    const HybridTensor& qkv = all.at(prefix + "in_proj_qkv.weight");
    const uint32_t values = model.values() / model.key_heads;
    Rows rows(model.hidden);
    for (uint32_t h = 0; h < model.key_heads; ++h) {
        rows.take(qkv, h * model.key_dim, model.key_dim);
        rows.take(qkv, model.keys() + h * model.key_dim, model.key_dim);
        rows.take(qkv, 2 * model.keys() + h * values, values);
        rows.take(all.at(prefix + "in_proj_z.weight"), h * values, values);
    }
    return rows.finish();
}

// Where GGUF files of Qwen3.5 have value head `head` of the key heads' groups.
uint32_t untiled_head(const TinyHybrid& model, uint32_t head) {
    const uint32_t shared = model.value_heads / model.key_heads;
    return head % model.key_heads * shared + head / model.key_heads;
}

// The tensor with its rows from `first` on, `width` of them a value head, in that order.
HybridTensor tiled_rows(const TinyHybrid& model, const HybridTensor& from, uint64_t first,
                        uint64_t width) {
    uint64_t columns = 1;
    for (size_t i = 1; i < from.shape.size(); ++i) {
        columns *= from.shape[i];
    }
    HybridTensor out = from;
    for (uint32_t head = 0; head < model.value_heads; ++head) {
        const auto at = [&](uint32_t which) {
            return static_cast<std::ptrdiff_t>((first + which * width) * columns);
        };
        std::copy_n(from.values.begin() + at(untiled_head(model, head)), width * columns,
                    out.values.begin() + at(head));
    }
    return out;
}

HybridTensor tiled_columns(const TinyHybrid& model, const HybridTensor& from) {
    HybridTensor out = from;
    for (uint64_t row = 0; row < from.shape[0]; ++row) {
        for (uint32_t head = 0; head < model.value_heads; ++head) {
            const auto at = [&](uint32_t which) {
                return static_cast<std::ptrdiff_t>(row * model.values() + which * model.value_dim);
            };
            std::copy_n(from.values.begin() + at(untiled_head(model, head)), model.value_dim,
                        out.values.begin() + at(head));
        }
    }
    return out;
}

// One tensor for all experts: of each the rows of these parts.
HybridTensor stacked(const TinyHybrid& model, const HybridTensors& all, const std::string& stem,
                     const std::vector<std::string>& parts) {
    HybridTensor out{{model.experts, 0, 0}, {}};
    for (uint32_t e = 0; e < model.experts; ++e) {
        out.shape[1] = 0;
        for (const std::string& part : parts) {
            const HybridTensor& from = all.at(fmt::format("{}{}.{}_proj.weight", stem, e, part));
            out.shape[1] += from.shape[0];
            out.shape[2] = from.shape[1];
            out.values.insert(out.values.end(), from.values.begin(), from.values.end());
        }
    }
    return out;
}

// Experts as Qwen3.5's folders have them.
void stack_experts(const TinyHybrid& model, HybridTensors& all) {
    for (uint32_t i = 0; i < model.layers; ++i) {
        if (!model.has_experts(i)) {
            continue;
        }
        const std::string stem = fmt::format("layers.{}.mlp.experts.", i);
        HybridTensor gate_up = stacked(model, all, stem, {"gate", "up"});
        HybridTensor down = stacked(model, all, stem, {"down"});
        std::erase_if(all, [&](const auto& entry) { return entry.first.starts_with(stem); });
        all[stem + "gate_up_proj"] = std::move(gate_up);
        all[stem + "down_proj"] = std::move(down);
    }
}

void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes) {
    std::ofstream out(path, std::ios::binary);
    out.write(reinterpret_cast<const char*>(bytes.data()),
              static_cast<std::streamsize>(bytes.size()));
    WEIR_ASSERT(out.good());
}

std::vector<std::byte> bytes_of(const HybridTensor& tensor) {
    const auto bytes = std::as_bytes(std::span(tensor.values));
    return {bytes.begin(), bytes.end()};
}

class GgufForm {
  public:
    explicit GgufForm(const TinyHybrid& model)
        : model_(model),
          all_(hybrid_tensors(model)),
          tiled_(model.family == HybridFamily::Qwen35) {}

    std::vector<std::byte> write() {
        add_keys();
        add("token_embd.weight", all_.at("embed_tokens.weight"));
        add_norm("output_norm.weight", all_.at("norm.weight"));
        for (uint32_t i = 0; i < model_.layers; ++i) {
            from_ = fmt::format("layers.{}.", i);
            to_ = fmt::format("blk.{}.", i);
            add_norm("attn_norm.weight", here("input_layernorm.weight"));
            add_norm("post_attention_norm.weight", here("post_attention_layernorm.weight"));
            model_.has_experts(i) ? add_experts() : add_mlp("mlp.", "");
            model_.is_recurrent(i) ? add_recurrence() : add_attention();
        }
        return file_.finish();
    }

  private:
    void add_keys() {
        const std::string name = !tiled_               ? "qwen3next"
                                 : model_.experts != 0 ? "qwen35moe"
                                                       : "qwen35";
        const std::string prefix = name + ".";
        file_.add_text("general.architecture", name).add_text("general.name", "tiny");
        file_.add_u32(prefix + "block_count", model_.layers);
        file_.add_u32(prefix + "context_length", model_.context);
        file_.add_u32(prefix + "embedding_length", model_.hidden);
        file_.add_u32(prefix + "feed_forward_length", model_.feed_forward);
        if (model_.experts != 0) {
            file_.add_u32(prefix + "expert_count", model_.experts);
            file_.add_u32(prefix + "expert_used_count", model_.chosen);
            file_.add_u32(prefix + "expert_feed_forward_length", model_.expert_width);
            file_.add_u32(prefix + "expert_shared_feed_forward_length", model_.shared_width);
        }
        file_.add_u32(prefix + "attention.head_count", model_.heads);
        file_.add_u32(prefix + "attention.head_count_kv", model_.kv_heads);
        file_.add_u32(prefix + "attention.key_length", model_.head_dim);
        file_.add_u32(prefix + "attention.value_length", model_.head_dim);
        file_.add_f32(prefix + "attention.layer_norm_rms_epsilon",
                      static_cast<float>(kHybridEpsilon));
        file_.add_f32(prefix + "rope.freq_base", static_cast<float>(kHybridTheta));
        file_.add_u32(prefix + "rope.dimension_count", model_.rotary_dim);
        file_.add_u32(prefix + "ssm.conv_kernel", model_.taps);
        file_.add_u32(prefix + "ssm.state_size", model_.key_dim);
        file_.add_u32(prefix + "ssm.group_count", model_.key_heads);
        file_.add_u32(prefix + "ssm.time_step_rank", model_.value_heads);
        file_.add_u32(prefix + "ssm.inner_size", model_.values());
        file_.add_u32(prefix + "full_attention_interval", 2);
        file_.add_u32(prefix + "vocab_size", model_.vocabulary);
        file_.add_text("tokenizer.ggml.model", "none");
    }

    void add_mlp(const std::string& from, const std::string& suffix) {
        for (const std::string part : {"gate", "up", "down"}) {
            add("ffn_" + part + suffix + ".weight", here(from + part + "_proj.weight"));
        }
    }

    void add_experts() {
        add("ffn_gate_inp.weight", here("mlp.gate.weight"));
        for (const std::string part : {"gate", "up", "down"}) {
            add("ffn_" + part + "_exps.weight",
                stacked(model_, all_, from_ + "mlp.experts.", {part}));
        }
        add_mlp("mlp.shared_expert.", "_shexp");
        add("ffn_gate_inp_shexp.weight", here("mlp.shared_expert_gate.weight"));
    }

    void add_recurrence() {
        const std::string in = "linear_attn.";
        const HybridTensor& qkv = here(in + "in_proj_qkv.weight");
        const HybridTensor& z = here(in + "in_proj_z.weight");
        HybridTensor convolution = here(in + "conv1d.weight");
        convolution.shape = {model_.channels(), model_.taps};
        HybridTensor rate = here(in + "A_log");
        for (float& value : rate.values) {
            value = -std::exp(value);
        }
        add("attn_qkv.weight", heads(qkv, 2 * model_.keys(), model_.value_dim));
        add("attn_gate.weight", heads(z, 0, model_.value_dim));
        add("ssm_conv1d.weight", heads(convolution, 2 * model_.keys(), model_.value_dim));
        add("ssm_a", heads(rate, 0, 1));
        add("ssm_dt.bias", heads(here(in + "dt_bias"), 0, 1));
        add("ssm_norm.weight", here(in + "norm.weight"));
        const HybridTensor& out = here(in + "out_proj.weight");
        add("ssm_out.weight", tiled_ ? tiled_columns(model_, out) : out);
        if (tiled_) {
            add("ssm_beta.weight", heads(here(in + "in_proj_b.weight"), 0, 1));
            add("ssm_alpha.weight", heads(here(in + "in_proj_a.weight"), 0, 1));
        } else {
            add("ssm_ba.weight", grouped_gates(model_, all_, from_ + in));
        }
    }

    void add_attention() {
        add("attn_q.weight", here("self_attn.q_proj.weight"));
        add("attn_k.weight", here("self_attn.k_proj.weight"));
        add("attn_v.weight", here("self_attn.v_proj.weight"));
        add("attn_output.weight", here("self_attn.o_proj.weight"));
        add_norm("attn_q_norm.weight", here("self_attn.q_norm.weight"));
        add_norm("attn_k_norm.weight", here("self_attn.k_norm.weight"));
    }

    HybridTensor heads(const HybridTensor& from, uint64_t first, uint64_t width) const {
        return tiled_ ? tiled_rows(model_, from, first, width) : from;
    }
    const HybridTensor& here(const std::string& name) const { return all_.at(from_ + name); }
    void add(const std::string& name, const HybridTensor& tensor) {
        file_.add_tensor(to_ + name, tensor.shape, 0, bytes_of(tensor));
    }
    void add_norm(const std::string& name, HybridTensor tensor) {
        for (float& value : tensor.values) {
            value += 1;
        }
        add(name, tensor);
    }

    const TinyHybrid& model_;
    const HybridTensors all_;
    const bool tiled_;
    GgufWriter file_;
    std::string from_;
    std::string to_;
};

}  // namespace

HybridTensors hybrid_tensors(const TinyHybrid& model) {
    return Maker(model).make();
}

std::vector<std::byte> hybrid_gguf(const TinyHybrid& model) {
    return GgufForm(model).write();
}

namespace {

std::string experts_json(const TinyHybrid& model) {
    if (model.experts == 0) {
        return R"("num_experts": 0)";
    }
    const std::string dense =
        model.dense_layer ? fmt::format(R"(, "mlp_only_layers": [{}])", *model.dense_layer) : "";
    return fmt::format(R"("num_experts": {}, "num_experts_per_tok": {},
        "moe_intermediate_size": {}, "shared_expert_intermediate_size": {}{})",
                       model.experts, model.chosen, model.expert_width, model.shared_width, dense);
}

}  // namespace

std::string hybrid_config_json(const TinyHybrid& model) {
    const bool next = model.family == HybridFamily::Qwen3Next;
    const std::string type = next ? "qwen3_next" : model.experts != 0 ? "qwen3_5_moe" : "qwen3_5";
    const std::string config = fmt::format(
        R"({{"model_type": "{}", "hidden_act": "silu", "num_hidden_layers": {}, "hidden_size": {},
        "num_attention_heads": {}, "num_key_value_heads": {}, "head_dim": {},
        "intermediate_size": {}, "vocab_size": {}, "max_position_embeddings": {},
        "rms_norm_eps": {}, "tie_word_embeddings": true, "full_attention_interval": 2,
        "linear_conv_kernel_dim": {}, "linear_num_key_heads": {}, "linear_num_value_heads": {},
        "linear_key_head_dim": {}, "linear_value_head_dim": {}, {},
        "rope_parameters": {{"rope_type": "default", "rope_theta": {},
                            "partial_rotary_factor": {}}}}})",
        type + (next ? "" : "_text"), model.layers, model.hidden, model.heads, model.kv_heads,
        model.head_dim, model.feed_forward, model.vocabulary, model.context, kHybridEpsilon,
        model.taps, model.key_heads, model.value_heads, model.key_dim, model.value_dim,
        experts_json(model), kHybridTheta,
        static_cast<double>(model.rotary_dim) / static_cast<double>(model.head_dim));
    return model.wrapped ? fmt::format(R"({{"model_type": "{}", "text_config": {},
        "vision_config": {{"model_type": "{}_vision"}}, "tie_word_embeddings": true}})",
                                       type, config, type)
                         : config;
}

void write_hybrid_folder(const TinyHybrid& model, const std::filesystem::path& folder,
                         const std::string& config) {
    HybridTensors all = hybrid_tensors(model);
    if (model.family == HybridFamily::Qwen3Next) {
        for (uint32_t i = 0; i < model.layers; ++i) {
            const std::string prefix = fmt::format("layers.{}.linear_attn.", i);
            if (!model.is_recurrent(i)) {
                continue;
            }
            all[prefix + "in_proj_qkvz.weight"] = grouped_inputs(model, all, prefix);
            all[prefix + "in_proj_ba.weight"] = grouped_gates(model, all, prefix);
            for (const char* const part : {"qkv", "z", "b", "a"}) {
                all.erase(fmt::format("{}in_proj_{}.weight", prefix, part));
            }
        }
    }
    if (model.family == HybridFamily::Qwen35) {
        stack_experts(model, all);
    }
    std::vector<SafetensorsItem> items;
    for (const auto& [name, tensor] : all) {
        const std::string whole = (model.wrapped ? "model.language_model." : "model.") + name;
        items.push_back({whole, "F32", tensor.shape, bytes_of(tensor)});
    }
    if (model.wrapped) {
        items.push_back(
            {"model.visual.blocks.0.attn.qkv.weight", "F32", {2, 2}, std::vector<std::byte>(16)});
        items.push_back({"mtp.fc.weight", "F32", {2, 2}, std::vector<std::byte>(16)});
    }
    std::filesystem::create_directories(folder);
    const std::string text = config.empty() ? hybrid_config_json(model) : config;
    write_file(folder / "config.json", std::as_bytes(std::span(text.data(), text.size())));
    write_file(folder / "model.safetensors", safetensors_file(items));
}

}  // namespace weir::model::testing
