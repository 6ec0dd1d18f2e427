#include "model/load.h"

#include <algorithm>

#include "model/config.h"
#include "model/decoder.h"
#include "model/family.h"
#include "model/weights.h"

namespace weir::model {

namespace {

constexpr uint32_t kBatchTokensMax = 1u << 16;

Result<void> check_options(const LoadOptions& options) {
    if (options.batch_tokens_max == 0 || options.batch_tokens_max > kBatchTokensMax) {
        return invalid_argument("batch_tokens_max", "batch_tokens_max must be 1 to {}",
                                kBatchTokensMax);
    }
    if (options.block_tokens != 16 && options.block_tokens != 32 && options.block_tokens != 64) {
        return invalid_argument("block_tokens", "block_tokens must be 16, 32 or 64");
    }
    if (options.context_tokens == 0u) {
        return invalid_argument("context_tokens", "context_tokens must be positive");
    }
    if (options.kv_dtype && *options.kv_dtype != tensor::DType::F32 &&
        *options.kv_dtype != tensor::DType::F16 && *options.kv_dtype != tensor::DType::Q8_0) {
        return invalid_argument("kv_dtype", "keys and values are kept as F32, F16 or Q8_0");
    }
    return {};
}

std::optional<uint32_t> short_rope_tokens(const TransformerConfig& config) {
    for (const RopeConfig& rope : config.ropes) {
        if (const auto* longrope = std::get_if<LongropeScaling>(&rope.scaling)) {
            return longrope->original_context;
        }
    }
    return std::nullopt;
}

DecoderParts describe(TransformerConfig model, DecoderWeights weights, const LoadOptions& options) {
    DecoderParts parts;
    parts.config = std::move(model);
    parts.weights = std::move(weights);
    const TransformerConfig& config = parts.config;
    const WeightCounts& counts = parts.weights.counts;
    const tensor::DType by_rule = counts.all_float32 ? tensor::DType::F32 : tensor::DType::F16;
    parts.state = decoder_state(parts.weights.blocks, options.kv_dtype.value_or(by_rule),
                                options.block_tokens);
    parts.batch_tokens_max = options.batch_tokens_max;
    parts.info = {.architecture = config.architecture,
                  .name = config.name,
                  .layers = config.layers,
                  .hidden = config.hidden,
                  .vocabulary = config.vocabulary,
                  .context_tokens =
                      std::min(config.context_tokens, options.context_tokens.value_or(UINT32_MAX)),
                  .file_context_tokens = config.context_tokens,
                  .parameters = counts.parameters,
                  .weight_bytes = counts.mapped_bytes + counts.copied_bytes,
                  .short_rope_tokens = short_rope_tokens(config)};
    return parts;
}

}  // namespace

Result<ModelSource::Pointer> ModelSource::open(const std::filesystem::path& path) {
    std::error_code failed;
    if (std::filesystem::is_directory(path, failed)) {
        WEIR_TRY_ASSIGN(HfFolder folder, HfFolder::open(path));
        const auto absolute = std::filesystem::absolute(path, failed).lexically_normal();
        const auto last =
            absolute.has_filename() ? absolute.filename() : absolute.parent_path().filename();
        return Pointer(new ModelSource(std::move(folder), last.string()));
    }
    WEIR_TRY(refuse_foreign_format(path));
    if (path.extension() == ".safetensors") {
        return unsupported("{} is one file of a model: open its folder, which has the config.json",
                           path.filename().string());
    }
    WEIR_TRY_ASSIGN(GgufFile file, GgufFile::open(path));
    return Pointer(new ModelSource(std::move(file)));
}

Result<ModelSource::Pointer> ModelSource::from_bytes(std::span<const std::byte> bytes) {
    WEIR_TRY_ASSIGN(GgufFile file, GgufFile::parse(bytes));
    return Pointer(new ModelSource(std::move(file)));
}

Result<TransformerConfig> ModelSource::config() const {
    if (const GgufFile* file = gguf()) {
        return config_from_gguf(*file);
    }
    const json::Object* object = folder()->config();
    if (object == nullptr) {
        return fail(ErrorCode::NotFound, "the folder has no config.json");
    }
    WEIR_TRY_ASSIGN(TransformerConfig config, config_from_json(*object));
    if (config.name.empty()) {
        config.name = name_;
    }
    return config;
}

TensorIndex ModelSource::tensors(const TransformerConfig& config) const {
    if (gguf() != nullptr) {
        return TensorIndex(*gguf());
    }
    const json::Object* object = folder()->config();
    const bool wrapped = object != nullptr && object->find("text_config") != nullptr;
    return TensorIndex(folder()->shards(), *config.family,
                       wrapped ? HfDecoder::TextPart : HfDecoder::Whole, config.packing);
}

namespace {

Result<TransformerConfig> decoder_config(const ModelSource& source) {
    WEIR_TRY_ASSIGN(TransformerConfig config, source.config());
    if (config.family->encoder) {
        return unsupported("a {} model makes vectors of texts; it generates none",
                           config.architecture);
    }
    return config;
}

}  // namespace

Result<MemoryPlan> plan_memory(const ModelSource& source, const LoadOptions& options) {
    WEIR_TRY(check_options(options));
    WEIR_TRY_ASSIGN(TransformerConfig config, decoder_config(source));
    WEIR_TRY_ASSIGN(DecoderWeights weights,
                    bind_weights(source.tensors(config), config, Purpose::Count));
    const DecoderParts parts = describe(std::move(config), std::move(weights), options);
    const kv::StateSpec& state = parts.state.spec;
    MemoryPlan plan{
        .info = parts.info,
        .state = state,
        .weights_mapped_bytes = parts.weights.counts.mapped_bytes,
        .weights_copied_bytes = parts.weights.counts.copied_bytes,
        .scratch_bytes = decoder_scratch_bytes(parts.config, parts.weights, parts.batch_tokens_max),
        .recurrent_bytes = state.recurrent_bytes};
    for (const kv::AttentionGroup& group : state.groups) {
        plan.kv_block_bytes.push_back(kv::block_bytes(state, group));
        plan.kv_bytes_per_token += plan.kv_block_bytes.back() / state.block_tokens;
    }
    return plan;
}

Result<std::unique_ptr<Model>> load_model(ModelSource::Pointer source, const LoadOptions& options,
                                          kernels::Compute compute) {
    WEIR_TRY(check_options(options));
    WEIR_TRY_ASSIGN(TransformerConfig config, decoder_config(*source));
    WEIR_TRY_ASSIGN(DecoderWeights weights,
                    bind_weights(source->tensors(config), config, Purpose::Bind));
    DecoderParts parts = describe(std::move(config), std::move(weights), options);
    parts.source = std::move(source);
    return std::make_unique<Decoder>(std::move(parts), compute);
}

}  // namespace weir::model
