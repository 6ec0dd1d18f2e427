#include "model/convert/mxfp4_parts.h"

#include <cstring>
#include <utility>
#include <vector>

#include "tensor/blocks.h"

namespace weir::model {

namespace {

using tensor::BlockMXFP4;
using tensor::DType;

constexpr uint64_t kNibbleBytes = BlockMXFP4::kElements / 2;

// Calls put(block, number, out) for every block of a row of `stack`.
template <typename Put>
std::function<Result<RowReader>()> from_blocks(OutputTensor stack, Put put) {
    const uint64_t blocks = stack.columns() / BlockMXFP4::kElements;
    return [open = std::move(stack.open), blocks, put]() -> Result<RowReader> {
        WEIR_TRY_ASSIGN(RowReader read, open());
        return RowReader(
            [read = std::move(read), blocks, put](uint64_t row, std::span<std::byte> out) {
                std::vector<std::byte> packed(blocks * sizeof(BlockMXFP4));
                read(row, packed);
                for (uint64_t b = 0; b < blocks; ++b) {
                    BlockMXFP4 block;
                    std::memcpy(&block, packed.data() + b * sizeof(block), sizeof(block));
                    put(block, b, out);
                }
            });
    };
}

// A block has element j low and element j + 16 high in byte j.
void put_in_order(const BlockMXFP4& block, uint64_t number, std::span<std::byte> out) {
    const auto nibble = [&](uint64_t element) {
        const unsigned byte = block.q[element % kNibbleBytes];
        return element < kNibbleBytes ? byte & 15 : byte >> 4;
    };
    for (uint64_t i = 0; i < kNibbleBytes; ++i) {
        out[number * kNibbleBytes + i] =
            static_cast<std::byte>(nibble(2 * i) | nibble(2 * i + 1) << 4);
    }
}

// Rows of so many bytes a block.
OutputTensor as_bytes(const OutputTensor& stack, uint64_t bytes_each) {
    OutputTensor out{stack.name, stack.shape, DType::F8_E4M3, {}};
    out.shape.back() = stack.columns() / BlockMXFP4::kElements * bytes_each;
    out.raw_shape = out.shape;
    return out;
}

}  // namespace

bool has_mxfp4_experts(const TensorIndex& index) {
    bool any = false;
    for (const StoredTensor& tensor : index.tensors()) {
        if (tensor.name.ends_with("_exps.weight")) {
            if (tensor.dtype != DType::MXFP4) {
                return false;
            }
            any = true;
        }
    }
    return any;
}

OutputTensor mxfp4_blocks(OutputTensor stack) {
    OutputTensor out = as_bytes(stack, kNibbleBytes);
    out.raw_shape.back() = stack.columns() / BlockMXFP4::kElements;
    out.raw_shape.push_back(kNibbleBytes);
    out.open = from_blocks(std::move(stack), put_in_order);
    return out;
}

OutputTensor mxfp4_scales(OutputTensor stack) {
    OutputTensor out = as_bytes(stack, 1);
    out.open = from_blocks(std::move(stack),
                           [](const BlockMXFP4& block, uint64_t number, std::span<std::byte> to) {
                               to[number] = static_cast<std::byte>(block.exponent);
                           });
    return out;
}

}  // namespace weir::model
