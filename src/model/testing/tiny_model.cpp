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
#include "model/family.h"
#include "model/rope.h"
#include "model/tensor_index.h"
#include "model/testing/gguf_writer.h"
#include "model/testing/safetensors_writer.h"
#include "model/testing/tiny_families.h"
#include "tensor/quantize.h"

namespace weir::model::testing {

namespace {

bool has_qkv_bias(const TinyModel& model) {
    return model.attention_bias || tiny_traits(model.family).qkv_bias;
}

bool has_output_bias(const TinyModel& model) {
    const TinyTraits& traits = tiny_traits(model.family);
    return traits.all_biases || (model.attention_bias && !traits.qkv_bias);
}

bool is_tied(const TinyModel& model) {
    return model.tied || tiny_traits(model.family).ties_always;
}

class Maker {
  public:
    explicit Maker(const TinyModel& model)
        : model_(model), traits_(tiny_traits(model.family)), random_(model.seed) {}

    std::vector<TinyTensor> make() {
        matrix("token_embd", model_.vocabulary, model_.hidden);
        if (traits_.per_layer_width != 0) {
            const uint32_t row = model_.layers * traits_.per_layer_width;
            matrix("per_layer_token_embd", model_.vocabulary, row);
            matrix("per_layer_model_proj", row, model_.hidden);
            norm("per_layer_proj_norm", traits_.per_layer_width);
        }
        for (layer_ = 0; layer_ < model_.layers; ++layer_) {
            prefix_ = fmt::format("blk.{}.", layer_);
            layer();
        }
        prefix_.clear();
        norm("output_norm", model_.hidden);
        if (!is_tied(model_)) {
            matrix("output", model_.vocabulary, model_.hidden);
        }
        return std::move(out_);
    }

  private:
    void layer() {
        norm("attn_norm", model_.hidden);
        attention();
        if (!traits_.parallel) {
            norm("ffn_norm", model_.hidden);
        }
        feed_forward();
        if (traits_.norms_after) {
            norm("post_attention_norm", model_.hidden);
            norm("post_ffw_norm", model_.hidden);
        }
        if (traits_.per_layer_width != 0) {
            matrix("inp_gate", traits_.per_layer_width, model_.hidden);
            matrix("proj", model_.hidden, traits_.per_layer_width);
            norm("post_norm", model_.hidden);
        }
        if (traits_.layer_scale) {
            scales("layer_output_scale", {1});
        }
    }

    void attention() {
        const uint32_t head_dim = tiny_head_dim(model_, layer_);
        const uint32_t q = model_.heads * head_dim;
        const uint32_t kv = tiny_kv_heads(model_, layer_) * head_dim;
        const bool bias = has_qkv_bias(model_);
        const bool has_keys = !tiny_keys_of(model_, layer_);
        const bool has_values =
            has_keys && !(traits_.global_keys_are_values && !tiny_layer_has_window(model_, layer_));
        if (traits_.fused) {
            linear("attn_qkv", q + 2 * kv, model_.hidden, bias);
        } else {
            linear("attn_q", q, model_.hidden, bias);
            if (has_keys) {
                linear("attn_k", kv, model_.hidden, bias);
            }
            if (has_values) {
                linear("attn_v", kv, model_.hidden, bias);
            }
        }
        linear("attn_output", model_.hidden, q, has_output_bias(model_));
        if (traits_.head_norm) {
            scales("attn_q_norm", {head_dim});
            if (has_keys) {
                scales("attn_k_norm", {head_dim});
            }
        }
        if (traits_.head_layer_norm) {
            scales("attn_q_norm", {model_.heads, model_.head_dim});
            scales("attn_k_norm", {model_.kv_heads, model_.head_dim});
        }
    }

