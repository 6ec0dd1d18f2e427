#pragma once

#include <cstddef>
#include <cstdint>
#include <set>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "model/config.h"
#include "model/layers/linear.h"
#include "model/layers/norm.h"
#include "model/tensor_index.h"

namespace weir::model {

enum class Purpose : uint8_t {
    Bind,
    Count,  // nothing is read or copied, and what would have been is empty
};

// How much there is of a model's weights. Every byte counts once: a widened vector as copied, and
// not as mapped too, since nothing reads it in the file again.
struct WeightCounts {
    uint64_t parameters = 0;
    uint64_t mapped_bytes = 0;  // of the tensors that are used where they lie
    uint64_t copied_bytes = 0;
    bool all_float32 = true;  // every matrix is F32
};

// Takes a model's tensors by GGUF's names, checks their types and shapes against what the caller
// says, counts them, and knows at the end which of them nobody took. Inside a layer names are
// relative: "attn_q.weight" is "blk.3.attn_q.weight" after enter_layer(3). In safetensors the
// tensors have the family's names (Family::names).
//
// Matrices are views into the mapping: binding reads headers and the few vectors (norms, biases)
// that are not float32. A repacked copy, once there is one, is bound here in the mapping's place.
//
// Errors name the tensor as the file does. Ownership: borrows the index and the config; what it
// hands out lives as long as the files and take_owned()'s vectors.
class WeightBinder {
  public:
    WeightBinder(const TensorIndex& index, const TransformerConfig& config, Purpose purpose)
        : index_(index), config_(config), purpose_(purpose) {}

    Purpose purpose() const { return purpose_; }
    void enter_layer(uint32_t layer);
    void leave_layer() { prefix_.clear(); }

    bool has(std::string_view name) const { return peek(name) != nullptr; }
    // The tensor if it is there; it still counts as not taken.
    const StoredTensor* peek(std::string_view name) const;

    Result<tensor::MatrixView> matrix(std::string_view name, uint64_t rows, uint64_t columns);
    // A tensor [count, rows, columns] as one matrix of count * rows rows.
    Result<tensor::MatrixView> stack(std::string_view name, uint64_t count, uint64_t rows,
                                     uint64_t columns);
    // Float32 whatever the file has; empty if this only counts.
    Result<std::span<const float>> vector(std::string_view name, uint64_t length);
    Result<std::span<const float>> table(std::string_view name, uint64_t rows, uint64_t columns);
    // A table of a causal convolution, in safetensors with a dimension of one in the middle.
    Result<std::span<const float>> convolution(std::string_view name, uint64_t channels,
                                               uint64_t taps);
    // One vector a head: a tensor [heads, length], or one tensor for each ("stem.HEAD").
    Result<std::span<const float>> head_vectors(std::string_view stem, uint64_t heads,
                                                uint64_t length);
    // "stem.weight" and, by the rule, "stem.bias".
    Result<Linear> linear(std::string_view stem, uint64_t rows, uint64_t columns, BiasRule rule);
    // The same for a norm of the config's kind.
    Result<Norm> norm(std::string_view stem, uint64_t length);

    // Checks and counts a tensor, and leaves the rest to the caller. Not one that the file says in
    // several tensors (packed_tensors.h): those are matrices and stacks only.
    Result<const StoredTensor*> take(std::string_view name, std::span<const uint64_t> shape);
    // Marks a tensor, if it is there, as known and without effect.
    void ignore(std::string_view name);
    // The same for all tensors of a layer.
    void ignore_layer(uint32_t layer);
    // The same for all whose name in the file begins so.
    void ignore_prefix(std::string_view prefix);
    // Memory for what is made of tensors; empty if this only counts.
    std::span<std::byte> own(uint64_t bytes);
    std::span<float> own_floats(uint64_t count);

    // Unsupported, naming it, if there is a tensor that nobody took: it would have been part of the
    // result.
    Result<void> refuse_unbound() const;

    const WeightCounts& counts() const { return counts_; }
    std::vector<std::vector<std::byte>> take_owned() { return std::move(owned_); }

  private:
    Result<const StoredTensor*> take_stored(std::string_view name, std::span<const uint64_t> shape);
    Result<std::span<const std::byte>> rows_of(const StoredTensor& tensor);
    Result<tensor::MatrixView> view_of(const StoredTensor& tensor, uint64_t rows, uint64_t columns);
    Result<std::span<const float>> widened(std::string_view name, std::span<const uint64_t> shape);
    std::span<const std::byte> in_place_or_copied(const StoredTensor& tensor);

    const TensorIndex& index_;
    const TransformerConfig& config_;
    const Purpose purpose_;
    std::string prefix_;
    std::set<std::string, std::less<>> used_;
    WeightCounts counts_;
    std::vector<std::vector<std::byte>> owned_;
};

}  // namespace weir::model
