#include "model/testing/tiny_mixture.h"

#include <fmt/format.h>

#include <cctype>
#include <cmath>
#include <cstring>
#include <functional>
#include <random>
#include <span>

#include "model/testing/mixture_stacks.h"

namespace weir::model::testing {

TinyMixture::TinyMixture(MixtureFamily of) : family(of) {
    switch (of) {
        case MixtureFamily::Mixtral:
        case MixtureFamily::DeepseekV2:
        case MixtureFamily::DeepseekV3:
            break;
        case MixtureFamily::Qwen2Moe:
            experts = 6;
            chosen = 3;
            break;
        case MixtureFamily::Qwen3Moe:
            head_dim = 24;
            dense_layer = 2;
            chosen = 3;
            break;
        case MixtureFamily::GptOss:
            width = 64;
            break;
        case MixtureFamily::Llama4:
            shared_width = width;
            chosen = 1;
            break;
        case MixtureFamily::DeepseekV2Lite:
            query_rank = 0;
            break;
    }
    if (is_latent()) {
        shared_width = width;
    }
}

TinyMixture TinyMixture::as_gguf_says() const {
    TinyMixture out = *this;
    out.dense_layer.reset();
    out.swiglu_limit = 7;
    out.chunk = 8192;
    out.temperature_floor = 8192;
    out.temperature_scale = 0.1;
    return out;
}

bool TinyMixture::has_experts(uint32_t layer) const {
    switch (family) {
        case MixtureFamily::Llama4:
            return layer % 2 == 1;
        case MixtureFamily::Qwen3Moe:
            return layer != dense_layer;
        case MixtureFamily::DeepseekV2:
        case MixtureFamily::DeepseekV2Lite:
        case MixtureFamily::DeepseekV3:
            return layer >= 1;
        default:
            return true;
    }
}

bool TinyMixture::is_rotated(uint32_t layer) const {
    return family != MixtureFamily::Llama4 || layer % 4 != 3;
}

std::string name(MixtureFamily family) {
    constexpr const char* kNames[] = {"mixtral",          "qwen2_moe",   "qwen3_moe",
                                      "gpt_oss",          "llama4_text", "deepseek_v2",
                                      "deepseek_v2_lite", "deepseek_v3"};
    return kNames[static_cast<size_t>(family)];
}

namespace {

class Maker {
  public:
    explicit Maker(const TinyMixture& model) : model_(model), random_(model.seed) {}

    MixtureTensors make() {
        matrix("token_embd", model_.vocabulary, model_.hidden);
        for (uint32_t i = 0; i < model_.layers; ++i) {
            prefix_ = fmt::format("blk.{}.", i);
            norm("attn_norm", model_.hidden);
            model_.is_latent() ? latent() : attention();
            norm("ffn_norm", model_.hidden);
            model_.has_experts(i) ? mixture() : mlp("", model_.dense_width);
        }
        prefix_.clear();
        norm("output_norm", model_.hidden);
        matrix("output", model_.vocabulary, model_.hidden);
        return std::move(out_);
    }

  private:
    void attention() {
        const uint32_t q = model_.heads * model_.head_dim;
        const uint32_t kv = model_.kv_heads * model_.head_dim;
        const bool oss = model_.family == MixtureFamily::GptOss;
        const bool bias = oss || model_.family == MixtureFamily::Qwen2Moe;
        linear("attn_q", q, model_.hidden, bias);
        linear("attn_k", kv, model_.hidden, bias);
        linear("attn_v", kv, model_.hidden, bias);
        linear("attn_output", model_.hidden, q, oss);
        if (model_.family == MixtureFamily::Qwen3Moe) {
            norm("attn_q_norm", model_.head_dim);
            norm("attn_k_norm", model_.head_dim);
        }
        if (oss) {
            add("attn_sinks.weight", {model_.heads}, 0, 127, -6);
        }
    }

    void latent() {
        const uint32_t query = model_.heads * (model_.nope_dim + model_.rope_dim);
        if (model_.query_rank > 0) {
            matrix("attn_q_a", model_.query_rank, model_.hidden);
            norm("attn_q_a_norm", model_.query_rank);
            matrix("attn_q_b", query, model_.query_rank);
        } else {
            matrix("attn_q", query, model_.hidden);
        }
        matrix("attn_kv_a_mqa", model_.kv_rank + model_.rope_dim, model_.hidden);
        norm("attn_kv_a_norm", model_.kv_rank);
        matrix("attn_kv_b", model_.heads * (model_.nope_dim + model_.value_dim), model_.kv_rank);
        matrix("attn_output", model_.hidden, model_.heads * model_.value_dim);
    }

