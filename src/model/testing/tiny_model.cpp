#include "model/testing/tiny_model.h"

#include <fmt/format.h>

#include <algorithm>
#include <cmath>
#include <fstream>
#include <random>
#include <span>

#include "base/check.h"
#include "json/write.h"
#include "model/config.h"
#include "model/rope.h"
#include "model/tensor_index.h"
#include "model/testing/gguf_writer.h"
#include "model/testing/safetensors_writer.h"
#include "tensor/quantize.h"

namespace weir::model::testing {

namespace {

bool has_qkv_bias(const TinyModel& model) {
    return model.attention_bias || model.family == "qwen2";
}

class Maker {
  public:
    explicit Maker(const TinyModel& model) : model_(model), random_(model.seed) {}

    std::vector<TinyTensor> make() {
        matrix("token_embd", model_.vocabulary, model_.hidden);
        for (uint32_t i = 0; i < model_.layers; ++i) {
            prefix_ = fmt::format("blk.{}.", i);
            layer();
        }
        prefix_.clear();
        norm("output_norm", model_.hidden);
        if (!model_.tied) {
            matrix("output", model_.vocabulary, model_.hidden);
        }
        return std::move(out_);
    }

  private:
    void layer() {
        const uint32_t q = model_.heads * model_.head_dim;
        const uint32_t kv = model_.kv_heads * model_.head_dim;
        norm("attn_norm", model_.hidden);
        linear("attn_q", q, model_.hidden, has_qkv_bias(model_));
        linear("attn_k", kv, model_.hidden, has_qkv_bias(model_));
        linear("attn_v", kv, model_.hidden, has_qkv_bias(model_));
        linear("attn_output", model_.hidden, q, model_.attention_bias && model_.family != "qwen2");
        if (model_.family == "qwen3") {
            norm("attn_q_norm", model_.head_dim);
            norm("attn_k_norm", model_.head_dim);
        }
        norm("ffn_norm", model_.hidden);
        linear("ffn_gate", model_.feed_forward, model_.hidden, model_.mlp_bias);
        linear("ffn_up", model_.feed_forward, model_.hidden, model_.mlp_bias);
        linear("ffn_down", model_.hidden, model_.feed_forward, model_.mlp_bias);
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

    void add(const std::string& name, std::vector<uint64_t> shape, float offset, int largest,
             int exponent) {
        std::uniform_int_distribution<int> number(-largest, largest);
        uint64_t count = 1;
        for (const uint64_t extent : shape) {
            count *= extent;
        }
        std::vector<float> values(count);
        for (float& value : values) {
            value = offset + std::ldexp(static_cast<float>(number(random_)), exponent);
        }
        out_.push_back({prefix_ + name, std::move(shape), std::move(values)});
    }

    const TinyModel& model_;
    std::mt19937_64 random_;
    std::string prefix_;
    std::vector<TinyTensor> out_;
};

// What GGUF converters do to the Llama family: within each head, rows i and i + d/2 become rows 2i
// and 2i + 1.
void permute_rows(TinyTensor& tensor, size_t head_dim) {
    const size_t columns = tensor.shape.size() == 2 ? tensor.shape[1] : 1;
    const std::vector<float> source = tensor.values;
    for (size_t row = 0; row < tensor.shape[0]; ++row) {
        const size_t in_head = row % head_dim;
        const size_t from = row - in_head + in_head % 2 * (head_dim / 2) + in_head / 2;
        std::copy_n(source.begin() + static_cast<std::ptrdiff_t>(from * columns), columns,
                    tensor.values.begin() + static_cast<std::ptrdiff_t>(row * columns));
    }
}

void add_rope_keys(const TinyModel& model, const std::string& prefix, GgufWriter& file) {
    file.add_f32(prefix + "rope.freq_base", kTinyTheta);
    if (model.rope == TinyRope::Linear || model.rope == TinyRope::Yarn) {
        file.add_text(prefix + "rope.scaling.type",
                      model.rope == TinyRope::Linear ? "linear" : "yarn");
        file.add_f32(prefix + "rope.scaling.factor", kTinyRopeFactor);
    }
    if (model.rope == TinyRope::Yarn) {
        file.add_u32(prefix + "rope.scaling.original_context_length", kTinyRopeOriginal);
    }
    if (model.rope == TinyRope::Llama3) {
        const std::vector<float> divisors =
            llama3_divisors({.factor = kTinyRopeFactor, .original_context = kTinyRopeOriginal},
                            kTinyTheta, model.head_dim);
        const uint64_t shape[] = {divisors.size()};
        file.add_tensor("rope_freqs.weight", shape, 0, std::as_bytes(std::span(divisors)));
    }
}

std::string rope_json(const TinyModel& model) {
    switch (model.rope) {
        case TinyRope::Plain:
            return R"("rope_scaling": null)";
        case TinyRope::Linear:
            return fmt::format(R"("rope_scaling": {{"type": "linear", "factor": {}}})",
                               kTinyRopeFactor);
        case TinyRope::Llama3:
            return fmt::format(
                R"("rope_scaling": {{"rope_type": "llama3", "factor": {}, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": {}}})",
                kTinyRopeFactor, kTinyRopeOriginal);
        case TinyRope::Yarn:
            return fmt::format(
                R"("rope_scaling": {{"rope_type": "yarn", "factor": {},
                "original_max_position_embeddings": {}}})",
                kTinyRopeFactor, kTinyRopeOriginal);
    }
    return {};
}

