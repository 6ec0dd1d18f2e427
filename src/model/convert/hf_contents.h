#pragma once

#include <memory>
#include <span>
#include <vector>

#include "base/result.h"
#include "json/value.h"
#include "kernels/thread_pool.h"
#include "model/convert/gguf_contents.h"
#include "model/convert/output_tensor.h"

namespace weir::model {

// What a Hugging Face folder is going to say, but for the tokenizer.
//
// Ownership: borrows the model that it is made of.
struct FolderContents {
    json::Object config;
    std::vector<OutputTensor> tensors;  // sorted by name
    std::shared_ptr<const TensorIndex> index;
};

// Of a GGUF file: its keys as config.json and its tensors as the family's published files have
// them. gpt-oss's experts in MXFP4 stay so (blocks and scales); what else is quantized becomes F32,
// which holds it exactly. Every tensor has been checked
// against the config. Unsupported, naming it, for what config.json cannot say of the model, and for
// tensors that safetensors of the family do not have.
Result<FolderContents> folder_contents_of(const ModelSource& source);

// Writes one .safetensors file. `tensors` are F32, F16, BF16 or raw bytes and sorted by name.
Result<void> write_safetensors(std::span<const OutputTensor> tensors, kernels::ThreadPool& pool,
                               const ByteSink& sink, const Progress& progress);

}  // namespace weir::model
