#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "base/clock.h"
#include "base/metrics.h"
#include "base/result.h"
#include "chat/backend.h"
#include "engine/engine.h"
#include "kernels/kernel_set.h"
#include "kernels/thread_pool.h"
#include "model/load.h"
#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace weir::engine {

struct LocalModelOptions {
    std::optional<uint32_t> context_tokens;  // at most the file's own; absent: kContextDefault
    std::optional<uint32_t> cache_tokens;    // KV cache of all sequences; absent: see below
    // Of the cache's numbers: 8, 16 or 32; absent: 32 where every matrix of the model is, else 16.
    std::optional<uint32_t> cache_bits;
    std::optional<uint32_t> threads;  // absent: one a core
    uint32_t batch_tokens_max = 512;
};

// What a model takes, before anything of it is loaded.
struct LocalModelPlan {
    model::MemoryPlan model;
    MemoryPlan engine;

    uint64_t total_bytes() const;
};

// How LocalModelOptions::cache_bits are kept; nothing for nothing. InvalidArgument for other
// numbers.
Result<std::optional<tensor::DType>> cache_dtype(std::optional<uint32_t> bits);

// A tokenizer from whatever a model file or folder says about it.
Result<text::Tokenizer> load_tokenizer(const model::ModelSource& source);

// The same; nothing where there is no vocabulary at all, only weights.
Result<std::optional<text::Tokenizer>> load_tokenizer_if_any(const model::ModelSource& source);

// Every token after which an answer is over, ascending: the tokenizer's (nullptr: there is none), a
// GGUF file's own ids, and those of a folder's generation_config.json, else config.json, which
// often say more (Llama 3's <|eot_id|> stands only there). Errors: DataCorrupt for an id that is
// not below `vocabulary`.
Result<std::vector<TokenId>> end_tokens_of(const model::ModelSource& source,
                                           const text::Tokenizer* tokenizer, uint32_t vocabulary);

// The chat template of a file or folder; null if it has none.
Result<std::shared_ptr<const text::ChatTemplate>> load_chat_template(
    const model::ModelSource& source, const text::Tokenizer& tokenizer);

// Kernels and threads for models to run on. Threads: immutable.
class ComputeDevice {
  public:
    static Result<std::unique_ptr<ComputeDevice>> open(std::optional<uint32_t> threads);
    // What open() starts; it may be refused some of them.
    static uint32_t threads_for(std::optional<uint32_t> threads);
    kernels::Compute compute() { return {*kernels_, *pool_}; }

  private:
    const kernels::KernelSet* kernels_ = nullptr;
    std::unique_ptr<kernels::ThreadPool> pool_;
};

// A model file made ready to answer: tokenizer, template, weights, engine, chat backend.
//
// Threads: load() and run() by one; backend() may be used from any afterwards.
class LocalModel {
  public:
    static Result<LocalModelPlan> plan(const model::ModelSource& source,
                                       const LocalModelOptions& options);
    // What load() would say of the tokenizer, the chat template and the tokens that end a text.
    static Result<void> check_texts(const model::ModelSource& source);
    static Result<std::unique_ptr<LocalModel>> load(model::ModelSource::Pointer source,
                                                    const LocalModelOptions& options,
                                                    const Clock& clock,
                                                    metrics::Registry& registry);
    ~LocalModel();

    chat::ChatBackend& backend();
    void run();  // starts the engine's thread
    const text::Tokenizer& tokenizer() const;
    model::Model& model();
    const MemoryPlan& memory() const;  // what the engine has taken

    // Without a wish: as much context as fits a modest machine. Room in the cache for two such
    // sequences, and for more, up to all that run together, while it takes no more than 64 MiB.
    static constexpr uint32_t kContextDefault = 8192;

  private:
    struct Parts;
    explicit LocalModel(std::unique_ptr<Parts> parts);
    std::unique_ptr<Parts> parts_;
};

}  // namespace weir::engine
