#include "engine/local_model.h"

#include <algorithm>
#include <thread>

#include "base/bytes.h"
#include "base/log.h"
#include "engine/local_backend.h"
#include "kv/state.h"
#include "model/tokenizer_metadata.h"
#include "text/template_source.h"

namespace weir::engine {
namespace {

constexpr uint64_t kCacheBytesDefault = uint64_t{64} << 20;

// Of recurrent states, which are tens of megabytes each in large models. A conversation needs one
// while it runs, and to be taken up again one at the end of its last prompt, one a block earlier
// and one at the end of the answer.
constexpr uint64_t kRecurrentBytesDefault = uint64_t{1} << 30;
constexpr uint32_t kSlotsPerSequence = 4;
constexpr uint32_t kRecurrentSequencesMin = 2;

Result<model::LoadOptions> load_options(const LocalModelOptions& options) {
    model::LoadOptions out{
        .batch_tokens_max = options.batch_tokens_max,
        .context_tokens = options.context_tokens.value_or(LocalModel::kContextDefault)};
    WEIR_TRY_ASSIGN(out.kv_dtype, cache_dtype(options.cache_bits));
    return out;
}

// Without a wish: for a small model, room for as many sequences of full length as run together,
// for then nobody ever loses what was computed; for a large one, two.
uint64_t default_cache_tokens(const model::MemoryPlan& plan, uint64_t context,
                              uint32_t sequences_max) {
    const uint64_t fits = kCacheBytesDefault / std::max<uint64_t>(plan.kv_bytes_per_token, 1);
    return std::clamp(fits, 2 * context, std::max(2u, sequences_max) * context);
}

// As many sequences together as there is room for their states.
Result<void> plan_recurrent(const kv::StateSpec& spec, EngineConfig& config) {
    if (spec.recurrent_bytes == 0) {
        return {};
    }
    WEIR_TRY_ASSIGN(const uint64_t slot, kv::reserved_bytes(spec, {.recurrent_slots = 1}));
    config.sequences_max = static_cast<uint32_t>(
        std::clamp<uint64_t>(kRecurrentBytesDefault / slot / kSlotsPerSequence,
                             kRecurrentSequencesMin, config.sequences_max));
    config.recurrent_slots = kSlotsPerSequence * config.sequences_max;
    return {};
}

uint64_t blocks_in_all_groups(const kv::StateSpec& spec, uint64_t tokens) {
    return (tokens + spec.block_tokens - 1) / spec.block_tokens * spec.groups.size();
}

// What a sequence needs while it is computed, and to be taken up again behind its answer or behind
// its prompt: for that a second window.
uint64_t blocks_of_sequence(const kv::StateSpec& spec, uint64_t tokens, uint32_t batch_tokens_max) {
    uint32_t window = 0;
    for (const kv::AttentionGroup& group : spec.groups) {
        window = std::max(window, group.window_tokens.value_or(0));
    }
    return kv::worst_case_blocks(spec, static_cast<uint32_t>(tokens), window + batch_tokens_max);
}

// Without a wish: sequences of full length, and where windows make these cheap, as many short ones
// as two of the default length.
uint64_t blocks_wanted(const model::MemoryPlan& plan, const LocalModelOptions& options,
                       uint32_t context, uint32_t sequences_max) {
    const kv::StateSpec& spec = plan.state;
    const uint64_t whole = blocks_of_sequence(spec, context, options.batch_tokens_max);
    if (options.cache_tokens) {
        return std::max(whole, blocks_in_all_groups(spec, *options.cache_tokens));
    }
    const uint64_t tokens = default_cache_tokens(plan, context, sequences_max);
    const uint64_t full = tokens / context * whole +
                          blocks_of_sequence(spec, tokens % context, options.batch_tokens_max);
    return std::max(full, blocks_in_all_groups(
                              spec, std::min<uint64_t>(tokens, 2 * LocalModel::kContextDefault)));
}

// Room for the tokens in blocks, of which every sequence may waste one a group; and for the
// recurrent states.
Result<EngineConfig> engine_config(const model::MemoryPlan& plan,
                                   const LocalModelOptions& options) {
    EngineConfig config;
    WEIR_TRY(plan_recurrent(plan.state, config));
    const uint32_t context = std::min(plan.info.context_tokens,
                                      options.context_tokens.value_or(LocalModel::kContextDefault));
    const uint64_t blocks = blocks_wanted(plan, options, context, config.sequences_max) +
                            config.sequences_max * plan.state.groups.size();
    const auto bytes = checked_mul(blocks, kv::pool_block_bytes(plan.state));
    WEIR_TRY_ASSIGN(const uint64_t recurrent,
                    kv::reserved_bytes(plan.state, {.recurrent_slots = config.recurrent_slots}));
    const auto all = bytes ? checked_add(*bytes, recurrent) : std::nullopt;
    if (!all) {
        return invalid_argument("cache_tokens", "{} blocks do not fit any memory", blocks);
    }
    config.context_tokens = context;
    config.kv_bytes = *all;
    config.model_key = plan.info.name;
    config.threads = ComputeDevice::threads_for(options.threads);
    return config;
}

}  // namespace

Result<std::optional<tensor::DType>> cache_dtype(std::optional<uint32_t> bits) {
    using Wanted = std::optional<tensor::DType>;
    if (!bits) {
        return Wanted();
    }
    switch (*bits) {
        case 8:
            return Wanted(tensor::DType::Q8_0);
        case 16:
            return Wanted(tensor::DType::F16);
        case 32:
            return Wanted(tensor::DType::F32);
        default:
            return invalid_argument("cache_bits", "cache_bits must be 8, 16 or 32");
    }
}

uint64_t LocalModelPlan::total_bytes() const {
    return model.weights_mapped_bytes + model.weights_copied_bytes + model.scratch_bytes +
           engine.kv_bytes + engine.kv_table_bytes + engine.logits_bytes + engine.sampling_bytes;
}

namespace {

// The files that describe a tokenizer: a folder's, or those that a GGUF file carries.
Result<model::HfTokenizerFiles> tokenizer_files(const model::ModelSource& source) {
    return source.gguf() != nullptr ? model::read_carried_tokenizer(*source.gguf())
                                    : source.folder()->read_tokenizer_files();
}

// Nothing where the keys say that there is none.
Result<std::optional<text::Tokenizer>> tokenizer_of_keys(const model::GgufFile& file) {
    WEIR_TRY_ASSIGN(const auto metadata, model::read_tokenizer_metadata(file));
    if (metadata.model.empty() || metadata.model == "none") {
        return std::nullopt;
    }
    WEIR_TRY_ASSIGN(text::Tokenizer tokenizer, text::Tokenizer::from_spec(metadata));
    return std::optional(std::move(tokenizer));
}

}  // namespace

Result<text::Tokenizer> load_tokenizer(const model::ModelSource& source) {
    WEIR_TRY_ASSIGN(auto tokenizer, load_tokenizer_if_any(source));
    if (tokenizer) {
        return *std::move(tokenizer);
    }
    if (const model::GgufFile* file = source.gguf()) {
        WEIR_TRY_ASSIGN(const auto metadata, model::read_tokenizer_metadata(*file));
        return text::Tokenizer::from_spec(metadata);  // says what it lacks
    }
    return unsupported("the folder has neither tokenizer.json nor tokenizer.model");
}

Result<std::optional<text::Tokenizer>> load_tokenizer_if_any(const model::ModelSource& source) {
    WEIR_TRY_ASSIGN(const auto files, tokenizer_files(source));
    if (!files.tokenizer_json.empty()) {
        WEIR_TRY_ASSIGN(text::Tokenizer tokenizer,
                        text::Tokenizer::from_tokenizer_json(files.tokenizer_json,
                                                             files.tokenizer_config_json));
        return std::optional(std::move(tokenizer));
    }
    if (!files.tokenizer_model.empty()) {
        WEIR_TRY_ASSIGN(text::Tokenizer tokenizer,
                        text::Tokenizer::from_sentencepiece(
                            std::as_bytes(std::span<const char>(files.tokenizer_model)),
                            files.tokenizer_config_json));
        return std::optional(std::move(tokenizer));
    }
    if (source.gguf() != nullptr) {
        return tokenizer_of_keys(*source.gguf());
    }
    WEIR_TRY_ASSIGN(const auto file, source.folder()->open_tokenizer_gguf());
    return file ? tokenizer_of_keys(*file) : Result<std::optional<text::Tokenizer>>();
}

namespace {

// What the file or folder says itself.
Result<std::vector<TokenId>> declared_ends(const model::ModelSource& source) {
    if (const model::HfFolder* const folder = source.folder()) {
        return folder->eos_token_ids();
    }
    WEIR_TRY_ASSIGN(const auto metadata, model::read_tokenizer_metadata(*source.gguf()));
    std::vector<TokenId> ids;
    for (const auto& id : {metadata.eos_token_id, metadata.eot_token_id, metadata.eom_token_id}) {
        if (id) {
            ids.push_back(*id);
        }
    }
    return ids;
}

}  // namespace

Result<std::vector<TokenId>> end_tokens_of(const model::ModelSource& source,
                                           const text::Tokenizer* tokenizer, uint32_t vocabulary) {
    WEIR_TRY_ASSIGN(std::vector<TokenId> ends, declared_ends(source));
    for (const TokenId id : ends) {
        if (id >= vocabulary) {
            return data_corrupt("eos_token_id: there is no token {}; ids end at {}", id,
                                vocabulary);
        }
    }
    if (tokenizer != nullptr) {
        const auto known = tokenizer->end_of_generation();
        ends.insert(ends.end(), known.begin(), known.end());
    }
    std::sort(ends.begin(), ends.end());
    ends.erase(std::unique(ends.begin(), ends.end()), ends.end());
    return ends;
}

namespace {

struct TemplateTexts {
    std::string chat;   // empty: none
    std::string tools;  // empty: the same
};

Result<TemplateTexts> template_texts(const model::ModelSource& source) {
    TemplateTexts out;
    if (const model::GgufFile* file = source.gguf()) {
        WEIR_TRY_ASSIGN(const auto metadata, model::read_tokenizer_metadata(*file));
        out.chat = metadata.chat_template;
        for (const auto& [name, text] : metadata.named_templates) {
            if (name == "tool_use") {
                out.tools = text;
            }
        }
        return out;
    }
    WEIR_TRY_ASSIGN(const auto files, source.folder()->read_template_files());
    const text::TemplateFiles found{.chat_template_jinja = files.chat_template_jinja,
                                    .tokenizer_config_json = files.tokenizer_config_json,
                                    .chat_template_json = files.chat_template_json,
                                    .tool_use_jinja = files.tool_use_jinja};
    WEIR_TRY_ASSIGN(out.chat, text::find_chat_template(found));
    WEIR_TRY_ASSIGN(out.tools, text::find_chat_template(found, text::TemplateUse::Tools));
    return out;
}

}  // namespace

Result<std::shared_ptr<const text::ChatTemplate>> load_chat_template(
    const model::ModelSource& source, const text::Tokenizer& tokenizer) {
    WEIR_TRY_ASSIGN(const TemplateTexts texts, template_texts(source));
    if (texts.chat.empty()) {
        return nullptr;
    }
    text::ChatTemplate::SpecialTokens special;
    const auto add = [&](std::string name, std::optional<TokenId> id) {
        if (id) {
            special.emplace_back(std::move(name), tokenizer.token_bytes(*id));
        }
    };
    add("bos_token", tokenizer.bos());
    add("eos_token", tokenizer.eos());
    add("unk_token", tokenizer.unknown());
    add("pad_token", tokenizer.padding());
    WEIR_TRY_ASSIGN(auto made, text::ChatTemplate::create(texts.chat, special));
    if (!texts.tools.empty()) {
        auto for_tools = text::ChatTemplate::create(texts.tools, special);
        if (for_tools) {
            made.set_for_tools(*std::move(for_tools));
        } else {
            log(LogLevel::Warning, "the chat template tool_use is not used: {}",
                for_tools.error().message);
        }
    }
    return std::make_shared<const text::ChatTemplate>(std::move(made));
}

Result<std::unique_ptr<ComputeDevice>> ComputeDevice::open(std::optional<uint32_t> threads) {
    auto device = std::make_unique<ComputeDevice>();
    WEIR_TRY_ASSIGN(device->kernels_, kernels::select_kernels_from_environment());
    device->pool_ = std::make_unique<kernels::ThreadPool>(threads_for(threads));
    return device;
}

uint32_t ComputeDevice::threads_for(std::optional<uint32_t> threads) {
    return std::max(1u, threads.value_or(std::thread::hardware_concurrency()));
}

// Members are destroyed from the last to the first: whoever borrows goes before its lender.
struct LocalModel::Parts {
    std::unique_ptr<ComputeDevice> device;
    std::shared_ptr<const text::Tokenizer> tokenizer;
    std::shared_ptr<const text::ChatTemplate> chat_template;
    std::unique_ptr<model::Model> model;
    std::unique_ptr<Engine> engine;
    std::unique_ptr<LocalBackend> backend;
};

Result<LocalModelPlan> LocalModel::plan(const model::ModelSource& source,
                                        const LocalModelOptions& options) {
    LocalModelPlan plan;
    WEIR_TRY_ASSIGN(const model::LoadOptions wanted, load_options(options));
    WEIR_TRY_ASSIGN(plan.model, model::plan_memory(source, wanted));
    WEIR_TRY_ASSIGN(const EngineConfig config, engine_config(plan.model, options));
    WEIR_TRY_ASSIGN(plan.engine, plan_memory(plan.model.info, plan.model.state,
                                             options.batch_tokens_max, config));
    return plan;
}

Result<void> LocalModel::check_texts(const model::ModelSource& source) {
    WEIR_TRY_ASSIGN(const text::Tokenizer tokenizer, load_tokenizer(source));
    WEIR_TRY_ASSIGN(const auto chat_template, load_chat_template(source, tokenizer));
    WEIR_TRY_ASSIGN(const auto config, source.config());
    WEIR_TRY_ASSIGN(const auto ends, end_tokens_of(source, &tokenizer, config.vocabulary));
    return {};
}

Result<std::unique_ptr<LocalModel>> LocalModel::load(model::ModelSource::Pointer source,
                                                     const LocalModelOptions& options,
                                                     const Clock& clock,
                                                     metrics::Registry& registry) {
    auto parts = std::make_unique<Parts>();
    WEIR_TRY_ASSIGN(text::Tokenizer tokenizer, load_tokenizer(*source));
    parts->tokenizer = std::make_shared<const text::Tokenizer>(std::move(tokenizer));
    WEIR_TRY_ASSIGN(parts->chat_template, load_chat_template(*source, *parts->tokenizer));
    WEIR_TRY_ASSIGN(const model::LoadOptions wanted, load_options(options));
    WEIR_TRY_ASSIGN(const model::MemoryPlan plan, model::plan_memory(*source, wanted));
    WEIR_TRY_ASSIGN(std::vector<TokenId> end_tokens,
                    end_tokens_of(*source, parts->tokenizer.get(), plan.info.vocabulary));
    WEIR_TRY_ASSIGN(parts->device, ComputeDevice::open(options.threads));
    WEIR_TRY_ASSIGN(parts->model,
                    model::load_model(std::move(source), wanted, parts->device->compute()));
    WEIR_TRY_ASSIGN(EngineConfig config, engine_config(plan, options));
    config.token_ids_end = static_cast<uint32_t>(
        std::min<size_t>(parts->tokenizer->vocab_size(), plan.info.vocabulary));
    WEIR_TRY_ASSIGN(parts->engine, Engine::create(*parts->model, config, clock, registry,
                                                  &parts->device->compute().pool));
    parts->backend = std::make_unique<LocalBackend>(
        *parts->engine, parts->tokenizer, parts->chat_template,
        LocalBackendConfig{.model_name = plan.info.name, .end_tokens = std::move(end_tokens)},
        clock);
    return std::unique_ptr<LocalModel>(new LocalModel(std::move(parts)));
}

LocalModel::LocalModel(std::unique_ptr<Parts> parts) : parts_(std::move(parts)) {}
LocalModel::~LocalModel() = default;

chat::ChatBackend& LocalModel::backend() {
    return *parts_->backend;
}
void LocalModel::run() {
    parts_->engine->run();
}
const text::Tokenizer& LocalModel::tokenizer() const {
    return *parts_->tokenizer;
}
model::Model& LocalModel::model() {
    return *parts_->model;
}
const MemoryPlan& LocalModel::memory() const {
    return parts_->engine->memory();
}

}  // namespace weir::engine
