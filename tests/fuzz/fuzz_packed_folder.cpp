// A folder whose config.json and tensors disagree: the two lengths of one byte each and then the
// parts say a config.json and a .safetensors file; packed matrices (GPTQ, AWQ, FP8, MXFP4) are
// joined, checked and, where that is allowed, repacked.

#include <cstddef>
#include <cstdint>
#include <span>
#include <string_view>
#include <vector>

#include "json/parse.h"
#include "model/config.h"
#include "model/convert/gguf_contents.h"
#include "model/packed_tensors.h"
#include "model/safetensors.h"
#include "model/weights.h"

namespace {

using namespace weir;

constexpr uint64_t kRepackedMax = 1 << 20;

// The parts of every tensor, by each way of packing, whatever the config says.
void unpack(const model::SafetensorsFile& file, model::WeightPacking packing) {
    std::vector<model::StoredTensor> tensors;
    for (const model::SafetensorsTensor& tensor : file.tensors()) {
        tensors.push_back({.name = tensor.name,
                           .type = tensor.dtype,
                           .dtype = tensor.kernel_dtype(),
                           .shape = tensor.shape,
                           .bytes = tensor.bytes});
    }
    model::join_parts(packing, tensors);
    for (const model::StoredTensor& tensor : tensors) {
        if (!model::check_parts(tensor) || !model::is_repacked(tensor)) {
            continue;
        }
        const auto size = model::repacked_bytes(tensor);
        if (size && *size <= kRepackedMax) {
            std::vector<std::byte> out(static_cast<size_t>(*size));
            (void)model::repack(tensor, out);
        }
    }
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* bytes, size_t count) {
    if (count < 2) {
        return 0;
    }
    const size_t config_bytes = std::min<size_t>(count - 2, bytes[0] + 256u * bytes[1]);
    const std::string_view config_text(reinterpret_cast<const char*>(bytes) + 2, config_bytes);
    const auto tensors = model::SafetensorsFile::parse(
        std::as_bytes(std::span(bytes, count)).subspan(2 + config_bytes));
    if (!tensors) {
        return 0;
    }
    for (const auto packing : {model::WeightPacking::Gptq, model::WeightPacking::Awq,
                               model::WeightPacking::Mxfp4, model::WeightPacking::F8Tiles}) {
        unpack(*tensors, packing);
    }
    const auto json = json::parse(config_text);
    if (!json || json->if_object() == nullptr) {
        return 0;
    }
    const auto config = model::config_from_json(*json->if_object());
    if (config && config->layers <= 4) {
        const model::TensorIndex index(std::span(&*tensors, 1), *config->family,
                                       model::HfDecoder::Whole, config->packing);
        (void)model::check_tensors(index, *config);
    }
    return 0;
}
