#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "model/gguf.h"
#include "model/safetensors.h"
#include "model/weight_packing.h"
#include "tensor/dtype.h"

namespace weir::model {

// A tensor of a model file, whichever format it is in.
struct StoredTensor {
    std::string_view name;               // the file's own
    std::string_view type;               // as the file calls it
    std::optional<tensor::DType> dtype;  // nothing: this build cannot compute with it
    std::vector<uint64_t> shape;         // outermost first: a matrix is [rows, columns]
    std::span<const std::byte> bytes;
    WeightPacking packing = WeightPacking::None;
    std::vector<StoredTensor> parts{};  // what belongs to it: scales, zero points, group indices

    uint64_t elements() const;
};

// Where a folder's decoder stands among its tensors.
enum class HfDecoder : uint8_t {
    Whole,  // "model.layers.3.…", "lm_head"
    // Beside a vision tower: "language_model.model.layers.3.…" with "language_model.lm_head" (as
    // published), or "model.language_model.layers.3.…" with "lm_head" (as transformers 5 saves it).
    TextPart,
};

struct Family;
struct TensorName;

// All tensors of a model under GGUF's names, whichever format it is in; of a text part, only its
// own.
//
// Ownership: borrows the files.
class TensorIndex {
  public:
    explicit TensorIndex(const GgufFile& file);
    // The family says what its tensors are called where that differs from the common names.
    TensorIndex(std::span<const SafetensorsFile> shards, const Family& family, HfDecoder decoder,
                WeightPacking packing = WeightPacking::None);

    // `gguf_name` is "blk.3.attn_q.weight"; in safetensors that is
    // "model.layers.3.self_attn.q_proj.weight".
    const StoredTensor* find(std::string_view gguf_name) const;

    // What the file calls it.
    std::string file_name(std::string_view gguf_name) const;

    std::span<const StoredTensor> tensors() const { return tensors_; }  // sorted by name

  private:
    const StoredTensor* find_stored(std::string_view name) const;

    enum class Naming : uint8_t { Gguf, HuggingFace, LanguageModelFirst, ModelFirst };

    Naming naming_;
    const Family* family_ = nullptr;
    bool has_prefix_ = false;  // Family::may_begin_with
    std::vector<StoredTensor> tensors_;
};

// The names that all families have in common, in a layer or outside of them.
std::span<const TensorName> common_names_in_layers();
std::span<const TensorName> common_names_outside();

// The name in safetensors of a tensor of the decoder families, by the family's names and then by
// the common ones; a name that nobody knows stays as it is.
std::string hugging_face_name(std::string_view gguf_name, const Family& family);

}  // namespace weir::model
