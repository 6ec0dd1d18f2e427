#include "model/scratch.h"

#include "base/check.h"

namespace weir::model {

std::span<std::byte> ScratchArena::take(uint64_t bytes) {
    const auto lines = static_cast<size_t>(padded(bytes)) / kAlignment;
    WEIR_ASSERT(lines <= lines_.size() - used_);
    auto* begin = reinterpret_cast<std::byte*>(lines_.data() + used_);
    used_ += lines;
    return {begin, static_cast<size_t>(bytes)};
}

std::span<float> ScratchArena::take_floats(uint64_t count) {
    const auto bytes = take(count * sizeof(float));
    return {reinterpret_cast<float*>(bytes.data()), static_cast<size_t>(count)};
}

}  // namespace weir::model
