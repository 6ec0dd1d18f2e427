#pragma once

#include <functional>
#include <memory>
#include <vector>

#include "base/result.h"
#include "kernels/thread_pool.h"
#include "model/convert/output_tensor.h"
#include "model/gguf_output.h"
#include "model/load.h"

namespace weir::model {

// What a GGUF file is going to say.
//
// Ownership: borrows the model that it is made of.
struct GgufContents {
    GgufHead head;                      // metadata; no tensors yet, nor general.file_type
    std::vector<OutputTensor> tensors;  // in the order in which the source is best read
    uint32_t layers = 0;
    uint32_t experts = 0;        // of a layer
    bool shares_values = false;  // fewer heads for keys and values than for queries
    std::shared_ptr<const TensorIndex> index;
};

// Of a GGUF file: as it is, but what concerns its parts and types. Needs no family.
Result<GgufContents> contents_of(const GgufFile& file);

// Of a folder: its config as keys and its tensors as GGUF has them, without a tokenizer. Every
// tensor has been checked against the config. Unsupported, naming it, for what GGUF cannot say of
// the model: whoever read that file would compute something else.
Result<GgufContents> contents_of(const ModelSource& source);

// Whether every tensor of a model is there with the shape that its config says; none is read, but
// an encoder's.
Result<void> check_tensors(const TensorIndex& index, const TransformerConfig& config);

// Called after every piece that was written, with the bytes of weights written so far and in all.
using Progress = std::function<void(uint64_t done, uint64_t total)>;

// Writes the file with every tensor as it is in `contents`.
Result<void> write_gguf(const GgufContents& contents, kernels::ThreadPool& pool,
                        const ByteSink& sink, const Progress& progress);

// One tensor's data in the type `to`, without padding: as it is, or converted through float32 (by
// tensor/quantize_search.h). DataCorrupt, naming the tensor, for a number that is not finite. The
// bytes do not depend on `pool`.
Result<void> write_rows(const OutputTensor& tensor, tensor::DType to, kernels::ThreadPool& pool,
                        const ByteSink& sink);

}  // namespace weir::model