std::string window_json(const TinyModel& model) {
    if (!model.window) {
        return R"("sliding_window": null)";
    }
    std::string types;
    for (uint32_t i = 0; i < model.layers; ++i) {
        types += fmt::format(R"({}"{}")", i == 0 ? "" : ", ",
                             i % 2 == 0 ? "sliding_attention" : "full_attention");
    }
    return fmt::format(R"("sliding_window": {}, "layer_types": [{}], "use_sliding_window": true)",
                       *model.window, types);
}

void write_file(const std::filesystem::path& path, std::span<const std::byte> bytes) {
    std::ofstream out(path, std::ios::binary);
    out.write(reinterpret_cast<const char*>(bytes.data()),
              static_cast<std::streamsize>(bytes.size()));
    WEIR_ASSERT(out.good());
}

void write_text(const std::filesystem::path& path, std::string_view text) {
    write_file(path, std::as_bytes(std::span(text.data(), text.size())));
}

}  // namespace

TinyModel TinyModel::for_dtype(tensor::DType dtype) {
    switch (tensor::info(dtype).block_elements) {
        case 1:
            return {
                .hidden = 40, .head_dim = 8, .feed_forward = 56, .vocabulary = 37, .dtype = dtype};
        case 32:
            return {.feed_forward = 96, .dtype = dtype};
        default:
            return {.hidden = 256,
                    .heads = 8,
                    .head_dim = 32,
                    .feed_forward = 256,
                    .vocabulary = 40,
                    .dtype = dtype};
    }
}

std::vector<TinyTensor> tiny_tensors(const TinyModel& model) {
    return Maker(model).make();
}

std::vector<std::byte> pack(tensor::DType dtype, const std::vector<float>& values, size_t columns) {
    const size_t stride = tensor::row_bytes(dtype, columns).value();
    std::vector<std::byte> bytes(values.size() / columns * stride);
    for (size_t row = 0; row < values.size() / columns; ++row) {
        tensor::quantize_row(dtype, std::span(values).subspan(row * columns, columns),
                             std::span(bytes).subspan(row * stride, stride));
    }
    return bytes;
}

std::vector<std::byte> tiny_gguf(const TinyModel& model) {
    WEIR_ASSERT(!model.window);
    GgufWriter file;
    const std::string prefix = model.family + ".";
    file.add_text("general.architecture", model.family).add_text("general.name", "tiny");
    file.add_u32(prefix + "block_count", model.layers);
    file.add_u32(prefix + "context_length", model.context);
    file.add_u32(prefix + "embedding_length", model.hidden);
    file.add_u32(prefix + "feed_forward_length", model.feed_forward);
    file.add_u32(prefix + "attention.head_count", model.heads);
    file.add_u32(prefix + "attention.head_count_kv", model.kv_heads);
    file.add_u32(prefix + "attention.key_length", model.head_dim);
    file.add_u32(prefix + "attention.value_length", model.head_dim);
    file.add_f32(prefix + "attention.layer_norm_rms_epsilon", kTinyEpsilon);
    file.add_u32(prefix + "vocab_size", model.vocabulary);
    file.add_text("tokenizer.ggml.model", "none");
    add_rope_keys(model, prefix, file);
    for (TinyTensor& tensor : tiny_tensors(model)) {
        const bool rotated = tensor.name.find(".attn_q.") != std::string::npos ||
                             tensor.name.find(".attn_k.") != std::string::npos;
        if (model.family == "llama" && rotated) {
            permute_rows(tensor, model.head_dim);
        }
        const bool matrix = tensor.shape.size() == 2;
        const tensor::DType dtype = matrix ? model.dtype : tensor::DType::F32;
        file.add_tensor(tensor.name, tensor.shape, tensor::info(dtype).ggml_type,
                        pack(dtype, tensor.values, tensor.shape.back()));
    }
    return file.finish();
}

