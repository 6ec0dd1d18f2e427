#pragma once

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <variant>
#include <vector>

#include "base/result.h"
#include "kernels/kernel_set.h"
#include "model/config.h"
#include "model/gguf.h"
#include "model/hf_folder.h"
#include "model/model.h"
#include "model/tensor_index.h"

namespace weir::model {

// A model that has been opened: headers read and checked, weights mapped, nothing computed. It may
// be a vocabulary without weights, or of an architecture that cannot be run.
//
// Threads: immutable. Ownership: owns the mappings; a model loaded from it keeps it alive.
class ModelSource {
  public:
    using Pointer = std::shared_ptr<const ModelSource>;

    // A GGUF file (or one part of a split one), or a Hugging Face folder.
    static Result<Pointer> open(const std::filesystem::path& path);

    // A GGUF in memory, such as a model inside the program. The bytes outlive the source.
    static Result<Pointer> from_bytes(std::span<const std::byte> bytes);

    // Whichever it is; the other is nullptr.
    const GgufFile* gguf() const { return std::get_if<GgufFile>(&files_); }
    const HfFolder* folder() const { return std::get_if<HfFolder>(&files_); }

    Result<TransformerConfig> config() const;
    TensorIndex tensors(const TransformerConfig& config) const;  // borrows this

  private:
    explicit ModelSource(GgufFile file) : files_(std::move(file)) {}
    ModelSource(HfFolder folder, std::string name)
        : files_(std::move(folder)), name_(std::move(name)) {}

    std::variant<GgufFile, HfFolder> files_;
    std::string name_;  // for a model that does not say its own
};

struct LoadOptions {
    // The most tokens of one forward pass: activations are reserved for so many.
    uint32_t batch_tokens_max = 512;
    // The longest sequence; nothing, or more than the file allows: what the file allows.
    std::optional<uint32_t> context_tokens;
    uint32_t block_tokens = 16;  // 16, 32 or 64
    // F32, F16 or Q8_0; nothing: F32 where every matrix is F32, else F16.
    std::optional<tensor::DType> kv_dtype;
};

// What a model will take, exactly, before any weight is read.
struct MemoryPlan {
    ModelInfo info;
    kv::StateSpec state;
    uint64_t weights_mapped_bytes = 0;     // used where they lie in the file
    uint64_t weights_copied_bytes = 0;     // widened vectors, tensors that are not aligned
    uint64_t scratch_bytes = 0;            // activations of one pass
    std::vector<uint64_t> kv_block_bytes;  // [groups], of one block of one sequence
    uint64_t kv_bytes_per_token = 0;       // all groups; a window group stops growing at its window
    uint64_t recurrent_bytes = 0;          // per sequence
};

Result<MemoryPlan> plan_memory(const ModelSource& source, const LoadOptions& options);

// Binds the weights and reserves the scratch. The kernels and the pool of `compute` outlive the
// model.
Result<std::unique_ptr<Model>> load_model(ModelSource::Pointer source, const LoadOptions& options,
                                          kernels::Compute compute);

}  // namespace weir::model
