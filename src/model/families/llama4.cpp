#include <array>

#include "model/families/families.h"
#include "model/families/moe_keys.h"
#include "model/file_errors.h"
#include "model/layers/mixture.h"

// Llama 4, the part that handles text (Scout, Maverick; Meta 2025): the Llama block
// (families/llama.cpp) with adjacent pairs in both file formats, and two kinds of layers.
//
//   rotated layers      after the rotation q and k are divided by their root mean square per head,
//                       if use_qk_norm; a query sees the keys of its own chunk of
//                       attention_chunk_size positions
//   the other layers    (every fourth) no positions; a query sees everything, and is multiplied by
//                       1 + attn_scale ln(1 + floor((p + 1) / floor_scale))
//   layers with experts l = Wr m;  for the best num_experts_per_tok by l:
//                       out = sum of expert_e(sigmoid(l[e]) m)  + shared(m)
//
// The weight multiplies an expert's input: silu is not linear, so it is not the same as its
// output. Dense layers have a width of their own. GGUF has no keys for the chunk, the temperature
// and the norm (Maverick, with 128 experts, has none).
namespace weir::model {

namespace {

constexpr std::array<std::string_view, 1> kArchitectures = {"llama4"};
constexpr std::array<std::string_view, 1> kModelTypes = {"llama4_text"};
constexpr std::array kWrapped = {WrappedType{"llama4", "llama4_text"}};

constexpr std::array kNames = {
    TensorName{"ffn_gate", "feed_forward.gate_proj"},
    TensorName{"ffn_up", "feed_forward.up_proj"},
    TensorName{"ffn_down", "feed_forward.down_proj"},
    TensorName{"ffn_gate_inp", "feed_forward.router"},
    TensorName{"ffn_gate.#", "feed_forward.experts.#.gate_proj"},
    TensorName{"ffn_up.#", "feed_forward.experts.#.up_proj"},
    TensorName{"ffn_down.#", "feed_forward.experts.#.down_proj"},
    TensorName{"ffn_gate_up_exps.weight", "feed_forward.experts.gate_up_proj"},
    TensorName{"ffn_down_exps.weight", "feed_forward.experts.down_proj"},
    TensorName{"ffn_gate_shexp", "feed_forward.shared_expert.gate_proj"},
    TensorName{"ffn_up_shexp", "feed_forward.shared_expert.up_proj"},
    TensorName{"ffn_down_shexp", "feed_forward.shared_expert.down_proj"},
};

constexpr uint32_t kChunkDefault = 8192;
constexpr uint32_t kFloorDefault = 8192;
constexpr double kScaleDefault = 0.1;
constexpr uint32_t kRopeIntervalDefault = 4;
constexpr uint32_t kMaverickExperts = 128;

MoeConfig& begin(TransformerConfig& out) {
    out.set_rope_pairs(kernels::RopePairs::Adjacent);
    MoeConfig& moe = out.moe.emplace();
    moe.router.score = RouterScore::SigmoidOfChosen;
    moe.scale_input = true;
    return moe;
}

// Rotated layers in chunks, the others as they are. `rotates` [layers].
void set_layers(const std::vector<bool>& rotates, std::optional<uint32_t> chunk,
                TransformerConfig& out) {
    for (uint32_t i = 0; i < out.layers; ++i) {
        LayerConfig& layer = out.layer[i];
        layer.rope = rotates[i] ? std::optional(0u) : std::nullopt;
        layer.visible = rotates[i] && chunk ? Visibility::chunk(*chunk) : Visibility::all();
    }
}

std::vector<bool> rotated_by_interval(uint32_t layers, uint32_t interval) {
    std::vector<bool> rotates(layers);
    for (uint32_t i = 0; i < layers; ++i) {
        rotates[i] = (i + 1) % interval != 0;
    }
    return rotates;
}

// By a flag a layer (true: rotated, in chunks), or by the interval of the others.
Result<std::vector<bool>> read_gguf_rotated(GgufConfig& in, uint32_t layers) {
    WEIR_TRY_ASSIGN(const auto rotates, in.flags("attention.rope_pattern", layers));
    constexpr std::string_view kPattern = "attention.sliding_window_pattern";
    if (rotates) {
        in.ignore(kPattern);
        return *rotates;
    }
    if (in.is_array(kPattern)) {
        WEIR_TRY_ASSIGN(const auto chunked, in.flags(kPattern, layers));
        return *chunked;
    }
    WEIR_TRY_ASSIGN(const auto interval, in.size(kPattern));
    return rotated_by_interval(layers,
                               interval.value_or(0) == 0 ? kRopeIntervalDefault : *interval);
}

Result<void> finish_gguf(GgufConfig& in, TransformerConfig& out) {
    MoeConfig& moe = begin(out);
    WEIR_TRY(read_gguf_moe(in, out.feed_forward, out, moe));
    moe.router.score = RouterScore::SigmoidOfChosen;  // whatever a key calls it
    moe.shared_width = moe.width;
    in.ignore("expert_shared_count");
    out.qkv_bias = BiasRule::IfPresent;
    out.output_bias = BiasRule::IfPresent;
    out.qk_norm = moe.router.experts == kMaverickExperts ? HeadNorm::None : HeadNorm::UnitAfterRope;

    WEIR_TRY_ASSIGN(const auto chunk, in.size("attention.sliding_window"));
    WEIR_TRY_ASSIGN(const auto rotates, read_gguf_rotated(in, out.layers));
    set_layers(rotates, chunk == 0u ? std::nullopt : std::optional(chunk.value_or(kChunkDefault)),
               out);
    WEIR_TRY_ASSIGN(const auto beta, in.number("attention.temperature_scale"));
    WEIR_TRY_ASSIGN(const auto length, in.size("attention.temperature_length"));
    out.temperature = QueryTemperature{.beta = beta.value_or(kScaleDefault),
                                       .length = length.value_or(kFloorDefault),
                                       .shift = 1,
                                       .rotated_too = false};
    return {};
}

// A number or a flag, both of which published files have.
Result<bool> read_switch(JsonConfig& in, std::string_view name, bool otherwise) {
    const json::Value* value = in.fields().get(name);
    if (value != nullptr && value->if_bool() == nullptr && !value->is_null()) {
        WEIR_TRY_ASSIGN(const auto number, in.number(name));
        return number.value_or(0) != 0;
    }
    return in.flag(name, otherwise);
}

Result<std::vector<bool>> read_rotated(JsonConfig& in, uint32_t layers) {
    WEIR_TRY_ASSIGN(const auto interval, in.size("no_rope_layer_interval"));
    WEIR_TRY_ASSIGN(const json::Array* list, in.fields().array("no_rope_layers"));
    if (interval == 0u) {
        return data_corrupt("{} is 0", in.fields().path_of("no_rope_layer_interval"));
    }
    if (list == nullptr || list->empty()) {
        return rotated_by_interval(layers, interval.value_or(kRopeIntervalDefault));
    }
    if (list->size() != layers) {
        return data_corrupt("{} has {} entries for {} layers",
                            in.fields().path_of("no_rope_layers"), list->size(), layers);
    }
    std::vector<bool> rotates;
    for (const json::Value& value : *list) {  // 1: rotates, whatever the name says
        const auto* number = std::get_if<int64_t>(&value.storage());
        const bool* flag = value.if_bool();
        if (number == nullptr && flag == nullptr) {
            return data_corrupt("{}[{}] is neither 0 nor 1", in.fields().path_of("no_rope_layers"),
                                rotates.size());
        }
        rotates.push_back(flag == nullptr ? *number != 0 : *flag);
    }
    return rotates;
}

// Which layers see a chunk, where the file says it apart from which are rotated.
Result<void> read_layer_types(JsonConfig& in, std::optional<uint32_t> chunk,
                              TransformerConfig& out) {
    WEIR_TRY_ASSIGN(const auto chunked, in.layers_of_type("chunked_attention", out.layers));
    for (uint32_t i = 0; chunked && i < out.layers; ++i) {
        out.layer[i].visible =
            (*chunked)[i] && chunk ? Visibility::chunk(*chunk) : Visibility::all();
    }
    return {};
}

Result<void> read_attention(JsonConfig& in, TransformerConfig& out) {
    WEIR_TRY_ASSIGN(const bool bias, in.flag("attention_bias"));
    out.qkv_bias = bias ? BiasRule::Always : BiasRule::Never;
    out.output_bias = out.qkv_bias;
    WEIR_TRY_ASSIGN(const bool normed, in.flag("use_qk_norm", true));
    out.qk_norm = normed ? HeadNorm::UnitAfterRope : HeadNorm::None;

    std::optional<uint32_t> chunk = kChunkDefault;
    if (in.mentions("attention_chunk_size")) {
        WEIR_TRY_ASSIGN(chunk, in.size("attention_chunk_size"));
        chunk = chunk == 0u ? std::nullopt : chunk;
    }
    WEIR_TRY_ASSIGN(const auto rotates, read_rotated(in, out.layers));
    set_layers(rotates, chunk, out);
    WEIR_TRY(read_layer_types(in, chunk, out));

    WEIR_TRY_ASSIGN(const bool tuned, read_switch(in, "attn_temperature_tuning", true));
    WEIR_TRY_ASSIGN(const auto beta, in.number("attn_scale"));
    WEIR_TRY_ASSIGN(const auto floor_scale, in.number("floor_scale"));
    const double length = floor_scale.value_or(kFloorDefault);
    if (tuned) {
        if (!(length >= 1 && length <= kContextMax) || length != static_cast<uint32_t>(length)) {
            return unsupported("{}: only whole numbers of tokens are supported",
                               in.fields().path_of("floor_scale"));
        }
        out.temperature = QueryTemperature{.beta = beta.value_or(kScaleDefault),
                                           .length = static_cast<uint32_t>(length),
                                           .shift = 1,
                                           .rotated_too = false};
    }
    return {};
}

Result<void> read_experts(JsonConfig& in, TransformerConfig& out) {
    MoeConfig& moe = *out.moe;
    WEIR_TRY_ASSIGN(moe.router.experts, read_json_experts(in, 16));
    WEIR_TRY_ASSIGN(const auto chosen, in.size("num_experts_per_tok"));
    moe.router.chosen = chosen.value_or(1);
    moe.rows = ExpertRows::InOut;
    moe.width = out.feed_forward;
    moe.shared_width = out.feed_forward;
    WEIR_TRY_ASSIGN(const auto dense_width, in.size("intermediate_size_mlp"));
    WEIR_TRY_ASSIGN(const auto listed, read_layer_numbers(in, "moe_layers", out.layers));
    WEIR_TRY_ASSIGN(const auto step, in.size("interleave_moe_layer_step"));
    if (step == 0u) {
        return data_corrupt("{} is 0", in.fields().path_of("interleave_moe_layer_step"));
    }
    moe.layers.assign(out.layers, false);
    for (uint32_t i = 0; i < out.layers; ++i) {
        moe.layers[i] = !listed && (i + 1) % step.value_or(1) == 0;
        out.layer[i].feed_forward = dense_width.value_or(16384);
    }
    for (const uint32_t i : listed.value_or(std::vector<uint32_t>())) {
        moe.layers[i] = true;
    }
    return {};
}

Result<void> finish_json(JsonConfig& in, TransformerConfig& out) {
    begin(out);
    WEIR_TRY(read_attention(in, out));
    return read_experts(in, out);
}

}  // namespace

const Family& llama4_family() {
    static constexpr Family kFamily{.gguf_architectures = kArchitectures,
                                    .model_types = kModelTypes,
                                    .finish_gguf = finish_gguf,
                                    .finish_json = finish_json,
                                    .json = {.epsilon = 1e-5, .rope_theta = 500000},
                                    .wrapped = kWrapped,
                                    .names = kNames,
                                    .make_feed_forward = make_mixture};
    return kFamily;
}

}  // namespace weir::model