std::string tiny_config_json(const TinyModel& model) {
    const bool mistral = model.family == "llama" && (model.window || model.wrap != TinyWrap::None);
    const std::string type = mistral ? "mistral" : model.family;
    const std::string decoder = fmt::format(
        R"({{"model_type": "{}", "hidden_act": "silu", "num_hidden_layers": {}, "hidden_size": {},
        "num_attention_heads": {}, "num_key_value_heads": {}, "head_dim": {},
        "intermediate_size": {}, "vocab_size": {}, "max_position_embeddings": {},
        "rms_norm_eps": {}, "rope_theta": {}, "tie_word_embeddings": {}, "attention_bias": {},
        "mlp_bias": {}, {}, {}, "bos_token_id": 1, "eos_token_id": [2, 3]}})",
        type, model.layers, model.hidden, model.heads, model.kv_heads, model.head_dim,
        model.feed_forward, model.vocabulary, model.context, kTinyEpsilon, kTinyTheta, model.tied,
        model.attention_bias, model.mlp_bias, rope_json(model), window_json(model));
    if (model.wrap == TinyWrap::None) {
        return decoder;
    }
    return fmt::format(R"({{"model_type": "mistral3", "image_token_index": 10, "text_config": {},
        "vision_config": {{"model_type": "pixtral", "hidden_size": 8, "hidden_act": "gelu"}}}})",
                       decoder);
}

namespace {

// What a folder calls a tensor of the decoder, wrapped or not.
std::string folder_name(const TinyModel& model, std::string_view gguf_name) {
    const std::string name = hugging_face_name(gguf_name);
    switch (model.wrap) {
        case TinyWrap::None:
            return name;
        case TinyWrap::LanguageModelFirst:
            return "language_model." + name;
        case TinyWrap::ModelFirst:
            return name.starts_with("model.") ? "model.language_model." + name.substr(6) : name;
    }
    return name;
}

// What stands beside a wrapped decoder.
std::vector<SafetensorsItem> vision_items(const TinyModel& model) {
    if (model.wrap == TinyWrap::None) {
        return {};
    }
    const std::string prefix = model.wrap == TinyWrap::ModelFirst ? "model." : "";
    const std::vector<std::byte> zeros(32);
    return {{prefix + "vision_tower.patch_conv.weight", "BF16", {4, 4}, zeros},
            {prefix + "multi_modal_projector.linear_1.weight", "BF16", {4, 4}, zeros}};
}

}  // namespace

void write_tiny_folder(const TinyModel& model, const std::filesystem::path& folder, size_t shards) {
    std::filesystem::create_directories(folder);
    write_text(folder / "config.json", tiny_config_json(model));
    std::vector<std::vector<SafetensorsItem>> parts(shards);
    parts[0] = vision_items(model);
    std::string weight_map;
    size_t count = 0;
    for (const TinyTensor& tensor : tiny_tensors(model)) {
        const size_t shard = count++ % shards;
        const std::string name = folder_name(model, tensor.name);
        parts[shard].push_back({name, std::string(tensor::name(model.dtype)), tensor.shape,
                                pack(model.dtype, tensor.values, tensor.shape.back())});
        weight_map += fmt::format(R"({}"{}": "part-{}.safetensors")", count == 1 ? "" : ", ", name,
                                  shard + 1);
    }
    if (shards == 1) {
        write_file(folder / "model.safetensors", safetensors_file(parts[0]));
        return;
    }
    for (size_t i = 0; i < shards; ++i) {
        write_file(folder / fmt::format("part-{}.safetensors", i + 1), safetensors_file(parts[i]));
    }
    write_text(folder / "model.safetensors.index.json",
               fmt::format(R"({{"metadata": {{}}, "weight_map": {{{}}}}})", weight_map));
}

}  // namespace weir::model::testing