    void feed_forward() {
        const bool bias = model_.mlp_bias || traits_.all_biases;
        const uint32_t width = tiny_feed_forward(model_, layer_);
        if (traits_.gated && !traits_.fused) {
            linear("ffn_gate", width, model_.hidden, bias);
        }
        linear("ffn_up", width * (traits_.fused ? 2 : 1), model_.hidden, bias);
        linear("ffn_down", model_.hidden, width, bias);
        if (traits_.experts != 0) {
            experts();
        }
    }

    void experts() {
        const uint64_t width = traits_.expert_width;
        scales("ffn_gate_inp.scale", {model_.hidden});
        matrix("ffn_gate_inp", traits_.experts, model_.hidden);
        stack("ffn_gate_up_exps", {traits_.experts, 2 * width, model_.hidden});
        stack("ffn_down_exps", {traits_.experts, model_.hidden, width});
        scales("ffn_down_exps.scale", {traits_.experts});
        norm("post_ffw_norm_1", model_.hidden);
        norm("pre_ffw_norm_2", model_.hidden);
        norm("post_ffw_norm_2", model_.hidden);
    }

    // Values with a standard deviation of about 1 / sqrt(columns).
    void matrix(std::string_view name, uint64_t rows, uint64_t columns) {
        stack(name, {rows, columns});
    }

    void stack(std::string_view name, std::vector<uint64_t> shape) {
        const auto columns = static_cast<double>(shape.back());
        const int exponent = -static_cast<int>(std::lround(std::log2(73 * std::sqrt(columns))));
        add(fmt::format("{}.weight", name), std::move(shape), 0, 127, exponent);
    }

    void linear(std::string_view name, uint64_t rows, uint64_t columns, bool bias) {
        matrix(name, rows, columns);
        if (bias) {
            add(fmt::format("{}.bias", name), {rows}, 0, 127, -9);
        }
    }

    void norm(std::string_view name, uint64_t length) {
        scales(name, {length});
        if (traits_.norm_bias) {
            add(fmt::format("{}.bias", name), {length}, 0, 127, -9);
        }
    }

