#include "model/convert/output_tensor.h"

#include <algorithm>
#include <array>
#include <cstring>
#include <memory>
#include <utility>

#include "base/check.h"
#include "model/packed_tensors.h"
#include "tensor/matrix_view.h"
#include "tensor/quantize.h"

namespace weir::model {

namespace {

using tensor::DType;
using Bytes = std::vector<std::byte>;

uint64_t bytes_of_row(DType dtype, uint64_t columns) {
    const tensor::DTypeInfo& type = tensor::info(dtype);
    return columns / type.block_elements * type.block_bytes;
}

bool is_plain_float(DType dtype) {
    return dtype == DType::F32 || dtype == DType::F16 || dtype == DType::BF16;
}

// Rows of `from` as floats. Blocks are read as they lie, so what need not be aligned is copied.
RowReader floats_from(RowReader read, DType from) {
    return [read = std::move(read), from](uint64_t row, std::span<std::byte> out) {
        std::vector<float> values(out.size() / sizeof(float));
        Bytes packed(bytes_of_row(from, values.size()));
        read(row, packed);
        tensor::dequantize_row(from, packed.data(), values);
        std::memcpy(out.data(), values.data(), out.size());
    };
}

RowReader rows_in(std::span<const std::byte> bytes) {
    return [bytes](uint64_t row, std::span<std::byte> out) {
        std::memcpy(out.data(), bytes.data() + row * out.size(), out.size());
    };
}

Result<RowReader> open_repacked(const StoredTensor& tensor) {
    WEIR_TRY(check_parts(tensor));
    WEIR_TRY_ASSIGN(const uint64_t size, repacked_bytes(tensor));
    auto memory = std::make_shared<Bytes>(static_cast<size_t>(size));
    WEIR_TRY(repack(tensor, *memory));
    return RowReader([memory](uint64_t row, std::span<std::byte> out) {
        std::memcpy(out.data(), memory->data() + row * out.size(), out.size());
    });
}

// FP8 with a scale for each tile, as floats.
Result<RowReader> open_tiles(const StoredTensor& tensor) {
    WEIR_TRY(check_parts(tensor));
    const StoredTensor& part = tensor.parts.front();
    auto scales = std::make_shared<std::vector<float>>(part.elements());
    std::memcpy(scales->data(), part.bytes.data(), part.bytes.size());
    WEIR_TRY_ASSIGN(
        tensor::MatrixView view,
        tensor::MatrixView::over(DType::F8_E4M3, tensor.shape[0], tensor.shape[1], tensor.bytes));
    view.scales = {scales->data(), static_cast<size_t>(part.shape.back()), 0};
    return RowReader([view, scales](uint64_t row, std::span<std::byte> out) {
        std::vector<float> values(view.columns);
        tensor::dequantize_row(view, static_cast<size_t>(row), values);
        std::memcpy(out.data(), values.data(), out.size());
    });
}

}  // namespace

uint64_t OutputTensor::rows() const {
    uint64_t count = 1;
    for (size_t axis = 0; axis + 1 < shape.size(); ++axis) {
        count *= shape[axis];  // the reader of the other file has checked the product
    }
    return count;
}

OutputTensor as_stored(const StoredTensor& tensor, std::string name) {
    const DType stored = tensor.dtype.value_or(DType::F32);
    OutputTensor out{.name = std::move(name), .shape = tensor.shape, .dtype = stored, .open = {}};
    if (!tensor.dtype) {
        out.open = [&tensor]() -> Result<RowReader> {
            return unsupported("tensor {}: type {} is not supported by this build", tensor.name,
                               tensor.type);
        };
    } else if (stored == DType::F8_E4M3 && tensor.packing == WeightPacking::F8Tiles) {
        out.dtype = DType::F32;
        out.open = [&tensor] {
            return open_tiles(tensor);
        };
    } else if (is_repacked(tensor)) {
        out.open = [&tensor] {
            return open_repacked(tensor);
        };
        return tensor::info(stored).ggml_type ? out : widened(std::move(out));
    } else {
        out.open = [&tensor]() -> Result<RowReader> {
            WEIR_TRY(check_parts(tensor));
            return rows_in(tensor.bytes);
        };
    }
    return out;
}

OutputTensor with_rows(OutputTensor tensor, std::vector<uint64_t> shape,
                       std::function<uint64_t(uint64_t)> row_of) {
    OutputTensor out{std::move(tensor.name), std::move(shape), tensor.dtype, {}};
    out.open = [open = std::move(tensor.open), row_of = std::move(row_of)]() -> Result<RowReader> {
        WEIR_TRY_ASSIGN(RowReader read, open());
        return RowReader([read = std::move(read), row_of](uint64_t row, std::span<std::byte> to) {
            read(row_of(row), to);
        });
    };
    return out;
}

OutputTensor stacked(std::vector<OutputTensor> tensors, std::string name,
                     std::vector<uint64_t> shape) {
    WEIR_ASSERT(!tensors.empty());
    const DType first = tensors.front().dtype;
    const bool is_one_type = std::ranges::all_of(
        tensors, [first](const OutputTensor& tensor) { return tensor.dtype == first; });
    if (!is_one_type) {
        for (OutputTensor& tensor : tensors) {
            tensor = widened(std::move(tensor));
        }
    }
    const uint64_t rows_each = tensors.front().rows();
    OutputTensor out{std::move(name), std::move(shape), tensors.front().dtype, {}};
    out.open = [tensors = std::move(tensors), rows_each]() -> Result<RowReader> {
        std::vector<RowReader> readers;
        for (const OutputTensor& tensor : tensors) {
            WEIR_TRY_ASSIGN(readers.emplace_back(), tensor.open());
        }
        return RowReader([readers, rows_each](uint64_t row, std::span<std::byte> to) {
            readers[row / rows_each](row % rows_each, to);
        });
    };
    return out;
}

OutputTensor widened(OutputTensor tensor) {
    if (tensor.dtype == DType::F32) {
        return tensor;
    }
    OutputTensor out{std::move(tensor.name), std::move(tensor.shape), DType::F32, {}};
    out.open = [open = std::move(tensor.open), from = tensor.dtype]() -> Result<RowReader> {
        WEIR_TRY_ASSIGN(RowReader read, open());
        return floats_from(std::move(read), from);
    };
    return out;
}

OutputTensor reshaped(OutputTensor tensor, std::vector<uint64_t> shape) {
    const uint64_t from = tensor.columns();
    const uint64_t to = shape.back();
    if (from == to) {
        tensor.shape = std::move(shape);
        return tensor;
    }
    if (!is_plain_float(tensor.dtype)) {
        tensor = widened(std::move(tensor));
    }
    const uint64_t element = bytes_of_row(tensor.dtype, 1);
    OutputTensor out{std::move(tensor.name), std::move(shape), tensor.dtype, {}};
    out.open = [open = std::move(tensor.open), from, element]() -> Result<RowReader> {
        WEIR_TRY_ASSIGN(RowReader read, open());
        return RowReader([read, from, element](uint64_t row, std::span<std::byte> out_row) {
            const uint64_t begin = row * (out_row.size() / element);
            Bytes old(from * element);
            for (uint64_t i = 0; i < out_row.size() / element; ++i) {
                if (i == 0 || (begin + i) % from == 0) {
                    read((begin + i) / from, old);
                }
                std::memcpy(out_row.data() + i * element, old.data() + (begin + i) % from * element,
                            element);
            }
        });
    };
    return out;
}

OutputTensor transformed(OutputTensor tensor, std::function<float(float)> function) {
    OutputTensor out = widened(std::move(tensor));
    out.open = [open = std::move(out.open), function = std::move(function)]() -> Result<RowReader> {
        WEIR_TRY_ASSIGN(RowReader read, open());
        return RowReader([read, function](uint64_t row, std::span<std::byte> to) {
            std::vector<float> values(to.size() / sizeof(float));
            read(row, std::as_writable_bytes(std::span(values)));
            std::ranges::transform(values, values.begin(), function);
            std::memcpy(to.data(), values.data(), to.size());
        });
    };
    return out;
}

OutputTensor with_columns(OutputTensor tensor, std::function<uint64_t(uint64_t)> column_of) {
    if (!is_plain_float(tensor.dtype)) {
        tensor = widened(std::move(tensor));
    }
    const uint64_t element = bytes_of_row(tensor.dtype, 1);
    OutputTensor out{std::move(tensor.name), std::move(tensor.shape), tensor.dtype, {}};
    out.open = [open = std::move(tensor.open), column_of = std::move(column_of),
                element]() -> Result<RowReader> {
        WEIR_TRY_ASSIGN(RowReader read, open());
        return RowReader([read, column_of, element](uint64_t row, std::span<std::byte> to) {
            Bytes old(to.size());
            read(row, old);
            for (uint64_t i = 0; i * element < to.size(); ++i) {
                std::memcpy(to.data() + i * element, old.data() + column_of(i) * element, element);
            }
        });
    };
    return out;
}

OutputTensor by_index(OutputTensor tensor, std::function<uint64_t(uint64_t)> old) {
    if (tensor.shape.size() == 1) {
        return with_columns(std::move(tensor), std::move(old));
    }
    std::vector<uint64_t> shape = tensor.shape;
    return with_rows(std::move(tensor), std::move(shape), std::move(old));
}

OutputTensor transposed(OutputTensor tensor) {
    if (!is_plain_float(tensor.dtype)) {
        tensor = widened(std::move(tensor));
    }
    const uint64_t element = bytes_of_row(tensor.dtype, 1);
    const uint64_t rows = tensor.shape[tensor.shape.size() - 2];
    const uint64_t columns = tensor.columns();
    std::vector<uint64_t> shape = tensor.shape;
    std::swap(shape[shape.size() - 2], shape.back());
    OutputTensor out{std::move(tensor.name), std::move(shape), tensor.dtype, {}};
    const uint64_t all_rows = tensor.rows();
    out.open = [open = std::move(tensor.open), element, rows, columns,
                all_rows]() -> Result<RowReader> {
        WEIR_TRY_ASSIGN(RowReader read, open());
        // Turned in memory, in squares that fit the first cache.
        auto turned = std::make_shared<Bytes>(all_rows * columns * element);
        constexpr uint64_t kSquare = 32;
        Bytes band(kSquare * columns * element);
        for (uint64_t begin = 0; begin < all_rows;
             begin += std::min(kSquare, rows - begin % rows)) {
            const uint64_t count = std::min(kSquare, rows - begin % rows);
            for (uint64_t r = 0; r < count; ++r) {
                read(begin + r, std::span(band).subspan(r * columns * element, columns * element));
            }
            std::byte* const to =
                turned->data() + (begin / rows * rows * columns + begin % rows) * element;
            for (uint64_t c = 0; c < columns; ++c) {
                for (uint64_t r = 0; r < count; ++r) {
                    std::memcpy(to + (c * rows + r) * element,
                                band.data() + (r * columns + c) * element, element);
                }
            }
        }
        return RowReader([turned](uint64_t row, std::span<std::byte> to) {
            std::memcpy(to.data(), turned->data() + row * to.size(), to.size());
        });
    };
    return out;
}

}  // namespace weir::model