    void mixture() {
        const bool oss = model_.family == MixtureFamily::GptOss;
        linear("ffn_gate_inp", model_.experts, model_.hidden, oss);
        if (model_.family == MixtureFamily::DeepseekV3) {
            add("exp_probs_b.bias", {model_.experts}, 0, 127, -10);
        }
        for (uint32_t e = 0; e < model_.experts; ++e) {
            linear(fmt::format("ffn_gate.{}", e), model_.width, model_.hidden, oss);
            linear(fmt::format("ffn_up.{}", e), model_.width, model_.hidden, oss);
            linear(fmt::format("ffn_down.{}", e), model_.hidden, model_.width, oss);
        }
        const bool shared = model_.is_latent() || model_.family == MixtureFamily::Qwen2Moe ||
                            model_.family == MixtureFamily::Llama4;
        if (shared) {
            mlp("_shexp", model_.shared_width);
        }
        if (model_.family == MixtureFamily::Qwen2Moe) {
            matrix("ffn_gate_inp_shexp", 1, model_.hidden);
        }
    }

    void mlp(std::string_view suffix, uint64_t width) {
        matrix(fmt::format("ffn_gate{}", suffix), width, model_.hidden);
        matrix(fmt::format("ffn_up{}", suffix), width, model_.hidden);
        matrix(fmt::format("ffn_down{}", suffix), model_.hidden, width);
    }

    // Values with a standard deviation of about 1 / sqrt(columns).
    void matrix(std::string_view name, uint64_t rows, uint64_t columns) {
        const int exponent =
            -static_cast<int>(std::lround(std::log2(73 * std::sqrt(static_cast<double>(columns)))));
        add(fmt::format("{}.weight", name), {rows, columns}, 0, 127, exponent);
    }

    void linear(std::string_view name, uint64_t rows, uint64_t columns, bool bias) {
        matrix(name, rows, columns);
        if (bias) {
            add(fmt::format("{}.bias", name), {rows}, 0, 127, -9);
        }
    }

    void norm(std::string_view name, uint64_t length) {
        add(fmt::format("{}.weight", name), {length}, 1, 64, -7);
    }

    // offset + integers up to `extent` times 2^exponent.
    void add(const std::string& name, std::vector<uint64_t> shape, float offset, int extent,
             int exponent) {
        std::uniform_int_distribution<int> draw(-extent, extent);
        MixtureTensor& tensor = out_[prefix_ + name];
        uint64_t count = 1;
        for (const uint64_t extent_of_axis : shape) {
            count *= extent_of_axis;
        }
        tensor.shape = std::move(shape);
        tensor.values.resize(count);
        for (float& value : tensor.values) {
            value = offset + std::ldexp(static_cast<float>(draw(random_)), exponent);
        }
    }

    const TinyMixture& model_;
    std::mt19937_64 random_;
    std::string prefix_;
    MixtureTensors out_;
};

// The 4-bit floats, by their codes without sign.
constexpr float kFloats4[] = {0, 0.5f, 1, 1.5f, 2, 3, 4, 6};

float value_of(unsigned bits) {
    return std::ldexp(bits < 8 ? kFloats4[bits] : -kFloats4[bits - 8], kMxfp4Exponent);
}

}  // namespace

unsigned mxfp4_code(const std::string& name, uint64_t index) {
    return static_cast<unsigned>((std::hash<std::string>{}(name) + index * 2654435761u) >> 7) & 15u;
}

std::vector<std::byte> float_bytes(const std::vector<float>& values) {
    const auto bytes = std::as_bytes(std::span(values));
    return {bytes.begin(), bytes.end()};
}

bool is_expert(const std::string& name) {
    for (const char* part : {".ffn_gate.", ".ffn_up.", ".ffn_down."}) {
        const size_t at = name.find(part);
        if (at != std::string::npos && std::isdigit(name[at + std::strlen(part)])) {
            return true;
        }
    }
    return false;
}

MixtureTensor stacked(const TinyMixture& model, const MixtureTensors& tensors,
                      const std::string& stem, const std::string& ending) {
    MixtureTensor out;
    for (uint32_t e = 0; e < model.experts; ++e) {
        const MixtureTensor& one = tensors.at(fmt::format("{}.{}{}", stem, e, ending));
        out.shape = one.shape;
        out.values.insert(out.values.end(), one.values.begin(), one.values.end());
    }
    out.shape.insert(out.shape.begin(), model.experts);
    return out;
}

MixtureTensors mixture_tensors(const TinyMixture& model) {
    return Maker(model).make();
}

MixtureTensors mxfp4_tensors(const TinyMixture& model) {
    MixtureTensors tensors = mixture_tensors(model);
    for (auto& [name, tensor] : tensors) {
        if (is_expert(name) && tensor.shape.size() == 2) {
            for (uint64_t i = 0; i < tensor.values.size(); ++i) {
                tensor.values[i] = value_of(mxfp4_code(name, i));
            }
        }
    }
    return tensors;
}

}  // namespace weir::model::testing