    void scales(std::string_view stem, std::vector<uint64_t> shape) {
        const bool whole = stem.ends_with(".scale");
        const std::string name = fmt::format("{}{}", stem, whole ? "" : ".weight");
        add(name, std::move(shape), traits_.norm_offset ? 0 : 1, 64, -7);
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
    const TinyTraits& traits_;
    std::mt19937_64 random_;
    uint32_t layer_ = 0;
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
    const TinyRopeNumbers numbers = tiny_rope_numbers(model);
    file.add_f32(prefix + "rope.freq_base", numbers.theta);
    const bool yarn = model.rope == TinyRope::Yarn || model.rope == TinyRope::YarnUnscaled;
    if (model.rope == TinyRope::Linear || yarn) {
        file.add_text(prefix + "rope.scaling.type", yarn ? "yarn" : "linear");
        file.add_f32(prefix + "rope.scaling.factor", kTinyRopeFactor);
    }
    if (yarn || model.rope == TinyRope::Longrope) {
        file.add_u32(prefix + "rope.scaling.original_context_length", kTinyRopeOriginal);
    }
    const auto rotated =
        static_cast<uint32_t>(model.head_dim * tiny_traits(model.family).rotary_part);
    if (rotated != model.head_dim) {
        file.add_u32(prefix + "rope.dimension_count", rotated);
    }
    if (model.rope == TinyRope::Longrope) {
        file.add_f32(prefix + "rope.scaling.attn_factor",
                     static_cast<float>(tiny_longrope_amplitude(model)));
        for (const bool is_long : {false, true}) {
            std::vector<float> factors;
            for (size_t i = 0; i < rotated / 2; ++i) {
                factors.push_back(tiny_longrope_factor(is_long, i));
            }
            const uint64_t shape[] = {factors.size()};
            file.add_tensor(is_long ? "rope_factors_long.weight" : "rope_factors_short.weight",
                            shape, 0, std::as_bytes(std::span(factors)));
        }
    }
    if (model.rope == TinyRope::Llama3 || model.rope == TinyRope::Llama31) {
        const std::vector<float> divisors =
            llama3_divisors({.factor = numbers.factor, .original_context = numbers.original},
                            numbers.theta, model.head_dim);
        const uint64_t shape[] = {divisors.size()};
        file.add_tensor("rope_freqs.weight", shape, 0, std::as_bytes(std::span(divisors)));
    }
}

std::string rope_json(const TinyModel& model) {
    const TinyTraits& traits = tiny_traits(model.family);
    const TinyRopeNumbers numbers = tiny_rope_numbers(model);
    if (traits.global_part != 0) {
        return fmt::format(
            R"("rope_parameters": {{"full_attention": {{"rope_type": "proportional",
            "rope_theta": {}, "partial_rotary_factor": {}}},
            "sliding_attention": {{"rope_type": "default", "rope_theta": {}}}}})",
            kTinyTheta, traits.global_part, traits.window_theta);
    }
    switch (model.rope) {
        case TinyRope::Plain:
            return R"("rope_scaling": null)";
        case TinyRope::Linear:
            return fmt::format(R"("rope_scaling": {{"type": "linear", "factor": {}}})",
                               kTinyRopeFactor);
        case TinyRope::Llama3:
        case TinyRope::Llama31:
            return fmt::format(
                R"("rope_scaling": {{"rope_type": "llama3", "factor": {}, "low_freq_factor": 1.0,
                "high_freq_factor": 4.0, "original_max_position_embeddings": {}}})",
                numbers.factor, numbers.original);
        case TinyRope::Yarn:
            return fmt::format(
                R"("rope_scaling": {{"rope_type": "yarn", "factor": {},
                "original_max_position_embeddings": {}}})",
                kTinyRopeFactor, kTinyRopeOriginal);
        case TinyRope::YarnUnscaled:
            return fmt::format(
                R"("rope_parameters": {{"rope_type": "yarn", "rope_theta": {}, "factor": {},
                "original_max_position_embeddings": {}, "mscale": 1.0, "mscale_all_dim": 1.0,
                "llama_4_scaling_beta": {}}})",
                kTinyTheta, kTinyRopeFactor, kTinyRopeOriginal,
                tiny_traits(model.family).temperature);
        case TinyRope::Longrope: {
            std::string lists[2];
            const auto pairs =
                static_cast<size_t>(model.head_dim * tiny_traits(model.family).rotary_part) / 2;
            for (size_t i = 0; i < 2 * pairs; ++i) {
                std::string& list = lists[i / pairs];
                list += fmt::format("{}{}", list.empty() ? "" : ", ",
                                    tiny_longrope_factor(i >= pairs, i % pairs));
            }
            return fmt::format(
                R"("rope_scaling": {{"type": "longrope", "short_factor": [{}],
                "long_factor": [{}]}}, "original_max_position_embeddings": {})",
                lists[0], lists[1], kTinyRopeOriginal);
        }
    }
    return {};
}

