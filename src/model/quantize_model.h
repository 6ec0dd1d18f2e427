#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "kernels/thread_pool.h"
#include "model/convert/gguf_contents.h"
#include "tensor/dtype.h"

namespace weir::model {

// What a whole file is quantized to. Each but Q8_0 keeps the output matrix at Q6_K; Q4_K_M is
// mostly Q4_K, with Q6_K and Q5_K where errors cost most.
enum class FileType : uint8_t { Q8_0, Q4_0, Q4_K_M, Q6_K };

std::optional<FileType> file_type_of(std::string_view name);
std::string_view name(FileType type);

// What choosing a tensor's type looks at besides its name.
struct MixContext {
    uint32_t layers = 0;
    uint32_t experts = 0;        // 0 or 1: none
    bool has_output = true;      // else the embedding is the output matrix
    bool shares_values = false;  // fewer heads for keys and values than for queries
};

// The type of a tensor, given outermost dimension first; its own if it stays as it is: vectors,
// norms, routers, positions, convolutions. `value_layer` is the place of a layer among those with a
// value projection (attn_v, attn_qkv or attn_kv_b), of `value_layers`.  llama.cpp's rule.
struct MixTensor {
    std::string_view name;  // "blk.3.ffn_down.weight"
    std::span<const uint64_t> shape;
    tensor::DType dtype;
    uint32_t value_layer = 0;
    uint32_t value_layers = 0;
};
tensor::DType mixed_type(FileType type, const MixContext& context, const MixTensor& tensor);

// Tensors whose rows are no whole blocks of the type that they should have, and what they are
// written as instead.
struct OtherType {
    tensor::DType wanted;
    tensor::DType written;
    uint64_t columns = 0;
    uint64_t tensors = 0;
    std::string first;  // one of them

    friend bool operator==(const OtherType&, const OtherType&) = default;
};
std::vector<OtherType> other_types(const GgufContents& contents, FileType type);

// Writes the file with its matrices quantized, and everything else as it is. Errors as write_rows.
// The bytes do not depend on `pool`.
Result<void> quantize_model(const GgufContents& contents, FileType type, kernels::ThreadPool& pool,
                            const ByteSink& sink, const Progress& progress);

}  // namespace weir::model