std::string window_json(const TinyModel& model) {
    if (!model.window) {
        return R"("sliding_window": null)";
    }
    if (tiny_traits(model.family).pattern != 0) {
        return fmt::format(R"("sliding_window": {})", *model.window);
    }
    std::string types;
    for (uint32_t i = 0; i < model.layers; ++i) {
        types +=
            fmt::format(R"({}"{}")", i == 0 ? "" : ", ",
                        tiny_layer_has_window(model, i) ? "sliding_attention" : "full_attention");
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

TinyRopeNumbers tiny_rope_numbers(const TinyModel& model) {
    return model.rope == TinyRope::Llama31
               ? TinyRopeNumbers{.theta = 500000.0f, .factor = 8.0f, .original = 8192}
               : TinyRopeNumbers{};
}

float tiny_longrope_factor(bool is_long, size_t pair) {
    const float i = static_cast<float>(pair);
    return is_long ? 1.5f + 0.375f * i : 1.0f + 0.0625f * i;
}

double tiny_longrope_amplitude(const TinyModel& model) {
    const double original = kTinyRopeOriginal;
    return std::sqrt(1 + std::log(model.context / original) / std::log(original));
}

bool tiny_layer_has_window(const TinyModel& model, uint32_t layer) {
    const uint32_t pattern = tiny_traits(model.family).pattern;
    return model.window && (model.window_everywhere ||
                            (pattern == 0 ? layer % 2 == 0 : (layer + 1) % pattern != 0));
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

namespace {

// What a converter makes of a tensor.
void convert(const TinyModel& model, TinyTensor& tensor) {
    const TinyTraits& traits = tiny_traits(model.family);
    const bool rotated = tensor.name.find(".attn_q.") != std::string::npos ||
                         tensor.name.find(".attn_k.") != std::string::npos;
    if (traits.rows_permuted && rotated) {
        permute_rows(tensor, model.head_dim);
    }
    if (traits.norm_offset && tensor.name.find("_norm.weight") != std::string::npos) {
        for (float& value : tensor.values) {
            value += 1;
        }
    }
}

}  // namespace

namespace {

void add_layer_shapes(const TinyModel& model, const std::string& prefix, GgufWriter& file) {
    const TinyTraits& traits = tiny_traits(model.family);
    if (traits.global_head_dim == 0) {
        file.add_u32(prefix + "feed_forward_length", model.feed_forward);
        file.add_u32(prefix + "attention.head_count_kv", model.kv_heads);
        file.add_u32(prefix + "attention.key_length", model.head_dim);
        file.add_u32(prefix + "attention.value_length", model.head_dim);
        return;
    }
    std::vector<int32_t> widths;
    std::vector<int32_t> kv_heads;
    for (uint32_t i = 0; i < model.layers; ++i) {
        widths.push_back(static_cast<int32_t>(tiny_feed_forward(model, i)));
        kv_heads.push_back(static_cast<int32_t>(tiny_kv_heads(model, i)));
    }
    file.add_ints(prefix + "feed_forward_length", widths);
    file.add_ints(prefix + "attention.head_count_kv", kv_heads);
    for (const std::string_view name : {"attention.key_length", "attention.value_length"}) {
        file.add_u32(prefix + std::string(name), traits.global_head_dim);
        file.add_u32(prefix + std::string(name) + "_swa", model.head_dim);
    }
    if (traits.experts != 0) {
        file.add_u32(prefix + "expert_count", traits.experts);
        file.add_u32(prefix + "expert_used_count", traits.chosen);
        file.add_u32(prefix + "expert_feed_forward_length", traits.expert_width);
    }
    file.add_u32(prefix + "attention.shared_kv_layers", traits.sharing_layers);
    file.add_u32(prefix + "embedding_length_per_layer_input", traits.per_layer_width);
    file.add_u32(prefix + "rope.dimension_count", traits.global_head_dim);
    std::vector<float> divisors(traits.global_head_dim / 2, 1e30f);
    std::fill_n(divisors.begin(),
                static_cast<size_t>(traits.global_part * traits.global_head_dim / 2), 1.0f);
    const uint64_t shape[] = {divisors.size()};
    file.add_tensor("rope_freqs.weight", shape, 0, std::as_bytes(std::span(divisors)));
}

}  // namespace

std::vector<std::byte> tiny_gguf(const TinyModel& model) {
    const TinyTraits& traits = tiny_traits(model.family);
    WEIR_ASSERT(!model.window || traits.pattern != 0);
    GgufWriter file;
    const std::string prefix = std::string(traits.architecture) + ".";
    file.add_text("general.architecture", traits.architecture).add_text("general.name", "tiny");
    file.add_u32(prefix + "block_count", model.layers);
    file.add_u32(prefix + "context_length", model.context);
    file.add_u32(prefix + "embedding_length", model.hidden);
    add_layer_shapes(model, prefix, file);
    file.add_u32(prefix + "attention.head_count", model.heads);
    file.add_f32(prefix + (traits.layer_norm ? "attention.layer_norm_epsilon"
                                             : "attention.layer_norm_rms_epsilon"),
                 kTinyEpsilon);
    file.add_u32(prefix + "vocab_size", model.vocabulary);
    file.add_text("tokenizer.ggml.model", "none");
    if (model.window) {
        file.add_u32(prefix + "attention.sliding_window", *model.window);
        file.add_u32(prefix + "attention.sliding_window_pattern", traits.pattern);
    }
    for (const auto& [name, value] : traits.gguf_numbers) {
        file.add_f32(prefix + std::string(name), static_cast<float>(value));
    }
    add_rope_keys(model, prefix, file);
    for (TinyTensor& tensor : tiny_tensors(model)) {
        convert(model, tensor);
        const bool matrix =
            tensor.shape.size() >= 2 && tensor.name.find("_norm.") == std::string::npos;
        const tensor::DType dtype = matrix ? model.dtype : tensor::DType::F32;
        file.add_tensor(tensor.name, tensor.shape, tensor::info(dtype).ggml_type.value(),
                        pack(dtype, tensor.values, tensor.shape.back()));
    }
    return file.finish();
}

std::string tiny_config_json(const TinyModel& model) {
    const TinyTraits& traits = tiny_traits(model.family);
    const bool mistral = model.family == "llama" && (model.window || model.wrap != TinyWrap::None);
    const std::string_view type =
        mistral ? "mistral" : traits.model_type.substr(0, traits.model_type.find(' '));
    const std::string decoder = fmt::format(
        R"({{"model_type": "{}", "hidden_act": "{}", "num_hidden_layers": {}, "hidden_size": {},
        "num_attention_heads": {}, "num_key_value_heads": {}, "head_dim": {},
        "intermediate_size": {}, "vocab_size": {}, "max_position_embeddings": {},
        "{}": {}, "rope_theta": {}, "tie_word_embeddings": {}, "attention_bias": {},
        "mlp_bias": {}, {}, {}, "bos_token_id": 1, "eos_token_id": [2, 3]{}}})",
        type, traits.gelu ? "gelu_pytorch_tanh" : "silu", model.layers, model.hidden, model.heads,
        model.kv_heads, model.head_dim, model.feed_forward, model.vocabulary, model.context,
        traits.epsilon_name, kTinyEpsilon, tiny_rope_numbers(model).theta, is_tied(model),
        model.attention_bias, model.mlp_bias, rope_json(model), window_json(model),
        traits.json_more);
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
    const std::string_view type = tiny_traits(model.family).model_type;
    const Family* family = find_family_of_json(type.substr(0, type.find(' ')));
    const std::string name = hugging_face_name(gguf_name, *family);
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

// The tensors as a folder has them: StableLM's norms of heads are one tensor a head.
std::vector<TinyTensor> folder_tensors(const TinyModel& model) {
    std::vector<TinyTensor> out;
    for (TinyTensor& tensor : tiny_tensors(model)) {
        const bool split = tiny_traits(model.family).architecture == "stablelm" &&
                           tensor.shape.size() == 2 &&
                           tensor.name.find("_norm.weight") != std::string::npos;
        if (!split) {
            out.push_back(std::move(tensor));
            continue;
        }
        const std::string stem = tensor.name.substr(0, tensor.name.rfind('.'));
        for (uint64_t head = 0; head < tensor.shape[0]; ++head) {
            const auto begin =
                tensor.values.begin() + static_cast<std::ptrdiff_t>(head * tensor.shape[1]);
            out.push_back({fmt::format("{}.{}.weight", stem, head),
                           {tensor.shape[1]},
                           {begin, begin + static_cast<std::ptrdiff_t>(tensor.shape[1])}});
        }
    }
    return out;
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
    for (const TinyTensor& tensor : folder_tensors(model)) {
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
